/** Answers to presence probes. RFC 6121 §4.3.2, §4.6.6 */
import type { AccountContext } from '../../core/context.ts';
import { delayElement } from '../../xmpp/delay.ts';
import { makeStanza, type Stanza } from '../../xmpp/stanza.ts';
import { rosterOf } from '../roster/index.ts';
import { absentSinceMs } from './absence.ts';
import { lastPresence } from './last-presence.ts';

/** Somebody asks for the presence of this account or of one of its resources. */
export function answerProbe(probe: Stanza, account: AccountContext): void {
  const { from, to } = probe;
  const isAuthorized = from.bare === account.bare || rosterOf(account).subscribers.has(from.bare);
  if (!isAuthorized) answerStranger(probe, account);
  else if (to.isFull) answerForResource(probe, account);
  else answerForAccount(probe, account);
}

/** Rules 3 and 4 of §4.3.2: everything of every available resource, or that there is none. */
function answerForAccount({ from, id }: Stanza, account: AccountContext): void {
  let isAnswered = false;
  for (const session of account.sessions) {
    if (!session.isAvailable) continue;
    account.route(lastPresence(session).readdressed(session.jid, from)); // its own id: §4.3.2.1
    isAnswered = true;
  }
  if (isAnswered) return;
  const sinceMs = absentSinceMs(account);
  const delay = sinceMs === undefined ? undefined : delayElement(account.bare, sinceMs);
  account.route(makeStanza({ kind: 'presence', type: 'unavailable', id, from: account.jid, to: from }, delay));
}

/** §4.3.2, probe to a full JID: only that it is there, without any details. */
function answerForResource({ from, to, id }: Stanza, account: AccountContext): void {
  const presence = account.session(to.resource)?.presence;
  if (presence === undefined) account.route(makeStanza({ kind: 'presence', type: 'unavailable', id, from: to, to: from }));
  else account.route(makeStanza({ kind: 'presence', type: 'available', id: presence.id, from: to, to: from }));
}

/**
 * §4.6.6: whoever got directed presence may ask whether it still holds. Rule 1 of §4.3.2 for all others: there is
 * no such subscription, which is also what they hear of an account that does not exist. It costs no pre-approval.
 */
function answerStranger({ from, to, id }: Stanza, account: AccountContext): void {
  let isAnswered = false;
  for (const { directed, jid } of account.sessions) {
    if (to.isFull && to.resource !== jid.resource) continue;
    if (!directed.has(from.full) && !directed.has(from.bare)) continue;
    account.route(makeStanza({ kind: 'presence', type: 'available', from: jid, to: from }));
    isAnswered = true;
  }
  if (!isAnswered) account.route(makeStanza({ kind: 'presence', type: 'unsubscribed', id, from: account.jid, to: from.toBare() }));
}
