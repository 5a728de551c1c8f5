/** Servers that speak with one another over TCP on this machine: ours, Prosody and ejabberd as installed. */
import { globSync } from 'node:fs';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { callControl } from '../../src/control/client.ts';
import { controlPath } from '../../src/control/protocol.ts';
import type { LinkStatus } from '../../src/core/links.ts';
import type { CertificateFiles } from './authority.ts';
import { Cast, withNames, type CastOfClients } from './cast.ts';
import { serverDirectory, startProcess } from './own-process.ts';
import { tcpTarget } from './tcp-target.ts';

export type Kind = 'rookery' | 'prosody' | 'ejabberd';

export function isInstalled(kind: Kind): boolean {
  if (kind === 'rookery') return true;
  return kind === 'prosody' ? existsSync('/usr/bin/prosody') : globSync('/usr/lib/*/ejabberd-*/ebin').length > 0;
}

export interface FederatedOptions {
  readonly kind: Kind;
  readonly domain: string;
  /** Of clients. */
  readonly port: number;
  readonly s2sPort: number;
  /** Without a port (Rookery): found by `nameServer`. */
  readonly peer: { readonly domain: string; readonly port: number | undefined };
  readonly nameServer?: string | undefined;
  readonly certificate: CertificateFiles;
  /** PEM of whom it believes. */
  readonly authorityFile: string;
  /** Whether a certificate is wanted, or dialback will do. */
  readonly isDialback: boolean;
  readonly hasManagement?: boolean;
  /** Rookery, Prosody: one stream carries stanzas both ways. XEP-0288 */
  readonly isBidi?: boolean;
  /** Rookery: TLS from the first byte, on the same port, and of the peer's. XEP-0368 */
  readonly isDirectTls?: boolean;
  readonly workers?: string;
  /** Rookery: it lets itself be broken, see `src/server/drill.ts`. */
  readonly isDrill?: boolean;
  /** Rookery: further lines of its configuration file, at the top and at the end. */
  readonly lines?: readonly string[];
}

export interface Federated extends AsyncDisposable {
  readonly domain: string;
  readonly cast: CastOfClients;
  /** Rookery: what `s2s list` shows. */
  links(): Promise<readonly LinkStatus[]>;
  /** Rookery's is its data directory, with the control socket. */
  readonly directory: string;
  readonly pid: number;
  /** Beside those of the cast. */
  createAccount(local: string, password: string): Promise<void>;
}

/** Between servers there are name servers, handshakes and other programs' timers. */
const DEADLINE_MS = 30_000;

export async function startFederated(options: FederatedOptions): Promise<Federated> {
  const directory = await serverDirectory(options.kind);
  const { port } = options;
  const start = { rookery, prosody, ejabberd }[options.kind];
  const { stop, pid } = await startProcess({ ...(await start(directory, port, options)), directory, port });
  const isOurs = options.kind === 'rookery';
  const target = tcpTarget({ host: '127.0.0.1', port, domain: options.domain, isOurs, deadlineMs: DEADLINE_MS });
  const cast = withNames(new Cast(target));
  return {
    domain: options.domain,
    cast,
    directory,
    pid,
    createAccount: (local, password) => target.createAccount(local, password),
    links: () => callControl(controlPath(directory), 's2s list', {}),
    async [Symbol.asyncDispose]() {
      await cast.leave().catch(() => undefined);
      const output = await stop();
      if (process.env['FEDERATION_OUTPUT'] !== undefined) process.stderr.write(`--- ${options.kind} ${options.domain}\n${output}\n`);
    },
  };
}

interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

async function rookery(directory: string, port: number, options: FederatedOptions): Promise<Command> {
  const {
    domain,
    s2sPort,
    peer,
    certificate,
    authorityFile,
    isDialback,
    isDirectTls = false,
    isBidi = false,
    nameServer,
    lines = [],
  } = options;
  const file = join(directory, 'rookery.toml');
  const text = [
    `[s2s]`,
    ...(isDirectTls ? ['ports = "off"', `tls_ports = [${s2sPort}]`] : [`ports = [${s2sPort}]`]),
    `authorities = "${authorityFile}"`,
    `dialback = ${isDialback}`,
    `bidi = ${isBidi}`,
    `retry = "500ms"`,
    `retry_max = "1s"`,
    ...(nameServer === undefined ? [] : [`dns = ["${nameServer}"]`, `dns_timeout = "200ms"`]),
    ...lines,
    ...(peer.port === undefined
      ? []
      : [`[remote."${peer.domain}"]`, `address = ["127.0.0.1:${peer.port}"]`, `direct_tls = ${isDirectTls}`]),
  ];
  await writeFile(file, `${text.join('\n')}\n`);
  return {
    command: process.execPath,
    args: [resolve(import.meta.dirname, '../../src/main.ts'), 'serve'],
    env: {
      ROOKERY_CONFIG: file,
      ROOKERY_DATA_DIR: directory,
      ROOKERY_DOMAIN: domain,
      ROOKERY_LISTEN: '127.0.0.1',
      ROOKERY_C2S_PORT: String(port),
      ROOKERY_C2S_TLS_PORT: 'off',
      ROOKERY_TLS_REQUIRED: 'false',
      ROOKERY_TLS_CERTIFICATE: certificate.certificateFile,
      ROOKERY_TLS_KEY: certificate.keyFile,
      ROOKERY_REGISTRATION: 'open',
      ROOKERY_REGISTRATION_RATE: '1000000/1m',
      ROOKERY_SCRAM_ITERATIONS: '4096',
      ROOKERY_WORKERS: options.workers ?? '1',
      ...(options.isDrill === true ? { ROOKERY_DRILL: '1' } : {}),
      ROOKERY_LOG_LEVEL: process.env['FEDERATION_OUTPUT'] === undefined ? 'error' : 'debug',
    },
  };
}

/** Prosody has no setting for where a domain is; where `lua-unbound` is missing it asks port 53 only. */
const PROSODY_OVERRIDE = `
module:set_global();
local hosts = module:get_option("s2s_hosts", {});
local service = require "net.resolvers.service";
local manual = require "net.resolvers.manual";
local original = service.new;
service.new = function (hostname, name, conn_type, extra)
  local port = hosts[hostname];
  if not port then return original(hostname, name, conn_type, extra); end
  if name ~= "xmpp-server" then return manual.new({}, conn_type, extra); end
  return manual.new({ { "tcp4", "127.0.0.1", port, extra } }, conn_type, extra);
end
`;

async function prosody(directory: string, port: number, options: FederatedOptions): Promise<Command> {
  const { domain, s2sPort, peer, certificate, authorityFile, isDialback, hasManagement = true, isBidi = false } = options;
  await mkdir(join(directory, 'plugins'));
  await writeFile(join(directory, 'plugins', 'mod_s2s_hosts.lua'), PROSODY_OVERRIDE);
  const file = join(directory, 'prosody.cfg.lua');
  const modules = [
    'disco',
    'roster',
    'saslauth',
    'tls',
    's2s_auth_certs',
    'carbons',
    'version',
    'ping',
    'register',
    'user_account_management',
    'offline',
  ];
  modules.push('register_ibr', 'presence', 'message', 'iq', 'c2s', 's2s', 's2s_hosts');
  if (isDialback) modules.push('dialback');
  if (hasManagement) modules.push('smacks');
  if (isBidi) modules.push('s2s_bidi');
  await writeFile(
    file,
    `
data_path = "${directory}"
pidfile = "${directory}/prosody.pid"
log = { ${process.env['FEDERATION_OUTPUT'] === undefined ? 'warn' : 'debug'} = "*console" }
plugin_paths = { "${directory}/plugins" }
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
s2s_ports = { ${s2sPort} }
http_ports = {}
https_ports = {}
s2s_hosts = { ["${peer.domain}"] = ${peer.port} }
modules_enabled = { ${modules.map((name) => `"${name}"`).join(', ')} }
modules_disabled = { ${isDialback ? '' : '"dialback"'} }
allow_registration = true
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
s2s_require_encryption = true
s2s_secure_auth = ${!isDialback}
smacks_s2s_resend = true
registration_throttle_max = 1000000
authentication = "internal_plain"
storage = "internal"
ssl = { certificate = "${certificate.certificateFile}", key = "${certificate.keyFile}", cafile = "${authorityFile}", capath = "/nonexistent" }
certificates = "${directory}"
VirtualHost "${domain}"
`,
  );
  return { command: 'prosody', args: ['--config', file, '-F'] };
}

/** ejabberd asks the C library for addresses, but its links may have a say of their own (`resolve/2`): they are given one. */
function ejabberdOverride(port: number): string {
  return `
    M = ejabberd_s2s_out,
    {ok, {_, [{abstract_code, {_, Forms}}]}} = beam_lib:chunks(code:which(M), [abstract_code]),
    {ok, Tokens, _} = erl_scan:string("resolve(_Host, _State) -> [{{127,0,0,1}, ${port}, false}]."),
    {ok, Resolve} = erl_parse:parse_form(Tokens),
    {Head, Functions} = lists:splitwith(fun(Form) -> element(1, Form) =/= function end, Forms),
    {ok, M, Binary} = compile:forms(Head ++ [{attribute, 1, export, [{resolve, 2}]}, Resolve | Functions], []),
    {module, M} = code:load_binary(M, "with resolve/2", Binary).`;
}

async function ejabberd(directory: string, port: number, options: FederatedOptions): Promise<Command> {
  const { domain, s2sPort, peer, certificate, authorityFile, isDialback } = options;
  const file = join(directory, 'ejabberd.yml');
  await writeFile(
    file,
    `
hosts: ["${domain}"]
loglevel: ${process.env['FEDERATION_OUTPUT'] === undefined ? 'warning' : 'debug'}
certfiles: ["${certificate.bothFile}"]
ca_file: "${authorityFile}"
s2s_use_starttls: required
listen:
  - { port: ${port}, ip: "127.0.0.1", module: ejabberd_c2s, starttls: false, max_stanza_size: 262144, access: c2s }
  - { port: ${s2sPort}, ip: "127.0.0.1", module: ejabberd_s2s_in, max_stanza_size: 262144 }
auth_method: internal
disable_sasl_mechanisms: ["X-OAUTH2"]
registration_timeout: infinity
acl:
  local: { user_regexp: "" }
access_rules:
  c2s: { allow: all }
  register: { allow: all }
  local: { allow: local }
shaper_rules:
  max_user_sessions: 20
  max_user_offline_messages: 1000
modules:
  mod_disco: {}
  mod_offline: { access_max_user_messages: max_user_offline_messages }
  mod_ping: {}
  mod_register: { ip_access: all, access: register, welcome_message: { subject: "", body: "" } }
  mod_roster: {}
  mod_stream_mgmt: {}
  mod_version: { show_os: false }
${isDialback ? '  mod_s2s_dialback: {}\n' : ''}`,
  );
  const libraries = ['/usr/lib/*/ejabberd-*/ebin', '/usr/lib/erlang/lib/*/ebin', '/usr/lib/*-linux-*/*/ebin'].flatMap((pattern) =>
    globSync(pattern),
  );
  return {
    command: 'erl',
    args: [
      '-noinput',
      '-pa',
      ...libraries,
      '-eval',
      ejabberdOverride(peer.port!),
      '-mnesia',
      'dir',
      `"${directory}/mnesia"`,
      '-s',
      'ejabberd',
    ],
    env: {
      EJABBERD_CONFIG_PATH: file,
      EJABBERD_LOG_PATH: join(directory, 'ejabberd.log'),
      ERL_CRASH_DUMP: join(directory, 'erl_crash.dump'),
    },
  };
}

/** What stands between two servers, and can break. */
export class Line implements AsyncDisposable {
  readonly port: number;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  /** Bytes that have passed so far. */
  bytes = 0;

  private constructor(server: Server) {
    this.server = server;
    this.port = (server.address() as { port: number }).port;
  }

  static async to(port: number): Promise<Line> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const line = new Line(server);
    server.on('connection', (near) => line.join(near, connect({ host: '127.0.0.1', port })));
    return line;
  }

  get isOpen(): boolean {
    return this.sockets.size > 0;
  }

  /** All connections end as when a cable is cut. */
  cut(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.server.close();
  }

  private join(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(from);
      from.on('data', (chunk) => {
        this.bytes += chunk.length;
        to.write(chunk);
      });
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.sockets.delete(from);
        to.destroy();
      });
    }
  }
}
