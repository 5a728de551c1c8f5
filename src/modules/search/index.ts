/** A directory of those who want to be found: `search.capulet.lit`. XEP-0055 */
import { z } from 'zod';
import { count, domain, flag, oneOf } from '../../config/types.ts';
import type { AccountContext } from '../../core/context.ts';
import { defineModule, type IqAnswer, type IqRequest } from '../../core/module.ts';
import type { ServedHost, ServiceContext } from '../../core/service.ts';
import { el, type Element } from '../../xml/element.ts';
import { dataFormElement, formTypeField, parseDataForm, type DataForm } from '../../xmpp/data-form.ts';
import { buildForm, defineForm, readSubmission, textField } from '../../xmpp/form-schema.ts';
import { parseJid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { makeStanza, type Stanza } from '../../xmpp/stanza.ts';
import { type Directory, ENTRIES, loadDirectory, withoutStars } from './directory.ts';
import { entryElement, ENTRY_NS, entryOf, FIELDS, readEntry, type Entry, type Field } from './entry.ts';

const SEARCH = 'jabber:iq:search';
const INSTRUCTIONS = 'Fill in one or more fields with how they begin.';

const OPTIONS = z.strictObject({
  /** Whether there is a directory. */
  service: flag().schema.default(true),
  /** Its domain; default: `search.` before that of the host. */
  domain: domain().schema.optional(),
  /** Who is listed: whose vCard says `<CLASS><PUBLIC/></CLASS>`, or everybody whose vCard does not say PRIVATE or CONFIDENTIAL. */
  list: oneOf('opt_in', 'all').schema.default('opt_in'),
  /** Who may search: accounts of the host, or anyone. */
  open_to: oneOf('local', 'anyone').schema.default('local'),
  /** Results of one search. */
  max_results: count({ min: 1, max: 1_000 }).schema.default(50),
  /** Accounts the directory may list. */
  max_entries: count({ min: 1, max: 10_000_000 }).schema.default(1_000_000),
});

const FORM = defineForm({
  formType: SEARCH,
  title: 'Search for people',
  instructions: [INSTRUCTIONS],
  fields: {
    first: textField({ label: 'Given name', maxLength: 200 }),
    last: textField({ label: 'Family name', maxLength: 200 }),
    nick: textField({ label: 'Nickname', maxLength: 200 }),
    email: textField({ label: 'E-mail', maxLength: 200 }),
  },
});

const search = defineModule({
  name: 'search',
  implements: [{ spec: 'XEP-0055', version: '1.3', status: 'complete', note: 'of those who want to be found' }],
  needs: ['vcard'],
  config: OPTIONS,
  tables: [ENTRIES],
  service: {
    kind: 'search',
    domain: domainOf,
    load: loadDirectory,
    identities: [{ category: 'directory', type: 'user', name: 'User search' }],
    features: [SEARCH],
    iq: [
      { type: 'get', payload: ['query', SEARCH], run: tellFields },
      { type: 'set', payload: ['query', SEARCH], run: find },
    ],
    receive: takeEntry,
  },
  hooks: {
    vcard_changed: (account, vcard) => announce(account, entryOf(vcard, account.host.moduleConfig(search).list === 'opt_in')),
    account_removing: (account) => announce(account, undefined),
  },
});
export default search;

function domainOf({ domain, settings }: ServedHost): string | undefined {
  const { service, domain: own } = settings.modules[search.name]!.values as z.infer<typeof OPTIONS>;
  return service ? (own ?? `search.${domain}`) : undefined;
}

/** From the account's actor to the directory's; leaves when the vCard is durable. */
function announce(account: AccountContext, entry: Entry | undefined): void {
  const to = parseJid(domainOf(account.host) ?? '');
  if (to === undefined || account.isTemporary) return;
  account.route(makeStanza({ kind: 'message', type: 'normal', from: account.jid, to }, entryElement(entry)));
}

/** What an account of the host says of itself. Clients have a resource, so nobody but the account's own actor is from a bare address. */
function takeEntry(stanza: Stanza, context: ServiceContext): StanzaError | undefined {
  if (stanza.kind !== 'message') return undefined;
  const element = stanza.child('entry', ENTRY_NS);
  const { from } = stanza;
  if (element === undefined || !from.isBare || from.domain !== context.host.domain) return new StanzaError('service-unavailable');
  const directory = context.state as Directory;
  const entry = readEntry(element);
  const isKnown = directory.entries.has(from.bare);
  if (entry === undefined) {
    if (isKnown) context.delete(ENTRIES, [from.bare]);
  } else {
    if (!isKnown && directory.entries.size >= context.host.moduleConfig(search).max_entries) return undefined;
    context.put(ENTRIES, [from.bare], entry);
  }
  directory.set(from.bare, entry);
  return undefined;
}

function maySearch(from: Stanza['from'], { host }: ServiceContext): boolean {
  return host.moduleConfig(search).open_to === 'anyone' || from.domain === host.domain;
}

/** §2.1, §3 */
function tellFields({ from }: IqRequest, context: ServiceContext): IqAnswer {
  if (!maySearch(from, context)) return new StanzaError('forbidden');
  return el(
    'query',
    SEARCH,
    {},
    el('instructions', SEARCH, {}, INSTRUCTIONS),
    ...FIELDS.map((field) => el(field, SEARCH)),
    dataFormElement(buildForm(FORM, {})),
  );
}

/** §2.1, §3: answered in the way it was asked. */
function find({ payload, from }: IqRequest, context: ServiceContext): IqAnswer {
  if (!maySearch(from, context)) return new StanzaError('forbidden');
  const x = payload.child('x', NS.dataForm);
  const sought = x === undefined ? soughtIn(payload) : soughtInForm(x);
  if (sought instanceof StanzaError) return sought;
  const { max_results } = context.host.moduleConfig(search);
  const found = sought.size === 0 ? [] : (context.state as Directory).find(sought, max_results);
  if (x !== undefined) return el('query', SEARCH, {}, dataFormElement(resultForm(found)));
  const items = found.map(([jid, entry]) => el('item', SEARCH, { jid }, ...FIELDS.map((field) => el(field, SEARCH, {}, entry[field]))));
  return el('query', SEARCH, {}, ...items);
}

/** Fields that are filled in. */
function soughtIn(query: Element): Map<Field, string> {
  const sought = new Map<Field, string>();
  for (const field of FIELDS) addSought(sought, field, query.child(field)?.text());
  return sought;
}

function soughtInForm(x: Element): Map<Field, string> | StanzaError {
  const form = parseDataForm(x);
  const read = form === undefined ? new StanzaError('bad-request', 'The form is malformed') : readSubmission(FORM, form);
  if (read instanceof StanzaError) return read;
  const sought = new Map<Field, string>();
  if (read.kind === 'submit') for (const field of FIELDS) addSought(sought, field, read.values[field]);
  return sought;
}

/** A star alone asks for everybody, which nobody is told. */
function addSought(sought: Map<Field, string>, field: Field, text = ''): void {
  if (withoutStars(text) !== '') sought.set(field, text);
}

function resultForm(found: readonly (readonly [string, Entry])[]): DataForm {
  const labels: Readonly<Record<Field, string>> = { first: 'Given name', last: 'Family name', nick: 'Nickname', email: 'E-mail' };
  return {
    kind: 'result',
    fields: [formTypeField(SEARCH)],
    reported: [
      { var: 'jid', type: 'jid-single', label: 'Address', values: [] },
      ...FIELDS.map((field) => ({ var: field, type: 'text-single' as const, label: labels[field], values: [] })),
    ],
    items: found.map(([jid, entry]) => [{ var: 'jid', values: [jid] }, ...FIELDS.map((field) => ({ var: field, values: [entry[field]] }))]),
  };
}
