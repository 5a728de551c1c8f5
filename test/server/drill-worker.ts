/** A worker thread that does what a sick one does, when it is asked for figures or actors. */
import { expose } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { parentPort, workerData } from 'node:worker_threads';
import type { ThreadData } from '../../src/server/thread-worker.ts';

const { start } = workerData as ThreadData;
const beat = new BigInt64Array(start.heartbeat);
setInterval(() => void Atomics.add(beat, 0, 1n), 20);

expose(
  {
    start: () => undefined,
    /** Stands still. */
    figures: () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
    /** Fills the heap. */
    actors: () => {
      const kept: unknown[] = [];
      for (;;) kept.push(Array.from({ length: 1_000 }, () => ({ more: 'and more' })));
    },
    /** Throws where nobody catches. */
    sessionOwners: () =>
      void setImmediate(() => {
        throw new Error('a bug');
      }),
    drain: () => undefined,
  },
  nodeEndpoint(parentPort!),
);
