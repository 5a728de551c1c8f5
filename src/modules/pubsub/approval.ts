/** Subscriptions that an owner has to approve. XEP-0060 §8.6 */
import { el, type Element } from '../../xml/element.ts';
import { dataFormElement, formTypeOf, parseDataForm } from '../../xmpp/data-form.ts';
import { booleanField, buildForm, defineForm, hiddenField, jidField, readSubmission, textField } from '../../xmpp/form-schema.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { makeStanza, type Stanza } from '../../xmpp/stanza.ts';
import { isOwner, ownersOf } from './access.ts';
import { tellSubscription, welcome } from './events.ts';
import { SUBSCRIBE_AUTHORIZATION } from './namespaces.ts';
import { MAX_NAME_LENGTH } from './nodes.ts';
import type { Node } from './node.ts';
import { randomName, type Place } from './place.ts';

const FORM = defineForm({
  formType: SUBSCRIBE_AUTHORIZATION,
  title: 'Somebody wants to subscribe',
  instructions: ['Approve or deny the subscription.'],
  fields: {
    'pubsub#subid': hiddenField(),
    'pubsub#node': textField({ label: 'Node', isRequired: true, maxLength: MAX_NAME_LENGTH }),
    'pubsub#subscriber_jid': jidField({ label: 'Subscriber', isRequired: true }),
    'pubsub#allow': booleanField({ label: 'Allow it', isRequired: true }),
  },
});

/** Each owner is asked; the first answer counts. */
export function askOwners(place: Place, node: Node, subscriber: Jid, subid: string): void {
  const form = dataFormElement(
    buildForm(FORM, { 'pubsub#subid': subid, 'pubsub#node': node.name, 'pubsub#subscriber_jid': subscriber, 'pubsub#allow': false }),
  );
  const body = el('body', NS.client, {}, `${subscriber.full} wants to subscribe to ${node.name}.`);
  for (const to of ownersOf(place, node))
    place.route(makeStanza({ kind: 'message', type: 'normal', id: randomName(), from: place.jid, to }, body, form));
}

/**
 * An owner's answer.
 *
 * @returns whether the message was one, or the error for its sender.
 */
export function takeApproval(place: Place, message: Stanza): boolean | StanzaError {
  const element: Element | undefined = message.child('x', NS.dataForm);
  const form = element && parseDataForm(element);
  if (form === undefined || (form.kind !== 'submit' && form.kind !== 'cancel')) return false; // the question itself, to one who owns other nodes
  if (formTypeOf(form) !== SUBSCRIBE_AUTHORIZATION) return false;
  const read = readSubmission(FORM, form);
  if (read instanceof StanzaError) return read;
  if (read.kind === 'cancel') return true; // stays pending
  const { 'pubsub#node': name = '', 'pubsub#subscriber_jid': subscriber, 'pubsub#allow': isAllowed, 'pubsub#subid': subid } = read.values;
  const node = place.nodes.get(name);
  if (node === undefined) return new StanzaError('item-not-found');
  if (!isOwner(place, node, message.from)) return new StanzaError('forbidden');
  const pending = subscriber && node.subscriptions.get(subscriber.full);
  if (pending === undefined || pending.state !== 'pending' || (subid !== undefined && subid !== '' && subid !== pending.subid)) return true; // another was faster
  decide(place, node, subscriber!, isAllowed === true);
  return true;
}

/** §8.6: the subscriber hears of it. */
export function decide(place: Place, node: Node, subscriber: Jid, isAllowed: boolean): void {
  const pending = node.subscriptions.get(subscriber.full)!;
  place.setSubscription(node, subscriber.full, isAllowed ? { ...pending, state: 'subscribed' } : undefined);
  tellSubscription(place, node, subscriber, isAllowed ? 'subscribed' : 'none');
  if (isAllowed) welcome(place, node, subscriber);
}
