/** What an account owes to others, and what of it is said again: `core/forwarding.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Outbox } from '../../src/core/forwarding.ts';
import type { Forward, ForwardAgain } from '../../src/core/messages.ts';
import type { Message } from '../../src/kernel/actor.ts';
import type { LogEntry } from '../../src/log/entry.ts';
import { el } from '../../src/xml/element.ts';
import { parseJid, type BareJid } from '../../src/xmpp/jid.ts';
import { makeStanza } from '../../src/xmpp/stanza.ts';

const ROMEO = parseJid('romeo@montague.lit/orchard')!;
const FRIENDS = ['juliet@capulet.lit/balcony', 'nurse@capulet.lit', 'mercutio@verona.lit/street'].map((text) => parseJid(text)!);
const BY_BARE = { entity: 'account', keyOf: (_: unknown, to: { readonly bare: string }) => to.bare };

function entry(position: number, friend = 0, text = 'Ay me', isTombstone = false): LogEntry {
  const stanza = makeStanza(
    { kind: 'message', type: 'chat', id: `m${position}`, from: ROMEO, to: FRIENDS[friend]! },
    el('body', 'jabber:client', {}, text),
  );
  return {
    position,
    atMs: position,
    direction: 'out',
    stanza,
    isArchived: true,
    isTombstone,
    source: 0,
    origin: undefined,
    settledBelow: 0,
    deliveries: [],
  };
}

/** An outbox, the log it is read from, and what has left. */
class Scene {
  readonly outbox = new Outbox();
  readonly log = new Map<number, LogEntry>();
  readonly sent: { readonly key: string; readonly message: Message }[] = [];
  readonly effects = {
    send: () => assert.fail('everything goes by name'),
    sendTo: (_: string, key: string, message: Message) => void this.sent.push({ key, message }),
  };

  send(each: LogEntry, nowMs = 0): void {
    this.log.set(each.position, each);
    this.outbox.send(this.effects, BY_BARE, each, nowMs);
  }

  /** Reads the log and says again what is due, as long as something is. */
  sayAgain(): (readonly number[])[] {
    this.sent.length = 0;
    for (let wanted = this.outbox.wanted(); wanted.length > 0; wanted = this.outbox.wanted()) {
      assert.deepEqual(this.outbox.wanted(), [], 'one reading at a time');
      const read = new Map(
        wanted.flatMap(({ positions }) => positions).flatMap((at) => (this.log.has(at) ? [[at, this.log.get(at)!]] : [])),
      );
      this.outbox.sayAgain(this.effects, ROMEO.bare, wanted, read);
    }
    return this.sent.map(({ message }) => (message as ForwardAgain).messages.map(({ position }) => position));
  }
}

const bare = (friend: number): BareJid => FRIENDS[friend]!.bare;

test('each message tells which one of the same recipient it follows, as long as that has not arrived', () => {
  const scene = new Scene();
  scene.send(entry(1));
  scene.send(entry(2, 1));
  scene.send(entry(3));
  scene.outbox.confirmed(bare(0), 3, 0);
  scene.send(entry(4));
  const told = scene.sent.map(({ key, message }) => [key, (message as Forward).position, (message as Forward).previous]);
  assert.deepEqual(told, [
    ['juliet@capulet.lit', 1, 0],
    ['nurse@capulet.lit', 2, 0],
    ['juliet@capulet.lit', 3, 1],
    ['juliet@capulet.lit', 4, 0],
  ]);
});

test('after a gap everything is said again from the log, in chunks, and what is new waits behind it', () => {
  const scene = new Scene();
  const { outbox } = scene;
  for (let at = 1; at <= 120; at++) scene.send(entry(at));
  outbox.confirmed(bare(0), 10, 0);
  outbox.gap({ by: bare(0) }, 0);
  const first = scene.sayAgain();
  assert.deepEqual([first.length, first[0]!.length, first[0]![0]], [1, 50, 11]);
  scene.send(entry(121));
  assert.equal(scene.sent.length, 1, 'not ahead of those before it');
  outbox.gap({ by: bare(0) }, 0);
  assert.deepEqual(scene.sayAgain(), [], 'the same gap');
  outbox.confirmed(bare(0), 60, 0);
  assert.deepEqual(scene.sayAgain()[0]![0], 61);
  outbox.confirmed(bare(0), 110, 0);
  assert.deepEqual(scene.sayAgain(), [[111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121]]);
  outbox.confirmed(bare(0), 121, 0);
  assert.deepEqual([outbox.isEmpty, outbox.wanted(), outbox.settledBelow(122)], [true, [], 122]);
});

test('large messages are said again in smaller chunks, one at least', () => {
  const scene = new Scene();
  for (let at = 1; at <= 4; at++) scene.send(entry(at, 0, 'x'.repeat(150_000)));
  scene.outbox.gap({ by: bare(0) }, 0);
  assert.deepEqual(scene.sayAgain(), [[1]]);
});

test('what arrives while the log is read is not said again', () => {
  const scene = new Scene();
  const { outbox } = scene;
  for (let at = 1; at <= 3; at++) scene.send(entry(at));
  outbox.gap({ by: bare(0) }, 0);
  const wanted = outbox.wanted();
  outbox.confirmed(bare(0), 2, 0);
  scene.sent.length = 0;
  outbox.sayAgain(scene.effects, ROMEO.bare, wanted, scene.log);
  assert.deepEqual(
    (scene.sent[0]!.message as ForwardAgain).messages.map(({ position }) => position),
    [3],
  );
  outbox.gap({ by: bare(0), isReady: true }, 0);
  const again = outbox.wanted();
  outbox.confirmed(bare(0), 3, 0);
  outbox.sayAgain(scene.effects, ROMEO.bare, again, scene.log);
  assert.equal(scene.sent.length, 1);
});

test('what the log does not have any more, or not its content, is not owed any more', () => {
  const scene = new Scene();
  const { outbox, log } = scene;
  for (let at = 1; at <= 60; at++) scene.send(entry(at));
  for (let at = 1; at <= 52; at++) log.delete(at);
  log.set(54, entry(54, 0, '', true));
  outbox.gap({ by: bare(0) }, 0);
  assert.deepEqual(scene.sayAgain(), [[53, 55, 56, 57, 58, 59, 60]]);
  assert.equal(outbox.settledBelow(61), 53);
  outbox.confirmed(bare(0), 53, 0);
  log.clear();
  assert.deepEqual(scene.sayAgain(), []);
  assert.equal(outbox.isEmpty, true);
});

test('silence: said again after a while, sooner where it came back', () => {
  const scene = new Scene();
  const { outbox } = scene;
  scene.send(entry(1, 0), 1_000);
  scene.send(entry(2, 1), 1_000);
  assert.equal(outbox.tick(1_000), 5_000);
  outbox.bounced(bare(1), 1_100);
  assert.equal(outbox.tick(1_200), 100);
  assert.equal(outbox.tick(1_300), 4_700);
  assert.deepEqual(scene.sayAgain(), [[2]]);
  outbox.tick(6_000);
  assert.deepEqual(scene.sayAgain(), [[1]]);
});

test('all positions below `settledBelow` have arrived, and the next one has not, whatever the order', () => {
  const step = fc.record({ friend: fc.nat(2), isSent: fc.boolean(), upTo: fc.nat(30) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const scene = new Scene();
      const owed: number[][] = [[], [], []];
      let next = 1;
      for (const { friend, isSent, upTo } of steps) {
        const own = owed[friend]!;
        if (isSent) {
          scene.send(entry(next, friend));
          own.push(next++);
        } else if (own.length > 0) {
          const position = own[Math.min(upTo, own.length - 1)]!;
          scene.outbox.confirmed(bare(friend), position, 0);
          owed[friend] = own.filter((each) => each > position);
        }
        assert.equal(scene.outbox.settledBelow(next), Math.min(next, ...owed.flat()));
        assert.equal(scene.outbox.isEmpty, owed.flat().length === 0);
      }
      for (let friend = 0; friend < 3; friend++) scene.outbox.gap({ by: bare(friend) }, 0);
      assert.deepEqual(
        scene
          .sayAgain()
          .flat()
          .toSorted((a, b) => a - b),
        owed.flatMap((own) => own.slice(0, 50)).toSorted((a, b) => a - b),
      );
    }),
  );
});
