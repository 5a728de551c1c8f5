"""A component made with slixmpp: answers messages, service discovery and subscriptions until it is ended."""
import sys
from slixmpp.componentxmpp import ComponentXMPP


class Gateway(ComponentXMPP):
    def __init__(self, port, domain, secret):
        super().__init__(domain, secret, "127.0.0.1", int(port))
        self.register_plugin("xep_0030")
        self["xep_0030"].add_identity(category="gateway", itype="icq", name="slixmpp")
        self.auto_authorize = None
        self.auto_subscribe = None
        self.add_event_handler("message", self.heard)
        self.add_event_handler("presence_subscribe", self.asked)

    def heard(self, message):
        if message["type"] in ("chat", "normal"):
            self.send_message(mto=message["from"], mfrom=message["to"], mtype="chat", mbody="slixmpp heard: " + message["body"])

    def asked(self, presence):
        self.send_presence(pto=presence["from"].bare, pfrom=presence["to"], ptype="subscribed")
        self.send_presence(pto=presence["from"].bare, pfrom=presence["to"].bare + "/slixmpp")


gateway = Gateway(*sys.argv[1:])
gateway.connect()
gateway.process(forever=True)
