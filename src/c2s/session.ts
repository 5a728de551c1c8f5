/**
 * A bound session. The hot path of the server runs through `session_established`: `to-account.ts` one way, `to-client.ts` the
 * other. How it ends is in `leaving.ts`; what happens when the account actor at the other end is lost, in `lost-account.ts`.
 */
import type { KernelEvent } from '../kernel/actor.ts';
import type { Credit } from '../core/messages.ts';
import type { Frame } from '../xml/frame.ts';
import { parseJid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { makeStanza, readStanza, type Stanza } from '../xmpp/stanza.ts';
import { el } from '../xml/element.ts';
import { makeSessionId, type C2sMessage, type C2sState, type Connection } from './connection.ts';
import { leaveInOrder } from './leaving.ts';
import { NS_SM } from '../stream/stream-management.ts';
import { askToEnable, checkAck, enableAnswered, manage, requestAck, requestAckNow, tellClient } from './stream-management.ts';
import {
  askWhatWasTaken,
  bounced,
  give,
  giveRefusal,
  refusalOf,
  resend,
  sayClientState,
  seekAccount,
  takeCredit,
  takenAnswered,
} from './to-account.ts';
import { toClient } from './to-client.ts';

/** XEP-0352 */
export const NS_CSI = 'urn:xmpp:csi:0';
/** Addresses with directed presence that survive the loss of the account actor. */
const MAX_DIRECTED = 1_000;
/** How often a connection looks whether it may answer `drain`, if its transport does not say so earlier. */
const DRAIN_CHECK_MS = 100;
const PING = el('ping', 'urn:xmpp:ping');

export function session_established(c: Connection, event: C2sMessage | KernelEvent, otherwise: () => C2sState): C2sState {
  switch (event.kind) {
    case 'element':
      return fromClient(c, event);
    case 'push':
      return toClient(c, event, 'session_established');
    case 'credit':
      return credited(c, event);
    case 'session_note':
      c.session!.isInterested = event.isInterested;
      return 'session_established';
    case 'drain':
      c.drains.push(event.name);
      return answerDrains(c);
    case 'drained':
      return answerDrains(c);
    case 'timeout':
      return timeout(c, event.name, otherwise);
    case 'reply':
      return event.name === 'sm_enable' ? enableAnswered(c, event, 'session_established') : 'session_established';
    case 'down':
    case 'restarted': // a crash may have cost it the session, if that had just come or was about to go
      return seekAccount(c);
    case 'account_restarted':
      return event.sid === c.session!.identity.sid ? seekAccount(c) : 'session_established';
    case 'bounced':
      bounced(c, event);
      return 'session_established';
    case 'close':
      return leaveInOrder(c);
    default:
      return otherwise();
  }
}

function timeout(c: Connection, name: string, otherwise: () => C2sState): C2sState {
  switch (name) {
    case 'idle':
      return checkIdle(c);
    case 'drain':
      return answerDrains(c);
    case 'resend':
      resend(c);
      break;
    case 'ask_taken':
      askWhatWasTaken(c);
      break;
    case 'enable':
      if (c.session!.sm !== undefined) askToEnable(c, c.session!.sm);
      break;
    case 'request_ack':
      requestAckNow(c);
      break;
    case 'ack_timeout':
      return checkAck(c, 'session_established');
    default:
      return otherwise();
  }
  return 'session_established';
}

/** Exactly one thing is given to the account, or one more frame asked for; last, so that a crash before has done neither. */
function fromClient(c: Connection, frame: Frame): C2sState {
  const session = c.session!;
  const { name, ns } = frame;
  if (ns !== NS.client || (name !== 'message' && name !== 'presence' && name !== 'iq')) {
    if (ns === NS_SM) return manage(c, frame);
    if (ns === NS_CSI && (name === 'active' || name === 'inactive')) {
      session.isActive = name === 'active';
      sayClientState(c);
      c.link.request(1);
      return 'session_established';
    }
    return c.fail(ns === NS.sasl || ns === NS.sasl2 || ns === NS.tls ? 'policy-violation' : 'unsupported-stanza-type'); // RFC 6120 §4.9.3.24
  }
  if (!isOwnFrom(c, frame)) return c.fail('invalid-from'); // RFC 6120 §8.1.2.1
  if (session.given.isFull) return c.closeFor('account_unreachable'); // more than it gave credit for
  const stanza = readStanza(frame, session.jid, c.account!.jid, c.lang, session.addressee);
  c.environment.counters.stanzasIn++;
  if (stanza.kind === 'refused') {
    giveRefusal(c, refusalOf(stanza, stanza.error.condition));
    return 'session_established';
  }
  if (stanza.hasTo) session.addressee = stanza.to;
  if (stanza.kind === 'presence') notePresence(c, stanza);
  give(c, stanza);
  return 'session_established';
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
    session!.presenceNumber = session!.given.count + 1;
  } else if (stanza.type === 'unavailable') {
    session!.directed.delete(stanza.to.full);
  } else if (session!.directed.size < MAX_DIRECTED) {
    session!.directed.add(stanza.to.full);
  }
}

function credited(c: Connection, credit: Credit): 'session_established' {
  if (takeCredit(c, credit)) tellClient(c, credit.isAnswer && takenAnswered(c));
  return 'session_established';
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

/** A ping at half of the idle time, the end at the whole. RFC 6120 §4.6.4, XEP-0199 §4.3 */
function checkIdle(c: Connection): C2sState {
  const { idleMs } = c.environment.config.c2s;
  if (idleMs === 0) return 'session_established'; // off
  const idle = c.turn.now - c.link.lastReceivedMs;
  // Where the socket is not read, the silence is ours.
  if (idle < idleMs / 2 || c.link.transport.isPaused) {
    c.turn.timer('idle', Math.max(idleMs / 2 - idle, 1));
  } else if (idle < idleMs && c.link.lastReceivedMs >= c.pingedAtMs) {
    c.pingedAtMs = c.turn.now; // later than all that was received
    c.turn.timer('idle', idleMs - idle);
    ask(c);
  } else if (idle < idleMs) {
    c.turn.timer('idle', idleMs - idle);
  } else {
    return c.closeFor('idle_timeout');
  }
  return 'session_established';
}

/** Anything that is answered. */
function ask(c: Connection): void {
  const { sm, jid } = c.session!;
  if (sm !== undefined) {
    // A stanza of this actor's own would be counted by the client, and by nobody else. XEP-0198 §4
    if (sm.isOn) requestAck(c, sm);
    return;
  }
  const ping = makeStanza({ kind: 'iq', type: 'get', id: `ping-${makeSessionId()}`, from: c.host!.jid, to: jid }, PING);
  c.link.write(ping.toXml());
}
