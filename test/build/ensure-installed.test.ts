import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';

const SCRIPT = join(import.meta.dirname, '../../src/build/ensure-installed.mjs');
const LOCK = {
  packages: {
    '': { version: '1.0.0' },
    'node_modules/needed': { version: '2.0.0' },
    'node_modules/elsewhere': { version: '3.0.0', optional: true },
  },
};

/** A project with that lock file, and an npm that notes how it was called. */
function project(t: { after(run: () => void): void }, npm = '') {
  const root = mkdtempSync(join(tmpdir(), 'rookery-install-'));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'src/build'), { recursive: true });
  mkdirSync(join(root, 'bin'));
  cpSync(SCRIPT, join(root, 'src/build/ensure-installed.mjs'));
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify(LOCK));
  writeFileSync(join(root, 'bin/npm'), `#!/bin/sh\necho "$@" >> '${join(root, 'calls')}'\n${npm}\n`, { mode: 0o755 });
  const installed = (packages: object) => {
    mkdirSync(join(root, 'node_modules'), { recursive: true });
    writeFileSync(join(root, 'node_modules/.package-lock.json'), JSON.stringify({ packages }));
  };
  const run = () => {
    const env = { ...process.env, PATH: `${join(root, 'bin')}${delimiter}${process.env['PATH']}` };
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'src/build/ensure-installed.mjs')], {
      cwd: tmpdir(),
      env,
      encoding: 'utf8',
    });
    const calls = existsSync(join(root, 'calls')) ? readFileSync(join(root, 'calls'), 'utf8').trim().split('\n') : [];
    return { status, stderr, calls };
  };
  return { installed, run };
}

test('a fresh clone: everything is installed, without any package’s script', (t) => {
  const { run } = project(t);
  const { status, calls } = run();
  assert.equal(status, 0);
  assert.deepEqual(calls, ['ci --ignore-scripts --no-audit --no-fund']);
});

test('what is installed agrees with the lock file: nothing is done', (t) => {
  const { installed, run } = project(t);
  installed({ 'node_modules/needed': { version: '2.0.0' } });
  assert.deepEqual(run(), { status: 0, stderr: '', calls: [] });
});

test('what is installed is older, or something is missing: brought up to date without changing the lock file', (t) => {
  for (const packages of [{ 'node_modules/needed': { version: '1.9.0' } }, {}]) {
    const { installed, run } = project(t);
    installed(packages);
    assert.deepEqual(run().calls, ['install --no-save --ignore-scripts --no-audit --no-fund']);
  }
});

test('installing fails: so does the script, and says what to do', (t) => {
  const { run } = project(t, 'exit 7');
  const { status, stderr } = run();
  assert.equal(status, 1);
  assert.match(stderr, /could not be installed.*npm ci/);
});
