/** What has access to the account, and how to take it away. XEP-0494 */
import type { AccountContext } from '../core/context.ts';
import { clientsOf, revokeClient, type ClientView } from '../core/clients.ts';
import { defineModule, EMPTY_RESULT, type IqAnswer, type IqRequest } from '../core/module.ts';
import type { Session } from '../core/session.ts';
import { el, type Element } from '../xml/element.ts';
import { formatDateTime } from '../xmpp/date-time.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';

const NS = 'urn:xmpp:cam:0';

/** Of sessions whose client has not said which one it is. */
const SESSION_PREFIX = 'session:';

export default defineModule({
  name: 'clients',
  implements: [{ spec: 'XEP-0494', version: '0.1.0', status: 'complete' }],
  features: [NS],
  accountFeatures: [NS],
  iq: [
    { type: 'get', to: 'account', payload: ['list', NS], run: list },
    { type: 'set', to: 'account', payload: ['revoke', NS], run: revoke },
  ],
});

/** §Listing clients */
async function list(_request: IqRequest, account: AccountContext): Promise<IqAnswer> {
  const sessions = [...account.sessions];
  const known = account.isTemporary ? [] : await clientsOf(account);
  const named = known.map((client) => clientElement(client, sessions));
  const listed = new Set(known.map(({ key }) => key));
  const others = sessions.filter(({ identity }) => identity.client === undefined || !listed.has(identity.client));
  return el('clients', NS, {}, ...named, ...others.map(sessionElement));
}

function clientElement({ key, row, methods }: ClientView, sessions: readonly Session[]): Element {
  const { software, device, firstSeenMs, lastSeenMs } = row;
  const isConnected = sessions.some(({ identity }) => identity.client === key);
  const agent = [software !== undefined && el('software', NS, {}, software), device !== undefined && el('device', NS, {}, device)];
  return element({
    id: key,
    isConnected,
    firstSeenMs,
    lastSeenMs,
    methods: methods.flatMap((method) => (method === 'token' ? ['fast'] : method === 'password' ? ['password'] : [])),
    agent: agent.some((each) => each !== false) ? el('user-agent', NS, {}, ...agent) : undefined,
  });
}

/** One that logged in in the old way, or says nothing of itself. */
function sessionElement({ key, identity }: Session): Element {
  const { boundAtMs, mechanism } = identity;
  const methods = mechanism === 'EXTERNAL' || mechanism === 'ANONYMOUS' ? [] : ['password'];
  return element({ id: SESSION_PREFIX + key, isConnected: true, firstSeenMs: boundAtMs, lastSeenMs: boundAtMs, methods, agent: undefined });
}

interface Listed {
  readonly id: string;
  readonly isConnected: boolean;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  readonly methods: readonly string[];
  readonly agent: Element | undefined;
}

function element({ id, isConnected, firstSeenMs, lastSeenMs, methods, agent }: Listed): Element {
  return el(
    'client',
    NS,
    { connected: String(isConnected), id, type: 'session' },
    el('first-seen', NS, {}, formatDateTime(firstSeenMs)),
    el('last-seen', NS, {}, formatDateTime(lastSeenMs)),
    el('auth', NS, {}, ...methods.map((method) => el(method, NS))),
    el('permission', NS, { status: 'unrestricted' }), // tokens give no less than the password
    agent,
  );
}

/** §Revoking access */
function revoke({ payload }: IqRequest, account: AccountContext): IqAnswer | Promise<IqAnswer> {
  const id = payload.attr('id');
  if (id === undefined) return new StanzaError('bad-request', 'A client is named by its id');
  if (id.startsWith(SESSION_PREFIX)) {
    const isThere = [...account.sessions].some(({ key }) => SESSION_PREFIX + key === id);
    return isThere ? needsPassword() : new StanzaError('item-not-found');
  }
  const { promise, resolve } = Promise.withResolvers<IqAnswer>();
  account.later(clientsOf(account), (current, clients) => resolve(revokeFrom(current, id, clients)));
  return promise;
}

function revokeFrom(account: AccountContext, id: string, clients: readonly ClientView[]): IqAnswer {
  const client = clients.find(({ key }) => key === id);
  if (client === undefined) return new StanzaError('item-not-found');
  if (client.methods.includes('password')) return needsPassword();
  if (client.methods.includes('certificate')) return new StanzaError('service-unavailable', 'That client has a certificate');
  revokeClient(account, id);
  return EMPTY_RESULT;
}

/** Whoever knows the password can come back. */
function needsPassword(): StanzaError {
  return new StanzaError('service-unavailable', 'That client knows the password: change it', {
    appCondition: el('password-reset-required', NS),
  });
}
