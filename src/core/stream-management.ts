/** Stream management as the account sees it: begin, acknowledge, detach, resume, expire. XEP-0198 */
import { timingSafeEqual } from 'node:crypto';
import { randomText } from '../sasl/random.ts';
import { StanzaError, stanzaErrorElement } from '../xmpp/stanza-error.ts';
import { makeStanza } from '../xmpp/stanza.ts';
import type { Account } from './account.ts';
import { expiryTimer, wrapped } from './ending.ts';
import type { CloseReason, Ready, Resume, ResumeAnswer, SessionIdentity, SmAck, SmAnswer, SmEnable } from './messages.ts';
import { RESUMABLE_REASONS } from './messages.ts';
import type { Item } from './outbound.ts';
import type { Session } from './session.ts';

/** §3 */
export function enable(account: Account, { replyTo, sid, isResumable, maxSeconds, base }: SmEnable): void {
  const session = account.sessionBySid(sid);
  const answer = session === undefined ? REFUSED : enableFor(account, session, { isResumable, maxSeconds }, base);
  account.turn.reply(replyTo, answer);
}

const REFUSED: SmAnswer = { ok: false };

/** From now on what the session is sent is numbered, from 1. */
export function enableFor(
  account: Account,
  session: Session,
  { isResumable, maxSeconds }: Pick<SmEnable, 'isResumable' | 'maxSeconds'>,
  base: number,
): SmAnswer {
  if (account.isStoreFailing && session.sm === undefined) return REFUSED;
  if (session.sm !== undefined) {
    // The connection has crashed before it heard the answer.
    return { ok: true, token: session.sm.token, maxSeconds: Math.floor(session.sm.maxMs / 1_000), base: session.sm.base };
  }
  const { resumeMs } = account.host.config.c2s;
  const maxMs = maxSeconds === undefined ? resumeMs : Math.min(resumeMs, maxSeconds * 1_000);
  // An account that goes with its session leaves nothing to come back to.
  const token = isResumable && maxMs > 0 && !account.isTemporary ? randomText(24) : undefined;
  session.sm = { token, maxMs: token === undefined ? 0 : maxMs, base };
  session.isDirty = true;
  account.stayAwake();
  return { ok: true, token, maxSeconds: Math.floor(maxMs / 1_000), base };
}

/** §4: the connection has compared `seq` with what it has sent. */
export function acknowledge(account: Account, { sid, seq }: SmAck): void {
  const session = account.sessionBySid(sid);
  if (session?.sm === undefined || seq > session.outbound.sent) return;
  session.outbound.ack(seq, (item) => noteAcked(session, item));
  if (!session.isAwaitingAck) return;
  session.isAwaitingAck = false;
  account.catchUp(session);
}

/** The client has it: an answer need not be given again. */
function noteAcked(session: Session, { stanza, seq }: Item): void {
  if (stanza !== undefined) session.noteAnswer(stanza, seq);
}

/** The connection is over for a reason of its own: the session waits. §5. False where it does not. */
export function detachIfResumable(account: Account, session: Session, reason: CloseReason): boolean {
  if (session.sm?.token === undefined || !RESUMABLE_REASONS.has(reason)) return false;
  detach(account, session);
  return true;
}

export function detach(account: Account, session: Session): void {
  account.leaveConnection(session);
  if (session.sm?.token === undefined) {
    account.dropSession(session, 'slow_consumer');
    return;
  }
  const { outbound } = session;
  outbound.isLive = false;
  outbound.shrink();
  session.generation++;
  session.isBusy = false;
  session.detachedAtMs = account.now;
  session.isDirty = true;
  if (account.pending.reader === session) account.pending.reader = undefined;
  account.turn.timer(expiryTimer(session), session.sm.maxMs);
  account.host.hooks.emit('session_detached', account, session);
  account.handOver();
}

/** §5 */
export function resume(account: Account, { replyTo, token, h, identity }: Resume): void {
  const { answer, goOn: next } = takeUp(account, identity, token, h);
  account.turn.reply(replyTo, answer);
  next?.();
}

/**
 * Gives a session to another connection.
 *
 * @returns what that connection is to be told, and what is to follow then: what the client lacks is sent.
 */
export function takeUp(
  account: Account,
  identity: SessionIdentity,
  token: string,
  h: number,
): { readonly answer: ResumeAnswer; readonly goOn?: () => void } {
  const session = sessionOf(account, token);
  // Whose client has said which one it is goes on with that client only.
  if (session === undefined || (session.identity.client !== undefined && session.identity.client !== identity.client)) {
    return { answer: { ok: false, condition: 'item-not-found', h: endedCount(account, token) } };
  }
  const sm = session.sm!;
  const { outbound } = session;
  // What is said now must be known after any crash; what was only refused meanwhile comes again.
  if (account.isStoreFailing) session.taken = Math.min(session.taken, session.savedTaken);
  const taken = wrapped(session.taken - sm.base);
  const acked = outbound.unwrap(h, !session.isCountKnown);
  if (acked === undefined) return { answer: { ok: false, condition: 'handled-count-too-high', h: taken, sent: wrapped(outbound.sent) } };
  // Half-open: the client knows better. Its own connection may have had to ask twice.
  if (session.sid !== identity.sid) account.closeStream(session, 'conflict');
  account.moveSession(session, identity);
  account.turn.cancelTimer(expiryTimer(session));
  if (acked > outbound.sent) outbound.sent = acked;
  outbound.ack(acked, (item) => noteAcked(session, item));
  const { jid } = session;
  return {
    answer: { ok: true, resource: jid.resource, account: account.turn.self, taken: session.taken, base: sm.base, seq: acked },
    goOn: () => goOn(account, session, acked),
  };
}

/** The connection has found the account again. */
export function ready(account: Account, { sid, received, acked }: Ready): void {
  const session = account.sessionBySid(sid);
  if (session === undefined) return;
  const { outbound } = session;
  if (received > outbound.sent) outbound.sent = received; // what was not in the log nobody wrote down
  outbound.ack(Math.min(acked, received), (item) => noteAcked(session, item));
  goOn(account, session, received);
}

/** Sends what the client has not got after `received`, then lives on. */
function goOn(account: Account, session: Session, received: number): void {
  const { outbound, isRestored } = session;
  outbound.isLive = false;
  answerLost(account, session, received);
  outbound.rebase(received);
  session.generation++;
  session.isBusy = session.isAwaitingAck = false;
  session.isDirty = true;
  session.isRestored = false;
  session.isCountKnown = true;
  account.catchUp(session);
  account.host.hooks.emit('session_resumed', account, session, isRestored);
  account.handOver();
}

/** The time is over. §5 */
export function expire(account: Account, name: string): boolean {
  if (!name.startsWith('expire:')) return false;
  for (const session of account.sessions) {
    if (expiryTimer(session) !== name || session.connection !== undefined) continue;
    account.dropSession(session, 'client_gone');
    break;
  }
  return true;
}

/** Tokens are secrets: how much of one was right must not be seen from the time it took. */
function sessionOf(account: Account, token: string): Session | undefined {
  let found: Session | undefined;
  for (const session of account.sessions) if (isSame(session.sm?.token, token)) found = session;
  return found;
}

function endedCount(account: Account, token: string): number | undefined {
  for (const row of account.ended.values()) if (isSame(row.token, token)) return row.h;
  return undefined;
}

function isSame(mine: string | undefined, theirs: string): boolean {
  if (mine === undefined) return false;
  const a = Buffer.from(mine);
  const b = Buffer.from(theirs);
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * Requests whose answers the client has not got and that are not there any more: it must not wait for ever. Of those that
 * are not answered yet only a restored session's are lost, with what was to answer them.
 *
 * @param received number of the last stanza the client has.
 */
function answerLost(account: Account, session: Session, received: number): void {
  if (session.requests.size === 0) return;
  const kept = new Set<string | undefined>();
  for (const { stanza } of session.outbound.unacked()) if (stanza?.kind === 'iq') kept.add(stanza.id);
  for (const { id, to, seq } of [...session.requests.values()]) {
    const isLost = seq > received ? !kept.has(id) : seq === 0 && session.isRestored;
    if (isLost) answerWithError(account, session, id, to);
    else if (session.isRestored) session.requests.delete(id); // the client has it
  }
}

function answerWithError(account: Account, session: Session, id: string, to: string): void {
  session.requests.delete(id);
  const from = account.environment.jidOf(to);
  const error = stanzaErrorElement(new StanzaError('internal-server-error', 'The answer was lost when the server was restarted'));
  account.push(session, makeStanza({ kind: 'iq', type: 'error', id, from, to: session.jid }, error));
}
