/**
 * The blocked addresses of an account: the rules that stand in front of its default privacy list. XEP-0191 §5: "the service MUST
 * use the same back-end data store for both protocols".
 */
import { randomUUID } from 'node:crypto';
import type { AccountContext } from '../../core/context.ts';
import type { SessionSlot } from '../../core/session.ts';
import { el, type Element } from '../../xml/element.ts';
import { makeStanza } from '../../xmpp/stanza.ts';
import { changePrivacy } from './change.ts';
import { EMPTY_LIST } from './list.ts';
import { listFor, privacyOf, type Privacy } from './state.ts';

export const NS_BLOCKING = 'urn:xmpp:blocking';

/** Of the default list that is made where there is none. */
const LIST_NAME = 'blocklist';

/** The client has asked for the blocked addresses, so it is told of changes. §3.3 */
export const KNOWS_BLOCKLIST: SessionSlot<boolean> = { name: 'blocking', initial: () => false, isKept: true };

const NOBODY: ReadonlySet<string> = new Set();

export function blockedBy(privacy: Privacy): ReadonlySet<string> {
  return listFor(privacy)?.blocked ?? NOBODY;
}

/** @param addresses normalised. */
export function block(account: AccountContext, addresses: readonly string[]): void {
  const privacy = privacyOf(account);
  const name = privacy.defaultName ?? unusedName(privacy);
  const list = (privacy.lists.get(name) ?? EMPTY_LIST).withBlocked(addresses);
  changePrivacy(account, { lists: new Map(privacy.lists).set(name, list), defaultName: name });
}

export function unblock(account: AccountContext, addresses: ReadonlySet<string>): void {
  const privacy = privacyOf(account);
  const { defaultName } = privacy;
  if (defaultName === undefined) return;
  const list = privacy.lists.get(defaultName)!.withoutBlocked(addresses);
  const lists = new Map(privacy.lists);
  if (list.rules.length > 0) lists.set(defaultName, list);
  else lists.delete(defaultName); // an account without rules costs nothing
  changePrivacy(account, { lists, defaultName: lists.has(defaultName) ? defaultName : undefined });
}

/** Tells the clients that want to know. §3.3, §3.4, §3.5 */
export function pushBlocklist(account: AccountContext, name: 'block' | 'unblock', addresses: readonly string[]): void {
  let payload: Element | undefined;
  for (const session of account.sessions) {
    if (!session.get(KNOWS_BLOCKLIST)) continue;
    payload ??= el(name, NS_BLOCKING, {}, ...addresses.map(itemElement));
    account.push(session, makeStanza({ kind: 'iq', type: 'set', id: randomUUID(), from: account.jid, to: session.jid }, payload));
  }
}

/** The default list was changed otherwise: its blocked addresses are others, perhaps. §5 */
export function pushDifference(account: AccountContext, before: ReadonlySet<string>): void {
  const after = blockedBy(privacyOf(account));
  const added = [...after].filter((address) => !before.has(address));
  const removed = [...before].filter((address) => !after.has(address));
  if (removed.length > 0) pushBlocklist(account, 'unblock', removed);
  if (added.length > 0) pushBlocklist(account, 'block', added);
}

export function itemElement(jid: string): Element {
  return el('item', NS_BLOCKING, { jid });
}

function unusedName({ lists }: Privacy): string {
  let name = LIST_NAME;
  for (let i = 2; lists.has(name); i++) name = `${LIST_NAME}-${i}`;
  return name;
}
