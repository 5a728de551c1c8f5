import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import type { ActorRef, AnyMachine, ExitReason, Message, RestartIntensity } from './actor.ts';
import { errorText } from './errors.ts';
import type { Kernel } from './kernel.ts';

/** A child that has been started. */
export interface ChildHandle {
  /** Ends it in order; resolves when it is over, and does not reject. Its `onExit` need not be called for that. */
  stop(why: string): Promise<void> | void;
  /** Ends it at once: what is done when `stop` takes longer than `shutdownMs`. */
  kill?(): void;
}

/** When a child that ends unasked is started again: always; after anything but a normal end; never. */
export type RestartPolicy = 'permanent' | 'transient' | 'temporary';

export interface ChildSpec {
  readonly id: string;
  /** Starts it; throwing or rejecting counts as a crash. `onExit` is called once if it ends unasked. */
  readonly start: (onExit: (reason: ExitReason) => void) => Promise<ChildHandle> | ChildHandle;
  readonly restart: RestartPolicy;
  /** How long it may take to stop; after that it is killed and nobody waits for it. */
  readonly shutdownMs: number;
}

/** What else restarts when a child does: nothing; those started after it, which may need it; all. */
export type Strategy = 'one_for_one' | 'rest_for_one' | 'one_for_all';

export interface SupervisorSpec {
  readonly id: string;
  readonly strategy: Strategy;
  /** More restarts than this, of all children together, and the supervisor gives up. */
  readonly intensity: RestartIntensity;
  /** In order of dependency: started in this order, stopped in the reverse. */
  readonly children: readonly ChildSpec[];
  readonly backoff?: Backoff;
  readonly clock?: Clock;
  readonly observer?: SupervisorObserver;
}

/** The wait before a restart: doubles with each crash of the same child within the intensity's window. */
export interface Backoff {
  readonly minMs: number;
  readonly maxMs: number;
}

export const DEFAULT_BACKOFF: Backoff = { minMs: 50, maxMs: 10_000 };

export interface SupervisorObserver {
  /** A child ended unasked or would not start. */
  childDown?(supervisor: string, child: string, reason: ExitReason, willRestart: boolean): void;
  childUp?(supervisor: string, child: string): void;
}

/** `down`: ended and not to be started again, or not started yet. */
export type ChildState = 'down' | 'starting' | 'up' | 'waiting' | 'stopping';

interface Child {
  readonly spec: ChildSpec;
  state: ChildState;
  handle: ChildHandle | undefined;
  /** Counts lives: an exit of an earlier one is old news. */
  life: number;
  /** Ended for good: temporary, or transient after a normal end. */
  isRetired: boolean;
  /** Monotonic times of its crashes within the window. */
  crashTimes: number[];
  /** Ends its wait before a restart. */
  endWait: (() => void) | undefined;
  /** Its restarts, one after the other. */
  lane: Promise<void>;
}

/**
 * Keeps its children running: OTP's supervisor, for anything with a handle — actors, worker threads, other
 * supervisors.
 *
 * Two rates matter. The *burst*, `maxRestarts`, is how many crashes in quick succession are survived; the
 * *sustained* rate, `maxRestarts / withinMs`, is what may go on for ever. Beyond it the supervisor stops all
 * its children and tells its parent, which counts that as one crash of one child: intensities of nested
 * supervisors multiply.
 */
export class Supervisor implements ChildHandle {
  readonly #spec: SupervisorSpec;
  readonly #clock: Clock;
  readonly #children: Child[];
  readonly #onGivenUp: (reason: ExitReason) => void;
  #restartTimes: number[] = [];
  #isStopping = false;
  /** Restarts that concern several children: one after the other. */
  #lane: Promise<void> = Promise.resolve();

  /** @param onGivenUp called once, when the intensity was exceeded and all children have been stopped. */
  constructor(spec: SupervisorSpec, onGivenUp: (reason: ExitReason) => void) {
    this.#spec = spec;
    this.#clock = spec.clock ?? systemClock;
    this.#onGivenUp = onGivenUp;
    this.#children = spec.children.map((child) => ({
      spec: child,
      state: 'down',
      handle: undefined,
      life: 0,
      isRetired: false,
      crashTimes: [],
      endWait: undefined,
      lane: Promise.resolve(),
    }));
  }

  /** Starts all children in order. Rejects with the first failure, after stopping those that had started. */
  async start(): Promise<void> {
    for (const child of this.#children) {
      if (this.#isStopping) return;
      try {
        await this.#startChild(child);
      } catch (error) {
        await this.stop('a sibling did not start');
        throw error;
      }
    }
  }

  /** Stops all children, the last first; restarts under way are called off. */
  async stop(why: string): Promise<void> {
    this.#isStopping = true;
    for (const child of this.#children) child.endWait?.();
    // A child that is just starting is stopped by its own start; one that never finishes it is not waited for.
    const longestMs = Math.max(0, ...this.#children.map(({ spec }) => spec.shutdownMs));
    await this.#within(longestMs, Promise.all([this.#lane, ...this.#children.map(({ lane }) => lane)]));
    await this.#stopFrom(0, why);
  }

  /** Each child and what it is doing, for inspection. */
  report(): { readonly id: string; readonly state: ChildState; readonly lives: number }[] {
    return this.#children.map(({ spec, state, life }) => ({ id: spec.id, state, lives: life }));
  }

  async #startChild(child: Child): Promise<void> {
    const life = ++child.life;
    child.state = 'starting';
    let handle: ChildHandle;
    try {
      handle = await child.spec.start((reason) => this.#exited(child, life, reason));
    } catch (error) {
      child.state = 'down';
      throw error;
    }
    child.handle = handle;
    child.state = 'up';
    if (this.#isStopping) await this.#stopChild(child, 'the supervisor stops');
    else this.#spec.observer?.childUp?.(this.#spec.id, child.spec.id);
  }

  /** Queues what follows from a child's end, behind what is being done about earlier ends. */
  #exited(child: Child, life: number, reason: ExitReason): void {
    const isNews = (): boolean => child.life === life && !this.#isStopping && child.state !== 'stopping' && child.state !== 'down';
    if (!isNews()) return;
    const work = async (): Promise<void> => {
      // Meanwhile a sibling's crash may have stopped or restarted it.
      if (isNews()) await this.#ended(child, reason);
    };
    if (this.#spec.strategy === 'one_for_one') child.lane = child.lane.then(work);
    else this.#lane = this.#lane.then(work);
  }

  async #ended(child: Child, reason: ExitReason): Promise<void> {
    child.handle = undefined;
    child.state = 'down';
    const { restart } = child.spec;
    if (restart === 'permanent' || (restart === 'transient' && reason.kind !== 'normal')) {
      await this.#restart(child, reason);
      return;
    }
    child.isRetired = true;
    this.#spec.observer?.childDown?.(this.#spec.id, child.spec.id, reason, false);
  }

  /** Restarts what the strategy says, again and again until all of it runs or the intensity is exceeded. */
  async #restart(child: Child, reason: ExitReason): Promise<void> {
    const { strategy, observer, id } = this.#spec;
    let failed: Child | undefined = child;
    let why = reason;
    while (failed !== undefined) {
      const willRestart = this.#countCrash(failed);
      observer?.childDown?.(id, failed.spec.id, why, willRestart);
      if (!willRestart) {
        await this.#giveUp(failed, why);
        return;
      }
      const index = this.#children.indexOf(failed);
      const first = strategy === 'one_for_all' ? 0 : index;
      if (strategy !== 'one_for_one') await this.#stopFrom(first, 'a sibling crashed');
      await this.#wait(failed);
      const affected: Child[] = strategy === 'one_for_one' ? [failed] : this.#children.slice(first);
      failed = undefined;
      for (const each of affected) {
        if (this.#isStopping) return;
        if (each.isRetired || each.spec.restart === 'temporary') continue;
        try {
          await this.#startChild(each);
        } catch (error) {
          failed = each;
          why = { kind: 'crash', error: errorText(error) };
          break;
        }
      }
    }
  }

  /** Whether the intensity still allows a restart. */
  #countCrash(child: Child): boolean {
    const { maxRestarts, withinMs } = this.#spec.intensity;
    const nowMs = this.#clock.monotonicMs();
    const isRecent = (time: number): boolean => nowMs - time < withinMs;
    this.#restartTimes = [...this.#restartTimes.filter(isRecent), nowMs];
    child.crashTimes = [...child.crashTimes.filter(isRecent), nowMs];
    return this.#restartTimes.length <= maxRestarts;
  }

  async #giveUp(child: Child, reason: ExitReason): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    for (const each of this.#children) each.endWait?.();
    await this.#stopFrom(0, 'the supervisor gives up');
    const why = reason.kind === 'crash' ? reason.error : reason.kind;
    this.#onGivenUp({ kind: 'crash', error: `${this.#spec.id}: ${child.spec.id} ended too often, last with: ${why}` });
  }

  /** Before a restart, longer each time, so that a child that cannot run does not keep a core busy. */
  async #wait(child: Child): Promise<void> {
    if (this.#isStopping) return;
    const { minMs, maxMs } = this.#spec.backoff ?? DEFAULT_BACKOFF;
    const delayMs = Math.min(maxMs, minMs * 2 ** (child.crashTimes.length - 1));
    child.state = 'waiting';
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.schedule(delayMs, resolve);
      child.endWait = () => {
        cancel();
        resolve();
      };
    });
    child.endWait = undefined;
    child.state = 'down';
  }

  /** Stops the children from index `first` on, the last first. */
  async #stopFrom(first: number, why: string): Promise<void> {
    for (let index = this.#children.length - 1; index >= first; index--) await this.#stopChild(this.#children[index]!, why);
  }

  async #stopChild(child: Child, why: string): Promise<void> {
    const { handle, spec } = child;
    if (handle === undefined) return;
    child.handle = undefined;
    child.state = 'stopping';
    const isInTime = await this.#within(spec.shutdownMs, handle.stop(why));
    if (!isInTime) handle.kill?.();
    child.state = 'down';
  }

  /** Whether `work` was over, however it went, before `ms`. */
  #within(ms: number, work: Promise<unknown> | void): Promise<boolean> {
    if (work === undefined) return Promise.resolve(true);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const cancel = this.#clock.schedule(ms, () => resolve(false));
    const watch = async (): Promise<void> => {
      try {
        await work;
      } catch {
        // It should not reject; it is over all the same.
      }
      cancel();
      resolve(true);
    };
    void watch();
    return promise;
  }
}

/** A supervisor as a child of another: giving up is its crash. */
export function supervisorChild(spec: SupervisorSpec, restart: RestartPolicy, shutdownMs: number): ChildSpec {
  return {
    id: spec.id,
    restart,
    shutdownMs,
    start: async (onExit) => {
      const supervisor = new Supervisor(spec, onExit);
      await supervisor.start();
      return supervisor;
    },
  };
}

/** An actor as a child. */
export function actorChild<A, M extends Message>(
  kernel: Kernel,
  machine: AnyMachine<A, M>,
  args: A,
  restart: RestartPolicy,
  shutdownMs: number,
): ChildSpec {
  return {
    id: machine.name,
    restart,
    shutdownMs,
    start: (onExit) => {
      const ref: ActorRef<M> = kernel.spawn(machine, args);
      kernel.onExit(ref as ActorRef, onExit);
      return {
        stop: (why) =>
          new Promise<void>((resolve) => {
            kernel.onExit(ref as ActorRef, () => resolve());
            kernel.stop(ref as ActorRef, why);
          }),
        kill: () => void kernel.kill(ref as ActorRef),
      };
    },
  };
}
