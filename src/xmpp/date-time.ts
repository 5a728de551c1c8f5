/** Dates and times on the wire. XEP-0082, after XML Schema Part 2; strict in both directions. */

/** A longer text is none: 'CCYY-MM-DDThh:mm:ss' with a zone and forty digits of a fraction. */
const MAX_LENGTH = 66;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** XML Schema Part 2 §3.2.7.3 */
const MAX_OFFSET_MINUTES = 14 * 60;

const DATE = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/;
const TIME = /^([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?$/;

/**
 * DateTime profile, in UTC with milliseconds: `2002-09-10T23:08:25.000Z`. XEP-0082 §3.2
 *
 * @throws RangeError before the year 0 or after 9999.
 */
export function formatDateTime(atMs: number): string {
  const text = new Date(atMs).toISOString();
  if (text.length !== 24) throw new RangeError(`no date of four digits: ${atMs}`);
  return text;
}

/** Date profile, in UTC. XEP-0082 §3.1. @throws RangeError before the year 0 or after 9999. */
export function formatDate(atMs: number): string {
  return formatDateTime(atMs).slice(0, 10);
}

/** @returns milliseconds since 1970, further digits cut off; `undefined` for a text that is no DateTime, or one without a zone. */
export function parseDateTime(text: string): number | undefined {
  if (text.length > MAX_LENGTH || text[10] !== 'T') return undefined;
  const dayMs = parseDate(text.slice(0, 10));
  const time = parseTimeParts(text.slice(11));
  return dayMs === undefined || time?.offsetMs === undefined ? undefined : dayMs + time.ms - time.offsetMs;
}

/** @returns the start of the day in UTC. */
export function parseDate(text: string): number | undefined {
  const parts = DATE.exec(text);
  if (parts === null) return undefined;
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  // The 31st of June would be the 1st of July.
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined;
}

/** @returns milliseconds since midnight in UTC, taken around the clock; a time without a zone counts as UTC. XEP-0082 §3.3 */
export function parseTime(text: string): number | undefined {
  const time = text.length > MAX_LENGTH ? undefined : parseTimeParts(text);
  return time && (time.ms - (time.offsetMs ?? 0) + DAY_MS) % DAY_MS;
}

function parseTimeParts(text: string): { readonly ms: number; readonly offsetMs: number | undefined } | undefined {
  const parts = TIME.exec(text);
  if (parts === null) return undefined;
  const [hours, minutes, seconds] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  if (hours > 23 || minutes > 59 || seconds > 59) return undefined;
  const fraction = Number(`${(parts[4] ?? '.').slice(1, 4).padEnd(3, '0')}`);
  const zone = parts[5];
  const offset = zone === undefined ? undefined : parseZone(zone);
  if (zone !== undefined && offset === undefined) return undefined;
  return { ms: ((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction, offsetMs: offset };
}

function parseZone(zone: string): number | undefined {
  if (zone === 'Z') return 0;
  const minutes = Number(zone.slice(4, 6));
  const total = Number(zone.slice(1, 3)) * 60 + minutes;
  if (minutes > 59 || total > MAX_OFFSET_MINUTES) return undefined;
  return (zone.startsWith('-') ? -total : total) * MINUTE_MS;
}
