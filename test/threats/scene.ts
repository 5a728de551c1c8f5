/**
 * What the tests of attacks stand on: our server in memory, as the transcripts have it, but with its parts in
 * reach: every byte that each connection was sent, the work done for it, and modules or a pool of the test's own.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import type { Config, ConfigValues } from '../../src/config/config.ts';
import type { CoreLog, PasswordPool } from '../../src/core/context.ts';
import type { ModuleSpec } from '../../src/core/module.ts';
import { ManualClock } from '../../src/kernel/clock.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import type { CrashReport } from '../../src/kernel/observer.ts';
import { MODULES } from '../../src/modules/index.ts';
import { memoryPair, type MemoryClient, type MemoryPairOptions } from '../../src/net/memory-pair.ts';
import { derive, verify } from '../../src/pool.ts';
import { parseCertificateAddresses } from '../../src/sasl/certificate-addresses.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { Runtime } from '../../src/server/runtime.ts';
import type { AccountRequest } from '../../src/core/operations.ts';
import { openMemory } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';
import { makeJid } from '../../src/xmpp/jid.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import { localCommands } from '../harness/local-commands.ts';
import { Cast, withNames, type CastOfClients } from '../harness/cast.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import type { RawConnection, Target } from '../harness/target.ts';

export const DOMAIN = 'capulet.lit';
/** The other host of servers that have two. */
export const OTHER_DOMAIN = 'montague.lit';
export const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
export const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
export const STREAMS = 'http://etherx.jabber.org/streams';

const START_MS = Date.UTC(2025, 5, 1, 12, 0, 0);
/** Passes of the event loop without work after which there is none. */
const IDLE_PASSES = 4;

const VALUES: ConfigValues = {
  domains: [DOMAIN, OTHER_DOMAIN],
  c2s: { isTlsRequired: false },
  accounts: { scramIterations: 1 },
  log: { level: 'silent' },
};

/** Work is done at once, and little of it. */
export const FAST_POOL: PasswordPool = {
  derive: async (password, iterations) => derive({ password, iterations }),
  verify: async (password, record) => verify({ password, record }),
};

export interface SceneOptions {
  readonly config?: ConfigValues;
  /** Modules after those of the server. */
  readonly modules?: readonly ModuleSpec[];
  readonly pool?: PasswordPool;
  readonly store?: Store;
  readonly connection?: MemoryPairOptions;
  /** Crashes of actors are what the test is about. */
  readonly mayCrash?: boolean;
}

/** One connection with all that the server has said on it. */
export interface Wire {
  readonly client: MemoryClient;
  /** Since it was made. */
  text: string;
}

export class Scene {
  readonly config: Config;
  readonly clock = new ManualClock(START_MS);
  readonly kernel: Kernel;
  readonly runtime: Runtime;
  readonly store: Store;
  readonly cast: CastOfClients;
  readonly crashes: CrashReport[] = [];
  readonly failures: string[] = [];
  readonly logged: { readonly what: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
  /** In the order they were made. */
  readonly wires: Wire[] = [];
  /** Of connections made from now on. */
  connection: MemoryPairOptions;

  constructor({ config = {}, modules = [], pool = FAST_POOL, store = openMemory(), connection = {} }: SceneOptions = {}) {
    this.config = makeConfig(config, modules);
    this.store = store;
    this.connection = connection;
    this.kernel = new Kernel({
      clock: this.clock,
      observer: {
        crashed: (report) => void this.crashes.push(report),
        failed: ({ what, error }) => void this.failures.push(`${what}: ${String(error)}`),
      },
    });
    const note = (what: string, fields: Record<string, unknown> = {}): void => void this.logged.push({ what, fields });
    const log: CoreLog = { debug: note, info: note, warn: note, error: note };
    this.runtime = new Runtime({
      config: this.config,
      kernel: this.kernel,
      store,
      pool,
      log,
      modules: [...MODULES, ...modules],
      commands: localCommands({ config: this.config, store, pool, log, runtime: () => this.runtime }),
      secret: Buffer.alloc(32, 7),
      now: () => this.clock.now(),
      certificateAddresses: parseCertificateAddresses,
    });
    this.cast = withNames(new Cast(this.target()));
  }

  /** A connection that nothing of ours reads: what it is sent is in its `text`. */
  connect(): Wire {
    const { server, client } = memoryPair(this.connection);
    const wire: Wire = { client, text: '' };
    client.handlers = { text: (text) => (wire.text += text) };
    this.wires.push(wire);
    this.runtime.accept(server);
    return wire;
  }

  /** A stream whose features have come. */
  async opened(attrs: Readonly<Record<string, string | undefined>> = {}): Promise<StreamClient> {
    const client = await this.cast.raw();
    await client.opensStream(attrs);
    await client.receivesStream();
    await client.receivesFeatures();
    return client;
  }

  /** A stream of somebody who has logged in and bound no resource yet. */
  async loggedIn(name: string): Promise<StreamClient> {
    const { local } = this.cast.offline(name);
    const client = await this.cast.raw();
    await client.logsIn({ local, password: this.cast.passwordOf(name) });
    return client;
  }

  /** The connection of the client with that full JID. */
  wireOf(full: string): Wire {
    const wire = this.wires.find(({ text }) => text.includes(`<jid>${full}</jid>`));
    assert.ok(wire !== undefined, `nobody is bound as ${full}`);
    return wire;
  }

  /** Asks an account's actor, as an operator's command does. */
  async ask(local: string, request: AccountRequest): Promise<unknown> {
    const answer = this.runtime.ask(makeJid(local, this.config.hosts[0]!.domain)!.bare, request);
    await this.settle();
    return answer;
  }

  /** How many actors of that machine run. */
  count(machine: string): number {
    return this.kernel.inspect().machines.find(({ name }) => name === machine)?.count ?? 0;
  }

  async settle(): Promise<void> {
    for (let idle = 0; idle < IDLE_PASSES; idle++) {
      if (!this.clock.isIdle) idle = 0;
      this.clock.run();
      await new Promise(setImmediate);
    }
    this.clock.run();
  }

  async advance(ms: number): Promise<void> {
    await this.settle();
    this.clock.advance(ms);
    await this.settle();
  }

  async end(): Promise<void> {
    await this.cast.leave();
    for (const { client } of this.wires) client.reset();
    await this.settle();
  }

  private target(): Target {
    const { domain } = this.config.hosts[0]!;
    return {
      domain,
      hasFakeClock: true,
      isOwn: true,
      settle: () => this.settle(),
      advance: (ms) => this.advance(ms),
      connect: async () => {
        const wire = this.connect();
        await this.settle();
        return new WireConnection(wire);
      },
      createAccount: async (local, password) => {
        const scram = derive({ password: opaqueString(password)!, iterations: this.config.accounts.scramIterations });
        assert.equal(await this.ask(local, { kind: 'create_account', scram }), 'created');
      },
      removeAccount: async (local) => void (await this.ask(local, { kind: 'remove_account' })),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
}

class WireConnection implements RawConnection {
  private readonly wire: Wire;

  constructor(wire: Wire) {
    this.wire = wire;
  }

  setHandlers(text: (text: string) => void, closed: () => void): void {
    const { wire } = this;
    wire.client.handlers = {
      text: (received) => {
        wire.text += received;
        text(received);
      },
      closed,
    };
  }

  write(text: string): void {
    this.wire.client.write(text);
  }

  async startTls(): Promise<void> {
    assert.ok(this.wire.client.isSecure, 'the server did not start TLS');
  }

  end(): void {
    this.wire.client.end();
  }

  destroy(): void {
    this.wire.client.reset();
  }

  stall(): void {
    this.wire.client.stall();
  }
}

function makeConfig(values: ConfigValues, modules: readonly ModuleSpec[]): Config {
  const { config } = loadConfig({ env: {}, modules: moduleSchemas(), values: merge(VALUES, values) });
  const added = Object.fromEntries(modules.map(({ name }) => [name, { isEnabled: true, values: {} }]));
  return { ...config, hosts: config.hosts.map((host) => ({ ...host, modules: { ...host.modules, ...added } })) };
}

function merge(base: ConfigValues, changes: ConfigValues): ConfigValues {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(changes)) {
    const old = merged[key];
    merged[key] = isGroup(old) && isGroup(value) ? merge(old, value) : value;
  }
  return merged;
}

const isGroup = (value: unknown): value is ConfigValues => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Declares a test played on a server of its own. No actor crashes in it, unless it says that one may. */
export function threat(title: string, play: (scene: Scene) => Promise<void>): void;
export function threat(title: string, options: SceneOptions, play: (scene: Scene) => Promise<void>): void;
export function threat(title: string, ...rest: [(scene: Scene) => Promise<void>] | [SceneOptions, (scene: Scene) => Promise<void>]): void {
  const [options, play] = rest.length === 1 ? [{}, rest[0]] : rest;
  test(title, async () => {
    const scene = new Scene(options);
    try {
      await play(scene);
    } finally {
      await scene.end();
    }
    assert.deepEqual(scene.failures, []);
    if (options.mayCrash !== true) assert.deepEqual(scene.crashes.map(describeCrash), [], 'no actor crashes');
  });
}

export function describeCrash({ machine, state, event, error }: CrashReport): string {
  return `${machine} crashed in ${state} on ${event}: ${error instanceof Error ? error.stack : String(error)}`;
}

export function base64(text: string | Buffer): string {
  return Buffer.from(text).toString('base64');
}

export function errorXml(type: string, condition: string): string {
  return `<error type='${type}'><${condition} xmlns='${STANZAS}'/></error>`;
}
