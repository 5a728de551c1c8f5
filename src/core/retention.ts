/** Trims an account's log, a segment per turn, until nothing more may go. `log/trim.ts` says what that is. */
import { setTimeout } from 'node:timers/promises';
import { applyTrim, GRACE_MS, planTrim } from '../log/trim.ts';
import type { Account } from './account.ts';

/** Segments trimmed in a row, and the pause after them: what is deleted costs every read of the account until the store has applied it. */
const STEPS_IN_A_ROW = 8;
const PAUSE_MS = 1_000;

/**
 * Begins, unless it is under way. Not soon after a start, however old the messages are: until those that a crash interrupted
 * have arrived again, the log has to know which it has.
 */
export function trim(account: Account): void {
  if (account.now - account.host.startedAtMs < GRACE_MS) return;
  if (account.isTrimming || account.isTemporary) return;
  account.isTrimming = true;
  step(account, 1);
}

function step(account: Account, inRow: number): void {
  const { host, bare, log, now } = account;
  const view = { store: host.services.store, bare, bytes: log.bytes, nowMs: now };
  const plan = planTrim(view, host.trimPolicy()).catch((error: unknown) => {
    host.services.log.warn('log_trim_failed', { account: bare, error: error instanceof Error ? error.stack : String(error) });
    return undefined; // the next segment, or the next day, tries again
  });
  account.later(plan, (context, planned) => {
    const current = context as Account;
    if (planned === undefined) {
      current.isTrimming = false;
      return;
    }
    applyTrim(planned, current.log, current);
    if (inRow < STEPS_IN_A_ROW) step(current, inRow + 1);
    else current.later(setTimeout(PAUSE_MS, undefined, { ref: false }), (next) => step(next as Account, 1));
  });
}
