/** The Commit both backends hand out. */
import { StoreError } from './errors.ts';
import type { Commit } from './store.ts';

/** One group's outcome, shared by all its batches. */
export class GroupCommit implements Commit {
  settled = false;
  error: Error | undefined = undefined;
  #callbacks: (() => void)[] = [];
  #promise: Promise<void> | undefined;

  onSettled(callback: () => void): void {
    if (this.settled) callback();
    else this.#callbacks.push(callback);
  }

  /** Made only when asked for: actors hold the commit and never need it, and no rejection goes unhandled. */
  get promise(): Promise<void> {
    this.#promise ??= new Promise((resolve, reject) => {
      this.onSettled(() => (this.error === undefined ? resolve() : reject(this.error)));
    });
    return this.#promise;
  }

  /** Once. A callback that throws is our bug: it surfaces, and the others still run. */
  settle(error?: Error): void {
    this.settled = true;
    this.error = error;
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) {
      try {
        callback();
      } catch (thrown) {
        queueMicrotask(() => {
          throw thrown;
        });
      }
    }
  }
}

/** A commit that was over before it began: refused, or with nothing to write. */
export function settledCommit(error?: Error): GroupCommit {
  const commit = new GroupCommit();
  commit.settle(error);
  return commit;
}

/** The commit that `begin` returns; what cannot be stored is the commit's failure, not the caller's. */
export function orRefused(begin: () => Commit): Commit {
  try {
    return begin();
  } catch (error) {
    if (error instanceof StoreError) return settledCommit(error);
    throw error;
  }
}
