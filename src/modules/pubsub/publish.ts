/** Publishing and retracting items. XEP-0060 §7.1, §7.2 */
import { EMPTY_RESULT, type IqAnswer } from '../../core/module.ts';
import { el, type Element } from '../../xml/element.ts';
import { serialize } from '../../xml/serialize.ts';
import { parseBoolean, parseDataForm } from '../../xmpp/data-form.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { affiliationOf, mayPublish } from './access.ts';
import { meetsOptions, readPublishOptions, withOptions, type PublishOptions } from './config.ts';
import { pubsubError, unsupported } from './errors.ts';
import { tellItem, tellRetraction } from './events.ts';
import { PUBSUB } from './namespaces.ts';
import { createNode, creationRefusal, MAX_NAME_LENGTH, nodeOf } from './nodes.ts';
import type { Node } from './node.ts';
import { randomName, type Place } from './place.ts';

/** Text that stands alone wherever it is put: no default namespace is like that one. */
const NO_NS = '\0';

/** @param pubsub the payload of the request: `<publish/>` and perhaps `<publish-options/>`. */
export function publish(place: Place, pubsub: Element, from: Jid): IqAnswer {
  const publishing = pubsub.child('publish')!;
  const options = optionsOf(pubsub);
  if (options instanceof StanzaError) return options;
  const name = publishing.attr('node');
  if (name === undefined || name === '') return pubsubError('bad-request', 'nodeid-required');
  const known = place.nodes.get(name);
  if (known !== undefined && !mayPublish(place, known, from)) return new StanzaError('forbidden'); // §7.1.3.1
  if (known !== undefined && !meetsOptions(known.config, options)) return pubsubError('conflict', 'precondition-not-met'); // §7.1.5
  const refusal = known === undefined ? creationRefusal(place, name, from) : undefined;
  if (refusal !== undefined) return place.rules.mayCreate(from) ? refusal : new StanzaError('item-not-found'); // §7.1.3.3
  const config = known?.config ?? withOptions(place.rules.defaults, options, configLimits(place));
  if (config instanceof StanzaError) return config;
  const item = readItem(publishing, config, place);
  if (item instanceof StanzaError) return item;
  const growth = item.bytes - (known?.items.get(item.id)?.bytes ?? 0);
  if (config['pubsub#persist_items'] && growth > 0 && place.nodes.bytes + growth > place.rules.limits.maxBytes)
    return new StanzaError('resource-constraint', 'There is no room for more items');
  if (known !== undefined && isFull(place, known, item.id)) return pubsubError('conflict', 'node-full'); // §7.1.3.4
  const node = known ?? createNode(place, name, config, from);
  putItem(place, node, item, from);
  return el('pubsub', PUBSUB, {}, el('publish', PUBSUB, { node: name }, el('item', PUBSUB, { id: item.id })));
}

/** What is new at a node: kept as its configuration says, and told. */
export function putItem(place: Place, node: Node, { id, payload }: { readonly id: string; readonly payload: string }, from: Jid): void {
  const { config } = node;
  if (config['pubsub#persist_items']) {
    const head = { id, seq: place.nodes.takeSeq(), atMs: place.now, publisher: from.bare, bytes: id.length + payload.length };
    place.saveItem(node, head, payload);
    trimItems(place, node);
  }
  tellItem(place, node, id, payload);
  place.rules.changed?.(node, id, payload);
}

/** Of a node that refuses new items then. `pubsub#publish_node_full` */
function isFull(place: Place, node: Node, id: string): boolean {
  const { config, items } = node;
  if (config['pubsub#publish_node_full'] !== 'reject' || !config['pubsub#persist_items'] || items.has(id)) return false;
  return items.size >= mostItems(place, node) && node.newestFirst(place.now).length >= mostItems(place, node);
}

function mostItems({ rules }: Place, { config }: Node): number {
  const wanted = config['pubsub#max_items'];
  return Math.min(wanted === 'max' ? Infinity : wanted, rules.limits.maxItems);
}

/** The oldest go where there are too many, and those whose time is over. §7.1.2, `pubsub#max_items`, `pubsub#item_expire` */
export function trimItems(place: Place, node: Node): void {
  const most = mostItems(place, node);
  for (const item of node.items.values()) {
    if (node.items.size <= most && !node.isExpired(item, place.now)) break;
    place.removeItem(node, item.id);
  }
}

export function configLimits({ rules }: Place): { accessModels: Place['rules']['accessModels']; maxPayloadBytes: number } {
  return { accessModels: rules.accessModels, maxPayloadBytes: rules.limits.maxPayloadBytes };
}

function optionsOf(pubsub: Element): PublishOptions | StanzaError {
  const element = pubsub.child('publish-options')?.child('x', NS.dataForm);
  if (element === undefined) return {};
  const form = parseDataForm(element);
  return form === undefined ? new StanzaError('bad-request', 'The publish-options are malformed') : readPublishOptions(form);
}

interface NewItem {
  readonly id: string;
  readonly payload: string;
  readonly bytes: number;
}

/** §7.1.3.4 to §7.1.3.6 */
function readItem(publishing: Element, config: Node['config'], place: Place): NewItem | StanzaError {
  const items = publishing.childrenNamed('item');
  const isKept = config['pubsub#persist_items'];
  if (items.length > 1) return new StanzaError('bad-request', 'One item at a time');
  const [item] = items;
  if (item === undefined && (isKept || config['pubsub#deliver_payloads'])) return pubsubError('bad-request', 'item-required');
  if (item !== undefined && !isKept && !config['pubsub#deliver_payloads']) return pubsubError('bad-request', 'item-forbidden');
  const id = item?.attr('id') || randomName(); // §7.1.2: "the service MUST generate one"
  if (id.length > MAX_NAME_LENGTH) return new StanzaError('bad-request', 'The id of the item is too long');
  const payloads = item?.elements() ?? [];
  if (payloads.length > 1) return pubsubError('bad-request', 'invalid-payload');
  const [payload] = payloads;
  if (payload === undefined) {
    if (item !== undefined && config['pubsub#deliver_payloads'] && config['pubsub#type'] !== '')
      return pubsubError('bad-request', 'payload-required');
    return { id, payload: '', bytes: id.length };
  }
  if (config['pubsub#type'] !== '' && payload.ns !== config['pubsub#type']) return pubsubError('bad-request', 'invalid-payload');
  const text = serialize(payload, NO_NS);
  const most = Math.min(config['pubsub#max_payload_size'], place.rules.limits.maxPayloadBytes);
  if (Buffer.byteLength(text) > most) return pubsubError('not-acceptable', 'payload-too-big');
  return { id, payload: text, bytes: id.length + text.length };
}

/** §7.2 */
export function retract(place: Place, pubsub: Element, from: Jid): IqAnswer {
  const retracting = pubsub.child('retract')!;
  const node = nodeOf(place, retracting.attr('node'));
  if (node instanceof StanzaError) return node;
  const affiliation = affiliationOf(place, node, from.bare);
  if (!mayPublish(place, node, from)) return new StanzaError('forbidden'); // §7.2.3.1
  if (!node.config['pubsub#persist_items']) return unsupported('persistent-items'); // §7.2.3.5
  const ids = retracting.childrenNamed('item').map((item) => item.attr('id') ?? '');
  if (ids.length === 0 || ids.includes('')) return pubsubError('bad-request', 'item-required'); // §7.2.3.4
  for (const id of ids) {
    const item = node.items.get(id);
    if (item === undefined) return new StanzaError('item-not-found'); // §7.2.3.3
    // §4.1: a publisher removes its own items; whoever may publish only, or without an affiliation, no others either.
    if (affiliation !== 'owner' && affiliation !== 'publisher' && item.publisher !== from.bare) return new StanzaError('forbidden');
  }
  retractItems(place, node, ids, parseBoolean(retracting.attr('notify') ?? '') ?? false);
  return EMPTY_RESULT;
}

/** @param isToldAnyway whatever the configuration says. §7.2.2.1 */
export function retractItems(place: Place, node: Node, ids: readonly string[], isToldAnyway = false): void {
  for (const id of ids) place.removeItem(node, id);
  if (isToldAnyway || node.config['pubsub#notify_retract']) tellRetraction(place, node, ids);
  for (const id of ids) place.rules.changed?.(node, id, undefined);
}
