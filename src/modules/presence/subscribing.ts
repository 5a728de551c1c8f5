/** Subscription stanzas of the user's own clients: RFC 6121 §3.1.2, §3.1.5, §3.2.2, §3.3.2, §3.4.2 and §A.2. */
import type { AccountContext } from '../../core/context.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import {
  blankItem,
  dropRequest,
  hasRoomFor,
  isSubscriber,
  OUTBOUND,
  PARTS,
  rosterOf,
  saveItem,
  sendUnavailable,
  type SubscriptionType,
} from '../roster/index.ts';

/** Takes a subscription stanza of a client: routes it as the state says, and changes the roster. */
export function sendSubscription(stanza: Stanza, type: SubscriptionType, account: AccountContext): true | StanzaError {
  const contact = stanza.to.toBare(); // §3.1.2 (1)
  if (contact.bare === account.bare) return toOneself(type);
  const roster = rosterOf(account);
  const known = roster.items.get(contact.bare);
  const state = roster.state(contact.bare);
  const { passes, next, preApproval } = OUTBOUND[type][state];
  const { subscription, ask, pendingIn } = PARTS[next];
  const wasSubscriber = isSubscriber(PARTS[state].subscription);
  // §3.4.2: a pre-approval lasts until `unsubscribed`, or the end of the item.
  const approved = preApproval === 'grant' || (type !== 'unsubscribed' && (known?.approved ?? false));
  const needsItem = known !== undefined || ask || subscription !== 'none' || approved;
  const item = known ?? blankItem(contact);
  if (needsItem && !hasRoomFor(account, item)) return new StanzaError('resource-constraint', 'The roster is full');

  if (passes) {
    if (type === 'unsubscribed' && wasSubscriber) sendUnavailable(account, contact); // §3.2.2: while it is still subscribed
    account.route(stanza.readdressed(account.jid, contact)); // §3: stamped with the bare JID
  }
  if (!pendingIn) dropRequest(account, contact.bare);
  if (needsItem) {
    const isChanged = item.subscription !== subscription || item.ask !== ask || item.approved !== approved;
    const isDenied = type === 'unsubscribed' && passes; // §3.2.2 (3) wants the push even if the item looks the same
    if (isChanged || isDenied) saveItem(account, { ...item, subscription, ask, approved });
  }
  if (!wasSubscriber && isSubscriber(subscription)) sendPresence(account, contact);
  return true;
}

/** The account is implicitly subscribed to itself (§4.2.2); there is nothing to ask for and nothing to end. */
function toOneself(type: SubscriptionType): true | StanzaError {
  return type === 'subscribe' ? new StanzaError('not-allowed', 'An account is always subscribed to itself') : true;
}

/** A new subscriber gets the current presence of each available resource. §3.1.5 */
export function sendPresence(account: AccountContext, contact: Jid): void {
  for (const { jid, presence } of account.sessions) if (presence !== undefined) account.route(presence.readdressed(jid, contact));
}
