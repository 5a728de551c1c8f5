/** A server that stops in the middle of work loses nothing it has acknowledged. Design §1.1, §7. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { LoadClient } from '../../bench/load/client.ts';
import { OperatorError } from '../../src/kernel/errors.ts';
import { createAccounts, logIn, makeDataDir, namesAt, PASSWORD, run } from './whole-server.ts';

/** Ids of messages with a body, in the order they came. */
function idsIn(text: string): string[] {
  return [...text.matchAll(/<message [^>]*id='(m[^']+)'[^>]*><body>/g)].map(([, id]) => id!);
}

test("a stop under load: every message that its recipient's account has answered for was delivered or kept, in order", async () => {
  await using running = await run();
  const { server } = running;
  // Senders and recipients on either worker; half of the recipients are online.
  const senders = [...namesAt(0, 2), ...namesAt(1, 2)];
  const recipients = [...namesAt(0, 4).slice(2), ...namesAt(1, 4).slice(2)];
  await createAccounts(server, [...senders, ...recipients]);
  const live = new Map<string, string>();
  for (const [i, name] of recipients.entries()) {
    live.set(name, '');
    if (i % 2 === 1) continue;
    const client = await logIn(server, name, 'here');
    client.flow((text) => live.set(name, live.get(name)! + text));
  }
  /** The last message of each sender to each recipient that was answered for. */
  const answered = new Map<string, number>();
  let count = 0;
  const sending = senders.map(async (sender) => {
    const client = await logIn(server, sender, 'there');
    for (let i = 0; ; i++) {
      const stanzas = recipients.map(
        (to) =>
          `<message id='m${sender}-${to}-${i}' type='chat' to='${to}@localhost'><body>${i}</body></message><iq type='get' id='q${to}-${i}' to='${to}@localhost'><query xmlns='jabber:iq:last'/></iq>`,
      );
      const answers = await client
        .ask(stanzas.join(''), new RegExp(recipients.map((to) => `(?=.*id='q${to}-${i}')`).join(''), 's'))
        .catch(() => undefined);
      if (answers === undefined) return;
      for (const to of recipients) if (!answers.includes(`type='error' id='m${sender}-${to}-${i}'`)) answered.set(`${sender}-${to}`, i);
      count++;
    }
  });
  while (count < 40) await new Promise((resolve) => setImmediate(resolve));
  const next = await running.again();
  await Promise.all(sending);
  try {
    for (const name of recipients) {
      const client = await LoadClient.open({ host: '127.0.0.1', port: next.server.ports.c2s[0]!, domain: 'localhost' }, name);
      await client.logIn(PASSWORD, 'SCRAM-SHA-1', 'again');
      // What was kept comes with the initial presence; the server's answer behind it is the end of it.
      let kept = '';
      client.flow((text) => (kept += text));
      client.send(`<presence/>`);
      const wanted = senders.map((sender) => [sender, answered.get(`${sender}-${name}`) ?? -1] as const);
      const deadline = performance.now() + 5_000;
      const missing = (): string[] => {
        const ids = new Set([...idsIn(live.get(name)!), ...idsIn(kept)]);
        return wanted
          .flatMap(([sender, last]) => Array.from({ length: last + 1 }, (_, i) => `m${sender}-${name}-${i}`))
          .filter((id) => !ids.has(id));
      };
      while (missing().length > 0 && performance.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(missing(), [], `answered for, but gone: ${name}`);
      for (const [sender] of wanted) {
        const numbers = [...idsIn(live.get(name)!), ...idsIn(kept)]
          .filter((id) => id.startsWith(`m${sender}-`))
          .map((id) => Number(id.split('-')[2]));
        assert.deepEqual(
          numbers,
          numbers.toSorted((one, other) => one - other),
          `order of ${sender} to ${name}`,
        );
      }
      client.close();
    }
  } finally {
    await next.server.stop();
  }
});

test('clients are told system-shutdown, whatever they are just doing, and the second stop is the first', async () => {
  await using running = await run();
  const { server } = running;
  await createAccounts(server, namesAt(0, 1));
  const client = await logIn(server, namesAt(0, 1)[0]!, 'here');
  let text = '';
  client.flow((more) => (text += more));
  const stranger = connect(server.ports.c2s[0]!, '127.0.0.1');
  await once(stranger, 'connect');
  let strange = '';
  stranger.on('data', (chunk) => (strange += String(chunk)));
  // Connected is it as soon as the system says so; of a server that has not seen it yet it would be told nothing.
  const seen = async (): Promise<number> => (await server.status()).workers.reduce((sum, { connections }) => sum + connections, 0);
  while ((await seen()) < 2) await new Promise((resolve) => setImmediate(resolve));
  const stopped = [server.stop(), server.stop()];
  assert.equal(stopped[0], stopped[1]);
  await Promise.all([...stopped, once(stranger, 'close')]);
  for (const said of [text, strange]) assert.match(said, /<system-shutdown [^>]*>.*<\/stream:stream>$/);
});

test('a port that is taken: a sentence for the operator, and nothing is left running', async () => {
  await using first = await run();
  const [port] = first.server.ports.c2s;
  const dataDir = await makeDataDir();
  await assert.rejects(run({ c2s: { ports: [port!], tlsPorts: [], isTlsRequired: false }, s2s: { ports: [] } }, dataDir), (error) => {
    assert.ok(error instanceof OperatorError);
    assert.equal(error.code, 'ERR_LISTEN');
    assert.match(error.message, /ROOKERY_C2S_PORT/);
    return true;
  });
  // The same directory can be used at once: store, control socket and threads are gone.
  await using second = await run({}, dataDir);
  await createAccounts(second.server, ['juliet']);
});
