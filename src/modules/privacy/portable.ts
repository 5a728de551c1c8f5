/** Privacy lists, and with them blocked addresses, as XEP-0227 §4.7 has them. */
import type { Portable } from '../../core/portable.ts';
import { el } from '../../xml/element.ts';
import { serialize } from '../../xml/serialize.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { PrivacyList } from './list.ts';
import { listElement, NS_PRIVACY, readRules } from './rules.ts';
import { DEFAULT, LISTS } from './state.ts';

export const PRIVACY_PORTABLE: Portable = {
  tables: [LISTS, DEFAULT],
  elements: [['query', NS_PRIVACY]],
  async *write(account) {
    const lists = [];
    for await (const page of account.pages(LISTS)) {
      for (const { key, value } of page) lists.push(listElement(String(key[0]), new PrivacyList(value)));
    }
    if (lists.length === 0) return;
    const name = await account.get(DEFAULT, []);
    yield serialize(el('query', NS_PRIVACY, {}, name !== undefined && el('default', NS_PRIVACY, { name }), ...lists), '');
  },
  read: (account) => ({
    take(query) {
      let isComplete = true;
      for (const list of query.childrenNamed('list')) {
        const name = list.attr('name') ?? '';
        // The roster may stand behind the lists, so its groups are taken on trust.
        const rules = readRules(list, () => true);
        if (name === '' || rules instanceof StanzaError) isComplete = false;
        else if (rules.length > 0) account.put(LISTS, [name], rules);
      }
      const name = query.child('default')?.attr('name');
      if (name !== undefined) account.put(DEFAULT, [], name);
      return isComplete;
    },
  }),
};
