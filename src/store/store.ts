/**
 * The store: an ordered key-value store of partitions. A partition is one account
 * or room (its bare JID), the unit of atomicity and of ownership by one actor.
 * It promises only what a distributed backend could: no cross-partition
 * transactions, no joins, no query language.
 */

import { written, type RowWriter } from './codec.ts';

export type KeyPart = string | number;
export type Key = readonly KeyPart[];

/** A kind of row, declared by the module that owns it. */
export interface Table<V> {
  /** Unique, snake_case; part of the key on disk, so it never changes. */
  readonly name: string;
  /** Of the encoding; stored with each row. */
  readonly version: number;
  /**
   * Rows that mostly come one behind the other: each key is one whole number, not negative. A backend may keep neighbours
   * together, which makes writing and reading them in order several times cheaper. Never changes once there are rows.
   */
  readonly isRun?: boolean;
  /** The bytes must stay as they are until the batch is committed. */
  encode(value: V): Uint8Array;
  /** Appends what `encode` returns. Where it is there, a value must stay as it is until its batch is committed: it is written then, copying nothing. */
  readonly write?: ((row: RowWriter, value: V) => void) | undefined;
  /** `version` is the row's; older ones are migrated here. Throws on bytes it never wrote. */
  decode(bytes: Uint8Array, version: number): V;
}

/** A table without its value type: all that a key or a change needs. */
export type TableName = Pick<Table<unknown>, 'name' | 'version' | 'isRun'>;

export interface Row<V> {
  readonly key: Key;
  readonly value: V;
}

/** Which rows of one table in one partition, in key order. */
export interface Range {
  /** Rows whose key starts with these parts; all without it. */
  readonly prefix?: Key;
  /** First key included / first key excluded, after `prefix` where that is given: full keys. */
  readonly from?: Key;
  readonly to?: Key;
  /** At most this many, from the end where `reverse`. */
  readonly limit?: number;
  readonly reverse?: boolean;
}

const NO_CHANGES: readonly Change[] = [];

/** Changes to one partition, applied together or not at all. */
export class Batch {
  readonly partition: string;
  /** Of its own from the first change on; most batches have one or two. */
  changes: readonly Change[] = NO_CHANGES;
  constructor(partition: string) {
    this.partition = partition;
  }
  put<V>(table: Table<V>, key: Key, value: V): this {
    const { write } = table;
    if (write === undefined) this.#add({ table, key, value: table.encode(value), row: undefined, write: undefined });
    else this.#add({ table, key, value: undefined, row: value, write: write as RowWrite });
    return this;
  }
  delete<V>(table: Table<V>, key: Key): this {
    this.#add({ table, key, value: undefined, row: undefined, write: undefined });
    return this;
  }
  #add(change: Change): void {
    if (this.changes.length === 0) this.changes = [change];
    else (this.changes as Change[]).push(change);
  }
  get isEmpty(): boolean {
    return this.changes.length === 0;
  }
}

type RowWrite = (row: RowWriter, value: unknown) => void;

/** A row encoded already, one that is still to be written, or, with neither, one that is deleted. */
export interface Change {
  readonly table: TableName;
  readonly key: Key;
  readonly value: Uint8Array | undefined;
  readonly row: unknown;
  readonly write: RowWrite | undefined;
}

/** The bytes of a change's row; `undefined` where it deletes. */
export function encodedValue({ value, row, write }: Change): Uint8Array | undefined {
  return write === undefined ? value : written(write, row);
}

/**
 * The outcome of a commit; structurally a kernel `Barrier`. Shared by all batches that
 * are written together. Settled without error means: survives a crash of the process.
 */
export interface Commit {
  readonly settled: boolean;
  readonly error: Error | undefined;
  onSettled(callback: () => void): void;
  /** For code that is not an actor (CLI, tests). Rejects with `error`. */
  readonly promise: Promise<void>;
}

export interface Store extends AsyncDisposable {
  get<V>(table: Table<V>, partition: string, key: Key): Promise<V | undefined>;
  list<V>(table: Table<V>, partition: string, range?: Range): Promise<Row<V>[]>;
  /**
   * Writes `batch` atomically. Batches committed by one thread to one partition are applied in
   * call order. With `expect`, fails with VersionConflict unless the partition's version (bumped by
   * each commit, 0 at first) is that. The thread itself reads the changes from now on, whether settled or
   * not; every other thread does once they have settled. Two threads must not commit to one partition at
   * the same time: it has one owner.
   */
  commit(batch: Batch, expect?: number): Commit;
  /**
   * 0 for a partition without rows and after `erase`, else a number that grows with every commit, not by one. Kept
   * from the first time it is asked for, so it costs partitions nothing that never need it.
   */
  version(partition: string): Promise<number>;
  /** Removes every row of the partition, whatever its table. */
  erase(partition: string): Commit;
  /** For administration; slow. Partitions that have a row in `table`, in order, from after `after`. */
  partitions(table: TableName, after?: string, limit?: number): Promise<string[]>;
  /** A consistent copy of the whole store into a new directory, while others write. Refused by backends without files. */
  backup(directory: string): Promise<void>;
  close(): Promise<void>;
}

/** A commit's `expect` did not match. */
export class VersionConflict extends Error {
  readonly code = 'ERR_STORE_VERSION';
}
