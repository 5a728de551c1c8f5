import type { ActorRef, AnyMachine, Barrier, Message, ReplyTo, Turn } from './actor.ts';
import type { PendingAsk } from './asks.ts';
import type { Cell, KernelMachine } from './cell.ts';
import {
  OP_ASK,
  OP_ASK_NAMED,
  OP_CANCEL_TIMER,
  OP_DEMONITOR,
  OP_EFFECT,
  OP_FORGET,
  OP_MONITOR,
  OP_NOTHING,
  OP_REPLY,
  OP_SEND,
  OP_SEND_NAMED,
  OP_SPAWN,
  OP_TASK,
  OP_TIMER,
  STRIDE,
} from './operations.ts';
import type { Entity } from './registry.ts';

/** What a turn needs of its kernel while the state function runs: nothing that could be seen if it throws. */
export interface TurnHost {
  reserve(machine: KernelMachine, args: unknown): Cell;
  entity(kind: string): Entity;
  prepareAsk(cell: Cell, name: string, timeoutMs: number, target: ActorRef): PendingAsk;
  prepareAskTo(cell: Cell, name: string, timeoutMs: number, entity: Entity, key: string): PendingAsk;
}

/** A turn larger than this gives its arrays back, smaller ones are kept for the next turn of any actor. */
const KEEP_SLOTS = 4096;

/**
 * The one Turn of a kernel, used again for every turn of every actor. It only notes down what is asked
 * of it; the Runner carries it out when the state function has returned.
 */
export class TurnBuffer implements Turn<Message> {
  readonly #host: TurnHost;
  self: ActorRef<Message> = { node: 0, worker: 0, id: 0 };
  now = 0;
  cell!: Cell;
  /** True while a state function, init or recover runs: it must not be used at any other time. */
  isOpen = false;
  /** Outbound operations, four slots each. */
  ops: unknown[] = [];
  count = 0;
  /** Local operations, four slots each. */
  locals: unknown[] = [];
  localCount = 0;
  barriers: Barrier[] = [];
  barrierCount = 0;
  isPostponed = false;
  stopWhy: string | undefined = undefined;

  constructor(host: TurnHost) {
    this.#host = host;
  }

  send<T extends Message>(to: ActorRef<T>, message: T): void {
    this.#outbound(OP_SEND, to, message, undefined);
  }

  sendTo(entity: string, key: string, message: Message): void {
    this.#outbound(OP_SEND_NAMED, this.#host.entity(entity), message, key);
  }

  ask<T extends Message>(name: string, to: ActorRef<T>, timeoutMs: number, request: (replyTo: ReplyTo) => T): void {
    const pending = this.#host.prepareAsk(this.cell, name, timeoutMs, to);
    this.#outbound(OP_ASK, to, request(pending.replyTo), pending);
  }

  askTo(name: string, entity: string, key: string, timeoutMs: number, request: (replyTo: ReplyTo) => Message): void {
    const target = this.#host.entity(entity);
    const pending = this.#host.prepareAskTo(this.cell, name, timeoutMs, target, key);
    this.#outbound(OP_ASK_NAMED, target, request(pending.replyTo), pending);
  }

  reply(to: ReplyTo, value: unknown): void {
    this.#outbound(OP_REPLY, to, value, undefined);
  }

  task(name: string, work: Promise<unknown>): void {
    this.#local(OP_TASK, name, work);
  }

  timer(name: string, delayMs: number): void {
    this.#local(OP_TIMER, name, delayMs);
  }

  cancelTimer(name: string): void {
    this.#local(OP_CANCEL_TIMER, name, undefined);
  }

  monitor(ref: ActorRef): void {
    this.#outbound(OP_MONITOR, ref, undefined, undefined);
  }

  demonitor(ref: ActorRef): void {
    this.#local(OP_FORGET, ref, undefined);
    this.#outbound(OP_DEMONITOR, ref, undefined, undefined);
  }

  postpone(): void {
    this.#check();
    this.isPostponed = true;
  }

  hold(barrier: Barrier): void {
    this.#check();
    this.barriers[this.barrierCount++] = barrier;
  }

  spawn<A, T extends Message>(machine: AnyMachine<A, T>, args: A): ActorRef<T> {
    this.#check();
    const cell = this.#host.reserve(machine, args);
    this.#outbound(OP_SPAWN, cell, undefined, undefined);
    return cell.ref as ActorRef<T>;
  }

  effect(run: () => void): void {
    this.#outbound(OP_EFFECT, run, undefined, undefined);
  }

  stop(why: string): void {
    this.#check();
    this.stopWhy = why;
  }

  /** Empties it after its operations were carried out, copied or dropped. */
  reset(): void {
    if (this.count !== 0) {
      this.ops = cleared(this.ops, this.count);
      this.count = 0;
    }
    if (this.localCount !== 0) {
      this.locals = cleared(this.locals, this.localCount);
      this.localCount = 0;
    }
    if (this.barrierCount !== 0) {
      this.barriers.length = 0;
      this.barrierCount = 0;
    }
    this.isPostponed = false;
    this.stopWhy = undefined;
  }

  #outbound(operation: number, a: unknown, b: unknown, c: unknown): void {
    if (!this.isOpen) throw notInTurn();
    const { ops, count } = this;
    ops[count] = operation;
    ops[count + 1] = a;
    ops[count + 2] = b;
    ops[count + 3] = c;
    this.count = count + STRIDE;
  }

  #local(operation: number, a: unknown, b: unknown): void {
    if (!this.isOpen) throw notInTurn();
    const { locals, localCount } = this;
    locals[localCount] = operation;
    locals[localCount + 1] = a;
    locals[localCount + 2] = b;
    locals[localCount + 3] = undefined;
    this.localCount = localCount + STRIDE;
  }

  #check(): void {
    if (!this.isOpen) throw notInTurn();
  }
}

/** Without the references: they would keep messages alive until another turn is as large. */
function cleared(ops: unknown[], count: number): unknown[] {
  if (count > KEEP_SLOTS) return [];
  for (let at = 0; at < count; at += STRIDE) {
    ops[at] = OP_NOTHING;
    ops[at + 1] = undefined;
    ops[at + 2] = undefined;
    ops[at + 3] = undefined;
  }
  return ops;
}

function notInTurn(): Error {
  return new Error('A turn was used after it had ended: from a callback or an async function. Send from a `task` event instead.');
}
