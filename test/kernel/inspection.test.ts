import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/kernel/clock.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { doing, makeKernel, makeLog, note, recorder, TestBarrier } from './fixture.ts';
import type { TraceEntry } from '../../src/kernel/cell.ts';

test('inspect counts actors, mail, restarts and what was started, by machine', () => {
  const { kernel, record, turn, run } = makeKernel();
  const [a, b] = [record({}, { name: 'account' }), record({}, { name: 'account' })];
  record({}, { name: 'c2s' });
  kernel.crash(a.ref, new Error('drill'));
  run();
  const barrier = new TestBarrier();
  turn(b.ref, (t) => {
    t.timer('t', 1000);
    t.monitor(a.ref);
    t.ask('q', a.ref, 1000, (replyTo) => note(1, { replyTo }));
    t.task('w', new Promise(() => undefined));
  });
  turn(b.ref, (t) => t.hold(barrier));
  for (let i = 0; i < 3; i++) kernel.send(a.ref, { ...note(i), bytes: 100 });
  const { machines, actors, crashes, restarts, timers, asks, openAsks, monitors, tasks, started, turns } = kernel.inspect();
  assert.deepEqual(machines, [
    { name: 'account', count: 2, restarts: 1, queued: 3, queuedBytes: 300, deepest: 3, heldTurns: 1 },
    { name: 'c2s', count: 1, restarts: 0, queued: 0, queuedBytes: 0, deepest: 0, heldTurns: 0 },
  ]);
  assert.deepEqual(
    { actors, crashes, restarts, timers, asks, openAsks, monitors, tasks, started },
    {
      actors: 3,
      crashes: 1,
      restarts: 1,
      timers: 1,
      asks: 1,
      openAsks: 1,
      monitors: 1,
      tasks: 1,
      started: 3,
    },
  );
  assert.ok(turns >= 6);
});

test('turnsPerSecond is that since the last inspection', () => {
  const { kernel, record, clock, run } = makeKernel();
  const { ref } = record();
  kernel.inspect();
  for (let i = 0; i < 50; i++) kernel.send(ref, note(i));
  run();
  clock.advance(2_000);
  assert.equal(kernel.inspect().turnsPerSecond, 25);
  clock.advance(1_000);
  assert.equal(kernel.inspect().turnsPerSecond, 0);
});

test('list shows the fullest mailboxes first, of one machine or all, up to a limit', () => {
  const { kernel, record } = makeKernel();
  const logs = [0, 1, 2].map((index) => record({}, { name: index === 2 ? 'c2s' : 'account', describe: () => `number ${index}` }));
  kernel.send(logs[1]!.ref, note(1));
  assert.deepEqual(
    kernel.list().map(({ description, queued }) => [description, queued]),
    [
      ['number 1', 1],
      ['number 0', 0],
      ['number 2', 0],
    ],
  );
  assert.deepEqual(kernel.list({ kind: 'account', limit: 1 }), [
    { ref: logs[1]!.ref, name: 'account', state: 'one', description: 'number 1', queued: 1, queuedBytes: 64, restarts: 0 },
  ]);
});

test('a describe that throws does not spoil the list', () => {
  const { kernel, record } = makeKernel();
  record(
    {},
    {
      describe: () => {
        throw new Error('bad data');
      },
    },
  );
  assert.equal(kernel.list()[0]!.description, '');
});

test('an actor that was spawned a moment ago is listed as starting', () => {
  const { kernel } = makeKernel();
  kernel.spawn(recorder, { log: makeLog() });
  assert.equal(kernel.list()[0]!.state, 'starting');
});

test('trace shows every event with the states before and after, failed ones without the latter, until it is taken back', () => {
  const { kernel, record, turn, run, clock } = makeKernel();
  const { ref } = record();
  const entries: TraceEntry[] = [];
  const off = kernel.trace(ref, (entry) => entries.push(entry));
  assert.ok(off);
  kernel.send(ref, note(1));
  turn(ref, () => 'two');
  kernel.send(
    ref,
    doing(() => {
      throw new Error('drill');
    }),
  );
  run();
  off();
  kernel.send(ref, note(2));
  run();
  assert.deepEqual(
    entries.map(({ event, before, after }) => [event, before, after]),
    [
      ['note', 'one', 'one'],
      ['do', 'one', 'two'],
      ['do', 'two', undefined],
    ],
  );
  assert.deepEqual([entries[0]!.ref, entries[0]!.atMs], [ref, clock.now()]);
  assert.equal(
    kernel.trace({ ...ref, id: ref.id + 1 }, () => undefined),
    false,
  );
});

test('a trace sink that throws is taken away', () => {
  const { kernel, record, run, failures } = makeKernel();
  const { ref, log } = record();
  kernel.trace(ref, () => {
    throw new Error('sink');
  });
  kernel.send(ref, note(1));
  kernel.send(ref, note(2));
  run();
  assert.equal(log.seen.length, 2);
  assert.deepEqual(
    failures.map(({ what }) => what),
    ['trace_sink'],
  );
});

test('on the system clock the delay of the event loop is measured', async () => {
  const kernel = new Kernel({});
  try {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 15));
    const { loopDelayP50Ms, loopDelayP99Ms, loopDelayMaxMs } = kernel.inspect();
    assert.ok(loopDelayP50Ms >= 0 && loopDelayP99Ms >= loopDelayP50Ms && loopDelayMaxMs >= loopDelayP99Ms);
  } finally {
    kernel.close();
  }
});

test('figures survive structured clone', () => {
  const { kernel, record } = makeKernel();
  record();
  assert.deepEqual(structuredClone(kernel.inspect()).machines, kernel.inspect().machines);
  assert.deepEqual(structuredClone(kernel.list()), kernel.list());
});

test('a clock that stands still runs what was asked for in order, and says when it never ends', () => {
  const clock = new ManualClock(100);
  const order: string[] = [];
  clock.schedule(20, () => order.push(`b@${clock.now()}`));
  clock.schedule(10, () => {
    order.push(`a@${clock.now()}`);
    clock.immediate(() => order.push('immediate'));
    clock.schedule(5, () => order.push(`c@${clock.now()}`));
  });
  const cancel = clock.schedule(12, () => order.push('never'));
  cancel();
  clock.advance(30);
  assert.deepEqual(order, ['a@110', 'immediate', 'c@115', 'b@120']);
  assert.equal(clock.now(), 130);
  assert.equal(clock.pending, 0);
  const again = (): void => clock.immediate(again);
  again();
  assert.throws(() => clock.run(100), /still busy/);
});
