/**
 * The ids that entries of a log have in the archive and in `<stanza-id/>`. XEP-0359 §3.1, XEP-0313 §3.1
 *
 * An id is where its entry is, position and time, under a cipher whose key only this account's log has: found without an index,
 * had by no other entry, not even in a later account of the same name, and telling nobody how long the archive is or
 * what the next id will be. XEP-0313 §3: "MUST be unpredictable"; XEP-0359 §7
 *
 *      32 bits          16              16          32          32
 *     ┌──────────────┬───────────────┬───────────┬──────────┬───────────────────┐
 *     │ position low │ position high │ time high │ time low │ 0, or not one of  │
 *     │              │               │           │          │ ours              │
 *     └──────────────┴───────────────┴───────────┴──────────┴───────────────────┘
 */
import { randomBytes } from 'node:crypto';
import { Speck128, type Block } from './speck.ts';

/** What an id stands for. */
export interface Place {
  /** Below 2^48, as is the time. */
  readonly position: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

const HALF = 0x1_0000_0000;
/** 16 bytes in base64url, and no other way to write them: the last character has four bits that say nothing. */
const SIXTEEN_BYTES = /^[A-Za-z0-9_-]{21}[AQgw]$/;

/** For one id at a time. */
const block: Block = new Int32Array(4);
const bytes = Buffer.alloc(16);

/** A key for a new log. */
export function newArchiveKey(): string {
  return randomBytes(16).toString('base64url');
}

/** Whether a text from elsewhere is a key. */
export function isArchiveKey(text: string): boolean {
  return SIXTEEN_BYTES.test(text);
}

/** The ids of one log. Half a microsecond each; what it holds is its key. */
export class ArchiveIds {
  private readonly cipher: Speck128;

  /** @param key of `newArchiveKey`. */
  constructor(key: string) {
    this.cipher = new Speck128(Buffer.from(key, 'base64url'));
  }

  /** The id of an entry: 22 characters, always the same. */
  of({ position, atMs }: Place): string {
    block[0] = position;
    block[1] = (Math.floor(position / HALF) << 16) | Math.floor(atMs / HALF);
    block[2] = atMs;
    block[3] = 0;
    this.cipher.encrypt(block);
    for (let i = 0; i < 4; i++) bytes.writeInt32BE(block[i]!, 4 * i);
    return bytes.toString('base64url');
  }

  /** Where an id of this log points to; undefined for anything else. Whether the entry is there the log must tell. */
  parse(id: string): Place | undefined {
    if (!SIXTEEN_BYTES.test(id)) return undefined;
    bytes.write(id, 'base64url');
    for (let i = 0; i < 4; i++) block[i] = bytes.readInt32BE(4 * i);
    this.cipher.decrypt(block);
    if (block[3] !== 0) return undefined;
    const halves = block[1]!;
    return { position: (halves >>> 16) * HALF + (block[0]! >>> 0), atMs: (halves & 0xffff) * HALF + (block[2]! >>> 0) };
  }
}
