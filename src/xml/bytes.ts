/** Strings from bytes by Buffer's own decoders, which `toString` only reaches by a detour. */

interface Decoders {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
}

/** The bytes from `start` up to `end`, known to be ASCII: copied several times faster than UTF-8 is decoded. */
export function asciiText(buf: Buffer, start: number, end: number): string {
  return (buf as Buffer & Decoders).latin1Slice(start, end);
}

/** The bytes from `start` up to `end`, known to be valid UTF-8. */
export function utf8Text(buf: Buffer, start: number, end: number): string {
  return (buf as Buffer & Decoders).utf8Slice(start, end);
}
