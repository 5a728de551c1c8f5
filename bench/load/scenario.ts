/** What a scenario is: a file of `scenarios/`, named in its index. */
import type { Bench } from './bench.ts';

export type OptionValue = string | number | boolean;

export interface OptionSpec {
  readonly default: OptionValue;
  readonly help: string;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

export interface Scenario {
  readonly name: string;
  /** One sentence: what is done, and what counts as one. */
  readonly summary: string;
  /** Beside those that every scenario has. */
  readonly options: OptionSpecs;
  /** Threads of the generator unless told; 1 where it says nothing. */
  readonly threads?: number;
  /** Its figures are of a server that has just started. */
  readonly wantsFreshServer?: boolean;
  /** The server must have an archive (XEP-0313). */
  readonly needsArchive?: boolean;
  /** Runs in every thread of the generator at once, each with its share of the clients. */
  run(bench: Bench): Promise<void>;
}

/** Those every scenario has. */
export const COMMON_OPTIONS = {
  seconds: { default: 10, help: 'how long is measured' },
  warmup: { default: 2, help: 'seconds of load before that' },
  patience: { default: 30, help: 'seconds without anything arriving, after which what is missing is lost' },
  mechanism: { default: 'SCRAM-SHA-1', help: 'PLAIN, SCRAM-SHA-1 or SCRAM-SHA-256' },
  security: { default: 'none', help: 'none, starttls, or direct for TLS from the first byte' },
  registered: { default: 0, help: 'so many of the accounts are there already; the others are registered first (XEP-0077)' },
  width: { default: 32, help: 'logins and registrations under way at once in a thread' },
} as const satisfies OptionSpecs;
