/**
 * Forms of ours: declared once, with a type for each field, then built for a client to fill in
 * and read back when it submits them. XEP-0004, XEP-0068, XEP-0122
 *
 *     const config = defineForm({
 *       formType: 'http://jabber.org/protocol/muc#roomconfig',
 *       fields: {
 *         'muc#roomconfig_roomname': textField({ label: 'Name', maxLength: 100 }),
 *         'muc#roomconfig_publicroom': booleanField({ label: 'List it publicly' }),
 *       },
 *     });
 *     buildForm(config, { 'muc#roomconfig_roomname': 'Balcony', 'muc#roomconfig_publicroom': true });
 *     readSubmission(config, form); // { kind: 'submit', values: { 'muc#roomconfig_publicroom': false } }
 */
import {
  FORM_TYPE,
  formTypeField,
  formTypeOf,
  parseBoolean,
  type DataForm,
  type FieldOption,
  type FieldType,
  type FormField,
} from './data-form.ts';
import { isValidValue, type Validation } from './form-validation.ts';
import { parseJid, type Jid } from './jid.ts';
import { StanzaError } from './stanza-error.ts';

/** What every kind of field may say of itself. */
export interface FieldTexts {
  readonly label?: string;
  readonly desc?: string;
  /** A submission without a value for it is refused. */
  readonly isRequired?: boolean;
}

/** A field and its values as `T`. */
export interface FieldSpec<T> extends FieldTexts {
  readonly type: FieldType;
  readonly options?: readonly FieldOption[];
  readonly validation?: Validation;
  readonly print: (value: T) => readonly string[];
  /** @param values one at least. @returns `undefined` where they are not acceptable. */
  readonly parse: (values: readonly string[]) => T | undefined;
  /** What a submitted field without a value means; `undefined`: as if it were left out. §3.6 */
  readonly empty: T | undefined;
}

// Specs are read in both directions, so no narrower type than `any` takes all of them.
// oxlint-disable-next-line typescript/no-explicit-any
type AnyFields = Readonly<Record<string, FieldSpec<any>>>;

export interface FormSchema<F extends AnyFields> {
  readonly formType: string;
  readonly title?: string;
  readonly instructions?: readonly string[];
  readonly fields: F;
}

/** Values by field name. */
export type FormValues<S> =
  S extends FormSchema<infer F> ? { readonly [K in keyof F]: F[K] extends FieldSpec<infer T> ? T : never } : never;

export function defineForm<const F extends AnyFields>(schema: FormSchema<F>): FormSchema<F> {
  return schema;
}

const single =
  <T>(parse: (value: string) => T | undefined) =>
  (values: readonly string[]): T | undefined =>
    values.length === 1 ? parse(values[0]!) : undefined; // §3.2: only -multi and hidden fields have more

export function booleanField(texts: FieldTexts = {}): FieldSpec<boolean> {
  return { ...texts, type: 'boolean', print: (value) => [value ? '1' : '0'], parse: single(parseBoolean), empty: false };
}

export interface TextOptions extends FieldTexts {
  /** In UTF-16 units; of all lines together for several. Default 4096. */
  readonly maxLength?: number;
}
const DEFAULT_MAX_LENGTH = 4096;

/** One line. Line breaks are refused. */
export function textField({ maxLength = DEFAULT_MAX_LENGTH, ...texts }: TextOptions = {}): FieldSpec<string> {
  return {
    ...texts,
    type: 'text-single',
    print: (value) => [value],
    parse: single((value) => (value.length <= maxLength && !/[\r\n]/.test(value) ? value : undefined)),
    empty: '',
  };
}

/** A line that is not shown while it is typed. */
export function privateField(options: TextOptions = {}): FieldSpec<string> {
  return { ...textField(options), type: 'text-private' };
}

/** Several lines, as one text with line feeds. §3.3 */
export function linesField({ maxLength = DEFAULT_MAX_LENGTH, ...texts }: TextOptions = {}): FieldSpec<string> {
  return {
    ...texts,
    type: 'text-multi',
    print: (value) => (value === '' ? [] : value.split('\n')),
    parse: (values) => {
      const text = values.join('\n');
      return text.length <= maxLength ? text : undefined;
    },
    empty: '',
  };
}

export interface IntegerOptions extends FieldTexts {
  /** Within the safe integers of JavaScript. */
  readonly min?: number;
  readonly max?: number;
}

export function integerField({ min = 0, max = 0x7fff_ffff, ...texts }: IntegerOptions = {}): FieldSpec<number> {
  const validation: Validation = { datatype: 'xs:integer', method: 'range', min: String(min), max: String(max) };
  return {
    ...texts,
    type: 'text-single',
    validation,
    print: (value) => [String(value)],
    parse: single((value) => (isValidValue(value, validation) ? Number(value) : undefined)),
    empty: undefined,
  };
}

/** Choices by their value, each with its label. */
export type Choices<V extends string> = Readonly<Record<V, string>>;

const optionsOf = (choices: Choices<string>): FieldOption[] => Object.entries(choices).map(([value, label]) => ({ label, value }));

export function choiceField<const V extends string>(choices: Choices<V>, texts: FieldTexts = {}): FieldSpec<V> {
  return {
    ...texts,
    type: 'list-single',
    options: optionsOf(choices),
    print: (value) => [value],
    parse: single((value) => (Object.hasOwn(choices, value) ? (value as V) : undefined)),
    empty: undefined,
  };
}

/** Any of the choices, none twice. */
export function choicesField<const V extends string>(choices: Choices<V>, texts: FieldTexts = {}): FieldSpec<readonly V[]> {
  return {
    ...texts,
    type: 'list-multi',
    options: optionsOf(choices),
    print: (values) => values,
    parse: (values) => (values.every((value) => Object.hasOwn(choices, value)) ? ([...new Set(values)] as V[]) : undefined),
    empty: [],
  };
}

export function jidField(texts: FieldTexts = {}): FieldSpec<Jid> {
  return { ...texts, type: 'jid-single', print: (value) => [value.full], parse: single(parseJid), empty: undefined };
}

/** Addresses, each once. §3.3 */
export function jidsField({ maxJids = 1024, ...texts }: FieldTexts & { readonly maxJids?: number } = {}): FieldSpec<readonly Jid[]> {
  return {
    ...texts,
    type: 'jid-multi',
    print: (values) => values.map(({ full }) => full),
    parse: (values) => {
      if (values.length > maxJids) return undefined;
      const jids = new Map<string, Jid>();
      for (const value of values) {
        const jid = parseJid(value);
        if (jid === undefined) return undefined;
        jids.set(jid.full, jid);
      }
      return [...jids.values()];
    },
    empty: [],
  };
}

/** Goes out with the form and comes back; the client may have changed it. */
export function hiddenField(): FieldSpec<string> {
  return { ...textField(), type: 'hidden' };
}

/**
 * The form to fill in.
 *
 * @param values what fields hold now; those left out are shown empty.
 */
export function buildForm<F extends AnyFields>(schema: FormSchema<F>, values: Partial<FormValues<FormSchema<F>>>): DataForm {
  const fields = Object.entries(schema.fields).map(([name, spec]): FormField => {
    const value = (values as Record<string, unknown>)[name];
    const { type, label, desc, isRequired, options, validation } = spec;
    return { var: name, type, label, desc, isRequired, options, validation, values: value === undefined ? [] : spec.print(value) };
  });
  return { kind: 'form', title: schema.title, instructions: schema.instructions, fields: [formTypeField(schema.formType), ...fields] };
}

/** The same fields with their values alone, as extended disco information and results have them. XEP-0128 */
export function buildResult<F extends AnyFields>(schema: FormSchema<F>, values: Partial<FormValues<FormSchema<F>>>): DataForm {
  const { fields } = buildForm(schema, values);
  const filled = fields.filter(({ var: name }) => name === FORM_TYPE || Object.hasOwn(values, name));
  return { kind: 'result', fields: filled.map(({ var: name, type, label, values: texts }) => ({ var: name, type, label, values: texts })) };
}

/** `submit`: the fields that were sent; those left out keep what they hold (§3.5). */
export type Submission<S> = { readonly kind: 'cancel' } | { readonly kind: 'submit'; readonly values: Partial<FormValues<S>> };

/**
 * Reads what a client submitted. Fields the schema does not know are ignored (§3.1).
 *
 * @returns the error to answer where it is not acceptable: it names the field (§4).
 */
export function readSubmission<F extends AnyFields>(schema: FormSchema<F>, form: DataForm): Submission<FormSchema<F>> | StanzaError {
  if (form.kind === 'cancel') return { kind: 'cancel' };
  if (form.kind !== 'submit') return new StanzaError('bad-request', 'The form is not of type submit');
  const sent = new Map(form.fields.map((field) => [field.var, field]));
  // XEP-0068 §4.1: a submission without FORM_TYPE is read as it always was.
  if (sent.has(FORM_TYPE) && formTypeOf(form) !== schema.formType)
    return new StanzaError('bad-request', 'The form is of another FORM_TYPE');
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(schema.fields)) {
    const field = sent.get(name);
    if (spec.isRequired === true && (field === undefined || field.values.length === 0))
      return new StanzaError('not-acceptable', `The field ${name} is required`);
    if (field === undefined) continue;
    // An empty text in a field that cannot be empty is how some clients leave it out.
    const isEmpty = field.values.length === 0 || (spec.empty === undefined && field.values.length === 1 && field.values[0] === '');
    const value: unknown = isEmpty ? spec.empty : spec.parse(field.values);
    if (value !== undefined) values[name] = value;
    else if (!isEmpty || spec.isRequired === true)
      return new StanzaError('not-acceptable', `The value of the field ${name} is not acceptable`);
  }
  return { kind: 'submit', values: values as Partial<FormValues<FormSchema<F>>> };
}
