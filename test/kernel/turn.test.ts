import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message, Turn } from '../../src/kernel/actor.ts';
import { defineMachine } from '../../src/kernel/actor.ts';
import { ManualClock } from '../../src/kernel/clock.ts';
import { doing, kinds, makeKernel, note, numbers, recorder, settle } from './fixture.ts';
import type { Note } from './fixture.ts';

test('effects leave when the state function returns, in order', () => {
  const { record, turn, kernel } = makeKernel();
  const receiver = record();
  const sender = record();
  const order: string[] = [];
  turn(sender.ref, (t) => {
    t.send(receiver.ref, note(1));
    t.effect(() => order.push(`effect sees ${kernel.mailboxDepth(receiver.ref)}`));
    t.send(receiver.ref, note(2));
    order.push('returned');
  });
  assert.deepEqual(order, ['returned', 'effect sees 1']);
  assert.deepEqual(numbers(receiver.log.seen), [1, 2]);
});

test('if the state function throws, nothing of the turn happens', async () => {
  const { record, turn, kernel, crashes, clock } = makeKernel();
  const receiver = record();
  const sender = record();
  const before = kernel.inspect().actors;
  let effects = 0;
  let rejections = 0;
  const onRejection = (): void => void rejections++;
  process.on('unhandledRejection', onRejection);
  turn(sender.ref, (t) => {
    t.send(receiver.ref, note(1));
    t.timer('never', 10);
    t.monitor(receiver.ref);
    t.spawn(recorder, { log: receiver.log });
    t.effect(() => effects++);
    t.ask('never', receiver.ref, 100, (replyTo) => note(2, { replyTo }));
    t.task('never', Promise.reject(new Error('nobody looks')));
    t.stop('never');
    throw new Error('on purpose');
  });
  clock.advance(1000);
  await settle();
  process.off('unhandledRejection', onRejection);
  assert.equal(effects, 0);
  assert.equal(rejections, 0);
  assert.deepEqual(receiver.log.seen, []);
  assert.deepEqual(sender.log.seen, []);
  assert.equal(sender.log.lives, 2);
  assert.equal(crashes.length, 1);
  const { actors, timers, asks, monitors, tasks } = kernel.inspect();
  assert.deepEqual({ actors, timers, asks, monitors, tasks }, { actors: before, timers: 0, asks: 0, monitors: 0, tasks: 0 });
});

test('init is the first turn: mail sent meanwhile waits, what init sends leaves', () => {
  const { record, kernel, run } = makeKernel();
  const receiver = record();
  const late = { seen: [], lives: 0 };
  const ref = kernel.spawn(recorder, { log: late, onInit: (t: Turn<Message>) => t.send(receiver.ref, note(7)) });
  kernel.send(ref, note(1));
  assert.equal(late.lives, 0);
  run();
  assert.deepEqual(numbers(receiver.log.seen), [7]);
  assert.deepEqual(numbers(late.seen), [1]);
});

test('an actor spawned in a turn starts after it, and understands mail of the same turn', () => {
  const { record, turn } = makeKernel();
  const parent = record();
  const log = { seen: [], lives: 0 };
  turn(parent.ref, (t) => {
    const child = t.spawn(recorder, { log });
    t.send(child, note(1));
    assert.equal(log.lives, 0);
  });
  assert.deepEqual(numbers(log.seen), [1]);
});

test('a state change gives postponed events another try, in order and before newer mail', () => {
  const { record, kernel, run } = makeKernel();
  let isReady = false;
  const handled: number[] = [];
  const { ref } = record({
    onEvent: (event, turn) => {
      const { n } = event as Note;
      isReady ||= n === 100;
      if (isReady) handled.push(n);
      else turn.postpone();
      return isReady ? 'two' : 'one';
    },
  });
  for (const n of [1, 2, 100, 3]) kernel.send(ref, note(n));
  run();
  assert.deepEqual(handled, [100, 1, 2, 3]);
});

test('events postponed again while they are replayed keep their order', () => {
  const { kernel, run } = makeKernel();
  const order: string[] = [];
  /** Handles n only in state n; every event moves it one state on. */
  const ladder = defineMachine<'0' | '1' | '2' | '3', null, Message & { n?: number }, null>({
    name: 'ladder',
    initial: '0',
    init: () => null,
    states: { '0': step(0), '1': step(1), '2': step(2), '3': step(3) },
  });
  function step(state: number) {
    return (_: null, event: Message & { n?: number }, turn: Turn<Message>): '0' | '1' | '2' | '3' => {
      if (event.n !== state) {
        turn.postpone();
        return String(state) as '0';
      }
      order.push(`${event.kind}${event.n}`);
      return String(Math.min(state + 1, 3)) as '0';
    };
  }
  const ref = kernel.spawn(ladder, null);
  for (const [kind, n] of [
    ['a', 3],
    ['b', 3],
    ['c', 2],
    ['d', 1],
    ['e', 0],
    ['f', 3],
  ] as const)
    kernel.send(ref, { kind, n });
  run();
  assert.deepEqual(order, ['e0', 'd1', 'c2', 'a3', 'b3', 'f3']);
  assert.equal(kernel.mailboxDepth(ref), 0);
});

test('what is postponed again while others are replayed stays before those that were behind it', () => {
  const { record, kernel, run } = makeKernel();
  let opened = 0;
  const order: number[] = [];
  // `n` is handled once `n` keys have been seen; a key changes the state, even as it is replayed itself.
  const { ref } = record({
    onEvent: (event, turn) => {
      const { n, from } = event as Note;
      if (n > opened) {
        turn.postpone();
        return undefined;
      }
      order.push(n);
      return from === 'key' ? (opened++ % 2 === 0 ? 'two' : 'one') : undefined;
    },
  });
  for (const message of [note(2), note(1, { from: 'key' }), note(2), note(1), note(0, { from: 'key' }), note(2)]) kernel.send(ref, message);
  run();
  assert.deepEqual(order, [0, 1, 2, 2, 1, 2]);
});

test('there is nothing to postpone while an actor is built', () => {
  const { kernel, run, crashes } = makeKernel({ limits: { intensity: { maxRestarts: 0, withinMs: 1 } } });
  kernel.spawn(recorder, { log: { seen: [], lives: 0 }, onInit: (t) => t.postpone() });
  run();
  assert.match(String(crashes[0]!.error), /no event to postpone/);
});

test('a machine that postpones kernel events for ever crashes at maxPostponed, and keeps its mail', () => {
  const { kernel, record, turn, clock, crashes, run } = makeKernel({ limits: { maxPostponed: 5 } });
  const { ref, log } = record({ onEvent: (_event, t, { lives }) => (lives === 1 ? t.postpone() : undefined) });
  kernel.send(ref, note(1));
  run();
  for (let i = 0; i < 6; i++) {
    turn(ref, (t) => t.timer(`t${i}`, 1));
    clock.advance(1);
  }
  run();
  assert.match(String(crashes[0]!.error), /postponed more than 5/);
  assert.deepEqual(numbers(log.seen.slice(-1)), [1]);
  assert.equal(kernel.mailboxDepth(ref), 0);
});

test("a state change cancels the timer 'state' and no other; one started in the same turn stays", () => {
  const { record, turn, clock } = makeKernel();
  const { ref, log } = record();
  turn(ref, (t) => {
    t.timer('state', 10);
    t.timer('other', 10);
  });
  turn(ref, () => 'two');
  clock.advance(20);
  assert.deepEqual(log.seen, [{ kind: 'timeout', name: 'other' }]);
  turn(ref, (t) => {
    t.timer('state', 10);
    return 'one';
  });
  clock.advance(20);
  assert.deepEqual(log.seen.at(-1), { kind: 'timeout', name: 'state' });
});

/** Lets timers fire while actors do not get to run, as when the event loop is behind. */
class BusyClock extends ManualClock {
  isBusy = false;
  override run(): void {
    if (!this.isBusy) super.run();
  }
}

test('a timeout that is in the mailbox already is taken back by cancelTimer and by a restart', () => {
  const clock = new BusyClock();
  const { record, turn, kernel, run } = makeKernel({ clock });
  const { ref, log } = record();
  turn(ref, (t) => {
    t.timer('cancelled', 10);
    t.timer('restarted', 10);
    t.timer('neither', 10);
  });
  clock.isBusy = true;
  kernel.send(
    ref,
    doing((t) => {
      t.cancelTimer('cancelled');
      t.timer('restarted', 50);
    }),
  );
  clock.advance(10);
  clock.isBusy = false;
  run();
  assert.deepEqual(log.seen, [{ kind: 'timeout', name: 'neither' }]);
  clock.advance(49);
  assert.equal(log.seen.length, 1);
  clock.advance(1);
  assert.deepEqual(log.seen[1], { kind: 'timeout', name: 'restarted' });
});

test('a timer that fires again while its first timeout is still queued is told once', () => {
  const clock = new BusyClock();
  const { record, turn, kernel, run } = makeKernel({ clock });
  const { ref, log } = record();
  turn(ref, (t) => t.timer('t', 10));
  clock.isBusy = true;
  for (let i = 0; i < 40; i++)
    kernel.send(
      ref,
      doing(() => undefined),
    ); // more than one go
  kernel.send(
    ref,
    doing((t) => t.timer('t', 5)),
  );
  clock.advance(10);
  clock.isBusy = false;
  run();
  clock.advance(100);
  assert.deepEqual(kinds(log.seen), ['timeout']);
});

test('tasks come back as events, rejected ones too', async () => {
  const { record, turn, run, kernel } = makeKernel();
  const { ref, log } = record();
  const error = new Error('no');
  turn(ref, (t) => {
    t.task('good', Promise.resolve(5));
    t.task('bad', Promise.reject(error));
  });
  assert.equal(kernel.inspect().tasks, 2);
  await settle();
  run();
  assert.deepEqual(log.seen, [
    { kind: 'task', name: 'good', ok: true, value: 5 },
    { kind: 'task', name: 'bad', ok: false, error },
  ]);
  assert.equal(kernel.inspect().tasks, 0);
});

test('stop ends the actor after the turn: effects leave, mail still queued bounces as no_actor', () => {
  const { record, kernel, run } = makeKernel();
  const reasons: unknown[] = [];
  const receiver = record();
  const sender = record();
  const { ref } = record({}, { terminate: (_data, state, reason) => reasons.push([state, reason]) });
  kernel.send(
    sender.ref,
    doing((t) => {
      t.send(
        ref,
        doing((own) => {
          own.stop('done');
          own.send(receiver.ref, note(1));
        }),
      );
      t.send(ref, note(2));
    }),
  );
  run();
  assert.deepEqual(reasons, [['one', { kind: 'normal', why: 'done' }]]);
  assert.deepEqual(numbers(receiver.log.seen), [1]);
  assert.deepEqual(sender.log.seen, [{ kind: 'bounced', message: note(2), reason: 'no_actor' }]);
  assert.equal(kernel.send(ref, note(3)), false);
});

test('messages to an actor that is not there bounce to the sender, never twice', () => {
  const { record, turn, kernel, run } = makeKernel();
  const sender = record();
  const gone = record();
  kernel.stop(gone.ref);
  run();
  turn(sender.ref, (t) => {
    t.send(gone.ref, note(1));
    t.stop('gone before its bounce arrives');
  });
  assert.equal(kernel.inspect().bounced.no_actor, 1);
});

test('a full mailbox bounces what exceeds it, and keeps what it has', () => {
  const { record, turn } = makeKernel();
  const receiver = record({}, { mailbox: { maxMessages: 3, maxBytes: 10_000 } });
  const sender = record();
  turn(sender.ref, (t) => {
    for (let n = 1; n <= 5; n++) t.send(receiver.ref, note(n));
  });
  assert.deepEqual(numbers(receiver.log.seen), [1, 2, 3]);
  assert.deepEqual(sender.log.seen, [
    { kind: 'bounced', message: note(4), reason: 'mailbox_full' },
    { kind: 'bounced', message: note(5), reason: 'mailbox_full' },
  ]);
});

test('a mailbox full of mail still takes kernel events', () => {
  const { record, kernel, clock, turn, run } = makeKernel();
  const { ref, log } = record({}, { mailbox: { maxMessages: 1, maxBytes: 10_000 } });
  turn(ref, (t) => t.timer('t', 10));
  clock.schedule(9, () => {
    kernel.send(ref, note(1));
    assert.equal(kernel.send(ref, note(2)), false);
  });
  clock.advance(20);
  run();
  assert.deepEqual(kinds(log.seen), ['note', 'timeout']);
});

test('a turn used after its end says so instead of speaking for another actor', () => {
  const { record, turn } = makeKernel();
  const { ref } = record();
  const receiver = record();
  let kept: Turn<Message> | undefined;
  turn(ref, (t) => {
    kept = t;
  });
  assert.throws(() => kept!.send(receiver.ref, note(1)), /after it had ended/);
  assert.throws(() => kept!.stop('no'), /after it had ended/);
  assert.throws(() => kept!.hold({ settled: true, error: undefined, onSettled: () => undefined }), /after it had ended/);
});

test('an async state function, or one that returns no state, crashes its actor', () => {
  const { kernel, run, crashes } = makeKernel();
  const wrong = (next: unknown) => ({
    name: 'wrong',
    initial: 'a',
    init: () => null,
    states: { a: () => next as string },
    intensity: { maxRestarts: 0, withinMs: 1 },
  });
  for (const next of [Promise.resolve('a'), 'nowhere', undefined, 'constructor']) kernel.send(kernel.spawn(wrong(next), null), note(1));
  run();
  assert.equal(crashes.length, 4);
  for (const { error } of crashes) assert.match(String(error), /which is not one of its states/);
});

test('an effect that throws does not keep back the others of its turn; the actor crashes after them', () => {
  const { record, turn, crashes } = makeKernel();
  const receiver = record();
  const { ref, log } = record();
  turn(ref, (t) => {
    t.send(receiver.ref, note(1));
    t.effect(() => {
      throw new Error('effect');
    });
    t.send(receiver.ref, note(2));
  });
  assert.deepEqual(numbers(receiver.log.seen), [1, 2]);
  assert.equal(crashes.length, 1);
  assert.equal(log.lives, 2);
});

test('now is the clock of the kernel, and self the actor', () => {
  const { record, turn, clock } = makeKernel();
  const { ref } = record();
  clock.advance(1234);
  turn(ref, (t) => {
    assert.equal(t.now, clock.now());
    assert.deepEqual(t.self, ref);
  });
});

test('references are plain data', () => {
  const { record } = makeKernel({ worker: 0 });
  const { ref } = record();
  assert.deepEqual(structuredClone(ref), ref);
  assert.deepEqual(Object.keys(ref), ['node', 'worker', 'id']);
});

test('a reference to another node finds nobody', () => {
  const { record, turn } = makeKernel();
  const sender = record();
  turn(sender.ref, (t) => t.send({ ...sender.ref, node: 1 }, note(1)));
  assert.deepEqual(sender.log.seen, [{ kind: 'bounced', message: note(1), reason: 'no_actor' }]);
});
