/**
 * Service administration: the ad-hoc commands that administrators' clients know by their nodes. XEP-0133
 *
 * Each is a form in front of commands of the registry, which decide who may. What a form says without a domain is of the host that
 * was asked. Nodes that end in `-allhosts`, and `announce-all`, are those of ejabberd.
 */
import { defineModule } from '../../core/module.ts';
import { ACCOUNT_COMMANDS } from './accounts.ts';
import { BAN, END_OWN_SESSIONS } from './assistants.ts';
import { LIST_COMMANDS } from './lists.ts';
import { SERVICE_COMMANDS } from './service.ts';
import { ACCESS_COMMANDS, ACCESS_FORMS } from './access-forms.ts';
import { guardArrival, guardDeparture } from './access-lists.ts';

export default defineModule({
  name: 'administration',
  implements: [{ spec: 'XEP-0133', version: '1.3.1', status: 'complete', note: 'without what was retracted: nobody gets a password' }],
  needs: ['adhoc', 'announcements', 'roster'],
  commands: ACCESS_COMMANDS,
  adhoc: [...ACCOUNT_COMMANDS, ...ACCESS_FORMS, ...LIST_COMMANDS, ...SERVICE_COMMANDS, BAN, END_OWN_SESSIONS],
  hooks: {
    user_send_message: { phase: 'filter', run: guardDeparture },
    user_send_presence: { phase: 'filter', run: guardDeparture },
    user_send_iq: { phase: 'filter', run: guardDeparture },
    user_receive_message: { phase: 'filter', run: guardArrival },
    user_receive_presence: { phase: 'filter', run: guardArrival },
    user_receive_iq: { phase: 'filter', run: guardArrival },
  },
});
