/**
 * Data forms as they are on the wire. XEP-0004, with FORM_TYPE of XEP-0068.
 * Forms of ours, with typed values, are declared with `form-schema.ts`.
 */
import { el, type Element } from '../xml/element.ts';
import { parseValidation, validationElement, type Validation } from './form-validation.ts';
import { NS } from './namespaces.ts';

/** §3.3 */
export type FieldType =
  | 'boolean'
  | 'fixed'
  | 'hidden'
  | 'jid-multi'
  | 'jid-single'
  | 'list-multi'
  | 'list-single'
  | 'text-multi'
  | 'text-private'
  | 'text-single';

/** §3.1 */
export type FormKind = 'form' | 'submit' | 'cancel' | 'result';

export interface FieldOption {
  readonly label?: string | undefined;
  readonly value: string;
}

export interface FormField {
  /** '' for a `fixed` field without a name. */
  readonly var: string;
  /** Undefined where the form leaves it to the context, as submissions may (§3.2). */
  readonly type?: FieldType | undefined;
  readonly label?: string | undefined;
  readonly desc?: string | undefined;
  readonly isRequired?: boolean | undefined;
  readonly values: readonly string[];
  readonly options?: readonly FieldOption[] | undefined;
  readonly validation?: Validation | undefined;
}

export interface DataForm {
  readonly kind: FormKind;
  readonly title?: string | undefined;
  readonly instructions?: readonly string[] | undefined;
  readonly fields: readonly FormField[];
  /** Of a result with several items: its columns and rows. §3.4 */
  readonly reported?: readonly FormField[] | undefined;
  readonly items?: readonly (readonly FormField[])[] | undefined;
}

/** How large a form of a peer may be; the size of its texts is bounded by the stanza's. */
export interface FormLimits {
  readonly maxFields: number;
  /** Of one field. */
  readonly maxValues: number;
  readonly maxOptions: number;
  /** Rows of a result. */
  readonly maxItems: number;
}
export const FORM_LIMITS: FormLimits = { maxFields: 256, maxValues: 1024, maxOptions: 1024, maxItems: 256 };

const FORM_KINDS: ReadonlySet<string> = new Set<FormKind>(['form', 'submit', 'cancel', 'result']);
const FIELD_TYPES: ReadonlySet<string> = new Set<FieldType>([
  'boolean',
  'fixed',
  'hidden',
  'jid-multi',
  'jid-single',
  'list-multi',
  'list-single',
  'text-multi',
  'text-private',
  'text-single',
]);

/** The `<x/>`. Its texts may hold anything; what XML cannot express is replaced when it is serialised. */
export function dataFormElement(form: DataForm): Element {
  return el(
    'x',
    NS.dataForm,
    { type: form.kind },
    form.title !== undefined && el('title', NS.dataForm, {}, form.title),
    ...(form.instructions ?? []).map((text) => el('instructions', NS.dataForm, {}, text)),
    ...form.fields.map(fieldElement),
    form.reported !== undefined && el('reported', NS.dataForm, {}, ...form.reported.map(fieldElement)),
    ...(form.items ?? []).map((fields) => el('item', NS.dataForm, {}, ...fields.map(fieldElement))),
  );
}

function fieldElement({ var: name, type, label, desc, isRequired, values, options = [], validation }: FormField): Element {
  return el(
    'field',
    NS.dataForm,
    { var: name === '' ? undefined : name, type, label },
    desc !== undefined && el('desc', NS.dataForm, {}, desc),
    isRequired === true && el('required', NS.dataForm),
    validation !== undefined && validationElement(validation),
    ...values.map((value) => el('value', NS.dataForm, {}, value)),
    ...options.map((option) => el('option', NS.dataForm, { label: option.label }, el('value', NS.dataForm, {}, option.value))),
  );
}

/**
 * Reads a form of a peer.
 *
 * @returns `undefined` where it breaks a MUST of XEP-0004 §3 or a limit: answer `<bad-request/>`. A field type we
 *   do not know is `text-single` (§3.3).
 */
export function parseDataForm(element: Element, limits: FormLimits = FORM_LIMITS): DataForm | undefined {
  const kind = element.attr('type') ?? '';
  if (!element.is('x', NS.dataForm) || !FORM_KINDS.has(kind)) return undefined;
  const fields = parseFields(element, limits);
  const rows = element.childrenNamed('item');
  const reportedElement = element.child('reported');
  const reported = reportedElement && parseFields(reportedElement, limits);
  if (fields === undefined || rows.length > limits.maxItems || (reportedElement && reported === undefined)) return undefined;
  const items: (readonly FormField[])[] = [];
  for (const row of rows) {
    const item = parseFields(row, limits);
    if (item === undefined) return undefined;
    items.push(item);
  }
  return {
    kind: kind as FormKind,
    title: element.child('title')?.text(),
    instructions: element.childrenNamed('instructions').map((child) => child.text()),
    fields,
    reported,
    items,
  };
}

function parseFields(parent: Element, limits: FormLimits): FormField[] | undefined {
  const elements = parent.childrenNamed('field');
  if (elements.length > limits.maxFields) return undefined;
  const fields: FormField[] = [];
  const seen = new Set<string>();
  for (const element of elements) {
    const field = parseField(element, limits);
    // §3.2: a name is unique in its form, and only `fixed` needs none.
    if (field === undefined || (field.var === '' ? field.type !== 'fixed' : seen.has(field.var))) return undefined;
    seen.add(field.var);
    fields.push(field);
  }
  return fields;
}

function parseField(element: Element, limits: FormLimits): FormField | undefined {
  const typeText = element.attr('type');
  const type = typeText === undefined ? undefined : FIELD_TYPES.has(typeText) ? (typeText as FieldType) : 'text-single';
  const values = element.childrenNamed('value').map((child) => child.text());
  const optionElements = element.childrenNamed('option');
  if (values.length > limits.maxValues || optionElements.length > limits.maxOptions) return undefined;
  const options: FieldOption[] = [];
  for (const option of optionElements) {
    const [value, ...more] = option.childrenNamed('value');
    if (value === undefined || more.length > 0) return undefined; // §3.2
    options.push({ label: option.attr('label'), value: value.text() });
  }
  const validate = element.child('validate', NS.dataFormValidation);
  return {
    var: element.attr('var') ?? '',
    type,
    label: element.attr('label'),
    desc: element.child('desc')?.text(),
    isRequired: element.child('required') !== undefined,
    values,
    options,
    validation: validate && parseValidation(validate),
  };
}

/**
 * The namespace a form's fields belong to. XEP-0068 §4: in a `form` or `result` FORM_TYPE must be hidden, else
 * it is a field like others; a `submit` need not say so again.
 */
export function formTypeOf(form: DataForm): string | undefined {
  const field = fieldOf(form, FORM_TYPE);
  if (field === undefined || field.values.length !== 1) return undefined;
  if (field.type !== 'hidden' && (form.kind !== 'submit' || field.type !== undefined)) return undefined;
  return field.values[0];
}

export function fieldOf(form: DataForm, name: string): FormField | undefined {
  return form.fields.find((field) => field.var === name);
}

/** XEP-0068 §3.1 */
export const FORM_TYPE = 'FORM_TYPE';

export function formTypeField(formType: string): FormField {
  return { var: FORM_TYPE, type: 'hidden', values: [formType] };
}

/** xs:boolean; `undefined` for a text that is none. */
export function parseBoolean(text: string): boolean | undefined {
  switch (text) {
    case '1':
    case 'true':
      return true;
    case '0':
    case 'false':
      return false;
    default:
      return undefined;
  }
}
