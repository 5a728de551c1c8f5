/** Nodes in memory: all but the payloads of their items. */
import { SmallMap } from '../../kernel/small-map.ts';
import type { NodeConfig } from './config.ts';

/** XEP-0060 §4.1; `none` is not kept. */
export type Affiliation = 'owner' | 'publisher' | 'publish-only' | 'member' | 'outcast';

/** XEP-0060 §4.2 */
export interface Subscription {
  readonly state: 'subscribed' | 'pending';
  readonly subid: string;
  /** False: no notifications for now. §16.4.2 `pubsub#deliver` */
  readonly isDelivering: boolean;
  /** When the lease ends, in milliseconds since the epoch; undefined for one without end. §12.18 */
  readonly expiresAtMs?: number | undefined;
}

/** What is known of an item without reading it. */
export interface ItemHead {
  readonly id: string;
  /** Order of publication within the place; unique. §12.8 */
  readonly seq: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** Bare JID. */
  readonly publisher: string;
  /** What its payload and id count for, in characters. */
  readonly bytes: number;
}

export class Node {
  readonly name: string;
  config: NodeConfig;
  readonly createdAtMs: number;
  /** Bare JID. */
  readonly creator: string;
  /** By bare JID. */
  readonly affiliations = new Map<string, Affiliation>();
  /** By the subscriber's JID, as it was given. */
  readonly subscriptions = new Map<string, Subscription>();
  /** By id, the oldest first. */
  readonly items = new Map<string, ItemHead>();

  constructor(name: string, config: NodeConfig, createdAtMs: number, creator: string) {
    this.name = name;
    this.config = config;
    this.createdAtMs = createdAtMs;
    this.creator = creator;
  }

  /** The last one that was published and has not expired; `undefined` where there is none. */
  lastItem(now: number): ItemHead | undefined {
    let last: ItemHead | undefined;
    for (const item of this.items.values()) last = item;
    return last === undefined || this.isExpired(last, now) ? undefined : last;
  }

  isExpired({ atMs }: ItemHead, now: number): boolean {
    const expire = this.config['pubsub#item_expire'];
    return expire !== 'max' && expire > 0 && atMs + expire * 1_000 <= now;
  }

  /** Those that have not expired, the newest first. */
  newestFirst(now: number): ItemHead[] {
    return [...this.items.values()].filter((item) => !this.isExpired(item, now)).toReversed();
  }
}

/** The nodes of one place. */
export class Nodes {
  private readonly byName = new SmallMap<string, Node>();
  private nextSeq = 1;
  /** Of all items together, in characters. */
  bytes = 0;

  get size(): number {
    return this.byName.size;
  }

  get(name: string): Node | undefined {
    return this.byName.get(name);
  }

  values(): Iterable<Node> {
    return this.byName.values();
  }

  add(node: Node): void {
    this.byName.set(node.name, node);
  }

  remove(node: Node): void {
    this.byName.delete(node.name);
    for (const { bytes } of node.items.values()) this.bytes -= bytes;
  }

  takeSeq(): number {
    return this.nextSeq++;
  }

  /** At the end of the node's items; one of that id gives way. */
  setItem(node: Node, item: ItemHead): void {
    this.deleteItem(node, item.id);
    node.items.set(item.id, item);
    this.bytes += item.bytes;
  }

  deleteItem(node: Node, id: string): void {
    this.bytes -= node.items.get(id)?.bytes ?? 0;
    node.items.delete(id);
  }

  /** In order of publication. */
  restoreItem(node: Node, item: ItemHead): void {
    this.setItem(node, item);
    this.nextSeq = Math.max(this.nextSeq, item.seq + 1);
  }
}
