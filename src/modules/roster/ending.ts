/** Ending what connects an account with a contact: when the item is removed, or the account is. RFC 6121 §2.5.2 */
import type { AccountContext } from '../../core/context.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { makeStanza } from '../../xmpp/stanza.ts';
import { dropRequest, rosterOf } from './changes.ts';
import { isSubscribed, isSubscriber, PARTS } from './subscription.ts';

/**
 * Says to a subscriber that each available resource is gone, before the subscription ends. RFC 6121 §3.2.2
 * To nobody else: it would show strangers the resources of the account.
 */
export function sendUnavailable(account: AccountContext, contact: Jid): void {
  for (const session of account.sessions) {
    if (!session.isAvailable) continue;
    account.route(makeStanza({ kind: 'presence', type: 'unavailable', from: session.jid, to: contact }));
    session.directed.delete(contact.full); // it has been told: RFC 6121 §4.6.1
  }
}

/**
 * Ends subscriptions and requests in both directions, as far as the contact must know; the item itself
 * is the caller's. RFC 6121 §2.5.2; requests not answered yet are taken back and denied.
 */
export function endSubscriptions(account: AccountContext, contact: Jid): void {
  const { subscription, ask, pendingIn } = PARTS[rosterOf(account).state(contact.bare)];
  if (isSubscriber(subscription)) sendUnavailable(account, contact);
  if (isSubscribed(subscription) || ask)
    account.route(makeStanza({ kind: 'presence', type: 'unsubscribe', from: account.jid, to: contact }));
  if (isSubscriber(subscription) || pendingIn)
    account.route(makeStanza({ kind: 'presence', type: 'unsubscribed', from: account.jid, to: contact }));
  dropRequest(account, contact.bare);
}

/** The account is about to be erased: its contacts must not keep what leads nowhere. */
export function endAllSubscriptions(account: AccountContext): void {
  const roster = rosterOf(account);
  for (const { jid } of roster.items.values()) endSubscriptions(account, jid);
  for (const { jid, isListed } of roster.sharedContacts) if (!isListed) sendUnavailable(account, jid);
  for (const { from } of [...roster.requests.values()]) endSubscriptions(account, from);
  // Its sessions are closed next; what they would broadcast has been said.
  for (const { jid } of [...roster.sharedContacts]) roster.share(jid.bare, undefined);
  for (const contact of [...roster.items.keys()]) roster.delete(contact);
}
