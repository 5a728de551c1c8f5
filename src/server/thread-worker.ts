/**
 * A worker thread, its life and its death: an uncaught error, a full heap or an event loop that
 * stands still ends the thread, and the supervisor starts another in its place.
 */
import { Worker, MessageChannel, type MessagePort } from 'node:worker_threads';
import { expose, wrap, type Remote } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { workerEntry, type WorkerEntry } from '../build/embedded.ts';
import type { WorkerStatus } from '../core/server-status.ts';
import { OperatorError } from '../kernel/errors.ts';
import { allowCollecting } from './quiet-collector.ts';
import { NO_PORTS, type ListeningPorts, type MainControl, type WorkerControl, type WorkerStart } from './worker-control.ts';
import { workerStatus, type AsyncControl, type WorkerHandle } from './worker-handle.ts';

/** What the thread finds in `workerData`. */
export interface ThreadData {
  readonly start: WorkerStart;
  /** Comlink's way back to the main thread. */
  readonly mainPort: MessagePort;
}

export interface ThreadWorkerOptions {
  readonly index: number;
  readonly main: MainControl;
  /** What the thread is started with, made anew for each life. */
  readonly makeStart: (heartbeat: SharedArrayBuffer) => WorkerStart;
  readonly heapBytes: number;
  /** An event loop that stands still for longer is given up. */
  readonly stallMs: number;
  readonly stopMs: number;
  /** In place of the server's own, for drills. */
  readonly entry?: WorkerEntry;
}

/** How often the watchdog looks. A pause of the whole process counts for one look, and the system's clock does not matter. */
const WATCH_EVERY_MS = 500;
const MIB = 1024 * 1024;

export class ThreadWorker implements WorkerHandle {
  readonly index: number;
  state: WorkerStatus['state'] = 'starting';
  ports: ListeningPorts = NO_PORTS;
  /** Lives before this one. */
  restarts = -1;
  private readonly options: ThreadWorkerOptions;
  private thread: Worker | undefined;
  private remote: AsyncControl | undefined;
  private watchdog: NodeJS.Timeout | undefined;

  constructor(options: ThreadWorkerOptions) {
    this.options = options;
    this.index = options.index;
  }

  get control(): AsyncControl {
    if (this.remote === undefined)
      throw new OperatorError('ERR_NOT_READY', `Worker thread ${this.index} is not running just now; try again in a moment.`);
    return this.remote;
  }

  /**
   * Starts the thread and waits until it is ready to be joined to the others and to listen.
   *
   * @param onExit called once when this life ends unasked, with the reason.
   */
  async start(onExit: (reason: string) => void): Promise<void> {
    const { main, makeStart, heapBytes, entry = workerEntry() } = this.options;
    this.restarts++;
    this.state = this.restarts === 0 ? 'starting' : 'restarting';
    const heartbeat = new SharedArrayBuffer(8);
    const channel = new MessageChannel();
    expose(main, nodeEndpoint(channel.port1));
    channel.port1.unref();
    const data: ThreadData = { start: makeStart(heartbeat), mainPort: channel.port2 };
    allowCollecting();
    const thread = new Worker(entry.script, {
      ...entry.options,
      name: `worker-${this.index}`,
      workerData: data,
      transferList: [channel.port2],
      resourceLimits: { maxOldGenerationSizeMb: Math.round(heapBytes / MIB) },
    });
    this.thread = thread;
    const calls = new Calls(wrap<WorkerControl>(nodeEndpoint(thread)) as Remote<WorkerControl> as unknown as AsyncControl);
    this.remote = calls.control;
    let reason: string | undefined;
    thread.once('error', (error) => {
      reason ??= error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    thread.once('exit', (code) => {
      clearInterval(this.watchdog);
      channel.port1.close();
      const wasRunning = this.state === 'running';
      if (this.state !== 'stopping') this.state = 'restarting';
      this.remote = undefined;
      const why = reason ?? `the thread ended with code ${code}`;
      calls.end(new OperatorError('ERR_NOT_READY', `Worker thread ${this.index} has ended: ${why}`));
      if (wasRunning) onExit(why);
    });
    await calls.control.start();
    this.state = 'running';
    this.watch(heartbeat, thread, (why) => (reason = why));
  }

  /** @param ports what an earlier worker listens on. A later life listens where its first one did. */
  async listen(ports?: ListeningPorts): Promise<void> {
    const hasListened = Object.values(this.ports).some((ports) => ports.length > 0);
    this.ports = await this.control.listen(hasListened ? this.ports : ports);
  }

  async status(): Promise<WorkerStatus> {
    const figures = this.state === 'running' ? await this.control.figures().catch(() => undefined) : undefined; // it may be dying just now
    return workerStatus(this.index, this.state, Math.max(this.restarts, 0), figures);
  }

  async stop(): Promise<void> {
    const { thread, remote } = this;
    const wasRunning = this.state === 'running';
    this.state = 'stopping';
    if (thread === undefined) return;
    if (wasRunning && remote !== undefined) {
      const tooLate = new Promise<void>((resolve) => setTimeout(resolve, this.options.stopMs + 5_000).unref());
      await Promise.race([remote.drain().catch(() => undefined), tooLate]);
    }
    await thread.terminate();
  }

  async kill(): Promise<void> {
    await this.thread?.terminate();
  }

  private watch(heartbeat: SharedArrayBuffer, thread: Worker, blame: (why: string) => void): void {
    const cell = new BigInt64Array(heartbeat);
    const { stallMs } = this.options;
    const everyMs = Math.min(WATCH_EVERY_MS, stallMs / 2);
    let last = -1n;
    let silentMs = 0;
    this.watchdog = setInterval(() => {
      const beat = Atomics.load(cell, 0);
      silentMs = beat === last ? silentMs + everyMs : 0;
      last = beat;
      if (silentMs < stallMs) return;
      blame(`the event loop stood still for ${silentMs} ms`);
      void thread.terminate();
    }, everyMs);
    this.watchdog.unref();
  }
}

/** A thread's control interface whose calls reject when the thread ends: from Comlink's side they would never settle. */
class Calls {
  readonly control: AsyncControl;
  private readonly open = new Set<(error: Error) => void>();
  private ended: Error | undefined = undefined;

  constructor(remote: AsyncControl) {
    this.control = new Proxy(remote, {
      get: (target, name) =>
        name === 'then'
          ? undefined
          : (...args: unknown[]) =>
              this.call(() => (target[name as keyof AsyncControl] as (...args: unknown[]) => Promise<unknown>)(...args)),
    });
  }

  end(error: Error): void {
    this.ended = error;
    for (const reject of this.open) reject(error);
    this.open.clear();
  }

  private async call(run: () => Promise<unknown>): Promise<unknown> {
    if (this.ended !== undefined) throw this.ended;
    const { promise, reject } = Promise.withResolvers<never>();
    this.open.add(reject);
    try {
      return await Promise.race([run(), promise]);
    } finally {
      this.open.delete(reject);
    }
  }
}
