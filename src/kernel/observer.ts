import type { ActorRef, ExitReason } from './actor.ts';

/** One crash of one actor: what a log line needs, without the data. */
export interface CrashReport {
  readonly ref: ActorRef;
  readonly machine: string;
  /** What `describe` says of the data, where that still works. */
  readonly description: string | undefined;
  readonly state: string;
  /** Kind of the event whose handling failed; `init` where there was none yet. */
  readonly event: string;
  readonly error: unknown;
  /** Crashes within the machine's window, this one included. */
  readonly crashes: number;
  /** False when the intensity is exceeded and the actor ends. */
  readonly willRestart: boolean;
}

/** Code that must not throw and did; the kernel went on without it. */
export interface FailureReport {
  readonly what: 'terminate' | 'effect' | 'slice_hook' | 'exit_callback' | 'room_callback' | 'trace_sink' | 'not_cloneable';
  readonly machine: string | undefined;
  readonly error: unknown;
}

/** How the kernel, which does not log, tells of what an operator may want to know. Called synchronously: keep it short. */
export interface KernelObserver {
  crashed?(report: CrashReport): void;
  /** An actor is over; also for those that ended in order. */
  ended?(ref: ActorRef, machine: string, reason: ExitReason): void;
  failed?(report: FailureReport): void;
  workerUp?(worker: number): void;
  workerDown?(worker: number): void;
}
