import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { StoreError } from '../../src/store/errors.ts';
import { DATA_FILE } from '../../src/store/lmdb/backup.ts';
import { Env } from '../../src/store/lmdb/env.ts';
import { eraseSome } from '../../src/store/lmdb/erasure.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import type { LmdbOptions } from '../../src/store/lmdb/open.ts';
import type { LmdbStore } from '../../src/store/lmdb/lmdb-store.ts';
import { Batch } from '../../src/store/store.ts';
import type { Commit } from '../../src/store/store.ts';
import { packKey } from '../../src/store/tuple.ts';
import { lines } from './fixtures/thread.ts';

async function withStore(options: Omit<LmdbOptions, 'path'>, run: (store: LmdbStore, path: string) => Promise<void>): Promise<void> {
  const path = fs.mkdtempSync(join(tmpdir(), 'rookery-limits-'));
  const store = await openLmdb({ path, ...options });
  try {
    await run(store, path);
  } finally {
    await store.close();
    fs.rmSync(path, { recursive: true, force: true });
  }
}

const put = (store: LmdbStore, partition: string, bytes: number): Commit =>
  store.commit(new Batch(partition).put(lines, [1], 'x'.repeat(bytes)));

test('maxBatchBytes: a larger batch is refused, ERR_STORE_TOO_LARGE, and its group goes on', async () => {
  await withStore({ maxBatchBytes: 10_000 }, async (store) => {
    const commits = [put(store, 'a', 5000), put(store, 'b', 20_000), put(store, 'c', 5000)];
    await assert.rejects(commits[1]!.promise, { code: 'ERR_STORE_TOO_LARGE' });
    await Promise.all([commits[0]!.promise, commits[2]!.promise]);
    assert.deepEqual(await store.partitions(lines), ['a', 'c']);
  });
});

test('maxGroupBytes: with more unsettled, commits are refused, ERR_STORE_BUSY, until that is written', async () => {
  await withStore({ maxGroupBytes: 50_000 }, async (store) => {
    const commits = Array.from({ length: 10 }, (_, i) => put(store, `${i}`, 10_000));
    const refused = commits.filter((commit) => commit.error !== undefined);
    assert.equal(refused.length, 5);
    for (const commit of refused) await assert.rejects(commit.promise, { code: 'ERR_STORE_BUSY' });
    await commits[0]!.promise;
    await put(store, 'later', 10_000).promise;
    assert.equal((await store.partitions(lines)).length, 6);
  });
});

test('maxUnappliedBytes: with more in memory, commits settle when LMDB has caught up', async () => {
  // The applier would not do anything for an hour, were it not asked to.
  await withStore({ maxUnappliedBytes: 2_000_000, applyBytes: 1e12, applyIntervalMs: 3_600_000 }, async (store) => {
    let peak = 0;
    for (let i = 0; i < 200; i++) {
      await put(store, `${i % 50}`, 100_000).promise;
      peak = Math.max(peak, store.stats.unappliedBytes);
    }
    assert.ok(peak < 3_000_000, `${peak} bytes`);
    assert.equal(store.stats.rows, 200);
    assert.equal((await store.partitions(lines)).length, 50);
  });
});

test('a partition with more rows than one transaction erases is gone at once, and stays so', async () => {
  const path = fs.mkdtempSync(join(tmpdir(), 'rookery-limits-'));
  let store = await openLmdb({ path });
  for (let i = 0; i < 12; i++) {
    const batch = new Batch('large');
    for (let k = 0; k < 1000; k++) batch.put(lines, [i, k], 'x');
    await store.commit(batch).promise;
  }
  await store.commit(new Batch('largf').put(lines, [1], 'neighbour')).promise;
  assert.deepEqual(await store.partitions(lines), ['large', 'largf']);
  void store.erase('large');
  await store.commit(new Batch('large').put(lines, ['new'], 'row')).promise;
  assert.deepEqual(await store.list(lines, 'large'), [{ key: ['new'], value: 'row' }]);
  const other = await openLmdb({ path });
  assert.deepEqual(await other.list(lines, 'large'), [{ key: ['new'], value: 'row' }]);
  await other.close();
  await store.close();
  store = await openLmdb({ path });
  assert.deepEqual(await store.list(lines, 'large'), [{ key: ['new'], value: 'row' }]);
  assert.deepEqual(await store.partitions(lines), ['large', 'largf']);
  await store.close();
  fs.rmSync(path, { recursive: true, force: true });
});

test('onTrouble: told once when applying fails, while commits go on, and once when it works again', async () => {
  const told: (string | undefined)[] = [];
  const trouble = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const onTrouble = (error: StoreError | undefined): void => {
    told.push(error?.code);
    if (error === undefined) over.resolve();
    else trouble.resolve();
  };
  await withStore({ onTrouble, applyIntervalMs: 1 }, async (store, path) => {
    await put(store, 'before', 100).promise;
    fs.renameSync(join(path, 'journal'), join(path, 'elsewhere'));
    await put(store, 'meanwhile', 100).promise;
    await trouble.promise;
    await put(store, 'still', 100).promise;
    assert.equal((await store.get(lines, 'still', [1]))?.length, 100);
    await assert.rejects(store.partitions(lines), { code: 'ERR_STORE_IO' });
    fs.renameSync(join(path, 'elsewhere'), join(path, 'journal'));
    await over.promise;
    assert.deepEqual(await store.partitions(lines), ['before', 'meanwhile', 'still']);
    assert.deepEqual(told, ['ERR_STORE_IO', undefined]);
  });
});

test('an erasure that was begun is finished by whoever opens the store next, before anything is read', async () => {
  const path = fs.mkdtempSync(join(tmpdir(), 'rookery-limits-'));
  let store = await openLmdb({ path });
  for (let i = 0; i < 12; i++) {
    const batch = new Batch('large');
    for (let k = 0; k < 1000; k++) batch.put(lines, [i, k], 'x');
    void store.commit(batch);
  }
  await store.commit(new Batch('largf').put(lines, [1], 'neighbour')).promise;
  await store.close();
  // As a backup taken between two of its transactions has it.
  const env = Env.open(join(path, DATA_FILE), false);
  env.transaction(() => assert.equal(eraseSome(env, packKey(['large'])), false));
  await env.close();
  store = await openLmdb({ path });
  assert.deepEqual(await store.list(lines, 'large'), []);
  assert.deepEqual(await store.partitions(lines), ['largf']);
  await store.commit(new Batch('large').put(lines, [1], 'new')).promise;
  await store.close();
  store = await openLmdb({ path });
  assert.equal(await store.get(lines, 'large', [1]), 'new', 'it is finished for good');
  await store.close();
  fs.rmSync(path, { recursive: true, force: true });
});
