/**
 * Every option of the server, once: where it stands in the configuration, how an
 * operator writes it, what it means, and what a reload does with it. The README's
 * table, `rookery config` and the type `Config` are made from this. Longer than other
 * files because it is a table.
 */
import { availableParallelism } from 'node:os';
import {
  bareAddress,
  bytes,
  count,
  domain,
  domainPattern,
  duration,
  flag,
  list,
  listenAddress,
  name,
  oneOf,
  optionalPath,
  optionalPlace,
  orOff,
  path,
  place,
  ports,
  rate,
} from './types.ts';
import { BURST_SECONDS, SHAPER_KEYS } from './shapers.ts';
import type { ShaperConfig } from './shapers.ts';
import type { ValueType } from './types.ts';

/** When a changed value takes effect: at once, for connections made from then on, or only after a restart of the process. */
export type ReloadEffect = 'now' | 'new connections' | 'restart';

/** One option. */
export interface Option<T> {
  readonly env: string;
  /** Its name in the configuration file; `a.b` is `b` in section `[a]`. Undefined: environment only. */
  readonly key: string | undefined;
  readonly type: ValueType<T>;
  readonly default: T;
  /** Where the default depends on the machine: how the README says it. */
  readonly defaultText?: string;
  /** One sentence. */
  readonly doc: string;
  readonly reload: ReloadEffect;
}

/** Options in groups, nested as in `Config`. */
export interface OptionTree {
  readonly [name: string]: Option<unknown> | OptionTree;
}

function option<T>(
  env: string,
  key: string | undefined,
  type: ValueType<T>,
  rest: Omit<Option<NoInfer<T>>, 'env' | 'key' | 'type'>,
): Option<T> {
  return { env, key, type, ...rest };
}

const cores = availableParallelism();

/** What one peer may send at most, with the names and meanings of the framer's limits. */
function framerOptions(env: string, section: string, when: string, defaults: Readonly<Record<FramerLimit, number>>) {
  const reload = 'new connections';
  return {
    maxBytes: option(`${env}_SIZE`, `${section}.size`, bytes({ min: 10_000, max: 16 * 1024 * 1024 }), {
      default: defaults.maxBytes,
      doc: `Size of one stanza ${when}; RFC 6120 §13.12 forbids less than 10 kB.`,
      reload,
    }),
    maxDepth: option(`${env}_DEPTH`, `${section}.depth`, count({ min: 4, max: 1_000 }), {
      default: defaults.maxDepth,
      doc: `Levels of nesting in one stanza ${when}.`,
      reload,
    }),
    maxElements: option(`${env}_ELEMENTS`, `${section}.elements`, count({ min: 16, max: 100_000 }), {
      default: defaults.maxElements,
      doc: `Elements in one stanza ${when}.`,
      reload,
    }),
    maxAttributes: option(`${env}_ATTRIBUTES`, `${section}.attributes`, count({ min: 8, max: 1_000 }), {
      default: defaults.maxAttributes,
      doc: `Attributes and namespace declarations of one element ${when}.`,
      reload,
    }),
    maxNameBytes: option(`${env}_NAME_SIZE`, `${section}.name_size`, bytes({ min: 64, max: 4_096 }), {
      default: defaults.maxNameBytes,
      doc: `Size of one element or attribute name ${when}.`,
      reload,
    }),
    maxNamespaces: option(`${env}_NAMESPACES`, `${section}.namespaces`, count({ min: 8, max: 1_000 }), {
      default: defaults.maxNamespaces,
      doc: `Namespace declarations in scope at one place ${when}.`,
      reload,
    }),
    maxWhitespaceBytes: option(`${env}_WHITESPACE`, `${section}.whitespace`, bytes({ min: 16, max: 1024 * 1024 }), {
      default: defaults.maxWhitespaceBytes,
      doc: `White space between two stanzas ${when}; a second of silence begins it anew.`,
      reload,
    }),
  };
}

type FramerLimit = 'maxBytes' | 'maxDepth' | 'maxElements' | 'maxAttributes' | 'maxNameBytes' | 'maxNamespaces' | 'maxWhitespaceBytes';

/** One of the shapers that every configuration has. */
function shaperOptions(env: string, shaper: string, whom: string, defaults: ShaperConfig) {
  const reload = 'new connections';
  const defaultText = `${BURST_SECONDS} seconds at the rate`;
  const key = (field: keyof ShaperConfig): string => `shapers.${shaper}.${SHAPER_KEYS[field].key}`;
  return {
    bytesPerSecond: option(`${env}_RATE`, key('bytesPerSecond'), SHAPER_KEYS.bytesPerSecond.type, {
      default: defaults.bytesPerSecond,
      doc: `What one connection ${whom} may send, in bytes; above it, the connection is not read for a while.`,
      reload,
    }),
    burstBytes: option(`${env}_BURST`, key('burstBytes'), SHAPER_KEYS.burstBytes.type, {
      default: defaults.burstBytes,
      defaultText,
      doc: `What such a connection may send at once after a rest.`,
      reload,
    }),
    stanzasPerSecond: option(`${env}_STANZA_RATE`, key('stanzasPerSecond'), SHAPER_KEYS.stanzasPerSecond.type, {
      default: defaults.stanzasPerSecond,
      doc: `What one connection ${whom} may send, in stanzas; above it, the connection is not read for a while.`,
      reload,
    }),
    burstStanzas: option(`${env}_STANZA_BURST`, key('burstStanzas'), SHAPER_KEYS.burstStanzas.type, {
      default: defaults.burstStanzas,
      defaultText,
      doc: `Stanzas such a connection may send at once after a rest.`,
      reload,
    }),
  };
}

function shaperRule(env: string, key: string, initial: string, whose: string) {
  return option(env, `shaper_rules.${key}`, name(), {
    default: initial,
    doc: `Name of the shaper of connections ${whose}: one of \`[shapers]\`, or \`none\`.`,
    reload: 'new connections',
  });
}

/** The table. Its nesting is that of `Config`. */
export const OPTIONS = {
  dataDir: option('ROOKERY_DATA_DIR', 'data_dir', path(), {
    default: 'data',
    doc: 'Directory of everything the server keeps: store, certificates, control socket.',
    reload: 'restart',
  }),
  file: option('ROOKERY_CONFIG', undefined, optionalPath(), {
    default: undefined,
    defaultText: 'no file',
    doc: 'The configuration file (TOML).',
    reload: 'restart',
  }),
  cacheDir: option('ROOKERY_CACHE_DIR', undefined, optionalPath(), {
    default: undefined,
    defaultText: 'the user’s cache directory',
    doc: 'Where the single executable unpacks its native parts; must belong to the user it runs as.',
    reload: 'restart',
  }),
  domains: option('ROOKERY_DOMAIN', 'domain', list(domain(), { min: 1 }), {
    default: ['localhost'],
    defaultText: 'the `[hosts]` sections of the file, else `localhost`',
    doc: 'The virtual hosts; the first is the default one.',
    reload: 'restart',
  }),
  admins: option('ROOKERY_ADMINS', 'admins', list(bareAddress()), {
    default: [],
    doc: 'Addresses of accounts that may administer the server over XMPP.',
    reload: 'now',
  }),
  listen: option('ROOKERY_LISTEN', 'listen', list(listenAddress(), { min: 1 }), {
    default: ['*'],
    doc: 'IP addresses to listen on; `*` is all of IPv6 and IPv4.',
    reload: 'restart',
  }),
  log: {
    level: option('ROOKERY_LOG_LEVEL', 'log.level', oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'), {
      default: 'info',
      doc: 'The least severe events that are logged.',
      reload: 'now',
    }),
    format: option('ROOKERY_LOG_FORMAT', 'log.format', oneOf('auto', 'json', 'text'), {
      default: 'auto',
      doc: 'Form of log lines; `auto` is text on a terminal and JSON elsewhere.',
      reload: 'restart',
    }),
  },
  c2s: {
    ports: option('ROOKERY_C2S_PORT', 'c2s.ports', ports(), {
      default: [5222],
      doc: 'Ports for clients, with STARTTLS.',
      reload: 'restart',
    }),
    tlsPorts: option('ROOKERY_C2S_TLS_PORT', 'c2s.tls_ports', ports(), {
      default: [5223],
      doc: 'Ports for clients, with TLS from the first byte (XEP-0368).',
      reload: 'restart',
    }),
    isTlsRequired: option('ROOKERY_TLS_REQUIRED', 'c2s.tls_required', flag(), {
      default: true,
      doc: 'Whether clients must use TLS to log in; false is for tests and load tests.',
      reload: 'new connections',
    }),
    negotiationMs: option('ROOKERY_NEGOTIATION_TIMEOUT', 'c2s.negotiation_timeout', duration({ min: 1_000, max: 600_000 }), {
      default: 30_000,
      doc: 'Time from connecting to a bound resource, TLS handshake included.',
      reload: 'new connections',
    }),
    resumeMs: option('ROOKERY_RESUME_TIMEOUT', 'c2s.resume_timeout', duration({ min: 0, max: 24 * 60 * 60 * 1_000 }), {
      default: 300_000,
      doc: 'How long a session whose connection is lost waits to be resumed; 0 switches resumption off.',
      reload: 'new connections',
    }),
    resumeLocation: option('ROOKERY_RESUME_LOCATION', 'c2s.resume_location', optionalPlace(), {
      default: undefined,
      doc: 'Where clients are told to connect to resume, for instance this machine behind a load balancer.',
      reload: 'new connections',
    }),
    idleMs: option('ROOKERY_IDLE_TIMEOUT', 'c2s.idle_timeout', orOff(duration({ min: 1_000, max: 604_800_000 })), {
      default: 600_000,
      doc: 'A client silent for half of this is pinged, for the whole of it disconnected.',
      reload: 'new connections',
    }),
    maxLoginAttempts: option('ROOKERY_LOGIN_ATTEMPTS', 'c2s.login_attempts', count({ min: 1, max: 100 }), {
      default: 3,
      doc: 'Failed logins after which a connection is closed.',
      reload: 'new connections',
    }),
    resourceConflict: option('ROOKERY_RESOURCE_CONFLICT', 'c2s.resource_conflict', oneOf('replace', 'refuse', 'rename'), {
      default: 'replace',
      doc: 'When a client asks for a resource in use: `replace` ends the older session, `refuse` answers with an error, `rename` assigns another resource (RFC 6120 §7.7.2.2).',
      reload: 'now',
    }),
  },
  shapers: {
    // Room for a client that synchronises, and for a load test of 500 messages a second on each connection.
    normal: shaperOptions('ROOKERY_C2S', 'normal', 'of a client', {
      bytesPerSecond: 1_000_000,
      burstBytes: 5_000_000,
      stanzasPerSecond: 2_000,
      burstStanzas: 10_000,
    }),
    login: shaperOptions('ROOKERY_LOGIN', 'login', 'that has not logged in', {
      bytesPerSecond: 20_000,
      burstBytes: 100_000,
      stanzasPerSecond: 20,
      burstStanzas: 100,
    }),
    // A server speaks for many users at once.
    server: shaperOptions('ROOKERY_SERVER', 'server', 'of another server', {
      bytesPerSecond: 10_000_000,
      burstBytes: 50_000_000,
      stanzasPerSecond: 20_000,
      burstStanzas: 100_000,
    }),
  },
  shaperRules: {
    beforeLogin: shaperRule('ROOKERY_SHAPER_BEFORE_LOGIN', 'before_login', 'login', 'that have not logged in'),
    users: shaperRule('ROOKERY_SHAPER_USERS', 'users', 'normal', 'of users'),
    admins: shaperRule('ROOKERY_SHAPER_ADMINS', 'admins', 'none', 'of the accounts in `admins`'),
    servers: shaperRule('ROOKERY_SHAPER_SERVERS', 'servers', 'server', 'of other servers that have shown who they are'),
  },
  s2s: {
    isEnabled: option('ROOKERY_S2S', 's2s.enabled', flag(), {
      default: true,
      doc: 'Whether this server speaks with others; if not, it neither listens for them nor connects to them.',
      reload: 'restart',
    }),
    ports: option('ROOKERY_S2S_PORT', 's2s.ports', ports(), {
      default: [5269],
      doc: 'Ports for other servers, with STARTTLS.',
      reload: 'restart',
    }),
    tlsPorts: option('ROOKERY_S2S_TLS_PORT', 's2s.tls_ports', ports(), {
      default: [],
      doc: 'Ports for other servers, with TLS from the first byte (XEP-0368; needs `_xmpps-server` records).',
      reload: 'restart',
    }),
    isTlsRequired: option('ROOKERY_S2S_TLS_REQUIRED', 's2s.tls_required', flag(), {
      default: true,
      doc: 'Whether other servers must use TLS.',
      reload: 'new connections',
    }),
    isDialback: option('ROOKERY_S2S_DIALBACK', 's2s.dialback', flag(), {
      default: true,
      doc: 'Whether dialback (XEP-0220) will do for servers whose certificate does not show who they are; if not, nothing but the certificate counts.',
      reload: 'new connections',
    }),
    isBidi: option('ROOKERY_S2S_BIDI', 's2s.bidi', flag(), {
      default: false,
      doc: 'Whether one connection may carry stanzas both ways (XEP-0288). Such streams cannot be resumed: after a cut link, a stanza may come twice.',
      reload: 'new connections',
    }),
    authorities: option('ROOKERY_S2S_CA', 's2s.authorities', optionalPath(), {
      default: undefined,
      defaultText: 'those that come with Node.js',
      doc: 'PEM file of the authorities whose certificates are believed of other servers.',
      reload: 'restart',
    }),
    allow: option('ROOKERY_S2S_ALLOW', 's2s.allow', list(domainPattern()), {
      default: [],
      defaultText: 'all',
      doc: 'The only domains to speak with, where any are named; `*.example.org` is all below that one.',
      reload: 'new connections',
    }),
    block: option('ROOKERY_S2S_BLOCK', 's2s.block', list(domainPattern()), {
      default: [],
      doc: 'Domains not to speak with, whatever is allowed.',
      reload: 'new connections',
    }),
    nameServers: option('ROOKERY_S2S_DNS', 's2s.dns', list(place()), {
      default: [],
      defaultText: 'those of the system',
      doc: 'Name servers to ask for other servers, as IP addresses with a port or without.',
      reload: 'restart',
    }),
    nameTimeoutMs: option('ROOKERY_S2S_DNS_TIMEOUT', 's2s.dns_timeout', duration({ min: 100, max: 60_000 }), {
      default: 5_000,
      doc: 'Time for one question to one name server.',
      reload: 'restart',
    }),
    connectMs: option('ROOKERY_S2S_CONNECT_TIMEOUT', 's2s.connect_timeout', duration({ min: 100, max: 120_000 }), {
      default: 10_000,
      doc: 'Time for TCP to connect to one address of another server, and for a TLS handshake.',
      reload: 'restart',
    }),
    negotiationMs: option('ROOKERY_S2S_NEGOTIATION_TIMEOUT', 's2s.negotiation_timeout', duration({ min: 1_000, max: 600_000 }), {
      default: 30_000,
      doc: 'Time from a connection with another server to one over which stanzas may go.',
      reload: 'new connections',
    }),
    idleMs: option('ROOKERY_S2S_IDLE_TIMEOUT', 's2s.idle_timeout', orOff(duration({ min: 1_000, max: 604_800_000 })), {
      default: 1_800_000,
      doc: 'A connection with another server that carries no stanza for so long is closed.',
      reload: 'new connections',
    }),
    resumeMs: option('ROOKERY_S2S_RESUME_TIMEOUT', 's2s.resume_timeout', duration({ min: 0, max: 24 * 60 * 60 * 1_000 }), {
      default: 300_000,
      doc: 'How long a stream with another server whose connection is lost can be resumed; 0 switches resumption off.',
      reload: 'new connections',
    }),
    retryMs: option('ROOKERY_S2S_RETRY', 's2s.retry', duration({ min: 100, max: 3_600_000 }), {
      default: 5_000,
      doc: 'After a failed attempt, another server is not connected to for so long, doubled with each further failure; stanzas are refused meanwhile.',
      reload: 'now',
    }),
    retryMaxMs: option('ROOKERY_S2S_RETRY_MAX', 's2s.retry_max', duration({ min: 100, max: 24 * 60 * 60 * 1_000 }), {
      default: 300_000,
      doc: 'The longest such time.',
      reload: 'now',
    }),
    queueStanzas: option('ROOKERY_S2S_QUEUE', 's2s.queue', count({ min: 16, max: 1_000_000 }), {
      default: 2_000,
      doc: 'Stanzas waiting for one other server, while it is connected to or does not read; further messages of users wait where they are, all else is refused.',
      reload: 'now',
    }),
    queueBytes: option('ROOKERY_S2S_QUEUE_SIZE', 's2s.queue_size', bytes({ min: 65_536, max: 1024 * 1024 * 1024 }), {
      default: 8 * 1024 * 1024,
      doc: 'Size of the stanzas waiting for one other server.',
      reload: 'now',
    }),
  },
  component: {
    ports: option('ROOKERY_COMPONENT_PORT', 'component.ports', ports(), {
      default: [5347],
      doc: 'Ports for external components (XEP-0114); opened where the file has a `[components]` section.',
      reload: 'restart',
    }),
    listen: option('ROOKERY_COMPONENT_LISTEN', 'component.listen', list(listenAddress(), { min: 1 }), {
      default: ['127.0.0.1'],
      doc: 'IP addresses to listen on for components: they authenticate in the clear, so this should be no open network.',
      reload: 'restart',
    }),
  },
  router: {
    ports: option('ROOKERY_ROUTER_PORT', 'router.ports', ports(), {
      default: [],
      doc: 'Ports for components that speak the protocol of jabberd2’s router. Its login is DIGEST-MD5, which is historic.',
      reload: 'restart',
    }),
    listen: option('ROOKERY_ROUTER_LISTEN', 'router.listen', list(listenAddress(), { min: 1 }), {
      default: ['127.0.0.1'],
      doc: 'IP addresses to listen on for these.',
      reload: 'restart',
    }),
  },
  http: {
    ports: option('ROOKERY_HTTP_PORT', 'http.ports', ports(), {
      default: [5280],
      doc: 'Ports for HTTP. Reserved: this version does not listen there.',
      reload: 'restart',
    }),
    tlsPorts: option('ROOKERY_HTTPS_PORT', 'http.tls_ports', ports(), {
      default: [5281],
      doc: 'Ports for HTTPS. Reserved: this version does not listen there.',
      reload: 'restart',
    }),
  },
  tls: {
    certificate: option('ROOKERY_TLS_CERTIFICATE', 'tls.certificate', optionalPath(), {
      default: undefined,
      defaultText: 'a self-signed one, made in the data directory',
      doc: 'PEM file of the certificate chain for all hosts that have none of their own.',
      reload: 'now',
    }),
    key: option('ROOKERY_TLS_KEY', 'tls.key', optionalPath(), {
      default: undefined,
      defaultText: 'made with the certificate',
      doc: 'PEM file of the private key to that certificate.',
      reload: 'now',
    }),
    clientAuthorities: option('ROOKERY_TLS_CLIENT_CA', 'tls.client_authorities', optionalPath(), {
      default: undefined,
      defaultText: 'clients are not asked for a certificate',
      doc: 'PEM file of the authorities whose client certificates may log in (SASL EXTERNAL, XEP-0178).',
      reload: 'restart',
    }),
  },
  accounts: {
    registration: option('ROOKERY_REGISTRATION', 'accounts.registration', oneOf('off', 'open'), {
      default: 'off',
      doc: 'Whether anyone may create an account from a client (XEP-0077).',
      reload: 'now',
    }),
    registrationRate: option('ROOKERY_REGISTRATION_RATE', 'accounts.registration_rate', rate({ min: 1 }), {
      default: { count: 5, windowMs: 3_600_000 },
      doc: 'Accounts that one address (IPv6: one /64) may register in a time.',
      reload: 'now',
    }),
    anonymousHosts: option('ROOKERY_ANONYMOUS_HOSTS', 'accounts.anonymous_hosts', list(domain()), {
      default: [],
      doc: 'Virtual hosts that let anyone in without an account (SASL ANONYMOUS).',
      reload: 'new connections',
    }),
    scramIterations: option('ROOKERY_SCRAM_ITERATIONS', 'accounts.scram_iterations', count({ min: 4_096, max: 10_000_000 }), {
      default: 10_000,
      doc: 'Iterations with which passwords set from now on are hashed (RFC 7677 §4).',
      reload: 'now',
    }),
    tokenLifetimeMs: option('ROOKERY_TOKEN_LIFETIME', 'accounts.token_lifetime', orOff(duration({ min: 60_000, max: 366 * 86_400_000 })), {
      default: 21 * 86_400_000,
      doc: 'How long a client that stays away may come back with a token in place of the password (XEP-0484); `off` gives none.',
      reload: 'new connections',
    }),
    clientRetentionMs: option(
      'ROOKERY_CLIENT_RETENTION',
      'accounts.client_retention',
      duration({ min: 3_600_000, max: 3_660 * 86_400_000 }),
      {
        default: 90 * 86_400_000,
        doc: 'How long a client that stays away is kept in the list of an account’s clients (XEP-0494).',
        reload: 'now',
      },
    ),
    areClientsNamed: option('ROOKERY_CLIENT_NAMES', 'accounts.client_names', flag(), {
      default: true,
      doc: 'Whether that list keeps the names of software and device that clients tell.',
      reload: 'now',
    }),
    maxOfflineMessages: option('ROOKERY_OFFLINE_MESSAGES', 'accounts.offline_messages', count({ max: 1_000_000 }), {
      default: 1_000,
      doc: 'Messages kept for an account while it is offline; further ones are refused to their senders.',
      reload: 'now',
    }),
    maxRosterItems: option('ROOKERY_ROSTER_ITEMS', 'accounts.roster_items', count({ min: 1, max: 100_000 }), {
      default: 2_000,
      doc: 'Contacts in the roster of one account.',
      reload: 'now',
    }),
  },
  limits: {
    connectionsPerWorker: option('ROOKERY_MAX_CONNECTIONS', 'limits.connections', count({ min: 1, max: 1_000_000 }), {
      default: 50_000,
      doc: 'Connections of one worker thread; further ones are closed at once.',
      reload: 'new connections',
    }),
    unauthenticatedPerWorker: option('ROOKERY_MAX_UNAUTHENTICATED', 'limits.unauthenticated', count({ min: 1, max: 1_000_000 }), {
      default: 5_000,
      doc: 'Connections of one worker thread that have not logged in yet; further ones are closed at once.',
      reload: 'new connections',
    }),
    connectionsPerAddress: option(
      'ROOKERY_MAX_CONNECTIONS_PER_ADDRESS',
      'limits.connections_per_address',
      count({ min: 1, max: 1_000_000 }),
      {
        default: 500,
        doc: 'Connections from one address (IPv6: one /64) to one worker thread.',
        reload: 'new connections',
      },
    ),
    unauthenticatedPerAddress: option(
      'ROOKERY_MAX_UNAUTHENTICATED_PER_ADDRESS',
      'limits.unauthenticated_per_address',
      count({ min: 1, max: 1_000_000 }),
      {
        default: 100,
        doc: 'Connections from one address to one worker thread that have not logged in yet.',
        reload: 'new connections',
      },
    ),
    connectBurst: option('ROOKERY_CONNECT_BURST', 'limits.connect_burst', count({ min: 1, max: 1_000_000 }), {
      default: 200,
      doc: 'Connections one address may open to one worker thread at once, before the rate below holds.',
      reload: 'new connections',
    }),
    connectsPerSecond: option('ROOKERY_CONNECT_RATE', 'limits.connect_rate', count({ min: 1, max: 1_000_000 }), {
      default: 20,
      doc: 'Connections one address may open to one worker thread per second.',
      reload: 'new connections',
    }),
    sessionsPerAccount: option('ROOKERY_MAX_SESSIONS', 'limits.sessions', count({ min: 1, max: 1_000 }), {
      default: 20,
      doc: 'Sessions of one account at a time.',
      reload: 'now',
    }),
    outboundBytes: option('ROOKERY_OUTBOUND_LIMIT', 'limits.outbound', bytes({ min: 65_536, max: 1024 * 1024 * 1024 }), {
      default: 1024 * 1024,
      doc: 'Unsent output of one connection; a client that reads more slowly for the grace time is disconnected as a slow consumer.',
      reload: 'new connections',
    }),
    outboundGraceMs: option('ROOKERY_OUTBOUND_GRACE', 'limits.outbound_grace', duration({ min: 0, max: 600_000 }), {
      default: 10_000,
      doc: 'Time for which a connection may have more unsent output than that.',
      reload: 'new connections',
    }),
    outboundHardBytes: option('ROOKERY_OUTBOUND_HARD_LIMIT', 'limits.outbound_hard', bytes({ min: 65_536, max: 1024 * 1024 * 1024 }), {
      default: 8 * 1024 * 1024,
      doc: 'Unsent output with which a connection ends at once, grace time or not.',
      reload: 'new connections',
    }),
    outboundTotalBytes: option(
      'ROOKERY_OUTBOUND_TOTAL',
      'limits.outbound_total',
      bytes({ min: 1024 * 1024, max: 1024 * 1024 * 1024 * 1024 }),
      {
        default: 512 * 1024 * 1024,
        doc: 'Unsent output of all connections of one worker thread; above it, those with the most are disconnected as slow consumers.',
        reload: 'new connections',
      },
    ),
    loginFailures: option('ROOKERY_LOGIN_FAILURES', 'limits.login_failures', rate(), {
      default: { count: 30, windowMs: 600_000 },
      doc: 'Wrong passwords from one address (IPv6: one /64) at one worker thread in a time; above it, the address is banned. `0/1s` never bans.',
      reload: 'now',
    }),
    loginBanMs: option('ROOKERY_LOGIN_BAN', 'limits.login_ban', duration({ min: 1_000, max: 604_800_000 }), {
      default: 600_000,
      doc: 'Time for which a banned address may not connect, from its last wrong password.',
      reload: 'now',
    }),
    mailboxMessages: option('ROOKERY_MAILBOX_LIMIT', 'limits.mailbox', count({ min: 16, max: 1_000_000 }), {
      default: 4_096,
      doc: 'Messages waiting in the mailbox of one actor; further ones bounce.',
      reload: 'restart',
    }),
    mailboxBytes: option('ROOKERY_MAILBOX_SIZE', 'limits.mailbox_size', bytes({ min: 65_536, max: 1024 * 1024 * 1024 }), {
      default: 4 * 1024 * 1024,
      doc: 'Size of the messages waiting in the mailbox of one actor.',
      reload: 'restart',
    }),
    bridgeMessages: option('ROOKERY_BRIDGE_LIMIT', 'limits.bridge', count({ min: 64, max: 10_000_000 }), {
      default: 65_536,
      doc: 'Messages under way from one worker thread to another.',
      reload: 'restart',
    }),
    bridgeBytes: option('ROOKERY_BRIDGE_SIZE', 'limits.bridge_size', bytes({ min: 1024 * 1024, max: 4 * 1024 * 1024 * 1024 }), {
      default: 64 * 1024 * 1024,
      doc: 'Size of the messages under way from one worker thread to another.',
      reload: 'restart',
    }),
    cachedAccounts: option('ROOKERY_ACCOUNT_CACHE', 'limits.account_cache', count({ max: 10_000_000 }), {
      default: 10_000,
      doc: 'Accounts without a session that one worker thread keeps in memory.',
      reload: 'now',
    }),
  },
  stanza: {
    beforeLogin: framerOptions('ROOKERY_LOGIN_STANZA', 'stanza.before_login', 'before login', {
      maxBytes: 10_000,
      maxDepth: 8,
      maxElements: 32,
      maxAttributes: 16,
      maxNameBytes: 256,
      maxNamespaces: 16,
      maxWhitespaceBytes: 1_000,
    }),
    servers: framerOptions('ROOKERY_S2S_STANZA', 's2s.stanza', 'of another server', {
      maxBytes: 512 * 1024,
      maxDepth: 64,
      maxElements: 8_192,
      maxAttributes: 64,
      maxNameBytes: 1_024,
      maxNamespaces: 64,
      maxWhitespaceBytes: 10_000,
    }),
    afterLogin: framerOptions('ROOKERY_STANZA', 'stanza', 'after login', {
      maxBytes: 256 * 1024,
      maxDepth: 64,
      maxElements: 4_096,
      maxAttributes: 64,
      maxNameBytes: 1_024,
      maxNamespaces: 64,
      maxWhitespaceBytes: 10_000,
    }),
  },
  workers: {
    count: option('ROOKERY_WORKERS', 'workers.count', count({ min: 1, max: 1_000 }), {
      // The main thread brings the store's journals into its file, and collecting garbage has threads of its own: see Decisions.
      default: Math.max(1, cores - 1),
      defaultText: 'one per core but one, at least one',
      doc: 'Worker threads that carry connections and accounts. The core that is left is for the store, key derivation and the collection of garbage.',
      reload: 'restart',
    }),
    heapBytes: option('ROOKERY_WORKER_HEAP', 'workers.heap', bytes({ min: 64 * 1024 * 1024, max: 256 * 1024 * 1024 * 1024 }), {
      default: 2 * 1024 * 1024 * 1024,
      doc: 'JavaScript heap of one worker thread; a worker that needs more is restarted.',
      reload: 'restart',
    }),
    stallMs: option('ROOKERY_STALL_TIMEOUT', 'workers.stall_timeout', duration({ min: 1_000, max: 600_000 }), {
      default: 10_000,
      doc: 'A worker thread whose event loop stands still for this long is restarted.',
      reload: 'restart',
    }),
    turnBudget: option('ROOKERY_TURN_BUDGET', 'workers.turn_budget', count({ min: 1, max: 100_000 }), {
      default: 64,
      doc: 'Messages one actor handles before the next has its turn.',
      reload: 'restart',
    }),
    sliceMs: option('ROOKERY_TIME_SLICE', 'workers.time_slice', duration({ min: 1, max: 1_000 }), {
      default: 10,
      doc: 'Time the actors of a worker run before its sockets are served again.',
      reload: 'restart',
    }),
    pollIntervalMs: option('ROOKERY_POLL_INTERVAL', 'workers.poll_interval', duration({ min: 0, max: 20 }), {
      default: 1,
      doc: 'While 64 connections or more talk at the same time, how often a worker looks at their sockets: what arrives between is handled together, which costs less. 0s: at once.',
      reload: 'restart',
    }),
  },
  pool: {
    threads: option('ROOKERY_POOL_THREADS', 'pool.threads', count({ min: 1, max: 1_000 }), {
      default: cores,
      defaultText: 'one per core',
      doc: 'Threads for heavy work such as hashing passwords.',
      reload: 'restart',
    }),
    maxQueued: option('ROOKERY_POOL_QUEUE', 'pool.queue', count({ min: 1, max: 1_000_000 }), {
      default: 4_096,
      doc: 'Jobs waiting for such a thread; further ones fail.',
      reload: 'restart',
    }),
  },
  store: {
    sync: option('ROOKERY_STORE_SYNC', 'store.sync', oneOf('process', 'disk'), {
      default: 'process',
      doc: 'What an acknowledged change survives: a crash of the `process`, or also a power failure (`disk`; slower).',
      reload: 'restart',
    }),
    gatherMs: option('ROOKERY_STORE_GATHER', 'store.gather', duration({ min: 0, max: 1_000 }), {
      default: 0,
      doc: 'Least time between two writes while changes keep coming: more gathers more into each. A lone change never waits.',
      reload: 'restart',
    }),
  },
  stopMs: option('ROOKERY_STOP_TIMEOUT', 'stop_timeout', duration({ min: 0, max: 600_000 }), {
    default: 15_000,
    doc: 'Time to finish work and say goodbye to clients when the server stops.',
    reload: 'now',
  }),
} as const satisfies OptionTree;
