import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineMachine } from '../../src/kernel/actor.ts';
import type { Message, Turn } from '../../src/kernel/actor.ts';
import { doing, kinds, makeKernel, note, numbers, recorder, settle, TestBarrier } from './fixture.ts';

const crash = doing(() => {
  throw new Error('on purpose');
});

test('a crashed actor goes on under the same reference with the mail still queued; the failing event is dropped', () => {
  const { record, kernel, run, crashes } = makeKernel();
  const { ref, log } = record();
  for (const message of [note(1), crash, note(2)]) kernel.send(ref, message);
  run();
  assert.deepEqual(numbers(log.seen), [1, 2]);
  assert.equal(log.lives, 2);
  assert.equal(crashes.length, 1);
  const { machine, state, event, crashes: count, willRestart } = crashes[0]!;
  assert.deepEqual(
    { machine, state, event, count, willRestart },
    { machine: 'recorder', state: 'one', event: 'do', count: 1, willRestart: true },
  );
  assert.equal(kernel.list()[0]!.restarts, 1);
});

test('recover gets state, data, event and error of the crash, and says where to go on', () => {
  const { kernel, run } = makeKernel();
  const seen: unknown[] = [];
  const machine = defineMachine<'a' | 'b' | 'c', { name: string }, Message, string>({
    name: 'm',
    initial: 'a',
    init: (name) => ({ name }),
    states: {
      a: () => 'b',
      b: (data) => {
        data.name = 'half done';
        throw new Error('no');
      },
      c: (data, event) => {
        seen.push(['c', data.name, event.kind]);
        return 'c';
      },
    },
    recover: ({ state, data, event, error }, args) => {
      seen.push([state, data.name, event.kind, String(error), args]);
      return { state: 'c', data: { name: 'new' } };
    },
  });
  const ref = kernel.spawn(machine, 'original');
  for (const kind of ['x', 'y', 'z']) kernel.send(ref, { kind });
  run();
  assert.deepEqual(seen, [
    ['b', 'half done', 'y', 'Error: no', 'original'],
    ['c', 'new', 'z'],
  ]);
});

test('timers, tasks and asks of the old life do not reach the new one; what it held leaves', async () => {
  const { record, turn, kernel, run, clock } = makeKernel();
  const receiver = record();
  const silent = record();
  const { ref, log } = record();
  const barrier = new TestBarrier();
  const slow = Promise.withResolvers<number>();
  turn(ref, (t) => {
    t.timer('old', 50);
    t.task('old', slow.promise);
    t.ask('old', silent.ref, 500, (replyTo) => note(1, { replyTo }));
    t.hold(barrier);
  });
  turn(ref, (t) => {
    t.send(receiver.ref, note(1));
    t.spawn(recorder, { log: receiver.log });
  });
  kernel.send(ref, crash);
  run();
  turn(ref, (t) => t.timer('new', 60));
  slow.resolve(1);
  await settle();
  barrier.settle();
  clock.advance(1000);
  await settle();
  run();
  assert.deepEqual(log.seen, [{ kind: 'timeout', name: 'new' }]);
  assert.equal(receiver.log.lives, 2, 'the child was started');
  assert.deepEqual(numbers(receiver.log.seen), [1]);
  assert.deepEqual(silent.log.seen, []);
  const { actors, timers, asks, tasks } = kernel.inspect();
  assert.deepEqual({ actors, timers, asks, tasks }, { actors: 4, timers: 0, asks: 0, tasks: 0 });
});

test('an outcome that is in the mailbox when the actor crashes is not handed to the new life; a bounce is', async () => {
  const { record, turn, kernel, run } = makeKernel();
  const gone = record();
  kernel.kill(gone.ref);
  run();
  const { ref, log } = record();
  kernel.send(
    ref,
    doing((t) => {
      t.send(t.self, crash); // before the outcomes below
      t.ask('old', gone.ref, 100, (replyTo) => note(1, { replyTo }));
      t.send(gone.ref, note(2));
    }),
  );
  run();
  await settle();
  assert.deepEqual(log.seen, [{ kind: 'bounced', message: note(2), reason: 'no_actor' }]);
  turn(ref, () => undefined);
  assert.equal(log.lives, 2);
});

test('postponed mail survives a crash and comes first', () => {
  const { kernel, run, record } = makeKernel();
  const { ref, log } = record({
    onEvent: (event, turn, { lives }) => {
      if (lives === 1 && event.kind === 'note') turn.postpone();
    },
  });
  for (const message of [note(1), note(2), crash, note(3)]) kernel.send(ref, message);
  run();
  assert.deepEqual(numbers(log.seen), [1, 2, 1, 2, 3]);
  assert.equal(kernel.mailboxDepth(ref), 0);
});

test('more than maxRestarts crashes within the window end the actor; slower ones never do', () => {
  const { record, turn, clock, crashes, kernel, failures } = makeKernel();
  const reasons: unknown[] = [];
  const { ref, log } = record({}, { intensity: { maxRestarts: 3, withinMs: 10_000 }, terminate: (_d, _s, reason) => reasons.push(reason) });
  for (let i = 0; i < 12; i++) {
    turn(ref, crash.run);
    clock.advance(3_400); // three in the window
  }
  assert.equal(log.lives, 13);
  clock.advance(20_000);
  for (let i = 0; i < 5; i++) turn(ref, crash.run);
  assert.equal(log.lives, 16);
  assert.deepEqual(reasons, [{ kind: 'crash', error: 'Error: on purpose' }]);
  assert.equal(crashes.at(-1)!.willRestart, false);
  assert.equal(crashes.at(-1)!.crashes, 4);
  assert.equal(kernel.inspect().actors, 0);
  assert.deepEqual(failures, []);
});

test('an actor whose init always throws ends after its intensity, and terminate, which knows no data, is not called', () => {
  const { kernel, run, crashes } = makeKernel();
  let inits = 0;
  let terminated = 0;
  kernel.spawn(
    {
      ...recorder,
      init: () => {
        inits++;
        throw new Error('cannot');
      },
      terminate: () => terminated++,
      intensity: { maxRestarts: 2, withinMs: 1000 },
    },
    { log: { seen: [], lives: 0 } },
  );
  run();
  assert.equal(inits, 3);
  assert.equal(terminated, 0);
  assert.deepEqual(
    crashes.map(({ event }) => event),
    ['init', 'init', 'init'],
  );
  assert.equal(kernel.inspect().actors, 0);
});

test('a recover that throws is tried again with the data of the real crash, within the intensity', () => {
  const { kernel, run, crashes } = makeKernel();
  const attempts: unknown[] = [];
  const machine = defineMachine<'a', { n: number }, Message, null>({
    name: 'm',
    initial: 'a',
    init: () => ({ n: 7 }),
    states: {
      a: () => {
        throw new Error('first');
      },
    },
    recover: ({ data, event }) => {
      attempts.push([data.n, event.kind]);
      if (attempts.length < 3) throw new Error('again');
      return { state: 'a', data: { n: 8 } };
    },
    intensity: { maxRestarts: 3, withinMs: 1000 },
  });
  const ref = kernel.spawn(machine, null);
  kernel.send(ref, note(1));
  run();
  assert.deepEqual(attempts, [
    [7, 'note'],
    [7, 'note'],
    [7, 'note'],
  ]);
  assert.deepEqual(
    crashes.map(({ event }) => event),
    ['note', 'recover', 'recover'],
  );
  assert.equal(kernel.inspect().actors, 1);
});

test('what recover sends leaves; what it tells monitors comes before', () => {
  const { kernel, run, record, turn } = makeKernel();
  const watcher = record();
  const machine = {
    ...recorder,
    recover: ({ data }: { data: unknown }, _args: unknown, turn: Turn<Message>) => {
      turn.send(watcher.ref, note(5));
      return { state: 'two', data: data as never };
    },
  };
  const ref = kernel.spawn(machine, { log: { seen: [], lives: 0 } });
  turn(watcher.ref, (t) => t.monitor(ref));
  kernel.send(ref, crash);
  run();
  assert.deepEqual(watcher.log.seen, [{ kind: 'restarted', ref }, note(5)]);
  assert.equal(kernel.list({}).find(({ restarts }) => restarts === 1)!.state, 'two');
});

test('the mail of an actor that ends by its intensity bounces', () => {
  const { record, kernel, run } = makeKernel();
  const sender = record();
  const { ref } = record({}, { intensity: { maxRestarts: 0, withinMs: 1000 } });
  kernel.send(
    sender.ref,
    doing((t) => {
      t.send(ref, crash);
      t.send(ref, note(1));
    }),
  );
  run();
  assert.deepEqual(sender.log.seen, [{ kind: 'bounced', message: note(1), reason: 'no_actor' }]);
});

test('a terminate that throws is reported and changes nothing', () => {
  const { record, kernel, run, failures } = makeKernel();
  const { ref } = record(
    {},
    {
      terminate: () => {
        throw new Error('last words');
      },
    },
  );
  kernel.stop(ref);
  run();
  assert.equal(failures[0]!.what, 'terminate');
  assert.equal(kernel.inspect().actors, 0);
});

test('kernel.crash: at once without touching the mail, or in place of the next message', () => {
  const { record, kernel, run, crashes, clock, turn } = makeKernel();
  const { ref, log } = record();
  kernel.send(ref, note(1));
  assert.ok(kernel.crash(ref, new Error('drill')));
  run();
  assert.deepEqual(numbers(log.seen), [1]);
  assert.equal(log.lives, 2);
  assert.equal(crashes[0]!.event, 'task');

  assert.ok(kernel.crash(ref, new Error('drill'), 'next_message'));
  turn(ref, () => undefined); // takes it
  assert.equal(log.lives, 3);
  assert.equal(crashes[1]!.event, 'do');

  kernel.crash(ref, new Error('drill'), 'next_message');
  turn(ref, () => undefined);
  clock.advance(20_000);
  kernel.stop(ref);
  run();
  assert.equal(kernel.crash(ref, new Error('nobody')), false);
});

test('an injected crash does not wait for a barrier and drops nothing that is held; at maxHeldTurns the rebuilding waits', () => {
  const { record, kernel, run, turn, crashes } = makeKernel({ limits: { maxHeldTurns: 2 } });
  const receiver = record();
  const { ref, log } = record();
  const barrier = new TestBarrier();
  turn(ref, (t) => {
    t.hold(barrier);
    t.send(receiver.ref, note(1));
  });
  kernel.crash(ref, new Error('drill'));
  run();
  assert.equal(log.lives, 2);
  assert.equal(kernel.inspect().machines[0]!.heldTurns, 2, 'that of init waits, too');
  kernel.crash(ref, new Error('drill'));
  run();
  assert.equal(crashes.length, 2);
  assert.equal(log.lives, 2);
  assert.equal(kernel.inspect().machines[0]!.heldTurns, 2);
  assert.ok(kernel.list().some(({ state }) => state === 'recovering'));
  barrier.settle();
  run();
  assert.equal(log.lives, 3);
  assert.deepEqual(numbers(receiver.log.seen), [1]);
});

test('kill ends an actor whatever it has to do; its mail goes back', () => {
  const { record, kernel, run, turn } = makeKernel();
  const watcher = record();
  const { ref, log } = record();
  const barrier = new TestBarrier();
  turn(watcher.ref, (t) => t.monitor(ref));
  turn(ref, (t) => {
    t.hold(barrier);
    t.send(watcher.ref, note(1));
  });
  kernel.send(
    watcher.ref,
    doing((t) => t.send(ref, note(2))),
  );
  kernel.kill(ref, 'enough');
  kernel.send(ref, note(3));
  run();
  barrier.settle();
  run();
  assert.deepEqual(log.seen, []);
  assert.deepEqual(kinds(watcher.log.seen).sort(), ['bounced', 'down']);
  assert.deepEqual(
    watcher.log.seen.find(({ kind }) => kind === 'down'),
    { kind: 'down', ref, reason: { kind: 'killed', why: 'enough' } },
  );
});

test('an observer learns of every end', () => {
  const ended: unknown[] = [];
  const { kernel, run, record } = makeKernel();
  const { ref } = record();
  kernel.onExit(ref, (reason) => ended.push(reason));
  kernel.onExit({ ...ref, id: ref.id + 1 }, (reason) => ended.push(reason));
  kernel.stop(ref, 'why');
  run();
  assert.deepEqual(ended, [
    { kind: 'killed', why: 'no_actor' },
    { kind: 'normal', why: 'why' },
  ]);
});
