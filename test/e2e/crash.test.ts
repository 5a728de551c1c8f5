/** What survives when the process is killed at any moment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoadClient } from '../../bench/load/client.ts';
import { ServerProcess } from './server-process.ts';

const PASSWORD = 'a password';
const SETTINGS = { ROOKERY_DOMAIN: 'localhost', ROOKERY_TLS_REQUIRED: 'false', ROOKERY_WORKERS: '2', ROOKERY_CONNECT_RATE: '1000' };

async function logIn(server: ServerProcess, local: string, resource = 'one'): Promise<LoadClient> {
  const client = await LoadClient.open({ host: '127.0.0.1', port: server.port, domain: 'localhost' }, local);
  await client.logIn(PASSWORD, 'SCRAM-SHA-256', resource);
  return client;
}

/** Sends roster sets and counts the answered ones until the connection ends. */
function fillRoster(client: LoadClient, from: number, count: number): { readonly answered: Set<number> } {
  const answered = new Set<number>();
  let rest = '';
  client.flow((text) => {
    rest += text;
    for (const [, id] of rest.matchAll(/<iq [^>]*type='result' id='r(\d+)'/g)) answered.add(Number(id));
    rest = rest.slice(-200);
  });
  for (let i = from; i < from + count; i++) {
    client.send(`<iq type='set' id='r${i}'><query xmlns='jabber:iq:roster'><item jid='contact${i}@example.org'/></query></iq>`);
  }
  return { answered };
}

test('kill -9: every roster change that was answered is there after the restart, several times over', async () => {
  await using server = await ServerProcess.start(SETTINGS);
  await server.addUser('juliet@localhost', PASSWORD);
  const kept = new Set<number>();
  for (let round = 0; round < 5; round++) {
    const client = await logIn(server, 'juliet');
    const { answered } = fillRoster(client, round * 200, 200);
    // Killed in the middle of the answers: after so many of them, not after some time.
    while (answered.size < 20 + round * 30) await new Promise((resolve) => setImmediate(resolve));
    await server.kill();
    for (const id of answered) kept.add(id);
    client.close();
    await server.launch();
    const again = await logIn(server, 'juliet', 'two');
    const roster = await again.ask(`<iq type='get' id='all'><query xmlns='jabber:iq:roster'/></iq>`, /id='all'.*<\/iq>|id='all'[^>]*\/>/s);
    const found = new Set([...roster.matchAll(/jid='contact(\d+)@example\.org'/g)].map(([, id]) => Number(id)));
    assert.deepEqual(
      [...kept].filter((id) => !found.has(id)),
      [],
      'answered, but gone',
    );
    again.close();
  }
});

test('kill -9: messages kept for somebody offline are delivered in order after the restart', async () => {
  await using server = await ServerProcess.start(SETTINGS);
  for (const name of ['romeo', 'juliet']) await server.addUser(`${name}@localhost`, PASSWORD);
  const romeo = await logIn(server, 'romeo');
  for (let i = 0; i < 50; i++) romeo.send(`<message to='juliet@localhost' type='chat' id='m${i}'><body>${i}</body></message>`);
  // Last activity is answered by juliet's account behind the messages, and only once they are durable.
  await romeo.ask(`<iq type='get' id='after' to='juliet@localhost'><query xmlns='jabber:iq:last'/></iq>`, /id='after'/);
  await server.kill();
  await server.launch();
  const juliet = await logIn(server, 'juliet');
  const received = await juliet.ask('<presence/>', /<body>49<\/body>/);
  assert.deepEqual(
    [...received.matchAll(/<body>(\d+)<\/body>/g)].map(([, n]) => Number(n)),
    Array.from({ length: 50 }, (_, i) => i),
  );
  juliet.close();
  romeo.close();
});
