/** Trims the account's log, a segment per turn, until nothing more may go. `log/trim.ts` says what that is. */
import type { AccountContext } from '../../core/context.ts';
import { applyTrim, planTrim } from '../../log/trim.ts';
import { trimPolicyOf } from './options.ts';
import { ARCHIVE } from './state.ts';

/** Begins, unless it is under way. */
export function trim(account: AccountContext): void {
  const state = account.state(ARCHIVE);
  if (state.isTrimming || account.isTemporary) return;
  state.isTrimming = true;
  step(account);
}

function step(account: AccountContext): void {
  const { host, bare, log, now } = account;
  const policy = trimPolicyOf(host)!;
  const plan = planTrim({ store: host.services.store, bare, bytes: log.bytes, nowMs: now }, policy).catch((error: unknown) => {
    host.services.log.warn('archive_trim_failed', { account: bare, error: error instanceof Error ? error.stack : String(error) });
    return undefined; // the next segment, or the next day, tries again
  });
  account.later(plan, (current, planned) => {
    if (planned === undefined) {
      current.state(ARCHIVE).isTrimming = false;
      return;
    }
    applyTrim(planned, current.log, current);
    step(current);
  });
}
