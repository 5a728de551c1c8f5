/**
 * Erasing a partition that may have more rows than one transaction should delete. The first transaction leaves a note, the
 * last one takes it away: whoever opens the store in between, after a crash or from a backup, goes on.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { endOfPrefix } from '../tuple.ts';
import type { Packed } from '../tuple.ts';
import { ERASE_KEYS } from './env.ts';
import type { Env } from './env.ts';

/** Deleted in one transaction, some 20 milliseconds' worth. */
const ROWS_PER_TRANSACTION = 5_000;

/** Within a transaction. False if it needs another one; until then nothing may be put into the partition. */
export function eraseSome(env: Env, partition: Packed): boolean {
  const isDone = env.deleteRange(partition, endOfPrefix(partition), ROWS_PER_TRANSACTION);
  if (isDone) env.delete(ERASE_KEYS + partition);
  else env.putJson(ERASE_KEYS + partition, true);
  return isDone;
}

/** Goes on with what was begun. Before anything else is written. */
export async function finishErasures(env: Env): Promise<void> {
  const begun = [...env.keys(ERASE_KEYS, endOfPrefix(ERASE_KEYS), Infinity)].map((key) => key.slice(ERASE_KEYS.length));
  for (const partition of begun) {
    for (let isDone = false; !isDone; await nextTurn()) {
      env.transaction(() => {
        isDone = eraseSome(env, partition);
      });
    }
  }
}
