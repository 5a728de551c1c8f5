/**
 * Invitations: links by which guests make accounts, become contacts, or set a new password. XEP-0379, XEP-0401, XEP-0445
 *
 * A token is good once. Commands make and use them up (`commands.ts`); registering with one is the module `registration`.
 */
import { defineModule, type ModuleSpec } from '../../core/module.ts';
import { el } from '../../xml/element.ts';
import { INVITE_ADHOC } from './adhoc.ts';
import { INVITE_COMMANDS } from './commands.ts';
import { BEFRIEND, receiveRequest } from './contacts.ts';
import { OPTIONS, type InviteOptions } from './options.ts';
import { isReserved, PARS } from './rows.ts';
import { show } from './showing.ts';

/** XEP-0445 §3 */
const STREAM_FEATURE = el('register', 'urn:xmpp:ibr-token:0');

const invites: ModuleSpec<InviteOptions> = defineModule({
  name: 'invites',
  implements: [
    { spec: 'XEP-0379', version: '0.3.3', status: 'complete', note: 'tokens of the server; those of clients pass' },
    { spec: 'XEP-0401', version: '0.6.0', status: 'complete', note: 'the landing page is elsewhere' },
    { spec: 'XEP-0445', version: '0.2.0', status: 'complete' },
  ],
  needs: ['roster', 'presence'],
  config: OPTIONS,
  commands: INVITE_COMMANDS,
  accountOperations: [BEFRIEND],
  adhoc: INVITE_ADHOC,
  reservesUsername: ({ services, domain }, local, guest, nowMs) => isReserved(services.store, domain, local, guest?.token, nowMs),
  streamFeatures: (_stream, isAuthenticated) => (isAuthenticated ? [] : [STREAM_FEATURE]),
  iq: [{ type: 'set', to: 'stream', payload: ['preauth', PARS], run: show }],
  hooks: { user_receive_presence: { phase: 'deliver', run: receiveRequest } },
});
export default invites;
