/**
 * Ways through a log: by position, by time, by correspondent, by looking into messages. All read in chunks, in either
 * direction, from any place on at the same cost, and leave the turn of the event loop now and then.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Store } from '../store/store.ts';
import type { ArchiveIds } from './archive-id.ts';
import { LOG, logKey, type LogEntry } from './entry.ts';
import type { AccountLog } from './log.ts';
import { PEERS } from './segment.ts';
import { PackedEntries, type PackedRows } from './sift.ts';

/** Entries read at a time. Few enough that those of the largest stanzas are no burden. */
export const CHUNK = 64;
/** Rows of `PEERS` read at a time, of up to a segment's positions each: one at first, which may be enough, then twice as many each time up to this. */
const PEER_ROWS = 16;
/** Reading goes on without leaving the turn of the event loop for so many rows. */
const ROWS_PER_TURN = 256;
/** A chunk for `sift` ends with this many bytes of rows or entries. */
const SIFT_BYTES = 256 * 1024;
/** Entries of such a chunk at most. */
export const SIFT_ENTRIES = 256;

/** The log as it is when a page is asked for. */
export interface LogView {
  readonly store: Store;
  readonly bare: string;
  readonly ids: ArchiveIds;
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
  const { ids, first, next, openFrom, archived } = log;
  return { store, bare, ids, first, next, openFrom, archived, open: peer === undefined ? [] : log.openPositions(peer) };
}

/** Looks into messages: which of these rows match, by index. */
export interface Sift {
  readonly run: (rows: PackedRows) => Promise<readonly number[]>;
  /** Entries looked at for one page at most. */
  readonly maxEntries: number;
}

/** From `from` on, below `to`. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Whether the position is one of the span. */
export const isIn = ({ from, to }: Span, position: number): boolean => position >= from && position < to;

/** The entry of an id, if the archive shows it. */
export async function entryOf({ store, bare, ids, first, next }: LogView, id: string): Promise<LogEntry | undefined> {
  const place = ids.parse(id);
  if (place === undefined || place.position < first || place.position >= next) return undefined;
  const entry = await store.get(LOG, bare, logKey(place.position));
  return entry?.isArchived === true && entry.atMs === place.atMs ? entry : undefined;
}

/** Where in the log that time is: everything before the position is older. About two reads for each doubling of the log's length. */
export async function positionAt({ store, bare, first, next }: LogView, atMs: number): Promise<number> {
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

/** A chunk of what was found. */
export interface Walked {
  readonly entries: readonly LogEntry[];
  /** Entries that were candidates. */
  readonly looked: number;
}

/** Archived entries by position. */
export async function* walkAll(
  { store, bare }: LogView,
  span: Span,
  isReverse: boolean,
  wanted: number,
): AsyncGenerator<readonly LogEntry[]> {
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

/** The entries at these positions, in their order. */
export async function* readAll(view: LogView, positions: readonly number[]): AsyncGenerator<Walked> {
  for (let at = 0; at < positions.length; at += CHUNK) {
    yield readSome(view, positions.slice(at, at + CHUNK));
  }
}

/** Those trimmed meanwhile are left out. */
export async function readSome({ store, bare }: LogView, positions: readonly number[]): Promise<Walked> {
  const entries = await Promise.all(positions.map((position) => store.get(LOG, bare, logKey(position))));
  return { entries: entries.filter((entry) => entry !== undefined), looked: positions.length };
}

/** What the log has at these positions, by position. Neighbours, as most are, cost one reading. */
export async function entriesAt(store: Store, bare: string, positions: readonly number[]): Promise<Map<number, LogEntry>> {
  const entries = new Map<number, LogEntry>();
  const from = Math.min(...positions);
  const to = Math.max(...positions) + 1;
  if (to - from <= 2 * positions.length) {
    for (const { value } of await store.list(LOG, bare, { from: logKey(from), to: logKey(to) })) entries.set(value.position, value);
    return entries;
  }
  for (const entry of await Promise.all(positions.map((position) => store.get(LOG, bare, logKey(position)))))
    if (entry !== undefined) entries.set(entry.position, entry);
  return entries;
}

/** Positions of archived entries of one correspondent, by the index; no entry is read. */
export async function* peerPositions(view: LogView, peer: string, span: Span, isReverse: boolean): AsyncGenerator<readonly number[]> {
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
async function* closedPositions(
  { store, bare, openFrom }: LogView,
  peer: string,
  { from, to }: Span,
  isReverse: boolean,
): AsyncGenerator<number[]> {
  // Segments are named by their first position: that of `from` is the last one named by no more than it.
  const [floor] = await store.list(PEERS, bare, { prefix: [peer], to: [peer, Math.min(from + 1, openFrom)], reverse: true, limit: 1 });
  let low = floor === undefined ? from : segmentOf(floor.key);
  let high = Math.min(to, openFrom);
  for (let limit = 1; low < high; limit = Math.min(PEER_ROWS, 2 * limit)) {
    const rows = await store.list(PEERS, bare, { prefix: [peer], from: [peer, low], to: [peer, high], limit, reverse: isReverse });
    const positions: number[] = [];
    for (const { value } of rows) {
      for (const position of isReverse ? value.toReversed() : value) if (position >= from && position < to) positions.push(position);
    }
    yield positions;
    if (rows.length < limit) return;
    const segment = segmentOf(rows.at(-1)!.key);
    if (isReverse) high = segment;
    else low = segment + 1;
    if (limit === PEER_ROWS) await nextTurn();
  }
}

const segmentOf = (key: readonly (string | number)[]): number => key[1] as number;

/** Entries of a span that `sift` lets through. Here they are only copied. */
export async function* siftAll(view: LogView, span: Span, isReverse: boolean, sift: Sift): AsyncGenerator<Walked> {
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
    yield {
      ...(await readSome(
        view,
        matching.map((index) => positions[index]!),
      )),
      looked: positions.length,
    };
    await nextTurn();
  }
}

/** Those of some positions that `sift` lets through. */
export async function sifted({ store, bare }: LogView, positions: readonly number[], sift: Sift): Promise<readonly number[]> {
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
