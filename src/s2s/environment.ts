/** What all links to other servers of a worker share, and what their actors say to each other. */
import type { Config } from '../config/config.ts';
import type { CoreLog } from '../core/context.ts';
import type { LinkStatus } from '../core/links.ts';
import type { Forward, ForwardAgain, RemoteTaken } from '../core/messages.ts';
import type { Router } from '../core/router.ts';
import type { ActorRef, ReplyTo } from '../kernel/actor.ts';
import type { NameService } from '../net/service-records.ts';
import type { TlsFacts, Transport } from '../net/transport.ts';
import type { CertificateNames } from '../sasl/certificate-names.ts';
import type { Link, LinkEvent } from '../stream/link.ts';
import type { Condition } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { StreamCondition } from '../xmpp/stream-error.ts';
import { readStanzaFromWire, writeStanza, type WireCursor } from '../xmpp/wire.ts';

/** Whether a certificate shows that the peer speaks for a domain. */
export type Verdict = { readonly isValid: true } | { readonly isValid: false; readonly reason: string };

export interface Trust {
  judge(tls: TlsFacts | undefined, domain: string): Verdict;
  /** Of the peer's certificate; undefined where it has shown none. */
  names(tls: TlsFacts): CertificateNames | undefined;
}

/** Where to connect, and as whom. */
export interface DialPlace {
  /** IP address. */
  readonly address: string;
  readonly port: number;
  readonly isDirectTls: boolean;
}

/** What one worker's links have done so far, read by metrics. */
export class S2sCounters {
  stanzasIn = 0;
  stanzasOut = 0;
  /** Streams over which stanzas may go, by how that was decided and who has begun them. */
  outExternal = 0;
  outDialback = 0;
  inExternal = 0;
  inDialback = 0;
  resumed = 0;
  /** Attempts to connect that have come to nothing. */
  failures = 0;
  /** Stanzas returned to their senders. */
  refused = 0;
  /** Dialback that proved nothing, stanzas from domains that were not authorised. */
  spoofs = 0;
}

export interface S2sEnvironment {
  /** Changes with a reload: read when needed. */
  config: Config;
  readonly router: Router;
  readonly log: CoreLog;
  readonly counters: S2sCounters;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** See `dialbackSecret`. */
  readonly secret: string;
  readonly names: NameService;
  readonly trust: Trust;
  /** Opens a connection; rejects where there is none. */
  readonly dial: (place: DialPlace, local: string, remote: string) => Promise<Transport>;
  /** A link whose events go to the actor `ref`: as they are, or wrapped in LinkMail of that epoch. Reads nothing yet. */
  readonly open: (transport: Transport, ref: ActorRef<never>, epoch: number | undefined) => Link;
  /** The peer has shown who it is: other limits hold from now on. */
  readonly authenticated: (link: Link) => void;
  /** All links of this worker, to be shown. */
  readonly views: Set<S2sView>;
}

export interface S2sView {
  readonly ref: ActorRef<S2sClose | WorkerLost>;
  status(): LinkStatus | undefined;
}

/** An event of a link that may be over already: an actor has several, one after the other. */
export class LinkMail {
  readonly kind = 'link_mail';
  readonly epoch: number;
  readonly event: LinkEvent;
  readonly bytes: number;
  constructor(epoch: number, event: LinkEvent) {
    this.epoch = epoch;
    this.event = event;
    this.bytes = 'bytes' in event ? event.bytes : 64;
  }
}

/** An operator, or the end of the server, closes a link. */
export interface S2sClose {
  readonly kind: 'close_link';
  readonly condition: StreamCondition;
}

/** Another worker has ended: accounts there may have been given messages that they have not handled, and do not know of any more. */
export interface WorkerLost {
  readonly kind: 'worker_lost';
}

/** To a link that is for one question only: go. */
export interface StartLink {
  readonly kind: 'start_link';
}

/** To the link out of (local, remote): that stream, begun by the other side, takes stanzas, too. XEP-0288 */
export interface BidiUp {
  readonly kind: 'bidi_up';
  readonly carrier: ActorRef<IncomingMessage>;
}

/** A stanza for the other side of a stream that it has begun. */
export class BidiStanza {
  readonly kind = 'bidi_stanza';
  /** From 1 for each carrier. */
  readonly number: number;
  readonly stanza: Stanza;
  readonly owner: ActorRef<OutgoingMessage>;
  readonly bytes: number;
  constructor(number: number, stanza: Stanza, owner: ActorRef<OutgoingMessage>) {
    this.number = number;
    this.stanza = stanza;
    this.owner = owner;
    this.bytes = stanza.bytes;
  }
}

/** For every worker to register. */
export const BIDI_STANZA_CODEC = {
  write({ number, stanza, owner }: BidiStanza, out: unknown[]): void {
    out.push(number, owner.node, owner.worker, owner.id);
    writeStanza(stanza, out);
  },
  read(input: readonly unknown[], cursor: WireCursor): BidiStanza {
    const number = input[cursor.at++] as number;
    const owner = { node: input[cursor.at++] as number, worker: input[cursor.at++] as number, id: input[cursor.at++] as number };
    return new BidiStanza(number, readStanzaFromWire(input, cursor), owner);
  },
};

/** The other side has all up to that number. */
export interface BidiSettled {
  readonly kind: 'bidi_settled';
  readonly carrier: ActorRef;
  readonly number: number;
}

/** Of a dialback key that was asked for. */
export interface Verified {
  readonly kind: 'verified';
  readonly from: string;
  readonly to: string;
  readonly outcome: 'valid' | 'invalid' | Condition;
}

/** A stream that the other side has begun in place of another asks for what an earlier one had. Answer: HandOver | undefined. XEP-0198 §5 */
export interface TakeOver {
  readonly kind: 'take_over';
  readonly replyTo: ReplyTo;
  readonly token: string;
  readonly local: string;
  readonly remote: string;
}

export interface HandOver {
  /** Stanzas taken from the other side since `<enabled/>`. */
  readonly taken: number;
}

/** To whoever knows streams by their token: that one is over there. */
export interface HoldToken {
  readonly kind: 'hold_token';
  readonly stream: ActorRef<IncomingMessage>;
}

export type OutgoingMessage =
  | Stanza
  | Forward
  | ForwardAgain
  | LinkMail
  | StartLink
  | S2sClose
  | WorkerLost
  | BidiUp
  | BidiSettled
  | RemoteTaken;
export type IncomingMessage = LinkEvent | S2sClose | WorkerLost | BidiStanza | Verified | TakeOver | RemoteTaken;

/** Key of the link out. */
export function pairKey(local: string, remote: string): string {
  return `${local} ${remote}`;
}
