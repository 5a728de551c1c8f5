/** An account that was asked did not answer: 'timeout', 'mailbox_full', 'worker_down', 'crashed', … */
import type { AskFailure } from '../kernel/actor.ts';

export class AskError extends Error {
  readonly failure: AskFailure;
  constructor(failure: AskFailure) {
    super(`no answer: ${failure}`);
    this.name = 'AskError';
    this.failure = failure;
  }
}
