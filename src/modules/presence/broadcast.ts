/**
 * Presence to all who may see it: initial (RFC 6121 §4.2), subsequent (§4.4) and unavailable (§4.5).
 * The hot path of a login: one body is shared by all copies, and nobody is looked at who gets none.
 */
import type { AccountContext } from '../../core/context.ts';
import type { Session } from '../../core/session.ts';
import type { StanzaError } from '../../xmpp/stanza-error.ts';
import { makeStanza, type Stanza } from '../../xmpp/stanza.ts';
import { requestStanza, rosterOf } from '../roster/index.ts';
import { noteAbsence } from './absence.ts';
import { isToldByBroadcast } from './directed.ts';
import { forgetPresence, lastPresence, notePresence } from './last-presence.ts';
import { readPriority } from './priority.ts';

/** The client says to all that it is available, for the first time or again. */
export function broadcastAvailable(stanza: Stanza, account: AccountContext, session: Session): true | StanzaError {
  const priority = readPriority(stanza);
  if (typeof priority !== 'number') return priority;
  const isInitial = !session.isAvailable;
  notePresence(session, stanza, priority, account.now);
  toSubscribers(account, stanza);
  toOwnResources(account, stanza);
  if (isInitial) {
    showOwnResources(account, session);
    deliverRequests(account, session);
    probeContacts(account, session);
    repeatRequests(account);
  }
  account.host.hooks.emit('session_presence', account, session);
  if (isInitial) account.host.hooks.emit('session_available', account, session);
  return true;
}

/**
 * A session goes on whose account was loaded anew: what its client was shown may be old, and so may be what others know of it.
 * XEP-0198 §5: the client itself does not say it again.
 */
export function refreshPresence(account: AccountContext, session: Session): void {
  const { presence } = session;
  if (presence === undefined) return;
  toSubscribers(account, presence);
  showOwnResources(account, session);
  probeContacts(account, session);
}

/** The client says to all that it is not available any more; it stays connected. §4.5.2 */
export function broadcastUnavailable(stanza: Stanza, account: AccountContext, session: Session): true {
  const wasAvailable = session.isAvailable;
  if (wasAvailable) {
    toSubscribers(account, stanza);
    toOwnResources(account, stanza);
  }
  toDirected(account, session, stanza);
  session.directed.clear();
  if (!wasAvailable) return true;
  forgetPresence(session);
  noteAbsence(account);
  account.host.hooks.emit('session_presence', account, session);
  return true;
}

/** The session ends without having said so itself: §4.5.2, "on the user's behalf". It is no longer among the account's. */
export function sayUnavailable(account: AccountContext, session: Session): void {
  if (!session.isAvailable && session.directed.size === 0) return;
  const stanza = makeStanza({ kind: 'presence', type: 'unavailable', from: session.jid, to: account.jid });
  if (session.isAvailable) {
    toSubscribers(account, stanza);
    toOwnResources(account, stanza);
    noteAbsence(account);
  }
  toDirected(account, session, stanza);
}

/** To contacts with `from` or `both`. §4.2.2, §4.4.2, §4.5.2 */
function toSubscribers(account: AccountContext, stanza: Stanza): void {
  const { from } = stanza;
  for (const contact of rosterOf(account).subscribers.values()) account.route(stanza.readdressed(from, contact));
}

/** To all available resources, the sender included: one is subscribed to oneself. §4.2.2 */
function toOwnResources(account: AccountContext, stanza: Stanza): void {
  for (const each of account.sessions) if (each.isAvailable) account.push(each, stanza);
}

/** To those who were told of this resource alone. §4.6.3 */
function toDirected(account: AccountContext, session: Session, stanza: Stanza): void {
  for (const to of session.directed.values()) {
    if (!isToldByBroadcast(account, session, to)) account.route(stanza.readdressed(session.jid, to));
  }
}

/** A new resource learns of its siblings, as a probe of the account to itself would show. §4.2.2, §4.3.2 */
function showOwnResources(account: AccountContext, session: Session): void {
  for (const each of account.sessions) {
    if (each.isAvailable && each !== session) account.push(session, lastPresence(each).readdressed(each.jid, session.jid));
  }
}

/** Requests the user has not answered come with each new available resource. §3.1.3 */
function deliverRequests(account: AccountContext, session: Session): void {
  for (const { from, request } of rosterOf(account).requests.values()) account.push(session, requestStanza(request, from, account.jid));
}

/**
 * §4.3.1. To an account of this host a probe is only an internal question, so it names the resource that
 * wants to know: the others have the answer already.
 */
function probeContacts(account: AccountContext, session: Session): void {
  for (const to of rosterOf(account).subscriptions.values()) {
    const from = to.domain === account.host.domain ? session.jid : account.jid;
    account.route(makeStanza({ kind: 'presence', type: 'probe', from, to }));
  }
}

/** What was lost on the way is asked again. §3.1.2, last paragraph */
function repeatRequests(account: AccountContext): void {
  for (const { ask, jid } of rosterOf(account).items.values()) {
    if (ask) account.route(makeStanza({ kind: 'presence', type: 'subscribe', from: account.jid, to: jid }));
  }
}
