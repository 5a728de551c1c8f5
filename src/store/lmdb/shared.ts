/**
 * The memory all threads of the process share for one store: a clock that orders their changes, and
 * a table of the partitions with changes that only their writer can see as yet.
 *
 * A thread's changes are durable in its own journal before they are in LMDB (applier.ts), so another thread
 * that reads such a partition would read the past. The table tells it, exactly, at the cost of a cache line;
 * it then has the applier bring that partition up to date first.
 *
 *     i32[0] epoch      raised after each write to LMDB: older snapshots are stale
 *     i32[1] state      0 open, 1 closed
 *     i32[2] crowded    tag of the last change that found its bucket full; 0 if none
 *     i32[3] seed       of the hash, random: no peer can choose JIDs that share a bucket
 *     i64[2] clock      the last tick; every group of changes takes one
 *     i64[8..] buckets of eight entries (64 bytes, a cache line): fingerprint and tag, 0 if free
 *
 * The tag of an entry is the low half of the tick of the last group that changed the partition. Only
 * equality of tags matters, so wrapping is harmless. An entry is freed by the applier once everything up to
 * its tag is in LMDB, by exchanging the whole entry, so a change made meanwhile is never lost.
 */
import { randomInt } from 'node:crypto';
import type { Packed } from '../tuple.ts';

const BUCKET_ENTRIES = 8;
/** 2 MiB; crowded beyond some 100,000 partitions with unapplied changes at the same time. */
const BUCKETS = 1 << 15;
const HEADER_BYTES = 64;
const BYTES = HEADER_BYTES + BUCKETS * BUCKET_ENTRIES * 8;

const EPOCH = 0;
const STATE = 1;
const CROWDED = 2;
const SEED = 3;
const CLOCK = 2;
const FIRST_ENTRY = HEADER_BYTES / 8;

const FREE = 0n;

/** Where a partition is looked for in the table. */
export interface Place {
  /** Index of the bucket's first entry. */
  readonly first: number;
  /** Never 0. */
  readonly fingerprint: number;
}

export class Shared {
  readonly buffer: SharedArrayBuffer;
  readonly #i32: Int32Array;
  readonly #i64: BigInt64Array;
  readonly #seed: number;
  /** Joins the halves of an entry in the machine's byte order. */
  readonly #half = new Int32Array(2);
  readonly #whole = new BigInt64Array(this.#half.buffer);

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(BYTES);
    this.#i32 = new Int32Array(this.buffer);
    this.#i64 = new BigInt64Array(this.buffer);
    if (buffer === undefined) this.#i32[SEED] = randomInt(2 ** 31);
    this.#seed = this.#i32[SEED]!;
  }

  get epoch(): number {
    return Atomics.load(this.#i32, EPOCH);
  }

  /** LMDB has changed. */
  raiseEpoch(): void {
    Atomics.add(this.#i32, EPOCH, 1);
  }

  get isClosed(): boolean {
    return Atomics.load(this.#i32, STATE) === 1;
  }

  close(): void {
    Atomics.store(this.#i32, STATE, 1);
  }

  /** The last tick taken. */
  get clock(): number {
    return Number(Atomics.load(this.#i64, CLOCK));
  }

  /** Before any other thread attaches. */
  startClock(tick: number): void {
    Atomics.store(this.#i64, CLOCK, BigInt(tick));
  }

  /** A tick greater than all taken before, by any thread. Never one whose tag is 0. */
  tick(): number {
    for (;;) {
      const tick = Number(Atomics.add(this.#i64, CLOCK, 1n)) + 1;
      if (tagOf(tick) !== 0) return tick;
    }
  }

  place(partition: Packed): Place {
    let a = this.#seed;
    let b = ~this.#seed;
    for (let i = 0; i < partition.length; i++) {
      const code = partition.charCodeAt(i);
      a = Math.imul(a ^ code, 0x0100_0193);
      b = Math.imul(b ^ code, 0x85eb_ca6b);
      b ^= b >>> 13;
    }
    a ^= a >>> 15;
    return { first: (a & (BUCKETS - 1)) * BUCKET_ENTRIES, fingerprint: b | 0 || 1 };
  }

  /** The tag of the partition's unapplied changes, 0 if there are none; `undefined` if nobody can tell. */
  tagAt({ first, fingerprint }: Place): number | undefined {
    // Plain reads do: whoever was told of a commit has been told after its mark was made.
    const entries = this.#i32;
    const start = (FIRST_ENTRY + first) * 2;
    for (let i = start; i < start + BUCKET_ENTRIES * 2; i += 2) if (entries[i] === fingerprint) return entries[i + 1];
    return entries[CROWDED] === 0 ? 0 : undefined;
  }

  /**
   * Notes that the group with `tag` changed the partition; once its changes are in the journal and before its commit
   * settles. Returns the tag that was there, 0 if none.
   */
  mark({ first, fingerprint }: Place, tag: number): number {
    const entries = this.#i32;
    const start = FIRST_ENTRY + first;
    for (;;) {
      let free = -1;
      let found = -1;
      for (let entry = start; entry < start + BUCKET_ENTRIES && found < 0; entry++) {
        const other = entries[entry * 2]!;
        if (other === fingerprint) found = entry;
        else if (other === 0 && free < 0) free = entry;
      }
      if (found >= 0) {
        const before = entries[found * 2 + 1]!;
        if (before !== 0 && Atomics.compareExchange(entries, found * 2 + 1, before, tag) === before) return before;
        // Freed, or marked by another thread, in between: look again.
      } else if (free < 0) {
        Atomics.store(entries, CROWDED, tag);
        return 0;
      } else if (Atomics.compareExchange(this.#i64, free, FREE, this.#join(fingerprint, tag)) === FREE) {
        return 0;
      }
    }
  }

  /** Frees the partition's entry if nothing changed it since `tag`. */
  unmark({ first, fingerprint }: Place, tag: number): void {
    const entries = this.#i32;
    for (let entry = FIRST_ENTRY + first, left = BUCKET_ENTRIES; left > 0; entry++, left--) {
      if (entries[entry * 2] !== fingerprint || entries[entry * 2 + 1] !== tag) continue;
      Atomics.compareExchange(this.#i64, entry, this.#join(fingerprint, tag), FREE);
    }
  }

  /** To be read before the clock and the logs are, and given to `uncrowd` when what they held is applied. */
  get crowded(): number {
    return Atomics.load(this.#i32, CROWDED);
  }

  uncrowd(before: number): void {
    if (before !== 0) Atomics.compareExchange(this.#i32, CROWDED, before, 0);
  }

  #join(fingerprint: number, tag: number): bigint {
    this.#half[0] = fingerprint;
    this.#half[1] = tag;
    return this.#whole[0]!;
  }
}

/** What of a tick fits into the table. */
export function tagOf(tick: number): number {
  return tick | 0;
}
