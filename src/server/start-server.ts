/** Starts the whole server in this process: pool, control socket, supervised worker threads. */
import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { VERSION } from '../build/version.ts';
import { transfer } from 'comlink';
import { MessageChannel } from 'node:worker_threads';
import { compareConfigs, printConfig } from '../config/describe.ts';
import type { LoadedConfig } from '../config/load.ts';
import { controlPath } from '../control/protocol.ts';
import { startControl, type ControlServer } from '../control/server.ts';
import { OperatorError } from '../kernel/errors.ts';
import type { ExitReason } from '../kernel/actor.ts';
import { Supervisor, type ChildHandle } from '../kernel/supervisor.ts';
import type { Logger } from '../observe/log.ts';
import type { Operations } from '../core/operations.ts';
import { MODULES } from '../modules/index.ts';
import { runCommand, serverCommands } from './commands.ts';
import { withDrillCommands } from './drill.ts';
import { openStore } from './open-store.ts';
import { Pool } from './pool.ts';
import { reloadedConfig } from './reload.ts';
import { Server } from './server.ts';
import { checkServices, ensureDataDir, ensureSecret, prepareTls, type PreparedTls } from './startup.ts';
import { ThreadWorker } from './thread-worker.ts';
import type { Activity, MainControl, WorkerStart } from './worker-control.ts';

export interface StartInput {
  readonly loaded: LoadedConfig;
  /** Reads the configuration again, for `reload`. */
  readonly load: () => LoadedConfig;
  readonly logger: Logger;
  /** Lines of the workers' logs. */
  readonly writeLog: (lines: readonly string[]) => void;
  /** The workers died more often than they may: the process should end with an error. */
  readonly onGivenUp: (reason: string) => void;
  /** The server has stopped in order, whoever asked for it; `isRestart`: to be started again. */
  readonly onStopped: (isRestart: boolean) => void;
}

export interface StartedServer {
  readonly server: Server;
  readonly tls: PreparedTls;
}

/** How often the logs of all accounts are looked through. */
const SWEEP_MS = 24 * 60 * 60_000;

/** Bursts are survived, a worker that dies every few seconds for a minute is not: something is really wrong. */
const WORKER_INTENSITY = { maxRestarts: 10, withinMs: 60_000 };

/** How often it is looked whether nothing is under way any more. */
const QUIET_POLL_MS = 10;

/** What a worker may take beyond the time to drain. */
const WORKER_GRACE_MS = 6_000;

/** @throws OperatorError or ConfigError with what the operator has to mend. */
export async function startWholeServer(input: StartInput): Promise<StartedServer> {
  const { logger, writeLog, onGivenUp } = input;
  const { config } = input.loaded;
  checkServices(config, MODULES);
  let running = config;
  ensureDataDir(config);
  // Whoever holds the control socket holds the data directory: it comes before the store.
  const late: Late = { ...Promise.withResolvers<Server>(), isListening: false };
  late.promise.catch(() => undefined); // of interest to who asked meanwhile only
  const control = await openControl(config.dataDir, late, logger);
  const undo: (() => Promise<unknown>)[] = [() => control.close()];
  const undoAll = async (): Promise<void> => {
    for (const step of undo.splice(0))
      await step().catch((error: unknown) => logger.error('stop_failed', { error: error instanceof Error ? error.stack : String(error) }));
  };
  try {
    const secret = ensureSecret(config);
    let tls = prepareTls(config);
    const ticketSecret = randomBytes(32);
    const pool = new Pool({ threads: config.pool.threads, maxQueued: config.pool.maxQueued });
    undo.unshift(() => pool.close());
    const store = await openStore(config, {
      onTrouble: (error) => {
        if (error === undefined) logger.info('store_recovered');
        else logger.error('store_trouble', { reason: error.message });
      },
    });
    undo.unshift(() => store.close());

    const commands = serverCommands();
    const main: MainControl = {
      derive: (password, iterations) => pool.derive(password, iterations),
      verify: (password, record) => pool.verify(password, record),
      sift: (job) => pool.sift(job),
      inspectPicture: (job) => pool.inspectPicture(job),
      log: writeLog,
      command: (name, args, caller) => runCommand(commands, { name, args, caller }, () => operationsOf(late), logger),
    };
    const workers = Array.from({ length: config.workers.count }, (_, index) => {
      const makeStart: ConstructorParameters<typeof ThreadWorker>[0]['makeStart'] = (heartbeat): WorkerStart => ({
        index,
        workers: config.workers.count,
        config: running,
        tlsHosts: tls.hosts,
        ticketSecret,
        secret,
        heartbeat,
      });
      const { heapBytes, stallMs } = config.workers;
      return new ThreadWorker({ index, main, makeStart, heapBytes, stallMs, stopMs: config.stopMs });
    });
    const supervisor = new Supervisor(
      {
        id: 'workers',
        strategy: 'one_for_one',
        intensity: WORKER_INTENSITY,
        children: workers.map((worker) => ({
          id: `worker ${worker.index}`,
          restart: 'permanent' as const,
          shutdownMs: config.stopMs + WORKER_GRACE_MS,
          start: (onExit: (reason: ExitReason) => void) => startWorker(worker, workers, () => late.isListening, onExit, logger),
        })),
      },
      (reason) => void undoAll().then(() => onGivenUp(reason.kind === 'crash' ? reason.error : reason.kind)),
    );
    undo.unshift(() => supervisor.stop('shutdown'));
    await supervisor.start();
    // All are joined: only now can every account be reached by whoever connects.
    for (const worker of workers) await listenWith(worker, workers[0] === worker ? undefined : workers[0]!.ports);
    late.isListening = true;
    wakeAccounts(workers[0]!, logger);
    const sweeper = setInterval(() => sweepLogs(workers, logger), SWEEP_MS).unref();
    undo.unshift(async () => clearInterval(sweeper));

    const server = new Server({
      get config() {
        return running;
      },
      store,
      pool,
      workers,
      describeConfig: () => printConfig({ ...input.loaded, config: running }),
      reload: async () => {
        // Nothing is changed before all of it is found to be right.
        const next = input.load().config;
        checkServices(next, MODULES);
        const nextTls = prepareTls(next);
        const changes = compareConfigs(running, next);
        running = reloadedConfig(running, next);
        tls = nextTls;
        await Promise.all(workers.filter(({ state }) => state === 'running').map((worker) => worker.control.reload(running, tls.hosts)));
        logger.level = running.log.level;
        return { changes: changes.map(({ path, reload }) => ({ path, reload })) };
      },
      close: async (isRestart) => {
        await quiet(workers, running.stopMs);
        await undoAll();
        input.onStopped(isRestart);
      },
    });
    late.server = server;
    late.resolve(server);
    return { server, tls };
  } catch (error) {
    late.reject(new OperatorError('ERR_NOT_READY', 'The server did not come up; its log says why.'));
    await undoAll();
    throw error;
  }
}

/** @throws OperatorError ERR_LISTEN with what the system said. */
async function listenWith(worker: ThreadWorker, ports: ThreadWorker['ports'] | undefined): Promise<void> {
  try {
    await worker.listen(ports);
  } catch (error) {
    throw new OperatorError('ERR_LISTEN', (error as Error).message, { cause: error });
  }
}

/**
 * Before any worker ends, no client may be left on another one, and no message on its way to it: what a worker gets
 * behind its end is lost. Waits for that, but no longer than `withinMs` beyond the goodbyes.
 */
async function quiet(workers: readonly ThreadWorker[], withinMs: number): Promise<void> {
  const running = workers.filter(({ state }) => state === 'running');
  await Promise.allSettled(running.map(({ control }) => control.closeClients()));
  const untilMs = performance.now() + withinMs;
  const none: Activity = { waiting: 0, turns: 0 }; // of one that dies meanwhile
  for (let before = ''; performance.now() < untilMs;) {
    const activities = await Promise.all(
      running.map(async (worker) => (worker.state === 'running' ? worker.control.activity().catch(() => none) : none)),
    );
    const turns = activities.map((activity) => activity.turns).join(' ');
    if (turns === before && activities.every(({ waiting }) => waiting === 0)) return;
    before = turns;
    await setTimeout(QUIET_POLL_MS);
  }
}

/** One life of a worker thread, joined to all others. */
async function startWorker(
  worker: ThreadWorker,
  workers: readonly ThreadWorker[],
  mayListen: () => boolean,
  onExit: (reason: ExitReason) => void,
  logger: Logger,
): Promise<ChildHandle> {
  await worker.start((reason) => {
    logger.error('worker_down', { worker: worker.index, reason });
    for (const other of workers) {
      if (other !== worker && other.state === 'running') other.control.peerDown(worker.index).catch(() => undefined); // it may be dying, too
    }
    onExit({ kind: 'crash', error: reason });
  });
  for (const other of workers) {
    if (other === worker || other.state !== 'running') continue;
    const { port1, port2 } = new MessageChannel();
    await worker.control.connectPeer(other.index, transfer(port1, [port1]));
    await other.control.connectPeer(worker.index, transfer(port2, [port2]));
  }
  if (mayListen()) {
    await worker.listen();
    wakeAccounts(worker, logger);
  }
  logger.info('worker_up', { worker: worker.index, restarts: worker.restarts });
  return { stop: () => worker.stop(), kill: () => void worker.kill() };
}

/** Beside everything else: it takes as long as there are many. */
function wakeAccounts({ control, index }: ThreadWorker, logger: Logger): void {
  control.wakeAccounts().catch((error: unknown) => logger.error('wake_failed', { worker: index, error: String(error) }));
}

/** Logs of accounts that nobody loads are trimmed, too. One worker looks through them; each account trims its own. */
function sweepLogs(workers: readonly ThreadWorker[], logger: Logger): void {
  const worker = workers.find(({ state }) => state === 'running');
  worker?.control.sweepLogs().then(
    (woken) => logger.info('logs_swept', { accounts: woken }),
    (error: unknown) => logger.error('sweep_failed', { error: String(error) }),
  );
}

/** What is there once the server is up, and its promise until then. */
interface Late extends PromiseWithResolvers<Server> {
  server?: Server;
  isListening: boolean;
}

/**
 * Commands of those who come early wait: the first ports are open before the last, and a script need not guess when.
 * Rejects with OperatorError ERR_NOT_READY where the server does not come up.
 */
async function operationsOf({ promise }: Late): Promise<Operations> {
  return (await promise).operations;
}

async function openControl(dataDir: string, late: Late, logger: Logger): Promise<ControlServer> {
  return startControl({
    path: controlPath(dataDir),
    commands: withDrillCommands(serverCommands(), () => late.server!),
    operations: () => operationsOf(late),
    version: VERSION,
    onFailure: (command, error) => logger.error('command_failed', { command, error: error instanceof Error ? error.stack : String(error) }),
  });
}
