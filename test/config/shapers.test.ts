import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigError } from '../../src/config/error.ts';
import { loadConfig } from '../../src/config/load.ts';
import { shaperFor } from '../../src/config/shapers.ts';

const directory = mkdtempSync(join(tmpdir(), 'rookery-shapers-'));
after(() => rmSync(directory, { recursive: true }));

function load(env: Record<string, string>, toml = '') {
  const file = join(directory, 'a.toml');
  writeFileSync(file, toml);
  return loadConfig({ env, file, directory }).config;
}

/** Code, key and suggestion of each problem of a configuration that must not load. */
function problems(env: Record<string, string>, toml = ''): readonly unknown[] {
  try {
    load(env, toml);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(({ code, key, suggestion }) => [code, key, suggestion]);
  }
  assert.fail('it loaded');
}

test('by default strangers are braked, users at a rate no client comes near, admins not at all', () => {
  const config = load({});
  assert.deepEqual(shaperFor(config, 'beforeLogin'), {
    bytesPerSecond: 20_000,
    burstBytes: 100_000,
    stanzasPerSecond: 20,
    burstStanzas: 100,
  });
  assert.deepEqual(shaperFor(config, 'users', 'localhost'), {
    bytesPerSecond: 1_000_000,
    burstBytes: 5_000_000,
    stanzasPerSecond: 2_000,
    burstStanzas: 10_000,
  });
  assert.equal(shaperFor(config, 'admins', 'localhost'), undefined);
});

test('the built-in shapers are options like any other: variables, keys of the file', () => {
  const config = load(
    { ROOKERY_C2S_RATE: '64KiB/s', ROOKERY_LOGIN_STANZA_RATE: 'off' },
    '[shapers.normal]\nrate = "1KB/s"\nburst = "2MB"\nstanzas = "500/s"\nstanza_burst = 2000\n[shapers.login]\nrate = 0',
  );
  assert.deepEqual(shaperFor(config, 'users', 'localhost'), {
    bytesPerSecond: 65_536,
    burstBytes: 2_000_000,
    stanzasPerSecond: 500,
    burstStanzas: 2_000,
  });
  assert.deepEqual([shaperFor(config, 'beforeLogin')!.bytesPerSecond, shaperFor(config, 'beforeLogin')!.stanzasPerSecond], [0, 0]);
});

test('a burst that is not set is five seconds at the rate, of any shaper', () => {
  const config = load(
    { ROOKERY_C2S_RATE: '10kB/s', ROOKERY_C2S_STANZA_RATE: '7/s', ROOKERY_C2S_STANZA_BURST: '9' },
    '[shapers.slow]\nrate = "2kB/s"\nstanzas = "3/s"\n[shaper_rules]\nadmins = "slow"',
  );
  assert.deepEqual(config.shapers.normal, { bytesPerSecond: 10_000, burstBytes: 50_000, stanzasPerSecond: 7, burstStanzas: 9 });
  assert.deepEqual(shaperFor(config, 'admins', 'localhost'), {
    bytesPerSecond: 2_000,
    burstBytes: 10_000,
    stanzasPerSecond: 3,
    burstStanzas: 15,
  });
});

test('rules name a shaper for each role; a host’s own come first', () => {
  const config = load(
    { ROOKERY_SHAPER_ADMINS: 'normal' },
    `[shapers.slow]
rate = "2kB/s"
[shaper_rules]
before_login = "none"
users = "slow"
[hosts."a.example"]
[hosts."b.example"]
shaper_users = "none"
shaper_admins = "slow"`,
  );
  const slow = { bytesPerSecond: 2_000, burstBytes: 10_000, stanzasPerSecond: 0, burstStanzas: 0 };
  assert.equal(shaperFor(config, 'beforeLogin'), undefined);
  assert.deepEqual(shaperFor(config, 'users', 'a.example'), slow);
  assert.deepEqual(shaperFor(config, 'admins', 'a.example'), config.shapers.normal);
  assert.equal(shaperFor(config, 'users', 'b.example'), undefined);
  assert.deepEqual(shaperFor(config, 'admins', 'b.example'), slow);
});

test('what is wrong with shapers and rules is named, with what was meant', () => {
  assert.deepEqual(problems({ ROOKERY_SHAPER_USERS: 'norml' }), [['ERR_CONFIG_UNKNOWN', 'ROOKERY_SHAPER_USERS', 'normal']]);
  assert.deepEqual(problems({}, '[shapers.slow]\n[hosts."a.example"]\nshaper_users = "slwo"'), [
    ['ERR_CONFIG_UNKNOWN', 'hosts."a.example".shaper_users', 'slow'],
  ]);
  assert.deepEqual(problems({}, '[shapers.slow]\nstanza = "5/s"'), [['ERR_CONFIG_UNKNOWN', 'shapers.slow.stanza', 'stanzas']]);
  assert.deepEqual(problems({}, '[shapers.normal]\nbrust = "1MB"'), [
    ['ERR_CONFIG_UNKNOWN', 'shapers.normal.brust', 'shapers.normal.burst'],
  ]);
  assert.deepEqual(problems({}, '[shapers.slow]\nrate = "5"'), [['ERR_CONFIG_VALUE', 'shapers.slow.rate', undefined]]);
  assert.deepEqual(problems({}, '[shapers]\nslow = 5'), [['ERR_CONFIG_VALUE', 'shapers.slow', undefined]]);
  assert.deepEqual(problems({}, '[shapers.none]\nrate = "5kB/s"'), [['ERR_CONFIG_VALUE', 'shapers.none', undefined]]);
  assert.deepEqual(problems({}, '[shapers."Slow one"]'), [['ERR_CONFIG_VALUE', 'shapers.Slow one', undefined]]);
  assert.deepEqual(problems({}, '[shaper]\nrate = 5'), [['ERR_CONFIG_UNKNOWN', '[shaper]', 'shapers']]);
});

test('looser limits of output that are not set follow the tighter ones', () => {
  const { limits } = load({ ROOKERY_OUTBOUND_LIMIT: '600MiB' });
  const size = 600 * 1024 * 1024;
  assert.deepEqual([limits.outboundHardBytes, limits.outboundTotalBytes], [size, size]);
});
