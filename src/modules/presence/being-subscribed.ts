/**
 * Subscription stanzas from contacts: RFC 6121 §3.1.3, §3.1.6, §3.2.3, §3.3.3 and §A.3. What does not fit
 * the state is ignored, so that nobody can put himself into a roster; nothing here answers an answer.
 */
import type { AccountContext } from '../../core/context.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { makeStanza, type Stanza } from '../../xmpp/stanza.ts';
import {
  approvedAtOnce,
  areRequestsFull,
  dropRequest,
  INBOUND,
  isSubscriber,
  PARTS,
  rosterOf,
  saveItem,
  saveRequest,
  sendUnavailable,
  type SubscriptionType,
} from '../roster/index.ts';
import { sendPresence } from './subscribing.ts';

/** Takes a subscription stanza from another account, whichever resource it is addressed to. */
export function receiveSubscription(stanza: Stanza, type: SubscriptionType, account: AccountContext): true | StanzaError {
  const contact = stanza.from.toBare();
  if (contact.bare === account.bare) return true;
  if (type === 'subscribe') return receiveRequest(stanza, contact, account);
  const roster = rosterOf(account);
  const state = roster.state(contact.bare);
  const { next, autoReply } = INBOUND[type][state];
  if (next === state) return true; // §A.3: neither delivered nor noted
  const { subscription, ask, pendingIn } = PARTS[next];
  toInterested(account, stanza.readdressed(contact, account.jid)); // before the push: §3.1.6, §3.2.3, §3.3.3
  if (!pendingIn) dropRequest(account, contact.bare);
  const item = roster.items.get(contact.bare);
  if (item !== undefined && (item.subscription !== subscription || item.ask !== ask)) saveItem(account, { ...item, subscription, ask });
  if (isSubscriber(PARTS[state].subscription) && !isSubscriber(subscription)) sendUnavailable(account, contact); // §3.3.3 (3)
  if (autoReply !== undefined) reply(stanza, autoReply, contact, account);
  return true;
}

/** §3.1.3 */
function receiveRequest(stanza: Stanza, contact: Jid, account: AccountContext): true | StanzaError {
  const roster = rosterOf(account);
  const state = roster.state(contact.bare);
  const item = roster.items.get(contact.bare);
  const { passes, autoReply } = INBOUND.subscribe[state];
  if (autoReply !== undefined) {
    // It has lost track of its subscription, so it lacks the presence, too.
    reply(stanza, autoReply, contact, account);
    sendPresence(account, contact);
    return true;
  }
  if (item?.approved === true) {
    const { subscription, ask } = PARTS[approvedAtOnce(state)];
    reply(stanza, 'subscribed', contact, account); // §3.4.2
    dropRequest(account, contact.bare);
    saveItem(account, { ...item, subscription, ask });
    sendPresence(account, contact);
    return true;
  }
  if (!passes) return true; // one request of each contact is kept and shown
  if (areRequestsFull(account, roster.requests.size)) return new StanzaError('resource-constraint', 'Too many requests wait for an answer');
  saveRequest(account, stanza);
  const request = stanza.readdressed(contact, account.jid);
  for (const session of account.sessions) if (session.isAvailable) account.push(session, request);
  return true;
}

function reply({ id }: Stanza, type: 'subscribed' | 'unsubscribed', contact: Jid, account: AccountContext): void {
  account.route(makeStanza({ kind: 'presence', type, id, from: account.jid, to: contact }));
}

function toInterested(account: AccountContext, stanza: Stanza): void {
  for (const session of account.sessions) if (session.isInterested) account.push(session, stanza);
}
