import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ASK, bytesOf, LIFE, MAIL, Mailbox, NAMED, SegmentPool, TYPE_MASK, VALUE_SHIFT } from '../../src/kernel/mailbox.ts';
import { forSeeds } from './fixture.ts';

const LIMITS = { maxMessages: 100, maxBytes: 10_000 };

function take(mailbox: Mailbox): { message: unknown; from: unknown; flags: number } {
  const taken = { message: mailbox.message, from: mailbox.from, flags: mailbox.flags };
  mailbox.drop();
  if ((taken.flags & TYPE_MASK) <= NAMED) mailbox.discount(taken.flags);
  return taken;
}

test('what is put in comes out in order, with its sender and flags', () => {
  const mailbox = new Mailbox(LIMITS, new SegmentPool());
  const sender = { node: 0, worker: 1, id: 7 };
  assert.ok(mailbox.post({ kind: 'a', bytes: 10 }, sender, NAMED | ASK));
  mailbox.push({ kind: 'task' }, undefined, LIFE | (3 << VALUE_SHIFT));
  assert.equal(mailbox.size, 2);
  const first = take(mailbox);
  assert.deepEqual(first.message, { kind: 'a', bytes: 10 });
  assert.equal(first.from, sender);
  assert.equal(first.flags & TYPE_MASK, NAMED);
  assert.equal(first.flags & ASK, ASK);
  const second = take(mailbox);
  assert.equal(second.flags & TYPE_MASK, LIFE);
  assert.equal(second.flags >> VALUE_SHIFT, 3);
  assert.equal(mailbox.size, 0);
});

test('mail beyond maxMessages is refused until some was handled; kernel events never are', () => {
  const mailbox = new Mailbox({ maxMessages: 2, maxBytes: 10_000 }, new SegmentPool());
  assert.ok(mailbox.post({ kind: 'a' }, undefined, MAIL));
  assert.ok(mailbox.post({ kind: 'b' }, undefined, MAIL));
  assert.equal(mailbox.fullness, 1);
  assert.equal(mailbox.post({ kind: 'c' }, undefined, MAIL), false);
  mailbox.push({ kind: 'task' }, undefined, LIFE);
  take(mailbox);
  assert.ok(mailbox.post({ kind: 'd' }, undefined, MAIL));
  assert.equal(mailbox.size, 3);
});

test('mail beyond maxBytes is refused; a message that does not say counts 64', () => {
  const mailbox = new Mailbox({ maxMessages: 100, maxBytes: 200 }, new SegmentPool());
  assert.ok(mailbox.post({ kind: 'a', bytes: 136 }, undefined, MAIL));
  assert.ok(mailbox.post({ kind: 'b' }, undefined, MAIL));
  assert.equal(mailbox.bytes, 200);
  assert.equal(mailbox.post({ kind: 'c', bytes: 1 }, undefined, MAIL), false);
  assert.equal(mailbox.fullness, 1);
});

test('mail that is postponed still counts', () => {
  const mailbox = new Mailbox({ maxMessages: 1, maxBytes: 1000 }, new SegmentPool());
  assert.ok(mailbox.post({ kind: 'a' }, undefined, MAIL));
  const { flags } = take(mailbox);
  mailbox.recount(flags);
  assert.equal(mailbox.size, 0);
  assert.equal(mailbox.post({ kind: 'b' }, undefined, MAIL), false);
});

test('an absurd size does not leave the range of small integers', () => {
  assert.equal(bytesOf({ kind: 'a', bytes: 1e15 }) << VALUE_SHIFT, 0x3ff_ffff << VALUE_SHIFT);
  assert.equal((bytesOf({ kind: 'a', bytes: 1e15 }) << VALUE_SHIFT) >> VALUE_SHIFT, 0x3ff_ffff);
});

test('any order of putting and taking agrees with an array', () => {
  forSeeds(200, (choose) => {
    const pool = new SegmentPool(choose(3));
    const mailbox = new Mailbox({ maxMessages: 150, maxBytes: 1e6 }, pool);
    const model: { message: unknown; bytes: number }[] = [];
    for (let step = 0; step < 600; step++) {
      const isFilling = Math.floor(step / 100) % 2 === 0;
      if (choose(10) < (isFilling ? 7 : 3)) {
        const message = { kind: 'm', n: step, bytes: choose(100) };
        const isTaken = mailbox.post(message, undefined, MAIL);
        assert.equal(isTaken, model.length < 150);
        if (isTaken) model.push({ message, bytes: message.bytes });
      } else if (model.length > 0) {
        assert.equal(take(mailbox).message, model.shift()!.message);
      }
      assert.equal(mailbox.size, model.length);
      assert.equal(mailbox.messages, model.length);
      assert.equal(
        mailbox.bytes,
        model.reduce((sum, { bytes }) => sum + bytes, 0),
      );
    }
    while (model.length > 0) assert.equal(take(mailbox).message, model.shift()!.message);
    assert.equal(mailbox.size, 0);
  });
});

test('an actor without mail owns no ring: they go back to the pool', () => {
  const pool = new SegmentPool();
  let out = 0;
  const { take: takeRing, give: giveRing } = SegmentPool.prototype;
  pool.take = function () {
    out++;
    return takeRing.call(this);
  };
  pool.give = function (ring) {
    out--;
    giveRing.call(this, ring);
  };
  const mailbox = new Mailbox({ maxMessages: 1000, maxBytes: 1e6 }, pool);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 200; i++) mailbox.post({ kind: 'm' }, undefined, MAIL);
    assert.equal(out, Math.ceil(200 / 32));
    for (let i = 0; i < 200; i++) take(mailbox);
    assert.equal(out, 0);
  }
});
