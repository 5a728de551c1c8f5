/**
 * A server in processes of its own: a directory, free ports, started and ended by its process ids; what drills and the peers' table have in common.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { inParallel, LoadClient, type Target } from '../load/client.ts';

/** Servers that refuse to run as root run as nobody. */
export const NOBODY = 65_534;
const READY_MS = 60_000;
const POLL_MS = 20;
const END_MS = 10_000;
const MAX_OUTPUT_LINES = 500;
const REGISTRATION_WIDTH = 8;

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The next command starts once something listens there. */
  readonly port?: number;
}

/** What a server is started with. */
export interface Setup {
  /** In the order in which they are started; the last one is for clients. */
  readonly commands: readonly Command[];
  /** Beyond an open port; false: not yet. */
  readonly isReady?: () => Promise<boolean>;
}

export class ServerProcesses implements AsyncDisposable {
  readonly name: string;
  readonly target: Target;
  readonly directory: string;
  /** Its latest lines. */
  readonly output: string[] = [];
  private readonly setup: Setup;
  private children: ChildProcess[] = [];

  constructor(name: string, target: Target, directory: string, setup: Setup) {
    this.name = name;
    this.target = target;
    this.directory = directory;
    this.setup = setup;
  }

  /** Starts the processes and waits until clients can connect. */
  async start(): Promise<void> {
    const untilMs = performance.now() + READY_MS;
    const wait = async (isDone: () => Promise<boolean>): Promise<void> => {
      while (!(await isDone())) {
        if (!this.isRunning || performance.now() > untilMs) throw new Error(`${this.name} did not start:\n${this.output.join('\n')}`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    };
    this.children = [];
    for (const command of this.setup.commands) {
      this.launch(command);
      if (command.port !== undefined) await wait(() => isOpen(command.port!));
    }
    await wait(async () => (await isOpen(this.target.port)) && (await this.isReady()));
  }

  /** Starts the processes, and waits for nothing. */
  spawn(): void {
    this.children = [];
    for (const command of this.setup.commands) this.launch(command);
  }

  get isRunning(): boolean {
    return this.children.length > 0 && this.children.every(isAlive);
  }

  get pids(): number[] {
    return this.children.flatMap(({ pid }) => pid ?? []);
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
    for (const child of this.children) if (isAlive(child)) child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** XEP-0077; accounts that exist stay as they are. */
  async createAccounts(locals: readonly string[], password: string): Promise<void> {
    await inParallel(locals, REGISTRATION_WIDTH, async (local) => {
      const registrar = await LoadClient.open(this.target, local);
      await registrar.register(password);
      registrar.close();
    });
  }

  private async isReady(): Promise<boolean> {
    return (await this.setup.isReady?.()) ?? true;
  }

  private launch({ program, args, env }: Command): void {
    const child = spawn(program, args, {
      cwd: this.directory,
      env: { PATH: process.env['PATH'] ?? '', HOME: this.directory, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(userInfo().uid === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
    });
    this.children.push(child);
    child.once('error', (error) => this.keep(error.message));
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => this.keep(text));
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    await Promise.all(
      this.children.filter(isAlive).map(async (child) => {
        const exited = once(child, 'exit');
        child.kill(signal);
        const force = setTimeout(() => child.kill('SIGKILL'), END_MS);
        await exited;
        clearTimeout(force);
      }),
    );
  }

  private keep(text: string): void {
    this.output.push(...text.split('\n').filter((line) => line !== ''));
    if (this.output.length > MAX_OUTPUT_LINES) this.output.splice(0, this.output.length - MAX_OUTPUT_LINES);
  }
}

function isAlive({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
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
