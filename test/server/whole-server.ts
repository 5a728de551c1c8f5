/** The whole server in this process, with real worker threads, over a directory that outlives it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { homeWorker } from '../../src/kernel/registry.ts';
import { LoadClient } from '../../bench/load/client.ts';
import type { ConfigValues } from '../../src/config/config.ts';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import { makeLogger } from '../../src/observe/log.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import type { Server } from '../../src/server/server.ts';
import { startWholeServer } from '../../src/server/start-server.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';

export const WORKERS = 2;
export const PASSWORD = 'a password';

export interface Running extends AsyncDisposable {
  readonly server: Server;
  readonly dataDir: string;
  /** What `reload` reads. */
  values: ConfigValues;
  /** Resolves with the next log event of that name from now on. */
  next(what: string, accept?: (event: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  /** Ends it and starts another over the same data. */
  again(): Promise<Running>;
}

export async function makeDataDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'rookery-threads-'));
}

export async function run(changes: ConfigValues = {}, dataDir?: string): Promise<Running> {
  const directory = dataDir ?? (await makeDataDir());
  const watchers = new Set<(event: Record<string, unknown>) => void>();
  const write = (lines: readonly string[]): void => {
    for (const line of lines) for (const watcher of watchers) watcher(JSON.parse(line) as Record<string, unknown>);
  };
  const running = {
    values: {
      dataDir: directory,
      listen: ['127.0.0.1'],
      domains: ['localhost'],
      c2s: { ports: [0], tlsPorts: [], isTlsRequired: false },
      s2s: { ports: [] },
      accounts: { scramIterations: 4_096 },
      workers: { count: WORKERS },
      limits: { connectsPerSecond: 10_000, connectBurst: 10_000, unauthenticatedPerAddress: 10_000 },
      ...changes,
    } as ConfigValues,
  };
  const load = (): LoadedConfig => loadConfig({ env: {}, modules: moduleSchemas(), values: running.values });
  try {
    const { server } = await startWholeServer({
      loaded: load(),
      load,
      logger: makeLogger({ level: 'info', write, flushMs: 0 }),
      writeLog: write,
      onGivenUp: (reason) => assert.fail(reason),
      onStopped: () => undefined,
    });
    return Object.assign(running, {
      server,
      dataDir: directory,
      next: (what: string, accept: (event: Record<string, unknown>) => boolean = () => true): Promise<Record<string, unknown>> =>
        new Promise((resolve) => {
          const watcher = (event: Record<string, unknown>): void => {
            if (event['what'] !== what || !accept(event)) return;
            watchers.delete(watcher);
            resolve(event);
          };
          watchers.add(watcher);
        }),
      async again(): Promise<Running> {
        await server.stop();
        return run(changes, directory);
      },
      async [Symbol.asyncDispose](): Promise<void> {
        await server.stop();
        await rm(directory, { recursive: true, force: true });
      },
    });
  } catch (error) {
    if (dataDir === undefined) await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

export async function createAccounts(server: Server, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const scram = await server.operations.derive(opaqueString(PASSWORD)!);
    await server.operations.ask(parseJid(`${name}@localhost`)!.bare, { kind: 'create_account', scram });
  }
}

/** Names of accounts that live on `worker`. */
export function namesAt(worker: number, count: number): string[] {
  const names: string[] = [];
  for (let i = 0; names.length < count; i++) if (homeWorker(`user${i}@localhost`, WORKERS) === worker) names.push(`user${i}`);
  return names;
}

export async function logIn(server: Server, local: string, resource: string): Promise<LoadClient> {
  const client = await LoadClient.open({ host: '127.0.0.1', port: server.ports.c2s[0]!, domain: 'localhost' }, local);
  await client.logIn(PASSWORD, 'SCRAM-SHA-1', resource);
  await client.ask('<presence/>', /<presence/);
  return client;
}
