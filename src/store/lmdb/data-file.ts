/**
 * Looks at LMDB's file before LMDB does: lmdb-js 3.5.6 frees its environment twice when opening fails, which takes the
 * process with it, and a file that is cut short kills the process with SIGBUS when the missing pages are read. So does a
 * page of its lock file that has no place on a full disk, when one more thread begins to read.
 *
 *     page 0 and 1, in the machine's byte order, of the newer of which the snapshot counts
 *     18  u16 flags, 8: a meta page        144  u64 last page number
 *     24  u32 magic, 28  u32 version       152  u64 transaction
 *     48  u32 page size
 */
import { accessSync, closeSync, constants, fstatSync, openSync, readSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { storeCorrupt, StoreError, storeErrorFrom } from '../errors.ts';

const META_BYTES = 168;
const META_PAGE = 8;
const MAGIC = 0xbeefc0de;
const VERSION = 2;
/** LMDB may leave pages it allocated last unwritten, so a sound file can be a little short. */
const MAX_MISSING_PAGES = 1024;
/** What a new file needs at least, and its lock file. */
const NEW_BYTES = 64 * 1024;
/** The lock file of `MAX_READERS` readers (64 bytes each, and a head), in whole pages. LMDB takes a larger one as it is. */
const LOCK_BYTES = 36 * 1024;
/** The unit of `Stats.blocks`. */
const BLOCK_BYTES = 512;

/** Throws a StoreError (ERR_STORE_CORRUPT, ERR_STORE_UNWRITABLE, ERR_STORE_FULL, …) where LMDB could not open the file, or make it. */
export function checkDataFile(path: string): void {
  try {
    const { size, isFile } = describe(path);
    if (!isFile)
      throw new StoreError('ERR_STORE_UNWRITABLE', `${path} is not a file. Move it away, or name another directory for the store.`);
    reserveLockFile(`${path}-lock`);
    if (size === 0) probe(`${path}-probe`);
    else checkPages(path, size);
  } catch (error) {
    throw storeErrorFrom(error, path);
  }
}

function describe(path: string): { size: number; isFile: boolean } {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? { size: 0, isFile: true } : { size: found.size, isFile: found.isFile() };
}

/** Nobody else has it open: the store is locked. What is in it stays, which LMDB wants of processes that are gone. */
function reserveLockFile(path: string): void {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    const { size, blocks } = fstatSync(file);
    if (size >= LOCK_BYTES && blocks * BLOCK_BYTES >= size) return;
    const content = Buffer.alloc(Math.max(size, LOCK_BYTES));
    readSync(file, content, 0, size, 0);
    if (writeSync(file, content, 0, content.length, 0) < content.length) throw noSpace();
  } finally {
    closeSync(file);
  }
}

function noSpace(): Error {
  return Object.assign(new Error('short write'), { code: 'ENOSPC' });
}

/** Makes sure that there is room for a new file. */
function probe(path: string): void {
  const file = openSync(path, 'w', 0o600);
  try {
    if (writeSync(file, Buffer.alloc(NEW_BYTES)) < NEW_BYTES) throw noSpace();
  } finally {
    closeSync(file);
    unlinkSync(path);
  }
}

function checkPages(path: string, size: number): void {
  accessSync(path, constants.R_OK | constants.W_OK);
  const file = openSync(path, 'r');
  try {
    const first = readMeta(path, file, 0);
    const second = readMeta(path, file, first.pageBytes);
    const { lastPage } = first.transaction >= second.transaction ? first : second;
    const missing = lastPage + 1 - size / first.pageBytes;
    if (missing > MAX_MISSING_PAGES) throw storeCorrupt(path, `${Math.floor(missing)} pages are missing at its end`);
  } finally {
    closeSync(file);
  }
}

function readMeta(path: string, file: number, at: number): { pageBytes: number; lastPage: number; transaction: number } {
  const page = Buffer.alloc(META_BYTES);
  const isComplete = readSync(file, page, 0, META_BYTES, at) === META_BYTES;
  if (endianness() === 'BE') swap(page);
  if (!isComplete || (page.readUInt16LE(18) & META_PAGE) === 0 || page.readUInt32LE(24) !== MAGIC)
    throw storeCorrupt(path, 'it is not an LMDB file');
  const version = page.readUInt32LE(28) & 0xffff;
  if (version !== VERSION) throw storeCorrupt(path, `it is of LMDB data version ${version}, not ${VERSION}`);
  const pageBytes = page.readUInt32LE(48);
  if (pageBytes < 512 || pageBytes > 65_536) throw storeCorrupt(path, `its pages are of ${pageBytes} bytes`);
  return { pageBytes, lastPage: Number(page.readBigUInt64LE(144)), transaction: Number(page.readBigUInt64LE(152)) };
}

/** Of the fields read, each in place. */
function swap(page: Buffer): void {
  page.subarray(18, 20).swap16();
  for (const at of [24, 28, 48]) page.subarray(at, at + 4).swap32();
  for (const at of [144, 152]) page.subarray(at, at + 8).swap64();
}
