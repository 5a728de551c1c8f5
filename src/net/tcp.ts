/**
 * Our side of one TCP connection, plain or under TLS: one that was accepted, or one that we have opened (`dial.ts`).
 *
 * Lean on purpose: tens of thousands of these sit idle in a process. A connection costs this object,
 * Node's socket and no closures: listeners are shared functions that find the transport through a
 * property of the socket.
 *
 *   accepted ──setHandlers──► reading ──end──► lingering ──peer's FIN or grace time──► closed
 *       └──────startTls──► handshaking ──secure──► reading
 */
import type { Socket } from 'node:net';
import { getDefaultHighWaterMark } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Admitted } from './admission.ts';
import type { Deadlines } from './deadlines.ts';
import type { FlushQueue } from './flush-queue.ts';
import { shareReads } from './shared-read.ts';
import type { HandshakeOwner, TlsEntry, TlsSide } from './tls-context.ts';
import type { TlsFacts, Transport, TransportHandlers } from './transport.ts';

/** What the transports of one listener have in common. */
export interface SocketShare {
  readonly localPort: number;
  readonly entry: TlsEntry;
  readonly flushQueue: FlushQueue;
  /** Undefined: `startTls` ends the connection. */
  readonly tls: TlsSide | undefined;
  /** `drained` is called for connections that had more than this waiting; at least `MIN_HIGH_WATER_BYTES`. */
  readonly highWaterBytes: number;
  /** Handshakes under way; who is still in it when the time is over is disconnected. */
  readonly handshakes: Deadlines<SocketTransport>;
  /** Connections that we have ended and the peer has not. */
  readonly lingering: Deadlines<SocketTransport>;
  /** Direct TLS is up; the owner may have it now. Not called after STARTTLS, which tells the owner itself. */
  readonly secured: (transport: SocketTransport) => void;
  /** Before the owner hears of it; once per transport. */
  readonly closed: (transport: SocketTransport, error: Error | undefined) => void;
}

/** Node tells of drained sockets only from here on. */
export const MIN_HIGH_WATER_BYTES = getDefaultHighWaterMark(false);

const PAUSED = 1;
/** Waiting in the flush queue. */
const QUEUED = 2;
const ENDED = 4;
const CLOSED = 8;
/** Had more than the high-water mark waiting; the owner will be told when it is gone. */
const OVERFULL = 16;
const HANDSHAKING = 32;
/** Nobody wants what still comes in; it is read for the sake of the FIN behind it. */
const DISCARDING = 64;
const PEER_ENDED = 128;
/** Closed before the owner had set handlers. */
const CLOSED_UNSEEN = 256;

const TRANSPORT = Symbol('transport');

interface OwnedSocket extends Socket {
  [TRANSPORT]?: SocketTransport;
}

export class SocketTransport implements Transport, HandshakeOwner {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** What the listener counts it by. */
  readonly admitted: Admitted;
  readonly #share: SocketShare;
  #socket: Socket;
  #handlers: TransportHandlers | undefined;
  /** A rope: appending copies nothing, the socket flattens it once. */
  #text = '';
  #flags = 0;
  #tls: TlsFacts | undefined;
  #error: Error | undefined;

  /** @param socket accepted, allowed to be half open, and paused. */
  constructor(socket: Socket, remoteAddress: string, admitted: Admitted, share: SocketShare) {
    this.remoteAddress = remoteAddress;
    this.remotePort = socket.remotePort ?? 0;
    this.admitted = admitted;
    this.#share = share;
    // Under direct TLS what the kernel gives goes to the TLS layer and never through JavaScript.
    const shared = share.entry === 'starttls' ? shareReads(socket, onData) : undefined;
    this.#socket = shared ?? socket;
    if (shared === undefined) socket.on('data', onData);
    this.#listen();
  }

  get localPort(): number {
    return this.#share.localPort;
  }

  get tls(): TlsFacts | undefined {
    return this.#tls;
  }

  /** In UTF-16 units, as everywhere in Node where text waits: the memory it takes, and at least a third of what goes over the wire. */
  get pendingBytes(): number {
    return this.#text.length + this.#socket.writableLength;
  }

  get isPaused(): boolean {
    return (this.#flags & PAUSED) !== 0;
  }

  setHandlers(handlers: TransportHandlers): void {
    const isFirst = this.#handlers === undefined;
    this.#handlers = handlers;
    if ((this.#flags & CLOSED_UNSEEN) !== 0) {
      this.#flags &= ~CLOSED_UNSEEN;
      process.nextTick(tellClosed, handlers, this.#error);
    } else if (isFirst && (this.#flags & (CLOSED | HANDSHAKING | PAUSED)) === 0) {
      this.#socket.resume();
    }
  }

  write(text: string): void {
    if (text === '' || (this.#flags & (ENDED | CLOSED)) !== 0) return;
    this.#text += text;
    this.#queue();
  }

  flush(): void {
    this.#flags &= ~QUEUED;
    if ((this.#flags & (ENDED | CLOSED | HANDSHAKING)) !== 0) return;
    if (this.#text !== '') this.#send();
    if ((this.#flags & PEER_ENDED) !== 0) this.end();
  }

  pause(): void {
    this.#flags |= PAUSED;
    if ((this.#flags & (CLOSED | HANDSHAKING | DISCARDING)) === 0) this.#socket.pause();
  }

  resume(): void {
    this.#flags &= ~PAUSED;
    if ((this.#flags & (CLOSED | HANDSHAKING)) === 0 && this.#handlers !== undefined) this.#socket.resume();
  }

  startTls(): void {
    if ((this.#flags & (ENDED | CLOSED | HANDSHAKING)) !== 0 || this.#tls !== undefined) return;
    const { tls, handshakes, entry } = this.#share;
    if (tls === undefined) return this.#fail(new Error('No certificate is configured for this listener'));
    this.flush();
    if ((this.#flags & ENDED) !== 0) return; // The peer had left already.
    this.#flags |= HANDSHAKING;
    handshakes.add(this);
    const socket = this.#socket;
    socket.off('data', onData);
    socket.off('end', onEnd);
    socket.allowHalfOpen = false; // Who leaves during a handshake leaves.
    tls.accept(socket, entry, this);
  }

  end(): void {
    if ((this.#flags & (ENDED | CLOSED)) !== 0) return;
    if ((this.#flags & HANDSHAKING) !== 0) return this.destroy();
    if (this.#text !== '') this.#send();
    this.#flags |= ENDED;
    const socket = this.#socket;
    socket.end();
    this.#share.lingering.add(this);
    if ((this.#flags & PAUSED) === 0 && this.#handlers !== undefined) return;
    this.#flags |= DISCARDING;
    socket.resume();
  }

  destroy(): void {
    if ((this.#flags & CLOSED) !== 0) return;
    this.#flags |= ENDED | DISCARDING;
    this.#socket.destroy();
  }

  /** The deadlines'. Ours ended in order if everything had been taken from us, whatever the peer is waiting for. */
  timedOut(): void {
    const isHandshake = (this.#flags & HANDSHAKING) !== 0;
    if (!isHandshake && this.pendingBytes === 0) return this.destroy();
    this.#fail(new Error(isHandshake ? 'The TLS handshake took too long' : 'The peer did not take the rest of the output in time'));
  }

  /** The TLS layer's. */
  handshakeDone(socket: TLSSocket, facts: TlsFacts): void {
    const { handshakes, secured, entry } = this.#share;
    handshakes.delete(this);
    // Destroyed meanwhile. The socket below takes this one with it; destroying it here, with OpenSSL still on the
    // stack and nothing below, would free what OpenSSL is about to use (Node 26.10 crashes).
    if ((this.#flags & (ENDED | CLOSED)) !== 0) return;
    const below = this.#socket;
    below.off('close', onClose);
    below.off('error', onError);
    below.off('drain', onDrain);
    socket.allowHalfOpen = true;
    this.#socket = socket;
    this.#tls = facts;
    this.#flags &= ~HANDSHAKING;
    socket.pause(); // Listening for data would start the flow.
    socket.on('data', onData);
    this.#listen();
    if (this.#text !== '') this.#queue();
    if (entry === 'direct_tls') secured(this);
    else this.#handlers?.secure();
    if (this.#handlers !== undefined && (this.#flags & (CLOSED | PAUSED)) === 0) socket.resume();
  }

  /** The TLS layer's. OpenSSL is still on the stack: the end follows. */
  handshakeFailed(error: Error): void {
    this.failed(error);
  }

  #listen(): void {
    const socket: OwnedSocket = this.#socket;
    socket[TRANSPORT] = this;
    socket.on('end', onEnd);
    socket.on('drain', onDrain);
    socket.on('error', onError);
    socket.on('close', onClose);
  }

  #queue(): void {
    if ((this.#flags & (QUEUED | HANDSHAKING)) !== 0) return;
    this.#flags |= QUEUED;
    this.#share.flushQueue.add(this);
  }

  #send(): void {
    if (this.pendingBytes > this.#share.highWaterBytes) this.#flags |= OVERFULL;
    const text = this.#text;
    this.#text = '';
    this.#socket.write(text, 'utf8');
  }

  #fail(error: Error): void {
    if ((this.#flags & CLOSED) !== 0) return;
    this.#error ??= error;
    this.destroy();
  }

  /** The listeners'. */
  received(chunk: Buffer): void {
    if ((this.#flags & (CLOSED | DISCARDING | HANDSHAKING)) === 0) this.#handlers?.bytes(chunk);
  }

  /** The listeners'. What the owner says to what came before the FIN still leaves: our side ends with the flush after it. */
  peerEnded(): void {
    if ((this.#flags & (ENDED | CLOSED)) !== 0) return;
    this.#flags |= PEER_ENDED;
    this.#queue();
  }

  /** The listeners'. */
  drained(): void {
    if ((this.#flags & (OVERFULL | CLOSED)) !== OVERFULL) return;
    this.#flags &= ~OVERFULL;
    this.#handlers?.drained();
  }

  /** The listeners'. Sockets close themselves after errors, but not after those of the TLS layer: renegotiation, for one. */
  failed(error: Error): void {
    this.#error ??= error;
    if (!this.#socket.destroyed) setImmediate(destroy, this);
  }

  /** The listeners'. */
  closed(): void {
    const flags = this.#flags;
    if ((flags & CLOSED) !== 0) return;
    // A handshake broken off is no orderly end, even if no layer calls it an error.
    if ((flags & (HANDSHAKING | ENDED)) === HANDSHAKING) this.#error ??= new Error('The peer left during the TLS handshake');
    this.#flags |= CLOSED;
    this.#text = '';
    const share = this.#share;
    share.handshakes.delete(this);
    share.lingering.delete(this);
    share.closed(this, this.#error);
    if (this.#handlers === undefined) this.#flags |= CLOSED_UNSEEN;
    else this.#handlers.closed(this.#error);
  }
}

function tellClosed(handlers: TransportHandlers, error: Error | undefined): void {
  handlers.closed(error);
}

function destroy(transport: SocketTransport): void {
  transport.destroy();
}

function onData(this: OwnedSocket, chunk: Buffer): void {
  this[TRANSPORT]?.received(chunk);
}

function onEnd(this: OwnedSocket): void {
  this[TRANSPORT]?.peerEnded();
}

function onDrain(this: OwnedSocket): void {
  this[TRANSPORT]?.drained();
}

function onError(this: OwnedSocket, error: Error): void {
  this[TRANSPORT]?.failed(error);
}

function onClose(this: OwnedSocket): void {
  this[TRANSPORT]?.closed();
}
