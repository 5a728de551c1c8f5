/** Threats: component impersonation; parser rows and routing loops, for components. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cast, handshake, withNames, type CastOfClients } from '../harness/cast.ts';
import { startMemoryTarget, type MemoryTarget } from '../harness/memory-target.ts';
import { COMPONENT } from '../harness/target.ts';
import { childElements } from '../harness/xml.ts';

const GATEWAY = COMPONENT.domain;

function threat(title: string, play: (cast: CastOfClients, target: MemoryTarget) => Promise<void>): void {
  test(title, async () => {
    const target = await startMemoryTarget({
      config: { components: { [GATEWAY]: { secret: COMPONENT.secret }, 'other.lit': { secret: 'another' } } },
    });
    const cast = withNames(new Cast(target));
    try {
      await play(cast, target);
    } finally {
      await cast.leave();
      await target[Symbol.asyncDispose]();
    }
    assert.deepEqual(target.crashes, []);
  });
}

threat(
  'Component impersonation: the secret of one component opens no other, and no guess is answered differently',
  async (cast, target) => {
    const answers = new Set<string>();
    for (const guess of ['another', '', 'x'.repeat(500), COMPONENT.secret.slice(0, -1)]) {
      const client = await cast.rawComponent();
      await client.opensStream({ version: undefined });
      const { id } = await client.receivesStream();
      const before = cast.log.length;
      await client.sends(`<handshake>${handshake(id, guess)}</handshake>`);
      answers.add(cast.log.slice(before + 1).join());
      await client.isClosedWith('not-authorized');
    }
    assert.equal(answers.size, 1);
    assert.equal(target.logged.filter(({ what }) => what === 'component_refused').length, 4);
    assert.ok(target.logged.every(({ fields }) => !JSON.stringify(fields).includes(COMPONENT.secret)));
  },
);

threat('Component impersonation: one handshake is good for one stream, and a second one is none', async (cast) => {
  const first = await cast.rawComponent();
  await first.opensStream({ version: undefined });
  const { id } = await first.receivesStream();
  const second = await cast.rawComponent();
  await second.opensStream({ version: undefined });
  await second.receivesStream();
  await second.sends(`<handshake>${handshake(id, COMPONENT.secret)}</handshake>`);
  await second.isClosedWith('not-authorized');
  const third = await cast.component();
  await third.sends(`<handshake>${handshake(id, COMPONENT.secret)}</handshake>`);
  await third.isClosedWith('unsupported-stanza-type');
});

threat('Component impersonation: it speaks for its own domain only, in every kind of stanza', async (cast) => {
  const { romeo, juliet } = cast;
  await cast.ready();
  for (const from of [juliet.full, juliet.bare, romeo.domain, 'other.lit', `${GATEWAY}.evil.lit`, 'x@evil.lit', '']) {
    for (const xml of [
      `<message from='${from}' to='${romeo.full}'><body>x</body></message>`,
      `<presence from='${from}' to='${romeo.bare}'/>`,
      `<iq from='${from}' to='${romeo.full}' type='set' id='i'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>`,
    ]) {
      const gateway = await cast.component();
      await gateway.sends(xml);
      await gateway.isClosedWith('invalid-from');
    }
  }
  await romeo.receivesNothing();
});

threat('Component impersonation: a client cannot take a component’s address', async (cast) => {
  const { romeo, juliet } = cast;
  await cast.component();
  await romeo.sends(`<message from='nurse@${GATEWAY}' to='${juliet.full}'><body>x</body></message>`);
  await romeo.isClosedWith('invalid-from');
  await juliet.receivesNothing();
});

threat('Roster push spoof: what a component sends as a push to a session is an IQ from the component, no roster change', async (cast) => {
  const { romeo } = cast;
  const gateway = await cast.component();
  await gateway.sends(
    `<iq from='${GATEWAY}' to='${romeo.bare}' type='set' id='p'><query xmlns='jabber:iq:roster'><item jid='evil@${GATEWAY}' subscription='both'/></query></iq>`,
  );
  const answer = await gateway.takes('an error', ({ attrs }) => attrs['id'] === 'p');
  assert.equal(answer.attrs['type'], 'error');
  await romeo.sends(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`);
  const roster = await romeo.takes('the roster', ({ attrs }) => attrs['id'] === 'r');
  assert.deepEqual(childElements(childElements(roster)[0]!), []);
});

for (const [what, xml, condition] of [
  ['a DTD', `<!DOCTYPE x [<!ENTITY a 'b'>]>`, 'restricted-xml'],
  ['a comment', `<!-- x -->`, 'restricted-xml'],
  ['a processing instruction', `<?x y?>`, 'restricted-xml'],
  ['an entity of its own', `<message from='a@${GATEWAY}' to='a@capulet.lit'><body>&lol;</body></message>`, 'restricted-xml'],
  ['an unbound prefix', `<message from='a@${GATEWAY}' to='a@capulet.lit'><x:y/></message>`, 'bad-namespace-prefix'],
  ['overlong UTF-8 and the like', `<message from='a@${GATEWAY}' to='a@capulet.lit'><body>\u0000</body></message>`, 'not-well-formed'],
  ['a stream inside a stanza', `<message from='a@${GATEWAY}' to='a@capulet.lit'><stream:stream/></message>`, 'bad-format'],
  ['nesting without end', `<message from='a@${GATEWAY}' to='a@capulet.lit'>${'<x>'.repeat(100)}`, 'policy-violation'],
] as const) {
  threat(`One parser: ${what} ends a component’s stream, before the handshake and after it`, async (cast) => {
    const { romeo } = cast;
    await cast.ready();
    const early = await cast.rawComponent();
    await early.opensStream({ version: undefined });
    await early.receivesStream();
    await early.sends(xml);
    await early.isClosedWith(condition);
    const late = await cast.component();
    await late.sends(xml);
    await late.isClosedWith(condition);
    await romeo.receivesNothing();
  });
}

threat('Memory before login: a component that has not authenticated may say little and has little time', async (cast, target) => {
  const large = await cast.rawComponent();
  await large.opensStream({ version: undefined });
  await large.receivesStream();
  await large.sends(`<handshake>${'a'.repeat(20_000)}`);
  await large.isClosedWith('policy-violation');
  const slow = await cast.rawComponent();
  await slow.opensStream({ version: undefined });
  await slow.receivesStream();
  await cast.advance(31_000);
  await slow.isClosedWith('connection-timeout');
  assert.equal(target.runtime.components.rows().length, 0);
});

threat('Routing loop: errors between components and users end where they are', async (cast) => {
  const { romeo } = cast;
  const gateway = await cast.component();
  const other = await cast.component('other.lit', 'another');
  for (const to of [`x@${GATEWAY}`, 'x@other.lit', romeo.full, 'nobody@capulet.lit', 'capulet.lit', 'x@nowhere.lit']) {
    await gateway.sends(
      `<message from='x@${GATEWAY}' to='${to}' type='error' id='e'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
    );
    await gateway.sends(
      `<iq from='x@${GATEWAY}' to='${to}' type='error' id='e'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
    );
    await gateway.sends(`<iq from='x@${GATEWAY}' to='${to}' type='result' id='e'/>`);
  }
  const own = gateway.takesAll();
  assert.equal(own.length, 3, 'what it sent to itself, once each');
  assert.equal(other.takesAll().length, 3);
  await cast.advance(60_000);
  assert.deepEqual([...gateway.takesAll(), ...other.takesAll()], []);
});
