/** Gathers the connections that have something to send, so that each makes one system call per slice however many stanzas it was given. */

/** What the queue needs of a transport. */
export interface Flushable {
  flush(): void;
}

/**
 * Connections with unsent text, one queue per worker. Cost: one array slot per connection and slice.
 *
 * The scheduler calls `flush` at the end of a slice. Text written outside of slices (tests, callbacks of the socket) is not
 * forgotten: the first addition arranges for a flush in this turn of the event loop. That costs a pass of the loop, so it is not
 * arranged where somebody flushes anyway.
 */
export class FlushQueue {
  #waiting: Flushable[] = [];
  #flushing: Flushable[] = [];
  #isArmed = false;
  readonly #later: (run: () => void) => void;
  readonly #isServed: () => boolean;
  readonly #fallback = (): void => {
    this.#isArmed = false;
    this.flush();
  };

  /**
   * @param later runs its argument once, soon, never at once; tests pass their own.
   * @param isServed whether the queue is going to be flushed soon without that.
   */
  constructor(later: (run: () => void) => void = setImmediate, isServed: () => boolean = () => false) {
    this.#later = later;
    this.#isServed = isServed;
  }

  /** Transports waiting for the next flush. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Adds a transport; it must not add itself again before it has been flushed. */
  add(transport: Flushable): void {
    this.#waiting.push(transport);
    if (this.#isArmed || this.#isServed()) return;
    this.#isArmed = true;
    this.#later(this.#fallback);
  }

  /** Flushes each transport once. What those flushes add leaves with the next flush, so this always ends. */
  flush(): void {
    const batch = this.#waiting;
    if (batch.length === 0) return;
    this.#waiting = this.#flushing;
    this.#flushing = batch;
    for (let i = 0; i < batch.length; i++) batch[i]!.flush();
    batch.length = 0;
  }
}
