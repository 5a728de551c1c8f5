/**
 * The world of `no-loss.test.ts`: our server in memory over a store whose commits settle, fail or are lost when the
 * schedule says so, and clients that count as XEP-0198 demands. An action never depends on chance, only on what it says
 * itself, so that a schedule stays the same schedule when actions are taken out of it.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { Account } from '../../src/core/account.ts';
import { derive } from '../../src/pool.ts';
import type { AccountRequest } from '../../src/server/worker-control.ts';
import { MemoryStore, openMemory } from '../../src/store/memory.ts';
import { makeJid } from '../../src/xmpp/jid.ts';
import type { Stanza } from '../../src/xmpp/stanza.ts';
import { DOMAIN, startMemoryTarget, type MemoryTarget } from '../harness/memory-target.ts';
import type { RawConnection } from '../harness/target.ts';
import { childElements, childOf, StreamReader, type XmlElement } from '../harness/xml.ts';

const SM = 'urn:xmpp:sm:3';
const STANZA_ID = 'urn:xmpp:sid:0';
const DELAY = 'urn:xmpp:delay';
const CARBONS = 'urn:xmpp:carbons:2';
const PASSWORD = 'a secret';
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

export interface ClientPlan {
  readonly account: number;
  readonly isManaged: boolean;
  /** Acknowledges only when it is told to. */
  readonly isLazy: boolean;
  readonly isResumable: boolean;
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

/** A message of a client, and what the world knows of its fate. */
export interface Sent {
  readonly id: string;
  readonly n: number;
  readonly by: Client;
  readonly life: Life;
  readonly to: string;
  readonly kind: Kind;
  isAcked: boolean;
  isErrorReceived: boolean;
  /** Its recipient had a client without stream management whose connection ended: what was in the socket is gone. */
  mayBeLost: boolean;
  /** A session of the recipient has ended since: it may have been for that one first. */
  mayBeLate: boolean;
  /** Its sender or recipient is another account by now. */
  isVoid: boolean;
  /** A crash may have hit it, on the way from its client. */
  mayBeRefused: boolean;
}

export interface Got {
  readonly id: string;
  readonly form: 'plain' | 'copy';
  readonly stanzaId: string | undefined;
  readonly isDelayed: boolean;
}

/** What a client thinks of as one session: from binding to its end, through resumptions. */
export class Life {
  readonly got: Got[] = [];
  /** `got` of messages and everything else that counts. */
  readonly counted: (Got | undefined)[] = [];
  h = 0;
  ackedByMe = 0;
  token: string | undefined = undefined;
  /** Not acknowledged yet. */
  unacked: { readonly xml: string; readonly id: string | undefined }[] = [];
  outAcked = 0;
  hasEnded = false;
  isCounting = false;
}

export interface Request {
  readonly id: string;
  readonly by: Client;
  readonly life: Life;
  readonly isToPeer: boolean;
  isAnswered: boolean;
  isExcused: boolean;
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
    this.target.runtime.accept = () => undefined;
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
    await this.insist(account, { kind: 'create_account', scram: await derive({ password: PASSWORD, iterations: 1 }) });
  }

  /** The account may just crash. */
  private async insist(account: number, request: AccountRequest): Promise<void> {
    for (let tries = 0; tries < 5; tries++) {
      const isDone = this.target.runtime.ask(makeJid(`a${account}`, DOMAIN)!.bare, request).then(
        () => true,
        () => false,
      );
      await this.rest();
      if (await isDone) return;
      await this.advance(3_000);
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
        client.connection?.stall();
        client.isStalled = client.isOnline;
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
      client.isLazy = false;
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

export class Client {
  readonly world: World;
  readonly name: string;
  readonly account: number;
  readonly isManaged: boolean;
  readonly isResumable: boolean;
  isLazy: boolean;
  resource: string;
  connection: RawConnection | undefined = undefined;
  isOnline = false;
  /** Its packets get nowhere, in either direction, and nobody knows yet. */
  isMute = false;
  /** It reads nothing. */
  isStalled = false;
  isAuthenticated = false;
  life: Life | undefined = undefined;
  readonly lives: Life[] = [];
  crashed = 0;

  constructor(world: World, { account, isManaged, isLazy, isResumable }: ClientPlan, name: string) {
    this.world = world;
    this.name = name;
    this.account = account;
    this.isManaged = isManaged;
    this.isResumable = isResumable;
    this.isLazy = isLazy;
    this.resource = name;
  }

  get bare(): string {
    return this.world.bareOf(this.account);
  }

  get full(): string {
    return `${this.bare}/${this.resource}`;
  }

  /** Resumes where it can, binds otherwise. */
  async connect(): Promise<void> {
    this.lost();
    const connecting = this.world.target.connect();
    this.world.target.clock.run();
    const connection = await connecting;
    this.connection = connection;
    this.isAuthenticated = false;
    let reader: StreamReader;
    const restart = (): void => {
      reader = new StreamReader((event) => {
        if (this.connection !== connection || this.isMute) return;
        if (event.kind === 'element') this.takes(event.element, restart);
        else if (event.kind === 'close' || event.kind === 'closed') this.lost();
        else if (event.kind === 'error') this.world.wrongs.push(`${this.name} cannot read: ${event.text}`);
      });
      connection.write(
        `<?xml version='1.0'?><stream:stream to='${DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`,
      );
    };
    connection.setHandlers(
      (text) => {
        if (this.connection !== connection || this.isMute) return;
        this.world.note(`${this.name} < ${text}`);
        reader.write(text);
      },
      () => {
        if (this.connection === connection && !this.isMute) this.lost();
      },
    );
    restart();
  }

  private takes(element: XmlElement, restart: () => void): void {
    const { name, ns, attrs } = element;
    if (name === 'features') {
      if (!this.isAuthenticated) {
        const proof = Buffer.from(`\0a${this.account}\0${PASSWORD}`).toString('base64');
        this.connection!.write(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${proof}</auth>`);
      } else if (this.life?.token !== undefined) {
        this.life.ackedByMe = this.life.h;
        this.connection!.write(`<resume xmlns='${SM}' previd='${this.life.token}' h='${this.life.h}'/>`);
      } else {
        this.binds();
      }
    } else if (name === 'success') {
      this.isAuthenticated = true;
      restart();
    } else if (name === 'failure') {
      this.lost(); // the account has just crashed, or its disk is full

    } else if (name === 'error' && ns.endsWith('streams')) {
      if (childOf(element, 'undefined-condition') !== undefined) this.world.wrongs.push(`${this.name}: the server denies what was acknowledged`);
      this.lost();
    } else if (ns === SM) {
      this.takesManagement(element);
    } else if (attrs['id'] === 'bind') {
      this.bound(attrs['type'] === 'result');
    } else {
      this.takesStanza(element);
    }
  }

  private binds(): void {
    this.endLife();
    this.connection!.write(
      `<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${this.resource}</resource></bind></iq>`,
    );
  }

  private bound(isGood: boolean): void {
    if (!isGood) {
      this.connection!.destroy();
      this.lost();
      return;
    }
    this.life = new Life();
    this.lives.push(this.life);
    if (this.isManaged) {
      this.connection!.write(`<enable xmlns='${SM}'${this.isResumable ? ` resume='true'` : ''}/>`);
    } else {
      this.isOnline = true;
      this.send('<presence/>');
    }
  }

  private takesManagement({ name, attrs, children: _ }: XmlElement): void {
    const h = attrs['h'] === undefined ? undefined : Number(attrs['h']);
    const { life } = this;
    switch (name) {
      case 'enabled':
        life!.token = attrs['id'];
        life!.isCounting = true;
        this.isOnline = true;
        this.send('<presence/>');
        break;
      case 'resumed':
        this.acknowledged(h!);
        this.isOnline = true;
        for (const { xml } of life!.unacked) this.raw(xml);
        break;
      case 'failed':
        if (life === undefined || this.isOnline || life.token === undefined) {
          this.connection!.destroy();
          this.lost();
          break;
        }
        if (h !== undefined) this.acknowledged(h);
        this.binds();
        break;
      case 'r':
        if (!this.isLazy) this.acks();
        break;
      case 'a':
        this.acknowledged(h!);
        break;
    }
  }

  private acknowledged(h: number): void {
    const life = this.life!;
    if (h < life.outAcked) this.world.wrongs.push(`${this.name}: h went back from ${life.outAcked} to ${h}`);
    if (h > life.outAcked + life.unacked.length)
      this.world.wrongs.push(`${this.name}: h is ${h}, but ${life.outAcked + life.unacked.length} were sent`);
    while (life.outAcked < h && life.unacked.length > 0) {
      const { id } = life.unacked.shift()!;
      life.outAcked++;
      const sent = id === undefined ? undefined : this.world.sent.get(id);
      if (sent !== undefined) sent.isAcked = true;
    }
  }

  private takesStanza(element: XmlElement): void {
    const { life } = this;
    if (life === undefined) return;
    const { name, attrs } = element;
    const got = name === 'message' ? gotOf(element, this.bare) : undefined;
    if (life.isCounting) {
      life.h++;
      life.counted.push(got);
    }
    const { id, type } = attrs;
    if (name === 'message' && type === 'error') {
      const sent = this.world.sent.get(id ?? '');
      if (sent !== undefined) sent.isErrorReceived = true;
    } else if (got !== undefined) {
      life.got.push(got);
    } else if (name === 'iq' && (type === 'result' || type === 'error')) {
      const request = this.world.requests.get(id ?? '');
      if (request !== undefined) request.isAnswered = true;
    } else if (name === 'iq') {
      this.send(`<iq type='result' id='${id}' to='${attrs['from']}'/>`);
    }
  }

  says(n: number, kind: Kind, to: string, attrs: string, content: string): void {
    const { life } = this;
    if (life === undefined || (!this.isOnline && !this.isManaged)) return;
    if (!this.isOnline && life.token === undefined) return;
    const id = `m${n}`;
    this.world.sent.set(id, {
      id,
      n,
      by: this,
      life,
      to,
      kind,
      isAcked: false,
      isErrorReceived: false,
      isVoid: false,
      mayBeLost: this.world.leaky.has(to.split('/')[0]!),
      mayBeLate: this.world.delaying.has(to.split('/')[0]!),
      mayBeRefused: this.crashed > 0,
    });
    this.send(`<message id='${id}' to='${to}' ${attrs}>${content}</message>`, id);
  }

  asks(n: number, to: string, peer: Client | undefined): void {
    const { life } = this;
    if (life === undefined || !this.isOnline || this.isMute) return;
    const id = `q${n}`;
    const isToPeer = peer !== undefined;
    this.world.requests.set(id, { id, by: this, life, isToPeer, isAnswered: false, isExcused: isToPeer && (!peer.isManaged || this.world.isFailing || this.world.clients.some(({ crashed }) => crashed > 0)) });
    this.send(`<iq type='get' id='${id}' to='${to}'><ping xmlns='urn:xmpp:ping'/></iq>`);
  }

  /** A stanza; one that cannot be sent now is sent with the next resumption. */
  send(xml: string, id?: string): void {
    const { life } = this;
    if (life === undefined) return;
    if (life.isCounting) life.unacked.push({ xml, id });
    if (xml.startsWith('<presence') && xml !== '<presence/>') this.mayDelay();
    if (this.isOnline) this.raw(xml);
  }

  /** A stanza of one that is online. */
  sendRaw(xml: string): void {
    if (this.isOnline) this.send(xml);
  }

  raw(text: string): void {
    if (this.isOnline && !this.isMute) {
      this.world.note(`${this.name} > ${text}`);
      this.connection!.write(text);
    }
  }

  acks(): void {
    const { life } = this;
    if (!this.isManaged || life === undefined || !this.isOnline || this.isMute) return;
    life.ackedByMe = life.h;
    this.raw(`<a xmlns='${SM}' h='${life.h}'/>`);
  }

  cut(): void {
    this.connection?.destroy();
    this.lost();
  }

  /** The connection is gone. */
  lost(): void {
    if (this.connection !== undefined && !this.isMute) this.world.note(`${this.name} is cut off`);
    if (this.connection !== undefined) {
      const { connection } = this;
      this.connection = undefined;
      if (!this.isMute) connection.destroy();
    }
    const wasOnline = this.isOnline;
    this.isOnline = this.isMute = this.isStalled = false;
    if (wasOnline && this.life?.token === undefined) this.endLife();
  }

  /** It has lost the last stanzas it got, as one that was killed before it wrote them down. */
  forget(count: number): void {
    const { life } = this;
    this.lost();
    if (life === undefined || life.hasEnded) return;
    while (count-- > 0 && life.h > life.ackedByMe) {
      life.h--;
      const got = life.counted.pop();
      if (got !== undefined) life.got.splice(life.got.lastIndexOf(got), 1);
    }
  }

  /** It will not come back to its session. @param isSudden without a word. */
  abandon(isSudden: boolean): void {
    if (!isSudden) this.leaves();
    this.lost();
    this.endLife();
  }

  leaves(): void {
    if (this.isOnline && !this.isMute) {
      this.raw('</stream:stream>');
      this.endLife();
      const { connection } = this;
      this.connection = undefined;
      this.isOnline = false;
      connection!.end();
    }
  }

  private endLife(): void {
    const { life, world } = this;
    if (life === undefined || life.hasEnded) return;
    life.hasEnded = true;
    this.life = undefined;
    this.mayDelay();
    if (this.isManaged) return this.excuse(life);
    world.leaky.add(this.bare);
    for (const sent of world.sent.values()) if (sent.to.startsWith(this.bare)) sent.mayBeLost = true;
    this.excuse(life);
  }

  /** What comes now may wait for a session that is over for its client, or for one that takes messages. */
  private mayDelay(): void {
    const { world } = this;
    world.delaying.add(this.bare);
    for (const sent of world.sent.values()) if (sent.to.startsWith(this.bare)) sent.mayBeLate = true;
  }

  private excuse(life: Life): void {
    const { world } = this;
    for (const request of world.requests.values()) if (request.life === life) request.isExcused = true;
  }
}

function gotOf(element: XmlElement, own: string): Got | undefined {
  if (element.attrs['type'] === 'error') return undefined;
  const copy = childElements(element).find(({ ns }) => ns === CARBONS);
  const message = copy === undefined ? element : childOf(childOf(copy, 'forwarded')!, 'message')!;
  const id = message.attrs['id'];
  if (id === undefined) return undefined;
  const stanzaId = childElements(message).find(({ name, ns, attrs }) => ns === STANZA_ID && name === 'stanza-id' && attrs['by'] === own);
  return {
    id,
    form: copy === undefined ? 'plain' : 'copy',
    stanzaId: stanzaId?.attrs['id'],
    isDelayed: childElements(message).some(({ ns }) => ns === DELAY),
  };
}
