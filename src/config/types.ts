/**
 * The kinds of value an operator writes, each a zod schema that takes both what a
 * TOML file holds (numbers, booleans, arrays) and the text of an environment
 * variable. Modules build their own schemas from the same functions, so that a
 * duration looks alike wherever it stands.
 */
import { domainToUnicode } from 'node:url';
import { z } from 'zod';

/** A value as a TOML file holds it; undefined where the option is absent. */
export type FileValue = string | number | boolean | readonly FileValue[] | undefined;

/** A kind of value: how it is named in the documentation, read, and written back. */
export interface ValueType<T> {
  /** As the README names it, e.g. `duration`, `off or open`. */
  readonly name: string;
  /** Bounds as the README shows them; '' without any. */
  readonly bounds: string;
  /** Takes file values and environment text; its messages say what was expected. */
  readonly schema: z.ZodType<T>;
  /** As an operator would write it in the file; reading it back gives the same value. */
  write(value: T): FileValue;
}

/** Which kind of value a schema reads, for those made here: what tables and printed files need to know. */
const TYPE_OF_SCHEMA = new WeakMap<z.ZodType, ValueType<unknown>>();

function valueType<T>(type: ValueType<T>): ValueType<T> {
  TYPE_OF_SCHEMA.set(type.schema, type);
  return type;
}

/** The kind of value that `schema` reads, also where it has a default; undefined if it was not made here. */
export function typeOfSchema(schema: z.ZodType): ValueType<unknown> | undefined {
  const inner = schema instanceof z.ZodDefault || schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema;
  return TYPE_OF_SCHEMA.get(inner);
}

/** `value` as an operator would write it in an environment variable. */
export function printValue<T>(type: ValueType<T>, value: T): string {
  const written = type.write(value);
  return Array.isArray(written) ? written.join(',') : String(written ?? '');
}

/** Inclusive; in the unit of the value: milliseconds, bytes or a plain count. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

const DURATION_UNITS = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
]);

const BYTE_UNITS = new Map([
  ['B', 1],
  ['kB', 1_000],
  ['KB', 1_000],
  ['MB', 1_000_000],
  ['GB', 1_000_000_000],
  ['KiB', 1_024],
  ['kiB', 1_024],
  ['MiB', 1_048_576],
  ['GiB', 1_073_741_824],
]);

/** Digits with at most one fraction, then a unit; at most 32 characters are looked at. */
function parseQuantity(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const match = text.length > 32 ? null : /^(\d{1,15}(?:\.\d{1,9})?) ?([A-Za-z]{1,3})$/.exec(text);
  const factor = match === null ? undefined : units.get(match[2] ?? '');
  if (match === null || factor === undefined) return undefined;
  return Math.round(Number(match[1]) * factor);
}

/** Milliseconds of `'5m'`, `'90s'`, `'1.5h'`; undefined if it is not a duration. Units: ms s m h d w. */
export function parseDuration(text: string): number | undefined {
  return text === '0' ? 0 : parseQuantity(text, DURATION_UNITS);
}

/** Bytes of `'256kB'` (decimal) or `'256KiB'` (binary); undefined if it is not a size. */
export function parseBytes(text: string): number | undefined {
  return text === '0' ? 0 : parseQuantity(text, BYTE_UNITS);
}

/** The largest unit that gives a whole number. */
function printQuantity(value: number, units: readonly (readonly [string, number])[]): string {
  for (const [unit, factor] of units) if (value >= factor && value % factor === 0) return `${value / factor}${unit}`;
  return '0';
}

/** `300000` → `'5m'`. Whole milliseconds only. */
export function printDuration(ms: number): string {
  return printQuantity(ms, [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
    ['ms', 1],
  ]);
}

/** `262144` → `'256KiB'`, `10000` → `'10kB'`. */
export function printBytes(bytes: number): string {
  return printQuantity(bytes, [
    ['GiB', 1_073_741_824],
    ['GB', 1_000_000_000],
    ['MiB', 1_048_576],
    ['MB', 1_000_000],
    ['KiB', 1_024],
    ['kB', 1_000],
    ['B', 1],
  ]);
}

/** `z` ends a parse with one sentence: what was expected, as in "a whole number". */
function fail(context: z.RefinementCtx, expected: string): never {
  context.addIssue({ code: 'custom', message: `expected ${expected}` });
  return z.NEVER;
}

function within(value: number, bounds: Bounds, print: (value: number) => string, context: z.RefinementCtx): number {
  if (bounds.min !== undefined && value < bounds.min)
    context.addIssue({ code: 'custom', message: `must be at least ${print(bounds.min)}` });
  if (bounds.max !== undefined && value > bounds.max) context.addIssue({ code: 'custom', message: `must be at most ${print(bounds.max)}` });
  return value;
}

function describeBounds({ min, max }: Bounds, print: (value: number) => string): string {
  if (min !== undefined && max !== undefined) return `${print(min)} – ${print(max)}`;
  if (min !== undefined) return `≥ ${print(min)}`;
  return max === undefined ? '' : `≤ ${print(max)}`;
}

/** A whole number without a unit. */
export function count(bounds: Bounds = {}): ValueType<number> {
  return valueType({
    name: 'number',
    bounds: describeBounds(bounds, String),
    schema: z.unknown().transform((input, context) => {
      const value = typeof input === 'string' && /^\d{1,15}$/.test(input) ? Number(input) : input;
      if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) return fail(context, 'a whole number');
      return within(value, bounds, String, context);
    }),
    write: (value) => value,
  });
}

/** Text with a unit, `'5m'`; the value is in milliseconds. Bounds are, too. */
export function duration(bounds: Bounds = {}): ValueType<number> {
  return valueType({
    name: 'duration',
    bounds: describeBounds(bounds, printDuration),
    schema: z.unknown().transform((input, context) => {
      const value = typeof input === 'string' ? parseDuration(input) : input === 0 ? 0 : undefined;
      if (value === undefined) return fail(context, "a duration with a unit (ms, s, m, h, d, w), such as '5m'");
      return within(value, bounds, printDuration, context);
    }),
    write: printDuration,
  });
}

/** A duration, or a word that stands for no limit; the value is then Infinity. */
export function durationOr(word: string, bounds: Bounds = {}): ValueType<number> {
  const inner = duration(bounds);
  return valueType({
    name: `duration or ${word}`,
    bounds: inner.bounds,
    schema: z.unknown().transform((input, context) => {
      if (input === word) return Infinity;
      const result = inner.schema.safeParse(input);
      if (result.success) return result.data;
      const reason = result.error.issues[0]!.message;
      if (reason.startsWith('expected ')) return fail(context, `${reason.replace(/^expected /, '')}, or '${word}'`);
      context.addIssue({ code: 'custom', message: reason });
      return z.NEVER;
    }),
    write: (value) => (value === Infinity ? word : printDuration(value)),
  });
}

/** Text with a unit, `'256kB'`; the value is in bytes. Bounds are, too. */
export function bytes(bounds: Bounds = {}): ValueType<number> {
  return valueType({
    name: 'size',
    bounds: describeBounds(bounds, printBytes),
    schema: z.unknown().transform((input, context) => {
      const value = typeof input === 'string' ? parseBytes(input) : input === 0 ? 0 : undefined;
      if (value === undefined) return fail(context, "a size with a unit (B, kB, MB, GB, KiB, MiB, GiB), such as '256kB'");
      return within(value, bounds, printBytes, context);
    }),
    write: printBytes,
  });
}

/** So many in such a time. */
export interface Rate {
  readonly count: number;
  readonly windowMs: number;
}

/** `'10/1h'`: so many within so long. `bounds` are of the count. */
export function rate(bounds: Bounds = {}): ValueType<Rate> {
  return valueType({
    name: 'rate',
    bounds: describeBounds(bounds, String),
    schema: z.unknown().transform((input, context) => {
      const match = typeof input === 'string' ? /^(\d{1,9})\/(.{1,20})$/.exec(input) : null;
      const windowMs = match === null ? undefined : parseDuration(/^\d/.test(match[2]!) ? match[2]! : `1${match[2]}`);
      if (match === null || windowMs === undefined || windowMs === 0) return fail(context, "a count per time, such as '10/1h'");
      return { count: within(Number(match[1]), bounds, String, context), windowMs };
    }),
    write: (value) => `${value.count}/${printDuration(value.windowMs)}`,
  });
}

/** What `type` reads, followed by `/s`: so much in each second. `example` is for the error message. */
export function perSecond(type: ValueType<number>, example: string): ValueType<number> {
  return valueType({
    name: `${type.name} per second`,
    bounds: type.bounds,
    schema: z.unknown().transform((input, context) => {
      const text = typeof input === 'string' && input.endsWith('/s') ? input.slice(0, -2).trimEnd() : undefined;
      const result = text === undefined ? undefined : type.schema.safeParse(text);
      if (result?.success === true) return result.data;
      const reason = result?.error.issues[0]!.message;
      if (reason === undefined || reason.startsWith('expected ')) return fail(context, `a ${type.name} per second, such as '${example}'`);
      context.addIssue({ code: 'custom', message: reason });
      return z.NEVER;
    }),
    write: (value) => `${printValue(type, value)}/s`,
  });
}

const BOOLEAN_WORDS = new Map([
  ['true', true],
  ['on', true],
  ['yes', true],
  ['false', false],
  ['off', false],
  ['no', false],
]);

/** true/false, on/off or yes/no. */
export function flag(): ValueType<boolean> {
  return valueType({
    name: 'true or false',
    bounds: '',
    schema: z.unknown().transform((input, context) => {
      const value = typeof input === 'string' ? BOOLEAN_WORDS.get(input) : input;
      return typeof value === 'boolean' ? value : fail(context, 'true or false');
    }),
    write: (value) => value,
  });
}

/** One of the words given. */
export function oneOf<const T extends string>(...words: readonly T[]): ValueType<T> {
  const listed = words.length === 2 ? words.join(' or ') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  return valueType({
    name: listed,
    bounds: '',
    schema: z.unknown().transform((input, context) => words.find((word) => word === input) ?? fail(context, listed)),
    write: (value) => value,
  });
}

/** Any of the kinds of text below: `parse` normalises or gives undefined. */
/** Text of which `parse` makes a value, or undefined where it is not what was `expected`. */
export function text(name: string, expected: string, parse: (input: string) => string | undefined): ValueType<string> {
  return valueType({
    name,
    bounds: '',
    schema: z.unknown().transform((input, context) => {
      const value = typeof input === 'string' ? parse(input) : undefined;
      return value ?? fail(context, expected);
    }),
    write: (value) => value,
  });
}

const hasControlCharacter = (input: string): boolean => /\p{Cc}/u.test(input);

/** A path in the file system, absolute or relative; the loader makes it absolute. */
export function path(): ValueType<string> {
  return text('path', 'a path', (input) => (input === '' || hasControlCharacter(input) ? undefined : input));
}

/** Like `path`, absent by default; the empty text means absent. */
export function optionalPath(): ValueType<string | undefined> {
  const inner = path();
  return valueType({
    name: 'path',
    bounds: '',
    schema: z.unknown().transform((input, context) => {
      if (input === '') return undefined;
      const result = inner.schema.safeParse(input);
      return result.success ? result.data : fail(context, 'a path');
    }),
    write: (value) => value,
  });
}

/** Where somebody connects: a name or IP address, with a port or without (IPv6 in brackets then); the empty text means none. */
export function optionalPlace(): ValueType<string | undefined> {
  return valueType({
    name: 'host or host:port',
    bounds: '',
    schema: z.unknown().transform((input, context) => {
      if (input === '') return undefined;
      return typeof input === 'string' && PLACE.test(input) ? input : fail(context, 'a host or host:port');
    }),
    write: (value) => value,
  });
}

const PLACE = /^(?:[\p{L}\p{N}.-]{1,255}|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?$/u;

/** Like `optionalPlace`, and there is one. */
export function place(): ValueType<string> {
  return text('host or host:port', 'a host or host:port', (input) => (PLACE.test(input) ? input : undefined));
}

/** A SHA-256 in hexadecimal, with colons or without; the value has none and is of lower case. */
export function fingerprint(): ValueType<string> {
  return text('SHA-256', 'a SHA-256 in hexadecimal, 64 digits', (input) => {
    const digits = input.replaceAll(':', '').toLowerCase();
    return /^[0-9a-f]{64}$/.test(digits) ? digits : undefined;
  });
}

/** A domain, or `*.` and a domain for all below that one. */
export function domainPattern(): ValueType<string> {
  return text('domain or *.domain', 'a domain name, or *. and one', (input) => {
    const isBelow = input.startsWith('*.');
    const parsed = parseDomain(isBelow ? input.slice(2) : input);
    return parsed === undefined ? undefined : isBelow ? `*.${parsed}` : parsed;
  });
}

/**
 * A virtual host's domain, lower case, Unicode form where it is internationalised
 * (RFC 7622 §3.2); IP addresses are accepted, as tests use them.
 */
export function parseDomain(input: string): string | undefined {
  const trimmed = input.endsWith('.') ? input.slice(0, -1) : input;
  if (trimmed.length === 0 || trimmed.length > 1023 || /[\s/@'"<>&]|\p{Cc}/u.test(trimmed)) return undefined;
  if (/^\[[0-9a-f:.]{2,45}\]$/i.test(trimmed)) return trimmed.toLowerCase();
  if (trimmed.split('.').some((label) => label.length === 0 || label.startsWith('-') || label.endsWith('-'))) return undefined;
  if (!trimmed.includes('xn--')) return trimmed.normalize('NFC').toLowerCase();
  return domainToUnicode(trimmed) || undefined;
}

/** See `parseDomain`. */
export function domain(): ValueType<string> {
  return text('domain', 'a domain name', parseDomain);
}

/** `local@domain`. Only its shape is checked here; the address is normalised where it is used. */
export function bareAddress(): ValueType<string> {
  return text('address', 'an address without resource, such as admin@example.org', (input) => {
    const at = input.indexOf('@');
    const host = at < 1 ? undefined : parseDomain(input.slice(at + 1));
    const local = input.slice(0, Math.max(at, 0));
    return host === undefined || local.length > 1023 || /[\s"&'/:<>@]|\p{Cc}/u.test(local) ? undefined : `${local}@${host}`;
  });
}

/** A name that something else in the configuration has. Whether there is such a thing is checked where all is known. */
export function name(): ValueType<string> {
  return text('name', 'a name', (input) => (/^[a-z][a-z0-9_-]{0,31}$/.test(input) ? input : undefined));
}

/** An IP address to listen on, or `*` for all. */
export function listenAddress(): ValueType<string> {
  const schema = z.union([z.literal('*'), z.ipv4(), z.ipv6()]);
  return text('IP address or *', 'an IP address, or * for all', (input) => (schema.safeParse(input).success ? input : undefined));
}

/** A list in the file, `a,b` in an environment variable; one value stands for a list of one. Twice the same is an error. */
export function list<T>(type: ValueType<T>, { min = 0 }: { readonly min?: number } = {}): ValueType<readonly T[]> {
  return valueType({
    name: `${type.name}, …`,
    bounds: type.bounds,
    schema: z.unknown().transform((input, context) => {
      const items = splitList(input);
      const values: T[] = [];
      for (const item of items) {
        const result = type.schema.safeParse(item);
        if (!result.success) return fail(context, `${result.error.issues[0]!.message.replace(/^expected /, '')} (at '${String(item)}')`);
        if (values.includes(result.data)) context.addIssue({ code: 'custom', message: `'${String(item)}' is listed twice` });
        values.push(result.data);
      }
      if (values.length < min) context.addIssue({ code: 'custom', message: `needs at least ${min}` });
      return values;
    }),
    write: (values) => values.map((value) => type.write(value)),
  });
}

function splitList(input: unknown): readonly unknown[] {
  if (Array.isArray(input)) return input;
  if (typeof input !== 'string') return [input];
  return input.trim() === '' ? [] : input.split(',').map((item) => item.trim());
}

/** TCP ports: numbers, 0 for any free one, `off` for none. The value is the list of ports to open. */
export function ports(): ValueType<readonly number[]> {
  const numbers = list(count({ max: 65_535 }), { min: 1 });
  return valueType({
    name: 'port, … or off',
    bounds: '',
    schema: z.unknown().transform((input, context) => {
      if (input === 'off' || input === false) return [];
      const result = numbers.schema.safeParse(input);
      if (result.success) return result.data;
      return fail(context, `ports (0 – 65535, 0 = any free) or 'off'`);
    }),
    write: (value) => (value.length === 0 ? 'off' : value),
  });
}

/** `type`, or `off`, which is the value 0. */
export function orOff(type: ValueType<number>): ValueType<number> {
  return valueType({
    name: `${type.name} or off`,
    bounds: type.bounds,
    schema: z.unknown().transform((input, context) => {
      if (input === 'off' || input === '0' || input === 0 || input === false) return 0;
      const result = type.schema.safeParse(input);
      if (result.success) return result.data;
      for (const issue of result.error.issues) context.addIssue({ code: 'custom', message: `${issue.message}, or 'off'` });
      return z.NEVER;
    }),
    write: (value) => (value === 0 ? 'off' : type.write(value)),
  });
}
