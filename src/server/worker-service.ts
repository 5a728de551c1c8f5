/**
 * One worker, whole: kernel, store, runtime and listeners, behind the control interface. It runs in
 * a worker thread (`src/worker.ts`), or in the calling thread for programs that embed the server.
 */
import { isIP } from 'node:net';
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../config/config.ts';
import { systemClock, type Clock } from '../kernel/clock.ts';
import type { KernelLimits } from '../kernel/limits.ts';
import { Kernel, type CrashMoment } from '../kernel/kernel.ts';
import type { CrashReport, KernelObserver } from '../kernel/observer.ts';
import { isOperatorError } from '../core/command.ts';
import type { AccountRequest, OperationAnswer } from '../core/operations.ts';
import { MODULES } from '../modules/index.ts';
import { addressKey } from '../net/address.ts';
import { Admission } from '../net/admission.ts';
import { Dialer } from '../net/dial.ts';
import { FlushQueue } from '../net/flush-queue.ts';
import { listen, type Listener } from '../net/listener.ts';
import type { TlsHost } from '../net/credentials.ts';
import { makeNameService } from '../net/service-records.ts';
import type { S2sWorld } from '../s2s/index.ts';
import { makeTlsSettings, TlsContexts, type TlsEntry, type TlsSettings } from '../net/tls-context.ts';
import type { Transport } from '../net/transport.ts';
import { makeLogger, type Logger } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import { makeStreamId, responseHeader, STREAM_END, streamErrorXml } from '../stream/header.ts';
import { asciiDomain, parseJid, type BareJid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { serverCommands } from './commands.ts';
import { storeForDrill } from './drill.ts';
import { LOOK_MS, ownHeap, QuietCollector } from './quiet-collector.ts';
import { Runtime } from './runtime.ts';
import { Pace } from '../stream/pace.ts';
import type { Activity, ActorView, ListeningPorts, MainControl, WorkerControl, WorkerFigures, WorkerStart } from './worker-control.ts';

/** How often the watchdog is told that the event loop turns; more often than that looks. */
const HEARTBEAT_MS = 200;
/** For what clients have caused by leaving to reach other servers. */
const LINKS_MS = 2_000;

export interface WorkerServiceOptions {
  readonly start: WorkerStart;
  readonly main: MainControl;
  /** In place of the store on disk. */
  readonly store?: Store;
  readonly clock?: Clock;
  /** Puts the thread to sleep for a moment, where it is the worker's own: see `stream/pace.ts`. */
  readonly sleep?: (ms: number) => void;
}

export class WorkerService implements WorkerControl {
  private readonly options: WorkerServiceOptions;
  private config: Config;
  private tlsHosts: readonly TlsHost[];
  readonly logger: Logger;
  private readonly kernel: Kernel;
  private readonly pace: Pace | undefined;
  private readonly flushQueue = new FlushQueue(setImmediate, () => this.kernel.isInSlice);
  private readonly admission: Admission;
  private readonly listeners: Listener[] = [];
  private store: Store | undefined;
  private runtime: Runtime | undefined;
  private tls: TlsContexts | undefined;
  /** What is shown to other servers, and asked of them. */
  private serverTls: TlsContexts | undefined;
  private heartbeat: NodeJS.Timeout | undefined;
  private collecting: NodeJS.Timeout | undefined;

  constructor(options: WorkerServiceOptions) {
    const { start, main, clock = systemClock, sleep } = options;
    this.options = options;
    this.config = start.config;
    this.tlsHosts = start.tlsHosts;
    this.logger = makeLogger({ level: start.config.log.level, fields: { worker: start.index }, write: (lines) => main.log(lines) });
    const pace = sleep && new Pace(start.config.workers.pollIntervalMs, sleep, () => clock.monotonicMs());
    this.pace = pace;
    this.kernel = new Kernel({
      worker: start.index,
      workers: start.workers,
      clock,
      observer: observerOf(this.logger, () => this.runtime?.s2s?.workerDown()),
      // Who may wait for whom: see src/README.md.
      askOrder: ['c2s', 'account'],
      limits: kernelLimits(start.config),
      rest: pace && (() => pace.rest()),
    });
    this.kernel.onSliceEnd(() => this.flushQueue.flush());
    this.admission = new Admission(admissionLimits(start.config), clock);
    this.beat();
    this.collectWhenQuiet();
  }

  async start(): Promise<void> {
    const { start, main } = this.options;
    // Not loaded where it is not used: embedded servers keep their data in memory.
    const gather = (write: () => void): void => this.kernel.defer(write);
    this.store = storeForDrill(this.options.store ?? (await (await import('./open-store.ts')).openStore(start.config, { gather })));
    this.tls = this.loadTls(this.tlsSettings());
    const s2s = start.config.s2s.isEnabled ? await this.makeS2s() : undefined;
    const hasClientCertificates = start.config.tls.clientAuthorities !== undefined;
    const certificates = hasClientCertificates ? await import('../sasl/certificate-addresses.ts') : undefined;
    this.runtime = new Runtime({
      config: start.config,
      kernel: this.kernel,
      store: this.store,
      pool: main,
      log: this.logger,
      modules: MODULES,
      commands: { table: serverCommands(), run: (name, args, caller) => main.command(name, args, caller) },
      secret: Buffer.from(start.secret),
      now: () => systemClock.now(),
      certificateAddresses: certificates?.parseCertificateAddresses,
      onAuthenticated: (transport) => this.authenticated(transport),
      onLoginFailed: ({ remoteAddress }) => this.loginFailed(remoteAddress),
      s2s,
      pace: this.pace,
    });
  }

  /** Loaded only where there is speaking with other servers: its ASN.1 parser is large. */
  private async makeS2s(): Promise<S2sWorld> {
    const { makeTrust } = await import('../s2s/trust.ts');
    this.serverTls = this.loadTls(this.serverTlsSettings());
    const { s2s, hosts } = this.config;
    const dialer = new Dialer({ flushQueue: this.flushQueue, timeoutMs: s2s.connectMs });
    return {
      names: makeNameService({ servers: s2s.nameServers, timeoutMs: s2s.nameTimeoutMs }),
      trust: makeTrust({ config: () => this.config, authorities: () => this.serverTls?.authorities, now: () => systemClock.now() }),
      dial: async (place, local, remote) => {
        // Components have no certificate of their own.
        const context = this.serverTls?.clientContext(local) ?? this.serverTls?.clientContext(hosts[0]!.domain);
        if (context === undefined) throw new Error('this server has no certificate that it could show');
        const name = asciiDomain(remote);
        return dialer.dial({
          ...place,
          serverName: isIP(name) === 0 && !name.startsWith('[') ? name : undefined,
          alpn: 'xmpp-server',
          context,
        });
      },
      onAuthenticated: (transport) => this.authenticated(transport),
    };
  }

  async listen(ports: ListeningPorts | undefined): Promise<ListeningPorts> {
    const { config, workers } = this.options.start;
    const open = async (
      wanted: readonly number[],
      kind: TlsEntry,
      setting: string,
      hosts: readonly string[] = config.listen,
      accept = (transport: Transport): void => this.running.accept(transport),
      tls: TlsContexts | undefined = this.tls,
    ): Promise<number[]> => {
      const opened: number[] = [];
      for (const port of wanted) {
        const listener = await listen({
          ...(hosts.includes('*') ? {} : { hosts }),
          port,
          setting,
          reusePort: workers > 1,
          checkUnused: ports === undefined && workers > 1, // a worker that is replaced shares its ports with those that live
          kind,
          tls,
          flushQueue: this.flushQueue,
          admission: this.admission,
          accept,
          refusalText: (refusal) => (tls === this.tls && refusal === 'too_many_login_failures' ? this.banText() : undefined),
          onAcceptError: (error) => this.logger.error('accept_failed', { code: error.code }),
        });
        if (listener.kind === 'listen_problem') throw new Error(listener.text);
        this.listeners.push(listener);
        opened.push(listener.port);
      }
      return opened;
    };
    const openServers = async (wanted: readonly number[], kind: TlsEntry, setting: string): Promise<number[]> =>
      config.s2s.isEnabled
        ? open(wanted, kind, setting, config.listen, (transport) => this.running.acceptServer(transport), this.serverTls)
        : [];
    return {
      c2s: await open(ports?.c2s ?? config.c2s.ports, 'starttls', 'ROOKERY_C2S_PORT'),
      c2sTls: await open(ports?.c2sTls ?? config.c2s.tlsPorts, 'direct_tls', 'ROOKERY_C2S_TLS_PORT'),
      component: await open(
        ports?.component ?? (Object.keys(config.components).length === 0 ? [] : config.component.ports),
        'starttls',
        'ROOKERY_COMPONENT_PORT',
        config.component.listen,
        (transport) => this.running.components.accept(transport, 'component'),
      ),
      router: await open(ports?.router ?? config.router.ports, 'starttls', 'ROOKERY_ROUTER_PORT', config.router.listen, (transport) =>
        this.running.components.accept(transport, 'router'),
      ),
      s2s: await openServers(ports?.s2s ?? config.s2s.ports, 'starttls', 'ROOKERY_S2S_PORT'),
      s2sTls: await openServers(ports?.s2sTls ?? config.s2s.tlsPorts, 'direct_tls', 'ROOKERY_S2S_TLS_PORT'),
    };
  }

  connectPeer(worker: number, port: MessagePort): void {
    this.kernel.connect(worker, port);
    this.running.components.peerJoined(worker);
  }

  peerDown(worker: number): void {
    this.kernel.workerDown(worker);
  }

  ask(bare: string, request: AccountRequest): Promise<unknown> {
    return this.running.ask(parseJid(bare)!.bare, request);
  }

  async operate(operation: string, args: unknown): Promise<OperationAnswer> {
    try {
      return { ok: true, result: await this.running.operate(operation, args) };
    } catch (error) {
      if (isOperatorError(error)) return { ok: false, code: error.code, message: error.message };
      throw error;
    }
  }

  figures(): WorkerFigures {
    const { counters } = this.running;
    const inspection = this.kernel.inspect();
    const { throttle, outbound } = this.running.links;
    const limits = {
      throttled: throttle.pauses,
      throttledMs: Math.round(throttle.pausedMs),
      outboundSoftExceeded: outbound.softExceeded,
      outboundVictims: outbound.victims,
      addressesBanned: this.admission.bans,
    };
    const links = this.running.s2s?.counters;
    const s2s = Object.fromEntries(
      Object.entries(links ?? {}).map(([name, count]) => [`s2s${name[0]!.toUpperCase()}${name.slice(1)}`, count as number]),
    );
    const { accepted, authenticated, loginFailures, bound, resumed, stanzasIn, stanzasOut } = counters;
    return {
      worker: this.options.start.index,
      connections: this.admission.open,
      sessions: counters.openSessions,
      counters: {
        accepted,
        authenticated,
        loginFailures,
        bound,
        resumed,
        stanzasIn,
        stanzasOut,
        ...limits,
        ...this.running.components.counters,
        ...s2s,
      },
      closed: Object.fromEntries(counters.closed),
      actors: Object.fromEntries(inspection.machines.map(({ name, count, restarts, queued }) => [name, { count, restarts, queued }])),
      loopDelayP99Ms: inspection.loopDelayP99Ms,
      heapBytes: process.memoryUsage().heapUsed,
    };
  }

  actors(kind: string | undefined, limit: number): ActorView[] {
    return this.kernel.list({ kind, limit }).map(({ ref, name, state, description, queued, queuedBytes, restarts }) => ({
      worker: ref.worker,
      id: ref.id,
      kind: name,
      state,
      what: description,
      queued,
      queuedBytes,
      restarts,
    }));
  }

  /** Bare JIDs of the accounts that are loaded here and have sessions. */
  sessionOwners(): BareJid[] {
    return this.running.sessionOwners();
  }

  reload(config: Config, tlsHosts: readonly TlsHost[]): void {
    this.config = config;
    this.tlsHosts = tlsHosts;
    this.running.reload(config);
    this.logger.level = config.log.level;
    this.admission.setLimits(admissionLimits(config));
    const problems = [...(this.tls?.reload(this.tlsSettings()) ?? []), ...(this.serverTls?.reload(this.serverTlsSettings()) ?? [])];
    for (const { severity, text } of problems) this.logger[severity === 'error' ? 'error' : 'warn']('certificate', { text });
  }

  async closeClients(): Promise<void> {
    for (const listener of this.listeners.splice(0)) listener.close();
    await this.runtime?.closeConnections(this.config.stopMs);
  }

  wakeAccounts(): Promise<void> {
    return this.running.wakeAccounts();
  }

  sweepLogs(): Promise<number> {
    return this.running.sweepLogs();
  }

  activity(): Activity {
    const { machines, bridges, turns } = this.kernel.inspect();
    const here = machines.reduce((sum, { queued, heldTurns }) => sum + queued + heldTurns, 0);
    return { waiting: bridges.reduce((sum, { queuedEnvelopes }) => sum + queuedEnvelopes, here), turns };
  }

  async drain(): Promise<void> {
    await this.closeClients();
    await this.runtime?.closeLinks(Math.min(this.config.stopMs, LINKS_MS));
    await this.kernel.drain(this.config.stopMs, ['c2s', 'host', 'account', 's2s_in', 's2s_out']);
    this.kernel.close();
    clearInterval(this.heartbeat);
    clearInterval(this.collecting);
    if (this.options.store === undefined) await this.store?.close();
    this.logger.flush();
  }

  crashActor(id: number, moment: CrashMoment): boolean {
    return this.kernel.crash({ node: 0, worker: this.options.start.index, id }, new Error('crash injected by a drill'), moment);
  }

  private get running(): Runtime {
    if (this.runtime === undefined) throw new Error('the worker has not started yet');
    return this.runtime;
  }

  private loadTls(settings: TlsSettings): TlsContexts | undefined {
    const { contexts, problems } = TlsContexts.load(settings);
    for (const { severity, text } of problems) this.logger[severity === 'error' ? 'error' : 'warn']('certificate', { text });
    return contexts;
  }

  private tlsSettings(): TlsSettings {
    const { ticketSecret } = this.options.start;
    const { clientAuthorities } = this.config.tls;
    return makeTlsSettings(this.tlsHosts, { ticketSecret: Buffer.from(ticketSecret), clientAuthorityFile: clientAuthorities });
  }

  private serverTlsSettings(): TlsSettings {
    const ticketSecret = Buffer.from(this.options.start.ticketSecret);
    const clientAuthorityFile = this.config.s2s.authorities;
    return makeTlsSettings(this.tlsHosts, { ticketSecret, clientAuthorityFile, alpn: ['xmpp-server'], areServers: true });
  }

  private authenticated(transport: Transport): void {
    for (const listener of this.listeners) listener.authenticated(transport);
  }

  private loginFailed(address: string): void {
    if (!this.admission.loginFailed(address)) return;
    this.logger.warn('address_banned', { address: addressKey(address), forMs: this.config.limits.loginBanMs });
  }

  /** A stream that is nothing but its error. RFC 6120 §4.9.3.14 */
  private banText(): string {
    const header = responseHeader({
      contentNs: NS.client,
      from: this.config.hosts[0]!.domain,
      to: undefined,
      id: makeStreamId(),
      lang: 'en',
    });
    return `${header}${streamErrorXml('policy-violation', 'too many failed logins from this address; try again later')}${STREAM_END}`;
  }

  private beat(): void {
    const cell = new BigInt64Array(this.options.start.heartbeat);
    this.heartbeat = setInterval(() => void Atomics.add(cell, 0, 1n), HEARTBEAT_MS);
    this.heartbeat.unref();
  }

  private collectWhenQuiet(): void {
    const heap = ownHeap();
    if (heap === undefined) return;
    const collector = new QuietCollector(heap);
    this.collecting = setInterval(() => collector.look(), LOOK_MS);
    this.collecting.unref();
  }
}

/** A crash is one line: what, where, in which state, at which event. */
function observerOf(logger: Logger, onWorkerDown: () => void): KernelObserver {
  return {
    crashed(report: CrashReport) {
      const { machine, description, state, event, error, crashes, willRestart, ref } = report;
      logger.error('actor_crashed', {
        actor: `${machine}:${ref.worker}:${ref.id}`,
        whose: description,
        state,
        event,
        crashes,
        restarts: willRestart,
        error: error instanceof Error ? error.stack : String(error),
      });
    },
    failed: ({ what, machine, error }) => logger.error('kernel_callback_failed', { callback: what, machine, error: String(error) }),
    workerUp: (worker) => logger.debug('peer_up', { peer: worker }),
    workerDown: (worker) => {
      logger.warn('peer_down', { peer: worker });
      onWorkerDown();
    },
  };
}

function kernelLimits({ workers, limits }: Config): Partial<KernelLimits> {
  return {
    turnBudget: workers.turnBudget,
    sliceMs: workers.sliceMs,
    mailbox: { maxMessages: limits.mailboxMessages, maxBytes: limits.mailboxBytes },
    maxQueuedEnvelopes: limits.bridgeMessages,
    maxQueuedBytes: limits.bridgeBytes,
  };
}

function admissionLimits({ limits }: Config): ConstructorParameters<typeof Admission>[0] {
  return {
    maxConnections: limits.connectionsPerWorker,
    maxUnauthenticated: limits.unauthenticatedPerWorker,
    maxPerAddress: limits.connectionsPerAddress,
    maxUnauthenticatedPerAddress: limits.unauthenticatedPerAddress,
    connectBurst: limits.connectBurst,
    connectsPerSecond: limits.connectsPerSecond,
    maxRememberedAddresses: 20_000,
    maxLoginFailures: limits.loginFailures.count,
    loginFailureWindowMs: limits.loginFailures.windowMs,
    banMs: limits.loginBanMs,
  };
}
