import { transcript } from '../harness/transcript.ts';

transcript('XEP-0199 §4.2: the server answers a ping of its domain', async ({ romeo }) => {
  await romeo.sends(`<iq type='get' id='p1' to='${romeo.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await romeo.receives(`<iq type='result' id='p1' from='${romeo.domain}' to='${romeo.full}'/>`);
});

transcript('XEP-0199 §4.2: the server answers a ping of the own bare JID, and one without address', async ({ romeo }) => {
  await romeo.sends(`<iq type='get' id='p1' to='${romeo.bare}'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await romeo.receives(`<iq type='result' id='p1' from='${romeo.bare}'/>`);
  await romeo.sends(`<iq type='get' id='p2'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await romeo.receives(`<iq type='result' id='p2'/>`);
});

transcript('XEP-0199 §4.4: a ping between clients is theirs to answer', async ({ romeo, juliet }) => {
  await romeo.sends(`<iq type='get' id='e1' to='${juliet.full}'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await juliet.receives(`<iq type='get' id='e1' from='${romeo.full}'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await juliet.sends(`<iq type='result' id='e1' to='${romeo.full}'/>`);
  await romeo.receives(`<iq type='result' id='e1' from='${juliet.full}'/>`);
});

transcript(
  "XEP-0199 §4.4: a stranger's bare JID is not pinged: the answer would tell whether the account exists",
  { differs: { prosody: 'it answers for strangers', ejabberd: 'it answers for strangers' } },
  async ({ romeo, juliet }) => {
    for (const address of [juliet.bare, `nobody-at-all@${romeo.domain}`]) {
      await romeo.sends(`<iq type='get' id='p1' to='${address}'><ping xmlns='urn:xmpp:ping'/></iq>`);
      await romeo.receives(
        `<iq type='error' id='p1' from='${address}'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
      );
    }
  },
);

transcript('XEP-0199 §5: disco announces it', async ({ romeo }) => {
  await romeo.sends(`<iq type='get' id='d1' to='${romeo.domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  await romeo.receives(`
    <iq type='result' id='d1'>
      <query xmlns='http://jabber.org/protocol/disco#info' match:rest='ignore'><feature var='urn:xmpp:ping'/></query>
    </iq>`);
});

transcript('RFC 6120 §8.2.3: a ping with type set is not one', { differs: { ejabberd: 'answers bad-request' } }, async ({ romeo }) => {
  await romeo.sends(`<iq type='set' id='p1' to='${romeo.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await romeo.receives(
    `<iq type='error' id='p1'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  );
});
