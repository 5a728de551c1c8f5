/** Groups the operator makes: their members have each other in their rosters, without anybody having asked. `rookery group` */
import { defineModule } from '../../core/module.ts';
import { COMMANDS } from './commands.ts';
import { directoryOf, loadDirectory } from './directory.ts';
import { GROUPS } from './group.ts';
import { keepSubscribed, OPERATIONS, refresh, RELOAD, takePresence, welcome } from './sharing.ts';

export default defineModule({
  name: 'shared_groups',
  implements: [],
  needs: ['roster', 'presence'],
  tables: [GROUPS],
  commands: COMMANDS,
  accountOperations: OPERATIONS,
  workerOperations: [RELOAD],
  sharesContacts: async (host, bare) => (await loadDirectory(host)).contactsOf(bare),
  hooks: {
    user_send_presence: { phase: 'filter', run: keepSubscribed },
    user_receive_presence: { phase: 'filter', run: takePresence },
    session_opened: (account) => {
      if (directoryOf(account.host)?.isEmpty === false) refresh(account); // it may have been loaded before they changed
    },
    account_created: welcome,
    account_removing: (account) => directoryOf(account.host)?.delete(account.bare),
  },
});
