/**
 * One message in an account's log, and how it lies in the store.
 *
 * The log is the only copy of an account's messages: archive, offline delivery, carbons and the resending of stream
 * management all read it by position. An entry also says what of stream management changed with it: how many stanzas
 * its sender's session had sent, and which sessions it was given to under which number. So message and counters are
 * one row, written at once or not at all.
 */
import { binaryTable, type RowReader, type RowWriter } from '../store/codec.ts';
import type { ChildHead } from '../xml/frame.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import { FAMILIAR, familiarAs, STANZA_TYPES } from '../xmpp/familiar.ts';
import { Stanza, type MessageType } from '../xmpp/stanza.ts';

/** From the account's point of view; `self` is a message to oneself, kept once. */
export type Direction = 'in' | 'out' | 'self';
const DIRECTIONS: readonly Direction[] = ['in', 'out', 'self'];

/** How an entry is shown to a session: as it came, or as a copy of what another session got or sent. XEP-0280 §6 */
export type Form = 'plain' | 'carbon_received' | 'carbon_sent';
const FORMS: readonly Form[] = ['plain', 'carbon_received', 'carbon_sent'];

/** An entry was given to a session. */
export interface Delivery {
  /** The session's key in this account. */
  readonly session: number;
  /** Number of the stanza among those the session was sent; 0 where it waits to be sent. */
  readonly seq: number;
  readonly form: Form;
}

/** An IQ request of the client whose answer it has not acknowledged, so that it can be answered after a crash. */
export interface OpenRequest {
  readonly id: string;
  readonly to: string;
  /** Number of the answer among the stanzas the session was sent; 0 while there is none. */
  seq: number;
}

/** What a message of the account's own client says of its session. */
export interface Origin {
  /** The session's key in this account. */
  readonly session: number;
  /** Stanzas taken from it in all, this message included. */
  readonly taken: number;
  /** All that are open. */
  readonly requests: readonly OpenRequest[];
}

export interface LogEntry {
  /** Place in the log, from 1, growing by one. */
  readonly position: number;
  /** When the server got it, in milliseconds since the epoch; never less than that of the entry before. */
  readonly atMs: number;
  readonly direction: Direction;
  /** Without the `<stanza-id/>` of this account, which follows from its place (`AccountLog.ids`). */
  readonly stanza: Stanza;
  /** Whether the archive shows it; if not, it goes when nobody waits for it. */
  readonly isArchived: boolean;
  /** Retracted or erased: its content is gone, its place is kept. XEP-0424 §5 */
  readonly isTombstone: boolean;
  /** For `in`: its position in the log of a sender on this server, 0 for others. Tells a repeated hand-over from a new message. */
  readonly source: number;
  /** For `out` and `self`. */
  readonly origin: Origin | undefined;
  /** For `out`: positions below this had reached their recipients when this was written. */
  readonly settledBelow: number;
  readonly deliveries: readonly Delivery[];
}

/** Position → entry. */
export const LOG = binaryTable<LogEntry>({ name: 'log', version: 2, isRun: true, write: writeEntry, read: readEntry });

/** An entry's row key. */
export const logKey = (position: number): readonly [number] => [position];

const ARCHIVED = 1;
const TOMBSTONE = 2;
const ORIGIN = 4;
const HAS_ID = 8;
const HAS_LANG = 16;
/** Above the flags. */
const DIRECTION = 32;

/*
 * Numbers first, then every text one behind the other, so that reading a row is one call into the engine, and writing it is one for
 * each long text and none for a short one:
 *
 *     position, time, flags and direction, source, settledBelow, [origin], deliveries
 *     type, length of from, to, [id], [lang], body, number of children, for each its place in FAMILIAR or 0 and two lengths
 *     all these texts
 *
 * Lengths are in UTF-16 units. Of version 1 see `readFirst`.
 */
function writeEntry(row: RowWriter, entry: LogEntry): void {
  const { stanza, origin, deliveries } = entry;
  const { from, to, id, lang, body, children } = stanza;
  const flags =
    (entry.isArchived ? ARCHIVED : 0) |
    (entry.isTombstone ? TOMBSTONE : 0) |
    (origin === undefined ? 0 : ORIGIN) |
    (id === undefined ? 0 : HAS_ID) |
    (lang === undefined ? 0 : HAS_LANG);
  row.uint(entry.position).uint(entry.atMs);
  row.uint(flags + DIRECTIONS.indexOf(entry.direction) * DIRECTION);
  row.uint(entry.source).uint(entry.settledBelow);
  if (origin !== undefined) {
    row.uint(origin.session).uint(origin.taken).uint(origin.requests.length);
    for (const request of origin.requests) row.string(request.id).string(request.to).uint(request.seq);
  }
  row.uint(deliveries.length);
  for (const { session, seq, form } of deliveries) row.uint(session).uint(seq).uint(FORMS.indexOf(form));
  row.uint(STANZA_TYPES.indexOf(stanza.type));
  row.uint(from.full.length).uint(to.full.length);
  if (id !== undefined) row.uint(id.length);
  if (lang !== undefined) row.uint(lang.length);
  row.uint(body.length).uint(children.length);
  let hasOtherChildren = false;
  for (let i = 0; i < children.length; i++) {
    const { name, ns } = children[i]!;
    const familiar = familiarAs(name, ns);
    row.uint(familiar);
    if (familiar !== 0) continue;
    hasOtherChildren = true;
    row.uint(name.length).uint(ns.length);
  }
  row.text(from.full).text(to.full);
  if (id !== undefined) row.text(id);
  if (lang !== undefined) row.text(lang);
  row.text(body);
  if (!hasOtherChildren) return;
  for (const { name, ns } of children) if (familiarAs(name, ns) === 0) row.text(name).text(ns);
}

function readEntry(row: RowReader, version: number): LogEntry {
  const position = row.uint();
  const atMs = row.uint();
  const flags = row.uint();
  const direction = DIRECTIONS[version === 1 ? row.uint() : Math.floor(flags / DIRECTION)]!;
  const source = row.uint();
  const settledBelow = row.uint();
  const origin = (flags & ORIGIN) === 0 ? undefined : readOrigin(row);
  const deliveries: Delivery[] = [];
  for (let left = row.uint(); left > 0; left--) deliveries.push({ session: row.uint(), seq: row.uint(), form: FORMS[row.uint()]! });
  const stanza = version === 1 ? readFirst(row) : readMessage(row, flags);
  return {
    position,
    atMs,
    direction,
    stanza,
    isArchived: (flags & ARCHIVED) !== 0,
    isTombstone: (flags & TOMBSTONE) !== 0,
    source,
    origin,
    settledBelow,
    deliveries,
  };
}

function readOrigin(row: RowReader): Origin {
  const session = row.uint();
  const taken = row.uint();
  const requests: OpenRequest[] = [];
  for (let left = row.uint(); left > 0; left--) requests.push({ id: row.string(), to: row.string(), seq: row.uint() });
  return { session, taken, requests };
}

function readMessage(row: RowReader, flags: number): Stanza {
  const type = STANZA_TYPES[row.uint()]!;
  const fromLength = row.uint();
  const toLength = row.uint();
  const idLength = (flags & HAS_ID) === 0 ? -1 : row.uint();
  const langLength = (flags & HAS_LANG) === 0 ? -1 : row.uint();
  const bodyLength = row.uint();
  const heads: (ChildHead | { readonly nameLength: number; readonly nsLength: number })[] = [];
  for (let left = row.uint(); left > 0; left--) {
    const familiar = row.uint();
    heads.push(familiar > 0 ? FAMILIAR[familiar - 1]! : { nameLength: row.uint(), nsLength: row.uint() });
  }
  const texts = row.rest();
  let at = 0;
  const take = (length: number): string => texts.slice(at, (at += length));
  const from = storedJid(take(fromLength));
  const to = storedJid(take(toLength));
  const id = idLength < 0 ? undefined : take(idLength);
  const lang = langLength < 0 ? undefined : take(langLength);
  const body = take(bodyLength);
  const children = heads.map((head): ChildHead => ('nameLength' in head ? { name: take(head.nameLength), ns: take(head.nsLength) } : head));
  return new Stanza({ kind: 'message', type, from, to, id, lang, body, children });
}

/** The message of a row of version 1: each text with its length in bytes. */
function readFirst(row: RowReader): Stanza {
  const type = row.string() as MessageType;
  const from = storedJid(row.string());
  const to = storedJid(row.string());
  const id = row.optionalString();
  const lang = row.optionalString();
  const body = row.string();
  const children: ChildHead[] = [];
  for (let left = row.uint(); left > 0; left--) children.push({ name: row.string(), ns: row.string() });
  return new Stanza({ kind: 'message', type, from, to, id, lang, body, children });
}

function storedJid(text: string): Jid {
  const jid = parseJid(text);
  if (jid === undefined) throw new RangeError('an address in the log is not a JID');
  return jid;
}

/** Bare JID of the other side. */
export function peerOf({ direction, stanza }: Pick<LogEntry, 'direction' | 'stanza'>): string {
  return direction === 'out' ? stanza.to.bare : stanza.from.bare;
}
