import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/kernel/clock.ts';
import { doing, makeKernel, note, numbers } from './fixture.ts';

/** A clock on which every look costs time, as if turns took that long. */
class WorkingClock extends ManualClock {
  costMs = 0;
  #spentMs = 0;
  override monotonicMs(): number {
    this.#spentMs += this.costMs;
    return super.monotonicMs() + this.#spentMs;
  }
}

test('an actor handles its budget, then the others have their turn', () => {
  const { kernel, run, record } = makeKernel({ limits: { turnBudget: 3 } });
  const order: string[] = [];
  const actors = ['a', 'b'].map((name) => record({ onEvent: () => void order.push(name) }));
  for (let i = 0; i < 7; i++) kernel.send(actors[0]!.ref, note(i));
  for (let i = 0; i < 2; i++) kernel.send(actors[1]!.ref, note(i));
  run();
  assert.equal(order.join(''), 'aaabbaaaa');
});

test('one actor that always has mail starves neither the others nor the event loop', () => {
  const { kernel, record, clock } = makeKernel({ limits: { turnBudget: 16 } });
  const busy = record({ onEvent: (event, t) => t.send(t.self, event) });
  const other = record();
  kernel.send(busy.ref, note(0));
  let passes = 0;
  const pass = (): void => {
    passes++;
    if (passes < 50) {
      kernel.send(other.ref, note(passes));
      clock.immediate(pass);
    }
  };
  clock.immediate(pass);
  for (let i = 0; i < 120; i++) clock.tick();
  assert.equal(passes, 50);
  assert.equal(numbers(other.log.seen).length, 49);
  kernel.kill(busy.ref);
  clock.run();
});

test('a slice ends when its time is over, and goes on after the event loop had a chance', () => {
  const clock = new WorkingClock();
  const { kernel, record } = makeKernel({ clock, limits: { sliceMs: 8, turnBudget: 1 } });
  const { ref, log } = record();
  clock.costMs = 3; // each look at the clock
  for (let n = 0; n < 200; n++) kernel.send(ref, note(n));
  clock.tick();
  const first = log.seen.length;
  assert.ok(first > 0 && first < 100, `${first} messages in the first slice`);
  clock.tick();
  assert.ok(log.seen.length > first);
  clock.run();
  assert.deepEqual(
    numbers(log.seen),
    Array.from({ length: 200 }, (_, n) => n),
  );
});

test('what arrives in one pass of the event loop is handled in one slice, and its hooks run once after it', () => {
  const { kernel, record, clock } = makeKernel();
  const actors = [record(), record(), record()];
  const ends: number[] = [];
  const off = kernel.onSliceEnd(() => ends.push(actors.reduce((sum, { log }) => sum + log.seen.length, 0)));
  for (let n = 0; n < 10; n++) for (const { ref } of actors) kernel.send(ref, note(n));
  clock.tick();
  assert.deepEqual(ends, [30]);
  off();
  kernel.send(actors[0]!.ref, note(1));
  clock.run();
  assert.deepEqual(ends, [30]);
});

test('a hook may send: that is the next slice', () => {
  const { kernel, record, run } = makeKernel();
  const { ref, log } = record();
  let isFirst = true;
  kernel.onSliceEnd(() => {
    if (isFirst) kernel.send(ref, note(2));
    isFirst = false;
  });
  kernel.send(ref, note(1));
  run();
  assert.deepEqual(numbers(log.seen), [1, 2]);
});

test('a hook that throws is reported, and the others run', () => {
  const { kernel, record, run, failures } = makeKernel();
  let ran = 0;
  kernel.onSliceEnd(() => {
    throw new Error('hook');
  });
  kernel.onSliceEnd(() => ran++);
  record();
  run();
  assert.equal(failures[0]!.what, 'slice_hook');
  assert.ok(ran > 0);
});

test('deferred work comes when the actors have nothing more to do, and what it gives them is of the same slice', () => {
  const { kernel, record, clock } = makeKernel();
  const order: string[] = [];
  let deferred = 0;
  const { ref } = record({
    onEvent: (event) => {
      order.push(`turn ${numbers([event])[0]}`);
      if (deferred++ > 1) return;
      kernel.defer(() => {
        order.push('write');
        kernel.send(ref, note(10 + deferred));
      });
    },
  });
  kernel.onSliceEnd(() => order.push('end'));
  kernel.send(ref, note(1));
  kernel.send(ref, note(2));
  clock.tick();
  assert.deepEqual(order, ['turn 1', 'turn 2', 'write', 'write', 'turn 12', 'turn 12', 'end']);
});

test('deferred outside of a slice it waits for the next one, and a kernel that is closed forgets none', () => {
  const { kernel, clock } = makeKernel();
  const order: string[] = [];
  kernel.defer(() => order.push('first'));
  assert.deepEqual(order, []);
  clock.tick();
  assert.deepEqual(order, ['first']);
  kernel.defer(() => order.push('last' as never));
  kernel.close();
  clock.run();
  assert.deepEqual(order, ['first', 'last']);
});

test('deferred work that throws is reported, and the others run', () => {
  const { kernel, run, failures } = makeKernel();
  let ran = 0;
  kernel.defer(() => {
    throw new Error('deferred');
  });
  kernel.defer(() => ran++);
  run();
  assert.equal(failures[0]!.what, 'slice_hook');
  assert.equal(ran, 1);
});

test('without mail there are no slices', () => {
  const { kernel, record, clock } = makeKernel();
  record();
  const { slices } = kernel.inspect();
  clock.advance(100_000);
  assert.equal(kernel.inspect().slices, slices);
});

test('runUntilIdle inside a turn is refused', () => {
  const { kernel, record, turn, crashes } = makeKernel();
  const { ref } = record();
  turn(ref, () => kernel.runUntilIdle());
  assert.match(String(crashes[0]!.error), /slice inside a slice|started inside/);
});

test('runUntilIdle handles everything without the event loop', () => {
  const { kernel, record } = makeKernel();
  const a = record();
  const b = record({ onEvent: (event, t) => t.send(a.ref, event) });
  for (let n = 0; n < 100; n++) kernel.send(b.ref, note(n));
  kernel.runUntilIdle();
  assert.equal(numbers(a.log.seen).length, 100);
});

test('whenRoom calls back when the mailbox is half empty, at once if it is, and at the end of the actor', () => {
  const { kernel, record, clock, run } = makeKernel({ limits: { turnBudget: 1 } });
  const { ref } = record({}, { mailbox: { maxMessages: 8, maxBytes: 1e6 } });
  let calls = 0;
  kernel.whenRoom(ref, () => calls++);
  assert.equal(calls, 1);
  for (let n = 0; n < 8; n++) assert.ok(kernel.send(ref, note(n)));
  assert.equal(kernel.send(ref, note(9)), false);
  assert.equal(kernel.fullness(ref), 1);
  kernel.whenRoom(ref, () => {
    calls++;
    assert.equal(kernel.mailboxDepth(ref), 4);
  });
  clock.tick();
  run();
  assert.equal(calls, 2);
  for (let n = 0; n < 8; n++) kernel.send(ref, note(n));
  kernel.whenRoom(ref, () => calls++);
  kernel.kill(ref);
  run();
  assert.equal(calls, 3);
});

test('drain lets actors finish, stops them in the order given, and tells whether all ended by themselves', async () => {
  const clock = new ManualClock();
  const { kernel, record } = makeKernel({ clock });
  const order: string[] = [];
  const terminate = (name: string) => ({ name, terminate: () => void order.push(name) });
  const account = record({}, terminate('account'));
  const c2s = record({ onEvent: (event, t) => t.send(account.ref, event) }, terminate('c2s'));
  record({}, terminate('other'));
  for (let n = 0; n < 5; n++) kernel.send(c2s.ref, note(n));
  let isInOrder: boolean | undefined;
  void kernel.drain(10_000, ['c2s', 'account']).then((result) => (isInOrder = result));
  for (let i = 0; i < 200 && isInOrder === undefined; i++) {
    clock.advance(5);
    await Promise.resolve();
  }
  assert.equal(isInOrder, true);
  assert.deepEqual(order, ['c2s', 'account', 'other']);
  assert.equal(account.log.seen.length, 5);
  assert.equal(kernel.inspect().actors, 0);
});

test('what does not end in time is killed by drain, with its last words', async () => {
  const clock = new ManualClock();
  const { kernel, record } = makeKernel({ clock });
  const reasons: unknown[] = [];
  const stuck = record({}, { terminate: (_d, _s, reason) => reasons.push(reason) });
  kernel.send(
    stuck.ref,
    doing((t) => t.hold({ settled: false, error: undefined, onSettled: () => undefined })),
  );
  clock.run();
  let isInOrder: boolean | undefined;
  void kernel.drain(1000).then((result) => (isInOrder = result));
  for (let i = 0; i < 500 && isInOrder === undefined; i++) {
    clock.advance(5);
    await Promise.resolve();
  }
  assert.equal(isInOrder, false);
  assert.deepEqual(reasons, [{ kind: 'killed', why: 'drain' }]);
  assert.equal(kernel.inspect().actors, 0);
});

test('close leaves nothing with the clock', () => {
  const { kernel, record, turn, clock } = makeKernel();
  const { ref } = record();
  turn(ref, (t) => t.timer('t', 1000));
  kernel.close();
  assert.equal(clock.pending, 0);
});
