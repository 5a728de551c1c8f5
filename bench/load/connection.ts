/** One socket to a server, and the elements that come through it. */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { Scanner, type TakeElement } from './scanner.ts';

/** `direct`: TLS from the first byte. `starttls`: by RFC 6120 §5. */
export type Security = 'none' | 'starttls' | 'direct';

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly domain: string;
  /** Where external components connect; undefined: nobody has said. */
  readonly componentPort?: number | undefined;
  readonly security?: Security;
}

/** All sockets of a thread read into this: elements are looked at before the next read. */
const INPUT = Buffer.allocUnsafeSlow(256 * 1024);

export class Connection {
  take: TakeElement;
  /** After the elements of each read: the moment to answer all of them in one write. */
  afterRead: () => void = () => undefined;
  /** Once, when nothing more can come. */
  closed: (error: Error) => void = () => undefined;
  private socket: Socket;
  private readonly scanner = new Scanner();
  private failure: Error | undefined;

  private constructor(take: TakeElement) {
    this.take = take;
    this.socket = undefined as unknown as Socket;
  }

  static open(target: Target, take: TakeElement): Promise<Connection> {
    const connection = new Connection(take);
    const { host, port, domain, security = 'none' } = target;
    const onread = {
      buffer: INPUT,
      callback: (length: number): boolean => {
        connection.read(INPUT, length);
        return true;
      },
    };
    return new Promise((resolve, reject) => {
      const socket =
        security === 'direct'
          ? connectTls({ host, port, rejectUnauthorized: false, servername: domain, onread } as ConnectionOptions)
          : // What reads into a buffer of its own cannot be handed over to TLS later.
            connectPlain({ host, port, noDelay: true, ...(security === 'starttls' ? {} : { onread }) });
      connection.socket = socket;
      socket.once('error', reject);
      socket.once(security === 'direct' ? 'secureConnect' : 'connect', () => {
        socket.off('error', reject);
        connection.watch(socket);
        if (security === 'starttls') socket.on('data', (data: Buffer) => connection.read(data, data.length));
        resolve(connection);
      });
    });
  }

  /** Goes on under TLS; the next bytes are a new stream. RFC 6120 §5.4.3.3. */
  startTls(domain: string): Promise<void> {
    const plain = this.socket;
    plain.removeAllListeners();
    this.scanner.reset();
    return new Promise((resolve, reject) => {
      const socket = connectTls({ socket: plain, rejectUnauthorized: false, servername: domain });
      this.socket = socket;
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        socket.off('error', reject);
        this.watch(socket);
        socket.on('data', (data: Buffer) => this.read(data, data.length));
        resolve();
      });
    });
  }

  /**
   * Sends. True: the bytes have left and a Buffer may be used again at once; false: it is in use until it has left.
   */
  write(data: string | Buffer): boolean {
    const { socket } = this;
    socket.write(data);
    return socket.writableLength === 0;
  }

  /** The next element opens a stream. */
  restart(): void {
    this.scanner.reset();
  }

  get isOpen(): boolean {
    return this.failure === undefined;
  }

  /** At once, as a network that fails. */
  destroy(): void {
    this.failure ??= new Error('closed');
    this.socket.destroy();
  }

  /** After what was written; resolves when the other side has closed, too. */
  end(): Promise<void> {
    if (this.socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      this.socket.once('close', () => resolve());
      this.socket.end();
    });
  }

  private watch(socket: Socket): void {
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('connection closed')));
  }

  private read(bytes: Buffer, length: number): void {
    try {
      this.scanner.push(bytes, length, this.take);
      this.afterRead();
    } catch (error) {
      this.socket.destroy();
      this.fail(error as Error);
    }
  }

  private fail(error: Error): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.closed(error);
  }
}
