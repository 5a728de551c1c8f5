/** The little of DER (X.690) that certificates and TLS sessions need: walking what OpenSSL wrote, and writing a certificate. */

/** Tags used by X.509; context tags are added by `contextTag`. */
export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Context-specific tag `[number]` below 31. */
export function contextTag(number: number, isConstructed: boolean): number {
  return 0x80 | (isConstructed ? 0x20 : 0) | number;
}

/** One element: its tag byte and its content. */
export interface DerNode {
  readonly tag: number;
  readonly content: Buffer;
}

/**
 * The elements that follow each other in `bytes`, e.g. the members of a sequence's content.
 *
 * @returns `undefined` when malformed: truncated, of indefinite length, a tag number above 30 or more than 65,535 bytes long.
 */
export function parseDer(bytes: Buffer): readonly DerNode[] | undefined {
  const nodes: DerNode[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at]!;
    const first = bytes[at + 1];
    if (first === undefined || (tag & 0x1f) === 0x1f) return undefined;
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    if (first === 0x80 || lengthBytes > 2 || at + 2 + lengthBytes > bytes.length) return undefined;
    const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
    const start = at + 2 + lengthBytes;
    if (start + length > bytes.length) return undefined;
    nodes.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return nodes;
}

/** Writes one element around `parts`. Content is limited to 65,535 bytes, which no certificate of ours approaches. */
export function makeDer(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

/** Writes an object identifier given in dotted form; its arcs are below 2^28. */
export function makeOid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    for (let shift = 21; shift > 0; shift -= 7) if (arc >> shift > 0) bytes.push(((arc >> shift) & 0x7f) | 0x80);
    bytes.push(arc & 0x7f);
  }
  return makeDer(DER.oid, Buffer.from(bytes));
}
