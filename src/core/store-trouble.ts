/**
 * An account whose changes the store refuses, as on a full disk. It goes on without writing: messages are refused, what other
 * accounts owe it stays with them, nothing more is acknowledged, and what may wait waits. Now and then it tries a row of
 * no importance; when that can be written, everything else follows. XEP-0198 §4, RFC 6120 §8.3.3.18
 */
import { AWAKE } from '../log/segment.ts';
import { Batch } from '../store/store.ts';
import type { Account } from './account.ts';
import type { AccountContext } from './context.ts';

/** Between two tries. */
const PROBE_MS = 2_500;
export const PROBE = 'probe_store';
/**
 * A file's last block has room for a small row on a disk that is full: that it fits would say nothing of the next. Only the journal gets
 * this, since the same batch writes the row anew.
 */
const PADDING = ' '.repeat(16 * 1024);

/** After a crash that a failed commit has caused. */
export function beginTrouble(account: Account): void {
  account.isStoreFailing = true;
  account.turn.timer(PROBE, PROBE_MS);
}

/** The timer. Beside the account's own batches, so that a failure is an answer and no crash. */
export function probe(account: Account): void {
  if (account.isTemporary) return;
  const row = { sinceMs: account.now };
  const batch = new Batch(account.bare).put(AWAKE, [], { ...row, padding: PADDING }).put(AWAKE, [], row);
  const written = account.host.services.store.commit(batch).promise.then(
    () => true,
    () => false,
  );
  account.later(written, (context: AccountContext, isWritten) => {
    const current = context as Account;
    if (isWritten) endTrouble(current);
    else current.turn.timer(PROBE, PROBE_MS);
  });
}

function endTrouble(account: Account): void {
  account.isStoreFailing = false;
  account.isAwake = true;
  account.host.services.log.info('store_recovered', { account: account.bare });
  for (const session of account.sessions) {
    session.isDirty = true;
    account.tellTaken(session, false);
    account.catchUp(session);
  }
  account.handOver();
}
