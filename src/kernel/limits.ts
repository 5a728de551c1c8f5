import type { MailboxLimits, RestartIntensity } from './actor.ts';
import { DEFAULT_MAILBOX } from './mailbox.ts';

/** Every bound of one kernel. All of them have defaults; src/config maps what operators may tune. */
export interface KernelLimits {
  /** Messages one actor may handle before the next one's turn. */
  readonly turnBudget: number;
  /** How long actors run before the event loop gets a chance. */
  readonly sliceMs: number;
  /** Actors at once on this worker; at most 2^20. More: `spawn` throws, mail for entities bounces as `no_actor`. */
  readonly maxActors: number;
  /** Of machines that do not say. Overflow: the message bounces as `mailbox_full`. */
  readonly mailbox: MailboxLimits;
  /** Of machines that do not say. */
  readonly intensity: RestartIntensity;
  /**
   * Turns of one actor that wait for a barrier, those of lives before a crash among them. At the limit the actor
   * handles no more mail, and is not rebuilt if it has crashed, until one settles.
   */
  readonly maxHeldTurns: number;
  /** Events one actor keeps postponed. Overflow: the actor crashes, for it waits for a state change that does not come. */
  readonly maxPostponed: number;
  /** Questions one actor was asked and has not answered. Overflow: the oldest is forgotten; its asker waits for its timeout. */
  readonly maxOpenAsks: number;
  /** Envelopes gathered for another worker before they are posted within a slice; at its end all are. */
  readonly batchEnvelopes: number;
  /** How long envelopes may wait for the end of a long slice. */
  readonly batchMs: number;
  /** Posted to one worker and not acknowledged by it. Overflow: envelopes queue here. */
  readonly maxUnackedEnvelopes: number;
  readonly maxUnackedBytes: number;
  /** Queued here for one worker. Overflow: the message bounces as `bridge_full`. */
  readonly maxQueuedEnvelopes: number;
  readonly maxQueuedBytes: number;
}

export const DEFAULT_LIMITS: KernelLimits = {
  turnBudget: 32,
  sliceMs: 8,
  maxActors: 1_048_576,
  mailbox: DEFAULT_MAILBOX,
  intensity: { maxRestarts: 3, withinMs: 10_000 },
  maxHeldTurns: 1024,
  maxPostponed: 1024,
  maxOpenAsks: 4096,
  batchEnvelopes: 256,
  batchMs: 1,
  maxUnackedEnvelopes: 16_384,
  maxUnackedBytes: 16_777_216,
  maxQueuedEnvelopes: 65_536,
  maxQueuedBytes: 67_108_864,
};
