/** Messages to others that may not have arrived are read from the log and said again: see `forwarding.ts`. */
import { entriesAt } from '../log/walk.ts';
import type { Account } from './account.ts';

/** What is due; whatever becomes due while the log is read follows by itself. */
export function sayForwardsAgain(account: Account): void {
  const wanted = account.outbox.wanted();
  if (wanted.length === 0) return;
  const positions = wanted.flatMap((each) => each.positions).toSorted((a, b) => a - b);
  const { store, log } = account.host.services;
  const reading = entriesAt(store, account.bare, positions).catch((error: unknown) => {
    log.warn('log_unreadable', { account: account.bare, error: String(error) });
    return undefined;
  });
  account.later(reading, (context, entries) => {
    const current = context as Account;
    if (entries === undefined) {
      current.outbox.unread(); // it is tried again when they are due again
      return;
    }
    current.outbox.sayAgain(current.turn, current.bare, wanted, entries);
    sayForwardsAgain(current);
  });
}
