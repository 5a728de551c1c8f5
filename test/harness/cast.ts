/** The people of a transcript: clients that are logged in by the time the first of them acts. */
import { randomBytes } from 'node:crypto';
import type { Captures } from './match.ts';
import type { MemoryTarget } from './memory-target.ts';
import { StreamClient, type Log } from './stream-client.ts';
import { createHash } from 'node:crypto';
import { COMPONENT, type RawConnection, type Target } from './target.ts';
import { printXml, type XmlElement } from './xml.ts';

/** Who may be destructured from a cast. Others: `cast.client('name')`. */
export const PEOPLE = [
  'romeo',
  'juliet',
  'nurse',
  'mercutio',
  'benvolio',
  'tybalt',
  'paris',
  'laurence',
  'phone',
  'tablet',
  'chamber',
  'balcony',
  'escalus',
] as const;
export type Person = (typeof PEOPLE)[number];

/** The prince of Verona administers every server that transcripts are played against, so his name has no random part. */
const ADMIN = 'escalus';

/** Names that stand for a further resource of somebody's account. All others have an account of their own. */
export const RESOURCES: Readonly<Record<string, string>> = { phone: 'romeo', tablet: 'romeo', chamber: 'juliet', balcony: 'juliet' };

/** Romeo and Juliet are where Shakespeare and the RFCs have them; others are at `main`. */
const USUAL_RESOURCE: Readonly<Record<string, string>> = {
  romeo: 'orchard',
  juliet: 'window',
  phone: 'phone',
  tablet: 'tablet',
  chamber: 'chamber',
  balcony: 'balcony',
};

export interface ClientOptions {
  /** Whose account it uses; default: its own name, or what RESOURCES says. */
  readonly account?: string;
  /** Default: one fixed per name. */
  readonly resource?: string;
  /** Default true. False: only the account exists; `connects()` logs in. */
  readonly isOnline?: boolean;
}

/** Thrown to end a transcript that its server cannot play. */
export class NotPlayable extends Error {}

/** One client. Its methods wait until all clients named so far are logged in. */
export class Client {
  readonly name: string;
  /** Name of the account, e.g. for `cast.passwordOf`. */
  readonly account: string;
  readonly resource: string;
  isOnline: boolean;
  isAvailable = false;
  private isStalled = false;
  private readonly cast: Cast;
  private stream: StreamClient | undefined = undefined;

  constructor(cast: Cast, name: string, options: ClientOptions) {
    this.cast = cast;
    this.name = name;
    this.account = options.account ?? RESOURCES[name] ?? name;
    this.resource = options.resource ?? USUAL_RESOURCE[name] ?? 'main';
    this.isOnline = options.isOnline ?? true;
  }

  /** Local part of its address; has a random part on servers that others use, too. */
  get local(): string {
    return this.cast.localOf(this.account);
  }

  get bare(): string {
    return `${this.local}@${this.cast.domain}`;
  }

  get full(): string {
    return `${this.bare}/${this.resource}`;
  }

  get domain(): string {
    return this.cast.domain;
  }

  /** Logs in and binds; for clients that are not online, for the first time or again. Sends no presence. */
  async connects(): Promise<void> {
    await this.cast.ready();
    if (this.stream === undefined) await this.logIn();
  }

  async sends(xml: string): Promise<void> {
    await (await this.live()).sends(xml);
    this.hasSpoken();
  }

  /** Like `sends`, but the server has not begun to handle it when this returns: to do something else meanwhile. */
  async writes(xml: string): Promise<void> {
    (await this.live()).write(xml);
    this.hasSpoken();
  }

  /** The next stanza must match. */
  async receives(xml: string): Promise<XmlElement> {
    return (await this.live()).receives(xml);
  }

  async receivesInAnyOrder(...xmls: readonly string[]): Promise<XmlElement[]> {
    return (await this.live()).receivesInAnyOrder(...xmls);
  }

  /** Takes the first stanza for which `isWanted` holds, now or when it comes, past others. */
  async takes(what: string, isWanted: (element: XmlElement) => boolean): Promise<XmlElement> {
    return (await this.live()).takes(what, isWanted);
  }

  /** Nothing has come and nothing is on its way: a ping's answer is the next stanza. */
  async receivesNothing(): Promise<void> {
    await this.cast.ready();
    await this.cast.syncAll();
    await this.barrier(false, '');
  }

  /** From now on it answers by itself what `respond` has an answer for; nobody else sees those stanzas. */
  async responds(respond: (element: XmlElement) => string | undefined): Promise<void> {
    (await this.live()).responder = respond;
  }

  /** All that has come and was not looked at, once everything sent so far was handled. */
  async collects(): Promise<XmlElement[]> {
    await this.cast.ready();
    await this.cast.syncAll();
    await this.barrier(true, '');
    return (await this.live()).takesAll();
  }

  /** Everything this client has sent was handled; what comes meanwhile is kept. */
  async sync(): Promise<void> {
    await this.cast.ready();
    this.cast.unsynced.delete(this);
    if (this.stream === undefined) return;
    // A server with several threads has handled what went to an account when that account answers.
    for (const to of this.cast.barriers) await this.barrier(true, to);
  }

  /** Sends presence and takes in what that alone brings: its own echo and that of the account's other clients. RFC 6121 §4.2.2 */
  async becomesAvailable(priority?: number): Promise<void> {
    const stream = await this.live();
    const siblings = this.cast.clients.filter((other) => other !== this && other.account === this.account && other.isAvailable);
    await stream.sends(priority === undefined ? '<presence/>' : `<presence><priority>${priority}</priority></presence>`);
    await stream.takes('its own presence', isPresenceFrom(this.full));
    if (!this.isAvailable) for (const sibling of siblings) await stream.takes(`presence of ${sibling.name}`, isPresenceFrom(sibling.full));
    for (const sibling of siblings) await (await sibling.live()).takes(`presence of ${this.name}`, isPresenceFrom(this.full));
    this.isAvailable = true;
  }

  /** Sends unavailable presence without ending the stream. RFC 6121 §4.5 */
  async becomesUnavailable(status?: string): Promise<void> {
    this.isAvailable = false;
    await this.sends(
      status === undefined ? `<presence type='unavailable'/>` : `<presence type='unavailable'><status>${status}</status></presence>`,
    );
    await this.sync();
  }

  /** Ends the stream in order. What comes in the meantime is dropped. */
  async disconnects(): Promise<void> {
    await (await this.live()).endsStream();
    this.left();
  }

  /** Reads nothing from now on; what the server sends piles up there. */
  stalls(): void {
    if (this.stream === undefined) throw new Error(`${this.name} is not connected`);
    this.stream.stalls();
    this.isStalled = true;
    this.cast.unsynced.delete(this);
  }

  /** The connection breaks. */
  async drops(): Promise<void> {
    await (await this.live()).drops();
    this.left();
  }

  /** The server ends the stream with that error. */
  async isClosedWith(condition: string): Promise<void> {
    await (await this.live()).isClosedWith(condition);
    this.left();
  }

  /** The server ends the stream with one of these errors. */
  async closedSomehow(conditions: readonly string[]): Promise<void> {
    await (await this.live()).closedSomehow(conditions);
    this.left();
  }

  /** Sends a space between stanzas. RFC 6120 §4.6.1 */
  async keepsAlive(): Promise<void> {
    (await this.live()).write(' ');
    await this.cast.target.settle();
  }

  /** The server ends the stream. */
  async isClosed(): Promise<void> {
    await (await this.live()).isClosed();
    this.left();
  }

  /** Called once by the cast, and by `connects`. */
  async logIn(): Promise<void> {
    const { log } = this.cast;
    const logged = log.length;
    const stream = await this.cast.openStream(this.name);
    await stream.logsIn({ local: this.local, password: this.cast.passwordOf(this.account) });
    const full = await stream.binds(this.resource);
    if (full !== this.full) stream.fail(`${this.name} was bound to ${full}, not ${this.full}`);
    stream.implicitFrom = this.bare;
    log.splice(logged, log.length, `${this.name} logged in as ${full}`);
    this.stream = stream;
    this.isOnline = true;
  }

  /** Who reads nothing cannot be asked whether all was handled. */
  private hasSpoken(): void {
    if (!this.isStalled) this.cast.unsynced.add(this);
  }

  private async live(): Promise<StreamClient> {
    await this.cast.ready();
    if (this.stream === undefined) throw new Error(`${this.name} is not connected`);
    return this.stream;
  }

  private left(): void {
    this.stream = undefined;
    this.isOnline = false;
    this.isAvailable = false;
    this.isStalled = false;
    this.cast.unsynced.delete(this);
  }

  /** @param to whom to ping; '' for the own account. Any answer will do. */
  private async barrier(mayReceive: boolean, to: string): Promise<void> {
    const stream = await this.live();
    const id = `barrier-${this.cast.nextBarrier++}`;
    await stream.sends(`<iq type='get' id='${id}' ${to === '' ? '' : `to='${to}'`}><ping xmlns='urn:xmpp:ping'/></iq>`);
    let before: XmlElement | undefined;
    if (!mayReceive) {
      const first = stream.pending.find((event) => event.kind === 'element');
      if (first?.kind === 'element' && first.element.attrs['id'] !== id) before = first.element;
    }
    await stream.takes('the answer to a ping', (element) => {
      if (element.attrs['id'] === id) return true;
      if (!mayReceive) before ??= element;
      return false;
    });
    if (before !== undefined) stream.fail(`${this.name} should have received nothing but received\n${printXml(before)}`);
  }
}

const isPresenceFrom =
  (full: string) =>
  ({ name, attrs }: XmlElement): boolean =>
    name === 'presence' && attrs['from'] === full && attrs['type'] === undefined;

/** Everybody who takes part in one transcript. */
export class Cast {
  readonly target: Target;
  readonly domain: string;
  readonly clients: Client[] = [];
  /** Values of `{name}` in expectations met so far. */
  readonly captured: Captures = new Map();
  readonly log: Log = [];
  /** Clients whose last words the server may still be handling. */
  readonly unsynced = new Set<Client>();
  nextBarrier = 1;
  private readonly accounts = new Map<string, string>();
  private readonly streams: StreamClient[] = [];
  private readonly suffix: string;
  private readying: Promise<void> = Promise.resolve();
  private readonly waiting: Client[] = [];
  private nextRaw = 1;

  /** @param suffix of the names of accounts; by default none, or a random one on a server that others use, too. */
  constructor(target: Target, suffix = target.isOwn ? '' : `-${randomBytes(5).toString('hex')}`) {
    this.target = target;
    this.domain = target.domain;
    this.suffix = suffix;
  }

  /** Whether to hold the server to our choices, too. */
  get isOurs(): boolean {
    return this.target.isOurs ?? this.target.isOwn;
  }

  /** Whom a client pings to know that what it has sent was handled. */
  get barriers(): readonly string[] {
    if (this.target.isOwn) return ['']; // it settles
    return ['', ...new Set(this.clients.map(({ bare }) => bare))];
  }

  async syncAll(): Promise<void> {
    for (const client of [...this.unsynced]) await client.sync();
  }

  /** The client of that name; options count at its first mention. */
  client(name: string, options: ClientOptions = {}): Client {
    const known = this.clients.find((client) => client.name === name);
    if (known !== undefined) return known;
    const client = new Client(this, name, options);
    this.clients.push(client);
    this.waiting.push(client);
    return client;
  }

  /** A connection of an external component on which nothing has been said yet. XEP-0114 */
  async rawComponent(domain: string = COMPONENT.domain): Promise<StreamClient> {
    await this.ready();
    if (this.target.connectComponent === undefined) throw new NotPlayable('needs a server with components');
    const connection = await this.target.connectComponent();
    const { captured: captures, log } = this;
    const contentNs = 'jabber:component:accept';
    const stream = new StreamClient(connection, {
      name: domain,
      domain,
      captures,
      log,
      contentNs,
      deadlineMs: this.target.deadlineMs,
      settle: () => this.target.settle(),
    });
    this.streams.push(stream);
    return stream;
  }

  /** One that has shown its secret. */
  async component(domain: string = COMPONENT.domain, secret: string = COMPONENT.secret): Promise<StreamClient> {
    const stream = await this.rawComponent(domain);
    await stream.opensStream({ version: undefined });
    const { id } = await stream.receivesStream();
    await stream.sends(`<handshake>${handshake(id, secret)}</handshake>`);
    await stream.receives('<handshake/>');
    return stream;
  }

  /** An account without any client: exists, offline. */
  offline(name: string): Client {
    return this.client(name, { isOnline: false });
  }

  /** A connection on which nothing has been said yet. */
  async raw(name = `raw${this.nextRaw++}`): Promise<StreamClient> {
    await this.ready();
    return this.openStream(name);
  }

  localOf(account: string): string {
    return account === ADMIN ? account : account + this.suffix;
  }

  passwordOf(account: string): string {
    return `secret of ${account}`;
  }

  /** All clients named so far have their accounts and, unless meant to be offline, are logged in. */
  ready(): Promise<void> {
    if (this.waiting.length === 0) return this.readying;
    const batch = this.waiting.splice(0);
    this.readying = this.readying.then(() => this.enter(batch));
    return this.readying;
  }

  /** Moves the server's clock on, and lets it do what then is due. Not for servers with a clock of their own. */
  async advance(ms: number): Promise<void> {
    await this.ready();
    if (!this.target.hasFakeClock) throw new NotPlayable('needs a clock that the test can drive');
    await this.target.settle();
    await this.target.advance(ms);
    await this.target.settle();
  }

  /** Our own server's inside. Not for others. */
  get memory(): MemoryTarget {
    if (!('runtime' in this.target)) throw new NotPlayable('looks into our own server');
    return this.target as MemoryTarget;
  }

  /** The server ends without warning and starts anew over what it has stored; whoever was connected is not. The accounts stay. */
  async restarted(): Promise<CastOfClients> {
    await this.ready();
    const target = await this.target.restarted?.();
    if (target === undefined) throw new NotPlayable('needs a server that the test can restart');
    const cast = new Cast(target, this.suffix);
    for (const [account, password] of this.accounts) cast.accounts.set(account, password);
    return withNames(cast);
  }

  async openStream(name: string): Promise<StreamClient> {
    const connection: RawConnection = await this.target.connect();
    const { domain, captured: captures, log } = this;
    const stream = new StreamClient(connection, {
      name,
      domain,
      captures,
      log,
      deadlineMs: this.target.deadlineMs,
      settle: () => this.target.settle(),
    });
    this.streams.push(stream);
    return stream;
  }

  /** Ends all connections and removes the accounts where the server outlives the transcript. */
  async leave(): Promise<void> {
    for (const stream of this.streams) stream.discard();
    await this.target.settle();
    if (this.target.isOwn) return;
    for (const [account, password] of this.accounts) {
      if (account === ADMIN) continue;
      // The transcript may have changed the password or removed the account; then it stays, under a name nobody else uses.
      await this.target.removeAccount(this.localOf(account), password).catch(() => undefined);
    }
  }

  private async enter(batch: readonly Client[]): Promise<void> {
    for (const { account } of batch) {
      if (this.accounts.has(account)) continue;
      this.accounts.set(account, this.passwordOf(account));
      const creating = this.target.createAccount(this.localOf(account), this.passwordOf(account));
      if (account === ADMIN && !this.target.isOwn) await creating.catch(() => undefined); // an earlier transcript has made it
      else await creating;
    }
    for (const client of batch) if (client.isOnline) await client.logIn();
  }
}

/** XEP-0114 §3 */
export const handshake = (streamId: string | undefined, secret: string): string =>
  createHash('sha1').update(`${streamId}${secret}`).digest('hex');

/** `cast.romeo` is `cast.client('romeo')`. */
export type CastOfClients = Cast & { readonly [name in Person]: Client };

/** A cast whose people appear when they are first named. */
export function withNames(cast: Cast): CastOfClients {
  for (const name of PEOPLE) Object.defineProperty(cast, name, { get: () => cast.client(name) });
  return cast as CastOfClients;
}
