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
import type { ServerStatus, ReloadResult, TopFrame, WorkerStatus } from '../core/server-status.ts';
import { Metrics, type WorkerSnapshot } from '../observe/metrics.ts';
import type { Store } from '../store/store.ts';
import type { PasswordPool } from '../core/context.ts';
import type { Operations, ProcessOperations } from '../core/operations.ts';
import type { BareJid } from '../xmpp/jid.ts';
import { backUp, type BackupReport } from './backup.ts';
import { ServerOperations, type Reach, type WorkerReach } from './operations.ts';
import { storePath } from './open-store.ts';
import type { Pool } from './pool.ts';
import type { ListeningPorts } from './worker-control.ts';
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
  /** Ends everything, in order: the workers first. `isRestart`: to be started again. */
  readonly close: (isRestart: boolean) => Promise<void>;
}

/** So long at least, so that whoever gave the command gets its answer. */
const ANSWER_MS = 250;

export class Server implements Reach {
  readonly store: Store;
  readonly pool: PasswordPool & Pool;
  readonly startedAtMs = Date.now();
  /** What commands run on. */
  readonly operations: Operations = new ServerOperations(this);
  private readonly metrics = new Metrics();
  private readonly parts: ServerParts;
  private stopping: Promise<void> | undefined;
  private stopTimer: NodeJS.Timeout | undefined;

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

  /** Of the workers that run. */
  get reachable(): readonly WorkerReach[] {
    return this.running.map(({ control }) => control);
  }

  get process(): ProcessOperations {
    return this;
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
        ...this.ports.component.map((port) => ({ kind: 'component', port })),
        ...this.ports.s2s.map((port) => ({ kind: 's2s', port })),
        ...this.ports.s2sTls.map((port) => ({ kind: 's2s_tls', port })),
        ...this.ports.router.map((port) => ({ kind: 'router', port })),
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
  async *export(bare: BareJid): AsyncGenerator<{ readonly text: string }> {
    for await (const text of this.pool.export(storePath(this.config), bare)) yield { text };
  }

  reload(): Promise<ReloadResult> {
    return this.parts.reload();
  }

  describeConfig(): string {
    return this.parts.describeConfig();
  }

  /** Ends in order: clients are told, what is under way is made durable. Safe to call again. */
  stop(isRestart = false): Promise<void> {
    clearTimeout(this.stopTimer);
    this.stopping ??= this.parts.close(isRestart);
    return this.stopping;
  }

  stopLater(delayMs: number, isRestart: boolean): void {
    clearTimeout(this.stopTimer);
    this.stopTimer = setTimeout(() => void this.stop(isRestart), Math.max(delayMs, ANSWER_MS));
  }

  private get running(): readonly WorkerHandle[] {
    return this.parts.workers.filter(({ state }) => state === 'running');
  }
}

/** 32 bytes nobody else has. */
export function makeSecret(): Buffer {
  return randomBytes(32);
}
