/**
 * How the rows of a run (`Table.isRun`) lie in LMDB: neighbours together, so that a busy account's messages cost LMDB a
 * sixteenth of the searches, node headers and half-empty pages. Everything above LMDB (journals, what is not applied yet,
 * whoever reads) knows single rows only.
 *
 *     row n    is in the block whose key is the row's with n - n mod 16 for n
 *     block    00, then per row, ascending: u8 n mod 16, u32 bytes, the row as it would lie by itself (row.ts)
 *
 * No row begins with 00, so a block is known by its first byte.
 */
import { StoreError } from '../errors.ts';
import type { Key } from '../store.ts';
import type { Packed } from '../tuple.ts';
import { NUMBER_BYTES, packKey, unpackKey } from '../tuple.ts';
import type { Changes, ChangedPartition } from './changes.ts';
import type { Slice } from './env.ts';

export const BLOCK_ROWS = 16;
const BLOCK = 0;
const ROW_HEADER_BYTES = 5;

/** Throws StoreError `ERR_STORE_KEY` for what cannot be a key of a run. */
export function checkRunKey(table: string, key: Key): void {
  const number = key[0];
  if (key.length === 1 && typeof number === 'number' && number >= 0 && Number.isSafeInteger(number)) return;
  throw new StoreError('ERR_STORE_KEY', `The keys of table ${table} are one whole number each, which ${JSON.stringify(key)} is not.`);
}

/** A row's place: the number at the end of its packed key. */
export function numberOf(suffix: Packed): number {
  return unpackKey(suffix.slice(-NUMBER_BYTES))![0] as number;
}

/** The key of the block that row `number` is in; `prefix` is what stands before the number. */
export function blockKey(prefix: Packed, number: number): Packed {
  return prefix + packKey([number - (number % BLOCK_ROWS)]);
}

export function isBlock(value: Buffer): boolean {
  return value[0] === BLOCK;
}

/** One row of a block; `undefined` if it is not there. A view. */
export function rowInBlock(block: Buffer, number: number): Buffer | undefined {
  const slot = number % BLOCK_ROWS;
  for (let at = 1; at < block.length;) {
    const start = at + ROW_HEADER_BYTES;
    const end = start + block.readUInt32LE(at + 1);
    if (block[at] === slot) return block.subarray(start, end);
    at = end;
  }
  return undefined;
}

/** The rows of a block with their keys, ascending. Views. */
export function rowsOfBlock(key: Packed, block: Buffer): { key: Packed; value: Buffer }[] {
  const prefix = key.slice(0, -NUMBER_BYTES);
  const first = numberOf(key);
  const rows: { key: Packed; value: Buffer }[] = [];
  for (let at = 1; at < block.length;) {
    const start = at + ROW_HEADER_BYTES;
    const end = start + block.readUInt32LE(at + 1);
    rows.push({ key: prefix + packKey([first + block[at]!]), value: block.subarray(start, end) });
    at = end;
  }
  return rows;
}

/** Newest changes of the rows of one run that a partition has, by block: for each of its places the change's number, or UNCHANGED. */
export type RunChanges = Map<number, number[]>;

export const UNCHANGED = -1;

/** Notes a change, unless a newer one is noted already: changes come newest first. */
export function noteInRun(blocks: RunChanges, number: number, change: number): void {
  const slot = number % BLOCK_ROWS;
  let block = blocks.get(number - slot);
  if (block === undefined) {
    block = new Array<number>(BLOCK_ROWS).fill(UNCHANGED);
    blocks.set(number - slot, block);
  }
  if (block[slot] === UNCHANGED) block[slot] = change;
}

/** Puts a block together from what it was and what has changed. */
export class BlockBuilder {
  #bytes = Buffer.allocUnsafeSlow(16 * 1024);
  #at = 0;

  /** @param before the block, `undefined` if there is none. @returns where it lies, until the next one is built; `undefined` if nothing is left of it. */
  build(before: Buffer | undefined, changes: Pick<Changes<ChangedPartition>, 'value'>, block: readonly number[]): Slice | undefined {
    this.#at = 1;
    this.#bytes[0] = BLOCK;
    let at = 1;
    for (let slot = 0; slot < BLOCK_ROWS; slot++) {
      const change = block[slot]!;
      let start = 0;
      let end = 0;
      if (before !== undefined && at < before.length && before[at] === slot) {
        start = at + ROW_HEADER_BYTES;
        at = end = start + before.readUInt32LE(at + 1);
      }
      if (change === UNCHANGED) {
        if (end > 0) this.add(slot, before!, start, end);
        continue;
      }
      const value = changes.value(change);
      if (value !== undefined) this.add(slot, value.chunk, value.start, value.end);
    }
    return this.#at === 1 ? undefined : { chunk: this.#bytes, start: 0, end: this.#at };
  }

  private add(slot: number, chunk: Buffer, start: number, end: number): void {
    const bytes = end - start;
    if (this.#at + ROW_HEADER_BYTES + bytes > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * (this.#at + ROW_HEADER_BYTES + bytes));
      this.#bytes.copy(larger, 0, 0, this.#at);
      this.#bytes = larger;
    }
    this.#bytes[this.#at] = slot;
    this.#bytes.writeUInt32LE(bytes, this.#at + 1);
    chunk.copy(this.#bytes, this.#at + ROW_HEADER_BYTES, start, end);
    this.#at += ROW_HEADER_BYTES + bytes;
  }
}
