import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { unpack } from '../../src/build/native-addon.ts';
import { cacheDirectories, claimPrivateDirectory } from '../../src/build/private-directory.ts';

const isRoot = process.getuid?.() === 0;
const CONTENTS = Buffer.from('a shared library');

function temporaryDirectory(t: { after(run: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-private-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('a private directory is made with its parents, for this user alone', (t) => {
  const path = join(temporaryDirectory(t), 'a', 'b');
  claimPrivateDirectory(path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  claimPrivateDirectory(path);
});

test('one that others could enter is closed to them', (t) => {
  const path = temporaryDirectory(t);
  chmodSync(path, 0o777);
  claimPrivateDirectory(path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
});

test('what another user made first is refused', { skip: isRoot ? false : 'only root can give a directory away' }, (t) => {
  const path = temporaryDirectory(t);
  chownSync(path, 65_534, 65_534);
  assert.throws(() => claimPrivateDirectory(path), /belongs to another user/);
});

test('a link is refused, wherever it points', (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, 'real'), { mode: 0o700 });
  symlinkSync(join(directory, 'real'), join(directory, 'link'));
  assert.throws(() => claimPrivateDirectory(join(directory, 'link')), /not a directory/);
});

test('unpacking: named by its hash, kept when it is right, replaced when it is not', (t) => {
  const directory = join(temporaryDirectory(t), 'cache');
  const path = unpack(CONTENTS, directory);
  assert.match(basename(path), /^lmdb-[0-9a-f]{64}\.node$/);
  assert.deepEqual(readFileSync(path), CONTENTS);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const { ino } = statSync(path);
  assert.equal(unpack(CONTENTS, directory), path);
  assert.equal(statSync(path).ino, ino);

  writeFileSync(path, 'another library');
  assert.equal(unpack(CONTENTS, directory), path);
  assert.deepEqual(readFileSync(path), CONTENTS);
  // A process that has the old file loaded keeps it: the new one is another file.
  assert.notEqual(statSync(path).ino, ino);
});

test('unpacking: what older versions left is removed, and nothing else', (t) => {
  const directory = temporaryDirectory(t);
  const old = unpack(Buffer.from('an older library'), directory);
  writeFileSync(join(directory, 'something-else'), '');
  const path = unpack(CONTENTS, directory);
  assert.deepEqual(readdirSync(directory).sort(), [basename(path), 'something-else']);
  assert.notEqual(old, path);
});

test('where to unpack: the operator’s choice alone, else the user’s caches, last the temporary directory', () => {
  assert.deepEqual(cacheDirectories({ ROOKERY_CACHE_DIR: '/srv/cache', XDG_CACHE_HOME: '/x' }), ['/srv/cache']);
  const found = cacheDirectories({ XDG_CACHE_HOME: '/x', XDG_RUNTIME_DIR: 'relative' });
  assert.equal(found[0], '/x/rookery');
  assert.ok(!found.some((path) => path.includes('relative')));
  assert.equal(found.at(-1), join(tmpdir(), `rookery-${process.getuid?.()}`));
});
