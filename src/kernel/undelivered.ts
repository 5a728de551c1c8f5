import type { BounceReason, Message } from './actor.ts';
import { bytesOf, DEFAULT_MESSAGE_BYTES } from './mailbox.ts';
import type { ReturnAddress } from './mailbox.ts';
import type { EnvelopeSink } from './wire.ts';

/** Who takes back what is not delivered. */
export interface UndeliveredHost {
  /** Gives a message back to its sender; false. */
  bounce(from: ReturnAddress, ask: number, message: Message, reason: BounceReason): false;
  /** `message` (or an answer) of actor `from` cannot be cloned; 0 where it is not known whose it is. */
  notCloneable(from: number, error: unknown): void;
}

/** Gives messages that were never posted back to their senders; questions fail with their worker. */
export class Returning implements EnvelopeSink {
  readonly #host: UndeliveredHost;

  constructor(host: UndeliveredHost) {
    this.#host = host;
  }

  send(_to: number, message: Message, from: ReturnAddress, ask: number): void {
    this.#host.bounce(from, ask, message, 'worker_down');
  }

  sendNamed(_entity: string, _key: string, message: Message, from: ReturnAddress, ask: number): void {
    this.#host.bounce(from, ask, message, 'worker_down');
  }

  answer(): void {}
  bounce(): void {}
  monitor(): void {}
  demonitor(): void {}
  down(): void {}
  restarted(): void {}
}

/** Finds the envelopes that structured clone refuses. */
export class CloneProbe implements EnvelopeSink {
  readonly #host: UndeliveredHost;
  readonly failedAnswers: number[] = [];
  isSound = true;
  removedEnvelopes = 0;
  removedBytes = 0;

  constructor(host: UndeliveredHost) {
    this.#host = host;
  }

  send(_to: number, message: Message, from: ReturnAddress, ask: number): void {
    this.#probe(message, from?.id ?? 0, bytesOf(message));
    // An actor that asked crashes; code outside has to be told.
    if (!this.isSound && ask !== 0 && from?.id === 0) this.#host.bounce(from, ask, message, 'no_actor');
  }

  sendNamed(_entity: string, _key: string, message: Message, from: ReturnAddress, ask: number): void {
    this.send(0, message, from, ask);
  }

  answer(ask: number, ok: boolean, result: unknown): void {
    this.#probe(result, 0, DEFAULT_MESSAGE_BYTES);
    if (!this.isSound && ok) this.failedAnswers.push(ask);
  }

  bounce(_to: number, message: Message): void {
    this.#probe(message, 0, bytesOf(message));
  }

  monitor(): void {}
  demonitor(): void {}
  down(): void {}
  restarted(): void {}

  #probe(value: unknown, from: number, bytes: number): void {
    try {
      structuredClone(value);
    } catch (error) {
      this.isSound = false;
      this.removedEnvelopes++;
      this.removedBytes += bytes;
      this.#host.notCloneable(from, error);
    }
  }
}
