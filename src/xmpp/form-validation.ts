/**
 * What a field's values must be beyond its type. XEP-0122
 *
 * Patterns (`<regex/>`) are read and written but never run: one of a peer's could take for ever.
 */
import { el, type Element } from '../xml/element.ts';
import { parseDate, parseDateTime, parseTime } from './date-time.ts';
import { NS } from './namespaces.ts';

/** §3.2; `basic` where none is named or known. */
export type ValidationMethod = 'basic' | 'open' | 'range' | 'regex';

export interface Validation {
  /** `xs:string` where none is named. */
  readonly datatype: string;
  readonly method: ValidationMethod;
  /** Of `range`; undefined for no bound. */
  readonly min?: string | undefined;
  readonly max?: string | undefined;
  /** Of `regex`. */
  readonly pattern?: string | undefined;
  /** How many values of a list-multi may be chosen. §3.3 */
  readonly minValues?: number | undefined;
  readonly maxValues?: number | undefined;
}

/** Inclusive bounds of the integer types; XML Schema Part 2 §3.3. */
const INTEGERS: ReadonlyMap<string, readonly [min: bigint, max: bigint] | undefined> = new Map([
  ['xs:byte', [-(2n ** 7n), 2n ** 7n - 1n]],
  ['xs:short', [-(2n ** 15n), 2n ** 15n - 1n]],
  ['xs:int', [-(2n ** 31n), 2n ** 31n - 1n]],
  ['xs:long', [-(2n ** 63n), 2n ** 63n - 1n]],
  ['xs:integer', undefined],
]);
/** Digits of a number; more than any of ours needs, and quick to convert. */
const MAX_NUMBER_LENGTH = 40;

export function validationElement({ datatype, method, min, max, pattern, minValues, maxValues }: Validation): Element {
  const ns = NS.dataFormValidation;
  return el(
    'validate',
    ns,
    { datatype },
    el(method, ns, { min, max }, method === 'regex' && pattern),
    (minValues !== undefined || maxValues !== undefined) &&
      el('list-range', ns, { min: minValues?.toString(), max: maxValues?.toString() }),
  );
}

/** @returns `undefined` for another element; what is not understood counts as the default. §4.1 */
export function parseValidation(element: Element): Validation | undefined {
  if (!element.is('validate', NS.dataFormValidation)) return undefined;
  const range = element.child('range');
  const regex = element.child('regex');
  const listRange = element.child('list-range');
  const method = range ? 'range' : regex ? 'regex' : element.child('open') ? 'open' : 'basic';
  return {
    datatype: element.attr('datatype') ?? 'xs:string',
    method,
    min: range?.attr('min'),
    max: range?.attr('max'),
    pattern: regex?.text(),
    minValues: countOf(listRange?.attr('min')),
    maxValues: countOf(listRange?.attr('max')),
  };
}

/** Whether `value` is of the datatype and within its range. An unknown datatype is `xs:string`: §4.1. */
export function isValidValue(value: string, { datatype, method, min, max }: Validation): boolean {
  const ordered = orderOf(datatype);
  if (ordered === undefined)
    return datatype === 'xs:anyURI'
      ? !/\s/.test(value)
      : datatype === 'xs:language'
        ? /^[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,8}$/.test(value)
        : true;
  const position = ordered(value);
  if (position === undefined) return false;
  if (method !== 'range') return true;
  const least = min === undefined ? undefined : ordered(min);
  const most = max === undefined ? undefined : ordered(max);
  return !(least !== undefined && position < least) && !(most !== undefined && position > most);
}

/** How values of a datatype are read for comparing; `undefined` for those without an order. */
function orderOf(datatype: string): ((value: string) => bigint | number | undefined) | undefined {
  switch (datatype) {
    case 'xs:date':
      return parseDate;
    case 'xs:dateTime':
      return parseDateTime;
    case 'xs:time':
      return parseTime;
    case 'xs:decimal':
      return (value) =>
        value.length <= MAX_NUMBER_LENGTH && /^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)$/.test(value) ? Number(value) : undefined;
    case 'xs:double':
      return (value) =>
        value.length <= MAX_NUMBER_LENGTH && /^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?$/.test(value)
          ? Number(value)
          : undefined;
    default:
      return INTEGERS.has(datatype) ? (value) => parseInteger(value, INTEGERS.get(datatype)) : undefined;
  }
}

function parseInteger(value: string, bounds: readonly [bigint, bigint] | undefined): bigint | undefined {
  if (value.length > MAX_NUMBER_LENGTH || !/^[-+]?[0-9]+$/.test(value)) return undefined;
  const number = BigInt(value.replace('+', ''));
  return bounds !== undefined && (number < bounds[0] || number > bounds[1]) ? undefined : number;
}

function countOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
}
