/** The roster and the requests in it, as XEP-0227 has them. */
import { presenceOf, stanzaXml, type AccountImport, type AccountRows, type Portable, type PortableReader } from '../../core/portable.ts';
import type { Element } from '../../xml/element.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { ITEMS, itemSize, itemXml, NS_ROSTER, type RosterItem, type StoredItem } from './item.ts';
import { REQUESTS, requestOf, requestStanza } from './request.ts';
import { CHANGES, MAX_CHANGES } from './roster.ts';
import { SHARED } from './sharing.ts';
import type { Subscription } from './subscription.ts';

/** XEP-0227 §4.3: "in the same format as when retrieving the roster from the server" */
const ROSTER_QUERY: Portable = {
  // The log of changes is left behind: a client gets the roster whole, once. What is shared is another server's business.
  tables: [ITEMS, CHANGES, SHARED],
  elements: [['query', NS_ROSTER]],
  async *write(account: AccountRows) {
    let items = '';
    for await (const page of account.pages(ITEMS)) {
      for (const { key, value } of page) items += itemXml({ ...value, jid: storedJid(key[0]) });
    }
    yield "<query xmlns='" + NS_ROSTER + (items === '' ? "'/>" : "'>" + items + '</query>');
  },
  read: (account) => new RosterReader(account),
};

/** XEP-0227 §4.8 */
const REQUEST_STANZAS: Portable = {
  tables: [REQUESTS],
  elements: [['presence', NS.client]],
  async *write(account: AccountRows) {
    for await (const page of account.pages(REQUESTS)) {
      for (const { key, value } of page) yield stanzaXml(requestStanza(value, storedJid(key[0]), account.jid));
    }
  },
  read: (account) => ({
    take(element) {
      const request = presenceOf(element, 'subscribe', account.jid);
      if (request === undefined) return false;
      account.put(REQUESTS, [request.from.bare], requestOf(request));
      return true;
    },
  }),
};

export const ROSTER_PORTABLE: readonly Portable[] = [ROSTER_QUERY, REQUEST_STANZAS];

/** Each item counts as a change, or a client could be told that it has the roster already. RFC 6121 §2.6.3 */
class RosterReader implements PortableReader {
  private readonly account: AccountImport;
  private readonly contacts = new Set<Jid['bare']>();
  private size = 0;

  constructor(account: AccountImport) {
    this.account = account;
  }

  take(query: Element): boolean {
    let isComplete = true;
    for (const element of query.elements()) {
      const contact = element.is('item', NS_ROSTER) ? parseJid(element.attr('jid') ?? '')?.toBare() : undefined;
      const item = contact === undefined || contact.bare === this.account.bare ? undefined : itemOf(element);
      if (contact === undefined || item === undefined || !this.hasRoomFor({ ...item, jid: contact })) {
        isComplete = false;
        continue;
      }
      this.account.put(ITEMS, [contact.bare], item);
      this.contacts.add(contact.bare);
    }
    return isComplete;
  }

  /** A roster is sent in one piece: one that is too long would keep its owner out. */
  private hasRoomFor(item: RosterItem): boolean {
    const size = this.size + itemSize(item);
    if (size > this.account.maxAnswerBytes) return false;
    this.size = size;
    return true;
  }

  end(): void {
    const changed = [...this.contacts].slice(-MAX_CHANGES);
    for (const [i, contact] of changed.entries()) this.account.put(CHANGES, [this.account.nowMs + i], contact);
  }
}

/** RFC 6121 §2.1.2. `undefined` for a subscription that none keeps: `remove`, or none of the five. */
function itemOf(element: Element): StoredItem | undefined {
  const subscription = element.attr('subscription') ?? 'none'; // RFC 6121 §2.1.2.5
  if (!isSubscription(subscription)) return undefined;
  const groups = new Set(element.childrenNamed('group', NS_ROSTER).map((group) => group.text()));
  groups.delete('');
  return {
    name: element.attr('name') ?? '',
    groups: [...groups],
    subscription,
    ask: element.attr('ask') === 'subscribe' && (subscription === 'none' || subscription === 'from'), // RFC 6121 §A.1
    approved: element.attr('approved') === 'true' || element.attr('approved') === '1',
  };
}

function isSubscription(text: string): text is Subscription {
  return text === 'none' || text === 'to' || text === 'from' || text === 'both';
}

function storedJid(part: unknown): Jid {
  const jid = parseJid(String(part));
  if (jid === undefined) throw new Error('a roster row is not keyed by a JID');
  return jid;
}
