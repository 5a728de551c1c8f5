/** How far each chat was read, in step between an account's clients: also by a word in a message. XEP-0490 */
import type { AccountContext } from '../core/context.ts';
import { defineModule } from '../core/module.ts';
import { serialize } from '../xml/serialize.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { publishOwn } from './pep/index.ts';

/** Namespace and node. */
const NS = 'urn:xmpp:mds:displayed:0';

/** §7: nobody else is to see it. */
const OPTIONS = {
  'pubsub#access_model': 'whitelist',
  'pubsub#persist_items': true,
  'pubsub#max_items': 'max',
  'pubsub#send_last_published_item': 'never',
} as const;

export default defineModule({
  name: 'displayed',
  implements: [{ spec: 'XEP-0490', version: '1.0.1', status: 'complete', note: 'with server assist' }],
  needs: ['pep'],
  accountFeatures: ['urn:xmpp:mds:server-assist:0'], // §4.4.2
  hooks: { user_send_message: { phase: 'enrich', run: takeOut } },
});

/** §4.4.3, §5.2: before anybody else sees or keeps the message. */
function takeOut(stanza: Stanza, account: AccountContext): Stanza {
  if (!stanza.has('displayed', NS)) return stanza;
  const { children } = stanza.element();
  const displayed = stanza.child('displayed', NS)!;
  if (!account.isTemporary) publishOwn(account, { node: NS, id: stanza.to.full, payload: serialize(displayed, '\0'), options: OPTIONS });
  return stanza.withContent(children.filter((child) => typeof child === 'string' || !child.is('displayed', NS)));
}
