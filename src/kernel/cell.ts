import type { ActorRef, AnyMachine, Crash, ExitReason, KernelEvent, Message, ReplyTo, StateFunction } from './actor.ts';
import type { Held } from './held.ts';
import type { Mailbox } from './mailbox.ts';
import type { Entity } from './registry.ts';
import type { SmallMap } from './small-map.ts';
import { Timer } from './timers.ts';

/*
 * A cell's life: RESERVED → STARTING → RUNNING ⇄ RECOVERING, then STOPPING → ENDED.
 */
/** Spawned in a turn whose effects have not left yet. */
export const RESERVED = 0;
/** `init` has not returned yet. */
export const STARTING = 1;
export const RUNNING = 2;
/** Crashed; `recover` or `init` runs in its next go, or when fewer turns are held. */
export const RECOVERING = 3;
/** Stopped, or crashed too often; held effects have still to leave. Takes no mail but by name, for its successor. */
export const STOPPING = 4;
export const ENDED = 5;

/*
 * What a cell has to do besides mail, as bits of `due`.
 */
/** A barrier has settled. */
export const DUE_RELEASE = 1;
export const DUE_CRASH = 2;
export const DUE_KILL = 4;
/** With the next message instead of at once. */
export const DUE_CRASH_ON_MESSAGE = 8;

/** A machine of which the kernel knows nothing but the contract. */
// oxlint-disable-next-line no-explicit-any
export type KernelMachine = AnyMachine<any, any>;

/** Sees every event one actor handles. */
export type TraceSink = (entry: TraceEntry) => void;

export interface TraceEntry {
  readonly ref: ActorRef;
  readonly atMs: number;
  readonly event: string;
  readonly before: string;
  /** `undefined` where the handling failed. */
  readonly after: string | undefined;
}

/** A named timer of one actor. */
export class ActorTimer extends Timer {
  readonly #fired: (timer: ActorTimer) => void;
  readonly cell: Cell;
  readonly event: KernelEvent & { readonly kind: 'timeout' };
  /** Fired, and neither cancelled nor restarted since. */
  isFired = false;
  /** Stands in the mailbox, be it as a dead letter. */
  isQueued = false;

  constructor(cell: Cell, name: string, fired: (timer: ActorTimer) => void) {
    super();
    this.cell = cell;
    this.event = Object.freeze({ kind: 'timeout', name });
    this.#fired = fired;
  }

  fire(): void {
    this.isFired = true;
    this.#fired(this);
  }
}

/**
 * One actor: what the kernel keeps of it. Only Runner and Life change `phase`, `state` and `data`.
 *
 * The fields that every message touches come first, so that they share cache lines: with a hundred thousand
 * actors a turn costs about what its cache misses cost (bench/micro/kernel, ring).
 */
export class Cell {
  readonly mailbox: Mailbox;
  phase = RESERVED;
  /** In the run queue, or must not be put there by mail (parked). */
  isScheduled = true;
  nextRun: Cell | undefined = undefined;
  due = 0;
  handler: StateFunction<string, unknown, Message>;
  data: unknown = undefined;
  state: string;
  readonly ref: ActorRef<Message>;
  held: Held | undefined = undefined;
  /** Flat entries (event, from, flags): after a state change postponed events wait to be handed over again. */
  replay: unknown[] | undefined = undefined;
  trace: TraceSink | undefined = undefined;
  /** Called once when there is room again, or the actor has ended. */
  whenRoom: (() => void)[] | undefined = undefined;
  /** Not in the run queue although scheduled: reserved, stopping, or too many turns held. */
  isParked = true;
  timers: SmallMap<string, ActorTimer> | undefined = undefined;
  /** Flat entries as in `replay`: waiting for a state change. */
  postponed: unknown[] | undefined = undefined;
  replayAt = 0;

  readonly id: number;
  readonly machine: KernelMachine;
  readonly args: unknown;
  /** Set for actors reached by name. */
  readonly entity: Entity | undefined;
  readonly key: string;

  /** `data` is the work of an `init` that returned. */
  isBuilt = false;
  /** Counts crashes; what was started before the last one is not for the actor that goes on. */
  incarnation = 0;
  restarts = 0;
  /** Monotonic times of crashes within the machine's window. */
  crashTimes: number[] | undefined = undefined;
  crash: Crash<string, unknown, Message> | undefined = undefined;
  /** What DUE_CRASH throws, and the name of the `task` event it is told as: 'hold' (a barrier failed), 'effect', 'postpone', 'injected'. */
  injected: unknown = undefined;
  injectedBy = '';
  killWhy = '';
  isStopAsked = false;
  /** Why it stops, while STOPPING. */
  exit: ExitReason | undefined = undefined;

  /** The one callback for all barriers. */
  release: (() => void) | undefined = undefined;
  /** Questions of this actor that wait for an answer. */
  askCount = 0;
  /** Asked of this actor and not answered. */
  openAsks: Map<number, ReplyTo> | undefined = undefined;
  /** Actors told of this one's end, and actors this one is told of; by watchKey. */
  watchers: SmallMap<number, ActorRef> | undefined = undefined;
  watching: SmallMap<number, ActorRef> | undefined = undefined;
  onExit: ((reason: ExitReason) => void)[] | undefined = undefined;

  constructor(ref: ActorRef<Message>, machine: KernelMachine, args: unknown, mailbox: Mailbox, entity: Entity | undefined, key: string) {
    this.mailbox = mailbox;
    this.state = machine.initial as string;
    this.handler = machine.states[this.state] as StateFunction<string, unknown, Message>;
    this.ref = ref;
    this.id = ref.id;
    this.machine = machine;
    this.args = args;
    this.entity = entity;
    this.key = key;
  }

  /** Something waits to be handled: mail, kernel events, or postponed events that may be tried again. */
  get hasWork(): boolean {
    return this.mailbox.size !== 0 || this.replay !== undefined || (this.due & ~DUE_CRASH_ON_MESSAGE) !== 0;
  }

  describe(): string | undefined {
    if (!this.isBuilt || this.machine.describe === undefined) return undefined;
    try {
      return this.machine.describe(this.data);
    } catch {
      return undefined; // data of a crashed turn: inspection must not fail over it
    }
  }
}
