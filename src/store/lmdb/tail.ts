/** Reads one journal from where it was left, while its thread may still be appending to it. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { StoreError } from '../errors.ts';
import { CLOSE, FILE_HEADER_BYTES, JOURNAL_FORMAT, MAGIC, RECORD_HEADER_BYTES, segmentName } from './journal.ts';
import type { JournalName } from './journal.ts';

/** Read at once, so that many small records cost one read(2). */
const CHUNK_BYTES = 1024 * 1024;

/** How far a journal is read: all before `offset` of `segment`, the last record having `tick`. */
export interface Position {
  readonly segment: number;
  readonly offset: number;
  readonly tick: number;
}

export const START: Position = { segment: 0, offset: 0, tick: 0 };

/** A complete record. Its chunk is not written to again: slices of it may be kept. */
export interface JournalRecord {
  readonly tick: number;
  readonly chunk: Buffer;
  /** The body's bounds within the chunk. */
  readonly start: number;
  readonly end: number;
}

export class Tail {
  readonly name: JournalName;
  readonly #directory: string;
  #segments: readonly number[] = [];
  #segment: number;
  #offset: number;
  #tick: number;
  #file = -1;
  #size = 0;
  #seed = 0;
  #chunk: Buffer = Buffer.alloc(0);
  #chunkOffset = 0;
  #chunkBytes = 0;
  #next: JournalRecord | undefined;
  #nextOffset = 0;
  /** Nothing more to be found before the next refresh. */
  #isAtEnd = false;
  #isClosed = false;
  #discardedBytes = 0;

  constructor(directory: string, name: JournalName, { segment, offset, tick }: Position) {
    this.#directory = directory;
    this.name = name;
    this.#segment = segment;
    this.#offset = offset;
    this.#tick = tick;
  }

  get position(): Position {
    return { segment: this.#segment, offset: this.#offset, tick: this.#tick };
  }

  /** Its thread has said that nothing follows. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Bytes after the last complete record of segments that are over. */
  get discardedBytes(): number {
    return this.#discardedBytes;
  }

  /** Looks again at what there is. `segments`: those of this journal, listed before, ascending. */
  refresh(segments: readonly number[]): void {
    this.#segments = segments;
    this.#isAtEnd = false;
    if (this.#file >= 0) this.#size = fs.fstatSync(this.#file).size;
  }

  /** The next complete record there was at `refresh`; `undefined` at the end. Throws ERR_STORE_NEWER, or what fs throws. */
  peek(): JournalRecord | undefined {
    while (this.#next === undefined && !this.#isAtEnd) {
      if (this.#file < 0 ? !this.#open() : !this.#read()) {
        // It may have been read in the middle of a write, or of taking back a failed one: look again next time.
        this.#chunkBytes = 0;
        this.#isAtEnd = !this.#moveOn();
      } else if (this.#next !== undefined && this.#isCloseRecord()) {
        this.#isClosed = true;
        this.advance();
      }
    }
    return this.#next;
  }

  /** Goes past the record that `peek` returned. */
  advance(): void {
    if (this.#next !== undefined) this.#advanceTo(this.#next);
  }

  close(): void {
    if (this.#file >= 0) fs.closeSync(this.#file);
    this.#file = -1;
  }

  /** What is left at the end of a journal that nobody writes any more. */
  get remainingBytes(): number {
    return this.#file < 0 ? 0 : this.#size - this.#offset;
  }

  #isCloseRecord(): boolean {
    return this.#chunk[this.#nextOffset - this.#chunkOffset + 16] === CLOSE;
  }

  #advanceTo(record: JournalRecord): void {
    this.#tick = record.tick;
    this.#offset = this.#nextOffset + (record.end - record.start) + RECORD_HEADER_BYTES;
    this.#next = undefined;
  }

  /** Opens the segment; false while it has no complete header. */
  #open(): boolean {
    if (!this.#segments.includes(this.#segment)) return false;
    const file = fs.openSync(join(this.#directory, segmentName(this.name, this.#segment)), 'r');
    this.#size = fs.fstatSync(file).size;
    const header = Buffer.alloc(FILE_HEADER_BYTES);
    const isComplete =
      fs.readSync(file, header, 0, FILE_HEADER_BYTES, 0) === FILE_HEADER_BYTES && header.toString('latin1', 0, 8) === MAGIC;
    if (isComplete && header.readUInt32LE(8) > JOURNAL_FORMAT) {
      fs.closeSync(file);
      throw new StoreError(
        'ERR_STORE_NEWER',
        `The journal ${segmentName(this.name, this.#segment)} was written by a newer release. Start that release, and stop it once, before this one.`,
      );
    }
    if (!isComplete || header.readUInt32LE(24) !== crc32(header.subarray(0, 24)) || header.readDoubleLE(16) !== this.name.instance) {
      fs.closeSync(file);
      return false;
    }
    this.#file = file;
    this.#seed = header.readUInt32LE(24);
    this.#chunkBytes = 0;
    if (this.#offset < FILE_HEADER_BYTES) this.#offset = FILE_HEADER_BYTES;
    return true;
  }

  /** A later segment exists: this one is over, whatever its last bytes are. */
  #moveOn(): boolean {
    const next = this.#segments.find((segment) => segment > this.#segment);
    if (next === undefined) return false;
    if (this.#file >= 0) {
      this.#discardedBytes += this.#size - this.#offset;
      fs.closeSync(this.#file);
      this.#file = -1;
    }
    this.#segment = next;
    this.#offset = 0;
    return true;
  }

  /** Finds the record at the offset; false if there is no complete one. */
  #read(): boolean {
    const offset = this.#offset;
    if (offset + RECORD_HEADER_BYTES > this.#size || !this.#load(offset, RECORD_HEADER_BYTES)) return false;
    const bytes = this.#chunk.readUInt32LE(offset - this.#chunkOffset);
    if (bytes < RECORD_HEADER_BYTES || offset + bytes > this.#size || !this.#load(offset, bytes)) return false;
    const at = offset - this.#chunkOffset;
    if (crc32(this.#chunk.subarray(at + 8, at + bytes), this.#seed) !== this.#chunk.readUInt32LE(at + 4)) return false;
    this.#next = { tick: this.#chunk.readDoubleLE(at + 8), chunk: this.#chunk, start: at + RECORD_HEADER_BYTES, end: at + bytes };
    this.#nextOffset = offset;
    return true;
  }

  /** Makes the chunk hold `bytes` from `offset` on. */
  #load(offset: number, bytes: number): boolean {
    if (offset >= this.#chunkOffset && offset + bytes <= this.#chunkOffset + this.#chunkBytes) return true;
    const chunk = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(CHUNK_BYTES, this.#size - offset)));
    const read = fs.readSync(this.#file, chunk, 0, chunk.length, offset);
    if (read < bytes) return false;
    this.#chunk = chunk;
    this.#chunkOffset = offset;
    this.#chunkBytes = read;
    return true;
  }
}
