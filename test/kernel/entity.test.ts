import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message, Turn } from '../../src/kernel/actor.ts';
import { hashKey, homeWorker } from '../../src/kernel/registry.ts';
import { doing, forSeeds, makeKernel, note, numbers, recorder, TestBarrier } from './fixture.ts';
import type { Log, Note, TestKernel } from './fixture.ts';

/** A kernel with rooms; each key has one log for all its lives. */
function withRooms(
  test_: TestKernel,
  extra: { onEvent?: (event: Message, turn: Turn<Message>, log: Log) => string | void; onInit?: (turn: Turn<Message>) => void } = {},
) {
  const logs = new Map<string, Log>();
  const logOf = (key: string): Log => {
    const log = logs.get(key) ?? { seen: [], lives: 0 };
    logs.set(key, log);
    return log;
  };
  test_.kernel.registerEntity({ kind: 'room', machine: recorder, args: (key) => ({ log: logOf(key), ...extra }) });
  return { ...test_, logOf };
}

test('the first message to a name starts its actor; there is one per key', () => {
  const { kernel, run, logOf } = withRooms(makeKernel());
  kernel.sendTo('room', 'a', note(1));
  kernel.sendTo('room', 'b', note(2));
  kernel.sendTo('room', 'a', note(3));
  run();
  assert.deepEqual(numbers(logOf('a').seen), [1, 3]);
  assert.deepEqual(numbers(logOf('b').seen), [2]);
  assert.equal(logOf('a').lives, 1);
  assert.ok(kernel.find('room', 'a'));
  assert.equal(kernel.find('room', 'c'), undefined);
});

test('a name is reached from turns with sendTo and askTo, and like any actor by its reference', () => {
  const { kernel, turn, record, logOf } = withRooms(makeKernel(), {
    onEvent: (event, t) => {
      const { replyTo } = event as Note;
      if (replyTo !== undefined) t.reply(replyTo, t.self);
    },
  });
  const { ref, log } = record();
  turn(ref, (t) => {
    t.sendTo('room', 'a', note(1));
    t.askTo('q', 'room', 'a', 100, (replyTo) => note(2, { replyTo }));
  });
  const room = kernel.find('room', 'a')!;
  assert.deepEqual(log.seen, [{ kind: 'reply', name: 'q', ok: true, value: room }]);
  turn(ref, (t) => t.send(room, note(3)));
  assert.deepEqual(numbers(logOf('a').seen), [1, 2, 3]);
});

test('a kind nobody registered is a bug of the sender', () => {
  const { kernel, turn, record, crashes } = makeKernel();
  const { ref } = record();
  turn(ref, (t) => t.sendTo('nothing', 'a', note(1)));
  assert.match(String(crashes[0]!.error), /no entity 'nothing'/);
  assert.throws(() => kernel.sendTo('nothing', 'a', note(1)), /no entity/);
});

test('mail by name that arrives while the actor stops starts its successor, in order; mail by reference bounces', () => {
  const { kernel, run, turn, record, logOf } = withRooms(makeKernel());
  kernel.sendTo('room', 'a', note(1));
  run();
  const old = kernel.find('room', 'a')!;
  const sender = record();
  turn(sender.ref, (t) => {
    t.sendTo('room', 'a', note(2));
    t.sendTo(
      'room',
      'a',
      doing((own) => own.stop('idle')),
    );
    t.sendTo('room', 'a', note(3));
    t.send(old, note(100));
    t.sendTo('room', 'a', note(4));
  });
  assert.deepEqual(numbers(logOf('a').seen), [1, 2, 3, 4]);
  assert.equal(logOf('a').lives, 2);
  assert.notDeepEqual(kernel.find('room', 'a'), old);
  assert.deepEqual(sender.log.seen, [{ kind: 'bounced', message: note(100), reason: 'no_actor' }]);
});

test('while a stopping actor still holds effects, mail by name waits for it to end', () => {
  const { kernel, run, logOf } = withRooms(makeKernel());
  const barrier = new TestBarrier();
  kernel.sendTo(
    'room',
    'a',
    doing((t) => {
      t.hold(barrier);
      t.stop('idle');
    }),
  );
  run();
  kernel.sendTo('room', 'a', note(1));
  kernel.sendTo('room', 'a', note(2));
  run();
  assert.equal(logOf('a').lives, 1);
  barrier.settle();
  run();
  assert.equal(logOf('a').lives, 2);
  assert.deepEqual(numbers(logOf('a').seen), [1, 2]);
});

test('postponed mail by name is not lost when the actor stops or is killed', () => {
  for (const end of ['stop', 'kill'] as const) {
    const { kernel, run, logOf } = withRooms(makeKernel(), {
      onEvent: (_event, turn, { lives }) => (lives === 1 ? turn.postpone() : undefined),
    });
    kernel.sendTo('room', 'a', note(1));
    kernel.sendTo('room', 'a', note(2));
    run();
    kernel[end](kernel.find('room', 'a')!);
    kernel.sendTo('room', 'a', note(3));
    run();
    assert.deepEqual(numbers(logOf('a').seen.slice(-3)), [1, 2, 3]);
  }
});

test('an entity that cannot start does not restart for ever over the same mail: it bounces', () => {
  let inits = 0;
  const { run, record, turn } = withRooms(makeKernel({ limits: { intensity: { maxRestarts: 2, withinMs: 1000 } } }), {
    onInit: () => {
      inits++;
      throw new Error('cannot');
    },
  });
  const sender = record();
  turn(sender.ref, (t) => t.sendTo('room', 'a', note(1)));
  run();
  assert.equal(inits, 3);
  assert.deepEqual(sender.log.seen, [{ kind: 'bounced', message: note(1), reason: 'no_actor' }]);
});

test('a crashed entity keeps its name', () => {
  const { kernel, run, logOf } = withRooms(makeKernel());
  kernel.sendTo('room', 'a', note(1));
  run();
  const ref = kernel.find('room', 'a')!;
  kernel.crash(ref, new Error('drill'));
  kernel.sendTo('room', 'a', note(2));
  run();
  assert.deepEqual(kernel.find('room', 'a'), ref);
  assert.deepEqual(numbers(logOf('a').seen), [1, 2]);
});

test('at maxActors a name that would have to start bounces, others are reached', () => {
  const { kernel, run, record, turn, logOf } = withRooms(makeKernel({ limits: { maxActors: 2 } }));
  const { ref, log } = record();
  kernel.sendTo('room', 'a', note(1));
  run();
  turn(ref, (t) => {
    t.sendTo('room', 'b', note(2));
    t.sendTo('room', 'a', note(3));
  });
  assert.deepEqual(log.seen, [{ kind: 'bounced', message: note(2), reason: 'no_actor' }]);
  assert.deepEqual(numbers(logOf('a').seen), [1, 3]);
  assert.throws(() => kernel.spawn(recorder, { log }), /2 actors already/);
});

test('homes: every worker computes the same, keys spread evenly, also those that differ in one digit', () => {
  for (const workers of [1, 2, 3, 8, 13]) {
    const counts = new Array<number>(workers).fill(0);
    for (let i = 0; i < 10_000; i++) counts[homeWorker(`user${i}@capulet.lit`, workers)]!++;
    for (const count of counts) assert.ok(Math.abs(count - 10_000 / workers) < 400, `${workers} workers: ${counts.join(' ')}`);
  }
  assert.equal(hashKey(''), (0x811c9dc5 ^ (0x811c9dc5 >>> 16)) >>> 0);
  assert.notEqual(hashKey('ab'), hashKey('ba'));
});

test('any schedule of mail, passivation and crashes loses no mail by name and keeps its order per sender', () => {
  forSeeds(150, (choose) => {
    const { kernel, run, clock, record, logOf } = withRooms(
      makeKernel({ limits: { turnBudget: 1 + choose(4), intensity: { maxRestarts: 1e6, withinMs: 1 } } }),
      {
        onEvent: (_event, turn) => {
          if (choose(12) === 0) turn.stop('idle');
          if (choose(8) === 0) turn.hold(barriers[barriers.push(new TestBarrier()) - 1]!);
          return choose(6) === 0 ? 'two' : 'one';
        },
      },
    );
    const barriers: TestBarrier[] = [];
    const senders = ['x', 'y'].map((from) => ({ from, n: 0, ref: record().ref }));
    for (let step = 0; step < 120; step++) {
      switch (choose(6)) {
        case 0:
        case 1:
        case 2: {
          const sender = senders[choose(2)]!;
          kernel.send(
            sender.ref,
            doing((t) => t.sendTo('room', 'a', note(sender.n++, { from: sender.from }))),
          );
          break;
        }
        case 3: {
          const ref = kernel.find('room', 'a');
          if (ref !== undefined)
            [() => kernel.stop(ref), () => kernel.kill(ref), () => kernel.crash(ref, new Error('drill'))][choose(3)]!();
          break;
        }
        case 4:
          barriers[choose(Math.max(1, barriers.length))]?.settle();
          break;
        default:
          clock.tick();
      }
    }
    for (let rounds = 0; rounds < 40; rounds++) {
      run();
      for (const barrier of barriers) barrier.settle();
    }
    run();
    for (const { from, n } of senders) {
      const got = numbers(logOf('a').seen.filter((event) => (event as Note).from === from));
      assert.deepEqual(
        got,
        Array.from({ length: n }, (_, i) => i),
      );
    }
    assert.equal(kernel.inspect().bounced.no_actor, 0);
  });
});
