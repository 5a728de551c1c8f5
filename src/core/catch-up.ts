/**
 * Hands a session what waits for it, in order, as fast as its client reads: after resumption, after a time without
 * anybody, after a restart. What comes meanwhile joins the end of the queue.
 */
import type { LogEntry } from '../log/entry.ts';
import { PENDING } from '../log/segment.ts';
import { entriesAt } from '../log/walk.ts';
import { DELAY_HEAD, delayXml } from '../xmpp/delay.ts';
import type { Account } from './account.ts';
import type { AccountContext } from './context.ts';
import { shownStanza } from './drafts.ts';
import { carbon, send } from './giving.ts';
import type { Item } from './outbound.ts';
import type { Session, SessionSlot } from './session.ts';
import type { Stanza } from '../xmpp/stanza.ts';

/**
 * Its client looks into the archive for what came while it was away: what the archive shows is not given to it a second time, and waits
 * for nobody any more. XEP-0386 §Performing the bind
 */
export const READS_ARCHIVE: SessionSlot<boolean> = { name: 'reads_archive', initial: () => false, isKept: true };

/** Stanzas handed over at a time. */
const CHUNK = 50;
/** Of the outbound limit of a connection, so much is handed over before the client has to have read it. */
const CHUNK_SHARE = 0.25;

/**
 * Messages nobody was there for go to the first session that takes messages. XEP-0160 §2
 *
 * @param except one that does not read.
 */
export function handOver(account: Account, except?: Session): void {
  const { pending } = account;
  if (pending.count === 0 || pending.reader !== undefined || account.isStoreFailing) return;
  for (const session of account.sessions) {
    if (!session.takesMessages || session.connection === undefined || !session.isCountKnown || session === except) continue;
    const { outbound } = session;
    const waiting = new Set(outbound.waiting.map(({ position }) => position));
    const positions = pending.positionsFor(session).filter((position) => !waiting.has(position));
    if (positions.length === 0) continue; // it has them all
    pending.reader = session;
    outbound.merge(positions.map((position) => waitingItem(session, position)));
    outbound.isLive = false;
    session.isDirty = true;
    catchUp(account, session);
    return;
  }
}

function waitingItem({ key }: Session, position: number): Item {
  return { seq: 0, position, form: 'plain', atMs: 0, givenTo: [key], turn: 0, isDelayed: true, stanza: undefined };
}

/** Goes on with what waits; the session is live when nothing does. */
export function catchUp(account: Account, session: Session): void {
  const { outbound, connection } = session;
  if (connection === undefined || !session.isCountKnown || session.isBusy || outbound.isLive) return;
  if (outbound.unackedCount > 0 && outbound.unackedBytes > account.host.config.limits.outboundBytes) {
    session.isAwaitingAck = true; // it reads, but what it has read it does not say
    return;
  }
  if (account.isStoreFailing) {
    sayUnwritten(account, session);
    return;
  }
  const items = outbound.waiting.slice(0, CHUNK);
  if (items.length === 0) {
    outbound.isLive = true;
    if (account.pending.reader === session) account.pending.reader = undefined;
    handOver(account);
    return;
  }
  const missing = items.filter(({ stanza }) => stanza === undefined);
  if (missing.length === 0) {
    handOn(account, session, items);
    return;
  }
  session.isBusy = true;
  const { generation } = session;
  const positions = missing.map(({ position }) => position);
  account.later(entriesAt(account.host.services.store, account.bare, positions), (context, entries) => {
    const current = context as Account;
    if (session.generation !== generation) return; // another read has begun
    session.isBusy = false;
    for (const item of missing) show(current, session, item, entries.get(item.position));
    if (current.sessionBySid(session.sid) === session) catchUp(current, session);
  });
}

/**
 * What is in the log leaves under numbers that have to be written first; refusals and the like need not wait for that. But not where
 * something of the log waits: its old numbers are still in the store, and must not be given to others.
 */
function sayUnwritten(account: Account, session: Session): void {
  const { outbound, connection } = session;
  if (outbound.waiting.some(({ position }) => position > 0)) return;
  const items = outbound.waiting.filter(({ position }) => position === 0);
  outbound.forgetAll(items);
  for (const item of items) if (session.connection === connection) send(account, session, item);
}

/** One chunk, in one turn: what is not needed of it any more goes from the store when, and only when, it leaves. */
function handOn(account: Account, session: Session, items: readonly Item[]): void {
  const { outbound, connection } = session;
  const maxBytes = account.host.config.limits.outboundBytes * CHUNK_SHARE;
  let bytes = 0;
  let count = 0;
  for (const { stanza } of items) {
    if (bytes > 0 && bytes + stanza!.bytes > maxBytes) break;
    bytes += stanza!.bytes;
    count++;
  }
  outbound.take(count);
  session.isDirty = true;
  const left: Item[] = [];
  for (const item of items.slice(0, count)) {
    if (session.connection !== connection) {
      left.push(item); // the client did not read what came before
      continue;
    }
    // XEP-0203 §4, XEP-0160 §2
    if (item.isDelayed) item.stanza = item.stanza!.withAppendedXml(delayXml(account.host.domain, item.atMs, 'Offline Storage'), DELAY_HEAD);
    item.isDelayed = false;
    if (account.pending.remove(item.position)) account.delete(PENDING, [item.position]);
    send(account, session, item);
  }
  const isGone = account.sessionBySid(session.sid) !== session;
  if (isGone) for (const item of left) account.leave(item);
  else if (left.length > 0) outbound.waitInFront(left);
  if (isGone) return;
  if (outbound.waiting.length === 0) {
    catchUp(account, session);
    return;
  }
  waitForClient(account, session);
}

/**
 * A connection had no room for what is in no log: it is sent when there is, with all that follows. An answer would be missed for ever.
 *
 * @returns false where it is not for one session, or that has no room either.
 */
export function waitAgain(account: Account, stanza: Stanza): boolean {
  const session = account.session(stanza.to.resource);
  if (session?.connection === undefined || session.sm !== undefined) return false;
  const { outbound } = session;
  const item: Item = {
    seq: 0,
    position: 0,
    form: 'plain',
    atMs: account.now,
    givenTo: [],
    turn: account.turnCount,
    isDelayed: false,
    stanza,
  };
  if (!outbound.wait(item)) return false;
  if (outbound.isLive) {
    outbound.isLive = false;
    waitForClient(account, session);
  }
  return true;
}

function waitForClient(account: Account, session: Session): void {
  if (session.connection === undefined) return;
  session.isBusy = true;
  const { generation } = session;
  account.whenDrained(session, (context: AccountContext, isReady) => {
    const current = context as Account;
    if (session.generation !== generation) return;
    session.isBusy = false;
    if (current.sessionBySid(session.sid) !== session || session.connection === undefined) return;
    if (!isReady) leaveToOthers(current, session);
    catchUp(current, session);
  });
}

/** The client has read nothing for a while: what is not for it alone may go to another session. */
function leaveToOthers(account: Account, session: Session): void {
  const { pending } = account;
  const { outbound } = session;
  if (pending.reader !== session) return;
  for (const item of outbound.waiting.filter(({ position }) => pending.has(position))) outbound.forget(item);
  pending.reader = undefined;
  handOver(account, session);
}

/** Makes an item what its session is to see; takes it out where the entry is gone or says nothing any more, or nothing new. */
function show(account: Account, session: Session, item: Item, entry: LogEntry | undefined): void {
  const { pending } = account;
  const isKnown = entry?.isArchived === true && pending.has(item.position) && session.get(READS_ARCHIVE);
  if (entry === undefined || entry.isTombstone || isKnown) {
    session.outbound.forget(item);
    if (pending.remove(item.position)) account.delete(PENDING, [item.position]);
    return;
  }
  const shown = shownStanza(account, entry.stanza, entry);
  item.atMs = entry.atMs;
  item.stanza = item.form === 'plain' ? shown : carbon(item.form, shown, account.jid, session.jid);
}
