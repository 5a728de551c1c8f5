/** Connections that this server opens to others. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import { systemClock, type Clock } from '../kernel/clock.ts';
import { Deadlines } from './deadlines.ts';
import type { FlushQueue } from './flush-queue.ts';
import { DEFAULT_LISTENER_LIMITS } from './listener.ts';
import { SocketTransport, type SocketShare } from './tcp.ts';
import { SocketTlsFacts } from './tls-facts.ts';
import type { HandshakeOwner, TlsEntry, TlsSide } from './tls-context.ts';
import type { Transport } from './transport.ts';

export interface DialTarget {
  /** IP address. */
  readonly address: string;
  readonly port: number;
  readonly isDirectTls: boolean;
  /** Name the peer is asked for (SNI), as DNS writes it; undefined for an address. */
  readonly serverName: string | undefined;
  /** Under direct TLS. RFC 7301 */
  readonly alpn: string;
  /** With the certificate this side presents. */
  readonly context: SecureContext;
}

export interface DialerOptions {
  readonly flushQueue: FlushQueue;
  readonly clock?: Clock;
  /** Until TCP is connected, and for a handshake. */
  readonly timeoutMs: number;
}

/** Opens connections; one per worker. */
export class Dialer {
  readonly #flushQueue: FlushQueue;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #handshakes: Deadlines<SocketTransport>;
  readonly #lingering: Deadlines<SocketTransport>;

  constructor({ flushQueue, clock = systemClock, timeoutMs }: DialerOptions) {
    this.#flushQueue = flushQueue;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#handshakes = new Deadlines(timeoutMs, clock, (transport) => transport.timedOut());
    this.#lingering = new Deadlines(DEFAULT_LISTENER_LIMITS.graceMs, clock, (transport) => transport.timedOut());
  }

  /** Resolves when there is a connection; under direct TLS after the handshake, whose `tls` says whom it leads to. Rejects within twice the timeout. */
  async dial(target: DialTarget): Promise<Transport> {
    const socket = await this.#connect(target);
    const { keepAliveIdleMs, keepAliveIntervalMs, keepAliveCount, highWaterBytes } = DEFAULT_LISTENER_LIMITS;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveIdleMs, keepAliveIntervalMs, keepAliveCount);
    const { promise, resolve, reject } = Promise.withResolvers<Transport>();
    const share: SocketShare = {
      localPort: socket.localPort ?? 0,
      entry: target.isDirectTls ? 'direct_tls' : 'starttls',
      flushQueue: this.#flushQueue,
      tls: new ClientTls(target),
      highWaterBytes,
      handshakes: this.#handshakes,
      lingering: this.#lingering,
      secured: resolve,
      closed: (_transport, error) => reject(error ?? new Error('The peer closed the connection')),
    };
    const transport = new SocketTransport(socket, target.address, { site: undefined, isAuthenticated: true }, share);
    if (target.isDirectTls) transport.startTls();
    else resolve(transport);
    return promise;
  }

  #connect({ address, port }: DialTarget): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: address, port, allowHalfOpen: true });
      socket.pause(); // nothing is read before somebody wants it
      const cancel = this.#clock.schedule(this.#timeoutMs, () => socket.destroy(new Error(`No connection within ${this.#timeoutMs} ms`)));
      const failed = (error: Error): void => {
        cancel();
        reject(error);
      };
      socket.once('error', failed);
      socket.once('connect', () => {
        cancel();
        socket.off('error', failed);
        resolve(socket);
      });
    });
  }
}

/** The side that begins a handshake. Whom to trust for what is decided above: no name is checked here. */
class ClientTls implements TlsSide {
  readonly #target: DialTarget;

  constructor(target: DialTarget) {
    this.#target = target;
  }

  accept(socket: Socket, entry: TlsEntry, owner: HandshakeOwner): void {
    const { serverName, alpn, context } = this.#target;
    const secure = connectTls({
      socket,
      secureContext: context,
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...(entry === 'direct_tls' ? { ALPNProtocols: [alpn] } : {}), // XEP-0368 §4
    });
    const failed = (error: Error): void => owner.handshakeFailed(error);
    secure.once('error', failed);
    secure.once('secureConnect', () => {
      secure.off('error', failed);
      owner.handshakeDone(secure, new SocketTlsFacts(secure, serverName, undefined));
    });
  }
}
