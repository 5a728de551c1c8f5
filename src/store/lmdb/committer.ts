/**
 * Group commit for one thread: gathers the batches of a turn of the event loop, appends them to the journal
 * with one write, and settles their common commit. Until LMDB has them, they stay readable here.
 */
import { GroupCommit, settledCommit } from '../commit.ts';
import { StoreError, storeClosed } from '../errors.ts';
import { checkKeyBytes, fullKeyOf, needsFullKey, packSuffix, packTable, rowHeader } from '../row.ts';
import type { Batch, Change, Commit } from '../store.ts';
import type { Packed } from '../tuple.ts';
import type { Env } from './env.ts';
import { journalKey } from './env.ts';
import { checkRunKey } from './blocks.ts';
import { Changes, unchanged, UNWRITTEN } from './changes.ts';
import type { ChangedPartition } from './changes.ts';
import { DELETE, DELETE_IN_RUN, ERASE, GROUP, GroupBuffer, PUT, TRACK } from './journal.ts';
import type { Journal } from './journal.ts';
import { tagOf } from './shared.ts';
import type { Place, Shared } from './shared.ts';

/** While the applier is behind, how often to look whether it has caught up. */
const STALL_MS = 5;
/** Remembered partitions of other threads whose changes are known to be in LMDB; forgotten all at once. */
const MAX_KNOWN = 10_000;
/** Applied changes freed with each group beyond twice what it adds. */
const PRUNE_CHANGES = 64;

export interface CommitterOptions {
  readonly env: Env;
  readonly shared: Shared;
  readonly journal: Journal;
  readonly instance: number;
  readonly sync: 'process' | 'disk';
  readonly commitDelayMs: number;
  readonly gather: (write: () => void) => void;
  readonly syncIntervalMs: number;
  readonly maxBatchBytes: number;
  readonly maxGroupBytes: number;
  readonly maxUnappliedBytes: number;
  /** Journal bytes after which the applier is asked not to wait for its interval. */
  readonly wakeBytes: number;
  /** Asks the applier. */
  readonly wake: () => void;
}

/** A partition this thread has changed, and what it knows of others changing it. */
export interface OwnPartition extends ChangedPartition {
  readonly place: Place;
  /** Of the last group of this thread that changed it and was written; 0 if none. */
  tag: number;
  /** Another thread had changed it, unapplied, before this one did. */
  isMixed: boolean;
}

interface Group {
  readonly commit: GroupCommit;
  /** Number of its first change. */
  readonly first: number;
}

export class Committer {
  /** What this thread has committed and LMDB may not have. */
  readonly changes: Changes<OwnPartition>;
  readonly #options: CommitterOptions;
  readonly #buffer = new GroupBuffer((shift) => this.#moved(shift));
  #chunk: number;
  /** The tags of other threads' changes that LMDB has, though they are not published: see LmdbStore. */
  readonly #known = new Map<Packed, number>();
  #group: Group | undefined;
  /** Written, and waiting for the disk. */
  #syncing: Group | undefined;
  #isScheduled = false;
  #isClosed = false;
  #needsSync = false;
  #syncTimer: NodeJS.Timeout | undefined;
  #lastWriteMs = -Infinity;
  #epoch = -1;
  #applied = 0;
  #wakeBytes = 0;
  #groups = 0;
  #rows = 0;
  #bytes = 0;

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.changes = new Changes((packed) => ({ ...unchanged(packed), place: options.shared.place(packed), tag: 0, isMixed: false }));
    this.#chunk = this.changes.addChunk(this.#buffer.chunk);
  }

  /** Everything of this thread up to this tick is in LMDB. As of the last `refresh`. */
  get applied(): number {
    return this.#applied;
  }

  /** Since the store was opened: written groups, rows and journal bytes. */
  get written(): { readonly groups: number; readonly rows: number; readonly bytes: number } {
    return { groups: this.#groups, rows: this.#rows, bytes: this.#bytes };
  }

  /** The commit of what is not yet written or settled, if there is any. */
  get pending(): Commit | undefined {
    return this.#group?.commit ?? this.#syncing?.commit;
  }

  known(partition: Packed): number {
    return this.#known.get(partition) ?? 0;
  }

  /** LMDB has all that any thread had written of the partition, up to what was marked with `tag` (if anything). */
  know(packed: Packed, tag: number): void {
    const own = this.changes.partitions.get(packed);
    if (own !== undefined) {
      // Another thread may have changed it since: what is here, unless not written yet, could hide that.
      own.floor = this.#group === undefined ? own.last : Math.min(own.last, this.#group.first - 1);
      own.tag = tag;
      own.isMixed = false;
    }
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(packed, tag);
  }

  add(packed: Packed, batch: Batch): Commit {
    const refused = this.#refuse();
    if (refused !== undefined) return settledCommit(refused);
    if (batch.isEmpty) return settledCommit();
    const group = this.#open();
    const failure = this.#encode(packed, batch);
    return failure === undefined ? group.commit : settledCommit(failure);
  }

  erase(packed: Packed): Commit {
    return this.#addMark(packed, ERASE);
  }

  /** From now on, the partition's version is the tick of its last change. */
  track(packed: Packed): Commit {
    return this.#addMark(packed, TRACK);
  }

  /** Makes later reads see what LMDB has now. Cheap where nothing has changed. */
  refresh(): void {
    const epoch = this.#options.shared.epoch;
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#options.env.renewSnapshot();
    const position = this.#options.env.getJson(journalKey(this.#options.instance));
    if (Array.isArray(position)) this.#applied = position[2] as number;
  }

  /** Writes what is pending and waits until all is settled; later commits fail with ERR_STORE_CLOSED. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#write();
    clearTimeout(this.#syncTimer);
    for (let commit = this.pending; commit !== undefined; commit = this.pending) await commit.promise.catch(() => undefined);
    this.#options.journal.close(this.#options.shared.tick());
  }

  #refuse(): StoreError | undefined {
    if (this.#isClosed || this.#options.shared.isClosed) return storeClosed();
    if (this.#buffer.length <= this.#options.maxGroupBytes) return undefined;
    return new StoreError('ERR_STORE_BUSY', 'The store is behind with writing. Look for a full or slow disk.');
  }

  #addMark(packed: Packed, kind: number): Commit {
    const refused = this.#refuse();
    if (refused !== undefined) return settledCommit(refused);
    const group = this.#open();
    this.#buffer.batch(packed, 1);
    this.changes.add(this.changes.open(packed), this.#chunk, this.#buffer.end, UNWRITTEN);
    this.#buffer.mark(kind);
    return group.commit;
  }

  /** Where it fails, it has written and added nothing. */
  #encode(packed: Packed, { partition, changes }: Batch): StoreError | undefined {
    const first = this.changes.next;
    const before = this.#buffer.length;
    try {
      this.#buffer.batch(packed, changes.length);
      const own = this.changes.open(packed);
      for (let i = 0; i < changes.length; i++) this.#encodeChange(packed, partition, own, changes[i]!);
    } catch (error) {
      this.#takeBack(packed, first, before);
      if (error instanceof StoreError) return error;
      throw error;
    }
    if (this.#buffer.length - before <= this.#options.maxBatchBytes) return undefined;
    this.#takeBack(packed, first, before);
    return new StoreError(
      'ERR_STORE_TOO_LARGE',
      `A batch for ${partition} has more than ${this.#options.maxBatchBytes} bytes. Split it, or limit what makes it so large.`,
    );
  }

  #encodeChange(packed: Packed, partition: string, own: OwnPartition, { table, key, value, row, write }: Change): void {
    const buffer = this.#buffer;
    const isRun = table.isRun === true;
    const isDeletion = value === undefined && write === undefined;
    let suffix = '';
    // A number after a table's name is always short enough.
    if (isRun) checkRunKey(table.name, key);
    if (!isRun || isDeletion) {
      suffix = packSuffix(table, key);
      checkKeyBytes(packed, suffix);
    }
    // Before the row, which may move the group and all changes in it.
    this.changes.add(own, this.#chunk, buffer.end, UNWRITTEN);
    if (isDeletion) {
      buffer.delete(isRun ? DELETE_IN_RUN : DELETE, suffix);
      return;
    }
    const header = rowHeader(table.version, needsFullKey(partition, key) ? fullKeyOf(partition, key) : undefined);
    if (isRun) buffer.beginPutInRun(packTable(table), key[0] as number, header);
    else buffer.beginPut(PUT, suffix, header);
    if (write === undefined) buffer.raw(value!);
    else write(buffer, row);
    buffer.endPut();
  }

  /** What was added since then is none of the group's. */
  #takeBack(packed: Packed, first: number, length: number): void {
    this.changes.takeBack(first);
    this.#buffer.clear(length);
    if (this.changes.partitions.get(packed)?.count === 0) this.changes.partitions.delete(packed);
  }

  /** The group lies in another chunk. */
  #moved(shift: number): void {
    this.#chunk = this.changes.addChunk(this.#buffer.chunk);
    if (this.#group !== undefined) this.changes.move(this.#group.first, this.#chunk, shift);
  }

  #open(): Group {
    this.#group ??= { commit: new GroupCommit(), first: this.changes.next };
    this.#schedule();
    return this.#group;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#syncing !== undefined) return;
    this.#isScheduled = true;
    const { commitDelayMs } = this.#options;
    const waitMs = commitDelayMs === 0 ? 0 : this.#lastWriteMs + commitDelayMs - performance.now();
    if (waitMs <= 0) this.#options.gather(this.#onTurn);
    else setTimeout(this.#onTurn, waitMs);
  }

  readonly #onTurn = (): void => {
    this.#isScheduled = false;
    this.#write();
  };

  #write(): void {
    const group = this.#group;
    if (group === undefined || this.#syncing !== undefined) return;
    // A store that is being closed does not wait for an applier that may have no space.
    if (!this.#isClosed && this.#isStalled()) return;
    this.#group = undefined;
    if (this.#options.commitDelayMs > 0) this.#lastWriteMs = performance.now();
    if (this.changes.next === group.first) {
      // Every batch was refused.
      group.commit.settle();
      return;
    }
    try {
      if (this.#options.shared.isClosed) throw storeClosed();
      const tick = this.#options.shared.tick();
      this.#options.journal.append(this.#buffer, GROUP, tick);
      this.changes.setTick(group.first, tick);
      this.#mark(group, tagOf(tick));
    } catch (error) {
      this.#buffer.clear();
      this.changes.takeBack(group.first);
      group.commit.settle(error as Error);
      return;
    }
    this.#count(group);
    this.#buffer.next();
    if (this.#options.sync === 'disk') this.#syncThenSettle(group);
    else {
      this.#syncLater();
      group.commit.settle();
    }
  }

  /** Too much is unapplied: commits stay unsettled, and so their actors wait, until the applier has caught up. */
  #isStalled(): boolean {
    const { maxUnappliedBytes } = this.#options;
    this.refresh();
    this.#prune(PRUNE_CHANGES + 2 * (this.changes.next - this.#group!.first));
    if (this.changes.bytes <= maxUnappliedBytes) return false;
    this.#prune(Infinity);
    if (this.changes.bytes <= maxUnappliedBytes || this.changes.firstTick === UNWRITTEN) return false;
    this.#options.wake();
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setTimeout(this.#onTurn, STALL_MS);
    }
    return true;
  }

  #prune(limit: number): void {
    for (const chunk of this.changes.prune(this.#applied, limit)) this.#buffer.recycle(chunk);
  }

  /** Other threads must not take what LMDB has of these partitions for the present. */
  #mark(group: Group, tag: number): void {
    for (let change = group.first; change < this.changes.next; change++) {
      const partition = this.changes.owner(change);
      if (partition.tag === tag) continue;
      const before = this.#options.shared.mark(partition.place, tag);
      if (before !== 0 && before !== partition.tag && before !== this.known(partition.packed)) partition.isMixed = true;
      partition.tag = tag;
    }
  }

  #count(group: Group): void {
    const bytes = this.#buffer.length;
    this.#groups++;
    this.#rows += this.changes.next - group.first;
    this.#bytes += bytes;
    this.#wakeBytes += bytes;
    if (this.#wakeBytes < this.#options.wakeBytes) return;
    this.#wakeBytes = 0;
    this.#options.wake();
  }

  /**
   * Commits of the meantime make up the next group. What a failed sync leaves on the disk nobody knows: the
   * group fails, and may yet be found there.
   */
  #syncThenSettle(group: Group): void {
    this.#syncing = group;
    this.#options.journal.sync((error) => {
      this.#syncing = undefined;
      if (this.#group !== undefined) this.#schedule();
      if (error === null) group.commit.settle();
      else
        group.commit.settle(
          new StoreError('ERR_STORE_IO', 'The disk did not confirm what was written. Check it and the system log.', error),
        );
    });
  }

  /** Bounds what a power loss can take, at no cost for the commits. */
  #syncLater(): void {
    this.#needsSync = true;
    if (this.#syncTimer !== undefined || this.#isClosed) return;
    this.#syncTimer = setTimeout(() => {
      this.#syncTimer = undefined;
      if (!this.#needsSync) return;
      this.#needsSync = false;
      this.#options.journal.sync(() => undefined);
    }, this.#options.syncIntervalMs);
    this.#syncTimer.unref();
  }
}
