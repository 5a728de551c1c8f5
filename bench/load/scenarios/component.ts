/**
 * An external component (XEP-0114) that echoes: users send it messages in a closed loop, so many of each under way. A message counts
 * when its echo is back, so each is two on the component's connection. One connection, as most components have.
 */
import { createHash } from 'node:crypto';
import type { Bench } from '../bench.ts';
import type { LoadClient } from '../client.ts';
import { Connection } from '../connection.ts';
import { Outbox, Template } from '../outbox.ts';
import { attributeText, isMessage, numberOf } from '../scanner.ts';
import type { Scenario } from '../scenario.ts';
import { Sequence } from '../sequence.ts';

/** What the servers that `bench/servers` starts know. */
export const ECHO = { domain: 'echo.localhost', secret: 'bench' };

const FROM = Buffer.from('from');
const ID = Buffer.from('id');

export const component: Scenario = {
  name: 'component',
  summary: 'Users and an external component that echoes their messages; messages whose echo arrived.',
  options: {
    users: { default: 100, help: 'users who talk to the component' },
    window: { default: 4, help: 'messages of one user under way' },
    bytes: { default: 100, help: 'length of a body' },
    'component-port': { default: 0, help: 'where components connect; 0: where the server that was started for this listens' },
    'component-domain': { default: ECHO.domain, help: 'the component’s domain' },
    'component-secret': { default: ECHO.secret, help: 'its secret' },
  },
  async run(bench) {
    const echo = bench.index === 0 ? await Echo.open(bench) : undefined;
    const clients = await bench.logIn(bench.share(bench.number('users')));
    const outbox = new Outbox();
    const talks = clients.map((client) => new Talk(bench, outbox, client));
    await bench.barrier();
    for (const talk of talks) talk.start();
    await bench.warmUp();
    await bench.timed('component', 'echo');
    bench.doing('waiting for the last messages');
    for (const talk of talks) talk.finish();
    await bench.until(() => talks.every((talk) => talk.isOver));
    for (const talk of talks) talk.judge();
    await bench.barrier();
    for (const client of clients) client.close();
    echo?.close();
  },
};

/** The component. It builds no trees, either: an echo is made of the sender and the id. */
class Echo {
  private readonly connection: Connection;
  private readonly domain: string;
  private readonly body: string;
  private output = '';

  private constructor(bench: Bench, connection: Connection) {
    this.connection = connection;
    this.domain = bench.text('component-domain');
    this.body = 'x'.repeat(bench.number('bytes'));
  }

  static async open(bench: Bench): Promise<Echo> {
    const port = bench.number('component-port') || bench.target.componentPort;
    if (port === undefined) throw new Error('--component-port is wanted: where the server expects components');
    const connection = await Connection.open({ host: bench.target.host, port, domain: bench.text('component-domain') }, () => undefined);
    const echo = new Echo(bench, connection);
    await echo.logIn(bench.text('component-secret'));
    connection.closed = (error) => bench.fault('failed', `the component: ${error.message}`);
    return echo;
  }

  close(): void {
    this.connection.closed = () => undefined;
    this.connection.destroy();
  }

  /** XEP-0114 §3 */
  private logIn(secret: string): Promise<void> {
    const { connection, domain } = this;
    return new Promise((resolve, reject) => {
      connection.closed = reject;
      connection.take = (bytes, start, end) => {
        const text = bytes.toString('latin1', start, end);
        if (text.startsWith('<stream:stream')) {
          const id = attributeText(bytes, start, end, ID) ?? '';
          connection.write(
            `<handshake>${createHash('sha1')
              .update(id + secret)
              .digest('hex')}</handshake>`,
          );
        } else if (text.startsWith('<handshake')) {
          connection.take = (from, at, to) => this.echo(from, at, to);
          connection.afterRead = () => this.flush();
          resolve();
        } else {
          reject(new Error(`the component was refused: ${text}`));
        }
      };
      connection.write(`<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}'>`);
    });
  }

  private echo(bytes: Buffer, start: number, end: number): void {
    if (!isMessage(bytes, start)) return;
    const to = attributeText(bytes, start, end, FROM);
    const id = attributeText(bytes, start, end, ID);
    this.output += `<message from='${this.domain}' to='${to}' type='chat' id='${id}'><body>${this.body}</body></message>`;
  }

  private flush(): void {
    if (this.output === '') return;
    this.connection.write(this.output);
    this.output = '';
  }
}

/** One user's messages and their echoes. */
class Talk {
  private readonly bench: Bench;
  private readonly outbox: Outbox;
  private readonly client: LoadClient;
  private readonly template: Template;
  private readonly received = new Sequence();
  private readonly window: number;
  /** When each that is under way was sent, by number modulo the window. */
  private readonly sentAt: Float64Array;
  private sent = 0;
  private owed = 0;
  private isFinishing = false;

  constructor(bench: Bench, outbox: Outbox, client: LoadClient) {
    this.bench = bench;
    this.outbox = outbox;
    this.client = client;
    this.window = bench.number('window');
    this.sentAt = new Float64Array(this.window);
    this.template = new Template(bench.text('component-domain'), bench.token, 'x'.repeat(bench.number('bytes')));
    client.listen((bytes, start, end) => this.arrive(bytes, start, end));
    client.onRead(() => this.send());
  }

  start(): void {
    this.owed = this.window;
    this.send();
  }

  /** One message more: once its echo has arrived, whatever has not is lost. */
  finish(): void {
    this.isFinishing = true;
    this.outbox.add(this.client, this.template, ++this.sent);
    this.outbox.flush(this.client);
  }

  get isOver(): boolean {
    return this.received.next > this.sent || !this.client.isOpen;
  }

  judge(): void {
    this.bench.judge(this.received, this.sent, `${this.client.local} and the component`);
  }

  private arrive(bytes: Buffer, start: number, end: number): void {
    if (!isMessage(bytes, start)) return;
    const number = numberOf(this.bench.tokenBytes, bytes, start, end);
    if (Number.isNaN(number) || !this.received.take(number)) return;
    this.bench.latency.record((performance.now() - this.sentAt[number % this.window]!) * 1_000);
    this.bench.count(1);
    this.owed++;
  }

  private send(): void {
    if (this.isFinishing || this.owed === 0) return;
    const now = performance.now();
    for (; this.owed > 0; this.owed--) {
      this.sent++;
      this.sentAt[this.sent % this.window] = now;
      this.outbox.add(this.client, this.template, this.sent);
    }
    this.outbox.flush(this.client);
  }
}
