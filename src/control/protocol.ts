/**
 * What goes over the control socket: one JSON object per line. The server greets; then
 * each request gets one result or error, or items until an end.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';

/** Changes when older clients could misunderstand. */
export const PROTOCOL_VERSION = 1;

/** Of one request line: a password and an address fit many times over. */
export const MAX_REQUEST_BYTES = 64 * 1024;
/** Of one response line: a hundred thousand sessions fit. */
export const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

/** First line from the server. */
export const greetingSchema = z.object({ rookery: z.string(), protocol: z.number(), pid: z.number() });
export type Greeting = z.infer<typeof greetingSchema>;

export const requestSchema = z.strictObject({ id: z.int().min(0), command: z.string().max(100), args: z.unknown() });

const errorSchema = z.object({ code: z.string(), message: z.string() });

export const responseSchema = z.union([
  z.object({ id: z.int(), result: z.unknown() }).refine((value) => 'result' in value),
  z.object({ id: z.int(), item: z.unknown() }).refine((value) => 'item' in value),
  z.object({ id: z.int(), end: z.literal(true) }),
  z.object({ id: z.int(), error: errorSchema }),
]);

/** Reads lines of bytes as they arrive, each of at most `maxBytes`. */
export class LineReader {
  private readonly maxBytes: number;
  private readonly chunks: Buffer[] = [];
  private length = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Calls `onLine` for each line that `chunk` completes. False when a line grew too long: the peer is to be cut off. */
  read(chunk: Buffer, onLine: (line: string) => void): boolean {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.chunks.push(chunk.subarray(start, end));
      this.length += end - start;
      if (this.length > this.maxBytes) return false;
      const line = Buffer.concat(this.chunks).toString('utf8');
      this.chunks.length = 0;
      this.length = 0;
      start = end + 1;
      onLine(line);
    }
    this.chunks.push(chunk.subarray(start));
    this.length += chunk.length - start;
    return this.length <= this.maxBytes;
  }
}

/** JSON, or undefined. */
export function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The control socket of the server that keeps its data in `dataDir`. */
export function controlPath(dataDir: string): string {
  return join(dataDir, 'control.sock');
}

/** Longest path a Unix socket can have on macOS; on Linux 107. */
const MAX_SOCKET_PATH_BYTES = 103;

/** A name of the socket at `path` that is short enough for the operating system. */
export interface SocketName {
  readonly name: string;
  /** To be called when the name is no longer used: after closing a listener, or once connected. */
  release(): void;
}

/** `path` itself, or where it is too long, on Linux, one by way of a handle on its directory. Throws where the directory is missing. */
export function socketName(path: string): SocketName {
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES || process.platform !== 'linux') return { name: path, release: () => undefined };
  const directory = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  return { name: `/proc/self/fd/${directory}/${basename(path)}`, release: () => closeSync(directory) };
}
