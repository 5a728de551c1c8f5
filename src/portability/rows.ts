/** The rows of an account as those read and write them who move it: in pages, and in batches that the store takes. */
import type { AccountImport, AccountRows } from '../core/portable.ts';
import { Batch, encodedValue, type Key, type Range, type Row, type Store, type Table } from '../store/store.ts';
import type { BareJid, Jid } from '../xmpp/jid.ts';

/** Rows read at a time. A message can be as large as a stanza: a page of those is a few megabytes. */
const PAGE_ROWS = 64;
/** Encoded rows gathered before they are written. */
const BATCH_BYTES = 1024 * 1024;
/** What a row's key and overhead count for, about. */
const ROW_OVERHEAD = 64;

export class StoredAccount implements AccountRows {
  readonly jid: Jid;
  readonly bare: BareJid;
  readonly isInUse: boolean;
  protected readonly store: Store;

  constructor(store: Store, jid: Jid, isInUse: boolean) {
    this.isInUse = isInUse;
    this.store = store;
    this.jid = jid;
    this.bare = jid.bare;
  }

  get<V>(table: Table<V>, key: Key): Promise<V | undefined> {
    return this.store.get(table, this.bare, key);
  }

  async *pages<V>(table: Table<V>, range: Pick<Range, 'prefix' | 'from' | 'to'> = {}): AsyncGenerator<readonly Row<V>[]> {
    let after: Key | undefined;
    for (;;) {
      const from = after === undefined ? {} : { from: after };
      // One more, since the range begins with the row that was last.
      const limit = PAGE_ROWS + (after === undefined ? 0 : 1);
      const read = await this.store.list(table, this.bare, { ...range, ...from, limit });
      const rows = after !== undefined && read[0] !== undefined && isSameKey(read[0].key, after) ? read.slice(1) : read;
      if (rows.length > 0) yield rows;
      if (read.length < limit) return;
      after = rows.at(-1)!.key;
    }
  }
}

/** What an account that is made can hold. */
export type ImportLimits = Pick<AccountImport, 'nowMs' | 'maxStanzaBytes' | 'maxAnswerBytes'>;

export class ImportedAccount extends StoredAccount implements AccountImport {
  readonly nowMs: number;
  readonly maxStanzaBytes: number;
  readonly maxAnswerBytes: number;
  private batch: Batch;
  private bytes = 0;
  private readonly full: Batch[] = [];

  constructor(store: Store, jid: Jid, { nowMs, maxStanzaBytes, maxAnswerBytes }: ImportLimits) {
    super(store, jid, false);
    this.nowMs = nowMs;
    this.maxStanzaBytes = maxStanzaBytes;
    this.maxAnswerBytes = maxAnswerBytes;
    this.batch = new Batch(this.bare);
  }

  put<V>(table: Table<V>, key: Key, value: V): void {
    this.batch.put(table, key, value);
    this.bytes += (encodedValue(this.batch.changes.at(-1)!)?.length ?? 0) + ROW_OVERHEAD;
    if (this.bytes >= BATCH_BYTES) this.startBatch();
  }

  delete<V>(table: Table<V>, key: Key): void {
    this.batch.delete(table, key);
    this.bytes += ROW_OVERHEAD;
  }

  /** Writes what was gathered; without `all` only batches that are full. */
  async flush(all = true): Promise<void> {
    if (all && !this.batch.isEmpty) this.startBatch();
    for (const batch of this.full.splice(0)) await this.store.commit(batch).promise;
  }

  private startBatch(): void {
    this.full.push(this.batch);
    this.batch = new Batch(this.bare);
    this.bytes = 0;
  }
}

function isSameKey(one: Key, other: Key): boolean {
  return one.length === other.length && one.every((part, i) => part === other[i]);
}
