/**
 * A directory that only this user can write to, for files that will be executed.
 * Elsewhere another user could put a file of the expected name first.
 */
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * Makes `path` (mode 0700) unless it is there, and checks that it is a real directory of
 * this user's that nobody else may enter.
 *
 * @throws Error with a sentence that says what is wrong with it, or the system's error.
 */
export function claimPrivateDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const stat = lstatSync(path);
  if (!stat.isDirectory()) throw new Error(`${path} is not a directory`);
  if (process.getuid !== undefined && stat.uid !== process.getuid()) throw new Error(`${path} belongs to another user`);
  if ((stat.mode & 0o077) !== 0) chmodSync(path, 0o700);
}

/**
 * Where the executable may unpack its native parts, best first. The environment may be
 * empty and the user may have no home, as in containers; what is set explicitly is not
 * second-guessed.
 */
export function cacheDirectories(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const chosen = env['ROOKERY_CACHE_DIR'];
  if (chosen !== undefined && chosen !== '') return [chosen];
  const directories: string[] = [];
  for (const base of [env['XDG_CACHE_HOME'], homeCache(), env['XDG_RUNTIME_DIR']]) {
    if (base !== undefined && isAbsolute(base)) directories.push(join(base, 'rookery'));
  }
  directories.push(join(tmpdir(), `rookery-${process.getuid?.() ?? 'cache'}`));
  return directories;
}

/** `homedir` throws for a user that has no entry in the password database. */
function homeCache(): string | undefined {
  try {
    return join(homedir(), '.cache');
  } catch {
    return undefined;
  }
}
