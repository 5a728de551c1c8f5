/** What disco says of nodes and of those who have them. XEP-0060 §5.1 to §5.5, §10 */
import { el, type Element } from '../../xml/element.ts';
import type { DiscoInfo } from '../../xmpp/caps.ts';
import { formTypeField, type DataForm, type FormField } from '../../xmpp/data-form.ts';
import { formatDateTime } from '../../xmpp/date-time.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import type { StanzaError } from '../../xmpp/stanza-error.ts';
import { maySee, retrieveRefusal } from './access.ts';
import { META_DATA, PUBSUB } from './namespaces.ts';
import type { Node } from './node.ts';
import type { Place } from './place.ts';

const NAMES = [
  'access-open',
  'access-whitelist',
  'access-authorize',
  'auto-create',
  'config-node',
  'config-node-max',
  'create-and-configure',
  'create-nodes',
  'delete-items',
  'delete-nodes',
  'instant-nodes',
  'item-ids',
  'leased-subscription',
  'manage-subscriptions',
  'member-affiliation',
  'meta-data',
  'modify-affiliations',
  'outcast-affiliation',
  'persistent-items',
  'publish',
  'publish-only-affiliation',
  'publish-options',
  'publisher-affiliation',
  'purge-nodes',
  'retract-items',
  'retrieve-affiliations',
  'retrieve-default',
  'retrieve-default-sub',
  'retrieve-items',
  'retrieve-subscriptions',
  'subscribe',
  'subscription-notifications',
  'subscription-options',
];

/** §10. What both kinds of places can do. */
export const COMMON_FEATURES: readonly string[] = [PUBSUB, NS.rsm, ...NAMES.map((name) => `${PUBSUB}#${name}`)];
/** XEP-0163 §6.1 */
export const ACCOUNT_FEATURES: readonly string[] = [
  ...COMMON_FEATURES,
  ...['access-presence', 'access-roster', 'auto-subscribe', 'filtered-notifications', 'last-published', 'presence-subscribe'].map(
    (name) => `${PUBSUB}#${name}`,
  ),
];

/** §5.2: nodes that `from` may know of. */
export function nodeItems(place: Place, from: Jid): Element[] {
  const { jid } = place;
  const known = [...place.nodes.values()].filter((node) => maySee(place, node, from.bare));
  return known.map((node) => el('item', NS.discoItems, { jid: jid.full, node: node.name, name: node.config['pubsub#title'] || undefined }));
}

/** §5.5: items of a node, by name. `undefined` where there is no such node. */
export function itemsOfNode(place: Place, name: string, from: Jid): Element[] | StanzaError | undefined {
  const node = place.nodes.get(name);
  if (node === undefined) return undefined;
  const refusal = retrieveRefusal(place, node, from);
  if (refusal !== undefined) return refusal;
  return node.newestFirst(place.now).map(({ id }) => el('item', NS.discoItems, { jid: place.jid.full, name: id }));
}

/** §5.3, §5.4. `undefined` where there is no node that `from` may know of. */
export function nodeInfo(place: Place, name: string, from: Jid): DiscoInfo | undefined {
  const node = place.nodes.get(name);
  if (node === undefined || !maySee(place, node, from.bare)) return undefined;
  return {
    identities: [{ category: 'pubsub', type: 'leaf', name: node.config['pubsub#title'] || undefined }],
    features: [PUBSUB, NS.discoInfo, NS.discoItems],
    forms: [metaData(node)],
  };
}

function metaData({ config, creator, createdAtMs, subscriptions }: Node): DataForm {
  const subscribers = [...subscriptions.values()].filter(({ state }) => state === 'subscribed').length;
  const fields: FormField[] = [
    formTypeField(META_DATA),
    { var: 'pubsub#creator', type: 'jid-single', values: [creator] },
    { var: 'pubsub#creation_date', type: 'text-single', values: [formatDateTime(createdAtMs)] },
    { var: 'pubsub#num_subscribers', type: 'text-single', values: [String(subscribers)] },
  ];
  for (const name of ['title', 'description', 'language', 'type', 'access_model', 'publish_model'] as const) {
    const value = config[`pubsub#${name}`];
    if (value !== '') fields.push({ var: `pubsub#${name}`, type: 'text-single', values: [value] });
  }
  return { kind: 'result', fields };
}
