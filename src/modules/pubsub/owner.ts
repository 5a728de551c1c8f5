/** What owners do with their nodes. XEP-0060 §8 */
import { EMPTY_RESULT, type IqAnswer } from '../../core/module.ts';
import { el, type Element } from '../../xml/element.ts';
import { dataFormElement, parseDataForm } from '../../xmpp/data-form.ts';
import { buildForm, buildResult } from '../../xmpp/form-schema.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { affiliationOf, isOwner } from './access.ts';
import { decide } from './approval.ts';
import { CONFIG_FORM, configured, type NodeConfig } from './config.ts';
import { pubsubError, unsupported } from './errors.ts';
import { tellConfiguration, tellDeletion, tellPurge, tellSubscription, welcome } from './events.ts';
import { PUBSUB, PUBSUB_OWNER } from './namespaces.ts';
import type { Affiliation, Node, Subscription } from './node.ts';
import { createNode, creationRefusal, nodeOf } from './nodes.ts';
import { randomName, type Place } from './place.ts';
import { configLimits, trimItems } from './publish.ts';

/** §8.1 */
export function create(place: Place, pubsub: Element, from: Jid): IqAnswer {
  const asked = pubsub.child('create')!.attr('node');
  const name = asked === undefined || asked === '' ? randomName() : asked;
  if (place.nodes.get(name) !== undefined) return new StanzaError('conflict'); // §8.1.1
  const refusal = creationRefusal(place, name, from);
  if (refusal !== undefined) return refusal;
  const form = pubsub.child('configure')?.child('x', NS.dataForm);
  const config = form === undefined ? place.rules.defaults : readConfig(place, place.rules.defaults, form);
  if (config instanceof StanzaError) return config;
  createNode(place, name, config, from);
  return name === asked ? EMPTY_RESULT : el('pubsub', PUBSUB, {}, el('create', PUBSUB, { node: name }));
}

function readConfig(place: Place, config: NodeConfig, element: Element): NodeConfig | StanzaError {
  const form = parseDataForm(element);
  return form === undefined ? new StanzaError('bad-request', 'The form is malformed') : configured(config, form, configLimits(place));
}

/** The node of a request that only its owners may make. */
function ownNode(place: Place, asking: Element, from: Jid): Node | StanzaError {
  const node = nodeOf(place, asking.attr('node'));
  return node instanceof StanzaError || isOwner(place, node, from) ? node : new StanzaError('forbidden');
}

/** §8.2.1 */
export function tellConfig(place: Place, owner: Element, from: Jid): IqAnswer {
  const node = ownNode(place, owner.child('configure')!, from);
  if (node instanceof StanzaError) return node;
  return ownerElement('configure', { node: node.name }, dataFormElement(buildForm(CONFIG_FORM, node.config)));
}

/** §8.2.4 */
export function setConfig(place: Place, owner: Element, from: Jid): IqAnswer {
  const asking = owner.child('configure')!;
  const node = ownNode(place, asking, from);
  if (node instanceof StanzaError) return node;
  const form = asking.child('x', NS.dataForm);
  if (form === undefined) return new StanzaError('bad-request', 'There is no form');
  const config = readConfig(place, node.config, form);
  if (config instanceof StanzaError) return config;
  if (config === node.config) return EMPTY_RESULT; // cancelled: §8.2.3
  node.config = config;
  place.saveNode(node);
  if (!config['pubsub#persist_items']) for (const id of [...node.items.keys()]) place.removeItem(node, id);
  trimItems(place, node);
  if (config['pubsub#notify_config']) {
    const result = config['pubsub#deliver_payloads'] ? dataFormElement(buildResult(CONFIG_FORM, config)) : undefined;
    tellConfiguration(place, node, result);
  }
  return EMPTY_RESULT;
}

/** §8.3 */
export function tellDefaultConfig({ rules }: Place): IqAnswer {
  return ownerElement('default', {}, dataFormElement(buildForm(CONFIG_FORM, rules.defaults)));
}

/** §8.4 */
export function deleteNode(place: Place, owner: Element, from: Jid): IqAnswer {
  const asking = owner.child('delete')!;
  const node = ownNode(place, asking, from);
  if (node instanceof StanzaError) return node;
  endNode(place, node, asking.child('redirect')?.attr('uri'));
  return EMPTY_RESULT;
}

export function endNode(place: Place, node: Node, uri?: string): void {
  if (node.config['pubsub#notify_delete'] || uri !== undefined) tellDeletion(place, node, uri);
  const ids = [...node.items.keys()];
  place.removeNode(node);
  for (const id of ids) place.rules.changed?.(node, id, undefined);
}

/** §8.5 */
export function purge(place: Place, owner: Element, from: Jid): IqAnswer {
  const node = ownNode(place, owner.child('purge')!, from);
  if (node instanceof StanzaError) return node;
  if (!node.config['pubsub#persist_items']) return unsupported('persistent-items'); // §8.5.3.3
  const ids = [...node.items.keys()];
  for (const id of ids) place.removeItem(node, id);
  if (node.config['pubsub#notify_retract']) tellPurge(place, node);
  for (const id of ids) place.rules.changed?.(node, id, undefined);
  return EMPTY_RESULT;
}

/** §8.8.1 */
export function tellSubscribers(place: Place, owner: Element, from: Jid): IqAnswer {
  const node = ownNode(place, owner.child('subscriptions')!, from);
  if (node instanceof StanzaError) return node;
  const entries = [...node.subscriptions].map(([jid, { state, subid }]) =>
    el('subscription', PUBSUB_OWNER, { jid, subscription: state, subid }),
  );
  return ownerElement('subscriptions', { node: node.name }, ...entries);
}

/** §8.8.2: all of them or none. */
export function setSubscribers(place: Place, owner: Element, from: Jid): IqAnswer {
  const asking = owner.child('subscriptions')!;
  const node = ownNode(place, asking, from);
  if (node instanceof StanzaError) return node;
  const changes: [jid: Jid, state: string][] = [];
  for (const entry of asking.childrenNamed('subscription')) {
    const jid = parseJid(entry.attr('jid') ?? '');
    const state = entry.attr('subscription');
    if (jid === undefined || (state !== undefined && !['none', 'pending', 'subscribed'].includes(state)))
      return new StanzaError('not-acceptable', 'An entry has no JID, or a subscription state that is none');
    if (state !== undefined) changes.push([jid, state]);
  }
  if (node.subscriptions.size + changes.length > place.rules.limits.maxSubscriptions)
    return pubsubError('policy-violation', 'too-many-subscriptions', { type: 'wait' });
  for (const [jid, state] of changes) changeSubscription(place, node, jid, state);
  return EMPTY_RESULT;
}

function changeSubscription(place: Place, node: Node, jid: Jid, state: string): void {
  const known = node.subscriptions.get(jid.full);
  if ((known?.state ?? 'none') === state) return;
  if (known?.state === 'pending') {
    decide(place, node, jid, state === 'subscribed');
    return;
  }
  const fresh = { state, subid: known?.subid ?? randomName(), isDelivering: true } as Subscription;
  place.setSubscription(node, jid.full, state === 'none' ? undefined : fresh);
  tellSubscription(place, node, jid, state); // §8.8.4
  if (state === 'subscribed') welcome(place, node, jid);
}

/** §8.9.1 */
export function tellAffiliations(place: Place, owner: Element, from: Jid): IqAnswer {
  const node = ownNode(place, owner.child('affiliations')!, from);
  if (node instanceof StanzaError) return node;
  const all = new Map<string, Affiliation>(node.affiliations);
  if (place.rules.isOwner(place.jid.bare)) all.set(place.jid.bare, 'owner');
  const entries = [...all].map(([jid, affiliation]) => el('affiliation', PUBSUB_OWNER, { jid, affiliation }));
  return ownerElement('affiliations', { node: node.name }, ...entries);
}

const AFFILIATIONS: readonly string[] = ['owner', 'publisher', 'publish-only', 'member', 'outcast', 'none'];

/** §8.9.2: all of them or none. */
export function setAffiliations(place: Place, owner: Element, from: Jid): IqAnswer {
  const asking = owner.child('affiliations')!;
  const node = ownNode(place, asking, from);
  if (node instanceof StanzaError) return node;
  const after = new Map<Jid['bare'], Affiliation | 'none'>();
  for (const entry of asking.childrenNamed('affiliation')) {
    const jid = parseJid(entry.attr('jid') ?? '');
    const affiliation = entry.attr('affiliation');
    if (jid === undefined || (affiliation !== undefined && !AFFILIATIONS.includes(affiliation)))
      return new StanzaError('not-acceptable', 'An entry has no JID, or an affiliation that is none');
    if (affiliation !== undefined) after.set(jid.bare, affiliation as Affiliation | 'none');
  }
  if (place.rules.isOwner(place.jid.bare) && (after.get(place.jid.bare) ?? 'owner') !== 'owner')
    return new StanzaError('not-acceptable', 'An account owns its nodes');
  if (!hasOwnerAfter(place, node, after)) return new StanzaError('not-acceptable', 'A node needs an owner'); // §8.9.2.4
  if (node.affiliations.size + after.size > place.rules.limits.maxAffiliations)
    return new StanzaError('policy-violation', 'There are too many affiliations', { type: 'wait' });
  for (const [bare, affiliation] of after) changeAffiliation(place, node, bare, affiliation);
  return EMPTY_RESULT;
}

function hasOwnerAfter(place: Place, node: Node, after: ReadonlyMap<string, string>): boolean {
  if (place.rules.isOwner(place.jid.bare)) return true;
  const all = new Map<string, string>([...node.affiliations, ...after]);
  return [...all.values()].includes('owner');
}

/** §8.7, last note: what waits for approval follows the affiliation. */
function changeAffiliation(place: Place, node: Node, bare: Jid['bare'], affiliation: Affiliation | 'none'): void {
  if (affiliationOf(place, node, bare) === affiliation) return;
  place.setAffiliation(node, bare, affiliation);
  for (const [address, { state }] of [...node.subscriptions]) {
    const jid = parseJid(address)!;
    if (jid.bare !== bare) continue;
    if (affiliation === 'outcast') {
      place.setSubscription(node, address, undefined);
      tellSubscription(place, node, jid, 'none');
    } else if (state === 'pending' && affiliation !== 'none' && affiliation !== 'publish-only') {
      decide(place, node, jid, true);
    }
  }
}

function ownerElement(name: string, attrs: Readonly<Record<string, string>>, ...children: readonly Element[]): Element {
  return el('pubsub', PUBSUB_OWNER, {}, el(name, PUBSUB_OWNER, attrs, ...children));
}
