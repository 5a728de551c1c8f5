import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlushQueue } from '../../src/net/flush-queue.ts';

/** A queue whose fallback waits until the test runs it. */
function makeQueue(): { queue: FlushQueue; fallbacks: (() => void)[] } {
  const fallbacks: (() => void)[] = [];
  return { queue: new FlushQueue((run) => fallbacks.push(run)), fallbacks };
}

test('flush flushes each waiting transport once, in the order they were added', () => {
  const { queue } = makeQueue();
  const order: string[] = [];
  queue.add({ flush: () => order.push('a') });
  queue.add({ flush: () => order.push('b') });
  assert.equal(queue.size, 2);
  queue.flush();
  queue.flush();
  assert.deepEqual(order, ['a', 'b']);
  assert.equal(queue.size, 0);
});

test('without a scheduler the first addition arranges for one flush, and only one', () => {
  const { queue, fallbacks } = makeQueue();
  let flushes = 0;
  queue.add({ flush: () => flushes++ });
  queue.add({ flush: () => flushes++ });
  assert.equal(fallbacks.length, 1);
  fallbacks.shift()!();
  assert.equal(flushes, 2);
  queue.add({ flush: () => flushes++ });
  assert.equal(fallbacks.length, 1, 'armed again for the next turn');
});

test('what a flush adds leaves with the next flush, so a transport that always has more cannot hold up the loop', () => {
  const { queue, fallbacks } = makeQueue();
  let flushes = 0;
  const greedy = {
    flush(): void {
      flushes++;
      queue.add(greedy);
    },
  };
  queue.add(greedy);
  queue.flush();
  assert.equal(flushes, 1);
  assert.equal(queue.size, 1);
  fallbacks[0]!();
  assert.equal(flushes, 2);
});
