/** Nodes that are asked for, made and removed. XEP-0060 §8.1, §7.1.4 */
import type { Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { NodeConfig } from './config.ts';
import { pubsubError } from './errors.ts';
import { Node } from './node.ts';
import { type Place } from './place.ts';

/** Of the names of nodes and items; longer ones are no keys. UTF-16 units. */
export const MAX_NAME_LENGTH = 1_023;

/** The node that an element names, or the error that goes with it. */
export function nodeOf(place: Place, name: string | undefined): Node | StanzaError {
  if (name === undefined || name === '') return pubsubError('bad-request', 'nodeid-required');
  return place.nodes.get(name) ?? new StanzaError('item-not-found');
}

/** @returns why it cannot be made. */
export function creationRefusal(place: Place, name: string, from: Jid): StanzaError | undefined {
  if (!place.rules.mayCreate(from)) return new StanzaError('forbidden'); // §8.1.1
  if (name.length > MAX_NAME_LENGTH) return new StanzaError('not-acceptable', 'The name of the node is too long');
  if (place.nodes.size >= place.rules.limits.maxNodes) return pubsubError('conflict', 'max-nodes-exceeded');
  return undefined;
}

export function createNode(place: Place, name: string, config: NodeConfig, { bare }: Jid): Node {
  const node = new Node(name, config, place.now, bare);
  place.nodes.add(node);
  place.saveNode(node);
  if (!place.rules.isOwner(bare) || bare !== place.jid.bare) place.setAffiliation(node, bare, 'owner');
  return node;
}
