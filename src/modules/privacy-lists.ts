/** Privacy lists as clients see and edit them; they are enforced by the module `privacy`. XEP-0016 */
import { randomUUID } from 'node:crypto';
import type { AccountContext } from '../core/context.ts';
import { defineModule, NO_ANSWER, type IqAnswer, type IqRequest } from '../core/module.ts';
import type { Session } from '../core/session.ts';
import { el, type Element } from '../xml/element.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { iqResult, makeStanza, type Stanza } from '../xmpp/stanza.ts';
import {
  activeName,
  blockedBy,
  changeActive,
  changePrivacy,
  limitsOf,
  listElement,
  nameFor,
  NS_PRIVACY as NS,
  PrivacyList,
  privacyOf,
  pushDifference,
  readRules,
  type Privacy,
} from './privacy/index.ts';
import { rosterOf } from './roster/index.ts';

const QUERY = ['query', NS] as const;
/** Of a list's name. UTF-16 units. */
const MAX_NAME_LENGTH = 256;

export default defineModule({
  name: 'privacy_lists',
  implements: [{ spec: 'XEP-0016', version: '1.7', status: 'complete' }],
  needs: ['privacy', 'roster'],
  features: [NS], // §3
  accountFeatures: [NS],
  iq: [
    { type: 'get', to: 'account', payload: QUERY, run: tell },
    { type: 'set', to: 'account', payload: QUERY, run: change },
  ],
});

/** §2.3 */
function tell({ payload, session }: IqRequest, account: AccountContext): IqAnswer {
  const privacy = privacyOf(account);
  const asked = payload.elements();
  if (asked.length > 1 || asked.some((each) => !each.is('list', NS))) return new StanzaError('bad-request');
  const [one] = asked;
  if (one === undefined) return names(privacy, session);
  const name = one.attr('name') ?? '';
  const list = privacy.lists.get(name);
  return list === undefined ? new StanzaError('item-not-found') : el('query', NS, {}, listElement(name, list));
}

function names(privacy: Privacy, session: Session | undefined): Element {
  const active = session === undefined ? undefined : activeName(privacy, session);
  const { defaultName, lists } = privacy;
  return el(
    'query',
    NS,
    {},
    active !== undefined && el('active', NS, { name: active }),
    defaultName !== undefined && el('default', NS, { name: defaultName }),
    ...[...lists.keys()].map((name) => el('list', NS, { name })),
  );
}

/** §2.1: one thing at a time. */
function change(request: IqRequest, account: AccountContext): IqAnswer {
  const { payload, session } = request;
  const [wanted, ...more] = payload.elements();
  if (wanted === undefined || more.length > 0 || wanted.ns !== NS || session === undefined) return new StanzaError('bad-request');
  switch (wanted.name) {
    case 'active':
      return setActive(request, account, session, wanted.attr('name'));
    case 'default':
      return setDefault(request, account, session, wanted.attr('name'));
    case 'list':
      return setList(request, account, session, wanted);
    default:
      return new StanzaError('bad-request');
  }
}

/** §2.4: "The server MUST activate and apply the requested list before sending the result". */
function setActive({ stanza }: IqRequest, account: AccountContext, session: Session, name: string | undefined): IqAnswer {
  if (name !== undefined && !privacyOf(account).lists.has(name)) return new StanzaError('item-not-found');
  changeActive(account, session, name);
  account.route(iqResult(stanza));
  return NO_ANSWER;
}

/** §2.5 */
function setDefault({ stanza }: IqRequest, account: AccountContext, session: Session, name: string | undefined): IqAnswer {
  const privacy = privacyOf(account);
  const { defaultName, lists } = privacy;
  if (name !== undefined && !lists.has(name)) return new StanzaError('item-not-found');
  if (name !== defaultName && defaultName !== undefined && isInUse(account, privacy, defaultName, session))
    return new StanzaError('conflict');
  return replace(account, stanza, { lists, defaultName: name });
}

/** §2.6, §2.7; without items §2.8. */
function setList(request: IqRequest, account: AccountContext, session: Session, element: Element): IqAnswer {
  const name = element.attr('name') ?? '';
  if (name === '' || name.length > MAX_NAME_LENGTH) return new StanzaError('bad-request');
  const privacy = privacyOf(account);
  if (element.elements().length === 0) return removeList(request, account, session, name);
  const rules = readRules(element, (group) => [...rosterOf(account).items.values()].some(({ groups }) => groups.includes(group)));
  if (rules instanceof StanzaError) return rules;
  const { max_lists, max_rules } = limitsOf(account);
  if (rules.length > max_rules || (privacy.lists.size >= max_lists && !privacy.lists.has(name)))
    return new StanzaError('resource-constraint', 'Too many privacy lists or rules');
  return replace(account, request.stanza, { ...privacy, lists: new Map(privacy.lists).set(name, new PrivacyList(rules)) }, name);
}

function removeList({ stanza }: IqRequest, account: AccountContext, session: Session, name: string): IqAnswer {
  const privacy = privacyOf(account);
  if (!privacy.lists.has(name)) return new StanzaError('item-not-found');
  if (isInUse(account, privacy, name, session)) return new StanzaError('conflict');
  if (activeName(privacy, session) === name) changeActive(account, session, undefined);
  const lists = new Map(privacy.lists);
  lists.delete(name);
  return replace(account, stanza, { lists, defaultName: privacy.defaultName === name ? undefined : privacy.defaultName }, name);
}

/** Whether the list holds for another session than the one that wants to change that. §2.2 */
function isInUse(account: AccountContext, privacy: Privacy, name: string, asking: Session): boolean {
  for (const session of account.sessions) if (session !== asking && nameFor(privacy, session) === name) return true;
  return false;
}

/** @param changed name of a list that is another one now. */
function replace(account: AccountContext, request: Stanza, next: Privacy, changed?: string): IqAnswer {
  const blocked = blockedBy(privacyOf(account));
  changePrivacy(account, next);
  account.route(iqResult(request));
  pushDifference(account, blocked);
  if (changed !== undefined) pushName(account, changed);
  return NO_ANSWER;
}

/** §2.2: "to all connected resources", and only the name. */
function pushName(account: AccountContext, name: string): void {
  const payload = el('query', NS, {}, el('list', NS, { name }));
  for (const session of account.sessions)
    account.push(session, makeStanza({ kind: 'iq', type: 'set', id: randomUUID(), from: account.jid, to: session.jid }, payload));
}
