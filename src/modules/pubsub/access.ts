/** Who may do what with a node. XEP-0060 §4.1, §4.5, and the error cases of §6 and §7 */
import { parseJid, type BareJid, type Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { pubsubError } from './errors.ts';
import type { Affiliation, Node } from './node.ts';
import type { Place } from './place.ts';

export function affiliationOf({ rules }: Place, node: Node, bare: BareJid): Affiliation | 'none' {
  if (rules.isOwner(bare)) return 'owner';
  return node.affiliations.get(bare) ?? 'none';
}

export function isOwner(place: Place, node: Node, { bare }: Jid): boolean {
  return affiliationOf(place, node, bare) === 'owner';
}

/** What the access model says to somebody who wants to subscribe or to see items; `undefined`: welcome. */
type Refusal = StanzaError | 'approval' | undefined;

function accessRefusal(place: Place, node: Node, bare: BareJid): Refusal {
  const affiliation = affiliationOf(place, node, bare);
  if (affiliation === 'outcast' || affiliation === 'publish-only') return new StanzaError('forbidden'); // §6.1.3.8, §4.1
  if (affiliation !== 'none') return undefined;
  switch (node.config['pubsub#access_model']) {
    case 'open':
      return undefined;
    case 'presence':
      return place.rules.seesPresence(bare) ? undefined : pubsubError('not-authorized', 'presence-subscription-required'); // §6.1.3.2
    case 'roster': {
      const groups = node.config['pubsub#roster_groups_allowed'];
      const isIn = place.rules.seesPresence(bare) && place.rules.isInGroup(bare, groups);
      return isIn ? undefined : pubsubError('not-authorized', 'not-in-roster-group'); // §6.1.3.3
    }
    case 'whitelist':
      return pubsubError('not-allowed', 'closed-node'); // §6.1.3.4
    case 'authorize':
      return 'approval';
  }
}

/** Whether a subscription is granted (`undefined`), must wait for an owner, or is refused. */
export function subscribeRefusal(place: Place, node: Node, bare: BareJid): Refusal {
  return accessRefusal(place, node, bare);
}

/** §6.5.9 */
export function retrieveRefusal(place: Place, node: Node, from: Jid): StanzaError | undefined {
  const refusal = accessRefusal(place, node, from.bare);
  if (refusal !== 'approval') return refusal;
  return isSubscribed(place, node, from.bare) ? undefined : pubsubError('not-authorized', 'not-subscribed'); // §6.5.9.3
}

/** Whether somebody may be sent what happens at the node, subscription or not. */
export function maySee(place: Place, node: Node, bare: BareJid): boolean {
  const refusal = accessRefusal(place, node, bare);
  return refusal === undefined || (refusal === 'approval' && isSubscribed(place, node, bare));
}

/** Whether any of the account's addresses is. */
export function isSubscribed(place: Place, node: Node, bare: BareJid): boolean {
  for (const [jid, { state, expiresAtMs = Infinity }] of node.subscriptions)
    if (state === 'subscribed' && expiresAtMs > place.now && (jid === bare || jid.startsWith(`${bare}/`))) return true;
  return false;
}

/** §7.1.3.1 */
export function mayPublish(place: Place, node: Node, from: Jid): boolean {
  const affiliation = affiliationOf(place, node, from.bare);
  if (affiliation === 'outcast') return false;
  if (affiliation === 'owner' || affiliation === 'publisher' || affiliation === 'publish-only') return true;
  const model = node.config['pubsub#publish_model'];
  return model === 'open' || (model === 'subscribers' && isSubscribed(place, node, from.bare));
}

/** §4.1; the account's owner is that of all its nodes. */
export function ownersOf(place: Place, node: Node): Jid[] {
  const owners = new Set<string>();
  for (const [bare, affiliation] of node.affiliations) if (affiliation === 'owner') owners.add(bare);
  if (place.rules.isOwner(place.jid.bare)) owners.add(place.jid.bare);
  return [...owners].flatMap((bare) => parseJid(bare) ?? []);
}
