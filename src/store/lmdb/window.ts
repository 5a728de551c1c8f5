/** Changes read from the journals that are written to LMDB together. */
import { storeCorrupt } from '../errors.ts';
import type { Packed } from '../tuple.ts';
import { Changes, unchanged } from './changes.ts';
import type { ChangedPartition } from './changes.ts';
import { DELETE, DELETE_HEADER_BYTES, DELETE_IN_RUN, ERASE, PUT, PUT_HEADER_BYTES, PUT_IN_RUN, TRACK } from './journal.ts';
import type { JournalRecord, Position } from './tail.ts';

export class Window {
  readonly changes: Changes<ChangedPartition>;
  /** How far each journal is read, by instance. */
  readonly positions = new Map<number, Position>();
  /** Journal bytes, the measure of memory and of the time it will take. */
  bytes = 0;
  groups = 0;
  /** The highest. */
  tick = 0;
  /** Of `Shared.crowded`, from before the journals were read. */
  crowded = 0;
  /** Those that changes lie in, and their numbers there. Groups of several threads alternate, and so do their chunks. */
  readonly #chunks = new Map<Buffer, number>();
  /** Of the last group. */
  #chunk: Buffer | undefined;
  #chunkNumber = 0;

  constructor() {
    this.changes = new Changes(unchanged);
  }

  get isEmpty(): boolean {
    return this.positions.size === 0;
  }

  /** Whether something of it lies there. */
  has(chunk: Buffer): boolean {
    return this.#chunks.has(chunk);
  }

  /** Makes it as it was in the beginning, but keeps what memory it has for changes: the next one is as large. Returns the chunks they lay in, each once. */
  clear(): Buffer[] {
    this.positions.clear();
    this.bytes = this.groups = this.tick = this.crowded = 0;
    this.#chunk = undefined;
    this.changes.clear();
    const chunks = [...this.#chunks.keys()];
    this.#chunks.clear();
    return chunks;
  }

  /** Takes in one group. Records must come in the order of their ticks. */
  add({ chunk, start, end, tick }: JournalRecord): void {
    if (chunk !== this.#chunk) {
      this.#chunk = chunk;
      this.#chunkNumber = this.#numberOf(chunk);
    }
    let at = start;
    while (at < end) {
      const partitionBytes = chunk.readUInt16LE(at);
      const count = chunk.readUInt32LE(at + 2);
      const partition = chunk.toString('latin1', at + 6, at + 6 + partitionBytes);
      at = this.#addBatch(partition, chunk, at + 6 + partitionBytes, count, tick);
    }
    if (at !== end) throw storeCorrupt('the journal', 'a group of changes has the wrong length');
    this.bytes += end - start;
    this.groups++;
    if (tick > this.tick) this.tick = tick;
  }

  #numberOf(chunk: Buffer): number {
    let number = this.#chunks.get(chunk);
    if (number === undefined) {
      number = this.changes.addChunk(chunk);
      this.#chunks.set(chunk, number);
    }
    return number;
  }

  #addBatch(packed: Packed, chunk: Buffer, from: number, count: number, tick: number): number {
    const partition = this.changes.open(packed);
    let at = from;
    for (let i = 0; i < count; i++) {
      this.changes.add(partition, this.#chunkNumber, at, tick);
      at += lengthOf(chunk, at);
    }
    return at;
  }
}

function lengthOf(chunk: Buffer, at: number): number {
  const kind = chunk[at];
  if (kind === PUT || kind === PUT_IN_RUN) return PUT_HEADER_BYTES + chunk.readUInt16LE(at + 1) + chunk.readUInt32LE(at + 3);
  if (kind === DELETE || kind === DELETE_IN_RUN) return DELETE_HEADER_BYTES + chunk.readUInt16LE(at + 1);
  if (kind === ERASE || kind === TRACK) return 1;
  throw storeCorrupt('the journal', `a change is of the unknown kind ${kind}`);
}
