/**
 * Brings what the journals hold into LMDB: one per store, in the thread that opened it first, which no
 * supervisor terminates (a thread that dies within an LMDB transaction takes the environment with it).
 * The same code recovers what a crash left.
 *
 *     journal of each thread ──► tail ──┐  by tick   ┌─ next ──► current ──► LMDB, some 2,000 rows
 *     journal of each thread ──► tail ──┴───────────►┘  window     window    per synced transaction
 *
 * Every `intervalMs`, or sooner when much has been written, all groups since are read into a window, which
 * is then written partition by partition; the last transaction also says how far each journal is applied. A
 * crash in between only means that some groups are applied again, in the same order.
 *
 * Nothing is written to LMDB that is not on the disk in its journal: else a power loss could leave the later changes of a
 * partition there and take the earlier ones, which the journal no longer has.
 *
 * Order between threads: groups are merged by their ticks up to the clock's value before any journal was read.
 * A group that had settled before another began has the lower tick and is in its journal by then, so the later
 * of two changes to a partition is never overtaken.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { storeClosed, storeErrorFrom } from '../errors.ts';
import type { StoreError } from '../errors.ts';
import type { Packed } from '../tuple.ts';
import { BlockBuilder, blockKey, type RunChanges } from './blocks.ts';
import type { ChangedPartition, Changes } from './changes.ts';
import { AFTER_VERSIONS, journalKey, TICK_KEY, VERSION_KEYS, versionKey } from './env.ts';
import type { Env } from './env.ts';
import { eraseSome, finishErasures } from './erasure.ts';
import type { JournalFiles } from './journal.ts';
import { Journals } from './journals.ts';
import type { Place, Shared } from './shared.ts';
import { tagOf } from './shared.ts';
import type { Position } from './tail.ts';
import { Window } from './window.ts';

/** Journal bytes in one window, a bound of memory while much is to be recovered. */
const WINDOW_BYTES = 16 * 1024 * 1024;
/** Read in one turn of the event loop, about five milliseconds' worth. */
const READ_BYTES = 1024 * 1024;
/** Times per interval that journals are read ahead, so that there is little left to read when it matters. */
const READS_PER_INTERVAL = 10;
/** After a failure, which is most likely a full disk. */
const RETRY_MS = 1_000;

export interface ApplierOptions {
  readonly env: Env;
  readonly shared: Shared;
  /** Where the journals are. */
  readonly directory: string;
  readonly intervalMs: number;
  /** A transaction ends with the partition that brings it to this many rows. */
  readonly rowsPerTransaction: number;
  /** Told of the first failure of several, and with `undefined` when it is over. */
  readonly onTrouble: ((error: StoreError | undefined) => void) | undefined;
  readonly files: JournalFiles | undefined;
}

/** What a crash had left in the journals. */
export interface Recovery {
  /** Groups that were not in LMDB. */
  readonly groups: number;
  /** Of a write that the crash cut short: never acknowledged. */
  readonly discardedBytes: number;
}

type Waiter = PromiseWithResolvers<void>;

/** A reader in another thread needs a partition as it is now. */
interface Urgent {
  readonly place: Place;
  readonly tag: number;
  readonly waiters: Waiter[];
}

export class Applier {
  readonly #env: Env;
  readonly #shared: Shared;
  readonly #journals: Journals;
  readonly #blocks = new BlockBuilder();
  readonly #intervalMs: number;
  readonly #rowsPerTransaction: number;
  readonly #onTrouble: ((error: StoreError | undefined) => void) | undefined;
  #next = new Window();
  #current: Window | undefined;
  /** The last but one, to be used again. */
  #spare = new Window();
  /** Partitions of the current window still to be written, from `#at` on. */
  #queue: ChangedPartition[] = [];
  #at = 0;
  #waiters: Waiter[] = [];
  #currentWaiters: Waiter[] = [];
  readonly #urgent = new Map<Packed, Urgent>();
  /** Journals that are gone for good, whose positions can go. */
  #retired: number[] = [];
  #wantsWindow = false;
  #wantsRead = false;
  #isRunning = false;
  /** Reported, and not over. */
  #trouble: StoreError | undefined;
  #retry: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastClock = 0;
  /** The clock had not moved between the last two times the journals were read. */
  #isIdle = false;
  /** During recovery there is no clock yet. */
  #hasClock = false;
  #groups = 0;
  #isStopped = false;
  /** Some partition's version is kept. */
  #hasVersions = false;

  constructor(options: ApplierOptions) {
    this.#env = options.env;
    this.#shared = options.shared;
    const positionOf = (instance: number): Position | undefined => positionFrom(this.#env.getJson(journalKey(instance)));
    this.#journals = new Journals(options.directory, positionOf, options.files);
    this.#intervalMs = options.intervalMs;
    this.#rowsPerTransaction = options.rowsPerTransaction;
    this.#onTrouble = options.onTrouble;
  }

  /** Applies all journals there are, removes them and starts the clock. Before any thread writes. Where it fails, the applier is over. */
  async recover(): Promise<Recovery> {
    try {
      return await this.#recover();
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  async #recover(): Promise<Recovery> {
    for (const _ of this.#env.keys(VERSION_KEYS, AFTER_VERSIONS, 1)) this.#hasVersions = true;
    await finishErasures(this.#env);
    await this.flush();
    const discardedBytes = this.#journals.removeAll();
    const tick = Math.max(Number(this.#env.getJson(TICK_KEY) ?? 0), this.#shared.clock) + 1;
    this.#env.transaction(() => {
      for (const { instance } of this.#env.journals()) this.#env.delete(journalKey(instance));
      this.#env.putJson(TICK_KEY, tick);
    });
    this.#shared.raiseEpoch();
    this.#shared.startClock(tick);
    this.#hasClock = true;
    this.#lastClock = tick;
    return { groups: this.#groups, discardedBytes };
  }

  start(): void {
    let reads = 0;
    this.#timer = setInterval(() => {
      // Once more after the clock has stopped: its last tick may have been taken and not been appended.
      if (this.#isIdle && this.#shared.clock === this.#lastClock) return;
      this.#wantsRead = true;
      if (++reads % READS_PER_INTERVAL === 0) this.#wantsWindow = true;
      this.#run();
    }, this.#intervalMs / READS_PER_INTERVAL);
    this.#timer.unref();
  }

  /** The thread is gone: what it has written to its journals is all there will be. */
  endThread(thread: number): void {
    this.#journals.endThread(thread);
    this.wake();
  }

  /** Applies what there is now instead of at the next interval. */
  wake(): void {
    this.#wantsWindow = true;
    this.#run();
  }

  /** Settles when all groups appended before the call are in LMDB. Rejects with a StoreError. */
  flush(): Promise<void> {
    if (this.#isStopped) return Promise.reject(storeClosed());
    const waiter = Promise.withResolvers<void>();
    this.#waiters.push(waiter);
    this.wake();
    return waiter.promise;
  }

  /** The same for one partition, soon. `tag`: what the reader found in the table, freed if nothing belongs to it. */
  flushPartition(partition: Packed, tag: number): Promise<void> {
    if (this.#isStopped) return Promise.reject(storeClosed());
    const waiter = Promise.withResolvers<void>();
    const urgent = this.#urgent.get(partition);
    if (urgent === undefined) this.#urgent.set(partition, { place: this.#shared.place(partition), tag, waiters: [waiter] });
    else urgent.waiters.push(waiter);
    this.#run();
    return waiter.promise;
  }

  /** Applies the rest, unless it cannot be: then the journals keep it for the next opener. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    try {
      await this.flush();
      this.#env.transaction(() => this.#dropRetired());
    } catch (error) {
      if (this.#trouble === undefined) this.#onTrouble?.(storeErrorFrom(error, this.#env.path));
    }
    this.#end();
  }

  #end(): void {
    this.#isStopped = true;
    clearTimeout(this.#retry);
    this.#journals.close();
  }

  #run(): void {
    if (this.#isRunning || this.#isStopped || this.#retry !== undefined) return;
    this.#isRunning = true;
    void this.#loop().finally(() => {
      this.#isRunning = false;
      if (this.#hasWork) this.#run();
    });
  }

  get #hasWork(): boolean {
    return this.#urgent.size > 0 || this.#current !== undefined || this.#wantsWindow || this.#wantsRead;
  }

  /** One or two transactions per turn of the event loop. */
  async #loop(): Promise<void> {
    try {
      while (this.#hasWork) {
        // Neither may keep the other from going on.
        if (this.#urgent.size > 0) await this.#serveUrgent();
        if (this.#current !== undefined) this.#step(this.#current);
        else if (this.#wantsWindow || this.#wantsRead) await this.#readOn();
        if (this.#hasWork) await nextTurn();
      }
    } catch (error) {
      this.#fail(storeErrorFrom(error, this.#env.path));
    }
  }

  #fail(error: StoreError): void {
    const waiters = [...this.#waiters, ...this.#currentWaiters, ...[...this.#urgent.values()].flatMap((urgent) => urgent.waiters)];
    this.#waiters = [];
    this.#currentWaiters = [];
    this.#urgent.clear();
    for (const waiter of waiters) waiter.reject(error);
    // Who opens the store is told by the opening itself.
    if (this.#trouble === undefined && this.#hasClock) this.#onTrouble?.(error);
    this.#trouble = error;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.wake();
    }, RETRY_MS);
    this.#retry.unref();
  }

  /** Reads ahead; and when there is no more, or enough, makes the next window the current one if that is wanted. */
  async #readOn(): Promise<void> {
    const clock = this.#shared.clock;
    const isComplete = this.#read(this.#next.bytes + READ_BYTES);
    if (isComplete) {
      this.#wantsRead = false;
      this.#isIdle = clock === this.#lastClock && this.#next.isEmpty;
      this.#lastClock = clock;
    }
    if (this.#next.bytes >= WINDOW_BYTES) this.#wantsWindow = true;
    else if (!isComplete) return;
    if (this.#wantsWindow) await this.#turnWindow(isComplete);
  }

  async #turnWindow(isComplete: boolean): Promise<void> {
    this.#wantsWindow = !isComplete;
    this.#currentWaiters = isComplete ? this.#waiters.splice(0) : [];
    if (this.#next.isEmpty) {
      this.#works();
      this.#retired.push(...this.#journals.removeApplied(this.#next));
      this.#settleWaiters();
      return;
    }
    await this.#journals.sync();
    this.#current = this.#next;
    this.#next = this.#spare;
    // Neighbours share pages.
    this.#queue = [...this.#current.changes.partitions.values()].sort((a, b) => (a.packed < b.packed ? -1 : 1));
    this.#at = 0;
  }

  /** Reads on into the next window; false if it grew to `maxBytes` before all was read. */
  #read(maxBytes: number): boolean {
    // This order matters: see Shared.crowded, and the head of this file.
    const { crowded } = this.#shared;
    const until = this.#hasClock ? this.#shared.clock : Infinity;
    const isComplete = this.#journals.readInto(this.#next, maxBytes, until);
    if (isComplete) this.#next.crowded = crowded;
    return isComplete;
  }

  #step(window: Window): void {
    let at = this.#at;
    const applied: ChangedPartition[] = [];
    this.#env.transaction(() => {
      for (let rows = 0; at < this.#queue.length && rows < this.#rowsPerTransaction; at++) {
        const partition = this.#queue[at]!;
        if (isApplied(partition)) continue;
        if (!this.#write(window, partition)) return;
        rows += partition.count;
        applied.push(partition);
      }
      if (at === this.#queue.length) this.#writePositions(window);
    });
    this.#committed(applied);
    this.#at = at;
    if (at < this.#queue.length) return;
    this.#current = undefined;
    this.#queue = [];
    this.#publish(window);
  }

  async #serveUrgent(): Promise<void> {
    // Who asks while the disk is waited for may need what is not read now.
    const asked = new Map([...this.#urgent].map(([packed, { waiters }]) => [packed, waiters.length]));
    this.#read(Infinity);
    await this.#journals.sync();
    const windows = this.#current === undefined ? [this.#next] : [this.#current, this.#next];
    const applied: ChangedPartition[] = [];
    const served: Packed[] = [];
    this.#env.transaction(() => {
      for (const packed of asked.keys()) {
        for (const window of windows) {
          const partition = window.changes.partitions.get(packed);
          if (partition === undefined || isApplied(partition)) continue;
          if (!this.#write(window, partition)) return;
          applied.push(partition);
        }
        served.push(packed);
      }
    });
    this.#committed(applied);
    for (const packed of served) {
      const { place, tag, waiters } = this.#urgent.get(packed)!;
      const settled = waiters.splice(0, asked.get(packed));
      if (waiters.length === 0) this.#urgent.delete(packed);
      // Neither to be applied nor to be published: the mark came too late to be removed with its window.
      if (!windows.some((window) => window.changes.partitions.has(packed))) this.#shared.unmark(place, tag);
      for (const waiter of settled) waiter.resolve();
    }
  }

  /**
   * Writes the last state of each row; within a transaction. False if an erasure needs another transaction.
   * Must leave the window as it is: the transaction may fail.
   */
  #write({ changes }: Window, partition: ChangedPartition): boolean {
    const { packed } = partition;
    const rows = new Map<Packed, number>();
    const runs = new Map<Packed, RunChanges>();
    const isErased = changes.rows(partition, 0, rows, runs);
    if (isErased) {
      if (this.#hasVersions) this.#env.delete(versionKey(packed));
      if (!eraseSome(this.#env, packed)) return false;
    }
    for (const [suffix, change] of rows) {
      const value = changes.value(change);
      if (value === undefined) this.#env.delete(packed + suffix);
      else this.#env.putSlice(packed + suffix, value);
    }
    for (const [prefix, blocks] of runs) this.#writeRun(changes, packed + prefix, blocks);
    const isTracked = changes.isTracked(partition, 0) ?? (this.#hasVersions && this.#env.getDouble(versionKey(packed)) !== undefined);
    if (isTracked) {
      this.#hasVersions = true;
      this.#env.putDouble(versionKey(packed), changes.lastTick(partition));
    }
    return true;
  }

  #writeRun(changes: Changes<ChangedPartition>, prefix: Packed, blocks: RunChanges): void {
    for (const [first, block] of blocks) {
      const key = blockKey(prefix, first);
      const value = this.#blocks.build(this.#env.view(key), changes, block);
      if (value === undefined) this.#env.delete(key);
      else this.#env.putSlice(key, value);
    }
  }

  /** A transaction is over: its changes must not be written again, over later ones. */
  #committed(applied: readonly ChangedPartition[]): void {
    this.#shared.raiseEpoch();
    for (const partition of applied) partition.floor = partition.last;
    this.#works();
  }

  #works(): void {
    if (this.#trouble === undefined) return;
    this.#trouble = undefined;
    this.#onTrouble?.(undefined);
  }

  #writePositions(window: Window): void {
    for (const [instance, { segment, offset, tick }] of window.positions) this.#env.putJson(journalKey(instance), [segment, offset, tick]);
    if (this.#hasClock) this.#env.putJson(TICK_KEY, Math.max(window.tick, this.#shared.clock));
    else this.#env.putJson(TICK_KEY, window.tick);
    this.#dropRetired();
  }

  #dropRetired(): void {
    for (const instance of this.#retired.splice(0)) this.#env.delete(journalKey(instance));
  }

  #publish(window: Window): void {
    for (const partition of window.changes.partitions.values()) {
      this.#shared.unmark(this.#shared.place(partition.packed), tagOf(window.changes.lastTick(partition)));
    }
    this.#shared.uncrowd(window.crowded);
    this.#groups += window.groups;
    this.#journals.published(window);
    this.#journals.clear(window, this.#next);
    this.#spare = window;
    this.#retired.push(...this.#journals.removeApplied(this.#next));
    this.#settleWaiters();
  }

  #settleWaiters(): void {
    for (const waiter of this.#currentWaiters.splice(0)) waiter.resolve();
  }
}

/** Written early, for a reader that could not wait; what came later is not. */
function isApplied(partition: ChangedPartition): boolean {
  return partition.floor === partition.last;
}

function positionFrom(row: unknown): Position | undefined {
  if (!Array.isArray(row)) return undefined;
  const [segment, offset, tick] = row as [number, number, number];
  return { segment, offset, tick };
}
