/** The control socket's server half. Whoever can open the socket is an operator: its mode is 0600. */
import { mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { dirname } from 'node:path';
import { OperatorError } from '../kernel/errors.ts';
import { isOperatorError, prepare, type Caller, type CommandTable } from '../core/command.ts';
import type { Operations } from '../core/operations.ts';
import { tryLock } from './lock.ts';
import { LineReader, MAX_REQUEST_BYTES, parseJson, PROTOCOL_VERSION, requestSchema, socketName } from './protocol.ts';

/** Clients at a time; a further one is turned away. */
const MAX_CLIENTS = 64;
/** Requests of one client at work at a time; beyond it, its socket is not read. */
const MAX_REQUESTS = 8;
/** Unsent results of one client, after which a stream waits for it. */
const MAX_UNSENT_BYTES = 1024 * 1024;

export interface ControlOptions {
  readonly path: string;
  readonly commands: CommandTable;
  /** What they run on; while the server is starting, a promise. Rejects with OperatorError ERR_NOT_READY where it does not come up. */
  readonly operations: () => Operations | Promise<Operations>;
  readonly version: string;
  /** Told of failures that are no operator's fault; the client only learns that there was one. */
  readonly onFailure?: (command: string, error: unknown) => void;
}

export interface ControlServer {
  readonly path: string;
  /** Refuses new clients, ends the streams, and resolves when all sockets are closed. */
  close(): Promise<void>;
}

/**
 * Listens at `path`, and holds a lock beside it for as long: this is also what keeps a second
 * server off the same data directory, so start it before opening the store.
 *
 * @throws OperatorError ERR_CONTROL_IN_USE when another server holds it, ERR_CONTROL_SOCKET when it cannot be made.
 */
export async function startControl(options: ControlOptions): Promise<ControlServer> {
  const { path } = options;
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    if (clients.size >= MAX_CLIENTS) return socket.destroy();
    clients.add(socket);
    socket.once('close', () => clients.delete(socket));
    serve(socket, options);
    return undefined;
  });
  let release: () => void = () => undefined;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const lock = tryLock(`${path}.lock`);
    if (lock === undefined) {
      throw new OperatorError(
        'ERR_CONTROL_IN_USE',
        `A server is already running with the data directory ${dirname(path)}. Stop it first, with: rookery stop. Or give this one its own ROOKERY_DATA_DIR.`,
      );
    }
    release = () => lock.release();
    const socket = socketName(path);
    release = () => {
      socket.release();
      lock.release();
    };
    // Who holds the lock may remove what a server that died has left.
    rmSync(path, { force: true });
    await listen(server, socket.name);
  } catch (error) {
    server.close();
    release();
    if (error instanceof OperatorError) throw error;
    const { message } = error as Error;
    throw new OperatorError(
      'ERR_CONTROL_SOCKET',
      `The control socket ${path} cannot be made (${message}). The data directory must belong to this user.`,
      {
        cause: error,
      },
    );
  }
  return {
    path,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of clients) socket.destroy();
      await closed;
      rmSync(path, { force: true });
      release();
    },
  };
}

/** Binding happens before `listen` returns, so the mode is right from the first moment. Main thread only, as `umask` is. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const before = process.umask(0o177);
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
    process.umask(before);
  });
}

function serve(socket: Socket, options: ControlOptions): void {
  const reader = new LineReader(MAX_REQUEST_BYTES);
  const gone = new AbortController();
  const caller: Caller = { role: 'operator', name: 'control socket', signal: gone.signal };
  let running = 0;
  socket.on('close', () => gone.abort());
  // The client is gone; 'close' follows.
  socket.on('error', () => {});
  send(socket, { rookery: options.version, protocol: PROTOCOL_VERSION, pid: process.pid });
  socket.on('data', (chunk) => {
    const isFine = reader.read(chunk as Buffer, (line) => {
      running++;
      if (running >= MAX_REQUESTS) socket.pause();
      void answer(socket, line, caller, options).finally(() => {
        running--;
        if (running < MAX_REQUESTS) socket.resume();
      });
    });
    if (!isFine) socket.destroy();
  });
}

async function answer(socket: Socket, line: string, caller: Caller, options: ControlOptions): Promise<void> {
  const request = requestSchema.safeParse(parseJson(line));
  if (!request.success) {
    socket.destroy();
    return;
  }
  const { id, command: name, args } = request.data;
  try {
    const { command, args: checked } = prepare(options.commands, name, args, caller);
    const server = await options.operations();
    if ('run' in command) {
      send(socket, { id, result: (await command.run(checked, caller, server)) ?? null });
      return;
    }
    for await (const item of command.stream(checked, caller, server)) {
      if (caller.signal.aborted) return;
      send(socket, { id, item });
      if (socket.writableLength > MAX_UNSENT_BYTES) await drained(socket);
    }
    send(socket, { id, end: true });
  } catch (error) {
    send(socket, { id, error: describe(name, error, options) });
  }
}

function describe(command: string, error: unknown, { onFailure }: ControlOptions): { code: string; message: string } {
  if (isOperatorError(error)) return { code: error.code, message: error.message };
  onFailure?.(command, error);
  return { code: 'ERR_COMMAND_FAILED', message: `'${command}' failed inside the server; its log says why.` };
}

function send(socket: Socket, message: object): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(message)}\n`);
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}
