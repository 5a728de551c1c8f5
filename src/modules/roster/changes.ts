/**
 * Changes to the roster of an account: memory, store and interested resources together. All changes
 * of one turn are one atomic batch, and no push leaves before it is durable.
 */
import type { AccountContext } from '../../core/context.ts';
import type { Host } from '../../core/host.ts';
import type { AccountSlot } from '../../core/module.ts';
import type { Session } from '../../core/session.ts';
import type { Store } from '../../store/store.ts';
import { parseJid, type BareJid, type Jid } from '../../xmpp/jid.ts';
import { makeStanza, Stanza } from '../../xmpp/stanza.ts';
import { ITEMS, itemSize, itemXml, NS_ROSTER, removalXml, type RosterItem } from './item.ts';
import { optionsOf } from './options.ts';
import { REQUESTS, requestOf } from './request.ts';
import { CHANGES, Roster, versionText } from './roster.ts';
import { NOTHING, SHARED } from './sharing.ts';

const QUERY = [{ name: 'query', ns: NS_ROSTER }];

/** Loaded with the account: three range reads. */
export const ROSTER: AccountSlot<Roster> = { name: 'roster', load: loadRoster };

async function loadRoster(store: Store, bare: BareJid, host: Host): Promise<Roster> {
  const roster = new Roster();
  for (const { key, value } of await store.list(ITEMS, bare)) roster.set({ ...value, jid: storedJid(key[0]) });
  for (const { key, value } of await store.list(REQUESTS, bare)) {
    const from = storedJid(key[0]);
    roster.requests.set(from.bare, { from, request: value });
  }
  for (const { key, value } of await store.list(CHANGES, bare)) roster.restoreChange({ version: Number(key[0]), contact: value });
  const shared = await store.get(SHARED, bare, []);
  roster.knownShared = shared === undefined ? NOTHING : new Map(Object.entries(shared));
  for (const { sharesContacts } of host.modules) {
    for (const contact of (await sharesContacts?.(host, bare)) ?? []) roster.share(contact.jid.bare, contact);
  }
  return roster;
}

function storedJid(part: unknown): Jid {
  const jid = parseJid(String(part));
  if (jid === undefined) throw new Error('a roster row is not keyed by a JID');
  return jid;
}

/** The account's roster. Read it freely; change it only by the functions here. */
export function rosterOf(account: AccountContext): Roster {
  return account.state(ROSTER);
}

/** Whether `item` may be added, or take the place of a smaller one: a roster is bounded by count and size. */
export function hasRoomFor(account: AccountContext, item: RosterItem): boolean {
  const roster = rosterOf(account);
  const { bare } = item.jid;
  const growth = itemSize(item) - roster.sizeOf(bare);
  if (growth <= 0) return true;
  const isNew = roster.sizeOf(bare) === 0;
  if (isNew && roster.ownCount >= account.host.config.accounts.maxRosterItems) return false;
  return roster.size + growth <= optionsOf(account).max_size;
}

/** Adds or replaces an item and pushes it to interested resources. */
export function saveItem(account: AccountContext, item: RosterItem): void {
  const { bare } = item.jid;
  const roster = rosterOf(account);
  account.put(ITEMS, [bare], roster.set(item));
  push(account, noteChange(account, bare), itemXml(roster.items.get(bare)!));
}

/** Removes an item and tells interested resources. RFC 6121 §2.5.2 */
export function removeItem(account: AccountContext, item: RosterItem): void {
  const { jid } = item;
  rosterOf(account).delete(jid.bare);
  account.delete(ITEMS, [jid.bare]);
  push(account, noteChange(account, jid.bare), removalXml(jid));
}

/** The contact's item is another one, though the user has not changed it. */
export function announceItem(account: AccountContext, contact: Jid): void {
  const item = rosterOf(account).items.get(contact.bare);
  push(account, noteChange(account, contact.bare), item === undefined ? removalXml(contact) : itemXml(item));
}

/** Keeps a request until the user answers it. No roster modification: RFC 6121 §2.6.3 */
export function saveRequest(account: AccountContext, stanza: Stanza): void {
  const from = stanza.from.toBare();
  const request = requestOf(stanza);
  rosterOf(account).requests.set(from.bare, { from, request });
  account.put(REQUESTS, [from.bare], request);
}

export function dropRequest(account: AccountContext, contact: BareJid): void {
  if (rosterOf(account).requests.delete(contact)) account.delete(REQUESTS, [contact]);
}

function noteChange(account: AccountContext, contact: BareJid): number {
  const { version, forgotten } = rosterOf(account).noteChange(contact, account.now);
  account.put(CHANGES, [version], contact);
  if (forgotten !== undefined) account.delete(CHANGES, [forgotten]);
  return version;
}

/** RFC 6121 §2.1.6: to all interested resources. */
function push(account: AccountContext, version: number, item: string): void {
  account.host.hooks.emit('roster_changed', account, versionText(version), item);
  let stanza: Stanza | undefined;
  for (const session of account.sessions) {
    if (!session.isInterested) continue;
    stanza = stanza === undefined ? pushStanza(account, session, version, item) : stanza.readdressed(account.jid, session.jid);
    account.push(session, stanza);
  }
}

/** The id need only be unique to the client: its answer is ignored (RFC 6121 §2.1.6). */
function pushStanza(account: AccountContext, session: Session, version: number, item: string): Stanza {
  const ver = versionText(version);
  return new Stanza({
    kind: 'iq',
    type: 'set',
    id: 'push-' + ver,
    from: account.jid,
    to: session.jid,
    body: "<query xmlns='" + NS_ROSTER + "' ver='" + ver + "'>" + item + '</query>',
    children: QUERY,
  });
}

/** Answers a roster get with all items. RFC 6121 §2.1.4 */
export function sendRoster(account: AccountContext, request: Stanza): void {
  const roster = rosterOf(account);
  let body = "<query xmlns='" + NS_ROSTER + "' ver='" + roster.ver + "'>";
  for (const item of roster.items.values()) body += itemXml(item);
  body += '</query>';
  account.route(new Stanza({ kind: 'iq', type: 'result', id: request.id, from: request.to, to: request.from, body, children: QUERY }));
}

/**
 * Answers a roster get that named a version with nothing but what has changed since. RFC 6121 §2.6.3
 *
 * @returns false where the whole roster has to be sent instead.
 */
export function sendDelta(account: AccountContext, request: Stanza, session: Session, ver: string): boolean {
  const changes = rosterOf(account).since(ver);
  if (changes === undefined) return false;
  account.route(makeStanza({ kind: 'iq', type: 'result', id: request.id, from: request.to, to: request.from }));
  for (const { contact, version, item } of changes) {
    account.push(session, pushStanza(account, session, version, item === undefined ? removalXml(storedJid(contact)) : itemXml(item)));
  }
  return true;
}
