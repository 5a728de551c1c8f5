/** Stanza errors. RFC 6120 §8.3 */
import { el, type Element } from '../xml/element.ts';
import { NS } from './namespaces.ts';

/** What the sender may do about it. RFC 6120 §8.3.2 */
export type ErrorType = 'auth' | 'cancel' | 'continue' | 'modify' | 'wait';

/** Conditions of RFC 6120 §8.3.3, each with the type the section recommends. */
export const CONDITIONS = {
  'bad-request': 'modify',
  conflict: 'cancel',
  'feature-not-implemented': 'cancel',
  forbidden: 'auth',
  gone: 'cancel',
  'internal-server-error': 'cancel',
  'item-not-found': 'cancel',
  'jid-malformed': 'modify',
  'not-acceptable': 'modify',
  'not-allowed': 'cancel',
  'not-authorized': 'auth',
  'policy-violation': 'modify',
  'recipient-unavailable': 'wait',
  redirect: 'modify',
  'registration-required': 'auth',
  'remote-server-not-found': 'cancel',
  'remote-server-timeout': 'wait',
  'resource-constraint': 'wait',
  'service-unavailable': 'cancel',
  'subscription-required': 'auth',
  'undefined-condition': 'cancel',
  'unexpected-request': 'wait',
} as const satisfies Record<string, ErrorType>;
export type Condition = keyof typeof CONDITIONS;

const ERROR_TYPES: ReadonlySet<string> = new Set<ErrorType>(['auth', 'cancel', 'continue', 'modify', 'wait']);

/** What few errors have. */
export interface StanzaErrorDetails {
  /** Where the condition alone does not decide it. */
  readonly type?: ErrorType | undefined;
  /** Application-specific condition, of a namespace of its own. RFC 6120 §8.3.4 */
  readonly appCondition?: Element | undefined;
  /** JID of the entity that found the error, if it is not the stanza's `from`. RFC 6120 §8.3.1 */
  readonly by?: string | undefined;
  /** For `gone` and `redirect`: the new address, an `xmpp:` URI as a rule. RFC 6120 §8.3.3.5, §8.3.3.14 */
  readonly uri?: string | undefined;
}

/** A failure the sender is told about. A value: making one captures no stack. */
export class StanzaError {
  readonly condition: Condition;
  readonly type: ErrorType;
  /** For people, in English; never says more than the condition may. */
  readonly text: string | undefined;
  readonly appCondition: Element | undefined;
  readonly by: string | undefined;
  readonly uri: string | undefined;

  constructor(condition: Condition, text?: string, details: StanzaErrorDetails = {}) {
    this.condition = condition;
    this.type = details.type ?? CONDITIONS[condition];
    this.text = text;
    this.appCondition = details.appCondition;
    this.by = details.by;
    this.uri = details.uri;
  }
}

/** The `<error/>` to put into a stanza of type `error`. RFC 6120 §8.3.2 */
export function stanzaErrorElement({ condition, type, text, appCondition, by, uri }: StanzaError): Element {
  return el(
    'error',
    NS.client,
    { type, by },
    el(condition, NS.stanzaErrors, {}, condition === 'gone' || condition === 'redirect' ? uri : undefined),
    text !== undefined && el('text', NS.stanzaErrors, { 'xml:lang': 'en' }, text),
    appCondition,
  );
}

/**
 * Reads an `<error/>`, under whatever content namespace it stands.
 *
 * @returns a condition of the RFC in any case: `undefined-condition` where the peer's is none we know, as the
 *   type then says what to do. `undefined` if `element` is no error.
 */
export function parseStanzaError(element: Element): StanzaError | undefined {
  if (element.name !== 'error') return undefined;
  let condition: Condition = 'undefined-condition';
  let text: string | undefined;
  let uri: string | undefined;
  let appCondition: Element | undefined;
  for (const child of element.elements()) {
    if (child.ns !== NS.stanzaErrors) {
      if (child.ns !== element.ns) appCondition ??= child;
    } else if (child.name === 'text') {
      text ??= child.text();
    } else if (Object.hasOwn(CONDITIONS, child.name)) {
      condition = child.name as Condition;
      uri = child.text().trim() || undefined;
    }
  }
  const type = element.attr('type');
  const known = type !== undefined && ERROR_TYPES.has(type) ? (type as ErrorType) : undefined;
  return new StanzaError(condition, text, { type: known, appCondition, by: element.attr('by'), uri });
}
