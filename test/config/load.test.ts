import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { z } from 'zod';
import { ConfigError } from '../../src/config/error.ts';
import type { ConfigProblem } from '../../src/config/error.ts';
import { ALL_OPTIONS, loadConfig } from '../../src/config/load.ts';
import type { LoadInput } from '../../src/config/load.ts';
import { printDefaults } from '../../src/config/describe.ts';
import { duration } from '../../src/config/types.ts';

const directory = mkdtempSync(join(tmpdir(), 'rookery-config-'));
after(() => rmSync(directory, { recursive: true }));

let files = 0;
function file(text: string): string {
  const path = join(directory, `${files++}.toml`);
  writeFileSync(path, text);
  return path;
}

const MODULES = {
  ping: z.object({ interval: duration({ min: 1_000 }).schema.default(60_000) }),
  roster: z.strictObject({}),
};

function load(env: LoadInput['env'], toml?: string) {
  return loadConfig({ env, ...(toml === undefined ? {} : { file: file(toml) }), modules: MODULES, directory });
}

/** The problems of a configuration that must not load. */
function problems(env: LoadInput['env'], toml?: string): readonly ConfigProblem[] {
  try {
    load(env, toml);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  assert.fail('it loaded');
}

test('without anything set, every option has its default and there is one host', () => {
  const { config, origins, file } = load({});
  assert.equal(file, undefined);
  assert.deepEqual(config.c2s.ports, [5222]);
  assert.equal(config.c2s.isTlsRequired, true);
  assert.equal(config.accounts.registration, 'off');
  assert.equal(config.dataDir, join(directory, 'data'));
  assert.deepEqual(
    config.hosts.map(({ domain }) => domain),
    ['localhost'],
  );
  assert.deepEqual(new Set([...origins.values()].map(({ from }) => from)), new Set(['default']));
});

test('the result is deeply frozen plain data that crosses threads', () => {
  const { config } = load({}, '[hosts."a.example".modules]\ndisable = ["ping"]');
  assert.deepEqual(structuredClone(config), config);
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    assert.ok(Object.isFrozen(value));
    Object.values(value).forEach(visit);
  };
  visit(config);
});

test('the program wins over the environment, that over the file, that over the default', () => {
  const toml = '[c2s]\nlogin_attempts = 7\nidle_timeout = "7m"\nnegotiation_timeout = "7s"';
  const { config, origins } = loadConfig({
    env: { ROOKERY_LOGIN_ATTEMPTS: '8', ROOKERY_IDLE_TIMEOUT: '8m' },
    file: file(toml),
    values: { c2s: { maxLoginAttempts: 9 } },
  });
  assert.deepEqual([config.c2s.maxLoginAttempts, config.c2s.idleMs, config.c2s.negotiationMs], [9, 480_000, 7_000]);
  assert.deepEqual(origins.get('c2s.maxLoginAttempts'), { from: 'program' });
  assert.deepEqual(origins.get('c2s.idleMs'), { from: 'environment', name: 'ROOKERY_IDLE_TIMEOUT' });
  assert.deepEqual(origins.get('c2s.negotiationMs'), { from: 'file', name: 'c2s.negotiation_timeout' });
});

test('ROOKERY_CONFIG names the file', () => {
  const path = file('[log]\nlevel = "warn"');
  const loaded = loadConfig({ env: { ROOKERY_CONFIG: path } });
  assert.equal(loaded.config.log.level, 'warn');
  assert.equal(loaded.config.file, path);
});

test('an empty variable counts as not set', () => {
  assert.deepEqual(load({ ROOKERY_C2S_PORT: '', ROOKERY_CONFIG: '' }).config.c2s.ports, [5222]);
});

test('relative paths of the file are relative to the file, those of the environment to the current directory', () => {
  const { config } = loadConfig({
    env: { ROOKERY_TLS_KEY: 'key.pem' },
    file: file('data_dir = "d"\n[tls]\ncertificate = "cert.pem"'),
    directory: '/elsewhere',
  });
  assert.equal(config.dataDir, join(directory, 'd'));
  assert.equal(config.tls.certificate, join(directory, 'cert.pem'));
  assert.equal(config.tls.key, '/elsewhere/key.pem');
});

test('an unknown variable stops the start and suggests the nearest name', () => {
  assert.deepEqual(problems({ ROOKERY_C2S_PROT: '1' }), [
    { code: 'ERR_CONFIG_UNKNOWN', key: 'ROOKERY_C2S_PROT', reason: 'there is no such variable', suggestion: 'ROOKERY_C2S_PORT' },
  ]);
  assert.equal(problems({ ROOKERY_SOMETHING_QUITE_DIFFERENT: '1' })[0]!.suggestion, undefined);
  assert.ok(load({ PATH: '/bin', HOME: '/' }));
});

test('an unknown key of the file stops the start and suggests the nearest name', () => {
  const suggestion = (toml: string) => problems({}, toml).map(({ key, suggestion }) => [key, suggestion]);
  assert.deepEqual(suggestion('[c2s]\nprots = 1'), [['c2s.prots', 'c2s.ports']]);
  assert.deepEqual(suggestion('idle_timeout = "5m"'), [['idle_timeout', 'c2s.idle_timeout']]);
  assert.deepEqual(suggestion('[limit]\nsessions = 1'), [['[limit]', 'limits']]);
  assert.deepEqual(suggestion('[host."a.example"]'), [['[host]', 'hosts']]);
  assert.deepEqual(suggestion('[hosts."a.example"]\nregistraton = "open"'), [['hosts."a.example".registraton', 'registration']]);
  assert.deepEqual(suggestion('[modules.pnig]\ninterval = "1m"'), [['modules.pnig', 'ping']]);
  assert.deepEqual(suggestion('[modules.ping]\nintervall = "1m"'), [['modules.ping.intervall', 'interval']]);
  assert.deepEqual(suggestion('[hosts."a.example".modules]\ndisable = ["rooster"]'), [['hosts."a.example".modules.disable', 'roster']]);
});

test('a wrong value is named with key, value and reason, and all of them at once', () => {
  const found = problems(
    { ROOKERY_C2S_PORT: '99999', ROOKERY_TLS_REQUIRED: 'maybe' },
    '[c2s]\nidle_timeout = 5\n[workers]\ncount = "many"',
  );
  assert.deepEqual(
    found.map(({ code, key, value }) => [code, key, value]),
    [
      ['ERR_CONFIG_VALUE', 'ROOKERY_C2S_PORT', "'99999'"],
      ['ERR_CONFIG_VALUE', 'ROOKERY_TLS_REQUIRED', "'maybe'"],
      ['ERR_CONFIG_VALUE', 'c2s.idle_timeout', '5'],
      ['ERR_CONFIG_VALUE', 'workers.count', "'many'"],
    ],
  );
});

test('the error says everything in its message, one line each', () => {
  assert.throws(
    () => load({ ROOKERY_WORKERS: '0', ROOKERY_WORKER: '1' }),
    new ConfigError([
      { code: 'ERR_CONFIG_UNKNOWN', key: 'ROOKERY_WORKER', reason: 'there is no such variable', suggestion: 'ROOKERY_WORKERS' },
      { code: 'ERR_CONFIG_VALUE', key: 'ROOKERY_WORKERS', value: "'0'", reason: 'must be at least 1' },
    ]),
  );
  assert.equal(
    new ConfigError([{ code: 'ERR_CONFIG_VALUE', key: 'ROOKERY_WORKERS', value: "'0'", reason: 'must be at least 1', suggestion: '2' }])
      .message,
    "ERR_CONFIG_VALUE: ROOKERY_WORKERS = '0': must be at least 1; did you mean 2?",
  );
});

test('a file that cannot be read or is not TOML is named with the reason', () => {
  assert.deepEqual(
    problems({ ROOKERY_CONFIG: '/does/not/exist' }).map(({ code, key }) => [code, key]),
    [['ERR_CONFIG_FILE', '/does/not/exist']],
  );
  const path = file('[c2s]\nports = = 1');
  try {
    loadConfig({ env: {}, file: path });
    assert.fail('it loaded');
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    assert.equal(error.code, 'ERR_CONFIG_SYNTAX');
    assert.equal(error.problems[0]!.key, `${path}:2:9`);
    assert.ok(!error.message.includes('\n'));
  }
});

test('keys that would reach into prototypes are refused', () => {
  assert.equal(problems({}, '[__proto__]\nx = 1')[0]!.code, 'ERR_CONFIG_SYNTAX');
});

test('what is right alone but not together is a conflict', () => {
  const conflicts = (env: Record<string, string>, toml?: string) => problems(env, toml).map(({ code, key }) => [code, key]);
  const conflict = (key: string) => [['ERR_CONFIG_CONFLICT', key]];
  assert.deepEqual(conflicts({ ROOKERY_HTTP_PORT: '5222' }), conflict('ROOKERY_HTTP_PORT'));
  assert.deepEqual(conflicts({ ROOKERY_TLS_CERTIFICATE: 'a.pem' }), conflict('tls'));
  assert.deepEqual(conflicts({ ROOKERY_ANONYMOUS_HOSTS: 'other.example' }), conflict('ROOKERY_ANONYMOUS_HOSTS'));
  assert.deepEqual(conflicts({ ROOKERY_LOGIN_STANZA_DEPTH: '100' }), conflict('ROOKERY_LOGIN_STANZA_DEPTH'));
  assert.deepEqual(conflicts({ ROOKERY_OUTBOUND_LIMIT: '100kB' }), conflict('ROOKERY_OUTBOUND_LIMIT'));
  assert.deepEqual(conflicts({ ROOKERY_STANZA_SIZE: '16MiB', ROOKERY_OUTBOUND_LIMIT: '16MiB' }), conflict('ROOKERY_MAILBOX_SIZE'));
  assert.deepEqual(
    conflicts({ ROOKERY_OUTBOUND_LIMIT: '2MiB', ROOKERY_OUTBOUND_HARD_LIMIT: '1MiB' }),
    conflict('ROOKERY_OUTBOUND_HARD_LIMIT'),
  );
  assert.deepEqual(conflicts({ ROOKERY_OUTBOUND_TOTAL: '7MiB' }), conflict('ROOKERY_OUTBOUND_TOTAL'));
  assert.deepEqual(conflicts({ ROOKERY_DOMAIN: 'a.example' }, '[hosts."b.example"]'), conflict('hosts."b.example"'));
  assert.deepEqual(conflicts({}, '[hosts."a.example"]\n[hosts."A.example"]'), conflict('hosts."A.example"'));
  assert.deepEqual(conflicts({}, '[hosts."a.example"]\nkey = "k.pem"'), conflict('hosts."a.example"'));
});

test('port 0 may be used any number of times', () => {
  assert.deepEqual(load({ ROOKERY_C2S_PORT: '0', ROOKERY_C2S_TLS_PORT: '0' }).config.c2s, {
    ...load({}).config.c2s,
    ports: [0],
    tlsPorts: [0],
  });
});

test('limits before login that are not set follow tighter ones after it', () => {
  const { config } = load({ ROOKERY_STANZA_DEPTH: '5' });
  assert.equal(config.stanza.beforeLogin.maxDepth, 5);
});

test('virtual hosts: the sections of the file, unless the list is given', () => {
  const toml = '[hosts."B.example"]\n[hosts."a.example"]\nregistration = "open"';
  const domains = (env: Record<string, string>) => load(env, toml).config.hosts.map(({ domain, registration }) => [domain, registration]);
  assert.deepEqual(domains({}), [
    ['b.example', 'off'],
    ['a.example', 'open'],
  ]);
  assert.deepEqual(domains({ ROOKERY_DOMAIN: 'c.example,a.example,b.example' }), [
    ['c.example', 'off'],
    ['a.example', 'open'],
    ['b.example', 'off'],
  ]);
});

test('virtual hosts: a section changes what holds for all', () => {
  const { config } = load(
    { ROOKERY_ANONYMOUS_HOSTS: 'a.example,b.example', ROOKERY_REGISTRATION: 'open', ROOKERY_DOMAIN: 'a.example,b.example' },
    '[tls]\ncertificate = "all.pem"\nkey = "all.key"\n[hosts."b.example"]\nanonymous = false\nregistration = "off"\ncertificate = "b.pem"\nkey = "b.key"',
  );
  assert.deepEqual(
    config.hosts.map(({ isAnonymous, registration, certificate, key }) => ({ isAnonymous, registration, certificate, key })),
    [
      { isAnonymous: true, registration: 'open', certificate: join(directory, 'all.pem'), key: join(directory, 'all.key') },
      { isAnonymous: false, registration: 'off', certificate: join(directory, 'b.pem'), key: join(directory, 'b.key') },
    ],
  );
});

test('modules: on by default, their own schema, the host’s section over the shared one', () => {
  const { config } = load(
    { ROOKERY_DOMAIN: 'a.example,b.example' },
    '[modules]\ndisable = ["roster"]\n[modules.ping]\ninterval = "2m"\n[hosts."b.example".modules]\nenable = ["roster"]\nping.interval = "3m"',
  );
  assert.deepEqual(
    config.hosts.map(({ modules }) => modules),
    [
      { ping: { isEnabled: true, values: { interval: 120_000 } }, roster: { isEnabled: false, values: {} } },
      { ping: { isEnabled: true, values: { interval: 180_000 } }, roster: { isEnabled: true, values: {} } },
    ],
  );
});

test('modules: a wrong value is named once, where it stands', () => {
  assert.deepEqual(problems({ ROOKERY_DOMAIN: 'a.example,b.example' }, '[modules.ping]\ninterval = "5"'), [
    {
      code: 'ERR_CONFIG_VALUE',
      key: 'modules.ping.interval',
      value: "'5'",
      reason: "expected a duration with a unit (ms, s, m, h, d, w), such as '5m'",
    },
  ]);
  assert.equal(problems({}, '[hosts."localhost".modules.ping]\ninterval = 5')[0]!.key, 'hosts."localhost".modules.ping.interval');
});

test('without module schemas their sections are not looked at', () => {
  const { config } = loadConfig({ env: {}, file: file('[modules.anything]\nx = 1') });
  assert.deepEqual(config.hosts[0]!.modules, {});
});

test('each option has its own variable, key and place, and a default its own type accepts', () => {
  const unique = (values: readonly (string | undefined)[]) => assert.equal(new Set(values).size, values.length);
  unique(ALL_OPTIONS.map(({ path }) => path));
  unique(ALL_OPTIONS.map(({ option }) => option.env));
  unique(ALL_OPTIONS.flatMap(({ option }) => option.key ?? []));
  for (const { option } of ALL_OPTIONS) {
    assert.match(option.env, /^ROOKERY_[A-Z0-9_]+$/);
    assert.match(option.doc, /^[A-Z].*[.]$/);
    const written = option.type.write(option.default);
    if (written !== undefined) assert.deepEqual(option.type.schema.parse(written), option.default, option.env);
  }
});

test('the file of defaults loads as it is, and with every line switched on', () => {
  const text = printDefaults();
  assert.deepEqual(load({}, text).config, {
    ...load({}).config,
    file: join(directory, `${files - 1}.toml`),
    dataDir: join(directory, 'data'),
  });
  const all = text.replaceAll(/^#(?=[a-z_]+ = )/gm, '');
  assert.notEqual(all, text);
  assert.equal(load({}, all).config.limits.mailboxMessages, load({}).config.limits.mailboxMessages);
});
