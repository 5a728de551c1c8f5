/** Worker threads that end: what happens to connections and accounts, here and on the other worker. Design §3. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LoadClient } from '../../bench/load/client.ts';
import { loadConfig } from '../../src/config/load.ts';
import { homeWorker } from '../../src/kernel/registry.ts';
import { makeLogger } from '../../src/observe/log.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { startWholeServer } from '../../src/server/start-server.ts';
import type { Server } from '../../src/server/server.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';

const WORKERS = 2;
const PASSWORD = 'a password';

interface Running extends AsyncDisposable {
  readonly server: Server;
  /** Resolves with the next log event of that name from now on. */
  next(what: string, accept?: (event: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
}

async function run(): Promise<Running> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rookery-threads-'));
  const watchers = new Set<(event: Record<string, unknown>) => void>();
  const write = (lines: readonly string[]): void => {
    for (const line of lines) for (const watcher of watchers) watcher(JSON.parse(line) as Record<string, unknown>);
  };
  const load = () =>
    loadConfig({
      env: {},
      modules: moduleSchemas(),
      values: {
        dataDir,
        listen: ['127.0.0.1'],
        domains: ['localhost'],
        c2s: { ports: [0], tlsPorts: [], isTlsRequired: false },
        accounts: { scramIterations: 4_096 },
        workers: { count: WORKERS },
        limits: { connectsPerSecond: 10_000, connectBurst: 10_000 },
      },
    });
  const loaded = load();
  const { server } = await startWholeServer({
    loaded,
    load,
    logger: makeLogger({ level: 'info', write, flushMs: 0 }),
    writeLog: write,
    onGivenUp: (reason) => assert.fail(reason),
    onStopped: () => undefined,
  });
  return {
    server,
    next: (what, accept = () => true) =>
      new Promise((resolve) => {
        const watcher = (event: Record<string, unknown>): void => {
          if (event['what'] !== what || !accept(event)) return;
          watchers.delete(watcher);
          resolve(event);
        };
        watchers.add(watcher);
      }),
    async [Symbol.asyncDispose]() {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Names of accounts that live on `worker`. */
function namesAt(worker: number, count: number): string[] {
  const names: string[] = [];
  for (let i = 0; names.length < count; i++) if (homeWorker(`user${i}@localhost`, WORKERS) === worker) names.push(`user${i}`);
  return names;
}

async function logIn(server: Server, local: string, resource: string): Promise<LoadClient> {
  const client = await LoadClient.open({ host: '127.0.0.1', port: server.ports.c2s[0]!, domain: 'localhost' }, local);
  await client.logIn(PASSWORD, 'SCRAM-SHA-1', resource);
  await client.ask('<presence/>', /<presence/);
  return client;
}

/** Which worker's c2s actors include that session. */
async function workerOf(server: Server, jid: string): Promise<number> {
  for (const { control, index } of server.workers) {
    const actors = await control.actors('c2s', 1_000);
    if (actors.some(({ what }) => what === jid)) return index;
  }
  return -1;
}

/** Sessions of `local` until one is connected to `worker`: the kernel of the system spreads connections as it likes. */
async function logInAt(server: Server, local: string, worker: number): Promise<LoadClient> {
  for (let i = 0; i < 200; i++) {
    const client = await logIn(server, local, `to-worker-${worker}-${i}`);
    if ((await workerOf(server, client.jid)) === worker) return client;
    client.close();
  }
  return assert.fail(`no connection reached worker ${worker}`);
}

test('a killed worker comes back, its accounts are reachable, sessions elsewhere go on', async () => {
  await using running = await run();
  const { server } = running;
  const [lost, kept] = [namesAt(0, 1)[0]!, namesAt(1, 1)[0]!];
  for (const name of [lost, kept]) await server.createAccount(parseJid(`${name}@localhost`)!, opaqueString(PASSWORD)!);

  // Both connected to worker 1; the first one's account lives on worker 0.
  const orphan = await logInAt(server, lost, 1);
  const friend = await logInAt(server, kept, 1);
  const gone = await logInAt(server, kept, 0);

  const isBack = running.next('worker_up', ({ worker }) => worker === 0);
  await server.workers[0]!.kill();
  await isBack;

  // Its socket never closed; its session was brought to the new actor, which routes to it again.
  const heard = orphan.ask('', /<body>still there\?<\/body>/);
  heard.catch(() => undefined); // awaited below, unless something fails before
  const say = async (): Promise<void> => {
    await friend.ask(`<iq type='get' id='ready' to='${lost}@localhost'><query xmlns='jabber:iq:last'/></iq>`, /id='ready'/);
    friend.send(`<message to='${lost}@localhost' type='chat'><body>still there?</body></message>`);
  };
  await say();
  await heard;
  await orphan.ask(`<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>`, /id='roster'/);

  // A connection of the dead worker is over; the account that lived elsewhere knows.
  await assert.rejects(gone.ask(`<iq type='get' id='x'><query xmlns='jabber:iq:roster'/></iq>`, /id='x'/));
  const status = (await server.ask(`${kept}@localhost`, { kind: 'get_status' })) as { sessions: { jid: string }[] };
  assert.ok(!status.sessions.some(({ jid }) => jid === gone.jid));
  assert.equal((await server.status()).workers[0]!.restarts, 1);
  for (const client of [orphan, friend, gone]) client.close();
});
