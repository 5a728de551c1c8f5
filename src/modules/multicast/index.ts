/**
 * One stanza to the server for several addressees. XEP-0033
 *
 * Of the server's own users each copy goes the way of any stanza: it is checked, logged and owed like one the client has sent itself,
 * and presence is directed presence, so its end is told (§5.1). Others may only reach accounts of the host: no relay.
 */
import { z } from 'zod';
import { count } from '../../config/types.ts';
import type { AccountContext, HostContext } from '../../core/context.ts';
import { defineModule } from '../../core/module.ts';
import type { Session } from '../../core/session.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { errorAnswer, type Stanza } from '../../xmpp/stanza.ts';
import { copyFor, NS, readAddresses } from './addresses.ts';

const OPTIONS = z.strictObject({
  /** Addressees of one stanza. */
  max_addresses: count({ min: 1, max: 1_000 }).schema.default(50),
});

const SPREAD = { phase: 'deliver', run: spread } as const;

const multicast = defineModule({
  name: 'multicast',
  implements: [{ spec: 'XEP-0033', version: '1.2.1', status: 'complete', note: 'other servers get a copy for each addressee' }],
  config: OPTIONS,
  features: [NS], // §2.1
  hooks: { user_send_message: SPREAD, user_send_presence: SPREAD },
  toHost: spreadForOthers,
});
export default multicast;

function spread(stanza: Stanza, account: AccountContext, session: Session | undefined): boolean | StanzaError {
  const { to } = stanza;
  if (to.local !== '' || session === undefined || to.full !== account.host.domain || !stanza.has('addresses', NS)) return false;
  if (stanza.type === 'error') return true; // an error to several would be many
  const read = readAddresses(stanza, account.host.moduleConfig(multicast).max_addresses);
  if (read instanceof StanzaError) return read;
  if (read.recipients.some(({ jid }) => jid.isDomain && jid.domain === account.host.domain)) return new StanzaError('forbidden'); // a loop
  for (const recipient of read.recipients) account.sendFrom(session, copyFor(read, recipient, stanza));
  return true;
}

/** Of other servers and of components. §2.2: "the server MUST return a Forbidden error", and deliver to nobody. */
function spreadForOthers(stanza: Stanza, { host, route }: HostContext): 'taken' | undefined {
  if (stanza.kind === 'iq' || stanza.to.resource !== '' || !stanza.has('addresses', NS)) return undefined;
  if (stanza.type === 'error') return 'taken';
  const read = readAddresses(stanza, host.moduleConfig(multicast).max_addresses);
  const isForUs = (jid: Stanza['to']): boolean => jid.local !== '' && jid.domain === host.domain;
  if (read instanceof StanzaError) route(errorAnswer(stanza, read));
  else if (!read.recipients.every(({ jid }) => isForUs(jid))) route(errorAnswer(stanza, new StanzaError('forbidden')));
  else for (const recipient of read.recipients) route(copyFor(read, recipient, stanza));
  return 'taken';
}
