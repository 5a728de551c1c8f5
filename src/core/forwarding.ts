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
import { dropFront, NOTHING } from './small-list.ts';

/** Messages of one account that have not arrived yet. More are refused: their recipient's worker does not keep up. */
const MAX_OUTSTANDING = 1_000;
/** Messages said again at a time. */
const AGAIN_MESSAGES = 50;
const AGAIN_BYTES = 256 * 1024;
/** Of all recipients, about how many are read at a time to be said again. */
const AGAIN_READ = 500;
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
/** Of the arrived ones at the front of a list, how many may stay before the rest is moved. */
const MAX_GAP = 64;

/** What is owed to one recipient: positions of the log, in order. */
class Channel {
  /** Whom it is owed to. */
  readonly entity: string;
  readonly key: string;
  /** Nothing but what is said again goes there. */
  isAgain: boolean;
  /** Said again as soon as the log has been read. */
  isDue = false;
  /** When to say it again, unless an answer comes. */
  dueMs: number;
  private readonly positions: number[] = [];
  /** Those before it have arrived. */
  private head = 0;

  constructor({ entity, keyOf }: Debtor, { from, to }: Stanza, isAgain: boolean, dueMs: number) {
    this.entity = entity;
    this.key = keyOf(from, to);
    this.isAgain = isAgain;
    this.dueMs = dueMs;
  }

  get isEmpty(): boolean {
    return this.head === this.positions.length;
  }

  /** The first and last that have not arrived; 0 where all have. */
  get first(): number {
    return this.isEmpty ? 0 : this.positions[this.head]!;
  }

  get last(): number {
    return this.isEmpty ? 0 : this.positions[this.positions.length - 1]!;
  }

  push(position: number): void {
    this.positions.push(position);
  }

  /** The first one has arrived. */
  shift(): void {
    if (++this.head <= MAX_GAP) return;
    dropFront(this.positions, this.head);
    this.head = 0;
  }

  front(count: number): number[] {
    return this.positions.slice(this.head, this.head + count);
  }
}

/** The first messages of one recipient, to be read and said again. */
interface Wanted {
  readonly channel: Channel;
  readonly positions: readonly number[];
}

/**
 * What an account has sent to other accounts and does not know to have arrived: positions, and nothing else. A message kept for the moment
 * until it has arrived lives just long enough to be moved into the old generation of the heap. What is to be said again is read from the log.
 */
export class Outbox {
  private readonly channels = new SmallMap<BareJid, Channel>();
  /** Of all channels, in order; negative where it has arrived. */
  private readonly all: number[] = [];
  /** Those before it have arrived, of the others some. */
  private head = 0;
  private count = 0;
  private isReading = false;

  get isEmpty(): boolean {
    return this.count === 0;
  }

  get isFull(): boolean {
    return this.count >= MAX_OUTSTANDING;
  }

  /** All positions below have arrived. @param next of the log. */
  settledBelow(next: number): number {
    return this.count === 0 ? next : this.all[this.head]!;
  }

  send(effects: Effects, debtor: Debtor, { position, atMs, stanza }: Pick<LogEntry, 'position' | 'atMs' | 'stanza'>, nowMs: number): void {
    const channel = this.channels.get(stanza.to.bare) ?? this.open(debtor, stanza, false, nowMs + SILENCE_MS);
    const previous = channel.last;
    this.owe(channel, position);
    if (!channel.isAgain) effects.sendTo(channel.entity, channel.key, new Forward(position, previous, atMs, stanza));
  }

  /** After a restart: entries of the log that may not have arrived, in order. */
  restore(entries: readonly LogEntry[], debtorOf: (stanza: Stanza) => Debtor, nowMs: number): void {
    for (const { position, stanza } of entries) {
      this.owe(this.channels.get(stanza.to.bare) ?? this.open(debtorOf(stanza), stanza, true, nowMs), position);
    }
  }

  confirmed(by: BareJid, position: number, nowMs: number): void {
    const channel = this.channels.get(by);
    if (channel === undefined || channel.first > position) return; // old news
    while (!channel.isEmpty && channel.first <= position) this.settleFirst(channel);
    if (channel.isEmpty) this.channels.delete(by);
    else if (channel.isAgain) makeDue(channel, nowMs);
    else channel.dueMs = nowMs + SILENCE_MS;
  }

  /** The recipient misses something, or `isReady` to take what it could not before. */
  gap({ by, isReady = false }: Pick<ForwardGap, 'by' | 'isReady'>, nowMs: number): void {
    const channel = this.channels.get(by);
    if (channel !== undefined && (isReady || !channel.isAgain)) makeDue(channel, nowMs);
  }

  /** Something came back. */
  bounced(to: BareJid, nowMs: number): void {
    const channel = this.channels.get(to);
    if (channel === undefined) return;
    channel.isAgain = true;
    channel.dueMs = Math.min(channel.dueMs, nowMs + RETRY_MS);
  }

  /** Milliseconds until something is to be said again, or undefined where nothing is owed. */
  tick(nowMs: number): number | undefined {
    let nextMs = Infinity;
    for (const channel of this.channels.values()) {
      if (channel.dueMs <= nowMs) makeDue(channel, nowMs);
      nextMs = Math.min(nextMs, channel.dueMs);
    }
    return nextMs === Infinity ? undefined : nextMs - nowMs;
  }

  /** What has to be read to be said again: nothing while that of before is being read. */
  wanted(): readonly Wanted[] {
    if (this.isReading || this.count === 0) return NOTHING;
    const wanted: Wanted[] = [];
    let count = 0;
    for (const channel of this.channels.values()) {
      if (!channel.isDue) continue;
      const positions = channel.front(AGAIN_MESSAGES);
      wanted.push({ channel, positions });
      count += positions.length;
      if (count >= AGAIN_READ) break;
    }
    this.isReading = wanted.length > 0;
    return wanted;
  }

  /** What was wanted cannot be read just now. */
  unread(): void {
    this.isReading = false;
  }

  /** Says again what was wanted, now that it has been read. What the log does not have any more is not owed any more. */
  sayAgain(effects: Effects, sender: BareJid, wanted: readonly Wanted[], entries: ReadonlyMap<number, LogEntry>): void {
    this.isReading = false;
    for (const { channel, positions } of wanted) {
      channel.isDue = false;
      const messages: LogEntry[] = [];
      let bytes = 0;
      for (const position of positions) {
        if (channel.isEmpty || position < channel.first) continue; // it has arrived meanwhile
        const entry = entries.get(position);
        if (entry === undefined || entry.isTombstone) {
          if (position === channel.first) this.settleFirst(channel); // else with the message before it
          continue;
        }
        if (bytes > 0 && bytes + entry.stanza.bytes > AGAIN_BYTES) break;
        bytes += entry.stanza.bytes;
        messages.push(entry);
      }
      if (messages.length > 0) effects.sendTo(channel.entity, channel.key, new ForwardAgain(sender, messages));
      else if (!channel.isEmpty) channel.isDue = true; // nothing of these is left, but others follow
    }
    for (const [by, channel] of [...this.channels]) if (channel.isEmpty) this.channels.delete(by);
  }

  private open(debtor: Debtor, stanza: Stanza, isAgain: boolean, dueMs: number): Channel {
    const channel = new Channel(debtor, stanza, isAgain, dueMs);
    this.channels.set(stanza.to.bare, channel);
    return channel;
  }

  private owe(channel: Channel, position: number): void {
    channel.push(position);
    this.all.push(position);
    this.count++;
  }

  private settleFirst(channel: Channel): void {
    const { all } = this;
    const position = channel.first;
    channel.shift();
    if (--this.count === 0) {
      all.length = this.head = 0;
      return;
    }
    all[indexOf(all, this.head, position)] = -position;
    while (all[this.head]! < 0) this.head++;
    if (this.head <= MAX_GAP) return;
    dropFront(all, this.head);
    this.head = 0;
  }
}

function makeDue(channel: Channel, nowMs: number): void {
  channel.isAgain = channel.isDue = true;
  channel.dueMs = nowMs + SILENCE_MS;
}

/** Where `position` is in a list that grows, but for signs. */
function indexOf(all: readonly number[], from: number, position: number): number {
  if (all[from] === position) return from; // the usual case
  let low = from;
  let high = all.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Math.abs(all[middle]!) < position) low = middle + 1;
    else high = middle;
  }
  return low;
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
