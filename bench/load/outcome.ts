/** What a run of a scenario found, as it is saved: the shape of `--json` and of what `bench:report` reads. */
import { availableParallelism, cpus, release, type } from 'node:os';
import type { Percentiles } from './histogram.ts';

/** What went wrong, by kind: any of them fails the run. */
export type FaultKind = 'lost' | 'doubled' | 'reordered' | 'unexpected' | 'failed';

export interface Section {
  readonly name: string;
  /** What is counted, in the singular. */
  readonly unit: string;
  readonly operations: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** CPU time of the server per operation, microseconds, all threads and children; where it was told the process. */
  readonly serverMicros?: number;
  /** CPU time of the load generator per operation, microseconds. */
  readonly generatorMicros: number;
  /** Microseconds. */
  readonly latency?: Percentiles;
  /** How late the generator itself was, microseconds: with an open loop, part of each latency. */
  readonly lateness?: Percentiles;
  /** Growth of the server's proportional set size per operation, bytes. */
  readonly bytesEach?: number;
}

export interface Outcome {
  readonly scenario: string;
  /** What the scenario with these options is called where there are several. */
  readonly title?: string;
  /** The server's name, as the caller has it. */
  readonly server: string;
  /** Worker threads of the server, where the caller knows. */
  readonly workers?: number;
  readonly options: Readonly<Record<string, string | number | boolean>>;
  readonly sections: readonly Section[];
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
  /** What the first faults were. */
  readonly examples: readonly string[];
  readonly at: string;
}

/** What is saved. */
export interface Saved {
  readonly machine: string;
  readonly outcomes: readonly Outcome[];
}

export function machine(): string {
  const [cpu] = cpus();
  return `${availableParallelism()} x ${cpu?.model ?? 'CPU'}, ${type()} ${release()}, Node ${process.version.slice(1)}`;
}

export function hasFaults(outcome: Outcome): boolean {
  return Object.values(outcome.faults).some((count) => count > 0);
}
