import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import type { LmdbOptions } from '../../src/store/lmdb/open.ts';
import { Batch } from '../../src/store/store.ts';
import type { Store } from '../../src/store/store.ts';
import { lines, StoreThread } from './fixtures/thread.ts';

const JULIET = 'juliet@capulet.lit';
/** Nothing reaches LMDB unless somebody asks for it. */
const NEVER_BY_ITSELF = { applyIntervalMs: 3_600_000 };

async function withThreads(
  count: number,
  options: Omit<LmdbOptions, 'path'>,
  run: (store: Store, threads: StoreThread[], path: string) => Promise<void>,
): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'rookery-threads-'));
  const store = await openLmdb({ path, ...options });
  const threads = await Promise.all(Array.from({ length: count }, () => StoreThread.start({ path })));
  try {
    await run(store, threads, path);
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
    await store.close();
    await rm(path, { recursive: true, force: true });
  }
}

const texts = async (store: Store, partition: string): Promise<string[]> => (await store.list(lines, partition)).map(({ value }) => value);

test('what one thread has settled every other reads at once', async () => {
  await withThreads(2, NEVER_BY_ITSELF, async (store, [a, b]) => {
    for (let i = 0; i < 30; i++) {
      const writer = [a!, b!][i % 2]!;
      const reader = [b!, a!][i % 2]!;
      await writer.tell({ do: 'put', partition: JULIET, key: [i % 7], text: `${i}` });
      const expected = Array.from({ length: Math.min(i + 1, 7) }, (_, k) => `${i - ((i - k) % 7)}`);
      assert.deepEqual(await reader.tell({ do: 'texts', partition: JULIET }), expected, `reader after ${i}`);
      assert.deepEqual(await writer.tell({ do: 'texts', partition: JULIET }), expected, `writer after ${i}`);
      assert.deepEqual(await texts(store, JULIET), expected, `main after ${i}`);
    }
  });
});

test('a thread that writes before it reads still reads what another had settled before', async () => {
  await withThreads(1, NEVER_BY_ITSELF, async (store, [thread]) => {
    for (let i = 0; i < 5; i++) {
      const partition = `user${i}@x`;
      await thread!.tell({ do: 'put', partition, key: [1], text: 'theirs' });
      await store.commit(new Batch(partition).put(lines, [2], 'ours')).promise;
      assert.deepEqual(await texts(store, partition), ['theirs', 'ours']);
      assert.deepEqual(await thread!.tell({ do: 'texts', partition }), ['theirs', 'ours']);
    }
  });
});

test('what was applied early, for a reader that could not wait, is not overtaken by its window', async () => {
  await withThreads(2, { ...NEVER_BY_ITSELF, applyRows: 1 }, async (store, [a, b]) => {
    await a!.tell({ do: 'put', partition: 'zzz', key: [1], text: 'old' });
    await Promise.all(Array.from({ length: 200 }, (_, i) => store.commit(new Batch(`user${i}@x`).put(lines, [1], 'x')).promise));
    // The window with 'old' in its last transaction is under way…
    const applied = store.partitions(lines);
    await new Promise((resolve) => setImmediate(resolve));
    // …when something newer is wanted.
    await b!.tell({ do: 'put', partition: 'zzz', key: [1], text: 'new' });
    assert.deepEqual(await texts(store, 'zzz'), ['new']);
    await applied;
    assert.deepEqual(await texts(store, 'zzz'), ['new']);
    assert.deepEqual(await a!.tell({ do: 'texts', partition: 'zzz' }), ['new']);
  });
});

test('a partition may go from thread to thread: the later change wins, also where nobody reads in between, and after reopening', async () => {
  await withThreads(2, NEVER_BY_ITSELF, async (store, [a, b], path) => {
    for (let i = 0; i < 20; i++) {
      await a!.tell({ do: 'put', partition: JULIET, key: ['row'], text: `a${i}` });
      await store.commit(new Batch(JULIET).put(lines, ['row'], `main${i}`)).promise;
      await b!.tell({ do: 'put', partition: JULIET, key: ['row'], text: `b${i}` });
      if (i % 3 === 0) assert.deepEqual(await a!.tell({ do: 'texts', partition: JULIET }), [`b${i}`]);
      if (i % 4 === 0) await store.partitions(lines);
    }
    for (const thread of [a!, b!]) assert.deepEqual(await thread.tell({ do: 'texts', partition: JULIET }), ['b19']);
    assert.deepEqual(await texts(store, JULIET), ['b19']);
    await a!.tell({ do: 'close' });
    await b!.tell({ do: 'close' });
    await store.close();
    const again = await openLmdb({ path });
    assert.deepEqual(await texts(again, JULIET), ['b19']);
    await again.close();
  });
});

test('an erasure by one thread hides what another had written, and the other way round', async () => {
  await withThreads(1, NEVER_BY_ITSELF, async (store, [thread]) => {
    await thread!.tell({ do: 'put', partition: JULIET, key: [1], text: 'theirs' });
    await store.commit(new Batch(JULIET).put(lines, [2], 'ours')).promise;
    await thread!.tell({ do: 'erase', partition: JULIET });
    assert.deepEqual(await texts(store, JULIET), []);
    await store.commit(new Batch(JULIET).put(lines, [3], 'after')).promise;
    assert.deepEqual(await thread!.tell({ do: 'texts', partition: JULIET }), ['after']);
    await store.erase(JULIET).promise;
    assert.deepEqual(await thread!.tell({ do: 'texts', partition: JULIET }), []);
    assert.equal(await thread!.tell({ do: 'version', partition: JULIET }), 0);
  });
});

test('versions and expectations hold between threads', async () => {
  await withThreads(2, NEVER_BY_ITSELF, async (store, [a, b]) => {
    await a!.tell({ do: 'put', partition: JULIET, key: [1], text: 'created', expect: 0 });
    await assert.rejects(b!.tell({ do: 'put', partition: JULIET, key: [1], text: 'created twice', expect: 0 }), {
      code: 'ERR_STORE_VERSION',
    });
    const version = (await b!.tell({ do: 'version', partition: JULIET })) as number;
    assert.equal(await a!.tell({ do: 'version', partition: JULIET }), version);
    assert.equal(await store.version(JULIET), version);
    await a!.tell({ do: 'put', partition: JULIET, key: [1], text: 'changed' });
    const conflicting = store.commit(new Batch(JULIET).put(lines, [1], 'stale'), version);
    // Commits after one that has to wait for what another thread wrote wait behind it.
    const following = store.commit(new Batch(JULIET).put(lines, [2], 'following'));
    await assert.rejects(conflicting.promise, { code: 'ERR_STORE_VERSION' });
    assert.deepEqual(await texts(store, JULIET), ['changed', 'following']);
    await following.promise;
    assert.ok(((await b!.tell({ do: 'version', partition: JULIET })) as number) > version);
    await b!.tell({ do: 'put', partition: JULIET, key: [1], text: 'fresh', expect: await store.version(JULIET) });
    assert.deepEqual(await texts(store, JULIET), ['fresh', 'following']);
  });
});

test('partitions and backups of any thread have what all threads have settled', async () => {
  await withThreads(2, NEVER_BY_ITSELF, async (store, [a, b], path) => {
    await a!.tell({ do: 'put', partition: 'a@x', key: [1], text: 'a' });
    await b!.tell({ do: 'put', partition: 'b@x', key: [1], text: 'b' });
    void store.commit(new Batch('c@x').put(lines, [1], 'c'));
    assert.deepEqual(await store.partitions(lines), ['a@x', 'b@x', 'c@x']);
    await b!.tell({ do: 'put', partition: 'd@x', key: [1], text: 'd' });
    assert.deepEqual(await a!.tell({ do: 'partitions' }), ['a@x', 'b@x', 'c@x', 'd@x']);
    await b!.tell({ do: 'put', partition: 'e@x', key: [1], text: 'e' });
    await a!.tell({ do: 'backup', directory: join(path, 'backup') });
    const copy = await openLmdb({ path: join(path, 'backup') });
    assert.deepEqual(await copy.partitions(lines), ['a@x', 'b@x', 'c@x', 'd@x', 'e@x']);
    await copy.close();
  });
});

test('a thread that is gone leaves what it had settled', async () => {
  await withThreads(2, NEVER_BY_ITSELF, async (store, [a, b]) => {
    for (let i = 0; i < 10; i++) await a!.tell({ do: 'put', partition: `user${i}@x`, key: [1], text: `${i}` });
    await a!.terminate();
    for (let i = 0; i < 10; i += 2) assert.deepEqual(await b!.tell({ do: 'texts', partition: `user${i}@x` }), [`${i}`]);
    await b!.tell({ do: 'put', partition: 'user1@x', key: [1], text: 'theirs' });
    for (let i = 1; i < 10; i += 2) assert.deepEqual(await texts(store, `user${i}@x`), [i === 1 ? 'theirs' : `${i}`]);
  });
});

test('two openers in one thread see each other', async () => {
  const path = await mkdtemp(join(tmpdir(), 'rookery-threads-'));
  const [first, second] = await Promise.all([openLmdb({ path, ...NEVER_BY_ITSELF }), openLmdb({ path })]);
  for (let i = 0; i < 10; i++) {
    await first.commit(new Batch(JULIET).put(lines, [1], `first${i}`)).promise;
    assert.deepEqual(await texts(second, JULIET), [`first${i}`]);
    await second.commit(new Batch(JULIET).put(lines, [1], `second${i}`)).promise;
    assert.deepEqual(await texts(first, JULIET), [`second${i}`]);
  }
  await second.close();
  assert.deepEqual(await texts(first, JULIET), ['second9']);
  await first.close();
  await rm(path, { recursive: true, force: true });
});

test('once the first opener has closed, the others refuse commits: ERR_STORE_CLOSED; what had settled is kept', async () => {
  await withThreads(1, NEVER_BY_ITSELF, async (store, [thread], path) => {
    await thread!.tell({ do: 'put', partition: JULIET, key: [1], text: 'kept' });
    await store.close();
    await assert.rejects(thread!.tell({ do: 'put', partition: JULIET, key: [2], text: 'refused' }), { code: 'ERR_STORE_CLOSED' });
    await assert.rejects(thread!.tell({ do: 'partitions' }), { code: 'ERR_STORE_CLOSED' });
    await thread!.terminate();
    const again = await openLmdb({ path });
    assert.deepEqual(await texts(again, JULIET), ['kept']);
    await again.close();
  });
});
