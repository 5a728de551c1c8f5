/**
 * A connection within the process: the server's side is a `Transport` like any other, the other side is held by a
 * test or by code that wants a client without a socket.
 *
 * Deterministic: no timers, no clock. What the client does reaches the server before the call returns; what the
 * server does reaches anyone only after it has finished (in a microtask), so that, as with sockets, no handler is called from
 * within a call of its owner. `settle` runs what is outstanding at once.
 */
import type { FlushQueue } from './flush-queue.ts';
import type { TlsFacts, Transport, TransportHandlers } from './transport.ts';

export interface MemoryPairOptions {
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  readonly localPort?: number;
  /** What the client writes arrives in chunks of at most this; 1 splits every byte from the next. Default: as written. */
  readonly maxChunkBytes?: number;
  /** Default: text leaves in a microtask. */
  readonly flushQueue?: FlushQueue;
  /** See `TransportHandlers.drained`. */
  readonly highWaterBytes?: number;
  /** As if under direct TLS. */
  readonly tls?: TlsFacts;
  /** What `startTls` comes to: facts, or the error of a failed handshake. Default: `makeTlsFacts()`. */
  readonly startTls?: TlsFacts | Error;
  /** Whether the client ends its side when the server has ended its own, as clients do. Default: true. */
  readonly clientFollowsEnd?: boolean;
}

/** What happens at the client's side. */
export interface MemoryClientHandlers {
  text?(text: string): void;
  /** TLS is up. */
  secure?(): void;
  /** The server has ended its side. */
  ended?(): void;
  /** The connection is over; once, last. */
  closed?(): void;
}

const DEFAULT_HIGH_WATER_BYTES = 64 * 1024;

/** Facts of a connection under TLS 1.3 without client certificate. */
export function makeTlsFacts(overrides: Partial<TlsFacts> = {}): TlsFacts {
  return {
    version: 'TLSv1.3',
    cipher: 'TLS_AES_256_GCM_SHA384',
    alpn: undefined,
    serverName: undefined,
    tlsExporter: () => Buffer.alloc(32, 0xee),
    tlsServerEndPoint: () => Buffer.alloc(32, 0x5e),
    peerCertificate: undefined,
    isPeerTrusted: false,
    peerProblem: undefined,
    peerChain: () => [],
    ...overrides,
  };
}

/** Makes a connection between `server` and `client`. */
export function memoryPair(options: MemoryPairOptions = {}): { server: Transport; client: MemoryClient } {
  const wire = new Wire();
  const server = new MemoryTransport(wire, options);
  const client = new MemoryClient(wire, server, options);
  server.client = client;
  return { server, client };
}

/** Everything under way, in order. */
class Wire {
  #outstanding: (() => void)[] = [];
  #isRunning = false;
  #isArmed = false;

  /** Runs `deliver` after what is already under way, and not within this call. */
  send(deliver: () => void): void {
    this.#outstanding.push(deliver);
    if (this.#isArmed) return;
    this.#isArmed = true;
    queueMicrotask(() => {
      this.#isArmed = false;
      this.run();
    });
  }

  run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      for (let deliver = this.#outstanding.shift(); deliver !== undefined; deliver = this.#outstanding.shift()) deliver();
    } finally {
      this.#isRunning = false;
    }
  }
}

class MemoryTransport implements Transport {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  tls: TlsFacts | undefined;
  isPaused = false;
  client!: MemoryClient;
  readonly #wire: Wire;
  readonly #options: MemoryPairOptions;
  readonly #highWaterBytes: number;
  #handlers: TransportHandlers | undefined;
  /** Received, not handed to the owner yet. */
  #inbox: Buffer[] = [];
  #text = '';
  /** Flushed, but the client has not read it. */
  #unread = '';
  #isQueued = false;
  #isHandshaking = false;
  #isPumping = false;
  #hasEnded = false;
  #hasPeerEnded = false;
  #isClosed = false;
  #isOverfull = false;
  #closedUnseen: { error: Error | undefined } | undefined;

  constructor(wire: Wire, options: MemoryPairOptions) {
    this.#wire = wire;
    this.#options = options;
    this.remoteAddress = options.remoteAddress ?? '192.0.2.1';
    this.remotePort = options.remotePort ?? 50_000;
    this.localPort = options.localPort ?? 5222;
    this.#highWaterBytes = options.highWaterBytes ?? DEFAULT_HIGH_WATER_BYTES;
    this.tls = options.tls;
  }

  get pendingBytes(): number {
    return this.#text.length + this.#unread.length;
  }

  setHandlers(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    const unseen = this.#closedUnseen;
    this.#closedUnseen = undefined;
    this.#wire.send(() => (unseen === undefined ? this.pump() : handlers.closed(unseen.error)));
  }

  write(text: string): void {
    if (text === '' || this.#hasEnded || this.#isClosed) return;
    this.#text += text;
    this.#queue();
  }

  flush(): void {
    this.#isQueued = false;
    if (this.#hasEnded || this.#isClosed || this.#isHandshaking) return;
    this.#send();
    if (this.#hasPeerEnded) this.end();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.#wire.send(() => this.pump());
  }

  startTls(): void {
    if (this.#hasEnded || this.#isClosed || this.#isHandshaking || this.tls !== undefined) return;
    this.flush();
    this.#isHandshaking = true;
    this.#wire.send(() => this.#finishHandshake(this.#options.startTls ?? makeTlsFacts()));
  }

  end(): void {
    if (this.#hasEnded || this.#isClosed) return;
    if (this.#isHandshaking) return this.destroy();
    this.#send();
    this.#hasEnded = true;
    this.#wire.send(() => {
      if (this.#isClosed) return;
      if (this.#unread === '') this.client.serverEnded();
      if (this.#hasPeerEnded) this.finish(undefined);
      else if (this.#options.clientFollowsEnd !== false && this.#unread === '') this.clientEnded();
    });
  }

  destroy(): void {
    this.#hasEnded = true;
    this.#wire.send(() => this.finish(undefined));
  }

  /** The client's. */
  arrived(bytes: Buffer): void {
    const { maxChunkBytes = Infinity } = this.#options;
    for (let at = 0; at < bytes.length; at += maxChunkBytes) this.#inbox.push(bytes.subarray(at, at + maxChunkBytes));
  }

  /** The client's: hands over what the owner takes. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#handlers !== undefined && !this.isPaused && !this.#isClosed && !this.#isHandshaking) {
      const chunk = this.#inbox.shift();
      if (chunk === undefined) break;
      this.#handlers.bytes(chunk);
    }
    this.#isPumping = false;
    const mayFinish = (this.#inbox.length === 0 && !this.isPaused) || this.#hasEnded; // a FIN is read like anything else
    if (!this.#hasPeerEnded || !mayFinish || this.#isHandshaking || this.#isClosed) return;
    if (this.#hasEnded) this.finish(undefined);
    else this.#queue();
  }

  /** The client's. */
  clientEnded(): void {
    this.#hasPeerEnded = true;
    this.pump();
  }

  /** The client's: it reads again. */
  taken(): void {
    const text = this.#unread;
    this.#unread = '';
    if (text !== '') this.client.arrived(text);
    if (this.#isOverfull && !this.#isClosed) {
      this.#isOverfull = false;
      this.#handlers?.drained();
    }
    if (!this.#hasEnded || this.#isClosed) return;
    this.client.serverEnded();
    if (this.#options.clientFollowsEnd !== false) this.clientEnded();
  }

  /** The client's. */
  finish(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#inbox = [];
    this.#text = '';
    this.client.finished();
    if (this.#handlers === undefined) this.#closedUnseen = { error };
    else this.#handlers.closed(error);
  }

  #finishHandshake(outcome: TlsFacts | Error): void {
    if (this.#isClosed) return;
    this.#isHandshaking = false;
    if (outcome instanceof Error) return this.finish(outcome);
    this.tls = outcome;
    this.client.secured();
    if (this.#text !== '') this.#queue();
    this.#handlers?.secure();
    this.pump();
  }

  #queue(): void {
    if (this.#isQueued || this.#isHandshaking) return;
    this.#isQueued = true;
    const { flushQueue } = this.#options;
    if (flushQueue === undefined) this.#wire.send(() => this.flush());
    else flushQueue.add(this);
  }

  #send(): void {
    if (this.pendingBytes > this.#highWaterBytes) this.#isOverfull = true;
    this.#unread += this.#text;
    this.#text = '';
    if (this.#unread === '' || this.client.isStalled) return;
    this.#wire.send(() => {
      if (!this.client.isStalled) this.taken();
    });
  }
}

/** The other end. */
export class MemoryClient {
  /** All text that has come so far. */
  received = '';
  isSecure: boolean;
  hasServerEnded = false;
  isClosed = false;
  isStalled = false;
  handlers: MemoryClientHandlers = {};
  readonly #wire: Wire;
  readonly #server: MemoryTransport;
  #taken = 0;

  constructor(wire: Wire, server: MemoryTransport, options: MemoryPairOptions) {
    this.#wire = wire;
    this.#server = server;
    this.isSecure = options.tls !== undefined;
  }

  /** Sends to the server. */
  write(data: string | Buffer): void {
    if (this.isClosed) return;
    this.#server.arrived(typeof data === 'string' ? Buffer.from(data) : data);
    this.#deliver(() => this.#server.pump());
  }

  /** Text that has come since the last call. */
  take(): string {
    const text = this.received.slice(this.#taken);
    this.#taken = this.received.length;
    return text;
  }

  /** Stops reading: the server's output piles up. */
  stall(): void {
    this.isStalled = true;
  }

  /** Reads what has piled up, and goes on reading. */
  unstall(): void {
    this.isStalled = false;
    this.#deliver(() => this.#server.taken());
  }

  /** Ends this side in order, as with a FIN. */
  end(): void {
    this.#deliver(() => this.#server.clientEnded());
  }

  /** Ends the connection as a network does that fails. */
  reset(error: Error = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })): void {
    this.#deliver(() => this.#server.finish(error));
  }

  /** Runs everything that is outstanding. */
  settle(): void {
    this.#wire.run();
  }

  /** The server's. */
  arrived(text: string): void {
    this.received += text;
    this.handlers.text?.(text);
  }

  /** The server's. */
  secured(): void {
    this.isSecure = true;
    this.handlers.secure?.();
  }

  /** The server's. */
  serverEnded(): void {
    if (this.hasServerEnded) return;
    this.hasServerEnded = true;
    this.handlers.ended?.();
  }

  /** The server's. */
  finished(): void {
    this.isClosed = true;
    this.handlers.closed?.();
  }

  #deliver(what: () => void): void {
    if (this.isClosed) return;
    this.#wire.send(what);
    this.#wire.run();
  }
}
