/** A worker as the main thread holds it, whether it is a thread or runs in this one. */
import type { WorkerStatus } from '../core/server-status.ts';
import type { ListeningPorts, WorkerControl, WorkerFigures } from './worker-control.ts';

/** Every method of the control interface as a promise: it may be in another thread. */
export type AsyncControl = {
  readonly [K in keyof WorkerControl]: (...args: Parameters<WorkerControl[K]>) => Promise<Awaited<ReturnType<WorkerControl[K]>>>;
};

export interface WorkerHandle {
  readonly index: number;
  readonly state: WorkerStatus['state'];
  readonly control: AsyncControl;
  readonly ports: ListeningPorts;
  status(): Promise<WorkerStatus>;
  /** Ends it at once, as a crash would: for drills. */
  kill(): Promise<void>;
  /** Drains and ends it. Resolves in any case. */
  stop(): Promise<void>;
}

/** The part of the status that needs the worker's word. */
export function workerStatus(
  index: number,
  state: WorkerStatus['state'],
  restarts: number,
  figures: WorkerFigures | undefined,
): WorkerStatus {
  return {
    worker: index,
    state,
    restarts,
    connections: figures?.connections ?? 0,
    sessions: figures?.sessions ?? 0,
    loopDelayP99Ms: figures?.loopDelayP99Ms ?? 0,
    heapBytes: figures?.heapBytes ?? 0,
  };
}
