/**
 * The world of `no-loss.test.ts`: our server in memory over a store whose commits settle, fail or are lost when the
 * schedule says so, and clients that count as XEP-0198 demands. An action never depends on chance, only on what it says
 * itself, so that a schedule stays the same schedule when actions are taken out of it.
 * Long because it is one state machine that is read as one.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { Account } from '../../src/core/account.ts';
import { derive } from '../../src/pool.ts';
import type { AccountRequest } from '../../src/core/operations.ts';
import { openMemory, type MemoryStore } from '../../src/store/memory.ts';
import { makeJid } from '../../src/xmpp/jid.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import type { Stanza } from '../../src/xmpp/stanza.ts';
import { DOMAIN, startMemoryTarget, type MemoryTarget } from '../harness/memory-target.ts';
import { CARBONS, Client, PASSWORD, SM, type ClientPlan, type Request, type Sent } from './client.ts';

export const RESUME_MS = 60_000;
/** So long a connection may be silent. */
const IDLE_MS = 60_000;

export const KINDS = [
  'chat',
  'chat_full',
  'normal_full',
  'self',
  'no_store',
  'state',
  'burst',
  'available',
  'unavailable',
  'negative',
  'ping',
  'ping_peer',
  'request_ack',
  'ack',
  'cut',
  'half_open',
  'stall',
  'resume',
  'resume_stale',
  'bind',
  'bind_other',
  'leave',
  'carbons_on',
  'carbons_off',
  'inactive',
  'active',
  'crash_account',
  'crash_c2s',
  'kill',
  'recreate',
  'store_down',
  'store_up',
  'settle',
  'advance',
] as const;
export type Kind = (typeof KINDS)[number];

export interface Action {
  /** Names what it sends; unique in a schedule. */
  readonly n: number;
  readonly kind: Kind;
  /** Of the client that acts. */
  readonly client: number;
  /** Of the client that it acts upon. */
  readonly peer: number;
  /** What else it has to choose. */
  readonly x: number;
  /** How far the server gets before the next action: 0 nowhere, 1 a bit, 2 to rest with an idle disk, 3 to rest. */
  readonly flow: number;
}

export interface Plan {
  readonly limits: {
    /** Messages that wait for an account at most. */
    readonly offline: number;
    /** Of an actor's mailbox. */
    readonly mailbox: number;
    /** Accounts without sessions that stay in memory. */
    readonly cached: number;
  };
  readonly accounts: number;
  readonly clients: readonly ClientPlan[];
  readonly actions: readonly Action[];
}

let refused: Set<string> = new Set();
const { returnError, answerFailure } = Account.prototype;
Account.prototype.returnError = function (this: Account, stanza: Stanza, ...rest) {
  if (stanza.id !== undefined) refused.add(stanza.id);
  returnError.call(this, stanza, ...rest);
};
Account.prototype.answerFailure = function (this: Account, stanza: Stanza, ...rest) {
  if (stanza.id !== undefined) refused.add(stanza.id);
  answerFailure.call(this, stanza, ...rest);
};

const realRandomBytes = crypto.randomBytes;

/** Ids and keys come from a sequence: the order of rows depends on them. */
export function withoutChance<T>(seed: number, run: () => Promise<T>): Promise<T> {
  let state = seed + 1;
  crypto.randomBytes = ((count: number) => {
    const bytes = Buffer.alloc(count);
    for (let i = 0; i < count; i++) bytes[i] = (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 24;
    return bytes;
  }) as typeof crypto.randomBytes;
  syncBuiltinESMExports();
  return run().finally(() => {
    crypto.randomBytes = realRandomBytes;
    syncBuiltinESMExports();
  });
}

export class World {
  readonly plan: Plan;
  readonly store: MemoryStore = openMemory({ settling: 'manual' });
  target!: MemoryTarget;
  readonly clients: Client[] = [];
  readonly sent = new Map<string, Sent>();
  readonly requests = new Map<string, Request>();
  readonly refused = (refused = new Set<string>());
  /** Accounts with a session without stream management that is over for its client, maybe not for the server. */
  readonly leaky = new Set<string>();
  /** Accounts where messages may have waited while others came. */
  readonly delaying = new Set<string>();
  readonly wrongs: string[] = [];
  readonly log: string[] = [];
  /** Of actors, on servers that were killed since. */
  readonly crashes: string[] = [];
  isFailing = false;
  kills = 0;
  accountCrashes = 0;
  failures = 0;

  constructor(plan: Plan) {
    this.plan = plan;
  }

  async start(): Promise<void> {
    this.target = await startMemoryTarget(this.options(), this.store);
    for (let i = 0; i < this.plan.accounts; i++) {
      const made = this.target.createAccount(`a${i}`, PASSWORD);
      await this.rest();
      await made;
    }
    for (const [i, plan] of this.plan.clients.entries()) {
      const client = new Client(this, plan, `c${i}`);
      this.clients.push(client);
      await client.connect();
      await this.rest();
      client.sendRaw('<presence/>');
      await this.rest();
    }
  }

  private options() {
    const { offline, mailbox, cached } = this.plan.limits;
    return {
      config: {
        accounts: { maxOfflineMessages: offline },
        c2s: { resumeMs: RESUME_MS, idleMs: IDLE_MS },
        limits: { sessionsPerAccount: 20, mailboxMessages: mailbox, cachedAccounts: cached },
      },
    } as const;
  }

  bareOf(account: number): string {
    return `a${account}@${DOMAIN}`;
  }

  note(text: string): void {
    this.log.push(text);
  }

  /** What is committed settles, or fails where the store is down. */
  settleStore(): void {
    if (this.isFailing) {
      this.failures++;
      this.store.fail();
    } else {
      this.store.settle();
    }
  }

  /** Some passes of the event loop. */
  async passes(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.target.clock.tick();
      await new Promise(setImmediate);
    }
  }

  /** Until nothing moves, with a disk that writes. */
  async rest(): Promise<void> {
    for (let idle = 0; idle < 5; idle++) {
      if (!this.target.clock.isIdle) idle = 0;
      this.target.clock.run();
      this.settleStore();
      await new Promise(setImmediate);
    }
  }

  async flow(how: number): Promise<void> {
    if (how === 1) await this.passes(2);
    else if (how === 2) await this.passes(8);
    else if (how === 3) await this.rest();
  }

  async advance(ms: number, stepMs = 1_000): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.target.clock.advance(Math.min(stepMs, left));
      await this.rest();
    }
  }

  async kill(): Promise<void> {
    this.kills++;
    for (const client of this.clients) client.lost();
    this.store.fail(new Error('the server is gone')); // what has not settled is not there
    this.crashes.push(...this.target.crashes);
    const nowMs = this.target.clock.now();
    this.target = await startMemoryTarget(this.options(), this.store);
    this.target.clock.advance(nowMs - this.target.clock.now() + 500);
    void this.target.runtime.wakeAccounts();
    await this.flow(1);
  }

  /** The account is another one from now on, of the same name. */
  private async recreate({ account, bare }: Client): Promise<void> {
    if (this.isFailing) return;
    await this.insist(account, { kind: 'remove_account' });
    for (const client of this.clients) if (client.account === account) client.abandon(true);
    for (const sent of this.sent.values()) if (sent.by.account === account || sent.to.startsWith(bare)) sent.isVoid = true;
    this.excuse();
    await this.insist(account, { kind: 'create_account', scram: await derive({ password: opaqueString(PASSWORD)!, iterations: 1 }) });
  }

  /** The account may just crash. */
  private async insist(account: number, request: AccountRequest): Promise<void> {
    for (let tries = 0; tries < 5; tries++) {
      let isDone: boolean | undefined;
      void this.target.runtime.ask(makeJid(`a${account}`, DOMAIN)!.bare, request).then(
        () => (isDone = true),
        () => (isDone = false),
      );
      await this.rest();
      while (isDone === undefined) await this.advance(3_000);
      await this.advance(10); // another life begins at another time
      if (isDone) return;
    }
  }

  async act({ n, kind, client: from, peer: to, x }: Action): Promise<void> {
    const client = this.clients[from % this.clients.length]!;
    const peer = this.clients[to % this.clients.length]!;
    switch (kind) {
      case 'chat':
        client.says(n, kind, peer.bare, `type='chat'`, '<body>b</body>');
        break;
      case 'chat_full':
        client.says(n, kind, peer.full, `type='chat'`, '<body>b</body>');
        break;
      case 'normal_full':
        client.says(n, kind, peer.full, '', '<body>b</body>');
        break;
      case 'self':
        client.says(n, kind, x % 2 === 0 ? client.bare : client.full, `type='chat'`, '<body>b</body>');
        break;
      case 'no_store':
        client.says(n, kind, peer.bare, `type='chat'`, `<body>b</body><no-store xmlns='urn:xmpp:hints'/>`);
        break;
      case 'state':
        client.says(n, kind, peer.bare, `type='chat'`, `<active xmlns='http://jabber.org/protocol/chatstates'/>`);
        break;
      case 'burst': {
        const count = x % 23 === 0 ? 150 : x % 7 === 0 ? 60 : 2 + (x % 9);
        for (let i = 0; i < count; i++) client.says(n + i / 1_000, kind, peer.bare, `type='chat'`, '<body>b</body>');
        break;
      }
      case 'available':
        client.send('<presence/>');
        break;
      case 'unavailable':
        client.send(`<presence type='unavailable'/>`);
        break;
      case 'negative':
        client.send('<presence><priority>-1</priority></presence>');
        break;
      case 'ping':
        client.asks(n, x % 2 === 0 ? DOMAIN : client.bare, undefined);
        break;
      case 'ping_peer':
        client.asks(n, peer.full, peer);
        break;
      case 'request_ack':
        if (client.isManaged) client.raw(`<r xmlns='${SM}'/>`);
        break;
      case 'ack':
        client.acks();
        break;
      case 'cut':
        client.cut();
        break;
      case 'half_open':
        client.isMute = client.isOnline;
        break;
      case 'stall':
        if (!client.isOnline) break;
        client.connection!.stall();
        client.isStalled = true;
        break;
      case 'resume':
        if (client.isOnline && !client.isMute && !client.isStalled) break;
        await client.connect();
        break;
      case 'resume_stale':
        client.forget(1 + (x % 3));
        await client.connect();
        break;
      case 'bind':
        client.abandon(x % 2 === 0);
        await client.connect();
        break;
      case 'bind_other':
        client.abandon(x % 2 === 0);
        client.resource = `${client.name}-${n}`;
        await client.connect();
        break;
      case 'leave':
        client.leaves();
        break;
      case 'carbons_on':
        client.send(`<iq type='set' id='k${n}'><enable xmlns='${CARBONS}'/></iq>`);
        break;
      case 'carbons_off':
        client.send(`<iq type='set' id='k${n}'><disable xmlns='${CARBONS}'/></iq>`);
        break;
      case 'inactive':
        client.raw(`<inactive xmlns='urn:xmpp:csi:0'/>`);
        break;
      case 'active':
        client.raw(`<active xmlns='urn:xmpp:csi:0'/>`);
        break;
      case 'crash_account': {
        const ref = this.target.kernel.find('account', client.bare);
        if (ref === undefined) break;
        this.accountCrashes++;
        this.excuse();
        client.crashed = 6;
        this.target.kernel.crash(ref, new Error('a drill'), x % 2 === 0 ? 'now' : 'next_message');
        break;
      }
      case 'crash_c2s': {
        const report = this.target.kernel.list({ kind: 'c2s' }).find(({ description }) => description === client.full);
        if (report === undefined) break;
        this.excuse();
        client.crashed = 6;
        this.target.kernel.crash(report.ref, new Error('a drill'), x % 2 === 0 ? 'now' : 'next_message');
        break;
      }
      case 'kill':
        await this.kill();
        break;
      case 'recreate':
        await this.recreate(client);
        break;
      case 'store_down':
        this.isFailing = true;
        this.excuse();
        break;
      case 'store_up':
        this.isFailing = false;
        break;
      case 'settle':
        this.settleStore();
        break;
      case 'advance':
        await this.advance([60, 300, 1_000, 3_000, 6_000, 20_000, 65_000, 130_000][x % 8]!);
        break;
    }
    for (const each of this.clients) if (each.crashed > 0) each.crashed--;
  }

  /** An injected crash may hit the answer of a peer, to which nothing can be answered. */
  private excuse(): void {
    for (const request of this.requests.values()) if (!request.isAnswered && request.isToPeer) request.isExcused = true;
  }

  async run(): Promise<void> {
    await this.start();
    for (const action of this.plan.actions) {
      this.note(`--- ${describe(action)}`);
      await this.act(action);
      await this.flow(action.flow);
    }
    await this.comeToRest();
  }

  /** The store works, everybody comes back, all time runs out. */
  async comeToRest(): Promise<void> {
    this.note('--- rest');
    this.isFailing = false;
    for (const client of this.clients) client.isLazy = false;
    await this.advance(8_000);
    for (let round = 0; round < 3; round++) {
      for (const client of this.clients) {
        if (!client.isOnline || client.isMute || client.isStalled) await client.connect();
        await this.rest();
      }
      await this.advance(3_000);
    }
    for (const client of this.clients) {
      if (!client.isOnline) this.wrongs.push(`${client.name} cannot come back`);
      client.raw(`<active xmlns='urn:xmpp:csi:0'/>`);
      client.sendRaw('<presence/>');
      client.acks();
      await this.rest();
    }
    for (let left = RESUME_MS + 2 * IDLE_MS + 30_000; left > 0; left -= 10_000) {
      await this.advance(10_000, 5_000);
      for (const client of this.clients) client.acks();
    }
    for (const client of this.clients) if (client.isManaged) client.raw(`<r xmlns='${SM}'/>`);
    await this.advance(2_000);
  }

  /** Everybody leaves in order, and the server forgets them. */
  async fallAsleep(): Promise<void> {
    for (const client of this.clients) {
      client.leaves();
      await this.rest();
    }
    await this.advance(70_000, 5_000);
  }
}

export function describe({ n, kind, client, peer, x, flow }: Action): string {
  return `${n}: ${kind} client ${client} peer ${peer} x ${x} flow ${flow}`;
}
