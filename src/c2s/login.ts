/**
 * SASL on a client stream, in whichever profile: RFC 6120 §6 (here), XEP-0388 (`sasl2.ts`). The mechanisms are pure (src/sasl);
 * this file fetches what they ask for: credentials from the account's actor, password checks from the pool.
 *
 * Nothing tells an unknown account, a disabled one and a wrong password apart: all three go
 * through the same steps, with made-up credentials where there are none.
 */
import type { KernelEvent } from '../kernel/actor.ts';
import type { CredentialsAnswer } from '../core/messages.ts';
import { decodeSaslData, encodeSaslData } from '../sasl/base64.ts';
import { certificateUsernames } from '../sasl/external.ts';
import { tokenMechanismsFor, type TokenMechanism } from '../sasl/ht.ts';
import { mechanismsFor, startMechanism, type Exchange, type SaslContext, type SaslFailure, type Step } from '../sasl/mechanism.ts';
import { credentialsOf, recordOf } from '../sasl/scram-record.ts';
import { fakeScramCredentials, type ChannelBinding, type ScramHash } from '../sasl/scram.ts';
import { attributeOf } from '../stream/header.ts';
import type { Frame } from '../xml/frame.ts';
import { escapeText } from '../xml/serialize.ts';
import { makeJid, normalizeLocal, parseJid, type Jid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { opaqueString } from '../xmpp/precis.ts';
import type { C2sMessage, C2sState, Connection } from './connection.ts';
import type { PendingLogin } from './sasl2.ts';
import type { Upgrade } from './upgrade.ts';
import type { Wish } from './wish.ts';

/** The account's actor may have to be started and loaded, on another thread, under load. */
const CREDENTIALS_TIMEOUT_MS = 10_000;

/** Hash that PLAIN is checked against. */
const PLAIN_HASH = 'SHA-256';

const PREPARE = { username: normalizeLocal, password: opaqueString, address: parseJid };

/** How a profile says things. */
export interface Profile {
  readonly ns: string;
  /** Of a text; undefined where it is none. */
  decode(text: string): Buffer | undefined;
  challenge(data: Buffer): string;
  failure(condition: SaslFailure, text: string | undefined): string;
  /** The exchange is over and the peer is `username`. */
  succeeded(c: Connection, username: string, data: Buffer | undefined): C2sState;
  /** What is neither a response nor the end of the attempt, in its middle. */
  unexpected(c: Connection, frame: Frame): C2sState;
}

/** A login under way. */
export interface Login {
  readonly profile: Profile;
  /** Undefined for a token, which the account looks after. */
  readonly exchange: Exchange | undefined;
  /** What else the client wants. */
  readonly wish: Wish | undefined;
  /** What the mechanism asked for last, while it is being fetched. */
  wanted: Step | undefined;
  /** Something was compared with what we know: the attempt was a guess. */
  isGuess: boolean;
  /** Hashes under which the account has its password. */
  hashes: readonly ScramHash[];
  /** XEP-0480 */
  upgrade: Upgrade | undefined;
  /** The account is asked. */
  pending: PendingLogin | undefined;
}

/** Attempts that fail before anything is compared, e.g. for a mechanism we do not offer. */
const MAX_REFUSED_LOGINS = 16;

/** What one stream advertises; only that is accepted on it. RFC 6120 §6.4.1, XEP-0440 §3, XEP-0484 §3.1 */
export interface SaslOffer extends SaslContext {
  /** Of those that go with a token. */
  readonly tokenMechanisms: readonly TokenMechanism[];
}

export function makeOffer(c: Connection): SaslOffer {
  const { tls } = c.link.transport;
  const { config } = c.environment;
  const host = c.host!;
  const channelBindings: ChannelBinding[] = [];
  const exporter = tls?.tlsExporter();
  if (exporter !== undefined) channelBindings.push({ type: 'tls-exporter', data: exporter });
  const endPoint = tls?.tlsServerEndPoint();
  if (endPoint !== undefined) channelBindings.push({ type: 'tls-server-end-point', data: endPoint }); // XEP-0440 §4
  const isTrusted = tls?.peerCertificate !== undefined && tls.isPeerTrusted;
  const certificateAddresses = isTrusted ? c.environment.certificateAddresses(tls.peerCertificate.raw) : [];
  const external = { domain: host.domain, prepare: PREPARE, certificateAddresses };
  const offered = mechanismsFor({
    // Where the operator does without TLS, PLAIN is his choice, too.
    isSecure: c.isSecure || !config.c2s.isTlsRequired,
    channelBindings: channelBindings.map(({ type }) => type),
    hasTrustedClientCertificate: certificateUsernames(external).length > 0,
    isAnonymousHost: host.settings.isAnonymous,
  });
  const decoy = { serverSecret: host.services.secret, iterations: config.accounts.scramIterations };
  const tokenMechanisms = config.accounts.tokenLifetimeMs === 0 ? [] : tokenMechanismsFor(channelBindings);
  return { ...external, offered, channelBindings, decoy, tlsVersion: tls?.version, tokenMechanisms };
}

/** RFC 6120 §6 */
const SASL: Profile = {
  ns: NS.sasl,
  decode: decodeSaslData,
  challenge: (data) => `<challenge xmlns='${NS.sasl}'>${encodeSaslData(data)}</challenge>`,
  failure(condition, text) {
    const detail = text === undefined ? '' : `<text xml:lang='en'>${escapeText(text)}</text>`;
    return `<failure xmlns='${NS.sasl}'><${condition}/>${detail}</failure>`;
  },
  succeeded,
  unexpected: (c) => failed(c, SASL, 'malformed-request'),
};

export function startLogin(c: Connection, frame: Frame): C2sState {
  if (c.offer === undefined) return failed(c, SASL, 'encryption-required'); // §6.5.4
  const exchange = startMechanism(attributeOf(frame, 'mechanism') ?? '', c.offer);
  if (exchange === undefined) return failed(c, SASL, 'invalid-mechanism'); // §6.5.7
  const initial = decodeSaslData(frame.body);
  if (initial === undefined) return failed(c, SASL, 'incorrect-encoding'); // §6.5.5
  const isLeftOut = frame.body === '' && exchange.mechanism !== 'ANONYMOUS'; // which has nothing to say: XEP-0175 §4
  return startExchange(c, SASL, exchange, isLeftOut ? undefined : initial, undefined);
}

export function startExchange(
  c: Connection,
  profile: Profile,
  exchange: Exchange,
  initial: Buffer | undefined,
  wish: Wish | undefined,
): C2sState {
  c.login = { profile, exchange, wish, wanted: undefined, isGuess: false, hashes: [], upgrade: undefined, pending: undefined };
  return take(c, exchange.start(initial));
}

/** State `wait_for_sasl_response`: the client's next message, or what was fetched for the mechanism. */
export function continueLogin(c: Connection, event: C2sMessage | KernelEvent, otherwise: () => C2sState): C2sState {
  switch (event.kind) {
    case 'element': {
      const { profile, exchange } = c.login!;
      if (event.ns !== profile.ns) return c.fail('not-authorized'); // nothing else before the login is over
      if (event.name === 'abort') return failed(c, profile, 'aborted'); // §6.4.4
      if (event.name !== 'response') return profile.unexpected(c, event);
      const data = profile.decode(event.body);
      return data === undefined ? failed(c, profile, 'incorrect-encoding') : take(c, exchange!.respond(data));
    }
    case 'reply':
      return event.ok ? fetched(c, event.value as CredentialsAnswer) : failed(c, c.login!.profile, 'temporary-auth-failure');
    case 'task':
      return event.ok ? take(c, c.login!.exchange!.verified(event.value === true)) : failed(c, c.login!.profile, 'temporary-auth-failure');
    default:
      return otherwise();
  }
}

/** §6.4.4, of an attempt that is none. */
export function abortLogin(c: Connection): C2sState {
  return failed(c, SASL, 'aborted');
}

/** Does what the mechanism says. */
function take(c: Connection, step: Step): C2sState {
  const login = c.login!;
  const { profile } = login;
  login.wanted = undefined;
  switch (step.kind) {
    case 'challenge':
      c.link.write(profile.challenge(step.data));
      c.link.request(1);
      return 'wait_for_sasl_response';
    case 'need_credentials':
    case 'need_password_check':
    case 'need_account_check': {
      login.wanted = step;
      const account = makeJid(step.username, c.host!.domain);
      if (account === undefined) return failed(c, profile, 'not-authorized');
      c.turn.askTo('credentials', 'account', account.bare, CREDENTIALS_TIMEOUT_MS, (replyTo) => ({
        kind: 'get_credentials' as const,
        replyTo,
      }));
      return 'wait_for_sasl_response';
    }
    case 'success':
      return profile.succeeded(c, step.username, step.data);
    case 'failure':
      return failed(c, profile, step.condition, step.text);
  }
}

/** What the account's actor knows; `isUsable` is false for unknown and disabled ones alike. */
function fetched(c: Connection, { isUsable, scram }: CredentialsAnswer): C2sState {
  const login = c.login!;
  const { wanted } = login;
  const exchange = login.exchange!;
  login.isGuess = true;
  login.hashes = scram.map(({ hash }) => hash);
  switch (wanted?.kind) {
    case 'need_credentials': {
      const record = scram.find(({ hash }) => hash === wanted.hash);
      return take(c, exchange.credentials(record && credentialsOf(record), isUsable));
    }
    case 'need_password_check': {
      const { services } = c.host!;
      const { scramIterations } = c.environment.config.accounts;
      const real = scram.find(({ hash }) => hash === PLAIN_HASH);
      // The pool works as long for a name that does not exist.
      const record = real ?? recordOf(fakeScramCredentials(services.secret, wanted.username, PLAIN_HASH, scramIterations));
      const check = services.pool.verify(wanted.password, record);
      c.turn.task(
        'verify',
        check.then((isRight) => isRight && isUsable && real !== undefined),
      );
      return 'wait_for_sasl_response';
    }
    case 'need_account_check':
      return take(c, exchange.verified(isUsable));
    default:
      return failed(c, login.profile, 'temporary-auth-failure');
  }
}

/** §6.4.6: the stream starts anew, for somebody known. */
function succeeded(c: Connection, username: string, data: Buffer | undefined): C2sState {
  // What came before the client could know of its success was not meant for the new stream.
  if (c.link.hasMore()) return c.fail('policy-violation', 'protocol_error', 'nothing may be sent before the answer to the login');
  const account = makeJid(username, c.host!.domain);
  if (account === undefined) return failed(c, SASL, 'not-authorized');
  loggedIn(c, account, c.login!.exchange!.mechanism);
  c.link.write(`<success xmlns='${NS.sasl}'>${data === undefined ? '' : encodeSaslData(data)}</success>`);
  c.link.restart();
  c.isHeaderSent = false;
  c.link.request(1);
  return 'wait_for_stream';
}

/** From now on it is known who this is. */
export function loggedIn(c: Connection, account: Jid, mechanism: string): void {
  c.account = { jid: account, mechanism, isAnonymous: mechanism === 'ANONYMOUS' };
  c.login = c.offer = c.streamSlots = undefined;
  c.isAuthenticated = true;
  c.environment.counters.authenticated++;
  c.environment.onAuthenticated(c.link, account);
  c.link.framer.limits = c.environment.config.stanza.afterLogin;
}

/** §6.4.5: the client may try again, so many times. */
export function failed(c: Connection, profile: Profile, condition: SaslFailure, text?: string): C2sState {
  const { counters, config } = c.environment;
  // COMPAT slixmpp 1.8: tries each -PLUS mechanism with a channel binding that was not advertised, before it goes on to one that works.
  if (c.login?.isGuess === true) {
    counters.loginFailures++;
    c.environment.onLoginFailed(c.link);
    c.failedLogins++;
  } else {
    c.refusedLogins++;
  }
  c.login = undefined;
  c.link.write(profile.failure(condition, text));
  if (c.failedLogins >= config.c2s.maxLoginAttempts || c.refusedLogins >= MAX_REFUSED_LOGINS) return c.closeFor('login_attempts'); // RFC 6120 §6.3.4
  c.link.request(1);
  return 'wait_for_feature_request';
}
