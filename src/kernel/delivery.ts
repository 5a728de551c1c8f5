import type { ActorRef, BounceReason, KernelEvent, Message, ReplyTo } from './actor.ts';
import type { AskTable } from './asks.ts';
import type { Bridges } from './bridge.ts';
import { ENDED, STOPPING } from './cell.ts';
import type { Cell } from './cell.ts';
import { ASK, MAIL, NAMED, NOTICE } from './mailbox.ts';
import type { ReturnAddress } from './mailbox.ts';
import type { Entity, Registry } from './registry.ts';
import type { Scheduler } from './scheduler.ts';
import type { Slots } from './slots.ts';

/** What delivery works on; the kernel's parts. */
export interface DeliveryParts {
  readonly node: number;
  readonly worker: number;
  readonly slots: Slots;
  readonly scheduler: Scheduler;
  readonly registry: Registry;
  readonly asks: AskTable;
  readonly bridges: Bridges;
  /** Starts the entity `key`; undefined where no more actors may start. */
  startEntity(entity: Entity, key: string): Cell | undefined;
}

/** Brings messages, answers and bounces to actors here or to the bridge. Everything is taken or comes back, nothing is lost silently. */
export class Delivery {
  readonly #node: number;
  readonly #worker: number;
  readonly #slots: Slots;
  readonly #scheduler: Scheduler;
  readonly #parts: DeliveryParts;
  readonly bounced: Record<BounceReason, number> = { mailbox_full: 0, no_actor: 0, worker_down: 0, bridge_full: 0 };

  constructor(parts: DeliveryParts) {
    this.#node = parts.node;
    this.#worker = parts.worker;
    this.#slots = parts.slots;
    this.#scheduler = parts.scheduler;
    this.#parts = parts;
  }

  /** Whether the message was taken: by the mailbox, or by the bridge to the actor's worker. `ask` is ASK or 0. */
  send(to: ActorRef, message: Message, from: ReturnAddress, ask: number): boolean {
    if (to.worker !== this.#worker || to.node !== this.#node) {
      if (to.node === this.#node) return this.#parts.bridges.send(to, message, from, ask);
      return this.bounce(from, ask, message, 'no_actor');
    }
    return this.sendLocal(to.id, message, from, ask);
  }

  sendLocal(id: number, message: Message, from: ReturnAddress, ask: number): boolean {
    const cell = this.#slots.get(id);
    if (cell === undefined || cell.phase >= STOPPING) return this.bounce(from, ask, message, 'no_actor');
    if (!cell.mailbox.post(message, from, MAIL | ask)) return this.bounce(from, ask, message, 'mailbox_full');
    if (!cell.isScheduled) this.#scheduler.enqueue(cell);
    return true;
  }

  sendNamed(entity: Entity, key: string, message: Message, from: ReturnAddress, ask: number): boolean {
    const cell = entity.cells.get(key);
    if (cell !== undefined) return this.#postNamed(cell, message, from, ask);
    const home = this.#parts.registry.homeOf(entity, key);
    if (home !== this.#worker) return this.#parts.bridges.sendNamed(home, entity, key, message, from, ask);
    return this.#postNamed(this.#parts.startEntity(entity, key), message, from, ask);
  }

  /** To an entity whose home is here, whatever the hash says. */
  sendNamedLocal(entity: Entity, key: string, message: Message, from: ReturnAddress, ask: number): boolean {
    return this.#postNamed(entity.cells.get(key) ?? this.#parts.startEntity(entity, key), message, from, ask);
  }

  #postNamed(cell: Cell | undefined, message: Message, from: ReturnAddress, ask: number): boolean {
    if (cell === undefined || cell.phase === ENDED) return this.bounce(from, ask, message, 'no_actor');
    if (!cell.mailbox.post(message, from, NAMED | ask)) return this.bounce(from, ask, message, 'mailbox_full');
    if (!cell.isScheduled) this.#scheduler.enqueue(cell);
    return true;
  }

  /** Gives a message back to its sender; false, for the caller to return. */
  bounce(from: ReturnAddress, ask: number, message: Message, reason: BounceReason): false {
    this.bounced[reason]++;
    if (from === undefined) return false;
    if ((ask & ASK) !== 0) this.answer(from as ReplyTo, false, reason);
    else if (from.worker === this.#worker) this.bouncedLocal(from.id, message, reason);
    else this.#parts.bridges.bounce(from, message, reason);
    return false;
  }

  /** Tells the sender, if it is still there. */
  bouncedLocal(id: number, message: Message, reason: BounceReason): void {
    const cell = this.#slots.get(id);
    if (cell !== undefined) this.notify(cell, { kind: 'bounced', message, reason }, NOTICE);
  }

  /** Ends a question: `result` is the answer, or the AskFailure. */
  answer(replyTo: ReplyTo, ok: boolean, result: unknown): void {
    if (replyTo.node !== this.#node) return;
    if (replyTo.worker === this.#worker) this.#parts.asks.settle(replyTo.ask, ok, result);
    else this.#parts.bridges.answer(replyTo, ok, result);
  }

  /** Puts a kernel event in the actor's mailbox: exempt from limits, bounded by what the actor itself has started. */
  notify(cell: Cell, event: KernelEvent, flags: number): void {
    cell.mailbox.push(event, undefined, flags);
    if (!cell.isScheduled) this.#scheduler.enqueue(cell);
  }
}
