/**
 * Where a row lies and what its bytes are, the same for every backend that stores bytes.
 *
 *     key    partition part, then table name part, then the key's parts (tuple.ts)
 *     value  varuint(version * 2 + hasKey) [varuint(length) full key] encoded row
 *
 * The full key is kept only where the packed key had to shorten a part.
 */
import { StoreError } from './errors.ts';
import type { Key, KeyPart, Range, Row, Table, TableName } from './store.ts';
import { endOfPrefix, MAX_KEY_BYTES, MAX_PART_BYTES, packFullKey, packKey, unpackKey } from './tuple.ts';
import type { Packed } from './tuple.ts';

/** Table names are code, not input: this many is a bug. */
const MAX_TABLES = 4096;
const TABLE_NAME = /^[a-z][a-z0-9_]{0,63}$/;

const tablePrefixes = new Map<string, Packed>();

/** The packed table name. Throws StoreError `ERR_STORE_KEY` on one that is not snake_case of at most 64 characters. */
export function packTable(table: TableName): Packed {
  const known = tablePrefixes.get(table.name);
  if (known !== undefined) return known;
  if (!TABLE_NAME.test(table.name) || tablePrefixes.size >= MAX_TABLES) {
    throw new StoreError('ERR_STORE_KEY', `'${table.name}' is not a table name: snake_case, at most 64 characters.`);
  }
  const packed = packKey([table.name]);
  tablePrefixes.set(table.name, packed);
  return packed;
}

/** A row's place within its partition. */
export function packSuffix(table: TableName, key: Key): Packed {
  return packTable(table) + packKey(key);
}

/** Throws StoreError `ERR_STORE_KEY` if a backend could not take the key. */
export function checkKeyBytes(partition: Packed, suffix: Packed): void {
  if (partition.length + suffix.length <= MAX_KEY_BYTES) return;
  throw new StoreError(
    'ERR_STORE_KEY',
    `A key of ${partition.length + suffix.length} bytes is too long: at most ${MAX_KEY_BYTES}, a part counts ${MAX_PART_BYTES + 23} at most.`,
  );
}

/** Bounds within a partition: `start` included, `end` excluded. Empty where `start >= end`. */
export interface PackedRange {
  readonly start: Packed;
  readonly end: Packed;
}

export function packRange(table: TableName, range: Range): PackedRange {
  const prefix = packTable(table);
  let start = range.prefix === undefined ? prefix : prefix + packKey(range.prefix);
  let end = endOfPrefix(start);
  if (range.from !== undefined) {
    const from = prefix + packKey(range.from);
    if (from > start) start = from;
  }
  if (range.to !== undefined) {
    const to = prefix + packKey(range.to);
    if (to < end) end = to;
  }
  return { start, end };
}

/** True where the packed key cannot be unpacked, so that the row must keep it in full. */
export function needsFullKey(partition: string, key: Key): boolean {
  if (isLong(partition)) return true;
  for (let i = 0; i < key.length; i++) {
    const part = key[i]!;
    if (typeof part === 'string' && isLong(part)) return true;
  }
  return false;
}

function isLong(part: string): boolean {
  // No string of fewer UTF-16 units than a third of the bytes can be long.
  return part.length * 3 > MAX_PART_BYTES && (part.length > MAX_PART_BYTES || Buffer.byteLength(part) > MAX_PART_BYTES);
}

/** The bytes before an encoded row: its version and, where given, its partition and key in full. */
export function rowHeader(version: number, fullKey: Packed | undefined): Packed {
  if (fullKey === undefined) return varuint(version * 2);
  return varuint(version * 2 + 1) + varuint(fullKey.length) + fullKey;
}

/** What a row with long parts remembers its place by. */
export function fullKeyOf(partition: string, key: Key): Packed {
  return packFullKey([partition, ...key]);
}

/** A stored value taken apart. `at` is where the table's own bytes begin. */
export interface StoredRow {
  readonly version: number;
  readonly at: number;
  /** Partition, then the key's parts. */
  readonly fullKey: readonly KeyPart[] | undefined;
}

/** `undefined` on bytes that are no row of ours. */
export function parseRow(bytes: Uint8Array): StoredRow | undefined {
  let at = 0;
  const first = readVaruint(bytes, at);
  if (first === undefined) return undefined;
  at = first.end;
  const version = Math.floor(first.value / 2);
  if (first.value % 2 === 0) return { version, at, fullKey: undefined };
  const length = readVaruint(bytes, at);
  if (length === undefined || length.end + length.value > bytes.length) return undefined;
  const packed = Buffer.from(bytes.buffer, bytes.byteOffset + length.end, length.value).toString('latin1');
  const fullKey = unpackKey(packed);
  return fullKey === undefined ? undefined : { version, at: length.end + length.value, fullKey };
}

/** Decodes a stored value. Throws StoreError `ERR_STORE_DECODE`, naming the row, where the table cannot. */
export function decodeRow<V>(table: Table<V>, partition: string, bytes: Uint8Array): V {
  const first = bytes[0] ?? 0x81;
  // The usual row: version below 64 and no full key.
  if (first < 0x80 && first % 2 === 0) return decodeEncoded(table, partition, bytes.subarray(1), first / 2);
  const row = parseRow(bytes);
  if (row === undefined) throw undecodable(table, partition, undefined);
  return decodeEncoded(table, partition, bytes.subarray(row.at), row.version);
}

/** Decodes a stored value together with its key. `suffix` is its place within the partition. */
export function decodeKeyedRow<V>(table: Table<V>, partition: string, suffix: Packed, bytes: Uint8Array): Row<V> {
  const row = parseRow(bytes);
  if (row === undefined) throw undecodable(table, partition, undefined);
  const key = row.fullKey === undefined ? unpackKey(suffix.slice(packTable(table).length)) : row.fullKey.slice(1);
  if (key === undefined) throw undecodable(table, partition, undefined);
  return { key, value: decodeEncoded(table, partition, bytes.subarray(row.at), row.version) };
}

/** Decodes what a table encoded. Throws StoreError `ERR_STORE_DECODE` where it cannot. */
export function decodeEncoded<V>(table: Table<V>, partition: string, bytes: Uint8Array, version: number): V {
  try {
    return table.decode(bytes, version);
  } catch (error) {
    throw undecodable(table, partition, error);
  }
}

function undecodable(table: TableName, partition: string, cause: unknown): StoreError {
  const why = cause instanceof Error ? cause.message : 'no row of this store';
  return new StoreError(
    'ERR_STORE_DECODE',
    `A row of table ${table.name} in partition ${partition} cannot be decoded (${why}). It was written by other code: check the versions.`,
    cause,
  );
}

function varuint(value: number): Packed {
  let packed = '';
  let rest = value;
  while (rest >= 0x80) {
    packed += String.fromCharCode((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return packed + String.fromCharCode(rest);
}

function readVaruint(bytes: Uint8Array, from: number): { value: number; end: number } | undefined {
  let value = 0;
  let scale = 1;
  // Eight groups of seven bits hold every integer a double does.
  for (let at = from; at < from + 8; at++) {
    const byte = bytes[at];
    if (byte === undefined) return undefined;
    value += (byte % 0x80) * scale;
    if (byte < 0x80) return { value, end: at + 1 };
    scale *= 0x80;
  }
  return undefined;
}
