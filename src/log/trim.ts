/**
 * What of a log may go, and its going: whole segments from the old end, because of their age or the log's size, and from
 * the others what the archive never shows and nobody waits for any more.
 *
 * Finding out is reading only (`planTrim`); deleting happens in a turn of the account's actor (`applyTrim`), a segment at a
 * time, because nobody else may write to its partition. Both run on the account's worker: a step reads at most one
 * segment, a millisecond or two, so a thread of the pool would gain nothing and would need a store of its own.
 *
 * Messages that wait for a session stay, whatever their age: their rows outlive their segment, noted in `LEFTOVERS`, and go
 * with a later step. The archive does not show them, since it begins at `AccountLog.first`: it must have no holes.
 * XEP-0313 §3.2
 */
import { jsonTable } from '../store/codec.ts';
import type { Store } from '../store/store.ts';
import { LOG, logKey, peerOf } from './entry.ts';
import type { AccountLog, LogWriter } from './log.ts';
import { LOG_STATE, PEERS, PENDING, SEGMENTS, type LogState, type Segment } from './segment.ts';

/** What is younger stays: sessions that wait to be resumed, or have not acknowledged everything, read it by position. */
export const GRACE_MS = 60 * 60 * 1000;
/** Rows read at a time. */
const CHUNK = 64;
/** Closed segments looked at in one step for what is not archived. */
const SEGMENTS_PER_STEP = 32;
const LEFTOVERS_PER_STEP = 256;

export interface TrimPolicy {
  /** Infinity: for ever. */
  readonly keepMs: number;
  /** Of all entries of an account, as stanzas count themselves. */
  readonly maxBytes: number;
}

/** Segments before this position hold nothing any more but what the archive shows or somebody waits for. */
export const TRIM_STATE = jsonTable<{ readonly thinnedTo: number }>({ name: 'log_trim', version: 1 });

/** Positions of entries that outlived the trimming of their segment because they waited for a session. */
export const LEFTOVERS = jsonTable<true>({ name: 'log_leftover', version: 1 });

/** What one turn deletes. */
export type TrimStep =
  /** A whole segment; `leftovers` are those of its positions that stay for now. */
  | {
      readonly kind: 'segment';
      readonly segment: Segment;
      readonly positions: readonly number[];
      readonly peers: readonly string[];
      readonly leftovers: readonly number[];
    }
  /** What a segment has that is not archived. */
  | {
      readonly kind: 'thin';
      readonly segment: Segment;
      readonly positions: readonly number[];
      readonly bytes: number;
      readonly leftovers: readonly number[];
    }
  /** Nothing but the note that segments before that need not be looked at again. */
  | { readonly kind: 'thinned'; readonly to: number }
  | { readonly kind: 'leftovers'; readonly positions: readonly number[] };

/** An account as it is when a step is sought. */
export interface TrimView {
  readonly store: Store;
  readonly bare: string;
  readonly nowMs: number;
  /** Of its log: `AccountLog.bytes`. */
  readonly bytes: number;
}

/** A view with what the store knows. */
interface Known extends TrimView {
  /** Entries from here on are still needed: those of the open segment, and those that have not reached their recipients. */
  readonly neededFrom: number;
}

/** The next step; undefined where nothing may go. Reads at most one segment's entries and writes nothing. */
export async function planTrim(view: TrimView, policy: TrimPolicy): Promise<TrimStep | undefined> {
  const { store, bare } = view;
  const state = await store.get(LOG_STATE, bare, []);
  return state === undefined ? undefined : planKnown({ ...view, neededFrom: neededFrom(state) }, policy);
}

const neededFrom = ({ openFrom, settledBelow }: LogState): number => Math.min(openFrom, settledBelow);

async function planKnown(view: Known, policy: TrimPolicy): Promise<TrimStep | undefined> {
  const [oldest] = await view.store.list(SEGMENTS, view.bare, { limit: 1 });
  if (oldest !== undefined && isDue(oldest.value, view, policy)) return planSegment(view, oldest.value);
  return (await planThinning(view)) ?? (await planLeftovers(view));
}

/** Writes a step down. One that was planned before the account restarted must not be applied. */
export function applyTrim(step: TrimStep, log: AccountLog, writer: LogWriter): void {
  switch (step.kind) {
    case 'segment': {
      const { segment, positions, peers, leftovers } = step;
      for (const position of positions) writer.delete(LOG, logKey(position));
      for (const peer of peers) writer.delete(PEERS, [peer, segment.from]);
      for (const position of leftovers) writer.put(LEFTOVERS, [position], true);
      writer.delete(SEGMENTS, [segment.from]);
      log.trimmed(Math.max(log.first, segment.to + 1), segment.archived, segment.bytes, writer);
      return;
    }
    case 'thin': {
      const { segment, positions, bytes, leftovers } = step;
      for (const position of positions) writer.delete(LOG, logKey(position));
      for (const position of leftovers) writer.put(LEFTOVERS, [position], true);
      if (segment.archived > 0) writer.put(SEGMENTS, [segment.from], { ...segment, bytes: segment.bytes - bytes });
      else writer.delete(SEGMENTS, [segment.from]);
      writer.put(TRIM_STATE, [], { thinnedTo: segment.to + 1 });
      const isGone = segment.archived === 0;
      log.trimmed(isGone && segment.from <= log.first ? segment.to + 1 : log.first, 0, isGone ? segment.bytes : bytes, writer);
      return;
    }
    case 'thinned':
      writer.put(TRIM_STATE, [], { thinnedTo: step.to });
      return;
    case 'leftovers':
      for (const position of step.positions) {
        writer.delete(LOG, logKey(position));
        writer.delete(LEFTOVERS, [position]);
      }
      return;
  }
}

/**
 * Whether an account that is not loaded should be, so that its log is trimmed: for whoever looks through all accounts now and
 * then. Three reads; may say yes once too often, never no.
 */
export async function isTrimDue(store: Store, bare: string, nowMs: number, policy: TrimPolicy): Promise<boolean> {
  const state = await store.get(LOG_STATE, bare, []);
  if (state === undefined) return false;
  const view = { store, bare, nowMs, bytes: state.bytes, neededFrom: neededFrom(state) };
  const [oldest] = await store.list(SEGMENTS, bare, { limit: 1 });
  if (oldest !== undefined && isDue(oldest.value, view, policy)) return true;
  const thinning = await planThinning(view);
  if (thinning !== undefined && thinning.kind !== 'thinned') return true;
  return (await planLeftovers(view)) !== undefined;
}

function isDue(segment: Segment, view: Known, { keepMs, maxBytes }: TrimPolicy): boolean {
  return isSettled(segment, view) && (segment.toMs < view.nowMs - keepMs || view.bytes > maxBytes);
}

function isSettled({ to, toMs }: Segment, { nowMs, neededFrom: needed }: Known): boolean {
  return to < needed && toMs < nowMs - GRACE_MS;
}

async function planSegment(view: TrimView, segment: Segment): Promise<TrimStep> {
  const pending = await pendingIn(view, segment);
  const positions: number[] = [];
  const leftovers: number[] = [];
  const peers = new Set<string>();
  for await (const entry of entriesOf(view, segment)) {
    if (entry.isArchived) peers.add(peerOf(entry));
    (pending.has(entry.position) ? leftovers : positions).push(entry.position);
  }
  return { kind: 'segment', segment, positions, peers: [...peers], leftovers };
}

async function planThinning(view: Known): Promise<TrimStep | undefined> {
  const { store, bare } = view;
  const from = (await store.get(TRIM_STATE, bare, []))?.thinnedTo ?? 0;
  const rows = await store.list(SEGMENTS, bare, { from: [from], limit: SEGMENTS_PER_STEP });
  let to = from;
  for (const { value: segment } of rows) {
    if (!isSettled(segment, view)) break;
    if (segment.archived < segment.to - segment.from + 1) return planThin(view, segment);
    to = segment.to + 1;
  }
  return to === from ? undefined : { kind: 'thinned', to };
}

async function planThin(view: TrimView, segment: Segment): Promise<TrimStep> {
  const pending = await pendingIn(view, segment);
  const positions: number[] = [];
  const leftovers: number[] = [];
  let bytes = 0;
  for await (const { isArchived, position, stanza } of entriesOf(view, segment)) {
    if (isArchived) continue;
    if (pending.has(position)) {
      leftovers.push(position);
      continue;
    }
    positions.push(position);
    bytes += stanza.bytes;
  }
  return { kind: 'thin', segment, positions, bytes, leftovers };
}

async function planLeftovers(view: TrimView): Promise<TrimStep | undefined> {
  const { store, bare } = view;
  let from = 0;
  for (;;) {
    const rows = await store.list(LEFTOVERS, bare, { from: [from], limit: LEFTOVERS_PER_STEP });
    if (rows.length === 0) return undefined;
    const positions = rows.map(({ key }) => key[0] as number);
    const last = positions.at(-1)!;
    const pending = await pendingIn(view, { from: positions[0]!, to: last });
    const gone = positions.filter((position) => !pending.has(position));
    if (gone.length > 0) return { kind: 'leftovers', positions: gone };
    from = last + 1;
  }
}

async function pendingIn({ store, bare }: TrimView, { from, to }: Pick<Segment, 'from' | 'to'>): Promise<ReadonlySet<number>> {
  const rows = await store.list(PENDING, bare, { from: [from], to: [to + 1] });
  return new Set(rows.map(({ key }) => key[0] as number));
}

async function* entriesOf({ store, bare }: TrimView, { from, to }: Segment) {
  for (let at = from; at <= to;) {
    const rows = await store.list(LOG, bare, { from: logKey(at), to: logKey(to + 1), limit: CHUNK });
    for (const { value } of rows) yield value;
    if (rows.length < CHUNK) return;
    at = rows.at(-1)!.value.position + 1;
  }
}
