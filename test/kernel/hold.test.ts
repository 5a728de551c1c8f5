import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doing, forSeeds, kinds, makeKernel, note, numbers, recorder, TestBarrier } from './fixture.ts';

test('effects of a turn that holds, and of all later turns, leave in order when the barrier settles', () => {
  const { record, turn, run } = makeKernel();
  const receiver = record();
  const { ref } = record();
  const barrier = new TestBarrier();
  const order: string[] = [];
  turn(ref, (t) => {
    t.send(receiver.ref, note(1));
    t.hold(barrier);
    t.effect(() => order.push('effect'));
  });
  turn(ref, (t) => t.send(receiver.ref, note(2)));
  assert.deepEqual(receiver.log.seen, []);
  barrier.settle();
  assert.deepEqual(order, [], 'a barrier settles anywhere; effects leave in a slice');
  run();
  assert.deepEqual(numbers(receiver.log.seen), [1, 2]);
  assert.deepEqual(order, ['effect']);
  turn(ref, (t) => t.send(receiver.ref, note(3)));
  assert.deepEqual(numbers(receiver.log.seen), [1, 2, 3]);
});

test('a barrier that has settled already does not hold', () => {
  const { record, turn } = makeKernel();
  const receiver = record();
  const { ref } = record();
  const barrier = new TestBarrier();
  barrier.settle();
  turn(ref, (t) => {
    t.hold(barrier);
    t.send(receiver.ref, note(1));
  });
  assert.deepEqual(numbers(receiver.log.seen), [1]);
});

test('a turn without effects that holds keeps back those of later turns', () => {
  const { record, turn, run } = makeKernel();
  const receiver = record();
  const { ref } = record();
  const barrier = new TestBarrier();
  turn(ref, (t) => t.hold(barrier));
  turn(ref, (t) => t.send(receiver.ref, note(1)));
  assert.deepEqual(receiver.log.seen, []);
  barrier.settle();
  run();
  assert.deepEqual(numbers(receiver.log.seen), [1]);
});

test('a turn may wait for several barriers; they are waited for in order', () => {
  const { record, turn, run } = makeKernel();
  const receiver = record();
  const { ref } = record();
  const [a, b, c] = [new TestBarrier(), new TestBarrier(), new TestBarrier()];
  turn(ref, (t) => {
    t.hold(a);
    t.hold(b);
    t.send(receiver.ref, note(1));
  });
  turn(ref, (t) => {
    t.hold(c);
    t.send(receiver.ref, note(2));
  });
  c.settle();
  b.settle();
  run();
  assert.deepEqual(receiver.log.seen, []);
  a.settle();
  run();
  assert.deepEqual(numbers(receiver.log.seen), [1, 2]);
});

test('one barrier shared by many turns is asked for one callback per actor', () => {
  const { record, turn, run, kernel } = makeKernel();
  const receiver = record();
  const actors = [record(), record(), record()];
  const barrier = new TestBarrier();
  for (let n = 0; n < 50; n++) {
    for (const { ref } of actors) {
      kernel.send(
        ref,
        doing((t) => {
          t.hold(barrier);
          t.send(receiver.ref, note(n));
        }),
      );
    }
  }
  run();
  assert.equal(barrier.registrations, 3);
  assert.equal(kernel.inspect().machines[0]!.heldTurns, 150);
  barrier.settle();
  run();
  assert.equal(receiver.log.seen.length, 150);
  turn(receiver.ref, () => undefined);
});

test('a barrier that fails drops what waits behind it and crashes the actor with its error', () => {
  const { record, turn, run, crashes } = makeKernel();
  const receiver = record();
  const { ref, log } = record();
  const [good, bad] = [new TestBarrier(), new TestBarrier()];
  turn(ref, (t) => {
    t.hold(good);
    t.send(receiver.ref, note(1));
  });
  turn(ref, (t) => {
    t.hold(bad);
    t.send(receiver.ref, note(2));
  });
  turn(ref, (t) => t.send(receiver.ref, note(3)));
  const error = new Error('disk full');
  bad.settle(error);
  run();
  assert.equal(crashes.length, 0, 'it is not its turn yet');
  good.settle();
  run();
  assert.deepEqual(numbers(receiver.log.seen), [1]);
  assert.equal(crashes[0]!.error, error);
  assert.equal(log.lives, 2);
  turn(ref, (t) => t.send(receiver.ref, note(4)));
  assert.deepEqual(numbers(receiver.log.seen), [1, 4]);
});

test('recover sees a failed barrier as the failed task `hold`', () => {
  const { kernel, turn, run } = makeKernel();
  const events: unknown[] = [];
  const ref = kernel.spawn(
    {
      ...recorder,
      recover: ({ event, data }: { event: unknown; data: unknown }) => {
        events.push(event);
        return { state: 'one', data: data as never };
      },
    },
    { log: { seen: [], lives: 0 } },
  );
  const barrier = new TestBarrier();
  turn(ref, (t) => t.hold(barrier));
  const error = new Error('disk full');
  barrier.settle(error);
  run();
  assert.deepEqual(events, [{ kind: 'task', name: 'hold', ok: false, error }]);
});

test('a barrier that has failed already crashes the turn that holds it', () => {
  const { record, turn, crashes } = makeKernel();
  const receiver = record();
  const { ref } = record();
  const barrier = new TestBarrier();
  barrier.settle(new Error('disk full'));
  turn(ref, (t) => {
    t.hold(barrier);
    t.send(receiver.ref, note(1));
  });
  assert.equal(crashes.length, 1);
  assert.deepEqual(receiver.log.seen, []);
});

test('timers and tasks do not wait; questions time out while they do, and then are not asked', () => {
  const { record, turn, run, clock } = makeKernel();
  const receiver = record();
  const { ref, log } = record();
  const barrier = new TestBarrier();
  turn(ref, (t) => {
    t.hold(barrier);
    t.timer('t', 10);
    t.ask('q', receiver.ref, 20, (replyTo) => note(1, { replyTo }));
    t.ask('r', receiver.ref, 50, (replyTo) => note(2, { replyTo }));
  });
  clock.advance(30);
  assert.deepEqual(log.seen, [
    { kind: 'timeout', name: 't' },
    { kind: 'reply', name: 'q', ok: false, failure: 'timeout' },
  ]);
  barrier.settle();
  run();
  assert.deepEqual(numbers(receiver.log.seen), [2]);
});

test('at maxHeldTurns the actor handles no more mail until a barrier settles; nothing is lost', () => {
  const { record, run, kernel } = makeKernel({ limits: { maxHeldTurns: 4 } });
  const receiver = record();
  const { ref, log } = record({ onEvent: (event, t) => t.send(receiver.ref, event) });
  const barriers = Array.from({ length: 10 }, () => new TestBarrier());
  for (let n = 0; n < 10; n++) {
    kernel.send(
      ref,
      doing((t) => {
        t.hold(barriers[n]!);
        t.send(receiver.ref, note(n));
        log.seen.push({ kind: 'handled' });
      }),
    );
  }
  run();
  assert.equal(kinds(log.seen).length, 4);
  assert.equal(kernel.mailboxDepth(ref), 6);
  barriers[0]!.settle();
  run();
  assert.equal(kinds(log.seen).length, 5);
  for (const barrier of barriers) {
    if (!barrier.settled) barrier.settle();
    run();
  }
  assert.deepEqual(numbers(receiver.log.seen), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(kernel.mailboxDepth(ref), 0);
});

test('an actor that stops while effects are held ends when they have left', () => {
  const { record, turn, run, kernel } = makeKernel();
  const watcher = record();
  const { ref } = record();
  const barrier = new TestBarrier();
  turn(watcher.ref, (t) => t.monitor(ref));
  turn(ref, (t) => {
    t.hold(barrier);
    t.send(watcher.ref, note(1));
    t.timer('never', 5);
    t.stop('idle');
  });
  assert.deepEqual(watcher.log.seen, []);
  assert.equal(kernel.list().find(({ state }) => state === 'stopping')?.ref, ref);
  assert.equal(kernel.send(ref, note(9)), false, 'it takes no more mail');
  barrier.settle();
  run();
  assert.deepEqual(watcher.log.seen, [note(1), { kind: 'down', ref, reason: { kind: 'normal', why: 'idle' } }]);
});

test('an actor that stops while effects are held, and cannot commit them, ends as crashed', () => {
  const { record, turn, run, crashes } = makeKernel();
  const watcher = record();
  const { ref } = record();
  const barrier = new TestBarrier();
  turn(watcher.ref, (t) => t.monitor(ref));
  turn(ref, (t) => {
    t.hold(barrier);
    t.send(watcher.ref, note(1));
    t.stop('idle');
  });
  barrier.settle(new Error('disk full'));
  run();
  assert.deepEqual(watcher.log.seen, [{ kind: 'down', ref, reason: { kind: 'crash', error: 'Error: disk full' } }]);
  assert.equal(crashes[0]!.willRestart, false);
});

test('a barrier of an old life does not release what the new one holds', () => {
  const { record, turn, run, kernel } = makeKernel();
  const receiver = record();
  const { ref } = record();
  const [old, fresh] = [new TestBarrier(), new TestBarrier()];
  turn(ref, (t) => t.hold(old));
  kernel.crash(ref, new Error('drill'));
  run();
  turn(ref, (t) => {
    t.hold(fresh);
    t.send(receiver.ref, note(1));
  });
  old.settle();
  run();
  assert.deepEqual(receiver.log.seen, []);
  fresh.settle();
  run();
  assert.deepEqual(numbers(receiver.log.seen), [1]);
});

test('monitors keep their place among held effects: a child that is not started yet is not reported down', () => {
  const { record, turn, run } = makeKernel();
  const { ref, log } = record();
  const barrier = new TestBarrier();
  const child = { seen: [], lives: 0 };
  turn(ref, (t) => {
    t.hold(barrier);
    t.monitor(t.spawn(recorder, { log: child }));
  });
  barrier.settle();
  run();
  assert.deepEqual(log.seen, []);
  assert.equal(child.lives, 1);
});

test('an actor that is never without something held keeps its order, and only what waits', () => {
  const { record, kernel, run } = makeKernel({ limits: { turnBudget: 1000 } });
  const receiver = record();
  const { ref } = record();
  let previous = new TestBarrier();
  for (let n = 0; n < 400; n++) {
    const [older, newer] = [previous, new TestBarrier()];
    kernel.send(
      ref,
      doing((t) => {
        t.hold(newer);
        for (let i = 0; i < 4; i++) t.send(receiver.ref, note(n * 4 + i));
      }),
    );
    run();
    older.settle();
    run();
    previous = newer;
    assert.ok(numbers(receiver.log.seen).length >= (n - 1) * 4);
  }
  previous.settle();
  run();
  assert.deepEqual(
    numbers(receiver.log.seen),
    Array.from({ length: 1600 }, (_, i) => i),
  );
});

test('any schedule of turns, holds, settlements and failures releases in order, or not at all', () => {
  forSeeds(300, (choose) => {
    const { record, kernel, run, crashes, clock } = makeKernel({ limits: { maxHeldTurns: 1 + choose(8), turnBudget: 1 + choose(5) } });
    const receiver = record();
    const { ref } = record({}, { intensity: { maxRestarts: 1000, withinMs: 1 } });
    const barriers: TestBarrier[] = [];
    let sent = 0;
    let failures = 0;
    for (let step = 0; step < 80; step++) {
      switch (choose(5)) {
        case 0:
        case 1: {
          const n = sent++;
          kernel.send(
            ref,
            doing((t) => {
              if (choose(2) === 0) {
                if (barriers.length === 0 || choose(3) === 0) barriers.push(new TestBarrier());
                for (let i = choose(2); i >= 0; i--) t.hold(barriers[barriers.length - 1 - choose(Math.min(3, barriers.length))]!);
              }
              t.send(receiver.ref, note(n));
              t.send(receiver.ref, note(n));
            }),
          );
          break;
        }
        case 2: {
          const open = barriers.filter(({ settled }) => !settled);
          if (open.length > 0) open[choose(open.length)]!.settle(choose(10) === 0 ? (failures++, new Error('failed')) : undefined);
          break;
        }
        case 3:
          clock.tick();
          break;
        default:
          run();
      }
    }
    for (let rounds = 0; rounds < 100; rounds++) {
      run();
      for (const barrier of barriers) if (!barrier.settled) barrier.settle();
    }
    run();
    const got = numbers(receiver.log.seen);
    for (let i = 0; i < got.length; i += 2) {
      assert.equal(got[i], got[i + 1], 'a turn leaves whole');
      assert.ok(i === 0 || got[i]! > got[i - 1]!, 'in order, none twice');
    }
    assert.ok(crashes.length <= failures + sent);
    if (failures === 0) assert.equal(got.length, sent * 2, 'none lost');
    assert.equal(kernel.mailboxDepth(ref), 0);
    assert.equal(kernel.inspect().machines[0]!.heldTurns, 0);
  });
});
