/**
 * The store in memory: for tests and for servers embedded in them. Same semantics as the one on
 * disk: rows are kept encoded, reads see what was committed before even if it has not settled,
 * and a failed commit leaves nothing. Nothing survives `close`.
 */
import { GroupCommit, orRefused, settledCommit } from './commit.ts';
import { StoreError, storeClosed } from './errors.ts';
import { checkKeyBytes, decodeEncoded, packRange, packSuffix, packTable } from './row.ts';
import { encodedValue, VersionConflict } from './store.ts';
import type { Batch, Commit, Key, Range, Row, Store, Table, TableName } from './store.ts';
import { endOfPrefix, packKey } from './tuple.ts';
import type { Packed } from './tuple.ts';

export interface MemoryOptions {
  /**
   * When commits settle: 'microtask' by themselves, all those of one turn together; 'manual' when the
   * test calls `settle` or `fail`.
   */
  readonly settling?: 'microtask' | 'manual';
}

interface MemoryRow {
  readonly key: Key;
  readonly bytes: Uint8Array;
  readonly version: number;
}

interface Partition {
  readonly name: string;
  /** In key order where known; undefined since a key came or went. */
  sorted: Packed[] | undefined;
  rows: Map<Packed, MemoryRow>;
  version: number;
}

interface Group {
  readonly commit: GroupCommit;
  /** Run backwards, these take the group's changes back. */
  readonly undo: (() => void)[];
}

export class MemoryStore implements Store {
  readonly #partitions = new Map<Packed, Partition>();
  readonly #manual: boolean;
  #group: Group | undefined;
  #commits = 0;
  #closed = false;

  constructor({ settling = 'microtask' }: MemoryOptions = {}) {
    this.#manual = settling === 'manual';
  }

  async get<V>(table: Table<V>, partition: string, key: Key): Promise<V | undefined> {
    this.#check();
    const row = this.#partitions.get(packKey([partition]))?.rows.get(packSuffix(table, key));
    return row === undefined ? undefined : decodeMemoryRow(table, partition, row);
  }

  async list<V>(table: Table<V>, partition: string, range: Range = {}): Promise<Row<V>[]> {
    this.#check();
    const { start, end } = packRange(table, range);
    const found = this.#partitions.get(packKey([partition]));
    const limit = range.limit ?? Infinity;
    const rows: Row<V>[] = [];
    if (found === undefined || limit <= 0) return rows;
    const sorted = (found.sorted ??= [...found.rows.keys()].toSorted(compare));
    const first = lowerBound(sorted, start);
    const last = lowerBound(sorted, end) - 1;
    const step = range.reverse === true ? -1 : 1;
    for (let i = step > 0 ? first : last; i >= first && i <= last && rows.length < limit; i += step) {
      const row = found.rows.get(sorted[i]!)!;
      rows.push({ key: row.key, value: decodeMemoryRow(table, partition, row) });
    }
    return rows;
  }

  commit(batch: Batch, expect?: number): Commit {
    if (this.#closed) return settledCommit(storeClosed());
    return orRefused(() => {
      const packed = packKey([batch.partition]);
      const suffixes = batch.changes.map(({ table, key }) => packSuffix(table, key));
      const values = batch.changes.map(encodedValue);
      for (const suffix of suffixes) checkKeyBytes(packed, suffix);
      if (expect !== undefined && expect !== (this.#partitions.get(packed)?.version ?? 0)) {
        return settledCommit(new VersionConflict(`Partition ${batch.partition} has changed since version ${expect}.`));
      }
      return batch.isEmpty ? settledCommit() : this.#apply(packed, batch, suffixes, values);
    });
  }

  async version(partition: string): Promise<number> {
    this.#check();
    return this.#partitions.get(packKey([partition]))?.version ?? 0;
  }

  erase(partition: string): Commit {
    if (this.#closed) return settledCommit(storeClosed());
    return orRefused(() => {
      const packed = packKey([partition]);
      const group = this.#open();
      const erased = this.#partitions.get(packed);
      this.#partitions.delete(packed);
      group.undo.push(() => (erased === undefined ? this.#partitions.delete(packed) : this.#partitions.set(packed, erased)));
      return group.commit;
    });
  }

  async partitions(table: TableName, after?: string, limit = Infinity): Promise<string[]> {
    this.#check();
    const start = packTable(table);
    const from = after === undefined ? '' : endOfPrefix(packKey([after]));
    const names: string[] = [];
    for (const packed of [...this.#partitions.keys()].toSorted(compare)) {
      if (names.length >= limit) break;
      const partition = this.#partitions.get(packed)!;
      if (packed < from || !hasRowsOf(partition, start)) continue;
      names.push(partition.name);
    }
    return names;
  }

  async backup(): Promise<void> {
    throw new StoreError('ERR_STORE_BACKUP', 'A store in memory has no files to back up. Use a store on disk.');
  }

  /** Settles all commits since the last time. For stores made with `settling: 'manual'`. */
  settle(): void {
    const group = this.#group;
    this.#group = undefined;
    group?.commit.settle();
  }

  /** Fails all commits since the last time: their changes are taken back. */
  fail(error: Error = new StoreError('ERR_STORE_FULL', 'No space is left for the store (a test says so).')): void {
    const group = this.#group;
    if (group === undefined) return;
    this.#group = undefined;
    for (const undo of group.undo.toReversed()) undo();
    group.commit.settle(error);
  }

  async close(): Promise<void> {
    this.settle();
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #check(): void {
    if (this.#closed) throw storeClosed();
  }

  #open(): Group {
    if (this.#group !== undefined) return this.#group;
    const group = { commit: new GroupCommit(), undo: [] };
    this.#group = group;
    if (!this.#manual) queueMicrotask(() => this.#settleIf(group));
    return group;
  }

  #settleIf(group: Group): void {
    if (this.#group === group) this.settle();
  }

  #apply(packed: Packed, batch: Batch, suffixes: readonly Packed[], values: readonly (Uint8Array | undefined)[]): Commit {
    const group = this.#open();
    let partition = this.#partitions.get(packed);
    if (partition === undefined) {
      partition = { name: batch.partition, sorted: undefined, rows: new Map(), version: 0 };
      this.#partitions.set(packed, partition);
      group.undo.push(() => this.#partitions.delete(packed));
    }
    const { rows, version } = partition;
    const target = partition;
    group.undo.push(() => {
      target.version = version;
      target.sorted = undefined;
    });
    for (const [i, change] of batch.changes.entries()) {
      const suffix = suffixes[i]!;
      const before = rows.get(suffix);
      group.undo.push(() => (before === undefined ? rows.delete(suffix) : rows.set(suffix, before)));
      const value = values[i];
      if (value === undefined) rows.delete(suffix);
      else
        rows.set(suffix, {
          key: change.key.map((part) => (part === 0 ? 0 : part)),
          bytes: value.slice(),
          version: change.table.version,
        });
    }
    partition.version = ++this.#commits;
    partition.sorted = undefined;
    return group.commit;
  }
}

/** A new, empty store. */
export function openMemory(options?: MemoryOptions): MemoryStore {
  return new MemoryStore(options);
}

function decodeMemoryRow<V>(table: Table<V>, partition: string, row: MemoryRow): V {
  // A copy, as from disk: what a decoder keeps or changes must not reach the store.
  return decodeEncoded(table, partition, row.bytes.slice(), row.version);
}

function hasRowsOf(partition: Partition, prefix: Packed): boolean {
  for (const suffix of partition.rows.keys()) if (suffix.startsWith(prefix)) return true;
  return false;
}

function compare(a: Packed, b: Packed): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The index of the first that is not before `key`. */
function lowerBound(sorted: readonly Packed[], key: Packed): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
