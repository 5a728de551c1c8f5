/** Nodes of accounts, as XEP-0227 §4.10 has them: what they are in one `<pubsub/>`, their items in another. */
import type { AccountImport, AccountRows, Portable, PortableReader } from '../../core/portable.ts';
import { escapeAttr, serialize } from '../../xml/serialize.ts';
import type { Element } from '../../xml/element.ts';
import { dataFormElement, parseDataForm } from '../../xmpp/data-form.ts';
import { buildForm, readSubmission } from '../../xmpp/form-schema.ts';
import { parseJid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { accountDefaults, CONFIG_FORM, type NodeConfig } from './config.ts';
import { itemXml } from './events.ts';
import { PUBSUB, PUBSUB_OWNER } from './namespaces.ts';
import type { Affiliation, Subscription } from './node.ts';
import { AFFILIATIONS, ITEMS, NODES, SUBSCRIPTIONS, type ItemRow } from './rows.ts';

/** What nodes may hold is for the importing server to say; it is asked when something is published. */
const MAX_PAYLOAD_BYTES = 256 * 1024;

/** §4.10.1: per node its configuration, then who may do what and who has subscribed. */
const OWNER_PART: Portable = {
  tables: [NODES, AFFILIATIONS, SUBSCRIPTIONS],
  within: ['pubsub', PUBSUB_OWNER],
  elements: [
    ['configure', PUBSUB_OWNER],
    ['affiliations', PUBSUB_OWNER],
    ['subscriptions', PUBSUB_OWNER],
  ],
  async *write(account: AccountRows) {
    for await (const page of account.pages(NODES)) {
      for (const { key, value } of page) {
        const name = String(key[0]);
        yield ownerXml('configure', name, serialize(dataFormElement(buildForm(CONFIG_FORM, value.config)), PUBSUB_OWNER));
        let affiliations = '';
        for await (const rows of account.pages(AFFILIATIONS, { prefix: [name] }))
          for (const row of rows) affiliations += `<affiliation jid='${escapeAttr(String(row.key[1]))}' affiliation='${row.value}'/>`;
        if (affiliations !== '') yield ownerXml('affiliations', name, affiliations);
        let subscriptions = '';
        for await (const rows of account.pages(SUBSCRIPTIONS, { prefix: [name] }))
          for (const {
            key: [, jid],
            value: { state, subid },
          } of rows)
            subscriptions += `<subscription jid='${escapeAttr(String(jid))}' subscription='${state}' subid='${escapeAttr(subid)}'/>`;
        if (subscriptions !== '') yield ownerXml('subscriptions', name, subscriptions);
      }
    }
  },
  read: (account) => ({ take: (element) => takeOwnerPart(account, element) }),
};

function ownerXml(tag: string, node: string, inner: string): string {
  return `<${tag} xmlns='${PUBSUB_OWNER}' node='${escapeAttr(node)}'>${inner}</${tag}>`;
}

function takeOwnerPart(account: AccountImport, element: Element): boolean {
  const name = element.attr('node');
  if (name === undefined || name === '') return false;
  switch (element.name) {
    case 'configure': {
      const config = configOf(element);
      if (config === undefined) return false;
      account.put(NODES, [name], { config, createdAtMs: account.nowMs, creator: account.bare });
      return true;
    }
    case 'affiliations':
      return takeEach(element, 'affiliation', (jid, entry) => {
        const affiliation = entry.attr('affiliation') ?? '';
        if (!['owner', 'publisher', 'publish-only', 'member', 'outcast'].includes(affiliation)) return false;
        account.put(AFFILIATIONS, [name, jid.bare], affiliation as Affiliation);
        return true;
      });
    default:
      return takeEach(element, 'subscription', (jid, entry) => {
        const state = entry.attr('subscription') as Subscription['state'];
        if (state !== 'subscribed' && state !== 'pending') return false;
        account.put(SUBSCRIPTIONS, [name, jid.full], { state, subid: entry.attr('subid') ?? jid.full, isDelivering: true });
        return true;
      });
  }
}

/** The defaults of accounts, with what the form says. */
function configOf(element: Element): NodeConfig | undefined {
  const x = element.child('x', NS.dataForm);
  const form = x && parseDataForm(x);
  const read = form && readSubmission(CONFIG_FORM, { ...form, kind: 'submit' });
  return read !== undefined && 'kind' in read && read.kind === 'submit'
    ? { ...accountDefaults(MAX_PAYLOAD_BYTES), ...read.values }
    : undefined;
}

function takeEach(list: Element, name: string, take: (jid: NonNullable<ReturnType<typeof parseJid>>, entry: Element) => boolean): boolean {
  let isComplete = true;
  for (const entry of list.childrenNamed(name)) {
    const jid = parseJid(entry.attr('jid') ?? '');
    if (jid === undefined || !take(jid, entry)) isComplete = false;
  }
  return isComplete;
}

/** §4.10.2 */
const ITEMS_PART: Portable = {
  tables: [ITEMS],
  within: ['pubsub', PUBSUB],
  elements: [['items', PUBSUB]],
  async *write(account: AccountRows) {
    for await (const nodes of account.pages(NODES)) {
      for (const { key } of nodes) {
        const name = String(key[0]);
        const items: (readonly [seq: number, xml: string])[] = [];
        for await (const page of account.pages(ITEMS, { prefix: [name] }))
          for (const row of page) items.push([row.value.seq, itemXml(String(row.key[1]), row.value.payload)]);
        items.sort(([a], [b]) => a - b);
        yield `<items xmlns='${PUBSUB}' node='${escapeAttr(name)}'>${items.map(([, xml]) => xml).join('')}</items>`;
      }
    }
  },
  read: (account) => new ItemsReader(account),
};

/** Items in the order of the document: the last is the newest. */
class ItemsReader implements PortableReader {
  private readonly account: AccountImport;
  private readonly names = new Set<string>();
  private seq = 0;

  constructor(account: AccountImport) {
    this.account = account;
  }

  take(element: Element): boolean {
    const { account } = this;
    const name = element.attr('node');
    if (name === undefined || name === '') return false;
    this.names.add(name);
    let isComplete = true;
    for (const item of element.childrenNamed('item')) {
      const id = item.attr('id');
      const [payload] = item.elements();
      if (id === undefined || id === '') {
        isComplete = false;
        continue;
      }
      const text = payload === undefined ? '' : serialize(payload, '\0');
      const row: ItemRow = { seq: ++this.seq, atMs: account.nowMs, publisher: account.bare, bytes: id.length + text.length, payload: text };
      account.put(ITEMS, [name, id], row);
    }
    return isComplete;
  }

  /** "Any node listed in this element MUST have a corresponding configuration"; one that has none is nobody's but its owner's. */
  async end(): Promise<void> {
    const { account } = this;
    const config: NodeConfig = { ...accountDefaults(MAX_PAYLOAD_BYTES), 'pubsub#access_model': 'whitelist', 'pubsub#max_items': 'max' };
    for (const name of this.names)
      if ((await account.get(NODES, [name])) === undefined)
        account.put(NODES, [name], { config, createdAtMs: account.nowMs, creator: account.bare });
  }
}

export const PUBSUB_PORTABLE: readonly Portable[] = [OWNER_PART, ITEMS_PART];
