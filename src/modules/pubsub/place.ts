/**
 * Where nodes are: in an account (XEP-0163) or in a service of its own. All else of the engine is the same for both;
 * what differs is in `Rules`.
 */
import { randomBytes } from 'node:crypto';
import type { AccountContext } from '../../core/context.ts';
import type { BareJid, Jid } from '../../xmpp/jid.ts';
import type { ChildHead } from '../../xml/frame.ts';
import { Stanza } from '../../xmpp/stanza.ts';
import type { AccessModel, NodeConfig } from './config.ts';
import type { Affiliation, ItemHead, Node, Nodes, Subscription } from './node.ts';
import { AFFILIATIONS, ITEMS, NODES, SUBSCRIPTIONS } from './rows.ts';

/** What an actor must offer to have nodes. */
export type Ground = Pick<AccountContext, 'jid' | 'bare' | 'host' | 'now' | 'put' | 'delete' | 'route'> & {
  later<T>(work: Promise<T>, then: (ground: Ground, value: T) => void): void;
};

export interface Limits {
  readonly maxNodes: number;
  /** Of one node. */
  readonly maxItems: number;
  readonly maxPayloadBytes: number;
  /** Of all items together. */
  readonly maxBytes: number;
  /** Of one node. */
  readonly maxSubscriptions: number;
  readonly maxAffiliations: number;
}

/** How a kind of place decides. */
export interface Rules {
  readonly limits: Limits;
  readonly defaults: NodeConfig;
  readonly accessModels: readonly AccessModel[];
  /** Owns every node, whatever that says. */
  isOwner(bare: BareJid): boolean;
  mayCreate(from: Jid): boolean;
  /** XEP-0060 §4.5 */
  seesPresence(bare: BareJid): boolean;
  isInGroup(bare: BareJid, groups: readonly string[]): boolean;
  /**
   * Gives a notification to those who need no subscription. XEP-0163 §4
   *
   * @param isServed whether that address gets it as a subscriber.
   */
  notifyImplicitly?(node: Node, event: Stanza, isServed: (to: Jid) => boolean): void;
  /** An item is another one, or gone (`payload` is undefined). */
  changed?(node: Node, id: string, payload: string | undefined): void;
}

/** Valid as long as its ground is: within one turn. */
export class Place {
  readonly ground: Ground;
  readonly nodes: Nodes;
  readonly rules: Rules;
  private readonly open: (ground: Ground) => Place;

  /** @param open the same place in a later turn. */
  constructor(ground: Ground, nodes: Nodes, rules: Rules, open: (ground: Ground) => Place) {
    this.ground = ground;
    this.nodes = nodes;
    this.rules = rules;
    this.open = open;
  }

  get jid(): Jid {
    return this.ground.jid;
  }

  get now(): number {
    return this.ground.now;
  }

  route(stanza: Stanza): void {
    this.ground.route(stanza);
  }

  saveNode(node: Node): void {
    const { config, createdAtMs, creator } = node;
    this.ground.put(NODES, [node.name], { config, createdAtMs, creator });
  }

  removeNode(node: Node): void {
    this.ground.delete(NODES, [node.name]);
    for (const bare of node.affiliations.keys()) this.ground.delete(AFFILIATIONS, [node.name, bare]);
    for (const jid of node.subscriptions.keys()) this.ground.delete(SUBSCRIPTIONS, [node.name, jid]);
    for (const id of node.items.keys()) this.ground.delete(ITEMS, [node.name, id]);
    this.nodes.remove(node);
  }

  setAffiliation(node: Node, bare: BareJid, affiliation: Affiliation | 'none'): void {
    if (affiliation === 'none') {
      if (node.affiliations.delete(bare)) this.ground.delete(AFFILIATIONS, [node.name, bare]);
      return;
    }
    node.affiliations.set(bare, affiliation);
    this.ground.put(AFFILIATIONS, [node.name, bare], affiliation);
  }

  setSubscription(node: Node, jid: string, subscription: Subscription | undefined): void {
    if (subscription === undefined) {
      if (node.subscriptions.delete(jid)) this.ground.delete(SUBSCRIPTIONS, [node.name, jid]);
      return;
    }
    node.subscriptions.set(jid, subscription);
    this.ground.put(SUBSCRIPTIONS, [node.name, jid], subscription);
  }

  saveItem(node: Node, head: ItemHead, payload: string): void {
    const { seq, atMs, publisher, bytes } = head;
    this.nodes.setItem(node, head);
    this.ground.put(ITEMS, [node.name, head.id], { seq, atMs, publisher, bytes, payload });
  }

  removeItem(node: Node, id: string): void {
    this.nodes.deleteItem(node, id);
    this.ground.delete(ITEMS, [node.name, id]);
  }

  /** Reads payloads and goes on in a later turn, with those that are still there. */
  readItems(node: Node, heads: readonly ItemHead[], then: (place: Place, items: readonly ReadItem[]) => void): void {
    const { store } = this.ground.host.services;
    const partition = this.ground.bare;
    // Behind this turn: what it changes is to be seen.
    const work = Promise.resolve().then(() => Promise.all(heads.map((head) => store.get(ITEMS, partition, [node.name, head.id]))));
    this.ground.later(work, (ground, rows) => {
      const items = heads.flatMap((head, i) => (rows[i] === undefined ? [] : [{ id: head.id, payload: rows[i]!.payload }]));
      then(this.open(ground), items);
    });
  }
}

export interface ReadItem {
  readonly id: string;
  readonly payload: string;
}

/** 96 random bits: for nodes, items, subscriptions and messages without a name. */
export function randomName(): string {
  return randomBytes(12).toString('base64url');
}

/** An answer whose payload is text already. */
export function xmlResult(request: Stanza, body: string, head: ChildHead): Stanza {
  return new Stanza({ kind: 'iq', type: 'result', id: request.id, from: request.to, to: request.from, body, children: [head] });
}
