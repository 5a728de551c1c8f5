/**
 * Which bytes and code points may stand where. XML 1.0 (fifth edition) §2.2, §2.3; RFC 3629 for UTF-8.
 *
 * Tables cover the ASCII half. A zero means "goes on": the loops over text and values run until
 * the table says something else, so everything rare has a non-zero entry.
 */

/** Nothing to look at in a text: every ASCII character but markup, `>`, CR and controls. */
export const TEXT_STOP = new Uint8Array(256);
/** The same inside a CDATA section. */
export const CDATA_STOP = new Uint8Array(256);
/** The same inside an attribute value, where tab and line end stop as well: they are to be normalised. */
export const VALUE_STOP = new Uint8Array(256);

/** Entries of NAME_CLASS: what a byte is to a name. */
export const NOT_NAME = 0;
export const NAME_START = 1;
export const NAME_REST = 2;
export const NAME_COLON = 3;
export const NAME_MULTIBYTE = 4;
export const NAME_CLASS = new Uint8Array(256);
/** 1 for what a name may have after its first character, of ASCII and without the colon. */
export const IS_PLAIN_NAME = new Uint8Array(256);

for (let byte = 0; byte < 256; byte++) {
  const char = String.fromCharCode(byte);
  const isControl = byte < 0x20 && byte !== 0x09 && byte !== 0x0a;
  const isMultibyte = byte >= 0x80;
  TEXT_STOP[byte] = isControl || isMultibyte || '<&>'.includes(char) ? 1 : 0;
  CDATA_STOP[byte] = isControl || isMultibyte || char === '>' ? 1 : 0;
  VALUE_STOP[byte] = byte < 0x20 || isMultibyte || '<&\'"'.includes(char) ? 1 : 0;
  if (isMultibyte) NAME_CLASS[byte] = NAME_MULTIBYTE;
  else if (char === ':') NAME_CLASS[byte] = NAME_COLON;
  else if (/[A-Za-z_]/.test(char)) NAME_CLASS[byte] = NAME_START;
  else if (/[-.0-9]/.test(char)) NAME_CLASS[byte] = NAME_REST;
  if (NAME_CLASS[byte] === NAME_START || NAME_CLASS[byte] === NAME_REST) IS_PLAIN_NAME[byte] = 1;
}

/** S of XML 1.0 §2.3. */
export function isWhiteSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** Char of XML 1.0 §2.2; also what a numeric character reference may name. */
export function isXmlChar(code: number): boolean {
  if (code < 0x20) return code === 0x09 || code === 0x0a || code === 0x0d;
  return code < 0xd800 || (code > 0xdfff && code < 0xfffe) || (code > 0xffff && code <= 0x10ffff);
}

const HIGH_BITS = 0x80808080 | 0;

/**
 * The first position from `pos` on that TEXT_STOP stops at, or `end`. Four bytes at a time: in a group without bytes of 0x80 and
 * more, subtracting sets a high bit only where a byte was smaller than what is subtracted from it.
 */
export function endOfText(buf: Uint8Array, view: DataView, pos: number, end: number): number {
  for (;;) {
    while (pos + 4 <= end) {
      const four = view.getInt32(pos, true);
      const angles = (four | 0x02020202) ^ 0x3e3e3e3e; // '<' and '>'
      const ampersands = four ^ 0x26262626;
      if (((four | (four - 0x20202020) | (angles - 0x01010101) | (ampersands - 0x01010101)) & HIGH_BITS) !== 0) break;
      pos += 4;
    }
    const stop = pos + 4 < end ? pos + 4 : end;
    while (pos < stop && TEXT_STOP[buf[pos]!] === 0) pos++;
    if (pos < stop || pos === end) return pos;
  }
}

/**
 * As `endOfText`, for text with characters beyond ASCII, most of which it knows to be right at a glance. Stops at what needs
 * a closer look, by `decodeChar`, as well.
 */
export function endOfMultibyteText(buf: Uint8Array, pos: number, end: number): number {
  while (pos + 3 <= end) {
    const a = buf[pos]!;
    if (a < 0x80) {
      if (TEXT_STOP[a] !== 0) return pos;
      pos++;
    } else if (a >= 0xc2 && a < 0xe0) {
      if ((buf[pos + 1]! & 0xc0) !== 0x80) return pos;
      pos += 2;
    } else if (a > 0xe0 && a < 0xed) {
      if ((buf[pos + 1]! & 0xc0) !== 0x80 || (buf[pos + 2]! & 0xc0) !== 0x80) return pos;
      pos += 3;
    } else {
      return pos;
    }
  }
  return pos;
}

/** The first position from `pos` on that VALUE_STOP stops at, or `end`; as `endOfText`. */
export function endOfValue(buf: Uint8Array, view: DataView, pos: number, end: number): number {
  for (;;) {
    while (pos + 4 <= end) {
      const four = view.getInt32(pos, true);
      const less = four ^ 0x3c3c3c3c;
      const quotes = four ^ 0x22222222;
      const others = (four | 0x01010101) ^ 0x27272727; // '&' and the apostrophe
      if (((four | (four - 0x20202020) | (less - 0x01010101) | (quotes - 0x01010101) | (others - 0x01010101)) & HIGH_BITS) !== 0) break;
      pos += 4;
    }
    const stop = pos + 4 < end ? pos + 4 : end;
    while (pos < stop && VALUE_STOP[buf[pos]!] === 0) pos++;
    if (pos < stop || pos === end) return pos;
  }
}

/** No UTF-8: RFC 3629 §3, §4 */
export const MALFORMED = -1;
/** The bytes at hand begin a character; the rest has not arrived. */
export const INCOMPLETE = -2;

/**
 * Reads the character of two to four bytes at `pos`; `buf[pos]` is 0x80 or more.
 *
 * @returns the code point (never overlong, a surrogate or above U+10FFFF), MALFORMED at the
 *   first byte that proves it, or INCOMPLETE.
 */
export function decodeChar(buf: Uint8Array, pos: number, end: number): number {
  const a = buf[pos]!;
  if (a < 0xc2 || a > 0xf4) return MALFORMED;
  if (pos + 1 >= end) return INCOMPLETE;
  const b = buf[pos + 1]!;
  if ((b & 0xc0) !== 0x80) return MALFORMED;
  if (a < 0xe0) return ((a & 0x1f) << 6) | (b & 0x3f);
  if (a < 0xf0) {
    if ((a === 0xe0 && b < 0xa0) || (a === 0xed && b > 0x9f)) return MALFORMED;
    if (pos + 2 >= end) return INCOMPLETE;
    const c = buf[pos + 2]!;
    if ((c & 0xc0) !== 0x80) return MALFORMED;
    return ((a & 0x0f) << 12) | ((b & 0x3f) << 6) | (c & 0x3f);
  }
  if ((a === 0xf0 && b < 0x90) || (a === 0xf4 && b > 0x8f)) return MALFORMED;
  if (pos + 2 >= end) return INCOMPLETE;
  const c = buf[pos + 2]!;
  if ((c & 0xc0) !== 0x80) return MALFORMED;
  if (pos + 3 >= end) return INCOMPLETE;
  const d = buf[pos + 3]!;
  if ((d & 0xc0) !== 0x80) return MALFORMED;
  return ((a & 0x07) << 18) | ((b & 0x3f) << 12) | ((c & 0x3f) << 6) | (d & 0x3f);
}

/** Bytes of a character that `decodeChar` returned. */
export function encodedLength(code: number): number {
  return code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}
