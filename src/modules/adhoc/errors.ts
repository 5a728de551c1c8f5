/** How a command that cannot go on is answered. XEP-0050 §4.4, XEP-0133 §5 */
import { CommandFailure } from '../../core/adhoc.ts';
import { el } from '../../xml/element.ts';
import { StanzaError, type Condition } from '../../xmpp/stanza-error.ts';

export const NS_COMMANDS = 'http://jabber.org/protocol/commands';

type BadRequest = 'malformed-action' | 'bad-action' | 'bad-payload' | 'bad-sessionid';

export function badRequest(why: BadRequest, text?: string): StanzaError {
  return new StanzaError('bad-request', text, { appCondition: el(why, NS_COMMANDS) });
}

export function sessionExpired(): StanzaError {
  return new StanzaError('not-allowed', undefined, { appCondition: el('session-expired', NS_COMMANDS) });
}

/** Codes of operator errors that have a condition of their own; all others are `not-acceptable`, with their text. */
const CONDITIONS: Readonly<Record<string, Condition>> = {
  ERR_ACCOUNT_EXISTS: 'conflict',
  ERR_COMMAND_FAILED: 'internal-server-error',
  ERR_COMMAND_FORBIDDEN: 'forbidden',
  ERR_HOST_UNKNOWN: 'item-not-found',
  ERR_MODULE_OFF: 'feature-not-implemented',
  ERR_NO_ACCOUNT: 'item-not-found',
  ERR_NOT_AVAILABLE: 'feature-not-implemented',
  ERR_NOT_READY: 'resource-constraint',
};

/** The answer for what a command threw. Anything but a failed command is a bug and thrown on. */
export function errorFor(error: unknown): StanzaError {
  if (!(error instanceof CommandFailure)) throw error;
  const { code, message } = error;
  const condition = CONDITIONS[code];
  if (condition === undefined) return badRequest('bad-payload', message);
  return new StanzaError(condition, condition === 'forbidden' ? undefined : message);
}
