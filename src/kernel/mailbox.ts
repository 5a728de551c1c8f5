import type { ActorRef, MailboxLimits, Message, ReplyTo } from './actor.ts';

/*
 * What kind of entry stands in a mailbox: the low bits of its flags. The first two are mail and count
 * towards the limits; the others come from the kernel.
 */
/** Mail addressed by reference. */
export const MAIL = 0;
/** Mail addressed by entity name: outlives the actor, if that stops, in the entity's next one. */
export const NAMED = 1;
/** A kernel event of one life of the actor (task, reply): the flags' value is the incarnation. */
export const LIFE = 2;
/** `down` or `restarted`, unless the watch has been given up since. */
export const WATCH = 3;
/** A kernel event that is true in any life: `bounced`. */
export const NOTICE = 4;
/** An ActorTimer that has fired. */
export const TIMEOUT = 5;
/** Asks the actor to stop when the mail before it is done; the entry's message is the reason. */
export const STOP = 6;
export const TYPE_MASK = 7;
/** Beside MAIL or NAMED: `from` is a ReplyTo. */
export const ASK = 8;
/** Above the low bits: bytes of mail, or the incarnation. */
export const VALUE_SHIFT = 4;

/** What a message counts for that does not say. */
export const DEFAULT_MESSAGE_BYTES = 64;
/** Keeps flags a small integer; a message that large is refused by any sensible limit anyway. */
const MAX_COUNTED_BYTES = 0x3ff_ffff;

export const DEFAULT_MAILBOX: MailboxLimits = { maxMessages: 1024, maxBytes: 1_048_576 };

/** Who is told when a message is not taken: nobody where it came from outside of any actor. */
export type ReturnAddress = ActorRef | ReplyTo | undefined;

/** What `message` counts for. */
export function bytesOf(message: Message): number {
  const { bytes } = message;
  if (bytes === undefined) return DEFAULT_MESSAGE_BYTES;
  return bytes < MAX_COUNTED_BYTES ? bytes : MAX_COUNTED_BYTES;
}

const SEGMENT = 32;
const SEGMENT_MASK = SEGMENT - 1;
/** Slots per entry: message, from, flags. */
const STRIDE = 3;

class Segment {
  readonly items: unknown[] = new Array<unknown>(SEGMENT * STRIDE).fill(undefined);
  /** Entries ever taken and ever put since the segment was last empty and recycled. */
  read = 0;
  write = 0;
  next: Segment | undefined = undefined;
}

/** Empty segments for all mailboxes of one kernel: the last one used is the first one used again, while the cache still knows it. */
export class SegmentPool {
  readonly #free: Segment[] = [];
  readonly #max: number;

  constructor(maxFree = 1024) {
    this.#max = maxFree;
  }

  take(): Segment {
    return this.#free.pop() ?? new Segment();
  }

  give(segment: Segment): void {
    segment.read = segment.write = 0;
    segment.next = undefined;
    if (this.#free.length < this.#max) this.#free.push(segment);
  }
}

/**
 * The queue of one actor: a chain of small rings. Putting and taking cost O(1) and copy nothing as it
 * grows; an actor without mail owns no ring at all, they come from a pool.
 *
 *        head                                   tail
 *      ┌──────────────┐     ┌──────────┐     ┌──────────────┐
 *      │ · · ■ ■ ■ ■ ─┼────►│ ■ ■ ■ ■ ─┼────►│ ■ ■ · · · ·  │
 *      └─────▲────────┘     └──────────┘     └─────▲────────┘
 *          read                                  write        ■ = message, from, flags
 *
 * `messages` and `bytes` count mail, including what the actor has postponed; `size` counts the entries
 * in the rings, kernel events among them.
 */
export class Mailbox {
  readonly limits: MailboxLimits;
  readonly #pool: SegmentPool;
  #head: Segment | undefined = undefined;
  #tail: Segment | undefined = undefined;
  size = 0;
  messages = 0;
  bytes = 0;

  constructor(limits: MailboxLimits, pool: SegmentPool) {
    this.limits = limits;
    this.#pool = pool;
  }

  /** Takes mail, unless a limit would be exceeded. `flags` is MAIL or NAMED, and ASK. */
  post(message: Message, from: ReturnAddress, flags: number): boolean {
    const bytes = bytesOf(message);
    if (this.messages >= this.limits.maxMessages || this.bytes + bytes > this.limits.maxBytes) return false;
    this.messages++;
    this.bytes += bytes;
    this.push(message, from, flags | (bytes << VALUE_SHIFT));
    return true;
  }

  /** Puts an entry with complete flags at the end, without counting it: kernel events. */
  push(message: unknown, from: ReturnAddress, flags: number): void {
    let tail = this.#tail;
    if (tail === undefined || tail.write - tail.read === SEGMENT) tail = this.#grow();
    const { items } = tail;
    const at = (tail.write++ & SEGMENT_MASK) * STRIDE;
    items[at] = message;
    items[at + 1] = from;
    items[at + 2] = flags;
    this.size++;
  }

  /** The first entry's parts; only while `size` is not 0. */
  get message(): unknown {
    const head = this.#head!;
    return head.items[(head.read & SEGMENT_MASK) * STRIDE];
  }

  get from(): ReturnAddress {
    const head = this.#head!;
    return head.items[(head.read & SEGMENT_MASK) * STRIDE + 1] as ReturnAddress;
  }

  get flags(): number {
    const head = this.#head!;
    return head.items[(head.read & SEGMENT_MASK) * STRIDE + 2] as number;
  }

  /** Removes the first entry; only while `size` is not 0. Its mail still counts until `discount`. */
  drop(): void {
    const head = this.#head!;
    const { items } = head;
    const at = (head.read++ & SEGMENT_MASK) * STRIDE;
    items[at] = undefined;
    items[at + 1] = undefined;
    this.size--;
    if (head.read === head.write) this.#shrink(head);
  }

  /** Mail with these flags has been handled. */
  discount(flags: number): void {
    this.messages--;
    this.bytes -= flags >> VALUE_SHIFT;
  }

  /** It was postponed instead: it counts again. */
  recount(flags: number): void {
    this.messages++;
    this.bytes += flags >> VALUE_SHIFT;
  }

  /** How full it is by the tighter limit: 0 is empty, 1 is refusing. */
  get fullness(): number {
    return Math.max(this.messages / this.limits.maxMessages, this.bytes / this.limits.maxBytes);
  }

  #grow(): Segment {
    const segment = this.#pool.take();
    if (this.#tail === undefined) this.#head = segment;
    else this.#tail.next = segment;
    this.#tail = segment;
    return segment;
  }

  #shrink(head: Segment): void {
    this.#head = head.next;
    if (head.next === undefined) this.#tail = undefined;
    this.#pool.give(head);
  }
}
