/** Looks through all accounts for logs that want trimming, of accounts that nobody loads. Once a day is enough. */
import { setTimeout } from 'node:timers/promises';
import type { Host } from '../core/host.ts';
import { LOG_STATE } from '../log/segment.ts';
import { isTrimDue } from '../log/trim.ts';
import type { Store } from '../store/store.ts';
import type { BareJid } from '../xmpp/jid.ts';

/** Accounts looked at before others get a turn, and for how long. */
const CHUNK = 100;
const PAUSE_MS = 20;

export interface SweepOptions {
  readonly store: Store;
  readonly hostOf: (domain: string) => Host | undefined;
  /** Sends the account a `wake`, wherever it lives. It trims itself. */
  readonly wake: (bare: BareJid) => void;
  readonly nowMs: number;
  /** Ends the sweep between two accounts. */
  readonly signal?: AbortSignal;
}

/** @returns how many accounts were woken. */
export async function sweepLogs({ store, hostOf, wake, nowMs, signal }: SweepOptions): Promise<number> {
  let woken = 0;
  for (let after: string | undefined; ;) {
    const accounts = await store.partitions(LOG_STATE, after, CHUNK);
    for (const bare of accounts) {
      if (signal?.aborted === true) return woken;
      const host = hostOf(bare.slice(bare.indexOf('@') + 1));
      const policy = host?.trimPolicy();
      if (policy === undefined || !(await isTrimDue(store, bare, nowMs, policy))) continue;
      wake(bare as BareJid);
      woken++;
    }
    if (accounts.length < CHUNK) return woken;
    after = accounts.at(-1)!;
    await setTimeout(PAUSE_MS);
  }
}
