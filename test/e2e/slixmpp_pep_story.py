"""Personal eventing as slixmpp does it (Debian: python3-slixmpp), against a running server: avatars, bookmarks, OMEMO's device list.

usage: slixmpp_pep_story.py PORT DOMAIN CA_FILE
Prints one JSON line per step; the test reads them. Exits non-zero when a step fails or takes too long.
"""
import asyncio
import base64
import hashlib
import json
import struct
import sys
import xml.etree.ElementTree as ET

import slixmpp
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0004 import Form

PORT, DOMAIN, CA_FILE = int(sys.argv[1]), sys.argv[2], sys.argv[3]
STEP_SECONDS = 20
DEVICES = "eu.siacs.conversations.axolotl.devicelist"
AXOLOTL = "eu.siacs.conversations.axolotl"
BOOKMARKS = "urn:xmpp:bookmarks:1"
METADATA = "urn:xmpp:avatar:metadata"
IMAGE = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 64, 64, 8, 6, 0, 0, 0)
ROOM = "theplay@conference.shakespeare.lit"


def step(name, **facts):
    print(json.dumps({"step": name, **facts}), flush=True)


class User(slixmpp.ClientXMPP):
    """A client that wants to be told of these nodes."""

    def __init__(self, local, resource, *interests):
        super().__init__(f"{local}@{DOMAIN}/{resource}", f"secret of {local}")
        self.ca_certs = CA_FILE
        for plugin in ("xep_0030", "xep_0004", "xep_0059", "xep_0060", "xep_0115", "xep_0163", "xep_0084", "xep_0054", "xep_0049", "xep_0048",
                       "xep_0153", "xep_0199"):
            if plugin != "xep_0153":
                self.register_plugin(plugin)
        self.events = asyncio.Queue()
        self.presences = asyncio.Queue()
        self.started = asyncio.Event()
        self.add_event_handler("session_start", lambda _event: self.started.set())
        self.add_event_handler("presence_available", self.presences.put_nowait)
        for event in ("pubsub_publish", "pubsub_retract"):
            self.add_event_handler(event, self.events.put_nowait)
        for node in interests:
            self["xep_0163"].add_interest(node)
        self.auto_authorize = True

    async def log_in(self):
        self.connect(("127.0.0.1", PORT), force_starttls=True)
        await asyncio.wait_for(self.started.wait(), STEP_SECONDS)
        await self.get_roster(timeout=STEP_SECONDS)
        await self["xep_0115"].update_caps(broadcast=False)
        self.send_presence()

    async def told(self, node):
        while True:
            event = await asyncio.wait_for(self.events.get(), STEP_SECONDS)
            if event["pubsub_event"]["items"]["node"] == node:
                return event

    async def publish(self, node, payload, item, **options):
        form = Form()
        form["type"] = "submit"
        form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
        for name, value in options.items():
            form.add_field(var=f"pubsub#{name}", value=value)
        await self["xep_0060"].publish(None, node, id=item, payload=payload, options=form, timeout=STEP_SECONDS)


def element(text):
    return ET.fromstring(text)


async def story():
    romeo = User("romeo", "orchard", BOOKMARKS)
    phone = User("romeo", "phone", BOOKMARKS)
    juliet = User("juliet", "balcony", METADATA, DEVICES)
    tybalt = User("tybalt", "street")
    for user in (romeo, juliet, tybalt, phone):
        await user.log_in()
    for one, other in ((romeo, juliet), (juliet, romeo)):
        one.send_presence_subscription(pto=other.boundjid.bare)
    await asyncio.wait_for(romeo.presences.get(), STEP_SECONDS)
    while (await asyncio.wait_for(romeo.presences.get(), STEP_SECONDS))["from"] != juliet.boundjid:
        pass
    step("subscribed")

    info = await romeo["xep_0030"].get_info(jid=romeo.boundjid.bare, timeout=STEP_SECONDS)
    step("features", features=sorted(info["disco_info"]["features"]))

    # OMEMO: everybody reads the device list, contacts are told of it. XEP-0384 §5.3
    devices = element(f"<list xmlns='{AXOLOTL}'><device id='31415'/></list>")
    await romeo.publish(DEVICES, devices, "current", access_model="open", persist_items="true", max_items="1")
    await juliet.told(DEVICES)
    read = await tybalt["xep_0060"].get_items(romeo.boundjid.bare, DEVICES, timeout=STEP_SECONDS)
    payload = read["pubsub"]["items"]["substanzas"][0]["payload"]
    step("omemo", device=payload[0].get("id"))
    try:
        await romeo.publish(DEVICES, devices, "current", access_model="whitelist")
        step("precondition", condition=None)
    except IqError as error:
        step("precondition", condition=error.condition)

    # An avatar: XEP-0084, and from there to the vCard and to presence: XEP-0398
    sha1 = hashlib.sha1(IMAGE).hexdigest()
    data = element(f"<data xmlns='urn:xmpp:avatar:data'>{base64.b64encode(IMAGE).decode()}</data>")
    await romeo.publish("urn:xmpp:avatar:data", data, sha1, access_model="open")
    metadata = element(f"<metadata xmlns='{METADATA}'><info id='{sha1}' type='image/png' bytes='{len(IMAGE)}'/></metadata>")
    await romeo.publish(METADATA, metadata, sha1, access_model="open")
    event = await juliet.told(METADATA)
    step("avatar", item=event["pubsub_event"]["items"]["item"]["id"] == sha1)
    got = await juliet["xep_0084"].retrieve_avatar(romeo.boundjid.bare, sha1, timeout=STEP_SECONDS)
    step("avatar_data", isSame=got["pubsub"]["items"]["item"]["avatar_data"]["value"] == IMAGE)
    while True:
        presence = await asyncio.wait_for(juliet.presences.get(), STEP_SECONDS)
        photo = presence.xml.find("{vcard-temp:x:update}x/{vcard-temp:x:update}photo")
        if photo is not None and photo.text == sha1:
            break
    vcard = await tybalt["xep_0054"].get_vcard(romeo.boundjid.bare, timeout=STEP_SECONDS)
    step("vcard", isSame=vcard["vcard_temp"]["PHOTO"]["BINVAL"] in (IMAGE, base64.b64encode(IMAGE)))

    # Bookmarks: an item, told to the other client, and the list of old. XEP-0402, XEP-0049
    conference = element(f"<conference xmlns='{BOOKMARKS}' name='The Play' autojoin='true'><nick>JC</nick></conference>")
    await romeo.publish(BOOKMARKS, conference, ROOM, access_model="whitelist", persist_items="true", max_items="max", send_last_published_item="never")
    event = await phone.told(BOOKMARKS)
    step("bookmark", item=event["pubsub_event"]["items"]["item"]["id"])
    for _attempt in range(100):
        private = await romeo["xep_0049"].retrieve("bookmarks", timeout=STEP_SECONDS)
        rooms = [each["jid"] for each in private["private"]["bookmarks"]["conferences"]]
        if rooms:
            break
    step("private_xml", rooms=[str(room) for room in rooms])

    # The service: XEP-0060
    service = f"pubsub.{DOMAIN}"
    await romeo["xep_0060"].create_node(service, "musings", timeout=STEP_SECONDS)
    await juliet["xep_0060"].subscribe(service, "musings", timeout=STEP_SECONDS)
    await romeo["xep_0060"].publish(service, "musings", id="one", payload=element("<note xmlns='urn:example:note'>To be</note>"), timeout=STEP_SECONDS)
    event = await juliet.told("musings")
    step("service", item=event["pubsub_event"]["items"]["item"]["id"], sender=str(event["from"]))
    for user in (romeo, juliet, tybalt, phone):
        user.abort()
    step("end")


asyncio.get_event_loop().run_until_complete(asyncio.wait_for(story(), 150))
