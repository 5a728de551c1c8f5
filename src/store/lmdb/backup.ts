/** Online backup: a compacted copy of the LMDB environment as of one transaction, checked by opening it. */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError, storeErrorFrom } from '../errors.ts';
import { checkDataFile } from './data-file.ts';
import { checkFormat, Env } from './env.ts';

/** The environment's file, within the store's directory and within a backup: a backup is a store. */
export const DATA_FILE = 'store.mdb';

/**
 * Copies into `directory`, which must be new or empty. Throws a StoreError (ERR_STORE_BACKUP, ERR_STORE_FULL, …)
 * and leaves no half copy behind.
 */
export async function backUp(env: Env, directory: string): Promise<void> {
  const path = join(directory, DATA_FILE);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (readdirSync(directory).length > 0) {
      throw new StoreError('ERR_STORE_BACKUP', `The directory ${directory} is not empty. Name a new one for each backup.`);
    }
  } catch (error) {
    throw storeErrorFrom(error, directory);
  }
  try {
    await env.copyTo(path);
    await verify(path);
    sync(path);
    sync(directory);
  } catch (error) {
    for (const name of readdirSync(directory)) rmSync(join(directory, name), { force: true });
    throw storeErrorFrom(error, directory);
  }
}

/** Reads every row: a page that cannot be read must show now. */
async function verify(path: string): Promise<void> {
  checkDataFile(path);
  const copy = Env.open(path, true);
  try {
    checkFormat(copy);
    await copy.readAll();
  } finally {
    await copy.close();
    rmSync(`${path}-lock`, { force: true });
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
