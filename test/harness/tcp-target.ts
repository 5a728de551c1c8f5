/**
 * A server over TCP. Accounts are made by in-band registration (XEP-0077), or by a command
 * where one is given.
 */
import { execFile } from 'node:child_process';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { StreamClient } from './stream-client.ts';
import type { RawConnection, Target } from './target.ts';

export interface TcpTargetOptions {
  readonly host: string;
  readonly port: number;
  readonly domain: string;
  /** Where external components connect. */
  readonly componentPort?: number | undefined;
  /** Commands with `{user}`, `{domain}` and `{password}` as arguments; without them in-band registration is used. */
  readonly createCommand?: readonly string[] | undefined;
  readonly removeCommand?: readonly string[] | undefined;
  readonly isOurs?: boolean;
  readonly deadlineMs?: number | undefined;
  /** Stops the server if this process started it. */
  readonly stop?: () => Promise<unknown>;
}

const run = promisify(execFile);

export function tcpTarget(options: TcpTargetOptions): Target {
  const { domain, deadlineMs } = options;
  const connect = () => connectSocket(options);
  return {
    domain,
    hasFakeClock: false,
    isOurs: options.isOurs ?? false,
    deadlineMs: options.deadlineMs,
    isOwn: false,
    connect,
    ...(options.componentPort === undefined ? {} : { connectComponent: () => connectSocket({ ...options, port: options.componentPort! }) }),
    async createAccount(user, password) {
      if (options.createCommand === undefined) await registerInBand(await connect(), { domain, deadlineMs, user, password });
      else await runCommand(options.createCommand, { user, domain, password });
    },
    async removeAccount(user, password) {
      if (options.removeCommand === undefined) await removeInBand(await connect(), { domain, deadlineMs, user, password });
      else await runCommand(options.removeCommand, { user, domain, password });
    },
    settle: () => Promise.resolve(),
    advance: () => Promise.reject(new Error('this server has its own clock')),
    [Symbol.asyncDispose]: async () => void (await options.stop?.()),
  };
}

interface Account {
  readonly domain: string;
  readonly deadlineMs?: number | undefined;
  readonly user: string;
  readonly password: string;
}

async function runCommand(command: readonly string[], account: Record<string, string>): Promise<void> {
  const [file, ...args] = command.map((part) => part.replace(/\{(\w+)\}/g, (whole, name: string) => account[name] ?? whole));
  await run(file!, args);
}

function clientFor(connection: RawConnection, { domain, deadlineMs }: Account): StreamClient {
  return new StreamClient(connection, {
    name: 'registration',
    domain,
    deadlineMs,
    captures: new Map(),
    log: [],
    settle: () => Promise.resolve(),
  });
}

async function registerInBand(connection: RawConnection, account: Account): Promise<void> {
  const { user, password } = account;
  const client = clientFor(connection, account);
  await client.beginsStream();
  await client.sends(
    `<iq type='set' id='r1'><query xmlns='jabber:iq:register'><username>${user}</username><password>${password}</password></query></iq>`,
  );
  await client.receives(`<iq type='result' id='r1'>{any}</iq>`);
  client.discard();
}

async function removeInBand(connection: RawConnection, account: Account): Promise<void> {
  const { user, password } = account;
  const client = clientFor(connection, account);
  await client.logsIn({ local: user, password });
  await client.binds();
  await client.sends(`<iq type='set' id='r2'><query xmlns='jabber:iq:register'><remove/></query></iq>`);
  client.discard();
}

function connectSocket({ host, port, domain }: TcpTargetOptions): Promise<RawConnection> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(new SocketConnection(socket, domain));
    });
  });
}

class SocketConnection implements RawConnection {
  private socket: Socket;
  private readonly domain: string;
  private onText: (text: string) => void = () => {};
  private onClosed: () => void = () => {};
  private decoder = new TextDecoder();

  constructor(socket: Socket, domain: string) {
    this.socket = socket;
    this.domain = domain;
    socket.setNoDelay(true);
  }

  setHandlers(text: (text: string) => void, closed: () => void): void {
    this.onText = text;
    this.onClosed = closed;
    this.listen();
  }

  write(text: string): void {
    this.socket.write(text);
  }

  async startTls(): Promise<void> {
    this.socket.removeAllListeners();
    const secured = connectTls({ socket: this.socket, servername: this.domain, rejectUnauthorized: false });
    await new Promise<void>((resolve, reject) => {
      secured.once('secureConnect', resolve);
      secured.once('error', reject);
    });
    this.socket = secured;
    this.decoder = new TextDecoder();
    this.listen();
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  stall(): void {
    this.socket.pause();
  }

  private listen(): void {
    const { socket } = this;
    socket.on('data', (chunk: Buffer) => this.onText(this.decoder.decode(chunk, { stream: true })));
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => this.onClosed());
  }
}
