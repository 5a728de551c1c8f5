/** Components that may act for accounts: roster, messages, IQ and presence. XEP-0356 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { domain } from '../config/types.ts';
import type { AccountContext, HostContext } from '../core/context.ts';
import type { Host } from '../core/host.ts';
import { defineModule, type AccountSlot, type IqAnswer, type IqRequest } from '../core/module.ts';
import type { Session, SessionSlot } from '../core/session.ts';
import { el, type Element } from '../xml/element.ts';
import { FORWARD } from '../xmpp/forwarding.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, makeStanza, Stanza, type IqType, type MessageType } from '../xmpp/stanza.ts';
import { NS_ROSTER, rosterOf } from './roster/index.ts';

const NS_PRIVILEGE = 'urn:xmpp:privilege:2';

/** Requests of components in the name of one account that are not answered yet. Overflow: the oldest is given up. */
const MAX_PENDING = 64;
const MESSAGE_TYPES: ReadonlySet<string> = new Set(['normal', 'chat', 'groupchat', 'headline', 'error']);

const ACCESS = z.enum(['none', 'get', 'set', 'both']);
const PERMISSIONS = z
  .strictObject({
    roster: ACCESS.default('none'),
    roster_push: z.boolean().optional(),
    message: z.enum(['none', 'outgoing']).default('none'),
    presence: z.enum(['none', 'managed_entity', 'roster']).default('none'),
    iq: z.record(z.string().min(1), ACCESS).default({}),
  })
  .refine(({ presence, roster }) => presence !== 'roster' || roster === 'get' || roster === 'both', {
    error: 'presence of the roster needs the permission to get it', // §7.4
  });
type Permissions = z.output<typeof PERMISSIONS>;

const OPTIONS = z.strictObject({
  /** What components may do, by domain: `{ roster = "both", message = "outgoing", presence = "roster", iq = { "NAMESPACE" = "set" } }`, all `none` by default, and `roster_push`. */
  components: z.record(domain().schema as z.ZodType<string, string>, PERMISSIONS).default({}),
});

interface Waiting {
  /** Of the component's own request: where the answer must come from, and the id it gave. */
  readonly to: string;
  readonly id: string | undefined;
  readonly resolve: (answer: IqAnswer) => void;
}

const WAITING: AccountSlot<Map<string, Waiting>> = { name: 'privileged_iqs', load: () => new Map() };
/** Components have been told that the session is available. */
const SHOWN: SessionSlot<boolean> = { name: 'privilege_shown', initial: () => false, isKept: true };

const privilege = defineModule({
  name: 'privilege',
  implements: [{ spec: 'XEP-0356', version: '0.4.1', status: 'complete', note: 'for components that the configuration names' }],
  needs: ['roster', 'presence'],
  config: OPTIONS,
  slots: [WAITING],
  iq: [
    { type: 'get', to: 'account', from: 'anyone', payload: ['privileged_iq', NS_PRIVILEGE], run: privilegedIq },
    { type: 'set', to: 'account', from: 'anyone', payload: ['privileged_iq', NS_PRIVILEGE], run: privilegedIq },
  ],
  admits: mayUseRoster,
  watches: (host, component) => (permissionsOf(host, component)?.presence ?? 'none') !== 'none',
  componentBound: advertise,
  toHost: privilegedMessage,
  hooks: {
    user_receive_iq: { phase: 'deliver', run: takeAnswer },
    user_receive_presence: { phase: 'observe', run: showContact },
    session_available: (account, session) => show(account, session),
    session_presence: (account, session) => {
      if (!session.isAvailable) hide(account, session);
    },
    session_closing: (account, session) => hide(account, session),
    component_bound: showAll,
    roster_changed: pushRoster,
  },
});
export default privilege;

function allPermissions(host: Host): Readonly<Record<string, Permissions>> {
  return host.moduleConfig(privilege).components;
}

function permissionsOf(host: Host, component: string): Permissions | undefined {
  const all = allPermissions(host);
  return Object.hasOwn(all, component) ? all[component] : undefined;
}

/** The privileged component that sent it, as a whole: no address inside of it. */
function senderOf(host: Host, { from }: Stanza): Permissions | undefined {
  return from.isDomain ? permissionsOf(host, from.domain) : undefined;
}

const allows = (access: z.output<typeof ACCESS>, type: string): boolean => access === 'both' || access === type;
const hasPush = ({ roster, roster_push: isWanted = true }: Permissions): boolean => allows(roster, 'get') && isWanted; // §4.1

/** §4.2, §5.2, §6.2, §7.2: what it may, in one message, when it is there. */
function advertise(component: string, isLocal: boolean, context: HostContext): void {
  const { host } = context;
  const granted = permissionsOf(host, component);
  const to = parseJid(component);
  if (!isLocal || granted === undefined || to === undefined) return;
  const { roster, message, presence, iq } = granted;
  const perm = (access: string, type: string, more?: Readonly<Record<string, string>>): Element | undefined =>
    type === 'none' ? undefined : el('perm', NS_PRIVILEGE, { access, type, ...more });
  const namespaces = Object.entries(iq).map(([ns, type]) => el('namespace', NS_PRIVILEGE, { ns, type }));
  const perms = [
    perm('roster', roster, { push: String(hasPush(granted)) }),
    perm('message', message),
    namespaces.length === 0 ? undefined : el('perm', NS_PRIVILEGE, { access: 'iq' }, ...namespaces),
    perm('presence', presence),
  ];
  host.services.log.info('privileges_granted', { component, host: host.domain, roster, message, presence, iq: Object.keys(iq) });
  context.route(
    makeStanza({ kind: 'message', type: 'normal', id: makeId(), from: host.jid, to }, el('privilege', NS_PRIVILEGE, {}, ...perms)),
  );
}

/** §4.3: a roster get or set of somebody else. */
function mayUseRoster(host: Host, request: Stanza): boolean | StanzaError {
  if (!request.has('query', NS_ROSTER)) return false;
  const granted = senderOf(host, request);
  if (granted === undefined) return false;
  const isAllowed = allows(granted.roster, request.type);
  note(host, request, isAllowed);
  return isAllowed || new StanzaError('forbidden');
}

/** §4.4: from the bare JID of the account to the component. */
function pushRoster(account: AccountContext, ver: string, xml: string): void {
  for (const [component, granted] of Object.entries(allPermissions(account.host))) {
    if (!hasPush(granted) || account.host.services.hasComponent?.(component) !== true) continue;
    const body = `<query xmlns='${NS_ROSTER}' ver='${ver}'>${xml}</query>`;
    const children = [{ name: 'query', ns: NS_ROSTER }];
    account.route(new Stanza({ kind: 'iq', type: 'set', id: makeId(), from: account.jid, to: parseJid(component)!, body, children }));
  }
}

/** §5.3: a message that is sent as from an account, or from the server. */
function privilegedMessage(stanza: Stanza, context: HostContext): 'taken' | undefined {
  const { host } = context;
  if (stanza.kind !== 'message' || stanza.type === 'error' || !stanza.has('privilege', NS_PRIVILEGE)) return undefined;
  const granted = senderOf(host, stanza);
  const inner = stanza.child('privilege', NS_PRIVILEGE)?.child('forwarded', FORWARD)?.child('message', NS.client);
  const from = parseJid(inner?.attr('from') ?? '');
  const to = parseJid(inner?.attr('to') ?? '');
  const isAllowed = granted?.message === 'outgoing' && inner !== undefined && to !== undefined && isManaged(from, host);
  note(host, stanza, isAllowed);
  if (!isAllowed) {
    context.route(errorAnswer(stanza, new StanzaError('forbidden'))); // §5.1
    return 'taken';
  }
  const type = inner.attr('type') ?? 'normal';
  const init = { id: inner.attr('id'), lang: inner.attr('xml:lang'), from, to };
  const content = inner.children.filter((child) => typeof child !== 'string');
  context.route(makeStanza({ kind: 'message', type: MESSAGE_TYPES.has(type) ? (type as MessageType) : 'normal', ...init }, ...content));
  return 'taken';
}

/** §5.1: a bare JID of the host, or the host itself. */
function isManaged(from: Jid | undefined, { domain }: Host): from is Jid {
  return from !== undefined && from.domain === domain && from.resource === '';
}

/** §6.3: a request that is made as by the account. */
function privilegedIq({ stanza, payload }: IqRequest, account: AccountContext): IqAnswer | Promise<IqAnswer> {
  const { host } = account;
  const granted = senderOf(host, stanza);
  const inner = payload.child('iq', NS.client);
  const request = inner === undefined ? undefined : [...inner.elements()];
  const type = inner?.attr('type');
  const from = inner?.attr('from');
  const ns = request?.[0]?.ns ?? '';
  const access = granted !== undefined && Object.hasOwn(granted.iq, ns) ? granted.iq[ns]! : 'none';
  const isAllowed =
    stanza.to.resource === '' &&
    request?.length === 1 &&
    type === stanza.type &&
    allows(access, type) &&
    (from === undefined || parseJid(from)?.full === account.bare);
  note(host, stanza, isAllowed);
  if (!isAllowed) return new StanzaError('forbidden');
  const to = parseJid(inner?.attr('to') ?? account.bare);
  if (to === undefined) return new StanzaError('jid-malformed');
  const waiting = account.state(WAITING);
  if (waiting.size >= MAX_PENDING) giveUpOldest(waiting);
  const id = makeId();
  const { promise, resolve } = Promise.withResolvers<IqAnswer>();
  waiting.set(id, { to: to.full, id: inner?.attr('id'), resolve });
  account.route(makeStanza({ kind: 'iq', type: type as IqType, id, from: account.jid, to }, request![0]));
  return promise;
}

function giveUpOldest(waiting: Map<string, Waiting>): void {
  const [id, oldest] = waiting.entries().next().value!;
  waiting.delete(id);
  oldest.resolve(new StanzaError('remote-server-timeout'));
}

/** The answer goes to whoever asked, with the id that he gave. */
function takeAnswer(stanza: Stanza, account: AccountContext): boolean {
  const { type, id, to, from } = stanza;
  if ((type !== 'result' && type !== 'error') || id === undefined || to.resource !== '') return false;
  const waiting = account.state(WAITING);
  const asked = waiting.get(id);
  if (asked === undefined || (from.full !== asked.to && !(from.full === account.bare && asked.to === account.bare))) return false;
  waiting.delete(id);
  const { name, ns, attrs, children } = stanza.element();
  const answer = el(name, ns, { ...attrs, id: asked.id }, ...children);
  asked.resolve(el('privilege', NS_PRIVILEGE, {}, el('forwarded', FORWARD, {}, answer)));
  return true;
}

/** §7.1: initial presence, as directed to the component. */
function show(account: AccountContext, session: Session): void {
  if (!hasWatchers(account.host)) return;
  session.set(SHOWN, true);
  for (const to of watching(account.host, ['managed_entity', 'roster'])) account.route(session.presence!.readdressed(session.jid, to));
}

function hide(account: AccountContext, session: Session): void {
  if (!hasWatchers(account.host) || !session.get(SHOWN)) return;
  session.set(SHOWN, false);
  for (const to of watching(account.host, ['managed_entity', 'roster']))
    account.route(makeStanza({ kind: 'presence', type: 'unavailable', from: session.jid, to }));
}

/** §8: what it would have been told had it been there first. Contacts are asked anew. */
function showAll(account: AccountContext, component: string): void {
  const to = parseJid(component);
  const presence = permissionsOf(account.host, component)?.presence ?? 'none';
  if (to === undefined || presence === 'none') return;
  for (const session of account.sessions) {
    if (!session.isAvailable) continue;
    session.set(SHOWN, true);
    account.route(session.presence!.readdressed(session.jid, to));
  }
  if (presence !== 'roster') return;
  for (const { jid, subscription } of rosterOf(account).items.values())
    if (subscription === 'to' || subscription === 'both')
      account.route(makeStanza({ kind: 'presence', type: 'probe', from: account.jid, to: jid }));
}

/** §7.5: presence of contacts, whether the account is online or not. */
function showContact(stanza: Stanza, account: AccountContext): void {
  const { type, from } = stanza;
  if ((type !== 'available' && type !== 'unavailable') || from.bare === account.bare) return;
  const targets = watching(account.host, ['roster']);
  if (targets.length === 0) return;
  const subscription = rosterOf(account).items.get(from.bare)?.subscription;
  if (subscription !== 'to' && subscription !== 'both') return;
  for (const to of targets) if (to.domain !== from.domain) account.route(stanza.readdressed(from, to));
}

const hasWatchers = (host: Host): boolean => Object.values(allPermissions(host)).some(({ presence }) => presence !== 'none');

const NOBODY: readonly Jid[] = [];

/** Connected components with one of these permissions for presence. */
function watching(host: Host, wanted: readonly Permissions['presence'][]): readonly Jid[] {
  const all = Object.entries(allPermissions(host));
  if (all.length === 0) return NOBODY;
  return all.flatMap(([component, { presence }]) =>
    wanted.includes(presence) && host.services.hasComponent?.(component) === true ? (parseJid(component) ?? []) : [],
  );
}

/** Every use is in the log. */
function note(host: Host, { kind, type, from, to }: Stanza, isAllowed: boolean): void {
  const fields = { component: from.full, kind, type, to: to.full };
  if (isAllowed) host.services.log.debug('privilege_used', fields);
  else host.services.log.warn('privilege_refused', fields);
}

const makeId = (): string => randomBytes(12).toString('base64url');
