/**
 * Messages between accounts of this server, and to those that the router knows as debtors: links to other servers. The sender's account writes a message into its log first, and from then on owes it to the
 * recipient's, which says when it has written it down, too. Both may be interrupted at any moment:
 *
 *   sender                                    recipient
 *   log ─► Forward(position, previous) ─────► in order? log, hand over ─► Forwarded (gathered)
 *                                        └──► a gap (it was restarted): ForwardGap
 *   on a gap, a bounce, silence or after a restart:
 *          ForwardAgain(messages) ──────────► those that are not in its log yet ─► Forwarded
 *
 * While messages are said again, nothing else goes to that recipient; so their order holds.
 */
import { SmallMap } from '../kernel/small-map.ts';
import type { LogEntry } from '../log/entry.ts';
import type { BareJid } from '../xmpp/jid.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { Forward, ForwardAgain, type ForwardGap } from './messages.ts';
import type { Debtor, Outbox as Effects } from './router.ts';

/** Messages of one account that have not arrived yet. More are refused: their recipient's worker does not keep up. */
const MAX_OUTSTANDING = 1_000;
const MAX_OUTSTANDING_BYTES = 4 * 1024 * 1024;
/** Messages said again at a time. */
const AGAIN_MESSAGES = 50;
const AGAIN_BYTES = 256 * 1024;
/** After so long without an answer a message is said again. */
const SILENCE_MS = 5_000;
/** After it came back. */
const RETRY_MS = 200;
/** How often it is looked whether messages to other accounts have arrived, while some have not. */
export const FORWARD_CHECK_MS = 1_000;
/** Senders whose last position a recipient remembers; of others it asks to hear again. */
const MAX_SENDERS = 4_096;
/** How much older than the sender's entry the recipient's may seem: clocks are set. */
export const CLOCK_SLACK_MS = 60_000;

interface Outstanding {
  readonly position: number;
  readonly atMs: number;
  readonly stanza: Stanza;
  hasArrived: boolean;
}

interface Channel {
  /** Whom what is outstanding is owed to. */
  readonly entity: string;
  readonly key: string;
  /** In order; those before `head` have arrived. */
  outstanding: Outstanding[];
  head: number;
  isAgain: boolean;
  /** When to say it again, unless an answer comes. */
  dueMs: number;
}

/** In place of what has arrived, so that lists keep no stanza alive. */
const GONE = undefined as unknown as Outstanding;
/** Of the arrived ones at the front of a list, how many may stay before the rest is moved. */
const MAX_GAP = 64;

/** What an account has sent to other accounts and does not know to have arrived. */
export class Outbox {
  private readonly channels = new SmallMap<BareJid, Channel>();
  /** Of all channels, in order of their positions; those before `head` have arrived, of the others some. */
  private all: Outstanding[] = [];
  private head = 0;
  private count = 0;
  private bytes = 0;

  get isEmpty(): boolean {
    return this.count === 0;
  }

  get isFull(): boolean {
    return this.count >= MAX_OUTSTANDING || this.bytes >= MAX_OUTSTANDING_BYTES;
  }

  /** All positions below have arrived. @param next of the log. */
  settledBelow(next: number): number {
    return this.count === 0 ? next : this.all[this.head]!.position;
  }

  send(effects: Effects, debtor: Debtor, { position, atMs, stanza }: Pick<LogEntry, 'position' | 'atMs' | 'stanza'>, nowMs: number): void {
    const channel = this.channels.get(stanza.to.bare) ?? this.open(debtor, stanza, false, nowMs + SILENCE_MS);
    const { outstanding } = channel;
    const previous = channel.head === outstanding.length ? 0 : outstanding[outstanding.length - 1]!.position;
    this.owe(channel, position, atMs, stanza);
    if (!channel.isAgain) effects.sendTo(channel.entity, channel.key, new Forward(position, previous, atMs, stanza));
  }

  /** After a restart: entries of the log that may not have arrived, in order. */
  restore(entries: readonly LogEntry[], debtorOf: (stanza: Stanza) => Debtor, nowMs: number): void {
    for (const { position, atMs, stanza } of entries) {
      this.owe(this.channels.get(stanza.to.bare) ?? this.open(debtorOf(stanza), stanza, true, nowMs), position, atMs, stanza);
    }
  }

  confirmed(effects: Effects, sender: BareJid, by: BareJid, position: number, nowMs: number): void {
    const channel = this.channels.get(by);
    if (channel === undefined) return;
    const { outstanding } = channel;
    const before = channel.head;
    while (channel.head < outstanding.length && outstanding[channel.head]!.position <= position) {
      const done = outstanding[channel.head]!;
      outstanding[channel.head++] = GONE;
      done.hasArrived = true;
      this.count--;
      this.bytes -= done.stanza.bytes;
    }
    if (channel.head === before) return; // old news
    this.forgetArrived();
    if (channel.head === outstanding.length) {
      this.channels.delete(by);
      return;
    }
    if (channel.head > MAX_GAP) {
      channel.outstanding = outstanding.slice(channel.head);
      channel.head = 0;
    }
    if (channel.isAgain) this.sayAgain(effects, sender, channel, nowMs);
    else channel.dueMs = nowMs + SILENCE_MS;
  }

  /** The recipient misses something, or `isReady` to take what it could not before. */
  gap(effects: Effects, sender: BareJid, { by, isReady = false }: Pick<ForwardGap, 'by' | 'isReady'>, nowMs: number): void {
    const channel = this.channels.get(by);
    if (channel !== undefined && (isReady || !channel.isAgain)) this.sayAgain(effects, sender, channel, nowMs);
  }

  /** Something came back. */
  bounced(to: BareJid, nowMs: number): void {
    const channel = this.channels.get(to);
    if (channel === undefined) return;
    channel.isAgain = true;
    channel.dueMs = Math.min(channel.dueMs, nowMs + RETRY_MS);
  }

  /** Says again what is due; milliseconds until the next is, or undefined where nothing is owed. */
  tick(effects: Effects, sender: BareJid, nowMs: number): number | undefined {
    let nextMs = Infinity;
    for (const channel of this.channels.values()) {
      if (channel.dueMs <= nowMs) this.sayAgain(effects, sender, channel, nowMs);
      nextMs = Math.min(nextMs, channel.dueMs);
    }
    return nextMs === Infinity ? undefined : nextMs - nowMs;
  }

  private open({ entity, keyOf }: Debtor, { from, to }: Stanza, isAgain: boolean, dueMs: number): Channel {
    const channel: Channel = { entity, key: keyOf(from, to), outstanding: [], head: 0, isAgain, dueMs };
    this.channels.set(to.bare, channel);
    return channel;
  }

  private owe(channel: Channel, position: number, atMs: number, stanza: Stanza): void {
    const message: Outstanding = { position, atMs, stanza, hasArrived: false };
    channel.outstanding.push(message);
    this.all.push(message);
    this.count++;
    this.bytes += stanza.bytes;
  }

  private forgetArrived(): void {
    const { all } = this;
    if (this.count === 0) {
      all.length = this.head = 0;
      return;
    }
    while (all[this.head]!.hasArrived) all[this.head++] = GONE;
    if (this.head <= MAX_GAP) return;
    this.all = all.slice(this.head);
    this.head = 0;
  }

  private sayAgain(effects: Effects, sender: BareJid, channel: Channel, nowMs: number): void {
    channel.isAgain = true;
    channel.dueMs = nowMs + SILENCE_MS;
    const messages: Outstanding[] = [];
    let bytes = 0;
    for (let i = channel.head; i < channel.outstanding.length; i++) {
      const message = channel.outstanding[i]!;
      if (messages.length === AGAIN_MESSAGES || (bytes > 0 && bytes + message.stanza.bytes > AGAIN_BYTES)) break;
      bytes += message.stanza.bytes;
      messages.push(message);
    }
    effects.sendTo(channel.entity, channel.key, new ForwardAgain(sender, messages));
  }
}

/** What an account knows of those who send to it. */
export class Inbox {
  private readonly seen = new SmallMap<BareJid, { position: number; atMs: number }>();
  /** Who sent last. */
  private latest: BareJid | undefined = undefined;
  /** Whom to tell what has arrived. */
  readonly unconfirmed = new SmallMap<BareJid, number>();
  /** Messages since somebody was told. */
  count = 0;

  /** Whether a message is the next one of its sender, one that is here already, or one whose predecessor is missing. */
  admit(sender: BareJid, { position, previous, atMs }: Pick<Forward, 'position' | 'previous' | 'atMs'>): 'next' | 'known' | 'gap' {
    const last = this.seen.get(sender);
    // In one life of the sender's account neither position nor time goes back.
    const isSameLife = last !== undefined && (position > last.position || atMs <= last.atMs);
    if (isSameLife && position <= last.position) return 'known';
    if (previous !== 0 && !(isSameLife && previous === last.position)) return 'gap';
    return 'next';
  }

  /** Everything of `sender` up to there was handled; it is to be told. */
  arrived(sender: BareJid, position: number, atMs: number): void {
    const last = this.seen.get(sender);
    if (last !== undefined && position <= last.position && atMs <= last.atMs) {
      this.unconfirmed.set(sender, last.position);
      return;
    }
    this.unconfirmed.set(sender, position);
    if (last !== undefined && this.latest === sender) {
      last.position = position;
      last.atMs = atMs;
      return;
    }
    this.latest = sender;
    this.seen.delete(sender);
    if (this.seen.size >= MAX_SENDERS) this.seen.delete(this.seen.firstKey!);
    this.seen.set(sender, { position, atMs });
  }
}
