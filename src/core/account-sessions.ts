/** How sessions come to an account and leave it: binding, coming back after a loss, being closed. */
import type { ActorRef, ReplyTo } from '../kernel/actor.ts';
import type { Account } from './account.ts';
import type { Attach, Bind, BindAnswer, CloseReason, SessionIdentity, Unbind } from './messages.ts';
import { randomResource } from './resource.ts';
import { expiryTimer } from './ending.ts';
import { Session } from './session.ts';
import { detachIfResumable } from './stream-management.ts';

export function bind(account: Account, { identity, resource, replyTo, isAnonymous }: Bind): void {
  if (!isWelcome(account, isAnonymous)) {
    refuse(account, replyTo, 'not-allowed');
    return;
  }
  const session = openSession(account, identity, resource);
  if (typeof session === 'string') {
    refuse(account, replyTo, session);
    return;
  }
  welcome(account, replyTo, session, true);
  account.host.hooks.emit('session_opened', account, session);
}

/**
 * A session for that connection; whoever wants one has been let in. Modules are to be told of it when it has been answered for.
 *
 * @param wanted normalised; undefined lets the server choose.
 * @returns why there can be none.
 */
export function openSession(
  account: Account,
  identity: SessionIdentity,
  wanted: string | undefined,
): Session | 'conflict' | 'resource-constraint' {
  // One whose answer did not reach the connection in time: a connection has one session.
  const forgotten = sessionOf(account, identity.connection);
  if (forgotten !== undefined) account.dropSession(forgotten, 'client_gone');
  const resource = freeResource(account, wanted ?? randomResource());
  if (resource === undefined) return 'conflict'; // RFC 6120 §7.7.2.2
  if (account.sessionCount >= account.host.config.limits.sessionsPerAccount) dropOldestDetached(account);
  if (account.sessionCount >= account.host.config.limits.sessionsPerAccount) return 'resource-constraint'; // RFC 6120 §7.6.2.1
  const jid = account.jid.withResource(resource);
  if (jid === undefined) throw new Error('a resource was not normalised');
  const session = new Session(identity, jid);
  account.addSession(session);
  session.isDirty = true;
  return session;
}

/** The resource that is to be, after whoever has it was dealt with; undefined where it cannot be had. */
function freeResource(account: Account, wanted: string): string | undefined {
  const holder = account.session(wanted);
  if (holder === undefined) return wanted;
  switch (account.host.config.c2s.resourceConflict) {
    case 'refuse':
      if (holder.connection !== undefined) return undefined;
      account.close(holder, 'conflict'); // nobody is there to be disturbed
      return wanted;
    case 'rename':
      return randomResource();
    case 'replace':
      account.close(holder, 'conflict');
      return wanted;
  }
}

/** The connection found its account restarted or gone (its worker died) and brings the session back. */
export function attach(account: Account, event: Attach): void {
  const { identity, resource, replyTo, isAnonymous, isInterested, directed, token } = event;
  if (!isWelcome(account, isAnonymous)) {
    refuse(account, replyTo, 'not-allowed');
    return;
  }
  const holder = account.session(resource);
  if (holder !== undefined) {
    const isSame = holder.sid === identity.sid;
    if (isSame && holder.connection !== undefined) {
      holder.outbound.isLive = false; // until the connection says what it has
      welcome(account, replyTo, holder, false);
    } else if (isSame || (token !== undefined && holder.sm?.token === token && holder.connection === undefined)) {
      account.moveSession(holder, identity); // it was restored from the store
      holder.taken = Math.max(holder.taken, event.taken); // what it was told was taken, kept or refused
      account.turn.cancelTimer(expiryTimer(holder));
      welcome(account, replyTo, holder, false);
    } else {
      refuse(account, replyTo, 'conflict');
    }
    return;
  }
  if (token !== undefined) {
    refuse(account, replyTo, 'not-allowed'); // its time is over
    return;
  }
  const session = new Session(identity, account.jid.withResource(resource)!);
  session.taken = Math.max(event.taken, account.takenByKey.get(session.key) ?? 0);
  session.isInterested = isInterested;
  for (const text of directed) session.directed.set(text, account.environment.jidOf(text));
  account.addSession(session);
  welcome(account, replyTo, session, true);
}

export function unbind(account: Account, { sid, reason, replyTo }: Unbind): void {
  const session = account.sessionBySid(sid);
  if (session !== undefined && !detachIfResumable(account, session, reason)) account.dropSession(session, reason);
  if (replyTo !== undefined) account.turn.reply(replyTo, true);
  removeIfTemporary(account);
}

export function connectionDown(account: Account, ref: ActorRef): void {
  const session = sessionOf(account, ref);
  if (session !== undefined && !detachIfResumable(account, session, 'client_gone')) account.dropSession(session, 'client_gone');
  removeIfTemporary(account);
}

/** Closes all sessions, or the one of that resource; how many. */
export function closeAll(account: Account, reason: CloseReason, resource?: string): number {
  let count = 0;
  for (const session of [...account.sessions]) {
    if (resource !== undefined && session.jid.resource !== resource) continue;
    account.close(session, reason);
    count++;
  }
  return count;
}

/** XEP-0175: gone with its session. */
function removeIfTemporary(account: Account): void {
  if (account.isTemporary && !account.hasSessions) account.remove();
}

function sessionOf(account: Account, { id, worker }: ActorRef): Session | undefined {
  for (const session of account.sessions) {
    const { connection } = session;
    if (connection !== undefined && connection.id === id && connection.worker === worker) return session;
  }
  return undefined;
}

/** A client that is there comes before one that may come back. */
function dropOldestDetached(account: Account): void {
  let oldest: Session | undefined;
  for (const session of account.sessions) {
    if (session.connection === undefined && (oldest === undefined || session.detachedAtMs! < oldest.detachedAtMs!)) oldest = session;
  }
  if (oldest !== undefined) account.dropSession(oldest, 'conflict');
}

/** Whether a client of the account may have a session. */
export function isWelcome({ isTemporary, row }: Account, isAnonymous: boolean): boolean {
  return isAnonymous ? isTemporary : (row?.isEnabled ?? false);
}

function welcome({ turn }: Account, replyTo: ReplyTo, session: Session, isNew: boolean): void {
  const { jid, taken } = session;
  session.isDirty = true; // what is said to be taken must be known after any crash
  turn.reply(replyTo, { ok: true, resource: jid.resource, account: turn.self, isNew, taken } satisfies BindAnswer);
}

function refuse({ turn }: Account, replyTo: ReplyTo, condition: Extract<BindAnswer, { ok: false }>['condition']): void {
  turn.reply(replyTo, { ok: false, condition } satisfies BindAnswer);
}
