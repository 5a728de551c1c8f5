/** Counts go round here: more than can be on the way at once. */
const MASK = 0x3fff_ffff;
/** The sender has taken back what was not taken. */
const CLOSED = -1;

/**
 * How many batches one worker has taken out of its port, in memory shared with the one that posted them: so that,
 * when the first one is gone, the second knows which of them nobody has seen. Only a thread that still runs can
 * acknowledge; this it need not do.
 *
 *   sender   post ─ post ─ post ─ close ─► 1 taken, the other two are its own again
 *   receiver    take ·················· take ─► false: as if it had never come
 */
export class Tally {
  readonly shared: SharedArrayBuffer;
  readonly #cell: Int32Array;
  /** As of the last look (sender), or taken so far (receiver). */
  #count = 0;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.shared = shared;
    this.#cell = new Int32Array(shared);
  }

  /** Receiver: takes the next batch. False where the sender has it back. */
  take(): boolean {
    const next = (this.#count + 1) & MASK;
    if (Atomics.compareExchange(this.#cell, 0, this.#count, next) !== this.#count) return false;
    this.#count = next;
    return true;
  }

  /** Sender: batches taken since the last look. */
  taken(): number {
    return this.#since(Atomics.load(this.#cell, 0));
  }

  /** Sender: the same, and no more will be. */
  close(): number {
    return this.#since(Atomics.exchange(this.#cell, 0, CLOSED));
  }

  #since(count: number): number {
    const since = (count - this.#count) & MASK;
    this.#count = count;
    return since;
  }
}
