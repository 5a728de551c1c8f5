/** How many connections the system allows for. */
import { readFileSync } from 'node:fs';

/**
 * The most file descriptors this process may have, of which each connection takes one. When they are used up new
 * connections are closed without anyone being told, so the time to compare it with the configured limits is the start.
 *
 * @returns `undefined` where the system does not say (only Linux does).
 */
export function openFileLimit(): number | undefined {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return undefined;
  }
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  if (soft === undefined) return undefined;
  return soft === 'unlimited' ? Infinity : Number(soft);
}
