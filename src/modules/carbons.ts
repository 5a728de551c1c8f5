/** Every client of an account sees both sides of its conversations: copies of what the others send and receive. XEP-0280 */
import { SmallSet } from '../kernel/small-map.ts';
import { CARBONS as NS } from '../xmpp/forwarding.ts';
import type { AccountContext } from '../core/context.ts';
import { DROP } from '../core/hooks.ts';
import { defineModule, EMPTY_RESULT, type AccountSlot, type IqAnswer, type IqRequest } from '../core/module.ts';
import type { Session, SessionSlot } from '../core/session.ts';
import type { ChildHead } from '../xml/frame.ts';
import { CHAT_STATES, hasHint } from '../xmpp/message-content.ts';
import { NS as CORE } from '../xmpp/namespaces.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';

/** §6.2: all of the recommended rules, as they are. */
const RULES = 'urn:xmpp:carbons:rules:0';
const RECEIPTS = 'urn:xmpp:receipts';
const MARKERS = 'urn:xmpp:chat-markers:0';
/** XEP-0249 */
const CONFERENCE = 'jabber:x:conference';
const MUC_USER = 'http://jabber.org/protocol/muc#user';

/** Messages per account that had copies, remembered in case an error answers one. The oldest are forgotten. */
const MAX_COPIED = 256;
/** Ids longer than this are not remembered. UTF-16 units. */
const MAX_ID_LENGTH = 256;

type Side = 'sent' | 'received';

const ENABLED: SessionSlot<boolean> = { name: 'carbons', initial: () => false, isKept: true };

/** Who sent or received what under which id, oldest first. */
const COPIED: AccountSlot<SmallSet<string>> = { name: 'carbons_copied', load: () => new SmallSet() };

export default defineModule({
  name: 'carbons',
  implements: [
    { spec: 'XEP-0280', version: '1.0.1', status: 'complete' },
    { spec: 'XEP-0334', version: '1.0.0', status: 'partial', note: 'no-copy' },
  ],
  features: [NS, RULES],
  accountFeatures: [NS, RULES],
  slots: [COPIED],
  iq: [
    { type: 'set', to: 'account', refusal: 'not-allowed', payload: ['enable', NS], run: (request) => enable(request, true) },
    { type: 'set', to: 'account', refusal: 'not-allowed', payload: ['disable', NS], run: (request) => enable(request, false) },
  ],
  bindFeatures: [{ feature: NS, payload: ['enable', NS], run: (_account, session) => void session.set(ENABLED, true) }], // XEP-0386
  hooks: {
    user_receive_message: { phase: 'filter', run: withoutForgedCopies },
    message_sent: copySent,
    message_delivered: copyReceived,
  },
});

/** §4, §5; as often as the client likes: §10.1. */
function enable({ session }: IqRequest, isOn: boolean): IqAnswer {
  if (session === undefined) return new StanzaError('not-allowed');
  session.set(ENABLED, isOn);
  return EMPTY_RESULT;
}

/** §11: a copy comes from the account itself or it is none. */
function withoutForgedCopies(stanza: Stanza, account: AccountContext): Stanza | typeof DROP {
  if (!hasCopy(stanza) || stanza.from.bare === account.bare) return stanza;
  if (stanza.children.every(isCopy)) return DROP; // it says nothing else
  return stanza.withContent(stanza.element().children.filter((child) => typeof child === 'string' || !isCopy(child)));
}

/** A loop, since every message is looked at. */
function hasCopy({ children }: Stanza): boolean {
  for (let i = 0; i < children.length; i++) if (isCopy(children[i]!)) return true;
  return false;
}

/** Of this version of the protocol or an older one, which some client may still take. */
function isCopy({ name, ns }: ChildHead): boolean {
  return (name === 'received' || name === 'sent') && ns.startsWith('urn:xmpp:carbons:');
}

/** §8 */
function copySent(account: AccountContext, stanza: Stanza, sender: Session): void {
  if (account.sessionCount < 2 || !isEligible(account, stanza, 'sent')) return;
  const isPrivate = isToOccupant(stanza);
  let hasCopies = false;
  for (const each of account.sessions) {
    if (each === sender || !each.get(ENABLED) || (isPrivate && !sharesNick(sender, each, stanza))) continue;
    account.pushCopy(each, stanza, 'carbon_sent');
    hasCopies = true;
  }
  if (hasCopies) remember(account, stanza, 'sent');
}

/** §7: to those that were not given the message itself. Who has sent it to its own account knows it. */
function copyReceived(account: AccountContext, stanza: Stanza, recipients: readonly Session[]): void {
  if (account.sessionCount < 2 || !isEligible(account, stanza, 'received')) return;
  const { from } = stanza;
  let hasCopies = false;
  for (const each of account.sessions) {
    if (recipients.includes(each) || !each.get(ENABLED) || each.jid.full === from.full) continue;
    account.pushCopy(each, stanza, 'carbon_received');
    hasCopies = true;
  }
  if (hasCopies) remember(account, stanza, 'received');
}

/** §6.1 */
function isEligible(account: AccountContext, stanza: Stanza, side: Side): boolean {
  if (stanza.has('private', NS)) return false; // §9
  if (hasHint(stanza, 'no-copy')) return false; // XEP-0334 §4.3
  switch (stanza.type) {
    case 'groupchat':
      return false;
    case 'error':
      return account.state(COPIED).has(keyOf(stanza, side === 'sent' ? 'received' : 'sent')); // of what the other side had said
    case 'chat':
      return side === 'sent' || !isFromOccupant(stanza);
    default:
      if (side === 'received' && isFromOccupant(stanza)) return false;
      return (stanza.type === 'normal' && stanza.has('body', CORE.client)) || stanza.children.some(isConversation) || isInvitation(stanza);
  }
}

/** §6.1: "payload elements typically used in IM", and direct invitations. */
function isConversation({ name, ns }: ChildHead): boolean {
  return ns === RECEIPTS || ns === CHAT_STATES || ns === MARKERS || (name === 'x' && ns === CONFERENCE);
}

/** §6.1, XEP-0045 §7.8.2 */
function isInvitation(stanza: Stanza): boolean {
  return stanza.child('x', MUC_USER)?.child('invite') !== undefined;
}

/** A room replicates what occupants say in private to all clients that are there. §6.1 */
function isFromOccupant(stanza: Stanza): boolean {
  return stanza.from.resource !== '' && stanza.has('x', MUC_USER) && !isInvitation(stanza);
}

function isToOccupant(stanza: Stanza): boolean {
  return stanza.to.resource !== '' && stanza.has('x', MUC_USER) && !isInvitation(stanza);
}

/** Others than those that are in the room under the same nick could not answer. §6.1, second note */
function sharesNick(sender: Session, other: Session, { to }: Stanza): boolean {
  for (const [full, jid] of sender.directed) if (jid.bare === to.bare) return other.directed.has(full);
  return true; // who is not there said nothing of a nick
}

function remember(account: AccountContext, stanza: Stanza, side: Side): void {
  const { id, type } = stanza;
  if (id === undefined || id.length > MAX_ID_LENGTH || type === 'error') return;
  const copied = account.state(COPIED);
  const key = keyOf(stanza, side);
  copied.delete(key);
  copied.add(key);
  if (copied.size > MAX_COPIED) copied.delete(copied.first!);
}

/** The other side answers from the address that was asked, or from its bare JID. RFC 6120 §8.3.1 */
function keyOf({ type, id, from, to }: Stanza, side: Side): string {
  const isOutgoing = (side === 'sent') !== (type === 'error'); // an error goes the other way
  return `${side} ${isOutgoing ? to.bare : from.bare} ${id ?? ''}`;
}
