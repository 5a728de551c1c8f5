import type { Cell } from './cell.ts';

const SLOT_BITS = 20;
const SLOTS = 1 << SLOT_BITS;
const SLOT_MASK = SLOTS - 1;
const GENERATIONS = 1 << 17;
const INCARNATIONS = 1 << 8;
/** A slot rests until this many others are free, so that its generations last. */
const MIN_FREE = 1024;

/** An actor's id stays below 2^45, so that (id, worker) fits one number. */
const MAX_WORKERS = 256;

/** Identifies an actor of any worker in a Map. */
export function watchKey(id: number, worker: number): number {
  return id * MAX_WORKERS + worker;
}

/**
 * Actors of one worker by id.
 *
 *      44        37              20                 0
 *     ┌───────────┬───────────────┬─────────────────┐
 *     │incarnation│  generation   │      slot       │
 *     └───────────┴───────────────┴─────────────────┘
 *       of the      of the slot:    index here
 *       worker      bumped when it is used again
 *
 * Looking up is an array read and a comparison, where a Map would hash a number beyond 31 bits. An id
 * comes back after 131,072 lives of its slot (with at least 1,024 slots taking part) or 256 restarts of
 * the worker.
 */
export class Slots {
  readonly #incarnation: number;
  readonly #maxActors: number;
  /** Slot 0 stays empty: id 0 says "no actor". */
  readonly cells: (Cell | undefined)[] = [undefined];
  /** Of the cell in the slot, 0 where it is empty: beside each other in memory, as the cells are not. */
  #ids = new Float64Array(MIN_FREE);
  readonly #generations: number[] = [0];
  /** Freed slots, oldest first from #freeAt. */
  #free: number[] = [];
  #freeAt = 0;
  /** Slots taken. */
  size = 0;

  constructor(incarnation: number, maxActors: number) {
    this.#incarnation = incarnation % INCARNATIONS;
    this.#maxActors = Math.min(maxActors, SLOTS - 1);
  }

  get isFull(): boolean {
    return this.size >= this.#maxActors;
  }

  /** Takes a slot for an actor to be `put` there, and returns its id. Only while not full. */
  take(): number {
    const slot = this.#freeSlot();
    this.size++;
    return (this.#incarnation * GENERATIONS + this.#generations[slot]!) * SLOTS + slot;
  }

  put(cell: Cell): void {
    const slot = cell.id & SLOT_MASK;
    this.cells[slot] = cell;
    this.#ids[slot] = cell.id;
  }

  get(id: number): Cell | undefined {
    const slot = id & SLOT_MASK;
    return this.#ids[slot] === id ? this.cells[slot] : undefined;
  }

  remove(cell: Cell): void {
    const slot = cell.id & SLOT_MASK;
    if (this.cells[slot] !== cell) return;
    this.cells[slot] = undefined;
    this.#ids[slot] = 0;
    this.#generations[slot] = (this.#generations[slot]! + 1) % GENERATIONS;
    this.#free.push(slot);
    this.size--;
  }

  #freeSlot(): number {
    const waiting = this.#free.length - this.#freeAt;
    if (waiting > MIN_FREE || this.cells.length >= SLOTS) {
      const slot = this.#free[this.#freeAt++]!;
      if (this.#freeAt >= MIN_FREE && this.#freeAt * 2 >= this.#free.length) {
        this.#free = this.#free.slice(this.#freeAt);
        this.#freeAt = 0;
      }
      return slot;
    }
    this.cells.push(undefined);
    this.#generations.push(0);
    if (this.cells.length > this.#ids.length) this.#ids = grown(this.#ids);
    return this.cells.length - 1;
  }
}

function grown(ids: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(ids.length * 2);
  larger.set(ids);
  return larger;
}
