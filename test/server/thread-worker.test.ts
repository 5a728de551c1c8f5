/** A worker thread that is sick is ended and can be started again; whoever waits for it is told. Design §3. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThreadWorker } from '../../src/server/thread-worker.ts';
import type { MainControl, WorkerStart } from '../../src/server/worker-control.ts';

const MIB = 1024 * 1024;
const MAIN: MainControl = { derive: async () => [], verify: async () => false, log: () => undefined, command: () => assert.fail() };

function makeWorker(stallMs: number): ThreadWorker {
  return new ThreadWorker({
    index: 0,
    main: MAIN,
    makeStart: (heartbeat) => ({ heartbeat }) as WorkerStart,
    heapBytes: 64 * MIB,
    stallMs,
    stopMs: 100,
    entry: { script: new URL('drill-worker.ts', import.meta.url), options: {} },
  });
}

for (const [title, stallMs, ail, reason] of [
  ['an event loop that stands still', 1_000, (worker: ThreadWorker) => worker.control.figures(), /the event loop stood still/],
  ['a full heap', 60_000, (worker: ThreadWorker) => worker.control.actors(undefined, 1), /ERR_WORKER_OUT_OF_MEMORY|memory limit/],
  [
    'an error that nobody catches',
    60_000,
    (worker: ThreadWorker) => worker.control.sessionOwners().then(() => new Promise(() => undefined)),
    /a bug/,
  ],
] as const) {
  test(`${title} ends the thread; calls to it fail, and another can be started`, async () => {
    const worker = makeWorker(stallMs);
    const ended = Promise.withResolvers<string>();
    await worker.start(ended.resolve);
    assert.equal(worker.state, 'running');
    const call = ail(worker).catch((error: Error) => error.message);
    assert.match(await ended.promise, reason);
    if (reason.source !== 'a bug') assert.match(String(await call), /Worker thread 0 has ended/);
    assert.notEqual(worker.state, 'running');
    assert.equal((await worker.status()).restarts, 0);
    assert.throws(() => worker.control, { code: 'ERR_NOT_READY' });
    await worker.start(() => undefined);
    assert.equal(worker.restarts, 1);
    await worker.stop();
  });
}
