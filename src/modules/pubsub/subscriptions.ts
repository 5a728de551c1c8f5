/** What a subscriber does: subscribe, leave, set options, look up what it has. XEP-0060 §5.6, §5.7, §6.1 to §6.4 */
import { EMPTY_RESULT, type IqAnswer } from '../../core/module.ts';
import { el, type Element } from '../../xml/element.ts';
import { dataFormElement, parseDataForm } from '../../xmpp/data-form.ts';
import { formatDateTime, parseDateTime } from '../../xmpp/date-time.ts';
import { booleanField, buildForm, defineForm, readSubmission, textField } from '../../xmpp/form-schema.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { affiliationOf, isOwner, subscribeRefusal } from './access.ts';
import { askOwners } from './approval.ts';
import { pubsubError, unsupported } from './errors.ts';
import { tellOwners, welcome } from './events.ts';
import { PUBSUB, SUBSCRIBE_OPTIONS } from './namespaces.ts';
import type { Node, Subscription } from './node.ts';
import { nodeOf } from './nodes.ts';
import { randomName, type Place } from './place.ts';

/** §16.4.2; what we cannot do is no field. */
const OPTIONS = defineForm({
  formType: SUBSCRIBE_OPTIONS,
  fields: {
    'pubsub#deliver': booleanField({ label: 'Receive notifications' }),
    'pubsub#expire': textField({ label: 'When the subscription ends (a date and time)', maxLength: 100 }),
  },
});

type Options = Pick<Subscription, 'isDelivering' | 'expiresAtMs'>;
const DEFAULT_OPTIONS: Options = { isDelivering: true };

/** §6.1 */
export function subscribe(place: Place, pubsub: Element, from: Jid): IqAnswer {
  const asking = pubsub.child('subscribe')!;
  const node = nodeOf(place, asking.attr('node'));
  if (node instanceof StanzaError) return node;
  const jid = parseJid(asking.attr('jid') ?? '');
  if (jid === undefined || jid.bare !== from.bare) return pubsubError('bad-request', 'invalid-jid'); // §6.1.3.1
  const options = readOptions(pubsub.child('options'), place);
  if (options instanceof StanzaError) return options;
  const known = current(place, node, jid.full);
  if (known?.state === 'pending') return pubsubError('not-authorized', 'pending-subscription'); // §6.1.3.7
  const refusal = subscribeRefusal(place, node, from.bare);
  if (refusal instanceof StanzaError) return refusal;
  if (!node.config['pubsub#subscribe'] && !isOwner(place, node, from)) return unsupported('subscribe'); // §6.1.3.10
  if (known === undefined && node.subscriptions.size >= place.rules.limits.maxSubscriptions)
    return pubsubError('policy-violation', 'too-many-subscriptions', { type: 'wait' }); // §6.1.3.9
  const state = refusal === 'approval' && known === undefined ? 'pending' : 'subscribed';
  const { isDelivering, expiresAtMs } = options ?? known ?? DEFAULT_OPTIONS;
  const subscription: Subscription = { state, subid: known?.subid ?? randomName(), isDelivering, expiresAtMs };
  place.setSubscription(node, jid.full, subscription);
  if (state === 'pending') askOwners(place, node, jid, subscription.subid);
  else if (known === undefined) welcome(place, node, jid);
  return el(
    'pubsub',
    PUBSUB,
    {},
    subscriptionElement(node, jid.full, subscription, el('subscribe-options', PUBSUB)),
    options !== undefined && el('options', PUBSUB, {}, optionsForm(subscription, 'result')),
  );
}

/** One whose lease has ended is none. §12.18 */
function current(place: Place, node: Node, jid: string): Subscription | undefined {
  const subscription = node.subscriptions.get(jid);
  return subscription !== undefined && (subscription.expiresAtMs ?? Infinity) > place.now ? subscription : undefined;
}

/** Who asks about whose subscription to what, or the error that goes with it. §6.2.3, §6.3.4 */
function ownSubscription(
  place: Place,
  asking: Element,
  from: Jid,
): { readonly node: Node; readonly jid: Jid; readonly subscription: Subscription } | StanzaError {
  const node = nodeOf(place, asking.attr('node'));
  if (node instanceof StanzaError) return node;
  const text = asking.attr('jid');
  if (text === undefined || text === '') return pubsubError('bad-request', 'jid-required');
  const jid = parseJid(text);
  if (jid === undefined) return pubsubError('bad-request', 'invalid-jid');
  if (jid.bare !== from.bare && !isOwner(place, node, from)) return new StanzaError('forbidden');
  const subscription = current(place, node, jid.full);
  if (subscription === undefined) return pubsubError('unexpected-request', 'not-subscribed', { type: 'cancel' });
  const subid = asking.attr('subid');
  if (subid !== undefined && subid !== subscription.subid) return pubsubError('not-acceptable', 'invalid-subid');
  return { node, jid, subscription };
}

/** §6.2 */
export function unsubscribe(place: Place, pubsub: Element, from: Jid): IqAnswer {
  const found = ownSubscription(place, pubsub.child('unsubscribe')!, from);
  if (found instanceof StanzaError) return found;
  const { node, jid, subscription } = found;
  place.setSubscription(node, jid.full, undefined);
  if (node.config['pubsub#notify_sub']) tellOwners(place, node, jid, 'none');
  return el('pubsub', PUBSUB, {}, subscriptionElement(node, jid.full, { ...subscription, state: 'none' }));
}

/** §6.3.2 */
export function tellOptions(place: Place, pubsub: Element, from: Jid): IqAnswer {
  const found = ownSubscription(place, pubsub.child('options')!, from);
  if (found instanceof StanzaError) return found;
  const { node, jid, subscription } = found;
  const attrs = { node: node.name, jid: jid.full, subid: subscription.subid };
  return el('pubsub', PUBSUB, {}, el('options', PUBSUB, attrs, optionsForm(subscription, 'form')));
}

/** §6.3.5 */
export function setOptions(place: Place, pubsub: Element, from: Jid): IqAnswer {
  const asking = pubsub.child('options')!;
  const found = ownSubscription(place, asking, from);
  if (found instanceof StanzaError) return found;
  const options = readOptions(asking, place);
  if (options instanceof StanzaError) return options;
  if (options === undefined) return pubsubError('bad-request', 'invalid-options');
  const { node, jid, subscription } = found;
  const { state, subid } = subscription;
  place.setSubscription(node, jid.full, { state, subid, ...options });
  return EMPTY_RESULT;
}

/** §6.4 */
export function tellDefaultOptions(place: Place, pubsub: Element): IqAnswer {
  const name = pubsub.child('default')!.attr('node');
  if (name !== undefined && place.nodes.get(name) === undefined) return new StanzaError('item-not-found');
  return el('pubsub', PUBSUB, {}, el('default', PUBSUB, { node: name }, optionsForm(DEFAULT_OPTIONS, 'form')));
}

/** §6.3.6.2; `undefined` where there is no form, or it was cancelled. */
function readOptions(options: Element | undefined, place: Place): Options | undefined | StanzaError {
  const element = options?.child('x', NS.dataForm);
  if (element === undefined) return undefined;
  const form = parseDataForm(element);
  const read = form === undefined ? undefined : readSubmission(OPTIONS, form);
  if (read === undefined || read instanceof StanzaError) return pubsubError('bad-request', 'invalid-options');
  if (read.kind === 'cancel') return undefined;
  const { 'pubsub#deliver': isDelivering = true, 'pubsub#expire': expire = '' } = read.values;
  if (expire === '') return { isDelivering };
  const expiresAtMs = parseDateTime(expire);
  if (expiresAtMs === undefined || expiresAtMs <= place.now) return pubsubError('bad-request', 'invalid-options');
  return { isDelivering, expiresAtMs };
}

function optionsForm({ isDelivering, expiresAtMs }: Options, kind: 'form' | 'result'): Element {
  const values = {
    'pubsub#deliver': isDelivering,
    ...(expiresAtMs === undefined ? {} : { 'pubsub#expire': formatDateTime(expiresAtMs) }),
  };
  return dataFormElement({ ...buildForm(OPTIONS, values), kind });
}

export function subscriptionElement(
  node: Node,
  jid: string,
  { state, subid }: { readonly state: string; readonly subid: string },
  child?: Element,
): Element {
  return el('subscription', PUBSUB, { node: node.name, jid, subid, subscription: state }, child);
}

/** §5.6 */
export function tellOwnSubscriptions(place: Place, pubsub: Element, from: Jid): IqAnswer {
  return aboutNodes(place, pubsub.child('subscriptions')!, (node) =>
    [...node.subscriptions]
      .filter(([jid]) => (jid === from.bare || jid.startsWith(`${from.bare}/`)) && current(place, node, jid) !== undefined)
      .map(([jid, subscription]) => subscriptionElement(node, jid, subscription)),
  );
}

/** §5.7 */
export function tellOwnAffiliations(place: Place, pubsub: Element, from: Jid): IqAnswer {
  return aboutNodes(place, pubsub.child('affiliations')!, (node) => {
    const affiliation = affiliationOf(place, node, from.bare);
    return affiliation === 'none' ? [] : [el('affiliation', PUBSUB, { node: node.name, affiliation })];
  });
}

/** One list over all nodes, or of the one that is named. */
function aboutNodes(place: Place, asking: Element, entries: (node: Node) => readonly Element[]): IqAnswer {
  const name = asking.attr('node');
  const node = name === undefined ? undefined : nodeOf(place, name);
  if (node instanceof StanzaError) return node;
  const found = (node === undefined ? [...place.nodes.values()] : [node]).flatMap(entries);
  return el('pubsub', PUBSUB, {}, el(asking.name, PUBSUB, { node: name }, ...found));
}
