import type { ExitReason, KernelEvent, Message } from './actor.ts';
import { ActorTimer, Cell, DUE_CRASH, DUE_RELEASE, ENDED, RECOVERING, RESERVED, RUNNING, STARTING, STOPPING } from './cell.ts';
import type { KernelMachine } from './cell.ts';
import { errorText } from './errors.ts';
import { ASK, Mailbox, NAMED, TYPE_MASK } from './mailbox.ts';
import type { ReturnAddress } from './mailbox.ts';
import type { KernelParts } from './parts.ts';
import type { Entity } from './registry.ts';
import { replayPostponed } from './runner.ts';
import { SmallMap } from './small-map.ts';

/** Slots of an entry in `replay`: event, from, flags. */
const ENTRY = 3;

/** How actors come to be, crash, are rebuilt and end. */
export class Life {
  readonly #parts: KernelParts;
  readonly #timerFired: (timer: ActorTimer) => void;
  /** No more entities start: the kernel is shutting down. */
  isClosing = false;

  constructor(parts: KernelParts) {
    this.#parts = parts;
    this.#timerFired = (timer) => parts.runner.timerFired(timer);
  }

  /** Makes an actor that does not run yet. Throws at the limit of actors. */
  reserve(machine: KernelMachine, args: unknown, entity?: Entity, key = ''): Cell {
    const { slots, node, worker, limits, pool, counters } = this.#parts;
    if (slots.isFull) throw new Error(`this worker has ${limits.maxActors} actors already`);
    const mailbox = new Mailbox(machine.mailbox ?? limits.mailbox, pool);
    const cell = new Cell({ node, worker, id: slots.take() }, machine, args, mailbox, entity, key);
    slots.put(cell);
    counters.started++;
    return cell;
  }

  /** Lets a reserved actor run: `init` is its first turn. */
  launch(cell: Cell): void {
    if (cell.phase !== RESERVED) return; // killed meanwhile
    cell.phase = STARTING;
    this.#parts.scheduler.rouse(cell);
  }

  /** The turn that spawned it failed, or what it held was dropped. */
  discard(cell: Cell): void {
    if (cell.phase !== RESERVED) return; // killed meanwhile
    cell.phase = ENDED;
    this.#parts.slots.remove(cell);
    this.#parts.counters.ended++;
    this.#returnMail(cell, false);
  }

  /** Starts an entity's actor; undefined where none may start any more. */
  startEntity(entity: Entity, key: string): Cell | undefined {
    if (this.isClosing || this.#parts.slots.isFull) return undefined;
    const cell = this.reserve(entity.machine, entity.argsFor(key), entity, key);
    entity.cells.set(key, cell);
    this.launch(cell);
    return cell;
  }

  /** Runs `init`, or `recover` after a crash, as a turn. If that throws, it was another crash. */
  build(cell: Cell): void {
    const { turn, runner, watches, counters } = this.#parts;
    const { crash, machine } = cell;
    runner.begin(cell);
    turn.isOpen = true;
    try {
      if (crash !== undefined && machine.recover !== undefined) {
        const { state, data } = machine.recover(crash, cell.args, turn);
        cell.handler = runner.handlerOf(cell, state);
        cell.state = state;
        cell.data = data;
      } else {
        const data = machine.init(cell.args, turn);
        cell.state = machine.initial;
        cell.handler = runner.handlerOf(cell, cell.state);
        cell.data = data;
      }
      if (turn.isPostponed) throw new Error('there is no event to postpone while an actor is built');
    } catch (error) {
      turn.isOpen = false;
      this.crash(cell, error, undefined);
      return;
    }
    turn.isOpen = false;
    counters.turns++;
    cell.phase = RUNNING;
    cell.isBuilt = true;
    cell.crash = undefined;
    // Behind what has left and before what the new life has to say; what is still held is late.
    if (cell.incarnation > 0) watches.restarted(cell);
    runner.commit(cell);
  }

  /**
   * A turn of `cell` failed, or effects of one: drops what belongs to its life, and rebuilds or ends it. What earlier
   * turns hold is not of its life but of the past, and stays held; unless it is their barrier that failed.
   */
  crash(cell: Cell, error: unknown, event: Message | KernelEvent | undefined): void {
    const { runner, asks, limits, counters, scheduler } = this.#parts;
    const question = runner.takeQuestion();
    runner.abort();
    this.#cancelTimers(cell);
    asks.forget(cell);
    cell.incarnation++;
    cell.due &= ~DUE_CRASH;
    const hasLostHeld = cell.held?.isLost === true;
    if (hasLostHeld) {
      cell.held!.clear(runner, 'crashed');
      cell.due &= ~DUE_RELEASE;
    }
    if (question !== undefined) this.#parts.delivery.answer(question, false, 'crashed');
    this.#failOpenAsks(cell, 'crashed');
    counters.crashes++;
    const { maxRestarts, withinMs } = cell.machine.intensity ?? limits.intensity;
    const crashes = this.#countCrash(cell, withinMs, scheduler.nowMs());
    const willRestart = crashes <= maxRestarts && cell.phase !== STOPPING;
    this.#report(cell, error, event, crashes, willRestart);
    if (!willRestart) {
      // It handles nothing more: mail so far goes back now, as if it had nothing held. Mail by name that comes while it
      // stops is for its successor.
      if (cell.phase !== STOPPING && cell.held !== undefined && !cell.held.isEmpty) this.#returnMail(cell, false);
      this.stop(cell, { kind: 'crash', error: errorText(error) });
      return;
    }
    counters.restarts++;
    cell.restarts++;
    // A crash while being rebuilt leaves the last real data as what to recover from.
    if (cell.phase !== RECOVERING && cell.isBuilt) cell.crash = { state: cell.state, data: cell.data, event: event!, error, hasLostHeld };
    else if (hasLostHeld && cell.crash !== undefined) cell.crash = { ...cell.crash, hasLostHeld };
    cell.phase = RECOVERING;
    replayPostponed(cell);
  }

  /** Ends it in order: at once, or when what it holds has left. */
  stop(cell: Cell, reason: ExitReason): void {
    if (cell.held === undefined || cell.held.isEmpty) {
      this.end(cell, reason);
      return;
    }
    cell.phase = STOPPING;
    cell.exit = reason;
    this.#cancelTimers(cell);
    this.#parts.asks.forget(cell);
  }

  /** The actor is over: last words, those who watch or asked are told, its mail goes back or to its successor. */
  end(cell: Cell, reason: ExitReason): void {
    const { runner, asks, slots, registry, watches, counters, observer } = this.#parts;
    const wasStopping = cell.phase === STOPPING;
    const failure = reason.kind === 'crash' ? 'crashed' : 'no_actor';
    cell.phase = ENDED;
    if (cell.isBuilt) this.#terminate(cell, reason);
    this.#cancelTimers(cell);
    asks.forget(cell);
    cell.held?.clear(runner, failure);
    this.#failOpenAsks(cell, failure);
    slots.remove(cell);
    // One that crashes again and again, perhaps before it has handled anything, would be started for ever by the same mail.
    const hasSuccessor = registry.remove(cell) && (reason.kind !== 'crash' || wasStopping);
    counters.ended++;
    observer.ended?.(cell.ref, cell.machine.name, reason);
    watches.ended(cell, reason);
    this.#returnMail(cell, hasSuccessor);
    this.callWhenRoom(cell);
    this.#callOnExit(cell, reason);
    cell.data = cell.crash = cell.replay = cell.postponed = cell.trace = undefined;
  }

  startTimer(cell: Cell, name: string, delayMs: number): void {
    const timers = (cell.timers ??= new SmallMap());
    let timer = timers.get(name);
    if (timer === undefined) {
      timer = new ActorTimer(cell, name, this.#timerFired);
      timers.set(name, timer);
    }
    timer.isFired = false;
    this.#parts.wheel.start(timer, delayMs, this.#parts.scheduler.nowMs());
  }

  callWhenRoom(cell: Cell): void {
    const callbacks = cell.whenRoom;
    cell.whenRoom = undefined;
    for (const callback of callbacks ?? []) {
      try {
        callback();
      } catch (error) {
        this.#parts.observer.failed?.({ what: 'room_callback', machine: cell.machine.name, error });
      }
    }
  }

  #callOnExit(cell: Cell, reason: ExitReason): void {
    for (const callback of cell.onExit ?? []) {
      try {
        callback(reason);
      } catch (error) {
        this.#parts.observer.failed?.({ what: 'exit_callback', machine: cell.machine.name, error });
      }
    }
  }

  #terminate(cell: Cell, reason: ExitReason): void {
    try {
      cell.machine.terminate?.(cell.data, cell.state, reason);
    } catch (error) {
      this.#parts.observer.failed?.({ what: 'terminate', machine: cell.machine.name, error });
    }
  }

  #cancelTimers(cell: Cell): void {
    if (cell.timers === undefined) return;
    for (const timer of cell.timers.values()) {
      this.#parts.wheel.cancel(timer);
      timer.isFired = false;
    }
    cell.timers = undefined;
  }

  #failOpenAsks(cell: Cell, failure: 'crashed' | 'no_actor'): void {
    const open = cell.openAsks;
    cell.openAsks = undefined;
    if (open !== undefined) for (const question of open.values()) this.#parts.delivery.answer(question, false, failure);
  }

  /** How many crashes fall within the window, this one included. */
  #countCrash(cell: Cell, withinMs: number, nowMs: number): number {
    const times = (cell.crashTimes ??= []).filter((time) => time > nowMs - withinMs);
    times.push(nowMs);
    cell.crashTimes = times;
    return times.length;
  }

  #report(cell: Cell, error: unknown, event: Message | KernelEvent | undefined, crashes: number, willRestart: boolean): void {
    this.#parts.observer.crashed?.({
      ref: cell.ref,
      machine: cell.machine.name,
      description: cell.describe(),
      state: cell.state,
      event: event?.kind ?? (cell.isBuilt ? 'recover' : 'init'),
      error,
      crashes,
      willRestart,
    });
  }

  /**
   * Mail by name goes to the entity's next actor, in order, where it has one; all other mail goes back.
   * Kernel events are forgotten.
   */
  #returnMail(cell: Cell, hasSuccessor: boolean): void {
    const { mailbox, entity, key } = cell;
    replayPostponed(cell);
    const { replay } = cell;
    if (replay !== undefined) {
      for (let at = cell.replayAt; at < replay.length; at += ENTRY) {
        const flags = replay[at + 2] as number;
        if ((flags & TYPE_MASK) <= NAMED) mailbox.discount(flags);
        this.#returnOne(hasSuccessor ? entity : undefined, key, replay[at], replay[at + 1] as ReturnAddress, flags);
      }
      cell.replay = undefined;
    }
    while (mailbox.size > 0) {
      const message = mailbox.message;
      const from = mailbox.from;
      const flags = mailbox.flags;
      mailbox.drop();
      if ((flags & TYPE_MASK) <= NAMED) mailbox.discount(flags);
      this.#returnOne(hasSuccessor ? entity : undefined, key, message, from, flags);
    }
  }

  #returnOne(successor: Entity | undefined, key: string, message: unknown, from: ReturnAddress, flags: number): void {
    const { delivery } = this.#parts;
    if ((flags & TYPE_MASK) > NAMED) return;
    if (successor !== undefined && (flags & TYPE_MASK) === NAMED)
      delivery.sendNamedLocal(successor, key, message as Message, from, flags & ASK);
    else delivery.bounce(from, flags & ASK, message as Message, 'no_actor');
  }
}
