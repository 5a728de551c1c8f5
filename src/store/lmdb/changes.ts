/**
 * Changes that LMDB does not have yet, as the bytes the journal has: a ring of places in chunks, each change
 * linked to the one before it in its partition. A thread keeps its own this way, to read what it wrote, and the
 * applier the window it is about to write.
 *
 *     partition ──last──► change ──previous──► change ──previous──► … until applied, or erased
 *                           │ chunk, offset
 *                           ▼
 *                        bytes of the journal (journal.ts)
 *
 * There is no object per change: thousands per second live for seconds, and as objects they cost a thread more in
 * garbage collection than all the rest of a commit (measured: 10 of 18 us per message).
 */
import { NUMBER_BYTES, type Packed } from '../tuple.ts';
import { noteInRun, type RunChanges } from './blocks.ts';
import { DELETE_HEADER_BYTES, DELETE_IN_RUN, ERASE, PUT, PUT_HEADER_BYTES, PUT_IN_RUN, TRACK } from './journal.ts';

/** The tick of a change whose group is not written yet. */
export const UNWRITTEN = Infinity;

/** Not found here: LMDB has the answer. */
export const MISS = -1;
/** Not found, and the partition was erased: there is no such row. */
export const GONE = -2;

const NONE = -1;
/** A power of two. */
const INITIAL_CHANGES = 1024;
/** A partition with more changes than this is searched by an index, made when it is first searched. */
const INDEX_CHANGES = 32;
/** Memory of a change beside its bytes. */
const CHANGE_BYTES = 32;

/** One partition with changes. Extended by its users with what they know of it. */
export interface ChangedPartition {
  readonly packed: Packed;
  /** Its newest change. */
  last: number;
  /** Changes up to this one are to be passed over: another thread has changed the partition since. */
  floor: number;
  count: number;
  /** Newest change of each row, up to `indexed`; made on demand. */
  index: Map<Packed, number> | undefined;
  indexed: number;
}

export class Changes<P extends ChangedPartition> {
  readonly partitions = new Map<Packed, P>();
  readonly #create: (packed: Packed) => P;
  #chunks: Buffer[] = [];
  /** Number of the first of `#chunks`. */
  #firstChunk = 0;
  #chunkBytes = 0;
  /** Absolute numbers of the oldest change and of the next one. */
  #head = 0;
  #tail = 0;
  #chunk: Int32Array;
  #offset: Int32Array;
  #previous: Float64Array;
  #tick: Float64Array;
  #owner: (P | undefined)[] = [];

  constructor(create: (packed: Packed) => P) {
    this.#create = create;
    this.#chunk = new Int32Array(INITIAL_CHANGES);
    this.#offset = new Int32Array(INITIAL_CHANGES);
    this.#previous = new Float64Array(INITIAL_CHANGES);
    this.#tick = new Float64Array(INITIAL_CHANGES);
  }

  /** Memory held, roughly. */
  get bytes(): number {
    return this.#chunkBytes + (this.#tail - this.#head) * CHANGE_BYTES;
  }

  /** The number the next change will get. */
  get next(): number {
    return this.#tail;
  }

  /** Tick of the oldest change; UNWRITTEN if there is none. */
  get firstTick(): number {
    return this.#head === this.#tail ? UNWRITTEN : this.#tick[this.#head & (this.#tick.length - 1)]!;
  }

  /** Takes a buffer that later changes lie in. Returns its number. */
  addChunk(chunk: Buffer): number {
    this.#chunkBytes += chunk.length;
    return this.#firstChunk + this.#chunks.push(chunk) - 1;
  }

  open(packed: Packed): P {
    let partition = this.partitions.get(packed);
    if (partition === undefined) {
      partition = this.#create(packed);
      this.partitions.set(packed, partition);
    }
    return partition;
  }

  /** Adds the change at `offset` of the chunk, as it is in the journal. Ticks must not fall. */
  add(partition: P, chunk: number, offset: number, tick: number): void {
    if (this.#tail - this.#head === this.#tick.length) this.#grow();
    const change = this.#tail++;
    const i = change & (this.#tick.length - 1);
    this.#chunk[i] = chunk;
    this.#offset[i] = offset;
    this.#previous[i] = partition.last;
    this.#tick[i] = tick;
    this.#owner[i] = partition;
    partition.last = change;
    partition.count++;
  }

  /** The changes from number `first` on are written now. */
  setTick(first: number, tick: number): void {
    for (let change = first; change < this.#tail; change++) this.#tick[change & (this.#tick.length - 1)] = tick;
  }

  /** The changes from number `first` on have moved by `shift` bytes and to another chunk. */
  move(first: number, chunk: number, shift: number): void {
    for (let change = first; change < this.#tail; change++) {
      const i = change & (this.#tick.length - 1);
      this.#chunk[i] = chunk;
      this.#offset[i]! += shift;
    }
  }

  /** Takes back the changes from number `first` on. */
  takeBack(first: number): void {
    while (this.#tail > first) {
      const i = --this.#tail & (this.#tick.length - 1);
      const partition = this.#owner[i]!;
      this.#owner[i] = undefined;
      partition.last = this.#previous[i]!;
      partition.index = undefined;
      if (--partition.count === 0) this.partitions.delete(partition.packed);
    }
  }

  /** Forgets all changes and the buffers they lay in; there is room for as many again. */
  clear(): void {
    this.partitions.clear();
    this.#owner.fill(undefined);
    this.#head = this.#tail;
    this.#firstChunk += this.#chunks.length;
    this.#chunkBytes = this.#chunks.length = 0;
  }

  /** Whose change it is; of one that is neither pruned nor taken back. */
  owner(change: number): P {
    return this.#owner[change & (this.#tick.length - 1)]!;
  }

  /** Frees up to `limit` of the oldest changes with ticks up to `applied`. Returns chunks that nothing lies in any more. */
  prune(applied: number, limit: number): Buffer[] {
    for (let left = limit; left > 0 && this.#head < this.#tail; left--) {
      const i = this.#head & (this.#tick.length - 1);
      if (this.#tick[i]! > applied) break;
      const partition = this.#owner[i]!;
      this.#owner[i] = undefined;
      if (--partition.count === 0) this.partitions.delete(partition.packed);
      this.#head++;
    }
    const needed =
      this.#head === this.#tail ? this.#firstChunk + this.#chunks.length - 1 : this.#chunk[this.#head & (this.#tick.length - 1)]!;
    if (needed <= this.#firstChunk) return [];
    const freed = this.#chunks.splice(0, needed - this.#firstChunk);
    this.#firstChunk = needed;
    for (const { length } of freed) this.#chunkBytes -= length;
    return freed;
  }

  /** The newest change of a row among those after the tick `applied`; or MISS, or GONE. */
  find(partition: P, suffix: Packed, applied: number): number {
    if (partition.count > INDEX_CHANGES) return this.#findIndexed(partition, suffix, applied);
    for (let change = partition.last; this.#isVisible(partition, change, applied); change = this.#previousOf(change)) {
      if (this.#kindOf(change) === ERASE) return GONE;
      if (this.#isOf(change, suffix)) return change;
    }
    return MISS;
  }

  /**
   * The newest change of each row after the tick `applied`, newest first, as `suffix` and number; those of runs apart where
   * that is given, by what their keys begin with.
   * True if the partition was erased before them: whatever LMDB has does not count.
   */
  rows(partition: P, applied: number, into: Map<Packed, number>, runs?: Map<Packed, RunChanges>): boolean {
    let run: RunChanges | undefined;
    let prefix = '';
    const mask = this.#tick.length - 1;
    for (let change = partition.last; this.#isVisible(partition, change, applied); change = this.#previous[change & mask]!) {
      const chunk = this.#chunks[this.#chunk[change & mask]! - this.#firstChunk]!;
      const offset = this.#offset[change & mask]!;
      const kind = chunk[offset]!;
      if (kind === ERASE) return true;
      if (kind === TRACK) continue;
      if (runs !== undefined && (kind === PUT_IN_RUN || kind === DELETE_IN_RUN)) {
        const start = offset + (kind === PUT_IN_RUN ? PUT_HEADER_BYTES : DELETE_HEADER_BYTES);
        const end = start + chunk.readUInt16LE(offset + 1) - NUMBER_BYTES;
        if (run === undefined || compareAt(chunk, start, end, prefix) !== 0) {
          prefix = chunk.toString('latin1', start, end);
          run = runs.get(prefix) ?? new Map();
          runs.set(prefix, run);
        }
        // A packed number that is not negative has its sign turned round (tuple.ts).
        noteInRun(run, -chunk.readDoubleBE(end + 1), change);
        continue;
      }
      const suffix = this.suffix(change);
      if (!into.has(suffix)) into.set(suffix, change);
    }
    return false;
  }

  /** Like `rows`, but only those from `start` on and before `end`; what lies elsewhere costs a look at a few of its bytes. */
  rowsWithin(partition: P, applied: number, start: Packed, end: Packed, into: Map<Packed, number>): boolean {
    for (let change = partition.last; this.#isVisible(partition, change, applied); change = this.#previousOf(change)) {
      const chunk = this.#chunkOf(change);
      const kind = chunk[this.#offsetOf(change)]!;
      if (kind === ERASE) return true;
      if (kind === TRACK) continue;
      const from = this.#suffixStart(change);
      const to = from + this.#suffixBytes(change);
      if (compareAt(chunk, from, to, start) < 0 || compareAt(chunk, from, to, end) >= 0) continue;
      const suffix = chunk.toString('latin1', from, to);
      if (!into.has(suffix)) into.set(suffix, change);
    }
    return false;
  }

  /** Whether the partition's version is to be kept; `undefined` if the changes after the tick `applied` do not say. */
  isTracked(partition: P, applied: number): boolean | undefined {
    for (let change = partition.last; this.#isVisible(partition, change, applied); change = this.#previousOf(change)) {
      const kind = this.#kindOf(change);
      if (kind === TRACK) return true;
      if (kind === ERASE) return false;
    }
    return undefined;
  }

  /** Whether the partition has a change after the tick `applied`. */
  isChanged(partition: P, applied: number): boolean {
    return this.#isVisible(partition, partition.last, applied);
  }

  /** Of the partition's newest change. */
  lastTick(partition: P): number {
    return this.#tick[partition.last & (this.#tick.length - 1)]!;
  }

  /** Whether the partition's newest change erased it. */
  isErased(partition: P): boolean {
    return this.#kindOf(partition.last) === ERASE;
  }

  /** Where the row's value lies: `undefined` if the change deletes it. Valid until the change is pruned. */
  value(change: number): { chunk: Buffer; start: number; end: number } | undefined {
    const chunk = this.#chunkOf(change);
    const offset = this.#offsetOf(change);
    if (chunk[offset] !== PUT && chunk[offset] !== PUT_IN_RUN) return undefined;
    const start = offset + PUT_HEADER_BYTES + chunk.readUInt16LE(offset + 1);
    return { chunk, start, end: start + chunk.readUInt32LE(offset + 3) };
  }

  suffix(change: number): Packed {
    const start = this.#suffixStart(change);
    return this.#chunkOf(change).toString('latin1', start, start + this.#suffixBytes(change));
  }

  #suffixStart(change: number): number {
    const offset = this.#offsetOf(change);
    const kind = this.#chunkOf(change)[offset];
    return offset + (kind === PUT || kind === PUT_IN_RUN ? PUT_HEADER_BYTES : DELETE_HEADER_BYTES);
  }

  #suffixBytes(change: number): number {
    return this.#chunkOf(change).readUInt16LE(this.#offsetOf(change) + 1);
  }

  #isVisible(partition: P, change: number, applied: number): boolean {
    return change >= this.#head && change > partition.floor && this.#tick[change & (this.#tick.length - 1)]! > applied;
  }

  #kindOf(change: number): number {
    return this.#chunkOf(change)[this.#offsetOf(change)]!;
  }

  #isOf(change: number, suffix: Packed): boolean {
    const chunk = this.#chunkOf(change);
    const offset = this.#offsetOf(change);
    if (chunk[offset] === TRACK || chunk.readUInt16LE(offset + 1) !== suffix.length) return false;
    const start = this.#suffixStart(change);
    // Backwards: rows of one partition differ at the end of their keys.
    for (let i = suffix.length - 1; i >= 0; i--) if (chunk[start + i] !== suffix.charCodeAt(i)) return false;
    return true;
  }

  #findIndexed(partition: P, suffix: Packed, applied: number): number {
    this.#bringIndexUpToDate(partition);
    const erasure = partition.index!.get(ERASURE) ?? NONE;
    const change = partition.index!.get(suffix) ?? NONE;
    const newest = Math.max(erasure, change);
    if (!this.#isVisible(partition, newest, applied)) return MISS;
    return newest === erasure ? GONE : newest;
  }

  #bringIndexUpToDate(partition: P): void {
    // What is pruned stays in the index until it is most of it.
    if (partition.index === undefined || partition.index.size > 2 * partition.count) {
      partition.index = new Map();
      partition.indexed = NONE;
    }
    const { index, indexed } = partition;
    for (let change = partition.last; change >= this.#head && change > indexed; change = this.#previousOf(change)) {
      const kind = this.#kindOf(change);
      if (kind === TRACK) continue;
      const suffix = kind === ERASE ? ERASURE : this.suffix(change);
      // A newer one of the same row came before it.
      if ((index.get(suffix) ?? NONE) <= indexed) index.set(suffix, change);
    }
    partition.indexed = partition.last;
  }

  #previousOf(change: number): number {
    return this.#previous[change & (this.#tick.length - 1)]!;
  }

  #chunkOf(change: number): Buffer {
    return this.#chunks[this.#chunk[change & (this.#tick.length - 1)]! - this.#firstChunk]!;
  }

  #offsetOf(change: number): number {
    return this.#offset[change & (this.#tick.length - 1)]!;
  }

  #grow(): void {
    const length = this.#tick.length;
    const larger = length * 2;
    const chunk = new Int32Array(larger);
    const offset = new Int32Array(larger);
    const previous = new Float64Array(larger);
    const tick = new Float64Array(larger);
    const owner: (P | undefined)[] = Array.from({ length: larger });
    for (let change = this.#head; change < this.#tail; change++) {
      const from = change & (length - 1);
      const to = change & (larger - 1);
      chunk[to] = this.#chunk[from]!;
      offset[to] = this.#offset[from]!;
      previous[to] = this.#previous[from]!;
      tick[to] = this.#tick[from]!;
      owner[to] = this.#owner[from];
    }
    this.#chunk = chunk;
    this.#offset = offset;
    this.#previous = previous;
    this.#tick = tick;
    this.#owner = owner;
  }
}

/** 0 where these are the bytes of `packed`, below it where they come before it, above where after. */
function compareAt(chunk: Buffer, start: number, end: number, packed: Packed): number {
  const length = Math.min(end - start, packed.length);
  for (let i = 0; i < length; i++) {
    const difference = chunk[start + i]! - packed.charCodeAt(i);
    if (difference !== 0) return difference;
  }
  return end - start - packed.length;
}

/** No row has the empty suffix. */
const ERASURE: Packed = '';

/** The part of a ChangedPartition that Changes keeps. */
export function unchanged(packed: Packed): ChangedPartition {
  return { packed, last: NONE, floor: NONE, count: 0, index: undefined, indexed: NONE };
}
