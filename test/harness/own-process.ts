/**
 * Starting and ending another server for a test run: a directory of its own, a free port, nothing left behind.
 * With TRANSCRIPT_OUTPUT set, what it has printed is shown at the end.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/** Servers that refuse to run as root run as nobody. */
const NOBODY = 65_534;
const isRoot = userInfo().uid === 0;

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Several, each another one. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A new directory that the server may write to. */
export async function serverDirectory(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `rookery-${name}-`));
  if (isRoot) await chown(directory, NOBODY, NOBODY);
  return directory;
}

export interface OwnProcess {
  readonly command: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Once something listens there, it is ready; undefined: at once. */
  readonly port: number | undefined;
}

const READY_MS = 120_000;
const RETRY_MS = 50;

/** A server that runs. */
export interface RunningProcess {
  /** Ends it in order and removes its directory. All it has printed. */
  stop(): Promise<string>;
  /** Ends it in order; its directory stays, for others that use it. */
  end(): Promise<void>;
  /** Ends it with SIGKILL, as a crash or the lack of memory would; its directory stays. */
  kill(): Promise<void>;
  readonly pid: number;
}

/** Starts it and waits until its port is open. */
export async function startProcess({ command, args, directory, env, port }: OwnProcess): Promise<RunningProcess> {
  const output: string[] = [];
  const child = spawn(command, args, {
    cwd: directory,
    env: { PATH: process.env['PATH'] ?? '', HOME: directory, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
  });
  child.stdout.on('data', (chunk: Buffer) => output.push(String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => output.push(String(chunk)));
  const stop = async (): Promise<string> => {
    await end(child, 'SIGTERM');
    if (process.env['TRANSCRIPT_OUTPUT'] !== undefined) process.stderr.write(output.join(''));
    await rm(directory, { recursive: true, force: true });
    return output.join('');
  };
  const deadline = Date.now() + READY_MS;
  while (port !== undefined && !(await isOpen(port))) {
    if (child.exitCode === null && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      continue;
    }
    await stop();
    throw new Error(`${command} did not start:\n${output.join('')}`);
  }
  return { stop, end: () => end(child, 'SIGTERM'), kill: () => end(child, 'SIGKILL'), pid: child.pid ?? 0 };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const force = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(force);
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
