/** Our server in memory among others: one that the test plays, or another of ours. No sockets, no real time. */
import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import type { ConfigValues } from '../../src/config/config.ts';
import { ManualClock } from '../../src/kernel/clock.ts';
import { makeTlsFacts, memoryPair, type MemoryClient, type MemoryPairOptions } from '../../src/net/memory-pair.ts';
import type { NameService } from '../../src/net/service-records.ts';
import type { TlsFacts, Transport } from '../../src/net/transport.ts';
import type { DialPlace, Trust } from '../../src/s2s/environment.ts';
import type { S2sWorld } from '../../src/s2s/index.ts';
import { openMemory, type MemoryStore } from '../../src/store/memory.ts';
import { Cast, withNames, type CastOfClients } from '../harness/cast.ts';
import { START_MS, startMemoryTarget, type MemoryTarget } from '../harness/memory-target.ts';

export const LOCAL = 'capulet.lit';
export const REMOTE = 'montague.lit';

/** TLS with a certificate that shows these domains. */
export function tlsFor(...domains: readonly string[]): TlsFacts {
  return Object.assign(makeTlsFacts(), { domains });
}

/** Believes what `tlsFor` says. */
const TRUST: Trust = {
  judge: (tls, domain) => {
    const domains = (tls as { domains?: readonly string[] } | undefined)?.domains ?? [];
    return domains.includes(domain) ? { isValid: true } : { isValid: false, reason: 'not for this domain' };
  },
  names: () => undefined,
};

/** The end of a connection that the test holds. */
export class Peer {
  readonly client: MemoryClient;
  private readonly settle: () => Promise<void>;

  constructor(client: MemoryClient, settle: () => Promise<void>) {
    this.client = client;
    this.settle = settle;
  }

  /** Sends, and lets all that follows happen. What came meanwhile. */
  async says(xml: string): Promise<string> {
    this.client.write(xml);
    await this.settle();
    return this.client.take();
  }

  /** What has come since the last look. */
  async hears(): Promise<string> {
    await this.settle();
    return this.client.take();
  }

  get isClosed(): boolean {
    return this.client.isClosed || this.client.hasServerEnded;
  }
}

/** A server whose other servers are the test's. */
export interface Alone extends AsyncDisposable {
  readonly target: MemoryTarget;
  readonly cast: CastOfClients;
  readonly settle: () => Promise<void>;
  /** Somebody connects. */
  comes(options?: MemoryPairOptions): Promise<Peer>;
  /** The server has connected to somebody; in the order it happened. */
  readonly dialed: { readonly place: DialPlace; readonly local: string; readonly remote: string; readonly peer: Peer }[];
  /** Until changed, it succeeds. */
  dialing: (place: DialPlace, remote: string) => MemoryPairOptions | Error;
  advance(ms: number): Promise<void>;
}

export interface AloneOptions {
  readonly config?: ConfigValues;
  readonly names?: NameService;
  readonly store?: MemoryStore;
}

const NAMES: NameService = { srv: async () => [], addresses: async () => ['192.0.2.7'] };

export async function alone({ config = {}, names = NAMES, store = openMemory() }: AloneOptions = {}): Promise<Alone> {
  const clock = new ManualClock(START_MS);
  const world: S2sWorld = {
    names,
    trust: TRUST,
    dial: async (place, local, remote) => {
      const options = here.dialing(place, remote);
      if (options instanceof Error) throw options;
      const { server, client } = memoryPair(options);
      here.dialed.push({ place, local, remote, peer: new Peer(client, () => target.settle()) });
      return server;
    },
  };
  const target = await startMemoryTarget({ config }, store, { clock, s2s: world });
  const here: Alone = {
    target,
    cast: withNames(new Cast(target)),
    settle: () => target.settle(),
    dialed: [],
    dialing: () => ({ startTls: tlsFor(REMOTE) }),
    advance: (ms) => target.advance(ms),
    async comes(options = { startTls: tlsFor(REMOTE) }) {
      const { server, client } = memoryPair(options);
      target.runtime.acceptServer(server);
      await target.settle();
      return new Peer(client, () => target.settle());
    },
    async [Symbol.asyncDispose]() {
      await target[Symbol.asyncDispose]();
      assert.deepEqual(target.crashes, [], 'no actor crashes');
    },
  };
  return here;
}

/** Two servers of ours, and what is between them. */
export interface Pair extends AsyncDisposable {
  readonly capulet: Side;
  readonly montague: Side;
  settle(): Promise<void>;
  advance(ms: number): Promise<void>;
  /** Connections made so far, in order; `cut` breaks one as a network does. */
  readonly lines: { readonly from: string; readonly isOpen: () => boolean; readonly text: () => string; cut(): Promise<void> }[];
  /** While false, nobody reaches anybody. */
  isUp: boolean;
}

export interface Side {
  readonly target: MemoryTarget;
  readonly cast: CastOfClients;
}

export interface PairOptions {
  readonly config?: ConfigValues;
  readonly configs?: Readonly<Record<string, ConfigValues>>;
  /** Domains whose certificate shows nothing. */
  readonly uncertified?: readonly string[];
  readonly stores?: Readonly<Record<string, MemoryStore>>;
}

export async function pair({ config = {}, configs = {}, uncertified = [], stores = {} }: PairOptions = {}): Promise<Pair> {
  const clock = new ManualClock(START_MS);
  const targets = new Map<string, MemoryTarget>();
  const own: (() => Promise<void>)[] = [];
  const lines: Pair['lines'] = [];
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      for (const ready of own) await ready();
      await setImmediate();
    }
  };
  const certified = (domain: string): TlsFacts => (uncertified.includes(domain) ? makeTlsFacts() : tlsFor(domain));
  const makeWorld = (self: string): S2sWorld => ({
    names: { srv: async () => [], addresses: async (name) => [name] },
    trust: TRUST,
    dial: async (_place, _local, remote): Promise<Transport> => {
      const other = targets.get(remote);
      if (!here.isUp || other === undefined) throw new Error('connect ECONNREFUSED');
      const near = memoryPair({ startTls: certified(remote) });
      const far = memoryPair({ startTls: certified(self) });
      join(near.client, far.client);
      lines.push({
        from: self,
        isOpen: () => !near.client.isClosed && !far.client.isClosed,
        text: () => near.client.received,
        async cut() {
          near.client.reset();
          far.client.reset();
          await settle();
        },
      });
      other.runtime.acceptServer(far.server);
      return near.server;
    },
  });
  const make = async (domain: string): Promise<Side> => {
    const changes = { domains: [domain], ...config, ...configs[domain] };
    const target = await startMemoryTarget({ config: changes }, stores[domain] ?? openMemory(), { clock, s2s: makeWorld(domain) });
    own.push(target.settle);
    const shared = Object.assign(target, { settle });
    targets.set(domain, shared);
    return { target, cast: withNames(new Cast(shared)) };
  };
  const here: Pair = {
    capulet: await make(LOCAL),
    montague: await make(REMOTE),
    lines,
    isUp: true,
    settle,
    async advance(ms) {
      clock.advance(ms);
      await settle();
    },
    async [Symbol.asyncDispose]() {
      for (const target of targets.values()) await target[Symbol.asyncDispose]();
      for (const target of targets.values()) assert.deepEqual(target.crashes, [], 'no actor crashes');
    },
  };
  return here;
}

/** What one end writes comes out at the other. */
function join(one: MemoryClient, other: MemoryClient): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.handlers = {
      text: (text) => to.write(text),
      ended: () => to.end(),
      closed: () => {
        if (!to.isClosed) to.reset(new Error('the other end is gone'));
      },
    };
  }
}
