/**
 * Keys as bytes whose order is the keys' order: part by part, numbers before strings,
 * numbers by value, strings by code point, a shorter key before its extensions.
 *
 *     number   01 + IEEE 754 double, big-endian, sign bit flipped (all bits if negative)
 *     string   02 + UTF-8, NUL written as 00 FF, + 00
 *     long     02 + the first 255 bytes as above + 00 FE + 20 bytes of SHA-256 of the whole
 *
 * A string of more than MAX_PART_BYTES of UTF-8 is shortened as in the last line, because an LMDB
 * key has at most MAX_KEY_BYTES while a bare JID alone may have 2047: it sorts by its first 255 bytes,
 * and among strings that share those, after them and in the order of their hashes. Equality and
 * prefixes stay exact; the row keeps the full key, since it cannot be unpacked.
 *
 * A packed key is a JavaScript string with one char per byte: it is a Map key, compares with `<`
 * byte-wise, and goes into a buffer as 'latin1'.
 */
import { createHash } from 'node:crypto';
import { StoreError } from './errors.ts';
import type { Key, KeyPart } from './store.ts';

/** Bytes packed into a string, one char per byte. */
export type Packed = string;

/** UTF-8 bytes of a string part that are kept; longer ones are shortened. */
export const MAX_PART_BYTES = 255;

/** What LMDB takes with pages of 4096 bytes. */
export const MAX_KEY_BYTES = 1978;

/** Sorts after everything that starts with complete parts: part types are 01 and 02. */
const AFTER = '\x03';
const NUMBER = 1;
/** Of a packed number. */
export const NUMBER_BYTES = 9;
const STRING = 2;
const HASH_BYTES = 20;

const double = new DataView(new ArrayBuffer(8));

/**
 * Packs parts one after the other. Throws StoreError `ERR_STORE_KEY` for NaN, a lone surrogate, and
 * anything but strings and numbers: none of them can come from a parsed address.
 */
export function packKey(key: Key): Packed {
  let packed = '';
  for (let i = 0; i < key.length; i++) {
    const part = key[i]!;
    packed += typeof part === 'string' ? packString(part, true) : packNumber(part);
  }
  return packed;
}

/** Like `packKey`, with long parts in full: not a key, but what a row remembers its key by. */
export function packFullKey(key: Key): Packed {
  let packed = '';
  for (const part of key) packed += typeof part === 'string' ? packString(part, false) : packNumber(part);
  return packed;
}

/** Exclusive end of the range of all keys that start with the parts of `prefix`. */
export function endOfPrefix(prefix: Packed): Packed {
  return prefix + AFTER;
}

/** The parts of a packed key; `undefined` if one was shortened or the bytes are not a packed key. */
export function unpackKey(packed: Packed): KeyPart[] | undefined {
  const parts: KeyPart[] = [];
  let at = 0;
  while (at < packed.length) {
    const type = packed.charCodeAt(at++);
    if (type === NUMBER) {
      if (at + 8 > packed.length) return undefined;
      parts.push(unpackNumber(packed, at));
      at += 8;
      continue;
    }
    if (type !== STRING) return undefined;
    const end = endOfString(packed, at);
    if (end < 0) return undefined;
    parts.push(unpackString(packed.slice(at, end)));
    at = end + 1;
  }
  return parts;
}

/** Where the first part of `packed` ends; -1 if the bytes are not a packed key. */
export function endOfFirstPart(packed: Packed): number {
  if (packed.charCodeAt(0) === NUMBER) return packed.length >= 9 ? 9 : -1;
  if (packed.charCodeAt(0) !== STRING) return -1;
  const end = endOfString(packed, 1);
  if (end >= 0) return end + 1;
  const marker = packed.indexOf('\x00\xfe');
  return marker < 0 || packed.length < marker + 2 + HASH_BYTES ? -1 : marker + 2 + HASH_BYTES;
}

function packString(part: string, shorten: boolean): Packed {
  if (part.length <= MAX_PART_BYTES && isPlain(part)) return `\x02${part}\x00`;
  if (!part.isWellFormed()) throw new StoreError('ERR_STORE_KEY', 'A key has a lone surrogate; parse addresses before using them as keys.');
  const bytes = Buffer.from(part, 'utf8');
  if (!shorten || bytes.length <= MAX_PART_BYTES) return `\x02${escape(bytes.toString('latin1'))}\x00`;
  const hash = createHash('sha256').update(bytes).digest().toString('latin1', 0, HASH_BYTES);
  return `\x02${escape(bytes.toString('latin1', 0, MAX_PART_BYTES))}\x00\xfe${hash}`;
}

/** ASCII without NUL is its own packed form. */
function isPlain(part: string): boolean {
  for (let i = 0; i < part.length; i++) {
    const code = part.charCodeAt(i);
    if (code === 0 || code > 0x7f) return false;
  }
  return true;
}

function escape(bytes: string): string {
  return bytes.includes('\x00') ? bytes.replaceAll('\x00', '\x00\xff') : bytes;
}

/** The index of the terminating 00; -1 if there is none, or the string was shortened. */
function endOfString(packed: Packed, from: number): number {
  for (let at = from; ;) {
    const nul = packed.indexOf('\x00', at);
    if (nul < 0) return -1;
    const next = packed.charCodeAt(nul + 1);
    if (next === 0xfe) return -1;
    if (next !== 0xff) return nul;
    at = nul + 2;
  }
}

function unpackString(bytes: string): string {
  const unescaped = bytes.includes('\x00') ? bytes.replaceAll('\x00\xff', '\x00') : bytes;
  return isPlain(unescaped) ? unescaped : Buffer.from(unescaped, 'latin1').toString('utf8');
}

function packNumber(part: KeyPart): Packed {
  if (typeof part !== 'number' || Number.isNaN(part))
    throw new StoreError('ERR_STORE_KEY', `A key part must be a string or a number, not ${String(part)}.`);
  double.setFloat64(0, part === 0 ? 0 : part); // -0 is 0
  let high = double.getUint32(0);
  let low = double.getUint32(4);
  if (high >= 0x8000_0000) {
    high = ~high;
    low = ~low;
  } else {
    high |= 0x8000_0000;
  }
  return String.fromCharCode(
    NUMBER,
    high >>> 24,
    (high >>> 16) & 0xff,
    (high >>> 8) & 0xff,
    high & 0xff,
    low >>> 24,
    (low >>> 16) & 0xff,
    (low >>> 8) & 0xff,
    low & 0xff,
  );
}

/** Writes a number that is not negative as `packKey` packs it: NUMBER_BYTES. */
export function writeNumber(buffer: Buffer, at: number, value: number): void {
  buffer[at] = NUMBER;
  buffer.writeDoubleBE(value, at + 1);
  buffer[at + 1]! |= 0x80;
}

function unpackNumber(packed: Packed, at: number): number {
  let high = 0;
  let low = 0;
  for (let i = 0; i < 4; i++) {
    high = (high << 8) | packed.charCodeAt(at + i);
    low = (low << 8) | packed.charCodeAt(at + 4 + i);
  }
  if (high < 0) {
    high &= 0x7fff_ffff;
  } else {
    high = ~high;
    low = ~low;
  }
  double.setUint32(0, high);
  double.setUint32(4, low);
  return double.getFloat64(0);
}
