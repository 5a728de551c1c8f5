/** When the account at the other end is lost, or this actor has crashed: how a session goes on. */
import type { Crash, KernelEvent } from '../kernel/actor.ts';
import { ClientStanza, type BindAnswer, type Push } from '../core/messages.ts';
import { attributeOf } from '../stream/header.ts';
import type { Frame } from '../xml/frame.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { StanzaKind } from '../xmpp/stanza.ts';
import type { C2sMessage, C2sState, Connection } from './connection.ts';
import { armLeaving, goOnLeaving } from './leaving.ts';
import { NS_SM } from '../stream/stream-management.ts';
import { askToEnable, enableAnswered, failed, requestAckInTime } from './stream-management.ts';
import { askToAttach, bounced, makeRefusal, resend, sayClientState, seekAccount, sendReady } from './to-account.ts';
import { dropSlowConsumer, retryPush, toClient } from './to-client.ts';

const SEEK_EVERY_MS = 250;

export function wait_for_account(c: Connection, event: C2sMessage | KernelEvent, otherwise: () => C2sState): C2sState {
  switch (event.kind) {
    case 'reply':
      if (event.name === 'attach') return attached(c, event);
      return event.name === 'sm_enable' ? enableAnswered(c, event, 'wait_for_account') : 'wait_for_account';
    case 'timeout':
      switch (event.name) {
        case 'attach':
          askToAttach(c);
          return 'wait_for_account';
        case 'idle':
        case 'request_ack':
        case 'ack_timeout':
        case 'leave':
          c.turn.postpone();
          return 'wait_for_account';
        case 'ask_taken':
          c.isAskDue = false;
          return 'wait_for_account';
        default: // what they were to repeat is said anyway when the account is there
          return otherwise();
      }
    case 'element':
    case 'close':
    case 'drain':
      c.turn.postpone();
      return 'wait_for_account';
    case 'push': // said before the account was lost
      return toClient(c, event, 'wait_for_account');
    case 'session_note':
      c.session!.isInterested = event.isInterested;
      return 'wait_for_account';
    case 'bounced':
      bounced(c, event);
      return 'wait_for_account';
    default: // old credit and the fate of the old account change nothing: the answer will tell
      return otherwise();
  }
}

function attached(c: Connection, event: Extract<KernelEvent, { kind: 'reply' }>): C2sState {
  const session = c.session!;
  if (!event.ok) {
    if (c.turn.now > c.seekUntilMs) return c.closeFor('account_unreachable');
    c.turn.timer('attach', SEEK_EVERY_MS);
    return 'wait_for_account';
  }
  const answer = event.value as BindAnswer;
  if (!answer.ok) return c.closeFor(answer.condition === 'conflict' ? 'conflict' : 'account_unreachable');
  const { given, sm } = session;
  session.account = answer.account;
  c.turn.monitor(answer.account);
  sendReady(c);
  if (sm !== undefined) askToEnable(c, sm);
  const { frames, own } = given.drop(answer.taken);
  if (own !== 0 && sm !== undefined) sm.base += own;
  if (given.taken < given.count) given.missingFrom = given.taken + 1;
  // The client may have asked what was taken, and the question or the answer be lost.
  if (sm !== undefined) c.isTakenAsked = c.isAckOwed = true;
  c.isTakenAskLost = c.isTakenAsked;
  resend(c);
  if (!session.isActive) sayClientState(c);
  if (answer.isNew && sm?.token === undefined) sayPresenceAgain(c);
  if (frames > 0) c.link.request(frames);
  return c.isLeaving ? goOnLeaving(c) : 'session_established';
}

/** The old life of the session is forgotten there: said again, its presence makes it available. */
function sayPresenceAgain(c: Connection): void {
  const { presence, presenceNumber, given, account, identity } = c.session!;
  if (presence === undefined || presenceNumber > given.taken || given.isFull) return;
  const again = new ClientStanza(identity.sid, given.count + 1, presence);
  c.session!.presenceNumber = again.number;
  c.turn.send(account, again);
  given.keepOwn(again);
}

/**
 * Goes on after a crash of this actor, with what caused it answered and gone. Of the session, what is counted is counted only when
 * all else of its turn is done, so a failed turn has counted nothing; what it was to send is said again once the account answers.
 * May itself crash and be repeated, so that comes last here, too.
 */
export function recoverSession(c: Connection, { data, event }: Crash<C2sState, Connection, C2sMessage>): C2sState {
  c.host = data.host;
  c.peerFrom = data.peerFrom;
  c.isHeaderSent = data.isHeaderSent;
  c.isAuthenticated = true;
  c.account = data.account;
  c.lang = data.lang;
  c.session = data.session;
  c.drains = data.drains;
  c.closeReason = data.closeReason;
  c.isLeaving = data.isLeaving;
  c.isGone = data.isGone;
  c.isTakenAsked = data.isTakenAsked;
  c.isAckPending = data.isAckPending;
  const ended = endedBy(c, event);
  if (ended !== undefined) return ended;
  const { sm, acked } = c.session!;
  if (sm !== undefined) {
    // An `<a/>`, an answer of the account or a timer may be what was lost.
    sm.isAsked = sm.isAckAwaited = sm.isRequestDue = sm.isTimeoutDue = false;
    sm.requestedSeq = acked;
    requestAckInTime(c, sm);
  }
  const { idleMs } = c.environment.config.c2s;
  if (c.isLeaving) armLeaving(c);
  else if (idleMs > 0) c.turn.timer('idle', idleMs / 2);
  const state = seekAccount(c);
  makeUpFor(c, event, data.written);
  return state;
}

/** Events after which there is nothing to go on with. */
function endedBy(c: Connection, event: C2sMessage | KernelEvent): C2sState | undefined {
  switch (event.kind) {
    case 'closed':
      c.closeReason ??= 'client_gone';
      c.leaveSession(c.closeReason);
      c.turn.stop(c.closeReason);
      return 'closing';
    case 'close_stream':
      return c.fail(event.condition, event.reason, event.text);
    case 'error':
      return c.fail(event.condition, 'protocol_error', event.text);
    case 'slow_consumer':
      return dropSlowConsumer(c);
    default:
      return undefined;
  }
}

function makeUpFor(c: Connection, event: C2sMessage | KernelEvent, written: Push | undefined): void {
  switch (event.kind) {
    case 'element':
      if (event.ns === NS.client) refuseFrame(c, event);
      else answerElement(c, event);
      break;
    case 'push':
      retryPush(c, event, written === event);
      break;
    case 'session_note':
      c.session!.isInterested = event.isInterested;
      break;
    case 'drain':
      c.drains = [...c.drains, event.name];
      break;
    case 'close':
      c.isLeaving = true;
      c.closeReason ??= 'client_closed';
      armLeaving(c);
      break;
    default: // the rest is asked for, or armed, anew
  }
}

/** The account answers in its turn, and counts it like the client does: XEP-0198 §4. It is sent when the account is there. */
function refuseFrame(c: Connection, frame: Frame): void {
  const stanzaKind = frame.name as StanzaKind;
  const type = attributeOf(frame, 'type');
  const isSilent = type === 'error' || type === 'result'; // RFC 6120 §8.3.1
  const answer = isSilent ? undefined : ({ stanzaKind, id: attributeOf(frame, 'id'), condition: 'internal-server-error' } as const);
  c.session!.given.keep(makeRefusal(c, answer));
}

function answerElement(c: Connection, { ns, name }: Frame): void {
  if (ns === NS_SM && (name === 'enable' || name === 'resume')) failed(c, 'internal-server-error'); // XEP-0198 §6
  c.link.request(1);
}
