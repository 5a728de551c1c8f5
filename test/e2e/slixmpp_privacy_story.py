"""Groups in rosters, blocking, multicast and push with slixmpp (Debian: python3-slixmpp), against a running server.

usage: slixmpp_privacy_story.py PORT DOMAIN CA_FILE COMPONENT_PORT SECRET
Prints one JSON line per step; the test reads them. Exits non-zero when a step fails or takes too long.
"""
import asyncio
import json
import sys
import xml.etree.ElementTree as ET

import slixmpp
from slixmpp.componentxmpp import ComponentXMPP
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

PORT, DOMAIN, CA_FILE, COMPONENT_PORT, SECRET = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
PASSWORD = "a password"
STEP_SECONDS = 15
ADDRESS = "http://jabber.org/protocol/address"
DATA = "jabber:x:data"
PUBSUB = "http://jabber.org/protocol/pubsub"
PUSH = "urn:xmpp:push:0"


def step(name, **facts):
    print(json.dumps({"step": name, **facts}), flush=True)


class Awaited:
    """Events that can be awaited."""

    def listen(self, *events):
        self.queues = {}
        for event in events:
            self.queues[event] = asyncio.Queue()
            self.add_event_handler(event, self.queues[event].put_nowait)

    async def next(self, event, accept=lambda value: True):
        while True:
            value = await asyncio.wait_for(self.queues[event].get(), STEP_SECONDS)
            if accept(value):
                return value


class User(Awaited, slixmpp.ClientXMPP):
    def __init__(self, local, resource):
        super().__init__(f"{local}@{DOMAIN}/{resource}", PASSWORD)
        self.ca_certs = CA_FILE
        for plugin in ("xep_0030", "xep_0033", "xep_0191", "xep_0199"):
            self.register_plugin(plugin)
        self.listen("message", "message_error", "presence_available", "presence_unavailable", "session_start", "disconnected", "blocked", "unblocked")

    async def log_in(self):
        self.connect(("127.0.0.1", PORT), force_starttls=True)
        await self.next("session_start")
        await self.get_roster(timeout=STEP_SECONDS)
        self.send_presence()

    async def log_out(self):
        self.disconnect()
        await self.next("disconnected")

    async def asks(self, payload):
        iq = self.make_iq_set(sub=ET.fromstring(payload))
        await iq.send(timeout=STEP_SECONDS)

    def sees(self, other, event="presence_available"):
        return self.next(event, lambda presence: presence["from"].bare == other.boundjid.bare)


class PushService(Awaited, ComponentXMPP):
    def __init__(self):
        super().__init__(f"push.{DOMAIN}", SECRET, "127.0.0.1", COMPONENT_PORT)
        self.listen("session_start")
        self.published = asyncio.Queue()
        self.register_handler(Callback("publish", MatchXPath("{jabber:component:accept}iq/{%s}pubsub" % PUBSUB), self.published.put_nowait))

    async def notification(self):
        """Of a publish request: who asks, which node, which fields."""
        iq = await asyncio.wait_for(self.published.get(), STEP_SECONDS)
        publish = iq.xml.find(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}publish")
        form = publish.find(f"{{{PUBSUB}}}item/{{{PUSH}}}notification/{{{DATA}}}x")
        fields = {field.get("var"): field.findtext(f"{{{DATA}}}value") for field in form}
        return iq, publish.get("node"), publish.find(f"{{{PUBSUB}}}item").get("id"), fields

    @staticmethod
    def confirm(iq):
        iq.reply().send()


async def story():
    romeo, juliet = User("romeo", "orchard"), User("juliet", "balcony")
    for user in (romeo, juliet):
        await user.log_in()
    seen = await romeo.sees(juliet)
    item = juliet.client_roster[romeo.boundjid.bare]
    step("group", subscription=item["subscription"], groups=list(item["groups"]), called=item["name"], seen=seen["from"].full == juliet.boundjid.full)

    # XEP-0191
    await juliet["xep_0191"].get_blocked(timeout=STEP_SECONDS)
    await juliet["xep_0191"].block(romeo.boundjid.bare, timeout=STEP_SECONDS)
    await juliet.next("blocked")
    await romeo.sees(juliet, "presence_unavailable")
    romeo.send_message(mto=juliet.boundjid.bare, mbody="Wherefore?", mtype="chat")
    refused = await romeo.next("message_error")
    listed = (await juliet["xep_0191"].get_blocked(timeout=STEP_SECONDS))["blocklist"]["items"]
    step("blocked", condition=refused["error"]["condition"], listed=[str(jid) for jid in listed] == [romeo.boundjid.bare])
    await juliet["xep_0191"].unblock(romeo.boundjid.bare, timeout=STEP_SECONDS)
    await juliet.next("unblocked")
    await romeo.sees(juliet)
    step("unblocked", nothing=juliet.queues["message"].empty())

    # XEP-0033
    message = romeo.make_message(mto=DOMAIN, mbody="All!", mtype="chat")
    message["addresses"].add_address(atype="to", jid=juliet.boundjid.bare)
    message["addresses"].add_address(atype="bcc", jid=romeo.boundjid.bare)
    message.send()
    copy, own = await juliet.next("message"), await romeo.next("message")
    count = len(copy.xml.findall(f"{{{ADDRESS}}}addresses/{{{ADDRESS}}}address"))
    blind = len(own.xml.findall(f"{{{ADDRESS}}}addresses/{{{ADDRESS}}}address"))
    step("multicast", body=copy["body"], sender=copy["from"].full == romeo.boundjid.full, shown=count, blind=blind)

    # XEP-0357
    service = PushService()
    service.connect()
    await service.next("session_start")
    await juliet.asks(f"<enable xmlns='{PUSH}' jid='push.{DOMAIN}' node='device-1'/>")
    romeo.send_message(mto=juliet.boundjid.bare, mbody="Seen", mtype="chat")
    await juliet.next("message")
    await juliet.log_out()
    romeo.send_message(mto=juliet.boundjid.bare, mbody="Unseen", mtype="chat")
    iq, node, first, fields = await service.notification()
    step("push", sender=iq["from"].full == juliet.boundjid.bare, node=node, count=fields["message-count"], leaks="Unseen" in str(iq) or "romeo" in str(iq))
    service.confirm(iq)
    romeo.send_message(mto=juliet.boundjid.bare, mbody="And more", mtype="chat")
    iq, _, second, fields = await service.notification()
    service.confirm(iq)
    await asyncio.sleep(0)
    step("push_once", another=first != second, count=fields["message-count"], more=not service.published.empty())

    again = User("juliet", "balcony")
    await again.log_in()
    waiting = [(await again.next("message"))["body"] for _ in range(2)]
    step("waiting", bodies=waiting)
    await again.log_out()
    await romeo.log_out()
    step("end")


asyncio.get_event_loop().run_until_complete(story())
