"""A day in the life of two users of slixmpp (Debian: python3-slixmpp), against a running server.

usage: slixmpp_story.py PORT DOMAIN CA_FILE
Prints one JSON line per step; the test reads them. Exits non-zero when a step fails or takes too long.
"""
import asyncio
import json
import sys

import slixmpp
from slixmpp.exceptions import IqError

PORT, DOMAIN, CA_FILE = int(sys.argv[1]), sys.argv[2], sys.argv[3]
STEP_SECONDS = 20


def step(name, **facts):
    print(json.dumps({"step": name, **facts}), flush=True)


class User(slixmpp.ClientXMPP):
    """A client whose events can be awaited."""

    def __init__(self, local, password, resource, register=False):
        super().__init__(f"{local}@{DOMAIN}/{resource}", password)
        self.queues = {}
        self.ca_certs = CA_FILE
        self.mechanism = None
        for plugin in ("xep_0030", "xep_0199", "xep_0092", "xep_0202", "xep_0012", "xep_0203", "xep_0004"):
            self.register_plugin(plugin)
        if register:
            self.register_plugin("xep_0066")
            self.register_plugin("xep_0077")
            self["xep_0077"].force_registration = True
            self._always_send_everything = True  # slixmpp 1.8 keeps back every stanza until login, registration too
            self.add_event_handler("register", self.on_register)
        for event in ("message", "session_start", "failed_all_auth", "presence_available", "presence_unavailable", "presence_away",
                      "roster_update", "presence_subscribe", "presence_subscribed", "disconnected", "connection_failed"):
            self.queues[event] = asyncio.Queue()
            self.add_event_handler(event, self.queues[event].put_nowait)
        self.auto_authorize = None
        self.auto_subscribe = False

    async def on_register(self, _form):
        iq = self.Iq()
        iq["type"] = "set"
        iq["register"]["username"] = self.boundjid.user
        iq["register"]["password"] = self.password
        await iq.send(timeout=STEP_SECONDS)

    async def next(self, event, accept=lambda _value: True):
        while True:
            value = await asyncio.wait_for(self.queues[event].get(), STEP_SECONDS)
            if accept(value):
                return value

    async def log_in(self):
        self.connect(("127.0.0.1", PORT), force_starttls=True)
        started = asyncio.ensure_future(self.next("session_start"))
        failed = [asyncio.ensure_future(self.next(event)) for event in ("failed_all_auth", "disconnected")]
        done, pending = await asyncio.wait({started, *failed}, return_when=asyncio.FIRST_COMPLETED, timeout=STEP_SECONDS)
        for task in pending:
            task.cancel()
        if started not in done:
            raise RuntimeError(f"{self.requested_jid} could not log in")

    async def leave(self):
        self.disconnect()
        await self.next("disconnected")


async def story():
    romeo = User("romeo", "wherefore", "orchard", register=True)
    await romeo.log_in()
    step("registered", jid=romeo.boundjid.full)
    step("secured", tls=romeo.transport.get_extra_info("ssl_object").version())

    juliet = User("juliet", "r0m30myr0m30", "balcony")
    await juliet.log_in()
    step("logged_in", jid=juliet.boundjid.full)

    wrong = User("juliet", "not her password", "window")
    try:
        await wrong.log_in()
        step("wrong_password", refused=False)
    except RuntimeError:
        step("wrong_password", refused=True)
    wrong.abort()

    for user in (romeo, juliet):
        await user.get_roster()
        user.send_presence()

    # Subscriptions in both directions. RFC 6121 §3
    romeo.send_presence_subscription(pto=juliet.boundjid.bare)
    request = await juliet.next("presence_subscribe")
    assert request["from"].bare == romeo.boundjid.bare
    juliet.send_presence_subscription(pto=romeo.boundjid.bare, ptype="subscribed")
    juliet.send_presence_subscription(pto=romeo.boundjid.bare)
    await romeo.next("presence_subscribe")
    romeo.send_presence_subscription(pto=juliet.boundjid.bare, ptype="subscribed")
    await romeo.next("presence_available", lambda p: p["from"] == juliet.boundjid)
    await juliet.next("presence_available", lambda p: p["from"] == romeo.boundjid)
    await romeo.get_roster()
    step("subscribed", subscription=romeo.client_roster[juliet.boundjid.bare]["subscription"])

    romeo.update_roster(juliet.boundjid.bare, name="Juliet", groups=["Verona"])
    await romeo.next("roster_update", lambda iq: any(item["name"] == "Juliet" for item in iq["roster"]["items"].values()))
    step("roster_set")

    juliet.send_presence(pshow="away", pstatus="on the balcony")
    away = await romeo.next("presence_away")
    step("presence", status=away["status"])

    for number in range(100):
        romeo.send_message(mto=juliet.boundjid.bare, mbody=f"line {number}", mtype="chat")
    lines = [(await juliet.next("message"))["body"] for _ in range(100)]
    step("chat", inOrder=lines == [f"line {number}" for number in range(100)])

    info = await romeo["xep_0030"].get_info(jid=DOMAIN, timeout=STEP_SECONDS)
    step("disco", features=sorted(info["disco_info"]["features"]))
    await romeo["xep_0199"].send_ping(DOMAIN, timeout=STEP_SECONDS)
    software = await romeo["xep_0092"].get_version(DOMAIN, timeout=STEP_SECONDS)
    step("version", software=software["software_version"]["name"])

    # Offline. XEP-0160
    await juliet.leave()
    await romeo.next("presence_unavailable", lambda p: p["from"].bare == juliet.boundjid.bare)
    for number in range(10):
        romeo.send_message(mto=juliet.requested_jid.bare, mbody=f"kept {number}", mtype="chat")
    await romeo["xep_0199"].send_ping(DOMAIN, timeout=STEP_SECONDS)
    juliet = User("juliet", "r0m30myr0m30", "balcony")
    await juliet.log_in()
    juliet.send_presence()
    kept = [await juliet.next("message") for _ in range(10)]
    step("offline", inOrder=[m["body"] for m in kept] == [f"kept {n}" for n in range(10)], stamped=all(m["delay"]["stamp"] for m in kept))

    try:
        iq = romeo.make_iq_get(queryxmlns="urn:example:unknown", ito=DOMAIN)
        await iq.send(timeout=STEP_SECONDS)
        step("unknown_iq", condition=None)
    except IqError as error:
        step("unknown_iq", condition=error.condition)

    # The account goes, and with it the subscription. XEP-0077 §3.2
    await romeo["xep_0077"].cancel_registration(timeout=STEP_SECONDS)
    await juliet.next("presence_unavailable", lambda p: p["from"].bare == romeo.requested_jid.bare)
    step("removed")
    juliet.abort()
    romeo.abort()
    step("end")


asyncio.get_event_loop().run_until_complete(asyncio.wait_for(story(), 150))
