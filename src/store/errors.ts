/**
 * What can go wrong with a store that an operator, and not a peer, has to know of.
 */

/**
 * - `ERR_STORE_LOCKED`: another process (or a thread that is gone) holds the store.
 * - `ERR_STORE_UNWRITABLE`: the directory or its files cannot be created, read or written.
 * - `ERR_STORE_CORRUPT`: the files are not a store, or are damaged.
 * - `ERR_STORE_NEWER`: written by a newer release.
 * - `ERR_STORE_FULL`: no space (or quota) left; commits work again once there is.
 * - `ERR_STORE_IO`: any other failure of the file system.
 * - `ERR_STORE_BUSY`: more unsettled or unapplied changes than the named bounds allow.
 * - `ERR_STORE_TOO_LARGE`: one batch is larger than `maxBatchBytes`. Our bug or a missing limit above.
 * - `ERR_STORE_KEY`: a key that cannot be stored: NaN, a lone surrogate, or too many long parts.
 * - `ERR_STORE_DECODE`: a table does not understand the bytes of its own row.
 * - `ERR_STORE_CLOSED`: used after `close`, or after the thread that opened the store first closed it.
 * - `ERR_STORE_BACKUP`: the backup's directory exists and has files in it, the copy failed to verify,
 *   or the backend has no files.
 */
export type StoreErrorCode =
  | 'ERR_STORE_LOCKED'
  | 'ERR_STORE_UNWRITABLE'
  | 'ERR_STORE_CORRUPT'
  | 'ERR_STORE_NEWER'
  | 'ERR_STORE_FULL'
  | 'ERR_STORE_IO'
  | 'ERR_STORE_BUSY'
  | 'ERR_STORE_TOO_LARGE'
  | 'ERR_STORE_KEY'
  | 'ERR_STORE_DECODE'
  | 'ERR_STORE_CLOSED'
  | 'ERR_STORE_BACKUP';

/** A failure with a stable code; the message is a sentence that says what to do. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.code = code;
  }
}

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const UNWRITABLE = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENAMETOOLONG']);

/** Puts a failure of the file system or of LMDB, met while working on `path`, into one of ours. */
export function storeErrorFrom(error: unknown, path: string): StoreError {
  if (error instanceof StoreError) return error;
  const { code, message } = describe(error);
  if (FULL.has(code) || /No space left|Disk quota exceeded|File too large|MDB_MAP_FULL/.test(message)) {
    return new StoreError('ERR_STORE_FULL', `No space is left for the store at ${path}. Free some; nothing was half-written.`, error);
  }
  if (UNWRITABLE.has(code) || /Permission denied|Read-only file system/.test(message)) {
    return new StoreError(
      'ERR_STORE_UNWRITABLE',
      `The store at ${path} cannot be written. Check the directory's owner, permissions and mount.`,
      error,
    );
  }
  if (/MDB_INVALID|MDB_VERSION_MISMATCH|MDB_CORRUPTED|MDB_PAGE_NOTFOUND/.test(message)) return storeCorrupt(path, message, error);
  return new StoreError(
    'ERR_STORE_IO',
    `The store at ${path} failed: ${message}. Check the disk and the system log; restart when it is mended.`,
    error,
  );
}

/** The files are there but are not a store this code can read. */
export function storeCorrupt(path: string, what: string, cause?: unknown): StoreError {
  return new StoreError('ERR_STORE_CORRUPT', `The store at ${path} is damaged (${what}). Move it away and restore a backup.`, cause);
}

/** The answer to every use after `close`. */
export function storeClosed(): StoreError {
  return new StoreError('ERR_STORE_CLOSED', 'The store is closed. Nothing was written; open it again.');
}

function describe(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  const code = (error as NodeJS.ErrnoException).code;
  return { code: typeof code === 'string' ? code : '', message: error.message };
}
