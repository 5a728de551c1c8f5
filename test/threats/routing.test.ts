/**
 * Rows of the table of threats about what one client can make the server say to another: loops, spoofed senders,
 * forged pushes and subscriptions, elements that only the server may add, capabilities.
 */
import assert from 'node:assert/strict';
import { capsVer } from '../../src/xmpp/caps.ts';
import { parseDataForm } from '../../src/xmpp/data-form.ts';
import { parseElement } from '../../src/xml/tree.ts';
import { pick, randomOf, type Random } from '../fuzz/xml-generator.ts';
import type { Client } from '../harness/cast.ts';
import { childElements, type XmlElement } from '../harness/xml.ts';
import { DOMAIN, errorXml, OTHER_DOMAIN, STANZAS, threat, type Scene } from './scene.ts';

const SEED = Number(process.env['ROOKERY_FUZZ_SEED'] ?? 20260104);
const RUNS = Number(process.env['ROOKERY_FUZZ_RUNS'] ?? 1_500);

const ROSTER = 'jabber:iq:roster';
const getRoster = `<iq type='get' id='roster'><query xmlns='${ROSTER}'/></iq>`;

/** Every kind of address a stanza can have. */
const ADDRESSES = [
  undefined,
  `romeo@${DOMAIN}`,
  `romeo@${DOMAIN}/orchard`,
  `romeo@${DOMAIN}/phone`,
  `romeo@${DOMAIN}/nowhere`,
  `juliet@${DOMAIN}`,
  `juliet@${DOMAIN}/window`,
  `juliet@${DOMAIN}/nowhere`,
  `tybalt@${DOMAIN}`, // offline
  `tybalt@${DOMAIN}/nowhere`,
  `nobody@${DOMAIN}`,
  `nobody@${DOMAIN}/nowhere`,
  DOMAIN,
  `${DOMAIN}/x`,
  OTHER_DOMAIN,
  `nobody@${OTHER_DOMAIN}`,
  'elsewhere.example',
  'somebody@elsewhere.example/x',
  '@@',
  '',
] as const;

const PAYLOADS = [
  '',
  errorXml('cancel', 'service-unavailable'),
  errorXml('wait', 'resource-constraint'),
  `<query xmlns='${ROSTER}'/>`,
  `<query xmlns='${ROSTER}'><item jid='a@b.example'/></query>`,
  `<query xmlns='http://jabber.org/protocol/disco#info'/>`,
  `<query xmlns='http://jabber.org/protocol/disco#items'/>`,
  `<query xmlns='jabber:iq:last'/>`,
  `<query xmlns='jabber:iq:version'/>`,
  `<query xmlns='jabber:iq:register'/>`,
  `<ping xmlns='urn:xmpp:ping'/>`,
  `<time xmlns='urn:xmpp:time'/>`,
  `<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>`,
  `<body>x</body>`,
  `<x xmlns='urn:x'/><y xmlns='urn:y'/>`,
  `<delay xmlns='urn:xmpp:delay' from='${DOMAIN}' stamp='2020-01-01T00:00:00Z'/>`,
] as const;

function randomStanza(random: Random, id: string, kinds: readonly (readonly [string, string])[]): string {
  const [kind, type] = pick(random, kinds);
  const to = pick(random, ADDRESSES);
  return `<${kind} id='${id}'${type === '' ? '' : ` type='${type}'`}${to === undefined ? '' : ` to='${to}'`}>${pick(random, PAYLOADS)}</${kind}>`;
}

/** Three clients with subscriptions between them, and an account that is offline. */
async function verona(scene: Scene): Promise<readonly Client[]> {
  const { romeo, phone, juliet } = scene.cast;
  scene.cast.offline('tybalt');
  const clients = [romeo, phone, juliet];
  for (const client of clients) await client.becomesAvailable();
  for (const client of clients) await client.sends(getRoster);
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await juliet.sends(`<presence type='subscribed' to='${romeo.bare}'/>`);
  await juliet.sends(`<presence type='subscribe' to='${romeo.bare}'/>`);
  await romeo.sends(`<presence type='subscribed' to='${juliet.bare}'/>`);
  for (const client of clients) await client.collects();
  return clients;
}

const ANSWERS = [
  ['message', 'error'],
  ['presence', 'error'],
  ['iq', 'error'],
  ['iq', 'result'],
] as const;

threat('Routing loop / error ping-pong: an error or a result is never answered, whoever it is sent to', async (scene) => {
  const clients = await verona(scene);
  const [romeo] = clients as readonly [Client];
  const random = randomOf(SEED);
  for (let i = 0; i < RUNS; i++) {
    const stanza = randomStanza(random, `e${i}`, ANSWERS);
    const out = scene.runtime.counters.stanzasOut;
    const { turns } = scene.kernel.inspect();
    await romeo.sends(stanza);
    const label = `seed ${SEED}, stanza ${i}: ${stanza}`;
    assert.ok(scene.runtime.counters.stanzasOut - out <= clients.length, `${label}: at most one for each session of its addressee`);
    assert.ok(scene.kernel.inspect().turns - turns <= 12, `${label}: a few turns`);
  }
  for (const client of clients) {
    for (const { attrs } of await client.collects()) {
      if (attrs['id']?.startsWith('barrier') === true) continue;
      assert.equal(attrs['from'], romeo.full, `${JSON.stringify(attrs)}: only what romeo has sent himself`);
    }
  }
  assert.ok(scene.clock.isIdle);
});

const ALL = [
  ...ANSWERS,
  ...['', 'chat', 'headline', 'groupchat', 'normal', 'nonsense'].map((type) => ['message', type] as const),
  ...['', 'unavailable', 'subscribe', 'subscribed', 'unsubscribe', 'unsubscribed', 'probe', 'nonsense'].map(
    (type) => ['presence', type] as const,
  ),
  ...['get', 'set', 'nonsense', ''].map((type) => ['iq', type] as const),
] as const;

threat(
  'Routing loop / error ping-pong: nothing else goes on by itself either: one stanza brings few, and then the server is quiet',
  async (scene) => {
    const clients = await verona(scene);
    const random = randomOf(SEED + 1);
    for (let i = 0; i < RUNS; i++) {
      const client = pick(random, clients);
      const stanza = randomStanza(random, `s${i}`, ALL);
      const out = scene.runtime.counters.stanzasOut;
      const { turns } = scene.kernel.inspect();
      await client.sends(stanza);
      const label = `seed ${SEED + 1}, stanza ${i}, ${client.name}: ${stanza}`;
      assert.ok(scene.clock.isIdle, label);
      // Presence to all is for everybody in the roster, and the first one brings what everybody has for it.
      const isBroadcast = stanza.startsWith('<presence') && !stanza.includes(' to=');
      const share = isBroadcast ? ADDRESSES.length : 1;
      const brought = scene.runtime.counters.stanzasOut - out;
      assert.ok(brought <= 12 + 3 * share, `${label} brought ${brought}`);
      assert.ok(scene.kernel.inspect().turns - turns <= 40 + 8 * share, `${label} took ${scene.kernel.inspect().turns - turns} turns`);
      const answers = (await client.collects()).filter(({ attrs }) => attrs['type'] === 'error' && attrs['id'] === `s${i}`);
      // Its own errors, sent to itself, are no answers.
      if (!/type='(?:error|result)'/.test(stanza)) assert.ok(answers.length <= share, `${label}: answered ${answers.length} times`);
      else
        assert.ok(
          answers.every(({ attrs }) => attrs['from'] === client.full),
          label,
        );
      for (const each of clients) assert.ok(each.isOnline, label);
    }
  },
);

threat('Routing loop / error ping-pong: two clients that answer every error with an error get no help from the server', async (scene) => {
  const { romeo, juliet } = scene.cast;
  for (const client of [romeo, juliet]) await client.becomesAvailable();
  await romeo.sends(`<message type='error' id='0' to='${juliet.full}'>${errorXml('cancel', 'conflict')}</message>`);
  for (let i = 0; i < 20; i++) {
    const [from, to] = i % 2 === 0 ? [juliet, romeo] : [romeo, juliet];
    const error = await from.receives(`<message type='error' id='${i}' from='${to.full}'>${errorXml('cancel', 'conflict')}</message>`);
    assert.equal(childElements(error).length, 1);
    await from.sends(`<message type='error' id='${i + 1}' to='${to.full}'>${errorXml('cancel', 'conflict')}</message>`);
  }
  await juliet.receives(`<message type='error' id='20' from='${romeo.full}'>${errorXml('cancel', 'conflict')}</message>`);
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

threat(
  'Routing loop / error ping-pong: what comes back from a connection that is gone is kept once, and errors are dropped',
  async (scene) => {
    const { romeo, juliet } = scene.cast;
    await juliet.becomesAvailable();
    const connection = scene.kernel.list({ kind: 'c2s' }).find(({ description }) => description === juliet.full)!;
    const wire = scene.wireOf(romeo.full);
    // Killed in the same pass in which they are delivered: they bounce off its mailbox.
    wire.client.write(
      `<message type='chat' id='1' to='${juliet.bare}'><body>1</body></message><message type='error' id='2' to='${juliet.full}'/><iq type='result' id='3' to='${juliet.full}'/><presence id='4' to='${juliet.full}'/>`,
    );
    scene.kernel.kill(connection.ref);
    await scene.settle();
    assert.ok(scene.clock.isIdle);
    const back = (await romeo.collects()).filter(({ attrs }) => attrs['type'] === 'error');
    assert.ok(
      back.every(({ attrs }) => attrs['id'] === '4'),
      'at most the presence is answered',
    );
    const again = await scene.loggedIn('juliet');
    await again.binds('balcony');
    await again.sends('<presence/>');
    await again.receives(`<presence from='${juliet.bare}/balcony'/>`);
    await again.receives(
      `<message type='chat' id='1' from='${romeo.full}'><body>1</body><delay xmlns='urn:xmpp:delay' from='${DOMAIN}' stamp='{stamp}'>{any}</delay></message>`,
    );
    assert.deepEqual(again.pending, []);
  },
);

// Roster push / subscription spoof

threat('Roster push / subscription spoof: `from` is the sender, whatever he writes; a foreign one ends his stream', async (scene) => {
  const { juliet } = scene.cast;
  scene.cast.offline('romeo');
  await juliet.becomesAvailable();
  for (const stanza of ['message', `presence type='subscribed'`, `iq type='set' id='i'`]) {
    const name = stanza.split(' ')[0]!;
    for (const from of [juliet.bare, juliet.full, DOMAIN, `romeo@${DOMAIN}/elsewhere`, `romeo@${OTHER_DOMAIN}`, '@', '']) {
      const client = await scene.loggedIn('romeo');
      await client.binds('here');
      await client.sends(`<${stanza} from='${from}' to='${juliet.full}'><query xmlns='${ROSTER}'/></${name}>`);
      await client.isClosedWith('invalid-from');
    }
    const client = await scene.loggedIn('romeo');
    const full = await client.binds('here');
    // As is, or in the namespace of something else: the attribute without a prefix is the one that counts.
    await client.sends(
      `<${stanza} p:from='${juliet.bare}' xmlns:p='urn:p' from='${full.replace(/\/.*/, '')}' to='${juliet.full}'><query xmlns='${ROSTER}'/></${name}>`,
    );
    if (name !== 'presence') {
      const received = await juliet.takes(`a ${name}`, (element) => element.name === name);
      assert.equal(received.attrs['from'], full);
    }
    await client.drops();
    await juliet.collects();
  }
});

threat('Roster push / subscription spoof: a roster push of somebody else’s carries his name, and changes nothing', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await juliet.becomesAvailable();
  await juliet.sends(getRoster);
  await juliet.receives(`<iq type='result' id='roster'><query xmlns='${ROSTER}' ver='{any}'/></iq>`);
  const push = `<query xmlns='${ROSTER}'><item jid='${romeo.bare}' subscription='both'/></query>`;
  await romeo.sends(`<iq type='set' id='p' to='${juliet.full}'>${push}</iq>`);
  const received = await juliet.receives(`<iq type='set' id='p' from='${romeo.full}'>${push}</iq>`);
  assert.equal(received.attrs['from'], romeo.full, 'RFC 6121 §2.1.6: the client sees whose it is');
  for (const type of ['get', 'set']) {
    await romeo.sends(`<iq type='${type}' id='b' to='${juliet.bare}'>${push}</iq>`);
    await romeo.receives(
      `<iq type='error' id='b' from='${juliet.bare}'>${errorXml(type === 'set' ? 'auth' : 'cancel', type === 'set' ? 'forbidden' : 'service-unavailable')}</iq>`,
    );
  }
  await juliet.sends(getRoster);
  await juliet.receives(`<iq type='result' id='roster'><query xmlns='${ROSTER}' ver='{any}'/></iq>`);
  await juliet.receivesNothing();
});

threat('Roster push / subscription spoof: an answer to a push is nobody’s business, and an unasked one changes nothing', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await juliet.sends(getRoster);
  await juliet.collects();
  for (const [type, to] of [
    ['result', juliet.bare],
    ['error', juliet.bare],
    ['result', DOMAIN],
    ['error', DOMAIN],
  ] as const) {
    await romeo.sends(`<iq type='${type}' id='push-1' to='${to}'><query xmlns='${ROSTER}'><item jid='x@y.example'/></query></iq>`);
  }
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

threat('Roster push / subscription spoof: presence that nobody asked for is ignored, and makes no items', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await juliet.becomesAvailable();
  await juliet.sends(getRoster);
  await juliet.collects();
  const states = ['subscribed', 'unsubscribe', 'unsubscribed'];
  for (const type of states)
    for (const to of [juliet.bare, juliet.full]) await romeo.sends(`<presence type='${type}' to='${to}'><x xmlns='urn:x'/></presence>`);
  assert.deepEqual(
    (await juliet.collects()).filter(({ name }) => name !== 'iq'),
    [],
  );
  await juliet.sends(getRoster);
  await juliet.receives(`<iq type='result' id='roster'><query xmlns='${ROSTER}' ver='{any}'/></iq>`);
  // A request is shown and waits, and still makes no item: RFC 6121 §3.1.3.
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await juliet.receives(`<presence type='subscribe' from='${romeo.bare}'/>`);
  await juliet.sends(getRoster);
  await juliet.receives(`<iq type='result' id='roster'><query xmlns='${ROSTER}' ver='{any}'/></iq>`);
  await juliet.receivesNothing();
});

threat('Roster push / subscription spoof: a client cannot write subscription states into its own roster', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await juliet.becomesAvailable();
  await romeo.becomesAvailable();
  for (const subscription of ['to', 'from', 'both', 'none', 'nonsense']) {
    await romeo.sends(
      `<iq type='set' id='s'><query xmlns='${ROSTER}'><item jid='${juliet.bare}' subscription='${subscription}' ask='subscribe' approved='true'/></query></iq>`,
    );
    await romeo.collects();
    await romeo.sends(getRoster);
    await romeo.receives(
      `<iq type='result' id='roster'><query xmlns='${ROSTER}' ver='{any}'><item jid='${juliet.bare}' subscription='none'/></query></iq>`,
    );
    await romeo.sends(`<presence type='probe' to='${juliet.bare}'/>`);
    await romeo.collects();
  }
  await juliet.sends(`<presence><status>secret</status></presence>`);
  await juliet.takes('her own presence', ({ name }) => name === 'presence');
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

threat('Roster push / subscription spoof: nobody learns of presence he is not subscribed to, by probes of whatever kind', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await romeo.becomesAvailable();
  await juliet.sends(`<presence><status>secret</status></presence>`);
  await juliet.takes('her own presence', ({ name }) => name === 'presence');
  for (const to of [juliet.bare, juliet.full, `${juliet.bare}/nowhere`]) {
    await romeo.sends(`<presence type='probe' id='p' to='${to}'/>`);
    await romeo.sends(`<presence type='unavailable' to='${to}'/>`);
    await romeo.sends(`<presence type='unsubscribe' to='${to}'/>`);
    await romeo.sends(`<presence type='unsubscribed' to='${to}'/>`);
  }
  for (const { name, attrs } of await romeo.collects()) {
    if (name !== 'presence') continue;
    // §4.3.2 rule 1; an `unsubscribed` is what somebody who does not exist would say.
    assert.deepEqual([attrs['type'], attrs['from']], ['unsubscribed', juliet.bare]);
  }
});

// Elements that only the server may add

threat(
  'Occupant-id spoof: all instances of a delay in the name of the server are removed, in whatever spelling; those of others stay',
  async (scene) => {
    const { romeo } = scene.cast;
    const juliet = scene.cast.offline('juliet');
    const delay = (from: string) => `<delay xmlns='urn:xmpp:delay' from='${from}' stamp='2020-01-01T00:00:00Z'/>`;
    const forged = [DOMAIN, 'CAPULET.LIT', `${DOMAIN}.`, 'c&#97;pulet.lit', '\uff43apulet.lit'].map(delay).join('');
    const message = (to: string, id: string) =>
      `<message type='chat' to='${to}' id='${id}' xmlns:d='urn:xmpp:delay'>${forged}<d:delay from='${DOMAIN}' stamp='2020-01-01T00:00:00Z'/><body>x</body>${delay('rooms.example')}${forged}</message>`;
    await romeo.sends(message(juliet.bare, 'kept'));
    await juliet.connects();
    await juliet.becomesAvailable();
    const kept = await juliet.takes('what was kept', ({ attrs }) => attrs['id'] === 'kept');
    await romeo.sends(message(juliet.bare, 'direct'));
    const direct = await juliet.takes('what is new', ({ attrs }) => attrs['id'] === 'direct');
    const delays = (element: XmlElement) =>
      childElements(element)
        .filter(({ name }) => name === 'delay')
        .map(({ attrs }) => [attrs['from'], attrs['stamp']]);
    assert.deepEqual(delays(direct), [['rooms.example', '2020-01-01T00:00:00Z']]);
    assert.deepEqual(delays(kept).toSorted(), [
      [DOMAIN, '2025-06-01T12:00:00.000Z'],
      ['rooms.example', '2020-01-01T00:00:00Z'],
    ]);
  },
);

threat(
  'Occupant-id spoof: nor does a forged delay hide among more elements than one usually reads',
  { config: { stanza: { afterLogin: { maxElements: 20_000, maxDepth: 500 } } } },
  async (scene) => {
    const { romeo, juliet } = scene.cast;
    await juliet.becomesAvailable();
    const forged = `<delay xmlns='urn:xmpp:delay' from='${DOMAIN}' stamp='2020-01-01T00:00:00Z'/>`;
    for (const [id, content] of [
      ['many', '<x/>'.repeat(15_000)],
      ['deep', '<x>'.repeat(400) + '</x>'.repeat(400)],
    ] as const) {
      await romeo.sends(`<message to='${juliet.bare}' id='${id}'>${forged}<y>${content}</y></message>`);
      const received = await juliet.takes('a message', ({ attrs }) => attrs['id'] === id);
      assert.deepEqual(
        childElements(received).map(({ name }) => name),
        ['y', 'stanza-id'],
      );
      assert.ok(childElements(childElements(received)[0]!).length > 0, 'and all else is there');
    }
  },
);

threat('Caps cache poisoning: the server’s own hash is that of its answer, and of clients it remembers none', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await juliet.becomesAvailable();
  const wire = scene.wireOf(romeo.full);
  const [, node, ver] = /<c xmlns='http:\/\/jabber.org\/protocol\/caps' hash='sha-1' node='([^']*)' ver='([^']*)'\/>/.exec(wire.text)!;
  await romeo.sends(
    `<iq type='get' id='d' to='${DOMAIN}'><query xmlns='http://jabber.org/protocol/disco#info' node='${node}#${ver}'/></iq>`,
  );
  await romeo.takes('disco info', ({ attrs }) => attrs['id'] === 'd');
  const query = parseElement(/<query [^]*?<\/query>/.exec(wire.text.slice(wire.text.lastIndexOf(`id='d'`)))![0])!;
  const info = {
    identities: query
      .childrenNamed('identity')
      .map(({ attrs }) => ({ category: attrs['category']!, type: attrs['type']!, name: attrs['name'] })),
    features: query.childrenNamed('feature').map(({ attrs }) => attrs['var']!),
    forms: query.childrenNamed('x', 'jabber:x:data').map((form) => parseDataForm(form)!),
  };
  assert.equal(capsVer(info as Parameters<typeof capsVer>[0]), ver);
  // A lie passes unchanged to those who may see it, and nobody is asked about it by the server.
  const lie = `<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:lie' ver='${ver}'/>`;
  await romeo.sends(`<presence to='${juliet.full}'>${lie}</presence>`);
  await juliet.receives(`<presence from='${romeo.full}'>${lie}</presence>`);
  await romeo.sends(
    `<iq type='get' id='d2' to='${DOMAIN}'><query xmlns='http://jabber.org/protocol/disco#info' node='urn:lie#${ver}'/></iq>`,
  );
  await romeo.receives(`<iq type='error' id='d2' from='${DOMAIN}'><error type='cancel'><item-not-found xmlns='${STANZAS}'/></error></iq>`);
  await romeo.receivesNothing();
});
