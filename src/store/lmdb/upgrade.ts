/** Brings a store of an older format to the present one, when it is opened and nothing else uses it. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { endOfFirstPart, NUMBER_BYTES, packKey } from '../tuple.ts';
import type { Packed } from '../tuple.ts';
import { BLOCK_ROWS, blockKey, BlockBuilder, isBlock, noteInRun, numberOf, type RunChanges } from './blocks.ts';
import { AFTER_PARTITIONS, FORMAT_KEY, PARTITION_KEYS, STORE_FORMAT } from './env.ts';
import type { Env } from './env.ts';

/** Tables whose rows were rows by themselves in format 1 (the log) or 2 (what is pending), and are runs now. */
const NEW_RUNS: readonly Packed[] = [packKey(['log']), packKey(['pending'])];
/** Read at a time, and written in one transaction at most. */
const ROWS = 1_000;

/** May be interrupted at any moment: what is done already is passed over the next time. */
export async function upgrade(env: Env): Promise<void> {
  if (env.getJson(FORMAT_KEY) === STORE_FORMAT) return;
  for (let from: Packed | undefined = PARTITION_KEYS; from !== undefined; await nextTurn()) from = gatherRuns(env, from);
  env.transaction(() => env.putJson(FORMAT_KEY, STORE_FORMAT));
}

/** @returns where to go on; undefined at the end. */
function gatherRuns(env: Env, from: Packed): Packed | undefined {
  // Copies: what a reading returns is good until the next.
  const rows = Array.from(env.rows(from, AFTER_PARTITIONS, false, ROWS), ({ key, value }) => ({ key, value: Buffer.from(value) }));
  const last = rows.at(-1);
  if (last === undefined) return undefined;
  const runs = new Map<Packed, RunChanges>();
  const isMore = rows.length === ROWS;
  // A block must not be begun with some of its rows: the last one comes with the next rows, unless there are none.
  const open = isMore && isRunRow(last.key) ? blockKey(last.key.slice(0, -NUMBER_BYTES), numberOf(last.key)) : undefined;
  for (const [index, { key, value }] of rows.entries()) {
    if (!isRunRow(key) || isBlock(value) || (open !== undefined && key >= open)) continue;
    const prefix = key.slice(0, -NUMBER_BYTES);
    const run = runs.get(prefix) ?? new Map<number, number[]>();
    runs.set(prefix, run);
    noteInRun(run, numberOf(key), index);
  }
  const builder = new BlockBuilder();
  const changes = { value: (index: number) => ({ chunk: rows[index]!.value, start: 0, end: rows[index]!.value.length }) };
  env.transaction(() => {
    for (const [prefix, blocks] of runs) {
      for (const [first, block] of blocks) {
        for (let slot = 0; slot < BLOCK_ROWS; slot++) if (block[slot]! >= 0) env.delete(rows[block[slot]!]!.key);
        env.putSlice(blockKey(prefix, first), builder.build(undefined, changes, block)!);
      }
    }
  });
  if (!isMore) return undefined;
  return open ?? `${last.key}\x00`;
}

/** Partition, table, number. */
function isRunRow(key: Packed): boolean {
  const table = endOfFirstPart(key);
  return table > 0 && NEW_RUNS.some((name) => key.startsWith(name, table) && key.length === table + name.length + NUMBER_BYTES);
}
