/**
 * One stream with another server, seen from whichever side: what both have in common. It belongs to the actor that has its
 * connection; which domains may speak over it is decided by the machines.
 */
import type { Frame } from '../xml/frame.ts';
import type { RemoteTaken } from '../core/messages.ts';
import { RemoteMessage } from '../core/messages.ts';
import type { ActorRef, Turn } from '../kernel/actor.ts';
import type { Link } from '../stream/link.ts';
import { attributeOf, STREAM_END, streamErrorXml } from '../stream/header.ts';
import { COUNT_RANGE, NS_SM, parseCount, unwrapCount } from '../stream/stream-management.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { toClientContent } from '../xmpp/server-content.ts';
import { errorAnswer, readStanza, type Stanza } from '../xmpp/stanza.ts';
import type { StanzaError } from '../xmpp/stanza-error.ts';
import type { StreamCondition } from '../xmpp/stream-error.ts';
import type { S2sEnvironment } from './environment.ts';
import { Intake } from './intake.ts';
import { isDomainAllowed } from './policy.ts';

/** Messages that accounts have not dealt with; more are not read. */
const INTAKE_WINDOW = 256;
/** Frames asked for ahead. */
export const READ_AHEAD = 16;
/** An account that says nothing for so long, nor anybody else: the stream ends, so that the other side says it again. */
export const INTAKE_TIMEOUT_MS = 30_000;
/** Stanzas, or time, after which the other side is asked what it has got. */
const REQUEST_AFTER = 32;
export const REQUEST_AFTER_MS = 500;
/** Whoever says nothing at all for so long after it was asked is gone. */
export const ACK_TIMEOUT_MS = 30_000;
/** The other side is told without asking after so many of its stanzas. */
const TELL_AFTER = 64;

/** Stream management of one stream, both ways. XEP-0198 */
export class Management {
  /** What the side that began the stream resumes it with; undefined where it cannot. */
  readonly token: string | undefined;
  /** Of the other side's stanzas, how many came before it began to count. */
  readonly base: number;
  /** Stanzas we have sent since `<enabled/>`, and how many of them it has got. */
  sent = 0;
  acked = 0;
  /** `sent` at our last `<r/>`, and when that was. */
  requested = 0;
  requestedAtMs = 0;
  isAckAwaited = false;
  isRequestDue = false;
  /** Of its stanzas, how many we have said to have. */
  told: number;
  /** It wants to know when all up to this are taken; 0: nothing. */
  owedAt = 0;

  constructor(token: string | undefined, base: number) {
    this.token = token;
    this.base = base;
    this.told = base;
  }
}

/** What came of a frame. */
export type Taken = 'ok' | { readonly condition: StreamCondition; readonly text?: string };

export class ServerStream {
  readonly environment: S2sEnvironment;
  readonly link: Link;
  /** Ours, whoever began the stream: where accounts say what they have taken. */
  readonly self: ActorRef<RemoteTaken>;
  readonly openedAtMs: number;
  /** Id of the stream, made by the side that accepted it. */
  id = '';
  isHeaderSent = false;
  auth: 'external' | 'dialback' | undefined = undefined;
  isBidi = false;
  sm: Management | undefined = undefined;
  intake = new Intake();
  /** Who may speak to whom over it, as `remote local`. */
  readonly pairs = new Set<string>();
  stanzasIn = 0;
  stanzasOut = 0;
  lastStanzaAtMs: number;
  private isStalled = false;
  private intakeSeen = -1;

  constructor(environment: S2sEnvironment, link: Link, self: ActorRef<RemoteTaken>) {
    this.environment = environment;
    this.link = link;
    this.self = self;
    this.openedAtMs = this.lastStanzaAtMs = environment.now();
  }

  get isSecure(): boolean {
    return this.link.transport.tls !== undefined;
  }

  /** Ends the stream with an error; the caller has sent a header. RFC 6120 §4.9.1.1 */
  fail(condition: StreamCondition, text?: string): void {
    this.link.write(streamErrorXml(condition, text));
    this.finish();
  }

  finish(): void {
    if (this.isHeaderSent) this.link.write(STREAM_END);
    this.link.transport.end();
  }

  /** A stanza of ours, or of one of ours. */
  write(stanza: string): void {
    this.link.write(stanza);
    this.stanzasOut++;
    this.environment.counters.stanzasOut++;
    this.lastStanzaAtMs = this.environment.now();
    if (this.sm !== undefined) this.sm.sent++;
  }

  /** Takes a stanza of the other side. Every one of them must be of a pair that is authorised. */
  take(frame: Frame, turn: Turn<never>): Taken {
    const fromText = attributeOf(frame, 'from');
    const toText = attributeOf(frame, 'to');
    const from = fromText === undefined ? undefined : parseJid(fromText);
    const to = toText === undefined ? undefined : parseJid(toText);
    if (from === undefined || to === undefined) return { condition: 'improper-addressing' }; // RFC 6120 §8.1.1.2, §8.1.2.2
    if (!this.pairs.has(`${from.domain} ${to.domain}`)) return this.unauthorised(from, to);
    this.stanzasIn++;
    this.environment.counters.stanzasIn++;
    this.lastStanzaAtMs = turn.now;
    const number = this.intake.next();
    const stanza = readStanza(toClientContent(frame), from, to);
    if (stanza.kind === 'refused') {
      // What is no stanza is answered, unless it is an answer. RFC 6120 §8.3.1
      const { stanzaKind, type, id } = stanza;
      if (type !== 'error' && type !== 'result') this.refuse({ kind: stanzaKind, id, from, to }, stanza.error, turn);
      this.intake.done(number);
    } else if (stanza.kind === 'message' && this.environment.router.isLocalAccount(to)) {
      turn.sendTo('account', to.bare, new RemoteMessage(this.self, number, stanza));
      if (this.intakeSeen < 0) {
        this.intakeSeen = this.intake.taken;
        turn.timer('intake', INTAKE_TIMEOUT_MS);
      }
    } else {
      const error = this.environment.router.route(stanza, turn);
      if (error !== undefined && stanza.mayBeAnsweredWithError) this.environment.router.route(errorAnswer(stanza, error), turn);
      this.intake.done(number);
    }
    this.readOn();
    this.tellInTime();
    return 'ok';
  }

  private refuse(
    stanza: { kind: Stanza['kind']; id: string | undefined; from: Jid; to: Jid },
    error: StanzaError,
    turn: Turn<never>,
  ): void {
    const { kind, id, from, to } = stanza;
    const answer = errorAnswer({ kind, id, from, to } as Stanza, error);
    this.environment.router.route(answer, turn);
  }

  private unauthorised(from: Jid, to: Jid): Taken {
    const { router, counters, log } = this.environment;
    counters.spoofs++;
    log.warn('s2s_unauthorised_stanza', { from: from.domain, to: to.domain, address: this.link.transport.remoteAddress });
    if (!router.serves(to.domain)) return { condition: 'host-unknown' }; // RFC 6120 §4.9.3.6
    return { condition: 'invalid-from' }; // §4.9.3.9
  }

  /** Asks for the next frame, unless accounts are behind. */
  private readOn(): void {
    if (this.intake.outstanding < INTAKE_WINDOW) this.link.request(1);
    else this.isStalled = true;
  }

  /** An account is done with a message. */
  taken({ number }: RemoteTaken): void {
    this.intake.done(number);
    if (this.isStalled && this.intake.outstanding <= INTAKE_WINDOW / 2) {
      this.isStalled = false;
      this.link.request(1);
    }
    this.tellInTime();
  }

  /** A message found no room: its sender hears of that, and it counts as dealt with. */
  bounced({ stanza, number }: RemoteMessage, error: StanzaError, turn: Turn<never>): void {
    if (stanza.mayBeAnsweredWithError) this.environment.router.route(errorAnswer(stanza, error), turn);
    this.taken({ kind: 'remote_taken', number });
  }

  /** The timer `intake`. False where no account has said anything for too long. */
  checkIntake(turn: Turn<never>): boolean {
    const { outstanding, taken } = this.intake;
    if (outstanding > 0 && taken === this.intakeSeen) return false;
    this.intakeSeen = outstanding > 0 ? taken : -1;
    if (outstanding > 0) turn.timer('intake', INTAKE_TIMEOUT_MS);
    return true;
  }

  /** An element of stream management once it is on. @returns how many more of ours have arrived, or why the stream cannot go on. */
  manage(frame: Frame): number | { readonly condition: StreamCondition; readonly text?: string } {
    const { sm } = this;
    if (sm === undefined) return { condition: 'unsupported-stanza-type' };
    if (frame.name === 'r') {
      if (this.intake.outstanding === 0) this.tell(sm);
      else sm.owedAt = this.intake.count; // what came before is to be counted in the answer
      return 0;
    }
    if (frame.name !== 'a') return { condition: 'unsupported-stanza-type' };
    const h = parseCount(attributeOf(frame, 'h'));
    if (h === undefined) return { condition: 'bad-format', text: 'an <a/> needs a count' };
    const acked = unwrapCount(h, sm.acked);
    if (acked > sm.sent) return { condition: 'undefined-condition', text: `${h} stanzas were acknowledged, but fewer were sent` }; // §6
    sm.isAckAwaited = false;
    const more = Math.max(0, acked - sm.acked);
    sm.acked += more;
    if (sm.acked > sm.requested) sm.requested = sm.acked;
    return more;
  }

  /** Says what is taken, where that is asked for or much. §4 */
  private tellInTime(): void {
    const { sm, intake } = this;
    if (sm === undefined) return;
    const isOwed = sm.owedAt > 0 && intake.taken >= sm.owedAt;
    if (isOwed || intake.taken - sm.told >= TELL_AFTER) this.tell(sm);
  }

  /** What an `h` of ours says. */
  get handled(): number {
    return Math.max(0, this.intake.taken - (this.sm?.base ?? 0)) % COUNT_RANGE;
  }

  private tell(sm: Management): void {
    if (this.intake.taken >= sm.owedAt) sm.owedAt = 0;
    sm.told = this.intake.taken;
    this.link.write(`<a xmlns='${NS_SM}' h='${this.handled}'/>`);
  }

  /** Something was sent. */
  requestInTime(turn: Turn<never>): void {
    const { sm } = this;
    if (sm === undefined || sm.isAckAwaited) return;
    const unrequested = sm.sent - sm.requested;
    if (unrequested >= REQUEST_AFTER) {
      this.request(sm, turn);
    } else if (unrequested > 0 && !sm.isRequestDue) {
      sm.isRequestDue = true;
      turn.timer('request_ack', REQUEST_AFTER_MS);
    }
  }

  /** The timer `request_ack`. */
  requestNow(turn: Turn<never>): void {
    const { sm } = this;
    if (sm === undefined) return;
    sm.isRequestDue = false;
    if (!sm.isAckAwaited && sm.sent > sm.acked) this.request(sm, turn);
  }

  private request(sm: Management, turn: Turn<never>): void {
    sm.requested = sm.sent;
    sm.requestedAtMs = turn.now;
    sm.isAckAwaited = true;
    turn.timer('ack', ACK_TIMEOUT_MS);
    this.link.write(`<r xmlns='${NS_SM}'/>`);
  }

  /** The timer `ack`. False where the other side has said nothing for too long. */
  checkAck(turn: Turn<never>): boolean {
    const { sm, link } = this;
    if (sm === undefined || !sm.isAckAwaited) return true;
    const leftMs = Math.max(sm.requestedAtMs, link.lastReceivedMs) + ACK_TIMEOUT_MS - turn.now;
    if (leftMs <= 0 && !link.transport.isPaused) return false;
    turn.timer('ack', leftMs > 0 ? leftMs : ACK_TIMEOUT_MS);
    return true;
  }
}

/** Whether the frame is one of the three stanzas, in the content namespace of servers. */
export function isStanzaFrame({ name, ns }: Frame): boolean {
  return ns === NS.server && (name === 'message' || name === 'presence' || name === 'iq');
}

/** A domain of another server that this one may speak with. @returns undefined where it is none, is ours, or is blocked. */
export function readRemoteDomain(text: string | undefined, environment: S2sEnvironment): string | undefined {
  const jid = text === undefined ? undefined : parseJid(text);
  if (jid?.isDomain !== true || environment.router.serves(jid.domain)) return undefined;
  return isDomainAllowed(environment.config, jid.domain) ? jid.domain : undefined;
}
