/**
 * Contacts that are shared differently from now on: versions, pushes and presence. What a client knows of them is by version like
 * everything in the roster, so what has changed while nobody was there is noted when the next one comes. RFC 6121 §2.6
 */
import { createHash } from 'node:crypto';
import type { AccountContext } from '../../core/context.ts';
import type { SharedContact } from '../../core/module.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { makeStanza } from '../../xmpp/stanza.ts';
import { announceItem, rosterOf } from './changes.ts';
import { sendUnavailable } from './ending.ts';
import { SHARED, sharedMark, type Digests } from './sharing.ts';

/** What was shared differently while nobody was there. */
export function noteSharing(account: AccountContext): void {
  const roster = rosterOf(account);
  const before = roster.knownShared;
  if (before === undefined) return;
  roster.knownShared = undefined;
  const now = digests(account);
  const changed = [...new Set([...before.keys(), ...now.keys()])].filter((contact) => before.get(contact) !== now.get(contact));
  if (changed.length === 0) return;
  for (const contact of changed) announceItem(account, parseJid(contact)!);
  account.put(SHARED, [], Object.fromEntries(now));
}

/** Shares contacts, or no more: `shared` by bare JID. */
export function shareContacts(account: AccountContext, changes: Iterable<readonly [Jid, SharedContact | undefined]>): void {
  const roster = rosterOf(account);
  let isChanged = false;
  for (const [contact, shared] of changes) {
    const { bare } = contact;
    const wasSubscriber = roster.subscribers.has(bare);
    const wasSubscribed = roster.subscriptions.has(bare);
    const isSubscriber = shared !== undefined && shared.subscription !== 'to';
    if (wasSubscriber && !isSubscriber && roster.isShared(bare)) sendUnavailable(account, contact);
    if (!roster.share(bare, shared)) continue;
    isChanged = true;
    announceItem(account, contact);
    if (!wasSubscriber && roster.subscribers.has(bare)) sendPresence(account, contact);
    if (!wasSubscribed && roster.subscriptions.has(bare)) probe(account, contact);
  }
  if (!isChanged) return;
  roster.knownShared = undefined;
  account.put(SHARED, [], Object.fromEntries(digests(account)));
}

function sendPresence(account: AccountContext, contact: Jid): void {
  for (const { jid, presence } of account.sessions) if (presence !== undefined) account.route(presence.readdressed(jid, contact));
}

function probe(account: AccountContext, contact: Jid): void {
  for (const { jid, isAvailable } of account.sessions)
    if (isAvailable) account.route(makeStanza({ kind: 'presence', type: 'probe', from: jid, to: contact }));
}

function digests(account: AccountContext): Digests {
  const all = new Map<string, string>();
  for (const contact of rosterOf(account).sharedContacts)
    all.set(contact.jid.bare, createHash('sha256').update(sharedMark(contact)).digest('base64url').slice(0, 8));
  return all;
}
