/** The control socket's client half, for the command line. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { OperatorError } from '../kernel/errors.ts';
import type { CommandArgs, CommandName, CommandResult, StreamingName } from '../commands/index.ts';
import { greetingSchema, LineReader, MAX_RESPONSE_BYTES, parseJson, PROTOCOL_VERSION, responseSchema, socketName } from './protocol.ts';
import type { SocketName } from './protocol.ts';

/**
 * Runs one command in the server that listens at `path`.
 *
 * @throws OperatorError ERR_NOT_RUNNING when there is none, ERR_CONTROL_PERMISSION when it is another user's,
 *   ERR_CONTROL_PROTOCOL when it is of another version, or whatever code the command failed with.
 */
export async function callControl<N extends Exclude<CommandName, StreamingName>>(
  path: string,
  name: N,
  args: CommandArgs<N>,
): Promise<CommandResult<N>> {
  return (await callAny(path, name, args)) as CommandResult<N>;
}

/** The same for a command that this program knows by name only, as one of a module. */
export async function callAny(path: string, name: string, args: unknown): Promise<unknown> {
  for await (const response of converse(path, name, args, undefined)) {
    if ('result' in response) return response.result;
    break;
  }
  throw protocolError('items where a result was expected');
}

/**
 * Runs a command that gives one result after another, until the server has no more or `signal` is aborted.
 * Throws like `callControl`.
 */
export async function* streamControl<N extends StreamingName>(
  path: string,
  name: N,
  args: CommandArgs<N>,
  signal: AbortSignal,
): AsyncGenerator<CommandResult<N>> {
  for await (const response of converse(path, name, args, signal)) {
    if (!('item' in response)) throw protocolError('a result where items were expected');
    yield response.item as CommandResult<N>;
  }
}

type Answer = { readonly result: unknown } | { readonly item: unknown };

/** Sends the one request and gives what comes back, up to the result, the end or an error. */
async function* converse(path: string, command: string, args: unknown, signal: AbortSignal | undefined): AsyncGenerator<Answer> {
  const socket = await open(path);
  const onAbort = () => socket.destroy();
  signal?.addEventListener('abort', onAbort);
  try {
    socket.write(`${JSON.stringify({ id: 0, command, args })}\n`);
    for await (const message of messages(socket)) {
      const response = responseSchema.safeParse(message);
      if (!response.success) throw protocolError('something unintelligible');
      if ('error' in response.data) throw new OperatorError(response.data.error.code, response.data.error.message);
      if ('end' in response.data) return;
      yield response.data;
      if ('result' in response.data) return;
    }
  } catch (error) {
    if (signal?.aborted === true) return;
    if (error instanceof OperatorError) throw error;
    throw connectionLost(error);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    socket.destroy();
  }
  if (signal?.aborted !== true) throw connectionLost(undefined);
}

/** What the server sends after its greeting. */
async function* messages(socket: Socket): AsyncGenerator<unknown> {
  const reader = new LineReader(MAX_RESPONSE_BYTES);
  let isGreeted = false;
  for await (const chunk of socket) {
    const lines: string[] = [];
    if (!reader.read(chunk as Buffer, (line) => lines.push(line))) throw protocolError('too long a line');
    for (const line of lines) {
      const message = parseJson(line);
      if (isGreeted) yield message;
      else checkGreeting(message);
      isGreeted = true;
    }
  }
}

function connectionLost(cause: unknown): OperatorError {
  return new OperatorError('ERR_CONTROL_CLOSED', 'The server closed the connection before it was done. Its log may say why.', { cause });
}

function checkGreeting(message: unknown): void {
  const greeting = greetingSchema.safeParse(message);
  if (!greeting.success) throw protocolError('no greeting');
  if (greeting.data.protocol !== PROTOCOL_VERSION) {
    throw new OperatorError(
      'ERR_CONTROL_PROTOCOL',
      `The running server is Rookery ${greeting.data.rookery}, which this program cannot control. Use the program it was started with, or restart it.`,
    );
  }
}

function protocolError(what: string): OperatorError {
  return new OperatorError('ERR_CONTROL_PROTOCOL', `The server at the control socket sent ${what}. Is it a Rookery of another version?`);
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { name, release } = nameOrNot(path);
    const socket = connect(name);
    socket.once('connect', () => {
      release();
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      release();
      reject(openError(path, error));
    });
  });
}

/** A directory that is missing has no short name; connecting then says that it is missing. */
function nameOrNot(path: string): SocketName {
  try {
    return socketName(path);
  } catch (error) {
    throw openError(path, error as NodeJS.ErrnoException);
  }
}

function openError(path: string, error: NodeJS.ErrnoException): OperatorError {
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
    return new OperatorError(
      'ERR_NOT_RUNNING',
      `No server is running with this data directory (nothing answers at ${path}). Start it with: rookery serve`,
      { cause: error },
    );
  }
  return new OperatorError(
    'ERR_CONTROL_PERMISSION',
    `The control socket ${path} cannot be opened (${error.code ?? error.message}). Run this as the user that runs the server.`,
    { cause: error },
  );
}
