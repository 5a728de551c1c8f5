/**
 * Words of the operator to users: announcements, the message of the day, a welcome. XEP-0133 §4.23 – §4.28
 *
 * Announcements go to sessions that are there, or to all accounts, where they wait like any message. The message of the day goes to
 * each account once: at once where somebody is there, else with the next login. As with ejabberd and Openfire, admins may also send
 * a message to `host/announce/…`.
 */
import type { AccountContext } from '../../core/context.ts';
import { defineModule, type AccountSlot } from '../../core/module.ts';
import type { Session } from '../../core/session.ts';
import type { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { ANNOUNCEMENT_COMMANDS } from './commands.ts';
import { DELIVER, DELIVER_ONLINE, TELL_ALL, TELL_ONLINE } from './delivering.ts';
import { messageTo, MOTD, SEEN, SEEN_MOTD, WELCOME } from './words.ts';
import { announceByMessage } from './by-message.ts';

const announcements = defineModule({
  name: 'announcements',
  implements: [],
  tables: [SEEN],
  slots: [SEEN_MOTD as AccountSlot<never>],
  commands: ANNOUNCEMENT_COMMANDS,
  accountOperations: [DELIVER, DELIVER_ONLINE],
  workerOperations: [TELL_ALL, TELL_ONLINE],
  hooks: {
    user_send_message: { phase: 'deliver', run: announce },
    session_available: showMotd,
    account_created: welcome,
  },
});
export default announcements;

function announce(stanza: Stanza, account: AccountContext, session: Session | undefined): boolean | StanzaError {
  const { local, domain, resource } = stanza.to;
  if (local !== '' || session === undefined || !resource.startsWith('announce/')) return false;
  if (!account.host.config.hosts.some((host) => host.domain === domain)) return false;
  return announceByMessage(stanza, account, session);
}

/** Once per account, with a session's first presence. */
function showMotd(account: AccountContext, session: Session): void {
  const motd = account.host.stored.get(MOTD);
  if (motd === undefined || !session.takesMessages || account.isTemporary) return;
  const state = account.state(SEEN_MOTD);
  if (state.id === motd.id) return;
  state.id = motd.id;
  account.put(SEEN, [], { id: motd.id });
  account.receive(messageTo(account.host, session.jid, 'normal', motd));
}

/** It waits for the first login. */
function welcome(account: AccountContext): void {
  const words = account.host.stored.get(WELCOME);
  if (words !== undefined) account.receive(messageTo(account.host, account.jid, 'normal', words));
}

export { tellOnline } from './commands.ts';
export { makeWords } from './words.ts';
