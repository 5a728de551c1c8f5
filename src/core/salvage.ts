/** What an account's next life takes over from one that has crashed, and whom it has to answer for that. */
import type { KernelEvent } from '../kernel/actor.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { Account } from './account.ts';
import { isStanza, type AccountMessage } from './messages.ts';
import { Session } from './session.ts';
import { beginTrouble } from './store-trouble.ts';

/** Longer than any connection waits for its session. */
const NEWCOMER_MS = 30_000;

export type FailureCondition = 'internal-server-error' | 'resource-constraint';

/**
 * The same sessions, rebuilt from their identity, and an error for each stanza that went down with it. What the log
 * knows is not taken over: it is loaded, and the connections tell what they have got.
 *
 * @param hasStoreFailed the changes of earlier turns are lost, too: their senders are told.
 */
export function salvage(account: Account, old: Account, crashedAt: AccountMessage | KernelEvent, hasStoreFailed: boolean): void {
  for (const previous of old.sessions) {
    const session = takeOver(previous, old.turnCount, hasStoreFailed ? old.unsettled.undoneFrom : Infinity);
    account.keepSession(session);
    tellNewcomer(account, session);
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

/** A connection that has just been given its session, in words that may still wait for a commit, does not watch this actor yet. */
function tellNewcomer(account: Account, { connection, identity }: Session): void {
  if (connection === undefined || account.now - identity.boundAtMs > NEWCOMER_MS) return;
  account.turn.send(connection, { kind: 'account_restarted', sid: identity.sid });
}

/**
 * @param failedTurn what was given to the session in that turn never left.
 * @param undoneFrom of that turn and those behind it only refusals remain true.
 */
function takeOver(previous: Session, failedTurn: number, undoneFrom: number): Session {
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
  // What is not in the log.
  for (const item of previous.outbound.unacked()) {
    const isTrue = item.turn !== failedTurn && (item.turn < undoneFrom || item.stanza?.type === 'error');
    if (item.position === 0 && isTrue) session.outbound.restore(item);
  }
  for (const item of previous.outbound.waiting) {
    const isTrue = item.turn !== failedTurn && (item.turn < undoneFrom || item.stanza?.type === 'error');
    if (item.position === 0 && isTrue) session.outbound.wait(item);
  }
  for (const [key, jid] of previous.directed) session.directed.set(key, jid);
  return session;
}

/** Once the account is loaded again. */
export function answerFailures(account: Account): void {
  for (const [stanza, condition] of account.failures ?? []) {
    account.answerFailure(stanza, condition);
    account.unsettled.answersFor(stanza); // it is said again if the commit of that fails
  }
  account.failures = undefined;
}
