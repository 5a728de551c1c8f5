/** Privacy lists: rules, compiled so that a list of blocked addresses costs a few look-ups however long it is. Pure. XEP-0016 §2.1 */
import type { BareJid, Jid } from '../../xmpp/jid.ts';
import type { Stanza } from '../../xmpp/stanza.ts';

export type RuleType = 'jid' | 'group' | 'subscription';
export type Action = 'allow' | 'deny';

/** What a rule may be limited to; `message` and `iq` are incoming ones. */
export const RULE_KINDS = ['message', 'iq', 'presence-in', 'presence-out'] as const;
export type RuleKind = (typeof RULE_KINDS)[number];

/** What passes, as rules see it. `other` is what only rules without kinds are for: subscriptions, probes, messages and IQs of the user. */
export type Traffic = RuleKind | 'other';

export interface Rule {
  readonly order: number;
  readonly action: Action;
  /** Undefined: for everybody. */
  readonly type?: RuleType;
  /** A normalised JID, a group or a subscription; '' without a type. */
  readonly value: string;
  /** Empty: all kinds, in both directions. */
  readonly kinds: readonly RuleKind[];
}

/** What rules want to know of the roster. */
export interface RosterView {
  readonly items: { get(bare: BareJid): { readonly subscription: string; readonly groups: readonly string[] } | undefined };
}

export class PrivacyList {
  /** In the order of processing. */
  readonly rules: readonly Rule[];
  /** Addresses of the rules that stand in front and deny everything: all of them at once. XEP-0191 §5 */
  readonly blocked: ReadonlySet<string>;
  private readonly rest: readonly Rule[];

  constructor(rules: readonly Rule[]) {
    this.rules = rules.toSorted((a, b) => a.order - b.order);
    const first = this.rules.findIndex((rule) => !isBlock(rule));
    const end = first === -1 ? this.rules.length : first;
    this.blocked = new Set(this.rules.slice(0, end).map(({ value }) => value));
    this.rest = this.rules.slice(end);
  }

  /** Whether what goes to or comes from `peer` has to stop here; without an applicable rule it need not. */
  denies(peer: Jid, traffic: Traffic, roster: RosterView): boolean {
    if (this.blocks(peer)) return true;
    for (const rule of this.rest) {
      if (isFor(rule, traffic) && matches(rule, peer, roster)) return rule.action === 'deny';
    }
    return false;
  }

  /** XEP-0191 §6: a resource, all of an account, all of a domain. */
  blocks({ full, bare, domain }: Jid): boolean {
    const { blocked } = this;
    return blocked.size > 0 && (blocked.has(full) || blocked.has(bare) || blocked.has(domain));
  }

  /** The same list with these addresses blocked, in front of all else. XEP-0191 §5 */
  withBlocked(addresses: readonly string[]): PrivacyList {
    const added = addresses.filter((address) => !this.blocked.has(address));
    return new PrivacyList(renumbered([...added.map(blockOf), ...this.rules]));
  }

  /** The same list without the rules that block these addresses. */
  withoutBlocked(addresses: ReadonlySet<string>): PrivacyList {
    return new PrivacyList(this.rules.filter((rule) => !(isBlock(rule) && addresses.has(rule.value))));
  }
}

export const EMPTY_LIST = new PrivacyList([]);

function blockOf(value: string): Rule {
  return { order: 0, action: 'deny', type: 'jid', value, kinds: [] };
}

function renumbered(rules: readonly Rule[]): Rule[] {
  return rules.map((rule, i) => ({ ...rule, order: i + 1 }));
}

function isBlock({ type, action, kinds }: Rule): boolean {
  return type === 'jid' && action === 'deny' && kinds.length === 0;
}

function isFor({ kinds }: Rule, traffic: Traffic): boolean {
  return kinds.length === 0 || (traffic !== 'other' && kinds.includes(traffic));
}

function matches({ type, value }: Rule, peer: Jid, { items }: RosterView): boolean {
  switch (type) {
    case 'jid':
      return value === peer.full || value === peer.bare || value === peer.domain;
    case 'group':
      return items.get(peer.bare)?.groups.includes(value) ?? false;
    case 'subscription':
      return (items.get(peer.bare)?.subscription ?? 'none') === value; // "none" includes those who are not in the roster
    default:
      return true;
  }
}

/** @param isIncoming to the user. */
export function trafficOf({ kind, type }: Stanza, isIncoming: boolean): Traffic {
  if (kind !== 'presence') return isIncoming ? kind : 'other';
  if (type !== 'available' && type !== 'unavailable') return 'other';
  return isIncoming ? 'presence-in' : 'presence-out';
}
