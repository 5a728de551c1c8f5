/** Errors with a condition of pubsub's own beside that of RFC 6120. XEP-0060 §11 and the error cases of each section */
import { el } from '../../xml/element.ts';
import { StanzaError, type Condition, type ErrorType } from '../../xmpp/stanza-error.ts';
import { PUBSUB_ERRORS } from './namespaces.ts';

type PubsubCondition =
  | 'closed-node'
  | 'invalid-jid'
  | 'invalid-options'
  | 'invalid-payload'
  | 'invalid-subid'
  | 'item-forbidden'
  | 'item-required'
  | 'jid-required'
  | 'max-nodes-exceeded'
  | 'node-full'
  | 'nodeid-required'
  | 'not-in-roster-group'
  | 'not-subscribed'
  | 'payload-required'
  | 'payload-too-big'
  | 'pending-subscription'
  | 'precondition-not-met'
  | 'presence-subscription-required'
  | 'too-many-subscriptions'
  | 'unsupported-access-model';

export interface ErrorDetails {
  readonly text?: string;
  /** Where the section wants another type than RFC 6120 recommends. */
  readonly type?: ErrorType;
}

export function pubsubError(condition: Condition, specific: PubsubCondition, { text, type }: ErrorDetails = {}): StanzaError {
  return new StanzaError(condition, text, { type, appCondition: el(specific, PUBSUB_ERRORS) });
}

/** @param feature its name without the namespace, such as `persistent-items`. */
export function unsupported(feature: string): StanzaError {
  return new StanzaError('feature-not-implemented', undefined, { appCondition: el('unsupported', PUBSUB_ERRORS, { feature }) });
}
