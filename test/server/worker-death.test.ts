/** Worker threads that end: what happens to connections and accounts, here and on the other worker. Design §3. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LoadClient } from '../../bench/load/client.ts';
import type { Server } from '../../src/server/server.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { createAccounts, logIn, namesAt, run } from './whole-server.ts';

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
  await createAccounts(server, [lost, kept]);

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
  const status = await server.operations.ask(parseJid(`${kept}@localhost`)!.bare, { kind: 'get_status' });
  assert.ok(!status.sessions.some(({ jid }) => jid === gone.jid));
  assert.equal((await server.status()).workers[0]!.restarts, 1);
  for (const client of [orphan, friend, gone]) client.close();
});

test('while a worker is down, logins to its accounts may be tried again, and nobody is told that the account does not exist', async () => {
  await using running = await run();
  const { server } = running;
  const [lost, kept] = [namesAt(0, 1)[0]!, namesAt(1, 1)[0]!];
  await createAccounts(server, [lost, kept]);
  // Dies as often as it comes back, for a while.
  let deaths = 0;
  const dying = (async (): Promise<void> => {
    while (deaths < 3) {
      await server.workers[0]!.kill();
      deaths++;
      await running.next('worker_up', ({ worker }) => worker === 0);
    }
  })();
  const seen = new Set<string>();
  while (deaths < 3) {
    const client = await logIn(server, lost, 'one').catch((error: Error) => error);
    if (client instanceof Error)
      seen.add(/<(not-authorized|temporary-auth-failure|conflict|not-allowed)/.exec(client.message)?.[1] ?? 'connection lost');
    else client.close();
  }
  await dying;
  for (const wrong of ['not-authorized', 'not-allowed']) assert.ok(!seen.has(wrong), [...seen].join());
  for (const name of [lost, kept]) (await logInPersistently(server, name)).close();
});

/** As clients do: a connection that a dying worker had in its backlog is reset, the next one is not. */
async function logInPersistently(server: Server, local: string): Promise<LoadClient> {
  let last: unknown;
  for (let tries = 0; tries < 50; tries++) {
    try {
      return await logIn(server, local, 'again');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
      last = error;
    }
  }
  throw last;
}
