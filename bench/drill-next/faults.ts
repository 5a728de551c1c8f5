/** What a drill breaks, and when. */
import type { Random } from './random.ts';

/**
 * `kill`: SIGKILL, and the process is started again; some clients stay away meanwhile. `start_kill`: the same, and another SIGKILL while
 * it starts. `worker_kill`: a worker thread ends. `actor_crash`: an actor throws. `cut`: a client's socket breaks. `half_open`: the client
 * comes back on a new socket while the server still believes in the old one. `away`: cut, and back after a while.
 */
export const FAULT_KINDS = ['kill', 'start_kill', 'worker_kill', 'actor_crash', 'cut', 'half_open', 'away'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export type FaultCounts = Readonly<Partial<Record<FaultKind, number>>>;

export interface PlannedFault {
  readonly atMs: number;
  readonly kind: FaultKind;
}

/** Share of the time, at either end, without faults. */
const MARGIN = 0.03;
/** Kills keep this share of the time between them free, at either end, so that clients come back from one before the next. */
const SLOT_MARGIN = 0.15;

/** At random moments; process kills spread over the whole time, one in each part of it. */
export function planFaults(counts: FaultCounts, durationMs: number, random: Random): PlannedFault[] {
  const from = durationMs * MARGIN;
  const span = durationMs * (1 - 2 * MARGIN);
  const faults: PlannedFault[] = [];
  const kills: FaultKind[] = shuffled(
    [...repeated<FaultKind>('kill', counts.kill), ...repeated<FaultKind>('start_kill', counts.start_kill)],
    random,
  );
  const slot = span / Math.max(kills.length, 1);
  for (const [i, kind] of kills.entries()) faults.push({ atMs: from + slot * (i + random.between(SLOT_MARGIN, 1 - SLOT_MARGIN)), kind });
  for (const kind of FAULT_KINDS) {
    if (kind === 'kill' || kind === 'start_kill') continue;
    for (const each of repeated(kind, counts[kind])) faults.push({ atMs: from + random.between(0, span), kind: each });
  }
  return faults.sort((one, other) => one.atMs - other.atMs);
}

function repeated<T>(item: T, times = 0): T[] {
  return Array.from({ length: times }, () => item);
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return random.sample(items, items.length);
}
