import { threadId } from 'node:worker_threads';
import type { ActorRef, AnyMachine, ExitReason, Message, ReplyTo } from './actor.ts';
import { AskTable } from './asks.ts';
import type { AskOutcome, PendingAsk } from './asks.ts';
import { BridgeEnd } from './bridge-end.ts';
import { Bridges } from './bridge.ts';
import { DUE_CRASH_ON_MESSAGE, DUE_KILL, STOPPING } from './cell.ts';
import type { Cell, TraceSink } from './cell.ts';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { Delivery } from './delivery.ts';
import { Inspector } from './inspection.ts';
import type { ActorReport, Inspection, ListQuery } from './inspection.ts';
import { Life } from './life.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { KernelLimits } from './limits.ts';
import { ASK, LIFE, SegmentPool, STOP, VALUE_SHIFT } from './mailbox.ts';
import type { KernelObserver } from './observer.ts';
import type { KernelParts } from './parts.ts';
import type { BridgePort } from './peer.ts';
import { Registry } from './registry.ts';
import type { Entity, EntityDefinition } from './registry.ts';
import { inject, Runner } from './runner.ts';
import { Scheduler } from './scheduler.ts';
import { Slots } from './slots.ts';
import { DEFAULT_WHEEL, TimerWheel } from './timers.ts';
import type { WheelOptions } from './timers.ts';
import { TurnBuffer } from './turn.ts';
import { NO_ACTOR, Watches } from './watches.ts';
import type { Codec } from './wire.ts';

export interface KernelOptions {
  /** This worker's number, 0 to 255; entities live on numbers below `workers`. */
  readonly worker?: number;
  readonly workers?: number;
  readonly node?: number;
  /**
   * Differs between the lives of a worker with the same number, so that references to actors of an earlier
   * life find nobody. Default: the thread's id, which the process never gives twice.
   */
  readonly incarnation?: number;
  readonly clock?: Clock | undefined;
  readonly observer?: KernelObserver | undefined;
  readonly limits?: Partial<KernelLimits> | undefined;
  readonly wheel?: WheelOptions | undefined;
  /** Called when a slice is over, all it has caused has left, and no actor here has work. May take a moment. */
  readonly rest?: (() => void) | undefined;
  /**
   * Names of machines, askers first: an ask in the other direction, which could end in two actors waiting for
   * each other, crashes the asker. Machines that are not named may ask anybody. For development.
   */
  readonly askOrder?: readonly string[] | undefined;
}

/** When an injected crash happens. */
export type CrashMoment = 'now' | 'next_message';

/** How often `drain` looks whether all is over. */
const DRAIN_POLL_MS = 5;
/** Share of the time for draining in which actors may finish what is queued. */
const QUIET_SHARE = 0.5;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * The actor runtime of one thread: spawns and names actors, runs them, connects them with those of other
 * threads. It knows nothing of what they do and does not log: it reports to a KernelObserver.
 *
 *   outside ─ send ─►┌──────────┐   ┌───────────┐   ┌────────┐ turn ┌────────┐
 *   port ───────────►│ Delivery ├──►│ Mailbox   ├──►│ Runner ├─────►│ state  │
 *                    └──┬───▲───┘   │ Scheduler │   └───┬────┘      │function│
 *                Bridges│   └───────┴───────────┴───────┘           └────────┘
 *                       ▼      effects, when the turn has ended
 */
export class Kernel {
  readonly worker: number;
  readonly workers: number;
  readonly clock: Clock;
  readonly #parts: KernelParts;
  readonly #inspector: Inspector;
  readonly #askOrder: ReadonlyMap<string, number>;

  constructor(options: KernelOptions) {
    const { worker = 0, workers = 1, node = 0, incarnation = threadId, clock = systemClock, observer = {}, askOrder = [] } = options;
    if (!Number.isInteger(worker) || worker < 0 || worker > 255) throw new RangeError('worker must be an integer from 0 to 255');
    this.worker = worker;
    this.workers = workers;
    this.clock = clock;
    this.#askOrder = new Map(askOrder.map((name, index) => [name, index]));
    const limits: KernelLimits = { ...DEFAULT_LIMITS, ...options.limits };
    const wheel = new TimerWheel(clock, options.wheel ?? { ...DEFAULT_WHEEL, tickMs: clock.timerTickMs ?? DEFAULT_WHEEL.tickMs });
    const parts = {
      node,
      worker,
      limits,
      observer,
      wheel,
      slots: new Slots(incarnation, limits.maxActors),
      pool: new SegmentPool(),
      registry: new Registry(worker, workers),
      counters: { turns: 0, started: 0, ended: 0, crashes: 0, restarts: 0, tasks: 0 },
      startEntity: (entity: Entity, key: string) => parts.life.startEntity(entity, key),
    } as Mutable<KernelParts>;
    parts.scheduler = new Scheduler(clock, limits, {
      go: (cell) => parts.runner.go(cell),
      flushBridges: () => parts.bridges.flush(),
      rest: options.rest,
      hookFailed: (error) => observer.failed?.({ what: 'slice_hook', machine: undefined, error }),
    });
    parts.asks = new AskTable({
      node,
      worker,
      incarnation,
      wheel,
      deliver: (cell, event) => parts.delivery.notify(cell, event, LIFE | (cell.incarnation << VALUE_SHIFT)),
    });
    parts.bridges = new Bridges({ node, worker, limits, host: new BridgeEnd(parts, (lost) => this.workerDown(lost)) });
    parts.delivery = new Delivery(parts);
    parts.watches = new Watches(parts);
    parts.turn = new TurnBuffer(this.#turnHost(parts));
    parts.life = new Life(parts);
    parts.runner = new Runner(parts);
    this.#parts = parts;
    this.#inspector = new Inspector(parts, { isMeasuringLoop: clock === systemClock, nowMs: () => clock.monotonicMs() });
  }

  /** Starts an actor here; its `init` runs in the next slice. Throws at the limit of actors. */
  spawn<A, M extends Message>(machine: AnyMachine<A, M>, args: A): ActorRef<M> {
    const { life } = this.#parts;
    const cell = life.reserve(machine, args);
    life.launch(cell);
    return cell.ref as ActorRef<M>;
  }

  /** Declares a kind of actor that is started by the first message to its name. The same on every worker, before any traffic. */
  registerEntity(definition: EntityDefinition): void {
    this.#parts.registry.define(definition);
  }

  /** How messages of `kind` cross to other workers; without a codec they are cloned as objects. The same on every worker. */
  registerCodec<M extends Message>(kind: string, codec: Codec<M>): void {
    this.#parts.bridges.registerCodec(kind, codec as Codec<Message>);
  }

  /**
   * Sends from outside of actors: sockets, signals, tests. Handled in the next slice, together with all else
   * that arrives in this pass of the event loop.
   *
   * @returns whether it was taken, by the mailbox or by the bridge; if not, it is gone.
   */
  send<M extends Message>(to: ActorRef<M>, message: M): boolean {
    return this.#parts.delivery.send(to, message, undefined, 0);
  }

  sendTo(entity: string, key: string, message: Message): boolean {
    return this.#parts.delivery.sendNamed(this.#parts.registry.get(entity), key, message, undefined, 0);
  }

  /** Asks from outside of actors. Always resolves, within `timeoutMs`. */
  ask<M extends Message>(to: ActorRef<M>, timeoutMs: number, request: (replyTo: ReplyTo) => M): Promise<AskOutcome> {
    return new Promise((resolve) => {
      const ask = this.#parts.asks.prepare(resolve, '', timeoutMs, to.worker, '');
      const message = request(ask.replyTo);
      this.#parts.asks.open(ask);
      this.#parts.delivery.send(to, message, ask.replyTo, ASK);
    });
  }

  askTo(entity: string, key: string, timeoutMs: number, request: (replyTo: ReplyTo) => Message): Promise<AskOutcome> {
    return new Promise((resolve) => {
      const { registry, asks, delivery } = this.#parts;
      const target = registry.get(entity);
      const ask = asks.prepare(resolve, '', timeoutMs, registry.homeOf(target, key), key);
      const message = request(ask.replyTo);
      asks.open(ask);
      delivery.sendNamed(target, key, message, ask.replyTo, ASK);
    });
  }

  /** The worker where the entity lives. */
  homeOf(entity: string, key: string): number {
    const { registry } = this.#parts;
    return registry.homeOf(registry.get(entity), key);
  }

  /** The entity's actor, if it runs here. */
  find(entity: string, key: string): ActorRef<Message> | undefined {
    return this.#parts.registry.get(entity).cells.get(key)?.ref;
  }

  /** Messages in the mailbox of an actor here; 0 where there is none. */
  mailboxDepth(ref: ActorRef): number {
    return this.#local(ref)?.mailbox.messages ?? 0;
  }

  /** How full the mailbox of an actor here is, by the tighter of its limits: 1 refuses. 0 where there is none. */
  fullness(ref: ActorRef): number {
    return this.#local(ref)?.mailbox.fullness ?? 0;
  }

  /** Calls back once, when the mailbox of an actor here is at most half full, or the actor is over: the moment to read a paused socket again. */
  whenRoom(ref: ActorRef, callback: () => void): void {
    const cell = this.#local(ref);
    if (cell === undefined || cell.mailbox.fullness <= 0.5) callback();
    else (cell.whenRoom ??= []).push(callback);
  }

  /** Calls back once, when an actor here is over; at once if it is not there. */
  onExit(ref: ActorRef, callback: (reason: ExitReason) => void): void {
    const cell = this.#local(ref);
    if (cell === undefined) callback(NO_ACTOR);
    else (cell.onExit ??= []).push(callback);
  }

  /** Runs `hook` at the end of every slice: the moment to flush what its turns have written. The result takes it back. */
  onSliceEnd(hook: () => void): () => void {
    return this.#parts.scheduler.onSliceEnd(hook);
  }

  /** Within a slice, whose end is to come. */
  get isInSlice(): boolean {
    return this.#parts.scheduler.isRunning;
  }

  /**
   * Calls `work` once, when the actors that have mail now have handled it: the moment for a store to write down what they hold. What
   * that settles goes on in the same slice.
   */
  defer(work: () => void): void {
    this.#parts.scheduler.defer(work);
  }

  /** Asks an actor here to stop after the mail it has, and what it holds. False where it is not there. */
  stop(ref: ActorRef, why = 'stopped'): boolean {
    const cell = this.#local(ref);
    if (cell === undefined) return false;
    this.#stop(cell, why);
    return true;
  }

  /** Ends an actor here in its next go, whatever it has to do; what it holds is dropped. */
  kill(ref: ActorRef, why = 'killed'): boolean {
    const cell = this.#local(ref);
    if (cell === undefined) return false;
    this.#kill(cell, why);
    return true;
  }

  /** For drills: an actor here crashes with `error`; with 'next_message', in place of handling the next message it gets. */
  crash(ref: ActorRef, error: unknown, moment: CrashMoment = 'now'): boolean {
    const cell = this.#local(ref);
    if (cell === undefined) return false;
    inject(cell, 'injected', error, moment === 'now' ? undefined : DUE_CRASH_ON_MESSAGE);
    if (moment === 'now') this.#parts.scheduler.rouse(cell);
    return true;
  }

  /** Connects to another worker: new, or in place of one that went down. */
  connect(worker: number, port: BridgePort): void {
    if (this.#parts.bridges.isUp(worker)) this.workerDown(worker); // an older life whose end was not told yet
    this.#parts.bridges.connect(worker, port);
    this.#parts.observer.workerUp?.(worker);
  }

  /**
   * Another worker is gone: what it has not taken out of its port comes back as `worker_down`, questions to it
   * fail, monitors of its actors are told. What it has taken may or may not have been handled, and does not come
   * back. Says itself so when the port closes; calling again is harmless.
   */
  workerDown(worker: number): void {
    if (!this.#parts.bridges.disconnect(worker)) return;
    this.#parts.asks.failWorker(worker);
    this.#parts.watches.workerDown(worker);
    this.#parts.observer.workerDown?.(worker);
  }

  /** This worker in figures. */
  inspect(): Inspection {
    return this.#inspector.inspect();
  }

  /** Its actors, the fullest mailboxes first. */
  list(query: ListQuery = {}): ActorReport[] {
    return this.#inspector.list(query);
  }

  /** Shows every event an actor here handles to `sink`, until the result is called. One at a time per actor; false where it is not there. */
  trace(ref: ActorRef, sink: TraceSink): (() => void) | false {
    const cell = this.#local(ref);
    if (cell === undefined) return false;
    cell.trace = sink;
    return () => {
      if (cell.trace === sink) cell.trace = undefined;
    };
  }

  /** Runs actors until none has work: for tests, with a clock that stands still. */
  runUntilIdle(): void {
    this.#parts.scheduler.drain();
  }

  /**
   * Ends all actors in order: lets them finish what is queued (for at most half the time), then asks the
   * machines named in `order` to stop, one after the other, then all others. What still runs after
   * `timeoutMs` is killed.
   *
   * @returns whether all ended by themselves.
   */
  async drain(timeoutMs: number, order: readonly string[] = []): Promise<boolean> {
    const { life, slots, scheduler, bridges } = this.#parts;
    const startMs = this.clock.monotonicMs();
    const endMs = startMs + timeoutMs;
    await this.#until(() => this.#isQuiet(), startMs + timeoutMs * QUIET_SHARE);
    for (const name of order) await this.#until(() => this.#stopAll(name) === 0, endMs);
    await this.#until(() => this.#stopAll() === 0, endMs);
    life.isClosing = true;
    const isInOrder = slots.size === 0;
    for (const cell of slots.cells) if (cell !== undefined) this.#kill(cell, 'drain');
    if (!isInOrder) scheduler.drain();
    bridges.flush();
    return isInOrder;
  }

  /** Lets go of ports, timers and the event loop. Actors are not told: `drain` first. */
  close(): void {
    const { scheduler, wheel, bridges } = this.#parts;
    scheduler.close();
    wheel.close();
    bridges.close();
    this.#inspector.close();
  }

  #local(ref: ActorRef): Cell | undefined {
    const { node, worker, slots } = this.#parts;
    return ref.worker === worker && ref.node === node ? slots.get(ref.id) : undefined;
  }

  #stop(cell: Cell, why: string): void {
    if (cell.isStopAsked) return;
    cell.isStopAsked = true;
    cell.mailbox.push(why, undefined, STOP);
    if (!cell.isScheduled) this.#parts.scheduler.enqueue(cell);
  }

  #kill(cell: Cell, why: string): void {
    cell.due |= DUE_KILL;
    cell.killWhy = why;
    this.#parts.scheduler.rouse(cell);
  }

  /** Asks every actor (of a machine) to stop; how many there are. */
  #stopAll(name?: string): number {
    let count = 0;
    for (const cell of this.#parts.slots.cells) {
      if (cell === undefined || (name !== undefined && cell.machine.name !== name)) continue;
      count++;
      this.#stop(cell, 'drain');
    }
    return count;
  }

  #isQuiet(): boolean {
    if (!this.#parts.bridges.isIdle) return false;
    return this.#parts.slots.cells.every((cell) => {
      if (cell === undefined || cell.phase >= STOPPING) return true;
      return !cell.hasWork && cell.postponed === undefined && (cell.held === undefined || cell.held.isEmpty);
    });
  }

  async #until(isOver: () => boolean, endMs: number): Promise<void> {
    while (!isOver() && this.clock.monotonicMs() < endMs) await new Promise<void>((resolve) => this.clock.schedule(DRAIN_POLL_MS, resolve));
  }

  #turnHost(parts: KernelParts): ConstructorParameters<typeof TurnBuffer>[0] {
    return {
      reserve: (machine, args) => parts.life.reserve(machine, args),
      entity: (kind) => parts.registry.get(kind),
      prepareAsk: (cell, name, timeoutMs, target): PendingAsk => {
        if (this.#askOrder.size > 0) this.#checkAskOrder(cell, this.#local(target)?.machine.name);
        return parts.asks.prepare(cell, name, timeoutMs, target.worker, '');
      },
      prepareAskTo: (cell, name, timeoutMs, entity, key): PendingAsk => {
        if (this.#askOrder.size > 0) this.#checkAskOrder(cell, entity.machine.name);
        return parts.asks.prepare(cell, name, timeoutMs, parts.registry.homeOf(entity, key), key);
      },
    };
  }

  #checkAskOrder(cell: Cell, target: string | undefined): void {
    const from = this.#askOrder.get(cell.machine.name);
    const to = target === undefined ? undefined : this.#askOrder.get(target);
    if (from !== undefined && to !== undefined && to <= from)
      throw new Error(`${cell.machine.name} must not ask ${target}: they could wait for each other`);
  }
}
