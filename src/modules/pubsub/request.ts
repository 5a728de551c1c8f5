/** From a request to what answers it. XEP-0060 §5 to §8 */
import type { IqAnswer, IqRequest } from '../../core/module.ts';
import type { Element } from '../../xml/element.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { PUBSUB, PUBSUB_OWNER } from './namespaces.ts';
import * as owner from './owner.ts';
import type { Place } from './place.ts';
import { publish, retract } from './publish.ts';
import { retrieve } from './retrieve.ts';
import * as subscriptions from './subscriptions.ts';

type Action = (place: Place, payload: Element, from: Jid, stanza: Stanza) => IqAnswer;

/** By type, namespace and the first child that names an action. */
const ACTIONS: Readonly<Record<string, ReadonlyMap<string, Action>>> = {
  [`get ${PUBSUB}`]: new Map<string, Action>([
    ['items', (place, payload, _from, stanza) => retrieve(place, payload, stanza)],
    ['subscriptions', subscriptions.tellOwnSubscriptions],
    ['affiliations', subscriptions.tellOwnAffiliations],
    ['options', subscriptions.tellOptions],
    ['default', subscriptions.tellDefaultOptions],
  ]),
  [`set ${PUBSUB}`]: new Map<string, Action>([
    ['publish', publish],
    ['retract', retract],
    ['create', owner.create],
    ['subscribe', subscriptions.subscribe],
    ['unsubscribe', subscriptions.unsubscribe],
    ['options', subscriptions.setOptions],
  ]),
  [`get ${PUBSUB_OWNER}`]: new Map<string, Action>([
    ['configure', owner.tellConfig],
    ['default', owner.tellDefaultConfig],
    ['subscriptions', owner.tellSubscribers],
    ['affiliations', owner.tellAffiliations],
  ]),
  [`set ${PUBSUB_OWNER}`]: new Map<string, Action>([
    ['configure', owner.setConfig],
    ['delete', owner.deleteNode],
    ['purge', owner.purge],
    ['subscriptions', owner.setSubscribers],
    ['affiliations', owner.setAffiliations],
  ]),
};

/** What a place answers to a `<pubsub/>` of either namespace. */
export function answerPubsub(place: Place, { payload, from, stanza }: IqRequest): IqAnswer {
  const actions = ACTIONS[`${stanza.type} ${payload.ns}`];
  // `<subscribe/>` comes with `<options/>`, `<create/>` with `<configure/>`: the first one is the action.
  for (const child of payload.elements()) {
    const action = child.ns === payload.ns ? actions?.get(child.name) : undefined;
    if (action !== undefined) return action(place, payload, from, stanza);
  }
  return new StanzaError('bad-request', 'There is nothing that could be done here');
}
