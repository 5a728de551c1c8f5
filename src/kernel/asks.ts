import type { AskFailure, KernelEvent, ReplyTo } from './actor.ts';
import type { Cell } from './cell.ts';
import { Timer } from './timers.ts';
import type { TimerWheel } from './timers.ts';

/** How a question ended, as code outside of actors sees it. */
export type AskOutcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly failure: AskFailure };

/** Ids of one incarnation of a worker: 2^37, below 2^45 with the incarnation. */
const ASKS_PER_INCARNATION = 2 ** 37;
const INCARNATIONS = 1 << 8;

/** A question that waits for its answer; itself the timer of its timeout. */
export class PendingAsk extends Timer {
  readonly #table: AskTable;
  readonly replyTo: ReplyTo;
  readonly name: string;
  /** Who asked: an actor, or code outside through `settle`. */
  readonly cell: Cell | undefined;
  readonly settle: ((outcome: AskOutcome) => void) | undefined;
  readonly timeoutMs: number;
  /** Worker that is to answer: if it goes down, so does the question. */
  readonly target: number;
  /** Of the entity asked, where asked by name. */
  readonly key: string;
  /** Not opened yet. */
  isNew = true;

  constructor(
    table: AskTable,
    replyTo: ReplyTo,
    name: string,
    timeoutMs: number,
    target: number,
    key: string,
    asker: Cell | ((outcome: AskOutcome) => void),
  ) {
    super();
    this.#table = table;
    this.replyTo = replyTo;
    this.name = name;
    this.timeoutMs = timeoutMs;
    this.target = target;
    this.key = key;
    const isOutside = typeof asker === 'function';
    this.cell = isOutside ? undefined : asker;
    this.settle = isOutside ? asker : undefined;
  }

  fire(): void {
    this.#table.settle(this.replyTo.ask, false, 'timeout');
  }
}

/** Every question asked on this worker and not yet answered. The first outcome counts, later ones are dropped. */
export class AskTable {
  readonly #wheel: TimerWheel;
  readonly #deliver: (cell: Cell, event: KernelEvent) => void;
  readonly #node: number;
  readonly #worker: number;
  readonly #pending = new Map<number, PendingAsk>();
  #next: number;

  constructor(options: {
    node: number;
    worker: number;
    incarnation: number;
    wheel: TimerWheel;
    deliver: (cell: Cell, event: KernelEvent) => void;
  }) {
    this.#node = options.node;
    this.#worker = options.worker;
    this.#wheel = options.wheel;
    this.#deliver = options.deliver;
    this.#next = (options.incarnation % INCARNATIONS) * ASKS_PER_INCARNATION + 1;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Makes a question with its reply address; nobody waits for it before `open`. */
  prepare(asker: Cell | ((outcome: AskOutcome) => void), name: string, timeoutMs: number, target: number, key: string): PendingAsk {
    const id = typeof asker === 'function' ? 0 : asker.id;
    const replyTo: ReplyTo = { node: this.#node, worker: this.#worker, id, ask: this.#next++ };
    return new PendingAsk(this, replyTo, name, timeoutMs, target, key, asker);
  }

  open(ask: PendingAsk, nowMs?: number): void {
    ask.isNew = false;
    this.#pending.set(ask.replyTo.ask, ask);
    if (ask.cell !== undefined) ask.cell.askCount++;
    this.#wheel.start(ask, ask.timeoutMs, nowMs);
  }

  /** The outcome of the question `ask`, if anybody still waits for it: `result` is the value, or the failure. */
  settle(ask: number, ok: boolean, result: unknown): void {
    const pending = this.#pending.get(ask);
    if (pending === undefined) return;
    this.#close(pending);
    if (pending.cell !== undefined) {
      const { name } = pending;
      this.#deliver(
        pending.cell,
        ok ? { kind: 'reply', name, ok, value: result } : { kind: 'reply', name, ok, failure: result as AskFailure },
      );
    } else pending.settle?.(ok ? { ok, value: result } : { ok, failure: result as AskFailure });
  }

  /** The asker lost its data: nobody waits for its answers any more. Cost: O(questions pending here) if it has any. */
  forget(cell: Cell): void {
    if (cell.askCount === 0) return;
    for (const pending of this.#pending.values()) if (pending.cell === cell) this.#close(pending);
  }

  /** Fails whatever was to be answered on `worker`. Cost: O(questions pending). */
  failWorker(worker: number): void {
    for (const [ask, pending] of this.#pending) if (pending.target === worker) this.settle(ask, false, 'worker_down');
  }

  #close(pending: PendingAsk): void {
    this.#pending.delete(pending.replyTo.ask);
    this.#wheel.cancel(pending);
    if (pending.cell !== undefined) pending.cell.askCount--;
  }
}
