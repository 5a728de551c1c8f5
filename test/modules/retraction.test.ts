/** The server's part in taking a message back: what the archives of both sides show afterwards. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineModule } from '../../src/core/module.ts';
import { newArchiveKey } from '../../src/log/archive-id.ts';
import { LOG, type LogEntry } from '../../src/log/entry.ts';
import { LOG_STATE, PEERS, PENDING, SEGMENT_ENTRIES, SEGMENTS } from '../../src/log/segment.ts';
import { Batch } from '../../src/store/store.ts';
import { openMemory } from '../../src/store/memory.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { Stanza, type MessageType } from '../../src/xmpp/stanza.ts';
import type { Client } from '../harness/cast.ts';
import { DOMAIN, Scene, threat } from '../threats/scene.ts';

const NS = 'urn:xmpp:message-retract:1';
const SIDS = 'urn:xmpp:sid:0';
const OCCUPANT = 'urn:xmpp:occupant-id:0';
const MUC_USER = 'http://jabber.org/protocol/muc#user';
const ID = `<stanza-id xmlns='${SIDS}' id='{any}' by='{any}' match:optional='true'/>`;

/** Everything is shown, whatever the server's own archive would make of it. */
const ARCHIVE = defineModule({ name: 'test_archive', implements: [], archives: () => true });

function scenario(title: string, play: (scene: Scene) => Promise<void>): void {
  threat(title, { modules: [ARCHIVE] }, play);
}

const message = (to: string, id: string, text: string, more = ''): string =>
  `<message type='chat' id='${id}' to='${to}'><body>${text}</body>${more}</message>`;
const retraction = (to: string, of: string, id = `retract-${of}`, more = ''): string =>
  `<message type='chat' id='${id}' to='${to}'><retract id='${of}' xmlns='${NS}'/><fallback xmlns='urn:xmpp:fallback:0' for='${NS}'/><body>/me retracted a message</body><store xmlns='urn:xmpp:hints'/>${more}</message>`;

async function entriesOf({ store }: Scene, { bare }: Client): Promise<LogEntry[]> {
  return (await store.list(LOG, bare)).map(({ value }) => value);
}

/** What the account's log holds, in order; a tombstone as `id†`, of what was retracted by which message. */
async function logOf(scene: Scene, client: Client): Promise<string[]> {
  return (await entriesOf(scene, client)).map(({ stanza, isTombstone }) => {
    if (!isTombstone) return stanza.id ?? '';
    const retracted = stanza.child('retracted', NS);
    assert.ok(retracted !== undefined && !stanza.body.includes('<body'), 'a tombstone has no content');
    return `${stanza.id}†${retracted.attr('id')}`;
  });
}

scenario('XEP-0424 §2, §4: disco announces it', async ({ cast }) => {
  const { romeo } = cast;
  for (const to of [cast.domain, romeo.bare]) {
    await romeo.sends(`<iq type='get' id='d1' to='${to}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    await romeo.receives(
      `<iq type='result' id='d1'><query xmlns='http://jabber.org/protocol/disco#info' match:rest='ignore'><feature var='${NS}'/><feature var='${NS}#tombstone'/></query></iq>`,
    );
  }
});

scenario('XEP-0424 §4: in the archives of both, the message becomes a tombstone that names the retraction and its time', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await romeo.sends(message(juliet.full, 'm1', 'Have not saints lips?', `<thread>t1</thread>`));
  await romeo.sends(message(juliet.full, 'm2', 'Good morrow'));
  await scene.advance(72_000);
  await romeo.sends(retraction(juliet.full, 'm1'));
  await scene.settle();
  for (const client of [romeo, juliet]) {
    assert.deepEqual(await logOf(scene, client), ['m1†retract-m1', 'm2', 'retract-m1']);
    const [{ stanza, isArchived, position, atMs }] = (await entriesOf(scene, client)) as [LogEntry];
    assert.deepEqual([isArchived, position, atMs], [true, 1, Date.UTC(2025, 5, 1, 12, 0, 0)]);
    assert.equal(
      stanza.toXml(),
      `<message from='${romeo.full}' to='${juliet.full}' type='chat' id='m1'><retracted xmlns='${NS}' id='retract-m1' stamp='2025-06-01T12:01:12.000Z'/></message>`,
    );
  }
  // The retraction itself arrives as any message does. §5
  await juliet.receives(message(juliet.full, 'm1', 'Have not saints lips?', `<thread>t1</thread>${ID}`));
  await juliet.receives(message(juliet.full, 'm2', 'Good morrow', ID));
  await juliet.receives(retraction(juliet.full, 'm1', 'retract-m1', ID));
});

scenario('XEP-0424 §5: from another client of the same account, too', async (scene) => {
  const { romeo, phone, juliet } = scene.cast;
  await romeo.sends(message(juliet.full, 'm1', 'Have not saints lips?'));
  await phone.sends(retraction(juliet.bare, 'm1'));
  await scene.settle();
  for (const client of [romeo, juliet]) assert.deepEqual((await logOf(scene, client))[0], 'm1†retract-m1');
});

scenario('XEP-0424 §5: nobody but the author; who receives a message cannot take it back, nor can a third', async (scene) => {
  const { romeo, juliet, tybalt } = scene.cast;
  await romeo.sends(message(juliet.full, 'm1', 'Have not saints lips?'));
  await juliet.sends(retraction(romeo.full, 'm1', 'r1'));
  for (const to of [romeo.full, juliet.full]) await tybalt.sends(retraction(to, 'm1', 'r2'));
  await romeo.sends(retraction(tybalt.full, 'm1', 'r3')); // in another conversation
  await scene.settle();
  for (const client of [romeo, juliet]) assert.equal((await logOf(scene, client))[0], 'm1');
});

scenario('XEP-0424 §3: the id counts, also where another author has used it', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await juliet.sends(message(romeo.full, 'm1', 'Ay me'));
  await romeo.sends(message(juliet.full, 'm1', 'She speaks'));
  await romeo.sends(message(juliet.full, 'm2', 'O, speak again'));
  await romeo.sends(retraction(juliet.full, 'm1'));
  await scene.settle();
  for (const client of [romeo, juliet]) assert.deepEqual(await logOf(scene, client), ['m1', 'm1†retract-m1', 'm2', 'retract-m1']);
});

scenario('XEP-0424 §5: a retraction is kept: it cannot be retracted', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await romeo.sends(message(juliet.full, 'm1', 'Have not saints lips?'));
  await romeo.sends(retraction(juliet.full, 'm1', 'r1'));
  await romeo.sends(retraction(juliet.full, 'r1', 'r2'));
  await romeo.sends(retraction(juliet.full, 'm1', 'r3')); // nothing is left to be retracted
  await scene.settle();
  for (const client of [romeo, juliet]) assert.deepEqual(await logOf(scene, client), ['m1†r1', 'r1', 'r2', 'r3']);
});

const NO_RETRACTION: readonly (readonly [string, (to: string) => string])[] = [
  [
    'without an id of its own, which the tombstone would have to name',
    (to) => `<message type='chat' to='${to}'><retract id='m1' xmlns='${NS}'/></message>`,
  ],
  ['that names no message', (to) => `<message type='chat' id='r1' to='${to}'><retract xmlns='${NS}'/></message>`],
  [
    'that nobody may keep',
    (to) => `<message type='chat' id='r1' to='${to}'><retract id='m1' xmlns='${NS}'/><no-store xmlns='urn:xmpp:hints'/></message>`,
  ],
  ['of type error', (to) => `<message type='error' id='r1' to='${to}'><retract id='m1' xmlns='${NS}'/></message>`],
  ['of another namespace', (to) => `<message type='chat' id='r1' to='${to}'><retract id='m1' xmlns='urn:example:r'/></message>`],
  ['of a message there is not', (to) => `<message type='chat' id='r1' to='${to}'><retract id='m7' xmlns='${NS}'/></message>`],
];

for (const [what, make] of NO_RETRACTION) {
  scenario(`XEP-0424 §4: a retraction ${what} changes nothing`, async (scene) => {
    const { romeo, juliet } = scene.cast;
    await romeo.sends(message(juliet.full, 'm1', 'Have not saints lips?'));
    await romeo.sends(make(juliet.full));
    await scene.settle();
    for (const client of [romeo, juliet]) assert.equal((await logOf(scene, client))[0], 'm1');
  });
}

scenario('XEP-0424: a message to oneself', async (scene) => {
  const { romeo, phone } = scene.cast;
  await romeo.sends(message(phone.full, 'm1', 'Note to self'));
  await romeo.sends(retraction(phone.full, 'm1'));
  await scene.settle();
  assert.deepEqual(await logOf(scene, romeo), ['m1†retract-m1', 'retract-m1']);
});

scenario('XEP-0424 §5: what waits for somebody who is away is not handed over any more; the retraction is', async (scene) => {
  const { romeo } = scene.cast;
  const juliet = scene.cast.offline('juliet');
  await romeo.sends(message(juliet.bare, 'm1', 'Have not saints lips?'));
  await romeo.sends(message(juliet.bare, 'm2', 'Good morrow'));
  await romeo.sends(retraction(juliet.bare, 'm1'));
  await scene.settle();
  await juliet.connects();
  await juliet.becomesAvailable();
  const received = (await juliet.collects()).filter(({ name }) => name === 'message');
  assert.deepEqual(
    received.map(({ attrs }) => attrs['id']),
    ['m2', 'retract-m1'],
  );
  assert.ok(!scene.wireOf(juliet.full).text.includes('saints lips'));
  assert.deepEqual(await scene.store.list(PENDING, juliet.bare), []); // nor is it left waiting
});

threat('XEP-0424 §5: also where there is no archive', async (scene) => {
  const { romeo } = scene.cast;
  const juliet = scene.cast.offline('juliet');
  await romeo.sends(message(juliet.bare, 'm1', 'Have not saints lips?', `<no-permanent-store xmlns='urn:xmpp:hints'/>`));
  await romeo.sends(retraction(juliet.bare, 'm1'));
  await scene.settle();
  await juliet.connects();
  await juliet.becomesAvailable();
  const received = (await juliet.collects()).filter(({ name }) => name === 'message');
  assert.deepEqual(
    received.map(({ attrs }) => attrs['id']),
    ['retract-m1'],
  );
});

scenario('XEP-0424: it is found in segments of the log that are closed', async (scene) => {
  const { romeo, juliet, nurse } = scene.cast;
  await romeo.sends(message(juliet.full, 'first', 'Have not saints lips?'));
  for (let i = 0; i < SEGMENT_ENTRIES + 10; i++) {
    await romeo.sends(message(i % 3 === 0 ? juliet.full : nurse.full, `m${i}`, 'x'));
    if (i % 50 === 0) for (const client of [juliet, nurse]) await client.collects();
  }
  await romeo.sends(retraction(juliet.full, 'first'));
  await scene.settle();
  for (const client of [romeo, juliet]) assert.equal((await logOf(scene, client))[0], 'first†retract-first');
  assert.equal((await logOf(scene, romeo)).filter((id) => id.includes('†')).length, 1);
});

scenario('XEP-0424: it is found however many segments lie between', async (scene) => {
  const { romeo } = scene.cast;
  const juliet = scene.cast.offline('juliet');
  await scene.cast.ready();
  await scene.advance(120_000); // her account is not loaded any more
  const batch = new Batch(juliet.bare);
  const segments = 40;
  const atMs = scene.clock.now();
  for (let i = 0; i < segments; i++) {
    const from = 1 + i * SEGMENT_ENTRIES;
    const stanza = new Stanza({ kind: 'message', type: 'chat', id: `old${i}`, from: parseJid(romeo.full)!, to: parseJid(juliet.bare)! });
    const nothing = { isTombstone: false, source: 0, origin: undefined, settledBelow: 0, deliveries: [] };
    batch.put(LOG, [from], { position: from, atMs, direction: 'in', stanza, isArchived: true, ...nothing });
    batch.put(SEGMENTS, [from], { from, to: from + SEGMENT_ENTRIES - 1, fromMs: atMs, toMs: atMs, archived: 1, bytes: stanza.bytes });
    batch.put(PEERS, [romeo.bare, from], [from]);
  }
  const openFrom = 1 + segments * SEGMENT_ENTRIES;
  batch.put(LOG_STATE, [], {
    openFrom,
    settledBelow: openFrom,
    first: 1,
    lastMs: atMs,
    archived: segments,
    bytes: 0,
    key: newArchiveKey(),
  });
  await scene.store.commit(batch).promise;
  await romeo.sends(retraction(juliet.bare, 'old0'));
  await scene.settle();
  assert.deepEqual(
    (await logOf(scene, juliet)).filter((id) => id.includes('†')),
    ['old0†retract-old0'],
  );
});

scenario('XEP-0424: but not for ever: after 30 days a message stays', async (scene) => {
  const { romeo, juliet } = scene.cast;
  await romeo.sends(message(juliet.bare, 'm1', 'Have not saints lips?'));
  await scene.settle();
  for (const client of [romeo, juliet]) await client.disconnects();
  await scene.advance(31 * 24 * 3_600_000);
  await romeo.connects();
  await romeo.sends(message(juliet.bare, 'm2', 'Good morrow'));
  for (const id of ['m1', 'm2']) await romeo.sends(retraction(juliet.bare, id));
  await scene.settle();
  for (const client of [romeo, juliet]) assert.deepEqual(await logOf(scene, client), ['m1', 'm2†retract-m2', 'retract-m1', 'retract-m2']);
});

scenario('XEP-0424: many at once are done one after the other; past what may wait they change nothing, and all arrive', async (scene) => {
  const { romeo, juliet } = scene.cast;
  const count = 100;
  for (let i = 0; i < count; i++) await romeo.sends(message(juliet.full, `m${i}`, 'x'));
  let all = '';
  for (let i = 0; i < count; i++) all += retraction(juliet.full, `m${i}`);
  await romeo.sends(all);
  await scene.settle();
  const stones = (await logOf(scene, juliet)).filter((id) => id.includes('†')).length;
  assert.ok(stones >= 65 && stones <= count, `${stones} tombstones`);
  assert.equal((await juliet.collects()).length, 2 * count);
});

test('XEP-0424: retracting what there never was does not keep the server busy', async () => {
  let reads = 0;
  const memory = openMemory();
  const store = new Proxy(memory, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (name === 'get' && args[0] === LOG && args[1] === `juliet@${DOMAIN}`) reads++;
        return value.apply(target, args) as unknown;
      };
    },
  });
  const scene = new Scene({ modules: [ARCHIVE], store });
  try {
    const { romeo, juliet } = scene.cast;
    for (let i = 0; i < 400; i++) await romeo.writes(message(juliet.full, `m${i}`, 'x'));
    await juliet.collects();
    for (let i = 0; i < 100; i++) await romeo.sends(retraction(juliet.full, 'nothing', `r${i}`));
    await juliet.collects();
    assert.ok(reads >= 30_000 && reads < 33_000, `${reads} entries read`);
    await romeo.sends(retraction(juliet.full, 'm1', 'too-much'));
    await romeo.sends(message(juliet.full, 'recent', 'x'));
    await romeo.sends(retraction(juliet.full, 'recent', 'one'));
    assert.deepEqual(
      (await logOf(scene, juliet)).filter((id) => id.includes('†')),
      ['recent†one'],
    );
    await scene.advance(60_000);
    await romeo.sends(retraction(juliet.full, 'm1', 'again'));
    assert.ok((await logOf(scene, juliet)).includes('m1†again'));
  } finally {
    await scene.end();
  }
});

type Content = readonly (readonly [name: string, ns: string, xml: string])[];

/** A message as a room would send it: rooms are on other servers for now. */
async function roomSays(scene: Scene, to: Client, nick: string, id: string, content: Content, type: MessageType = 'chat'): Promise<void> {
  await scene.cast.ready();
  const body = content.map(([, , xml]) => xml).join('');
  const children = content.map(([name, ns]) => ({ name, ns }));
  const from = parseJid(`garden@rooms.example/${nick}`)!;
  scene.kernel.sendTo('account', to.bare, new Stanza({ kind: 'message', type, id, from, to: parseJid(to.full)!, body, children }));
  await scene.settle();
}

const BODY = ['body', 'jabber:client', '<body>Hear, hear</body>'] as const;
const X = ['x', MUC_USER, `<x xmlns='${MUC_USER}'/>`] as const;
const occupant = (id: string) => ['occupant-id', OCCUPANT, `<occupant-id xmlns='${OCCUPANT}' id='${id}'/>`] as const;
const retracts = (id: string) => ['retract', NS, `<retract xmlns='${NS}' id='${id}'/>`] as const;

scenario(
  'XEP-0424 §5: what one occupant said in private another cannot take back; who it is the room tells, or the full JID',
  async (scene) => {
    const { juliet } = scene.cast;
    await roomSays(scene, juliet, 'romeo', 'm1', [BODY, X]);
    await roomSays(scene, juliet, 'tybalt', 'r1', [retracts('m1')]);
    await roomSays(scene, juliet, 'tybalt', 'r1', [retracts('m1'), X]);
    await roomSays(scene, juliet, 'romeo', 'r2', [retracts('m1'), X, occupant('o1')]); // who knows
    assert.equal((await logOf(scene, juliet))[0], 'm1');
    await roomSays(scene, juliet, 'romeo', 'r3', [retracts('m1'), X]);
    assert.equal((await logOf(scene, juliet))[0], 'm1†r3');
    await roomSays(scene, juliet, 'romeo', 'm2', [BODY, X, occupant('o1')]);
    await roomSays(scene, juliet, 'romeo', 'r4', [retracts('m2'), X, occupant('o2')]); // a new bearer of the nick
    await roomSays(scene, juliet, 'romeo', 'r5', [retracts('m2'), X]);
    assert.ok((await logOf(scene, juliet)).includes('m2'));
    await roomSays(scene, juliet, 'montague', 'r6', [retracts('m2'), X, occupant('o1')]); // under a new nick
    assert.ok((await logOf(scene, juliet)).includes('m2†r6'));
  },
);

scenario('XEP-0424 §5.1: what is said to a whole room is in the room’s archive', async (scene) => {
  const { juliet } = scene.cast;
  await roomSays(scene, juliet, 'romeo', 'm1', [BODY], 'groupchat');
  await roomSays(scene, juliet, 'romeo', 'r1', [retracts('m1')], 'groupchat');
  await roomSays(scene, juliet, 'romeo', 'r1', [retracts('m1')]);
  assert.ok(!(await logOf(scene, juliet)).some((id) => id.includes('†')));
});
