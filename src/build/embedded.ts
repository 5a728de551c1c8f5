/**
 * Where the code of other threads is: a source file beside this one when run from the
 * sources, text inside the executable when run from that.
 */
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import type { WorkerOptions } from 'node:worker_threads';

/** Names of what is embedded. The worker's script is a function of `require`, `module` and `exports`. */
export const WORKER_ASSET = 'worker.js';
export const WORKER_CACHE_ASSET = 'worker.cache';
export const POOL_ASSET = 'pool.js';

/** Runs the worker's script from what V8 compiled of it when it was built: that saves a quarter of a worker's start. */
const START_WORKER = `
const sea = require('node:sea');
const vm = require('node:vm');
const script = new vm.Script(sea.getAsset('${WORKER_ASSET}', 'utf8'), {
  filename: '${WORKER_ASSET}',
  cachedData: new Uint8Array(sea.getRawAsset('${WORKER_CACHE_ASSET}')),
  importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});
script.runInThisContext()(require, module, exports);
`;

/** What `new Worker(script, options)` takes. */
export interface WorkerEntry {
  readonly script: string | URL;
  readonly options: Pick<WorkerOptions, 'eval'>;
}

/** The entry of a worker thread. Its bundle is CommonJS, so `src/worker.ts` may not await at its top level. */
export function workerEntry(): WorkerEntry {
  if (!isSea()) return { script: new URL('../worker.ts', import.meta.url), options: {} };
  return { script: START_WORKER, options: { eval: true } };
}

/**
 * Piscina's `filename`. In the executable it is a mere name: the pool's threads start from an
 * embedded script that has the tasks in it.
 */
export function poolTaskFile(): string {
  return isSea() ? POOL_ASSET : fileURLToPath(new URL('../pool.ts', import.meta.url));
}

/** Whether this is the single executable. */
export function isExecutable(): boolean {
  return isSea();
}
