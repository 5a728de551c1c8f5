/**
 * Encodings for tables: JSON for rows that are read and written now and then, and a compact binary
 * writer and reader for those written with every message.
 */
import type { Table } from './store.ts';

export interface JsonTableSpec<V> {
  /** snake_case, unique in the server; part of the key on disk. */
  readonly name: string;
  /** Of the rows written from now on. Raise it when old rows must be understood differently. */
  readonly version: number;
  /** See `Table.isRun`. */
  readonly isRun?: boolean;
  /** Turns what an older version of the table wrote into a row of this one. */
  readonly migrate?: (row: unknown, version: number) => V;
}

/**
 * A table whose rows are JSON. A row without a `migrate` for its version, or of a newer version than
 * the table, is refused (the store reports ERR_STORE_DECODE).
 */
export function jsonTable<V>({ name, version, isRun, migrate }: JsonTableSpec<V>): Table<V> {
  return {
    name,
    version,
    ...(isRun === undefined ? {} : { isRun }),
    encode: (value) => Buffer.from(JSON.stringify(value), 'utf8'),
    decode(bytes, rowVersion) {
      const row: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
      if (rowVersion === version) return row as V;
      if (rowVersion > version) throw new RangeError(`row version ${rowVersion}, newer than ${version}`);
      if (migrate === undefined) throw new RangeError(`row version ${rowVersion} has no migration to ${version}`);
      return migrate(row, rowVersion);
    },
  };
}

/** A table with its own binary encoding, written and read field by field in the same order. */
export interface BinaryTableSpec<V> {
  readonly name: string;
  readonly version: number;
  /** See `Table.isRun`. */
  readonly isRun?: boolean;
  write(row: RowWriter, value: V): void;
  /** `version` is the row's. */
  read(row: RowReader, version: number): V;
}

/** A table whose rows are written field by field, straight into what a store writes; see `Table.write`. */
export function binaryTable<V>({ name, version, isRun, write, read }: BinaryTableSpec<V>): Table<V> {
  return {
    name,
    version,
    ...(isRun === true ? { isRun } : {}),
    write,
    encode: (value) => written(write, value),
    decode(bytes, rowVersion) {
      if (rowVersion > version) throw new RangeError(`row version ${rowVersion}, newer than ${version}`);
      return read(new RowReader(bytes), rowVersion);
    },
  };
}

const INITIAL_BYTES = 1024;
/** Up to this length a loop in JavaScript beats two calls into the engine, and up to that one. */
const SHORT = 48;
const VERY_SHORT = 16;
const TWO_TO_28 = 0x1000_0000;

/** Appends fields to a growing buffer. Integers up to 2^53 - 1; strings are UTF-8. */
export class RowWriter {
  protected buffer: Buffer;
  /** Where the next byte goes. */
  protected at = 0;

  constructor(bytes = INITIAL_BYTES) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
  }

  reset(): void {
    this.at = 0;
  }

  /** 1 byte below 128, 2 below 16384, at most 8. */
  uint(value: number): this {
    if (this.at + 8 > this.buffer.length) this.grow(8);
    if (value >= 0 && value < 0x80 && value === (value | 0)) {
      this.buffer[this.at++] = value;
      return this;
    }
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned integer: ${value}`);
    const { buffer } = this;
    let { at } = this;
    let rest = value;
    while (rest >= TWO_TO_28) {
      // What is left may be more than the 32 bits that bit operations know.
      const low = rest % TWO_TO_28;
      buffer[at++] = (low & 0x7f) | 0x80;
      buffer[at++] = ((low >> 7) & 0x7f) | 0x80;
      buffer[at++] = ((low >> 14) & 0x7f) | 0x80;
      buffer[at++] = (low >> 21) | 0x80;
      rest = (rest - low) / TWO_TO_28;
    }
    while (rest >= 0x80) {
      buffer[at++] = (rest & 0x7f) | 0x80;
      rest >>= 7;
    }
    buffer[at++] = rest;
    this.at = at;
    return this;
  }

  double(value: number): this {
    this.reserve(8);
    this.at = this.buffer.writeDoubleLE(value, this.at);
    return this;
  }

  boolean(value: boolean): this {
    this.reserve(1);
    this.buffer[this.at++] = value ? 1 : 0;
    return this;
  }

  string(value: string): this {
    const { length } = value;
    if (length < SHORT) {
      this.reserve(length + 1);
      this.buffer[this.at++] = length;
      if (this.ascii(value)) return this;
      this.at--;
    }
    const bytes = Buffer.byteLength(value);
    this.uint(bytes);
    this.reserve(bytes);
    this.at += this.buffer.write(value, this.at, 'utf8');
    return this;
  }

  /** Without its length, which the row has to tell elsewhere. Cheaper than `string`, since it is not measured before; a text that has just been joined is not. */
  text(value: string): this {
    if (value.length < VERY_SHORT) {
      this.reserve(value.length);
      if (this.ascii(value)) return this;
    }
    // No UTF-16 unit takes more than three bytes; of long texts the exact number costs less than the room.
    this.reserve(value.length < INITIAL_BYTES ? value.length * 3 : Buffer.byteLength(value));
    this.at += this.buffer.write(value, this.at, 'utf8');
    return this;
  }

  bytes(value: Uint8Array): this {
    this.uint(value.length);
    this.reserve(value.length);
    this.buffer.set(value, this.at);
    this.at += value.length;
    return this;
  }

  /** `undefined` is told from an empty string: one byte more. */
  optionalString(value: string | undefined): this {
    this.boolean(value !== undefined);
    return value === undefined ? this : this.string(value);
  }

  /** A copy of exactly what was written. */
  finish(): Uint8Array {
    const copy = Buffer.allocUnsafeSlow(this.at);
    this.buffer.copy(copy, 0, 0, this.at);
    return copy;
  }

  /** Without its length; there is room for one byte a character. False, with nothing written, where one takes more. */
  protected ascii(value: string): boolean {
    const { buffer, at } = this;
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return false;
      buffer[at + i] = code;
    }
    this.at = at + value.length;
    return true;
  }

  protected reserve(bytes: number): void {
    if (this.at + bytes > this.buffer.length) this.grow(bytes);
  }

  /** Makes room for as many bytes; `buffer` and `at` may be others afterwards. */
  protected grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.at + bytes));
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }
}

/** Never in use across calls. */
const scratch = new RowWriter();

/** What `write` writes of a value, for whoever has nowhere to put it yet. */
export function written<V>(write: (row: RowWriter, value: V) => void, value: V): Uint8Array {
  scratch.reset();
  write(scratch, value);
  return scratch.finish();
}

/** Reads fields in the order they were written. Throws RangeError past the end. */
export class RowReader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** True at the end: how a field added by a later version is told from a missing one. */
  get isAtEnd(): boolean {
    return this.#at === this.#buffer.length;
  }

  uint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.#buffer[this.#at++];
      if (byte === undefined) throw new RangeError('row ends within a number');
      value += (byte % 0x80) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw new RangeError('number of more than 8 bytes');
  }

  double(): number {
    const at = this.#take(8);
    return this.#buffer.readDoubleLE(at);
  }

  boolean(): boolean {
    return this.#buffer[this.#take(1)] === 1;
  }

  string(): string {
    const length = this.uint();
    const at = this.#take(length);
    return this.#buffer.toString('utf8', at, at + length);
  }

  /** What `RowWriter.rest` wrote. */
  rest(): string {
    const at = this.#at;
    this.#at = this.#buffer.length;
    return this.#buffer.toString('utf8', at);
  }

  /** A view; copy what must outlive the row. */
  bytes(): Uint8Array {
    const length = this.uint();
    const at = this.#take(length);
    return this.#buffer.subarray(at, at + length);
  }

  optionalString(): string | undefined {
    return this.boolean() ? this.string() : undefined;
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#buffer.length) throw new RangeError('row ends within a field');
    this.#at = at + bytes;
    return at;
  }
}
