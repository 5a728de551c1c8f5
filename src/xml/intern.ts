/**
 * One string per name and namespace, however often they are received: a stanza names the same dozen
 * things as the one before it, and making a string from bytes costs more than finding the old one.
 *
 * A shared table of SLOTS entries in pairs; the older of a pair gives way. Its content depends on what
 * peers send, its size does not, and an entry is used only after all of its bytes were compared.
 */
import { utf8Text } from './bytes.ts';
import type { ChildHead } from './frame.ts';

/** Entries per thread; with MAX_BYTES, about 250 KiB at most. */
const SLOTS = 2048;
/** Leaves as many bits of a hash as there are pairs. */
const SLOT_SHIFT = 32 - Math.log2(SLOTS / 2);
/** Longer names are made anew each time. */
const MAX_BYTES = 64;

/** A name or namespace that has been seen. */
export class Interned {
  readonly text: string;
  /** Head of the child element last seen under this name. */
  head: ChildHead | undefined;
  /** The last four bytes: they tell the names of XMPP apart well enough to choose a slot. */
  readonly ending: number;
  readonly bytes: Uint8Array;

  constructor(text: string, ending: number, bytes: Uint8Array) {
    this.text = text;
    this.head = undefined;
    this.ending = ending;
    this.bytes = bytes;
  }
}

const table: (Interned | undefined)[] = new Array<Interned | undefined>(SLOTS).fill(undefined);
const NO_BYTES = new Uint8Array(0);

/** The string of the UTF-8 bytes from `start` up to `end`, which must have been checked and not be empty. */
export function intern(buf: Buffer, start: number, end: number): Interned {
  const length = end - start;
  if (length > MAX_BYTES) return new Interned(utf8Text(buf, start, end), 0, NO_BYTES);
  let ending = buf[end - 1]!;
  if (length > 1) ending |= buf[end - 2]! << 8;
  if (length > 2) ending |= buf[end - 3]! << 16;
  if (length > 3) ending |= buf[end - 4]! << 24;
  const slot = (Math.imul(ending + length, 0x9e3779b1) >>> SLOT_SHIFT) << 1;
  const first = table[slot];
  if (first !== undefined && isSame(first, buf, start, length, ending)) return first;
  const second = table[slot + 1];
  if (second !== undefined && isSame(second, buf, start, length, ending)) {
    table[slot] = second;
    table[slot + 1] = first;
    return second;
  }
  const made = new Interned(utf8Text(buf, start, end), ending, new Uint8Array(buf.subarray(start, end)));
  table[slot] = made;
  table[slot + 1] = first;
  return made;
}

/** The head of a child of that name: shared, as long as the name comes with one namespace. */
export function headOf(name: Interned, ns: string): ChildHead {
  if (name.head === undefined || name.head.ns !== ns) name.head = { name: name.text, ns };
  return name.head;
}

function isSame(entry: Interned, buf: Uint8Array, start: number, length: number, ending: number): boolean {
  if (entry.ending !== ending) return false;
  const { bytes } = entry;
  if (bytes.length !== length) return false;
  for (let i = length - 5; i >= 0; i--) if (bytes[i] !== buf[start + i]) return false;
  return true;
}
