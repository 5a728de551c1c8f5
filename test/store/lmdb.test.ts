import * as fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import type { LmdbOptions } from '../../src/store/lmdb/open.ts';
import { storeConformance } from '../conformance/store.ts';
import type { StoreSubject } from '../conformance/store.ts';

async function subject(options: Omit<LmdbOptions, 'path' | 'files'>): Promise<StoreSubject> {
  const path = await mkdtemp(join(tmpdir(), 'rookery-store-'));
  let isFull = false;
  const files: typeof fs = {
    ...fs,
    // Half of it is written before the disk is full.
    writeSync: ((file: number, buffer: Buffer, offset: number, length: number, position: number) => {
      if (!isFull) return fs.writeSync(file, buffer, offset, length, position);
      fs.writeSync(file, buffer, offset, Math.floor(length / 2), position);
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    }) as typeof fs.writeSync,
  };
  const open = (): ReturnType<typeof openLmdb> => openLmdb({ ...options, path, files });
  let store = await open();
  return {
    store,
    async reopen() {
      await store.close();
      store = await open();
      return store;
    },
    fail: () => (isFull = true),
    mend: () => (isFull = false),
    openBackup: (directory) => openLmdb({ path: directory }),
    async dispose() {
      await store.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}

storeConformance('lmdb', () => subject({}));
// As if every read came after its commit was applied, or in the middle of that; and with segments, transactions and chunks that never suffice.
storeConformance('lmdb, applying all the time', () => subject({ applyIntervalMs: 1, applyRows: 3, applyBytes: 1, segmentBytes: 2000 }));
storeConformance('lmdb, synced to the disk', () => subject({ sync: 'disk' }));
storeConformance('lmdb, with a delay', () => subject({ commitDelayMs: 2 }));
