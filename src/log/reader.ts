/**
 * Pages of an account's archive. XEP-0313 §4
 *
 * A page costs the same wherever it lies and however long the log is: a place in time is found by bisection, since positions
 * follow time; the messages of one correspondent by the rows of `PEERS`, read from the place on in either direction. Only a
 * filter that has to look into messages (`sift`) reads what it does not show, in chunks and within a budget.
 *
 * Nothing here changes anything. One page is of one moment: what is appended while it is read has a position beyond `next`,
 * and what is trimmed meanwhile is simply missing.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Store } from '../store/store.ts';
import type { Jid } from '../xmpp/jid.ts';
import { LOG, logKey, parseArchiveId, peerOf, type LogEntry } from './entry.ts';
import type { AccountLog } from './log.ts';
import { PEERS, SEGMENTS } from './segment.ts';
import { PackedEntries, type PackedRows } from './sift.ts';

/** Entries read at a time. Few enough that those of the largest stanzas are no burden. */
const CHUNK = 64;
/** Rows of `PEERS` read at a time, of up to a segment's positions each. */
const PEER_ROWS = 8;
/** Rows of `SEGMENTS` read at a time. */
const SEGMENT_ROWS = 128;
/** Reading goes on without leaving the turn of the event loop for so many rows. */
const ROWS_PER_TURN = 256;
/** A chunk for `sift` ends with this many bytes of rows or entries. */
const SIFT_BYTES = 256 * 1024;
const SIFT_ENTRIES = 256;
/** The log as it is when a page is asked for. */
export interface LogView {
  readonly store: Store;
  readonly bare: string;
  /** First position that may be there, and the one behind the last. */
  readonly first: number;
  readonly next: number;
  /** First position of the open segment. */
  readonly openFrom: number;
  /** Messages the archive shows. */
  readonly archived: number;
  /** Positions of the correspondent asked for in the open segment; may grow beyond `next`. */
  readonly open: readonly number[];
}

/** @param peer bare JID of the query's `with`. To be called in a turn of the account. */
export function viewOf(store: Store, bare: string, log: AccountLog, peer?: string): LogView {
  const { first, next, openFrom, archived } = log;
  return { store, bare, first, next, openFrom, archived, open: peer === undefined ? [] : log.openPositions(peer) };
}

/** Looks into messages: which of these rows match, by index. */
export interface Sift {
  readonly run: (rows: PackedRows) => Promise<readonly number[]>;
  /** Entries looked at for one page at most. */
  readonly maxEntries: number;
}

export interface ArchiveQuery {
  /**
   * Messages exchanged with this bare JID. Of a full JID its bare one counts here; the rest is for `sift`. `anywhere`: a full
   * JID of the account itself, which any message may have come from or gone to.
   */
  readonly with?: Jid | undefined;
  readonly isAnywhere?: boolean;
  /** Inclusive, in milliseconds since the epoch. */
  readonly startMs?: number | undefined;
  readonly endMs?: number | undefined;
  /** Exclusive. */
  readonly afterId?: string | undefined;
  readonly beforeId?: string | undefined;
  /** Only these, whatever the order. */
  readonly ids?: readonly string[] | undefined;
  readonly sift?: Sift | undefined;
  readonly page: {
    /** 0 asks for the number of results alone. */
    readonly max: number;
    /** Of all entries together, as stanzas count themselves; a single one may be larger. */
    readonly maxBytes: number;
    /** Exclusive, within what the filters leave. */
    readonly after?: string | undefined;
    readonly before?: string | undefined;
    /** The page at the end of that, not at its beginning. */
    readonly isLast: boolean;
  };
}

export interface ArchivePage {
  /** In the order of the log. Tombstones are among them. */
  readonly entries: readonly LogEntry[];
  /** Nothing more in the direction of reading. */
  readonly isComplete: boolean;
  /** Results of all pages, where that is known. */
  readonly count: number | undefined;
  /** Place of the first result among them, where that is known. */
  readonly firstIndex: number | undefined;
}

/** `item_not_found`: an id that was named is not in the archive. `too_long`: nothing was found within the budget, but more is there. */
export type PageFailure = 'item_not_found' | 'too_long';

/** From `from` on, below `to`. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** Finds a page. Rejects where the store, or `sift`, fails. */
export async function findPage(view: LogView, query: ArchiveQuery): Promise<ArchivePage | PageFailure> {
  const all = await spanOf(view, { from: view.first, to: view.next }, query.afterId, query.beforeId);
  if (all === undefined) return 'item_not_found';
  const { page, startMs, endMs } = query;
  const filtered = {
    from: startMs === undefined ? all.from : Math.max(all.from, await positionAt(view, startMs)),
    to: endMs === undefined ? all.to : Math.min(all.to, await positionAt(view, endMs + 1)),
  };
  const paged = await spanOf(view, filtered, page.after, page.before);
  if (paged === undefined) return 'item_not_found';
  if (query.ids !== undefined) return pageOfIds(view, query, query.ids, filtered, paged);
  if (page.max === 0) return countOnly(view, query, filtered);
  const outcome = await collect(query, walk(view, query, paged));
  if (outcome.entries.length === 0 && !outcome.isComplete) return 'too_long'; // there is no id from which to go on
  return withCount(view, query, { ...outcome, isFromStart: paged.from === filtered.from, isToEnd: paged.to === filtered.to });
}

/** The first and last entry of the archive; none where it is empty. XEP-0313 §5 */
export async function archiveEdges(view: LogView): Promise<readonly LogEntry[]> {
  const edges: LogEntry[] = [];
  const span = { from: view.first, to: view.next };
  for (const isReverse of [false, true]) {
    for await (const [entry] of walkAll(view, span, isReverse, 1)) {
      if (entry === undefined) continue;
      edges.push(entry);
      break;
    }
  }
  return edges;
}

/** `span` without what is not after and before these ids; undefined where the archive has no such message. */
async function spanOf(view: LogView, span: Span, after: string | undefined, before: string | undefined): Promise<Span | undefined> {
  let { from, to } = span;
  if (after !== undefined) {
    const entry = await entryOf(view, after);
    if (entry === undefined) return undefined;
    from = Math.max(from, entry.position + 1);
  }
  if (before !== undefined) {
    const entry = await entryOf(view, before);
    if (entry === undefined) return undefined;
    to = Math.min(to, entry.position);
  }
  return { from, to };
}

async function entryOf({ store, bare, first, next }: LogView, id: string): Promise<LogEntry | undefined> {
  const place = parseArchiveId(id);
  if (place === undefined || place.position < first || place.position >= next) return undefined;
  const entry = await store.get(LOG, bare, logKey(place.position));
  return entry?.isArchived === true && entry.atMs === place.atMs ? entry : undefined;
}

/** Where in the log that time is: everything before the position is older. About two reads for each doubling of the log's length. */
async function positionAt({ store, bare, first, next }: LogView, atMs: number): Promise<number> {
  let low = first;
  let high = next;
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const [row] = await store.list(LOG, bare, { from: logKey(middle), to: logKey(high), limit: 1 });
    if (row !== undefined && row.value.atMs < atMs) low = row.value.position + 1;
    else high = middle; // what is there is not older, or nothing is
  }
  return low;
}

/** XEP-0313 §4.1.3: every id must be there. */
async function pageOfIds(
  view: LogView,
  query: ArchiveQuery,
  ids: readonly string[],
  filtered: Span,
  paged: Span,
): Promise<ArchivePage | PageFailure> {
  const matching: number[] = [];
  for (const id of new Set(ids)) {
    const entry = await entryOf(view, id);
    if (entry === undefined) return 'item_not_found';
    if (isIn(filtered, entry.position) && isWith(query, entry)) matching.push(entry.position);
  }
  matching.sort((a, b) => a - b);
  const kept = query.sift === undefined ? matching : await sifted(view, matching, query.sift);
  const inPage = kept.filter((position) => isIn(paged, position));
  const { entries, isComplete } = await collect(query, readAll(view, query.page.isLast ? inPage.toReversed() : inPage));
  return { entries, isComplete, count: kept.length, firstIndex: entries.length === 0 ? undefined : kept.indexOf(entries[0]!.position) };
}

const isIn = ({ from, to }: Span, position: number): boolean => position >= from && position < to;

function isWith({ with: peer, isAnywhere }: ArchiveQuery, entry: LogEntry): boolean {
  return peer === undefined || isAnywhere === true || peerOf(entry) === peer.bare;
}

interface Collected {
  readonly entries: readonly LogEntry[];
  readonly isComplete: boolean;
}

/** As many results as the page holds. */
async function collect({ sift, page }: ArchiveQuery, chunks: AsyncIterable<Walked>): Promise<Collected> {
  const { max, maxBytes, isLast } = page;
  const entries: LogEntry[] = [];
  const result = (isComplete: boolean): Collected => ({ entries: isLast ? entries.reverse() : entries, isComplete });
  let bytes = 0;
  let looked = 0;
  for await (const chunk of chunks) {
    for (const entry of chunk.entries) {
      bytes += entry.stanza.bytes;
      if (entries.length === max || (bytes > maxBytes && entries.length > 0)) return result(false);
      entries.push(entry);
    }
    looked += chunk.looked;
    if (sift !== undefined && looked >= sift.maxEntries) return result(false);
  }
  return result(true);
}

/** Tells how many results there are, and which the first is, where that follows from what is known. */
function withCount(
  view: LogView,
  query: ArchiveQuery,
  { entries, isComplete, isFromStart, isToEnd }: Collected & { readonly isFromStart: boolean; readonly isToEnd: boolean },
): ArchivePage {
  const isReverse = query.page.isLast;
  const touchesStart = isFromStart && (!isReverse || isComplete);
  const touchesEnd = isToEnd && (isReverse || isComplete);
  const count = isUnfiltered(query) ? view.archived : touchesStart && touchesEnd ? entries.length : undefined;
  const firstIndex = touchesStart ? 0 : touchesEnd && count !== undefined ? Math.max(0, count - entries.length) : undefined;
  return { entries, isComplete, count, firstIndex: entries.length === 0 ? undefined : firstIndex };
}

function isUnfiltered({ with: peer, startMs, endMs, afterId, beforeId, sift }: ArchiveQuery): boolean {
  return [peer, startMs, endMs, afterId, beforeId, sift].every((filter) => filter === undefined);
}

/** XEP-0059 §2.7. Not told where every message would have to be looked into. */
async function countOnly(view: LogView, query: ArchiveQuery, span: Span): Promise<ArchivePage> {
  const count = isUnfiltered(query)
    ? view.archived
    : query.sift !== undefined
      ? undefined
      : query.with === undefined
        ? await countAll(view, span)
        : await countPeer(view, query.with.bare, span);
  return { entries: [], isComplete: count === 0, count, firstIndex: undefined };
}

/** Sums up whole segments; only the two that lie across the ends are read. */
async function countAll(view: LogView, { from, to }: Span): Promise<number> {
  const { store, bare, openFrom } = view;
  let count = 0;
  let at = from;
  // The segment that `from` is in.
  const [across] = await store.list(SEGMENTS, bare, { to: [from + 1], reverse: true, limit: 1 });
  if (across !== undefined && across.value.from < from && across.value.to >= from) {
    at = Math.min(to, across.value.to + 1);
    count += await countEntries(view, { from, to: at });
  }
  while (at < to && at < openFrom) {
    const rows = await store.list(SEGMENTS, bare, { from: [at], to: [Math.min(to, openFrom)], limit: SEGMENT_ROWS });
    if (rows.length === 0) break;
    for (const { value } of rows) {
      count += value.to < to ? value.archived : await countEntries(view, { from: value.from, to });
      at = value.to + 1;
    }
    await nextTurn();
  }
  return count + (await countEntries(view, { from: Math.max(from, openFrom), to }));
}

async function countEntries(view: LogView, span: Span): Promise<number> {
  let count = 0;
  for await (const chunk of walkAll(view, span, false, CHUNK)) count += chunk.length;
  return count;
}

async function countPeer(view: LogView, peer: string, span: Span): Promise<number> {
  let count = 0;
  for await (const positions of peerPositions(view, peer, span, false)) count += positions.length;
  return count;
}

interface Walked {
  readonly entries: readonly LogEntry[];
  /** Entries that were candidates. */
  readonly looked: number;
}

/** What the filters leave of a span, in chunks, in the direction of the page. A chunk may be empty. */
async function* walk(view: LogView, query: ArchiveQuery, span: Span): AsyncGenerator<Walked> {
  const { with: peer, isAnywhere, sift } = query;
  const { isLast, max } = query.page;
  if (peer === undefined || isAnywhere === true) {
    if (sift !== undefined) yield* siftAll(view, span, isLast, sift);
    else for await (const entries of walkAll(view, span, isLast, max + 1)) yield { entries, looked: entries.length };
    return;
  }
  for await (const positions of peerPositions(view, peer.bare, span, isLast)) {
    if (sift === undefined) {
      yield* readAll(view, positions);
      continue;
    }
    for (let at = 0; at < positions.length; at += SIFT_ENTRIES) {
      const part = positions.slice(at, at + SIFT_ENTRIES);
      yield { ...(await readSome(view, await sifted(view, part, sift))), looked: part.length };
    }
  }
}

/** Archived entries by position. */
async function* walkAll({ store, bare }: LogView, span: Span, isReverse: boolean, wanted: number): AsyncGenerator<readonly LogEntry[]> {
  let { from, to } = span;
  let inTurn = 0;
  while (from < to) {
    const limit = Math.min(CHUNK, wanted);
    const rows = await store.list(LOG, bare, { from: logKey(from), to: logKey(to), limit, reverse: isReverse });
    yield rows.map(({ value }) => value).filter(({ isArchived }) => isArchived);
    if (rows.length < limit) return;
    const { position } = rows.at(-1)!.value;
    if (isReverse) to = position;
    else from = position + 1;
    inTurn = await rested(inTurn + rows.length);
  }
}

async function* readAll(view: LogView, positions: readonly number[]): AsyncGenerator<Walked> {
  for (let at = 0; at < positions.length; at += CHUNK) {
    yield readSome(view, positions.slice(at, at + CHUNK));
  }
}

/** Those trimmed meanwhile are left out. */
async function readSome({ store, bare }: LogView, positions: readonly number[]): Promise<Walked> {
  const entries = await Promise.all(positions.map((position) => store.get(LOG, bare, logKey(position))));
  return { entries: entries.filter((entry) => entry !== undefined), looked: positions.length };
}

/** Positions of archived entries of one correspondent, by the index; no entry is read. */
async function* peerPositions(view: LogView, peer: string, span: Span, isReverse: boolean): AsyncGenerator<readonly number[]> {
  const { from, to } = span;
  if (from >= to) return;
  const open = isReverse ? view.open.toReversed() : view.open;
  const inSpan = (position: number): boolean => position >= from && position < to;
  if (isReverse) {
    yield open.filter(inSpan);
    yield* closedPositions(view, peer, span, true);
  } else {
    yield* closedPositions(view, peer, span, false);
    yield open.filter(inSpan);
  }
}

/** The same from the rows of closed segments. */
async function* closedPositions({ store, bare, openFrom }: LogView, peer: string, { from, to }: Span, isReverse: boolean): AsyncGenerator<number[]> {
  // Segments are named by their first position: that of `from` is the last one named by no more than it.
  const [floor] = await store.list(PEERS, bare, { prefix: [peer], to: [peer, Math.min(from + 1, openFrom)], reverse: true, limit: 1 });
  let low = floor === undefined ? from : segmentOf(floor.key);
  let high = Math.min(to, openFrom);
  while (low < high) {
    const rows = await store.list(PEERS, bare, { prefix: [peer], from: [peer, low], to: [peer, high], limit: PEER_ROWS, reverse: isReverse });
    const positions: number[] = [];
    for (const { value } of rows) {
      for (const position of isReverse ? value.toReversed() : value) if (position >= from && position < to) positions.push(position);
    }
    yield positions;
    if (rows.length < PEER_ROWS) return;
    const segment = segmentOf(rows.at(-1)!.key);
    if (isReverse) high = segment;
    else low = segment + 1;
    await nextTurn();
  }
}

const segmentOf = (key: readonly (string | number)[]): number => key[1] as number;

/** Entries of a span that `sift` lets through. Here they are only copied. */
async function* siftAll(view: LogView, span: Span, isReverse: boolean, sift: Sift): AsyncGenerator<Walked> {
  const { store, bare } = view;
  let { from, to } = span;
  while (from < to) {
    const packed = new PackedEntries();
    const positions: number[] = [];
    while (from < to && positions.length < SIFT_ENTRIES && packed.bytes < SIFT_BYTES) {
      const rows = await store.list(packed, bare, { from: logKey(from), to: logKey(to), limit: CHUNK, reverse: isReverse });
      for (const { key } of rows) positions.push(key[0] as number);
      if (rows.length < CHUNK) from = to;
      else if (isReverse) to = positions.at(-1)!;
      else from = positions.at(-1)! + 1;
    }
    const matching = await sift.run(packed.finish());
    yield { ...(await readSome(view, matching.map((index) => positions[index]!))), looked: positions.length };
    await nextTurn();
  }
}

/** Those of some positions that `sift` lets through. */
async function sifted({ store, bare }: LogView, positions: readonly number[], sift: Sift): Promise<readonly number[]> {
  const matching: number[] = [];
  let at = 0;
  while (at < positions.length) {
    const packed = new PackedEntries();
    const start = at;
    while (at < positions.length && packed.bytes < SIFT_BYTES) {
      if ((await store.get(packed, bare, logKey(positions[at]!))) === undefined) packed.skip(); // trimmed meanwhile
      at++;
    }
    for (const index of await sift.run(packed.finish())) matching.push(positions[start + index]!);
    if (at < positions.length) await nextTurn();
  }
  return matching;
}

/** Leaves the turn of the event loop when enough was read in it. */
async function rested(rows: number): Promise<number> {
  if (rows < ROWS_PER_TURN) return rows;
  await nextTurn();
  return 0;
}

