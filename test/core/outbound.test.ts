/** What a session is to be sent, and how much of it may pile up. XEP-0198 §4, §5 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Outbound, type Item } from '../../src/core/outbound.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { makeStanza, type StanzaInit } from '../../src/xmpp/stanza.ts';
import { el } from '../../src/xml/element.ts';

const JULIET = parseJid('juliet@capulet.lit/window')!;

function item(position: number, { kind = 'message', type = 'chat', text = 'Ay me', from = 'romeo@montague.lit/orchard' } = {}): Item {
  const init = { kind, type, from: parseJid(from)!, to: JULIET } as StanzaInit;
  const stanza = makeStanza(init, el('body', 'jabber:client', {}, text));
  return { seq: 0, position, form: 'plain', atMs: 0, givenTo: [], turn: 1, isDelayed: false, stanza };
}

const positions = (items: Iterable<Item>): number[] => Array.from(items, (each) => each.position);
const nothing = (): void => undefined;

test('XEP-0198 §4: what is acknowledged is gone, and told once each', () => {
  const outbound = new Outbound();
  for (let i = 1; i <= 200; i++) assert.equal(outbound.number(item(i)), i);
  const told: number[] = [];
  outbound.ack(150, ({ seq }) => told.push(seq));
  outbound.ack(120, () => assert.fail('an older count says nothing'));
  assert.deepEqual([told.length, told[0], told.at(-1)], [150, 1, 150]);
  assert.deepEqual([outbound.unackedCount, outbound.acked, outbound.sent], [50, 150, 200]);
  assert.equal(outbound.unackedBytes, 50 * item(1).stanza!.bytes);
  outbound.ack(200, nothing);
  assert.deepEqual([outbound.unackedCount, outbound.unackedBytes], [0, 0]);
});

test('XEP-0198 §4: counts wrap at 2^32, and nobody has got more than was sent', () => {
  const outbound = new Outbound();
  outbound.sent = 2 ** 32 + 5;
  outbound.acked = 2 ** 32 - 2;
  assert.equal(outbound.unwrap(2 ** 32 - 1, false), 2 ** 32 - 1);
  assert.equal(outbound.unwrap(0, false), 2 ** 32);
  assert.equal(outbound.unwrap(5, false), 2 ** 32 + 5);
  assert.equal(outbound.unwrap(6, false), undefined);
  assert.equal(outbound.unwrap(2 ** 32 - 3, false), undefined, 'taken back');
  // After a restart the client may have got what nobody wrote down, but not what was never sent.
  assert.equal(outbound.unwrap(9, true), 2 ** 32 + 9);
  assert.equal(outbound.unwrap(2 ** 32 - 3, true), undefined);
});

test('XEP-0198 §5: what comes after the client’s count is sent again, before what waits, and under new numbers', () => {
  const outbound = new Outbound();
  for (let i = 1; i <= 5; i++) outbound.number(item(i));
  outbound.isLive = false;
  outbound.wait(item(6));
  outbound.ack(2, nothing);
  outbound.rebase(3);
  assert.deepEqual(positions(outbound.unacked()), [3]);
  assert.deepEqual(positions(outbound.waiting), [4, 5, 6]);
  assert.ok(outbound.waiting.every(({ seq }) => seq === 0));
  assert.equal(outbound.number(outbound.waiting[0]!), 4);
});

test('SM queue growth: of what waits in the log little stays in memory, whatever its size', () => {
  const outbound = new Outbound();
  outbound.isLive = false;
  for (let i = 1; i <= 1_000; i++) assert.ok(outbound.wait(item(i, { text: 'x'.repeat(10_000) })));
  const kept = outbound.waiting.filter(({ stanza }) => stanza !== undefined);
  assert.ok(kept.length > 0 && kept.length < 10, `${kept.length} texts`);
  assert.equal(outbound.waiting.length, 1_000);
  assert.equal(outbound.isOverfull, false);
  for (let i = 1_001; i <= 10_001; i++) outbound.wait(item(i));
  assert.ok(outbound.isOverfull, 'more positions than that end the session: its messages wait for the next one');
});

test('SM queue growth: what was sent and is not acknowledged loses its text when the connection is gone', () => {
  const outbound = new Outbound();
  for (let i = 1; i <= 100; i++) outbound.number(item(i, { text: 'x'.repeat(10_000) }));
  outbound.number(item(0));
  outbound.shrink();
  const kept = [...outbound.unacked()].filter(({ stanza }) => stanza !== undefined);
  assert.ok(kept.length < 10, `${kept.length} texts`);
  assert.equal(kept.at(-1)!.position, 0, 'what the log has not stays');
  assert.equal(
    outbound.unackedBytes,
    kept.reduce((sum, { stanza }) => sum + stanza!.bytes, 0),
  );
});

test('SM queue growth: of presence only the latest of each contact waits, and of all that is not in the log only so much', () => {
  const outbound = new Outbound();
  outbound.isLive = false;
  for (let i = 0; i < 10_000; i++) {
    for (const from of ['romeo@montague.lit/orchard', 'nurse@capulet.lit/kitchen'])
      assert.ok(outbound.wait(item(0, { kind: 'presence', type: 'available', text: String(i), from })));
  }
  assert.equal(outbound.waiting.length, 2);
  assert.match(outbound.waiting[0]!.stanza!.body, /9999/);
  // A request to be seen is no presence that a later one replaces.
  outbound.wait(item(0, { kind: 'presence', type: 'subscribe' }));
  assert.equal(outbound.waiting.length, 3);
  let refused = 0;
  for (let i = 0; i < 1_000; i++) if (!outbound.wait(item(0, { kind: 'iq', type: 'get' }))) refused++;
  assert.equal(outbound.waiting.length, 500);
  assert.equal(refused, 1_000 - 497);
  assert.ok(outbound.wait(item(7)), 'a message of the log always may');
  outbound.take(500);
  assert.ok(outbound.wait(item(0, { kind: 'iq', type: 'get' })), 'there is room again');
});

test('messages of the log go in among what waits by their positions', () => {
  const outbound = new Outbound();
  outbound.isLive = false;
  for (const position of [2, 0, 5, 9]) outbound.wait(item(position, position === 0 ? { kind: 'iq', type: 'result' } : {}));
  outbound.merge([item(1), item(4), item(6), item(12)]);
  assert.deepEqual(positions(outbound.waiting), [1, 2, 0, 4, 5, 6, 9, 12]);
});

test('what is restored is in the order of its numbers, whatever came first', () => {
  const outbound = new Outbound();
  for (const seq of [3, 7, 5, 1]) outbound.restore({ ...item(seq * 10), seq });
  outbound.restore({ ...item(99), seq: 0 });
  assert.deepEqual(positions(outbound.unacked()), [10, 30, 50, 70]);
  assert.deepEqual([outbound.sent, positions(outbound.waiting)], [7, [99]]);
  assert.deepEqual(positions(outbound.drain()), [10, 30, 50, 70, 99]);
  assert.deepEqual([outbound.unackedCount, outbound.waiting.length, outbound.unackedBytes], [0, 0, 0]);
});
