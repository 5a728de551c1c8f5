/**
 * The commands of the control socket: names, arguments and results, which the command
 * line shows and the server's composition implements. Everything here is plain data.
 */
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { commandTable } from './command.ts';
import type { Caller, CommandSpec, CommandTable, Role } from './command.ts';

/** Longest password taken, in characters; SASLprep and hashing cost grow with it. */
const MAX_PASSWORD_LENGTH = 1_024;

const address = z.string().min(3).max(3_071);
const password = z.string().min(1).max(MAX_PASSWORD_LENGTH);
const nothing = z.strictObject({});
const oneUser = z.strictObject({ address });

export interface ListenerStatus {
  /** `c2s`, `c2s_tls`, `s2s`, `component`, `http`, `https`. */
  readonly kind: string;
  readonly port: number;
}

export interface WorkerStatus {
  readonly worker: number;
  readonly state: 'starting' | 'running' | 'restarting' | 'stopping';
  /** Since the server started. */
  readonly restarts: number;
  readonly connections: number;
  readonly sessions: number;
  /** Delay of the event loop, 99th percentile since the last look. */
  readonly loopDelayP99Ms: number;
  readonly heapBytes: number;
}

export interface ServerStatus {
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly isStopping: boolean;
  readonly dataDir: string;
  readonly hosts: readonly string[];
  readonly listen: readonly string[];
  readonly listeners: readonly ListenerStatus[];
  readonly workers: readonly WorkerStatus[];
  readonly pool: { readonly threads: number; readonly queued: number; readonly completed: number };
  readonly rssBytes: number;
}

/** How many actors of a kind there are on one worker. */
export interface ActorKindFigures {
  readonly count: number;
  readonly restarts: number;
  /** Messages in their mailboxes. */
  readonly queued: number;
}

export interface TopWorker extends WorkerStatus {
  /** Counted since the worker started, e.g. `stanzasIn`. */
  readonly counters: Readonly<Record<string, number>>;
  readonly actors: Readonly<Record<string, ActorKindFigures>>;
}

export interface TopActor {
  readonly worker: number;
  readonly id: number;
  readonly kind: string;
  readonly state: string;
  /** Whose actor it is, e.g. a bare JID. */
  readonly what: string;
  readonly queued: number;
  readonly queuedBytes: number;
  readonly restarts: number;
}

/** One look at the running server. */
export interface TopFrame {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly workers: readonly TopWorker[];
  /** The fullest mailboxes first. */
  readonly actors: readonly TopActor[];
  readonly rssBytes: number;
}

export interface UserRow {
  readonly address: string;
  readonly isEnabled: boolean;
  readonly sessions: number;
}

export interface UserPage {
  readonly users: readonly UserRow[];
  /** Where the next page starts; absent on the last one. */
  readonly next?: string;
}

export interface SessionRow {
  /** Full JID. */
  readonly address: string;
  readonly remoteAddress: string;
  readonly isSecure: boolean;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Undefined before initial presence. */
  readonly priority?: number;
  /** Milliseconds since the epoch; only there while the session waits for its client to come back. */
  readonly detachedAtMs?: number;
}

export interface SessionPage {
  readonly sessions: readonly SessionRow[];
  /** Whether there are more than the limit let through. */
  readonly isTruncated: boolean;
}

/** What a reload changed, and what waits for new connections or a restart. */
export interface ReloadResult {
  readonly changes: readonly { readonly path: string; readonly reload: 'now' | 'new connections' | 'restart' }[];
}

/** What a backup is. */
export interface BackupResult {
  /** Absolute path, on the server's machine. */
  readonly directory: string;
  readonly accounts: number;
  readonly bytes: number;
  readonly durationMs: number;
}

/** What each command gives; streaming ones give any number of it. */
export interface CommandResults {
  status: ServerStatus;
  top: TopFrame;
  reload: ReloadResult;
  stop: Readonly<Record<string, never>>;
  config: { readonly toml: string };
  /** Prometheus' text form. */
  metrics: { readonly text: string };
  'user add': { readonly address: string };
  'user passwd': { readonly address: string };
  'user del': { readonly address: string };
  'user list': UserPage;
  'user enable': { readonly address: string };
  'user disable': { readonly address: string };
  'session list': SessionPage;
  'session kick': { readonly count: number };
  backup: BackupResult;
  /** A piece of the document. XEP-0227 */
  export: { readonly text: string };
}

export type CommandName = keyof CommandResults;

interface SpecInput<S extends z.ZodType> {
  readonly summary: string;
  readonly role: Role;
  readonly args: S;
}

function spec<S extends z.ZodType>(input: SpecInput<S>): SpecInput<S> {
  return input;
}

/** Name to what is needed to call it. */
export const COMMAND_SPECS = {
  status: spec({ summary: 'Show what the server is and how it fares', role: 'admin', args: nothing }),
  top: spec({
    summary: 'Show workers and actors as they change',
    role: 'operator',
    args: z.strictObject({
      intervalMs: z.int().min(100).max(60_000).default(1_000),
      limit: z.int().min(0).max(1_000).default(20),
      kind: z.string().max(100).optional(),
    }),
  }),
  reload: spec({ summary: 'Read configuration and certificates again', role: 'operator', args: nothing }),
  stop: spec({ summary: 'Stop the server in order', role: 'operator', args: nothing }),
  config: spec({ summary: 'Show the configuration in effect', role: 'operator', args: nothing }),
  metrics: spec({ summary: 'Show metrics in the text form of Prometheus', role: 'operator', args: nothing }),
  'user add': spec({ summary: 'Create an account', role: 'admin', args: z.strictObject({ address, password }) }),
  'user passwd': spec({ summary: 'Set an account’s password', role: 'admin', args: z.strictObject({ address, password }) }),
  'user del': spec({ summary: 'Remove an account and all it has', role: 'admin', args: oneUser }),
  'user list': spec({
    summary: 'List accounts',
    role: 'admin',
    args: z.strictObject({
      host: z.string().max(1_023).optional(),
      after: address.optional(),
      limit: z.int().min(1).max(1_000).default(1_000),
    }),
  }),
  'user enable': spec({ summary: 'Let a disabled account log in again', role: 'admin', args: oneUser }),
  'user disable': spec({ summary: 'End an account’s sessions and let it log in no more', role: 'admin', args: oneUser }),
  'session list': spec({
    summary: 'List sessions',
    role: 'admin',
    args: z.strictObject({
      /** A bare address, or a host. */
      of: z.string().max(3_071).optional(),
      limit: z.int().min(1).max(100_000).default(1_000),
    }),
  }),
  'session kick': spec({
    summary: 'End one session (full address) or all of an account (bare address)',
    role: 'admin',
    args: z.strictObject({ address }),
  }),
  backup: spec({
    summary: 'Copy all the server keeps, also while it runs',
    role: 'operator',
    args: z.strictObject({ directory: z.string().min(1).max(4_096).refine(isAbsolute, 'expected an absolute path') }),
  }),
  export: spec({ summary: 'Write one account as XEP-0227', role: 'operator', args: oneUser }),
} as const satisfies Record<CommandName, SpecInput<z.ZodType>>;

/** What a caller passes; defaults may be left out. */
export type CommandArgs<N extends CommandName> = z.input<(typeof COMMAND_SPECS)[N]['args']>;
/** What the implementation is given. */
export type CommandInput<N extends CommandName> = z.output<(typeof COMMAND_SPECS)[N]['args']>;

/** Commands whose implementation gives many results. */
export type StreamingName = 'top' | 'export';
const STREAMING: ReadonlySet<string> = new Set<StreamingName>(['top', 'export']);

/** What the server's composition provides: one function per command. */
export type CommandHandlers = {
  readonly [N in CommandName]: (
    args: CommandInput<N>,
    caller: Caller,
  ) => N extends StreamingName ? AsyncIterable<CommandResults[N]> : Promise<CommandResults[N]> | CommandResults[N];
};

/** The table for `startControl`. */
export function makeCommands(handlers: CommandHandlers): CommandTable {
  return commandTable(
    (Object.keys(COMMAND_SPECS) as CommandName[]).map((name) => {
      const base: CommandSpec<unknown> = { name, ...(COMMAND_SPECS[name] as SpecInput<z.ZodType>) };
      const handler = handlers[name] as (args: unknown, caller: Caller) => unknown;
      return STREAMING.has(name)
        ? { ...base, stream: (args: unknown, caller: Caller) => handler(args, caller) as AsyncIterable<unknown> }
        : { ...base, run: (args: unknown, caller: Caller) => handler(args, caller) as Promise<unknown> };
    }),
  );
}
