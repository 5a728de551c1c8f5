/** How contacts that the operator has put into a roster go together with what the user has made of them. */
import type { SharedContact } from '../../core/module.ts';
import { jsonTable } from '../../store/codec.ts';
import { blankItem, type RosterItem } from './item.ts';
import { isSubscribed, isSubscriber, type Subscription } from './subscription.ts';

export type { SharedContact };

/** One row: what was shared when the roster's version was the last one, as a digest by contact's bare JID. */
export const SHARED = jsonTable<Readonly<Record<string, string>>>({ name: 'roster_shared', version: 1 });
export type Digests = ReadonlyMap<string, string>;
export const NOTHING: Digests = new Map();

/** The item as clients see it: never less than is shared. */
export function mergedItem(own: RosterItem | undefined, { jid, name, groups, subscription, isListed }: SharedContact): RosterItem {
  const item = own ?? blankItem(jid);
  const merged = union(item.subscription, subscription);
  return {
    ...item,
    name: item.name === '' && isListed ? name : item.name,
    groups: [...groups, ...item.groups.filter((group) => !groups.includes(group))],
    subscription: merged,
    ask: item.ask && !isSubscribed(merged),
  };
}

/**
 * What is the user's own of an item as clients see it.
 *
 * @param before the same of the item until now: what is shared is no reason for a subscription of one's own.
 */
export function ownPart(item: RosterItem, { name, groups }: SharedContact, before: RosterItem | undefined): RosterItem {
  return {
    ...item,
    name: item.name === name ? '' : item.name,
    groups: item.groups.filter((group) => !groups.includes(group)),
    subscription: before?.subscription ?? 'none',
    ask: before?.ask ?? false,
  };
}

/** The same for contacts that are shared alike. '' for one that is not shared. */
export function sharedMark(contact: SharedContact | undefined): string {
  if (contact === undefined) return '';
  const { name, groups, subscription, isListed } = contact;
  return JSON.stringify([name, subscription, isListed, ...groups]);
}

function union(a: Subscription, b: Subscription): Subscription {
  const isTo = isSubscribed(a) || isSubscribed(b);
  if (isSubscriber(a) || isSubscriber(b)) return isTo ? 'both' : 'from';
  return isTo ? 'to' : 'none';
}
