import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doing, kinds, makeKernel, note, recorder } from './fixture.ts';

test('a monitor is told of the end, after the mail the actor sent before it', () => {
  const { record, turn } = makeKernel();
  const watcher = record();
  const { ref } = record();
  turn(watcher.ref, (t) => t.monitor(ref));
  turn(ref, (t) => {
    t.send(watcher.ref, note(1));
    t.stop('done');
  });
  assert.deepEqual(watcher.log.seen, [note(1), { kind: 'down', ref, reason: { kind: 'normal', why: 'done' } }]);
});

test('monitoring an actor that is not there tells `down` at once', () => {
  const { record, turn, kernel, run } = makeKernel();
  const { ref } = record();
  kernel.stop(ref);
  run();
  const watcher = record();
  turn(watcher.ref, (t) => {
    t.monitor(ref);
    t.monitor({ node: 9, worker: 0, id: 1 });
  });
  assert.deepEqual(watcher.log.seen, [
    { kind: 'down', ref, reason: { kind: 'killed', why: 'no_actor' } },
    { kind: 'down', ref: { node: 9, worker: 0, id: 1 }, reason: { kind: 'killed', why: 'no_actor' } },
  ]);
  assert.equal(kernel.inspect().monitors, 0);
});

test('monitoring twice tells once', () => {
  const { record, turn, kernel, run } = makeKernel();
  const { ref } = record();
  const watcher = record();
  turn(watcher.ref, (t) => {
    t.monitor(ref);
    t.monitor(ref);
  });
  kernel.stop(ref);
  run();
  assert.deepEqual(kinds(watcher.log.seen), ['down']);
});

test('after demonitor nothing is told, even if it is in the mailbox already', () => {
  const { record, turn, kernel, run } = makeKernel();
  const { ref } = record();
  const watcher = record();
  turn(watcher.ref, (t) => t.monitor(ref));
  kernel.send(
    ref,
    doing((t) => t.stop('done')),
  );
  kernel.send(
    watcher.ref,
    doing((t) => t.demonitor(ref)),
  ); // handled after the end of `ref`, before its `down`
  run();
  assert.deepEqual(watcher.log.seen, []);
  assert.equal(kernel.inspect().monitors, 0);
});

test('demonitor leaves nothing at the other side', () => {
  const { record, turn, kernel } = makeKernel();
  const { ref } = record();
  const watcher = record();
  turn(watcher.ref, (t) => t.monitor(ref));
  turn(watcher.ref, (t) => t.demonitor(ref));
  const { monitors, watchers } = kernel.inspect();
  assert.deepEqual({ monitors, watchers }, { monitors: 0, watchers: 0 });
});

test('a crash is told as `restarted`; the monitor stays, on both sides', () => {
  const { record, turn, kernel, run } = makeKernel();
  const { ref } = record();
  const watcher = record();
  turn(watcher.ref, (t) => t.monitor(ref));
  kernel.crash(ref, new Error('drill'));
  run();
  kernel.crash(watcher.ref, new Error('drill'));
  run();
  kernel.stop(ref, 'end');
  run();
  assert.deepEqual(watcher.log.seen, [
    { kind: 'restarted', ref },
    { kind: 'down', ref, reason: { kind: 'normal', why: 'end' } },
  ]);
});

test('an actor that exceeds its intensity is down with the error', () => {
  const { record, turn, kernel, run } = makeKernel();
  const { ref } = record({}, { intensity: { maxRestarts: 1, withinMs: 1000 } });
  const watcher = record();
  turn(watcher.ref, (t) => t.monitor(ref));
  for (let i = 0; i < 2; i++) {
    kernel.crash(ref, new Error('drill'));
    run();
  }
  assert.deepEqual(watcher.log.seen, [
    { kind: 'restarted', ref },
    { kind: 'down', ref, reason: { kind: 'crash', error: 'Error: drill' } },
  ]);
});

test('an actor that ends withdraws its monitors', () => {
  const { record, turn, kernel, run } = makeKernel();
  const { ref } = record();
  const watcher = record();
  turn(watcher.ref, (t) => t.monitor(ref));
  assert.equal(kernel.inspect().watchers, 1);
  kernel.stop(watcher.ref);
  run();
  const { monitors, watchers } = kernel.inspect();
  assert.deepEqual({ monitors, watchers }, { monitors: 0, watchers: 0 });
  kernel.stop(ref);
  run();
  assert.deepEqual(watcher.log.seen, []);
});

test('a child spawned and monitored in one turn tells of its end', () => {
  const { record, turn, kernel, run } = makeKernel();
  const parent = record();
  const log = { seen: [], lives: 0 };
  turn(parent.ref, (t) => {
    const child = t.spawn(recorder, { log, onInit: (own) => own.stop('short life') });
    t.monitor(child);
  });
  run();
  assert.deepEqual(kinds(parent.log.seen), ['down']);
  assert.equal(kernel.inspect().actors, 1);
});
