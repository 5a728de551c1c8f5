import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ActorRef, Message, Turn } from '../../src/kernel/actor.ts';
import { doing, forSeeds, kinds, Ledger, makeKernel, makeLog, note, numbers, recorder, TestBarrier } from './fixture.ts';

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

test('what finished turns hold outlives the crash of a later one: it leaves once, in order, before what the new life says', () => {
  const { record, turn, run, kernel } = makeKernel();
  const receiver = record();
  const { ref, log } = record({
    onInit: (t, { lives }) => {
      if (lives > 1) t.send(receiver.ref, note(lives * 100));
    },
  });
  const order: string[] = [];
  const [a, b, c] = [new TestBarrier(), new TestBarrier(), new TestBarrier()];
  turn(ref, (t) => {
    t.hold(a);
    t.send(receiver.ref, note(1));
  });
  turn(ref, (t) => {
    t.hold(b);
    t.send(receiver.ref, note(2));
    t.effect(() => order.push('effect'));
  });
  turn(ref, (t) => {
    t.hold(c);
    t.send(receiver.ref, note(99));
    t.effect(() => order.push('of the failed turn'));
    throw new Error('on purpose');
  });
  assert.equal(log.lives, 2);
  turn(ref, (t) => t.send(receiver.ref, note(3)));
  assert.deepEqual(receiver.log.seen, []);
  a.settle();
  run();
  assert.deepEqual(numbers(receiver.log.seen), [1]);
  kernel.crash(ref, new Error('drill'));
  run();
  turn(ref, (t) => t.send(receiver.ref, note(4)));
  assert.deepEqual(numbers(receiver.log.seen), [1]);
  b.settle();
  run();
  assert.deepEqual(numbers(receiver.log.seen), [1, 2, 200, 3, 300, 4]);
  assert.deepEqual(order, ['effect']);
  c.settle();
  run();
  assert.equal(receiver.log.seen.length, 6);
  assert.equal(kernel.inspect().machines[0]!.heldTurns, 0);
});

/** Recovers into itself; `onRecover` runs in that turn. */
function recovering(crashes: unknown[], onRecover: (t: Turn<Message>, attempt: number) => void): Partial<typeof recorder> {
  return {
    recover: ({ data, event, hasLostHeld }, _args, t) => {
      crashes.push([event.kind === 'task' ? (event as { name: string }).name : event.kind, hasLostHeld]);
      onRecover(t, crashes.length);
      return { state: 'one', data };
    },
    intensity: { maxRestarts: 100, withinMs: 1000 },
  };
}

test('a crash in recover drops the effects of that try alone', () => {
  const { record, turn, run, crashes } = makeKernel();
  const receiver = record();
  const [barrier, own] = [new TestBarrier(), new TestBarrier()];
  const told: unknown[] = [];
  const { ref } = record(
    {},
    recovering(told, (t, attempt) => {
      t.hold(own);
      t.send(receiver.ref, note(attempt * 10));
      if (attempt < 3) throw new Error('again');
    }),
  );
  turn(ref, (t) => {
    t.hold(barrier);
    t.send(receiver.ref, note(1));
  });
  turn(ref, () => {
    throw new Error('on purpose');
  });
  assert.equal(crashes.length, 3);
  turn(ref, (t) => t.send(receiver.ref, note(31)));
  barrier.settle();
  run();
  assert.deepEqual(numbers(receiver.log.seen), [1]);
  own.settle();
  run();
  assert.deepEqual(numbers(receiver.log.seen), [1, 30, 31]);
  assert.deepEqual(told, [
    ['do', false],
    ['do', false],
    ['do', false],
  ]);
});

test('a barrier that fails after a crash drops all behind it, the words of the new life among them', () => {
  const { record, turn, run, crashes } = makeKernel();
  const receiver = record();
  const told: unknown[] = [];
  const { ref } = record(
    {},
    recovering(told, (t, attempt) => t.send(receiver.ref, note(attempt * 10))),
  );
  const [good, bad] = [new TestBarrier(), new TestBarrier()];
  turn(ref, (t) => {
    t.hold(good);
    t.send(receiver.ref, note(1));
  });
  turn(ref, (t) => {
    t.hold(bad);
    t.send(receiver.ref, note(2));
  });
  turn(ref, () => {
    throw new Error('on purpose');
  });
  turn(ref, (t) => t.send(receiver.ref, note(3)));
  good.settle();
  bad.settle(new Error('disk full'));
  run();
  assert.deepEqual(numbers(receiver.log.seen), [1, 20]);
  assert.deepEqual(told, [
    ['do', false],
    ['hold', true],
  ]);
  assert.equal(crashes.length, 2);
});

test('a barrier that fails before the rebuilding is told to the one recover there is', () => {
  const { record, turn, run, crashes, kernel } = makeKernel({ limits: { maxHeldTurns: 1 } });
  const receiver = record();
  const told: unknown[] = [];
  const { ref } = record(
    {},
    recovering(told, (t, attempt) => t.send(receiver.ref, note(attempt * 10))),
  );
  const bad = new TestBarrier();
  turn(ref, (t) => {
    t.hold(bad);
    t.send(receiver.ref, note(1));
  });
  kernel.crash(ref, new Error('drill'));
  run();
  assert.deepEqual(told, [], 'as many turns are held as may be');
  bad.settle(new Error('disk full'));
  run();
  assert.deepEqual(told, [['injected', true]]);
  assert.deepEqual(
    crashes.map(({ error }) => String(error)),
    ['Error: drill', 'Error: disk full'],
  );
  assert.deepEqual(numbers(receiver.log.seen), [10]);
});

test('a turn that throws when its barrier has failed is one crash that drops what is held', () => {
  const { record, turn } = makeKernel();
  const receiver = record();
  const told: unknown[] = [];
  const { ref } = record(
    {},
    recovering(told, () => undefined),
  );
  const bad = new TestBarrier();
  turn(ref, (t) => {
    t.hold(bad);
    t.send(receiver.ref, note(1));
  });
  turn(ref, () => {
    bad.settle(new Error('disk full'));
    throw new Error('on purpose');
  });
  assert.deepEqual(told, [['do', true]]);
  turn(ref, (t) => t.send(receiver.ref, note(2)));
  assert.deepEqual(numbers(receiver.log.seen), [2]);
});

test('a watcher sees what had left, then `restarted`, then what was held, then the new life', () => {
  const { record, turn, run, kernel } = makeKernel();
  const watcher = record();
  const { ref } = record({ onInit: (t, { lives }) => lives > 1 && void t.send(watcher.ref, note(lives * 10)) });
  const barrier = new TestBarrier();
  turn(watcher.ref, (t) => t.monitor(ref));
  turn(ref, (t) => t.send(watcher.ref, note(1)));
  turn(ref, (t) => {
    t.hold(barrier);
    t.send(watcher.ref, note(2));
  });
  kernel.crash(ref, new Error('drill'));
  run();
  barrier.settle();
  run();
  assert.deepEqual(watcher.log.seen, [note(1), { kind: 'restarted', ref }, note(2), note(20)]);
});

test('spawned actors and monitors that are held stay so over a crash', () => {
  const { record, turn, run, kernel } = makeKernel();
  const { ref, log } = record();
  const barrier = new TestBarrier();
  const child = makeLog();
  let childRef: ActorRef<Message> | undefined;
  turn(ref, (t) => {
    t.hold(barrier);
    childRef = t.spawn(recorder, { log: child });
    t.monitor(childRef);
    t.send(childRef, note(1));
  });
  kernel.crash(ref, new Error('drill'));
  run();
  assert.equal(child.lives, 0);
  barrier.settle();
  run();
  assert.equal(child.lives, 1);
  assert.deepEqual(numbers(child.seen), [1]);
  kernel.stop(childRef!);
  run();
  assert.deepEqual(kinds(log.seen), ['down']);
});

test('a drill on an actor that is spawned but held back waits for its start', () => {
  const { record, turn, run, kernel, crashes } = makeKernel();
  const { ref } = record();
  const barrier = new TestBarrier();
  const [first, second] = [makeLog(), makeLog()];
  let refs: ActorRef<Message>[] = [];
  turn(ref, (t) => {
    t.hold(barrier);
    refs = [t.spawn(recorder, { log: first }), t.spawn(recorder, { log: second })];
  });
  kernel.crash(refs[0]!, new Error('drill'));
  run();
  assert.equal(crashes.length, 0);
  barrier.settle();
  kernel.crash(refs[1]!, new Error('drill'));
  run();
  assert.equal(crashes.length, 2);
  assert.deepEqual([first.lives, second.lives], [2, 2]);
});

test('an actor that ends by its intensity lets leave what it holds, then is down; mail so far goes back at once', () => {
  const { record, turn, run, kernel } = makeKernel();
  const watcher = record();
  const sender = record();
  const { ref } = record({}, { intensity: { maxRestarts: 0, withinMs: 1000 } });
  const barrier = new TestBarrier();
  turn(watcher.ref, (t) => t.monitor(ref));
  turn(ref, (t) => {
    t.hold(barrier);
    t.send(watcher.ref, note(1));
  });
  kernel.send(
    sender.ref,
    doing((t) => {
      t.send(
        ref,
        doing(() => {
          throw new Error('on purpose');
        }),
      );
      t.send(ref, note(2));
    }),
  );
  run();
  assert.deepEqual(kinds(watcher.log.seen), []);
  assert.deepEqual(sender.log.seen, [{ kind: 'bounced', message: note(2), reason: 'no_actor' }]);
  assert.equal(kernel.mailboxDepth(ref), 0);
  barrier.settle();
  run();
  assert.deepEqual(watcher.log.seen, [note(1), { kind: 'down', ref, reason: { kind: 'crash', error: 'Error: on purpose' } }]);
  assert.equal(kernel.inspect().actors, 2);
});

test('an entity that ends by its intensity: mail before goes back, mail while its effects are held is for its successor', () => {
  const { record, run, kernel } = makeKernel();
  const receiver = record();
  const sender = record();
  const room = makeLog();
  const barrier = new TestBarrier();
  kernel.registerEntity({
    kind: 'room',
    machine: { ...recorder, intensity: { maxRestarts: 0, withinMs: 1000 } },
    args: () => ({ log: room }),
  });
  const sendTo = (message: Message): void =>
    void kernel.send(
      sender.ref,
      doing((t) => t.sendTo('room', 'key', message)),
    );
  sendTo(
    doing((t) => {
      t.hold(barrier);
      t.send(receiver.ref, note(1));
    }),
  );
  sendTo(
    doing(() => {
      throw new Error('on purpose');
    }),
  );
  sendTo(note(2));
  run();
  sendTo(note(3));
  run();
  assert.deepEqual(sender.log.seen, [{ kind: 'bounced', message: note(2), reason: 'no_actor' }]);
  assert.equal(room.lives, 1);
  barrier.settle();
  run();
  assert.equal(room.lives, 2);
  assert.deepEqual(numbers(room.seen), [3]);
  assert.deepEqual(numbers(receiver.log.seen), [1]);
});

test('an actor that ends by its intensity because its barrier failed ends at once', () => {
  const { record, turn, run } = makeKernel();
  const watcher = record();
  const { ref } = record({}, { intensity: { maxRestarts: 0, withinMs: 1000 } });
  const [bad, later] = [new TestBarrier(), new TestBarrier()];
  turn(watcher.ref, (t) => t.monitor(ref));
  for (const barrier of [bad, later]) {
    turn(ref, (t) => {
      t.hold(barrier);
      t.send(watcher.ref, note(1));
    });
  }
  bad.settle(new Error('disk full'));
  run();
  assert.deepEqual(watcher.log.seen, [{ kind: 'down', ref, reason: { kind: 'crash', error: 'Error: disk full' } }]);
});

test('a drill on an actor that is stopping changes how it ends, not what leaves', () => {
  const { record, turn, run, kernel } = makeKernel();
  const watcher = record();
  const { ref } = record();
  const barrier = new TestBarrier();
  turn(watcher.ref, (t) => t.monitor(ref));
  turn(ref, (t) => {
    t.hold(barrier);
    t.send(watcher.ref, note(1));
    t.stop('idle');
  });
  kernel.crash(ref, new Error('drill'));
  run();
  assert.deepEqual(watcher.log.seen, []);
  barrier.settle();
  run();
  assert.deepEqual(watcher.log.seen, [note(1), { kind: 'down', ref, reason: { kind: 'crash', error: 'Error: drill' } }]);
});

test('a held effect that throws after its actor was rebuilt crashes the new life; the others leave', () => {
  const { record, turn, run, kernel } = makeKernel();
  const receiver = record();
  const { ref, log } = record();
  const barrier = new TestBarrier();
  turn(ref, (t) => {
    t.hold(barrier);
    t.effect(() => {
      throw new Error('socket');
    });
    t.send(receiver.ref, note(1));
  });
  kernel.crash(ref, new Error('drill'));
  run();
  barrier.settle();
  run();
  assert.equal(log.lives, 3);
  assert.deepEqual(numbers(receiver.log.seen), [1]);
});

test('at maxHeldTurns a barrier that lets nothing leave does not start the rebuilding', () => {
  const { record, turn, run, kernel } = makeKernel({ limits: { maxHeldTurns: 1 } });
  const { ref, log } = record();
  const [a, b] = [new TestBarrier(), new TestBarrier()];
  turn(ref, (t) => {
    t.hold(a);
    t.hold(b);
  });
  kernel.crash(ref, new Error('drill'));
  run();
  a.settle();
  run();
  assert.equal(log.lives, 1);
  b.settle();
  run();
  assert.equal(log.lives, 2);
});

test('maxHeldTurns bounds what is held over any number of crashes', () => {
  const { record, kernel, run, crashes } = makeKernel({
    limits: { maxHeldTurns: 5, intensity: { maxRestarts: 1e9, withinMs: 1 } },
  });
  const receiver = record();
  const { ref } = record();
  const barriers: TestBarrier[] = [];
  for (let n = 0; n < 100; n++) {
    kernel.send(
      ref,
      doing((t) => {
        const barrier = new TestBarrier();
        barriers.push(barrier);
        t.hold(barrier);
        t.send(receiver.ref, note(n));
      }),
    );
    kernel.send(
      ref,
      doing(() => {
        throw new Error('on purpose');
      }),
    );
    run();
    kernel.crash(ref, new Error('drill'));
    run();
    assert.ok(kernel.inspect().machines[0]!.heldTurns <= 5);
  }
  assert.ok(crashes.length >= 100);
  for (let at = 0; at < barriers.length; at++) {
    barriers[at]!.settle();
    run();
    assert.ok(kernel.inspect().machines[0]!.heldTurns <= 5);
  }
  assert.deepEqual(
    numbers(receiver.log.seen),
    Array.from({ length: 100 }, (_, n) => n),
  );
  assert.equal(kernel.mailboxDepth(ref), 0);
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

test('any schedule of turns, crashes, holds, settlements and failures: what no failed barrier drops leaves, once and in order', () => {
  forSeeds(400, (choose) => {
    const maxHeldTurns = 1 + choose(8);
    const { record, kernel, run, clock } = makeKernel({ limits: { maxHeldTurns, turnBudget: 1 + choose(5) } });
    const ledger = new Ledger();
    const barriers: TestBarrier[] = [];
    /** By number in the ledger: what each turn waits for. */
    const waitsFor: TestBarrier[][] = [];
    /** Asserting in a turn would only be another crash. */
    const wrong: string[] = [];
    const act = (turn: Turn<Message>): void => {
      const mine: TestBarrier[] = [];
      if (choose(2) === 0) {
        if (barriers.length === 0 || choose(3) === 0) barriers.push(new TestBarrier());
        for (let i = choose(2); i >= 0; i--) mine.push(barriers[barriers.length - 1 - choose(Math.min(3, barriers.length))]!);
      }
      for (const barrier of mine) turn.hold(barrier);
      if (choose(12) === 0) settleOne();
      if (choose(6) === 0) {
        turn.effect(() => wrong.push('an effect of a turn that failed has left'));
        throw new Error('on purpose');
      }
      ledger.finish(turn);
      waitsFor.push(mine);
      if (choose(30) === 0) {
        turn.effect(() => {
          throw new Error('an effect');
        });
      }
    };
    const settleOne = (): void => {
      const open = barriers.filter(({ settled }) => !settled);
      if (open.length > 0) open[choose(open.length)]!.settle(choose(8) === 0 ? new Error('failed') : undefined);
    };
    const hasFailed = ({ error }: TestBarrier): boolean => error !== undefined;
    const { ref } = record(
      {},
      {
        intensity: { maxRestarts: 1e9, withinMs: 1 },
        recover: ({ data, hasLostHeld }, _args, turn) => {
          if (hasLostHeld) {
            const { waiting } = ledger;
            if (waiting.length > 0 && !waitsFor[waiting[0]!]!.some(hasFailed)) wrong.push('dropped without a failed barrier');
            ledger.drop();
          }
          act(turn);
          return { state: 'one', data };
        },
      },
    );
    for (let step = 0; step < 80; step++) {
      switch (choose(7)) {
        case 0:
        case 1:
        case 2:
          kernel.send(ref, doing(act));
          break;
        case 3:
          settleOne();
          break;
        case 4:
          clock.tick();
          break;
        case 5:
          if (choose(3) === 0) kernel.crash(ref, new Error('drill'), choose(2) === 0 ? 'now' : 'next_message');
          break;
        default:
          run();
      }
      assert.ok((kernel.inspect().machines[0]?.heldTurns ?? 0) <= maxHeldTurns);
    }
    for (let rounds = 0; rounds < 150; rounds++) {
      run();
      for (const barrier of barriers) if (!barrier.settled) barrier.settle();
    }
    run();
    assert.deepEqual(wrong, []);
    assert.deepEqual(ledger.left, ledger.expected);
    assert.equal(kernel.mailboxDepth(ref), 0);
    assert.equal(kernel.inspect().machines[0]!.heldTurns, 0);
  });
});
