/** A virtual host on one worker: its configuration and its modules, compiled once. */
import type { Config, HostConfig } from '../config/config.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import type { AccountContext, HostContext, Services } from './context.ts';
import type { Direction } from '../log/entry.ts';
import type { TrimPolicy } from '../log/trim.ts';
import type { StanzaError } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { ServiceDomain } from './service.ts';
import { CORE } from './core-hooks.ts';
import { HostSettings } from './host-settings.ts';
import { HookTable, type PushGuard, type RouteGuard } from './hooks.ts';
import type { AccountSlot, BindFeature, Identity, IqHandler, ModuleSpec } from './module.ts';
import type { AccountOperation } from './operations.ts';

/** What is not archived goes all the same; see `log/trim.ts`. */
const FOR_EVER: TrimPolicy = { keepMs: Infinity, maxBytes: Infinity };

/** What one kind of IQ handler is, by where it is asked. */
export type HandlerOf<To extends IqHandler['to']> = Extract<IqHandler, { readonly to: To }>;

export class Host {
  readonly jid: Jid;
  readonly domain: string;
  /** Both change with a reload: read them when they are needed. */
  settings: HostConfig;
  config: Config;
  readonly services: Services;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** Enabled modules in the order of the module list. */
  readonly modules: readonly ModuleSpec[];
  readonly hooks: HookTable;
  /** State that modules keep of each account. */
  readonly slots: readonly AccountSlot<unknown>[];
  private readonly slotPlaces: ReadonlyMap<AccountSlot<unknown>, number>;
  /** Domains beside this one that modules serve. */
  readonly domains: readonly ServiceDomain[];
  /** Of all modules, in their order. */
  readonly guards: readonly PushGuard[];
  readonly routeGuards: readonly RouteGuard[];
  private readonly doorkeepers: readonly NonNullable<ModuleSpec['toHost']>[];
  readonly bindFeatures: readonly BindFeature[];
  private readonly archivist: ModuleSpec['archives'];
  private readonly retains: ModuleSpec['retains'];
  /** Handlers by type, name and namespace of the payload, for each place they can be asked. */
  private readonly handlers = new Map<string, IqHandler>();
  private readonly operations = new Map<string, AccountOperation<unknown, unknown>>();
  /** What administrators have set for it. */
  readonly stored: HostSettings;

  constructor(config: Config, settings: HostConfig, modules: readonly ModuleSpec[], services: Services) {
    this.jid = parseJid(settings.domain)!;
    this.domain = this.jid.domain;
    this.settings = settings;
    this.config = config;
    this.services = services;
    this.startedAtMs = services.now();
    this.stored = new HostSettings(services.store, this.domain);
    this.modules = modules;
    this.slots = modules.flatMap((module) => (module.slots ?? []) as readonly AccountSlot<unknown>[]);
    this.slotPlaces = new Map(this.slots.map((slot, place) => [slot, place]));
    this.domains = modules.flatMap(({ service }) => {
      const domain = service?.domain(this);
      return service === undefined || domain === undefined ? [] : [{ domain, host: this, spec: service }];
    });
    this.guards = modules.flatMap(({ guardsPush }) => guardsPush ?? []);
    this.routeGuards = modules.flatMap(({ guardsRoute }) => guardsRoute ?? []);
    this.doorkeepers = modules.flatMap(({ toHost }) => toHost ?? []);
    this.bindFeatures = modules.flatMap(({ bindFeatures }) => bindFeatures ?? []);
    this.archivist = modules.find(({ archives }) => archives !== undefined)?.archives;
    this.retains = modules.find(({ retains }) => retains !== undefined)?.retains;
    this.hooks = new HookTable([...modules, CORE], (module, hook, phase, error) =>
      services.log.error('hook_failed', {
        module,
        hook,
        phase,
        host: settings.domain,
        error: error instanceof Error ? error.stack : String(error),
      }),
    );
    for (const module of modules) {
      for (const handler of module.iq ?? []) {
        const key = handlerKey(handler.to, handler.type, handler.payload[0], handler.payload[1]);
        if (this.handlers.has(key)) throw new Error(`module ${module.name} handles ${key}, which another module does already`);
        this.handlers.set(key, handler);
      }
      for (const operation of module.accountOperations ?? []) this.operations.set(operation.name, operation);
    }
  }

  /** The configuration has changed, but for what needs a restart; modules and their sections do. */
  reload(config: Config): void {
    const settings = config.hosts.find(({ domain }) => domain === this.settings.domain);
    this.config = config;
    if (settings !== undefined) this.settings = settings;
  }

  /** Whether the archive is to show a message. */
  archives(account: AccountContext, stanza: Stanza, direction: Direction): boolean {
    return this.archivist?.(account, stanza, direction) ?? false;
  }

  /** Whether a module deals with what is addressed to the host itself; see `ModuleSpec.toHost`. */
  takes(stanza: Stanza, context: HostContext): 'taken' | 'everywhere' | undefined {
    for (const toHost of this.doorkeepers) {
      const outcome = toHost(stanza, context);
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  }

  /** Whether somebody else may ask what only an account's owner may; see `ModuleSpec.admits`. */
  admits(request: Stanza): boolean | StanzaError {
    for (const { admits } of this.modules) {
      const verdict = admits?.(this, request) ?? false;
      if (verdict !== false) return verdict;
    }
    return false;
  }

  /** What of its accounts' logs is kept. */
  trimPolicy(): TrimPolicy {
    return this.retains?.(this) ?? FOR_EVER;
  }

  handler<To extends IqHandler['to']>(to: To, type: string, name: string, ns: string): HandlerOf<To> | undefined {
    return this.handlers.get(handlerKey(to, type, name, ns)) as HandlerOf<To> | undefined;
  }

  /** What a command may ask of this host's accounts; undefined where its module is off. */
  accountOperation(name: string): AccountOperation<unknown, unknown> | undefined {
    return this.operations.get(name);
  }

  /** Where in an account's `slots` the state is. Throws for a slot that no enabled module declares. */
  slotIndex<T>(slot: AccountSlot<T>): number {
    const place = this.slotPlaces.get(slot as AccountSlot<unknown>);
    if (place === undefined) throw new Error(`the slot ${slot.name} is not declared by an enabled module`);
    return place;
  }

  /** All that can be asked at one kind of place. */
  handlersOf<To extends IqHandler['to']>(to: To): HandlerOf<To>[] {
    return [...this.handlers.values()].filter((handler): handler is HandlerOf<To> => handler.to === to);
  }

  /** What the module's config schema made of its section. */
  moduleConfig<C>(module: ModuleSpec<C>): C {
    return this.settings.modules[module.name]!.values as C;
  }

  isEnabled(moduleName: string): boolean {
    return this.modules.some(({ name }) => name === moduleName);
  }

  /** XEP-0030 features of the host, sorted, each once. */
  features(): readonly string[] {
    return sorted(this.modules.flatMap(({ features }) => (typeof features === 'function' ? features(this) : (features ?? []))));
  }

  accountFeatures(): readonly string[] {
    return sorted(this.modules.flatMap(({ accountFeatures }) => accountFeatures ?? []));
  }

  identities(): readonly Identity[] {
    return this.modules.flatMap(({ identities }) => identities ?? []);
  }

  accountIdentities(): readonly Identity[] {
    return this.modules.flatMap(({ accountIdentities }) => accountIdentities ?? []);
  }
}

function handlerKey(to: string, type: string, name: string, ns: string): string {
  return `${to} ${type} ${name} ${ns}`;
}

function sorted(features: readonly string[]): readonly string[] {
  return [...new Set(features)].sort();
}

/** Hosts of this worker by domain. */
export type Hosts = ReadonlyMap<string, Host>;

/**
 * Picks the enabled modules of one host and checks their needs.
 *
 * @returns the modules in list order, or a sentence that says which need is not met.
 */
export function enabledModules(settings: HostConfig, all: readonly ModuleSpec[]): readonly ModuleSpec[] | string {
  const enabled = all.filter(({ name }) => settings.modules[name]?.isEnabled ?? false);
  for (const module of enabled) {
    for (const need of module.needs ?? []) {
      if (!enabled.some(({ name }) => name === need))
        return `module ${module.name} needs ${need}, which is switched off for ${settings.domain}`;
    }
  }
  return enabled;
}
