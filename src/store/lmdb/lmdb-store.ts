/** One thread's view of the store on disk: its own commits over what LMDB has. src/README.md says why. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { GroupCommit, orRefused, settledCommit } from '../commit.ts';
import { StoreError, storeClosed } from '../errors.ts';
import { decodeKeyedRow, decodeRow, packRange, packSuffix, packTable, parseRow } from '../row.ts';
import type { PackedRange } from '../row.ts';
import { VersionConflict } from '../store.ts';
import type { Batch, Commit, Key, Range, Row, Store, Table, TableName } from '../store.ts';
import { endOfFirstPart, endOfPrefix, packKey, unpackKey } from '../tuple.ts';
import type { Packed } from '../tuple.ts';
import { backUp } from './backup.ts';
import { blockKey, isBlock, numberOf, rowInBlock, rowsOfBlock } from './blocks.ts';
import type { ApplierLink } from './channel.ts';
import { GONE, MISS, UNWRITTEN } from './changes.ts';
import type { Committer, OwnPartition } from './committer.ts';
import { AFTER_PARTITIONS, PARTITION_KEYS, versionKey } from './env.ts';
import type { Env } from './env.ts';
import type { Shared } from './shared.ts';

/** Another thread may change a partition again and again while it is read: then what it was is good enough. */
const MAX_FLUSHES = 5;
/** Names of partitions remembered in their packed form; forgotten all at once. */
const MAX_PACKED = 20_000;
/** Partitions looked at in one turn of the event loop. */
const PARTITIONS_PER_TURN = 100;

/** How a thread's share of the store is doing, for metrics. */
export interface StoreStats {
  /** Written since the store was opened, by this thread. */
  readonly groups: number;
  readonly rows: number;
  readonly journalBytes: number;
  /** Memory of this thread's changes that are not in LMDB yet, roughly. */
  readonly unappliedBytes: number;
  /** Reads and commits that had to wait for what another thread had written. */
  readonly flushes: number;
}

export interface LmdbStoreOptions {
  readonly env: Env;
  readonly shared: Shared;
  readonly committer: Committer;
  readonly link: ApplierLink;
  /** The last step of `close`. */
  readonly close: () => Promise<void>;
}

export class LmdbStore implements Store {
  readonly #env: Env;
  readonly #shared: Shared;
  readonly #committer: Committer;
  readonly #link: ApplierLink;
  readonly #close: () => Promise<void>;
  /** Partitions with commits that wait for what another thread had written there. */
  readonly #deferred = new Map<Packed, Promise<void>>();
  /** Packed names of partitions that were committed to. */
  readonly #packed = new Map<string, Packed>();
  #closing: Promise<void> | undefined;
  #flushes = 0;

  constructor({ env, shared, committer, link, close }: LmdbStoreOptions) {
    this.#env = env;
    this.#shared = shared;
    this.#committer = committer;
    this.#link = link;
    this.#close = close;
  }

  get stats(): StoreStats {
    const { groups, rows, bytes } = this.#committer.written;
    return { groups, rows, journalBytes: bytes, unappliedBytes: this.#committer.changes.bytes, flushes: this.#flushes };
  }

  get<V>(table: Table<V>, partition: string, key: Key): Promise<V | undefined> {
    return this.#read(partition, (packed, own) => this.#getNow(table, partition, packed, own, packSuffix(table, key)));
  }

  list<V>(table: Table<V>, partition: string, range: Range = {}): Promise<Row<V>[]> {
    return this.#read(partition, (packed, own) => this.#listNow(table, partition, packed, own, range));
  }

  commit(batch: Batch, expect?: number): Commit {
    if (this.#closing !== undefined) return settledCommit(storeClosed());
    // The hot path: no closure, nor room for one, and the partition's name is packed once.
    const known = this.#packed.get(batch.partition);
    if (known !== undefined && expect === undefined && this.#deferred.size === 0) return this.#committer.add(known, batch);
    return this.#commitRarely(batch, expect);
  }

  #commitRarely(batch: Batch, expect: number | undefined): Commit {
    return orRefused(() => {
      const packed = this.#pack(batch.partition);
      if (this.#deferred.has(packed) || (expect !== undefined && this.#isForeign(packed, this.#committer.changes.partitions.get(packed)))) {
        return this.#defer(packed, () => this.#commitNow(packed, batch, expect));
      }
      return this.#commitNow(packed, batch, expect);
    });
  }

  /** Remembers it: most commits are of partitions that had one a moment ago. */
  #pack(partition: string): Packed {
    const packed = packKey([partition]);
    if (this.#packed.size >= MAX_PACKED) this.#packed.clear();
    this.#packed.set(partition, packed);
    return packed;
  }

  erase(partition: string): Commit {
    if (this.#closing !== undefined) return settledCommit(storeClosed());
    return orRefused(() => {
      const packed = packKey([partition]);
      return this.#deferred.has(packed) ? this.#defer(packed, () => this.#committer.erase(packed)) : this.#committer.erase(packed);
    });
  }

  async version(partition: string): Promise<number> {
    const packed = packKey([partition]);
    for (;;) {
      const version = await this.#read(partition, (_, own) => this.#versionNow(packed, own));
      if (version === UNWRITTEN) {
        // It will be the tick of the group. Whether that can be written is its committer's business.
        await this.#committer.pending?.promise.catch(() => undefined);
      } else if (version === UNTRACKED) {
        await this.#committer.track(packed).promise;
      } else {
        return version;
      }
    }
  }

  async partitions(table: TableName, after?: string, limit = Infinity): Promise<string[]> {
    await this.#settleAll();
    const prefix = packTable(table);
    const names: string[] = [];
    let from = after === undefined ? PARTITION_KEYS : endOfPrefix(packKey([after]));
    for (let seen = 1; names.length < limit; seen++) {
      if (seen % PARTITIONS_PER_TURN === 0) await nextTurn();
      this.#check();
      const [first] = this.#env.keys(from, AFTER_PARTITIONS, 1);
      if (first === undefined) break;
      const packed = first.slice(0, endOfFirstPart(first));
      const [row] = this.#env.rows(packed + prefix, packed + endOfPrefix(prefix), false, 1);
      if (row !== undefined) names.push(nameOf(packed, isBlock(row.value) ? rowsOfBlock(row.key, row.value)[0]!.value : row.value));
      from = endOfPrefix(packed);
    }
    return names;
  }

  async backup(directory: string): Promise<void> {
    await this.#settleAll();
    await backUp(this.#env, directory);
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #shutDown(): Promise<void> {
    await Promise.all(this.#deferred.values());
    await this.#committer.close();
    await this.#close();
  }

  #check(): void {
    if (this.#closing !== undefined) throw storeClosed();
  }

  /** Runs `read` now, unless another thread has changed the partition and LMDB does not have that yet. */
  #read<T>(partition: string, read: (packed: Packed, own: OwnPartition | undefined) => T): Promise<T> {
    try {
      this.#check();
      const packed = packKey([partition]);
      const own = this.#committer.changes.partitions.get(packed);
      if (this.#deferred.has(packed) || this.#isForeign(packed, own)) return this.#readLater(packed, read);
      this.#committer.refresh();
      return Promise.resolve(read(packed, own));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  async #readLater<T>(packed: Packed, read: (packed: Packed, own: OwnPartition | undefined) => T): Promise<T> {
    await this.#deferred.get(packed);
    await this.#flushForeign(packed);
    this.#check();
    this.#committer.refresh();
    return read(packed, this.#committer.changes.partitions.get(packed));
  }

  #isForeign(packed: Packed, own: OwnPartition | undefined): boolean {
    const tag = this.#shared.tagAt(own?.place ?? this.#shared.place(packed));
    if (tag === 0) return false;
    if (own?.isMixed === true) return true;
    return tag === undefined || (tag !== own?.tag && tag !== this.#committer.known(packed));
  }

  /** Has the applier write what other threads have done to the partition. */
  async #flushForeign(packed: Packed): Promise<void> {
    const { changes } = this.#committer;
    for (let i = 0; i < MAX_FLUSHES && this.#isForeign(packed, changes.partitions.get(packed)); i++) {
      this.#check();
      const tag = this.#shared.tagAt(this.#shared.place(packed));
      this.#flushes++;
      await this.#link.flushPartition(packed, tag ?? 0);
      this.#committer.know(packed, tag ?? 0);
      if (tag === undefined) return; // crowded: it would be the same again
    }
  }

  /** All that this thread has committed and all threads have settled is in LMDB. */
  async #settleAll(): Promise<void> {
    this.#check();
    await Promise.all(this.#deferred.values());
    // A group that fails is none of this caller's business.
    await this.#committer.pending?.promise.catch(() => undefined);
    await this.#link.flush();
    this.#check();
    this.#committer.refresh();
  }

  #commitNow(packed: Packed, batch: Batch, expect: number | undefined): Commit {
    if (expect !== undefined) {
      this.#committer.refresh();
      const own = this.#committer.changes.partitions.get(packed);
      const version = this.#versionNow(packed, own);
      // A version that nobody has been told cannot be the expected one.
      if (version !== expect || version < 0 || version === UNWRITTEN) {
        return settledCommit(new VersionConflict(`Partition ${batch.partition} has changed since version ${expect}.`));
      }
    }
    return this.#committer.add(packed, batch);
  }

  #defer(packed: Packed, run: () => Commit): Commit {
    const commit = new GroupCommit();
    const before = this.#deferred.get(packed) ?? this.#flushForeign(packed);
    const done = before.then(
      () => {
        const inner = run();
        inner.onSettled(() => commit.settle(inner.error));
      },
      (error: Error) => commit.settle(error),
    );
    this.#deferred.set(packed, done);
    void done.then(() => {
      if (this.#deferred.get(packed) === done) this.#deferred.delete(packed);
    });
    return commit;
  }

  /** UNWRITTEN if it depends on a group that is not written, UNTRACKED if nobody has asked for it before. */
  #versionNow(packed: Packed, own: OwnPartition | undefined): number {
    const { changes, applied } = this.#committer;
    const isChanged = own !== undefined && changes.isChanged(own, applied);
    if (isChanged && changes.isErased(own)) return 0;
    const isTracked = isChanged ? changes.isTracked(own, applied) : undefined;
    if (isTracked === true) return changes.lastTick(own!);
    const stored = isTracked === false ? undefined : this.#env.getDouble(versionKey(packed));
    if (stored === undefined) return this.#isEmpty(packed, own) ? 0 : UNTRACKED;
    return isChanged ? changes.lastTick(own) : stored;
  }

  #isEmpty(packed: Packed, own: OwnPartition | undefined): boolean {
    const { changes, applied } = this.#committer;
    const mine = new Map<Packed, number>();
    const isErased = own !== undefined && changes.rows(own, applied, mine);
    for (const change of mine.values()) if (changes.value(change) !== undefined) return false;
    if (isErased) return true;
    for (const row of this.#env.rows(packed, endOfPrefix(packed), false, Infinity)) {
      for (const { key } of isBlock(row.value) ? rowsOfBlock(row.key, row.value) : [row])
        if (!mine.has(key.slice(packed.length))) return false;
    }
    return true;
  }

  #getNow<V>(table: Table<V>, partition: string, packed: Packed, own: OwnPartition | undefined, suffix: Packed): V | undefined {
    const { changes, applied } = this.#committer;
    const change = own === undefined ? MISS : changes.find(own, suffix, applied);
    if (change === GONE) return undefined;
    const bytes = change === MISS ? this.#stored(table, packed, suffix) : this.#valueOf(change);
    return bytes === undefined ? undefined : decodeRow(table, partition, bytes);
  }

  #stored(table: TableName, packed: Packed, suffix: Packed): Buffer | undefined {
    if (table.isRun !== true) return this.#env.get(packed + suffix);
    const number = numberOf(suffix);
    const block = this.#env.get(blockKey(packed + packTable(table), number));
    return block === undefined ? undefined : rowInBlock(block, number);
  }

  /** As `Env.rows`, but for runs. */
  #storedRange(table: TableName, packed: Packed, { start, end }: PackedRange, reverse: boolean, limit: number): Iterable<StoredAt> {
    if (table.isRun !== true) return this.#env.rows(packed + start, packed + end, reverse, limit);
    const prefix = packTable(table);
    const from = start === prefix ? start : blockKey(prefix, numberOf(start));
    return rowsOfRun(this.#env.rows(packed + from, packed + end, reverse, Infinity), packed + start, packed + end, reverse);
  }

  #listNow<V>(table: Table<V>, partition: string, packed: Packed, own: OwnPartition | undefined, range: Range): Row<V>[] {
    const bounds = packRange(table, range);
    const { start, end } = bounds;
    const { limit = Infinity, reverse = false } = range;
    const rows: Row<V>[] = [];
    if (limit <= 0 || start >= end) return rows;
    const { changes, applied } = this.#committer;
    const mine = new Map<Packed, number>();
    const isErased = own !== undefined && changes.rowsWithin(own, applied, start, end, mine);
    const suffixes = [...mine.keys()].toSorted();
    if (reverse) suffixes.reverse();
    const stored = isErased ? [] : this.#storedRange(table, packed, bounds, reverse, suffixes.length === 0 ? limit : Infinity);
    let next = 0;
    const pushMine = (): void => {
      const suffix = suffixes[next++]!;
      const bytes = this.#valueOf(mine.get(suffix)!);
      if (bytes !== undefined) rows.push(decodeKeyedRow(table, partition, suffix, bytes));
    };
    for (const { key, value } of stored) {
      const suffix = key.slice(packed.length);
      while (next < suffixes.length && rows.length < limit && (reverse ? suffixes[next]! > suffix : suffixes[next]! < suffix)) pushMine();
      if (rows.length >= limit) return rows;
      if (suffixes[next] === suffix) pushMine();
      else rows.push(decodeKeyedRow(table, partition, suffix, value));
      if (rows.length >= limit) return rows;
    }
    while (next < suffixes.length && rows.length < limit) pushMine();
    return rows;
  }

  /** A copy: what a decoder keeps or changes must not reach the store. */
  #valueOf(change: number): Buffer | undefined {
    const value = this.#committer.changes.value(change);
    return value === undefined ? undefined : Buffer.from(value.chunk.subarray(value.start, value.end));
  }
}

type StoredAt = { readonly key: Packed; readonly value: Buffer };

/** The rows of blocks that lie within the bounds. */
function* rowsOfRun(blocks: Iterable<StoredAt>, start: Packed, end: Packed, reverse: boolean): Generator<StoredAt> {
  for (const { key, value } of blocks) {
    const rows = rowsOfBlock(key, value);
    if (reverse) rows.reverse();
    for (const row of rows) if (row.key >= start && row.key < end) yield row;
  }
}

/** The partition has rows, and its version was never asked for. */
const UNTRACKED = -1;

/** A long partition's name is in each of its rows. */
function nameOf(packed: Packed, row: Buffer): string {
  const [name] = unpackKey(packed) ?? parseRow(row)?.fullKey ?? [];
  if (typeof name === 'string') return name;
  throw new StoreError(
    'ERR_STORE_DECODE',
    'A row in the store does not know its partition. It was written by other code: check the versions.',
  );
}
