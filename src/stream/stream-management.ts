/** What stream management is to every role: its namespace, and counts on the wire. XEP-0198 */

export const NS_SM = 'urn:xmpp:sm:3';

/** Counts wrap at 2^32. §4 */
export const COUNT_RANGE = 2 ** 32;

/** Of an `h`: xs:unsignedInt. Undefined where it is none. §10 */
export function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,20}$/.test(text.trim())) return undefined;
  const count = Number(text);
  return count < COUNT_RANGE ? count : undefined;
}

/** The number nearest to `known` that `h` may stand for: before it only where that is nearer, and there is such a number. §4 */
export function unwrapCount(h: number, known: number): number {
  const ahead = (h - (known % COUNT_RANGE) + COUNT_RANGE) % COUNT_RANGE;
  const before = known + ahead - COUNT_RANGE;
  return ahead >= COUNT_RANGE / 2 && before >= 0 ? before : known + ahead;
}

/** xs:boolean; its absence is false. */
export function parseBoolean(text: string | undefined): boolean | undefined {
  if (text === undefined || text === 'false' || text === '0') return false;
  return text === 'true' || text === '1' ? true : undefined;
}
