import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DATA_FILE } from '../../src/store/lmdb/backup.ts';
import { Env, FORMAT_KEY, STORE_FORMAT } from '../../src/store/lmdb/env.ts';
import { fileHeader, JOURNAL_FORMAT, segmentName } from '../../src/store/lmdb/journal.ts';
import { lockDirectory } from '../../src/store/lmdb/lock.ts';
import { openLmdb, openLmdbVerbose } from '../../src/store/lmdb/open.ts';
import { Batch } from '../../src/store/store.ts';
import { lines, StoreThread } from './fixtures/thread.ts';

const HOLDER = fileURLToPath(new URL('fixtures/holder.ts', import.meta.url));
const directories: string[] = [];

after(() => {
  for (const directory of directories) fs.rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = fs.mkdtempSync(join(tmpdir(), 'rookery-open-'));
  directories.push(directory);
  return directory;
}

async function withRow(): Promise<string> {
  const path = newDirectory();
  const store = await openLmdb({ path });
  await store.commit(new Batch('a@x').put(lines, [1], 'row')).promise;
  await store.close();
  return path;
}

test('a store in use by another process is refused, ERR_STORE_LOCKED, until that process is gone, however it went', async () => {
  const path = newDirectory();
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const holder = spawn(process.execPath, [HOLDER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    await assert.rejects(openLmdb({ path }), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ERR_STORE_LOCKED');
      assert.match(error.message, new RegExp(`process ${holder.pid}`));
      return true;
    });
    const exited = new Promise((resolve) => holder.once('exit', resolve));
    holder.kill(signal);
    await exited;
    const { store, recovery } = await openLmdbVerbose({ path });
    assert.equal(recovery?.groups, 1);
    assert.deepEqual(await store.get(lines, 'holder@x', [holder.pid!]), 'held');
    await store.close();
  }
});

test('where the first opener was a thread that is gone, the next one takes over and recovers', async () => {
  const path = newDirectory();
  const first = await StoreThread.start({ path });
  const second = await StoreThread.start({ path });
  await first.tell({ do: 'put', partition: 'a@x', key: [1], text: 'first' });
  await second.tell({ do: 'put', partition: 'a@x', key: [2], text: 'second' });
  await second.terminate();
  await first.terminate();
  const { store, recovery } = await openLmdbVerbose({ path });
  assert.equal(recovery?.groups, 2);
  assert.deepEqual(
    (await store.list(lines, 'a@x')).map(({ value }) => value),
    ['first', 'second'],
  );
  await store.close();
});

test('a thread that finds the store locked and nobody to join gives up: ERR_STORE_LOCKED', async () => {
  const path = newDirectory();
  const lock = lockDirectory(path)!;
  await assert.rejects(StoreThread.start({ path, attachMs: 50 }), { code: 'ERR_STORE_LOCKED' });
  lock.release();
  await (await openLmdb({ path })).close();
});

test('a failed opening leaves the store as it was, and free', async () => {
  const path = await withRow();
  const data = join(path, DATA_FILE);
  fs.renameSync(data, `${data}.away`);
  fs.mkdirSync(data);
  await assert.rejects(openLmdb({ path }), { code: 'ERR_STORE_UNWRITABLE' });
  fs.rmdirSync(data);
  fs.renameSync(`${data}.away`, data);
  const store = await openLmdb({ path });
  assert.equal(await store.get(lines, 'a@x', [1]), 'row');
  await store.close();
});

test('a store of a newer release is refused: ERR_STORE_NEWER', async () => {
  const path = await withRow();
  const env = Env.open(join(path, DATA_FILE), false);
  env.transaction(() => env.putJson(FORMAT_KEY, STORE_FORMAT + 1));
  await env.close();
  await assert.rejects(openLmdb({ path }), { code: 'ERR_STORE_NEWER' });
});

test('so is one with a journal of a newer release, and its journal is kept', async () => {
  const path = await withRow();
  const journal = join(path, 'journal', segmentName({ instance: 99, thread: 0 }, 0));
  const header = fileHeader(99, 0, 0);
  header.writeUInt32LE(JOURNAL_FORMAT + 1, 8);
  fs.writeFileSync(journal, header);
  await assert.rejects(openLmdb({ path }), { code: 'ERR_STORE_NEWER' });
  assert.ok(fs.existsSync(journal));
  fs.rmSync(journal);
  await (await openLmdb({ path })).close();
});

test('files that are no store, or are cut short, are refused: ERR_STORE_CORRUPT', async () => {
  const garbage = newDirectory();
  fs.writeFileSync(join(garbage, DATA_FILE), Buffer.alloc(100_000, 'not a store '));
  await assert.rejects(openLmdb({ path: garbage }), { code: 'ERR_STORE_CORRUPT' });

  const short = newDirectory();
  const store = await openLmdb({ path: short });
  for (let i = 0; i < 100; i++) void store.commit(new Batch(`${i}@x`).put(lines, [1], 'x'.repeat(100_000)));
  await store.close();
  const { size } = fs.statSync(join(short, DATA_FILE));
  assert.ok(size > 10_000_000);
  fs.truncateSync(join(short, DATA_FILE), Math.floor(size / 2));
  await assert.rejects(openLmdb({ path: short }), { code: 'ERR_STORE_CORRUPT' });
});

test('a path that cannot be a directory is refused: ERR_STORE_UNWRITABLE', async () => {
  const file = join(newDirectory(), 'file');
  fs.writeFileSync(file, '');
  await assert.rejects(openLmdb({ path: file }), { code: 'ERR_STORE_UNWRITABLE' });
  await assert.rejects(openLmdb({ path: join(file, 'store') }), { code: 'ERR_STORE_UNWRITABLE' });
});

test('a new store and its files are for their owner only', { skip: process.platform === 'win32' }, async () => {
  const path = join(newDirectory(), 'store');
  const store = await openLmdb({ path });
  await store.commit(new Batch('a@x').put(lines, [1], 'row')).promise;
  const files = fs.readdirSync(path, { recursive: true, withFileTypes: true });
  assert.ok(files.length >= 5);
  for (const file of files) assert.equal(fs.statSync(join(file.parentPath, file.name)).mode & 0o077, 0, file.name);
  assert.equal(fs.statSync(path).mode & 0o077, 0);
  await store.close();
});
