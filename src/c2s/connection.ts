/**
 * The data of a client connection's actor, and what its states do with the stream. The link
 * and the identity outlive a crash; everything else is rebuilt (see `machine.ts`).
 */
import { SmallSet } from '../kernel/small-map.ts';
import { randomText } from '../sasl/random.ts';
import type { ActorRef, Turn } from '../kernel/actor.ts';
import type { Host, Hosts } from '../core/host.ts';
import {
  CREDIT_WINDOW,
  type AccountMessage,
  type CloseReason,
  type ConnectionMessage,
  type Push,
  type SessionIdentity,
} from '../core/messages.ts';
import { closeCondition } from '../core/closing.ts';
import type { StreamContext, StreamSlot } from '../core/context.ts';
import { makeStreamId, responseHeader, STREAM_END, streamErrorXml } from '../stream/header.ts';
import { addressKey } from '../net/address.ts';
import type { Link, LinkEvent } from '../stream/link.ts';
import type { Config } from '../config/config.ts';
import type { Jid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { LastHead, Stanza } from '../xmpp/stanza.ts';
import type { StreamCondition } from '../xmpp/stream-error.ts';
import type { Given } from './given.ts';
import type { Login, SaslOffer } from './login.ts';
import type { StreamManagement } from './stream-management.ts';

/** ejabberd's names for the same states, and four it does not name. */
export type C2sState =
  | 'wait_for_stream'
  | 'wait_for_feature_request'
  /** `<proceed/>` is sent, the TLS handshake is under way. */
  | 'wait_for_tls'
  | 'wait_for_sasl_response'
  /** Who it is, or says it is, is known; the account sees to the rest of the login. XEP-0388 */
  | 'wait_for_login'
  | 'wait_for_bind'
  | 'session_established'
  /** The account actor was restarted or is gone with its worker; the session is being brought to it or its successor. */
  | 'wait_for_account'
  /** The client has said its last; what it sent before is being handled. */
  | 'wait_for_unbind'
  /** Our end tag is sent; the peer's or the end of the connection is awaited. */
  | 'closing';

export type C2sMessage = ConnectionMessage | LinkEvent;

/** What one worker's client connections have done so far, read by metrics. */
export class C2sCounters {
  accepted = 0;
  authenticated = 0;
  loginFailures = 0;
  bound = 0;
  /** Sessions that were taken up again. XEP-0198 §5 */
  resumed = 0;
  /** Bound now. */
  openSessions = 0;
  stanzasIn = 0;
  stanzasOut = 0;
  /** Connections ended, by reason. */
  readonly closed = new Map<CloseReason, number>();
}

/** What all client connections of a worker share. */
export interface C2sEnvironment {
  /** Changes with a reload: read when needed. */
  config: Config;
  readonly hosts: Hosts;
  readonly counters: C2sCounters;
  /** xmppAddr names of a certificate (DER). Injected: its ASN.1 parser is loaded only where client certificates are in use. */
  readonly certificateAddresses: (certificate: Buffer) => readonly string[];
  /** Tells the listener that the connection no longer counts as one before login. */
  readonly onAuthenticated: (link: Link, account: Jid) => void;
  /** Tells the listener that a password was guessed wrongly. */
  readonly onLoginFailed: (link: Link) => void;
}

export interface C2sArgs {
  readonly environment: C2sEnvironment;
  readonly link: Link;
}

/** What a bound session is; all of it is needed to go on after a crash or to move to a new account actor. */
export interface BoundSession {
  readonly jid: Jid;
  readonly identity: SessionIdentity;
  readonly isAnonymous: boolean;
  account: ActorRef<AccountMessage>;
  /** The last presence to all, to be said again when the account was lost. */
  presence: Stanza | undefined;
  isInterested: boolean;
  /** What the client has said of itself last. XEP-0352 §4.2 */
  isActive: boolean;
  /** Its number in `given`. */
  presenceNumber: number;
  /** Addresses that got directed presence; bounded by MAX_DIRECTED. */
  readonly directed: SmallSet<string>;
  /** Whom the client has written to last. */
  addressee: Jid | undefined;
  /** Stanzas of the client. */
  readonly given: Given;
  /** `seq` of the last push written, and of the last that the client has acknowledged. */
  received: number;
  acked: number;
  sm: StreamManagement | undefined;
  /** A push whose handling crashed this actor and was tried again: not a third time. */
  retried: Push | undefined;
  retriedSeq: number;
}

/** How long the peer may take to close its side after ours. RFC 6120 §4.4 */
const CLOSING_MS = 5_000;

export class Connection {
  readonly environment: C2sEnvironment;
  readonly link: Link;
  turn!: Turn<C2sMessage>;
  /** Frozen with the first stream header: changing it later ends the stream. */
  host: Host | undefined = undefined;
  /** Bare JID as the client put it into the header's `from`, for the answer. */
  peerFrom: string | undefined = undefined;
  /** Language of what the client sends without saying so. RFC 6120 §4.7.4 */
  lang: string | undefined = undefined;
  /** Whether a header of ours is out since the last restart: errors need one before them. */
  isHeaderSent = false;
  isAuthenticated = false;
  /** What was advertised on this stream, until somebody has logged in. */
  offer: SaslOffer | undefined = undefined;
  login: Login | undefined = undefined;
  /** Namespace of the SASL profile that the client has begun with: it stays with that. */
  profile: string | undefined = undefined;
  /** What the login proved. */
  account: { readonly jid: Jid; readonly mechanism: string; readonly isAnonymous: boolean } | undefined = undefined;
  /** What modules keep of the stream until then. */
  streamSlots: Map<StreamSlot<never>, unknown> | undefined = undefined;
  /** Guesses at a password, and attempts that did not come to one. */
  failedLogins = 0;
  refusedLogins = 0;
  session: BoundSession | undefined = undefined;
  /** The resource asked for while the account is asked. */
  bindId: string | undefined = undefined;
  pendingIdentity: SessionIdentity | undefined = undefined;
  /** Of the session that the client wants to take up. XEP-0198 §5 */
  previd: string | undefined = undefined;
  /** `h` of that `<resume/>`, and how often the account was asked. */
  previousCount = 0;
  resumeTries = 0;
  /** Until when a lost account is sought. */
  seekUntilMs = 0;
  /** When the client was last asked whether it is there. */
  pingedAtMs = 0;
  /** The account is to say what it has taken, and has not yet: see `askTaken`. */
  isTakenAsked = false;
  isTakenWantedAgain = false;
  /** The client waits for an `<a/>`: with the answer, or once it has its `<enabled/>`. */
  isAckOwed = false;
  isAckPending = false;
  /** Timer. */
  isAskDue = false;
  /** Told the account, which had no room for it. */
  isAckLost = false;
  isReadyLost = false;
  isStateLost = false;
  isTakenAskLost = false;
  /** The client has said its last. */
  isLeaving = false;
  /** The transport is closed. */
  isGone = false;
  /** Written in this turn, which has not ended yet. */
  written: Push | undefined = undefined;
  /** What the last message to the client began with. */
  lastHead: LastHead | undefined = undefined;
  /** What the account wants to know, by its names: when little is left to send. */
  drains: string[] = [];
  closeReason: CloseReason | undefined = undefined;

  constructor({ environment, link }: C2sArgs) {
    this.environment = environment;
    this.link = link;
  }

  get isSecure(): boolean {
    return this.link.transport.tls !== undefined;
  }

  get streamContext(): StreamContext {
    const { remoteAddress } = this.link.transport;
    return {
      host: this.host!,
      now: this.turn.now,
      remoteAddress,
      addressKey: addressKey(remoteAddress),
      isSecure: this.isSecure,
      get: (slot) =>
        (this.streamSlots?.has(slot as StreamSlot<never>) ? this.streamSlots.get(slot as StreamSlot<never>) : slot.initial()) as never,
      set: (slot, value) => void (this.streamSlots ??= new Map()).set(slot as StreamSlot<never>, value),
    };
  }

  /** Of a session that is to be, with a fresh id. */
  makeIdentity(mechanism = this.account!.mechanism, client?: string): SessionIdentity {
    return {
      sid: makeSessionId(),
      connection: this.turn.self,
      remoteAddress: this.link.transport.remoteAddress,
      isSecure: this.isSecure,
      mechanism,
      boundAtMs: this.turn.now,
      ...(client === undefined ? {} : { client }),
    };
  }

  openStream(): void {
    const from = this.host?.domain ?? this.environment.config.hosts[0]!.domain;
    this.isHeaderSent = true;
    this.link.write(responseHeader({ contentNs: NS.client, from, to: this.peerFrom, id: makeStreamId(), lang: 'en' }));
  }

  /**
   * Ends the stream with an error. RFC 6120 §4.9.1.1: unrecoverable; the header goes first where
   * none was sent (§4.9.1.2).
   */
  fail(condition: StreamCondition, reason: CloseReason = 'protocol_error', text?: string): 'closing' {
    if (!this.isHeaderSent) this.openStream();
    this.link.write(streamErrorXml(condition, text));
    return this.finish(reason);
  }

  /** Ends the stream in order: our end tag, then the transport. */
  finish(reason: CloseReason): 'closing' {
    if (this.isHeaderSent) this.link.write(STREAM_END);
    return this.leave(reason);
  }

  /** Nothing more is said. */
  leave(reason: CloseReason): 'closing' {
    this.closeReason ??= reason;
    this.leaveSession(this.closeReason);
    this.link.transport.end();
    this.turn.cancelTimer('negotiation');
    this.turn.cancelTimer('idle');
    this.turn.timer('closing', CLOSING_MS);
    return 'closing';
  }

  /** Last words of an actor that may not be restarted any more; the transport sees to its end itself. */
  giveUp(): void {
    if (!this.isHeaderSent) this.openStream();
    this.link.write(streamErrorXml(closeCondition('crashed_too_often'), undefined) + STREAM_END);
    this.link.transport.end();
  }

  closeFor(reason: CloseReason, text?: string): 'closing' {
    return this.fail(closeCondition(reason), reason, text);
  }

  /** Tells the account that the session is over, once. */
  leaveSession(reason: CloseReason): void {
    const { session } = this;
    if (session === undefined) return;
    this.session = undefined;
    this.environment.counters.openSessions--;
    this.turn.demonitor(session.account);
    this.turn.send(session.account, { kind: 'unbind', sid: session.identity.sid, reason });
  }
}

/** What the account has answered with. */
export interface Beginning {
  readonly identity: SessionIdentity;
  readonly account: ActorRef<AccountMessage>;
  readonly resource: string;
  readonly given: Given;
  readonly sm: StreamManagement | undefined;
  readonly seq: number;
}

/** The session that a resource was bound for, or that was taken up again; `answer` tells the client. */
export function beginSession(c: Connection, { identity, account, resource, given, sm, seq }: Beginning, answer: string): C2sState {
  const session: BoundSession = {
    jid: c.account!.jid.withResource(resource)!,
    identity,
    isAnonymous: c.account!.isAnonymous,
    account,
    presence: undefined,
    isInterested: false,
    isActive: true,
    presenceNumber: 0,
    directed: new SmallSet(),
    addressee: undefined,
    given,
    received: seq,
    acked: seq,
    sm,
    retried: undefined,
    retriedSeq: 0,
  };
  const { counters, config } = c.environment;
  c.bindId = c.previd = undefined;
  c.turn.monitor(account);
  c.turn.cancelTimer('negotiation');
  if (config.c2s.idleMs > 0) c.turn.timer('idle', config.c2s.idleMs / 2);
  c.link.write(answer);
  c.link.request(CREDIT_WINDOW);
  c.session = session; // last: a crash before has begun none
  counters.openSessions++;
  return 'session_established';
}

/** 128 random bits: ids that are worth guessing. */
export function makeSessionId(): string {
  return randomText(16);
}
