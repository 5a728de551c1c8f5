/** How many messages a filter leaves, told from the indexes. XEP-0059 §2.7 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SEGMENTS } from './segment.ts';
import { CHUNK, peerPositions, walkAll, type LogView, type Span } from './walk.ts';

/** Rows of `SEGMENTS` read at a time. */
const SEGMENT_ROWS = 128;

/** Archived entries of a span: sums up whole segments; only the two that lie across the ends are read. */
export async function countAll(view: LogView, { from, to }: Span): Promise<number> {
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

/** Archived entries of one correspondent in a span. */
export async function countPeer(view: LogView, peer: string, span: Span): Promise<number> {
  let count = 0;
  for await (const positions of peerPositions(view, peer, span, false)) count += positions.length;
  return count;
}
