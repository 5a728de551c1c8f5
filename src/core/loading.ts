/** What an account finds in the store when it is loaded: its log, and sessions whose clients may come back. */
import type { LogEntry } from '../log/entry.ts';
import { AccountLog } from '../log/log.ts';
import type { Account } from './account.ts';
import { expiryTimer } from './ending.ts';
import { FORWARD_CHECK_MS } from './forwarding.ts';
import { sayForwardsAgain } from './forwarding-again.ts';
import type { Loaded } from './image.ts';
import { Pending } from './pending.ts';
import { answerFailures } from './salvage.ts';
import { replayEntry, restoreSession } from './session-rows.ts';

/** Takes over what the store had. Sessions that have survived in memory are there already. */
export function takeIn(account: Account, loaded: Loaded): void {
  const { row, log, pending, ended, isAwake } = loaded;
  account.row = row;
  account.slots = loaded.slots;
  account.log = new AccountLog(log);
  account.pending = new Pending(pending);
  account.isAwake = isAwake;
  for (const { key, value } of ended) account.ended.set(key[0] as number, value);
  noteTaken(account, loaded);
  takeInSessions(account, loaded);
  if (isAwake) oweMessages(account, log.tail);
  answerFailures(account);
  // What a failed turn said of it is lost; without it a connection would wait for ever.
  for (const session of account.sessions) account.tellTaken(session, false);
  account.handOver();
}

function takeInSessions(account: Account, loaded: Loaded): void {
  const { sessions, log } = loaded;
  const { now, host, turn } = account;
  for (const { key, value } of sessions) {
    const number = key[0] as number;
    const existing = [...account.sessions].find((each) => each.key === number);
    const session = restoreSession(value, number, account.jid, account.environment.jidOf, existing);
    for (const entry of log.tail) if (entry.position >= value.until) replayEntry(session, entry, existing === undefined);
    session.savedTaken = Math.max(value.taken, account.takenByKey.get(number) ?? 0); // whatever the memory knows
    session.taken = Math.max(session.taken, session.savedTaken);
    if (existing !== undefined) continue;
    // One that had a connection when the server ended waits from now on: nobody was there to come back to.
    session.detachedAtMs = Math.max(session.detachedAtMs ?? now, host.startedAtMs);
    account.addSession(session);
  }
  for (const session of account.sessions) {
    const { sm, detachedAtMs, connection } = session;
    if (sm === undefined) continue;
    if (connection === undefined) turn.timer(expiryTimer(session), Math.max(0, detachedAtMs! + sm.maxMs - now));
    else if (!sessions.some(({ key }) => key[0] === session.key)) session.isDirty = true; // its row is gone with a commit that failed
  }
}

/** How far sessions had come, with rows or without. */
function noteTaken(account: Account, { taken, log }: Loaded): void {
  for (const { origin } of log.tail) if (origin !== undefined) account.takenByKey.set(origin.session, origin.taken);
  for (const { key, value } of taken) {
    const number = key[0] as number;
    account.takenByKey.set(number, Math.max(value, account.takenByKey.get(number) ?? 0));
    account.takenRows.add(number);
  }
}

/** A crash may have come between a message's way into this log and into the recipient's. */
function oweMessages(account: Account, tail: readonly LogEntry[]): void {
  const last = tail.findLast(({ direction }) => direction === 'out');
  if (last === undefined) return;
  const { router } = account.environment;
  const owed = tail.filter(
    ({ direction, position, stanza, isTombstone }) =>
      direction === 'out' && position >= last.settledBelow && !isTombstone && router.debtorOf(stanza.to) !== undefined,
  );
  if (owed.length === 0) return;
  account.outbox.restore(owed, ({ to }) => router.debtorOf(to)!, account.now);
  account.outbox.tick(account.now);
  sayForwardsAgain(account);
  account.turn.timer('forward', FORWARD_CHECK_MS);
}
