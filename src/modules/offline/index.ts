/**
 * How much waits for an account nobody is there to read for. XEP-0160
 *
 * Messages wait in the account's log; handing them over, in order and to the first session that takes messages, is the core's
 * (`core/catch-up.ts`). Here is decided whether one may wait at all.
 */
import { z } from 'zod';
import { bytes } from '../../config/types.ts';
import type { AccountContext } from '../../core/context.ts';
import { defineModule } from '../../core/module.ts';
import { isChatStateOnly, isDurable } from '../../xmpp/message-content.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';

const OPTIONS = z.strictObject({
  /** Size of all messages kept for one account; the number is `accounts.offline_messages`. */
  size: bytes({ min: 1_024, max: 1024 * 1024 * 1024 }).schema.default(8 * 1024 * 1024),
});

const offline = defineModule({
  name: 'offline',
  implements: [
    { spec: 'XEP-0160', version: '1.0.1', status: 'complete' },
    { spec: 'XEP-0203', version: '2.0', status: 'complete' },
    { spec: 'XEP-0334', version: '1.0.0', status: 'partial', note: 'no-store and store' },
  ],
  config: OPTIONS,
  features: ['msgoffline'], // §4
  hooks: { message_undelivered: { phase: 'deliver', run: keep } },
});
export default offline;

/** §2, §3; RFC 6121 §8.5.2.2.1. What is not taken here is refused. */
function keep(stanza: Stanza, account: AccountContext): boolean | StanzaError {
  if (account.isTemporary) return false;
  if (isChatStateOnly(stanza)) return true; // nothing anybody would miss
  if (!isDurable(stanza)) return false;
  if (isFull(account, stanza)) return new StanzaError('service-unavailable', 'No more messages are kept for this account'); // §2
  return account.keepPending();
}

function isFull({ host, pendingCount, pendingBytes }: AccountContext, stanza: Stanza): boolean {
  return pendingCount >= host.config.accounts.maxOfflineMessages || pendingBytes + stanza.bytes > host.moduleConfig(offline).size;
}
