/**
 * The store on disk under load: worker threads commit messages (two rows of about 300 bytes each, and now and then the
 * erasure of a partition) into one store at several rates, while the main thread applies them to LMDB.
 *
 *   node bench/micro/store.ts [--json] [--seconds=10] [--workers=2] [--partitions=2000] [--rates=1000,5000,20000,0]
 *                             [--sync=process|disk] [--commitDelayMs=0] [--applyIntervalMs=5000]
 *
 * `cpu` is the CPU time of all threads per message; `net` is that less what the same load costs with commits that do
 * nothing (timers and the generator itself). `p50` and `p99` are from commit() to settled; `stall` is the 99th percentile of
 * the main thread's event loop delay, in the thread that applies. Rate 0: as fast as possible, with 2000 messages
 * unsettled per worker. Then reads, from a store of 200,000 rows.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { settledCommit } from '../../src/store/commit.ts';
import type { LmdbOptions } from '../../src/store/lmdb/open.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import { Batch } from '../../src/store/store.ts';
import type { Commit, Table } from '../../src/store/store.ts';

const ROW_BYTES = 300;
const ERASE_ONE_IN = 1000;
const MAX_UNSETTLED = 2000;
const WARM_UP_MS = 4000;
const READS = 20_000;

interface Load {
  readonly options: LmdbOptions | undefined;
  readonly index: number;
  readonly rate: number;
  readonly partitions: number;
  readonly ms: number;
}

interface Outcome {
  readonly messages: number;
  readonly latencies: Float64Array;
}

interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly stallMs: number;
}

/** A row of the table of writes. */
interface Written extends Measured {
  readonly rate: number;
  readonly netCpuUs: number;
}

const log: Table<Uint8Array> = { name: 'log', version: 1, encode: (row) => row, decode: (row) => row };
const state: Table<Uint8Array> = { ...log, name: 'state' };
const row = Buffer.alloc(ROW_BYTES, 'x');

if (isMainThread) await main();
else await generate(workerData as Load);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '10' },
      workers: { type: 'string', default: '2' },
      partitions: { type: 'string', default: '2000' },
      rates: { type: 'string', default: '1000,5000,20000,0' },
      sync: { type: 'string', default: 'process' },
      commitDelayMs: { type: 'string', default: '0' },
      applyIntervalMs: { type: 'string', default: '5000' },
    },
  });
  const workers = Number(values.workers);
  const load = { partitions: Number(values.partitions), ms: Number(values.seconds) * 1000 };
  const results: Written[] = [];
  for (const rate of values.rates.split(',').map(Number)) {
    const base = await underLoad(workers, { ...load, options: undefined, rate });
    const path = mkdtempSync(join(tmpdir(), 'rookery-bench-'));
    const options: LmdbOptions = {
      path,
      sync: values.sync === 'disk' ? 'disk' : 'process',
      commitDelayMs: Number(values.commitDelayMs),
      applyIntervalMs: Number(values.applyIntervalMs),
    };
    const store = await openLmdb(options);
    const measured = await underLoad(workers, { ...load, options, rate });
    await store.close();
    rmSync(path, { recursive: true });
    results.push({ rate, ...measured, netCpuUs: measured.cpuUs - base.cpuUs });
  }
  const reads = await measureReads();
  if (values.json) console.log(JSON.stringify({ workers, ...load, writes: results, reads }));
  else print(results, reads);
}

function print(results: readonly Written[], reads: Readonly<Record<string, number>>): void {
  const cell = (value: unknown): string => (typeof value === 'number' ? value.toFixed(value < 100 ? 2 : 0) : String(value)).padStart(10);
  console.log(['rate', 'msg/s', 'cpu us', 'net us', 'p50 ms', 'p99 ms', 'max ms', 'stall ms'].map(cell).join(''));
  for (const { rate, perSecond, cpuUs, netCpuUs, p50Ms, p99Ms, maxMs, stallMs } of results) {
    console.log([rate === 0 ? 'max' : String(rate), perSecond, cpuUs, netCpuUs, p50Ms, p99Ms, maxMs, stallMs].map(cell).join(''));
  }
  console.log();
  for (const [name, us] of Object.entries(reads)) console.log(`${name.padEnd(48)}${cell(us)} us`);
}

async function underLoad(workers: number, load: Omit<Load, 'index'>): Promise<Measured> {
  const threads = Array.from(
    { length: workers },
    (_, index) => new Worker(new URL(import.meta.url), { workerData: { ...load, index, rate: load.rate / workers } satisfies Load }),
  );
  const exits = threads.map((thread) => new Promise((resolve) => thread.once('exit', resolve)));
  await Promise.all(threads.map((thread) => new Promise((resolve) => thread.once('message', resolve))));
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const cpu = process.cpuUsage();
  const start = performance.now();
  const outcomes = await Promise.all(threads.map((thread) => new Promise<Outcome>((resolve) => thread.once('message', resolve))));
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  delay.disable();
  await Promise.all(exits);
  const messages = outcomes.reduce((sum, outcome) => sum + outcome.messages, 0);
  const latencies = Float64Array.from(outcomes.flatMap((outcome) => [...outcome.latencies])).sort();
  const at = (share: number): number => latencies[Math.floor((latencies.length - 1) * share)]!;
  return {
    perSecond: (messages / ms) * 1000,
    cpuUs: (user + system) / messages,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    stallMs: delay.percentile(99) / 1e6,
  };
}

async function generate({ options, index, rate, partitions, ms }: Load): Promise<void> {
  const store = options === undefined ? undefined : await openLmdb(options);
  const positions = new Uint32Array(partitions);
  const latencies: number[] = [];
  let messages = 0;
  let unsettled = 0;
  let isWarm = false;
  const commit = (batch: Batch): Commit => (store === undefined ? settledCommit() : store.commit(batch));
  const send = (): void => {
    const i = Math.floor(Math.random() * partitions);
    const partition = `user${index}-${i}@capulet.lit`;
    const started = performance.now();
    unsettled++;
    messages++;
    const done =
      Math.random() * ERASE_ONE_IN < 1 && store !== undefined
        ? store.erase(partition)
        : commit(new Batch(partition).put(log, [++positions[i]!], row).put(state, ['position'], row));
    done.onSettled(() => {
      unsettled--;
      if (done.error !== undefined) throw done.error;
      if (isWarm) latencies.push(performance.now() - started);
    });
  };
  const run = (forMs: number): Promise<void> =>
    new Promise((resolve) => {
      const start = performance.now();
      let sent = 0;
      const tick = (): void => {
        const elapsed = performance.now() - start;
        if (elapsed > forMs) return resolve();
        if (rate > 0) {
          for (; sent < (elapsed * rate) / 1000; sent++) send();
          setTimeout(tick, 1);
        } else {
          for (let i = 0; i < 50 && unsettled < MAX_UNSETTLED; i++) send();
          setImmediate(tick);
        }
      };
      tick();
    });
  await run(WARM_UP_MS);
  isWarm = true;
  messages = 0;
  parentPort!.postMessage('ready');
  await run(ms);
  const outcome: Outcome = { messages, latencies: Float64Array.from(latencies) };
  parentPort!.postMessage(outcome);
  await store?.close();
}

async function measureReads(): Promise<Record<string, number>> {
  const path = mkdtempSync(join(tmpdir(), 'rookery-bench-'));
  const store = await openLmdb({ path });
  const partitions = 2000;
  const rows = 100;
  for (let i = 0; i < partitions; i++) {
    const batch = new Batch(`user${i}@capulet.lit`);
    for (let k = 0; k < rows; k++) batch.put(log, [k], row);
    const done = store.commit(batch);
    if (i % 200 === 199) await done.promise;
  }
  await store.partitions(log, undefined, 1);
  const name = (i: number): string => `user${i % partitions}@capulet.lit`;
  const reads: Record<string, number> = {};
  const time = async (what: string, count: number, read: (i: number) => Promise<unknown>): Promise<void> => {
    for (let i = 0; i < count / 10; i++) await read(i);
    const start = performance.now();
    for (let i = 0; i < count; i++) await read(i * 7);
    reads[what] = ((performance.now() - start) * 1000) / count;
  };
  await time('get, in LMDB', READS, (i) => store.get(log, name(i), [i % rows]));
  await time('get, missing', READS, (i) => store.get(log, name(i), ['no']));
  await time('list, 20 rows from the end', READS / 10, (i) => store.list(log, name(i), { limit: 20, reverse: true }));
  await time('list, all 100 rows', READS / 20, (i) => store.list(log, name(i)));
  await time('version', READS, (i) => store.version(name(i)));
  for (let i = 0; i < 200; i++) void store.commit(new Batch(name(i)).put(state, ['position'], row));
  await time('get, own and not yet in LMDB', READS, (i) => store.get(state, name(i % 200), ['position']));
  await time('partitions, 2000', 3, () => store.partitions(log));
  await time('lone commit, to settled', 300, (i) => store.commit(new Batch(name(i)).put(state, ['position'], row)).promise);
  await store.close();
  rmSync(path, { recursive: true });
  return reads;
}
