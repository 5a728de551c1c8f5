/**
 * Joins a transport, the framer and the actor that owns the connection. It is no actor and
 * has no protocol state, so it survives when its actor crashes and is rebuilt.
 *
 * Reading is by demand: the actor says how many frames it is ready for, and while it wants
 * none the socket is not read. That one rule is the back-pressure of the whole server, keeps
 * negotiation in lockstep, and leaves bytes that must not be looked at yet unlooked at.
 *
 *   socket ──bytes──► framer ──frames, at most `demand`──► mailbox of the actor
 *   socket ◄──flush at the end of the slice── transport ◄──write── actor
 */
import type { Frame, FrameError, FramerLimits } from '../xml/frame.ts';
import { Framer } from '../xml/framer.ts';
import type { Transport, TransportHandlers } from '../net/transport.ts';

/** What the link puts before its actor, beside frames. */
export type LinkEvent =
  | Frame
  | FrameError
  /** TLS handshake done. */
  | { readonly kind: 'secure' }
  /** Output that had piled up has left. */
  | { readonly kind: 'drained' }
  /** The connection is over; nothing follows. */
  | { readonly kind: 'closed'; readonly error: string | undefined };

const SECURE: LinkEvent = { kind: 'secure' };
const DRAINED: LinkEvent = { kind: 'drained' };

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
  /** Of unsent output, in bytes. */
  readonly maxOutboundBytes: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export class Link implements TransportHandlers {
  readonly transport: Transport;
  readonly framer: Framer;
  /** When the peer last sent anything at all. RFC 6120 §4.6.1 */
  lastReceivedMs: number;
  private readonly maxOutboundBytes: number;
  private readonly now: () => number;
  private demand = 0;
  private isPumping = false;
  private isClosed = false;
  private owner: LinkOwner | undefined = undefined;
  /** Events the owner had no room for, at most the frames it asked for and one of each other kind. */
  private waiting: LinkEvent[] | undefined = undefined;

  constructor({ transport, limits, maxOutboundBytes, now }: LinkOptions) {
    this.transport = transport;
    this.framer = new Framer({ limits });
    this.maxOutboundBytes = maxOutboundBytes;
    this.now = now;
    this.lastReceivedMs = now();
  }

  /** Starts reading. */
  attach(owner: LinkOwner): void {
    this.owner = owner;
    this.transport.setHandlers(this);
  }

  /** The owner is over: nothing is delivered any more. */
  release(): void {
    this.owner = undefined;
    this.waiting = undefined;
    this.isClosed = true;
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

  write(xml: string): void {
    this.transport.write(xml);
  }

  /** The peer reads too slowly: more is waiting than it may have. */
  get isOverfull(): boolean {
    return this.transport.pendingBytes > this.maxOutboundBytes;
  }

  bytes(chunk: Buffer): void {
    this.lastReceivedMs = this.now();
    this.framer.push(chunk);
    this.pump();
  }

  secure(): void {
    this.deliver(SECURE);
  }

  drained(): void {
    this.deliver(DRAINED);
  }

  closed(error: Error | undefined): void {
    this.isClosed = true;
    this.deliver({ kind: 'closed', error: error?.message });
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
    while (this.demand > 0 && this.waiting === undefined) {
      const frame = this.framer.next();
      if (frame === undefined) break;
      this.demand--;
      this.deliver(frame);
      if (frame.kind === 'error' || frame.kind === 'close') this.demand = 0;
    }
    this.isPumping = false;
    const { transport } = this;
    if ((this.demand === 0 || this.waiting !== undefined) && this.framer.buffered > 0) {
      if (!transport.isPaused) transport.pause();
    } else if (transport.isPaused) {
      transport.resume();
    }
  }
}
