"""An administrator's morning with slixmpp (Debian: python3-slixmpp), against a running server.

usage: slixmpp_admin_story.py PORT DOMAIN CA_FILE
Prints one JSON line per step; the test reads them. Exits non-zero when a step fails or takes too long.
"""
import asyncio
import json
import sys

import slixmpp
from slixmpp.exceptions import IqError

PORT, DOMAIN, CA_FILE = int(sys.argv[1]), sys.argv[2], sys.argv[3]
STEP_SECONDS = 20
COMMANDS = "http://jabber.org/protocol/commands"
ADMIN = "http://jabber.org/protocol/admin#"


def step(name, **facts):
    print(json.dumps({"step": name, **facts}), flush=True)


class User(slixmpp.ClientXMPP):
    """A client whose events can be awaited."""

    def __init__(self, local, password, resource):
        super().__init__(f"{local}@{DOMAIN}/{resource}", password)
        self.queues = {}
        self.ca_certs = CA_FILE
        for plugin in ("xep_0030", "xep_0004", "xep_0050", "xep_0199", "xep_0133"):
            self.register_plugin(plugin)
        for event in ("message", "session_start", "failed_all_auth", "disconnected"):
            self.queues[event] = asyncio.Queue()
            self.add_event_handler(event, self.queues[event].put_nowait)

    async def next(self, event):
        return await asyncio.wait_for(self.queues[event].get(), STEP_SECONDS)

    async def log_in(self):
        self.connect(("127.0.0.1", PORT), force_starttls=True)
        started = asyncio.ensure_future(self.next("session_start"))
        failed = [asyncio.ensure_future(self.next(event)) for event in ("failed_all_auth", "disconnected")]
        done, pending = await asyncio.wait({started, *failed}, return_when=asyncio.FIRST_COMPLETED, timeout=STEP_SECONDS)
        for task in pending:
            task.cancel()
        if started not in done:
            raise RuntimeError(f"{self.requested_jid} could not log in")
        self.send_presence()

    async def command(self, node, **fields):
        """Fills in the one form of a command; the answer to it."""
        form = await self["xep_0050"].send_command(DOMAIN, node, timeout=STEP_SECONDS)
        if form["command"]["status"] == "completed":
            return form
        assert "complete" in form["command"]["actions"], form
        filled = self["xep_0004"].make_form(ftype="submit")
        filled.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/admin")
        for name, value in fields.items():
            filled.add_field(var=name.replace("__", "-"), value=value)
        return await self["xep_0050"].send_command(
            DOMAIN, node, sessionid=form["command"]["sessionid"], action="complete", payload=filled, timeout=STEP_SECONDS
        )


async def story():
    admin = User("admin", "not admin", "globe")
    await admin.log_in()
    romeo = User("romeo", "wherefore art", "orchard")
    await romeo.log_in()

    listed = {}
    for user in (admin, romeo):
        items = await user["xep_0050"].get_commands(DOMAIN, timeout=STEP_SECONDS)
        listed[user.boundjid.user] = sorted(node for _, node, _ in items["disco_items"]["items"])
    step("listed", **listed)

    try:
        await romeo.command(ADMIN + "add-user")
        step("user_refused", condition=None)
    except IqError as error:
        step("user_refused", condition=error.condition)

    done = await admin.command(ADMIN + "add-user", accountjid=f"juliet@{DOMAIN}", password="o romeo romeo", password__verify="o romeo romeo")
    step("added", status=done["command"]["status"])
    try:
        await admin.command(ADMIN + "add-user", accountjid=f"juliet@{DOMAIN}", password="o romeo romeo")
        step("added_twice", condition=None)
    except IqError as error:
        step("added_twice", condition=error.condition)
    juliet = User("juliet", "o romeo romeo", "balcony")
    await juliet.log_in()
    step("logged_in", jid=juliet.boundjid.bare)

    count = await admin.command(ADMIN + "get-online-users-num")
    step("online", count=count["command"]["form"].get_fields()["onlineusersnum"]["value"])

    # Accounts live on both workers: all must hear it.
    await admin.command(ADMIN + "announce", subject="Verona", announcement="Rebellious subjects\nenemies to peace")
    heard = [await user.next("message") for user in (admin, romeo, juliet)]
    step("announced", texts=[m["body"] for m in heard], types=[m["type"] for m in heard], sender=str(heard[0]["from"]))

    await admin.command(ADMIN + "set-motd", motd="The Globe is open")
    for user in (admin, romeo, juliet):
        assert (await user.next("message"))["body"] == "The Globe is open"
    step("motd")

    done = await romeo["xep_0050"].send_command(DOMAIN, "urn:rookery:commands#me-sessions", timeout=STEP_SECONDS)
    step("own_sessions", rows=len(done["command"]["form"]["items"]))

    await admin.command(ADMIN + "end-user-session", accountjids=[romeo.boundjid.bare])
    await romeo.next("disconnected")
    step("ended")
    romeo.abort()

    await admin.command(ADMIN + "delete-user", accountjids=[f"juliet@{DOMAIN}"])
    await juliet.next("disconnected")
    juliet.abort()
    step("removed")

    restarting = asyncio.ensure_future(admin.next("disconnected"))
    done = await admin.command(ADMIN + "restart")
    step("restarting", status=done["command"]["status"])
    await restarting
    admin.abort()
    step("end")


asyncio.get_event_loop().run_until_complete(asyncio.wait_for(story(), 150))
