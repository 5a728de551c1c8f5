/** A bound session: what ends it, and what its limits are. RFC 6120 §4.6, §4.9, §8.1 */
import assert from 'node:assert/strict';
import { transcript } from '../harness/transcript.ts';

transcript(
  'RFC 6120 §8.1.2.1, §4.9.3.9: a stanza from somebody else ends the stream',
  { differs: { prosody: 'corrects it', ejabberd: 'minds only some' } },
  async ({ romeo, juliet, phone }) => {
    await phone.sync();
    for (const from of [juliet.full, juliet.bare, phone.full, romeo.domain, 'a@b@c']) {
      await romeo.connects();
      await romeo.sends(`<message from='${from}' to='${juliet.full}'><body>I am not who I seem</body></message>`);
      await romeo.isClosedWith('invalid-from');
    }
    await juliet.receivesNothing();
  },
);

transcript(
  'RFC 6120 §4.9.3.24: an element that is no stanza ends the stream',
  { differs: { ejabberd: 'ignores it' } },
  async ({ romeo }) => {
    await romeo.sends(`<pubsub xmlns='jabber:client'/>`);
    await romeo.isClosedWith('unsupported-stanza-type');
  },
);

transcript(
  'RFC 6120 §4.9.3.24: so does a stanza of another namespace',
  { differs: { ejabberd: 'ignores it' } },
  async ({ romeo, juliet }) => {
    await romeo.sends(`<message xmlns='jabber:server' to='${juliet.full}'><body>Ay me</body></message>`);
    await romeo.isClosedWith('unsupported-stanza-type');
    await juliet.receivesNothing();
  },
);

transcript('Stanza smuggling: a stream inside a stanza is refused', { onlyOurs: 'others pass it on' }, async ({ romeo, juliet }) => {
  await romeo.sends(`<message to='${juliet.full}'><stream:stream to='x'/></message>`);
  await romeo.closedSomehow(['bad-format', 'invalid-xml', 'restricted-xml', 'not-well-formed', 'invalid-namespace', 'policy-violation']);
  await juliet.receivesNothing();
});

transcript(
  'RFC 6120 §4.9.3.14: a stanza that is too large ends the stream before it has come to its end',
  { config: { stanza: { afterLogin: { maxBytes: 20_000 } } } },
  async ({ romeo, juliet }) => {
    await romeo.sends(`<message to='${juliet.full}'><body>${'x'.repeat(19_000)}</body></message>`);
    await juliet.receives(`<message><body>${'x'.repeat(19_000)}</body></message>`);
    await romeo.sends(`<message to='${juliet.full}'><body>${'x'.repeat(20_000)}`);
    await romeo.isClosedWith('policy-violation');
    await juliet.receivesNothing();
  },
);

transcript(
  'RFC 6120 §4.6.4, XEP-0199 §4.3: a silent client is pinged, and ended if it stays silent',
  { config: { c2s: { idleMs: 600_000 } } },
  async (cast) => {
    const { romeo } = cast;
    await cast.advance(299_000);
    await romeo.receivesNothing();
    await cast.advance(301_000);
    await romeo.receives(`<iq type='get' id='{ping}' from='${cast.domain}' to='${romeo.full}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await romeo.sends(`<iq type='result' id='{ping}' to='${cast.domain}'/>`);
    await cast.advance(299_000);
    await romeo.receivesNothing();
    await cast.advance(301_000);
    await romeo.receives(`<iq type='get' from='${cast.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await cast.advance(300_000);
    await romeo.isClosedWith('connection-timeout');
  },
);

transcript('RFC 6120 §4.6.1: white space keeps a session alive', { config: { c2s: { idleMs: 600_000 } } }, async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  for (let i = 0; i < 10; i++) {
    await cast.advance(200_000);
    await romeo.keepsAlive();
  }
  await romeo.receivesNothing();
});

transcript('Idle sessions stay for ever where the operator wants it', { config: { c2s: { idleMs: 0 } } }, async (cast) => {
  const { romeo } = cast;
  await cast.advance(30 * 86_400_000);
  await romeo.receivesNothing();
});

transcript('RFC 6121 §4.5.2: a broken connection is told to contacts like a proper end', async ({ romeo, juliet }) => {
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(`<presence from='${romeo.full}'/>`);
  await romeo.drops();
  await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
});

transcript(
  'A client that reads too slowly is let go, and costs no memory',
  { config: { limits: { outboundBytes: 300_000, outboundHardBytes: 300_000 } } },
  async (cast) => {
    const { romeo, juliet } = cast;
    await cast.ready();
    juliet.stalls();
    for (let i = 0; i < 40; i++)
      await romeo.sends(`<message type='chat' id='${i}' to='${juliet.full}'><body>${'x'.repeat(10_000)}</body></message>`);
    await romeo.sends(`<message id='late' to='${juliet.full}'><body>Late</body></message>`);
    await romeo.takes('the error for a message that came too late', ({ attrs }) => attrs['id'] === 'late' && attrs['type'] === 'error');
    assert.equal(cast.memory.runtime.counters.closed.get('slow_consumer'), 1);
  },
);

transcript(
  'RFC 6120 §10.1: many stanzas in one packet are handled in order, more than a connection may send ahead',
  async ({ romeo, juliet }) => {
    const stanzas = Array.from(
      { length: 500 },
      (_, i) => `<message type='chat' id='m${i}' to='${juliet.full}'><body>${i}</body></message>`,
    );
    await romeo.sends(stanzas.join(''));
    for (let i = 0; i < 500; i++) await juliet.receives(`<message type='chat' id='m${i}'><body>${i}</body></message>`);
  },
);
