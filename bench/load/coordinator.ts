/** Runs a scenario in threads of its own, and measures: time, the server's CPU and memory, the generator's own CPU. */
import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { clockMs, pause, type Assignment, type Counted, type Report, type SectionSpec } from './bench.ts';
import type { Target } from './client.ts';
import { Histogram } from './histogram.ts';
import type { FaultKind, Outcome, Section } from './outcome.ts';
import { COMMON_OPTIONS, type OptionValue } from './scenario.ts';
import { scenarioNamed } from './scenarios/index.ts';
import { cpuMicros, pssBytes } from './server-cost.ts';

export interface RunRequest {
  readonly scenario: string;
  readonly target: Target;
  /** Of the scenario and common ones; what is missing has its default. */
  readonly options?: Readonly<Record<string, OptionValue>>;
  readonly threads?: number | undefined;
  /** The processes whose CPU time and memory, with those of their children, are the server's. */
  readonly pids?: readonly number[];
  /** The server's name in the outcome. */
  readonly server?: string;
  /** Its worker threads, for the outcome. */
  readonly workers?: number | undefined;
  /** Called a few times a second. */
  readonly onProgress?: (progress: Progress) => void;
}

export interface Progress {
  /** In a few words. */
  readonly doing: string;
  /** Operations so far. */
  readonly counted: number;
}

const PROGRESS_MS = 250;
const MAX_EXAMPLES = 5;
/** The server is quiet when for so long it uses less than this share of one CPU. */
const QUIET_MS = 300;
const QUIET_SHARE = 0.05;
const MAX_QUIET_WAIT_MS = 60_000;

/** What is read at the beginning and the end of a section. */
interface Snapshot {
  readonly atMs: number;
  readonly counted: number;
  readonly serverMicros: number;
  readonly generatorMicros: number;
}

/** Rejects when the scenario cannot be run: the server refuses connections, an option is wrong. Faults are in the outcome. */
export async function runScenario(request: RunRequest): Promise<Outcome> {
  const scenario = scenarioNamed(request.scenario);
  const specs = { ...COMMON_OPTIONS, ...scenario.options };
  const options: Record<string, OptionValue> = Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, spec.default]));
  Object.assign(options, request.options);
  const coordinator = new Coordinator(request, options, request.threads ?? scenario.threads ?? 1);
  return coordinator.run();
}

class Coordinator {
  private readonly request: RunRequest;
  private readonly options: Readonly<Record<string, OptionValue>>;
  private readonly pids: readonly number[];
  private readonly workers: Worker[] = [];
  private readonly counters: Float64Array;
  private readonly sections: Section[] = [];
  private readonly faults: Partial<Record<FaultKind, number>> = {};
  private readonly examples: string[] = [];
  private readonly token = randomBytes(3).toString('hex');
  private doing = 'starting';
  /** Reports of the threads that wait at the barrier. */
  private waiting: Extract<Report, { kind: 'reached' }>[] = [];
  private current: { readonly spec: SectionSpec; readonly start: Snapshot; readonly pss: number } | undefined;

  constructor(request: RunRequest, options: Readonly<Record<string, OptionValue>>, threads: number) {
    this.request = request;
    this.options = options;
    this.pids = request.pids ?? [];
    this.counters = new Float64Array(new SharedArrayBuffer(threads * Float64Array.BYTES_PER_ELEMENT));
  }

  async run(): Promise<Outcome> {
    const { request, counters } = this;
    const { onProgress } = request;
    const ticker = onProgress === undefined ? undefined : setInterval(() => onProgress(this.progress()), PROGRESS_MS);
    try {
      await Promise.all(Array.from(counters, (_, index) => this.runThread(index)));
    } finally {
      clearInterval(ticker);
      await Promise.all(this.workers.map((worker) => worker.terminate()));
    }
    return {
      scenario: request.scenario,
      server: request.server ?? `${request.target.host}:${request.target.port}`,
      ...(request.workers === undefined ? {} : { workers: request.workers }),
      options: { ...this.options, threads: counters.length },
      sections: this.sections,
      faults: this.faults,
      examples: this.examples,
      at: new Date().toISOString(),
    };
  }

  private runThread(index: number): Promise<void> {
    const { request, counters, options, token } = this;
    const target = { ...request.target, security: options['security'] } as Target;
    const workerData: Assignment = {
      scenario: request.scenario,
      target,
      options,
      index,
      threads: counters.length,
      token,
      counters: counters.buffer as SharedArrayBuffer,
    };
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData });
    this.workers.push(worker);
    return new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('a thread of the generator ended early')));
      worker.on('message', (report: Report) => {
        if (report.kind === 'done') resolve();
        else this.take(report).catch(reject);
      });
    });
  }

  private progress(): Progress {
    return { doing: this.current?.spec.name ?? this.doing, counted: this.counted() };
  }

  private counted(): number {
    return this.counters.reduce((sum, each) => sum + each, 0);
  }

  private async take(report: Report): Promise<void> {
    if (report.kind === 'fault') {
      this.faults[report.fault] = (this.faults[report.fault] ?? 0) + report.count;
      if (report.example !== '' && this.examples.length < MAX_EXAMPLES) this.examples.push(report.example);
    } else if (report.kind === 'doing') {
      this.doing = report.what;
    } else if (report.kind === 'reached') {
      this.waiting.push(report);
      if (this.waiting.length === this.counters.length) await this.passBarrier();
    }
  }

  private async passBarrier(): Promise<void> {
    const { waiting } = this;
    this.waiting = [];
    const { begins } = waiting[0]!;
    if (waiting[0]!.ends !== undefined) await this.endSection(waiting.map(({ ends }) => ends!));
    if (begins !== undefined) {
      const pss = begins.memoryAfterSeconds === undefined ? 0 : pssBytes(this.pids);
      this.current = { spec: begins, pss, start: this.snapshot() };
    }
    const atMs = clockMs();
    for (const worker of this.workers) worker.postMessage(atMs);
  }

  private async endSection(ends: readonly { readonly latency: Counted; readonly lateness: Counted }[]): Promise<void> {
    const { spec, start, pss } = this.current!;
    const end = spec.untilQuiet === true ? await this.whenQuiet() : this.snapshot();
    const operations = end.counted - start.counted;
    const seconds = (end.atMs - start.atMs) / 1_000;
    const [latency, lateness] = (['latency', 'lateness'] as const).map((which) => {
      const all = new Histogram();
      for (const each of ends) all.add(each[which]);
      return all;
    });
    let bytesEach: number | undefined;
    if (spec.memoryAfterSeconds !== undefined && this.pids.length > 0) {
      await pause(spec.memoryAfterSeconds * 1_000);
      bytesEach = (pssBytes(this.pids) - pss) / operations;
    }
    this.sections.push({
      name: spec.name,
      unit: spec.unit,
      operations,
      seconds,
      perSecond: operations / seconds,
      ...(this.pids.length === 0 ? {} : { serverMicros: (end.serverMicros - start.serverMicros) / operations }),
      generatorMicros: (end.generatorMicros - start.generatorMicros) / operations,
      ...(latency!.total === 0 ? {} : { latency: latency!.percentiles() }),
      ...(lateness!.total === 0 ? {} : { lateness: lateness!.percentiles() }),
      ...(bytesEach === undefined ? {} : { bytesEach }),
    });
    this.current = undefined;
  }

  private snapshot(): Snapshot {
    const { user, system } = process.cpuUsage();
    return {
      atMs: performance.now(),
      counted: this.counted(),
      serverMicros: this.pids.length === 0 ? 0 : cpuMicros(this.pids),
      generatorMicros: user + system,
    };
  }

  /** The state of things when the server had done its work: the beginning of the first quiet moment from now on. */
  private async whenQuiet(): Promise<Snapshot> {
    let last = this.snapshot();
    if (this.pids.length === 0) return last;
    for (const deadline = last.atMs + MAX_QUIET_WAIT_MS; last.atMs < deadline;) {
      await pause(QUIET_MS);
      const now = this.snapshot();
      if (now.serverMicros - last.serverMicros <= (now.atMs - last.atMs) * 1_000 * QUIET_SHARE) return last;
      last = now;
    }
    return last;
  }
}
