/**
 * The LMDB environment: one B-tree of packed keys. Only the thread that opened the store first writes it.
 *
 * Each of its transactions is synced to the disk before it counts (neither `noSync` nor lmdb-js's
 * `overlappingSync`), so the file is never corrupt, not even after a power loss; the journals make
 * that cheap by making it rare. `useWritemap` would turn a full disk into a SIGBUS.
 *
 *     00 "format"                 JSON number
 *     00 "tick"                   JSON number: the clock never starts below it
 *     00 "journal" instance       JSON [segment, offset, tick]: how far that journal is applied
 *     00 "erase" partition        an erasure that takes several transactions has begun
 *     01 partition                f64: the partition's version, if it was ever asked for
 *     partition table key...      rows (row.ts), those of runs in blocks (blocks.ts; not in format 1, see upgrade.ts)
 */
import { statfsSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { open } from 'lmdb';
import type { RootDatabase } from 'lmdb';
import { StoreError, storeCorrupt, storeErrorFrom } from '../errors.ts';
import type { Packed } from '../tuple.ts';

/** Bytes of a row, within a journal's. */
export interface Slice {
  readonly chunk: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Raised when a release writes what an older one would misread. */
export const STORE_FORMAT = 3;

const META = '\x00';
export const FORMAT_KEY: Packed = `${META}format`;
export const TICK_KEY: Packed = `${META}tick`;
export const JOURNAL_KEYS: Packed = `${META}journal`;
export const ERASE_KEYS: Packed = `${META}erase`;
export const VERSION_KEYS: Packed = '\x01';
export const AFTER_VERSIONS: Packed = '\x02';
export const PARTITION_KEYS: Packed = '\x02';
export const AFTER_PARTITIONS: Packed = '\x03';

/** Address space set aside for the file; LMDB grows it when that is not enough. Costs no memory. */
const MAP_BYTES = 64 * 1024 ** 3;
/** Each thread that reads takes one or two. */
const MAX_READERS = 512;
/** A disk with less space than this is taken for full when writing has failed. */
const FULL_BYTES = 256 * 1024;
/** A range is read by chunks of this many keys while it is being deleted. */
const ERASE_KEYS_AT_ONCE = 500;

/** A value of lmdb-js that is a slice of a Buffer, set just before each put. Undocumented; write.js reads it. */
interface SlicedBuffer extends Buffer {
  start?: number;
  end?: number;
}

const keyEncoder = {
  writeKey(key: Packed, target: Buffer, position: number): number {
    return position + target.write(key, position, 'latin1');
  },
  readKey(source: Buffer, start: number, end: number): Packed {
    return source.toString('latin1', start, end);
  },
};

export class Env {
  readonly path: string;
  readonly #db: RootDatabase<Buffer, Packed>;
  readonly #double = Buffer.allocUnsafeSlow(8);

  private constructor(path: string, db: RootDatabase<Buffer, Packed>) {
    this.path = path;
    this.#db = db;
  }

  /** Of a file that is open in this process already, or that `checkDataFile` has passed. Throws a StoreError. */
  static open(path: string, isReadOnly: boolean): Env {
    try {
      const db = open<Buffer, Packed>({
        path,
        noSubdir: true,
        encoding: 'binary',
        keyEncoder: keyEncoder as never,
        overlappingSync: false,
        mapSize: MAP_BYTES,
        maxReaders: MAX_READERS,
        readOnly: isReadOnly,
        // lmdb-js passes it on though its types do not know it.
        ...{ permissionsMode: 0o600 },
      });
      return new Env(path, db);
    } catch (error) {
      throw storeErrorFrom(error, path);
    }
  }

  /** A copy, `undefined` if there is none. */
  get(key: Packed): Buffer | undefined {
    return this.#db.getBinary(key);
  }

  /** As it is until the next call of any kind. */
  view(key: Packed): Buffer | undefined {
    return this.#db.getBinaryFast(key);
  }

  getJson(key: Packed): unknown {
    const bytes = this.get(key);
    return bytes === undefined ? undefined : JSON.parse(bytes.toString('latin1'));
  }

  /** Rows from `start` on and before `end`, or the other way round. Stop reading only by leaving the loop. */
  rows(start: Packed, end: Packed, isReverse: boolean, limit: number): Iterable<{ key: Packed; value: Buffer }> {
    return this.#db.getRange(rangeOptions(start, end, isReverse, limit)) as Iterable<{ key: Packed; value: Buffer }>;
  }

  keys(start: Packed, end: Packed, limit: number): Iterable<Packed> {
    return this.#db.getKeys(rangeOptions(start, end, false, limit)) as Iterable<Packed>;
  }

  /** Later reads see all that is committed now, by whatever thread. */
  renewSnapshot(): void {
    this.#db.resetReadTxn();
  }

  /** Runs `write` in one transaction; throws a StoreError, with nothing written, if it or the commit fails. */
  transaction(write: () => void): void {
    try {
      this.#db.transactionSync(write);
    } catch (error) {
      // LMDB calls a write that was cut short by a full disk an input/output error.
      throw storeErrorFrom(isDiskFull(this.path) ? Object.assign(new Error(String(error)), { code: 'ENOSPC' }) : error, this.path);
    }
  }

  putJson(key: Packed, value: unknown): void {
    this.#db.putSync(key, Buffer.from(JSON.stringify(value), 'latin1'));
  }

  /** Within a transaction. Copies nothing in JavaScript. */
  putSlice(key: Packed, { chunk, start, end }: Slice): void {
    const sliced: SlicedBuffer = chunk;
    sliced.start = start;
    sliced.end = end;
    this.#db.putSync(key, sliced);
  }

  /** Within a transaction. */
  putDouble(key: Packed, value: number): void {
    this.#double.writeDoubleLE(value);
    this.#db.putSync(key, this.#double);
  }

  getDouble(key: Packed): number | undefined {
    return this.get(key)?.readDoubleLE();
  }

  delete(key: Packed): void {
    this.#db.removeSync(key);
  }

  /** Within a transaction. Deletes up to `limit` rows; true if none is left. */
  deleteRange(start: Packed, end: Packed, limit: number): boolean {
    for (let left = limit; left > 0; left -= ERASE_KEYS_AT_ONCE) {
      const keys = [...this.keys(start, end, ERASE_KEYS_AT_ONCE)];
      for (const key of keys) this.#db.removeSync(key);
      if (keys.length < ERASE_KEYS_AT_ONCE) return true;
    }
    return false;
  }

  /** Nothing was ever written. */
  get isEmpty(): boolean {
    return [...this.keys(META, AFTER_PARTITIONS, 1)].length === 0;
  }

  /** Reads everything once, for nothing but errors. */
  async readAll(): Promise<void> {
    let rows = 0;
    for (const { value } of this.rows(META, AFTER_PARTITIONS, false, Infinity)) {
      if (value.length >= 0 && ++rows % 1000 === 0) await nextTurn();
    }
  }

  /** The journals' positions, by instance. */
  journals(): { instance: number; position: unknown }[] {
    const found: { instance: number; position: unknown }[] = [];
    for (const { key, value } of this.rows(JOURNAL_KEYS, `${JOURNAL_KEYS}g`, false, Infinity)) {
      found.push({ instance: parseInt(key.slice(JOURNAL_KEYS.length), 16), position: JSON.parse(value.toString('latin1')) });
    }
    return found;
  }

  /** A compacted, consistent copy into a new file, while transactions go on. */
  async copyTo(path: string): Promise<void> {
    await this.#db.backup(path, true);
  }

  async close(): Promise<void> {
    await this.#db.close();
  }
}

export function versionKey(partition: Packed): Packed {
  return VERSION_KEYS + partition;
}

export function journalKey(instance: number): Packed {
  return JOURNAL_KEYS + instance.toString(16).padStart(14, '0');
}

/** Refuses a store of a newer release; ERR_STORE_CORRUPT if there is no format at all. */
export function checkFormat(env: Env): void {
  const format = env.getJson(FORMAT_KEY);
  if (typeof format !== 'number') throw storeCorrupt(env.path, 'it does not say its format');
  if (format <= STORE_FORMAT) return;
  throw new StoreError(
    'ERR_STORE_NEWER',
    `The store at ${env.path} has format ${format}, this release knows up to ${STORE_FORMAT}. Use a newer release, or restore a backup of an older one.`,
  );
}

function isDiskFull(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize < FULL_BYTES;
  } catch {
    return false;
  }
}

function rangeOptions(start: Packed, end: Packed, isReverse: boolean, limit: number): Record<string, unknown> {
  const count = limit === Infinity ? {} : { limit };
  // Backwards, lmdb-js begins at `start` and ends after `end`: both bounds are turned round.
  return isReverse
    ? { start: end, end: start, reverse: true, exclusiveStart: true, inclusiveEnd: true, ...count }
    : { start, end, ...count };
}
