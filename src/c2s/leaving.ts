/** How a session ends in order. RFC 6120 §4.4 */
import type { KernelEvent } from '../kernel/actor.ts';
import { Undelivered } from '../core/messages.ts';
import type { C2sMessage, C2sState, Connection } from './connection.ts';
import { writeAck } from './stream-management.ts';
import { askTaken, bounced, resend, RESEND_MS, seekAccount, takeCredit, takenAnswered } from './to-account.ts';
import { toClient } from './to-client.ts';

/** How long the account may take with what a client sent before it left. */
const UNBIND_TIMEOUT_MS = 5_000;

/** RFC 6120 §4.4: what the client sent before its end tag is handled before ours is sent, and answers to it still go out. */
export function leaveInOrder(c: Connection): C2sState {
  c.isLeaving = true;
  c.closeReason ??= 'client_closed';
  c.turn.cancelTimer('idle');
  armLeaving(c);
  return goOnLeaving(c);
}

export function armLeaving(c: Connection): void {
  c.turn.timer('leave', UNBIND_TIMEOUT_MS);
}

/** The session ends when the account has taken all: it may have had no room for some of it. */
export function goOnLeaving(c: Connection): C2sState {
  const { given, account, identity, sm } = c.session!;
  if (given.taken < given.count) {
    askTaken(c, true);
    return 'wait_for_unbind';
  }
  if (sm !== undefined && sm.isOn && sm.told < given.taken) writeAck(c, sm);
  c.turn.ask('unbind', account, UNBIND_TIMEOUT_MS, (replyTo) => ({
    kind: 'unbind' as const,
    sid: identity.sid,
    reason: 'client_closed' as const,
    replyTo,
  }));
  return 'wait_for_unbind';
}

export function wait_for_unbind(c: Connection, event: C2sMessage | KernelEvent, otherwise: () => C2sState): C2sState {
  switch (event.kind) {
    case 'push':
      return toClient(c, event, 'wait_for_unbind');
    case 'credit':
      if (takeCredit(c, event) && event.isAnswer) allTaken(c);
      return 'wait_for_unbind';
    case 'bounced':
      bounced(c, event);
      return 'wait_for_unbind';
    case 'timeout':
      if (event.name === 'leave') return left(c);
      if (event.name === 'resend') resend(c);
      else if (event.name === 'unbind') return goOnLeaving(c);
      return event.name === 'closing' ? otherwise() : 'wait_for_unbind';
    case 'reply':
      if (event.name !== 'unbind') return 'wait_for_unbind';
      if (event.ok || event.failure === 'timeout') return left(c);
      c.turn.timer('unbind', RESEND_MS); // no room for it, or the account has crashed over it: that will be told
      return 'wait_for_unbind';
    case 'down':
    case 'restarted':
      return seekAccount(c);
    case 'account_restarted':
      return event.sid === c.session!.identity.sid ? seekAccount(c) : 'wait_for_unbind';
    case 'closed': // few wait for our end tag
      c.isGone = true;
      return 'wait_for_unbind';
    default:
      return otherwise();
  }
}

function allTaken(c: Connection): void {
  const { given } = c.session!;
  takenAnswered(c);
  if (c.isTakenAsked) return; // that was the answer to an older question
  if (given.taken === given.count) {
    goOnLeaving(c);
    return;
  }
  // The question came behind all that was given: what is not taken is not there.
  given.missingFrom = given.taken + 1;
  c.isTakenAsked = c.isTakenAskLost = true;
  c.turn.timer('resend', RESEND_MS);
}

function left(c: Connection): C2sState {
  if (!c.isGone) return c.finish('client_closed');
  c.leaveSession('client_closed');
  c.turn.stop('client_closed');
  return 'closing';
}

/** Ours is said: what comes for the client now goes to its account's other sessions, or is kept there. RFC 6120 §4.4 */
export function closing(c: Connection, event: C2sMessage | KernelEvent): C2sState {
  if (event.kind === 'closed' || (event.kind === 'timeout' && event.name === 'closing')) {
    c.turn.stop(c.closeReason ?? 'client_gone');
  } else if (event.kind === 'push' && event.seq === 0 && c.account !== undefined) {
    // Numbered ones the account has kept. XEP-0198 §4
    c.turn.sendTo('account', c.account.jid.bare, new Undelivered(event));
  }
  return 'closing';
}
