/**
 * What one link is to send: waiting for a connection, or sent and not known to have arrived.
 *
 *   add ──► waiting ──send──► sent ──settle──► (gone; debts are confirmed)
 *              ▲                │
 *              └───── recall ───┘   the connection is lost
 *
 * Messages of accounts are debts: each account says them again until it hears that they are settled (`core/forwarding.ts`).
 * So what does not fit is not lost, it stays where it is.
 */
import type { BareJid } from '../xmpp/jid.ts';
import type { Stanza } from '../xmpp/stanza.ts';

export interface Item {
  readonly stanza: Stanza;
  /** In the log of its sender; 0 where nobody waits for word of it. */
  readonly position: number;
}

/** A run of one account's messages to one address. */
interface Channel {
  readonly sender: BareJid;
  readonly by: BareJid;
  /** Of the last that was taken. */
  position: number;
  atMs: number;
  /** All up to this have arrived or were refused. */
  settled: number;
}

/** Channels that are remembered; the one used longest ago is forgotten. Its account is asked to say again what is open. */
const MAX_CHANNELS = 4_096;

/** First in, first out, without moving what is behind. */
export class Fifo<T> {
  private items: T[] = [];
  private head = 0;

  get length(): number {
    return this.items.length - this.head;
  }

  push(item: T): void {
    this.items.push(item);
  }

  peek(): T | undefined {
    return this.items[this.head];
  }

  shift(): T | undefined {
    if (this.head === this.items.length) return undefined;
    const item = this.items[this.head++];
    if (this.head > 512 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    } else if (this.head === this.items.length) {
      this.items = [];
      this.head = 0;
    }
    return item;
  }

  /** All of it, in order. */
  drain(): T[] {
    const all = this.items.slice(this.head);
    this.items = [];
    this.head = 0;
    return all;
  }

  /** Before all that is there. */
  unshift(items: readonly T[]): void {
    this.items = [...items, ...this.items.slice(this.head)];
    this.head = 0;
  }
}

export interface QueueLimits {
  readonly stanzas: number;
  readonly bytes: number;
}

export class Queue {
  readonly waiting = new Fifo<Item>();
  readonly sent = new Fifo<Item>();
  private bytes = 0;
  private readonly channels = new Map<string, Channel>();
  /** Positions to confirm, by channel. */
  private readonly unconfirmed = new Set<Channel>();

  get isEmpty(): boolean {
    return this.waiting.length === 0 && this.sent.length === 0;
  }

  isFull(limits: QueueLimits): boolean {
    return this.waiting.length >= limits.stanzas || this.bytes >= limits.bytes;
  }

  add(item: Item): void {
    this.bytes += item.stanza.bytes;
    this.waiting.push(item);
  }

  /** The next to be sent; it counts as sent. */
  send(): Item | undefined {
    const item = this.waiting.shift();
    if (item === undefined) return undefined;
    this.bytes -= item.stanza.bytes;
    this.sent.push(item);
    return item;
  }

  /** The first `count` that were sent have arrived. */
  settle(count: number): void {
    for (let left = count; left > 0; left--) {
      const item = this.sent.shift();
      if (item === undefined) return;
      this.settled(item);
    }
  }

  /** Whatever became of it: its sender need not say it again. */
  settled({ stanza, position }: Item): void {
    if (position === 0) return;
    const channel = this.channels.get(channelKey(stanza));
    // One that was forgotten, or belongs to an earlier life of the account.
    if (channel === undefined || position > channel.position || position <= channel.settled) return;
    channel.settled = position;
    this.unconfirmed.add(channel);
  }

  /** What was sent is to be sent once more, before all else. @param isAgain whether an item may be; others are returned. */
  recall(isAgain: (item: Item) => boolean): Item[] {
    const sent = this.sent.drain();
    const again = sent.filter(isAgain);
    for (const { stanza } of again) this.bytes += stanza.bytes;
    this.waiting.unshift(again);
    return sent.filter((item) => !isAgain(item));
  }

  /** Takes one that was sent last out again; undefined where it is not. */
  withdraw(item: Item): Item | undefined {
    const sent = this.sent.drain();
    if (sent.at(-1) !== item) {
      this.sent.unshift(sent);
      return undefined;
    }
    this.sent.unshift(sent.slice(0, -1));
    return item;
  }

  /** All that waits; nothing does any more. */
  drain(): Item[] {
    this.bytes = 0;
    return this.waiting.drain();
  }

  /** Whether a message is the next of its channel, one that is here or settled already, or one whose predecessor is missing. */
  admit(stanza: Stanza, position: number, previous: number, atMs: number): 'next' | 'known' | 'gap' {
    const channel = this.channels.get(channelKey(stanza));
    const isSameLife = channel !== undefined && (position > channel.position || atMs <= channel.atMs);
    if (isSameLife && position <= channel.position) return 'known';
    if (previous !== 0 && !(isSameLife && previous === channel.position)) return 'gap';
    return 'next';
  }

  /** Takes a message that was found to be the next. */
  owe(stanza: Stanza, position: number, atMs: number): void {
    const key = channelKey(stanza);
    let channel = this.channels.get(key);
    // Positions of a later account of the same name begin anew.
    if (channel !== undefined && position <= channel.position) channel = undefined;
    this.channels.delete(key);
    if (this.channels.size >= MAX_CHANNELS) this.channels.delete(this.channels.keys().next().value!);
    channel ??= { sender: stanza.from.bare, by: stanza.to.bare, position: 0, atMs: 0, settled: 0 };
    channel.position = position;
    channel.atMs = atMs;
    this.channels.set(key, channel);
    this.add({ stanza, position });
  }

  /** The sender asks again about messages that are settled. */
  confirmAgain(stanza: Stanza): void {
    const channel = this.channels.get(channelKey(stanza));
    if (channel !== undefined && channel.settled > 0) this.unconfirmed.add(channel);
  }

  get hasUnconfirmed(): boolean {
    return this.unconfirmed.size > 0;
  }

  /** Whom to tell what, once. */
  *takeUnconfirmed(): Generator<{ readonly sender: BareJid; readonly by: BareJid; readonly position: number }> {
    for (const { sender, by, settled } of this.unconfirmed) yield { sender, by, position: settled };
    this.unconfirmed.clear();
  }
}

const channelKey = ({ from, to }: Stanza): string => `${from.bare} ${to.bare}`;
