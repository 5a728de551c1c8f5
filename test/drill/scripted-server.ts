/** A server that says what a test tells it to, for the client of crash drills. */
import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

const HEADER = `<?xml version='1.0'?><stream:stream from='localhost' id='1' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;
/** Only ever reached by a test that fails. */
const DEADLINE_MS = 5_000;

export class ScriptedConnection {
  /** Received and not looked for yet. */
  text = '';
  /** The client has ended or broken the connection. */
  isOver = false;
  private readonly socket: Socket;
  private wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
      this.wake();
    });
    socket.on('error', () => undefined); // the client breaks connections on purpose
    socket.on('close', () => {
      this.isOver = true;
      this.wake();
    });
  }

  send(xml: string): void {
    this.socket.write(xml);
  }

  /** Waits for a match, and takes the text up to its end. */
  async receives(pattern: RegExp): Promise<RegExpExecArray> {
    const deadline = performance.now() + DEADLINE_MS;
    for (;;) {
      const match = pattern.exec(this.text);
      if (match !== null) {
        this.text = this.text.slice(match.index + match[0].length);
        return match;
      }
      assert.ok(performance.now() < deadline && !this.isOver, `expected ${pattern}, got ${this.text}`);
      await this.arrival();
    }
  }

  async ends(): Promise<void> {
    while (!this.isOver) await this.arrival();
  }

  /** Up to the features behind login. */
  async login(): Promise<void> {
    await this.receives(/<stream:stream[^>]*>/);
    this.send(
      `${HEADER}<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>`,
    );
    await this.receives(/<auth[^>]*>[^<]*<\/auth>/);
    this.send(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`);
    await this.receives(/<stream:stream[^>]*>/);
    this.send(`${HEADER}<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>`);
  }

  /** Binds and enables stream management under `id`. */
  async bind(id: string): Promise<void> {
    await this.receives(/<iq type='set' id='bind'>.*?<\/iq>/);
    this.send(`<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@localhost/drill</jid></bind></iq>`);
    await this.receives(/<enable xmlns='urn:xmpp:sm:3' resume='true'\/>/);
    this.send(`<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true'/>`);
  }

  private arrival(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, DEADLINE_MS);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

export class ScriptedServer implements AsyncDisposable {
  readonly port: number;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly waiting: ScriptedConnection[] = [];
  private wake: () => void = () => undefined;

  private constructor(server: Server, port: number) {
    this.server = server;
    this.port = port;
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      this.waiting.push(new ScriptedConnection(socket));
      this.wake();
    });
  }

  static async start(): Promise<ScriptedServer> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ScriptedServer(server, (server.address() as { port: number }).port);
  }

  /** The next connection that comes, or has come. */
  async connection(): Promise<ScriptedConnection> {
    while (this.waiting.length === 0) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.waiting.shift()!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
