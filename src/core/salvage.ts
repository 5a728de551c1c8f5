/** What an account's next life takes over from one that has crashed, and whom it has to answer for that. */
import type { KernelEvent } from '../kernel/actor.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { Account } from './account.ts';
import { isStanza, type AccountMessage } from './messages.ts';
import { Session } from './session.ts';
import { beginTrouble } from './store-trouble.ts';

export type FailureCondition = 'internal-server-error' | 'resource-constraint';

/**
 * The same sessions, rebuilt from their identity, and an error for each stanza that went down with it. What the log
 * knows is not taken over: it is loaded, and the connections tell what they have got.
 *
 * @param hasStoreFailed the changes of earlier turns are lost, too: their senders are told.
 */
export function salvage(account: Account, old: Account, crashedAt: AccountMessage | KernelEvent, hasStoreFailed: boolean): void {
  for (const previous of old.sessions) {
    const session = takeOver(previous, old.turnCount, hasStoreFailed);
    account.keepSession(session);
  }
  account.turnCount = old.turnCount + 1;
  account.isTemporary = old.isTemporary;
  account.isCountedIdle = old.isCountedIdle;
  account.storeFailedAtMs = old.storeFailedAtMs;
  if (hasStoreFailed || old.isStoreFailing) beginTrouble(account);
  const lost = new Map<Stanza, FailureCondition>();
  for (const stanza of old.unanswered) lost.set(stanza, 'internal-server-error');
  for (const [stanza, condition] of old.failures ?? []) lost.set(stanza, condition);
  if (hasStoreFailed) {
    for (const { stanza, remote } of old.unsettled.doubtful()) {
      lost.set(stanza, 'resource-constraint'); // RFC 6120 §8.3.3.18
      if (remote !== undefined) account.tellTakenRemote(remote); // it is answered
    }
  } else {
    account.unsettled = old.unsettled;
    account.inbox = old.inbox;
    account.turn.timer('confirm', 0);
  }
  if (crashedAt.kind === 'client_stanza') {
    const session = account.sessionBySid(crashedAt.sid);
    if (session?.taken === crashedAt.number - 1) {
      lost.set(crashedAt.stanza, 'internal-server-error');
      session.taken++; // its turn did not come to that
    }
  } else if (crashedAt.kind === 'remote_message') {
    lost.set(crashedAt.stanza, 'internal-server-error');
    account.tellTakenRemote(crashedAt);
  } else if (isStanza(crashedAt)) {
    lost.set(crashedAt, 'internal-server-error');
  } else if (crashedAt.kind === 'forward' && account.inbox.admit(crashedAt.stanza.from.bare, crashedAt) === 'next') {
    lost.set(crashedAt.stanza, 'internal-server-error');
    account.inbox.arrived(crashedAt.stanza.from.bare, crashedAt.position, crashedAt.atMs);
    account.turn.timer('confirm', 0);
  }
  account.failures = lost;
  for (const { to, message } of old.unsaid.values()) if (message.kind === 'close_stream') account.turn.send(to, message);
}

/**
 * @param failedTurn what was given to the session in that turn never left.
 */
function takeOver(previous: Session, failedTurn: number, hasStoreFailed: boolean): Session {
  const session = new Session(previous.identity, previous.jid, previous.key);
  session.connection = previous.connection;
  session.detachedAtMs = previous.detachedAtMs;
  session.sm = previous.sm;
  session.presence = previous.presence;
  session.priority = previous.priority;
  session.isInterested = previous.isInterested;
  session.taken = previous.taken;
  for (const [id, request] of previous.requests) session.requests.set(id, request);
  session.outbound.isLive = false;
  session.isCountKnown = false;
  session.takesFrom = previous.takesFrom;
  session.hasUnsavedRequests = previous.hasUnsavedRequests;
  session.restoreSlots(previous.keptSlots());
  // What is not in the log. Of turns that are undone only refusals remain true.
  for (const item of previous.outbound.unacked()) {
    const isTrue = item.turn !== failedTurn && (!hasStoreFailed || item.stanza?.type === 'error');
    if (item.position === 0 && isTrue) session.outbound.restore(item);
  }
  for (const item of previous.outbound.waiting) {
    const isTrue = item.turn !== failedTurn && (!hasStoreFailed || item.stanza?.type === 'error');
    if (item.position === 0 && isTrue) session.outbound.wait(item);
  }
  for (const [key, jid] of previous.directed) session.directed.set(key, jid);
  return session;
}

/** Once the account is loaded again. */
export function answerFailures(account: Account): void {
  for (const [stanza, condition] of account.failures ?? []) {
    account.answerFailure(stanza, condition);
    account.unsettled.noteStanza(stanza); // waits for commits like all else; it is given again if one of those fails
  }
  account.failures = undefined;
}
