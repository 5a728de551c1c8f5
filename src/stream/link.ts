/**
 * Joins a transport, the framer and the actor that owns the connection. It is no actor and
 * has no protocol state, so it survives when its actor crashes and is rebuilt.
 *
 * Reading is by demand: the actor says how many frames it is ready for, and while it wants
 * none the socket is not read. That one rule is the back-pressure of the whole server, keeps
 * negotiation in lockstep, and leaves bytes that must not be looked at yet unlooked at.
 * A shaper brakes in the same way: where its buckets are empty the socket is not read.
 *
 *   socket ──bytes──► framer ──frames, at most `demand` and as the shaper allows──► mailbox of the actor
 *   socket ◄──flush at the end of the slice── transport ◄──write── actor
 */
import type { Frame, FrameError, FramerLimits } from '../xml/frame.ts';
import { Framer } from '../xml/framer.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Transport, TransportHandlers } from '../net/transport.ts';
import type { Pace } from './pace.ts';
import { Outbound, type OutboundLimits, type OutboundTerms, type Sender } from './outbound.ts';
import { Shaper, Throttle, type Shaped, type ShaperRates } from './shaper.ts';

/** What the link puts before its actor, beside frames. */
export type LinkEvent =
  | Frame
  | FrameError
  /** TLS handshake done. */
  | { readonly kind: 'secure' }
  /** Output that had piled up has left. */
  | { readonly kind: 'drained' }
  /** More output is waiting than may be for so long, or than the worker has room for: the connection has to go. At most once. */
  | { readonly kind: 'slow_consumer' }
  /** The connection is over; nothing follows. */
  | { readonly kind: 'closed'; readonly error: string | undefined };

const SECURE: LinkEvent = { kind: 'secure' };
const DRAINED: LinkEvent = { kind: 'drained' };
const SLOW_CONSUMER: LinkEvent = { kind: 'slow_consumer' };

/** A peer that was silent for this long begins a new run of white space: keep-alives of a client that says nothing else for weeks are no flood. */
const WHITE_SPACE_REST_MS = 1_000;

/** What the links of one worker have in common. */
export class LinkShare {
  readonly throttle: Throttle;
  readonly outbound: Outbound;
  readonly pace: Pace | undefined;

  constructor(limits: OutboundLimits, clock: Clock, pace?: Pace) {
    this.throttle = new Throttle(clock);
    this.outbound = new Outbound(limits, clock);
    this.pace = pace;
  }
}

/** Whom the link serves. */
export interface LinkOwner {
  /** Puts an event into the actor's mailbox; false where that is full. */
  deliver(event: LinkEvent): boolean;
  /** Calls back once: when a mailbox that was full is half empty, or at once where there is no actor any more. */
  whenRoom(callback: () => void): void;
}

export interface LinkOptions {
  readonly transport: Transport;
  readonly limits: FramerLimits;
  readonly share: LinkShare;
  /** What the peer may send until `shape` says otherwise; undefined: as much as it likes. */
  readonly rates?: ShaperRates | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export class Link implements TransportHandlers, Shaped, Sender {
  readonly transport: Transport;
  readonly framer: Framer;
  /** When the peer last sent anything at all. RFC 6120 §4.6.1 */
  lastReceivedMs: number;
  private readonly share: LinkShare;
  private readonly terms: OutboundTerms;
  private readonly now: () => number;
  private shaper: Shaper | undefined = undefined;
  private demand = 0;
  private isPumping = false;
  private isClosed = false;
  /** Above its soft limit when last looked at. */
  private isLate = false;
  private isOverdue = false;
  private owner: LinkOwner | undefined = undefined;
  /** Events the owner had no room for, at most the frames it asked for and one of each other kind. */
  private waiting: LinkEvent[] | undefined = undefined;

  constructor({ transport, limits, share, rates, now }: LinkOptions) {
    this.transport = transport;
    this.framer = new Framer({ limits });
    this.share = share;
    this.terms = share.outbound.terms;
    this.now = now;
    this.lastReceivedMs = now();
    this.shape(rates);
  }

  /** Starts reading. */
  attach(owner: LinkOwner): void {
    this.owner = owner;
    this.share.outbound.add(this);
    this.transport.setHandlers(this);
  }

  /** The owner is over: nothing is delivered any more. */
  release(): void {
    this.owner = undefined;
    this.waiting = undefined;
    this.end();
  }

  /** From now on the peer may send so much; its buckets are full. Undefined: as much as it likes. */
  shape(rates: ShaperRates | undefined): void {
    this.shaper?.cancel();
    this.shaper = rates === undefined || this.isClosed ? undefined : new Shaper(rates, this.share.throttle, this);
    this.pump();
  }

  /** The actor is ready for `count` more frames. Safe within a turn: frames arrive as mail. */
  request(count: number): void {
    this.demand += count;
    this.pump();
  }

  /** Whether the peer has sent more than white space beyond the last frame. What it is is lost: only for when the stream restarts or fails. */
  hasMore(): boolean {
    return this.framer.next() !== undefined || this.framer.buffered > 0;
  }

  /** A new stream header is expected next; what was asked for before is void. */
  restart(): void {
    this.framer.restart();
    this.demand = 0;
  }

  /** Cost beside the transport's: an addition and a comparison, while the peer reads. */
  write(xml: string): void {
    const { transport } = this;
    const { softBytes } = this.terms.limits;
    // It may have caught up since the last write: if it falls behind again, that is another grace time.
    if (this.isLate && transport.pendingBytes <= softBytes) this.caughtUp();
    transport.write(xml);
    this.share.outbound.written(xml.length);
    if (transport.pendingBytes > softBytes && !this.isLate) this.fallBehind();
  }

  /** More output is waiting than may ever be: the connection has to go at once. Above the soft limit there is the event `slow_consumer`, in time. */
  get isOverfull(): boolean {
    return this.transport.pendingBytes > this.terms.limits.hardBytes;
  }

  get pendingBytes(): number {
    return this.transport.pendingBytes;
  }

  /** The budget's. */
  flush(): void {
    this.transport.flush();
  }

  /** The grace time's: over, and perhaps not for nothing. */
  graceOver(): void {
    this.isLate = false;
    if (this.transport.pendingBytes > this.terms.limits.softBytes) this.overdue();
  }

  /** The grace time's and the budget's. */
  overdue(): void {
    if (this.isOverdue || this.isClosed) return;
    this.isOverdue = true;
    this.deliver(SLOW_CONSUMER);
  }

  bytes(chunk: Buffer): void {
    const nowMs = this.now();
    if (nowMs - this.lastReceivedMs >= WHITE_SPACE_REST_MS) this.framer.forgiveWhiteSpace();
    this.share.pace?.heard(this.lastReceivedMs, nowMs);
    this.lastReceivedMs = nowMs;
    this.shaper?.received(chunk.length);
    this.framer.push(chunk);
    this.pump();
  }

  /** The shaper's: its buckets have refilled. */
  refilled(): void {
    this.pump();
  }

  secure(): void {
    this.deliver(SECURE);
  }

  drained(): void {
    if (this.isLate) this.caughtUp();
    this.deliver(DRAINED);
  }

  closed(error: Error | undefined): void {
    this.end();
    this.deliver({ kind: 'closed', error: error?.message });
  }

  private fallBehind(): void {
    // What was only gathered in this slice is not the peer's slowness.
    this.transport.flush();
    if (this.isClosed || this.transport.pendingBytes <= this.terms.limits.softBytes) return;
    this.isLate = true;
    this.share.outbound.softExceeded++;
    this.terms.late.add(this);
  }

  private caughtUp(): void {
    this.isLate = false;
    this.terms.late.delete(this);
  }

  private end(): void {
    this.isClosed = true;
    this.shaper?.cancel();
    if (this.isLate) this.caughtUp();
    this.share.outbound.delete(this);
  }

  /** Nothing may be lost, least of all the news that the connection is over. */
  private deliver(event: LinkEvent): void {
    if (this.waiting !== undefined) this.waiting.push(event);
    else if (this.owner !== undefined && !this.owner.deliver(event)) this.wait([event]);
  }

  private wait(events: LinkEvent[]): void {
    this.waiting = events;
    let isAtOnce = true;
    this.owner?.whenRoom(() => {
      if (isAtOnce) {
        // An actor that could take the event would have: it is gone.
        this.release();
        this.transport.destroy();
        return;
      }
      this.waiting = undefined;
      for (const event of events) this.deliver(event);
      this.pump();
    });
    isAtOnce = false;
  }

  private pump(): void {
    if (this.isPumping || this.isClosed) return;
    this.isPumping = true;
    const { framer, shaper, transport } = this;
    while (this.demand > 0 && this.waiting === undefined && (shaper === undefined || shaper.hasStanza)) {
      const frame = framer.next();
      if (frame === undefined) break;
      this.demand--;
      if (frame.kind === 'element') shaper?.takeStanza();
      this.deliver(frame);
      if (frame.kind === 'error' || frame.kind === 'close') this.demand = 0;
    }
    this.isPumping = false;
    const isWanted = this.demand > 0 && this.waiting === undefined;
    shaper?.brake(isWanted && framer.buffered > 0);
    if (shaper?.isWaiting === true || (!isWanted && framer.buffered > 0)) {
      if (!transport.isPaused) transport.pause();
    } else if (transport.isPaused) {
      transport.resume();
    }
  }
}
