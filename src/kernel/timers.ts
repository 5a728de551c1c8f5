import type { Clock } from './clock.ts';

/** Not in the wheel. */
const IDLE = -1;
/** Taken out of the wheel by the tick that is being handled; about to fire. */
const DUE = -2;

/** Something that happens later. The wheel links these themselves: starting one allocates nothing. */
export abstract class Timer {
  /** On the clock's monotonic scale. */
  deadlineMs = 0;
  /** Slot it is linked in, or IDLE or DUE. The wheel's own. */
  slot = IDLE;
  /** Tick it was linked for: never later than its deadline's tick. The wheel's own. */
  tick = 0;
  next: Timer | undefined = undefined;
  previous: Timer | undefined = undefined;

  /** Called once per start, at or after the deadline, unless cancelled. May start and cancel timers. Must not throw. */
  abstract fire(): void;

  get isRunning(): boolean {
    return this.slot !== IDLE;
  }
}

export interface WheelOptions {
  /** Timers fire at most this late (and never early). */
  readonly tickMs: number;
  /** A power of two. Timers further ahead than `tickMs × slots` are looked at once per revolution. */
  readonly slots: number;
}

export const DEFAULT_WHEEL: WheelOptions = { tickMs: 10, slots: 4096 };

/**
 * A hashed timer wheel: one per worker, one appointment with the clock for all timers in it.
 *
 *       cursor (last tick handled)
 *          │
 *   ┌────┬─▼──┬────┬────┬────┬────┐
 *   │    │    │ ●──│    │ ●  │    │   slot = tick mod slots, each a list in order of starting
 *   └────┴────┴─│──┴────┴────┴────┘
 *               ●                     a bit per slot finds the next one in use
 *
 * Start, restart and cancel cost O(1). Restarting a timer to a later deadline, which is what an idle
 * timeout does for every stanza, only notes the deadline: the timer is moved when its old slot comes up.
 */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #mask: number;
  readonly #heads: (Timer | undefined)[];
  readonly #tails: (Timer | undefined)[];
  readonly #inUse: Int32Array;
  readonly #due: Timer[] = [];
  readonly #wake = (): void => this.#advance();
  #cursor: number;
  #wakeTick = Infinity;
  #cancelWake: (() => void) | undefined;
  #isFiring = false;
  /** Timers running. */
  size = 0;

  constructor(clock: Clock, { tickMs, slots }: WheelOptions = DEFAULT_WHEEL) {
    if (slots < 32 || (slots & (slots - 1)) !== 0) throw new RangeError('slots must be a power of two, 32 or more');
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#mask = slots - 1;
    this.#heads = new Array<Timer | undefined>(slots).fill(undefined);
    this.#tails = new Array<Timer | undefined>(slots).fill(undefined);
    this.#inUse = new Int32Array(slots / 32);
    this.#cursor = Math.floor(clock.monotonicMs() / tickMs);
  }

  /** Starts or restarts `timer`. `nowMs` is the monotonic time the caller has at hand. */
  start(timer: Timer, delayMs: number, nowMs: number = this.#clock.monotonicMs()): void {
    const deadlineMs = nowMs + (delayMs > 0 ? delayMs : 0);
    timer.deadlineMs = deadlineMs;
    let tick = Math.ceil(deadlineMs / this.#tickMs);
    if (tick <= this.#cursor) tick = this.#cursor + 1;
    if (timer.slot >= 0) {
      if (tick >= timer.tick) return; // moved lazily, when the wheel gets there
      this.#unlink(timer);
    } else if (timer.slot === IDLE) this.size++;
    this.#link(timer, tick);
    if (tick < this.#wakeTick && !this.#isFiring) this.#schedule(tick);
  }

  cancel(timer: Timer): void {
    if (timer.slot === IDLE) return;
    if (timer.slot >= 0) this.#unlink(timer);
    timer.slot = IDLE;
    this.size--;
  }

  /** Forgets every timer and the appointment with the clock. */
  close(): void {
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    this.#wakeTick = Infinity;
    for (let slot = 0; slot <= this.#mask; slot++) {
      for (let timer = this.#heads[slot]; timer !== undefined; timer = this.#heads[slot]) this.cancel(timer);
    }
  }

  #link(timer: Timer, tick: number): void {
    const slot = tick & this.#mask;
    const tail = this.#tails[slot];
    timer.slot = slot;
    timer.tick = tick;
    timer.previous = tail;
    timer.next = undefined;
    if (tail === undefined) {
      this.#heads[slot] = timer;
      this.#inUse[slot >> 5]! |= 1 << (slot & 31);
    } else tail.next = timer;
    this.#tails[slot] = timer;
  }

  #unlink(timer: Timer): void {
    const { slot, next, previous } = timer;
    if (previous === undefined) this.#heads[slot] = next;
    else previous.next = next;
    if (next === undefined) this.#tails[slot] = previous;
    else next.previous = previous;
    timer.next = timer.previous = undefined;
    if (this.#heads[slot] === undefined) this.#inUse[slot >> 5]! &= ~(1 << (slot & 31));
  }

  #schedule(tick: number): void {
    this.#cancelWake?.();
    this.#wakeTick = tick;
    this.#cancelWake = this.#clock.schedule(Math.max(0, tick * this.#tickMs - this.#clock.monotonicMs()), this.#wake);
  }

  /** Collects what is due in every slot passed since the last call, then fires it in order of deadline. */
  #advance(): void {
    this.#cancelWake = undefined;
    this.#wakeTick = Infinity;
    const nowTick = Math.floor(this.#clock.monotonicMs() / this.#tickMs);
    const lastTick = Math.min(nowTick, this.#cursor + this.#mask + 1);
    for (let tick = this.#nextInUse(this.#cursor + 1); tick <= lastTick; tick = this.#nextInUse(tick + 1))
      this.#collect(tick & this.#mask, nowTick);
    this.#cursor = Math.max(this.#cursor, nowTick);
    this.#isFiring = true;
    this.#fireDue();
    this.#isFiring = false;
    const next = this.#nextInUse(this.#cursor + 1);
    if (next !== Infinity) this.#schedule(next);
  }

  #collect(slot: number, nowTick: number): void {
    let next: Timer | undefined;
    for (let timer = this.#heads[slot]; timer !== undefined; timer = next) {
      next = timer.next;
      const tick = Math.ceil(timer.deadlineMs / this.#tickMs);
      if (tick <= nowTick) {
        this.#unlink(timer);
        timer.slot = DUE;
        this.#due.push(timer);
      } else if (tick !== timer.tick) {
        this.#unlink(timer);
        this.#link(timer, tick);
      }
    }
  }

  #fireDue(): void {
    const due = this.#due;
    if (due.length > 1) due.sort(byDeadline);
    for (const timer of due) {
      if (timer.slot !== DUE) continue; // cancelled or restarted by one that fired before it
      timer.slot = IDLE;
      this.size--;
      timer.fire();
    }
    due.length = 0;
  }

  /** The first tick from `tick` on, within one revolution, whose slot is in use. */
  #nextInUse(tick: number): number {
    if (this.size === 0) return Infinity;
    const words = this.#inUse.length;
    const slot = tick & this.#mask;
    let bits = this.#inUse[slot >> 5]! & (-1 << (slot & 31));
    for (let steps = 0; steps <= words; steps++) {
      const word = ((slot >> 5) + steps) % words;
      if (steps > 0) bits = this.#inUse[word]!;
      if (bits !== 0) {
        const found = (word << 5) + (31 - Math.clz32(bits & -bits));
        return tick + ((found - slot) & this.#mask);
      }
    }
    return Infinity;
  }
}

function byDeadline(a: Timer, b: Timer): number {
  return a.deadlineMs - b.deadlineMs;
}
