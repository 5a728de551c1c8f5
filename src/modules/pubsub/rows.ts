/** How nodes are kept: one row each for a node, an affiliation, a subscription and an item. */
import { binaryTable, jsonTable, type RowReader } from '../../store/codec.ts';
import type { Store } from '../../store/store.ts';
import type { NodeConfig } from './config.ts';
import { Node, Nodes, type Affiliation, type ItemHead, type Subscription } from './node.ts';

export interface NodeRow {
  readonly config: NodeConfig;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
  /** Bare JID. */
  readonly creator: string;
}

/** Keyed by node. */
export const NODES = jsonTable<NodeRow>({ name: 'pubsub_node', version: 1 });
/** Keyed by node and bare JID. */
export const AFFILIATIONS = jsonTable<Affiliation>({ name: 'pubsub_affiliation', version: 1 });
/** Keyed by node and the subscriber's JID. */
export const SUBSCRIPTIONS = jsonTable<Subscription>({ name: 'pubsub_subscription', version: 1 });

export interface ItemRow extends Omit<ItemHead, 'id'> {
  /** An element that stands alone; '' for none. */
  readonly payload: string;
}

/** Keyed by node and item. */
export const ITEMS = binaryTable<ItemRow>({
  name: 'pubsub_item',
  version: 1,
  write: (row, { seq, atMs, publisher, bytes, payload }) => void row.uint(seq).double(atMs).string(publisher).uint(bytes).string(payload),
  read: (row) => ({ ...readHead(row), payload: row.string() }),
});

/** The same rows without what is long. */
const ITEM_HEADS = binaryTable<Omit<ItemHead, 'id'>>({
  name: 'pubsub_item',
  version: 1,
  write() {
    throw new Error('heads are only read');
  },
  read: readHead,
});

function readHead(row: RowReader): Omit<ItemHead, 'id'> {
  return { seq: row.uint(), atMs: row.double(), publisher: row.string(), bytes: row.uint() };
}

export const TABLES = [NODES, AFFILIATIONS, SUBSCRIPTIONS, ITEMS];

/** Four range reads. What stays in memory of an item is its head: about 150 bytes. */
export async function loadNodes(store: Store, partition: string): Promise<Nodes> {
  const nodes = new Nodes();
  for (const { key, value } of await store.list(NODES, partition)) {
    const name = String(key[0]);
    nodes.add(new Node(name, value.config, value.createdAtMs, value.creator));
  }
  if (nodes.size === 0) return nodes;
  for (const { key, value } of await store.list(AFFILIATIONS, partition))
    nodes.get(String(key[0]))?.affiliations.set(String(key[1]), value);
  for (const { key, value } of await store.list(SUBSCRIPTIONS, partition))
    nodes.get(String(key[0]))?.subscriptions.set(String(key[1]), value);
  const heads = await store.list(ITEM_HEADS, partition);
  heads.sort((a, b) => a.value.seq - b.value.seq);
  for (const { key, value } of heads) {
    const node = nodes.get(String(key[0]));
    if (node !== undefined) nodes.restoreItem(node, { ...value, id: String(key[1]) });
  }
  return nodes;
}
