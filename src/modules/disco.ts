/** Service discovery: what the server and its accounts can do, and what belongs to them. XEP-0030, XEP-0128, XEP-0157 */
import { z } from 'zod';
import { domain } from '../config/types.ts';
import type { AccountContext, HostContext } from '../core/context.ts';
import type { Host } from '../core/host.ts';
import type { ServiceContext } from '../core/service.ts';
import { defineModule, type DiscoItem, type IqAnswer, type IqRequest, type NestedInfo, type ServerNodes } from '../core/module.ts';
import { el, type Element } from '../xml/element.ts';
import { capsVer, discoInfoElement, type Caps, type DiscoInfo } from '../xmpp/caps.ts';
import { formTypeField, type DataForm } from '../xmpp/data-form.ts';
import { NS } from '../xmpp/namespaces.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { rosterOf } from './roster/index.ts';

const INFO = ['query', NS.discoInfo] as const;
const ITEMS = ['query', NS.discoItems] as const;

/** Names the software in capabilities: XEP-0115 §4. */
const CAPS_NODE = 'urn:rookery:server';

/** Whom to write to, by what for: XEP-0157 §6.1. */
const CONTACTS = ['abuse', 'admin', 'feedback', 'sales', 'security', 'status', 'support'] as const;
const uris = z
  .array(z.string().refine((value) => URL.canParse(value), 'expected a URI, such as mailto:abuse@example.org or xmpp:admin@example.org'))
  .default([]);

const OPTIONS = z.strictObject({
  /** The server’s name for people. */
  name: z.string().min(1).max(200).default('Rookery'),
  /** Whom to write to: lists of URIs for `abuse`, `admin`, `feedback`, `sales`, `security`, `status`, `support`. XEP-0157 */
  contacts: z
    .strictObject(Object.fromEntries(CONTACTS.map((name) => [name, uris])) as Record<(typeof CONTACTS)[number], typeof uris>)
    .prefault({}),
  /** Services elsewhere that clients should find, e.g. `[{ jid = "rooms.example.org", name = "Rooms" }]`. */
  items: z
    .array(z.strictObject({ jid: domain().schema, name: z.string().max(200).optional() }))
    .max(100)
    .default([]),
});

const disco = defineModule({
  name: 'disco',
  implements: [
    { spec: 'XEP-0030', version: '2.5.0', status: 'complete' },
    { spec: 'XEP-0128', version: '1.0.1', status: 'complete' },
    { spec: 'XEP-0157', version: '1.1.1', status: 'complete' },
  ],
  needs: ['roster'],
  config: OPTIONS,
  features: [NS.discoInfo, NS.discoItems],
  accountFeatures: [NS.discoInfo, NS.discoItems],
  iq: [
    { type: 'get', to: 'server', payload: INFO, run: serverInfo },
    { type: 'get', to: 'server', payload: ITEMS, run: serverItems },
    { type: 'get', to: 'service', payload: INFO, run: serviceInfo },
    { type: 'get', to: 'service', payload: ITEMS, run: serviceItems },
    { type: 'get', to: 'account', from: 'anyone', payload: INFO, run: accountInfo },
    { type: 'get', to: 'account', from: 'anyone', payload: ITEMS, refusal: noItems, run: accountItems },
  ],
});
export default disco;

const infos = new WeakMap<Host, { readonly info: DiscoInfo; readonly caps: Caps; readonly version: number }>();

/** What the host says of itself, and the hash of it; worked out again only when what others say in its name has changed. */
export function hostInfo(host: Host): { readonly info: DiscoInfo; readonly caps: Caps } {
  let known = infos.get(host);
  const nested = nestedIn(host);
  const version = nested.reduce((sum, each) => sum + each.version, 0);
  if (known === undefined || known.version !== version) {
    const { name } = host.moduleConfig(disco);
    const own: DiscoInfo = {
      identities: [{ category: 'server', type: 'im', name }, ...host.identities()],
      features: host.features(),
      forms: [...contactForm(host), ...host.modules.flatMap(({ serverForms }) => serverForms?.(host) ?? [])],
    };
    const info = withNested(own, nested, 'server');
    known = { info, caps: { node: CAPS_NODE, ver: capsVer(info), hash: 'sha-1' }, version };
    infos.set(host, known);
  }
  return known;
}

function nestedIn(host: Host): NestedInfo[] {
  return host.modules.flatMap(({ nestedInfo }) => nestedInfo?.(host) ?? []);
}

/** Features of a namespace that somebody else serves are his to tell. XEP-0355 §7.2.1 */
function withNested({ identities, features, forms }: DiscoInfo, nested: readonly NestedInfo[], of: 'server' | 'account'): DiscoInfo {
  if (nested.length === 0) return { identities, features, forms };
  const replaced = nested.flatMap((each) => each.replaced);
  const isReplaced = (feature: string): boolean => replaced.some((ns) => feature === ns || feature.startsWith(`${ns}#`));
  const added = nested.flatMap((each) => each[of]);
  return {
    identities: [...identities, ...added.flatMap((each) => each.identities)],
    features: [...new Set([...features.filter((each) => !isReplaced(each)), ...added.flatMap((each) => each.features)])].sort(),
    forms: [...forms, ...added.flatMap((each) => each.forms)],
  };
}

/** XEP-0157 §3 */
function contactForm(host: Host): DataForm[] {
  const { contacts } = host.moduleConfig(disco);
  const fields = CONTACTS.filter((name) => contacts[name].length > 0).map((name) => ({
    var: `${name}-addresses`,
    type: 'list-multi' as const,
    values: contacts[name],
  }));
  return fields.length === 0 ? [] : [{ kind: 'result', fields: [formTypeField('http://jabber.org/network/serverinfo'), ...fields] }];
}

/** XEP-0030 §3; with the node of the capabilities the answer is the same: XEP-0115 §6.2 */
function serverInfo({ payload, from, session }: IqRequest, { host }: HostContext): IqAnswer | Promise<IqAnswer> {
  const node = payload.attr('node');
  const { info, caps } = hostInfo(host);
  if (node === undefined || node === `${caps.node}#${caps.ver}`) return discoInfoElement(info, node);
  return nodeOf(
    host,
    (nodes) => nodes.info({ host, node, from, session }),
    (found) => discoInfoElement(found, node),
  );
}

/** §4.1 */
function serverItems({ payload, from, session }: IqRequest, { host }: HostContext): IqAnswer | Promise<IqAnswer> {
  const node = payload.attr('node');
  if (node === undefined) {
    const own = host.domains.map(({ domain, spec }): DiscoItem => ({ jid: domain, name: spec.identities[0]?.name }));
    const { items } = host.moduleConfig(disco);
    const listed = (host.services.listedServices?.() ?? []).filter(({ domain }) => items.every(({ jid }) => jid !== domain));
    return itemsElement([...own, ...items, ...listed.map(({ domain, title }) => ({ jid: domain, name: title }))]);
  }
  return nodeOf(
    host,
    (nodes) => nodes.items({ host, node, from, session }),
    (found) => itemsElement(found, node),
  );
}

function itemsElement(items: readonly DiscoItem[], node?: string): Element {
  return el(
    'query',
    NS.discoItems,
    { node },
    ...items.map(({ jid, node: own, name }) => el('item', NS.discoItems, { jid, node: own, name })),
  );
}

/** What the module that has the node says of it. §7 */
async function nodeOf<T>(
  host: Host,
  ask: (nodes: ServerNodes) => T | StanzaError | undefined,
  answer: (found: T) => Element,
): Promise<IqAnswer> {
  await host.stored.load();
  for (const { serverNodes } of host.modules) {
    const found = serverNodes && ask(serverNodes);
    if (found !== undefined) return found instanceof StanzaError ? found : answer(found);
  }
  return new StanzaError('item-not-found');
}

/** XEP-0030 §3, of a service of the host. */
function serviceInfo({ payload, from }: IqRequest, context: ServiceContext): IqAnswer {
  const node = payload.attr('node');
  const { identities, features, nodes } = context.service;
  if (node === undefined) {
    const common = context.host.handlersOf('service').map(({ payload: [, ns] }) => ns);
    return discoInfoElement({ identities, features: [...new Set([...features, ...common])].sort(), forms: [] });
  }
  const info = nodes?.info(context, node, from);
  return info === undefined ? new StanzaError('item-not-found') : discoInfoElement(info, node);
}

function serviceItems({ payload, from }: IqRequest, context: ServiceContext): IqAnswer {
  const node = payload.attr('node');
  const { nodes } = context.service;
  const items = node === undefined ? (nodes?.items(context, from) ?? []) : nodes?.itemsOf(context, node, from);
  if (items === undefined) return new StanzaError('item-not-found');
  return items instanceof StanzaError ? items : el('query', NS.discoItems, { node }, ...items);
}

/** §8 rule 1: nothing, not even whether the account exists, for those who may not see its presence. */
function accountInfo({ payload, from }: IqRequest, account: AccountContext): IqAnswer {
  const node = payload.attr('node');
  for (const { accountNodes } of node === undefined ? [] : account.host.modules) {
    const info = accountNodes?.info(account, node!, from);
    if (info !== undefined) return discoInfoElement(info, node);
  }
  if (!maySee(account, from.bare)) return new StanzaError('service-unavailable');
  if (node !== undefined) return new StanzaError('item-not-found');
  const { host, isTemporary } = account;
  const identities = [{ category: 'account', type: isTemporary ? 'anonymous' : 'registered' }, ...host.accountIdentities()];
  return discoInfoElement(withNested({ identities, features: host.accountFeatures(), forms: [] }, nestedIn(host), 'account'));
}

/** §4.1: the available resources; §8 rule 2. */
function accountItems({ payload, from, stanza }: IqRequest, account: AccountContext): IqAnswer {
  const node = payload.attr('node');
  for (const { accountNodes } of node === undefined ? [] : account.host.modules) {
    const found = accountNodes?.itemsOf(account, node!, from);
    if (found !== undefined) return found instanceof StanzaError ? found : el('query', NS.discoItems, { node }, ...found);
  }
  if (!maySee(account, from.bare)) return noItems(stanza);
  if (node !== undefined) return new StanzaError('item-not-found');
  const items: Element[] = account.host.modules.flatMap(({ accountNodes }) => accountNodes?.items(account, from) ?? []);
  for (const { isAvailable, jid } of account.sessions) if (isAvailable) items.push(el('item', NS.discoItems, { jid: jid.full }));
  return el('query', NS.discoItems, {}, ...items);
}

/** What those get who may not see the account, and all where there is none. A resource that is not there has no answer. §8 */
function noItems(request: Stanza): IqAnswer {
  if (request.to.isFull) return new StanzaError('service-unavailable');
  return el('query', NS.discoItems, { node: request.child(...ITEMS)?.attr('node') });
}

function maySee(account: AccountContext, bare: AccountContext['bare']): boolean {
  return bare === account.bare || rosterOf(account).subscribers.has(bare);
}
