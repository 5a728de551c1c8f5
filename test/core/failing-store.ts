/** A store in memory that fails when the test says so. */
import { StoreError } from '../../src/store/errors.ts';
import { openMemory } from '../../src/store/memory.ts';
import { settledCommit } from '../../src/store/commit.ts';
import type { Store } from '../../src/store/store.ts';

export interface FailingStore {
  readonly store: Store;
  /** Commits fail as on a full disk; reads, of a broken one. */
  readonly failing: { commits: boolean; reads: boolean };
}

export function failingStore(): FailingStore {
  const failing = { commits: false, reads: false };
  const inner = openMemory();
  const error = new StoreError('ERR_STORE_FULL' as ConstructorParameters<typeof StoreError>[0], 'the disk is full');
  const failed = settledCommit(error);
  const store = new Proxy<Store>(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if ((name === 'commit' || name === 'erase') && failing.commits) return () => failed;
      if ((name === 'get' || name === 'list') && failing.reads) return () => Promise.reject(error);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  return { store, failing };
}
