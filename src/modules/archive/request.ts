/** What a client asks of the archive: the query, its form, its page. XEP-0313 §4.1, §4.3, XEP-0431 §3.1 */
import type { Words } from '../../log/words.ts';
import { MAX_SEARCH_LENGTH, wordsOf } from '../../log/words.ts';
import { el, type Element } from '../../xml/element.ts';
import {
  dataFormElement,
  FORM_TYPE,
  formTypeField,
  formTypeOf,
  parseBoolean,
  parseDataForm,
  type FormField,
} from '../../xmpp/data-form.ts';
import { parseDateTime } from '../../xmpp/date-time.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { parsePageRequest, type PageRequest } from '../../xmpp/rsm.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { FULL_TEXT, MAM } from './namespace.ts';

/** Of `queryid`, which comes back with every result. */
const MAX_QUERY_ID_LENGTH = 256;
/** XEP-0068 §3: a field of another specification carries its namespace. */
const FULL_TEXT_FIELD = `{${FULL_TEXT}}fulltext`;

export interface Filters {
  readonly with?: Jid;
  readonly startMs?: number;
  readonly endMs?: number;
  readonly beforeId?: string;
  readonly afterId?: string;
  readonly ids?: readonly string[];
  /** Sought in the text. An empty list is a search for nothing that could be found. */
  readonly words?: Words;
}

export interface ArchiveRequest {
  readonly queryId: string | undefined;
  readonly filters: Filters;
  readonly page: PageRequest;
  /** Results are sent in reverse order. XEP-0313 §4.3.4 */
  readonly isFlipped: boolean;
}

const FIRST_PAGE: PageRequest = { max: undefined, after: undefined, before: undefined, index: undefined };

/** Reads a query, or says what is wrong with it. */
export function readRequest(query: Element): ArchiveRequest | StanzaError {
  const queryId = query.attr('queryid');
  if (queryId !== undefined && queryId.length > MAX_QUERY_ID_LENGTH)
    return new StanzaError('bad-request', `The queryid is longer than ${MAX_QUERY_ID_LENGTH} characters`);
  if (query.attr('node') !== undefined) return new StanzaError('feature-not-implemented', 'This archive has no nodes'); // XEP-0442
  const set = query.child('set', NS.rsm);
  const page = set === undefined ? FIRST_PAGE : parsePageRequest(set);
  if (page === undefined) return new StanzaError('bad-request', 'The page request is malformed');
  if (page.index !== undefined) return new StanzaError('feature-not-implemented', 'Pages are named by ids, not by numbers'); // XEP-0059 §2.6
  const form = query.child('x', NS.dataForm);
  const filters = form === undefined ? {} : readFilters(form);
  if (filters instanceof StanzaError) return filters;
  return { queryId, filters, page, isFlipped: query.child('flip-page') !== undefined };
}

function readFilters(element: Element): Filters | StanzaError {
  const form = parseDataForm(element);
  if (form === undefined) return new StanzaError('bad-request', 'The form is malformed');
  if (form.kind !== 'submit') return new StanzaError('bad-request', 'The form is not of type submit');
  if (formTypeOf(form) !== MAM) return new StanzaError('bad-request', `The form has no FORM_TYPE ${MAM}`); // §4.1
  const filters: { -readonly [Name in keyof Filters]: Filters[Name] } = {};
  for (const field of form.fields) {
    if (field.var === FORM_TYPE || field.type === 'fixed' || isEmpty(field)) continue;
    const read = FIELDS.get(field.var);
    // §4.1.5: "If a client includes a form field that the server does not recognise"
    if (read === undefined) return new StanzaError('feature-not-implemented', `The field ${field.var.slice(0, 100)} is not known here`);
    if (field.values.length > 1 && field.var !== 'ids')
      return new StanzaError('bad-request', `The field ${field.var} has more than one value`);
    const problem = read(field.values, filters);
    if (problem !== undefined) return new StanzaError('bad-request', `The field ${field.var} ${problem}`);
  }
  return filters;
}

/** How some clients leave out a field of the form they were given. */
function isEmpty({ values }: FormField): boolean {
  return values.length === 0 || (values.length === 1 && values[0] === '');
}

type Draft = { -readonly [Name in keyof Filters]: Filters[Name] };

/** Takes the values of one field, one at least. @returns what is wrong with them. */
type FieldReader = (values: readonly string[], filters: Draft) => string | undefined;

const FIELDS: ReadonlyMap<string, FieldReader> = new Map<string, FieldReader>([
  [
    'with',
    ([value], filters) => {
      const jid = parseJid(value!);
      if (jid === undefined) return 'is no JID';
      filters.with = jid;
      return undefined;
    },
  ],
  [
    'start',
    ([value], filters) => {
      const atMs = parseDateTime(value!);
      if (atMs === undefined) return 'is no DateTime of XEP-0082';
      filters.startMs = hasMoreDigits(value!) ? atMs + 1 : atMs; // §4.1.2: not before
      return undefined;
    },
  ],
  [
    'end',
    ([value], filters) => {
      const atMs = parseDateTime(value!);
      if (atMs === undefined) return 'is no DateTime of XEP-0082';
      filters.endMs = atMs;
      return undefined;
    },
  ],
  ['before-id', ([value], filters) => void (filters.beforeId = value!)],
  ['after-id', ([value], filters) => void (filters.afterId = value!)],
  ['ids', (values, filters) => void (filters.ids = values)],
  // There are none in the archives of accounts, so that either answer is followed. §4.1.4
  ['include-groupchat', ([value]) => (parseBoolean(value!) === undefined ? 'is neither true nor false' : undefined)],
  [
    FULL_TEXT_FIELD,
    ([value], filters) => {
      if (value!.length > MAX_SEARCH_LENGTH) return `is longer than ${MAX_SEARCH_LENGTH} characters`;
      filters.words = wordsOf(value!);
      return undefined;
    },
  ],
]);

/** Finer than the milliseconds that were read. */
function hasMoreDigits(text: string): boolean {
  return /\.[0-9]{3}[0-9]*[1-9]/.test(text);
}

const ONE_LINE = ['start', 'end', 'before-id', 'after-id'].map((name): FormField => ({ var: name, type: 'text-single', values: [] }));

/** The form, for clients that want to know which fields there are. §4.1.5 */
export const FORM: Element = el(
  'query',
  MAM,
  {},
  dataFormElement({
    kind: 'form',
    fields: [
      formTypeField(MAM),
      { var: 'with', type: 'jid-single', values: [] },
      ...ONE_LINE,
      { var: 'ids', type: 'list-multi', values: [], validation: { datatype: 'xs:string', method: 'open' } },
      { var: 'include-groupchat', type: 'boolean', values: [] },
      { var: FULL_TEXT_FIELD, type: 'text-single', values: [] },
    ],
  }),
);
