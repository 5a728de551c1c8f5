/** What the owner wants archived, as it leaves with the account: the element of XEP-0441. The archive itself is the log's. */
import type { Portable } from '../../core/portable.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { serialize } from '../../xml/serialize.ts';
import { MAM } from './namespace.ts';
import { PREFERENCES, prefs, readPreferences } from './preferences.ts';

export const ARCHIVE_PORTABLE: readonly Portable[] = [
  {
    tables: [PREFERENCES],
    elements: [['prefs', MAM]],
    async *write(account) {
      const row = await account.get(PREFERENCES, []);
      if (row !== undefined) yield serialize(prefs(row.default, row.always, row.never));
    },
    read: (account) => ({
      take(element) {
        const row = readPreferences(element);
        if (row instanceof StanzaError) return false;
        account.put(PREFERENCES, [], row);
        return true;
      },
    }),
  },
];
