/**
 * What an account keeps in memory of its log while it is loaded: where the log ends, and the indexes of the segment
 * that is still open. Rows are written through the account's own batch, so an entry is written with all else its turn changes.
 */
import type { Key, Store, Table } from '../store/store.ts';
import { ArchiveIds, newArchiveKey } from './archive-id.ts';
import { LOG, logKey, peerOf, type LogEntry } from './entry.ts';
import { LOG_STATE, PEERS, SEGMENT_ENTRIES, SEGMENTS, type LogState, type Segment } from './segment.ts';

/** Where changes go: the account's batch. */
export interface LogWriter {
  put<V>(table: Table<V>, key: Key, value: V): void;
  delete<V>(table: Table<V>, key: Key): void;
}

/** What a load reads: the state as of the last closed segment and all entries that may still matter. */
export interface LogImage {
  readonly state: LogState | undefined;
  readonly tail: readonly LogEntry[];
}

const EMPTY = { openFrom: 1, settledBelow: 1, first: 1, lastMs: 0, archived: 0, bytes: 0 };

/** An empty log with a key that is known, such as one from elsewhere. */
export function emptyLog(key: string): LogImage {
  return { state: { ...EMPTY, key }, tail: [] };
}

export async function loadLog(store: Store, bare: string): Promise<LogImage> {
  const state = await store.get(LOG_STATE, bare, []);
  const rows = await store.list(LOG, bare, { from: logKey((state ?? EMPTY).settledBelow) });
  return { state, tail: rows.map(({ value }) => value) };
}

export class AccountLog {
  /** Of the next entry. */
  next: number;
  /** Of the oldest entry that may still be there. */
  first: number;
  /** First of the open segment. */
  openFrom: number;
  private settledBelow: number;
  private lastMs: number;
  private closedArchived: number;
  private closedBytes: number;
  private openFromMs = 0;
  private openArchived = 0;
  private openBytes = 0;
  /** Archived positions of the open segment, by correspondent; undefined while there are none. */
  private peers: Map<string, number[]> | undefined = undefined;
  /** Undefined until it is needed. */
  private key: string | undefined;
  private isKeyKept: boolean;
  private cipher: ArchiveIds | undefined = undefined;

  constructor({ state, tail }: LogImage) {
    const { openFrom, settledBelow, first, lastMs, archived, bytes } = state ?? EMPTY;
    this.settledBelow = settledBelow;
    this.next = this.openFrom = openFrom;
    this.first = first;
    this.lastMs = lastMs;
    this.closedArchived = archived;
    this.closedBytes = bytes;
    this.key = state?.key;
    this.isKeyKept = this.key !== undefined;
    for (const entry of tail) if (entry.position >= openFrom) this.note(entry);
  }

  /** Names the entries for clients. The key is in the store as soon as an entry is. */
  get ids(): ArchiveIds {
    return (this.cipher ??= new ArchiveIds((this.key ??= newArchiveKey())));
  }

  /** Messages the archive shows. */
  get archived(): number {
    return this.closedArchived + this.openArchived;
  }

  /** Of all entries, as stanzas count themselves. */
  get bytes(): number {
    return this.closedBytes + this.openBytes;
  }

  /** Time of an entry that is written now: the clock may step back, the log does not. */
  timeOf(nowMs: number): number {
    return Math.max(nowMs, this.lastMs);
  }

  /** Writes an entry at `next`. True where the open segment is full and wants to be closed. */
  append(entry: LogEntry, writer: LogWriter): boolean {
    writer.put(LOG, logKey(entry.position), entry);
    this.note(entry);
    if (!this.isKeyKept) this.saveState(writer);
    return this.next - this.openFrom >= SEGMENT_ENTRIES;
  }

  /** Archived positions of a correspondent in the open segment. */
  openPositions(peer: string): readonly number[] {
    return this.peers?.get(peer) ?? [];
  }

  /**
   * Closes the open segment, if anything is in it: its indexes are written.
   *
   * @param settledBelow entries before that have nothing to tell a load.
   */
  closeSegment(writer: LogWriter, settledBelow: number): void {
    this.settledBelow = settledBelow;
    if (this.next === this.openFrom) return;
    const segment: Segment = {
      from: this.openFrom,
      to: this.next - 1,
      fromMs: this.openFromMs,
      toMs: this.lastMs,
      archived: this.openArchived,
      bytes: this.openBytes,
    };
    writer.put(SEGMENTS, [segment.from], segment);
    for (const [peer, positions] of this.peers ?? []) writer.put(PEERS, [peer, segment.from], positions);
    this.closedArchived += this.openArchived;
    this.closedBytes += this.openBytes;
    this.openFrom = this.next;
    this.openArchived = this.openBytes = this.openFromMs = 0;
    this.peers = undefined;
    this.saveState(writer);
  }

  /** Entries of the segment that starts at `first` are gone; `archived` and `bytes` are what they counted for. */
  trimmed(first: number, archived: number, bytes: number, writer: LogWriter): void {
    this.first = first;
    this.closedArchived = Math.max(0, this.closedArchived - archived);
    this.closedBytes = Math.max(0, this.closedBytes - bytes);
    this.saveState(writer);
  }

  private saveState(writer: LogWriter): void {
    this.isKeyKept = true;
    writer.put(LOG_STATE, [], {
      openFrom: this.openFrom,
      settledBelow: Math.min(this.openFrom, this.settledBelow),
      first: this.first,
      lastMs: this.lastMs,
      archived: this.closedArchived,
      bytes: this.closedBytes,
      key: (this.key ??= newArchiveKey()),
    });
  }

  private note(entry: LogEntry): void {
    const { position, atMs, stanza } = entry;
    this.next = position + 1;
    this.lastMs = atMs;
    if (this.openFromMs === 0) this.openFromMs = atMs;
    this.openBytes += stanza.bytes;
    if (!entry.isArchived) return;
    this.openArchived++;
    const peer = peerOf(entry);
    const peers = (this.peers ??= new Map());
    const positions = peers.get(peer);
    if (positions === undefined) peers.set(peer, [position]);
    else positions.push(position);
  }
}
