/** Which stream error a client sees for each reason its session is ended by the server. RFC 6120 §4.9.3 */
import type { StreamCondition } from '../xmpp/stream-error.ts';
import type { CloseReason } from './messages.ts';

/** Reasons that come from the account or the operator. */
const CONDITIONS: Partial<Record<CloseReason, StreamCondition>> = {
  account_disabled: 'not-authorized',
  account_removed: 'not-authorized', // XEP-0077 §3.2
  client_revoked: 'not-authorized',
  conflict: 'conflict',
  crashed_too_often: 'internal-server-error',
  account_unreachable: 'internal-server-error',
  idle_timeout: 'connection-timeout',
  kicked: 'policy-violation',
  login_attempts: 'policy-violation',
  negotiation_timeout: 'connection-timeout',
  password_changed: 'not-authorized',
  slow_consumer: 'resource-constraint',
  shutdown: 'system-shutdown',
};

export function closeCondition(reason: CloseReason): StreamCondition {
  return CONDITIONS[reason] ?? 'undefined-condition';
}
