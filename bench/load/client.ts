/**
 * A client for load: one socket, no trees, next to no memory of its own, so that the figures are the
 * server's. It speaks to any XMPP server.
 */
import { Connection, type Target } from './connection.ts';
import { Scanner, type TakeElement } from './scanner.ts';
import { scram, type ScramMechanism } from './scram.ts';

export type { Target } from './connection.ts';

export const MECHANISMS = ['PLAIN', 'SCRAM-SHA-1', 'SCRAM-SHA-256'] as const;
export type LoginMethod = (typeof MECHANISMS)[number];

const STREAMS = 'http://etherx.jabber.org/streams';
const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const SM = 'urn:xmpp:sm:3';

const LOWER_A = 0x61;
const LOWER_I = 0x69;
const LOWER_M = 0x6d;
const LOWER_P = 0x70;
const LOWER_R = 0x72;
const SPACE = 0x20;

interface Waiter {
  readonly until: RegExp;
  readonly resolve: (text: string) => void;
  readonly reject: (error: Error) => void;
}

export class LoadClient {
  readonly local: string;
  readonly target: Target;
  /** Full JID after `logIn`. */
  jid = '';
  /** XEP-0198: the id to resume with; '' where the server does not offer it. */
  resumptionId = '';
  /** Gets each element once `flow` or `listen` was called, and then owns what to make of it. */
  private listener: TakeElement | undefined;
  private readonly connection: Connection;
  private pending = '';
  private waiter: Waiter | undefined;
  private failure: Error | undefined;
  /** XEP-0198: stanzas received since `<enabled/>`; -1 without. */
  private received = -1;

  private constructor(target: Target, local: string, connection: Connection) {
    this.target = target;
    this.local = local;
    this.connection = connection;
    connection.take = (bytes, start, end) => this.take(bytes, start, end);
    connection.closed = (error) => this.fail(error);
  }

  static async open(target: Target, local: string): Promise<LoadClient> {
    return new LoadClient(target, local, await Connection.open(target, () => undefined));
  }

  /** As `Connection.write`. */
  send(data: string | Buffer): boolean {
    return this.connection.write(data);
  }

  get isOpen(): boolean {
    return this.connection.isOpen;
  }

  /** Sends `xml` and waits until the elements since the last `ask` hold a match. Rejects on stream errors and SASL failures. */
  ask(xml: string, until: RegExp): Promise<string> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.waiter = { until, resolve, reject };
      if (xml !== '') this.connection.write(xml);
      this.check();
    });
  }

  /** From now on elements go to `listener`; `ask` is over. Its bytes are valid during the call only. */
  listen(listener: TakeElement): void {
    this.listener = listener;
    const { pending } = this;
    this.pending = '';
    let isHeader = true;
    new Scanner().push(Buffer.from(`<s>${pending}`), Buffer.byteLength(pending) + 3, (bytes, start, end) => {
      if (isHeader) isHeader = false;
      else listener(bytes, start, end);
    });
  }

  /** Called after the elements of each read. */
  onRead(answer: () => void): void {
    this.connection.afterRead = answer;
  }

  /** The same as text. */
  flow(onText: (text: string) => void): void {
    this.listen((bytes, start, end) => onText(bytes.toString('utf8', start, end)));
  }

  /** Elements are kept for `ask` again. */
  unlisten(): void {
    this.listener = undefined;
  }

  /** The stream features. */
  async openStream(): Promise<string> {
    this.connection.restart();
    this.pending = '';
    return this.ask(
      `<?xml version='1.0'?><stream:stream to='${this.target.domain}' version='1.0' xmlns='jabber:client' xmlns:stream='${STREAMS}'>`,
      /<\/stream:features>|<stream:features[^>]*\/>/,
    );
  }

  /** A stream that is as secure as the target wants it. RFC 6120 §5. */
  async openSecureStream(): Promise<string> {
    const features = await this.openStream();
    if (this.target.security !== 'starttls') return features;
    await this.ask(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`, /<proceed[^>]*>/);
    await this.connection.startTls(this.target.domain);
    return this.openStream();
  }

  /** XEP-0077; false where the account exists already. */
  async register(password: string): Promise<boolean> {
    await this.openSecureStream();
    const answer = await this.ask(
      `<iq type='set' id='reg'><query xmlns='jabber:iq:register'><username>${this.local}</username><password>${password}</password></query></iq>`,
      /<iq [^>]*id='reg'[^>]*\/>|<\/iq>|<iq [^>]*id="reg"[^>]*\/>/,
    );
    if (/type=['"]error['"]/.test(answer) && !answer.includes('conflict')) throw new Error(`registration refused: ${answer}`);
    return !answer.includes('conflict');
  }

  async authenticate(password: string, method: LoginMethod): Promise<void> {
    await this.openSecureStream();
    if (method === 'PLAIN') {
      const data = Buffer.from(`\0${this.local}\0${password}`).toString('base64');
      await this.ask(`<auth xmlns='${SASL}' mechanism='PLAIN'>${data}</auth>`, /<success[^>]*>/);
    } else {
      await this.scram(password, method);
    }
    await this.openStream();
  }

  /** Authenticates and binds. RFC 6120 §6 and §7. */
  async logIn(password: string, method: LoginMethod, resource: string): Promise<void> {
    await this.authenticate(password, method);
    const bound = await this.ask(
      `<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
      /<\/iq>|<iq [^>]*\/>/,
    );
    this.jid = /<jid>([^<]+)<\/jid>/.exec(bound)?.[1] ?? '';
    if (this.jid === '') throw new Error(`not bound: ${bound}`);
  }

  /** XEP-0198 §3: what is received from now on is counted and confirmed. */
  async enable(isResumable: boolean): Promise<void> {
    const answer = await this.ask(`<enable xmlns='${SM}'${isResumable ? " resume='true'" : ''}/>`, /<enabled[^>]*>/);
    this.resumptionId = /\bid=['"]([^'"]+)['"]/.exec(answer)?.[1] ?? '';
    this.received = 0;
  }

  /** XEP-0198 §5: goes on with another client's session. Rejects where the server has forgotten it. */
  async resume(previous: LoadClient): Promise<void> {
    this.jid = previous.jid;
    this.resumptionId = previous.resumptionId;
    const answer = await this.ask(
      `<resume xmlns='${SM}' h='${previous.received}' previd='${previous.resumptionId}'/>`,
      /<resumed[^>]*>|<failed/,
    );
    if (answer.includes('<failed')) throw new Error(`not resumed: ${answer}`);
    this.received = previous.received;
  }

  /** XEP-0199. By the time it is answered the server has seen all that was sent before. */
  async ping(): Promise<void> {
    await this.pingAnswer();
  }

  /** The same; everything that has come since the last `ask`, with the answer. */
  pingAnswer(): Promise<string> {
    return this.ask(`<iq type='get' id='ping' to='${this.target.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`, /id=['"]ping['"]/);
  }

  /** Without a word, as when the network fails. */
  close(): void {
    this.failure ??= new Error('closed');
    this.connection.destroy();
  }

  /** RFC 6120 §4.4: in order. Resolves when the server has closed as well. */
  async leave(): Promise<void> {
    this.failure ??= new Error('closed');
    this.connection.write('</stream:stream>');
    await this.connection.end();
  }

  private async scram(password: string, method: ScramMechanism): Promise<void> {
    const exchange = scram(method, this.local, password);
    const first = Buffer.from(exchange.first).toString('base64');
    const text = await this.ask(`<auth xmlns='${SASL}' mechanism='${method}'>${first}</auth>`, /<\/challenge>/);
    const challenge = Buffer.from(/<challenge[^>]*>([^<]*)</.exec(text)?.[1] ?? '', 'base64').toString();
    const answer = Buffer.from(exchange.answer(challenge)).toString('base64');
    await this.ask(`<response xmlns='${SASL}'>${answer}</response>`, /<success[^>]*>/);
  }

  private take(bytes: Buffer, start: number, end: number): void {
    if (this.received !== -1 && !this.count(bytes, start)) return;
    if (this.listener !== undefined) {
      this.listener(bytes, start, end);
      return;
    }
    this.pending += bytes.toString('utf8', start, end);
    this.check();
  }

  /** XEP-0198 §4. False: it was not a stanza, and is dealt with. */
  private count(bytes: Buffer, start: number): boolean {
    const name = bytes[start + 1];
    if (name === LOWER_M || name === LOWER_P || name === LOWER_I) this.received++;
    else if (bytes[start + 2] === SPACE && name === LOWER_R) {
      this.connection.write(`<a xmlns='${SM}' h='${this.received}'/>`);
      return false;
    } else if (bytes[start + 2] === SPACE && name === LOWER_A) return false;
    return true;
  }

  private check(): void {
    const { waiter } = this;
    if (waiter === undefined) return;
    const match = waiter.until.exec(this.pending);
    if (match === null) {
      if (/<stream:error|<failure/.test(this.pending)) this.fail(new Error(this.pending.slice(0, 300)));
      return;
    }
    const answer = this.pending;
    this.pending = '';
    this.waiter = undefined;
    waiter.resolve(answer);
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.waiter?.reject(this.failure);
    this.waiter = undefined;
  }
}

/** Runs `work` for each item, so many at a time. */
export async function inParallel<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: Math.min(width, items.length) }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
