/** Presence and subscriptions: RFC 6121 §3 and §4. */
import type { AccountContext } from '../../core/context.ts';
import { defineModule } from '../../core/module.ts';
import type { Session } from '../../core/session.ts';
import { el } from '../../xml/element.ts';
import { NS } from '../../xmpp/namespaces.ts';
import type { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { ABSENCE, ABSENCES } from './absence.ts';
import { receiveSubscription } from './being-subscribed.ts';
import { broadcastAvailable, broadcastUnavailable, refreshPresence, sayUnavailable } from './broadcast.ts';
import { forgetDirected, sendDirected } from './directed.ts';
import { answerProbe } from './probe.ts';
import { sendSubscription } from './subscribing.ts';

export { broadcastAvailable } from './broadcast.ts';
export { sendPresence, sendSubscription } from './subscribing.ts';

const PRE_APPROVAL = el('sub', NS.preApproval);

export default defineModule({
  name: 'presence',
  implements: [{ spec: 'RFC 6121', version: '2011', status: 'complete', note: '§3, with pre-approval, and §4' }],
  needs: ['roster'],
  tables: [ABSENCES],
  slots: [ABSENCE],
  streamFeatures: (_stream, isAuthenticated) => (isAuthenticated ? [PRE_APPROVAL] : []), // RFC 6121 §3.4
  hooks: {
    user_send_presence: { phase: 'deliver', run: fromClient },
    user_receive_presence: { phase: 'deliver', run: fromContact },
    session_closing: sayUnavailable,
    session_resumed: (account, session, isRestored) => {
      if (isRestored) refreshPresence(account, session);
    },
  },
});

function fromClient(stanza: Stanza, account: AccountContext, session: Session | undefined): boolean | StanzaError {
  if (session === undefined) return false;
  const { type, hasTo } = stanza;
  switch (type) {
    case 'available':
      return hasTo ? sendDirected(stanza, account, session) : broadcastAvailable(stanza, account, session);
    case 'unavailable':
      return hasTo ? sendDirected(stanza, account, session) : broadcastUnavailable(stanza, account, session);
    case 'subscribe':
    case 'subscribed':
    case 'unsubscribe':
    case 'unsubscribed':
      return sendSubscription(stanza, type, account);
    default:
      return false; // a client's probe is routed (RFC 6121 §4.3), an error is, too
  }
}

function fromContact(stanza: Stanza, account: AccountContext, session: Session | undefined): boolean | StanzaError {
  const { type, to } = stanza;
  switch (type) {
    case 'unavailable':
      forgetDirected(stanza, account, session);
      return false;
    case 'probe':
      answerProbe(stanza, account);
      return true;
    case 'subscribe':
    case 'subscribed':
    case 'unsubscribe':
    case 'unsubscribed':
      return receiveSubscription(stanza, type, account);
    case 'error':
      return to.isBare && receiveError(stanza, account);
    default:
      return false;
  }
}

/** What became of a stanza that was stamped with the bare JID: the client that caused it is among these. RFC 6121 §3.1.2 */
function receiveError(stanza: Stanza, account: AccountContext): true {
  for (const each of account.sessions) if (each.isAvailable) account.push(each, stanza);
  return true;
}
