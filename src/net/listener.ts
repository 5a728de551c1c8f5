/** Accepting connections: one listener per purpose and worker, on one or several addresses and one port. */
import { createServer, isIPv6 } from 'node:net';
import type { Server, Socket } from 'node:net';
import { systemClock } from '../kernel/clock.ts';
import type { Clock } from '../kernel/clock.ts';
import { plainAddress } from './address.ts';
import { REFUSALS } from './admission.ts';
import type { Admission, Refusal } from './admission.ts';
import { Deadlines } from './deadlines.ts';
import type { FlushQueue } from './flush-queue.ts';
import { MIN_HIGH_WATER_BYTES, SocketTransport } from './tcp.ts';
import type { SocketShare } from './tcp.ts';
import type { TlsContexts, TlsEntry } from './tls-context.ts';
import type { Transport } from './transport.ts';

export interface ListenOptions {
  /** IP addresses; `::` alone takes both families, beside `0.0.0.0` only its own. Default: `::`, or `0.0.0.0` where there is no IPv6. */
  readonly hosts?: readonly string[];
  /** 0: any free one, the same for all hosts; see `Listener.port`. */
  readonly port: number;
  /** What the operator would change to move the listener, e.g. 'ROOKERY_C2S_PORT'. */
  readonly setting: string;
  /** Several workers listen on the same port and the kernel spreads the connections. */
  readonly reusePort?: boolean;
  /**
   * First makes sure that no other process listens there: the kernel would let two servers of one user
   * share a port without a word. For the first worker of a process.
   */
  readonly checkUnused?: boolean;
  readonly kind: TlsEntry;
  /** Needed for direct TLS. */
  readonly tls?: TlsContexts | undefined;
  readonly flushQueue: FlushQueue;
  readonly admission: Admission;
  /** Called for each connection; after the handshake under direct TLS, when `transport.tls` is set. Nothing is read until it has handlers. */
  readonly accept: (transport: Transport) => void;
  /** A connection was refused. There may be very many; the counters in `refused` tell as much. */
  readonly onRefused?: ((refusal: Refusal, address: string | undefined) => void) | undefined;
  /**
   * Last words to who is refused, for the reasons that are worth them; a few hundred bytes. Others are reset, and so are all
   * under direct TLS: a handshake is more than a refusal should cost.
   */
  readonly refusalText?: ((refusal: Refusal) => string | undefined) | undefined;
  /** A peer under direct TLS did not get through the handshake. There may be very many. */
  readonly onHandshakeFailed?: ((address: string, error: Error) => void) | undefined;
  /**
   * The system would not hand over a connection. Listening goes on. There may be very many. Of connections that come while
   * there are no file descriptors left nobody is told: libuv closes them; see `openFileLimit`.
   */
  readonly onAcceptError?: ((error: NodeJS.ErrnoException) => void) | undefined;
  readonly limits?: Partial<ListenerLimits>;
  readonly clock?: Clock;
}

export interface ListenerLimits {
  /** Connections the kernel keeps until they are accepted; it has a ceiling of its own (net.core.somaxconn). */
  readonly backlog: number;
  readonly handshakeMs: number;
  /** Between our end and the peer's. */
  readonly graceMs: number;
  /** See `TransportHandlers.drained`; less than Node's own 64 KiB counts as that. */
  readonly highWaterBytes: number;
  /** After this time without traffic the kernel asks whether the peer is there … */
  readonly keepAliveIdleMs: number;
  /** … again after each of these … */
  readonly keepAliveIntervalMs: number;
  /** … and this often before it gives up. */
  readonly keepAliveCount: number;
}

export const DEFAULT_LISTENER_LIMITS: ListenerLimits = {
  backlog: 4_096,
  handshakeMs: 20_000,
  graceMs: 5_000,
  highWaterBytes: MIN_HIGH_WATER_BYTES,
  keepAliveIdleMs: 300_000,
  keepAliveIntervalMs: 30_000,
  keepAliveCount: 4,
};

/** Why listening is not possible. */
export interface ListenProblem {
  readonly kind: 'listen_problem';
  /** The system's code, e.g. EADDRINUSE, or NO_CERTIFICATE. */
  readonly code: string;
  readonly setting: string;
  readonly host: string;
  readonly port: number;
  /** A sentence for the operator that says what to change. */
  readonly text: string;
}

/** Tries for a port 0 that several hosts have to share. */
const MAX_PORT_TRIES = 10;

/** Opens a listener. What can go wrong is the operator's to mend, so it is a value. */
export async function listen(options: ListenOptions): Promise<Listener | ListenProblem> {
  const { hosts, port, setting, kind, tls } = options;
  if (kind === 'direct_tls' && tls === undefined)
    return {
      kind: 'listen_problem',
      code: 'NO_CERTIFICATE',
      setting,
      host: '',
      port,
      text: `Port ${port} is for TLS, but there is no certificate; set one, or switch the port off with ${setting}.`,
    };
  const listener = new Listener(options);
  const problem = hosts === undefined ? await openDefault(listener, port) : await openAll(listener, hosts, port);
  if (problem === undefined) return listener;
  listener.close();
  return problem;
}

/** Systems without IPv6 say so with one of these. */
const NO_IPV6: readonly string[] = ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'];

async function openDefault(listener: Listener, port: number): Promise<ListenProblem | undefined> {
  const problem = await listener.open('::', port, false);
  return problem !== undefined && NO_IPV6.includes(problem.code) ? listener.open('0.0.0.0', port, false) : problem;
}

async function openAll(listener: Listener, hosts: readonly string[], port: number): Promise<ListenProblem | undefined> {
  const isIpv6Only = hosts.some((host) => !isIPv6(host));
  for (let tries = 1; ; tries++) {
    let problem: ListenProblem | undefined;
    for (const host of hosts) {
      problem = await listener.open(host, port === 0 ? listener.port : port, isIpv6Only);
      if (problem !== undefined) break;
    }
    // A port that was free for one address may be taken for the next.
    if (problem?.code !== 'EADDRINUSE' || port !== 0 || tries === MAX_PORT_TRIES) return problem;
    listener.close();
  }
}

export class Listener {
  readonly kind = 'listener';
  /** Connections refused so far, by reason. */
  readonly refused: Record<Refusal, number>;
  /** Peers under direct TLS that did not get through the handshake so far. */
  failedHandshakes = 0;
  /** Connections that the system did not hand over so far. */
  acceptErrors = 0;
  /** Connections of this listener that are open, in whatever state. */
  connections = 0;
  readonly #options: ListenOptions;
  readonly #limits: ListenerLimits;
  readonly #handshakes: Deadlines<SocketTransport>;
  readonly #lingering: Deadlines<SocketTransport>;
  readonly #servers: Server[] = [];
  #port = 0;
  #share: SocketShare;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
    this.refused = Object.fromEntries(REFUSALS.map((refusal) => [refusal, 0])) as Record<Refusal, number>;
    const clock = options.clock ?? systemClock;
    this.#handshakes = new Deadlines(this.#limits.handshakeMs, clock, (transport) => transport.timedOut());
    this.#lingering = new Deadlines(this.#limits.graceMs, clock, (transport) => transport.timedOut());
    this.#share = this.#makeShare(0);
  }

  /** The port listened on; 0 before. */
  get port(): number {
    return this.#port;
  }

  /** The owner's word that a connection has logged in; from then on the limits for strangers do not count it. */
  authenticated(transport: Transport): void {
    if (transport instanceof SocketTransport) this.#options.admission.authenticated(transport.admitted);
  }

  /** Stops accepting. Connections stay; those the kernel has not handed over yet are reset. */
  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
    this.#port = 0;
  }

  /** For `listen`: one more address. */
  async open(host: string, port: number, isIpv6Only: boolean): Promise<ListenProblem | undefined> {
    const { reusePort = false, checkUnused = false } = this.#options;
    const address = { host, port, ipv6Only: isIpv6Only && isIPv6(host), backlog: this.#limits.backlog };
    if (checkUnused && reusePort && port !== 0 && port !== this.#port) {
      const probe = createServer();
      const error = await started(probe, { ...address, reusePort: false });
      probe.close();
      if (error !== undefined) return this.#problem(error, host, port);
    }
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
    const error = await started(server, { ...address, reusePort });
    if (error !== undefined) return this.#problem(error, host, port);
    const bound = server.address();
    if (this.#port === 0 && bound !== null && typeof bound === 'object') {
      this.#port = bound.port;
      this.#share = this.#makeShare(bound.port);
    }
    server.on('connection', this.#connected);
    server.on('error', this.#acceptFailed);
    this.#servers.push(server);
    return undefined;
  }

  #makeShare(localPort: number): SocketShare {
    const { kind, flushQueue, tls } = this.#options;
    return {
      localPort,
      entry: kind,
      flushQueue,
      tls,
      highWaterBytes: Math.max(MIN_HIGH_WATER_BYTES, this.#limits.highWaterBytes),
      handshakes: this.#handshakes,
      lingering: this.#lingering,
      secured: this.#options.accept,
      closed: this.#closed,
    };
  }

  readonly #connected = (socket: Socket): void => {
    const { remoteAddress } = socket;
    const address = remoteAddress === undefined ? undefined : plainAddress(remoteAddress);
    const admitted = address === undefined ? 'gone' : this.#options.admission.admit(address);
    if (address === undefined || typeof admitted === 'string') {
      const refusal = typeof admitted === 'string' ? admitted : 'gone';
      this.refused[refusal]++;
      socket.on('error', ignore);
      const text = this.#options.kind === 'starttls' ? this.#options.refusalText?.(refusal) : undefined;
      if (text === undefined) {
        socket.resetAndDestroy(); // Leaves no TIME_WAIT entry to a flood.
      } else {
        socket.write(text);
        socket.destroySoon();
      }
      this.#options.onRefused?.(refusal, address);
      return;
    }
    const { keepAliveIdleMs, keepAliveIntervalMs, keepAliveCount } = this.#limits;
    socket.setKeepAlive(true, keepAliveIdleMs, keepAliveIntervalMs, keepAliveCount);
    const transport = new SocketTransport(socket, address, admitted, this.#share);
    this.connections++;
    if (this.#options.kind === 'direct_tls') transport.startTls();
    else this.#options.accept(transport);
  };

  readonly #closed = (transport: SocketTransport, error: Error | undefined): void => {
    this.connections--;
    this.#options.admission.release(transport.admitted);
    if (this.#options.kind !== 'direct_tls' || transport.tls !== undefined) return;
    this.failedHandshakes++;
    if (error !== undefined) this.#options.onHandshakeFailed?.(transport.remoteAddress, error);
  };

  readonly #acceptFailed = (error: NodeJS.ErrnoException): void => {
    this.acceptErrors++;
    this.#options.onAcceptError?.(error);
  };

  #problem(error: NodeJS.ErrnoException, host: string, port: number): ListenProblem {
    const { setting } = this.#options;
    const code = error.code ?? 'UNKNOWN';
    return { kind: 'listen_problem', code, setting, host, port, text: describe(code, error, `port ${port} of ${host}`, port, setting) };
  }
}

function describe(code: string, error: Error, place: string, port: number, setting: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return `Another program listens on ${place}. Stop it, or choose another port with ${setting}.`;
    case 'EACCES':
      return port < 1024
        ? `This user may not listen on ${place}, as ports below 1024 are privileged. Grant CAP_NET_BIND_SERVICE, or choose another port with ${setting}.`
        : `This user may not listen on ${place}. Choose another port with ${setting}.`;
    case 'EADDRNOTAVAIL':
      return `This machine has no address for ${place}, set by ${setting}.`;
    case 'EAFNOSUPPORT':
      return `This machine does not speak the protocol of ${place}, set by ${setting}.`;
    case 'EMFILE':
    case 'ENFILE':
      return `There are no file descriptors left to listen on ${place}, set by ${setting}. Raise the limit of open files.`;
    default:
      return `Listening on ${place}, set by ${setting}, failed: ${error.message}.`;
  }
}

type Address = { host: string; port: number; ipv6Only: boolean; reusePort: boolean; backlog: number };

function started(server: Server, address: Address): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const settle = (error?: NodeJS.ErrnoException): void => {
      server.off('error', settle);
      server.off('listening', settle);
      resolve(error);
    };
    server.on('error', settle);
    server.on('listening', settle);
    server.listen({ ...address, exclusive: true }); // Not to be shared through node:cluster.
  });
}

function ignore(): void {}
