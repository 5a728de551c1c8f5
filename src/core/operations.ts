/** What a command may do to the server it runs in: how it reaches accounts and worker threads, without knowing where they are. */
import type { Config } from '../config/config.ts';
import { OperatorError } from '../kernel/errors.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import type { Store } from '../store/store.ts';
import type { BareJid } from '../xmpp/jid.ts';
import type { PreparedPassword } from '../sasl/scram-credentials.ts';
import type { AccountContext } from './context.ts';
import type { Links } from './links.ts';
import type { Host } from './host.ts';
import type { BackupResult, ReloadResult, ServerStatus, TopFrame } from './server-status.ts';
import type { AccountStatus, CreateAccount, GetStatus, Kick, RemoveAccount, SetCredentials, SetEnabled } from './messages.ts';

/**
 * Something commands ask of an account, run in a turn of its actor, so with all that a handler may do. A module declares it in
 * `accountOperations`. Arguments and result are plain data: they cross threads.
 */
export interface AccountOperation<A, R> {
  /** `module.word`, unique. */
  readonly name: string;
  readonly run: (account: AccountContext, args: A) => R | Promise<R>;
}

/**
 * Something commands ask of worker threads: of every one, or of any. A module declares it in `workerOperations`; layers that are no
 * modules (server links, components) register theirs with the runtime.
 */
export interface WorkerOperation<A, R> {
  /** `module.word`, unique. */
  readonly name: string;
  readonly run: (worker: WorkerContext, args: A) => R | Promise<R>;
}

/** What a worker operation is given. */
export interface WorkerContext {
  readonly worker: number;
  readonly hosts: ReadonlyMap<string, Host>;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Bare JIDs of the accounts that live on this worker and have sessions. */
  readonly sessionOwners: () => readonly BareJid[];
  /** To other servers; undefined where there are none. */
  readonly links?: Links | undefined;
  /** As Operations.account; the account may live on any worker. */
  readonly account: Operations['account'];
}

/** Lets the types of arguments and result flow into `Operations.account`. */
export function accountOperation<A, R>(name: string, run: AccountOperation<A, R>['run']): AccountOperation<A, R> {
  return { name, run };
}

/** Lets the types of arguments and result flow into `Operations.everyWorker`. */
export function workerOperation<A, R>(name: string, run: WorkerOperation<A, R>['run']): WorkerOperation<A, R> {
  return { name, run };
}

type Asked<M> = Omit<M, 'replyTo'>;
/** What operators and handlers ask of an account, wherever it lives. */
export type AccountRequest =
  | Asked<CreateAccount>
  | Asked<SetCredentials>
  | Asked<SetEnabled>
  | Asked<RemoveAccount>
  | Asked<GetStatus>
  | Asked<Kick>
  | { readonly kind: 'operate'; readonly operation: string; readonly args: unknown };

/** What each of them is answered with. */
export interface AccountAnswers {
  create_account: 'created' | 'exists';
  set_credentials: 'changed' | 'absent';
  set_enabled: 'changed' | 'absent';
  remove_account: 'removed' | 'absent';
  get_status: AccountStatus;
  kick: number;
  operate: OperationAnswer;
}

/** How an operation went, as it crosses threads. */
export type OperationAnswer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** @throws OperatorError with the code and message of an operation that was refused. */
export function resultOf(answer: OperationAnswer): unknown {
  if (!answer.ok) throw new OperatorError(answer.code, answer.message);
  return answer.result;
}

export interface Operations {
  /** As it runs now. */
  readonly config: Config;
  /**
   * For reading. Commands write to partitions that no actor owns: that of a host, which is its domain, is written by commands
   * alone, all of which run on one thread.
   */
  readonly store: Store;
  /** Stored forms of a password, as the configuration wants them. */
  derive(password: PreparedPassword): Promise<readonly ScramRecord[]>;
  /** Rejects with OperatorError ERR_NOT_READY while no worker runs. */
  ask<K extends AccountRequest['kind']>(bare: BareJid, request: Extract<AccountRequest, { readonly kind: K }>): Promise<AccountAnswers[K]>;
  /** Rejects with OperatorError ERR_NO_ACCOUNT, ERR_MODULE_OFF, or ERR_NOT_READY. */
  account<A, R>(bare: BareJid, operation: AccountOperation<A, R>, args: A): Promise<R>;
  /** Answers of all workers that run, in their order. */
  everyWorker<A, R>(operation: WorkerOperation<A, R>, args: A): Promise<R[]>;
  anyWorker<A, R>(operation: WorkerOperation<A, R>, args: A): Promise<R>;
  /** Bare JIDs of all accounts with sessions, sorted. */
  sessionOwners(): Promise<BareJid[]>;
  /** The process around it. Throws OperatorError ERR_NOT_AVAILABLE in a server that is part of another program. */
  readonly process: ProcessOperations;
}

/** What only a server that is a process of its own can do. */
export interface ProcessOperations {
  status(): Promise<ServerStatus>;
  topFrame(limit: number, kind: string | undefined): Promise<TopFrame>;
  reload(): Promise<ReloadResult>;
  /** Begins to end in order after a time, and to start again where `isRestart`. A later call takes the place of an earlier one. */
  stopLater(delayMs: number, isRestart: boolean): void;
  describeConfig(): string;
  metricsText(): Promise<string>;
  /** @param directory absolute. */
  backUp(directory: string): Promise<BackupResult>;
  /** The account as XEP-0227, in pieces. */
  export(bare: BareJid): AsyncIterable<{ readonly text: string }>;
}
