/** A disk without room, at each place where the store may meet it. The disk is a real one of a few MiB. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openLmdb, openLmdbVerbose } from '../../src/store/lmdb/open.ts';
import type { LmdbOptions } from '../../src/store/lmdb/open.ts';
import type { LmdbStore } from '../../src/store/lmdb/lmdb-store.ts';
import { Batch } from '../../src/store/store.ts';
import { SmallDisk } from '../e2e/small-disk.ts';
import { lines } from './fixtures/thread.ts';

const MANY_READERS = fileURLToPath(new URL('fixtures/many-readers.ts', import.meta.url));
const FULL = { code: 'ERR_STORE_FULL' };
const skip = SmallDisk.unavailable();

/** Commits rows 1 to `count`; the keys of those that settled without an error. */
async function fillRows(store: LmdbStore, from: number, count: number, bytes: number): Promise<number[]> {
  const kept: number[] = [];
  for (let i = from; i < from + count; i++) {
    const commit = store.commit(new Batch('a@x').put(lines, [i], `${i} `.repeat(bytes / 4)));
    await commit.promise.then(
      () => kept.push(i),
      (error: unknown) => assert.equal((error as { code?: string }).code, 'ERR_STORE_FULL'),
    );
  }
  return kept;
}

async function rowsOf(path: string, options: Partial<LmdbOptions> = {}): Promise<number[]> {
  const store = await openLmdb({ path, ...options });
  try {
    return (await store.list(lines, 'a@x')).map(({ key }) => key[0] as number);
  } finally {
    await store.close();
  }
}

test('the journal meets it: the group is refused and leaves nothing; the next one is kept once there is room', { skip }, async () => {
  using disk = SmallDisk.mount(4);
  const store = await openLmdb({ path: disk.path, applyIntervalMs: 3_600_000 });
  const kept = await fillRows(store, 0, 10, 3_000);
  assert.equal(kept.length, 10);
  disk.fill();
  const meanwhile = await fillRows(store, 10, 20, 3_000);
  assert.ok(meanwhile.length < 3, 'what was left of the last page');
  assert.deepEqual(
    (await store.list(lines, 'a@x')).map(({ key }) => key[0]),
    [...kept, ...meanwhile],
    'what was refused is not read',
  );
  disk.free();
  const after = await fillRows(store, 30, 10, 3_000);
  assert.equal(after.length, 10);
  await store.close();
  assert.deepEqual(await rowsOf(disk.path), [...kept, ...meanwhile, ...after]);
});

test('a new segment of the journal meets it: nothing of either is lost', { skip }, async () => {
  using disk = SmallDisk.mount(4);
  const store = await openLmdb({ path: disk.path, segmentBytes: 20_000, applyIntervalMs: 3_600_000 });
  const kept: number[] = [];
  let segments = 0;
  for (let round = 0; round < 12; round++) {
    kept.push(...(await fillRows(store, round * 20, 7 + round, 1_000)));
    // The new file has a name and no room for its header.
    disk.fill();
    kept.push(...(await fillRows(store, round * 20 + 19, 1, 4_000)));
    disk.free();
    segments = fs.readdirSync(join(disk.path, 'journal')).length;
  }
  assert.ok(segments > 5, `${segments} segments`);
  kept.push(...(await fillRows(store, 1_000, 1, 1_000)));
  const found = async (): Promise<unknown[]> => (await store.list(lines, 'a@x')).map(({ key }) => key[0]);
  assert.deepEqual(await found(), kept);
  await store.partitions(lines);
  assert.deepEqual(await found(), kept, 'out of LMDB');
  await store.close();
  assert.deepEqual(await rowsOf(disk.path), kept);
});

test(
  'LMDB meets it: reads and what the journal has room for go on, trouble is told once and over once, nothing is lost',
  { skip },
  async () => {
    using disk = SmallDisk.mount(8);
    const told: (string | undefined)[] = [];
    const over = Promise.withResolvers<void>();
    const onTrouble: LmdbOptions['onTrouble'] = (error) => {
      told.push(error?.code);
      if (error === undefined) over.resolve();
    };
    const store = await openLmdb({ path: disk.path, applyIntervalMs: 3_600_000, applyRows: 20, onTrouble });
    const kept = await fillRows(store, 0, 100, 10_000);
    assert.equal(kept.length, 100);
    disk.fill(300_000);
    await assert.rejects(store.partitions(lines), FULL);
    kept.push(...(await fillRows(store, 100, 5, 1_000))); // LMDB may have taken what was left
    await assert.rejects(store.partitions(lines), FULL);
    assert.deepEqual(
      (await store.list(lines, 'a@x')).map(({ key }) => key[0]),
      kept,
    );
    disk.free();
    await over.promise; // by itself
    assert.deepEqual(await store.partitions(lines), ['a@x']);
    assert.deepEqual(told, ['ERR_STORE_FULL', undefined]);
    await store.close();
    assert.deepEqual(await rowsOf(disk.path), kept);
  },
);

test(
  'a store closed while LMDB has no room keeps its journals, refuses to open while that is so, and then has everything',
  { skip },
  async () => {
    using disk = SmallDisk.mount(8);
    let store = await openLmdb({ path: disk.path, applyIntervalMs: 3_600_000 });
    const kept = await fillRows(store, 0, 100, 10_000);
    disk.fill(100_000);
    await store.close();
    await assert.rejects(openLmdb({ path: disk.path }), FULL);
    await assert.rejects(openLmdb({ path: disk.path }), FULL, 'once more');
    disk.free();
    const opened = await openLmdbVerbose({ path: disk.path });
    ({ store } = opened);
    assert.equal(opened.recovery?.groups, 100);
    assert.deepEqual(
      (await store.list(lines, 'a@x')).map(({ key }) => key[0]),
      kept,
    );
    await store.close();
  },
);

test('a disk that is full or read-only when the store is opened: refused with what to do, and nothing is lost', { skip }, async () => {
  using disk = SmallDisk.mount(4);
  disk.fill();
  await assert.rejects(openLmdb({ path: join(disk.path, 'store') }), FULL, 'there was none');
  disk.free();
  const path = join(disk.path, 'store');
  await (await openLmdb({ path })).close();
  const store = await openLmdb({ path });
  const kept = await fillRows(store, 0, 3, 1_000);
  await store.close();
  disk.fill();
  // LMDB may have pages of its own to begin with.
  const opened = await openLmdb({ path }).catch((error: Error & { code?: string }) => error);
  if (opened instanceof Error) {
    assert.equal(opened.code, 'ERR_STORE_FULL');
    assert.match(opened.message, /Free some/);
  } else {
    assert.deepEqual(await fillRows(opened, 10, 1, 8_000), []);
    await opened.close();
  }
  disk.free();
  disk.remount('ro');
  await assert.rejects(openLmdb({ path }), { code: 'ERR_STORE_UNWRITABLE', message: /Check the directory's owner, permissions and mount/ });
  disk.remount('rw');
  assert.deepEqual(await rowsOf(path), kept);
});

test('threads that begin to read on a full disk do not end the process: the lock file has its room from the start', { skip }, async () => {
  using disk = SmallDisk.mount(4);
  const store = await openLmdb({ path: disk.path });
  await fillRows(store, 0, 1, 1_000);
  await store.close();
  // As it is after a restore, and as earlier releases left it: without room for more than a few readers.
  fs.rmSync(join(disk.path, 'store.mdb-lock'));
  const { status, signal, stdout } = spawnSync(process.execPath, [MANY_READERS, disk.path, join(disk.path, 'filler')], {
    encoding: 'utf8',
  });
  assert.deepEqual([status, signal, stdout], [0, null, '200 readers\n']);
});
