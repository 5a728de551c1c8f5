/** IQ requests to an account or to a host: finds the handler and answers for it. RFC 6120 §8.2.3, RFC 6121 §8.5.2 */
import type { SmallSet } from '../kernel/small-map.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, iqResult, type Stanza } from '../xmpp/stanza.ts';
import type { AccountContext, HostContext } from './context.ts';
import type { HandlerOf, Host } from './host.ts';
import { EMPTY_RESULT, IqRequest, NO_ANSWER, type IqAnswer } from './module.ts';
import type { Session } from './session.ts';

/** Requests per account whose handlers have not answered yet. Overflow: refused, to be tried again later. */
const MAX_UNANSWERED = 256;

/** What the account actor adds to the context for handlers that answer later. */
export interface AnsweringAccount extends AccountContext {
  readonly unanswered: SmallSet<Stanza>;
}

/**
 * Answers a get or set to the account's bare JID.
 *
 * @param session the sender's, where the owner asks.
 * @returns an error for the sender where there is no handler or it may not ask.
 */
export function answerIq(
  account: AnsweringAccount,
  stanza: Stanza,
  session: Session | undefined,
  handler: HandlerOf<'account'> | HandlerOf<'own_server'> | undefined = handlerFor(account.host, stanza),
): StanzaError | undefined {
  if (handler === undefined) return new StanzaError('service-unavailable'); // RFC 6120 §8.4
  if (handler.to === 'account' && handler.from !== 'anyone' && stanza.from.bare !== account.bare) {
    const verdict = account.host.admits(stanza);
    if (verdict !== true) {
      reply(account, stanza, verdict === false ? refusalFor(stanza, handler) : verdict); // says nothing about the account to strangers
      return undefined;
    }
  }
  if (account.unanswered.size >= MAX_UNANSWERED) return new StanzaError('resource-constraint');
  replySoon(account, stanza, handler.run(new IqRequest(stanza, session), account));
  return undefined;
}

/**
 * Answers what one of the account's clients asks of a host of ours. Here and not in the host's actor, which all share:
 * a flood of some would be everybody's, and what makes a handler throw is its sender's.
 */
export function answerForHost(account: AnsweringAccount, host: Host, stanza: Stanza, session: Session): StanzaError | undefined {
  const head = stanza.children[0]!;
  const context: HostContext = { host, now: account.now, route: (each) => account.route(each) };
  if (host.takes(stanza, context) !== undefined) return undefined;
  const handler = host.handler('server', stanza.type, head.name, head.ns);
  if (handler === undefined) return new StanzaError('service-unavailable'); // RFC 6120 §8.4
  if (account.unanswered.size >= MAX_UNANSWERED) return new StanzaError('resource-constraint');
  replySoon(account, stanza, handler.run(new IqRequest(stanza, session), context));
  return undefined;
}

function replySoon(account: AnsweringAccount, stanza: Stanza, answer: IqAnswer | Promise<IqAnswer>): void {
  if (!(answer instanceof Promise)) {
    reply(account, stanza, answer);
    return;
  }
  account.unanswered.add(stanza);
  const settled = answer.catch((error: unknown) => {
    account.host.services.log.error('iq_handler_failed', {
      payload: stanza.children[0]?.ns,
      error: error instanceof Error ? error.stack : String(error),
    });
    return new StanzaError('internal-server-error');
  });
  account.later(settled, (current, value) => {
    account.unanswered.delete(stanza);
    reply(current, stanza, value);
  });
}

/** What a stranger gets for a request only the owner may make; the same where there is no such account. */
export function refusalFor(request: Stanza, handler: HandlerOf<'account'> | undefined): IqAnswer {
  const refusal = handler?.refusal;
  if (typeof refusal === 'function') return refusal(request);
  return new StanzaError(request.to.isBare && refusal !== undefined ? refusal : 'service-unavailable');
}

export function handlerFor(host: Host, stanza: Stanza): HandlerOf<'account'> | undefined {
  const head = stanza.children[0];
  return head === undefined ? undefined : host.handler('account', stanza.type, head.name, head.ns);
}

/** Sends a handler's answer. */
export function reply(account: AccountContext, request: Stanza, answer: IqAnswer): void {
  const stanza = answerStanza(request, answer);
  if (stanza !== undefined) account.route(stanza);
}

/** The stanza that carries a handler's answer. */
export function answerStanza(request: Stanza, answer: IqAnswer): Stanza | undefined {
  if (answer === NO_ANSWER) return undefined;
  if (answer instanceof StanzaError) return errorAnswer(request, answer);
  return iqResult(request, answer === EMPTY_RESULT ? undefined : answer);
}
