/**
 * Messages for accounts nobody is there to read for: kept, and handed over in order to the first session
 * that takes messages. XEP-0160
 *
 * A backlog is handed over a chunk at a time, as fast as the client reads. Until it is empty, every message that
 * would be kept joins its end instead of overtaking it.
 */
import { z } from 'zod';
import { bytes } from '../../config/types.ts';
import type { AccountContext } from '../../core/context.ts';
import { defineModule } from '../../core/module.ts';
import type { Session } from '../../core/session.ts';
import type { Row } from '../../store/store.ts';
import { delayElement, parseDelay } from '../../xmpp/delay.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { BACKLOG, KEPT, MESSAGES, saveBacklog, type KeptMessage } from './backlog.ts';
import { isChatStateOnly, isWorthKeeping } from './keeping.ts';

/** Messages read at a time, and handed over if they are not too large together. */
const CHUNK = 50;
/** Of the outbound limit of a connection, so much is handed over before the client has to have read it. */
const CHUNK_SHARE = 0.25;
/** How much more than the limit a backlog may hold while it is being handed over, so that being online refuses nothing. */
const SLACK = 2;

const OPTIONS = z.strictObject({
  /** Size of all messages kept for one account; the number is `accounts.offline_messages`. */
  size: bytes({ min: 1_024, max: 1024 * 1024 * 1024 }).schema.default(8 * 1024 * 1024),
});

const offline = defineModule({
  name: 'offline',
  implements: [
    { spec: 'XEP-0160', version: '1.0.1', status: 'complete' },
    { spec: 'XEP-0203', version: '2.0', status: 'complete' },
    { spec: 'XEP-0334', version: '1.0.0', status: 'partial', note: 'no-store and store; the others concern archives and carbons' },
  ],
  config: OPTIONS,
  tables: [MESSAGES, KEPT],
  slots: [BACKLOG],
  features: ['msgoffline'], // §4
  hooks: {
    user_send_message: { phase: 'enrich', run: withoutForgedDelay },
    user_receive_message: { phase: 'deliver', run: queueBehindBacklog },
    message_undelivered: { phase: 'deliver', run: keepUndelivered },
    session_presence: (account, session) => {
      if (session.takesMessages) handOver(account, session);
    },
    session_closing: (account, session) => {
      if (account.state(BACKLOG).reader === session) passOn(account, session);
    },
  },
});
export default offline;

/** Nobody can take it now. §2, §3; RFC 6121 §8.5.2.2.1 */
function keepUndelivered(stanza: Stanza, account: AccountContext): boolean | StanzaError {
  if (account.isTemporary) return false;
  if (isChatStateOnly(stanza)) return true; // nothing anybody would miss
  return isWorthKeeping(stanza) && keep(stanza, account, 1);
}

/** A message that would overtake the backlog waits behind it. */
function queueBehindBacklog(stanza: Stanza, account: AccountContext, addressed: Session | undefined): boolean | StanzaError {
  const backlog = account.state(BACKLOG);
  if (backlog.count === 0 || stanza.type === 'error' || stanza.type === 'groupchat' || stanza.type === 'headline') return false;
  if (addressed === undefined ? stanza.to.isFull && stanza.type === 'normal' : !addressed.takesMessages) return false;
  if (isChatStateOnly(stanza) || !isWorthKeeping(stanza)) return false;
  const reader = addressed ?? firstReader(account);
  if (reader === undefined) return false;
  const outcome = keep(stanza, account, SLACK);
  handOver(account, reader);
  return outcome;
}

/** Appends to the backlog, or refuses. §2: `service-unavailable` where it is full. */
function keep(stanza: Stanza, account: AccountContext, slack: number): true | StanzaError {
  const backlog = account.state(BACKLOG);
  const { host } = account;
  const isFull =
    backlog.count >= host.config.accounts.maxOfflineMessages * slack ||
    backlog.bytes + stanza.bytes > host.moduleConfig(offline).size * slack;
  if (isFull) return new StanzaError('service-unavailable', 'No more messages are kept for this account');
  const message = withOwnDelayTaken(stanza, account);
  account.put(MESSAGES, [backlog.next], message);
  backlog.next++;
  backlog.count++;
  backlog.bytes += message.stanza.bytes;
  saveBacklog(account, backlog);
  return true;
}

/** A message that comes back from a broken connection has its delay already: its time stays the first one. */
function withOwnDelayTaken(stanza: Stanza, account: AccountContext): KeptMessage {
  if (!stanza.has('delay', NS.delay)) return { atMs: account.now, stanza };
  const ownDelay = stanza
    .element()
    .childrenNamed('delay', NS.delay)
    .map(parseDelay)
    .find((delay) => delay?.from?.full === account.host.domain);
  return { atMs: ownDelay?.atMs ?? account.now, stanza: withoutDelayFrom(stanza, account.host.domain) };
}

/** XEP-0203 §5: only the server itself says that the server has delayed something. */
function withoutForgedDelay(stanza: Stanza, account: AccountContext): Stanza {
  return stanza.has('delay', NS.delay) ? withoutDelayFrom(stanza, account.host.domain) : stanza;
}

function withoutDelayFrom(stanza: Stanza, domain: string): Stanza {
  const { children } = stanza.element();
  const kept = children.filter(
    (child) => typeof child === 'string' || !child.is('delay', NS.delay) || parseDelay(child)?.from?.full !== domain,
  );
  return kept.length === children.length ? stanza : stanza.withContent(kept);
}

/** Starts handing over to `session`, unless that is under way or there is nothing. */
function handOver(account: AccountContext, session: Session): void {
  const backlog = account.state(BACKLOG);
  if (backlog.count === 0 || backlog.reader !== undefined) return;
  backlog.reader = session;
  readChunk(account, session);
}

function readChunk(account: AccountContext, session: Session): void {
  const read = account.host.services.store.list(MESSAGES, account.bare, { limit: CHUNK });
  account.later(read, (current, rows) => {
    if (current.state(BACKLOG).reader !== session) return; // it has left meanwhile
    if (session.takesMessages) pushChunk(current, session, rows);
    else passOn(current, session);
  });
}

/** The rows go in the same turn: they are gone when, and only when, the messages leave for the session. */
function pushChunk(account: AccountContext, session: Session, rows: readonly Row<KeptMessage>[]): void {
  const backlog = account.state(BACKLOG);
  const { config, domain } = account.host;
  const maxBytes = config.limits.outboundBytes * CHUNK_SHARE;
  let bytes = 0;
  for (const { key, value } of rows) {
    if (bytes > 0 && bytes + value.stanza.bytes > maxBytes) break;
    bytes += value.stanza.bytes;
    backlog.count--;
    account.delete(MESSAGES, key);
    account.push(session, value.stanza.withAppended(delayElement(domain, value.atMs, 'Offline Storage'))); // §2
  }
  if (rows.length === 0) backlog.count = 0; // what was counted is not there, nor will it be
  backlog.bytes = backlog.count === 0 ? 0 : backlog.bytes - bytes;
  saveBacklog(account, backlog);
  if (backlog.count === 0) {
    backlog.reader = undefined;
    return;
  }
  account.whenDrained(session, (current, isReady) => {
    if (current.state(BACKLOG).reader !== session) return;
    if (isReady) readChunk(current, session);
    else passOn(current, session);
  });
}

/** `session` has ended, takes no messages any more, or reads nothing: the rest is for another, or stays where it is. */
function passOn(account: AccountContext, session: Session): void {
  account.state(BACKLOG).reader = undefined;
  const next = firstReader(account, session);
  if (next !== undefined) handOver(account, next);
}

function firstReader(account: AccountContext, except?: Session): Session | undefined {
  for (const session of account.sessions) if (session.takesMessages && session !== except) return session;
  return undefined;
}
