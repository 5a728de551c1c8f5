/** RFC 6120 §8: what is true of all stanzas, and the errors for those that break it. */
import { transcript } from '../harness/transcript.ts';

const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const BAD_REQUEST = `<error type='modify'><bad-request xmlns='${STANZAS}'/></error>`;
const MALFORMED = `<error type='modify'><jid-malformed xmlns='${STANZAS}'/></error>`;

transcript(
  'RFC 6120 §8.1.2.1: the server stamps the full JID of the sender, bare or not as the client gave it',
  async ({ romeo, juliet }) => {
    for (const from of ['', `from='${romeo.full}'`, `from='${romeo.bare}'`]) {
      await romeo.sends(`<message ${from} id='m1' to='${juliet.full}'><body>Ay me</body></message>`);
      await juliet.receives(`<message from='${romeo.full}' id='m1'><body>Ay me</body></message>`);
    }
  },
);

transcript('RFC 6120 §8.1.3: a message without id stays without', async ({ romeo, juliet }) => {
  await romeo.sends(`<message to='${juliet.full}'><body>Ay me</body></message>`);
  await juliet.receives(`<message id='{none}' from='${romeo.full}'><body>Ay me</body></message>`);
});

transcript('RFC 6120 §8.1.5: the language of a stanza is passed on', async ({ romeo, juliet }) => {
  await romeo.sends(
    `<message xml:lang='cs' to='${juliet.full}'><body>Pročež jsi ty, Romeo?</body><body xml:lang='en'>Wherefore art thou, Romeo?</body></message>`,
  );
  await juliet.receives(
    `<message xml:lang='cs'><body>Pročež jsi ty, Romeo?</body><body xml:lang='en'>Wherefore art thou, Romeo?</body></message>`,
  );
});

transcript('RFC 6120 §8.4: extensions unknown to the server pass through unchanged', async ({ romeo, juliet }) => {
  const content = `<body>&lt;3 &amp; "quotes" 💌</body><x:token xmlns:x='urn:example:token' x:n='1' m='2'>a<![CDATA[<b>]]>c<x:in/></x:token>`;
  await romeo.sends(`<message to='${juliet.full}'>${content}</message>`);
  await juliet.receives(`<message>${content}</message>`);
});

transcript('RFC 6120 §8.2.3 (1): an IQ without id is a bad request', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' to='${cast.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await romeo.receives(`<iq type='error'>${BAD_REQUEST}</iq>`);
});

transcript('RFC 6120 §8.2.3 (2): an IQ of no type, or one that does not exist, is a bad request', async (cast) => {
  const { romeo } = cast;
  for (const type of ['', `type='query'`]) {
    await romeo.sends(`<iq ${type} id='i1' to='${cast.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await romeo.receives(`<iq type='error' id='i1'>${BAD_REQUEST}</iq>`);
  }
});

transcript('RFC 6120 §8.2.3 (5): a request has exactly one child', async (cast) => {
  const { romeo } = cast;
  for (const content of ['', `<ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/>`]) {
    await romeo.sends(`<iq type='get' id='i1' to='${cast.domain}'>${content}</iq>`);
    await romeo.receives(`<iq type='error' id='i1'>${BAD_REQUEST}</iq>`);
  }
});

transcript(
  'RFC 6120 §8.3.3.8: an address that is none',
  { differs: { ejabberd: 'answers from the server, without the id' } },
  async (cast) => {
    const { romeo } = cast;
    for (const to of ['@', `/x`, `a@b@c`, `juliet@`, `@${cast.domain}`, `${cast.domain}/`, 'ro meo@capulet.lit']) {
      await romeo.sends(`<message id='m1' to='${to}'><body>Ay me</body></message>`);
      await romeo.receives(`<message type='error' id='m1'>${MALFORMED}</message>`);
      await romeo.sends(`<iq type='get' id='i1' to='${to}'><ping xmlns='urn:xmpp:ping'/></iq>`);
      await romeo.receives(`<iq type='error' id='i1'>${MALFORMED}</iq>`);
    }
  },
);

transcript('RFC 6120 §8.3.1: an error is never answered with an error', async (cast) => {
  const { romeo } = cast;
  const error = `<error type='cancel'><item-not-found xmlns='${STANZAS}'/></error>`;
  await romeo.sends(`<message type='error' id='m1' to='nobody@${cast.domain}'>${error}</message>`);
  await romeo.sends(`<message type='error' id='m2' to='nobody@${cast.domain}/gone'>${error}</message>`);
  await romeo.sends(`<message type='error' id='m3' to='${cast.domain}'>${error}</message>`);
  await romeo.sends(`<iq type='error' id='i1' to='${cast.domain}'>${error}</iq>`);
  await romeo.sends(`<iq type='result' id='i2' to='${cast.domain}'/>`);
  await romeo.sends(`<presence type='error' to='nobody@${cast.domain}'>${error}</presence>`);
  await romeo.receivesNothing();
});

transcript('RFC 6120 §8.3.1: nor one with an address that is none', { onlyOurs: 'a corner of ours' }, async ({ romeo }) => {
  await romeo.sends(`<message type='error' id='m1' to='a@b@c'><error type='cancel'><item-not-found xmlns='${STANZAS}'/></error></message>`);
  await romeo.sends(`<iq type='result' id='i1' to='a@b@c'/>`);
  await romeo.receivesNothing();
});

transcript('RFC 6121 §5.2.2: a message of a type nobody knows is a normal one', async ({ romeo, juliet }) => {
  await romeo.sends(`<message type='whisper' id='m1' to='${juliet.full}'><body>Ay me</body></message>`);
  const { attrs } = await juliet.takes('the message', ({ name }) => name === 'message');
  if (attrs['type'] !== undefined && attrs['type'] !== 'normal' && attrs['type'] !== 'whisper') throw new Error(`type ${attrs['type']}`);
});

transcript('RFC 6121 §4.7.1: presence of a type that does not exist is a bad request', async ({ romeo, juliet }) => {
  await romeo.sends(`<presence type='invisible' id='p1' to='${juliet.full}'/>`);
  await romeo.receives(`<presence type='error' id='p1'>${BAD_REQUEST}</presence>`);
  await juliet.receivesNothing();
});

transcript('RFC 6122, RFC 7622 §3.3: addresses are compared in their normal form', async ({ romeo, juliet }) => {
  await romeo.sends(
    `<message id='m1' to='${juliet.local.toUpperCase()}@${juliet.domain.toUpperCase()}/${juliet.resource}'><body>Ay me</body></message>`,
  );
  await juliet.receives(`<message id='m1' from='${romeo.full}'><body>Ay me</body></message>`);
});
