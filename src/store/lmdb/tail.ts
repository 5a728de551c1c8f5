/** Reads one journal from where it was left, while its thread may still be appending to it. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { StoreError } from '../errors.ts';
import { Chunks } from './chunks.ts';
import {
  CLOSE,
  FILE_HEADER_BYTES,
  JOURNAL_FORMAT,
  MAGIC,
  OLD_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  segmentName,
  UNCERTAIN,
} from './journal.ts';
import type { JournalFiles, JournalName } from './journal.ts';

/** How far a journal is read: all before `offset` of `segment`, the last record having `tick`. */
export interface Position {
  readonly segment: number;
  readonly offset: number;
  readonly tick: number;
}

export const START: Position = { segment: 0, offset: 0, tick: 0 };

/** A complete record. It stays what it is in its chunk until the chunk is given back. */
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
  readonly #chunks: Chunks;
  /** What is read lies here, one after the other, as long as there is room: many small records cost one read(2). */
  #chunk: Buffer = Buffer.alloc(0);
  /** Where in it ends what is read. */
  #held = 0;
  /** What lies at `i` of the chunk is at `i + #shift` of the file. */
  #shift = 0;
  #next: JournalRecord | undefined;
  #nextOffset = 0;
  /** Nothing more to be found before the next refresh. */
  #isAtEnd = false;
  #isClosed = false;
  #discardedBytes = 0;
  /** What was read of the segment before this one. */
  #previousBytes = 0;
  /** The end of that was missing. */
  #isBroken = false;
  readonly #sync: JournalFiles['fdatasync'];
  /** Something was read of the file since it was synced. */
  #isUnsynced = false;
  #opened = 0;
  /** Files that are read to their ends, and not synced. */
  readonly #passed: number[] = [];

  constructor(
    directory: string,
    name: JournalName,
    { segment, offset, tick }: Position,
    { fdatasync }: Pick<JournalFiles, 'fdatasync'> = fs,
    chunks = new Chunks(),
  ) {
    this.#directory = directory;
    this.name = name;
    this.#sync = fdatasync;
    this.#chunks = chunks;
    this.#segment = segment;
    this.#offset = offset;
    this.#tick = tick;
  }

  get position(): Position {
    return { segment: this.#segment, offset: this.#offset, tick: this.#tick };
  }

  /** What is read next may come to lie here. */
  get chunk(): Buffer {
    return this.#chunk;
  }

  /** Its thread has said that nothing follows. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Segments that were opened. */
  get opened(): number {
    return this.#opened;
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
      if (this.#file < 0 ? !this.#open() : !this.#read() && !this.#readAnew()) {
        // It may have been read in the middle of a write, or of taking back a failed one: look again next time.
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

  /** Settles when all that was read is on the disk. Not while it is read. Rejects with what fs says. */
  async sync(): Promise<void> {
    for (let file = this.#passed[0]; file !== undefined; file = this.#passed[0]) {
      await this.#syncFile(file);
      this.#passed.shift();
      fs.closeSync(file);
    }
    if (!this.#isUnsynced) return;
    await this.#syncFile(this.#file);
    this.#isUnsynced = false;
  }

  close(): void {
    if (this.#file >= 0) this.#passed.push(this.#file);
    for (const file of this.#passed.splice(0)) fs.closeSync(file);
    this.#file = -1;
  }

  #syncFile(file: number): Promise<void> {
    return new Promise((resolve, reject) => this.#sync(file, (error) => (error === null ? resolve() : reject(error))));
  }

  /** What is left at the end of a journal that nobody writes any more. */
  get remainingBytes(): number {
    return this.#file < 0 ? 0 : this.#size - this.#offset;
  }

  #isCloseRecord(): boolean {
    return this.#chunk[this.#nextOffset - this.#shift + 16] === CLOSE;
  }

  #advanceTo(record: JournalRecord): void {
    this.#tick = record.tick;
    this.#offset = this.#nextOffset + (record.end - record.start) + RECORD_HEADER_BYTES;
    this.#next = undefined;
    this.#isUnsynced = true;
  }

  /** Opens the segment; false while it has no complete header, or where the one before it had not all that was written to it. */
  #open(): boolean {
    if (this.#isBroken || !this.#segments.includes(this.#segment)) return false;
    const file = fs.openSync(join(this.#directory, segmentName(this.name, this.#segment)), 'r');
    this.#size = fs.fstatSync(file).size;
    const header = Buffer.alloc(FILE_HEADER_BYTES);
    const read = fs.readSync(file, header, 0, FILE_HEADER_BYTES, 0);
    const format = header.readUInt32LE(8);
    const bytes = format === 1 ? OLD_HEADER_BYTES : FILE_HEADER_BYTES;
    const isComplete = read >= bytes && header.toString('latin1', 0, 8) === MAGIC;
    if (isComplete && format > JOURNAL_FORMAT) {
      fs.closeSync(file);
      throw new StoreError(
        'ERR_STORE_NEWER',
        `The journal ${segmentName(this.name, this.#segment)} was written by a newer release. Start that release, and stop it once, before this one.`,
      );
    }
    const seed = header.readUInt32LE(bytes - 4);
    const isSound = isComplete && seed === crc32(header.subarray(0, bytes - 4)) && header.readDoubleLE(16) === this.name.instance;
    const previousBytes = format === 1 ? UNCERTAIN : header.readDoubleLE(24);
    this.#isBroken = isSound && this.#offset === 0 && previousBytes !== UNCERTAIN && previousBytes !== this.#previousBytes;
    if (this.#isBroken) this.#discardedBytes += this.#size;
    if (!isSound || this.#isBroken) {
      fs.closeSync(file);
      return false;
    }
    this.#file = file;
    this.#opened++;
    this.#seed = seed;
    if (this.#offset < bytes) this.#offset = bytes;
    this.#shift = this.#offset - this.#held;
    return true;
  }

  /** A later segment exists: this one is over, whatever its last bytes are. */
  #moveOn(): boolean {
    const next = this.#segments.find((segment) => segment > this.#segment);
    if (next === undefined || this.#isBroken) return false;
    if (this.#file >= 0) {
      this.#discardedBytes += this.#size - this.#offset;
      if (this.#isUnsynced) this.#passed.push(this.#file);
      else fs.closeSync(this.#file);
      this.#isUnsynced = false;
      this.#file = -1;
    }
    this.#previousBytes = this.#offset;
    this.#segment = next;
    this.#offset = 0;
    return true;
  }

  /** What is at hand may have been read before a failed write was taken back. */
  #readAnew(): boolean {
    this.#held = this.#offset - this.#shift;
    return this.#read();
  }

  /** Finds the record at the offset; false if there is no complete one. */
  #read(): boolean {
    const offset = this.#offset;
    if (offset + RECORD_HEADER_BYTES > this.#size || !this.#load(offset, RECORD_HEADER_BYTES)) return false;
    const bytes = this.#chunk.readUInt32LE(offset - this.#shift);
    if (bytes < RECORD_HEADER_BYTES || offset + bytes > this.#size || !this.#load(offset, bytes)) return false;
    const at = offset - this.#shift;
    if (crc32(this.#chunk.subarray(at + 8, at + bytes), this.#seed) !== this.#chunk.readUInt32LE(at + 4)) return false;
    this.#next = { tick: this.#chunk.readDoubleLE(at + 8), chunk: this.#chunk, start: at + RECORD_HEADER_BYTES, end: at + bytes };
    this.#nextOffset = offset;
    return true;
  }

  /** Makes the chunk hold `bytes` from `offset` on. */
  #load(offset: number, bytes: number): boolean {
    if (offset - this.#shift + bytes > this.#chunk.length) {
      this.#chunk = this.#chunks.take(bytes);
      this.#held = 0;
      this.#shift = offset;
    }
    const end = offset - this.#shift + bytes;
    if (end <= this.#held) return true;
    const from = this.#held + this.#shift;
    this.#held += fs.readSync(this.#file, this.#chunk, this.#held, Math.min(this.#chunk.length - this.#held, this.#size - from), from);
    return end <= this.#held;
  }
}
