/**
 * A client for load: one socket, no trees, next to no memory of its own, so that the figures are the
 * server's. It speaks to any XMPP server on a plain TCP port.
 */
import { connect, type Socket } from 'node:net';
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly domain: string;
}

export type LoginMethod = 'PLAIN' | 'SCRAM-SHA-1' | 'SCRAM-SHA-256';

const STREAMS = 'http://etherx.jabber.org/streams';

export class LoadClient {
  readonly local: string;
  readonly target: Target;
  /** Full JID after `bind`. */
  jid = '';
  /** Called with each piece of the stream once `flow` was called. */
  onText: (text: string) => void = () => undefined;
  private readonly socket: Socket;
  private pending = '';
  private waiter: { readonly until: RegExp; readonly resolve: (text: string) => void; readonly reject: (error: Error) => void } | undefined;
  private isFlowing = false;
  private failure: Error | undefined;

  private constructor(target: Target, local: string, socket: Socket) {
    this.target = target;
    this.local = local;
    this.socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding('utf8');
    socket.on('data', (text) => this.take(String(text)));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('connection closed')));
  }

  static open(target: Target, local: string): Promise<LoadClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(target.port, target.host);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new LoadClient(target, local, socket));
      });
    });
  }

  send(xml: string): void {
    this.socket.write(xml);
  }

  /** Sends `xml` and waits for the answer to hold a match. Rejects on stream errors and SASL failures. */
  ask(xml: string, until: RegExp): Promise<string> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.waiter = { until, resolve, reject };
      this.socket.write(xml);
      this.check();
    });
  }

  /** From now on text goes to `onText`; `ask` is over. */
  flow(onText: (text: string) => void): void {
    this.isFlowing = true;
    this.onText = onText;
    if (this.pending !== '') onText(this.pending);
    this.pending = '';
  }

  async openStream(): Promise<void> {
    await this.ask(
      `<?xml version='1.0'?><stream:stream to='${this.target.domain}' version='1.0' xmlns='jabber:client' xmlns:stream='${STREAMS}'>`,
      /<\/stream:features>/,
    );
  }

  /** XEP-0077; false where the account exists already. */
  async register(password: string): Promise<boolean> {
    await this.openStream();
    const answer = await this.ask(
      `<iq type='set' id='reg'><query xmlns='jabber:iq:register'><username>${this.local}</username><password>${password}</password></query></iq>`,
      /<iq [^>]*id='reg'[^>]*\/>|<\/iq>|<iq [^>]*id="reg"[^>]*\/>/,
    );
    if (/type=['"]error['"]/.test(answer) && !answer.includes('conflict')) throw new Error(`registration refused: ${answer}`);
    return !answer.includes('conflict');
  }

  async logIn(password: string, method: LoginMethod, resource: string): Promise<void> {
    await this.openStream();
    if (method === 'PLAIN') {
      const data = Buffer.from(`\0${this.local}\0${password}`).toString('base64');
      await this.ask(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${data}</auth>`, /<success[^>]*>/);
    } else {
      await this.scram(password, method);
    }
    await this.openStream();
    const bound = await this.ask(
      `<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
      /<\/iq>/,
    );
    this.jid = /<jid>([^<]+)<\/jid>/.exec(bound)?.[1] ?? '';
    if (this.jid === '') throw new Error(`not bound: ${bound}`);
  }

  close(): void {
    this.failure = new Error('closed');
    this.socket.destroy();
  }

  private async scram(password: string, method: 'SCRAM-SHA-1' | 'SCRAM-SHA-256'): Promise<void> {
    const hash = method === 'SCRAM-SHA-1' ? 'sha1' : 'sha256';
    const bare = `n=${this.local},r=${randomBytes(12).toString('hex')}`;
    const first = await this.ask(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='${method}'>${Buffer.from(`n,,${bare}`).toString('base64')}</auth>`,
      /<\/challenge>/,
    );
    const challenge = Buffer.from(/<challenge[^>]*>([^<]*)</.exec(first)?.[1] ?? '', 'base64').toString();
    const { r, s, i } = Object.fromEntries(challenge.split(',').map((part) => [part[0], part.slice(2)]));
    if (r === undefined || s === undefined || i === undefined) throw new Error('no SCRAM challenge');
    const salted = pbkdf2Sync(password, Buffer.from(s, 'base64'), Number(i), hash === 'sha1' ? 20 : 32, hash);
    const clientKey = createHmac(hash, salted).update('Client Key').digest();
    const storedKey = createHash(hash).update(clientKey).digest();
    const final = `c=biws,r=${r}`;
    const signature = createHmac(hash, storedKey).update(`${bare},${challenge},${final}`).digest();
    const proof = clientKey.map((byte, at) => byte ^ signature[at]!);
    const response = Buffer.from(`${final},p=${Buffer.from(proof).toString('base64')}`).toString('base64');
    await this.ask(`<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>${response}</response>`, /<success[^>]*>/);
  }

  private take(text: string): void {
    if (this.isFlowing) {
      this.onText(text);
      return;
    }
    this.pending += text;
    this.check();
  }

  private check(): void {
    const { waiter } = this;
    if (waiter === undefined) return;
    if (/<stream:error|<failure/.test(this.pending)) {
      this.fail(new Error(this.pending.slice(0, 300)));
      return;
    }
    const match = waiter.until.exec(this.pending);
    if (match === null) return;
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
