import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { compareConfigs, describeModuleOptions, describeOptions, printConfig } from '../../src/config/describe.ts';
import { ALL_OPTIONS, loadConfig } from '../../src/config/load.ts';
import { duration, rate } from '../../src/config/types.ts';

test('printing a configuration gives a file that loads to the same one', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-describe-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const env = {
    ROOKERY_DOMAIN: 'a.example,b.example',
    ROOKERY_C2S_PORT: '0,5322',
    ROOKERY_HTTP_PORT: 'off',
    ROOKERY_IDLE_TIMEOUT: 'off',
    ROOKERY_REGISTRATION_RATE: '3/1d',
    ROOKERY_TLS_CERTIFICATE: 'a.pem',
    ROOKERY_TLS_KEY: 'a.key',
    ROOKERY_ADMINS: 'juliet@a.example',
  };
  const loaded = loadConfig({ env, directory });
  const text = printConfig(loaded);
  assert.match(text, /^ports = \[0, 5322\] {2}# ROOKERY_C2S_PORT$/m);
  const file = join(directory, 'printed.toml');
  writeFileSync(file, text);
  assert.deepEqual(loadConfig({ env: {}, file, directory }).config, { ...loaded.config, file });
});

test('printing shapers and the rules of hosts gives a file that loads to the same ones', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-describe-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const written = join(directory, 'written.toml');
  writeFileSync(
    written,
    `[shapers.normal]
rate = "256KB/s"
[shapers.slow]
rate = "10kB/s"
stanzas = "5/s"
stanza_burst = 7
[shapers.free]
[shaper_rules]
admins = "slow"
[hosts."a.example"]
shaper_users = "slow"
shaper_admins = "none"`,
  );
  const { config } = loadConfig({ env: {}, file: written, directory });
  const file = join(directory, 'printed.toml');
  writeFileSync(file, printConfig({ config, file: written, origins: new Map() }));
  assert.deepEqual(loadConfig({ env: {}, file, directory }).config, { ...config, file });
});

test('options of modules are printed where they differ from the default, and documented', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-describe-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const modules = {
    ping: z.strictObject({ interval: duration().schema.default(60_000), rate: rate().schema.default({ count: 1, windowMs: 1_000 }) }),
    disco: z.strictObject({ name: z.string().default('x'), items: z.array(z.strictObject({ jid: z.string() })).default([]) }),
  };
  const file = join(directory, 'a.toml');
  writeFileSync(
    file,
    '[modules.ping]\ninterval = "2m"\n[hosts."a.example".modules.disco]\nname = "y"\nitems = [{ jid = "b" }]\n[hosts."b.example"]',
  );
  const loaded = loadConfig({ env: {}, file, modules });
  const text = printConfig(loaded, modules);
  assert.match(text, /\[hosts\."a\.example"\.modules\.disco\]\nname = "y"\nitems = \[\{ "jid" = "b" \}\]\n/);
  assert.match(text, /\[hosts\."b\.example"\.modules\.ping\]\ninterval = "2m"\n$/);
  const printed = join(directory, 'printed.toml');
  writeFileSync(printed, text);
  assert.deepEqual(loadConfig({ env: {}, file: printed, modules }).config.hosts, loaded.config.hosts);
  const table = describeModuleOptions(modules, new Map([['ping.interval', 'How often.']]));
  assert.match(table, /\| `modules\.ping\.interval` \| duration \| `"1m"` \| How often\. \|/);
  assert.match(table, /\| `modules\.ping\.rate` \| rate \| `"1\/1s"` \|/);
});

test('the table of options has a row for each', () => {
  const table = describeOptions();
  for (const { option } of ALL_OPTIONS) assert.ok(table.includes(`| \`${option.env}\` |`), option.env);
  assert.equal(table.split('\n').length, ALL_OPTIONS.length + 2);
});

test('a reload knows what changes now, for new connections, or after a restart', () => {
  const load = (env: Record<string, string>) => loadConfig({ env }).config;
  const before = load({ ROOKERY_DOMAIN: 'a.example' });
  assert.deepEqual(compareConfigs(before, load({ ROOKERY_DOMAIN: 'a.example' })), []);
  assert.deepEqual(
    compareConfigs(
      before,
      load({ ROOKERY_DOMAIN: 'a.example', ROOKERY_LOG_LEVEL: 'debug', ROOKERY_LOGIN_ATTEMPTS: '4', ROOKERY_WORKERS: '7' }),
    ),
    [
      { path: 'log.level', reload: 'now' },
      { path: 'c2s.maxLoginAttempts', reload: 'new connections' },
      { path: 'workers.count', reload: 'restart' },
    ],
  );
  assert.deepEqual(compareConfigs(before, { ...before, namedShapers: { slow: before.shapers.login } }), [
    { path: 'namedShapers', reload: 'new connections' },
  ]);
  assert.deepEqual(compareConfigs(before, load({ ROOKERY_DOMAIN: 'a.example', ROOKERY_REGISTRATION: 'open' })), [
    { path: 'accounts.registration', reload: 'now' },
    { path: 'hosts.a.example', reload: 'new connections' },
  ]);
});
