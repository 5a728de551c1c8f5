/** Comparing two commits: both sides are measured, and what does not run on the other sources is said. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');
const COMPARE = resolve(ROOT, 'bench/micro/compare.ts');

const isRepository = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: ROOT }).status === 0;

test('a commit beside this tree: a figure of each for every line', { skip: !isRepository }, () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [COMPARE, 'hooks', '--compare', 'HEAD', '--runs', '1'], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  const lines = stdout.split('\n').filter((line) => line.startsWith('chain of'));
  assert.equal(lines.length, 4, stdout);
  for (const line of lines) assert.match(line, /^chain of \d+ handlers +[\d.]+ +[\d.]+ +ns +[+-]?\d+ %$/);
});

test('a bench that is not there is named', () => {
  const { stderr, status } = spawnSync(process.execPath, [COMPARE, 'nothing'], { encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /no micro bench nothing: there are xml, /);
});
