/**
 * One process at a time: an operating system lock that ends with the process, however it ends, so nothing
 * stale is left to be judged by process ids (which containers that share a volume have in common).
 * Node offers such a lock only inside its SQLite: an exclusive transaction on a file of its own.
 */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { storeErrorFrom } from '../errors.ts';

const SQLITE_BUSY = 5;

/** Held until `release` or the end of the process. */
export interface StoreLock {
  release(): void;
}

/** `undefined` if it is held already, by this process or another. Throws a StoreError if it cannot be tried. */
export function lockDirectory(directory: string): StoreLock | undefined {
  let database: DatabaseSync | undefined;
  const file = join(directory, 'lock');
  try {
    // For the owner only; SQLite would leave that to the umask.
    closeSync(openSync(file, 'a', 0o600));
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    writeFileSync(join(directory, 'lock.pid'), `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    database?.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
    throw storeErrorFrom(fromSqlite(error), directory);
  }
  const held = database;
  return { release: () => held.close() };
}

/** Of the process that has the lock, or had it last; for messages, and to tell this process from others. */
export function lockHolder(directory: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(directory, 'lock.pid'), 'latin1'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

const SQLITE_CODES = new Map([
  [8, 'EROFS'],
  [13, 'ENOSPC'],
  [14, 'EACCES'],
]);

function fromSqlite(error: unknown): unknown {
  const { errcode } = error as { errcode?: number };
  const code = errcode === undefined ? undefined : SQLITE_CODES.get(errcode % 256);
  return code === undefined ? error : Object.assign(new Error(`lock: ${(error as Error).message}`), { code });
}
