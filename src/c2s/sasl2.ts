/**
 * The extensible profile of SASL, with everything that may come with a login: XEP-0388, XEP-0386, XEP-0484, XEP-0480.
 *
 *   <authenticate/> ──► exchange (as in RFC 6120) ──► tasks ──► the account: token, session, features ──► <success/> <features/>
 *
 * The stream is not restarted. What a client sends ahead, without waiting for answers, is read when the state is there that it was
 * meant for: a client that knows the server has its session after one round trip.
 */
import type { KernelEvent } from '../kernel/actor.ts';
import { clientKey } from '../core/clients.ts';
import type { LogIn, LogInAnswer, SessionIdentity, TokenLogin, Unbind } from '../core/messages.ts';
import { decodeBase64, MAX_SASL_BYTES } from '../sasl/base64.ts';
import { readTokenProof, type TokenMechanism } from '../sasl/ht.ts';
import { startMechanism } from '../sasl/mechanism.ts';
import { recordOf, type ScramRecord } from '../sasl/scram-record.ts';
import { attributeOf } from '../stream/header.ts';
import { el } from '../xml/element.ts';
import type { Frame } from '../xml/frame.ts';
import { escapeAttr, escapeText, serialize } from '../xml/serialize.ts';
import { elementOf } from '../xml/tree.ts';
import { formatDateTime } from '../xmpp/date-time.ts';
import { makeJid, type Jid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { beginSession, type Beginning, type C2sMessage, type C2sState, type Connection } from './connection.ts';
import { featuresXml } from './features.ts';
import { Given } from './given.ts';
import { failed, loggedIn, startExchange, type Login, type Profile } from './login.ts';
import { enabledXml, failedXml, failTooHigh, resumed, StreamManagement } from './stream-management.ts';
import { isUpgradeUnderWay, nextUpgrade, takeUpgrade } from './upgrade.ts';
import { isTokenMechanism, MALFORMED, readWish, type Wish } from './wish.ts';

/** The account's actor may have to be started and loaded, on another thread, under load. */
const LOGIN_TIMEOUT_MS = 15_000;
/** How often an account that is being restarted is asked, and the time between. */
const LOGIN_TRIES = 20;
const LOGIN_AGAIN_MS = 250;

/** What the account is asked, kept in case it has to be asked again. */
export interface PendingLogin {
  readonly account: Jid;
  readonly mechanism: string;
  /** Goes with `<success/>`. */
  readonly data: Buffer | undefined;
  readonly message: Omit<LogIn, 'replyTo'>;
  tries: number;
}

export const SASL2: Profile = {
  ns: NS.sasl2,
  // White space around the text is how the specification writes it; `=` has no meaning of its own here.
  decode(text) {
    const data = decodeBase64(text.trim());
    return data === undefined || data.length > MAX_SASL_BYTES ? undefined : data;
  },
  challenge: (data) => `<challenge xmlns='${NS.sasl2}'>${data.toString('base64')}</challenge>`,
  failure(condition, text) {
    const detail = text === undefined ? '' : `<text xml:lang='en'>${escapeText(text)}</text>`;
    return `<failure xmlns='${NS.sasl2}'><${condition} xmlns='${NS.sasl}'/>${detail}</failure>`;
  },
  succeeded: proved,
  // "Servers MUST disconnect Clients immediately if any other traffic is received."
  unexpected: (c, frame) => (isUpgradeUnderWay(c) ? takeUpgrade(c, frame) : c.fail('policy-violation')),
};

/** An element of this namespace outside of a login. */
export function authenticate(c: Connection, frame: Frame): C2sState {
  if (frame.name === 'abort') return failed(c, SASL2, 'aborted');
  if (frame.name !== 'authenticate') return c.fail('unsupported-stanza-type');
  const { offer } = c;
  if (offer === undefined) return failed(c, SASL2, 'encryption-required');
  const request = elementOf(frame);
  const wish = request && readWish(request, c.host!, offer.tokenMechanisms);
  if (wish === undefined) return failed(c, SASL2, 'malformed-request');
  const response = request!.child('initial-response');
  const initial = response && SASL2.decode(response.text());
  if (response !== undefined && initial === undefined) return failed(c, SASL2, 'incorrect-encoding');
  const mechanism = attributeOf(frame, 'mechanism') ?? '';
  if (isTokenMechanism(mechanism)) return startToken(c, mechanism, initial, wish);
  const exchange = startMechanism(mechanism, offer);
  if (exchange === undefined) return failed(c, SASL2, 'invalid-mechanism');
  // Instead of the password, not beside it: XEP-0484 §3.4.
  if (wish.token !== undefined) return failed(c, SASL2, 'malformed-request', 'this mechanism takes no token');
  return startExchange(c, SASL2, exchange, initial, wish);
}

/** XEP-0484 §3.4 */
function startToken(c: Connection, mechanism: TokenMechanism, initial: Buffer | undefined, wish: Wish): C2sState {
  const offer = c.offer!;
  if (!offer.tokenMechanisms.includes(mechanism)) return failed(c, SASL2, 'invalid-mechanism');
  if (wish.token === undefined || initial === undefined)
    return failed(c, SASL2, 'malformed-request', 'a token is announced, and comes at once');
  const read = readTokenProof(mechanism, initial, offer);
  if (typeof read === 'string') return failed(c, SASL2, read);
  c.login = {
    profile: SASL2,
    exchange: undefined,
    wish,
    wanted: undefined,
    isGuess: true,
    hashes: [],
    upgrade: undefined,
    pending: undefined,
  };
  if (wish.clientId === undefined) return failed(c, SASL2, 'not-authorized'); // §4.1: tokens are a client's
  return logIn(c, read.username, mechanism, undefined, { proof: read.proof, ...wish.token });
}

/** The exchange is over; tasks may follow. XEP-0388 §Continue */
function proved(c: Connection, username: string, data: Buffer | undefined): C2sState {
  const login = c.login!;
  const { mechanism } = login.exchange!;
  const isOther = c.peerFrom !== undefined && c.peerFrom !== makeJid(username, c.host!.domain)?.bare && mechanism !== 'ANONYMOUS';
  if (isOther) return failed(c, SASL2, 'invalid-authzid', 'the stream is of somebody else'); // §Initiation
  const hasPassword = mechanism === 'PLAIN' || mechanism.startsWith('SCRAM-');
  if (hasPassword && nextUpgrade(c, username, data)) return 'wait_for_sasl_response';
  // What goes with the success of the mechanism has gone with the task.
  return logIn(c, username, mechanism, login.upgrade === undefined ? data : undefined, undefined);
}

/** Has the account do the rest; where there is none, the client is in. */
function logIn(c: Connection, username: string, mechanism: string, data: Buffer | undefined, token: TokenLogin | undefined): C2sState {
  const account = makeJid(username, c.host!.domain);
  if (account === undefined) return failed(c, SASL2, 'not-authorized');
  if (token !== undefined && c.peerFrom !== undefined && c.peerFrom !== account.bare) return failed(c, SASL2, 'invalid-authzid');
  const login = c.login!;
  const { clientId, agent, wantsToken, bind, resume } = login.wish!;
  const isAnonymous = mechanism === 'ANONYMOUS';
  const client = clientId === undefined || isAnonymous ? undefined : clientKey(c.host!.services.secret, account.bare, clientId);
  const upgrades: readonly ScramRecord[] = login.upgrade?.done.map(recordOf) ?? [];
  const message: PendingLogin['message'] = {
    kind: 'log_in',
    identity: c.makeIdentity(mechanism, client),
    isAnonymous,
    method: token !== undefined ? undefined : mechanism === 'EXTERNAL' ? 'certificate' : 'password',
    agent,
    token,
    wantsToken,
    upgrades,
    resume: resume === MALFORMED ? undefined : resume,
    bind,
  };
  const pending: PendingLogin = { account, mechanism, data, message, tries: 0 };
  // An account without a name of its own begins with its session.
  const isNothingWanted =
    bind === undefined && (isAnonymous || (message.resume === undefined && client === undefined && upgrades.length === 0));
  if (isNothingWanted) return finish(c, pending, undefined);
  login.pending = pending;
  return ask(c, pending);
}

function ask(c: Connection, pending: PendingLogin): C2sState {
  pending.tries++;
  c.turn.askTo('log_in', 'account', pending.account.bare, LOGIN_TIMEOUT_MS, (replyTo): LogIn => ({ ...pending.message, replyTo }));
  return 'wait_for_login';
}

export function wait_for_login(c: Connection, event: C2sMessage | KernelEvent, otherwise: () => C2sState): C2sState {
  const pending = c.login?.pending;
  if (pending === undefined) return otherwise();
  if (event.kind === 'timeout' && event.name === 'log_in') return ask(c, pending);
  if (event.kind !== 'reply') return otherwise();
  if (!event.ok) return unanswered(c, pending, event.failure);
  const answer = event.value as LogInAnswer;
  if (answer.ok) return finish(c, pending, answer);
  return failed(c, SASL2, answer.condition);
}

function unanswered(c: Connection, pending: PendingLogin, failure: string): C2sState {
  if (failure !== 'timeout' && pending.tries < LOGIN_TRIES) {
    c.turn.timer('log_in', LOGIN_AGAIN_MS); // it is being restarted, perhaps on another worker
    return 'wait_for_login';
  }
  // Should it come to that after all, nobody would end it.
  const unbind: Unbind = { kind: 'unbind', sid: pending.message.identity.sid, reason: 'client_gone' };
  c.turn.sendTo('account', pending.account.bare, unbind);
  c.login!.isGuess = false;
  return failed(c, SASL2, 'temporary-auth-failure');
}

type Done = Extract<LogInAnswer, { ok: true }>;

/** XEP-0388 §Success */
function finish(c: Connection, { account, mechanism, data, message }: PendingLogin, answer: Done | undefined): C2sState {
  const { wish } = c.login as Login & { readonly wish: Wish };
  const { identity } = message;
  loggedIn(c, account, mechanism);
  const proof = data ?? answer?.proof;
  let xml = '';
  let beginning: Beginning | undefined;
  if (answer?.resume?.ok === true) {
    const session = resumed(c, identity, message.resume!.token, answer.resume);
    beginning = session.beginning;
    xml += session.xml;
  } else if (answer?.resume !== undefined) {
    if (answer.resume.condition === 'handled-count-too-high') return failTooHigh(c, answer.resume.h, answer.resume.sent);
    xml += failedXml(answer.resume.condition, answer.resume.h); // XEP-0198 §5
  } else if (wish.resume === MALFORMED) {
    xml += failedXml('bad-request');
  } else if (message.resume !== undefined) {
    xml += failedXml('item-not-found');
  }
  if (answer?.bind !== undefined) {
    const bound = readBound(c, identity, answer.bind, wish);
    beginning = bound.beginning;
    xml += bound.xml;
  }
  const { newToken } = answer ?? {};
  if (newToken !== undefined) xml += tokenXml(newToken); // XEP-0484 §3.3
  const jid = beginning === undefined ? account.bare : account.withResource(beginning.resource)!.full;
  const success =
    `<success xmlns='${NS.sasl2}'>` +
    (proof === undefined ? '' : `<additional-data>${Buffer.from(proof).toString('base64')}</additional-data>`) +
    `<authorization-identifier>${escapeText(jid)}</authorization-identifier>${xml}</success>`;
  const text = success + featuresXml(c, beginning);
  if (beginning === undefined) {
    c.link.write(text);
    c.link.request(1);
    return 'wait_for_bind';
  }
  const state = beginSession(c, beginning, text);
  c.session!.isActive = message.bind?.isInactive !== true;
  return state;
}

/** XEP-0386 §Performing the bind */
function readBound(
  c: Connection,
  identity: SessionIdentity,
  answer: NonNullable<Done['bind']>,
  wish: Wish,
): { readonly xml: string; readonly beginning: Beginning | undefined } {
  if (!answer.ok) {
    // The client is in, without a session; it may bind one in the old way.
    return { xml: serialize(el('failed', NS.bind2, {}, el(answer.condition, NS.stanzaErrors)), NS.sasl2), beginning: undefined };
  }
  const { account, resource, taken } = answer;
  let { xml } = answer;
  let sm: StreamManagement | undefined;
  if (answer.sm?.ok === true) {
    sm = new StreamManagement(answer.sm.base, answer.sm.token !== undefined, answer.sm.maxSeconds);
    xml += enabledXml(c, sm, answer.sm);
  } else if (answer.sm !== undefined || wish.isManagementMalformed) {
    xml += failedXml(wish.isManagementMalformed ? 'bad-request' : 'internal-server-error'); // XEP-0198 §3
  }
  c.environment.counters.bound++;
  return {
    xml: `<bound xmlns='${NS.bind2}'>${xml}</bound>`,
    beginning: { identity, account, resource, given: new Given(taken), sm, seq: 0 },
  };
}

const tokenXml = ({ token, expiresAtMs }: NonNullable<Done['newToken']>): string =>
  `<token xmlns='${NS.fast}' token='${escapeAttr(token)}' expiry='${formatDateTime(expiresAtMs)}'/>`;
