/** A session's stanzas on their way to its account, and the search for an account that is lost. */
import type { KernelEvent } from '../kernel/actor.ts';
import { ClientStanza, type ClientRefusal, type Credit, type DrainDone } from '../core/messages.ts';
import type { Condition } from '../xmpp/stanza-error.ts';
import type { RefusedStanza, Stanza } from '../xmpp/stanza.ts';
import type { Numbered } from './given.ts';
import type { C2sState, Connection } from './connection.ts';

/** How long a lost account is sought before the client has to come back by itself. */
const SEEK_MS = 20_000;
const SEEK_TIMEOUT_MS = 5_000;
/** Until what found no room is sent again. */
export const RESEND_MS = 50;
/** The account says by itself what it has taken after half a window only. What it does not say is asked after so long, or so much: */
const ASK_TAKEN_MS = 5_000;
const ASK_TAKEN_BYTES = 128 * 1024;

/** Gives a stanza of the client to its account. Called last in a turn: see `Given.count`. */
export function give(c: Connection, stanza: Stanza): void {
  const { given, identity } = c.session!;
  keepAndSend(c, new ClientStanza(identity.sid, given.count + 1, stanza));
}

/** The same for what is no acceptable stanza. */
export function giveRefusal(c: Connection, answer: ClientRefusal['answer']): void {
  keepAndSend(c, makeRefusal(c, answer));
}

export function makeRefusal(c: Connection, answer: ClientRefusal['answer']): ClientRefusal {
  const { given, identity } = c.session!;
  return { kind: 'client_refusal', sid: identity.sid, number: given.count + 1, answer };
}

/** @returns undefined where no error may be sent. RFC 6120 §8.3.1 */
export function refusalOf({ stanzaKind, type, id }: RefusedStanza, condition: Condition): ClientRefusal['answer'] {
  return type === 'error' || type === 'result' ? undefined : { stanzaKind, id, condition };
}

function keepAndSend(c: Connection, message: Numbered): void {
  const { given, account } = c.session!;
  // What the account lacks comes first: it would take nothing behind it.
  if (given.missingFrom === 0) c.turn.send(account, message);
  if (given.bytes > ASK_TAKEN_BYTES) {
    askTaken(c, false);
  } else if (!c.isAskDue) {
    c.isAskDue = true;
    c.turn.timer('ask_taken', ASK_TAKEN_MS);
  }
  given.keep(message);
}

/**
 * Asks what the account has taken, one question at a time: a flood of requests costs it no more than that.
 *
 * @param forClient whether an `<a/>` is to follow; what the client has sent before is to be counted in it. XEP-0198 §4
 */
export function askTaken(c: Connection, forClient: boolean): void {
  if (c.isTakenAsked) {
    if (forClient) c.isTakenWantedAgain = true;
    return;
  }
  c.isTakenAsked = true;
  if (forClient) c.isAckOwed = true;
  sendRequest(c);
}

function sendRequest(c: Connection): void {
  c.isTakenAskLost = false;
  const { account, identity } = c.session!;
  c.turn.send(account, { kind: 'sm_request', sid: identity.sid });
}

/** Some time has passed since a stanza was given. */
export function askWhatWasTaken(c: Connection): void {
  const { given } = c.session!;
  c.isAskDue = false;
  if (given.taken !== given.count) askTaken(c, false);
}

/** To be called for a credit that is an answer. Whether the client waits for it. */
export function takenAnswered(c: Connection): boolean {
  const isOwed = c.isAckOwed;
  c.isTakenAsked = c.isAckOwed = false;
  if (c.isTakenWantedAgain) {
    c.isTakenWantedAgain = false;
    askTaken(c, true);
  }
  return isOwed;
}

/** The socket is read as fast as the account takes what comes. False for old news. */
export function takeCredit(c: Connection, { sid, taken, saved }: Pick<Credit, 'sid' | 'taken' | 'saved'>): boolean {
  const session = c.session!;
  if (sid !== session.identity.sid) return false;
  const { frames, own } = session.given.drop(taken);
  const { sm } = session;
  if (sm !== undefined) {
    sm.base += own;
    if (saved > sm.saved) sm.saved = saved;
  }
  if (frames > 0) c.link.request(frames);
  return true;
}

/** What the account had no room for is sent again with all behind it. Where it is gone, that will be told, and it is sought. */
export function bounced(c: Connection, { message, reason }: Extract<KernelEvent, { kind: 'bounced' }>): void {
  if (reason !== 'mailbox_full' && reason !== 'bridge_full') return;
  const { given } = c.session!;
  switch (message.kind) {
    case 'client_stanza':
    case 'client_refusal': {
      const { number } = message as Numbered;
      if (number <= given.taken) return;
      if (given.missingFrom === 0 || number < given.missingFrom) given.missingFrom = number;
      break;
    }
    case 'sm_ack':
      c.isAckLost = true;
      break;
    case 'sm_request':
      c.isTakenAskLost = true;
      break;
    case 'ready':
      c.isReadyLost = true;
      break;
    case 'client_state':
      c.isStateLost = true;
      break;
    case 'drain_done':
      c.drains.push((message as DrainDone).name);
      c.turn.timer('drain', RESEND_MS);
      return;
    default:
      return;
  }
  c.turn.timer('resend', RESEND_MS);
}

/** The timer of `bounced`. */
export function resend(c: Connection): void {
  const { turn } = c;
  const { given, account, identity, acked } = c.session!;
  const { sid } = identity;
  if (c.isReadyLost) sendReady(c);
  const from = given.missingFrom;
  given.missingFrom = 0;
  if (from !== 0) for (let number = from; number <= given.count; number++) turn.send(account, given.at(number));
  if (c.isAckLost) turn.send(account, { kind: 'sm_ack', sid, seq: acked });
  c.isAckLost = false;
  if (c.isTakenAskLost) sendRequest(c);
  if (c.isStateLost) sayClientState(c);
}

/** XEP-0352 §4.2 */
export function sayClientState(c: Connection): void {
  const { identity, account, isActive } = c.session!;
  c.isStateLost = false;
  c.turn.send(account, { kind: 'client_state', sid: identity.sid, isActive });
}

/** Behind the answer to Attach. */
export function sendReady(c: Connection): void {
  const { identity, received, acked, account } = c.session!;
  c.isReadyLost = false;
  c.turn.send(account, { kind: 'ready', sid: identity.sid, received, acked });
}

/** The account actor was restarted, or ended under a live session: its worker died, or it crashed too often. */
export function seekAccount(c: Connection): C2sState {
  c.seekUntilMs = c.turn.now + SEEK_MS;
  askToAttach(c);
  return 'wait_for_account';
}

export function askToAttach(c: Connection): void {
  const { jid, identity, isAnonymous, isInterested, directed, given, sm } = c.session!;
  c.turn.askTo('attach', 'account', jid.bare, SEEK_TIMEOUT_MS, (replyTo) => ({
    kind: 'attach' as const,
    replyTo,
    identity,
    resource: jid.resource,
    isAnonymous,
    isInterested,
    directed: [...directed],
    taken: given.taken,
    token: sm?.token,
  }));
}
