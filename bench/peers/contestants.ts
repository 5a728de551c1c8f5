/** The servers of the peers' table, and how each is started: without limits, open for registration, with its normal storage. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { prepareServer, type ServerName } from '../servers/index.ts';
import type { ServerOptions } from '../servers/options.ts';
import { ServerProcesses } from '../servers/process.ts';

export interface Contestant {
  readonly name: string;
  readonly server: ServerName;
  readonly hasArchive: boolean;
  /** Whether it has XEP-0198. */
  readonly canResume: boolean;
  readonly options?: Partial<ServerOptions>;
  /** Only where it is named. */
  readonly isExtra?: boolean;
  /** Rookery: worker threads, where the run compares them. */
  readonly workers?: number;
}

/** Rookery as often as there are numbers of workers, in its place; the others as they are. */
export function withWorkers(contestants: readonly Contestant[], counts: readonly number[]): Contestant[] {
  if (counts.length === 0) return [...contestants];
  return contestants.flatMap((each) =>
    each.server === 'rookery' ? counts.map((workers) => ({ ...each, name: `${each.name} x ${workers}`, workers })) : [each],
  );
}

export const ROOKERY_BINARY = resolve(import.meta.dirname, '../../dist/rookery');

/** Rookery comes first: the others are compared with it. Its archive is always on. */
export const CONTESTANTS: readonly Contestant[] = [
  { name: 'rookery', server: 'rookery', hasArchive: true, canResume: true },
  { name: 'ejabberd', server: 'ejabberd', hasArchive: false, canResume: true },
  { name: 'prosody', server: 'prosody', hasArchive: false, canResume: true },
  { name: 'jabberd2', server: 'jabberd2', hasArchive: false, canResume: false },
  { name: 'ejabberd+archive', server: 'ejabberd', hasArchive: true, canResume: true, options: { archiveStore: 'mnesia' } },
  // Ten times slower than Mnesia here, each message being a transaction.
  {
    name: 'ejabberd+archive-sql',
    server: 'ejabberd',
    hasArchive: true,
    canResume: true,
    options: { archiveStore: 'sqlite' },
    isExtra: true,
  },
  { name: 'prosody+archive', server: 'prosody', hasArchive: true, canResume: true },
];

/** Where the program of each is, and Debian's packages that bring it. */
const PACKAGES: Readonly<Record<Exclude<ServerName, 'rookery'>, { readonly program: string; readonly names: readonly string[] }>> = {
  ejabberd: { program: '/usr/sbin/ejabberdctl', names: ['ejabberd', 'erlang-p1-sqlite3'] },
  prosody: { program: '/usr/bin/prosody', names: ['prosody'] },
  jabberd2: { program: '/usr/sbin/jabberd2-c2s', names: ['jabberd2'] },
};

/** Installs what is missing by name; throws where that is not possible. */
export function installMissing(contestants: readonly Contestant[]): void {
  for (const server of new Set(contestants.map((each) => each.server))) {
    if (server === 'rookery') {
      if (!existsSync(ROOKERY_BINARY)) throw new Error('dist/rookery is missing: npm run build makes it');
      continue;
    }
    const { program, names } = PACKAGES[server];
    if (existsSync(program)) continue;
    console.error(`installing ${names.join(', ')}`);
    // Packages of servers start them as services, which is not wanted here.
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const { status } = spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...names], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    if (status !== 0) throw new Error(`${names[0]} could not be installed: apt-get ended with ${String(status)}`);
  }
}

/** A new one, without accounts. `settings` are for Rookery. */
export async function startContestant(contestant: Contestant, settings: Readonly<Record<string, string>>): Promise<ServerProcesses> {
  const { server, hasArchive, options, workers } = contestant;
  const own = workers === undefined ? settings : { ...settings, ROOKERY_WORKERS: String(workers) };
  const { target, directory, setup } = await prepareServer(server, 'bench', {
    hasArchive,
    offersTls: true,
    ...(server === 'rookery' ? { binary: ROOKERY_BINARY, isOpen: true, settings: own } : {}),
    ...options,
  });
  const processes = new ServerProcesses(contestant.name, target, directory, setup);
  try {
    await processes.start();
  } catch (error) {
    await processes[Symbol.asyncDispose]();
    throw error;
  }
  return processes;
}
