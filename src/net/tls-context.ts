/** The TLS endpoints made of the virtual hosts' certificates: which is presented to whom, and how they are renewed. */
import { constants, createHmac, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, Server } from 'node:tls';
import type { SecureContext, SecureContextOptions, TLSSocket, TlsOptions } from 'node:tls';
import { asciiName, namesOf, readClientAuthorities, readCredentials } from './credentials.ts';
import type { Credentials, TlsHost, TlsProblem } from './credentials.ts';
import { SocketTlsFacts } from './tls-facts.ts';
import type { TlsFacts } from './transport.ts';

export interface TlsSettings {
  /** The first is presented to who asks for no name, or for one that nobody has. */
  readonly hosts: readonly TlsHost[];
  /**
   * PEM with the authorities whose client certificates are believed (SASL EXTERNAL). Without it clients
   * are not asked for one: being asked makes some of them bother their users.
   */
  readonly clientAuthorityFile?: string | undefined;
  /**
   * Whether whoever connects is asked for a certificate all the same; the authorities are those of the system then. For servers,
   * which are not asked to resume either: what they have proved is then to be seen in every handshake.
   */
  readonly areServers?: boolean | undefined;
  /** Protocols accepted under direct TLS; the first that the client offers as well wins. XEP-0368 §3 */
  readonly alpn: readonly string[];
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL cipher list, for both versions. */
  readonly ciphers: string;
  /** OpenSSL list of key exchange groups, best first. */
  readonly groups: string;
  /**
   * What session ticket keys are derived from; the same in every worker of a process, so that a client
   * resumes at whichever accepts it. Made anew at each start: tickets do not outlive the process.
   */
  readonly ticketSecret: Buffer;
}

/** Forward secrecy and authenticated encryption only. RFC 9325 §4.2 */
export const DEFAULT_CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
].join(':');

/** The hybrid group protects today's recordings from later quantum computers; it costs about 0.25 ms of CPU and 6 kB per connection. */
export const DEFAULT_GROUPS = 'X25519MLKEM768:X25519:prime256v1:secp384r1';

/** Settings for `hosts` with everything else at its default. */
export function makeTlsSettings(hosts: readonly TlsHost[], overrides: Partial<TlsSettings> = {}): TlsSettings {
  return {
    hosts,
    alpn: ['xmpp-client'],
    minVersion: 'TLSv1.2',
    ciphers: DEFAULT_CIPHERS,
    groups: DEFAULT_GROUPS,
    ticketSecret: randomBytes(32),
    ...overrides,
  };
}

/** How a client comes to TLS: after STARTTLS there is no ALPN to agree on. */
export type TlsEntry = 'starttls' | 'direct_tls';

/** Does our side of a handshake on a connected socket, which from then on belongs to TLS. */
export interface TlsSide {
  accept(socket: Socket, entry: TlsEntry, owner: HandshakeOwner): void;
}

/** Told how a handshake went; exactly one of the two is called, unless the socket is destroyed first. */
export interface HandshakeOwner {
  handshakeDone(socket: TLSSocket, facts: TlsFacts): void;
  handshakeFailed(error: Error): void;
}

const OWNER = Symbol('handshake owner');

interface OwnedSocket extends Socket {
  [OWNER]?: HandshakeOwner;
}

/** Everything made of one reading of the files; handshakes under way finish with the one they began with. */
interface Generation {
  readonly credentials: readonly Credentials[];
  /** PEM. */
  readonly clientAuthorities: string | undefined;
  readonly servers: Readonly<Record<TlsEntry, Server>>;
  /** For connections of our own, by domain; made when there is one. */
  readonly clientContexts: Map<string, SecureContext>;
}

/** What a name is answered with. `context` is undefined for the default certificate. */
interface Presented {
  readonly context: SecureContext | undefined;
  readonly serverEndPoint: Buffer | undefined;
}

/** Who is presented what. */
interface Presentations {
  readonly byName: ReadonlyMap<string, Presented>;
  readonly fallback: Presented;
  /** The end point of all of them, where they are one. */
  readonly commonEndPoint: Buffer | undefined;
}

/** Longer than a phone's usual absence, shorter than a day: under TLS 1.2 a resumed session has the secrecy of its ticket. */
const SESSION_LIFETIME_S = 4 * 3600;

/** Scopes session ids to this use of TLS; without it OpenSSL refuses to resume where client certificates are asked for. */
const SESSION_ID_CONTEXT = 'rookery';

/** Backstop below the listener's own handshake deadline. */
const HANDSHAKE_IDLE_MS = 60_000;

/** Node's servers wrap sockets of ours; they never listen themselves. */
export class TlsContexts implements TlsSide {
  #settings: TlsSettings;
  #generation: Generation;

  private constructor(settings: TlsSettings, generation: Generation) {
    this.#settings = settings;
    this.#generation = generation;
  }

  /**
   * Reads all certificates. Blocks for a few milliseconds per host.
   *
   * @returns contexts unless no certificate at all can be used; and what is wrong, which the caller may
   *   take more seriously: a host whose certificate has an `error` is answered with the first usable one.
   */
  static load(settings: TlsSettings): { contexts: TlsContexts | undefined; problems: readonly TlsProblem[] } {
    const problems: TlsProblem[] = [];
    const generation = makeGeneration(settings, undefined, problems);
    return { contexts: generation && new TlsContexts(settings, generation), problems };
  }

  /**
   * Reads all certificates again. Connections that exist are not affected; a host whose new files cannot be
   * used keeps the certificate it has. Tickets given out before are void if any certificate changed.
   *
   * @param settings where hosts or paths have changed, too.
   */
  reload(settings: TlsSettings = this.#settings): readonly TlsProblem[] {
    const problems: TlsProblem[] = [];
    this.#settings = settings;
    this.#generation = makeGeneration(settings, this.#generation, problems) ?? this.#generation;
    return problems;
  }

  /** When the first of the certificates in use expires, in milliseconds since the epoch. */
  get firstExpiryMs(): number {
    return Math.min(...this.#generation.credentials.map(({ x509 }) => x509.validToDate.getTime()));
  }

  /** What this side presents where it connects as `domain`; undefined where there is no certificate for it. Made once for each reading of the files. */
  clientContext(domain: string): SecureContext | undefined {
    const { credentials, clientAuthorities, clientContexts } = this.#generation;
    const known = clientContexts.get(domain);
    if (known !== undefined) return known;
    const own = credentials.find((each) => each.domain === domain);
    if (own === undefined) return undefined;
    const { minVersion, ciphers, groups } = this.#settings;
    const ca = clientAuthorities === undefined ? {} : { ca: clientAuthorities };
    const context = createSecureContext({ minVersion, ciphers, ecdhCurve: groups, cert: own.cert, key: own.key, ...ca });
    clientContexts.set(domain, context);
    return context;
  }

  /** PEM of the authorities that are believed; undefined: those of the system. */
  get authorities(): string | undefined {
    return this.#generation.clientAuthorities;
  }

  /** Begins the server's side of a handshake on a connected socket, which from now on belongs to TLS. */
  accept(socket: Socket, entry: TlsEntry, owner: HandshakeOwner): void {
    (socket as OwnedSocket)[OWNER] = owner;
    this.#generation.servers[entry].emit('connection', socket);
  }
}

function makeGeneration(settings: TlsSettings, old: Generation | undefined, problems: TlsProblem[]): Generation | undefined {
  const credentials: Credentials[] = [];
  for (const host of settings.hosts) {
    const usable = readCredentials(host, problems) ?? old?.credentials.find(({ domain }) => domain === host.domain);
    if (usable !== undefined) credentials.push(usable);
  }
  const first = credentials[0];
  if (first === undefined) return undefined;
  const { clientAuthorityFile } = settings;
  const clientAuthorities =
    clientAuthorityFile === undefined ? undefined : (readClientAuthorities(clientAuthorityFile, problems) ?? old?.clientAuthorities);
  const common = commonOptions(settings, credentials, clientAuthorities);

  const byName = new Map<string, Presented>();
  const fallback: Presented = { context: undefined, serverEndPoint: first.serverEndPoint };
  const presented = credentials.map((each): Presented =>
    each === first
      ? fallback
      : { context: createSecureContext({ ...common, cert: each.cert, key: each.key }), serverEndPoint: each.serverEndPoint },
  );
  // What is configured for a domain goes before what another host's certificate also covers.
  for (const [i, { domain }] of credentials.entries()) setIfNew(byName, asciiName(domain), presented[i]!);
  for (const [i, { x509 }] of credentials.entries()) for (const name of namesOf(x509)) setIfNew(byName, name, presented[i]!);

  const isOne = credentials.every(({ x509 }) => x509.fingerprint256 === first.x509.fingerprint256);
  const presentations: Presentations = { byName, fallback, commonEndPoint: isOne ? first.serverEndPoint : undefined };
  const options: TlsOptions = {
    ...common,
    cert: first.cert,
    key: first.key,
    requestCert: clientAuthorities !== undefined || settings.areServers === true,
    rejectUnauthorized: false, // Whom to trust for what is decided by SASL EXTERNAL.
    handshakeTimeout: HANDSHAKE_IDLE_MS,
    SNICallback: (serverName, done) => done(null, present(presentations, serverName).context),
  };
  const servers = {
    starttls: new Server(options),
    direct_tls: new Server({ ...options, ALPNProtocols: [...settings.alpn] }),
  };
  for (const server of Object.values(servers)) {
    server.on('secureConnection', (socket) => handshakeDone(socket, presentations));
    server.on('tlsClientError', handshakeFailed);
  }
  return { credentials, clientAuthorities, servers, clientContexts: new Map() };
}

function commonOptions(settings: TlsSettings, credentials: readonly Credentials[], ca: string | undefined): SecureContextOptions {
  // Bound to the certificates: a client that resumes expects the certificate it saw, and its channel binding says so.
  const hmac = createHmac('sha384', settings.ticketSecret);
  for (const { x509 } of credentials) hmac.update(x509.fingerprint256);
  return {
    minVersion: settings.minVersion,
    ciphers: settings.ciphers,
    ecdhCurve: settings.groups,
    ticketKeys: hmac.digest(),
    sessionTimeout: SESSION_LIFETIME_S,
    sessionIdContext: SESSION_ID_CONTEXT,
    ...(settings.areServers === true ? { secureOptions: constants.SSL_OP_NO_TICKET } : {}),
    ...(ca === undefined ? {} : { ca }),
  };
}

function handshakeDone(socket: TLSSocket, presentations: Presentations): void {
  const owner = ownerOf(socket);
  if (owner === undefined) return void socket.destroy();
  socket.disableRenegotiation(); // CVE-2021-32920: a client that tries is disconnected before it costs anything.
  const { servername } = socket as TLSSocket & { servername?: string | false | null };
  const serverName = typeof servername === 'string' && servername !== '' ? servername.toLowerCase() : undefined;
  owner.handshakeDone(socket, new SocketTlsFacts(socket, serverName, presentedEndPoint(socket, serverName, presentations)));
}

/**
 * Not asked of OpenSSL: for a resumed session it would name the default certificate, whatever the client has seen.
 * Of a session resumed under TLS 1.2 it does not even know the name it was made for.
 */
function presentedEndPoint(socket: TLSSocket, serverName: string | undefined, presentations: Presentations): Buffer | undefined {
  if (serverName === undefined && socket.isSessionReused()) return presentations.commonEndPoint;
  return present(presentations, serverName ?? '').serverEndPoint;
}

function handshakeFailed(error: Error, socket: TLSSocket): void {
  ownerOf(socket)?.handshakeFailed(error);
}

/** `_parent` is not documented, but it is how Node itself gets from a TLS socket to the one below; the tests hold it to that. */
function ownerOf(socket: TLSSocket): HandshakeOwner | undefined {
  // oxlint-disable-next-line no-underscore-dangle
  return (socket as TLSSocket & { _parent?: OwnedSocket | null })._parent?.[OWNER];
}

function present({ byName, fallback }: Presentations, serverName: string): Presented {
  const name = serverName.toLowerCase();
  const dot = name.indexOf('.');
  return byName.get(name) ?? (dot > 0 ? byName.get(`*${name.slice(dot)}`) : undefined) ?? fallback;
}

function setIfNew<V>(map: Map<string, V>, key: string, value: V): void {
  if (!map.has(key)) map.set(key, value);
}
