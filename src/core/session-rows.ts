/**
 * Sessions under stream management as they lie in the store, so that a client can resume after the account's actor, its
 * worker or the whole server has died.
 *
 * A row is a snapshot; what has changed since is told by the entries of the log behind `until`: which stanzas of the
 * client were taken, which messages the session was given under which number. So no row is written with every message.
 */
import type { LogEntry, OpenRequest } from '../log/entry.ts';
import { jsonTable } from '../store/codec.ts';
import type { Jid } from '../xmpp/jid.ts';
import { Stanza, type StanzaType } from '../xmpp/stanza.ts';
import type { SessionIdentity } from './messages.ts';
import type { Item } from './outbound.ts';
import { Session } from './session.ts';

type ItemRow = readonly [seq: number, position: number, form: Item['form'], atMs: number, givenTo: readonly number[]];

interface PresenceRow {
  readonly type: StanzaType;
  readonly id: string | undefined;
  readonly lang: string | undefined;
  readonly body: string;
  readonly children: Stanza['children'];
}

export interface SessionRow {
  readonly token: string | undefined;
  readonly resource: string;
  readonly maxMs: number;
  readonly base: number;
  readonly taken: number;
  readonly sent: number;
  readonly acked: number;
  /** Entries of the log from this position on say what came after. */
  readonly until: number;
  readonly items: readonly ItemRow[];
  readonly requests: readonly OpenRequest[];
  readonly identity: Omit<SessionIdentity, 'connection'>;
  readonly presence: PresenceRow | undefined;
  readonly priority: number;
  /** Undefined where it takes no messages. */
  readonly takesFrom: number | undefined;
  readonly isInterested: boolean;
  readonly directed: readonly string[];
  readonly slots: Readonly<Record<string, unknown>>;
  /** Since when it has no connection; undefined where it had one. */
  readonly detachedAtMs: number | undefined;
}

/** Keyed by the session's key. */
export const SESSIONS = jsonTable<SessionRow>({ name: 'session', version: 1 });

/** Keyed by the session's key: stanzas taken from it, where that changed without a message. */
export const TAKEN = jsonTable<number>({ name: 'session_taken', version: 1 });

/** A session that was not resumed in time; what its client may still ask about is how many stanzas were taken. XEP-0198 §5 */
export interface EndedRow {
  readonly token: string;
  readonly h: number;
  readonly endedAtMs: number;
}

/** Keyed by the session's key. */
export const ENDED = jsonTable<EndedRow>({ name: 'session_ended', version: 1 });

export function sessionRow(session: Session, until: number): SessionRow {
  const { sm, outbound, presence } = session;
  const items: ItemRow[] = [];
  for (const list of [outbound.unacked(), outbound.waiting]) {
    for (const { seq, position, form, atMs, givenTo } of list) if (position > 0) items.push([seq, position, form, atMs, givenTo]);
  }
  const { connection: _connection, ...identity } = session.identity;
  return {
    token: sm?.token,
    resource: session.jid.resource,
    maxMs: sm?.maxMs ?? 0,
    base: sm?.base ?? 0,
    taken: session.taken,
    sent: outbound.sent,
    acked: outbound.acked,
    until,
    items,
    requests: session.openRequests(),
    identity,
    presence:
      presence === undefined
        ? undefined
        : { type: presence.type, id: presence.id, lang: presence.lang, body: presence.body, children: presence.children },
    priority: session.priority,
    takesFrom: session.takesMessages ? session.takesFrom : undefined,
    isInterested: session.isInterested,
    directed: [...session.directed.keys()],
    slots: session.keptSlots(),
    detachedAtMs: session.detachedAtMs,
  };
}

/**
 * The session of a row, without a connection.
 *
 * @param existing one that has survived in memory: its identity and connection are newer than the row.
 */
export function restoreSession(
  row: SessionRow,
  key: number,
  account: Jid,
  jidOf: (text: string) => Jid,
  existing: Session | undefined,
): Session {
  const jid = account.withResource(row.resource)!;
  const session = existing ?? new Session({ ...row.identity, connection: NOWHERE }, jid, key);
  if (existing === undefined) {
    session.connection = undefined;
    session.detachedAtMs = row.detachedAtMs;
  }
  session.sm = { token: row.token, maxMs: row.maxMs, base: row.base };
  session.isRestored = existing === undefined;
  session.isCountKnown = false;
  session.isInterested = row.isInterested;
  session.restoreSlots(row.slots);
  for (const text of row.directed) session.directed.set(text, jidOf(text));
  if (existing === undefined) setRequests(session, row.requests);
  const { presence } = row;
  if (presence !== undefined && session.presence === undefined) {
    session.presence = new Stanza({ kind: 'presence', ...presence, from: jid, to: account, hasTo: false });
    session.priority = row.priority;
    session.takesFrom = row.takesFrom ?? Infinity;
  }
  const { outbound } = session;
  outbound.isLive = false;
  outbound.sent = Math.max(outbound.sent, row.sent);
  outbound.acked = Math.max(outbound.acked, row.acked);
  for (const [seq, position, form, atMs, givenTo] of row.items) {
    outbound.restore({ seq, position, form, atMs, givenTo, turn: 0, isDelayed: true, stanza: undefined });
  }
  return session;
}

/**
 * What an entry of the log says of a session beyond its row.
 *
 * @param withRequests false where the session has survived in memory and knows better.
 */
export function replayEntry(session: Session, { position, atMs, origin, deliveries }: LogEntry, withRequests: boolean): void {
  if (origin?.session === session.key) {
    if (withRequests) setRequests(session, origin.requests);
  }
  for (const { session: key, seq, form } of deliveries) {
    if (key !== session.key) continue;
    const givenTo = deliveries.map((each) => each.session);
    session.outbound.restore({ seq, position, form, atMs, givenTo, turn: 0, isDelayed: true, stanza: undefined });
  }
}

function setRequests({ requests }: Session, open: readonly OpenRequest[]): void {
  requests.clear();
  for (const request of open) requests.set(request.id, request);
}

/** Stands for a connection that was not there when the row was read. */
const NOWHERE = { node: -1, worker: -1, id: -1 };
