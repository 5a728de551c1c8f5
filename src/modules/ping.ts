import { defineModule, EMPTY_RESULT } from '../core/module.ts';

const NS = 'urn:xmpp:ping';

/** XEP-0199: asks "are you there?"; any answer means yes. Accounts say so to their owners alone. */
export default defineModule({
  name: 'ping',
  implements: [{ spec: 'XEP-0199', version: '2.0.1', status: 'complete' }],
  features: [NS],
  accountFeatures: [NS],
  iq: [
    { type: 'get', to: 'server', payload: ['ping', NS], run: () => EMPTY_RESULT }, // §4.2, §4.3
    { type: 'get', to: 'service', payload: ['ping', NS], run: () => EMPTY_RESULT },
    { type: 'get', to: 'account', payload: ['ping', NS], run: () => EMPTY_RESULT }, // §4.2, the note
  ],
});
