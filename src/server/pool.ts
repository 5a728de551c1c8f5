/** The pool of threads for heavy jobs, in the main thread; workers reach it by Comlink. */
import { Piscina } from 'piscina';
import { poolTaskFile } from '../build/embedded.ts';
import type { PasswordPool } from '../core/context.ts';
import type { PreparedPassword } from '../sasl/scram-credentials.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import type { DeriveJob, VerifyJob } from '../pool.ts';

export interface PoolOptions {
  readonly threads: number;
  /** Jobs that may wait; further ones are refused. */
  readonly maxQueued: number;
}

export class Pool implements PasswordPool {
  private readonly piscina: Piscina;

  constructor({ threads, maxQueued }: PoolOptions) {
    this.piscina = new Piscina({
      filename: poolTaskFile(),
      minThreads: 1,
      maxThreads: threads,
      maxQueue: maxQueued,
      idleTimeout: 60_000,
      // Threads of the pool need nothing of our environment.
      env: {},
    });
  }

  derive(password: PreparedPassword, iterations: number): Promise<ScramRecord[]> {
    return this.piscina.run({ password, iterations } satisfies DeriveJob, { name: 'derive' }) as Promise<ScramRecord[]>;
  }

  verify(password: PreparedPassword, record: ScramRecord): Promise<boolean> {
    return this.piscina.run({ password, record } satisfies VerifyJob, { name: 'verify' }) as Promise<boolean>;
  }

  /** For metrics. */
  get stats(): { readonly queued: number; readonly completed: number; readonly threads: number } {
    const { queueSize, completed, threads } = this.piscina;
    return { queued: queueSize, completed, threads: threads.length };
  }

  async close(): Promise<void> {
    await this.piscina.destroy();
  }
}
