/**
 * What a scenario works with in one thread of the generator: its share of the clients, the sections that are measured, and where
 * what it counts and what is wrong is told. All threads pass the same sections in the same order.
 */
import type { MessagePort } from 'node:worker_threads';
import { LoadClient, MECHANISMS, inParallel, type LoginMethod, type Target } from './client.ts';
import { Histogram } from './histogram.ts';
import type { FaultKind } from './outcome.ts';
import type { OptionValue } from './scenario.ts';
import type { Sequence } from './sequence.ts';

export const PASSWORD = 'a password for load';

/** What the coordinator starts a thread with. */
export interface Assignment {
  readonly scenario: string;
  readonly target: Target;
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly index: number;
  readonly threads: number;
  /** Differs between runs, so that what is left from an earlier one is not taken for this one's. */
  readonly token: string;
  /** One Float64 for each thread: operations so far. */
  readonly counters: SharedArrayBuffer;
}

export interface SectionSpec {
  readonly name: string;
  readonly unit: string;
  /** What the server is doing behind its last answer belongs to it: the section ends when its CPU is quiet. */
  readonly untilQuiet?: boolean;
  /** Memory growth per operation is taken, after so many seconds of rest. */
  readonly memoryAfterSeconds?: number;
}

export interface Counted {
  readonly counts: Float64Array;
  readonly total: number;
  readonly max: number;
}

/** From a thread to the coordinator. */
export type Report =
  | { readonly kind: 'reached'; readonly begins?: SectionSpec; readonly ends?: { readonly latency: Counted; readonly lateness: Counted } }
  | { readonly kind: 'fault'; readonly fault: FaultKind; readonly count: number; readonly example: string }
  | { readonly kind: 'doing'; readonly what: string }
  | { readonly kind: 'done' };

const MAX_EXAMPLES = 5;
const LOOK_AGAIN_MS = 2;

export class Bench {
  readonly target: Target;
  readonly index: number;
  readonly threads: number;
  readonly token: string;
  readonly tokenBytes: Buffer;
  /** Latencies of the section that is measured, microseconds. */
  readonly latency = new Histogram();
  /** How late the generator was with what it sent. */
  readonly lateness = new Histogram();
  private readonly assignment: Assignment;
  private readonly port: MessagePort;
  private readonly counters: Float64Array;
  private examples = 0;

  constructor(assignment: Assignment, port: MessagePort) {
    this.assignment = assignment;
    this.port = port;
    this.target = assignment.target;
    this.index = assignment.index;
    this.threads = assignment.threads;
    this.token = assignment.token;
    this.tokenBytes = Buffer.from(assignment.token);
    this.counters = new Float64Array(assignment.counters);
  }

  number(name: string): number {
    return Number(this.option(name));
  }

  text(name: string): string {
    return String(this.option(name));
  }

  flag(name: string): boolean {
    return this.option(name) === true;
  }

  get mechanism(): LoginMethod {
    const mechanism = this.text('mechanism');
    const known = MECHANISMS.find((each) => each === mechanism);
    if (known === undefined) throw new Error(`--mechanism ${mechanism}: it is one of ${MECHANISMS.join(', ')}`);
    return known;
  }

  /** Of 0, 1, … below `count`, those that are this thread's. */
  share(count: number): number[] {
    const mine: number[] = [];
    for (let i = this.index; i < count; i += this.threads) mine.push(i);
    return mine;
  }

  /** So many operations more. */
  count(operations: number): void {
    this.counters[this.index]! += operations;
  }

  /** Operations so far, of this thread. */
  get counted(): number {
    return this.counters[this.index]!;
  }

  /** Operations so far, of all threads. */
  get countedByAll(): number {
    return this.counters.reduce((sum, each) => sum + each, 0);
  }

  /** Waits until every thread is here; the moment when all went on, by `clockMs`. */
  async barrier(): Promise<number> {
    return this.reached({ kind: 'reached' });
  }

  /** What is counted while `work` runs, in all threads at once, is a section of the outcome. */
  async section(spec: SectionSpec, work: () => Promise<void>): Promise<void> {
    await this.reached({ kind: 'reached', begins: spec });
    this.latency.reset();
    this.lateness.reset();
    await work();
    const { latency, lateness } = this;
    const copy = ({ counts, total, max }: Histogram): Counted => ({ counts: counts.slice(), total, max });
    await this.reached({ kind: 'reached', ends: { latency: copy(latency), lateness: copy(lateness) } });
  }

  /** A section of the time that the options say, or longer, until something was done at all. */
  timed(name: string, unit: string): Promise<void> {
    const before = this.countedByAll;
    return this.section({ name, unit }, async () => {
      await pause(this.number('seconds') * 1_000);
      await this.until(() => this.countedByAll > before);
    });
  }

  /** Load that runs already goes on unmeasured, so that both sides are warm. */
  warmUp(): Promise<void> {
    return pause(this.number('warmup') * 1_000);
  }

  /** For people who wait. */
  doing(what: string): void {
    this.port.postMessage({ kind: 'doing', what } satisfies Report);
  }

  /** The run has failed; it goes on, to see what else is wrong. */
  fault(fault: FaultKind, example: string, count = 1): void {
    if (count <= 0) return;
    const told = this.examples++ < MAX_EXAMPLES ? example : '';
    this.port.postMessage({ kind: 'fault', fault, count, example: told } satisfies Report);
  }

  /** Faults of a numbered sequence of which `sent` were sent. */
  judge(sequence: Sequence, sent: number, whose: string): void {
    const { lost, doubled, reordered } = sequence.faultsOf(sent);
    this.fault('lost', `${whose}: ${lost} of ${sent} lost`, lost);
    this.fault('doubled', `${whose}: ${doubled} doubled`, doubled);
    this.fault('reordered', `${whose}: ${reordered} out of order`, reordered);
  }

  /** Resolves when `isOver` is true, looking every few milliseconds; false when for so many seconds nothing more was counted. */
  async until(isOver: () => boolean, seconds = this.number('patience')): Promise<boolean> {
    let counted = this.countedByAll;
    for (let sinceMs = performance.now(); !isOver(); await pause(LOOK_AGAIN_MS)) {
      const now = performance.now();
      if (this.countedByAll !== counted) {
        counted = this.countedByAll;
        sinceMs = now;
      } else if (now - sinceMs > seconds * 1_000) return false;
    }
    return true;
  }

  /** Registers accounts that are not there (XEP-0077). Names are `local(index)`. */
  async register(indices: readonly number[], local: (index: number) => string = accountName): Promise<void> {
    const registered = local === accountName ? this.number('registered') : 0;
    const missing = indices.filter((index) => index >= registered);
    if (missing.length > 0) this.doing(`registering ${missing.length} accounts`);
    await inParallel(missing, this.number('width'), async (index) => {
      const client = await LoadClient.open(this.target, local(index));
      await client.register(PASSWORD);
      client.close();
    });
  }

  /** Registers and logs in; in the order of `indices`. */
  async logIn(indices: readonly number[], { local = accountName, hasPresence = true }: LogInOptions = {}): Promise<LoadClient[]> {
    await this.register(indices, local);
    this.doing(`logging ${indices.length} clients in`);
    const clients: LoadClient[] = new Array<LoadClient>(indices.length);
    await inParallel([...indices.keys()], this.number('width'), async (at) => {
      const client = await persistently(() => this.logInOnce(local(indices[at]!)));
      if (hasPresence) {
        client.send('<presence/>');
        await client.ping();
      }
      clients[at] = client;
    });
    return clients;
  }

  async logInOnce(local: string): Promise<LoadClient> {
    const client = await LoadClient.open(this.target, local);
    await client.logIn(PASSWORD, this.mechanism, 'bench');
    return client;
  }

  private option(name: string): OptionValue {
    const value = this.assignment.options[name];
    if (value === undefined) throw new Error(`the scenario ${this.assignment.scenario} has no option ${name}`);
    return value;
  }

  private reached(report: Report): Promise<number> {
    return new Promise((resolve) => {
      this.port.once('message', (atMs: number) => resolve(atMs));
      this.port.postMessage(report);
    });
  }
}

export interface LogInOptions {
  readonly local?: (index: number) => string;
  readonly hasPresence?: boolean;
}

export const accountName = (index: number): string => `load${index}`;

const CLOCK_SAMPLES = 100;

/** Whatever comes between the two readings makes the difference smaller, so the largest is the best. */
const CLOCK_OFFSET_MS = Math.max(
  ...Array.from({ length: CLOCK_SAMPLES }, () => {
    const sharedMs = Number(process.hrtime.bigint()) / 1e6;
    return sharedMs - performance.now();
  }),
);

/** Milliseconds of a clock that all threads share. */
export function clockMs(): number {
  return performance.now() + CLOCK_OFFSET_MS;
}

const ATTEMPTS = 5;
const AGAIN_MS = 50;

/** For what only prepares a measurement: some servers refuse one login in fifty (jabberd2 2.7, internal-server-error). */
export async function persistently<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = ATTEMPTS - 1; ; left--) {
    try {
      return await attempt();
    } catch (error) {
      if (left === 0) throw error;
      await pause(AGAIN_MS);
    }
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
