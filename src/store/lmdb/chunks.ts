/** Memory that groups of changes lie in, used again: fresh memory costs more than the write, and makes the engine collect all of its heap. */

/** Several groups of a busy worker. */
export const CHUNK_BYTES = 1024 * 1024;
/** What is kept of it when a burst is over. */
const MAX_SPARE_CHUNKS = 16;

export class Chunks {
  readonly #spare: Buffer[] = [];

  /** One of CHUNK_BYTES, or of more where so many are needed; with anything in it. */
  take(bytes: number): Buffer {
    return (bytes <= CHUNK_BYTES ? this.#spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes));
  }

  /** Takes back one that nothing lies in any more. */
  giveBack(chunk: Buffer): void {
    if (chunk.length === CHUNK_BYTES && this.#spare.length < MAX_SPARE_CHUNKS) this.#spare.push(chunk);
  }
}
