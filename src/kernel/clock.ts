import { performance } from 'node:perf_hooks';

/** Where the kernel takes time and its place in the event loop from; injected, so that tests drive both. */
export interface Clock {
  /** Milliseconds since the epoch: for stamps. May jump when the operator sets the clock. */
  now(): number;
  /** Milliseconds that never go back: for timers, slices and restart windows. */
  monotonicMs(): number;
  /** Runs `run` once after at least `delayMs`; the result cancels it. */
  schedule(delayMs: number, run: () => void): () => void;
  /** Runs `run` once, after the events that wait now have been handled. */
  immediate(run: () => void): void;
  /** Granularity of timers on this clock; what the wheel defaults to if not given. */
  readonly timerTickMs?: number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, run) {
    const timeout = setTimeout(run, delayMs);
    return () => clearTimeout(timeout);
  },
  immediate(run) {
    setImmediate(run);
  },
};

interface Appointment {
  readonly atMs: number;
  run: (() => void) | undefined;
}

/**
 * A clock that stands still until told: everything that runs on it runs in one deterministic order.
 * `now` and `monotonicMs` are the same number.
 */
export class ManualClock implements Clock {
  /** Timers fire to the millisecond. */
  readonly timerTickMs = 1;
  #nowMs: number;
  #appointments: Appointment[] = [];
  #immediates: (() => void)[] = [];

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, run: () => void): () => void {
    const appointment: Appointment = { atMs: this.#nowMs + Math.max(0, delayMs), run };
    this.#appointments.push(appointment);
    return () => {
      appointment.run = undefined;
    };
  }

  immediate(run: () => void): void {
    this.#immediates.push(run);
  }

  /** True when nothing waits for its turn in the event loop; timers may still be set. */
  get isIdle(): boolean {
    return this.#immediates.length === 0;
  }

  /** How many appointments are still to come: a leak test's question. */
  get pending(): number {
    return this.#appointments.filter(({ run }) => run !== undefined).length;
  }

  /** One pass of the event loop: what waits now, not what it adds. */
  tick(): void {
    const due = this.#immediates;
    this.#immediates = [];
    for (const run of due) run();
  }

  /** Passes of the event loop until nothing waits; throws after `maxTicks`, for then it never ends. */
  run(maxTicks = 100_000): void {
    for (let ticks = 0; !this.isIdle; ticks++) {
      if (ticks === maxTicks) throw new Error(`still busy after ${maxTicks} passes of the event loop`);
      this.tick();
    }
  }

  /** Lets `ms` pass, stopping at every appointment on the way and running the event loop dry there. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    this.run();
    for (;;) {
      const next = this.#takeDue(endMs);
      if (next === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run?.();
      this.run();
    }
    this.#nowMs = endMs;
  }

  #takeDue(endMs: number): Appointment | undefined {
    this.#appointments = this.#appointments.filter(({ run }) => run !== undefined);
    let first: Appointment | undefined;
    for (const each of this.#appointments) {
      if (each.atMs > endMs) continue;
      if (first === undefined || each.atMs < first.atMs) first = each;
    }
    if (first !== undefined) this.#appointments.splice(this.#appointments.indexOf(first), 1);
    return first;
  }
}
