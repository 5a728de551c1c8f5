/**
 * Loads LMDB's native part inside the single executable. A shared library cannot be
 * loaded from memory, so it is unpacked once into a private directory, compared with
 * the embedded copy at every start, and loaded from there. The bundler puts this
 * module in the place of the package that finds native parts in `node_modules`.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { getRawAsset } from 'node:sea';
import { cacheDirectories, claimPrivateDirectory } from './private-directory.ts';

/** The asset's name in the executable. */
export const LMDB_ASSET = 'lmdb.node';

const PREFIX = 'lmdb-';

/** The native part could be unpacked or loaded nowhere; lists what was tried. */
export class NativeAddonError extends Error {
  override readonly name = 'NativeAddonError';
  readonly code = 'ERR_NATIVE_ADDON';
}

/**
 * Unpacks and loads; called once per thread, by LMDB's JavaScript.
 *
 * @throws NativeAddonError if no directory will do; the operator sets ROOKERY_CACHE_DIR.
 */
export default function loadNativeAddon(): unknown {
  const contents = new Uint8Array(getRawAsset(LMDB_ASSET) as ArrayBuffer);
  const failures: string[] = [];
  for (const directory of cacheDirectories(process.env)) {
    try {
      const module = { exports: {} };
      // A directory may be on a file system mounted noexec: only loading tells.
      process.dlopen(module, unpack(contents, directory));
      return module.exports;
    } catch (error) {
      failures.push(`${directory}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new NativeAddonError(
    `The native part of the store cannot be loaded. Set ROOKERY_CACHE_DIR to a directory that this user owns, on a file system that allows execution.\nTried: ${failures.join('; ')}`,
  );
}

/**
 * Puts `contents` into `directory` under a name made of its hash, unless it is there
 * already, and returns its path. A file of that name with other contents is replaced.
 */
export function unpack(contents: Uint8Array, directory: string): string {
  claimPrivateDirectory(directory);
  const name = `${PREFIX}${createHash('sha256').update(contents).digest('hex')}.node`;
  const path = join(directory, name);
  if (existsSync(path) && readFileSync(path).equals(contents)) return path;
  // Several threads or processes may be here at once: each writes its own file, and the last rename wins.
  const draft = join(directory, `${name}.${randomBytes(8).toString('hex')}`);
  try {
    writeFileSync(draft, contents, { flag: 'wx', mode: 0o600, flush: true });
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  removeOthers(directory, name);
  return path;
}

/** What older versions unpacked. A running one keeps its mapping, and unpacks again for its next thread. */
function removeOthers(directory: string, name: string): void {
  for (const other of readdirSync(directory)) {
    if (!other.startsWith(PREFIX) || !other.endsWith('.node') || other === name) continue;
    try {
      unlinkSync(join(directory, other));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}
