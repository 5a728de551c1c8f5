/**
 * Who may reach an account and whom it reaches: one engine behind blocking (XEP-0191) and privacy lists (XEP-0016), which are
 * modules of their own. Before everything else: "Privacy lists MUST be the first delivery rule" (XEP-0016 §2.2).
 */
import { defineModule } from '../../core/module.ts';
import { filterIncoming, filterOutgoing, keepFromSession, keepIn } from './enforcement.ts';
import { PRIVACY_PORTABLE } from './portable.ts';
import { DEFAULT, LISTS, OPTIONS, PRIVACY } from './state.ts';

export { block, blockedBy, itemElement, KNOWS_BLOCKLIST, NS_BLOCKING, pushBlocklist, pushDifference, unblock } from './blocklist.ts';
export { changeActive, changePrivacy } from './change.ts';
export { PrivacyList } from './list.ts';
export { listElement, NS_PRIVACY, readRules } from './rules.ts';
export { activeName, hasRoomForRules, limitsOf, nameFor, privacyOf, type Privacy } from './state.ts';

const INCOMING = { phase: 'filter', run: filterIncoming } as const;
const OUTGOING = { phase: 'filter', run: filterOutgoing } as const;

const privacy = defineModule({
  name: 'privacy',
  implements: [],
  needs: ['roster'],
  config: OPTIONS,
  tables: [LISTS, DEFAULT],
  portable: [PRIVACY_PORTABLE],
  slots: [PRIVACY],
  guardsRoute: keepIn,
  guardsPush: keepFromSession,
  hooks: {
    user_receive_message: INCOMING,
    user_receive_presence: INCOMING,
    user_receive_iq: INCOMING,
    user_send_message: OUTGOING,
    user_send_presence: OUTGOING,
    user_send_iq: OUTGOING,
  },
});
export default privacy;
