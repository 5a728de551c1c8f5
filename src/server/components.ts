/** External components on one worker: their connections, its directory, and the ways to them. */
import type { ComponentRow } from '../commands/component.ts';
import { Bindings } from '../component/bindings.ts';
import { ComponentCounters, type ComponentArgs, type ComponentConnection, type ComponentEnvironment } from '../component/connection.ts';
import { directoryMachine, type DirectoryArgs } from '../component/directory.ts';
import { routerLinkMachine } from '../component/router/machine.ts';
import { componentMachine } from '../component/machine.ts';
import { DIRECTORY, tellDirectory, type ComponentMessage } from '../component/messages.ts';
import { ComponentRoute } from '../component/route.ts';
import type { Config } from '../config/config.ts';
import type { ComponentConfig } from '../config/components.ts';
import type { CoreLog } from '../core/context.ts';
import type { Host } from '../core/host.ts';
import type { CloseStream, ComponentBound } from '../core/messages.ts';
import type { Outbox, Router } from '../core/router.ts';
import type { ActorRef, AnyMachine, MailboxLimits } from '../kernel/actor.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Transport } from '../net/transport.ts';
import { Link, type LinkEvent, type LinkShare } from '../stream/link.ts';
import type { Stanza } from '../xmpp/stanza.ts';

export interface ComponentsOptions {
  readonly config: Config;
  readonly kernel: Kernel;
  readonly hosts: ReadonlyMap<string, Host>;
  readonly router: Router;
  readonly links: LinkShare;
  readonly mailbox: MailboxLimits;
  readonly log: CoreLog;
  readonly now: () => number;
  readonly onAuthenticated: (transport: Transport) => void;
  readonly onLoginFailed: (transport: Transport) => void;
  /** Bare JIDs of the accounts that live here and have sessions. */
  readonly sessionOwners: ReadonlySet<string>;
}

export class Components {
  readonly counters = new ComponentCounters();
  private readonly bindings = new Bindings();
  private readonly route: ComponentRoute;
  private readonly options: ComponentsOptions;
  private readonly environment: ComponentEnvironment;
  /** Domains that have a route, whether anybody is there or not. */
  private configured = new Set<string>();

  constructor(options: ComponentsOptions) {
    const { config, kernel, hosts, router, log, mailbox, onAuthenticated, onLoginFailed } = options;
    this.options = options;
    this.route = new ComponentRoute(this.bindings, kernel.worker);
    this.environment = {
      config,
      worker: kernel.worker,
      hosts,
      router,
      bindings: this.bindings,
      counters: this.counters,
      connections: new Set(),
      log,
      onAuthenticated: ({ transport }) => onAuthenticated(transport),
      onLoginFailed: ({ transport }) => onLoginFailed(transport),
    };
    const environment: DirectoryArgs['environment'] = {
      worker: kernel.worker,
      workers: kernel.workers,
      bindings: this.bindings,
      router,
      log,
      hosts,
      queueMsOf: (name) => this.queueMsOf(name),
      defaultChanged: (isThere) => router.prefer(isThere ? this.route : undefined),
      nameChanged: (name, isThere) => this.nameChanged(name, isThere),
      componentBound: (names, isLocal, outbox, now) => this.componentBound(names, isLocal, outbox, now),
    };
    kernel.registerEntity({
      kind: DIRECTORY,
      home: 'worker',
      machine: { ...directoryMachine, mailbox },
      args: (): DirectoryArgs => ({ environment }),
    });
    this.configure();
  }

  accept(transport: Transport, protocol: 'component' | 'router'): void {
    const { kernel, links, now, mailbox } = this.options;
    const machine = protocol === 'component' ? componentMachine : routerLinkMachine;
    const link = new Link({ transport, limits: this.environment.config.stanza.beforeLogin, share: links, now });
    const ref = kernel.spawn(
      { ...(machine as AnyMachine<ComponentArgs, ComponentMessage | LinkEvent>), mailbox },
      { environment: this.environment, link },
    ) as ActorRef<LinkEvent | ComponentMessage>;
    link.attach({ deliver: (event) => kernel.send(ref, event), whenRoom: (callback) => kernel.whenRoom(ref, callback) });
  }

  reload(config: Config): void {
    this.environment.config = config;
    this.configure();
  }

  /** Another worker can be reached: it is told what is bound here. */
  peerJoined(worker: number): void {
    this.options.kernel.sendTo(DIRECTORY, String(this.options.kernel.worker), { kind: 'peer_joined', worker } as never);
  }

  /** Shows the other workers a stanza for the virtual host. */
  tellOtherHosts(stanza: Stanza, outbox: Outbox): void {
    const { worker, workers } = this.options.kernel;
    for (let other = 0; other < workers; other++) if (other !== worker) tellDirectory(outbox, other, { kind: 'for_host', stanza });
  }

  rows(): ComponentRow[] {
    const { worker } = this.options.kernel;
    const rows: ComponentRow[] = [];
    for (const c of this.environment.connections) {
      if (c.name !== undefined) rows.push(rowOf(c, c.name, worker));
    }
    return rows;
  }

  has(domain: string): boolean {
    return this.bindings.has(domain);
  }

  /** Domains of components that are connected to any worker, for service discovery. */
  listed(): { readonly domain: string; readonly title: string | undefined }[] {
    return Object.values(this.environment.config.components).flatMap(({ name, domains, title, isListed }) =>
      isListed ? [name, ...domains].flatMap((domain) => (this.bindings.has(domain) ? [{ domain, title }] : [])) : [],
    );
  }

  /** The actors to be told of the end of the server. */
  close(farewell: CloseStream): void {
    const { kernel } = this.options;
    for (const kind of ['component', 'router_link'])
      for (const { ref } of kernel.list({ kind })) kernel.send(ref as ActorRef<ComponentMessage>, farewell);
  }

  private configure(): void {
    const { router } = this.options;
    const wanted = new Set(Object.values(this.environment.config.components).flatMap(({ name, domains }) => [name, ...domains]));
    for (const domain of wanted) if (!this.configured.has(domain)) router.addRoute(domain, this.route);
    for (const domain of this.configured) if (!wanted.has(domain) && !this.bindings.has(domain)) router.removeRoute(domain);
    this.configured = wanted;
  }

  private nameChanged(name: string, isThere: boolean): void {
    const { router } = this.options;
    if (this.configured.has(name)) return;
    if (isThere) router.addRoute(name, this.route);
    else router.removeRoute(name);
  }

  private queueMsOf(domain: string): number | undefined {
    const settings = settingsOf(this.environment.config, domain);
    return settings?.offline === 'queue' ? settings.queueMs : undefined;
  }

  private tellAccounts(host: string, domains: readonly string[], outbox: Outbox): void {
    for (const owner of this.options.sessionOwners) {
      if (!owner.endsWith(`@${host}`)) continue;
      for (const domain of domains) outbox.sendTo('account', owner, { kind: 'component_bound', domain } as ComponentBound);
    }
  }

  private componentBound(names: readonly string[], isLocal: boolean, outbox: Outbox, now: number): void {
    const { router, hosts } = this.options;
    for (const host of hosts.values()) {
      const context = { host, now, route: (stanza: Stanza) => void router.route(stanza, outbox) };
      for (const { componentBound } of host.modules) for (const name of names) componentBound?.(name, isLocal, context);
      const watched = names.filter((name) => host.modules.some(({ watches }) => watches?.(host, name) === true));
      if (watched.length > 0) this.tellAccounts(host.domain, watched, outbox);
    }
  }
}

/** The section of a component's domain. */
export function settingsOf({ components }: Config, domain: string): ComponentConfig | undefined {
  return Object.hasOwn(components, domain) ? components[domain] : Object.values(components).find(({ domains }) => domains.includes(domain));
}

function rowOf(c: ComponentConnection, name: string, worker: number): ComponentRow {
  const { dialect, names, link, sinceMs, stanzasIn, stanzasOut } = c;
  const { remoteAddress } = link.transport;
  return {
    name,
    protocol: dialect.protocol,
    names: [...names],
    worker,
    remoteAddress,
    sinceMs,
    queuedBytes: link.pendingBytes,
    stanzasIn,
    stanzasOut,
  };
}
