/**
 * The server as its users run it: a process of its own, from the sources or (TEST_BINARY) the single
 * executable, on free ports, with a data directory that is removed afterwards.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** What runs: the executable named by TEST_BINARY, else the sources. */
export const COMMAND: readonly string[] =
  process.env['TEST_BINARY'] === undefined ? [process.execPath, MAIN] : [process.env['TEST_BINARY']];

/** The environment without our own settings, so that a developer's do not leak in. */
function cleanEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith('ROOKERY_')),
  );
}

export interface LogLine {
  readonly what: string;
  readonly [field: string]: unknown;
}

export class ServerProcess implements AsyncDisposable {
  readonly dataDir: string;
  readonly certificateFile: string;
  port = 0;
  tlsPort = 0;
  componentPort = 0;
  routerPort = 0;
  s2sPort = 0;
  readonly log: LogLine[] = [];
  private readonly settings: Readonly<Record<string, string>>;
  private child: ChildProcess | undefined;
  private readonly watchers = new Set<() => void>();

  private constructor(dataDir: string, settings: Readonly<Record<string, string>>) {
    this.dataDir = dataDir;
    this.certificateFile = join(dataDir, 'certificates', 'self-signed.crt');
    this.settings = settings;
  }

  /** @param file text of a configuration file. */
  static async start(settings: Readonly<Record<string, string>> = {}, file?: string): Promise<ServerProcess> {
    const dataDir = await mkdtemp(join(tmpdir(), 'rookery-e2e-'));
    const path = join(dataDir, 'rookery.toml');
    const server = new ServerProcess(dataDir, file === undefined ? settings : { ...settings, ROOKERY_CONFIG: path });
    try {
      if (file !== undefined) await writeFile(path, file);
      await server.launch();
      return server;
    } catch (error) {
      await rm(server.dataDir, { recursive: true, force: true });
      throw error;
    }
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Starts the process, again after `kill` or `stop`, on the same data and ports. */
  async launch(): Promise<void> {
    const env = {
      ...cleanEnvironment(),
      ROOKERY_LISTEN: '127.0.0.1',
      ROOKERY_C2S_PORT: String(this.port),
      ROOKERY_C2S_TLS_PORT: String(this.tlsPort),
      ROOKERY_COMPONENT_PORT: String(this.componentPort),
      ROOKERY_S2S_PORT: String(this.s2sPort),
      ROOKERY_SCRAM_ITERATIONS: '4096',
      ROOKERY_LOG_FORMAT: 'json',
      ...this.settings,
      ROOKERY_DATA_DIR: this.dataDir,
    };
    const [program, ...args] = COMMAND;
    const child = spawn(program!, args, { env, stdio: ['ignore', 'pipe', 'pipe'], cwd: this.dataDir });
    this.child = child;
    this.log.length = 0;
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4_000)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.log.push(JSON.parse(line) as LogLine);
      for (const watcher of this.watchers) watcher();
    });
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the server ended with ${String(code)} before it listened: ${errors}`);
    });
    ended.catch(() => undefined); // it may end later, which is no failure
    const started = await Promise.race([this.logged(({ what }) => what === 'started'), ended]);
    this.port = (started['c2s'] as number[])[0] ?? 0;
    this.tlsPort = (started['c2sTls'] as number[])[0] ?? 0;
    this.componentPort = (started['component'] as number[])[0] ?? 0;
    this.routerPort = (started['router'] as number[] | undefined)?.[0] ?? this.routerPort;
    this.s2sPort = (started['s2s'] as number[])[0] ?? 0;
  }

  /** The first log line so far or to come that satisfies `accept`. */
  logged(accept: (line: LogLine) => boolean): Promise<LogLine> {
    return new Promise((resolve) => {
      const watcher = (): void => {
        const line = this.log.find(accept);
        if (line === undefined) return;
        this.watchers.delete(watcher);
        resolve(line);
      };
      this.watchers.add(watcher);
      watcher();
    });
  }

  /** Runs `rookery …args` against this server. */
  async cli(args: readonly string[], input = ''): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
    const [program, ...prefix] = COMMAND;
    const child = spawn(program!, [...prefix, ...args], {
      env: { ...cleanEnvironment(), ...this.settings, ROOKERY_DATA_DIR: this.dataDir },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.end(input);
    const [code] = (await once(child, 'close')) as [number];
    return { code, stdout, stderr };
  }

  async addUser(address: string, password: string): Promise<void> {
    const { code, stderr } = await this.cli(['user', 'add', address, '--password-stdin'], `${password}\n`);
    if (code !== 0) throw new Error(`rookery user add failed: ${stderr}`);
  }

  /** The process is gone at once, as with a power cut but for the disk. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** In order; the exit code. */
  async stop(): Promise<number | null> {
    return this.end('SIGTERM');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGTERM');
    await rm(this.dataDir, { recursive: true, force: true });
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    const [code] = (await exited) as [number | null];
    return code;
  }
}
