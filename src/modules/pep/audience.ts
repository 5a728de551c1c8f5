/**
 * Who is told of an account's events without having subscribed: its own clients and those of contacts, as far as their
 * capabilities say that they want to. XEP-0163 §4, XEP-0060 §9
 */
import { randomBytes } from 'node:crypto';
import type { AccountContext } from '../../core/context.ts';
import type { Session, SessionSlot } from '../../core/session.ts';
import { el } from '../../xml/element.ts';
import { parseDiscoInfo, verifyCaps } from '../../xmpp/caps.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { makeStanza, type Stanza } from '../../xmpp/stanza.ts';
import { rosterOf } from '../roster/index.ts';
import { capsOf, hashKey, interestsOf, knownInterests, NO_INTERESTS } from './interests.ts';
import { optionsOf } from './options.ts';
import { pepOf, type Listener } from './state.ts';

/** An own client's. */
const OWN: SessionSlot<Listener | undefined> = { name: 'pep_listener', initial: () => undefined };

/** Questions of one account that wait for an answer; others are asked with a later presence. */
const MAX_QUESTIONS = 100;
/** When an unanswered question may be asked again. */
const ANSWER_MS = 60_000;

/** Tells a listener, whose interests are known now, what it was not told before. */
type Greet = (account: AccountContext, listener: Listener) => void;

/** A contact's presence. Cheap where nothing is new. */
export function hear(stanza: Stanza, account: AccountContext, greet: Greet): void {
  const { from, type } = stanza;
  if (from.resource === '' || from.bare === account.bare || account.isTemporary) return;
  const { audience, nodes } = pepOf(account);
  if (type === 'unavailable') {
    audience.listeners.delete(from.full);
    return;
  }
  if (type !== 'available') return;
  const caps = capsOf(stanza);
  const known = audience.listeners.get(from.full);
  if (known !== undefined && known.caps === caps) return;
  if (caps === undefined) {
    audience.listeners.delete(from.full);
    return;
  }
  const { subscribers, subscriptions } = rosterOf(account);
  if (!subscribers.has(from.bare) && !subscriptions.has(from.bare)) return; // §3.3: who shares presence
  if (known === undefined && audience.listeners.size >= optionsOf(account.host).max_listeners) return;
  const listener: Listener = { jid: from, caps, interests: undefined, told: toldOf(known) };
  audience.listeners.set(from.full, listener);
  // What nobody publishes nobody need be asked about.
  if (nodes.size > 0) resolve(account, listener, greet);
}

/** What a client with other capabilities has been told already. */
function toldOf(known: Listener | undefined): Listener['told'] {
  return known?.interests ?? known?.told ?? NO_INTERESTS;
}

/** Whether it still is what is known of that client. */
function isCurrent(account: AccountContext, listener: Listener): boolean {
  const { jid } = listener;
  if (jid.bare === account.bare) return account.session(jid.resource)?.get(OWN) === listener;
  return pepOf(account).audience.listeners.get(jid.full) === listener;
}

/** One of the account's own clients has changed its presence. */
export function hearOwn(account: AccountContext, session: Session, greet: Greet): void {
  if (account.isTemporary) return;
  const known = session.get(OWN);
  const caps = session.presence && capsOf(session.presence);
  if (known?.caps === caps) return;
  session.set(OWN, undefined);
  if (caps !== undefined) ownListener(account, session, greet, toldOf(known));
}

/** After a restart of the account its sessions are there, but what was known of them is not. */
function ownListener(account: AccountContext, session: Session, greet: Greet, told = NO_INTERESTS): Listener | undefined {
  const known = session.get(OWN);
  if (known !== undefined) return known;
  const caps = session.presence && capsOf(session.presence);
  if (caps === undefined) return undefined;
  const listener: Listener = { jid: session.jid, caps, interests: undefined, told };
  session.set(OWN, listener);
  resolve(account, listener, greet);
  return listener;
}

/** Gives `event` to all who want to know of `node`. */
export function tellAudience(account: AccountContext, node: string, event: Stanza, mayHave: (to: Jid) => boolean, greet: Greet): void {
  for (const session of account.sessions) {
    if (!session.isAvailable) continue;
    const listener = ownListener(account, session, greet);
    if (listener?.interests?.has(node) === true && mayHave(session.jid)) account.push(session, event.readdressed(account.jid, session.jid));
  }
  const known = knownInterests(account.host.services);
  for (const listener of pepOf(account).audience.listeners.values()) {
    listener.interests ??= known.get(hashKey(listener.caps));
    if (listener.interests === undefined) resolve(account, listener, greet);
    else if (listener.interests.has(node) && mayHave(listener.jid)) account.route(event.readdressed(account.jid, listener.jid));
  }
}

function resolve(account: AccountContext, listener: Listener, greet: Greet): void {
  const { audience } = pepOf(account);
  const known = knownInterests(account.host.services).get(hashKey(listener.caps));
  if (known !== undefined) {
    listener.interests = known;
    greet(account, listener);
    return;
  }
  for (const [id, question] of audience.questions) {
    if (hashKey(question.caps) !== hashKey(listener.caps)) continue;
    question.waiting.add(listener);
    if (account.now - question.atMs < ANSWER_MS) return;
    audience.questions.delete(id);
    ask(account, listener, question.waiting);
    return;
  }
  if (audience.questions.size < MAX_QUESTIONS) ask(account, listener, new Set([listener]));
}

/** XEP-0115 §6.2 */
function ask(account: AccountContext, { jid, caps }: Listener, waiting: Set<Listener>): void {
  const id = `caps-${randomBytes(9).toString('base64url')}`;
  pepOf(account).audience.questions.set(id, { caps, asked: jid, atMs: account.now, waiting });
  const query = el('query', NS.discoInfo, { node: `${caps.node}#${caps.ver}` });
  account.route(makeStanza({ kind: 'iq', type: 'get', id, from: account.jid, to: jid }, query));
}

/**
 * The answer to one of our questions. Only what proves the hash counts for others who have it (XEP-0115 §5.4); where it does not, the
 * next of them is asked.
 *
 * @returns whether it was one.
 */
export function takeAnswer(stanza: Stanza, account: AccountContext, greet: Greet): boolean {
  if ((stanza.type !== 'result' && stanza.type !== 'error') || stanza.id === undefined) return false;
  const { audience } = pepOf(account);
  const question = audience.questions.get(stanza.id);
  if (question === undefined || question.asked.full !== stanza.from.full) return false;
  audience.questions.delete(stanza.id);
  const { caps, waiting } = question;
  const query = stanza.type === 'result' ? stanza.child('query', NS.discoInfo) : undefined;
  const info = query && parseDiscoInfo(query);
  const verdict = info === undefined ? 'mismatch' : verifyCaps(caps, info);
  const isForAll = verdict === 'valid';
  if (isForAll) knownInterests(account.host.services).set(hashKey(caps), interestsOf(info!));
  for (const listener of waiting) {
    if (!isCurrent(account, listener)) {
      waiting.delete(listener);
      continue;
    }
    const isAnswerer = listener.jid.full === question.asked.full;
    if (!isForAll && !isAnswerer) continue;
    waiting.delete(listener);
    // What is right but could mean something else as well is good for the one who said it.
    listener.interests = isForAll || verdict === 'ambiguous' ? interestsOf(info!) : NO_INTERESTS;
    greet(account, listener);
  }
  const [next] = waiting;
  if (next !== undefined) ask(account, next, waiting);
  return true;
}
