import type { ActorRef, AskFailure, KernelEvent, Message, ReplyTo, StateFunction } from './actor.ts';
import type { PendingAsk } from './asks.ts';
import {
  DUE_CRASH,
  DUE_CRASH_ON_MESSAGE,
  DUE_KILL,
  DUE_RELEASE,
  ENDED,
  RECOVERING,
  RESERVED,
  RUNNING,
  STARTING,
  STOPPING,
} from './cell.ts';
import type { ActorTimer, Cell } from './cell.ts';
import type { Delivery } from './delivery.ts';
import { Held } from './held.ts';
import type { Performer } from './held.ts';
import { ASK, LIFE, NAMED, NOTICE, STOP, TIMEOUT, TYPE_MASK, VALUE_SHIFT } from './mailbox.ts';
import type { ReturnAddress } from './mailbox.ts';
import {
  OP_ASK,
  OP_ASK_NAMED,
  OP_CANCEL_TIMER,
  OP_DEMONITOR,
  OP_EFFECT,
  OP_FORGET,
  OP_MONITOR,
  OP_REPLY,
  OP_SEND,
  OP_SEND_NAMED,
  OP_SPAWN,
  OP_TASK,
  OP_TIMER,
  STRIDE,
} from './operations.ts';
import type { Counters, KernelParts } from './parts.ts';
import type { Entity } from './registry.ts';
import type { Scheduler } from './scheduler.ts';
import { watchKey } from './slots.ts';
import type { TurnBuffer } from './turn.ts';

/** Below this share of its limits a mailbox has room again for those who wait for that. */
const ROOMY = 0.5;
/** Entry of `postponed` and `replay`: event, from, flags. */
const ENTRY = 3;

/** A state function of any machine. */
type Handler = StateFunction<string, unknown, Message>;

/**
 * Runs turns: takes an event from the mailbox, calls the state function, and carries out what it asked
 * for once it has returned.
 *
 *   mailbox ─► event ─► state function ─► next state, local operations (timers, tasks)
 *                            │                └─► outbound operations ─┬─► delivered
 *                          throws                                      └─► held until a barrier settles,
 *                            └─► Life.crash: nothing of the turn happened        whatever becomes of the actor
 *
 * Past 400 lines because it is the whole of a turn, in its order.
 */
export class Runner implements Performer {
  readonly #parts: KernelParts;
  readonly #turn: TurnBuffer;
  readonly #delivery: Delivery;
  readonly #scheduler: Scheduler;
  readonly #counters: Counters;
  readonly #turnBudget: number;
  readonly #maxHeldTurns: number;
  /** What the turn under way was asked, until it is answered. */
  #question: ReplyTo | undefined = undefined;

  constructor(parts: KernelParts) {
    this.#parts = parts;
    this.#turn = parts.turn;
    this.#delivery = parts.delivery;
    this.#scheduler = parts.scheduler;
    this.#counters = parts.counters;
    this.#turnBudget = parts.limits.turnBudget;
    this.#maxHeldTurns = parts.limits.maxHeldTurns;
  }

  /** One actor's share of a slice: what is due, then mail up to the budget. Returns the events handled, 1 at least. */
  go(cell: Cell): number {
    let handled = 0;
    if ((cell.phase === RUNNING && cell.due === 0) || this.#prelude(cell)) {
      this.begin(cell);
      const { mailbox } = cell;
      while (handled < this.#turnBudget && !this.#isBlocked(cell)) {
        if (cell.replay !== undefined) this.#replayOne(cell, cell.replay);
        else if (mailbox.size !== 0) {
          const message = mailbox.message;
          const from = mailbox.from;
          const flags = mailbox.flags;
          mailbox.drop();
          if ((flags & TYPE_MASK) <= NAMED) {
            mailbox.discount(flags);
            this.#handle(cell, message as Message, from, flags);
          } else this.#handleKernelEvent(cell, message, flags);
        } else break;
        handled++;
        if (cell.phase !== RUNNING || cell.due !== 0) break;
      }
    }
    this.#afterGo(cell);
    return handled === 0 ? 1 : handled;
  }

  /** Lends the turn to `cell`. */
  begin(cell: Cell): void {
    const turn = this.#turn;
    turn.cell = cell;
    turn.self = cell.ref;
    turn.now = this.#scheduler.wallMs;
  }

  /** The state function for `state`. Throws where there is none: an async function, or a name that escaped the compiler. */
  handlerOf(cell: Cell, state: unknown): Handler {
    const { states } = cell.machine;
    const handler: unknown = typeof state === 'string' && Object.hasOwn(states, state) ? states[state] : undefined;
    if (typeof handler === 'function') return handler as Handler;
    throw new Error(
      `${cell.machine.name} returned ${state instanceof Promise ? 'a promise' : String(state)}, which is not one of its states`,
    );
  }

  /** The turn that has just ended well, from `init` and `recover` as from a state function. */
  commit(cell: Cell): void {
    const turn = this.#turn;
    if (turn.localCount !== 0) this.#performLocals(cell);
    if (turn.barrierCount !== 0 || (cell.held !== undefined && !cell.held.isEmpty)) this.#hold(cell);
    else if (turn.count !== 0) this.#performAll(cell);
    if (this.#question !== undefined) this.#openQuestion(cell, this.#question);
    const { stopWhy } = turn;
    turn.reset();
    if (stopWhy !== undefined && cell.phase === RUNNING) this.#parts.life.stop(cell, { kind: 'normal', why: stopWhy });
  }

  /** The turn that has just thrown: undoes what it had prepared. */
  abort(): void {
    const turn = this.#turn;
    for (let at = 0; at < turn.count; at += STRIDE) if (turn.ops[at] === OP_SPAWN) this.#parts.life.discard(turn.ops[at + 1] as Cell);
    for (let at = 0; at < turn.localCount; at += STRIDE) {
      // Nobody will look at the outcome; unhandled, a rejection would end the process.
      if (turn.locals[at] === OP_TASK) (turn.locals[at + 2] as Promise<unknown>).catch(() => undefined);
    }
    turn.reset();
  }

  perform(cell: Cell, operation: number, a: unknown, b: unknown, c: unknown): void {
    try {
      this.#perform(cell, operation, a, b, c);
    } catch (error) {
      this.#effectFailed(cell, error);
    }
  }

  discard(operation: number, a: unknown, failure: AskFailure): void {
    if (operation === OP_SPAWN) this.#parts.life.discard(a as Cell);
    else if (operation === OP_REPLY) this.#delivery.answer(a as ReplyTo, false, failure);
  }

  /** What the turn that has just thrown was asked. */
  takeQuestion(): ReplyTo | undefined {
    const question = this.#question;
    this.#question = undefined;
    return question;
  }

  /** A timer of an actor has fired. */
  timerFired(timer: ActorTimer): void {
    if (timer.isQueued) return;
    timer.isQueued = true;
    const { cell } = timer;
    cell.mailbox.push(timer, undefined, TIMEOUT);
    if (!cell.isScheduled) this.#scheduler.enqueue(cell);
  }

  /** Does what is due besides mail. Whether the actor may handle mail now. */
  #prelude(cell: Cell): boolean {
    const { life } = this.#parts;
    if ((cell.due & DUE_KILL) !== 0) {
      life.end(cell, { kind: 'killed', why: cell.killWhy });
      return false;
    }
    if ((cell.due & DUE_RELEASE) !== 0) {
      cell.due &= ~DUE_RELEASE;
      this.#release(cell);
    }
    if ((cell.due & DUE_CRASH) !== 0 && cell.phase > STARTING) {
      // Before it is rebuilt: what a failed barrier drops must not take the first turn of another life with it.
      life.crash(cell, cell.injected, { kind: 'task', name: cell.injectedBy, ok: false, error: cell.injected });
    } else if (cell.phase === STARTING || (cell.phase === RECOVERING && !this.#isBlocked(cell))) life.build(cell);
    if (cell.phase === STOPPING && (cell.held === undefined || cell.held.isEmpty)) life.end(cell, cell.exit!);
    return cell.phase === RUNNING && (cell.due & DUE_CRASH) === 0;
  }

  #afterGo(cell: Cell): void {
    if (cell.phase === ENDED) return;
    if (cell.whenRoom !== undefined && cell.mailbox.fullness <= ROOMY) this.#parts.life.callWhenRoom(cell);
    if ((cell.due & ~DUE_CRASH_ON_MESSAGE) !== 0 && cell.phase !== RESERVED) this.#scheduler.enqueue(cell);
    else if (cell.phase === STOPPING || cell.phase === RESERVED || this.#isBlocked(cell)) cell.isParked = true;
    else if (cell.phase !== RUNNING || cell.hasWork) this.#scheduler.enqueue(cell);
    else cell.isScheduled = false;
  }

  #isBlocked(cell: Cell): boolean {
    return cell.held !== undefined && cell.held.turns >= this.#maxHeldTurns;
  }

  /** One turn. The event has left the mailbox. */
  #handle(cell: Cell, event: Message | KernelEvent, from: ReturnAddress, flags: number): void {
    const turn = this.#turn;
    const before = cell.state;
    let next: string;
    this.#question = (flags & ASK) !== 0 ? (from as ReplyTo) : undefined;
    turn.isOpen = true;
    try {
      if (cell.due !== 0) this.#crashIfInjected(cell, flags);
      next = cell.handler(cell.data, event, turn);
      if (next !== before) cell.handler = this.handlerOf(cell, next);
    } catch (error) {
      turn.isOpen = false;
      if (cell.trace !== undefined) this.#trace(cell, event, before, undefined);
      this.#parts.life.crash(cell, error, event);
      return;
    }
    turn.isOpen = false;
    this.#counters.turns++;
    if (cell.trace !== undefined) this.#trace(cell, event, before, next);
    if (turn.isPostponed) this.#postpone(cell, event, from, flags);
    if (next !== before) this.#enter(cell, next);
    this.commit(cell);
  }

  #crashIfInjected(cell: Cell, flags: number): void {
    if ((cell.due & DUE_CRASH_ON_MESSAGE) === 0 || (flags & TYPE_MASK) > NAMED) return;
    cell.due &= ~DUE_CRASH_ON_MESSAGE;
    throw cell.injected;
  }

  /** Hands a kernel event over, unless what it tells is out of date. */
  #handleKernelEvent(cell: Cell, message: unknown, flags: number): void {
    switch (flags & TYPE_MASK) {
      case LIFE:
        if (flags >> VALUE_SHIFT === cell.incarnation) this.#handle(cell, message as KernelEvent, undefined, flags);
        return;
      case TIMEOUT: {
        const timer = message as ActorTimer;
        timer.isQueued = false;
        if (!timer.isFired) return;
        timer.isFired = false;
        cell.timers?.delete(timer.event.name);
        this.#handle(cell, timer.event, undefined, LIFE | (cell.incarnation << VALUE_SHIFT));
        return;
      }
      case STOP:
        this.#parts.life.stop(cell, { kind: 'normal', why: message as string });
        return;
      case NOTICE:
        this.#handle(cell, message as KernelEvent, undefined, flags);
        return;
      default: {
        const event = message as Extract<KernelEvent, { readonly ref: ActorRef }>;
        if (this.#parts.watches.isWanted(cell, event.ref, event.kind === 'down')) this.#handle(cell, event, undefined, NOTICE);
      }
    }
  }

  #replayOne(cell: Cell, replay: unknown[]): void {
    const at = cell.replayAt;
    const event = replay[at] as Message | KernelEvent;
    const from = replay[at + 1] as ReturnAddress;
    const flags = replay[at + 2] as number;
    cell.replayAt = at + ENTRY;
    if (cell.replayAt === replay.length) cell.replay = undefined;
    else replay[at] = replay[at + 1] = undefined;
    const type = flags & TYPE_MASK;
    if (type <= NAMED) cell.mailbox.discount(flags);
    if (type === LIFE && flags >> VALUE_SHIFT !== cell.incarnation) return;
    this.#handle(cell, event, from, flags);
  }

  #postpone(cell: Cell, event: Message | KernelEvent, from: ReturnAddress, flags: number): void {
    const postponed = (cell.postponed ??= []);
    const { mailbox } = cell;
    postponed.push(event, from, flags);
    if ((flags & TYPE_MASK) <= NAMED) mailbox.recount(flags);
    this.#question = undefined; // it is asked again
    // Mail is bounded by the mailbox; kernel events are not.
    if (postponed.length / ENTRY > mailbox.messages + this.#parts.limits.maxPostponed) {
      cell.postponed = postponed.filter((_, at) => ((postponed[at - (at % ENTRY) + 2] as number) & TYPE_MASK) <= NAMED);
      inject(cell, 'postpone', new Error(`${cell.machine.name} postponed more than ${this.#parts.limits.maxPostponed} kernel events`));
    }
  }

  /** A state change ends the timer 'state' and gives postponed events another try, before newer mail. */
  #enter(cell: Cell, next: string): void {
    cell.state = next;
    if (cell.timers !== undefined) this.cancelTimer(cell, 'state');
    if (cell.postponed !== undefined) replayPostponed(cell);
  }

  cancelTimer(cell: Cell, name: string): void {
    const timer = cell.timers?.get(name);
    if (timer === undefined) return;
    this.#parts.wheel.cancel(timer);
    timer.isFired = false; // if it is in the mailbox already, it is a dead letter there
    cell.timers!.delete(name);
  }

  #performLocals(cell: Cell): void {
    const { locals, localCount } = this.#turn;
    for (let at = 0; at < localCount; at += STRIDE) {
      const a = locals[at + 1];
      switch (locals[at]) {
        case OP_TASK:
          this.#startTask(cell, a as string, locals[at + 2] as Promise<unknown>);
          break;
        case OP_TIMER:
          this.#parts.life.startTimer(cell, a as string, locals[at + 2] as number);
          break;
        case OP_CANCEL_TIMER:
          this.cancelTimer(cell, a as string);
          break;
        case OP_FORGET: {
          const ref = a as ActorRef;
          cell.watching?.delete(watchKey(ref.id, ref.worker));
          break;
        }
      }
    }
  }

  #startTask(cell: Cell, name: string, work: Promise<unknown>): void {
    const { incarnation } = cell;
    this.#counters.tasks++;
    work.then(
      (value) => this.#taskEnded(cell, incarnation, { kind: 'task', name, ok: true, value }),
      (error: unknown) => this.#taskEnded(cell, incarnation, { kind: 'task', name, ok: false, error }),
    );
  }

  #taskEnded(cell: Cell, incarnation: number, event: KernelEvent): void {
    this.#counters.tasks--;
    if (cell.phase < STOPPING && cell.incarnation === incarnation) this.#delivery.notify(cell, event, LIFE | (incarnation << VALUE_SHIFT));
  }

  #performAll(cell: Cell): void {
    const { ops, count } = this.#turn;
    for (let at = 0; at < count; at += STRIDE) {
      try {
        // One try for all of them; after a throw it starts again behind the one that threw.
        for (; at < count; at += STRIDE) this.#perform(cell, ops[at] as number, ops[at + 1], ops[at + 2], ops[at + 3]);
      } catch (error) {
        this.#effectFailed(cell, error);
      }
    }
  }

  #perform(cell: Cell, operation: number, a: unknown, b: unknown, c: unknown): void {
    switch (operation) {
      case OP_SEND:
        this.#delivery.send(a as ActorRef, b as Message, cell.ref, 0);
        return;
      case OP_SEND_NAMED:
        this.#delivery.sendNamed(a as Entity, c as string, b as Message, cell.ref, 0);
        return;
      case OP_ASK: {
        const ask = c as PendingAsk;
        if (this.#isStillAsked(ask)) this.#delivery.send(a as ActorRef, b as Message, ask.replyTo, ASK);
        return;
      }
      case OP_ASK_NAMED: {
        const ask = c as PendingAsk;
        if (this.#isStillAsked(ask)) this.#delivery.sendNamed(a as Entity, ask.key, b as Message, ask.replyTo, ASK);
        return;
      }
      case OP_REPLY:
        this.#closeQuestion(cell, a as ReplyTo);
        this.#delivery.answer(a as ReplyTo, true, b);
        return;
      case OP_SPAWN:
        this.#parts.life.launch(a as Cell);
        return;
      case OP_EFFECT:
        (a as () => void)();
        return;
      case OP_MONITOR:
        this.#parts.watches.monitor(cell, a as ActorRef);
        return;
      case OP_DEMONITOR:
        this.#parts.watches.demonitor(cell, a as ActorRef);
    }
  }

  /** Opens a question that leaves at once; one that was held may have timed out, then it need not leave. */
  #isStillAsked(ask: PendingAsk): boolean {
    if (ask.isNew) this.#parts.asks.open(ask, this.#scheduler.nowMs());
    return ask.isRunning;
  }

  /** A turn that ended well has answered it, whenever the answer may leave: no crash of a later one fails it. */
  #closeQuestion(cell: Cell, to: ReplyTo): void {
    const question = this.#question;
    if (question !== undefined && question.ask === to.ask && question.worker === to.worker) this.#question = undefined;
    cell.openAsks?.delete(watchKey(to.ask, to.worker));
  }

  /** Remembers what was asked and not answered yet: the asker is told if the actor crashes or ends before it is. */
  #openQuestion(cell: Cell, question: ReplyTo): void {
    this.#question = undefined;
    const open = (cell.openAsks ??= new Map());
    if (open.size >= this.#parts.limits.maxOpenAsks) open.delete(open.keys().next().value!);
    open.set(watchKey(question.ask, question.worker), question);
  }

  /** An operation that left threw: a bug of the actor, which crashes in its next go, after the others have left too. */
  #effectFailed(cell: Cell, error: unknown): void {
    if (cell.phase >= STOPPING) {
      this.#parts.observer.failed?.({ what: 'effect', machine: cell.machine.name, error });
      return;
    }
    inject(cell, 'effect', error);
  }

  /** Puts the turn behind its barriers and those before it. */
  #hold(cell: Cell): void {
    const turn = this.#turn;
    const held = (cell.held ??= new Held());
    for (let at = 0; at < turn.count; at += STRIDE) {
      const operation = turn.ops[at];
      if (operation === OP_ASK || operation === OP_ASK_NAMED)
        this.#parts.asks.open(turn.ops[at + 3] as PendingAsk, this.#scheduler.nowMs());
      else if (operation === OP_REPLY) this.#closeQuestion(cell, turn.ops[at + 1] as ReplyTo);
    }
    const wasEmpty = held.isEmpty;
    held.append(turn.barriers, turn.barrierCount, turn.ops, turn.count);
    if (wasEmpty) this.#release(cell);
  }

  /** Lets leave what no longer waits; asks to be called for the rest. */
  #release(cell: Cell): void {
    const { held } = cell;
    const barrier = held?.release(cell, this);
    if (held === undefined) return;
    if (barrier === undefined) {
      held.awaited = undefined;
      return;
    }
    if (barrier.settled && barrier.error !== undefined) {
      // Nothing behind it has left; the crash comes with the actor's next go.
      inject(cell, 'hold', barrier.error);
    } else if (held.awaited !== barrier) {
      held.awaited = barrier;
      barrier.onSettled((cell.release ??= () => this.#settled(cell)));
    }
  }

  /** Called by barriers, at any time: the actor's next go looks at what may leave. */
  #settled(cell: Cell): void {
    if (cell.phase === ENDED) return;
    cell.due |= DUE_RELEASE;
    this.#scheduler.rouse(cell);
  }

  #trace(cell: Cell, event: Message | KernelEvent, before: string, after: string | undefined): void {
    try {
      cell.trace!({ ref: cell.ref, atMs: this.#turn.now, event: event.kind, before, after });
    } catch (error) {
      cell.trace = undefined;
      this.#parts.observer.failed?.({ what: 'trace_sink', machine: cell.machine.name, error });
    }
  }
}

/** Lets the actor crash in its next go (or with its next message), as if an event named `by` had been handled badly. */
export function inject(cell: Cell, by: string, error: unknown, due: number = DUE_CRASH): void {
  cell.due |= due;
  cell.injected = error;
  cell.injectedBy = by;
}

/** Postponed events go before what is left of an earlier replay: they are older. */
export function replayPostponed(cell: Cell): void {
  const { postponed, replay, replayAt } = cell;
  if (postponed === undefined) return;
  cell.replay = replay === undefined ? postponed : postponed.concat(replay.slice(replayAt));
  cell.replayAt = 0;
  cell.postponed = undefined;
}
