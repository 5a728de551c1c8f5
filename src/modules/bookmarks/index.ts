/**
 * Bookmarks of rooms, for clients of three ages in step: one item per room (XEP-0402), one list in a node, one list in private
 * XML (XEP-0048, XEP-0049, XEP-0411). The list in the node is the same as that in private XML; whichever of both nodes changes, the
 * other follows.
 */
import type { AccountContext } from '../../core/context.ts';
import { defineModule, type AccountSlot } from '../../core/module.ts';
import { errorAnswer, iqResult, Stanza } from '../../xmpp/stanza.ts';
import { parseElement } from '../../xml/tree.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { serialize } from '../../xml/serialize.ts';
import { ownNode, publishOwn, readOwn, reconfigureOwn, retractOwn } from '../pep/index.ts';
import { BOOKMARKS, differences, LIST, listOf, listText } from './convert.ts';

const PRIVATE = 'jabber:iq:private';
/** The one item of the list. */
const CURRENT = 'current';

const ITEMS_OPTIONS = {
  'pubsub#access_model': 'whitelist',
  'pubsub#persist_items': true,
  'pubsub#max_items': 'max',
  'pubsub#send_last_published_item': 'never',
} as const;
const LIST_OPTIONS = { 'pubsub#access_model': 'whitelist', 'pubsub#persist_items': true, 'pubsub#max_items': 1 } as const;

interface InStep {
  /** This turn writes what the other side says: nothing to follow. */
  isFollowing: boolean;
  /** The items have changed, and the list is being made. */
  isListing: boolean;
  /** They have changed again meanwhile. */
  isStale: boolean;
}
const STATE: AccountSlot<InStep> = { name: 'bookmarks', load: () => ({ isFollowing: false, isListing: false, isStale: false }) };

export default defineModule({
  name: 'bookmarks',
  implements: [
    { spec: 'XEP-0402', version: '1.2.0', status: 'complete', note: 'with both conversions (§6)' },
    { spec: 'XEP-0048', version: '1.2', status: 'complete' },
    { spec: 'XEP-0411', version: '1.1.0', status: 'complete' },
  ],
  needs: ['pep'],
  slots: [STATE],
  accountFeatures: [`${BOOKMARKS}#compat`, `${BOOKMARKS}#compat-pep`, 'urn:xmpp:bookmarks-conversion:0'],
  hooks: {
    node_changed: follow,
    user_receive_iq: { phase: 'deliver', run: privateXml },
  },
});

function follow(account: AccountContext, node: string, _id: string, payload: string | undefined): void {
  if (node !== BOOKMARKS && node !== LIST) return;
  const state = account.state(STATE);
  if (state.isFollowing) return;
  if (node === BOOKMARKS) makeList(account, state);
  else if (payload !== undefined) takeList(account, payload);
}

/** "the server MAY collate all items": XEP-0402 §6.1. Many changes in a row make one list. */
function makeList(account: AccountContext, state: InStep): void {
  state.isStale = true;
  if (state.isListing) return;
  state.isListing = true;
  state.isStale = false;
  readOwn(account, BOOKMARKS, (current, items) => {
    readOwn(current, LIST, (later, [old]) => {
      const fresh = later.state(STATE);
      fresh.isListing = false;
      if (fresh.isStale) {
        makeList(later, fresh);
        return;
      }
      const payload = listText(items, old?.payload);
      if (payload === old?.payload) return;
      quietly(later, () => {
        closeToOthers(later, LIST);
        publishOwn(later, { node: LIST, id: CURRENT, payload, options: LIST_OPTIONS });
      });
    });
  });
}

/** "update the individual items as required": XEP-0402 §6.2. Unchanged ones stay as they are. */
function takeList(account: AccountContext, payload: string): void {
  const list = parseElement(payload);
  if (list === undefined) return;
  readOwn(account, BOOKMARKS, (current, items) => {
    quietly(current, () => {
      closeToOthers(current, BOOKMARKS);
      const { changed, gone } = differences(list, items);
      for (const item of changed) publishOwn(current, { node: BOOKMARKS, ...item, options: ITEMS_OPTIONS });
      retractOwn(current, BOOKMARKS, gone);
    });
  });
}

function quietly(account: AccountContext, write: () => void): void {
  const state = account.state(STATE);
  state.isFollowing = true;
  write();
  state.isFollowing = false;
}

/** XEP-0411 §6: what only the owner could see stays that way. */
function closeToOthers(account: AccountContext, name: string): void {
  const node = ownNode(account, name);
  if (node !== undefined && node.config['pubsub#access_model'] !== 'whitelist')
    reconfigureOwn(account, node, { 'pubsub#access_model': 'whitelist' });
}

/** Private XML of bookmarks is the list in the node. XEP-0411 §4 */
function privateXml(stanza: Stanza, account: AccountContext): boolean {
  const isQuestion = stanza.type === 'get' || stanza.type === 'set';
  if (!isQuestion || stanza.from.bare !== account.bare || !stanza.to.isBare || !stanza.has('query', PRIVATE)) return false;
  const [storage, ...more] = stanza.child('query', PRIVATE)!.elements();
  if (storage === undefined || more.length > 0 || !storage.is('storage', LIST) || account.isTemporary) return false;
  if (stanza.type === 'set') {
    closeToOthers(account, LIST);
    const isTaken = publishOwn(account, { node: LIST, id: CURRENT, payload: serialize(storage, '\0'), options: LIST_OPTIONS });
    account.route(isTaken ? iqResult(stanza) : errorAnswer(stanza, new StanzaError('resource-constraint')));
    return true;
  }
  if (ownNode(account, LIST) === undefined) return false; // what was in private XML before there were nodes
  readOwn(account, LIST, (current, items) => {
    const body = `<query xmlns='${PRIVATE}'>${items.at(-1)?.payload ?? listOf([])}</query>`;
    const { id, from, to } = stanza;
    current.route(new Stanza({ kind: 'iq', type: 'result', id, from: to, to: from, body, children: [{ name: 'query', ns: PRIVATE }] }));
  });
  return true;
}
