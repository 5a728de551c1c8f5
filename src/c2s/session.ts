/**
 * A bound session: stanzas in both directions, and what happens when the account actor at the
 * other end is lost. The hot path of the server runs through `session_established`.
 */
import type { Crash, KernelEvent } from '../kernel/actor.ts';
import { ClientStanza, Undelivered, isStanza, type BindAnswer, type Credit } from '../core/messages.ts';
import type { Frame } from '../xml/frame.ts';
import { parseJid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, makeStanza, readStanza, refusalXml, type Stanza } from '../xmpp/stanza.ts';
import { el } from '../xml/element.ts';
import { makeSessionId, type C2sMessage, type C2sState, type Connection } from './connection.ts';

/** Addresses with directed presence that survive the loss of the account actor. */
const MAX_DIRECTED = 1_000;
/** How long a lost account is sought before the client has to come back by itself. */
const SEEK_MS = 20_000;
const SEEK_EVERY_MS = 250;
const SEEK_TIMEOUT_MS = 5_000;
/** How long the account may take with what a client sent before it left. */
const UNBIND_TIMEOUT_MS = 5_000;
/** How often a connection looks whether it may answer `drain`, if its transport does not say so earlier. */
const DRAIN_CHECK_MS = 100;
const PING = el('ping', 'urn:xmpp:ping');

export function session_established(c: Connection, event: C2sMessage | KernelEvent, otherwise: () => C2sState): C2sState {
  switch (event.kind) {
    case 'element':
      return fromClient(c, event);
    case 'message':
    case 'presence':
    case 'iq':
      return toClient(c, event);
    case 'credit':
      return takeCredit(c, event);
    case 'session_note':
      c.session!.isInterested = event.isInterested;
      return 'session_established';
    case 'drain':
      c.drains.push(event.name);
      return answerDrains(c);
    case 'drained':
      return answerDrains(c);
    case 'timeout':
      if (event.name === 'drain') return answerDrains(c);
      return event.name === 'idle' ? checkIdle(c) : otherwise();
    case 'down':
    case 'restarted': // a crash may have cost it the session, if that had just come or was about to go
      return seekAccount(c);
    case 'bounced':
      bounced(c, event);
      return 'session_established';
    case 'close':
      return leaveInOrder(c);
    default:
      return otherwise();
  }
}

/** RFC 6120 §4.4: what the client sent before its end tag is handled before ours is sent, and answers to it still go out. */
function leaveInOrder(c: Connection): C2sState {
  const { account, identity } = c.session!;
  c.turn.cancelTimer('idle');
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
    case 'message':
    case 'presence':
    case 'iq':
      return toClient(c, event) === 'closing' ? 'closing' : 'wait_for_unbind';
    case 'bounced':
      bounced(c, event);
      return 'wait_for_unbind';
    case 'reply':
    case 'down':
    case 'restarted':
      return c.finish('client_closed');
    default:
      return otherwise();
  }
}

function fromClient(c: Connection, frame: Frame): C2sState {
  const session = c.session!;
  const { name, ns } = frame;
  if (ns !== NS.client || (name !== 'message' && name !== 'presence' && name !== 'iq')) {
    return c.fail(ns === NS.sasl || ns === NS.tls ? 'policy-violation' : 'unsupported-stanza-type'); // RFC 6120 §4.9.3.24
  }
  if (!isOwnFrom(c, frame)) return c.fail('invalid-from'); // RFC 6120 §8.1.2.1
  const stanza = readStanza(frame, session.jid, c.account!.jid, c.lang);
  c.environment.counters.stanzasIn++;
  if (stanza.kind === 'refused') {
    const xml = refusalXml(stanza, c.host!.jid, session.jid);
    if (xml !== undefined) c.link.write(xml);
    c.link.request(1);
    return 'session_established';
  }
  if (stanza.kind === 'presence') notePresence(c, stanza);
  give(c, stanza);
  return 'session_established';
}

function give({ turn, session }: Connection, stanza: Stanza): void {
  const { account, identity } = session!;
  session!.sent++;
  turn.send(account, new ClientStanza(identity.sid, stanza));
}

/** Full or bare JID of the session, or none. RFC 6120 §8.1.2.1 */
function isOwnFrom(c: Connection, { attrs }: Frame): boolean {
  for (let i = 0; i < attrs.length; i += 2) {
    if (attrs[i] !== 'from') continue;
    const { jid } = c.session!;
    if (attrs[i + 1] === jid.full) return true;
    const from = parseJid(attrs[i + 1]!);
    return from !== undefined && (from.full === jid.full || from.full === jid.bare);
  }
  return true;
}

/** What has to be said again if the account actor is lost. */
function notePresence({ session }: Connection, stanza: Stanza): void {
  if (stanza.type !== 'available' && stanza.type !== 'unavailable') return;
  if (!stanza.hasTo) {
    session!.presence = stanza.type === 'available' ? stanza : undefined;
  } else if (stanza.type === 'unavailable') {
    session!.directed.delete(stanza.to.full);
  } else if (session!.directed.size < MAX_DIRECTED) {
    session!.directed.add(stanza.to.full);
  }
}

/** The socket is read as fast as the account takes what comes. */
function takeCredit({ session, link }: Connection, { sid, taken }: Credit): 'session_established' {
  if (sid !== session!.identity.sid || taken <= session!.credited) return 'session_established'; // old news
  link.request(taken - session!.credited);
  session!.credited = taken;
  return 'session_established';
}

function toClient(c: Connection, stanza: Stanza): C2sState {
  c.link.write(stanza.toXml());
  c.environment.counters.stanzasOut++;
  if (!c.link.isOverfull) return 'session_established';
  c.link.transport.flush(); // what was only gathered in this slice is not the client's slowness
  return c.link.isOverfull ? dropSlowConsumer(c) : 'session_established';
}

/** The account waits with more until little is left to send: that leaves room for what others send. */
function answerDrains(c: Connection): 'session_established' {
  if (c.drains.length === 0) return 'session_established';
  if (c.link.transport.pendingBytes > c.environment.config.limits.outboundBytes / 4) {
    c.turn.timer('drain', DRAIN_CHECK_MS); // below the transport's high-water mark it does not call
  } else {
    for (const name of c.drains) c.turn.send(c.session!.account, { kind: 'drain_done', name });
    c.drains = [];
  }
  return 'session_established';
}

/** It does not read, so it would not read a stream error either. */
function dropSlowConsumer(c: Connection): C2sState {
  c.closeReason = 'slow_consumer';
  c.leaveSession('slow_consumer');
  c.link.transport.destroy();
  c.turn.timer('closing', 0);
  return 'closing';
}

/** A ping at half of the idle time, the end at the whole. RFC 6120 §4.6.4, XEP-0199 §4.3 */
function checkIdle(c: Connection): C2sState {
  const { idleMs } = c.environment.config.c2s;
  if (idleMs === 0) return 'session_established'; // off
  const idle = c.turn.now - c.link.lastReceivedMs;
  // Where the socket is not read, the silence is ours.
  if (idle < idleMs / 2 || c.link.transport.isPaused) {
    c.isPinged = false;
    c.turn.timer('idle', Math.max(idleMs / 2 - idle, 1));
  } else if (idle < idleMs && !c.isPinged) {
    c.isPinged = true;
    c.turn.timer('idle', idleMs - idle);
    const ping = makeStanza({ kind: 'iq', type: 'get', id: `ping-${makeSessionId()}`, from: c.host!.jid, to: c.session!.jid }, PING);
    c.link.write(ping.toXml());
  } else if (idle < idleMs) {
    c.turn.timer('idle', idleMs - idle);
  } else {
    return c.closeFor('idle_timeout');
  }
  return 'session_established';
}

/** The account would not take a stanza: the client is told, and may send another in its place. */
function bounced(c: Connection, { message, reason }: Extract<KernelEvent, { kind: 'bounced' }>): void {
  if (message.kind !== 'client_stanza') return;
  const { stanza } = message as ClientStanza;
  if (stanza.mayBeAnsweredWithError) {
    const condition = reason === 'mailbox_full' || reason === 'bridge_full' ? 'resource-constraint' : 'internal-server-error';
    c.link.write(errorAnswer(stanza, new StanzaError(condition)).toXml());
  }
  c.session!.sent--;
  c.link.request(1);
}

/** The account actor was restarted, or ended under a live session: its worker died, or it crashed too often. */
function seekAccount(c: Connection): C2sState {
  c.seekUntilMs = c.turn.now + SEEK_MS;
  askToAttach(c);
  return 'wait_for_account';
}

function askToAttach(c: Connection): void {
  const session = c.session!;
  c.turn.askTo('attach', 'account', session.jid.bare, SEEK_TIMEOUT_MS, (replyTo) => ({
    kind: 'attach' as const,
    replyTo,
    identity: session.identity,
    resource: session.jid.resource,
    isAnonymous: session.isAnonymous,
    isInterested: session.isInterested,
    directed: [...session.directed],
  }));
}

export function wait_for_account(c: Connection, event: C2sMessage | KernelEvent, otherwise: () => C2sState): C2sState {
  switch (event.kind) {
    case 'reply':
      return event.name === 'attach' ? attached(c, event) : 'wait_for_account';
    case 'timeout':
      if (event.name === 'attach') askToAttach(c);
      else if (event.name === 'idle') c.turn.postpone();
      else return otherwise();
      return 'wait_for_account';
    case 'element':
    case 'close':
    case 'drain':
      c.turn.postpone();
      return 'wait_for_account';
    case 'message':
    case 'presence':
    case 'iq':
      return toClient(c, event) === 'closing' ? 'closing' : 'wait_for_account';
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
  session.account = answer.account;
  c.turn.monitor(answer.account);
  if (!answer.isNew) return takeCredit(c, { kind: 'credit', sid: session.identity.sid, taken: answer.taken });
  // What the lost one had not handled went with it.
  c.link.request(session.sent - session.credited);
  session.sent = session.credited = 0;
  // Its old life is forgotten there: said again, the presence makes the session available.
  if (session.presence !== undefined) {
    give(c, session.presence);
    session.credited = 1; // it came from no frame: not to be paid back
  }
  return 'session_established';
}

/** Ours is said: what comes for the client now goes to its account's other sessions, or is kept there. RFC 6120 §4.4 */
export function closing(c: Connection, event: C2sMessage | KernelEvent): C2sState {
  if (event.kind === 'closed' || (event.kind === 'timeout' && event.name === 'closing')) {
    c.turn.stop(c.closeReason ?? 'client_gone');
  } else if (isStanza(event) && c.account !== undefined) {
    c.turn.sendTo('account', c.account.jid.bare, new Undelivered(event));
  }
  return 'closing';
}

/** Goes on after a crash of this actor, with the stanza that caused it answered and gone. */
export function recoverSession(c: Connection, { data, event, state }: Crash<C2sState, Connection, C2sMessage>): C2sState {
  c.host = data.host;
  c.peerFrom = data.peerFrom;
  c.isHeaderSent = data.isHeaderSent;
  c.isAuthenticated = true;
  c.account = data.account;
  c.lang = data.lang;
  c.session = data.session;
  const { idleMs } = c.environment.config.c2s;
  if (idleMs > 0) c.turn.timer('idle', idleMs / 2);
  if (event.kind === 'element') {
    const stanza = readStanza(event, c.session!.jid, c.account!.jid, c.lang);
    if (isStanza(stanza) && stanza.mayBeAnsweredWithError) {
      c.link.write(errorAnswer(stanza, new StanzaError('internal-server-error')).toXml());
    }
    c.link.request(1);
  }
  if (state === 'wait_for_account') return seekAccount(c);
  if (state === 'wait_for_unbind') return leaveInOrder(c);
  c.turn.monitor(c.session!.account);
  return 'session_established';
}
