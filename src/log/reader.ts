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
import type { Jid } from '../xmpp/jid.ts';
import { countAll, countPeer } from './count.ts';
import { peerOf, type LogEntry } from './entry.ts';
import {
  entryOf,
  isIn,
  peerPositions,
  positionAt,
  readAll,
  readSome,
  siftAll,
  sifted,
  SIFT_ENTRIES,
  walkAll,
  type LogView,
  type Sift,
  type Span,
  type Walked,
} from './walk.ts';

export { viewOf, type LogView, type Sift } from './walk.ts';

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
  const result = (isComplete: boolean): Collected => ({ entries: isLast ? entries.toReversed() : entries, isComplete });
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
