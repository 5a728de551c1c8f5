import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { allowCollecting, QuietCollector, type WorkerHeap } from '../../src/server/quiet-collector.ts';

const MIB = 1024 * 1024;

class FakeHeap implements WorkerHeap {
  share = 0;
  total = 100 * MIB;
  used = 90 * MIB;
  alive = 40 * MIB;
  collections = 0;

  busyShare(): number {
    return this.share;
  }
  bytes(): { total: number; used: number } {
    return { total: this.total, used: this.used };
  }
  collect(): void {
    this.collections++;
    this.total = this.used = this.alive;
  }
}

function look(collector: QuietCollector, times: number): void {
  for (let i = 0; i < times; i++) collector.look();
}

test('a worker that has been quiet for two looks collects once', () => {
  const heap = new FakeHeap();
  const collector = new QuietCollector(heap);
  look(collector, 1);
  assert.equal(heap.collections, 0);
  look(collector, 20);
  assert.equal(heap.collections, 1);
});

test('one that is busy does not, nor one that was busy a moment ago', () => {
  const heap = new FakeHeap();
  const collector = new QuietCollector(heap);
  for (let i = 0; i < 10; i++) {
    heap.share = 0.04;
    look(collector, 1);
    heap.share = 0.06;
    look(collector, 1);
  }
  assert.equal(heap.collections, 0);
});

test('it collects again only where the heap has grown', () => {
  const heap = new FakeHeap();
  const collector = new QuietCollector(heap);
  look(collector, 2);
  heap.total = heap.used = heap.alive + 12 * MIB; // of 40: less than a fifth and 8 MiB
  look(collector, 4);
  assert.equal(heap.collections, 1);
  heap.total = heap.used = heap.alive + 20 * MIB;
  look(collector, 4);
  assert.equal(heap.collections, 2);
});

test('a heap whose pause would be felt is left alone', () => {
  const heap = new FakeHeap();
  heap.total = heap.used = 600 * MIB;
  look(new QuietCollector(heap), 4);
  assert.equal(heap.collections, 0);
});

test('a thread that starts after the permission can collect, and does give memory back', async () => {
  allowCollecting();
  const url = new URL('../../src/server/quiet-collector.ts', import.meta.url).href;
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     import(${JSON.stringify(url)}).then(({ ownHeap }) => {
       const heap = ownHeap();
       let waste = Array.from({ length: 400_000 }, (_, i) => ({ i, list: [i] }));
       const before = heap.bytes().total;
       waste = undefined;
       heap.collect();
       parentPort.postMessage({ before, after: heap.bytes().total });
     });`,
    { eval: true },
  );
  try {
    const { before, after } = await new Promise<{ before: number; after: number }>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    assert.ok(after < before / 2, `${before} bytes before, ${after} after`);
  } finally {
    await worker.terminate();
  }
});
