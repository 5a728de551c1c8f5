import type { ActorRef, BounceReason, ExitReason, Message } from './actor.ts';
import type { BridgeHost } from './bridge.ts';
import type { ReturnAddress } from './mailbox.ts';
import type { KernelParts } from './parts.ts';
import { inject } from './runner.ts';
import type { EnvelopeSink } from './wire.ts';

/** What arrives by bridges goes to actors here. */
class Arrivals implements EnvelopeSink {
  readonly #parts: KernelParts;

  constructor(parts: KernelParts) {
    this.#parts = parts;
  }

  send(to: number, message: Message, from: ReturnAddress, ask: number): void {
    this.#parts.delivery.sendLocal(to, message, from, ask);
  }

  sendNamed(kind: string, key: string, message: Message, from: ReturnAddress, ask: number): void {
    const { registry, delivery } = this.#parts;
    const entity = registry.find(kind);
    if (entity === undefined) delivery.bounce(from, ask, message, 'no_actor');
    else delivery.sendNamedLocal(entity, key, message, from, ask);
  }

  answer(ask: number, ok: boolean, result: unknown): void {
    this.#parts.asks.settle(ask, ok, result);
  }

  bounce(to: number, message: Message, reason: BounceReason): void {
    this.#parts.delivery.bouncedLocal(to, message, reason);
  }

  monitor(id: number, watcher: ActorRef): void {
    this.#parts.watches.add(id, watcher);
  }

  demonitor(id: number, watcher: ActorRef): void {
    this.#parts.watches.remove(id, watcher);
  }

  down(watcher: number, ref: ActorRef, reason: ExitReason): void {
    this.#parts.watches.told(watcher, { kind: 'down', ref, reason });
  }

  restarted(watcher: number, ref: ActorRef): void {
    this.#parts.watches.told(watcher, { kind: 'restarted', ref });
  }
}

/** This worker's end of its bridges. */
export class BridgeEnd implements BridgeHost {
  readonly #parts: KernelParts;
  readonly sink: EnvelopeSink;
  readonly lost: (worker: number) => void;

  constructor(parts: KernelParts, lost: (worker: number) => void) {
    this.#parts = parts;
    this.sink = new Arrivals(parts);
    this.lost = lost;
  }

  arm(): void {
    this.#parts.scheduler.arm();
  }

  entityKinds(): string[] {
    return this.#parts.registry.list.map(({ kind }) => kind);
  }

  bounce(from: ReturnAddress, ask: number, message: Message, reason: BounceReason): false {
    return this.#parts.delivery.bounce(from, ask, message, reason);
  }

  /** A bug of the sender, which crashes for it. */
  notCloneable(from: number, error: unknown): void {
    const { slots, scheduler, observer } = this.#parts;
    const cell = from === 0 ? undefined : slots.get(from);
    observer.failed?.({ what: 'not_cloneable', machine: cell?.machine.name, error });
    if (cell === undefined) return;
    inject(cell, 'effect', error);
    scheduler.rouse(cell);
  }
}
