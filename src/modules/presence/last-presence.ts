/** The last presence of an available resource, as those get it who ask later. RFC 6121 §4.3.2, XEP-0203 */
import type { Session, SessionSlot } from '../../core/session.ts';
import { delayElement } from '../../xmpp/delay.ts';
import { NS } from '../../xmpp/namespaces.ts';
import type { Stanza } from '../../xmpp/stanza.ts';

interface Received {
  /** Milliseconds since the epoch; 0 where the account was restarted since. */
  readonly atMs: number;
  /** Made once, however many contacts ask. */
  delayed: Stanza | undefined;
}

const RECEIVED: SessionSlot<Received> = { name: 'presence_received', initial: () => ({ atMs: 0, delayed: undefined }) };

/** The client sent `stanza` to all. */
export function notePresence(session: Session, stanza: Stanza, priority: number, now: number): void {
  session.presence = stanza;
  session.priority = priority;
  session.set(RECEIVED, { atMs: now, delayed: undefined });
}

export function forgetPresence(session: Session): void {
  session.presence = undefined;
  session.priority = 0;
  session.set(RECEIVED, { atMs: 0, delayed: undefined });
}

/** The full presence of a session that is available, with the time it is from. XEP-0203 §3 */
export function lastPresence(session: Session): Stanza {
  const presence = session.presence!;
  const received = session.get(RECEIVED);
  if (received.atMs === 0 || presence.has('delay', NS.delay)) return presence;
  received.delayed ??= presence.withAppended(delayElement(session.jid.full, received.atMs));
  return received.delayed;
}
