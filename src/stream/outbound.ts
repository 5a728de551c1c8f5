/**
 * How much unsent output a connection may have, and all connections of a worker together.
 *
 *   0 ───────────── soft ───────────── hard
 *     as it should be │ for a grace time │ never
 *
 * A large answer to a slow reader is no attack, so the soft limit may be exceeded for a while. What nobody may exceed is the
 * hard limit, and all together the budget: above that the connections with the most output go.
 */
import type { Clock } from '../kernel/clock.ts';
import { Deadlines } from '../net/deadlines.ts';

export interface OutboundLimits {
  /** Of one connection, exceeded for at most the grace time. */
  readonly softBytes: number;
  readonly graceMs: number;
  /** Of one connection, never exceeded. */
  readonly hardBytes: number;
  /** Of all connections of a worker; exceeded by at most an eighth before something is done. */
  readonly totalBytes: number;
}

/** Of the budget: there is a look at what is pending for each eighth of it that was written since the last. */
const LOOK_SHARE = 1.125;

/** A connection as its worker's budget sees it. */
export interface Sender {
  /** Written but not taken by the operating system. */
  readonly pendingBytes: number;
  /** Hands over what was only gathered in this slice: that is not the peer's slowness. */
  flush(): void;
  /** It was above its soft limit when last looked at, and the grace time is over. */
  graceOver(): void;
  /** It has to go: called once by the budget, which forgets it then. */
  overdue(): void;
}

/** The limits and grace time of the connections made under one configuration. */
export interface OutboundTerms {
  readonly limits: OutboundLimits;
  /** Connections above their soft limit. */
  readonly late: Deadlines<Sender>;
}

/** The output of one worker. */
export class Outbound {
  /** How often a connection exceeded its soft limit so far. */
  softExceeded = 0;
  /** Connections that had to go because all together were above the budget. */
  victims = 0;
  #terms: OutboundTerms;
  readonly #clock: Clock;
  readonly #senders = new Set<Sender>();
  /**
   * At least what is pending: what was written is added, what has left is found out only when this is an eighth above the
   * budget. That makes a write an addition, and the look at all connections rare.
   */
  #atMost = 0;
  #lookAt: number;

  constructor(limits: OutboundLimits, clock: Clock) {
    this.#clock = clock;
    this.#terms = makeTerms(limits, clock);
    this.#lookAt = limits.totalBytes * LOOK_SHARE;
  }

  /** For connections from now on; the budget for all. */
  get terms(): OutboundTerms {
    return this.#terms;
  }

  setLimits(limits: OutboundLimits): void {
    this.#terms = makeTerms(limits, this.#clock);
    this.#lookAt = limits.totalBytes * LOOK_SHARE;
  }

  /** Pending now, exactly. Cost: O(connections). */
  get pendingBytes(): number {
    let bytes = 0;
    for (const sender of this.#senders) bytes += sender.pendingBytes;
    return bytes;
  }

  add(sender: Sender): void {
    this.#senders.add(sender);
  }

  delete(sender: Sender): void {
    this.#senders.delete(sender);
  }

  /** Something was written to one of the connections. Cost: an addition. */
  written(bytes: number): void {
    this.#atMost += bytes;
    if (this.#atMost > this.#lookAt) this.#look();
  }

  /** What is really pending, and who goes if it is too much. */
  #look(): void {
    const { totalBytes } = this.#terms.limits;
    this.#atMost = this.pendingBytes;
    if (this.#atMost <= totalBytes) return;
    const candidates = Array.from(this.#senders, (sender) => ({ sender, bytes: sender.pendingBytes }));
    for (const { sender, bytes } of candidates.sort((a, b) => b.bytes - a.bytes)) {
      sender.flush();
      this.#atMost -= bytes - sender.pendingBytes;
      if (this.#atMost <= totalBytes) return;
      if (sender.pendingBytes === 0) continue;
      this.#atMost -= sender.pendingBytes;
      this.#senders.delete(sender);
      this.victims++;
      sender.overdue();
      if (this.#atMost <= totalBytes) return;
    }
  }
}

function makeTerms(limits: OutboundLimits, clock: Clock): OutboundTerms {
  return { limits, late: new Deadlines<Sender>(limits.graceMs, clock, (sender) => sender.graceOver()) };
}
