/**
 * The journal: what one thread has committed, in the order it did. A commit is durable (it survives a crash of
 * the process) once its group is appended here with one write(2); the applier brings it into LMDB later. Each
 * opener of the store has its own journal, named by a number that is never used again and by its thread, in segments:
 *
 *     <instance>-<thread>-<segment>.journal
 *     header   "ROOKERYJ", u32 format, u32 segment, f64 instance, f64 bytes of the segment before, u32 CRC of these
 *     record   u32 bytes, u32 CRC of the rest (seeded with the header's), f64 tick, u8 kind, body
 *     group    batches: u16 partition bytes, u32 changes, partition, changes
 *     change   u8 kind; put: u16 suffix bytes, u32 value bytes, suffix, value; delete: u16 suffix bytes, suffix;
 *              erase and track: nothing. Changes of tables whose rows are runs (blocks.ts) have kinds of their own.
 *
 * A record that is cut short or does not match its CRC ends the segment: it was never acknowledged. Where a power loss took
 * the end of one segment and left the next, that is seen by the length, and the journal ends there, so that what is read is
 * always what was written up to some moment. (Format 1 had no such length, format 2 no runs.)
 * Little-endian throughout.
 */
import * as nodeFs from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { RowWriter } from '../codec.ts';
import { storeErrorFrom } from '../errors.ts';
import { NUMBER_BYTES, writeNumber, type Packed } from '../tuple.ts';
import { CHUNK_BYTES, Chunks } from './chunks.ts';

export const JOURNAL_FORMAT = 3;
export const MAGIC = 'ROOKERYJ';
export const FILE_HEADER_BYTES = 36;
/** Of format 1, and what tells the format. */
export const OLD_HEADER_BYTES = 28;
export const RECORD_HEADER_BYTES = 17;

/** In place of a segment's bytes: not all of them may have reached the disk, which nobody was told they had. */
export const UNCERTAIN = -1;

/** Kinds of records. */
export const GROUP = 1;
export const CLOSE = 2;

/** Kinds of changes. */
export const PUT = 1;
export const DELETE = 2;
export const ERASE = 3;
/** From now on the partition's version is to be kept. */
export const TRACK = 4;
export const PUT_IN_RUN = 5;
export const DELETE_IN_RUN = 6;

/** Where suffix and value of a put begin. */
export const PUT_HEADER_BYTES = 7;
export const DELETE_HEADER_BYTES = 3;

/** What of `node:fs` the journal writes with; tests put failures in. */
export type JournalFiles = Pick<
  typeof nodeFs,
  'openSync' | 'writeSync' | 'ftruncateSync' | 'closeSync' | 'fdatasync' | 'fsync' | 'fsyncSync'
>;

/** What a journal's file names say. */
export interface JournalName {
  readonly instance: number;
  /** The worker_threads id of its writer. */
  readonly thread: number;
}

export function segmentName({ instance, thread }: JournalName, segment: number): string {
  return `${instance.toString(16).padStart(14, '0')}-${thread}-${segment.toString(10).padStart(8, '0')}.journal`;
}

/** `undefined` for the names of other files. */
export function parseSegmentName(name: string): (JournalName & { readonly segment: number }) | undefined {
  const match = /^([0-9a-f]{14})-([0-9]{1,9})-([0-9]{8})\.journal$/.exec(name);
  if (match === null) return undefined;
  return { instance: parseInt(match[1]!, 16), thread: parseInt(match[2]!, 10), segment: parseInt(match[3]!, 10) };
}

/** @param previousBytes of the segment before it, whole records only; or UNCERTAIN. */
export function fileHeader(instance: number, segment: number, previousBytes: number): Buffer {
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  header.write(MAGIC, 0, 'latin1');
  header.writeUInt32LE(JOURNAL_FORMAT, 8);
  header.writeUInt32LE(segment, 12);
  header.writeDoubleLE(instance, 16);
  header.writeDoubleLE(previousBytes, 24);
  header.writeUInt32LE(crc32(header.subarray(0, 32)), 32);
  return header;
}

/**
 * Groups written one after the other into chunks, where they stay readable until they are applied. Rows are written straight
 * into them: it is a RowWriter, whose room is made by moving the group to another chunk where it does not fit into the rest of one.
 */
export class GroupBuffer extends RowWriter {
  readonly #chunks = new Chunks();
  /** Where the record begins in the chunk. */
  #start = 0;
  /** Of the put being written, and where its length will stand. */
  #value = 0;
  #lengthAt = 0;
  readonly #moved: (shift: number) => void;

  /** @param moved told when the group lies in another chunk, and by how many bytes its changes have moved. */
  constructor(moved: (shift: number) => void = () => undefined) {
    super(CHUNK_BYTES);
    this.#moved = moved;
    this.at = RECORD_HEADER_BYTES;
  }

  get chunk(): Buffer {
    return this.buffer;
  }

  get start(): number {
    return this.#start;
  }

  /** Where the next change will be. */
  get end(): number {
    return this.at;
  }

  /** Of the whole record. */
  get length(): number {
    return this.at - this.#start;
  }

  protected override grow(bytes: number): void {
    const { length } = this;
    const needed = length + bytes;
    const chunk = this.#chunks.take(needed <= CHUNK_BYTES ? needed : 2 * needed);
    this.buffer.copy(chunk, 0, this.#start, this.at);
    const shift = -this.#start;
    this.buffer = chunk;
    this.#start = 0;
    this.#value += shift;
    this.#lengthAt += shift;
    this.at = length;
    this.#moved(shift);
  }

  /** The record is written: the next one comes after it. */
  next(): void {
    this.#start = this.at;
    this.reserve(RECORD_HEADER_BYTES);
    this.at += RECORD_HEADER_BYTES;
  }

  /** Takes back what was written since `length` was that; the whole group without it. */
  clear(length = RECORD_HEADER_BYTES): void {
    this.at = this.#start + length;
  }

  /** Takes a chunk that nothing lies in any more. */
  recycle(chunk: Buffer): void {
    this.#chunks.giveBack(chunk);
  }

  /** `changes` of them must follow. */
  batch(partition: Packed, changes: number): void {
    this.reserve(6 + partition.length);
    this.#u16(partition.length);
    this.#u32(changes);
    this.#packed(partition);
  }

  /** Begins a put: what is written next, up to `endPut`, is the row. */
  beginPut(kind: number, suffix: Packed, header: Packed): void {
    this.reserve(PUT_HEADER_BYTES + suffix.length + header.length);
    this.#beginPut(kind, suffix.length);
    this.#packed(suffix);
    this.#value = this.at;
    this.#packed(header);
  }

  /** The same for row `number` of a run: `prefix` is what stands before the number in its suffix. */
  beginPutInRun(prefix: Packed, number: number, header: Packed): void {
    this.reserve(PUT_HEADER_BYTES + prefix.length + NUMBER_BYTES + header.length);
    this.#beginPut(PUT_IN_RUN, prefix.length + NUMBER_BYTES);
    this.#packed(prefix);
    writeNumber(this.buffer, this.at, number);
    this.#value = this.at += NUMBER_BYTES;
    this.#packed(header);
  }

  endPut(): void {
    this.buffer.writeUInt32LE(this.at - this.#value, this.#lengthAt);
  }

  #beginPut(kind: number, suffixBytes: number): void {
    this.buffer[this.at++] = kind;
    this.#u16(suffixBytes);
    this.#lengthAt = this.at;
    this.at += 4;
  }

  /** Bytes as they are. */
  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.buffer.set(value, this.at);
    this.at += value.length;
  }

  delete(kind: number, suffix: Packed): void {
    this.reserve(DELETE_HEADER_BYTES + suffix.length);
    this.buffer[this.at++] = kind;
    this.#u16(suffix.length);
    this.#packed(suffix);
  }

  /** ERASE or TRACK: 1 byte. */
  mark(kind: number): void {
    this.reserve(1);
    this.buffer[this.at++] = kind;
  }

  /** Completes the record; then it can be appended. */
  complete(kind: number, tick: number, seed: number): void {
    const chunk = this.buffer;
    const start = this.#start;
    chunk.writeUInt32LE(this.at - start, start);
    chunk.writeDoubleLE(tick, start + 8);
    chunk[start + 16] = kind;
    chunk.writeUInt32LE(crc32(chunk.subarray(start + 8, this.at), seed), start + 4);
  }

  #u16(value: number): void {
    this.buffer[this.at++] = value & 0xff;
    this.buffer[this.at++] = value >> 8;
  }

  #u32(value: number): void {
    this.at = this.buffer.writeUInt32LE(value, this.at);
  }

  /** There is room. One byte per character; a loop, since keys are short. */
  #packed(packed: Packed): void {
    const { buffer, at } = this;
    for (let i = 0; i < packed.length; i++) buffer[at + i] = packed.charCodeAt(i);
    this.at = at + packed.length;
  }
}

export interface JournalOptions {
  /** Where the segments are; exists. */
  readonly directory: string;
  readonly name: JournalName;
  /** A new segment is begun once one has this many. */
  readonly segmentBytes: number;
  readonly files?: JournalFiles;
}

/** Appends groups. Its first segment appears with the first group. */
export class Journal {
  readonly #directory: string;
  readonly #name: JournalName;
  readonly #segmentBytes: number;
  readonly #files: JournalFiles;
  #segment = -1;
  #file = -1;
  /** Whole records, and the header. */
  #length = 0;
  /** What a failed append left could not be cut off. */
  #isSoiled = false;
  /** A sync failed: what it was for may be missing on the disk, whatever later ones say. */
  #isUncertain = false;
  #seed = 0;
  /** The segment's name may be lost with the power. */
  #isUnlisted = false;

  constructor({ directory, name, segmentBytes, files = nodeFs }: JournalOptions) {
    this.#directory = directory;
    this.#name = name;
    this.#segmentBytes = segmentBytes;
    this.#files = files;
  }

  /**
   * Appends the group and returns when the kernel has it, so that only losing power can lose it. Throws a StoreError,
   * and leaves nothing of the group, where it cannot: ERR_STORE_FULL, ERR_STORE_IO, ERR_STORE_UNWRITABLE.
   */
  append(group: GroupBuffer, kind: number, tick: number): void {
    try {
      if (this.#file < 0 || this.#isSoiled || this.#length >= this.#segmentBytes) this.#rotate();
      group.complete(kind, tick, this.#seed);
      this.#write(group);
    } catch (error) {
      this.#takeBack();
      throw storeErrorFrom(error, this.#directory);
    }
    this.#length += group.length;
  }

  /** Calls back when all that was appended before is on the disk itself, and can be found there; or with an error, once: a new segment follows. */
  sync(callback: (error: Error | null) => void): void {
    if (this.#file < 0) {
      callback(null);
      return;
    }
    const isUnlisted = this.#isUnlisted;
    this.#isUnlisted = false;
    const done = (error: Error | null): void => {
      if (error !== null) this.#isSoiled = this.#isUncertain = true;
      callback(error);
    };
    this.#files.fdatasync(this.#file, (error) => {
      if (error === null && isUnlisted) this.#syncDirectory(done);
      else done(error);
    });
  }

  /** Tells the applier that nothing follows. A failure is of no consequence: the next opener sees that by itself. */
  close(tick: number): void {
    if (this.#file < 0) return;
    const record = new GroupBuffer();
    try {
      this.append(record, CLOSE, tick);
    } catch {
      // The journal is complete without this record.
    }
    if (this.#file >= 0) this.#files.closeSync(this.#file);
    this.#file = -1;
  }

  /** The old segment stays open until the new one is usable, so that a full disk costs only this group. */
  #rotate(): void {
    const segment = this.#segment + 1;
    const file = this.#files.openSync(join(this.#directory, segmentName(this.#name, segment)), 'w', 0o600);
    const header = fileHeader(this.#name.instance, segment, this.#isUncertain ? UNCERTAIN : this.#length);
    try {
      if (this.#files.writeSync(file, header, 0, header.length, 0) < header.length) throw shortWrite();
    } catch (error) {
      this.#files.closeSync(file);
      throw error;
    }
    if (this.#file >= 0) this.#retire(this.#file);
    this.#segment = segment;
    this.#file = file;
    this.#length = header.length;
    this.#isSoiled = false;
    this.#isUncertain = false;
    this.#isUnlisted = true;
    this.#seed = header.readUInt32LE(header.length - 4);
  }

  /** Not later than the segments after it. */
  #retire(file: number): void {
    this.#files.fdatasync(file, () => this.#files.closeSync(file));
  }

  #syncDirectory(callback: (error: Error | null) => void): void {
    let directory: number;
    try {
      directory = this.#files.openSync(this.#directory, 'r');
    } catch (error) {
      this.#isUnlisted = true;
      callback(error as Error);
      return;
    }
    this.#files.fsync(directory, (error) => {
      if (error !== null) this.#isUnlisted = true;
      this.#files.closeSync(directory);
      callback(error);
    });
  }

  #write({ chunk, start, length }: GroupBuffer): void {
    for (let done = 0; done < length;) {
      const written = this.#files.writeSync(this.#file, chunk, start + done, length - done, this.#length + done);
      if (written === 0) throw shortWrite();
      done += written;
    }
  }

  /** What a failed append wrote must not be followed by the next one; where it cannot be cut off, a new segment is begun. */
  #takeBack(): void {
    if (this.#file < 0) return;
    try {
      this.#files.ftruncateSync(this.#file, this.#length);
    } catch {
      this.#isSoiled = true;
    }
  }
}

function shortWrite(): Error {
  return Object.assign(new Error('No space left on device (short write)'), { code: 'ENOSPC' });
}
