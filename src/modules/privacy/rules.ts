/** Privacy lists as XML. XEP-0016 §2.1 */
import { el, type Element } from '../../xml/element.ts';
import { parseJid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { RULE_KINDS, type PrivacyList, type Rule, type RuleKind } from './list.ts';

export const NS_PRIVACY = 'jabber:iq:privacy';
/** "unsignedInt" */
const MAX_ORDER = 2 ** 32 - 1;
const SUBSCRIPTIONS: readonly string[] = ['both', 'to', 'from', 'none'];

export function listElement(name: string, { rules }: PrivacyList): Element {
  return el('list', NS_PRIVACY, { name }, ...rules.map(itemElement));
}

function itemElement({ type, value, action, order, kinds }: Rule): Element {
  const attrs = { type, value: type === undefined ? undefined : value, action, order: String(order) };
  return el('item', NS_PRIVACY, attrs, ...kinds.map((kind) => el(kind, NS_PRIVACY)));
}

/**
 * The rules of a `<list/>`.
 *
 * @param hasGroup whether the roster has a group of that name.
 */
export function readRules(list: Element, hasGroup: (name: string) => boolean): readonly Rule[] | StanzaError {
  const rules: Rule[] = [];
  const orders = new Set<number>();
  for (const item of list.elements()) {
    const rule = item.is('item', NS_PRIVACY) ? readRule(item) : undefined;
    if (rule === undefined) return new StanzaError('bad-request');
    if (orders.has(rule.order)) return new StanzaError('bad-request', 'Two items have the same order');
    if (rule.type === 'group' && !hasGroup(rule.value)) return new StanzaError('item-not-found', 'There is no such group in the roster');
    orders.add(rule.order);
    rules.push(rule);
  }
  return rules;
}

function readRule(item: Element): Rule | undefined {
  const order = readOrder(item.attr('order') ?? '');
  const action = item.attr('action');
  const type = item.attr('type');
  const value = type === undefined ? '' : readValue(type, item.attr('value') ?? '');
  if (order === undefined || value === undefined || (action !== 'allow' && action !== 'deny')) return undefined;
  const kinds: RuleKind[] = [];
  for (const { name, ns } of item.elements()) {
    const kind = ns === NS_PRIVACY ? RULE_KINDS.find((each) => each === name) : undefined;
    if (kind === undefined) return undefined;
    if (!kinds.includes(kind)) kinds.push(kind);
  }
  // All of them are more than none: what the user sends would still pass.
  return { order, action, value, kinds, ...(type === undefined ? {} : { type: type as NonNullable<Rule['type']> }) };
}

function readOrder(text: string): number | undefined {
  const order = /^\d{1,10}$/.test(text) ? Number(text) : undefined;
  return order !== undefined && order <= MAX_ORDER ? order : undefined;
}

function readValue(type: string, value: string): string | undefined {
  switch (type) {
    case 'jid':
      return parseJid(value)?.full;
    case 'group':
      return value === '' ? undefined : value;
    case 'subscription':
      return SUBSCRIPTIONS.includes(value) ? value : undefined;
    default:
      return undefined;
  }
}
