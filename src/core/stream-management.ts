/** Stream management as the account sees it: begin, acknowledge, detach, resume, expire. XEP-0198 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { StanzaError, stanzaErrorElement } from '../xmpp/stanza-error.ts';
import { makeStanza } from '../xmpp/stanza.ts';
import type { Account } from './account.ts';
import { expiryTimer, wrapped } from './ending.ts';
import type { CloseReason, Ready, Resume, ResumeAnswer, SmAck, SmAnswer, SmEnable } from './messages.ts';
import { RESUMABLE_REASONS } from './messages.ts';
import type { Item } from './outbound.ts';
import type { Session } from './session.ts';

/** §3 */
export function enable(account: Account, { replyTo, sid, isResumable, maxSeconds, base }: SmEnable): void {
  const { turn, host } = account;
  const session = account.sessionBySid(sid);
  if (session === undefined || (account.isStoreFailing && session.sm === undefined)) {
    turn.reply(replyTo, { ok: false } satisfies SmAnswer);
    return;
  }
  if (session.sm !== undefined) {
    // The connection has crashed before it heard the answer.
    const maxSeconds = Math.floor(session.sm.maxMs / 1_000);
    turn.reply(replyTo, { ok: true, token: session.sm.token, maxSeconds, base: session.sm.base } satisfies SmAnswer);
    return;
  }
  const { resumeMs } = host.config.c2s;
  const maxMs = maxSeconds === undefined ? resumeMs : Math.min(resumeMs, maxSeconds * 1_000);
  // An account that goes with its session leaves nothing to come back to.
  const token = isResumable && maxMs > 0 && !account.isTemporary ? randomBytes(24).toString('base64url') : undefined;
  session.sm = { token, maxMs: token === undefined ? 0 : maxMs, base };
  session.isDirty = true;
  account.stayAwake();
  turn.reply(replyTo, { ok: true, token, maxSeconds: Math.floor(maxMs / 1_000), base } satisfies SmAnswer);
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
  const { turn } = account;
  const session = sessionOf(account, token);
  if (session === undefined) {
    turn.reply(replyTo, { ok: false, condition: 'item-not-found', h: endedCount(account, token) } satisfies ResumeAnswer);
    return;
  }
  const sm = session.sm!;
  const { outbound } = session;
  // What is said now must be known after any crash; what was only refused meanwhile comes again.
  if (account.isStoreFailing) session.taken = Math.min(session.taken, session.savedTaken);
  const taken = wrapped(session.taken - sm.base);
  const acked = outbound.unwrap(h, !session.isCountKnown);
  if (acked === undefined) {
    const sent = wrapped(outbound.sent);
    turn.reply(replyTo, { ok: false, condition: 'handled-count-too-high', h: taken, sent } satisfies ResumeAnswer);
    return;
  }
  // Half-open: the client knows better. Its own connection may have had to ask twice.
  if (session.sid !== identity.sid) account.closeStream(session, 'conflict');
  account.moveSession(session, identity);
  turn.cancelTimer(expiryTimer(session));
  if (acked > outbound.sent) outbound.sent = acked;
  outbound.ack(acked, (item) => noteAcked(session, item));
  const answer = { ok: true, resource: session.jid.resource, account: turn.self, taken: session.taken, base: sm.base, seq: acked } as const;
  turn.reply(replyTo, answer satisfies ResumeAnswer);
  goOn(account, session, acked);
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
