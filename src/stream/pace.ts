/**
 * Under load, how often a worker looks at its sockets. Each message that wakes the thread on its own finds the processor's caches cold
 * and costs several times what it costs among others; so while many connections talk, what arrives within a moment is handled
 * together. Few connections, or one that waits for each answer, are served at once, as is everybody when there is more to do than that.
 *
 *   slice ─ rest ─► poll, slice ─ rest ─► poll, slice (longer than the interval) ─► poll …
 *   └─ interval ──┘
 */

/** How often it is looked how many connections talk. */
const WINDOW_MS = 32;
/** So many within a window. Were each of them to wait for answers, handling all would take longer than the interval. */
const MIN_CONNECTIONS = 64;
/** A shorter rest is not worth the system call. */
const LEAST_MS = 0.05;

export class Pace {
  private readonly intervalMs: number;
  private readonly sleep: (ms: number) => void;
  private readonly monotonicMs: () => number;
  private windowEndMs = 0;
  /** When the first of this window was heard. */
  private windowFromMs = Infinity;
  private heardCount = 0;
  private isBusy = false;
  private lookedMs = 0;

  /**
   * @param intervalMs 0: it never rests.
   * @param sleep puts the thread to sleep for so long.
   */
  constructor(intervalMs: number, sleep: (ms: number) => void, monotonicMs: () => number) {
    this.intervalMs = intervalMs;
    this.sleep = sleep;
    this.monotonicMs = monotonicMs;
  }

  /** A connection has sent something at `nowMs`; the time before that it was at `lastMs`, by the same clock. */
  heard(lastMs: number, nowMs: number): void {
    if (lastMs >= this.windowFromMs) return;
    if (this.heardCount++ === 0) this.windowFromMs = nowMs;
  }

  /** The worker has nothing to do until it looks at its sockets again. */
  rest(): void {
    if (this.intervalMs === 0) return;
    const nowMs = this.monotonicMs();
    if (nowMs >= this.windowEndMs) this.next(nowMs);
    if (!this.isBusy) return;
    const leftMs = this.lookedMs + this.intervalMs - nowMs;
    if (leftMs >= LEAST_MS) {
      this.sleep(leftMs);
      this.lookedMs += this.intervalMs;
    } else this.lookedMs = nowMs;
  }

  private next(nowMs: number): void {
    // A window that ended long ago says nothing.
    this.isBusy = this.heardCount >= MIN_CONNECTIONS && nowMs < this.windowEndMs + WINDOW_MS;
    this.windowEndMs = nowMs + WINDOW_MS;
    this.windowFromMs = Infinity;
    this.heardCount = 0;
  }
}
