/**
 * How much of a peer's bytes and stanzas is taken in a time: one token bucket of each per connection.
 *
 * The brake is that the socket is not read. Nothing is dropped, and nothing is queued beyond the read that was under way
 * when a bucket ran dry: its bytes are a debt that is paid off before the next read. Frames without a token stay in the
 * framer as bytes.
 */
import type { Clock } from '../kernel/clock.ts';

/** What one connection may send. */
export interface ShaperRates {
  /** 0: no limit, whatever the burst. */
  readonly bytesPerSecond: number;
  /** Taken at once after a rest. */
  readonly burstBytes: number;
  /** First-level elements; 0: no limit, whatever the burst. */
  readonly stanzasPerSecond: number;
  /** At least 1. */
  readonly burstStanzas: number;
}

/** Waits are this exact: with one timer for all, and some stanzas for each time one is over. */
export const THROTTLE_TICK_MS = 50;

/** The connections of one worker that are not read until their buckets have refilled. One timer, and only while there are some. */
export class Throttle {
  readonly clock: Clock;
  /** How often a connection was stopped so far. */
  pauses = 0;
  /** For how long, all of them together; those stopped now do not count yet. */
  pausedMs = 0;
  /** By the tick they are over: at most one entry per connection, and one slot per tick of the longest wait. */
  readonly #slots = new Map<number, Set<Shaper>>();
  #cancelTimer: (() => void) | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Connections stopped now. Cost: O(slots). */
  get waiting(): number {
    let waiting = 0;
    for (const slot of this.#slots.values()) waiting += slot.size;
    return waiting;
  }

  /** For shapers. @returns the tick to cancel it by. */
  add(shaper: Shaper, waitMs: number): number {
    const tick = Math.ceil((this.clock.monotonicMs() + waitMs) / THROTTLE_TICK_MS);
    const slot = this.#slots.get(tick);
    if (slot === undefined) this.#slots.set(tick, new Set([shaper]));
    else slot.add(shaper);
    this.pauses++;
    this.#arm();
    return tick;
  }

  /** For shapers. */
  cancel(shaper: Shaper, tick: number): void {
    const slot = this.#slots.get(tick);
    if (slot?.delete(shaper) !== true || slot.size > 0) return;
    this.#slots.delete(tick);
    if (this.#slots.size > 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #arm(): void {
    this.#cancelTimer ??= this.clock.schedule(THROTTLE_TICK_MS - (this.clock.monotonicMs() % THROTTLE_TICK_MS), this.#run);
  }

  readonly #run = (): void => {
    this.#cancelTimer = undefined;
    const now = Math.floor(this.clock.monotonicMs() / THROTTLE_TICK_MS);
    const due = [...this.#slots].filter(([tick]) => tick <= now);
    for (const [tick] of due) this.#slots.delete(tick);
    for (const [, slot] of due) for (const shaper of slot) shaper.over();
    if (this.#slots.size > 0) this.#arm();
  };
}

/** Whom a shaper tells that its wait is over. */
export interface Shaped {
  refilled(): void;
}

/** The buckets of one connection. Both are full at first. */
export class Shaper {
  readonly #throttle: Throttle;
  readonly #owner: Shaped;
  readonly #bytesPerMs: number;
  readonly #burstBytes: number;
  readonly #stanzasPerMs: number;
  readonly #burstStanzas: number;
  /** Below zero where a read took more than was left. */
  #bytes: number;
  #stanzas: number;
  #refilledMs: number;
  /** When the wait is over; 0 without one. */
  #tick = 0;
  #waitingSinceMs = 0;

  constructor(rates: ShaperRates, throttle: Throttle, owner: Shaped) {
    this.#throttle = throttle;
    this.#owner = owner;
    this.#bytesPerMs = rates.bytesPerSecond / 1_000;
    this.#stanzasPerMs = rates.stanzasPerSecond / 1_000;
    // What never runs dry needs no further thought: infinity less something is infinity.
    this.#bytes = this.#burstBytes = rates.bytesPerSecond === 0 ? Infinity : rates.burstBytes;
    this.#stanzas = this.#burstStanzas = rates.stanzasPerSecond === 0 ? Infinity : Math.max(1, rates.burstStanzas);
    this.#refilledMs = throttle.clock.monotonicMs();
  }

  /** The connection is not to be read. */
  get isWaiting(): boolean {
    return this.#tick !== 0;
  }

  /** Takes the tokens of bytes that have been read. */
  received(bytes: number): void {
    this.#refill();
    this.#bytes -= bytes;
  }

  /** Whether there is a token for a stanza. Cost: a comparison while there is. */
  get hasStanza(): boolean {
    if (this.#stanzas >= 1) return true;
    this.#refill();
    return this.#stanzas >= 1;
  }

  /** Takes that token. */
  takeStanza(): void {
    this.#stanzas--;
  }

  /**
   * Stops the connection where a bucket is empty; `isWaiting` tells.
   *
   * @param wantsStanza there may be a stanza that somebody waits for.
   */
  brake(wantsStanza: boolean): void {
    if (this.#tick !== 0) return;
    const isShort = wantsStanza && this.#stanzas < 1;
    if (this.#bytes >= 0 && !isShort) return;
    const bytesMs = this.#bytes < 0 ? -this.#bytes / this.#bytesPerMs : 0;
    const stanzaMs = isShort ? (1 - this.#stanzas) / this.#stanzasPerMs : 0;
    this.#waitingSinceMs = this.#throttle.clock.monotonicMs();
    this.#tick = this.#throttle.add(this, Math.max(bytesMs, stanzaMs));
  }

  /** The connection is over, or under other rates: nobody is told anything. */
  cancel(): void {
    if (this.#tick === 0) return;
    this.#throttle.cancel(this, this.#tick);
    this.#end();
  }

  /** The throttle's. */
  over(): void {
    if (this.#tick === 0) return; // cancelled by one whose wait was over with it
    this.#end();
    this.#refill();
    this.#owner.refilled();
  }

  #end(): void {
    this.#tick = 0;
    this.#throttle.pausedMs += this.#throttle.clock.monotonicMs() - this.#waitingSinceMs;
  }

  #refill(): void {
    const nowMs = this.#throttle.clock.monotonicMs();
    const elapsedMs = nowMs - this.#refilledMs;
    this.#refilledMs = nowMs;
    this.#bytes = Math.min(this.#burstBytes, this.#bytes + elapsedMs * this.#bytesPerMs);
    this.#stanzas = Math.min(this.#burstStanzas, this.#stanzas + elapsedMs * this.#stanzasPerMs);
  }
}
