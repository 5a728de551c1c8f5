/** The store on disk, opened by the configuration. The main thread opens it first, workers join it. */
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { OperatorError } from '../kernel/errors.ts';
import { StoreError } from '../store/errors.ts';
import { openLmdb } from '../store/lmdb/open.ts';
import type { Store } from '../store/store.ts';

export function storePath({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'store');
}

export interface StoreHooks {
  /** Told when changes cannot be brought into place for a while, and with `undefined` when they can again; nothing is lost meanwhile. */
  readonly onTrouble?: (error: Error | undefined) => void;
  readonly gather?: (write: () => void) => void;
}

/**
 * @throws OperatorError with the store's code and what to do.
 */
export async function openStore(config: Config, hooks: StoreHooks = {}): Promise<Store> {
  const { store } = config;
  try {
    return await openLmdb({
      path: storePath(config),
      sync: store.sync,
      commitDelayMs: store.gatherMs,
      ...hooks,
    });
  } catch (error) {
    if (error instanceof StoreError) throw new OperatorError(error.code, error.message, { cause: error });
    throw error;
  }
}
