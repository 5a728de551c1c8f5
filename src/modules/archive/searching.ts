/**
 * Looking into messages for a query. Words are sought in the pool, chunk by chunk; the worker only copies rows out of the
 * store. Bounded in every direction: messages per page (`search_messages`), searches at a time, one chunk under way for each.
 */
import type { Host } from '../../core/host.ts';
import type { Sift } from '../../log/reader.ts';
import { siftRows, type SiftFilter, type SiftJob } from '../../log/sift.ts';
import { optionsOf } from './options.ts';

/** What searches need of the pool: `sift` of `src/pool.ts`. */
export interface SiftPool {
  /** Indexes of the rows that match. Rejects where too many jobs wait. */
  sift(job: SiftJob): Promise<number[]>;
}

/** Searches of all accounts of a worker that may be under way at a time: logins share the pool with them. */
const MAX_SEARCHES = 4;
let searches = 0;

/** @returns false where there are too many: to be tried again later. To be ended with `endSearch`. */
export function beginSearch(): boolean {
  if (searches >= MAX_SEARCHES) return false;
  searches++;
  return true;
}

export function endSearch(): void {
  searches--;
}

/** A comparison of addresses alone is quick, and done here. */
export function siftFor(host: Host, filter: SiftFilter): Sift {
  const pool = host.services.pool as Partial<SiftPool>;
  const isHeavy = filter.words !== undefined && pool.sift !== undefined;
  return {
    maxEntries: optionsOf(host).search_messages,
    run: async (rows) => (isHeavy ? pool.sift!({ rows, filter }) : siftRows({ rows, filter })),
  };
}
