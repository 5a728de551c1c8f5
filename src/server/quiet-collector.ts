/**
 * Gives memory back when a worker has become quiet. V8 collects garbage when it needs room, not when it has time: after
 * many logins a heap is twice what is alive in it, and stays so, since idle sessions need no room.
 */
import { performance } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';

/** How often it is looked whether the worker is quiet, and how many times in a row it has to be. */
export const LOOK_MS = 5_000;
const QUIET_LOOKS = 2;
/** Share of the time in which a quiet worker does anything. */
const QUIET_SHARE = 0.05;
/** Only where so much was added since the last time: collecting again would find little. */
const MIN_GROWTH = 1.2;
const MIN_GROWTH_BYTES = 8 * 1024 * 1024;
/** Of a larger heap the pause, about a millisecond for each 2 MiB that are alive, would be felt. */
const MAX_USED_BYTES = 512 * 1024 * 1024;

/** A worker as the collector sees it. */
export interface WorkerHeap {
  /** Share of the time since the last call, 0 to 1, in which the event loop was busy. */
  busyShare(): number;
  /** What is taken from the system, and how much of it holds objects, alive or not. */
  bytes(): { readonly total: number; readonly used: number };
  collect(): void;
}

export class QuietCollector {
  private readonly heap: WorkerHeap;
  private quietLooks = 0;
  /** Taken from the system after the last collection. */
  private keptBytes = 0;

  constructor(heap: WorkerHeap) {
    this.heap = heap;
  }

  /** To be called every `LOOK_MS`. Collects at most once for each growth. */
  look(): void {
    const { heap } = this;
    if (heap.busyShare() >= QUIET_SHARE) {
      this.quietLooks = 0;
      return;
    }
    if (++this.quietLooks < QUIET_LOOKS) return;
    const { total, used } = heap.bytes();
    if (total < this.keptBytes * MIN_GROWTH + MIN_GROWTH_BYTES || used > MAX_USED_BYTES) return;
    heap.collect();
    this.keptBytes = heap.bytes().total;
    heap.busyShare(); // that was not the worker's work
  }
}

/** For the main thread, before it starts workers: threads that start from then on can collect when they like. */
export function allowCollecting(): void {
  setFlagsFromString('--expose-gc');
}

/** This thread; undefined where it may not collect, as in a program that embeds the server. */
export function ownHeap(): WorkerHeap | undefined {
  const { gc } = globalThis;
  if (gc === undefined) return undefined;
  let last = performance.eventLoopUtilization();
  return {
    busyShare() {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
    bytes() {
      const { total_heap_size: total, used_heap_size: used } = getHeapStatistics();
      return { total, used };
    },
    // The one kind that gives pages back to the system.
    collect: () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
  };
}
