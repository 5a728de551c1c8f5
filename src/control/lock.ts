/**
 * A lock that the operating system releases when its holder dies, however it dies. Node has
 * none of its own; SQLite, which it contains, takes one on the file of a database, and here the
 * database is never anything but locked. Works between containers that share a directory, too.
 */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

export interface FileLock {
  release(): void;
}

/** SQLITE_BUSY: another holds it. https://www.sqlite.org/rescode.html */
const BUSY = 5;

/**
 * Locks the file at `path`, which is made if need be and stays: removing it would let two hold it.
 *
 * @returns undefined when another process, or another part of this one, holds it. Throws where the file cannot be made.
 */
export function tryLock(path: string): FileLock | undefined {
  closeSync(openSync(path, 'a', 0o600));
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === BUSY) return undefined;
    throw error;
  }
  return { release: () => database.close() };
}
