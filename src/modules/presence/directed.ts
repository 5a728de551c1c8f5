/** Directed presence: to one entity instead of all subscribers. RFC 6121 §4.6 */
import type { AccountContext } from '../../core/context.ts';
import type { Session } from '../../core/session.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { rosterOf } from '../roster/index.ts';

/** Addresses one session may keep informed; presence to further ones is refused, since nobody would tell them of its end. */
export const MAX_DIRECTED = 1_000;

/**
 * Remembers who has to hear of the end of this presence. §4.6.3
 *
 * @returns false: it is delivered as any stanza.
 */
export function sendDirected({ to, type }: Stanza, account: AccountContext, session: Session): false | StanzaError {
  const { directed } = session;
  if (type === 'unavailable') {
    directed.delete(to.full); // §4.6.1
    return false;
  }
  if (isToldByBroadcast(account, session, to) || directed.has(to.full)) return false; // §4.6.3 case 1
  if (directed.size >= MAX_DIRECTED) return new StanzaError('resource-constraint', 'Presence was directed to too many addresses');
  directed.set(to.full, to);
  return false;
}

/** Whether `to` gets what this session broadcasts, so that its end need not be told twice. */
export function isToldByBroadcast(account: AccountContext, session: Session, to: Jid): boolean {
  return session.isAvailable && (rosterOf(account).subscribers.has(to.bare) || to.bare === account.bare);
}

/** An entity that is gone itself need not hear of our end. §4.6.1 */
export function forgetDirected({ from }: Stanza, account: AccountContext, session: Session | undefined): void {
  if (session !== undefined) session.directed.delete(from.full);
  else for (const each of account.sessions) each.directed.delete(from.full);
}
