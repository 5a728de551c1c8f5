/** A guest shows a token before there is an account. XEP-0445 */
import type { StreamContext } from '../../core/context.ts';
import { GUEST, type Guest } from '../../core/guest.ts';
import { EMPTY_RESULT, type IqAnswer } from '../../core/module.ts';
import type { Element } from '../../xml/element.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { findInvite, type InviteRow } from './rows.ts';
import { SERVER } from './server.ts';

/** §4: its time is looked at here and never again. */
export async function show(payload: Element, stream: StreamContext): Promise<IqAnswer> {
  const { host, now } = stream;
  const token = payload.attr('token');
  if (token === undefined) return new StanzaError('bad-request', 'A token is missing');
  const invite = await findInvite(host.services.store, host.domain, token, now);
  if (invite?.mayRegister !== true) return new StanzaError('item-not-found', 'The provided token is invalid or expired');
  stream.set(GUEST, guestOf(stream, token, invite));
  return EMPTY_RESULT;
}

function guestOf(stream: StreamContext, token: string, { username, kind }: InviteRow): Guest {
  const { services, domain } = stream.host;
  return {
    token,
    username,
    isReset: kind === 'reset',
    async use(guest, work, isDone) {
      const step = (name: string) => services.commands.run('invite redeem', { host: domain, token, step: name, guest }, SERVER);
      const claimed = await step('claim');
      if (!claimed.ok)
        return new StanzaError(claimed.code === 'ERR_INVITE_IN_USE' ? 'resource-constraint' : 'not-allowed', claimed.message);
      let hasCome = false;
      try {
        const outcome = await work();
        hasCome = isDone(outcome);
        return outcome;
      } finally {
        await step(hasCome ? 'use' : 'release');
        if (hasCome) stream.set(GUEST, undefined);
      }
    },
  };
}
