/**
 * Indexes of the log, written once per segment of it instead of with every message: what a segment spans, and at which
 * positions each correspondent appears. The last, open segment has none: it is short enough to be read.
 */
import { binaryTable, jsonTable } from '../store/codec.ts';

/** Entries of a segment that is closed because it is full. One is closed early when its account is unloaded. */
export const SEGMENT_ENTRIES = 256;

/** Keyed by the first position. */
export interface Segment {
  readonly from: number;
  /** Last position. */
  readonly to: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** Entries the archive shows. */
  readonly archived: number;
  /** As stanzas count themselves. */
  readonly bytes: number;
}

export const SEGMENTS = jsonTable<Segment>({ name: 'log_segment', version: 1 });

/** Keyed by bare JID of the correspondent, then first position of the segment: positions of archived entries, growing. */
export const PEERS = binaryTable<readonly number[]>({
  name: 'log_peer',
  version: 1,
  write(row, positions) {
    row.uint(positions.length);
    let last = 0;
    for (const position of positions) {
      row.uint(position - last);
      last = position;
    }
  },
  read(row) {
    const positions: number[] = [];
    let last = 0;
    for (let left = row.uint(); left > 0; left--) positions.push((last += row.uint()));
    return positions;
  },
});

/** One row per account: where the open segment begins, and totals of what is before it. */
export interface LogState {
  /** First position of the open segment. */
  readonly openFrom: number;
  /** First position a load reads: at most `openFrom`, less where messages had not reached their recipients. */
  readonly settledBelow: number;
  /** First position that is still there. */
  readonly first: number;
  /** Time of the last entry before the open segment. */
  readonly lastMs: number;
  /** Archived entries and bytes of all closed segments. */
  readonly archived: number;
  readonly bytes: number;
  /** Of the archive's ids; see `archive-id.ts`. Written with the first entry, the same as long as the account is there. */
  readonly key: string;
}

export const LOG_STATE = jsonTable<LogState>({ name: 'log_state', version: 1 });

/** There while the account may have something under way that a crash would interrupt; found at the start of the server. */
export const AWAKE = jsonTable<{ readonly sinceMs: number; readonly padding?: string }>({ name: 'awake', version: 1 });

/** Positions of entries no session was given yet: what a session gets when it becomes available. XEP-0160 */
export const PENDING = jsonTable<PendingRow>({ name: 'pending', version: 1, isRun: true });

export interface PendingRow {
  readonly bytes: number;
  /** Keys of sessions that have it all the same. */
  readonly givenTo?: readonly number[];
}
