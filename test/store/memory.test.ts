import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonTable } from '../../src/store/codec.ts';
import { MemoryStore, openMemory } from '../../src/store/memory.ts';
import { Batch } from '../../src/store/store.ts';
import { storeConformance } from '../conformance/store.ts';
import type { StoreSubject } from '../conformance/store.ts';

const notes = jsonTable<string>({ name: 'note', version: 1 });

storeConformance('memory', async (): Promise<StoreSubject> => {
  const store = openMemory();
  return { store, dispose: () => store.close() };
});

storeConformance('memory, failing', async (): Promise<StoreSubject> => {
  // Settles by itself, like the other, until it is to fail.
  const store = new MemoryStore({ settling: 'manual' });
  let isFailing = false;
  let timer: NodeJS.Immediate | undefined;
  const settle = (): void => {
    if (isFailing) store.fail();
    else store.settle();
    timer = setImmediate(settle);
  };
  timer = setImmediate(settle);
  return {
    store,
    fail: () => (isFailing = true),
    mend: () => (isFailing = false),
    async dispose() {
      clearImmediate(timer);
      await store.close();
    },
  };
});

test('manual settling: a commit waits for settle, together with all since the last time', async () => {
  const store = openMemory({ settling: 'manual' });
  const first = store.commit(new Batch('a').put(notes, [1], 'x'));
  const second = store.commit(new Batch('b').put(notes, [1], 'x'));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(first.settled, false);
  assert.equal(first, second);
  store.settle();
  assert.equal(first.settled, true);
  const third = store.commit(new Batch('a').put(notes, [1], 'y'));
  assert.equal(third.settled, false);
  store.fail();
  await assert.rejects(third.promise, { code: 'ERR_STORE_FULL' });
  assert.equal(await store.get(notes, 'a', [1]), 'x');
});

test('microtask settling: a commit settles before any later event', async () => {
  const store = openMemory();
  const commit = store.commit(new Batch('a').put(notes, [1], 'x'));
  assert.equal(commit.settled, false);
  await Promise.resolve();
  assert.equal(commit.settled, true);
});
