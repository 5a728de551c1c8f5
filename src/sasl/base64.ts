/** SASL data as XML text. RFC 6120 §6.4.2, RFC 4648 §4. */

/** Of one message, decoded. The longest honest one is PLAIN with three parts of 1023 bytes. */
export const MAX_SASL_BYTES = 4096;

const EMPTY = Buffer.alloc(0);
const MAX_TEXT_LENGTH = Math.ceil(MAX_SASL_BYTES / 3) * 4;

/**
 * Reads the text of `<auth/>`, `<response/>` and their like: canonical base64 without white space, `=` for zero bytes.
 *
 * An `<auth/>` without text has no initial response, which is not the same as an empty one: callers tell
 * these apart before they call. RFC 6120 §6.4.2
 *
 * @returns `undefined` where the text is none or too long: answer `<incorrect-encoding/>` (§6.5.5).
 */
export function decodeSaslData(text: string): Buffer | undefined {
  if (text === '' || text === '=') return EMPTY;
  const data = text.length > MAX_TEXT_LENGTH ? undefined : decodeBase64(text);
  return data === undefined || data.length > MAX_SASL_BYTES ? undefined : data;
}

/** Writes the text of `<challenge/>` and `<success/>`; `=` for zero bytes. RFC 6120 §6.4.2 */
export function encodeSaslData(data: Buffer): string {
  return data.length === 0 ? '=' : data.toString('base64');
}

/** Strict: one text for each sequence of bytes, so nothing compared as bytes differs as text. RFC 4648 §3.3 to §3.5 */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
