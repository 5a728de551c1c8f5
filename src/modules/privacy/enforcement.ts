/**
 * Where privacy lists hold: what comes in, what clients send, and what the account itself says in its user's name. For an account
 * without lists each of these is one look at its state. XEP-0016 §2.14, XEP-0191 §3.3
 */
import type { AccountContext } from '../../core/context.ts';
import { DROP } from '../../core/hooks.ts';
import type { Session } from '../../core/session.ts';
import { el } from '../../xml/element.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { rosterOf } from '../roster/index.ts';
import { trafficOf, type PrivacyList } from './list.ts';
import { activeName, listFor, privacyOf, type Privacy } from './state.ts';

const BLOCKED = el('blocked', 'urn:xmpp:blocking:errors');

/** What comes from others. `session`: the one whose full JID is addressed. */
export function filterIncoming(stanza: Stanza, account: AccountContext, session: Session | undefined): Stanza | StanzaError | typeof DROP {
  const privacy = privacyOf(account);
  if (privacy.lists.size === 0) return stanza;
  if (!isDeniedIn(account, privacy, stanza, session) || mayReachOther(account, privacy, stanza, session)) return stanza;
  switch (stanza.kind) {
    case 'presence':
      return DROP; // "the server MUST NOT respond"
    case 'message':
      // A room that is answered with an error would put the user out; nobody waits for word of the others.
      return stanza.type === 'chat' || stanza.type === 'normal' ? new StanzaError('service-unavailable') : DROP;
    case 'iq':
      return stanza.type === 'get' || stanza.type === 'set' ? new StanzaError('service-unavailable') : DROP;
  }
}

/** What clients of the account send. */
export function filterOutgoing(stanza: Stanza, account: AccountContext, session: Session | undefined): Stanza | StanzaError {
  const privacy = privacyOf(account);
  if (privacy.lists.size === 0) return stanza;
  const list = listFor(privacy, session);
  if (list === undefined || !isDenied(account, list, stanza, stanza.to, false)) return stanza;
  const appCondition = list.blocks(stanza.to) ? BLOCKED : undefined;
  return new StanzaError('not-acceptable', undefined, { type: 'cancel', appCondition });
}

/**
 * What the account itself sends: presence of its sessions, answers to probes, notifications. Errors and answers to what was let in
 * pass, so that who is blocked is told what the rules say.
 */
export function keepIn(account: AccountContext, stanza: Stanza): boolean {
  const privacy = privacyOf(account);
  if (privacy.lists.size === 0 || stanza.type === 'error' || stanza.type === 'result') return false;
  if (stanza.from.bare !== account.bare) return false; // the server's own words
  const { resource } = stanza.from;
  const list = listFor(privacy, resource === '' ? undefined : account.session(resource));
  return list !== undefined && isDenied(account, list, stanza, stanza.to, false);
}

/** A session with a list of its own may be given less than the account, or more. */
export function keepFromSession(account: AccountContext, session: Session, stanza: Stanza): boolean {
  const privacy = privacyOf(account);
  if (privacy.lists.size === 0 || !hasActiveLists(account, privacy)) return false;
  const list = listFor(privacy, session);
  return list !== undefined && isDenied(account, list, stanza, stanza.from, true);
}

function isDeniedIn(account: AccountContext, privacy: Privacy, stanza: Stanza, session?: Session): boolean {
  const list = listFor(privacy, session);
  return list !== undefined && isDenied(account, list, stanza, stanza.from, true);
}

/** For the account as a whole: a session may have a list under which it is to be given what the default list denies. XEP-0191 §5 */
function mayReachOther(account: AccountContext, privacy: Privacy, stanza: Stanza, session: Session | undefined): boolean {
  if (session !== undefined || stanza.kind === 'iq') return false;
  for (const each of account.sessions) {
    if (activeName(privacy, each) !== undefined && !isDeniedIn(account, privacy, stanza, each)) return true;
  }
  return false;
}

function hasActiveLists(account: AccountContext, privacy: Privacy): boolean {
  for (const session of account.sessions) if (activeName(privacy, session) !== undefined) return true;
  return false;
}

function isDenied(account: AccountContext, list: PrivacyList, stanza: Stanza, peer: Jid, isIncoming: boolean): boolean {
  if (isExempt(account, peer)) return false;
  return list.denies(peer, trafficOf(stanza, isIncoming), rosterOf(account));
}

/** XEP-0016 §2.1: never the user's own resources; and never the server, which speaks for the account. */
function isExempt({ bare, host }: AccountContext, peer: Jid): boolean {
  return peer.bare === bare || peer.bare === host.domain;
}
