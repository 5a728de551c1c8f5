/**
 * A client that nobody looks at is not woken for what can wait: presence and chat states, the latest of each contact, are
 * held back until something comes that cannot. XEP-0352
 */
import { CARBONS } from '../xmpp/forwarding.ts';
import { z } from 'zod';
import { count, flag } from '../config/types.ts';
import type { AccountContext } from '../core/context.ts';
import { defineModule } from '../core/module.ts';
import type { Session, SessionSlot } from '../core/session.ts';
import { el } from '../xml/element.ts';
import { delayElement } from '../xmpp/delay.ts';
import { FORWARD } from '../xmpp/forwarding.ts';
import { areChatStatesOnly, isChatStateOnly } from '../xmpp/message-content.ts';
import { NS as CORE } from '../xmpp/namespaces.ts';
import type { Stanza } from '../xmpp/stanza.ts';

const NS = 'urn:xmpp:csi:0';
const STREAM_FEATURE = el('csi', NS);
const MUC_USER = 'http://jabber.org/protocol/muc#user';

/** What one session may be owed, as stanzas count themselves: it is sent in one go. */
const MAX_BYTES = 256 * 1024;

// §3.2: "it SHOULD provide a way for administrators to configure them"
const OPTIONS = z.strictObject({
  /** Whether presence waits while nobody looks at the client. */
  presence: flag().schema.default(true),
  /** Whether chat states wait while nobody looks at the client. */
  chat_states: flag().schema.default(true),
  /** Stanzas that wait for one client; one more, and it gets them all. */
  queue: count({ min: 1, max: 10_000 }).schema.default(500),
});

interface Held {
  readonly stanza: Stanza;
  readonly atMs: number;
}

/** Of a session nobody looks at. */
interface Inactivity {
  /** The latest of each kind and contact, in the order they came. */
  readonly held: Map<string, Held>;
  bytes: number;
  /** What was held is on its way: not to be held again. */
  isFlushing: boolean;
}

/** Undefined: active, as every session is at first and after resumption. §4.2, §5.2 */
const INACTIVITY: SessionSlot<Inactivity | undefined> = { name: 'client_state', initial: () => undefined };

const clientState = defineModule({
  name: 'client_state',
  implements: [{ spec: 'XEP-0352', version: '1.0.0', status: 'complete' }],
  config: OPTIONS,
  streamFeatures: (_stream, isAuthenticated) => (isAuthenticated ? [STREAM_FEATURE] : []), // §4.1
  // The session begins in that state by the core's hand, as it does for an element of the stream. XEP-0386
  bindFeatures: ['active', 'inactive'].map((name) => ({ feature: NS, payload: [name, NS], run: () => undefined })),
  guardsPush: holdBack,
  hooks: {
    client_state: (account, session, isActive) => (isActive ? activate(account, session) : deactivate(session)),
    session_detached: activate, // §5.2; what is owed waits with all else until the client comes back
    session_resumed: activate,
  },
});
export default clientState;

function deactivate(session: Session): void {
  if (session.get(INACTIVITY) === undefined) session.set(INACTIVITY, { held: new Map(), bytes: 0, isFlushing: false });
}

function activate(account: AccountContext, session: Session): void {
  const inactivity = session.get(INACTIVITY);
  if (inactivity === undefined) return;
  flush(account, session, inactivity);
  session.set(INACTIVITY, undefined);
}

function holdBack(account: AccountContext, session: Session, stanza: Stanza, isLogged: boolean): boolean {
  const inactivity = session.get(INACTIVITY);
  if (inactivity === undefined || inactivity.isFlushing) return false;
  const options = account.host.moduleConfig(clientState);
  const key = isLogged ? undefined : keyOf(stanza, session, options);
  if (key === undefined) {
    flush(account, session, inactivity); // what came before it goes before it
    return false;
  }
  const { held } = inactivity;
  inactivity.bytes += stanza.bytes - (held.get(key)?.stanza.bytes ?? 0);
  held.delete(key);
  held.set(key, { stanza, atMs: account.now });
  if (held.size > options.queue || inactivity.bytes > MAX_BYTES) flush(account, session, inactivity);
  return true;
}

function flush(account: AccountContext, session: Session, inactivity: Inactivity): void {
  if (inactivity.held.size === 0) return;
  const held = [...inactivity.held.values()];
  inactivity.held.clear();
  inactivity.bytes = 0;
  inactivity.isFlushing = true;
  for (const { stanza, atMs } of held) account.push(session, withDelay(stanza, account, atMs));
  inactivity.isFlushing = false;
}

/** XEP-0203 §2: one stamp only, of the first who delayed it. */
function withDelay(stanza: Stanza, { now, host }: AccountContext, atMs: number): Stanza {
  return atMs === now || stanza.has('delay', CORE.delay) ? stanza : stanza.withAppended(delayElement(host.domain, atMs));
}

/** What a newer stanza would make obsolete; undefined for what cannot wait. */
function keyOf(stanza: Stanza, session: Session, options: z.infer<typeof OPTIONS>): string | undefined {
  switch (stanza.kind) {
    case 'presence':
      return options.presence ? keyOfPresence(stanza, session) : undefined;
    case 'message':
      return options.chat_states ? keyOfMessage(stanza) : undefined;
    default:
      return undefined;
  }
}

/** Requests and errors are for the user; what tells of the client itself it may be waiting for. */
function keyOfPresence(stanza: Stanza, session: Session): string | undefined {
  if (stanza.type !== 'available' && stanza.type !== 'unavailable') return undefined;
  if (stanza.from.full === session.jid.full || isOwnOccupant(stanza)) return undefined;
  return `presence ${stanza.from.full}`;
}

/** XEP-0045 §7.2.2: "status code 110", of rooms the client enters, leaves or is removed from. */
function isOwnOccupant(stanza: Stanza): boolean {
  if (!stanza.has('x', MUC_USER) || !stanza.body.includes('110')) return false;
  const statuses = stanza.child('x', MUC_USER)!.childrenNamed('status');
  return statuses.some((status) => status.attr('code') === '110');
}

function keyOfMessage(stanza: Stanza): string | undefined {
  const { type, from } = stanza;
  if (type === 'error') return undefined;
  if (isChatStateOnly(stanza)) return `state ${type === 'groupchat' ? from.full : from.bare}`;
  return keyOfCopy(stanza, 'received', 'from') ?? keyOfCopy(stanza, 'sent', 'to');
}

/** A chat state of another client of the account, or for one. XEP-0280 §10.2 */
function keyOfCopy(stanza: Stanza, direction: 'received' | 'sent', peer: 'from' | 'to'): string | undefined {
  const message = stanza.child(direction, CARBONS)?.child('forwarded', FORWARD)?.child('message', CORE.client);
  if (message === undefined || !areChatStatesOnly(message.elements())) return undefined;
  return `${direction} ${message.attr(peer)}`;
}
