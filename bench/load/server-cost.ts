/** What a server process costs, read from /proc: CPU time of all its threads and children, and memory. Linux only. */
import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** The processes and their descendants. */
export function processTree(pids: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = statFields(Number(name))?.[1];
    if (parent === undefined) continue;
    const list = children.get(Number(parent)) ?? [];
    list.push(Number(name));
    children.set(Number(parent), list);
  }
  const tree = new Set(pids);
  for (const each of tree) for (const child of children.get(each) ?? []) tree.add(child);
  return [...tree];
}

/** Microseconds of CPU, user and system, of all threads and children so far, those that have ended included. */
export function cpuMicros(pids: readonly number[]): number {
  let ticks = 0;
  for (const each of processTree(pids)) {
    const fields = statFields(each);
    if (fields !== undefined) for (const at of [11, 12, 13, 14]) ticks += Number(fields[at]);
  }
  return (ticks * 1_000_000) / TICKS_PER_SECOND;
}

/** Proportional set size in bytes: what the processes keep in memory, shared pages counted by share. */
export function pssBytes(pids: readonly number[]): number {
  let kib = 0;
  for (const each of processTree(pids)) {
    try {
      kib += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${each}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // it ended meanwhile
    }
  }
  return kib * 1024;
}

/** Fields of /proc/PID/stat after the command name; [1] is the parent, [11] and [12] user and system ticks, [13] and [14] those of ended children. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
