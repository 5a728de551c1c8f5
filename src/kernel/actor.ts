/**
 * The contract of an actor: a machine with one synchronous function per state,
 * a mailbox, and effects that leave when the function returns. Modelled on
 * Erlang's gen_statem; src/README.md says where and why it differs.
 */

/**
 * Where an actor lives. Plain data on purpose: it crosses threads by structured
 * clone inside any message and stays usable. `node` is 0 until there is a cluster.
 */
export interface ActorRef<M = never> {
  readonly node: number;
  readonly worker: number;
  readonly id: number;
  /** Phantom: what the actor understands. Never set. */
  readonly accepts?: (message: M) => void;
}

/** Every message names its kind; `bytes` is what it counts for in a mailbox (default 64). */
export interface Message {
  readonly kind: string;
  readonly bytes?: number;
}

/** Why an actor ended. `crash` carries the error's text, never the error itself: it crosses threads. */
export type ExitReason =
  | { readonly kind: 'normal'; readonly why: string }
  | { readonly kind: 'crash'; readonly error: string }
  | { readonly kind: 'killed'; readonly why: string }
  | { readonly kind: 'worker_down'; readonly worker: number };

/** Why a message came back instead of being taken. */
export type BounceReason = 'mailbox_full' | 'no_actor' | 'worker_down' | 'bridge_full';

/** Names the asker and the question; the answering actor passes it to `turn.reply`. Plain data. */
export interface ReplyTo {
  readonly node: number;
  readonly worker: number;
  readonly id: number;
  readonly ask: number;
}

/** Why no answer came. */
export type AskFailure = 'timeout' | BounceReason | 'crashed';

/** What the kernel itself puts before an actor, beside the messages it declares. */
export type KernelEvent =
  /** A `turn.task` ended. */
  | { readonly kind: 'task'; readonly name: string; readonly ok: true; readonly value: unknown }
  | { readonly kind: 'task'; readonly name: string; readonly ok: false; readonly error: unknown }
  /** A `turn.ask` was answered, or could not be. */
  | { readonly kind: 'reply'; readonly name: string; readonly ok: true; readonly value: unknown }
  | { readonly kind: 'reply'; readonly name: string; readonly ok: false; readonly failure: AskFailure }
  /** The timer `name` fired. */
  | { readonly kind: 'timeout'; readonly name: string }
  /** A monitored actor ended, or its worker did. */
  | { readonly kind: 'down'; readonly ref: ActorRef; readonly reason: ExitReason }
  /**
   * A monitored actor crashed and was restarted in place: same ref, new data. What left before comes before this;
   * what its earlier turns still held comes after it, and then what the new life says.
   */
  | { readonly kind: 'restarted'; readonly ref: ActorRef }
  /** A message this actor sent was not taken. */
  | { readonly kind: 'bounced'; readonly message: Message; readonly reason: BounceReason };

/**
 * What effects may have to wait for: a group commit of the store. Settles once;
 * `error` is set if it failed. One object serves every batch of the same commit.
 */
export interface Barrier {
  readonly settled: boolean;
  readonly error: Error | undefined;
  /** Calls back once, after settling; at once if settled already. */
  onSettled(callback: () => void): void;
}

/**
 * What one state function may do besides choosing the next state. Effects are
 * buffered and leave the actor only when the function returns; if it throws,
 * none of them happen.
 */
export interface Turn<M extends Message> {
  readonly self: ActorRef<M>;
  /** Milliseconds of the scheduler's clock (wall time in production, driven in tests). Constant within a turn. */
  readonly now: number;
  send<T extends Message>(to: ActorRef<T>, message: T): void;
  /** Sends to an entity by name, e.g. ('account', 'juliet@capulet.lit'): at its home worker, started there if it is not running. */
  sendTo(entity: string, key: string, message: Message): void;
  /** Sends a request built around a reply address; the outcome comes as a `reply` event. */
  ask<T extends Message>(name: string, to: ActorRef<T>, timeoutMs: number, request: (replyTo: ReplyTo) => T): void;
  askTo(name: string, entity: string, key: string, timeoutMs: number, request: (replyTo: ReplyTo) => Message): void;
  /** Answers an ask. `value` must survive structured clone. */
  reply(to: ReplyTo, value: unknown): void;
  /** Runs `work` outside the turn; its outcome comes back as a `task` event, unless the actor was restarted since. */
  task(name: string, work: Promise<unknown>): void;
  /** Starts or restarts the timer `name`. A state change cancels 'state'. */
  timer(name: string, delayMs: number): void;
  cancelTimer(name: string): void;
  /** A `down` or `restarted` event will tell of `ref`'s fate; `down` at once if it is not there. */
  monitor(ref: ActorRef): void;
  demonitor(ref: ActorRef): void;
  /** Hands this event over again after the next state change, before newer mail. */
  postpone(): void;
  /**
   * Keeps this turn's sends, replies and spawned work — and, to keep order, those of
   * all later turns — until `barrier` settles. If it settles with an error they are
   * dropped (questions they answered fail as `crashed`) and the actor crashes with that
   * error, to be restarted from its store.
   *
   * A crash for any other reason drops nothing of turns that have ended well: what they
   * hold leaves when its barriers settle, in order and once, before the effects of the life
   * that follows, those of `recover` included. So it does where the actor stops, or ends by
   * its intensity; only `kill` and the death of the worker drop it. The exception are
   * questions of a life that is over: nobody waits for their answers, so they are not asked.
   */
  hold(barrier: Barrier): void;
  spawn<A, T extends Message>(machine: AnyMachine<A, T>, args: A): ActorRef<T>;
  /** Runs once the turn's effects leave (for sockets and the like owned by this actor). Runs in order with sends. */
  effect(run: () => void): void;
  /** Ends the actor after this turn; mail still queued bounces as `no_actor`. */
  stop(why: string): void;
}

export type StateFunction<S extends string, D, M extends Message> = (data: D, event: M | KernelEvent, turn: Turn<M>) => S;

/** What is known of a crash when an actor may rebuild itself. */
export interface Crash<S extends string, D, M extends Message> {
  readonly state: S;
  /** The data as the failed turn left it: take identity from it, trust nothing else. */
  readonly data: D;
  /**
   * The event whose handling threw; it will not be handed over again. A failed `task` of that name where it was no
   * event: 'hold' (a barrier failed), 'effect' (one threw, or a message could not be cloned), 'injected' (a drill).
   */
  readonly event: M | KernelEvent;
  readonly error: unknown;
  /**
   * A barrier failed: what turns before this crash held is dropped as well. Otherwise it is still held, and leaves
   * or is dropped as its barriers settle; of the latter another crash will tell.
   */
  readonly hasLostHeld: boolean;
}

export interface MailboxLimits {
  readonly maxMessages: number;
  readonly maxBytes: number;
}

export interface RestartIntensity {
  /** More than this many crashes within the window, and the actor ends. */
  readonly maxRestarts: number;
  readonly withinMs: number;
}

/**
 * A kind of actor. `A` is what `init` takes, plain data if actors of this kind are
 * started from another thread.
 */
export interface Machine<S extends string, D, M extends Message, A> {
  /** The kind, snake_case, as metrics, logs and inspection show it. */
  readonly name: string;
  readonly initial: S;
  readonly states: { readonly [State in S]: StateFunction<S, D, M> };
  /** Builds the data; runs as the first turn, so it may send, start tasks and timers. */
  readonly init: (args: A, turn: Turn<M>) => D;
  /**
   * After a crash: new data and the state to go on in, under the same ref with the mail
   * still queued (timers, tasks and asks of the old life are gone; monitors stay, and so does
   * what is held, see `turn.hold`). What this turn sends queues behind what is held. Without it,
   * `init` runs again with the original arguments. Where `maxHeldTurns` are held, it runs when
   * a barrier has settled.
   */
  readonly recover?: (crash: Crash<S, D, M>, args: A, turn: Turn<M>) => { state: S; data: D };
  /** Last words, when what is held has left or is dropped; also called when intensity is exceeded or the worker drains. Must not throw. */
  readonly terminate?: (data: D, state: S, reason: ExitReason) => void;
  readonly mailbox?: MailboxLimits;
  readonly intensity?: RestartIntensity;
  /** What inspection shows beside the name, e.g. the bare JID. */
  readonly describe?: (data: D) => string;
}

/** A machine whose states and data are its own business. */
// oxlint-disable-next-line no-explicit-any
export type AnyMachine<A, M extends Message> = Machine<any, any, M, A>;

/** Lets the compiler check states against the union while inferring the rest. */
export function defineMachine<S extends string, D, M extends Message, A>(machine: Machine<S, D, M, A>): Machine<S, D, M, A> {
  return machine;
}
