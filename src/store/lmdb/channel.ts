/**
 * How the threads of the process find the one that opened the store first, and ask its applier. A
 * BroadcastChannel named after the directory needs no wiring between whoever starts the threads.
 */
import { BroadcastChannel, threadId } from 'node:worker_threads';
import { StoreError, storeClosed } from '../errors.ts';
import type { StoreErrorCode } from '../errors.ts';
import type { Packed } from '../tuple.ts';

/** Asked again this often: the first opener may still be recovering, or not be listening yet. */
const ASK_MS = 50;

/** What a thread that reads and commits needs of the applier. */
export interface ApplierLink {
  /** All that was appended before is in LMDB when it settles. Rejects with a StoreError. */
  flush(): Promise<void>;
  flushPartition(partition: Packed, tag: number): Promise<void>;
  wake(): void;
}

type ToFirst =
  | { readonly kind: 'attach'; readonly from: string }
  | { readonly kind: 'flush'; readonly from: string; readonly request: number; readonly partition?: Packed; readonly tag: number }
  | { readonly kind: 'wake' };

type FromFirst =
  | { readonly kind: 'attached'; readonly to: string; readonly buffer: SharedArrayBuffer }
  | {
      readonly kind: 'flushed';
      readonly to: string;
      readonly request: number;
      readonly failure?: { readonly code: StoreErrorCode; readonly message: string };
    }
  | { readonly kind: 'closed' };

let openers = 0;

/** The side of the first opener. */
export class FirstOpener {
  readonly #channel: BroadcastChannel;
  readonly #link: ApplierLink;
  readonly #buffer: SharedArrayBuffer;

  constructor(directory: string, link: ApplierLink, buffer: SharedArrayBuffer) {
    this.#link = link;
    this.#buffer = buffer;
    this.#channel = new BroadcastChannel(channelName(directory));
    this.#channel.onmessage = (event) => this.#on(event.data as ToFirst);
    this.#channel.unref();
  }

  close(): void {
    this.#send({ kind: 'closed' });
    this.#channel.close();
  }

  #on(message: ToFirst): void {
    if (message.kind === 'attach') this.#send({ kind: 'attached', to: message.from, buffer: this.#buffer });
    else if (message.kind === 'wake') this.#link.wake();
    else if (message.kind === 'flush') {
      const { from: to, request, partition, tag } = message;
      const done = partition === undefined ? this.#link.flush() : this.#link.flushPartition(partition, tag);
      done.then(
        () => this.#send({ kind: 'flushed', to, request }),
        (error: StoreError) => this.#send({ kind: 'flushed', to, request, failure: { code: error.code, message: error.message } }),
      );
    }
  }

  #send(message: FromFirst): void {
    try {
      this.#channel.postMessage(message);
    } catch {
      // Closed meanwhile: who asked is told by 'closed'.
    }
  }
}

/** The side of every later opener in another thread. */
export class LaterOpener implements ApplierLink {
  readonly #channel: BroadcastChannel;
  readonly #name = `${threadId}.${++openers}`;
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  #requests = 0;
  #isClosed = false;
  #attached: ((buffer: SharedArrayBuffer) => void) | undefined;

  constructor(directory: string) {
    this.#channel = new BroadcastChannel(channelName(directory));
    this.#channel.onmessage = (event) => this.#on(event.data as FromFirst);
  }

  /** The memory shared with the first opener; `undefined` if nobody answers for `timeoutMs`. */
  async attach(timeoutMs: number): Promise<SharedArrayBuffer | undefined> {
    const { promise, resolve } = Promise.withResolvers<SharedArrayBuffer | undefined>();
    this.#attached = resolve;
    const ask = (): void => this.#channel.postMessage({ kind: 'attach', from: this.#name } satisfies ToFirst);
    const again = setInterval(ask, ASK_MS);
    const giveUp = setTimeout(() => resolve(undefined), timeoutMs);
    ask();
    const buffer = await promise;
    clearInterval(again);
    clearTimeout(giveUp);
    this.#attached = undefined;
    this.#channel.unref();
    return buffer;
  }

  flush(): Promise<void> {
    return this.#request();
  }

  flushPartition(partition: Packed, tag: number): Promise<void> {
    return this.#request(partition, tag);
  }

  wake(): void {
    if (!this.#isClosed) this.#channel.postMessage({ kind: 'wake' } satisfies ToFirst);
  }

  close(): void {
    this.#fail();
    this.#channel.close();
  }

  #request(partition?: Packed, tag = 0): Promise<void> {
    if (this.#isClosed) return Promise.reject(storeClosed());
    const request = ++this.#requests;
    const waiter = Promise.withResolvers<void>();
    this.#waiting.set(request, waiter);
    this.#channel.ref();
    this.#channel.postMessage({
      kind: 'flush',
      from: this.#name,
      request,
      tag,
      ...(partition === undefined ? {} : { partition }),
    } satisfies ToFirst);
    return waiter.promise;
  }

  #on(message: FromFirst): void {
    if (message.kind === 'closed') this.#fail();
    else if (message.kind === 'attached' && message.to === this.#name) this.#attached?.(message.buffer);
    else if (message.kind === 'flushed' && message.to === this.#name) {
      const waiter = this.#waiting.get(message.request);
      this.#waiting.delete(message.request);
      if (this.#waiting.size === 0) this.#channel.unref();
      if (message.failure === undefined) waiter?.resolve();
      else waiter?.reject(new StoreError(message.failure.code, message.failure.message));
    }
  }

  #fail(): void {
    this.#isClosed = true;
    for (const waiter of this.#waiting.values()) waiter.reject(storeClosed());
    this.#waiting.clear();
    this.#channel.unref();
  }
}

function channelName(directory: string): string {
  return `rookery-store:${directory}`;
}
