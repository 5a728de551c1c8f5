/**
 * How elements begin, remembered: from the name to the end of an `xmlns` that comes first, as in
 * `active xmlns='http://jabber.org/protocol/chatstates'`. A few dozen of these are half of what XMPP sends, and
 * comparing bytes with one that was checked before is several times faster than checking them again.
 *
 * A shared table of fixed size; an entry is used only after all of its bytes were compared.
 */
import { headOf, type Interned } from './intern.ts';
import type { ChildHead } from './frame.ts';

/** Sets per thread, and entries of a set, the one used last in front; with MAX_BYTES, about 500 KiB at most. */
const SETS = 256;
const WAYS = 4;
const MAX_BYTES = 128;
/** One in so many unknown openings is remembered, so that ever new ones cost little. */
const REMEMBER_EVERY = 4;

export class Opening {
  readonly name: Interned;
  readonly ns: string;
  /** Of the element in that namespace. */
  readonly head: ChildHead;
  /** Bytes up to the end of the name, and in all. */
  readonly nameLength: number;
  readonly length: number;
  /** The last four bytes: where most differ. */
  readonly ending: number;
  /** The bytes before them; a last group overlaps. */
  readonly words: Int32Array;

  constructor(view: DataView, at: number, length: number, name: Interned, nameLength: number, ns: string) {
    this.name = name;
    this.ns = ns;
    this.head = headOf(name, ns);
    this.nameLength = nameLength;
    this.length = length;
    this.ending = view.getInt32(at + length - 4, true);
    this.words = new Int32Array((length - 1) >> 2);
    for (let i = 0; i < this.words.length; i++) this.words[i] = view.getInt32(at + i * 4, true);
  }
}

const table: (Opening | undefined)[] = new Array<Opening | undefined>(SETS * WAYS).fill(undefined);
let unknown = 0;

/** The opening that stands at `at`, if it is known. */
export function findOpening(view: DataView, at: number, end: number): Opening | undefined {
  if (at + 4 > end) return undefined;
  const set = setOf(view, at);
  for (let i = set; i < set + WAYS; i++) {
    const opening = table[i];
    if (opening === undefined) return undefined;
    if (!isAt(opening, view, at, end)) continue;
    if (i > set) {
      table[i] = table[i - 1];
      table[i - 1] = opening;
    }
    return opening;
  }
  return undefined;
}

/** Remembers an opening that was checked: a name of ASCII without a prefix, one space, `xmlns='…'` without references. */
export function rememberOpening(view: DataView, at: number, length: number, name: Interned, nameLength: number, ns: string): void {
  if (length > MAX_BYTES || ++unknown % REMEMBER_EVERY !== 0) return;
  const set = setOf(view, at);
  for (let i = set + WAYS - 1; i > set; i--) table[i] = table[i - 1];
  table[set] = new Opening(view, at, length, name, nameLength, ns);
}

function setOf(view: DataView, at: number): number {
  return ((Math.imul(view.getInt32(at, true), 0x9e3779b1) >>> 24) & (SETS - 1)) * WAYS;
}

function isAt(opening: Opening, view: DataView, at: number, end: number): boolean {
  const { length, words } = opening;
  if (at + length > end || view.getInt32(at + length - 4, true) !== opening.ending) return false;
  for (let i = 0; i < words.length; i++) if (view.getInt32(at + i * 4, true) !== words[i]) return false;
  return true;
}
