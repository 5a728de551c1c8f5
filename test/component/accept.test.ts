/** External components on our stream layer. XEP-0114 */
import assert from 'node:assert/strict';
import { transcript } from '../harness/transcript.ts';
import { COMPONENT } from '../harness/target.ts';
import { handshake, type CastOfClients } from '../harness/cast.ts';
import { GroupCommit } from '../../src/store/commit.ts';
import { childElements, printXml } from '../harness/xml.ts';

const GATEWAY = COMPONENT.domain;
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const QUEUE = { config: { c2s: { idleMs: 0 }, components: { 'slow.lit': { secret: 's', offline: 'queue', queue_time: '1h' } } } };

transcript('XEP-0114 §3: a component shows its secret and exchanges stanzas with users', async (cast) => {
  const { romeo } = cast;
  const gateway = await cast.component();

  await gateway.sends(`<message from='nurse@${GATEWAY}/x' to='${romeo.full}' type='chat' id='m1'><body>Anon!</body></message>`);
  await romeo.receives(`<message from='nurse@${GATEWAY}/x' to='${romeo.full}' type='chat' id='m1'><body>Anon!</body></message>`);

  await romeo.sends(`<message to='nurse@${GATEWAY}' type='chat' id='m2'><body>Good nurse</body></message>`);
  await gateway.receives(`<message from='${romeo.full}' to='nurse@${GATEWAY}' type='chat' id='m2'><body>Good nurse</body></message>`);

  await romeo.sends(`<iq to='${GATEWAY}' type='get' id='i1'><query xmlns='jabber:iq:version'/></iq>`);
  await gateway.receives(`<iq from='${romeo.full}' to='${GATEWAY}' type='get' id='i1'><query xmlns='jabber:iq:version'/></iq>`);
  await gateway.sends(
    `<iq from='${GATEWAY}' to='${romeo.full}' type='result' id='i1'><query xmlns='jabber:iq:version'><name>Gateway</name></query></iq>`,
  );
  await romeo.receives(`<iq from='${GATEWAY}' type='result' id='i1'><query xmlns='jabber:iq:version'><name>Gateway</name></query></iq>`);

  await gateway.sends(`<iq from='${GATEWAY}' to='${romeo.domain}' type='get' id='i2'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await gateway.receives(`<iq from='${romeo.domain}' to='${GATEWAY}' type='result' id='i2'/>`);
});

transcript('XEP-0114 §3: a wrong secret is refused', async (cast) => {
  for (const wrong of ['guessed', '', COMPONENT.secret + ' ']) {
    const client = await cast.rawComponent();
    await client.opensStream({ version: undefined });
    const { id } = await client.receivesStream();
    await client.sends(`<handshake>${handshake(id, wrong)}</handshake>`);
    await client.isClosedWith('not-authorized');
  }
});

transcript('XEP-0114 §3: the hash is hexadecimal in lower case, of this stream’s id', { onlyOurs: 'our strictness' }, async (cast) => {
  const { id } = await begun(cast, async () => undefined);
  await begun(cast, (own) => Promise.resolve(handshake(own, COMPONENT.secret).toUpperCase()), 'not-authorized');
  await begun(cast, () => Promise.resolve(handshake(id, COMPONENT.secret)), 'not-authorized'); // of another stream
  await begun(cast, (own) => Promise.resolve(`<x/>${handshake(own, COMPONENT.secret)}`), 'not-authorized');
});

transcript(
  'XEP-0114 §3: a domain that no component has is unknown',
  { differs: { ejabberd: 'refuses it after the handshake only' } },
  async (cast) => {
    const stranger = await cast.rawComponent('nowhere.lit');
    await stranger.opensStream({ version: undefined });
    await stranger.isClosedWith('host-unknown');
  },
);

transcript('XEP-0114 §3: another namespace is no stream of a component', { differs: { prosody: 'says nothing' } }, async (cast) => {
  const client = await cast.rawComponent();
  await client.opensStream({ version: undefined, xmlns: 'jabber:client' });
  await client.isClosedWith('invalid-namespace');
});

transcript('XEP-0114 §3: nothing goes before the handshake', { onlyOurs: 'others ignore it' }, async (cast) => {
  const { romeo } = cast;
  const client = await cast.rawComponent();
  await client.opensStream({ version: undefined });
  await client.receivesStream();
  await client.sends(`<message from='nurse@${GATEWAY}' to='${romeo.full}'><body>hi</body></message>`);
  await client.isClosedWith('not-authorized');
  await romeo.receivesNothing();
});

transcript(
  'XEP-0114 §3: from must be of the component’s domain',
  { differs: { ejabberd: 'answers with an error and goes on', prosody: 'takes one without from for the component’s own' } },
  async (cast) => {
    const { romeo, juliet } = cast;
    for (const from of [`from='${juliet.full}'`, `from='${romeo.domain}'`, `from='nurse@x.${GATEWAY}'`, '']) {
      const gateway = await cast.component();
      await gateway.sends(`<message ${from} to='${romeo.full}' type='chat'><body>it is I</body></message>`);
      await gateway.isClosedWith('invalid-from');
    }
    await romeo.receivesNothing();
  },
);

transcript('XEP-0114: a second connection of a component is refused', { differs: { ejabberd: 'lets it in' } }, async (cast) => {
  const { romeo } = cast;
  const gateway = await cast.component();
  const second = await cast.rawComponent();
  await second.opensStream({ version: undefined });
  const { id } = await second.receivesStream();
  await second.sends(`<handshake>${handshake(id, COMPONENT.secret)}</handshake>`);
  await second.isClosedWith('conflict');
  await romeo.sends(`<message to='${GATEWAY}' id='m'><body>still there?</body></message>`);
  await gateway.receives(`<message from='${romeo.full}' to='${GATEWAY}' id='m'><body>still there?</body></message>`);
});

transcript(
  'XEP-0114: connections share the stanzas where the operator says so, each user’s to the same one',
  { config: { components: { 'many.lit': { secret: 's', multiple: 'balance' } } } },
  async (cast) => {
    const people = [cast.romeo, cast.juliet, cast.nurse, cast.mercutio, cast.benvolio, cast.tybalt];
    await cast.ready();
    const connections = [await cast.component('many.lit', 's'), await cast.component('many.lit', 's')];
    for (const round of [1, 2, 3])
      for (const each of people) await each.sends(`<message to='echo@many.lit' id='${each.name}-${round}'><body>${round}</body></message>`);
    const got = connections.map((each) => each.takesAll().map(({ attrs }) => attrs['id']!));
    assert.equal(got.flat().length, 18);
    for (const ids of got) assert.ok(ids.length >= 3 && ids.length <= 15, `spread: ${ids.join(' ')}`);
    for (const each of people) {
      const [one, other] = got.map((ids) => ids.filter((id) => id.startsWith(`${each.name}-`)));
      assert.ok(one!.length === 0 || other!.length === 0, `${each.name} talks to one of them`);
    }
  },
);

transcript(
  'XEP-0114: several domains of one component',
  { config: { components: { 'one.lit': { secret: 's', domains: ['two.lit'] } } } },
  async (cast) => {
    const { romeo } = cast;
    const gateway = await cast.component('two.lit', 's'); // under any of them
    for (const domain of ['one.lit', 'two.lit']) {
      await romeo.sends(`<message to='x@${domain}' id='${domain}'><body>to ${domain}</body></message>`);
      await gateway.receives(`<message from='${romeo.full}' to='x@${domain}' id='${domain}'><body>to ${domain}</body></message>`);
      await gateway.sends(`<message from='x@${domain}' to='${romeo.full}' type='chat'><body>from ${domain}</body></message>`);
      await romeo.receives(`<message from='x@${domain}' type='chat'><body>from ${domain}</body></message>`);
    }
  },
);

transcript(
  'what is for a component that is not connected comes back',
  { differs: { ejabberd: 'looks for the domain elsewhere', prosody: 'says the same, with an element of its own' } },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<message to='nurse@${GATEWAY}' id='m1' type='chat'><body>Anybody?</body></message>`);
    await romeo.receives(
      `<message from='nurse@${GATEWAY}' id='m1' type='error'><error type='wait'><remote-server-timeout xmlns='${STANZAS}'/></error></message>`,
    );
    await romeo.sends(`<iq to='${GATEWAY}' type='get' id='i1'><query xmlns='jabber:iq:version'/></iq>`);
    await romeo.receives(
      `<iq from='${GATEWAY}' id='i1' type='error'><error type='wait'><remote-server-timeout xmlns='${STANZAS}'/></error></iq>`,
    );
  },
);

transcript('messages wait for a component where the operator says so, in order, and say when they were sent', QUEUE, async (cast) => {
  const { romeo, juliet } = cast;
  for (const n of [1, 2, 3]) await romeo.sends(`<message to='x@slow.lit' id='r${n}' type='chat'><body>${n}</body></message>`);
  await juliet.sends(`<message to='y@slow.lit' id='j1' type='chat'><body>too</body></message>`);
  await cast.advance(20_000);
  const slow = await cast.component('slow.lit', 's');
  const stanzas = slow.takesAll();
  assert.deepEqual(
    stanzas.map(({ attrs }) => attrs['id']).filter((id) => id?.startsWith('r')),
    ['r1', 'r2', 'r3'],
  );
  assert.equal(stanzas.length, 4);
  assert.ok(stanzas.every(({ children }) => children.some((child) => typeof child !== 'string' && child.ns === 'urn:xmpp:delay')));
  await cast.advance(60_000);
  assert.deepEqual(slow.takesAll(), [], 'once');
  await romeo.receivesNothing();
});

transcript('and come back when they have waited too long', QUEUE, async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<message to='x@slow.lit' id='r1' type='chat'><body>1</body></message>`);
  await cast.advance(3_500_000);
  await romeo.receivesNothing();
  await cast.advance(200_000);
  await romeo.receives(
    `<message from='x@slow.lit' id='r1' type='error'><error type='wait'><remote-server-timeout xmlns='${STANZAS}'/></error></message>`,
  );
  await cast.advance(60_000);
  await romeo.receivesNothing();
});

transcript('messages that wait for a component survive the server', QUEUE, async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<message to='x@slow.lit' id='r1' type='chat'><body>1</body></message>`);
  const again = await cast.restarted();
  await again.memory.runtime.wakeAccounts();
  const slow = await again.component('slow.lit', 's');
  await again.advance(6_000);
  await slow.receives(`<message from='${romeo.full}' id='r1' type='chat'><body>1</body></message>`);
});

transcript('a component that comes back gets what its last connection did not', QUEUE, async (cast) => {
  const { romeo } = cast;
  const first = await cast.component('slow.lit', 's');
  await romeo.sends(`<message to='x@slow.lit' id='r1' type='chat'><body>1</body></message>`);
  await first.receives(`<message id='r1' type='chat'><body>1</body></message>`);
  await cast.advance(1_000); // it is taken for given
  await first.drops();
  await romeo.sends(`<message to='x@slow.lit' id='r2' type='chat'><body>2</body></message>`);
  const second = await cast.component('slow.lit', 's');
  await second.receives(`<message id='r2' type='chat'><body>2</body></message>`);
  await cast.advance(60_000);
  assert.deepEqual(second.takesAll(), []);
});

transcript('what a component has got before it leaves does not come back', async (cast) => {
  const { romeo } = cast;
  const gateway = await cast.component();
  await romeo.sends(`<message to='x@${GATEWAY}' id='m1' type='chat'><body>1</body></message>`);
  await gateway.receives(`<message id='m1' type='chat'><body>1</body></message>`);
  await gateway.endsStream();
  await cast.advance(20_000);
  await romeo.receivesNothing();
});

transcript(
  'every message that a lost connection has not got is answered, not only the last',
  { onlyOurs: 'looks inside' },
  async (cast) => {
    const { romeo } = cast;
    const gateway = await cast.component();
    gateway.stalls();
    const body = 'x'.repeat(20_000);
    const write = (n: number): Promise<void> =>
      romeo.writes(`<message to='x@${GATEWAY}' id='m${n}' type='chat'><body>${body}</body></message>`);
    for (let n = 0; n < 40; n++) await write(n);
    await cast.target.settle();
    await gateway.drops();
    await write(40);
    await cast.advance(20_000);
    const errors = (await romeo.collects()).filter(({ attrs }) => attrs['type'] === 'error').map(({ attrs }) => attrs['id']);
    assert.deepEqual(
      errors,
      Array.from({ length: 41 }, (_, n) => `m${n}`),
    );
  },
);

transcript('RFC 6121 §3, §4: contacts of a component subscribe and are seen', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`);
  await romeo.takes('the roster', ({ attrs }) => attrs['id'] === 'r');
  await romeo.becomesAvailable();
  const gateway = await cast.component();
  await romeo.sends(`<presence to='nurse@${GATEWAY}' type='subscribe' id='s1'/>`);
  await romeo.takes('a roster push', ({ name, attrs }) => name === 'iq' && attrs['type'] === 'set');
  await gateway.receives(`<presence from='${romeo.bare}' to='nurse@${GATEWAY}' type='subscribe' id='s1'/>`);
  await gateway.sends(`<presence from='nurse@${GATEWAY}' to='${romeo.bare}' type='subscribed'/>`);
  await romeo.takes('a roster push', ({ name, attrs }) => name === 'iq' && attrs['type'] === 'set');
  await gateway.sends(`<presence from='nurse@${GATEWAY}/icq' to='${romeo.bare}'><show>away</show></presence>`);
  await romeo.takes('the contact’s presence', ({ name, attrs }) => name === 'presence' && attrs['from'] === `nurse@${GATEWAY}/icq`);
  // The other way round, and a probe.
  await gateway.sends(`<presence from='nurse@${GATEWAY}' to='${romeo.bare}' type='subscribe' id='s2'/>`);
  await romeo.takes('the request', ({ name, attrs }) => name === 'presence' && attrs['type'] === 'subscribe');
  await romeo.sends(`<presence to='nurse@${GATEWAY}' type='subscribed'/>`);
  const seen = await gateway.takes('his presence', ({ name, attrs }) => name === 'presence' && attrs['from'] === romeo.full);
  assert.equal(seen.attrs['type'], undefined);
  gateway.takesAll();
  await gateway.sends(`<presence from='nurse@${GATEWAY}/icq' to='${romeo.bare}' type='probe'/>`);
  await gateway.takes('the answer to the probe', ({ name, attrs }) => name === 'presence' && attrs['from'] === romeo.full);
  await romeo.becomesUnavailable();
  await gateway.takes('his leaving', ({ attrs }) => attrs['type'] === 'unavailable' && attrs['from'] === romeo.full);
});

transcript(
  'XEP-0030 §4: the host lists components that are there',
  { onlyOurs: 'peers list them whether connected or not' },
  async (cast) => {
    const { romeo } = cast;
    const items = async (): Promise<string[]> => {
      await romeo.sends(`<iq to='${romeo.domain}' type='get' id='d'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`);
      const answer = await romeo.takes('the items', ({ attrs }) => attrs['id'] === 'd');
      return childElements(childElements(answer)[0]!).flatMap(({ attrs }) =>
        attrs['jid'] === GATEWAY ? [`${GATEWAY} ${attrs['name']}`] : [],
      );
    };
    assert.deepEqual(await items(), []);
    const gateway = await cast.component();
    assert.deepEqual(await items(), [`${GATEWAY} The gateway`]);
    await gateway.endsStream();
    assert.deepEqual(await items(), []);
  },
);

transcript('RFC 6120 §4.8.3: content is content in either namespace, and what is wrapped stays what it is', async (cast) => {
  const { romeo } = cast;
  const gateway = await cast.component();
  await gateway.sends(
    `<message from='x@${GATEWAY}' to='${romeo.full}' type='chat'><c:body xmlns:c='jabber:component:accept'>one</c:body><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' to='a@b'><body>two</body></message></forwarded></message>`,
  );
  const wrapped = `<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' to='a@b'><body>two</body></message></forwarded>`;
  await romeo.receives(`<message from='x@${GATEWAY}' type='chat'><body>one</body>${wrapped}</message>`);
  await romeo.sends(`<message to='x@${GATEWAY}' type='chat'><body xmlns='jabber:client'>three</body>${wrapped}</message>`);
  const got = await gateway.takes('the message', ({ name }) => name === 'message');
  assert.equal(childElements(got).find(({ name }) => name === 'body')?.ns, 'jabber:client'); // mapped from the stream's
  assert.ok(printXml(got).includes('two'));
});

transcript('a component that crashes the server’s actor stays connected', { onlyOurs: 'looks inside' }, async (cast) => {
  const { romeo } = cast;
  const gateway = await cast.component();
  const { kernel, crashes } = cast.memory;
  const [actor] = kernel.list({ kind: 'component' });
  kernel.crash(actor!.ref, new Error('a drill'), 'next_message');
  await gateway.sends(`<iq from='x@${GATEWAY}' to='${romeo.domain}' type='get' id='i1'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await gateway.receives(`<iq id='i1' type='error'><error type='cancel'><internal-server-error xmlns='${STANZAS}'/></error></iq>`);
  assert.equal(crashes.splice(0).length, 1);
  await gateway.sends(`<iq from='x@${GATEWAY}' to='${romeo.domain}' type='get' id='i2'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await gateway.receives(`<iq id='i2' type='result'/>`);
  await romeo.sends(`<message to='x@${GATEWAY}' id='m1'><body>?</body></message>`);
  await gateway.receives(`<message id='m1'><body>?</body></message>`);
});

transcript('a component that does not read gets its messages later, and none is lost', { onlyOurs: 'looks inside' }, async (cast) => {
  const { romeo } = cast;
  const gateway = await cast.component();
  gateway.stalls();
  const body = 'x'.repeat(20_000);
  for (let n = 0; n < 40; n++) await romeo.writes(`<message to='x@${GATEWAY}' id='m${n}' type='chat'><body>${body}</body></message>`);
  await cast.target.settle();
  await gateway.drops();
  const again = await cast.component();
  for (let n = 0; n < 20; n++) await cast.advance(1_000);
  const got = again.takesAll().map(({ attrs }) => attrs['id']);
  const errors = (await romeo.collects()).filter(({ attrs }) => attrs['type'] === 'error');
  assert.deepEqual(errors, []);
  assert.deepEqual(
    got,
    Array.from({ length: 40 }, (_, n) => `m${n}`),
  );
});

transcript('a message that is not known to be written comes back after half a minute', { onlyOurs: 'looks inside' }, async (cast) => {
  const { romeo } = cast;
  const gateway = await cast.component();
  cast.memory.store.commit = () => new GroupCommit(); // never settles: a disk that hangs
  await gateway.sends(`<message from='x@${GATEWAY}' to='${romeo.bare}' type='chat' id='m1'><body>1</body></message>`);
  await cast.advance(29_000);
  assert.deepEqual(gateway.takesAll(), []);
  await cast.advance(2_000);
  await gateway.receives(
    `<message from='${romeo.bare}' to='x@${GATEWAY}' type='error' id='m1'><error type='cancel'><internal-server-error xmlns='${STANZAS}'/></error></message>`,
  );
});

/** A stream up to the handshake, which `make` gives for the stream's id. */
async function begun(
  cast: CastOfClients,
  make: (id: string | undefined) => Promise<string | undefined>,
  condition?: string,
): Promise<{ readonly id: string | undefined }> {
  const client = await cast.rawComponent();
  await client.opensStream({ version: undefined });
  const { id } = await client.receivesStream();
  const hash = await make(id);
  if (hash !== undefined) await client.sends(`<handshake>${hash}</handshake>`);
  if (condition !== undefined) await client.isClosedWith(condition);
  return { id };
}
