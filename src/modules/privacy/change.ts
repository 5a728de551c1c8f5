/**
 * Changes to privacy lists. Who may not see the user any more is told that the user is gone, before the change; who may again
 * gets the presence, after it. The same for what the user sees. XEP-0191 §3.3, §3.4, XEP-0016 §2.10, §2.11
 */
import type { AccountContext } from '../../core/context.ts';
import type { Session } from '../../core/session.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { makeStanza } from '../../xmpp/stanza.ts';
import { rosterOf } from '../roster/index.ts';
import type { PrivacyList } from './list.ts';
import { DEFAULT, listFor, LISTS, PRIVACY, privacyOf, setActiveName, type Privacy } from './state.ts';

/** Puts `next` in place of the account's lists, in the store, too. */
export function changePrivacy(account: AccountContext, next: Privacy): void {
  const before = privacyOf(account);
  switchLists(
    account,
    account.sessions,
    (session) => [listFor(before, session), listFor(next, session)],
    () => {
      account.state(PRIVACY).current = next;
    },
  );
  for (const name of before.lists.keys()) if (!next.lists.has(name)) account.delete(LISTS, [name]);
  for (const [name, list] of next.lists) if (before.lists.get(name) !== list) account.put(LISTS, [name], list.rules);
  if (before.defaultName === next.defaultName) return;
  if (next.defaultName === undefined) account.delete(DEFAULT, []);
  else account.put(DEFAULT, [], next.defaultName);
}

/** Another list holds for this session from now on; `undefined`: the default one. */
export function changeActive(account: AccountContext, session: Session, name: string | undefined): void {
  const privacy = privacyOf(account);
  const wanted = name === undefined ? listFor(privacy) : privacy.lists.get(name);
  switchLists(
    account,
    [session],
    () => [listFor(privacy, session), wanted],
    () => setActiveName(session, name),
  );
}

type Lists = readonly [before: PrivacyList | undefined, after: PrivacyList | undefined];

function switchLists(account: AccountContext, sessions: Iterable<Session>, listsOf: (session: Session) => Lists, apply: () => void): void {
  const later: (() => void)[] = [];
  for (const session of sessions) {
    const [before, after] = listsOf(session);
    if (before === after) continue;
    for (const contact of audience(account, session, before, after)) {
      const { was, is } = compare(account, contact, 'presence-out', before, after);
      if (was && !is) sayGone(account, session, contact);
      else if (!was && is) later.push(() => sayPresent(account, session, contact));
    }
    if (!session.isAvailable) continue;
    for (const contact of rosterOf(account).subscriptions.values()) {
      const { was, is } = compare(account, contact, 'presence-in', before, after);
      if (was && !is) showGone(account, session, contact);
      else if (!was && is) later.push(() => ask(account, session, contact));
    }
  }
  apply();
  for (const each of later) each();
}

function compare(
  account: AccountContext,
  contact: Jid,
  traffic: 'presence-in' | 'presence-out',
  before: PrivacyList | undefined,
  after: PrivacyList | undefined,
): { readonly was: boolean; readonly is: boolean } {
  if (contact.bare === account.bare) return { was: true, is: true };
  const roster = rosterOf(account);
  return { was: !before?.denies(contact, traffic, roster), is: !after?.denies(contact, traffic, roster) };
}

/** Who has presence of the session, or may have: "only if the JID is allowed to receive presence notifications". */
function audience(
  account: AccountContext,
  session: Session,
  before: PrivacyList | undefined,
  after: PrivacyList | undefined,
): Iterable<Jid> {
  const { subscribers } = rosterOf(account);
  const jids = new Map<string, Jid>(session.directed);
  if (session.isAvailable) {
    for (const [bare, jid] of subscribers) jids.set(bare, jid);
    // One resource of a subscriber may be blocked, and the others not.
    for (const list of [before, after]) {
      for (const address of list?.blocked ?? []) {
        const jid = address.includes('/') ? parseJid(address) : undefined;
        if (jid !== undefined && subscribers.has(jid.bare)) jids.set(jid.full, jid);
      }
    }
  }
  return jids.values();
}

function sayGone(account: AccountContext, session: Session, to: Jid): void {
  account.route(makeStanza({ kind: 'presence', type: 'unavailable', from: session.jid, to }));
  session.directed.delete(to.full);
}

function sayPresent(account: AccountContext, { presence, jid }: Session, to: Jid): void {
  if (presence !== undefined && rosterOf(account).subscribers.has(to.bare)) account.route(presence.readdressed(jid, to));
}

function showGone(account: AccountContext, session: Session, contact: Jid): void {
  account.push(session, makeStanza({ kind: 'presence', type: 'unavailable', from: contact, to: session.jid }));
}

/** As at initial presence. RFC 6121 §4.3.1 */
function ask(account: AccountContext, session: Session, contact: Jid): void {
  const from = contact.domain === account.host.domain ? session.jid : account.jid;
  account.route(makeStanza({ kind: 'presence', type: 'probe', from, to: contact }));
}
