import type { Cell } from './cell.ts';
import type { Clock } from './clock.ts';
import type { KernelLimits } from './limits.ts';

/** Messages between looks at the clock while they are quick. A look costs about as much as half a turn. */
const CHECK_EVERY = 16;
/** A stretch between looks that took longer makes the next look come after one message. */
const SLOW_STRETCH_MS = 0.5;
/** Ends a slice whatever the clock says: with a clock that stands still, actors could otherwise run for ever. */
const MAX_SLICE_MESSAGES = 65_536;

export interface SchedulerHost {
  /** Lets `cell` handle its budget of mail and queues it again if there is more. Returns the messages handled, 1 at least. */
  go(cell: Cell): number;
  /** Posts what is gathered for other workers. */
  flushBridges(): void;
  readonly rest: (() => void) | undefined;
  /** A slice hook threw. */
  hookFailed(error: unknown): void;
}

/**
 * Runs actors that have mail, round robin, a budget of messages each; yields to the event loop after a
 * time slice.
 *
 *   event loop:  poll (sockets, ports) ──► slice: cell cell cell … ──► hooks: flush sockets, bridges ──► poll …
 *                                                   ▲         └─► deferred: the store writes, and what it settles goes on
 *                                                   └──────────────────┘
 *
 * Mail from outside of a slice arms one slice per pass of the event loop, so that everything read in one
 * poll is handled together and what it causes leaves together.
 */
export class Scheduler {
  readonly #clock: Clock;
  readonly #host: SchedulerHost;
  readonly #sliceMs: number;
  readonly #batchMs: number;
  readonly #hooks: (() => void)[] = [];
  #deferred: (() => void)[] = [];
  readonly #slice = (): void => this.#armedSlice();
  #head: Cell | undefined = undefined;
  #tail: Cell | undefined = undefined;
  #isArmed = false;
  #isRunning = false;
  #isClosed = false;
  #wallOffsetMs = 0;
  /** The clock as of the last look, at most a few turns ago. Fresh only within slices. */
  monotonicMs: number;
  wallMs: number;
  slices = 0;
  messages = 0;

  constructor(clock: Clock, limits: KernelLimits, host: SchedulerHost) {
    this.#clock = clock;
    this.#host = host;
    this.#sliceMs = limits.sliceMs;
    this.#batchMs = limits.batchMs;
    this.monotonicMs = clock.monotonicMs();
    this.wallMs = clock.now();
  }

  /** Inside a slice: its hooks still to come. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  get hasWork(): boolean {
    return this.#head !== undefined;
  }

  /** The monotonic time: remembered within a slice, looked at outside. */
  nowMs(): number {
    return this.#isRunning ? this.monotonicMs : this.#clock.monotonicMs();
  }

  /** Puts `cell` in the run queue. Only while it is not there. */
  enqueue(cell: Cell): void {
    cell.isScheduled = true;
    cell.isParked = false;
    cell.nextRun = undefined;
    if (this.#tail === undefined) this.#head = cell;
    else this.#tail.nextRun = cell;
    this.#tail = cell;
    if (!this.#isRunning) this.arm();
  }

  /** Something other than mail is due: runs the actor even where mail may not. */
  rouse(cell: Cell): void {
    if (cell.isParked || !cell.isScheduled) this.enqueue(cell);
  }

  /** Runs a slice after the events that wait now: for its hooks, where there is no mail. */
  arm(): void {
    if (this.#isArmed || this.#isRunning || this.#isClosed) return;
    this.#isArmed = true;
    this.#clock.immediate(this.#slice);
  }

  /** Calls `hook` at the end of every slice, in order of registration, before bridges are flushed. The result takes it back. */
  onSliceEnd(hook: () => void): () => void {
    this.#hooks.push(hook);
    return () => {
      const at = this.#hooks.indexOf(hook);
      if (at >= 0) this.#hooks.splice(at, 1);
    };
  }

  /** Calls `work` once, in this slice or the next, when its actors have nothing more to do or its time is over. What that gives them to do is of the same slice. */
  defer(work: () => void): void {
    this.#deferred.push(work);
    this.arm();
  }

  /** Runs slices until no actor here has work: tests without an event loop. Throws after `maxSlices`. */
  drain(maxSlices = 100_000): void {
    this.run();
    for (let slices = 1; this.hasWork; slices++) {
      if (slices === maxSlices) throw new Error(`actors still busy after ${maxSlices} slices`);
      this.run();
    }
  }

  /** One slice, now. */
  run(): void {
    if (this.#isRunning) throw new Error('a slice was started inside a slice');
    this.#isRunning = true;
    this.slices++;
    try {
      this.#runActors();
    } finally {
      // Hooks may send; that arms the next slice.
      this.#isRunning = false;
      for (let at = 0; at < this.#hooks.length; at++) this.#call(this.#hooks[at]!);
      this.#host.flushBridges();
    }
    if (this.hasWork) this.arm();
  }

  close(): void {
    this.#isClosed = true;
    this.#hooks.length = 0;
    for (const work of this.#deferred.splice(0)) this.#clock.immediate(work);
  }

  #armedSlice(): void {
    this.#isArmed = false;
    if (this.#isClosed) return;
    this.run();
    if (!this.hasWork) this.#host.rest?.();
  }

  #runActors(): void {
    const host = this.#host;
    let lookMs = this.#clock.monotonicMs();
    const endMs = lookMs + this.#sliceMs;
    let flushMs = lookMs + this.#batchMs;
    let untilLook = CHECK_EVERY;
    let messages = 0;
    this.#wallOffsetMs = this.#clock.now() - lookMs;
    this.#setNow(lookMs);
    for (;;) {
      const cell = this.#head;
      if (cell === undefined) {
        if (this.#deferred.length === 0) break;
        this.#runDeferred();
        lookMs = this.#clock.monotonicMs();
        this.#setNow(lookMs);
        if (lookMs >= endMs) break;
        continue;
      }
      this.#head = cell.nextRun;
      if (this.#head === undefined) this.#tail = undefined;
      cell.nextRun = undefined;
      const handled = host.go(cell);
      messages += handled;
      untilLook -= handled;
      if (untilLook > 0) continue;
      const nowMs = this.#clock.monotonicMs();
      untilLook = nowMs - lookMs > SLOW_STRETCH_MS ? 1 : CHECK_EVERY;
      lookMs = nowMs;
      this.#setNow(nowMs);
      if (nowMs >= endMs || messages >= MAX_SLICE_MESSAGES) break;
      if (nowMs >= flushMs) {
        host.flushBridges();
        flushMs = nowMs + this.#batchMs;
      }
    }
    this.messages += messages;
    if (this.#deferred.length > 0) this.#runDeferred();
  }

  #runDeferred(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (let at = 0; at < deferred.length; at++) this.#call(deferred[at]!);
  }

  #setNow(monotonicMs: number): void {
    this.monotonicMs = monotonicMs;
    this.wallMs = Math.round(monotonicMs + this.#wallOffsetMs);
  }

  #call(hook: () => void): void {
    try {
      hook();
    } catch (error) {
      this.#host.hookFailed(error);
    }
  }
}
