/** The pool of threads for heavy jobs, in the main thread; workers reach it by Comlink. */
import { MessageChannel, type Transferable } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { poolTaskFile } from '../build/embedded.ts';
import type { PasswordPool } from '../core/context.ts';
import type { SiftJob } from '../log/sift.ts';
import type { PreparedPassword } from '../sasl/scram-credentials.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import type { DeriveJob, VerifyJob } from '../pool.ts';
import type { Picture, PictureJob } from '../xmpp/picture.ts';
import { OperatorError } from '../kernel/errors.ts';
import { readExport, type ExportJob } from './export-job.ts';
import type { Inspection } from './inspect-store.ts';

export interface PoolOptions {
  readonly threads: number;
  /** Jobs that may wait; further ones are refused. */
  readonly maxQueued: number;
}

/** Jobs of the slow thread that may wait. */
const MAX_SLOW_QUEUED = 16;

export class Pool implements PasswordPool {
  private readonly piscina: Piscina;
  /** One thread for jobs that take seconds to hours, so that no login waits for them. Made when there is one. */
  private slow: Piscina | undefined;

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

  sift(job: SiftJob): Promise<number[]> {
    return this.piscina.run(job, { name: 'sift' }) as Promise<number[]>;
  }

  inspectPicture(job: PictureJob): Promise<Picture | undefined> {
    return this.piscina.run(job, { name: 'inspectPicture' }) as Promise<Picture | undefined>;
  }

  /** The account as XEP-0227, read from the store that this process has open there. Leaving the loop ends it. */
  export(storePath: string, address: string): AsyncGenerator<string> {
    const { port1, port2 } = new MessageChannel();
    const job = { port: port2, storePath, address } satisfies ExportJob;
    return readExport(port1, this.slowly(job, 'exportAccount', [port2]) as Promise<void>);
  }

  /** As `inspectDataFile`. */
  async inspect(path: string): Promise<Inspection> {
    const outcome = (await this.slowly(path, 'inspectStore')) as Inspection | { readonly code: string; readonly message: string };
    if ('code' in outcome) throw new OperatorError(outcome.code, outcome.message);
    return outcome;
  }

  private slowly(job: unknown, name: string, transferList: Transferable[] = []): Promise<unknown> {
    // The environment says where the executable has its native parts.
    this.slow ??= new Piscina({ filename: poolTaskFile(), minThreads: 0, maxThreads: 1, maxQueue: MAX_SLOW_QUEUED, idleTimeout: 10_000 });
    return this.slow.run(job, { name, transferList: transferList as never }); // Piscina's type for it follows another overload
  }

  /** For metrics. */
  get stats(): { readonly queued: number; readonly completed: number; readonly threads: number } {
    const { queueSize, completed, threads } = this.piscina;
    return { queued: queueSize, completed, threads: threads.length };
  }

  async close(): Promise<void> {
    await Promise.all([this.piscina.destroy(), this.slow?.destroy()]);
  }
}
