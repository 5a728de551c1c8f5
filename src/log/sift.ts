/**
 * Looking into messages: which of many encoded entries hold the words sought, or came from or went to one full address.
 *
 * The worker that owns an account only copies rows out of the store, which costs about a microsecond each; the thread
 * that matches decodes them. So a search through a long archive takes a worker hardly more than reading it.
 */
import type { Table } from '../store/store.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { NS } from '../xmpp/namespaces.ts';
import { LOG } from './entry.ts';
import { fold, hasWords, type Words } from './words.ts';

/** Encoded entries one after the other. Plain data: it crosses threads. */
export interface PackedRows {
  readonly bytes: Uint8Array;
  /** Where each entry ends. One that is as long as nothing is not there any more. */
  readonly ends: readonly number[];
  /** Version of its encoding. */
  readonly versions: readonly number[];
}

/** What a message has to have. */
export interface SiftFilter {
  /** All of these; never an empty list. */
  readonly words?: Words | undefined;
  /** Came from or went to this full JID. */
  readonly address?: string | undefined;
}

export interface SiftJob {
  readonly rows: PackedRows;
  readonly filter: SiftFilter;
}

const INITIAL_BYTES = 32 * 1024;

/** Collects rows of the log as they are: a table that decodes nothing. Its values are their number. */
export class PackedEntries implements Table<number> {
  readonly name = LOG.name;
  readonly version = LOG.version;
  private buffer = new Uint8Array(INITIAL_BYTES);
  private readonly ends: number[] = [];
  private readonly versions: number[] = [];
  private at = 0;

  get bytes(): number {
    return this.at;
  }

  /** Nothing is ever written by it. */
  encode(): Uint8Array {
    throw new TypeError('rows are collected here, not written');
  }

  /** The store's bytes are its own: they are copied. */
  decode(bytes: Uint8Array, version: number): number {
    if (this.at + bytes.length > this.buffer.length) {
      const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.at + bytes.length));
      larger.set(this.buffer);
      this.buffer = larger;
    }
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
    this.versions.push(version);
    return this.ends.push(this.at);
  }

  /** Holds the place of a row that is not there. */
  skip(): void {
    this.versions.push(0);
    this.ends.push(this.at);
  }

  finish(): PackedRows {
    return { bytes: this.buffer.subarray(0, this.at), ends: this.ends, versions: this.versions };
  }
}

/** Indexes of the rows that are archived and match. Runs in any thread. */
export function siftRows({ rows, filter }: SiftJob): number[] {
  const matching: number[] = [];
  let start = 0;
  for (let index = 0; index < rows.ends.length; index++) {
    const end = rows.ends[index]!;
    if (end > start && matches(rows.bytes.subarray(start, end), rows.versions[index]!, filter)) matching.push(index);
    start = end;
  }
  return matching;
}

function matches(bytes: Uint8Array, version: number, { words, address }: SiftFilter): boolean {
  const { stanza, isArchived } = LOG.decode(bytes, version);
  if (!isArchived) return false;
  if (address !== undefined && stanza.from.full !== address && stanza.to.full !== address) return false;
  return words === undefined || hasAll(stanza, words);
}

/** What people read of a message: its bodies and subjects, in whatever language. */
function hasAll(stanza: Stanza, words: Words): boolean {
  if (!stanza.has('body', NS.client) && !stanza.has('subject', NS.client)) return false;
  // Most messages hold none of the words anywhere: no tree is built to see that. Only a character written as a number can hide one.
  if (!stanza.body.includes('&#')) {
    const whole = fold(stanza.body);
    if (words.some((word) => !whole.includes(word))) return false;
  }
  let text = '';
  for (const child of stanza.element().elements()) {
    if (child.ns === NS.client && (child.name === 'body' || child.name === 'subject')) text += `${child.text()}\n`;
  }
  return hasWords(fold(text), words);
}
