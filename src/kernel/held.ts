import type { AskFailure, Barrier } from './actor.ts';
import type { Cell } from './cell.ts';
import { OP_BARRIER, OP_NOTHING, OP_TURN, STRIDE } from './operations.ts';

/** Slots kept for the next commit when nothing is held: what a busy account needs, cheap for an idle one. */
const KEEP_SLOTS = 256;

/** Carries operations out, or undoes what a dropped one had prepared. Neither throws. */
export interface Performer {
  perform(cell: Cell, operation: number, a: unknown, b: unknown, c: unknown): void;
  discard(operation: number, a: unknown, failure: AskFailure): void;
}

/**
 * Output commit: the effects of turns that wait for a barrier, in order, as flat operations. They are no
 * part of the actor's data and outlive its crashes: the turns have ended well.
 *
 *   ops   TURN(barrier A) send reply TURN send TURN(barrier B) send …
 *         ▲ head                                                   ▲ tail
 *
 * A turn that names the barrier already waited for adds no new one, so one commit shared by hundreds of
 * turns costs one callback.
 */
export class Held {
  readonly #ops: unknown[] = [];
  #head = 0;
  #tail = 0;
  #lastBarrier: Barrier | undefined;
  /** Turns with something held. */
  turns = 0;
  /** The barrier that will call back, or the last one that did. */
  awaited: Barrier | undefined;

  get isEmpty(): boolean {
    return this.#head === this.#tail;
  }

  /** What comes first waits for a barrier that failed: nothing here will leave any more. */
  get isLost(): boolean {
    if (this.isEmpty) return false;
    const operation = this.#ops[this.#head];
    const barrier = operation === OP_TURN || operation === OP_BARRIER ? (this.#ops[this.#head + 1] as Barrier | undefined) : undefined;
    return barrier !== undefined && barrier.settled && barrier.error !== undefined;
  }

  /** Appends one turn: its barriers, then `count` slots of its operations. */
  append(barriers: readonly Barrier[], barrierCount: number, ops: readonly unknown[], count: number): void {
    if (this.#head >= KEEP_SLOTS && this.#head * 2 >= this.#tail) this.#compact();
    let barrier: Barrier | undefined;
    for (let i = 0; i < barrierCount; i++) {
      const each = barriers[i]!;
      if (each === this.#lastBarrier && !this.isEmpty) continue;
      if (barrier !== undefined) this.#push(OP_BARRIER, barrier, undefined, undefined);
      this.#lastBarrier = barrier = each;
    }
    this.#push(OP_TURN, barrier, undefined, undefined);
    this.turns++;
    for (let i = 0; i < count; i += STRIDE) this.#push(ops[i] as number, ops[i + 1], ops[i + 2], ops[i + 3]);
  }

  /**
   * Hands over operations up to the first barrier that has not settled, which is returned; so is one
   * that has settled with an error. Returns undefined when all have left.
   */
  release(cell: Cell, performer: Performer): Barrier | undefined {
    const ops = this.#ops;
    while (this.#head < this.#tail) {
      const at = this.#head;
      const operation = ops[at] as number;
      const a = ops[at + 1];
      if (operation === OP_TURN || operation === OP_BARRIER) {
        const barrier = a as Barrier | undefined;
        if (barrier !== undefined && (!barrier.settled || barrier.error !== undefined)) return barrier;
        if (operation === OP_TURN) this.turns--;
        this.#clear(at);
        this.#head += STRIDE;
        continue;
      }
      const b = ops[at + 2];
      const c = ops[at + 3];
      this.#clear(at);
      this.#head += STRIDE;
      performer.perform(cell, operation, a, b, c);
    }
    this.#reset();
    return undefined;
  }

  /** Drops everything; what it answered fails with `failure`. */
  clear(performer: Performer, failure: AskFailure): void {
    const ops = this.#ops;
    for (let at = this.#head; at < this.#tail; at += STRIDE) performer.discard(ops[at] as number, ops[at + 1], failure);
    ops.length = 0;
    this.turns = 0;
    this.#reset();
  }

  #push(operation: number, a: unknown, b: unknown, c: unknown): void {
    const ops = this.#ops;
    const at = this.#tail;
    ops[at] = operation;
    ops[at + 1] = a;
    ops[at + 2] = b;
    ops[at + 3] = c;
    this.#tail = at + STRIDE;
  }

  #clear(at: number): void {
    const ops = this.#ops;
    ops[at] = OP_NOTHING;
    ops[at + 1] = undefined;
    ops[at + 2] = undefined;
    ops[at + 3] = undefined;
  }

  #compact(): void {
    const live = this.#tail - this.#head;
    this.#ops.copyWithin(0, this.#head, this.#tail);
    this.#ops.fill(undefined, live, this.#tail);
    this.#head = 0;
    this.#tail = live;
  }

  #reset(): void {
    this.#head = this.#tail = 0;
    this.#lastBarrier = undefined;
    if (this.#ops.length > KEEP_SLOTS) this.#ops.length = 0;
  }
}
