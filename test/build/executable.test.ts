/**
 * The single executable, with the probe in `probe/` for a program: what is hard about it has
 * to work before there is a server in it, and goes on being tested apart from the server.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildExecutable } from '../../src/build/bundle.ts';

const probe = join(import.meta.dirname, 'probe');
const directory = mkdtempSync(join(tmpdir(), 'rookery-executable-'));
const executable = join(directory, 'rookery');
const cache = join(directory, 'cache');

before(() => buildExecutable({ main: join(probe, 'main.ts'), worker: join(probe, 'worker.ts'), pool: join(probe, 'pool.ts') }, executable));
after(() => rmSync(directory, { recursive: true }));

/** Runs it in an empty directory, with no environment but what is given. */
function run(env: Record<string, string>, args: readonly string[] = []) {
  const cwd = mkdtempSync(join(directory, 'empty-'));
  const { status, stdout, stderr } = spawnSync(executable, args, { cwd, env, encoding: 'utf8' });
  const events = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { cwd, status, stderr, event: (what: string) => events.find((event) => event['what'] === what) };
}

test('it runs with nothing around it: store in a worker, pool, log, configuration', () => {
  const { cwd, status, stderr, event } = run({ ROOKERY_CACHE_DIR: cache, ROOKERY_C2S_PORT: '1234' }, ['an', 'argument']);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  assert.deepEqual(event('started')!['argv'], ['an', 'argument']);
  assert.equal(event('started')!['port'], 1_234);
  assert.equal(event('stored')!['found'], 'value');
  assert.equal(event('hashed')!['length'], 32);
  assert.deepEqual(readdirSync(cwd), ['data']);
});

test('its native part is unpacked once, privately', () => {
  assert.equal(statSync(cache).mode & 0o777, 0o700);
  const names = readdirSync(cache);
  assert.equal(names.length, 1);
  const { mtimeMs } = statSync(join(cache, names[0]!));
  assert.equal(run({ ROOKERY_CACHE_DIR: cache }).status, 0);
  assert.deepEqual(readdirSync(cache), names);
  assert.equal(statSync(join(cache, names[0]!)).mtimeMs, mtimeMs);
});

test('a native part that was tampered with is not loaded', () => {
  const [name] = readdirSync(cache);
  writeFileSync(join(cache, name!), 'something else');
  assert.equal(run({ ROOKERY_CACHE_DIR: cache }).event('stored')!['found'], 'value');
});

test('where it cannot unpack, it says what to set', () => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  const { status, stderr } = run({ ROOKERY_CACHE_DIR: join(file, 'cache') });
  assert.equal(status, 1);
  assert.match(stderr, /Set ROOKERY_CACHE_DIR/);
  assert.match(stderr, /ERR_NATIVE_ADDON/);
});

test('it takes no code from the directory it is run in, and no options meant for Node', () => {
  const cwd = mkdtempSync(join(directory, 'hostile-'));
  const names = ['lmdb', 'msgpackr-extract', 'node-gyp-build-optional-packages', '@napi-rs/nice', 'piscina', 'pino'];
  for (const name of names) {
    const path = join(cwd, 'node_modules', name);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, 'index.js'), `require('node:fs').writeFileSync(${JSON.stringify(join(cwd, 'taken'))}, '')`);
  }
  writeFileSync(join(cwd, 'preload.cjs'), `require('node:fs').writeFileSync(${JSON.stringify(join(cwd, 'taken'))}, '')`);
  const env = { ROOKERY_CACHE_DIR: cache, NODE_OPTIONS: `--require ${join(cwd, 'preload.cjs')}` };
  const { status, stderr } = spawnSync(executable, [], { cwd, env, encoding: 'utf8' });
  assert.equal(stderr, '');
  assert.equal(status, 0);
  assert.equal(existsSync(join(cwd, 'taken')), false);
});
