/** What subscribers are told. One body for all of them: a recipient costs a header. XEP-0060 §7.1.2, §7.2.2, §8.2.5, §8.4.2, §8.5.2, §8.6 */
import { escapeAttr, serialize } from '../../xml/serialize.ts';
import type { Element } from '../../xml/element.ts';
import { delayElement } from '../../xmpp/delay.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { Stanza } from '../../xmpp/stanza.ts';
import { maySee, ownersOf } from './access.ts';
import type { ItemHead, Node } from './node.ts';
import { PUBSUB_EVENT } from './namespaces.ts';
import { randomName, type Place } from './place.ts';

const EVENT = [{ name: 'event', ns: PUBSUB_EVENT }];
const DELAYED_EVENT = [...EVENT, { name: 'delay', ns: NS.delay }];
const OPEN = `<event xmlns='${PUBSUB_EVENT}'>`;
const CLOSE = '</event>';

/** An item as it stands in events and answers. `payload`: text of an element that stands alone. */
export function itemXml(id: string, payload: string): string {
  const start = "<item id='" + escapeAttr(id) + "'";
  return payload === '' ? start + '/>' : start + '>' + payload + '</item>';
}

export function nodeAttr(node: Node): string {
  return " node='" + escapeAttr(node.name) + "'";
}

/** @param payload '' for none, or where the node does not deliver it. */
export function tellItem(place: Place, node: Node, id: string, payload: string): void {
  tell(place, node, `<items${nodeAttr(node)}>${itemXml(id, node.config['pubsub#deliver_payloads'] ? payload : '')}</items>`);
}

export function tellRetraction(place: Place, node: Node, ids: readonly string[]): void {
  if (ids.length === 0) return;
  const retracts = ids.map((id) => "<retract id='" + escapeAttr(id) + "'/>").join('');
  tell(place, node, `<items${nodeAttr(node)}>${retracts}</items>`);
}

export function tellPurge(place: Place, node: Node): void {
  tell(place, node, `<purge${nodeAttr(node)}/>`);
}

/** @param uri of the node that takes its place. §8.4.1 */
export function tellDeletion(place: Place, node: Node, uri: string | undefined): void {
  const redirect = uri === undefined ? '/>' : `><redirect uri='${escapeAttr(uri)}'/></delete>`;
  tell(place, node, `<delete${nodeAttr(node)}${redirect}`);
}

/** @param form undefined where the node does not deliver it. */
export function tellConfiguration(place: Place, node: Node, form: Element | undefined): void {
  const inner = form === undefined ? '/>' : `>${serialize(form, PUBSUB_EVENT)}</configuration>`;
  tell(place, node, `<configuration${nodeAttr(node)}${inner}`);
}

/** A subscription is another one without the subscriber's doing. §8.6, §8.8.4 */
export function tellSubscription(place: Place, node: Node, subscriber: Jid, state: string, to: Jid = subscriber): void {
  const inner = `<subscription${nodeAttr(node)} jid='${subscriber.xml}' subscription='${state}'/>`;
  place.route(message(place, node, inner).readdressed(place.jid, to));
}

/** The last item, to somebody who came later. §6.1.7, XEP-0163 §4.3.4 */
export function lastItemEvent(place: Place, node: Node, item: ItemHead, payload: string): Stanza {
  const inner = `<items${nodeAttr(node)}>${itemXml(item.id, node.config['pubsub#deliver_payloads'] ? payload : '')}</items>`;
  const delay = serialize(delayElement(place.jid.full, item.atMs), NS.client); // §6.1.7
  return message(place, node, inner, delay);
}

/** Owners hear of a new subscriber, and the subscriber of the last item. §6.1.7, `pubsub#notify_sub` */
export function welcome(place: Place, node: Node, jid: Jid): void {
  if (node.config['pubsub#notify_sub']) tellOwners(place, node, jid, 'subscribed');
  const last = node.config['pubsub#send_last_published_item'] === 'never' ? undefined : node.lastItem(place.now);
  if (last === undefined) return;
  place.readItems(node, [last], (later, [item]) => {
    if (item !== undefined) later.route(lastItemEvent(later, node, last, item.payload).readdressed(later.jid, jid));
  });
}

export function tellOwners(place: Place, node: Node, subscriber: Jid, state: string): void {
  for (const to of ownersOf(place, node)) tellSubscription(place, node, subscriber, state, to);
}

function message({ jid }: Place, node: Node, inner: string, after = ''): Stanza {
  return new Stanza({
    kind: 'message',
    type: node.config['pubsub#notification_type'],
    id: randomName(),
    from: jid,
    to: jid,
    body: OPEN + inner + CLOSE + after,
    children: after === '' ? EVENT : DELAYED_EVENT,
  });
}

function tell(place: Place, node: Node, inner: string): void {
  if (!node.config['pubsub#deliver_notifications']) return;
  const event = message(place, node, inner);
  const served = new Set<string>();
  for (const [address, { state, isDelivering, expiresAtMs = Infinity }] of node.subscriptions) {
    if (state !== 'subscribed' || expiresAtMs <= place.now) continue;
    const jid = parseJid(address)!;
    served.add(address);
    if (isDelivering && maySee(place, node, jid.bare)) place.route(event.readdressed(place.jid, jid));
  }
  // §6.1.6: one notification each, however many reasons there are.
  place.rules.notifyImplicitly?.(node, event, (to) => served.size > 0 && (served.has(to.full) || served.has(to.bare)));
}
