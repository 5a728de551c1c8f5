/** Many waits of the same length with one timer between them. */
import type { Clock } from '../kernel/clock.ts';

/**
 * Items that have to leave within `delayMs` of being added. As every wait is equally long, the order
 * of insertion is the order of expiry: adding and deleting are O(1), and there is one timer, not one
 * per connection. Holds at most what its owner adds; here one entry per open connection.
 */
export class Deadlines<T> {
  readonly #delayMs: number;
  readonly #clock: Clock;
  readonly #expired: (item: T) => void;
  readonly #dueMs = new Map<T, number>();
  #cancel: (() => void) | undefined;

  constructor(delayMs: number, clock: Clock, expired: (item: T) => void) {
    this.#delayMs = delayMs;
    this.#clock = clock;
    this.#expired = expired;
  }

  /** Items still waiting. */
  get size(): number {
    return this.#dueMs.size;
  }

  /** Starts the item's wait, or starts it again. */
  add(item: T): void {
    this.#dueMs.delete(item);
    this.#dueMs.set(item, this.#clock.monotonicMs() + this.#delayMs);
    this.#cancel ??= this.#clock.schedule(this.#delayMs, this.#tick);
  }

  /** Ends the item's wait. Without items there is no timer, so that an idle process can end. */
  delete(item: T): void {
    if (!this.#dueMs.delete(item) || this.#dueMs.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  readonly #tick = (): void => {
    this.#cancel = undefined;
    const nowMs = this.#clock.monotonicMs();
    for (const [item, dueMs] of this.#dueMs) {
      if (dueMs > nowMs) {
        this.#cancel ??= this.#clock.schedule(dueMs - nowMs, this.#tick);
        return;
      }
      this.#dueMs.delete(item);
      this.#expired(item);
    }
  };
}
