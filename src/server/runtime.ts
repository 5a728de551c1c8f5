/**
 * Everything that runs in one worker: its hosts and modules, the account and host actors, the
 * client connections. The same in a worker thread, in the process that embeds the server, and in
 * tests with a clock that stands still.
 */
import { setTimeout } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { shaperFor } from '../config/shapers.ts';
import { C2sCounters, type C2sEnvironment } from '../c2s/connection.ts';
import { c2sMachine } from '../c2s/machine.ts';
import type { AccountCensus } from '../core/account.ts';
import { accountMachine, type AccountArgs } from '../core/account-machine.ts';
import type { CoreLog, PasswordPool, Services } from '../core/context.ts';
import { AskError } from '../core/ask-error.ts';
import type { CommandPort } from '../core/command.ts';
import { hostMachine, type HostArgs } from '../core/host-actor.ts';
import { enabledModules, Host } from '../core/host.ts';
import { CODECS, type CloseStream, type ConnectionMessage } from '../core/messages.ts';
import type { ModuleSpec } from '../core/module.ts';
import {
  resultOf,
  type AccountOperation,
  type AccountRequest,
  type OperationAnswer,
  type WorkerContext,
  type WorkerOperation,
} from '../core/operations.ts';
import { CHECK_LINK, CLOSE_LINKS, LIST_LINKS } from '../core/links.ts';
import { TAKE_SETTING } from '../core/host-settings.ts';
import { configuredAdmins } from '../core/roles.ts';
import { Router, type Outbox } from '../core/router.ts';
import { serviceMachine, type ServiceArgs } from '../core/service-actor.ts';
import type { ServiceDomain } from '../core/service.ts';
import type { ActorRef, MailboxLimits, Message, ReplyTo } from '../kernel/actor.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Codec } from '../kernel/wire.ts';
import { AWAKE } from '../log/segment.ts';
import type { Transport } from '../net/transport.ts';
import type { Store } from '../store/store.ts';
import { Link, LinkShare, type LinkEvent } from '../stream/link.ts';
import type { Pace } from '../stream/pace.ts';
import type { OutboundLimits } from '../stream/outbound.ts';
import { S2s, type S2sWorld } from '../s2s/index.ts';
import { parseJid, type BareJid } from '../xmpp/jid.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { componentRows } from '../commands/component.ts';
import { Components } from './components.ts';
import { sweepLogs } from './sweep.ts';

/** A worker that is busy or just being restarted is no reason to give up early. */
const ASK_TIMEOUT_MS = 10_000;
/** Accounts woken at a time, and the pause that leaves room for those who log in. */
const WAKE_ACCOUNTS = 200;
const WAKE_PAUSE_MS = 20;
/** How often it is looked whether all have left. */
const FAREWELL_POLL_MS = 20;

export interface RuntimeOptions {
  readonly config: Config;
  readonly kernel: Kernel;
  readonly store: Store;
  readonly pool: PasswordPool;
  readonly log: CoreLog;
  readonly modules: readonly ModuleSpec[];
  readonly commands: CommandPort;
  /** 32 bytes, the same on all workers. */
  readonly secret: Buffer;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** See C2sEnvironment; without it no certificate is for anybody. */
  readonly certificateAddresses?: ((certificate: Buffer) => readonly string[]) | undefined;
  /** The way to other servers; without it there is none. */
  readonly s2s?: S2sWorld | undefined;
  readonly pace?: Pace | undefined;
  /** Told when a connection has logged in, and so stops counting as one that has not. */
  readonly onAuthenticated?: (transport: Transport) => void;
  /** Told of each wrong password. */
  readonly onLoginFailed?: (transport: Transport) => void;
}

export class Runtime {
  readonly kernel: Kernel;
  readonly hosts = new Map<string, Host>();
  readonly router: Router;
  readonly counters = new C2sCounters();
  readonly links: LinkShare;
  readonly components: Components;
  readonly s2s: S2s | undefined;
  private readonly census: AccountCensus = { idle: 0, owners: new Set() };
  private config: Config;
  private readonly now: () => number;
  private readonly c2s: C2sEnvironment;
  private readonly mailbox: MailboxLimits;
  private readonly c2sMachine: typeof c2sMachine;
  private readonly store: Store;
  private readonly stopping = new AbortController();
  private readonly operations = new Map<string, WorkerOperation<unknown, unknown>>();
  /** Set once clients are told that the server stops. */
  private farewell: CloseStream | undefined = undefined;

  constructor(options: RuntimeOptions) {
    const { config, kernel, modules, now, onAuthenticated, onLoginFailed } = options;
    this.config = config;
    this.links = new LinkShare(outboundLimits(config), kernel.clock, options.pace);
    this.kernel = kernel;
    this.store = options.store;
    this.now = now;
    const services: Services = {
      store: options.store,
      pool: options.pool,
      log: options.log,
      secret: options.secret,
      commands: options.commands,
      now,
      hasComponent: (domain) => this.components.has(domain),
      listedServices: () => this.components.listed(),
      askAccount: (bare, request) => this.askAccount(bare, request),
    };
    for (const settings of config.hosts) {
      const enabled = enabledModules(settings, modules);
      if (typeof enabled === 'string') throw new Error(enabled); // the loader has checked it: a bug of ours
      this.hosts.set(settings.domain, new Host(config, settings, enabled, services));
    }
    this.addOperation(TAKE_SETTING);
    for (const module of modules) for (const operation of module.workerOperations ?? []) this.addOperation(operation);
    this.router = new Router(this.hosts);
    this.c2s = {
      config,
      hosts: this.hosts,
      counters: this.counters,
      certificateAddresses: options.certificateAddresses ?? (() => []),
      onAuthenticated: (link, account) => {
        link.shape(shaperFor(this.config, configuredAdmins(this.config).has(account.bare) ? 'admins' : 'users', account.domain));
        onAuthenticated?.(link.transport);
      },
      onLoginFailed: (link) => onLoginFailed?.(link.transport),
    };
    const { limits, stanza } = config;
    // Half empty, it takes any stanza: what waits for room needs no more than that.
    const largest = Math.max(stanza.afterLogin.maxBytes, stanza.servers.maxBytes);
    const mailbox = { maxMessages: limits.mailboxMessages, maxBytes: Math.max(limits.mailboxBytes, 4 * largest) };
    this.mailbox = mailbox;
    this.c2sMachine = { ...c2sMachine, mailbox };
    this.registerActors();
    this.components = new Components({
      config,
      kernel,
      hosts: this.hosts,
      router: this.router,
      links: this.links,
      mailbox,
      log: options.log,
      now,
      onAuthenticated: (transport) => onAuthenticated?.(transport),
      onLoginFailed: (transport) => onLoginFailed?.(transport),
      sessionOwners: this.census.owners,
    });
    this.addOperation(componentRows(() => this.components.rows()));
    for (const operation of [LIST_LINKS, CLOSE_LINKS, CHECK_LINK]) this.addOperation(operation);
    this.s2s = options.s2s === undefined || !config.s2s.isEnabled ? undefined : this.makeS2s(options, options.s2s);
  }

  /** Likewise, of another server. */
  acceptServer(transport: Transport): void {
    if (this.s2s === undefined) transport.destroy();
    else this.s2s.accept(transport);
  }

  /** Takes over a connection that was just accepted. TLS, where it comes first, is done. */
  accept(transport: Transport): void {
    const link = new Link({
      transport,
      limits: this.config.stanza.beforeLogin,
      share: this.links,
      rates: shaperFor(this.config, 'beforeLogin'),
      now: this.now,
    });
    const { kernel } = this;
    const ref = kernel.spawn(this.c2sMachine, { environment: this.c2s, link }) as ActorRef<LinkEvent | CloseStream>;
    link.attach({ deliver: (event) => kernel.send(ref, event), whenRoom: (callback) => kernel.whenRoom(ref, callback) });
    if (this.farewell !== undefined) kernel.send(ref, this.farewell);
  }

  /** The configuration has changed, but for what needs a restart. */
  reload(config: Config): void {
    this.config = config;
    this.c2s.config = config;
    this.s2s?.reload(config);
    this.links.outbound.setLimits(outboundLimits(config));
    for (const host of this.hosts.values()) host.reload(config);
    this.components.reload(config);
  }

  /** Asks an account's actor, wherever it lives. Rejects with AskError. */
  async askAccount(bare: BareJid, request: (replyTo: ReplyTo) => Message): Promise<unknown> {
    const outcome = await this.kernel.askTo('account', bare, ASK_TIMEOUT_MS, request);
    if (!outcome.ok) throw new AskError(outcome.failure);
    return outcome.value;
  }

  /** The same for requests that came from outside as plain data. */
  ask(bare: BareJid, request: AccountRequest): Promise<unknown> {
    return this.askAccount(bare, (replyTo) => ({ ...request, replyTo }));
  }

  /** Makes something of this worker available to commands, beside what modules declare. */
  // oxlint-disable-next-line no-explicit-any
  addOperation(operation: WorkerOperation<any, any>): void {
    if (this.operations.has(operation.name)) throw new Error(`there are two worker operations '${operation.name}'`);
    this.operations.set(operation.name, operation);
  }

  /** What a command asks of this worker. Rejects with OperatorError where the operation refuses. */
  async operate(name: string, args: unknown): Promise<unknown> {
    const operation = this.operations.get(name);
    if (operation === undefined) throw new Error(`there is no worker operation '${name}'`);
    return operation.run(this.context(), args);
  }

  private context(): WorkerContext {
    const account = async <A, R>(bare: BareJid, { name }: AccountOperation<A, R>, args: A): Promise<R> =>
      resultOf((await this.ask(bare, { kind: 'operate', operation: name, args })) as OperationAnswer) as R;
    return {
      worker: this.kernel.worker,
      hosts: this.hosts,
      now: this.now(),
      sessionOwners: () => this.sessionOwners(),
      links: this.s2s,
      account,
    };
  }

  /**
   * Loads all accounts that a crash may have interrupted: they give to others what they owe, and sessions nobody resumes come to their end.
   * To be called when every worker can be reached, at the start and after the loss of a worker.
   */
  async wakeAccounts(): Promise<void> {
    for (let after: string | undefined; ;) {
      const page = await this.store.partitions(AWAKE, after, WAKE_ACCOUNTS);
      for (const bare of page) {
        const isOurs = this.hosts.has(bare.slice(bare.indexOf('@') + 1)); // the domain may have been given up since
        if (isOurs) this.kernel.sendTo('account', bare, { kind: 'wake' });
      }
      after = page.at(-1);
      if (page.length < WAKE_ACCOUNTS) return;
      await setTimeout(WAKE_PAUSE_MS);
    }
  }

  /** Wakes the accounts of all workers whose log is to be trimmed. @returns how many. */
  sweepLogs(): Promise<number> {
    return sweepLogs({
      store: this.store,
      hostOf: (domain) => this.hosts.get(domain),
      wake: (bare) => void this.kernel.sendTo('account', bare, { kind: 'wake' }),
      nowMs: this.now(),
      signal: this.stopping.signal,
    });
  }

  /** Bare JIDs of the accounts that live here and have sessions. */
  sessionOwners(): BareJid[] {
    return [...this.census.owners] as BareJid[];
  }

  /** Says goodbye to every client; resolves when all are gone or the time is over. */
  async closeConnections(withinMs: number): Promise<void> {
    const { kernel } = this;
    const farewell: CloseStream = { kind: 'close_stream', condition: 'system-shutdown', text: undefined, reason: 'shutdown' };
    this.stopping.abort();
    this.farewell = farewell; // also for those whose TLS handshake is still under way
    const tell = (ref: ActorRef<ConnectionMessage>): void => {
      if (!kernel.send(ref, farewell)) kernel.whenRoom(ref, () => void kernel.send(ref, farewell));
    };
    for (const { ref } of kernel.list({ kind: 'c2s' })) tell(ref as ActorRef<ConnectionMessage>);
    this.components.close(farewell);
    const untilMs = performance.now() + withinMs;
    while (performance.now() < untilMs && kernel.list({ kind: 'c2s', limit: 1 }).length > 0) await setTimeout(FAREWELL_POLL_MS);
  }

  /** Ends the streams with other servers, once what clients have caused by leaving is sent, or the time is over. */
  async closeLinks(withinMs: number): Promise<void> {
    const { s2s } = this;
    if (s2s === undefined) return;
    const untilMs = performance.now() + withinMs;
    while (s2s.isBusy && performance.now() < untilMs) await setTimeout(FAREWELL_POLL_MS);
    s2s.closeAll();
  }

  private makeS2s(options: RuntimeOptions, world: S2sWorld): S2s {
    const { config, kernel, log, secret, now } = options;
    return new S2s({
      ...world,
      config,
      kernel,
      router: this.router,
      log,
      now,
      secret,
      mailbox: this.mailbox,
      makeLink: (transport, role) =>
        new Link({
          transport,
          limits: role === 'server' ? this.config.stanza.servers : this.config.stanza.beforeLogin,
          share: this.links,
          rates: shaperFor(this.config, role === 'server' ? 'servers' : 'beforeLogin'),
          now: this.now,
        }),
      promote: (link) => {
        link.framer.limits = this.config.stanza.servers;
        link.shape(shaperFor(this.config, 'servers'));
      },
    });
  }

  private registerActors(): void {
    const { kernel } = this;
    const environment = {
      router: this.router,
      hostOf: (domain: string) => this.hosts.get(domain),
      jidOf: (text: string) => parseJid(text)!,
      census: this.census,
      tellOtherHosts: (stanza: Stanza, outbox: Outbox) => this.components.tellOtherHosts(stanza, outbox),
    };
    const { mailbox } = this;
    kernel.registerEntity({
      kind: 'account',
      machine: { ...accountMachine, mailbox },
      args: (key): AccountArgs => ({ environment, key }),
    });
    kernel.registerEntity({
      kind: 'host',
      home: 'local',
      machine: { ...hostMachine, mailbox },
      args: (key): HostArgs => ({ environment, key }),
    });
    this.registerServices();
    for (const [kind, codec] of Object.entries(CODECS)) kernel.registerCodec(kind, codec as Codec<Message>);
  }

  /** Domains that modules serve; one that is a host already stays that. */
  private registerServices(): void {
    const services = new Map<string, ServiceDomain>();
    for (const { domains } of this.hosts.values()) {
      for (const service of domains) {
        if (this.hosts.has(service.domain) || services.has(service.domain)) continue;
        services.set(service.domain, service);
        this.router.addService(service);
      }
    }
    const environment = {
      router: this.router,
      serviceOf: (domain: string) => services.get(domain),
      jidOf: (text: string) => parseJid(text)!,
    };
    for (const kind of new Set([...services.values()].map(({ spec }) => spec.kind))) {
      this.kernel.registerEntity({
        kind,
        machine: { ...serviceMachine, name: kind, mailbox: this.mailbox },
        args: (key): ServiceArgs => ({ environment, key }),
      });
    }
  }
}

function outboundLimits({ limits }: Config): OutboundLimits {
  return {
    softBytes: limits.outboundBytes,
    graceMs: limits.outboundGraceMs,
    hardBytes: limits.outboundHardBytes,
    totalBytes: limits.outboundTotalBytes,
  };
}
