/**
 * Arguments of commands: zod schemas that say how they are asked for, and the way back from a schema to that. Forms of ad-hoc
 * commands and options of the command line are made from it.
 */
import { z } from 'zod';
import type { Report, ReportTable } from './command.ts';

/** Longest password taken, in characters; SASLprep and hashing cost grow with it. */
const MAX_PASSWORD_LENGTH = 1_024;
const MAX_ADDRESS_LENGTH = 3_071;
const MAX_TEXT_LENGTH = 10_000;

/** What a value is, beyond its type. */
type Kind = 'address' | 'password' | 'line' | 'lines';

interface Described {
  /** For people, e.g. a form's label. Without a full stop. */
  readonly title: string;
  readonly kind: Kind;
}

const described = <S extends z.ZodType>(schema: S, title: string, kind: Kind): S => schema.meta({ title, kind } satisfies Described) as S;

/** The address of an account; with a resource only where the command says so. */
export const addressArgument = (title = 'Address of the account') => described(z.string().min(3).max(MAX_ADDRESS_LENGTH), title, 'address');

/** Asked for without being shown, and never part of a command line. */
export const passwordArgument = (title = 'Password') => described(z.string().min(1).max(MAX_PASSWORD_LENGTH), title, 'password');

/** One line of text. @param check what it must be beyond that, as the title says. */
export const lineArgument = (title: string, maxLength = 1_023, check: (text: string) => boolean = () => true) =>
  described(
    z
      .string()
      .min(1)
      .max(maxLength)
      .refine(check, `expected ${title[0]!.toLowerCase()}${title.slice(1)}`),
    title,
    'line',
  );

/** Text of several lines. */
export const textArgument = (title: string, maxLength = MAX_TEXT_LENGTH) => described(z.string().min(1).max(maxLength), title, 'lines');

export const numberArgument = (title: string, min: number, max: number) => described(z.int().min(min).max(max), title, 'line');

export const flagArgument = (title: string) => described(z.boolean(), title, 'line');

/** @param choices values as they are given. */
export const choiceArgument = <const V extends readonly [string, ...string[]]>(title: string, choices: V) =>
  described(z.enum(choices), title, 'line');

/** For commands without arguments. */
export const NO_ARGUMENTS = z.strictObject({});

/** One argument, as a form or a command line has to ask for it. */
export interface Argument {
  readonly name: string;
  readonly title: string;
  readonly type: 'address' | 'password' | 'line' | 'lines' | 'number' | 'flag' | 'choice';
  readonly isRequired: boolean;
  readonly default: unknown;
  readonly choices: readonly string[];
}

/** What a schema asks for, in its order. Throws on one that is not made of the arguments above: a bug of ours. */
export function argumentsOf(schema: z.ZodType): Argument[] {
  if (!(schema instanceof z.ZodObject)) throw new Error('the arguments of a command are an object');
  return Object.entries(schema.shape as Record<string, z.ZodType>).map(([name, field]) => argumentOf(name, field));
}

function argumentOf(name: string, field: z.ZodType): Argument {
  let inner = field;
  let isRequired = true;
  let initial: unknown;
  let texts = z.globalRegistry.get(inner) as Partial<Described> | undefined;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault) {
    isRequired = false;
    if (inner instanceof z.ZodDefault) initial = inner.def.defaultValue;
    inner = inner.def.innerType as z.ZodType;
    texts ??= z.globalRegistry.get(inner) as Partial<Described> | undefined;
  }
  const { title = name, kind = 'line' } = texts ?? {};
  const choices = inner instanceof z.ZodEnum ? (inner.options as readonly string[]) : [];
  return { name, title, type: typeOf(inner, kind), isRequired, default: initial, choices };
}

function typeOf(schema: z.ZodType, kind: Kind): Argument['type'] {
  if (schema instanceof z.ZodBoolean) return 'flag';
  if (schema instanceof z.ZodEnum) return 'choice';
  if (schema instanceof z.ZodNumber) return 'number';
  if (schema instanceof z.ZodString) return kind;
  throw new Error('an argument of this type cannot be asked for');
}

/** Reads what a person has typed for an argument. Undefined where it is none of its kind. */
export function readArgument({ type }: Argument, text: string): unknown {
  switch (type) {
    case 'number':
      return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
    case 'flag':
      return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : undefined;
    default:
      return text;
  }
}

/** A table for a Report. */
export function tableOf<Row>(
  rows: readonly Row[],
  empty: string,
  columns: Readonly<Record<string, (row: Row) => string | number>>,
): Report & { readonly table: ReportTable } {
  const values = Object.values(columns);
  return { table: { columns: Object.keys(columns), rows: rows.map((row) => values.map((value) => value(row))), empty } };
}
