/** What a settled commit has waited for, seen from the file system. The rest of it is in power-loss.test.ts. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { FILE_HEADER_BYTES, MAGIC, OLD_HEADER_BYTES, type JournalFiles } from '../../src/store/lmdb/journal.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import { Batch } from '../../src/store/store.ts';
import { lines } from './fixtures/thread.ts';

const put = (partition: string, key: number, text = 'row'): Batch => new Batch(partition).put(lines, [key], text);
/** More than enough for anything to happen that is not waiting for the disk. */
async function aWhile(): Promise<void> {
  for (let i = 0; i < 20; i++) await nextTurn();
}

async function withDirectory(run: (path: string) => Promise<void>): Promise<void> {
  const path = fs.mkdtempSync(join(tmpdir(), 'rookery-sync-'));
  try {
    await run(path);
  } finally {
    fs.rmSync(path, { recursive: true, force: true });
  }
}

test('sync=disk: a commit settles when fdatasync has returned, and for the first of a file its name is synced, too; not before', async () => {
  await withDirectory(async (path) => {
    const waiting: (() => void)[] = [];
    const done: string[] = [];
    const slow =
      (what: 'fdatasync' | 'fsync') =>
      (file: number, callback: fs.NoParamCallback): void =>
        void waiting.push(() => {
          done.push(what);
          fs[what](file, callback);
        });
    const files = { ...fs, fdatasync: slow('fdatasync'), fsync: slow('fsync') } as unknown as JournalFiles;
    const store = await openLmdb({ path, sync: 'disk', files, applyIntervalMs: 3_600_000 });
    /** Has the disk do the one thing that it was asked for. */
    const release = (): void => {
      assert.deepEqual(waiting.length, 1);
      waiting.shift()!();
    };
    const asked = async (): Promise<void> => {
      while (waiting.length === 0) await nextTurn();
    };
    const first = store.commit(put('a@x', 1));
    await aWhile();
    assert.equal(first.settled, false, 'written, not synced');
    const second = store.commit(put('a@x', 2));
    release();
    await asked();
    assert.equal(first.settled, false, 'its name is not on the disk');
    release();
    await first.promise;
    assert.deepEqual(done, ['fdatasync', 'fsync']);
    await aWhile();
    assert.equal(second.settled, false, 'that sync was not for it');
    release();
    await second.promise;
    assert.deepEqual(done, ['fdatasync', 'fsync', 'fdatasync']);
    const closing = store.close();
    while (!(await Promise.race([closing.then(() => true), nextTurn(false)]))) for (const go of waiting.splice(0)) go();
  });
});

test('sync=process: a commit settles when it is written, whatever the disk does', async () => {
  await withDirectory(async (path) => {
    const never = (): void => undefined;
    const files = { ...fs, fdatasync: never, fsync: never } as unknown as JournalFiles;
    const store = await openLmdb({ path, files, syncIntervalMs: 1, applyIntervalMs: 3_600_000 });
    for (let i = 0; i < 10; i++) await store.commit(put('a@x', i)).promise;
    assert.equal(fs.readdirSync(join(path, 'journal')).length, 1);
    Object.assign(files, { fdatasync: fs.fdatasync, fsync: fs.fsync });
    await store.close();
  });
});

test('sync=disk: what a failed sync leaves is refused, ERR_STORE_IO, and what is committed after it survives without it', async () => {
  await withDirectory(async (path) => {
    let fails = false;
    const files = {
      ...fs,
      // Linux forgets what it could not write: the next sync says that all is well.
      fdatasync: (file: number, callback: fs.NoParamCallback) => {
        if (!fails) return fs.fdatasync(file, callback);
        fails = false;
        setImmediate(callback, Object.assign(new Error('EIO'), { code: 'EIO' }));
      },
    } as unknown as JournalFiles;
    const store = await openLmdb({ path, sync: 'disk', files, applyIntervalMs: 3_600_000 });
    await store.commit(put('a@x', 1, 'before')).promise;
    const journal = join(path, 'journal');
    const [segment] = fs.readdirSync(journal);
    const safe = fs.statSync(join(journal, segment!)).size;
    fails = true;
    await assert.rejects(store.commit(put('a@x', 2, 'lost')).promise, { code: 'ERR_STORE_IO' });
    await store.commit(put('a@x', 3, 'after')).promise;
    const copy = `${path}-found`;
    fs.cpSync(path, copy, { recursive: true });
    // What the failed sync was for never came to the disk.
    const found = join(copy, 'journal', segment!);
    const bytes = fs.readFileSync(found);
    fs.writeFileSync(found, bytes.fill(0, safe));
    const reopened = await openLmdb({ path: copy });
    assert.deepEqual(
      (await reopened.list(lines, 'a@x')).map(({ value }) => value),
      ['before', 'after'],
    );
    await reopened.close();
    await store.close();
    fs.rmSync(copy, { recursive: true, force: true });
  });
});

test('journals of format 1 are still read', async () => {
  await withDirectory(async (path) => {
    const store = await openLmdb({ path, applyIntervalMs: 3_600_000 });
    await store.commit(put('a@x', 1, 'kept')).promise;
    const [name] = fs.readdirSync(join(path, 'journal'));
    const journal = fs.readFileSync(join(path, 'journal', name!));
    const old = `${path}-old`;
    fs.cpSync(path, old, { recursive: true });
    await store.close();
    // The same group under the header it would have had.
    const header = Buffer.alloc(OLD_HEADER_BYTES);
    journal.copy(header, 0, 0, OLD_HEADER_BYTES - 4);
    header.writeUInt32LE(1, MAGIC.length);
    const seed = crc32(header.subarray(0, OLD_HEADER_BYTES - 4));
    header.writeUInt32LE(seed, OLD_HEADER_BYTES - 4);
    const group = Buffer.from(journal.subarray(FILE_HEADER_BYTES));
    group.writeUInt32LE(crc32(group.subarray(8), seed), 4);
    fs.writeFileSync(join(old, 'journal', name!), Buffer.concat([header, group]));
    const reopened = await openLmdb({ path: old });
    assert.equal(await reopened.get(lines, 'a@x', [1]), 'kept');
    await reopened.close();
    fs.rmSync(old, { recursive: true, force: true });
  });
});
