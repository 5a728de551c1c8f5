/** Guests as contacts: those who ask with a token, and those who have made an account with one. XEP-0379, XEP-0401 §6.5 */
import type { AccountContext } from '../../core/context.ts';
import { accountOperation } from '../../core/operations.ts';
import { parseJid } from '../../xmpp/jid.ts';
import { makeStanza, type Stanza } from '../../xmpp/stanza.ts';
import { sendPresence, sendSubscription } from '../presence/index.ts';
import { blankItem, dropRequest, hasRoomFor, rosterOf, saveItem } from '../roster/index.ts';
import { findInvite, PARS } from './rows.ts';
import { SERVER } from './server.ts';

/** The contact is in the roster, and each sees the other's presence. */
export const BEFRIEND = accountOperation<{ readonly contact: string }, null>('invites.befriend', (account, args) => {
  const contact = parseJid(args.contact)!;
  const item = rosterOf(account).items.get(contact.bare) ?? blankItem(contact);
  if (contact.bare === account.bare || !hasRoomFor(account, item)) return null;
  dropRequest(account, contact.bare);
  saveItem(account, { ...item, subscription: 'both', ask: false });
  sendPresence(account, contact);
  return null;
});

/** XEP-0379 §3.5: a request with a token that is good is granted, and answered with one of the user's own. True where it is looked at. */
export function receiveRequest(stanza: Stanza, account: AccountContext): boolean {
  if (stanza.type !== 'subscribe' || account.isTemporary || !stanza.has('preauth', PARS)) return false;
  const token = stanza.child('preauth', PARS)?.attr('token');
  // §4.1: one that is not known is ignored.
  const request = stanza.withContent(stanza.element().children.filter((child) => typeof child === 'string' || !child.is('preauth', PARS)));
  if (token === undefined || stanza.from.bare === account.bare) {
    account.receive(request);
    return true;
  }
  const { services, domain } = account.host;
  const { now, bare } = account;
  const guest = stanza.from.bare;
  const redeemed = findInvite(services.store, domain, token, now).then(async (invite) => {
    if (invite?.kind !== 'contact' || invite.contact !== bare) return false;
    return (await services.commands.run('invite redeem', { host: domain, token, step: 'subscribe', guest }, SERVER)).ok;
  });
  account.later(redeemed, (current, isGood) => {
    if (isGood) grant(current, request);
    else current.receive(request);
  });
  return true;
}

function grant(account: AccountContext, request: Stanza): void {
  const contact = request.from.toBare();
  const item = rosterOf(account).items.get(contact.bare) ?? blankItem(contact); // §6.4: without a name
  if (!hasRoomFor(account, item)) {
    account.receive(request);
    return;
  }
  saveItem(account, { ...item, approved: true });
  account.receive(request); // is granted, as it was approved beforehand
  sendSubscription(makeStanza({ kind: 'presence', type: 'subscribe', from: account.jid, to: contact }), 'subscribe', account);
}
