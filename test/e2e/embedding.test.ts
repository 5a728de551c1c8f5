/** The server as a library, as the README shows it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { client, xml } from '@xmpp/client';
import { startServer } from '../../src/server.ts';

interface Received {
  is(name: string): boolean;
  getChildText(name: string): string | null;
}

test('juliet hears herself', async () => {
  await using server = await startServer({ c2s: { isTlsRequired: false } });
  await server.createAccount('juliet@localhost', 'secret');
  const juliet = client({
    service: `xmpp://127.0.0.1:${server.port}`,
    domain: 'localhost',
    resource: 'test',
    username: 'juliet',
    password: 'secret',
  });
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'; // the client takes STARTTLS where it is offered
  await juliet.start();
  const heard = new Promise<Received>((resolve) =>
    juliet.on('stanza', (stanza) => (stanza as Received).is('message') && resolve(stanza as Received)),
  );
  await juliet.send(xml('presence'));
  await juliet.send(xml('message', { to: 'juliet@localhost', type: 'chat' }, xml('body', {}, 'O Romeo')));
  assert.equal((await heard).getChildText('body'), 'O Romeo');
  await juliet.stop();
});

test('the example of the README is this one', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  for (const line of [
    'await using server = await startServer({ c2s: { isTlsRequired: false } });',
    "await server.createAccount('juliet@localhost', 'secret');",
  ]) {
    assert.ok(readme.includes(line), line);
  }
});

test('what cannot be used is refused with a sentence', async () => {
  await assert.rejects(startServer({ domains: [] }), /domain/i);
  await using server = await startServer();
  await assert.rejects(server.createAccount('not an address', 'secret'), /is not the address of an account/);
  await assert.rejects(server.createAccount('juliet@localhost', ''), /password/);
  await server.createAccount('juliet@localhost', 'secret');
  await assert.rejects(server.createAccount('juliet@localhost', 'secret'), /exists already/);
  assert.equal(await server.removeAccount('juliet@localhost'), true);
  assert.equal(await server.removeAccount('juliet@localhost'), false);
  assert.match(server.certificate, /BEGIN CERTIFICATE/);
});
