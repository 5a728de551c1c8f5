/** When an account was last there, and how long the server is up. XEP-0012 */
import type { AccountContext, HostContext } from '../core/context.ts';
import { defineModule, type AccountSlot, type IqAnswer, type IqRequest } from '../core/module.ts';
import type { Session, SessionSlot } from '../core/session.ts';
import { jsonTable } from '../store/codec.ts';
import { el, type Element } from '../xml/element.ts';
import type { Jid } from '../xmpp/jid.ts';
import { NS as CORE } from '../xmpp/namespaces.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import { rosterOf } from './roster/index.ts';

const NS = 'jabber:iq:last';
const QUERY = ['query', NS] as const;

/** What is kept of a status; a longer one is cut. UTF-16 units. */
const MAX_STATUS_LENGTH = 1_000;

interface LastActivity {
  /** When the last session ended, or the account was created if there never was one. */
  readonly atMs: number;
  /** Of the unavailable presence before that; '' for none. */
  readonly status: string;
}

const LAST = jsonTable<LastActivity>({ name: 'last_activity', version: 1 });

const ACTIVITY: AccountSlot<{ last: LastActivity | undefined }> = {
  name: 'last_activity',
  load: async (store, bare) => ({ last: await store.get(LAST, bare, []) }),
};

/** Status of the unavailable presence a client sent last. */
const GOODBYE: SessionSlot<string> = { name: 'last_activity_status', initial: () => '' };

export default defineModule({
  name: 'last_activity',
  implements: [{ spec: 'XEP-0012', version: '2.0', status: 'complete' }],
  needs: ['roster'],
  tables: [LAST],
  slots: [ACTIVITY],
  features: [NS],
  accountFeatures: [NS],
  iq: [
    { type: 'get', to: 'server', payload: QUERY, run: tellUptime },
    { type: 'get', to: 'account', from: 'anyone', payload: QUERY, refusal: () => new StanzaError('forbidden'), run: tellActivity },
  ],
  hooks: {
    user_send_presence: { phase: 'observe', run: noteStatus },
    user_receive_iq: { phase: 'filter', run: guardResource },
    session_closing: noteEnd,
    account_created: (account) => note(account, ''),
  },
});

/** §5 */
function tellUptime(_request: IqRequest, { host, now }: HostContext): Element {
  return activity(now - host.startedAtMs);
}

/** §3 */
function tellActivity({ from }: IqRequest, account: AccountContext): IqAnswer {
  if (!mayKnow(account, from.bare)) return new StanzaError('forbidden');
  if (account.sessionCount > 0) return activity(0);
  const { last } = account.state(ACTIVITY);
  return last === undefined ? new StanzaError('service-unavailable') : activity(account.now - last.atMs, last.status);
}

/** §4: a question to one resource tells its presence, too, so it does not reach it without permission. */
function guardResource(stanza: Stanza, account: AccountContext): Stanza | StanzaError {
  const isQuestion = stanza.type === 'get' && stanza.to.isFull && stanza.has(...QUERY);
  return isQuestion && !mayKnow(account, stanza.from.bare) ? new StanzaError('forbidden') : stanza;
}

/** §8: those who see the presence, and the owner. */
function mayKnow(account: AccountContext, bare: Jid['bare']): boolean {
  return bare === account.bare || rosterOf(account).subscribers.has(bare);
}

function activity(ms: number, status = ''): Element {
  return el('query', NS, { seconds: String(Math.max(0, Math.floor(ms / 1_000))) }, status === '' ? undefined : status);
}

function noteStatus(stanza: Stanza, _account: AccountContext, session: Session | undefined): void {
  if (session === undefined || stanza.hasTo) return;
  const status = stanza.type === 'unavailable' ? (stanza.child('status', CORE.client)?.text() ?? '') : '';
  if (status !== '' || session.get(GOODBYE) !== '') session.set(GOODBYE, status);
}

function noteEnd(account: AccountContext, session: Session): void {
  if (account.sessionCount === 0) note(account, session.get(GOODBYE));
}

function note(account: AccountContext, status: string): void {
  const last = { atMs: account.now, status: status.slice(0, MAX_STATUS_LENGTH).toWellFormed() };
  account.state(ACTIVITY).last = last;
  account.put(LAST, [], last);
}
