/** A thread that commits without pause: each commit adds a row and says, in another, how many there are. */
import { workerData } from 'node:worker_threads';
import { ACCOUNTS } from '../../src/core/accounts.ts';
import { ITEMS } from '../../src/modules/roster/item.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import { Batch } from '../../src/store/store.ts';

const { path, progress, index } = workerData as { path: string; progress: Int32Array; index: number };
const bare = `writer${index}@localhost`;
const item = { name: 'x'.repeat(100), groups: [], subscription: 'none', ask: false, approved: false } as const;

await using store = await openLmdb({ path });
for (let i = 1; Atomics.load(progress, 2) === 0; i++) {
  await store.commit(new Batch(bare).put(ITEMS, [i], item).put(ACCOUNTS, [], { createdAtMs: i, isEnabled: true })).promise;
  Atomics.store(progress, index, i);
}
