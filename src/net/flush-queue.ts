/** Gathers the connections that have something to send, so that each makes one system call per slice however many stanzas it was given. */

/** For how long text that nobody waits for is gathered. */
const LEISURE_MS = 20;

/** What the queue needs of a transport. */
export interface Flushable {
  flush(): void;
}

/** And of one whose text may wait a moment. */
export interface Leisurely {
  /** To be flushed, unless it is about to be. */
  leisureOver(): void;
}

/**
 * Connections with unsent text, one queue per worker. Cost: one array slot per connection and slice.
 *
 * The scheduler calls `flush` at the end of a slice. Text written outside of slices (tests, callbacks
 * of the socket) is not forgotten: the first addition arranges for a flush in this turn of the event loop.
 *
 * Text that nobody waits for, such as the presence of contacts, is gathered for `LEISURE_MS`: where many log in at
 * once, a client is told of dozens of them by one system call, which costs more than all else of it.
 */
export class FlushQueue {
  #waiting: Flushable[] = [];
  #flushing: Flushable[] = [];
  #leisurely: Leisurely[] = [];
  #isArmed = false;
  readonly #later: (run: () => void) => void;
  readonly #afterLeisure: (run: () => void, ms: number) => void;
  readonly #fallback = (): void => {
    this.#isArmed = false;
    this.flush();
  };
  readonly #leisureOver = (): void => {
    const batch = this.#leisurely;
    this.#leisurely = [];
    for (const transport of batch) transport.leisureOver();
  };

  /**
   * @param later runs its argument once, soon, never at once; tests pass their own.
   * @param afterLeisure the same after so many milliseconds.
   */
  constructor(later: (run: () => void) => void = setImmediate, afterLeisure: (run: () => void, ms: number) => void = setTimeout) {
    this.#later = later;
    this.#afterLeisure = afterLeisure;
  }

  /** Transports waiting for the next flush. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Adds a transport; it must not add itself again before it has been flushed. */
  add(transport: Flushable): void {
    this.#waiting.push(transport);
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.#later(this.#fallback);
  }

  /** Adds a transport whose text may wait a moment; it must not add itself again before it is told that this is over. */
  addLeisurely(transport: Leisurely): void {
    if (this.#leisurely.length === 0) this.#afterLeisure(this.#leisureOver, LEISURE_MS);
    this.#leisurely.push(transport);
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
