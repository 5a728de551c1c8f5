/** What the server itself does with an account's nodes, on the owner's behalf: for modules that keep other stores in step. */
import type { AccountContext } from '../../core/context.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import {
  configLimits,
  createNode,
  putItem,
  retractItems,
  withOptions,
  type Node,
  type PublishOptions,
  type ReadItem,
} from '../pubsub/index.ts';
import { placeOf } from './place.ts';
import { pepOf } from './state.ts';

export function ownNode(account: AccountContext, name: string): Node | undefined {
  return pepOf(account).nodes.get(name);
}

export interface OwnItem {
  readonly node: string;
  readonly id: string;
  /** Text of an element that stands alone. */
  readonly payload: string;
  /** Of a node that is made for it. */
  readonly options: PublishOptions;
}

/** @returns false where the limits of the account do not allow it. */
export function publishOwn(account: AccountContext, { node: name, id, payload, options }: OwnItem): boolean {
  const place = placeOf(account);
  const { limits, defaults } = place.rules;
  const known = place.nodes.get(name);
  if (known === undefined && place.nodes.size >= limits.maxNodes) return false;
  if (Buffer.byteLength(payload) > limits.maxPayloadBytes || place.nodes.bytes + payload.length > limits.maxBytes) return false;
  const config = known?.config ?? withOptions(defaults, options, configLimits(place));
  if (config instanceof StanzaError) return false;
  putItem(place, known ?? createNode(place, name, config, account.jid), { id, payload }, account.jid);
  return true;
}

export function retractOwn(account: AccountContext, name: string, ids: readonly string[]): void {
  const node = ownNode(account, name);
  const there = ids.filter((id) => node?.items.has(id) ?? false);
  if (node !== undefined && there.length > 0) retractItems(placeOf(account), node, there);
}

/** Changes of a node's configuration that its owner did not ask for: who may see it, above all. */
export function reconfigureOwn(account: AccountContext, node: Node, options: PublishOptions): void {
  node.config = { ...node.config, ...options };
  placeOf(account).saveNode(node);
}

/** Reads all items of a node, the oldest first, and goes on in a later turn. */
export function readOwn(account: AccountContext, name: string, then: (account: AccountContext, items: readonly ReadItem[]) => void): void {
  const node = ownNode(account, name);
  const heads = node === undefined ? [] : node.newestFirst(account.now).toReversed();
  if (node === undefined || heads.length === 0) then(account, []);
  else placeOf(account).readItems(node, heads, (place, items) => then(place.ground as AccountContext, items));
}
