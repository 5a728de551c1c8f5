/** What becomes of stanzas that a session has not got, or not acknowledged, when it ends. XEP-0198 §5, RFC 6121 §8.5 */
import { StanzaError } from '../xmpp/stanza-error.ts';
import type { Account } from './account.ts';
import { keepWaiting } from './drafts.ts';
import { isRequest } from './delivery.ts';
import { PENDING } from '../log/segment.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { Item } from './outbound.ts';
import { ENDED, SESSIONS, TAKEN } from './session-rows.ts';
import type { Session } from './session.ts';

/** Sessions that could not be resumed in time and whose count is remembered. */
const MAX_ENDED = 8;
/** Size a message is taken for whose text is not in memory. */
const UNKNOWN_BYTES = 300;

/** The session is no longer among the account's. */
export function endSession(account: Account, session: Session): void {
  const { pending } = account;
  if (pending.reader === session) pending.reader = undefined;
  account.turn.cancelTimer(expiryTimer(session));
  for (const item of session.outbound.drain()) leave(account, item);
  if (account.takenRows.delete(session.key)) account.delete(TAKEN, [session.key]);
  if (session.sm !== undefined) forgetRow(account, session);
  account.handOver();
}

/** Messages go where they would go if they came now, all else gets what RFC 6121 §8.5.3.2 says. */
export function leave(account: Account, item: Item): void {
  const { position, stanza, form } = item;
  if (position === 0) {
    if (stanza !== undefined && isRequest(stanza)) account.returnError(stanza, new StanzaError('service-unavailable'));
    return;
  }
  if (form === 'carbon_sent') return; // a copy of what the user wrote
  const sessions = [...account.sessions];
  // Who was given it has it, or passes it on at its own end.
  if (sessions.some(({ key }) => item.givenTo.includes(key))) {
    if (account.pending.remove(position)) account.delete(PENDING, [position]);
    return;
  }
  if (account.pending.has(position)) return; // it waits already
  const others = sessions.filter(({ takesMessages }) => takesMessages);
  const givenTo = [...item.givenTo, ...others.map(({ key }) => key)];
  const holders = others.filter(({ sm }) => sm !== undefined).map(({ key }) => key);
  for (const other of others) {
    const isShown = stanza?.has('delay', NS.delay) ?? false;
    const text = form === 'plain' ? stanza : undefined; // of a copy, the message itself
    other.outbound.merge([{ ...item, form: 'plain', givenTo, seq: 0, turn: account.turnCount, isDelayed: !isShown, stanza: text }]);
    other.outbound.isLive = false;
    other.isDirty = true;
    if (other.sm === undefined) keepWaiting(account, position, stanza?.bytes ?? UNKNOWN_BYTES, holders);
    account.catchUp(other);
  }
  if (others.length === 0) keepWaiting(account, position, stanza?.bytes ?? UNKNOWN_BYTES);
}

/** Keeps of the session what its client may ask for when it comes back too late. XEP-0198 §5 */
function forgetRow(account: Account, session: Session): void {
  const { ended } = account;
  const sm = session.sm!;
  account.delete(SESSIONS, [session.key]);
  if (sm.token === undefined) return;
  const row = { token: sm.token, h: wrapped(session.taken - sm.base), endedAtMs: account.now };
  ended.set(session.key, row);
  account.put(ENDED, [session.key], row);
  if (ended.size <= MAX_ENDED) return;
  const oldest = [...ended].sort(([, a], [, b]) => a.endedAtMs - b.endedAtMs)[0]![0];
  ended.delete(oldest);
  account.delete(ENDED, [oldest]);
}

/** XEP-0198 §4: counts wrap at 2^32. */
export function wrapped(count: number): number {
  return count % 2 ** 32;
}

export function expiryTimer({ key }: Session): string {
  return `expire:${key}`;
}
