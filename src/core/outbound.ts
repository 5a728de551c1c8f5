/**
 * What one session is to be sent, in order: given to its connection and not acknowledged yet (under stream management), or
 * waiting because there is no connection or the client has to catch up first.
 *
 *   give ──► live: numbered, sent, kept in `unacked` until the client has acknowledged it (XEP-0198 §4)
 *       └──► otherwise: `waiting`, from where `catch-up.ts` hands it on
 *
 * Messages of the log wait by position: their text is kept for the first few only and read again when it is needed.
 */
import type { Form } from '../log/entry.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { dropFront } from './small-list.ts';

export interface Item {
  /** Number under stream management; 0 while it waits or without it. */
  seq: number;
  /** In the account's log; 0 for what is not there and gone after a crash. */
  readonly position: number;
  readonly form: Form;
  /** When the server got it; for what is read from the log later known only then. */
  atMs: number;
  /** Keys of all sessions that were given the message, in whatever form, this one among them. */
  readonly givenTo: readonly number[];
  /** The account's turn it was given in: that of a turn that failed was not. */
  readonly turn: number;
  /** It waited, so that the client is told since when. */
  isDelayed: boolean;
  /** As the client is to see it, but for that; undefined where it must be read from the log. */
  stanza: Stanza | undefined;
}

/** Stanzas that are not in the log and wait for a connection. More: presence and such are forgotten, requests refused. */
const MAX_TRANSIENT = 500;
/** Of waiting messages whose text stays in memory, in bytes as stanzas count themselves. */
const KEEP_BYTES = 64 * 1024;
/** Messages that may wait for one session; more, and it is over: they wait for the next one instead. */
const MAX_WAITING = 10_000;
/** Before compacting `unacked`. */
const MAX_GAP = 64;

export class Outbound {
  /** Whether what comes goes to the connection at once. */
  isLive = true;
  /** Number of the last stanza sent and of the last acknowledged one. */
  sent = 0;
  acked = 0;
  /** Of `unacked`, as stanzas count themselves. */
  unackedBytes = 0;
  waiting: Item[] = [];
  private items: Item[] = [];
  private head = 0;
  private waitingBytes = 0;
  private transient = 0;

  get isOverfull(): boolean {
    return this.waiting.length > MAX_WAITING;
  }

  get unackedCount(): number {
    return this.items.length - this.head;
  }

  *unacked(): Generator<Item> {
    for (let i = this.head; i < this.items.length; i++) yield this.items[i]!;
  }

  /** Numbers an item that is sent now, and keeps it until it is acknowledged. */
  number(item: Item): number {
    item.seq = ++this.sent;
    this.items.push(item);
    this.unackedBytes += item.stanza?.bytes ?? 0;
    return item.seq;
  }

  /** Something known from before a restart. */
  restore(item: Item): void {
    if (item.seq === 0) {
      this.waiting.push(item);
      return;
    }
    const { items } = this;
    let at = items.length;
    while (at > this.head && items[at - 1]!.seq > item.seq) at--;
    items.splice(at, 0, item);
    this.unackedBytes += item.stanza?.bytes ?? 0;
    if (item.seq > this.sent) this.sent = item.seq;
  }

  /**
   * The client has all up to `seq`. `onAcked` is told of each of them.
   *
   * @param seq at most `sent`.
   */
  ack(seq: number, onAcked: (item: Item) => void): void {
    if (seq <= this.acked) return;
    this.acked = seq;
    const { items } = this;
    while (this.head < items.length && items[this.head]!.seq <= seq) {
      const item = items[this.head]!;
      this.unackedBytes -= item.stanza?.bytes ?? 0;
      onAcked(item);
      items[this.head++] = undefined as unknown as Item;
    }
    if (this.head === items.length) {
      items.length = this.head = 0;
    } else if (this.head > MAX_GAP && this.head * 2 > items.length) {
      dropFront(items, this.head);
      this.head = 0;
    }
  }

  /**
   * What `h` means: counts wrap at 2^32. XEP-0198 §4
   *
   * @returns undefined where the client claims more than it was sent.
   */
  unwrap(h: number, isLenient: boolean): number | undefined {
    const behind = (h - (this.acked % WRAP) + WRAP) % WRAP;
    const seq = this.acked + behind;
    if (seq <= this.sent) return seq;
    // What was sent last before the server was killed nobody wrote down, unless it was a message.
    return isLenient && behind < WRAP / 2 ? seq : undefined;
  }

  /** Takes back everything sent after `received`: it will be numbered anew. The client's view of the count is what counts. */
  rebase(received: number): void {
    const again: Item[] = [];
    const kept: Item[] = [];
    for (const item of this.unacked()) {
      if (item.seq > received) {
        item.seq = 0;
        again.push(item);
      } else {
        kept.push(item);
      }
    }
    this.items = kept;
    this.head = 0;
    this.unackedBytes = kept.reduce((sum, { stanza }) => sum + (stanza?.bytes ?? 0), 0);
    this.waiting = [...again, ...this.waiting];
    this.sent = received;
    if (this.acked > received) this.acked = received;
  }

  /**
   * Something has to wait. False where it cannot: the caller answers a request with an error, all else is forgotten.
   */
  wait(item: Item): boolean {
    const { stanza } = item;
    if (item.position > 0) {
      this.waitingBytes += stanza?.bytes ?? 0;
      if (this.waitingBytes > KEEP_BYTES) item.stanza = undefined;
      this.waiting.push(item);
      return true;
    }
    if (stanza?.kind === 'presence' && (stanza.type === 'available' || stanza.type === 'unavailable')) this.forgetPresenceOf(stanza);
    if (this.transient >= MAX_TRANSIENT) return false;
    this.transient++;
    this.waiting.push(item);
    return true;
  }

  /** Takes out the first `count` of what waits. */
  take(count: number): void {
    for (const { position } of this.waiting.splice(0, count)) if (position === 0) this.transient--;
    if (this.waiting.length === 0) this.transient = this.waitingBytes = 0;
  }

  /** It is not there any more. */
  forget(item: Item): void {
    const at = this.waiting.indexOf(item);
    if (at >= 0) this.waiting.splice(at, 1);
  }

  /** They have left otherwise. */
  forgetAll(items: readonly Item[]): void {
    const gone = new Set(items);
    for (const { position } of items) if (position === 0) this.transient--;
    this.waiting = this.waiting.filter((item) => !gone.has(item));
  }

  /** What was taken out and could not be handed on. */
  waitInFront(items: readonly Item[]): void {
    this.waiting = [...items, ...this.waiting];
  }

  /** Messages of the log among those that wait, each in its place. @param items in order of their positions. */
  merge(items: readonly Item[]): void {
    const merged: Item[] = [];
    let next = 0;
    for (const item of this.waiting) {
      while (item.position > 0 && next < items.length && items[next]!.position < item.position) merged.push(items[next++]!);
      merged.push(item);
    }
    this.waiting = merged.concat(items.slice(next));
  }

  /** No connection for some time: the text of logged messages need not stay in memory. */
  shrink(): void {
    let bytes = 0;
    for (const items of [this.items.slice(this.head), this.waiting]) {
      for (const item of items) {
        if (item.position === 0 || item.stanza === undefined) continue;
        bytes += item.stanza.bytes;
        if (bytes <= KEEP_BYTES) continue;
        if (items !== this.waiting) this.unackedBytes -= item.stanza.bytes;
        item.stanza = undefined;
      }
    }
    this.waitingBytes = bytes;
  }

  /** Everything that is not known to have arrived, in order; the queue is empty afterwards. */
  drain(): Item[] {
    const all = [...this.unacked(), ...this.waiting];
    this.items = [];
    this.waiting = [];
    this.head = this.unackedBytes = this.waitingBytes = this.transient = 0;
    return all;
  }

  /** Only the latest presence of each contact matters to a client that was away. */
  private forgetPresenceOf({ from }: Stanza): void {
    const at = this.waiting.findIndex(
      ({ stanza, position }) =>
        position === 0 &&
        stanza?.kind === 'presence' &&
        (stanza.type === 'available' || stanza.type === 'unavailable') &&
        stanza.from.full === from.full,
    );
    if (at < 0) return;
    this.waiting.splice(at, 1);
    this.transient--;
  }
}

const WRAP = 2 ** 32;
