/** The least program that uses all that is hard to put into one file: LMDB in a worker, a pool, pino, zod. */
import { Piscina } from 'piscina';
import { pino } from 'pino';
import { Worker } from 'node:worker_threads';
import { poolTaskFile, workerEntry } from '../../../src/build/embedded.ts';
import { loadConfig } from '../../../src/config/load.ts';

const startedMs = performance.now();
const log = pino({ level: 'info' }, pino.destination({ fd: 1, sync: true }));
const { config } = loadConfig({ env: process.env });
log.info({ what: 'started', startedMs: Math.round(startedMs), argv: process.argv.slice(2), port: config.c2s.ports[0] });
const { script, options } = workerEntry();
const worker = new Worker(script, { ...options, workerData: { directory: config.dataDir } });
const found = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
log.info({ what: 'stored', found });
const pool = new Piscina({ filename: poolTaskFile(), minThreads: 1, maxThreads: 1 });
log.info({ what: 'hashed', length: await pool.run({ password: 'x', iterations: 10 }, { name: 'hash' }) });
await pool.destroy();
log.info({ what: 'done', totalMs: Math.round(performance.now()) });
