/**
 * The main thread: starts and watches the workers, answers the operator, owns the pool. It
 * carries no traffic. The supervision tree is
 *
 *   server (rest_for_one) ─┬─ pool
 *                          ├─ control socket
 *                          └─ workers (one_for_one) ─┬─ worker 0
 *                                                    └─ worker N
 */
import { randomBytes } from 'node:crypto';
import { VERSION } from '../build/version.ts';
import type { Config } from '../config/config.ts';
import type { ServerStatus, ReloadResult, TopFrame, WorkerStatus } from '../control/command-types.ts';
import { OperatorError } from '../kernel/errors.ts';
import { Metrics, type WorkerSnapshot } from '../observe/metrics.ts';
import type { Store } from '../store/store.ts';
import type { PasswordPool } from '../core/context.ts';
import type { PreparedPassword } from '../sasl/scram-credentials.ts';
import type { Jid } from '../xmpp/jid.ts';
import { backUp, type BackupReport } from './backup.ts';
import { storePath } from './open-store.ts';
import type { Pool } from './pool.ts';
import type { AccountRequest, ListeningPorts } from './worker-control.ts';
import type { WorkerHandle } from './worker-handle.ts';

/** The parts a running server is made of; see `start-server.ts` for how they come about. */
export interface ServerParts {
  /** As it runs: a reload changes it. */
  readonly config: Config;
  readonly store: Store;
  readonly pool: Pool;
  readonly workers: readonly WorkerHandle[];
  /** Reads the configuration anew and hands it round. */
  readonly reload: () => Promise<ReloadResult>;
  readonly describeConfig: () => string;
  /** Ends everything, in order: the workers first. */
  readonly close: () => Promise<void>;
}

export class Server {
  readonly store: Store;
  readonly pool: PasswordPool & Pool;
  readonly startedAtMs = Date.now();
  private readonly metrics = new Metrics();
  private readonly parts: ServerParts;
  private stopping: Promise<void> | undefined;

  constructor(parts: ServerParts) {
    this.parts = parts;
    this.store = parts.store;
    this.pool = parts.pool;
  }

  get config(): Config {
    return this.parts.config;
  }

  get workers(): readonly WorkerHandle[] {
    return this.parts.workers;
  }

  get ports(): ListeningPorts {
    return this.parts.workers[0]!.ports;
  }

  /** Asks the account's actor, by way of any worker that runs. */
  ask(bare: string, request: AccountRequest): Promise<unknown> {
    const worker = this.parts.workers.find(({ state }) => state === 'running');
    if (worker === undefined) throw new OperatorError('ERR_NOT_READY', 'No worker thread is running just now; try again in a moment.');
    return worker.control.ask(bare, request);
  }

  async createAccount(jid: Jid, password: PreparedPassword): Promise<void> {
    const scram = await this.pool.derive(password, this.config.accounts.scramIterations);
    const answer = await this.ask(jid.bare, { kind: 'create_account', scram });
    if (answer !== 'created')
      throw new OperatorError(
        'ERR_ACCOUNT_EXISTS',
        `The account ${jid.bare} exists already. 'rookery user passwd' gives it a new password.`,
      );
  }

  async sessionOwners(): Promise<string[]> {
    const owners = await Promise.all(this.running.map(({ control }) => control.sessionOwners()));
    return owners.flat().sort();
  }

  async status(): Promise<ServerStatus> {
    const { config } = this;
    return {
      version: VERSION,
      nodeVersion: process.version,
      pid: process.pid,
      startedAtMs: this.startedAtMs,
      isStopping: this.stopping !== undefined,
      dataDir: config.dataDir,
      hosts: config.hosts.map(({ domain }) => domain),
      listen: config.listen,
      listeners: [
        ...this.ports.c2s.map((port) => ({ kind: 'c2s', port })),
        ...this.ports.c2sTls.map((port) => ({ kind: 'c2s_tls', port })),
      ],
      workers: await Promise.all(this.parts.workers.map((worker) => worker.status())),
      pool: this.pool.stats,
      rssBytes: process.memoryUsage.rss(),
    };
  }

  async topFrame(limit: number, kind: string | undefined): Promise<TopFrame> {
    const workers = await Promise.all(
      this.parts.workers.map(async (worker) => {
        const status: WorkerStatus = await worker.status();
        const figures = worker.state === 'running' ? await worker.control.figures().catch(() => undefined) : undefined;
        return { ...status, counters: figures?.counters ?? {}, actors: figures?.actors ?? {} };
      }),
    );
    const actors = (await Promise.all(this.running.map(({ control }) => control.actors(kind, limit)))).flat();
    actors.sort((one, other) => other.queued - one.queued || one.worker - other.worker || one.id - other.id);
    return { atMs: Date.now(), workers, actors: actors.slice(0, limit), rssBytes: process.memoryUsage.rss() };
  }

  /** Prometheus' text form; asks all workers. */
  async metricsText(): Promise<string> {
    const snapshots = await Promise.all(
      this.running.map(async (worker): Promise<WorkerSnapshot> => ({
        ...(await worker.control.figures()),
        restarts: (await worker.status()).restarts,
      })),
    );
    this.metrics.update(snapshots, { rssBytes: process.memoryUsage.rss(), startedAtMs: this.startedAtMs, pool: this.pool.stats });
    return this.metrics.text();
  }

  /** Into a new or empty directory, while everything goes on. Throws StoreError and OperatorError. */
  backUp(directory: string): Promise<BackupReport> {
    const { store, pool } = this;
    return backUp({ store, dataDir: this.config.dataDir, directory, inspect: (path) => pool.inspect(path) });
  }

  /** The account as XEP-0227, in pieces. */
  async *export(jid: Jid): AsyncGenerator<{ readonly text: string }> {
    for await (const text of this.pool.export(storePath(this.config), jid.bare)) yield { text };
  }

  reload(): Promise<ReloadResult> {
    return this.parts.reload();
  }

  describeConfig(): string {
    return this.parts.describeConfig();
  }

  /** Ends in order: clients are told, what is under way is made durable. Safe to call again. */
  stop(): Promise<void> {
    this.stopping ??= this.end();
    return this.stopping;
  }

  private async end(): Promise<void> {
    await this.parts.close();
  }

  private get running(): readonly WorkerHandle[] {
    return this.parts.workers.filter(({ state }) => state === 'running');
  }
}

/** 32 bytes nobody else has. */
export function makeSecret(): Buffer {
  return randomBytes(32);
}
