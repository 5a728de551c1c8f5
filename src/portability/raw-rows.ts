/**
 * Rows of tables that no element stands for, as they are: nothing of an account is lost between two servers of this kind.
 *
 *     <rows xmlns='urn:rookery:portable:0' table='last_activity'><row version='1' key='[]'>eyJ…</row></rows>
 */
import type { AccountImport, AccountRows } from '../core/portable.ts';
import type { ModuleSpec } from '../core/module.ts';
import { decodeBase64 } from '../sasl/base64.ts';
import type { Key, Table, TableName } from '../store/store.ts';
import type { Element } from '../xml/element.ts';
import { escapeAttr } from '../xml/serialize.ts';
import { LOG_PORTABLE } from './log.ts';
import { NS_ROOKERY } from './names.ts';

/** Tables whose rows leave as they are, by name. */
export type RawTables = ReadonlyMap<string, TableName>;

export function rawTables(modules: readonly ModuleSpec[]): RawTables {
  const spokenFor = [LOG_PORTABLE, ...modules.map(({ portable = [] }) => portable)].flat();
  const spoken = new Set(spokenFor.flatMap(({ tables }) => tables.map(({ name }) => name)));
  const raw = modules.flatMap(({ tables = [] }) => tables).filter(({ name }) => !spoken.has(name));
  return new Map(raw.map((table) => [table.name, table]));
}

export async function* writeRawRows(account: AccountRows, tables: RawTables): AsyncGenerator<string> {
  for (const name of tables.keys()) {
    for await (const page of account.pages(rawTable(name, 0))) {
      const rows = page.map(({ key, value: { version, bytes } }) => {
        return `<row version='${version}' key='${escapeAttr(keyText(key))}'>${Buffer.from(bytes).toString('base64')}</row>`;
      });
      yield `<rows xmlns='${NS_ROOKERY}' table='${name}'>${rows.join('')}</rows>`;
    }
  }
}

/** False where a row is of a table that is not known here, or one that its table cannot decode: nothing of that is taken. */
export function readRawRows(element: Element, account: AccountImport, tables: RawTables): boolean {
  const table = tables.get(element.attr('table') ?? '');
  if (table === undefined) return false;
  let isComplete = true;
  for (const row of element.elements()) {
    const key = keyOf(row.attr('key') ?? '');
    const version = /^\d{1,6}$/.test(row.attr('version') ?? '') ? Number(row.attr('version')) : undefined;
    const bytes = decodeBase64(row.text().trim());
    if (
      !row.is('row', NS_ROOKERY) ||
      key === undefined ||
      version === undefined ||
      bytes === undefined ||
      !canDecode(table, bytes, version)
    ) {
      isComplete = false;
      continue;
    }
    account.put(rawTable(table.name, version), key, { version, bytes });
  }
  return isComplete;
}

interface RawRow {
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** @param version with which rows are written; each row that is read tells its own. */
function rawTable(name: string, version: number): Table<RawRow> {
  return {
    name,
    version,
    encode: ({ bytes }) => bytes,
    decode: (bytes, rowVersion) => ({ version: rowVersion, bytes: Uint8Array.from(bytes) }),
  };
}

/** A row that cannot be decoded would keep its account from being loaded. */
function canDecode(table: TableName, bytes: Uint8Array, version: number): boolean {
  if (!isTable(table)) return version <= table.version;
  try {
    table.decode(bytes, version);
    return true;
  } catch {
    return false; // whatever a codec says of bytes it did not write
  }
}

function isTable(table: TableName): table is Table<unknown> {
  return 'decode' in table && typeof table.decode === 'function';
}

/** JSON, without the two characters beyond it that XML cannot have. */
function keyText(key: Key): string {
  return JSON.stringify(key).replace(/[\ufffe\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16)}`);
}

function keyOf(text: string): Key | undefined {
  try {
    const key: unknown = JSON.parse(text);
    return Array.isArray(key) && key.every((part) => typeof part === 'string' || typeof part === 'number') ? (key as Key) : undefined;
  } catch {
    return undefined; // not JSON
  }
}
