/** What the kernel's tests share: a kernel on a clock that stands still, barriers, ports without threads, generated choices. */
import { defineMachine } from '../../src/kernel/actor.ts';
import type { ActorRef, Barrier, KernelEvent, Machine, Message, ReplyTo, Turn } from '../../src/kernel/actor.ts';
import type { BridgePort } from '../../src/kernel/peer.ts';
import { ManualClock } from '../../src/kernel/clock.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import type { KernelOptions } from '../../src/kernel/kernel.ts';
import type { CrashReport, FailureReport, KernelObserver } from '../../src/kernel/observer.ts';

/** A message that says what its receiver is to do; most tests need no other. */
export interface Do extends Message {
  readonly kind: 'do';
  readonly run: (turn: Turn<Message>, data: Log) => string | void;
}

/** A plain message with a number in it. */
export interface Note extends Message {
  readonly kind: 'note';
  readonly n: number;
  readonly from?: string;
  readonly replyTo?: ReplyTo;
}

export type Seen = Message | KernelEvent;

/** Data of a `recorder`: every event it was handed, in order. */
export interface Log {
  readonly seen: Seen[];
  lives: number;
}

export interface RecorderArgs {
  readonly log: Log;
  readonly onEvent?: (event: Seen, turn: Turn<Message>, log: Log) => string | void;
  readonly onInit?: (turn: Turn<Message>, log: Log) => void;
}

export function makeLog(): Log {
  return { seen: [], lives: 0 };
}

function record(log: Log, event: Seen, turn: Turn<Message>, args: RecorderArgs, state: string): string {
  if (event.kind === 'do') return (event as Do).run(turn, log) ?? state;
  const next = args.onEvent?.(event, turn, log);
  log.seen.push(event);
  return next ?? state;
}

interface RecorderData {
  readonly args: RecorderArgs;
}

/** Does what `do` messages say and writes all else into a log that outlives it. */
export const recorder: Machine<string, RecorderData, Message, RecorderArgs> = defineMachine({
  name: 'recorder',
  initial: 'one',
  init(args: RecorderArgs, turn: Turn<Message>): RecorderData {
    args.log.lives++;
    args.onInit?.(turn, args.log);
    return { args };
  },
  states: {
    one: ({ args }, event, turn) => record(args.log, event as Seen, turn as Turn<Message>, args, 'one'),
    two: ({ args }, event, turn) => record(args.log, event as Seen, turn as Turn<Message>, args, 'two'),
  },
} as Machine<string, RecorderData, Message, RecorderArgs>);

export function doing(run: Do['run']): Do {
  return { kind: 'do', run };
}

export function note(n: number, more: Partial<Note> = {}): Note {
  return { kind: 'note', n, ...more };
}

/** The numbers of the notes among `seen`. */
export function numbers(seen: readonly Seen[]): number[] {
  return seen.filter((event): event is Note => event.kind === 'note').map(({ n }) => n);
}

export function kinds(seen: readonly Seen[]): string[] {
  return seen.map(({ kind }) => kind);
}

export interface TestKernel {
  readonly kernel: Kernel;
  readonly clock: ManualClock;
  readonly crashes: CrashReport[];
  readonly failures: FailureReport[];
  /** Runs until nobody has work. */
  run(): void;
  /** Spawns a recorder with a log of its own. */
  record(args?: Partial<RecorderArgs>, machine?: Partial<typeof recorder>): { ref: ActorRef<Message>; log: Log };
  /** Lets an actor do something in a turn of its own, now. */
  turn(ref: ActorRef<Message>, run: Do['run']): void;
}

export function makeKernel(options: Omit<KernelOptions, 'clock' | 'observer'> & { clock?: ManualClock } = {}): TestKernel {
  const clock = options.clock ?? new ManualClock(1_000_000);
  const crashes: CrashReport[] = [];
  const failures: FailureReport[] = [];
  const observer: KernelObserver = { crashed: (report) => crashes.push(report), failed: (report) => failures.push(report) };
  const kernel = new Kernel({ ...options, clock, observer });
  const run = (): void => clock.run();
  return {
    kernel,
    clock,
    crashes,
    failures,
    run,
    record(args = {}, machine = {}) {
      const log = args.log ?? makeLog();
      const ref = kernel.spawn({ ...recorder, ...machine }, { ...args, log });
      run();
      return { ref, log };
    },
    turn(ref, what) {
      kernel.send(ref, doing(what));
      run();
    },
  };
}

/** A commit of no store. */
export class TestBarrier implements Barrier {
  settled = false;
  error: Error | undefined = undefined;
  #callbacks: (() => void)[] = [];
  /** How often somebody asked to be called back. */
  registrations = 0;

  onSettled(callback: () => void): void {
    this.registrations++;
    if (this.settled) callback();
    else this.#callbacks.push(callback);
  }

  settle(error?: Error): void {
    this.settled = true;
    this.error = error;
    for (const callback of this.#callbacks) callback();
    this.#callbacks = [];
  }
}

/**
 * What turns did against what left of them: every turn that ended well notes itself as its last step, and its effect
 * does when it leaves. `drop` says that what has not left will not.
 */
export class Ledger {
  readonly finished: number[] = [];
  readonly left: number[] = [];
  readonly dropped: number[] = [];

  /** The last step of a turn. */
  finish(turn: Turn<Message>): void {
    const n = this.finished.length;
    this.finished.push(n);
    turn.effect(() => this.left.push(n));
  }

  /** Of those that have neither left nor been dropped, the oldest first. */
  get waiting(): number[] {
    const known = new Set([...this.left, ...this.dropped]);
    return this.finished.filter((n) => !known.has(n));
  }

  drop(): void {
    this.dropped.push(...this.waiting);
  }

  /** What was not dropped has left, once and in order. */
  get expected(): number[] {
    const dropped = new Set(this.dropped);
    return this.finished.filter((n) => !dropped.has(n));
  }
}

/** One end of a channel without threads: batches are cloned when posted and handed over when `pump`ed, in order. */
export class TestPort implements BridgePort {
  peer: TestPort | undefined;
  readonly #inbox: unknown[][] = [];
  #onMessage: ((batch: unknown[]) => void) | undefined;
  #onClose: (() => void) | undefined;
  isClosed = false;
  posted = 0;

  static pair(): [TestPort, TestPort] {
    const ends: [TestPort, TestPort] = [new TestPort(), new TestPort()];
    [ends[0].peer, ends[1].peer] = [ends[1], ends[0]];
    return ends;
  }

  postMessage(batch: unknown): void {
    const clone = structuredClone(batch) as unknown[];
    this.posted++;
    if (!this.isClosed && this.peer?.isClosed === false) this.peer.#inbox.push(clone);
  }

  on(event: 'message' | 'close', handler: ((batch: unknown[]) => void) | (() => void)): void {
    if (event === 'message') this.#onMessage = handler as (batch: unknown[]) => void;
    else this.#onClose = handler as () => void;
  }

  removeAllListeners(): void {
    this.#onMessage = this.#onClose = undefined;
  }

  close(): void {
    this.isClosed = true;
  }

  get waiting(): number {
    return this.#inbox.length;
  }

  /** Hands over at most `count` batches; whether there were any. */
  pump(count = Infinity): boolean {
    const before = this.#inbox.length;
    for (let i = 0; i < count && this.#inbox.length > 0; i++) this.#onMessage?.(this.#inbox.shift()!);
    return before > 0;
  }

  /** As when the thread at the other end dies: what it posted has arrived before. */
  hangUp(): void {
    this.pump();
    this.#onClose?.();
  }
}

/** Kernels of several workers in one thread, their ports pumped by hand. */
export class TestCluster {
  readonly clock: ManualClock;
  readonly workers: (TestKernel | undefined)[] = [];
  readonly #ports = new Map<string, TestPort>();
  readonly #make: (worker: number, incarnation: number, clock: ManualClock) => TestKernel;
  #incarnations = 0;

  constructor(
    count: number,
    make: (worker: number, incarnation: number, clock: ManualClock) => TestKernel,
    clock = new ManualClock(1_000_000),
  ) {
    this.clock = clock;
    this.#make = make;
    for (let worker = 0; worker < count; worker++) this.start(worker);
  }

  get alive(): number[] {
    return [...this.workers.keys()].filter((worker) => this.workers[worker] !== undefined);
  }

  at(worker: number): TestKernel {
    const found = this.workers[worker];
    if (found === undefined) throw new Error(`worker ${worker} is down`);
    return found;
  }

  /** Starts a worker, for the first time or after `kill`, and connects it. */
  start(worker: number): TestKernel {
    const others = this.alive;
    const made = this.#make(worker, this.#incarnations++, this.clock);
    this.workers[worker] = made;
    for (const other of others) {
      const [here, there] = TestPort.pair();
      this.#ports.set(`${worker}:${other}`, here);
      this.#ports.set(`${other}:${worker}`, there);
      made.kernel.connect(other, here);
      this.at(other).kernel.connect(worker, there);
    }
    return made;
  }

  /** As a thread dies: no last words; what it had not posted is lost. */
  kill(worker: number): void {
    this.at(worker).kernel.close();
    this.workers[worker] = undefined;
    for (const other of this.alive) {
      const port = this.#ports.get(`${other}:${worker}`)!;
      port.hangUp();
      this.#ports.delete(`${other}:${worker}`);
      this.#ports.delete(`${worker}:${other}`);
    }
  }

  port(from: number, to: number): TestPort {
    return this.#ports.get(`${from}:${to}`)!;
  }

  /** Hands over what is posted and runs all workers until nothing moves. */
  run(): void {
    for (let rounds = 0; ; rounds++) {
      if (rounds > 100_000) throw new Error('the cluster does not come to rest');
      this.clock.run();
      let hasMoved = false;
      for (const port of this.#ports.values()) hasMoved = port.pump() || hasMoved;
      if (!hasMoved && this.clock.isIdle) return;
    }
  }

  /** One port, one batch: what a generated schedule interleaves. */
  pumpOne(choose: (count: number) => number): void {
    const ports = [...this.#ports.values()].filter(({ waiting }) => waiting > 0);
    if (ports.length > 0) ports[choose(ports.length)]!.pump(1);
  }
}

/** A generator of choices (mulberry32): the same seed, the same test. */
export function chooser(seed: number): (count: number) => number {
  let state = seed >>> 0;
  return (count) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % count;
  };
}

/** Runs `check` for `count` seeds; a failure names its seed. */
export function forSeeds(count: number, check: (choose: (count: number) => number, seed: number) => void, first = 1): void {
  for (let seed = first; seed < first + count; seed++) {
    try {
      check(chooser(seed), seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
}

/** Promises that wait for each other come to rest. */
export async function settle(passes = 8): Promise<void> {
  for (let i = 0; i < passes; i++) await new Promise((resolve) => setImmediate(resolve));
}
