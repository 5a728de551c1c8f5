/** Blocked addresses: a simple front to privacy lists, which are enforced by the module `privacy`. XEP-0191 */
import type { AccountContext } from '../core/context.ts';
import { defineModule, NO_ANSWER, type IqAnswer, type IqRequest } from '../core/module.ts';
import { el, type Element } from '../xml/element.ts';
import { parseJid } from '../xmpp/jid.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { iqResult } from '../xmpp/stanza.ts';
import {
  block,
  blockedBy,
  hasRoomForRules,
  itemElement,
  KNOWS_BLOCKLIST,
  NS_BLOCKING as NS,
  privacyOf,
  pushBlocklist,
  unblock,
} from './privacy/index.ts';

export default defineModule({
  name: 'blocking',
  implements: [{ spec: 'XEP-0191', version: '1.3', status: 'complete', note: 'polite: subscriptions stay' }],
  needs: ['privacy'],
  features: [NS], // §3.1
  accountFeatures: [NS],
  iq: [
    { type: 'get', to: 'account', payload: ['blocklist', NS], run: tellBlocklist },
    { type: 'set', to: 'account', payload: ['block', NS], run: blockAll },
    { type: 'set', to: 'account', payload: ['unblock', NS], run: unblockAll },
  ],
});

/** §3.2 */
function tellBlocklist({ session }: IqRequest, account: AccountContext): Element {
  session?.set(KNOWS_BLOCKLIST, true);
  return el('blocklist', NS, {}, ...[...blockedBy(privacyOf(account))].map(itemElement));
}

/** §3.3 */
function blockAll({ payload, stanza, session }: IqRequest, account: AccountContext): IqAnswer {
  const items = payload.childrenNamed('item');
  const addresses = addressesOf(items);
  if (addresses instanceof StanzaError) return addresses;
  if (addresses.length === 0) return new StanzaError('bad-request', 'Nobody is named');
  if (addresses.some((address) => parseJid(address)!.bare === account.bare))
    return new StanzaError('not-allowed', 'Your own clients cannot be blocked');
  if (!hasRoomForRules(account, addresses.length)) return new StanzaError('resource-constraint', 'Too many addresses are blocked');
  account.route(iqResult(stanza));
  block(account, addresses);
  pushBlocklist(account, 'block', addresses);
  items.forEach((item, i) => account.host.hooks.emit('jid_blocked', account, addresses[i]!, item, session));
  return NO_ANSWER;
}

/** §3.4, and §3.5 where nobody is named. */
function unblockAll({ payload, stanza }: IqRequest, account: AccountContext): IqAnswer {
  const addresses = addressesOf(payload.childrenNamed('item'));
  if (addresses instanceof StanzaError) return addresses;
  account.route(iqResult(stanza));
  unblock(account, addresses.length === 0 ? blockedBy(privacyOf(account)) : new Set(addresses));
  pushBlocklist(account, 'unblock', addresses);
  return NO_ANSWER;
}

function addressesOf(items: readonly Element[]): readonly string[] | StanzaError {
  const addresses: string[] = [];
  for (const item of items) {
    const text = item.attr('jid');
    if (text === undefined) return new StanzaError('bad-request');
    const jid = parseJid(text);
    if (jid === undefined) return new StanzaError('jid-malformed');
    addresses.push(jid.full);
  }
  return addresses;
}
