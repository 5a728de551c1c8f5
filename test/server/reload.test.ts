/** What a reload changes, and what it leaves alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { reloadedConfig } from '../../src/server/reload.ts';
import { createAccounts, logIn, namesAt, run } from './whole-server.ts';

test('a reload makes values effective that need no restart, on every worker, and says which do', async () => {
  await using running = await run();
  const { server } = running;
  const names = [namesAt(0, 1)[0]!, namesAt(1, 1)[0]!];
  await createAccounts(server, names);
  const first = await Promise.all(names.map((name) => logIn(server, name, 'one')));
  running.values = { ...running.values, limits: { ...running.values.limits, sessionsPerAccount: 1, mailboxMessages: 99 } };
  const { changes } = await server.reload();
  assert.deepEqual(changes, [
    { path: 'limits.sessionsPerAccount', reload: 'now' },
    { path: 'limits.mailboxMessages', reload: 'restart' },
  ]);
  for (const name of names) await assert.rejects(logIn(server, name, 'two'), /resource-constraint/);
  assert.equal(server.config.limits.sessionsPerAccount, 1);
  assert.notEqual(server.config.limits.mailboxMessages, 99);
  // What still waits for a restart is named again.
  assert.deepEqual((await server.reload()).changes, [{ path: 'limits.mailboxMessages', reload: 'restart' }]);
  for (const client of first) client.close();
});

test('a configuration that cannot be used changes nothing', async () => {
  await using running = await run();
  const { server } = running;
  await createAccounts(server, ['juliet']);
  running.values = { ...running.values, limits: { ...running.values.limits, sessionsPerAccount: 1 }, tls: { certificate: '/nowhere.crt' } };
  await assert.rejects(server.reload(), /ROOKERY_TLS_KEY/);
  const clients = [await logIn(server, 'juliet', 'one'), await logIn(server, 'juliet', 'two')];
  for (const client of clients) client.close();
});

test('a component with the domain of a service is refused, at the start and by a reload', async () => {
  const wrong =
    /ERR_CONFIG_CONFLICT: components\."pubsub\.localhost": 'pubsub\.localhost' is the domain of the module pubsub on localhost; give/;
  await assert.rejects(run({ components: { 'pubsub.localhost': { secret: 's' } } }), wrong);
  await using running = await run();
  running.values = { ...running.values, components: { 'gateway.localhost': { secret: 's', domains: ['pubsub.localhost'] } } };
  await assert.rejects(running.server.reload(), /components\."gateway\.localhost": 'pubsub\.localhost' is the domain of the module pubsub/);
});

test('hosts neither come nor go with a reload, and modules stay as they are', () => {
  const load = (values: Parameters<typeof loadConfig>[0]['values']) =>
    loadConfig({ env: {}, modules: moduleSchemas(), values: values! }).config;
  const running = load({ domains: ['capulet.lit', 'montague.lit'] });
  const wanted = load({ domains: ['capulet.lit', 'verona.lit'], accounts: { registration: 'open' } });
  const next = reloadedConfig(running, wanted);
  assert.deepEqual(
    next.hosts.map(({ domain, registration }) => [domain, registration]),
    [
      ['capulet.lit', 'open'],
      ['montague.lit', 'off'],
    ],
  );
  assert.deepEqual(next.hosts[0]!.modules, running.hosts[0]!.modules);
  assert.deepEqual(next.domains, running.domains);
  assert.equal(running.accounts.registration, 'off', 'the old one is untouched');
});
