/**
 * Strangers: who is no contact of the user, and has not been written to. What they may send is the operator's choice; by default all.
 * As mod_block_strangers of ejabberd; a flood of subscription requests is held back rather than refused, since one of them may matter.
 */
import { z } from 'zod';
import { flag, rate } from '../config/types.ts';
import type { AccountContext } from '../core/context.ts';
import { DROP } from '../core/hooks.ts';
import { defineModule, type AccountSlot } from '../core/module.ts';
import type { Session } from '../core/session.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { areRequestsFull, rosterOf, saveRequest } from './roster/index.ts';

const OPTIONS = z.strictObject({
  /** Whether strangers may send messages and requests. */
  messages: flag().schema.default(true),
  /** Whether accounts of this server are strangers, too. */
  local: flag().schema.default(false),
  /** Subscription requests of strangers that an account is shown as they come; those beyond wait for its next login. */
  requests: rate({ min: 1 }).schema.default({ count: 20, windowMs: 3_600_000 }),
});

interface Requests {
  /** When the window began, and what has come since. */
  sinceMs: number;
  count: number;
}

const REQUESTS: AccountSlot<Requests> = { name: 'strangers', load: () => ({ sinceMs: 0, count: 0 }) };

const strangers = defineModule({
  name: 'strangers',
  implements: [],
  needs: ['roster', 'presence'],
  config: OPTIONS,
  slots: [REQUESTS],
  hooks: {
    user_receive_message: { phase: 'filter', run: guard },
    user_receive_iq: { phase: 'filter', run: guard },
    user_receive_presence: { phase: 'filter', run: holdBack },
  },
});
export default strangers;

function guard(stanza: Stanza, account: AccountContext, session: Session | undefined): Stanza | StanzaError | typeof DROP {
  if (account.host.moduleConfig(strangers).messages) return stanza;
  if (stanza.type === 'error' || stanza.type === 'result' || isKnown(stanza, account)) return stanza;
  if (stanza.kind === 'iq') {
    // What is asked of the account is answered by its rules; a client is for contacts.
    return session === undefined ? stanza : new StanzaError('service-unavailable');
  }
  return stanza.type === 'chat' || stanza.type === 'normal'
    ? new StanzaError('policy-violation', 'Only contacts may write; ask for a subscription first', { type: 'auth' })
    : DROP;
}

/** A contact of any kind, one who was asked, or one to whom presence was sent, such as a room the user is in. */
function isKnown({ from }: Stanza, account: AccountContext): boolean {
  const { host, bare } = account;
  if (from.bare === bare || from.bare === host.domain || rosterOf(account).items.has(from.bare)) return true;
  if (from.domain === host.domain && !host.moduleConfig(strangers).local) return true;
  for (const { directed } of account.sessions) {
    if (directed.size === 0) continue;
    if (directed.has(from.full)) return true;
    for (const jid of directed.values()) if (jid.bare === from.bare) return true;
  }
  return false;
}

function holdBack(stanza: Stanza, account: AccountContext): Stanza | typeof DROP {
  if (stanza.type !== 'subscribe') return stanza;
  const roster = rosterOf(account);
  const { bare } = stanza.from;
  if (bare === account.bare || roster.items.has(bare) || roster.requests.has(bare)) return stanza;
  const { count, windowMs } = account.host.moduleConfig(strangers).requests;
  const seen = account.state(REQUESTS);
  if (account.now - seen.sinceMs >= windowMs) {
    seen.sinceMs = account.now;
    seen.count = 0;
  }
  if (++seen.count <= count || areRequestsFull(account, roster.requests.size)) return stanza;
  saveRequest(account, stanza); // RFC 6121 §3.1.3: it is delivered with the next initial presence
  return DROP;
}
