/**
 * Where the first-level elements of an XML stream begin and end, by a scan of its bytes: no trees, no checks, no copies but of
 * elements that arrive in pieces. For a load generator, which may cost next to nothing; a server needs more (src/xml/framer.ts).
 */

const LT = 0x3c;
const GT = 0x3e;
const SLASH = 0x2f;
const QUESTION = 0x3f;
const BANG = 0x21;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const SPACE = 0x20;
const EQUALS = 0x3d;

/** An element is the bytes from `start` up to, not including, `end`; they are valid during the call only. */
export type TakeElement = (bytes: Buffer, start: number, end: number) => void;

export class Scanner {
  /** 0 before the stream's header, 1 between elements. */
  private depth = 0;
  private quote = 0;
  /** Position of the `<` of the tag that is being read; -1 outside of tags. */
  private tag = -1;
  /** Where the current first-level element began. */
  private first = 0;
  private carry: Buffer | undefined;

  /** A new stream begins, as after SASL. */
  reset(): void {
    this.depth = 0;
    this.quote = 0;
    this.tag = -1;
    this.carry = undefined;
  }

  /**
   * Calls `take` for each element that is complete now, and for the tags that open and close the stream.
   * Comments and CDATA, which no server sends, are an Error.
   */
  push(chunk: Buffer, length: number, take: TakeElement): void {
    let bytes = chunk;
    let end = length;
    let at = 0;
    const { carry } = this;
    if (carry !== undefined) {
      at = carry.length;
      end += at;
      bytes = Buffer.allocUnsafe(end);
      carry.copy(bytes);
      chunk.copy(bytes, at, 0, length);
      this.carry = undefined;
    }
    let { tag, quote } = this;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (tag === -1) {
        if (byte === LT) tag = at;
      } else if (quote !== 0) {
        if (byte === quote) quote = 0;
      } else if (byte === GT) {
        const from = tag;
        tag = -1;
        // The handler may reset this scanner, so the state is complete before it is called.
        this.tag = -1;
        this.quote = 0;
        this.close(bytes, from, at, take);
      } else if (byte === QUOTE || byte === APOSTROPHE) quote = byte;
      else if (byte === BANG && at === tag + 1) throw new Error('a comment or CDATA in the stream');
    }
    const keepFrom = this.depth > 1 ? this.first : tag === -1 ? end : tag;
    this.tag = tag === -1 ? -1 : tag - keepFrom;
    this.quote = quote;
    this.first -= keepFrom;
    if (keepFrom < end) this.carry = Buffer.from(bytes.subarray(keepFrom, end));
  }

  /** A tag from `from` to the `>` at `at` is complete. */
  private close(bytes: Buffer, from: number, at: number, take: TakeElement): void {
    const second = bytes[from + 1];
    if (second === SLASH) {
      this.depth--;
      if (this.depth === 1) take(bytes, this.first, at + 1);
      else if (this.depth === 0) take(bytes, from, at + 1);
    } else if (second === QUESTION) {
      return;
    } else if (bytes[at - 1] === SLASH) {
      if (this.depth === 1) take(bytes, from, at + 1);
    } else {
      this.depth++;
      if (this.depth === 1) take(bytes, from, at + 1);
      else if (this.depth === 2) this.first = from;
    }
  }
}

/** Where the value of an attribute of the element's first tag begins; -1 where it has none of that name. */
export function attributeAt(bytes: Buffer, start: number, end: number, name: Uint8Array): number {
  const { length } = name;
  let quote = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (quote !== 0) {
      if (byte === quote) quote = 0;
    } else if (byte === GT) return -1;
    else if (byte === QUOTE || byte === APOSTROPHE) quote = byte;
    else if (byte <= SPACE && bytes[at + 1 + length] === EQUALS) {
      let same = 0;
      while (same < length && bytes[at + 1 + same] === name[same]) same++;
      if (same === length) return at + length + 3;
    }
  }
  return -1;
}

/** The value as text, without references resolved: names, ids and addresses have none. */
export function attributeText(bytes: Buffer, start: number, end: number, name: Uint8Array): string | undefined {
  const at = attributeAt(bytes, start, end, name);
  if (at === -1) return undefined;
  const quote = bytes[at - 1]!;
  return bytes.toString('utf8', at, bytes.indexOf(quote, at));
}

/** The decimal number that begins at `at`; NaN where none does. */
export function numberAt(bytes: Buffer, at: number): number {
  let value = 0;
  let digits = 0;
  for (; ; digits++) {
    const digit = bytes[at + digits]! - 0x30;
    if (!(digit >= 0 && digit <= 9)) break;
    value = value * 10 + digit;
  }
  return digits === 0 ? Number.NaN : value;
}

/** Whether `text` is somewhere in the element. */
export function contains(bytes: Buffer, start: number, end: number, text: Buffer): boolean {
  const at = bytes.indexOf(text, start);
  return at !== -1 && at + text.length <= end;
}

export const ID = Buffer.from('id');
export const TYPE = Buffer.from('type');
export const FROM = Buffer.from('from');

const LOWER_I = 0x69;
const LOWER_M = 0x6d;
const LOWER_P = 0x70;

export function isMessage(bytes: Buffer, start: number): boolean {
  return bytes[start + 1] === LOWER_M;
}

export function isPresence(bytes: Buffer, start: number): boolean {
  return bytes[start + 1] === LOWER_P;
}

export function isIq(bytes: Buffer, start: number): boolean {
  return bytes[start + 1] === LOWER_I;
}

/** The number behind the token in a stanza's id (outbox.ts); NaN where the id is another's. */
export function numberOf(token: Buffer, bytes: Buffer, start: number, end: number): number {
  const at = attributeAt(bytes, start, end, ID);
  if (at === -1) return Number.NaN;
  for (let i = 0; i < token.length; i++) if (bytes[at + i] !== token[i]) return Number.NaN;
  return numberAt(bytes, at + token.length + 1);
}
