/**
 * Our server in memory: one worker's runtime over memory pairs, a memory store and a clock that stands still, so that a
 * transcript takes the same course every time. Nothing waits for real time but the event loop itself.
 */
import { loadConfig } from '../../src/config/load.ts';
import type { Config, ConfigValues, HostConfig } from '../../src/config/config.ts';
import type { CoreLog, PasswordPool } from '../../src/core/context.ts';
import { ManualClock } from '../../src/kernel/clock.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import type { KernelObserver } from '../../src/kernel/observer.ts';
import { MODULES } from '../../src/modules/index.ts';
import { memoryPair, type MemoryClient, type MemoryPairOptions } from '../../src/net/memory-pair.ts';
import { derive, verify } from '../../src/pool.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import { makeJid } from '../../src/xmpp/jid.ts';
import type { S2sWorld } from '../../src/s2s/index.ts';
import { Runtime } from '../../src/server/runtime.ts';
import type { AccountRequest, ProcessOperations } from '../../src/core/operations.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { openMemory, type MemoryStore } from '../../src/store/memory.ts';
import { localCommands } from './local-commands.ts';
import { COMPONENT, type RawConnection, type Target, type TargetOptions } from './target.ts';

export const DOMAIN = 'capulet.lit';
/** A day on which nothing happened. */
export const START_MS = Date.UTC(2025, 5, 1, 12, 0, 0);
/** Passes of the event loop without work after which there is none. Promises of the store and the pool take one each. */
const IDLE_PASSES = 4;

/** What transcripts want otherwise than operators. */
const VALUES: ConfigValues = {
  domains: [DOMAIN],
  admins: [`escalus@${DOMAIN}`],
  c2s: { isTlsRequired: false },
  accounts: { scramIterations: 1 },
  log: { level: 'silent' },
  components: { [COMPONENT.domain]: { secret: COMPONENT.secret, title: 'The gateway' } },
};

/** Work is done at once, and little of it. */
const POOL: PasswordPool = {
  derive: async (password, iterations) => derive({ password, iterations }),
  verify: async (password, record) => verify({ password, record }),
};

/** The server of one transcript, with what else a test may want of it. */
export interface MemoryTarget extends Target {
  readonly runtime: Runtime;
  readonly kernel: Kernel;
  readonly store: MemoryStore;
  readonly clock: ManualClock;
  /** What was logged, e.g. to see that something was not. */
  readonly logged: readonly { readonly level: string; readonly what: string; readonly fields: Readonly<Record<string, unknown>> }[];
  /** Crashes of actors so far. They fail the transcript unless it takes them out. */
  readonly crashes: string[];
  /** Ends of the server that commands have ordered. */
  readonly stops: readonly { readonly delayMs: number; readonly isRestart: boolean }[];
  /** Runs a command as the operator. Rejects where it is refused or fails. */
  run(name: string, args: object): Promise<unknown>;
  /** Asks an account of the domain, as the operator's commands do. */
  ask(local: string, request: AccountRequest): Promise<unknown>;
  /** Options of the connections made from now on. */
  connectionOptions: MemoryPairOptions;
}

/** What a server in memory is put into; without it, it is alone in the world and time is its own. */
export interface Surroundings {
  readonly clock?: ManualClock;
  /** Without it there are no other servers. */
  readonly s2s?: S2sWorld;
}

/** @throws what the configuration loader throws. */
export async function startMemoryTarget(
  options: TargetOptions = {},
  store: MemoryStore = openMemory(),
  surroundings: Surroundings = {},
): Promise<MemoryTarget> {
  const config = makeConfig(options);
  const { clock = new ManualClock(START_MS), s2s } = surroundings;
  const crashes: string[] = [];
  const logged: { level: string; what: string; fields: Record<string, unknown> }[] = [];
  const observer: KernelObserver = {
    crashed: ({ machine, state, event, error }) => crashes.push(`${machine} crashed in ${state} on ${event}: ${describeError(error)}`),
    failed: ({ what, error }) => crashes.push(`${what} failed: ${describeError(error)}`),
  };
  const kernel = new Kernel({ clock, observer, askOrder: ['c2s', 'account'] });
  const note =
    (level: string) =>
    (what: string, fields: Record<string, unknown> = {}) =>
      void logged.push({ level, what, fields });
  const log: CoreLog = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  const stops: { delayMs: number; isRestart: boolean }[] = [];
  const process = { stopLater: (delayMs: number, isRestart: boolean) => void stops.push({ delayMs, isRestart }) } as ProcessOperations;
  const commands = localCommands({ config, store, pool: POOL, log, runtime: () => runtime, process });
  const runtime: Runtime = new Runtime({
    config,
    kernel,
    store,
    pool: POOL,
    log,
    modules: MODULES,
    commands,
    secret: Buffer.alloc(32, 7),
    now: () => clock.now(),
    s2s,
  });
  const clients = new Set<MemoryClient>();

  const settle = async (): Promise<void> => {
    for (let idle = 0; idle < IDLE_PASSES; idle++) {
      if (!clock.isIdle) idle = 0;
      clock.run();
      await new Promise(setImmediate);
    }
    clock.run();
  };
  const ask = (local: string, request: AccountRequest): Promise<unknown> => {
    const answer = runtime.ask(makeJid(local, config.hosts[0]!.domain)!.bare, request);
    return settle().then(() => answer);
  };
  const target: MemoryTarget = {
    domain: config.hosts[0]!.domain,
    hasFakeClock: true,
    isOwn: true,
    runtime,
    kernel,
    store,
    clock,
    logged,
    crashes,
    stops,
    async run(name, args) {
      const running = commands.run(name, args, { role: 'operator', name: 'control socket' });
      await settle();
      const outcome = await running;
      if (!outcome.ok) throw Object.assign(new Error(outcome.message), { code: outcome.code });
      return outcome.result;
    },
    ask,
    connectionOptions: {},
    settle,
    async connect() {
      const { server, client } = memoryPair(target.connectionOptions);
      clients.add(client);
      runtime.accept(server);
      await settle();
      return new MemoryConnection(client);
    },
    async connectComponent(protocol = 'component') {
      const { server, client } = memoryPair(target.connectionOptions);
      clients.add(client);
      runtime.components.accept(server, protocol);
      await settle();
      return new MemoryConnection(client);
    },
    async createAccount(local, password) {
      const scram = await POOL.derive(opaqueString(password)!, config.accounts.scramIterations);
      const answer = await ask(local, { kind: 'create_account', scram });
      if (answer !== 'created') throw new Error(`the account ${local} could not be created: ${String(answer)}`);
    },
    async removeAccount(local) {
      await ask(local, { kind: 'remove_account' });
    },
    async advance(ms) {
      clock.advance(ms);
      await settle();
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.reset();
      await settle();
    },
    restarted: () => startMemoryTarget(options, store, surroundings),
  };
  return target;
}

const describeError = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

function makeConfig({ config = {}, modules = {} }: TargetOptions): Config {
  const schemas = moduleSchemas();
  const loaded = loadConfig({ env: {}, modules: schemas, values: merge(VALUES, config) }).config;
  const hosts = loaded.hosts.map((host): HostConfig => {
    const sections = Object.entries(modules).map(([name, section]) => {
      const isEnabled = section !== 'off';
      return [name, { isEnabled, values: schemas[name]!.parse(isEnabled ? section : {}) }];
    });
    return { ...host, modules: { ...host.modules, ...(Object.fromEntries(sections) as HostConfig['modules']) } };
  });
  return { ...loaded, hosts };
}

/** `changes` on top of `base`, at every depth. */
function merge(base: ConfigValues, changes: ConfigValues): ConfigValues {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(changes)) {
    const old = merged[key];
    merged[key] = isGroup(old) && isGroup(value) ? merge(old, value) : value;
  }
  return merged;
}

const isGroup = (value: unknown): value is ConfigValues => typeof value === 'object' && value !== null && !Array.isArray(value);

class MemoryConnection implements RawConnection {
  private readonly client: MemoryClient;

  constructor(client: MemoryClient) {
    this.client = client;
  }

  setHandlers(text: (text: string) => void, closed: () => void): void {
    this.client.handlers = { ...this.client.handlers, text, closed };
  }

  write(text: string): void {
    this.client.write(text);
  }

  /** The pair does the handshake by itself, as soon as the server wants it. */
  async startTls(): Promise<void> {
    if (!this.client.isSecure) throw new Error('the server did not start TLS');
  }

  end(): void {
    this.client.end();
  }

  destroy(): void {
    this.client.reset();
  }

  stall(): void {
    this.client.stall();
  }
}
