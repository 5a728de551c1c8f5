/** Reads every row of a data file that nobody writes, and says what there is. For backups, before they count as such. */
import { createHash } from 'node:crypto';
import { createReadStream, rmSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ACCOUNTS, CREDENTIALS } from '../core/accounts.ts';
import { HOST_SETTINGS } from '../core/host-settings.ts';
import { ENDED, SESSIONS, TAKEN } from '../core/session-rows.ts';
import { LOG } from '../log/entry.ts';
import { AWAKE, LOG_STATE, PEERS, PENDING, SEGMENTS } from '../log/segment.ts';
import { LEFTOVERS, TRIM_STATE } from '../log/trim.ts';
import { MODULES } from '../modules/index.ts';
import { storeCorrupt } from '../store/errors.ts';
import { isBlock, rowsOfBlock } from '../store/lmdb/blocks.ts';
import { checkDataFile } from '../store/lmdb/data-file.ts';
import { AFTER_PARTITIONS, checkFormat, Env, PARTITION_KEYS } from '../store/lmdb/env.ts';
import { decodeEncoded, parseRow } from '../store/row.ts';
import type { Table, TableName } from '../store/store.ts';
import { endOfFirstPart, unpackKey, type Packed } from '../store/tuple.ts';

/** Between two turns of the event loop. */
const ROWS_PER_TURN = 500;

/** Tables of this release, by name. */
export function knownTables(): ReadonlyMap<string, TableName> {
  const log: readonly TableName[] = [LOG, LOG_STATE, SEGMENTS, PEERS, PENDING, AWAKE, TRIM_STATE, LEFTOVERS];
  const own: readonly TableName[] = [HOST_SETTINGS, ACCOUNTS, CREDENTIALS, SESSIONS, TAKEN, ENDED, ...log];
  const tables = [...own, ...MODULES.flatMap(({ tables: declared = [] }) => declared)];
  return new Map(tables.map((table) => [table.name, table]));
}

export interface Inspection {
  readonly bytes: number;
  /** Of the file, in hexadecimal. */
  readonly sha256: string;
  readonly accounts: number;
  readonly rows: number;
  /** Rows of tables that this release does not know, by table: of modules that are gone. They were not decoded. */
  readonly unknown: Readonly<Record<string, number>>;
}

/**
 * @throws StoreError ERR_STORE_CORRUPT, ERR_STORE_NEWER or ERR_STORE_DECODE, the latter naming the row.
 */
export async function inspectDataFile(path: string): Promise<Inspection> {
  checkDataFile(path);
  const env = Env.open(path, true);
  try {
    checkFormat(env);
    const tables = knownTables();
    const unknown: Record<string, number> = {};
    let rows = 0;
    let accounts = 0;
    for (const { key, value } of allRows(env)) {
      const row = parseRow(value);
      if (row === undefined) throw storeCorrupt(path, 'a row has no header');
      const [partition, name] = namesOf(key, row.fullKey);
      if (partition === undefined || name === undefined) throw storeCorrupt(path, 'a row has no place');
      const table = tables.get(name);
      if (table === undefined) unknown[name] = (unknown[name] ?? 0) + 1;
      else if (isTable(table)) decodeEncoded(table, partition, value.subarray(row.at), row.version);
      if (name === ACCOUNTS.name) accounts++;
      if (++rows % ROWS_PER_TURN === 0) await nextTurn();
    }
    return { ...(await checksum(path)), accounts, rows, unknown };
  } finally {
    await env.close();
    rmSync(`${path}-lock`, { force: true });
  }
}

function* allRows(env: Env): Generator<{ readonly key: Packed; readonly value: Buffer }> {
  for (const row of env.rows(PARTITION_KEYS, AFTER_PARTITIONS, false, Number.POSITIVE_INFINITY)) {
    if (isBlock(row.value)) yield* rowsOfBlock(row.key, row.value);
    else yield row;
  }
}

/** Size and SHA-256 of a file. */
export async function checksum(path: string): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Partition and table; the name of a table is never too long to be read back. */
function namesOf(packed: Packed, fullKey: readonly unknown[] | undefined): [string | undefined, string | undefined] {
  const end = endOfFirstPart(packed);
  const rest = packed.slice(end);
  const partition = fullKey === undefined ? unpackKey(packed.slice(0, end))?.[0] : fullKey[0];
  return [asName(partition), asName(unpackKey(rest.slice(0, endOfFirstPart(rest)))?.[0])];
}

function asName(part: unknown): string | undefined {
  return typeof part === 'string' ? part : undefined;
}

function isTable(table: TableName): table is Table<unknown> {
  return 'decode' in table && typeof table.decode === 'function';
}
