/**
 * What a session has given to its account and does not know to be taken: go-back-N, so that a full mailbox, a lost account
 * or a crash on either side costs no stanza and repeats none.
 *
 *   1 … taken │ taken+1 … count │ count+1 …
 *     dropped │ in the ring      │ not read yet: the account gives credit for as many as it takes
 */
import { CREDIT_WINDOW, type ClientRefusal, type ClientStanza } from '../core/messages.ts';

export type Numbered = ClientStanza | ClientRefusal;

/** Twice what the account gives credit for: what comes from no frame has room beside it. Powers of two, both. */
const MAX_SLOTS = 2 * CREDIT_WINDOW;
/** Idle sessions are many. */
const FIRST_SLOTS = 4;

export class Given {
  /** Number of the last one given; what the next is numbered after. Set when all else of giving it is done. */
  count: number;
  /** The account is known to be done with all up to this. */
  taken: number;
  /** From which number on all has to be sent again; 0 while the account lacks nothing that is known of. */
  missingFrom = 0;
  /** Of what is kept here. */
  bytes = 0;
  /** Number of the one that came from no frame, as long as it is not taken; 0 if there is none. */
  private ownNumber = 0;
  private slots: (Numbered | undefined)[] = Array.from({ length: FIRST_SLOTS }, () => undefined);

  constructor(taken: number) {
    this.count = this.taken = taken;
  }

  get isFull(): boolean {
    return this.count - this.taken >= MAX_SLOTS;
  }

  /** Keeps what bears the next number; the caller has seen that there is room. */
  keep(message: Numbered): void {
    if (this.count - this.taken === this.slots.length) this.grow();
    this.slots[message.number & (this.slots.length - 1)] = message;
    this.bytes += weightOf(message);
    this.count = message.number;
  }

  /** Likewise, for one that the client has not sent: no frame is to be read in its place, and the client does not count it. */
  keepOwn(message: Numbered): void {
    this.ownNumber = message.number;
    this.keep(message);
  }

  at(number: number): Numbered {
    return this.slots[number & (this.slots.length - 1)]!;
  }

  /**
   * The account has taken all up to `taken`.
   * @returns how many there were, and how many of them came from no frame: 0 or 1.
   */
  drop(taken: number): { readonly frames: number; readonly own: 0 | 1 } {
    const upTo = Math.min(taken, this.count);
    if (upTo <= this.taken) return NOTHING;
    const own = this.ownNumber !== 0 && this.ownNumber <= upTo ? 1 : 0;
    if (own === 1) this.ownNumber = 0;
    const frames = upTo - this.taken - own;
    const mask = this.slots.length - 1;
    for (let number = this.taken + 1; number <= upTo; number++) {
      this.bytes -= weightOf(this.slots[number & mask]!);
      this.slots[number & mask] = undefined;
    }
    this.taken = upTo;
    if (this.missingFrom !== 0 && this.missingFrom <= upTo) this.missingFrom = upTo === this.count ? 0 : upTo + 1;
    return { frames, own };
  }

  private grow(): void {
    const slots: (Numbered | undefined)[] = Array.from({ length: 2 * this.slots.length }, () => undefined);
    for (let number = this.taken + 1; number <= this.count; number++) slots[number & (slots.length - 1)] = this.at(number);
    this.slots = slots;
  }
}

const weightOf = (message: Numbered): number => (message.kind === 'client_stanza' ? message.bytes : 0);

const NOTHING = { frames: 0, own: 0 } as const;
