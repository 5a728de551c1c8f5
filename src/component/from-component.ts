/**
 * Stanzas of a component. Messages to accounts are numbered, and the account says when one is written down or refused; while too many
 * are under way the component's socket is not read.
 */
import type { BounceReason, Message } from '../kernel/actor.ts';
import { isStanza, RemoteMessage } from '../core/messages.ts';
import { attributeOf } from '../stream/header.ts';
import type { Frame } from '../xml/frame.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, makeStanza, readStanza, type Stanza } from '../xmpp/stanza.ts';
import { stanzaErrorElement } from '../xmpp/stanza-error.ts';
import type { ComponentConnection } from './connection.ts';
import { writeStanza } from './to-component.ts';

/** Messages to accounts that are not written down yet, and their size. */
const MAX_UNDER_WAY = 256;
const MAX_UNDER_WAY_BYTES = 1024 * 1024;
/** Frames the link may hand over ahead of their handling. */
export const READ_AHEAD = 64;
/** When no account has said anything for so long, what is under way is taken for lost. */
export const LOST_MS = 30_000;

/** What a frame came to: 'handled', or the condition of the stream error it ends the stream with. */
export type Outcome = 'handled' | 'invalid-from' | 'improper-addressing';

/**
 * One stanza, its content namespace mapped to that of clients.
 *
 * @param mayUse whether the component may speak for that address.
 */
export function fromComponent(c: ComponentConnection, frame: Frame, mayUse: (from: Jid) => boolean): Outcome {
  const fromText = attributeOf(frame, 'from');
  const from = fromText === undefined ? undefined : parseJid(fromText);
  if (from === undefined || !mayUse(from)) return 'invalid-from'; // RFC 6120 §4.9.3.9
  if (attributeOf(frame, 'to') === undefined) return 'improper-addressing'; // XEP-0114 §3: a 'from' and a 'to' are a must
  c.stanzasIn++;
  c.environment.counters.componentStanzasIn++;
  const stanza = readStanza(frame, from, from);
  if (stanza.kind === 'refused') {
    const { stanzaKind, type, id, error } = stanza;
    if (type === 'error' || type === 'result') return 'handled';
    const by = c.environment.hosts.values().next().value!.jid;
    writeStanza(c, makeStanza({ kind: stanzaKind, type: 'error', id, from: by, to: from }, stanzaErrorElement(error))); // RFC 6120 §8.3.1
    return 'handled';
  }
  send(c, stanza);
  return 'handled';
}

/** On its way, or back with an error. */
export function send(c: ComponentConnection, stanza: Stanza): void {
  const { turn, environment } = c;
  const { to } = stanza;
  if (stanza.kind === 'message' && environment.router.isLocalAccount(to)) {
    const number = ++c.lastNumber;
    if (c.underWay.size === 0) turn.timer('lost', LOST_MS);
    c.underWay.set(number, stanza);
    c.underWayBytes += stanza.bytes;
    turn.sendTo('account', to.bare, new RemoteMessage(turn.self, number, stanza));
    return;
  }
  const error = environment.router.route(stanza, turn);
  if (error !== undefined) giveBack(c, stanza, error);
}

/** The account is done with a message. */
export function taken(c: ComponentConnection, number: number): void {
  const stanza = c.underWay.get(number);
  if (stanza === undefined) return;
  c.underWay.delete(number);
  c.underWayBytes -= stanza.bytes;
  if (c.underWay.size === 0) c.turn.cancelTimer('lost');
  else c.turn.timer('lost', LOST_MS);
  readOn(c, 0);
}

/** Nothing was heard of messages for long: the worker of their accounts is gone, or the disk hangs. XEP-0114 acknowledges nothing, so the component must be told. */
export function giveLostBack(c: ComponentConnection): void {
  for (const stanza of c.underWay.values()) giveBack(c, stanza, new StanzaError('internal-server-error'));
  c.underWay.clear();
  c.underWayBytes = 0;
  readOn(c, 0);
}

/** `frames` more have been handled: asks for as many, where there is room. */
export function readOn(c: ComponentConnection, frames: number): void {
  c.owedDemand += frames;
  if (c.owedDemand === 0 || c.underWay.size >= MAX_UNDER_WAY || c.underWayBytes >= MAX_UNDER_WAY_BYTES) return;
  const { owedDemand } = c;
  c.owedDemand = 0;
  c.link.request(owedDemand);
}

/** Something this connection sent was not taken. */
export function cameBack(c: ComponentConnection, message: Message, reason: BounceReason): void {
  const stanza = message.kind === 'remote_message' ? (message as RemoteMessage).stanza : isStanza(message) ? message : undefined;
  if (stanza === undefined) return;
  if (message.kind === 'remote_message') taken(c, (message as RemoteMessage).number);
  giveBack(c, stanza, new StanzaError(reason === 'no_actor' ? 'service-unavailable' : 'resource-constraint')); // RFC 6120 §8.3.3.18
}

/** RFC 6120 §8.3.1: never an error for an error. */
export function giveBack(c: ComponentConnection, stanza: Stanza, error: StanzaError): void {
  if (stanza.mayBeAnsweredWithError) writeStanza(c, errorAnswer(stanza, error));
}
