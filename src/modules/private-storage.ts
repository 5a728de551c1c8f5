/** Elements that an account keeps for its clients and shows nobody else. XEP-0049 */
import { z } from 'zod';
import { bytes, count } from '../config/types.ts';
import type { AccountContext } from '../core/context.ts';
import { defineModule, EMPTY_RESULT, NO_ANSWER, type AccountSlot, type IqAnswer, type IqRequest } from '../core/module.ts';
import type { AccountRows, Portable } from '../core/portable.ts';
import { jsonTable } from '../store/codec.ts';
import type { Element } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { Stanza } from '../xmpp/stanza.ts';

const NS = 'jabber:iq:private';
const QUERY = ['query', NS] as const;

const OPTIONS = z.strictObject({
  /** Elements one account may keep. */
  max_elements: count({ min: 1, max: 10_000 }).schema.default(200),
  /** Of all of them together. */
  max_size: bytes({ min: 1024, max: 64 * 1024 * 1024 }).schema.default(512 * 1024),
});

/** An element as text, keyed by name and namespace. */
const ELEMENTS = jsonTable<string>({ name: 'private_element', version: 1 });

/** Sizes of the elements, by `{ns}name`. */
const STORED: AccountSlot<Map<string, number>> = {
  name: 'private_storage',
  load: async (store, bare) => new Map((await store.list(ELEMENTS, bare)).map(({ key, value }) => [`{${key[1]}}${key[0]}`, value.length])),
};

/** XEP-0227 §4.5: one query around all of them. */
const PORTABLE: Portable = {
  tables: [ELEMENTS],
  elements: [[...QUERY]],
  async *write(account: AccountRows) {
    let all = '';
    for await (const page of account.pages(ELEMENTS)) for (const { value } of page) all += value;
    if (all !== '') yield `<query xmlns='${NS}'>${all}</query>`;
  },
  read: (account) => ({
    take(query) {
      for (const element of query.elements()) account.put(ELEMENTS, [element.name, element.ns], textOf(element));
      return true;
    },
  }),
};

const privateStorage = defineModule({
  name: 'private_storage',
  implements: [{ spec: 'XEP-0049', version: '1.2', status: 'complete' }],
  config: OPTIONS,
  tables: [ELEMENTS],
  portable: [PORTABLE],
  slots: [STORED],
  features: [NS],
  accountFeatures: [NS],
  iq: [
    { type: 'get', to: 'account', refusal: 'forbidden', payload: QUERY, run: retrieve },
    { type: 'set', to: 'account', refusal: 'forbidden', payload: QUERY, run: store },
  ],
});
export default privateStorage;

/** §3: the elements that are named, empty where there are none. */
function retrieve({ payload, stanza }: IqRequest, account: AccountContext): IqAnswer {
  const wanted = payload.elements();
  if (wanted.length !== 1) return new StanzaError('bad-request', 'One element names what is wanted'); // §3, `bad-format`
  const [{ name, ns }] = wanted as [Element];
  const read = account.host.services.store.get(ELEMENTS, account.bare, [name, ns]);
  account.later(read, (current, text) => {
    const body = `<query xmlns='${NS}'>${text ?? textOf(wanted[0]!)}</query>`;
    const { id, from, to } = stanza;
    current.route(new Stanza({ kind: 'iq', type: 'result', id, from: to, to: from, body, children: [{ name: 'query', ns: NS }] }));
  });
  return NO_ANSWER;
}

function store({ payload }: IqRequest, account: AccountContext): IqAnswer {
  const elements = payload.elements();
  if (elements.length === 0) return new StanzaError('bad-request', 'There is nothing to keep');
  const stored = account.state(STORED);
  const after = new Map(stored);
  for (const element of elements) {
    if (element.ns === '' || element.ns === NS) return new StanzaError('not-acceptable', 'An element needs a namespace of its own');
    after.set(`{${element.ns}}${element.name}`, textOf(element).length);
  }
  const { max_elements, max_size } = account.host.moduleConfig(privateStorage);
  const size = [...after.values()].reduce((sum, each) => sum + each, 0);
  if (after.size > max_elements || size > max_size) return new StanzaError('resource-constraint', 'There is no room for more');
  for (const element of elements) {
    stored.set(`{${element.ns}}${element.name}`, textOf(element).length);
    account.put(ELEMENTS, [element.name, element.ns], textOf(element));
  }
  return EMPTY_RESULT;
}

/** Text that stands alone. */
function textOf(element: Element): string {
  return serialize(element, '\0');
}
