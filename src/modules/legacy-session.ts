import { defineModule, EMPTY_RESULT } from '../core/module.ts';

const NS = 'urn:ietf:params:xml:ns:xmpp-session';

/**
 * COMPAT clients that follow RFC 3921 §3: they ask to establish a session after binding and wait for the
 * answer. Binding has done it, so the answer is always yes.
 */
export default defineModule({
  name: 'legacy_session',
  implements: [{ spec: 'RFC 3921', version: '§3', status: 'complete', note: 'session establishment only, for old clients' }],
  iq: [
    { type: 'set', to: 'account', payload: ['session', NS], run: () => EMPTY_RESULT },
    { type: 'set', to: 'own_server', payload: ['session', NS], run: () => EMPTY_RESULT },
  ],
});
