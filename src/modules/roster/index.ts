/** The roster: RFC 6121 §2, with versioning as in XEP-0237. What other modules may use is exported here. */
import type { AccountContext } from '../../core/context.ts';
import { defineModule, NO_ANSWER, type IqAnswer, type IqRequest } from '../../core/module.ts';
import { el } from '../../xml/element.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { iqResult } from '../../xmpp/stanza.ts';
import { hasRoomFor, removeItem, ROSTER, rosterOf, saveItem, sendDelta, sendRoster } from './changes.ts';
import { endAllSubscriptions, endSubscriptions } from './ending.ts';
import { blankItem, ITEMS, NS_ROSTER } from './item.ts';
import { ROSTER_LIST } from './operations.ts';
import { ROSTER_OPTIONS } from './options.ts';
import { ROSTER_PORTABLE } from './portable.ts';
import { REQUESTS } from './request.ts';
import { CHANGES } from './roster.ts';
import { noteSharing } from './shared-changes.ts';
import { SHARED } from './sharing.ts';
import { readRosterSet } from './roster-set.ts';

export { dropRequest, hasRoomFor, rosterOf, saveItem, saveRequest } from './changes.ts';
export { sendUnavailable } from './ending.ts';
export { shareContacts } from './shared-changes.ts';
export { blankItem, NS_ROSTER, type RosterItem } from './item.ts';
export { ROSTER_LIST, type ListedContact } from './operations.ts';
export { areRequestsFull, requestStanza } from './request.ts';
export type { Roster } from './roster.ts';
export * from './subscription.ts';

const VERSIONING = el('ver', NS.rosterVersioning);
const QUERY = ['query', NS_ROSTER] as const;

export default defineModule({
  name: 'roster',
  implements: [
    { spec: 'RFC 6121', version: '2011', status: 'complete', note: '§2: the roster; §3 and §4 are the module presence' },
    { spec: 'XEP-0237', version: '1.3', status: 'complete', note: 'real deltas, for the last 200 changes' },
  ],
  config: ROSTER_OPTIONS,
  tables: [ITEMS, REQUESTS, CHANGES, SHARED],
  portable: ROSTER_PORTABLE,
  slots: [ROSTER],
  accountOperations: [ROSTER_LIST],
  features: [NS_ROSTER],
  streamFeatures: (_stream, isAuthenticated) => (isAuthenticated ? [VERSIONING] : []), // RFC 6121 §2.6.1
  iq: [
    { type: 'get', to: 'account', payload: QUERY, run: getRoster },
    { type: 'set', to: 'account', refusal: 'forbidden', payload: QUERY, run: setItem }, // RFC 6121 §2.1.5, §2.3.3
  ],
  hooks: {
    session_opened: noteSharing,
    account_removing: endAllSubscriptions,
  },
});

/** RFC 6121 §2.1.3, §2.2, §2.6.2 */
function getRoster({ payload, session, stanza }: IqRequest, account: AccountContext): IqAnswer {
  if (payload.child('item') !== undefined) return new StanzaError('bad-request', 'A roster get has no item');
  const ver = payload.attr('ver');
  if (session !== undefined) account.markInterested(session);
  if (session === undefined || ver === undefined || !sendDelta(account, stanza, session, ver)) sendRoster(account, stanza);
  return NO_ANSWER;
}

/** RFC 6121 §2.3, §2.4, §2.5: the result first, then the pushes. */
function setItem({ payload, stanza }: IqRequest, account: AccountContext): IqAnswer {
  const change = readRosterSet(payload, account.bare);
  if (change instanceof StanzaError) return change;
  const { contact } = change;
  const known = rosterOf(account).items.get(contact.bare);
  if (change.action === 'remove') {
    if (rosterOf(account).isShared(contact.bare))
      return new StanzaError('not-allowed', 'The operator of the server has put this contact there');
    if (known === undefined) return new StanzaError('item-not-found'); // §2.5.3
    account.route(iqResult(stanza));
    endSubscriptions(account, contact);
    removeItem(account, known);
    return NO_ANSWER;
  }
  const item = { ...(known ?? blankItem(contact)), name: change.name, groups: change.groups };
  if (!hasRoomFor(account, item)) return new StanzaError('resource-constraint', 'The roster is full');
  account.route(iqResult(stanza));
  saveItem(account, item);
  return NO_ANSWER;
}
