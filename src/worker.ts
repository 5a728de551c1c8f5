/** Entry of a worker thread: one scheduler and its share of the actors, behind the control interface. */
import { parentPort, workerData } from 'node:worker_threads';
import { expose, wrap } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import type { ThreadData } from './server/thread-worker.ts';
import type { MainControl, WorkerControl } from './server/worker-control.ts';
import { WorkerService } from './server/worker-service.ts';

const { start, mainPort } = workerData as ThreadData;
const main = wrap<MainControl>(nodeEndpoint(mainPort)) as unknown as MainControl;
/** Nothing ever wakes it. */
const nobody = new Int32Array(new SharedArrayBuffer(4));
const service: WorkerControl = new WorkerService({ start, main, sleep: (ms) => void Atomics.wait(nobody, 0, 0, ms) });
expose(service, nodeEndpoint(parentPort!));
