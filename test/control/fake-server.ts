/** A control socket with made-up figures behind it: what the command line is tested against. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OWN_COMMANDS, type CommandArgs, type CommandName, type CommandResult, type StreamingName } from '../../src/commands/index.ts';
import { commandTable, type AnyCommand, type Caller, type CommandTable } from '../../src/core/command.ts';
import type { Operations } from '../../src/core/operations.ts';
import type { TopFrame } from '../../src/core/server-status.ts';
import { controlPath } from '../../src/control/protocol.ts';
import { startControl } from '../../src/control/server.ts';
import type { ControlServer } from '../../src/control/server.ts';
import { OperatorError } from '../../src/kernel/errors.ts';

export const STARTED_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

const WORKER = {
  worker: 0,
  state: 'running',
  restarts: 1,
  connections: 12,
  sessions: 11,
  loopDelayP99Ms: 1.25,
  heapBytes: 50 * 1024 * 1024,
} as const;

export function topFrame(second: number, extra: Partial<TopFrame> = {}): TopFrame {
  return {
    atMs: STARTED_MS + second * 1_000,
    workers: [
      {
        ...WORKER,
        counters: { stanzasIn: 100 * second, stanzasOut: 250 * second },
        actors: { c2s: { count: 12, restarts: 0, queued: 3 }, account: { count: 40, restarts: 2, queued: 0 } },
      },
    ],
    actors: [{ worker: 0, id: 7, kind: 'account', state: 'ready', what: 'juliet@capulet.lit', queued: 3, queuedBytes: 2_048, restarts: 0 }],
    rssBytes: 200 * 1024 * 1024,
    ...extra,
  };
}

/** What each command does instead. */
export type CommandHandlers = {
  readonly [N in CommandName]: (
    args: CommandArgs<N>,
    caller: Caller,
  ) => N extends StreamingName ? AsyncIterable<CommandResult<N>> : Promise<CommandResult<N>> | CommandResult<N>;
};

/** Made-up commands reach nothing. */
export const noOperations = (): Operations => ({}) as Operations;

/** Commands without a handler fail, as nothing is there to reach. */
function makeCommands(handlers: Partial<CommandHandlers>): CommandTable {
  return commandTable(
    OWN_COMMANDS.map((command): AnyCommand => {
      const handler = handlers[command.name as CommandName] as ((args: unknown, caller: Caller) => never) | undefined;
      if (handler === undefined) return command;
      return 'stream' in command ? { ...command, stream: handler } : { ...command, run: handler };
    }),
  );
}

/** Accounts are kept in `users`, so that a test sees what a command did. */
export function commands(users = new Map<string, string>(), overrides: Partial<CommandHandlers> = {}): CommandTable {
  const known = (address: string) => {
    if (!users.has(address)) throw new OperatorError('ERR_NO_ACCOUNT', `There is no account ${address}.`);
    return { address };
  };
  return makeCommands({
    status: () => ({
      version: '1.2.3',
      nodeVersion: '26.0.0',
      pid: 4_711,
      startedAtMs: STARTED_MS,
      isStopping: false,
      dataDir: '/var/lib/rookery',
      hosts: ['capulet.lit', 'montague.lit'],
      listen: ['*'],
      listeners: [
        { kind: 'c2s', port: 5222 },
        { kind: 'c2s_tls', port: 5223 },
      ],
      workers: [WORKER, { ...WORKER, worker: 1, state: 'restarting', restarts: 12 }],
      pool: { threads: 2, queued: 0, completed: 99 },
      rssBytes: 200 * 1024 * 1024,
    }),
    top: async function* ({ limit }) {
      for (let second = 1; second <= 3; second++) yield topFrame(second, limit === 0 ? { actors: [] } : {});
    },
    reload: () => ({ changes: [{ path: 'log.level', reload: 'now' }] }),
    stop: () => ({ delay: 0 }),
    restart: () => ({ delay: 0 }),
    config: () => ({ toml: 'running = true\n' }),
    metrics: () => ({ text: 'rookery_sessions 11\n' }),
    'user add': ({ address, password }) => {
      if (users.has(address)) throw new OperatorError('ERR_ACCOUNT_EXISTS', `There is an account ${address} already.`);
      users.set(address, password);
      return { address };
    },
    'user passwd': ({ address, password }) => {
      known(address);
      users.set(address, password);
      return { address };
    },
    'user del': ({ address }) => {
      known(address);
      users.delete(address);
      return { address };
    },
    // Two to a page, whatever was asked for.
    'user list': ({ after }) => {
      const rest = [...users.keys()].sort().filter((address) => after === undefined || address > after);
      const page = rest.slice(0, 2);
      const last = page.at(-1);
      return {
        users: page.map((address) => ({ address, isEnabled: true, sessions: 1 })),
        ...(rest.length > 2 && last !== undefined ? { next: last } : {}),
      };
    },
    'user enable': ({ address }) => known(address),
    'user disable': ({ address }) => known(address),
    'session list': ({ limit = 1_000 }) => ({
      sessions: [
        { address: 'juliet@capulet.lit/balcony', remoteAddress: '192.0.2.1', isSecure: true, sinceMs: STARTED_MS, priority: 5 },
        { address: 'romeo@montague.lit/\u{1b}[2Jorchard', remoteAddress: '192.0.2.2', isSecure: false, sinceMs: STARTED_MS },
      ].slice(0, limit),
      isTruncated: limit < 2,
    }),
    's2s list': () => [],
    's2s close': () => ({ count: 2 }),
    's2s check': () => [
      { what: 'names', isGood: true, text: '192.0.2.7 port 5269' },
      { what: 'certificate', isGood: false, text: 'not for this domain; names: tybalt.lit' },
    ],
    'session kick': ({ address }) => ({ count: address.includes('/') ? 1 : 2 }),
    'component list': () => ({ components: [] }),
    backup: ({ directory }) => ({ directory, accounts: 3, bytes: 5 * 1024 * 1024, durationMs: 1_234 }),
    export: async function* ({ address }) {
      known(address);
      yield { text: "<server-data xmlns='urn:xmpp:pie:0'>" };
      yield { text: '</server-data>' };
    },
    ...overrides,
  });
}

export interface FakeServer extends AsyncDisposable {
  readonly dataDir: string;
  readonly path: string;
  readonly failures: unknown[];
  readonly control: ControlServer;
}

export async function startFakeServer(table: CommandTable = commands()): Promise<FakeServer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'rookery-control-'));
  const path = controlPath(dataDir);
  const failures: unknown[] = [];
  const control = await startControl({
    path,
    commands: table,
    operations: noOperations,
    version: '1.2.3',
    onFailure: (_, error) => failures.push(error),
  });
  return {
    dataDir,
    path,
    failures,
    control,
    async [Symbol.asyncDispose]() {
      await control.close();
      rmSync(dataDir, { recursive: true });
    },
  };
}
