/** How commands reach accounts and worker threads: by way of any worker that runs, or of all. */
import type { Config } from '../config/config.ts';
import type { PasswordPool } from '../core/context.ts';
import {
  resultOf,
  type AccountAnswers,
  type AccountOperation,
  type AccountRequest,
  type OperationAnswer,
  type Operations,
  type ProcessOperations,
  type WorkerOperation,
} from '../core/operations.ts';
import { OperatorError } from '../kernel/errors.ts';
import type { PreparedPassword } from '../sasl/scram-credentials.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import type { Store } from '../store/store.ts';
import type { BareJid } from '../xmpp/jid.ts';
import type { AsyncControl } from './worker-handle.ts';

/** The part of a worker that commands need. */
export type WorkerReach = Pick<AsyncControl, 'ask' | 'operate' | 'sessionOwners'>;

/** What the operations are made of. */
export interface Reach {
  /** As it runs now. */
  readonly config: Config;
  readonly store: Store;
  readonly pool: PasswordPool;
  /** Those that run just now. */
  readonly reachable: readonly WorkerReach[];
  /** Undefined where the server is part of another program. */
  readonly process: ProcessOperations | undefined;
}

export class ServerOperations implements Operations {
  private readonly reach: Reach;

  constructor(reach: Reach) {
    this.reach = reach;
  }

  get config(): Config {
    return this.reach.config;
  }

  get store(): Store {
    return this.reach.store;
  }

  get process(): ProcessOperations {
    const { process } = this.reach;
    if (process === undefined)
      throw new OperatorError('ERR_NOT_AVAILABLE', 'This server is part of another program, which alone can do that.');
    return process;
  }

  derive(password: PreparedPassword): Promise<readonly ScramRecord[]> {
    return this.reach.pool.derive(password, this.config.accounts.scramIterations);
  }

  ask<K extends AccountRequest['kind']>(bare: BareJid, request: Extract<AccountRequest, { readonly kind: K }>): Promise<AccountAnswers[K]> {
    return this.any.ask(bare, request) as Promise<AccountAnswers[K]>;
  }

  async account<A, R>(bare: BareJid, operation: AccountOperation<A, R>, args: A): Promise<R> {
    return resultOf((await this.any.ask(bare, { kind: 'operate', operation: operation.name, args })) as OperationAnswer) as R;
  }

  async everyWorker<A, R>(operation: WorkerOperation<A, R>, args: A): Promise<R[]> {
    const answers = await Promise.all(this.reach.reachable.map((worker) => worker.operate(operation.name, args)));
    return answers.map(resultOf) as R[];
  }

  async anyWorker<A, R>(operation: WorkerOperation<A, R>, args: A): Promise<R> {
    return resultOf(await this.any.operate(operation.name, args)) as R;
  }

  async sessionOwners(): Promise<BareJid[]> {
    const owners = await Promise.all(this.reach.reachable.map((worker) => worker.sessionOwners()));
    return owners.flat().sort();
  }

  private get any(): WorkerReach {
    const [worker] = this.reach.reachable;
    if (worker === undefined) throw new OperatorError('ERR_NOT_READY', 'No worker thread is running just now; try again in a moment.');
    return worker;
  }
}
