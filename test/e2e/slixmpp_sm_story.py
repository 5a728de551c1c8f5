"""Stream management, carbons, archive and offline messages with slixmpp (Debian: python3-slixmpp), against a running server.

usage: slixmpp_sm_story.py PORT DOMAIN CA_FILE
Prints one JSON line per step; the test reads them. Exits non-zero when a step fails or takes too long.
"""
import asyncio
import json
import sys

import slixmpp

PORT, DOMAIN, CA_FILE = int(sys.argv[1]), sys.argv[2], sys.argv[3]
PASSWORD = "a password"
STEP_SECONDS = 15


def step(name, **facts):
    print(json.dumps({"step": name, **facts}), flush=True)


class User(slixmpp.ClientXMPP):
    """A client with stream management whose events can be awaited."""

    def __init__(self, local, resource):
        super().__init__(f"{local}@{DOMAIN}/{resource}", PASSWORD)
        self.ca_certs = CA_FILE
        self.queues = {}
        for plugin in ("xep_0030", "xep_0199", "xep_0203", "xep_0280", "xep_0297", "xep_0313", "xep_0352", "xep_0198"):
            self.register_plugin(plugin)
        self.acked = []
        self.add_event_handler("stanza_acked", lambda stanza: self.acked.append(stanza["id"]))
        for event in ("message", "session_start", "session_resumed", "sm_enabled", "sm_failed", "disconnected", "carbon_received", "carbon_sent"):
            self.queues[event] = asyncio.Queue()
            self.add_event_handler(event, self.queues[event].put_nowait)

    async def next(self, event):
        return await asyncio.wait_for(self.queues[event].get(), STEP_SECONDS)

    async def bodies(self, count):
        return [(await self.next("message"))["body"] for _ in range(count)]

    async def log_in(self):
        self.connect(("127.0.0.1", PORT), force_starttls=True)
        await self.next("session_start")
        # Its plugin asks for that by itself when it has bound.
        await self.next("sm_enabled")

    async def all_acked(self, ids):
        for _ in range(STEP_SECONDS * 20):
            if set(ids) <= set(self.acked):
                return True
            self["xep_0198"].request_ack()  # may overtake what is still queued: once is not enough
            await asyncio.sleep(0.05)
        return False

    def say(self, to, body):
        message = self.make_message(mto=to, mbody=body, mtype="chat")
        message["id"] = self.new_id()
        message.send()
        return message["id"]


async def story():
    romeo, juliet, phone = User("romeo", "orchard"), User("juliet", "balcony"), User("juliet", "phone")
    for user in (romeo, juliet, phone):
        await user.log_in()
        user.send_presence()
    step("managed", ids=all(user["xep_0198"].sm_id for user in (romeo, juliet, phone)))

    ids = [romeo.say(juliet.boundjid.full, f"line {n}") for n in range(20)]
    lines = await juliet.bodies(20)
    step("acknowledged", inOrder=lines == [f"line {n}" for n in range(20)], all=await romeo.all_acked(ids))

    # Client state indication goes nowhere visible, but it must not break the counting. XEP-0352
    juliet["xep_0352"].send_inactive()
    juliet["xep_0352"].send_active()

    # The socket breaks; what is sent meanwhile waits. XEP-0198 §5
    full, session = juliet.boundjid.full, juliet["xep_0198"].sm_id
    juliet.abort()
    await juliet.next("disconnected")
    meanwhile = [romeo.say(full, f"meanwhile {n}") for n in range(10)]
    stored = await romeo.all_acked(meanwhile)
    juliet.connect(("127.0.0.1", PORT), force_starttls=True)
    await juliet.next("session_resumed")
    lines = await juliet.bodies(10)
    step(
        "resumed",
        stored=stored,
        sameSession=juliet["xep_0198"].sm_id == session and juliet.boundjid.full == full,
        noNewStart=juliet.queues["session_start"].empty(),
        inOrder=lines == [f"meanwhile {n}" for n in range(10)],
    )
    romeo.say(full, "and on")
    answered = juliet.say(romeo.boundjid.full, "I am back")
    step("goes_on", to=(await juliet.bodies(1))[0], back=(await romeo.bodies(1))[0], acked=await juliet.all_acked([answered]))

    # Carbons. XEP-0280 §7, §8
    for user in (juliet, phone):
        await user["xep_0280"].enable(timeout=STEP_SECONDS)
    romeo.say(full, "to the balcony")
    await juliet.bodies(1)
    received = (await phone.next("carbon_received"))["carbon_received"]
    juliet.say(romeo.boundjid.full, "from the balcony")
    await romeo.bodies(1)
    sent = (await phone.next("carbon_sent"))["carbon_sent"]
    step("carbons", received=received["body"], sent=sent["body"])

    # Offline. XEP-0160
    for user in (juliet, phone):
        # slixmpp says that only when it is asked; what it has not said would come again. XEP-0198 §4
        user["xep_0198"].send_ack()
        user.disconnect()
        await user.next("disconnected")
    kept = [romeo.say(juliet.boundjid.bare, f"kept {n}") for n in range(5)]
    stored = await romeo.all_acked(kept)
    juliet = User("juliet", "garden")
    await juliet.log_in()
    juliet.send_presence()
    messages = [await juliet.next("message") for _ in range(5)]
    step("offline", stored=stored, inOrder=[m["body"] for m in messages] == [f"kept {n}" for n in range(5)], stamped=all(m["delay"]["stamp"] for m in messages))

    # The whole archive by pages of seven. XEP-0313 §4.3
    bodies, pages = [], 0
    async for page in juliet["xep_0313"].retrieve(iterator=True, rsm={"max": 7}, timeout=STEP_SECONDS):
        pages += 1
        bodies += [result["mam_result"]["forwarded"]["stanza"]["body"] for result in page["mam"]["results"]]
    expected = [f"line {n}" for n in range(20)] + [f"meanwhile {n}" for n in range(10)]
    expected += ["and on", "I am back", "to the balcony", "from the balcony"] + [f"kept {n}" for n in range(5)]
    step("archive", pages=pages, bodies=bodies, complete=sorted(bodies) == sorted(expected), inOrder=bodies[:30] == expected[:30])
    for user in (romeo, juliet):
        user.abort()
    step("end")


asyncio.get_event_loop().run_until_complete(asyncio.wait_for(story(), 60))
