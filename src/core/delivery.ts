/**
 * The server rules for stanzas to an account of ours, RFC 6121 §8.5, after the hooks
 * of receiving had their say. IQs to the account itself are not here: see `iq.ts`.
 */
import { StanzaError } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { AccountContext } from './context.ts';
import { DROP, HANDLED } from './hooks.ts';
import type { Session } from './session.ts';

/**
 * @param session the one whose full JID is addressed, if there is one.
 * @returns an error for the sender, or `undefined` where the stanza was delivered, stored or rightly ignored.
 */
export function deliver(account: AccountContext, stanza: Stanza, session: Session | undefined): StanzaError | undefined {
  if (session !== undefined) {
    account.push(session, stanza); // §8.5.3.1
    return undefined;
  }
  const isFull = stanza.to.resource !== '';
  switch (stanza.kind) {
    case 'iq':
      return isRequest(stanza) ? new StanzaError('service-unavailable') : undefined; // §8.5.3.2.3
    case 'presence':
      if (!isFull && (stanza.type === 'available' || stanza.type === 'unavailable')) {
        for (const each of account.sessions) if (each.isAvailable) account.push(each, stanza); // §8.5.2.1.2
      }
      return undefined; // §8.5.2.2.2, §8.5.3.2.2
    case 'message':
      return deliverMessage(account, stanza, isFull);
  }
}

function deliverMessage(account: AccountContext, stanza: Stanza, isFull: boolean): StanzaError | undefined {
  switch (stanza.type) {
    case 'error':
      return undefined; // §8.5.2.1.1, §8.5.3.2.1: never answered, never stored
    case 'groupchat':
      return new StanzaError('service-unavailable'); // §8.5.2.1.1
    case 'headline':
      if (isFull) return new StanzaError('service-unavailable'); // §8.5.3.2.1
      toAvailable(account, stanza);
      return undefined; // §8.5.2.2.1: nobody there, nothing kept
    case 'normal':
      if (isFull) return new StanzaError('service-unavailable'); // §8.5.3.2.1
      break;
    default: // chat: as to the bare JID, §8.5.3.2.1
  }
  if (toAvailable(account, stanza)) return undefined;
  const outcome = account.host.hooks.run('message_undelivered', stanza, account, undefined);
  if (outcome === HANDLED || outcome === DROP) return undefined;
  return outcome instanceof StanzaError ? outcome : new StanzaError('service-unavailable'); // §8.5.2.2.1
}

/** §8.5.2.1.1 (b): all resources with non-negative priority. */
function toAvailable(account: AccountContext, stanza: Stanza): boolean {
  let isTaken = false;
  for (const each of account.sessions) {
    if (!each.takesMessages) continue;
    account.push(each, stanza);
    isTaken = true;
  }
  return isTaken;
}

export function isRequest(stanza: Stanza): boolean {
  return stanza.kind === 'iq' && (stanza.type === 'get' || stanza.type === 'set');
}
