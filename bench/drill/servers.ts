/**
 * The servers a drill can be held on: started over a directory of their own, killed, and started again on the same data and ports.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { globSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { callControl } from '../../src/control/client.ts';
import { controlPath } from '../../src/control/protocol.ts';
import { freePort, serverDirectory } from '../../test/harness/own-process.ts';
import { inParallel, LoadClient } from '../load/client.ts';
import type { Target } from './wire.ts';

export const TARGETS = ['rookery', 'prosody', 'ejabberd'] as const;
export type TargetName = (typeof TARGETS)[number];

/** Servers that refuse to run as root run as nobody. */
const NOBODY = 65_534;
const READY_MS = 60_000;
const POLL_MS = 20;
const MAX_OUTPUT_LINES = 500;
const REGISTRATION_WIDTH = 8;

export interface ServerOptions {
  readonly hasArchive: boolean;
  /** Rookery: the single executable in place of the sources. */
  readonly binary?: string | undefined;
  /** Rookery: `ROOKERY_DRILL`, see src/server/drill.ts. */
  readonly mode?: string | undefined;
  /** Rookery: further settings. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
}

/** An actor that was made to crash. */
export interface CrashedActor {
  readonly worker: number;
  readonly kind: string;
  /** Whose it was: a full or bare JID. */
  readonly what: string;
}

interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export class DrillServer implements AsyncDisposable {
  readonly name: TargetName;
  readonly target: Target;
  readonly directory: string;
  /** Its latest lines. */
  readonly output: string[] = [];
  private readonly command: Command;
  private child: ChildProcess | undefined;

  constructor(name: TargetName, target: Target, directory: string, command: Command) {
    this.name = name;
    this.target = target;
    this.directory = directory;
    this.command = command;
  }

  /** Starts the process and waits until its port is open. */
  async start(): Promise<void> {
    this.spawn();
    const untilMs = performance.now() + READY_MS;
    while (!(await this.isReady())) {
      if (!this.isRunning || performance.now() > untilMs) throw new Error(`${this.name} did not start:\n${this.output.join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Its port is open, and its control socket, where it has one, takes commands. */
  private async isReady(): Promise<boolean> {
    if (!(await isOpen(this.target.port))) return false;
    if (this.name !== 'rookery') return true;
    return callControl(controlPath(this.directory), 'status', {}).then(
      () => true,
      () => false,
    );
  }

  /** Starts the process, and waits for nothing. */
  spawn(): void {
    const { program, args, env } = this.command;
    const child = spawn(program, args, {
      cwd: this.directory,
      env: { PATH: process.env['PATH'] ?? '', HOME: this.directory, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(userInfo().uid === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => this.keep(text));
  }

  get isRunning(): boolean {
    const { child } = this;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** SIGKILL: gone at once. */
  kill(): Promise<void> {
    return this.end('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGTERM');
    await rm(this.directory, { recursive: true, force: true });
  }

  /** For a program that ends at once: nothing is left behind. */
  destroy(): void {
    if (this.isRunning) this.child!.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }

  async createAccounts(locals: readonly string[], password: string): Promise<void> {
    await inParallel(locals, REGISTRATION_WIDTH, async (local) => {
      if (this.name === 'rookery') {
        await callControl(controlPath(this.directory), 'user add', { address: `${local}@${this.target.domain}`, password });
        return;
      }
      const registrar = await LoadClient.open(this.target, local);
      await registrar.register(password);
      registrar.close();
    });
  }

  /** Makes actors of one kind throw; only for Rookery in drill mode. */
  crashActors(args: {
    readonly kind: string;
    readonly count: number;
    readonly moment: 'now' | 'next_message';
    /** Only those whose description begins with it. */
    readonly whose?: string;
  }): Promise<CrashedActor[]> {
    return this.drillCommand('drill crash', args) as Promise<CrashedActor[]>;
  }

  /** Ends a worker thread as a crash would. Without a number: any. */
  killWorker(worker?: number): Promise<{ readonly worker: number }> {
    return this.drillCommand('drill kill-worker', worker === undefined ? {} : { worker }) as Promise<{ readonly worker: number }>;
  }

  /** Commands for drills are in no list of commands, so their types are not either. */
  private drillCommand(name: string, args: unknown): Promise<unknown> {
    const call = callControl as unknown as (path: string, name: string, args: unknown) => Promise<unknown>;
    return call(controlPath(this.directory), name, args);
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === undefined || !this.isRunning) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    const force = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await exited;
    clearTimeout(force);
  }

  private keep(text: string): void {
    this.output.push(...text.split('\n').filter((line) => line !== ''));
    if (this.output.length > MAX_OUTPUT_LINES) this.output.splice(0, this.output.length - MAX_OUTPUT_LINES);
  }
}

/** A server with no accounts, that runs. */
export async function startServer(name: TargetName, options: ServerOptions): Promise<DrillServer> {
  const directory = await serverDirectory(`drill-${name}`);
  const port = await freePort();
  const command = await COMMANDS[name](directory, port, options);
  const server = new DrillServer(name, { host: '127.0.0.1', port, domain: 'localhost' }, directory, command);
  try {
    await server.start();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

type MakeCommand = (directory: string, port: number, options: ServerOptions) => Promise<Command> | Command;

const COMMANDS: Readonly<Record<TargetName, MakeCommand>> = { rookery, prosody, ejabberd };

/** Limits on connections are for peers that mean harm; here one address has all clients. */
function rookery(directory: string, port: number, { binary, mode = '1', settings }: ServerOptions): Command {
  const main = resolve(import.meta.dirname, '../../src/main.ts');
  return {
    program: binary === undefined ? process.execPath : resolve(binary),
    args: binary === undefined ? [main, 'serve'] : ['serve'],
    env: {
      ROOKERY_DATA_DIR: directory,
      ROOKERY_DOMAIN: 'localhost',
      ROOKERY_LISTEN: '127.0.0.1',
      ROOKERY_C2S_PORT: String(port),
      ROOKERY_C2S_TLS_PORT: 'off',
      ROOKERY_TLS_REQUIRED: 'false',
      ROOKERY_SCRAM_ITERATIONS: '4096',
      ROOKERY_CONNECT_RATE: '100000',
      ROOKERY_CONNECT_BURST: '100000',
      ROOKERY_MAX_CONNECTIONS_PER_ADDRESS: '100000',
      ROOKERY_MAX_UNAUTHENTICATED_PER_ADDRESS: '20000',
      ROOKERY_WORKERS: '2',
      ROOKERY_LOG_LEVEL: 'warn',
      ROOKERY_LOG_FORMAT: 'json',
      ROOKERY_DRILL: mode,
      ...settings,
    },
  };
}

/** Checked with 0.12.3. */
async function prosody(directory: string, port: number, { hasArchive }: ServerOptions): Promise<Command> {
  const file = join(directory, 'prosody.cfg.lua');
  const modules = ['disco', 'roster', 'saslauth', 'ping', 'offline', 'register_ibr', 'smacks', 'presence', 'message', 'iq', 'c2s'];
  if (hasArchive) modules.push('mam');
  await writeFile(
    file,
    `
data_path = "${directory}"
pidfile = "${directory}/prosody.pid"
log = { warn = "*console" }
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
s2s_ports = {}
http_ports = {}
https_ports = {}
modules_enabled = { ${modules.map((name) => `"${name}"`).join(', ')} }
modules_disabled = { "s2s" }
allow_registration = true
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
registration_throttle_max = 1000000
authentication = "internal_hashed"
storage = "internal"
smacks_hibernation_time = 600
default_archive_policy = true
archive_expires_after = "never"
limits = {}
VirtualHost "localhost"
`,
  );
  return { program: 'prosody', args: ['--config', file, '-F'], env: {} };
}

/** Checked with 23.01. */
async function ejabberd(directory: string, port: number, { hasArchive }: ServerOptions): Promise<Command> {
  const file = join(directory, 'ejabberd.yml');
  await writeFile(
    file,
    `
hosts: ["localhost"]
loglevel: warning
listen:
  - port: ${port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    starttls: false
    max_stanza_size: 262144
    access: c2s
auth_method: internal
auth_password_format: scram
disable_sasl_mechanisms: ["X-OAUTH2"]
registration_timeout: infinity
acl:
  local: { user_regexp: "" }
access_rules:
  c2s: { allow: all }
  register: { allow: all }
shaper_rules:
  max_user_sessions: 20
  max_user_offline_messages: 100000
modules:
  mod_disco: {}
  mod_offline: { access_max_user_messages: max_user_offline_messages }
  mod_ping: {}
  mod_register: { ip_access: all, access: register, welcome_message: { subject: "", body: "" } }
  mod_roster: {}
  mod_stream_mgmt: { resend_on_timeout: true, resume_timeout: 600, max_resume_timeout: 600, max_ack_queue: 10000 }
${hasArchive ? '  mod_mam: { default: always, db_type: mnesia }\n' : ''}`,
  );
  const libraries = ['/usr/lib/*/ejabberd-*/ebin', '/usr/lib/erlang/lib/*/ebin', '/usr/lib/*-linux-*/*/ebin'].flatMap((pattern) =>
    globSync(pattern),
  );
  return {
    program: 'erl',
    args: ['-noinput', '-pa', ...libraries, '-mnesia', 'dir', `"${directory}/mnesia"`, '-s', 'ejabberd'],
    env: {
      EJABBERD_CONFIG_PATH: file,
      EJABBERD_LOG_PATH: join(directory, 'ejabberd.log'),
      ERL_CRASH_DUMP: join(directory, 'erl_crash.dump'),
    },
  };
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
