/**
 * Stream management on a client's stream. XEP-0198. What is to be acknowledged and sent again is the account's business
 * (towards the client) and that of `Given` (towards the account); here are the elements that say so, and the two counts.
 */
import type { KernelEvent } from '../kernel/actor.ts';
import { CREDIT_WINDOW, type ResumeAnswer, type SessionIdentity, type SmAnswer, type Unbind } from '../core/messages.ts';
import { attributeOf, STREAM_END } from '../stream/header.ts';
import { COUNT_RANGE, NS_SM, parseBoolean, parseCount, unwrapCount } from '../stream/stream-management.ts';
import { el } from '../xml/element.ts';
import type { Frame } from '../xml/frame.ts';
import { escapeAttr, serialize } from '../xml/serialize.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { Condition } from '../xmpp/stanza-error.ts';
import { streamErrorElement } from '../xmpp/stream-error.ts';
import { askTaken, RESEND_MS } from './to-account.ts';
import { beginSession, type Beginning, type C2sState, type Connection } from './connection.ts';
import { Given } from './given.ts';

/** Stanzas, or time, after which the client is asked what it has got. */
const REQUEST_AFTER = 16;
const REQUEST_AFTER_MS = 1_000;
/** A client that says nothing at all for so long after it was asked is gone. */
const ACK_TIMEOUT_MS = 60_000;
/** The client is told without asking after so many of its stanzas. */
const TELL_AFTER = CREDIT_WINDOW / 2;
const ENABLE_TIMEOUT_MS = 15_000;
/** Of an account that is restarted, or has no room in its mailbox. */
const MAX_ENABLE_TRIES = 5;
const RESUME_TIMEOUT_MS = 15_000;
/** How often an account that is being restarted is asked, and the time between. */
const RESUME_TRIES = 20;
const RESUME_AGAIN_MS = 250;
const REQUEST = `<r xmlns='${NS_SM}'/>`;

/** What the stream knows of it, from `<enable/>` or `<resume/>` on. */
export class StreamManagement {
  /** `<enabled/>` is out. */
  isOn = false;
  /** Number of the last stanza before the client began to count. */
  base: number;
  readonly isResumable: boolean;
  /** As the client wished. */
  readonly maxSeconds: number | undefined;
  token: string | undefined = undefined;
  /** How often the account was asked for it, and whether an answer is to come. */
  tries = 0;
  isAsked = false;
  /** Of the client's stanzas, how many may be acknowledged, and how many were. */
  saved: number;
  told: number;
  /** More was taken when it was last told: the rest is said without being asked for. */
  isToldShort = false;
  /** What need not be asked for any more: `received` at our last `<r/>`, or more where the client said so; when that was, and whether an `<a/>` has come since. */
  requestedSeq = 0;
  requestedAtMs = 0;
  isAckAwaited = false;
  /** Timers that run. Neither is started anew for each stanza. */
  isRequestDue = false;
  isTimeoutDue = false;

  constructor(base: number, isResumable: boolean, maxSeconds: number | undefined) {
    this.base = this.told = this.saved = base;
    this.isResumable = isResumable;
    this.maxSeconds = maxSeconds;
  }
}

/** xs:positiveInteger, as far as anybody means it. */
export function parseSeconds(text: string): number | undefined {
  return /^[0-9]{1,9}$/.test(text) && Number(text) > 0 ? Number(text) : undefined;
}

/** An element of this namespace within a session. */
export function manage(c: Connection, frame: Frame): C2sState {
  const { sm } = c.session!;
  switch (frame.name) {
    case 'r':
      if (sm === undefined) break;
      askTaken(c, true); // §4
      return nextFrame(c);
    case 'a':
      if (sm === undefined) break;
      return acknowledged(c, frame, sm);
    case 'enable':
      if (sm !== undefined) break; // §3
      return enable(c, frame);
    case 'resume': // §5: before a resource is bound
      break;
    default:
      return c.fail('unsupported-stanza-type'); // RFC 6120 §4.9.3.24
  }
  failed(c, 'unexpected-request');
  return nextFrame(c);
}

/** The same before there is a session: §3, §5. */
export function manageBeforeBind(c: Connection, frame: Frame, state: C2sState): C2sState {
  if (frame.name === 'resume' && state === 'wait_for_bind') return resume(c, frame);
  if (frame.name !== 'enable' && frame.name !== 'resume' && frame.name !== 'r' && frame.name !== 'a') {
    return c.fail('unsupported-stanza-type');
  }
  failed(c, 'unexpected-request');
  c.link.request(1);
  return state;
}

/** Last in a turn: what comes from no credit is paid for at once. */
function nextFrame(c: Connection): C2sState {
  c.link.request(1);
  return 'session_established';
}

/** §6 */
export function failed(c: Connection, condition: Condition, h?: number): void {
  c.link.write(failedXml(condition, h));
}

export function failedXml(condition: Condition, h?: number): string {
  const count = h === undefined ? undefined : String(h % COUNT_RANGE);
  return serialize(el('failed', NS_SM, { h: count }, el(condition, NS.stanzaErrors)), NS.client);
}

function enable(c: Connection, frame: Frame): C2sState {
  const isResumable = parseBoolean(attributeOf(frame, 'resume'));
  const max = attributeOf(frame, 'max');
  const maxSeconds = max === undefined ? undefined : parseSeconds(max);
  if (isResumable === undefined || (max !== undefined && maxSeconds === undefined)) {
    failed(c, 'bad-request');
    return nextFrame(c);
  }
  const session = c.session!;
  const sm = new StreamManagement(session.given.count, isResumable, maxSeconds);
  askToEnable(c, sm);
  c.link.request(1);
  session.sm = sm;
  return 'session_established';
}

/** Nothing where it has been answered, or is being asked. */
export function askToEnable(c: Connection, sm: StreamManagement): void {
  const { account, identity } = c.session!;
  if (sm.isOn || sm.isAsked) return;
  sm.isAsked = true;
  sm.tries++;
  c.turn.ask('sm_enable', account, ENABLE_TIMEOUT_MS, (replyTo) => ({
    kind: 'sm_enable' as const,
    replyTo,
    sid: identity.sid,
    isResumable: sm.isResumable,
    maxSeconds: sm.maxSeconds,
    base: sm.base,
  }));
}

/** The account has, or has not, begun to number what it sends. Whatever the state is that this is told in, it stays `state`. */
export function enableAnswered(c: Connection, event: Extract<KernelEvent, { kind: 'reply' }>, state: C2sState): C2sState {
  const session = c.session!;
  const { sm } = session;
  if (sm === undefined || sm.isOn) return state;
  sm.isAsked = false;
  if (!event.ok) {
    // It may come to it yet, and one side would count what the other does not.
    if (event.failure === 'timeout') return c.closeFor('account_unreachable');
    if (sm.tries < MAX_ENABLE_TRIES) {
      c.turn.timer('enable', RESEND_MS);
      return state;
    }
  }
  const answer: SmAnswer = event.ok ? (event.value as SmAnswer) : { ok: false };
  // Numbered pushes that the client did not count: an earlier answer was lost, in a crash of this actor.
  if (answer.ok ? session.received > 0 : event.ok && sm.tries > 1) return c.closeFor('account_unreachable');
  if (!answer.ok) {
    session.sm = undefined;
    failed(c, 'internal-server-error');
    return state;
  }
  c.link.write(enabledXml(c, sm, answer));
  if (c.isAckPending) writeAck(c, sm);
  c.isAckPending = false;
  return state;
}

/** It is on, and this says so. */
export function enabledXml(c: Connection, sm: StreamManagement, { token, maxSeconds }: Extract<SmAnswer, { ok: true }>): string {
  sm.isOn = true;
  sm.token = token;
  const location = c.environment.config.c2s.resumeLocation;
  const attrs = token === undefined ? {} : { id: token, resume: 'true', max: String(maxSeconds), location };
  return serialize(el('enabled', NS_SM, attrs), NS.client);
}

/** What the client is told of its own stanzas. §4 */
export function writeAck(c: Connection, sm: StreamManagement): void {
  sm.told = sm.saved;
  sm.isToldShort = sm.saved < c.session!.given.taken;
  c.link.write(`<a xmlns='${NS_SM}' h='${countOf(sm.saved - sm.base)}'/>`);
}

/** Stanzas before `<enable/>` may still be on their way. */
const countOf = (handled: number): number => Math.max(handled, 0) % COUNT_RANGE;

/** Some credit has come, perhaps as the answer that the client waits for. */
export function tellClient(c: Connection, isOwed: boolean): void {
  const { sm } = c.session!;
  if (sm === undefined || !sm.isOn) {
    if (isOwed) c.isAckPending = true;
  } else if (isOwed || sm.saved - sm.told >= TELL_AFTER || (sm.isToldShort && sm.saved > sm.told)) {
    writeAck(c, sm);
  }
}

/** §4 */
function acknowledged(c: Connection, frame: Frame, sm: StreamManagement): C2sState {
  const session = c.session!;
  const h = parseCount(attributeOf(frame, 'h'));
  if (h === undefined) return c.fail('bad-format', 'protocol_error', 'an <a/> needs a count'); // RFC 6120 §4.9.3.1
  const seq = unwrapCount(h, session.acked);
  if (seq > session.received) return failTooHigh(c, h, session.received % COUNT_RANGE);
  sm.isAckAwaited = false;
  if (seq > session.acked) {
    session.acked = seq;
    if (seq > sm.requestedSeq) sm.requestedSeq = seq; // said without being asked
    c.turn.send(session.account, { kind: 'sm_ack', sid: session.identity.sid, seq });
  }
  requestAckInTime(c, sm);
  return nextFrame(c);
}

/** §6 */
export function failTooHigh(c: Connection, h: number, sent: number): C2sState {
  const detail = el('handled-count-too-high', NS_SM, { h: String(h), 'send-count': String(sent) });
  const error = streamErrorElement('undefined-condition', `You acknowledged ${h} stanzas, but you were sent ${sent}.`, detail);
  const inner = error.children.map((child) => (typeof child === 'string' ? child : serialize(child, NS.client))).join('');
  c.link.write(`<stream:error>${inner}</stream:error>${STREAM_END}`);
  return c.leave('protocol_error');
}

/** A numbered stanza was written. */
export function requestAckInTime(c: Connection, sm: StreamManagement): void {
  if (!sm.isOn || sm.isAckAwaited) return;
  const unrequested = c.session!.received - sm.requestedSeq;
  if (unrequested >= REQUEST_AFTER) {
    requestAck(c, sm);
  } else if (unrequested > 0 && !sm.isRequestDue) {
    sm.isRequestDue = true;
    c.turn.timer('request_ack', REQUEST_AFTER_MS);
  }
}

/** The timer of `requestAckInTime`. */
export function requestAckNow(c: Connection): void {
  const session = c.session!;
  const { sm } = session;
  if (sm === undefined) return;
  sm.isRequestDue = false;
  if (!sm.isAckAwaited && session.received > sm.requestedSeq) requestAck(c, sm);
}

export function requestAck(c: Connection, sm: StreamManagement): void {
  sm.requestedSeq = c.session!.received;
  sm.requestedAtMs = c.turn.now;
  sm.isAckAwaited = true;
  if (!sm.isTimeoutDue) {
    sm.isTimeoutDue = true;
    c.turn.timer('ack_timeout', ACK_TIMEOUT_MS);
  }
  c.link.write(REQUEST);
}

/** How half-open connections are noticed: the session then waits to be resumed. */
export function checkAck(c: Connection, state: C2sState): C2sState {
  const { sm } = c.session!;
  if (sm === undefined) return state;
  sm.isTimeoutDue = false;
  if (!sm.isAckAwaited) return state;
  const { lastReceivedMs, transport } = c.link;
  const leftMs = Math.max(sm.requestedAtMs, lastReceivedMs) + ACK_TIMEOUT_MS - c.turn.now;
  // Where the socket is not read, the silence is ours.
  if (leftMs <= 0 && !transport.isPaused) return c.fail('connection-timeout', 'client_gone'); // RFC 6120 §4.9.3.4
  sm.isTimeoutDue = true;
  c.turn.timer('ack_timeout', leftMs > 0 ? leftMs : ACK_TIMEOUT_MS);
  return state;
}

/** §5 */
function resume(c: Connection, frame: Frame): C2sState {
  const token = attributeOf(frame, 'previd');
  const h = parseCount(attributeOf(frame, 'h'));
  if (token === undefined || h === undefined) return resumeFailed(c, 'bad-request');
  c.pendingIdentity = c.makeIdentity();
  c.previd = token;
  c.previousCount = h;
  c.resumeTries = 0;
  return askToResume(c, c.pendingIdentity);
}

/** The account may be restarted on the way: it is asked again with the same words. */
export function askToResume(c: Connection, identity: SessionIdentity): C2sState {
  const token = c.previd!;
  const h = c.previousCount;
  c.resumeTries++;
  c.turn.askTo('resume', 'account', c.account!.jid.bare, RESUME_TIMEOUT_MS, (replyTo) => ({
    kind: 'resume' as const,
    replyTo,
    token,
    h,
    identity,
  }));
  return 'wait_for_bind';
}

/** The client may bind a resource instead. §5 */
function resumeFailed(c: Connection, condition: Condition, h?: number): C2sState {
  failed(c, condition, h);
  c.link.request(1);
  return 'wait_for_bind';
}

export function resumeAnswered(c: Connection, event: Extract<KernelEvent, { kind: 'reply' }>): C2sState {
  const identity = c.pendingIdentity!;
  if (!event.ok) {
    if (event.failure !== 'timeout' && c.resumeTries < RESUME_TRIES) {
      c.turn.timer('resume', RESUME_AGAIN_MS); // it is being restarted, perhaps on another worker
      return 'wait_for_bind';
    }
    // Should it come to that after all, the session would wait for words of this connection, which may bind another.
    const unbind: Unbind = { kind: 'unbind', sid: identity.sid, reason: 'client_gone' };
    c.turn.sendTo('account', c.account!.jid.bare, unbind);
    return resumeFailed(c, 'internal-server-error');
  }
  const answer = event.value as ResumeAnswer;
  if (!answer.ok) {
    if (answer.condition === 'handled-count-too-high') return failTooHigh(c, answer.h, answer.sent % COUNT_RANGE);
    return resumeFailed(c, answer.condition, answer.h);
  }
  const { beginning, xml } = resumed(c, identity, c.previd!, answer);
  return beginSession(c, beginning, xml);
}

/** The session that was taken up again, and what says so. §5 */
export function resumed(
  c: Connection,
  identity: SessionIdentity,
  token: string,
  { account, resource, taken, base, seq }: Extract<ResumeAnswer, { ok: true }>,
): { readonly beginning: Beginning; readonly xml: string } {
  const sm = new StreamManagement(base, true, undefined);
  sm.isOn = true;
  sm.token = token;
  sm.told = sm.saved = taken;
  sm.requestedSeq = seq;
  c.environment.counters.resumed++;
  const xml = `<resumed xmlns='${NS_SM}' previd='${escapeAttr(token)}' h='${countOf(taken - base)}'/>`;
  return { beginning: { identity, account, resource, given: new Given(taken), sm, seq }, xml };
}
