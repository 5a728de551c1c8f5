/** The archive of an account: what it shows of the log, how it is queried and searched, how long it lasts. XEP-0313 */
import { defineModule } from '../../core/module.ts';
import { STANZA_IDS } from '../../xmpp/forwarding.ts';
import { FULL_TEXT, MAM, MAM_EXTENDED, MAM_GROUPCHAT_FIELD } from './namespace.ts';
import { ARCHIVE_OPTIONS, retains } from './options.ts';
import { archives } from './policy.ts';
import { changePreferences, PREFERENCES, tellPreferences } from './preferences.ts';
import { ARCHIVE_PORTABLE } from './portable.ts';
import { answerQuery, forgetQueries, metadata } from './queries.ts';
import { FORM } from './request.ts';
import { ARCHIVE } from './state.ts';
import { noteQuestion, withoutUnsolicited } from './unsolicited.ts';

export type { SiftPool } from './searching.ts';

const QUERY = ['query', MAM] as const;
const PREFS = ['prefs', MAM] as const;

export default defineModule({
  name: 'archive',
  implements: [
    { spec: 'XEP-0059', version: '1.0', status: 'complete', note: 'pages are named by ids, not by index' },
    { spec: 'XEP-0313', version: '1.1.3', status: 'complete', note: 'with `extended`, of accounts; groupchat is archived by rooms' },
    { spec: 'XEP-0334', version: '1.0.0', status: 'partial', note: 'no-permanent-store and store' },
    { spec: 'XEP-0359', version: '0.7.0', status: 'complete', note: 'of accounts' },
    { spec: 'XEP-0431', version: '0.2.0', status: 'complete', note: 'words by their beginning, without case and accents' },
    { spec: 'XEP-0441', version: '0.2.0', status: 'complete' },
  ],
  needs: ['roster'],
  config: ARCHIVE_OPTIONS,
  tables: [PREFERENCES],
  portable: ARCHIVE_PORTABLE,
  slots: [ARCHIVE],
  accountFeatures: [MAM, MAM_EXTENDED, MAM_GROUPCHAT_FIELD, FULL_TEXT, STANZA_IDS], // XEP-0313 §7, XEP-0431 §2.1, XEP-0359 §6
  iq: [
    // XEP-0313 §8.1: "the error condition SHOULD be 'forbidden'"
    { type: 'get', to: 'account', refusal: 'forbidden', payload: QUERY, run: () => FORM },
    { type: 'set', to: 'account', refusal: 'forbidden', payload: QUERY, run: answerQuery },
    { type: 'get', to: 'account', refusal: 'forbidden', payload: ['metadata', MAM], run: (_request, account) => metadata(account) },
    { type: 'get', to: 'account', refusal: 'forbidden', payload: PREFS, run: tellPreferences },
    { type: 'set', to: 'account', refusal: 'forbidden', payload: PREFS, run: changePreferences },
  ],
  tellBound: metadata, // XEP-0386
  archives,
  retains,
  hooks: {
    user_send_iq: { phase: 'observe', run: noteQuestion },
    user_receive_message: { phase: 'filter', run: withoutUnsolicited },
    session_closing: forgetQueries,
  },
});
