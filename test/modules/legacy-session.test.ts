import { transcript } from '../harness/transcript.ts';

for (const to of ['', ` to='capulet.lit'`]) {
  transcript(
    `RFC 3921 §3: establishing a session${to === '' ? '' : ' with the server as addressee'} is answered and changes nothing`,
    async ({ romeo }) => {
      await romeo.sends(`<iq type='set' id='s1'${to}><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`);
      await romeo.receives(`<iq type='result' id='s1'/>`);
      await romeo.receivesNothing();
    },
  );
}

transcript('RFC 3921 §3: a get is no way to establish one', { differs: { prosody: 'it answers a get, too' } }, async ({ romeo }) => {
  await romeo.sends(`<iq type='get' id='s1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`);
  await romeo.receives(
    `<iq type='error' id='s1'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  );
});
