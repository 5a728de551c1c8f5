/**
 * SASL on a client stream. RFC 6120 §6. The mechanisms are pure (src/sasl); this file fetches
 * what they ask for: credentials from the account's actor, password checks from the pool.
 *
 * Nothing tells an unknown account, a disabled one and a wrong password apart: all three go
 * through the same steps, with made-up credentials where there are none.
 */
import type { KernelEvent } from '../kernel/actor.ts';
import type { CredentialsAnswer } from '../core/messages.ts';
import { decodeSaslData, encodeSaslData } from '../sasl/base64.ts';
import { certificateUsernames } from '../sasl/external.ts';
import {
  channelBindingTypes,
  mechanismsFor,
  startMechanism,
  type Exchange,
  type SaslContext,
  type SaslFailure,
  type Step,
} from '../sasl/mechanism.ts';
import { credentialsOf, recordOf } from '../sasl/scram-record.ts';
import { fakeScramCredentials, type ChannelBinding, type ChannelBindingType } from '../sasl/scram.ts';
import { attributeOf } from '../stream/header.ts';
import type { Frame } from '../xml/frame.ts';
import { escapeText } from '../xml/serialize.ts';
import { makeJid, normalizeLocal, parseJid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { opaqueString } from '../xmpp/precis.ts';
import type { C2sMessage, C2sState, Connection } from './connection.ts';

/** The account's actor may have to be started and loaded, on another thread, under load. */
const CREDENTIALS_TIMEOUT_MS = 10_000;

/** Hash that PLAIN is checked against. */
const PLAIN_HASH = 'SHA-256';

const PREPARE = { username: normalizeLocal, password: opaqueString, address: parseJid };

/** A login under way. */
export interface Login {
  readonly exchange: Exchange;
  /** What the mechanism asked for last, while it is being fetched. */
  wanted: Step | undefined;
  /** Something was compared with what we know: the attempt was a guess. */
  isGuess: boolean;
}

/** Attempts that fail before anything is compared, e.g. for a mechanism we do not offer. */
const MAX_REFUSED_LOGINS = 16;

/** What `<mechanisms/>` and `<sasl-channel-binding/>` say on this stream; only that is accepted. RFC 6120 §6.4.1, XEP-0440 §3 */
export function saslOffer(c: Connection): {
  readonly mechanisms: readonly string[];
  readonly channelBindings: readonly ChannelBindingType[];
} {
  const context = saslContext(c);
  return { mechanisms: context.offered, channelBindings: channelBindingTypes(context.offered, context.channelBindings) };
}

function saslContext(c: Connection): SaslContext {
  const { tls } = c.link.transport;
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
    isSecure: c.isSecure || !c.environment.config.c2s.isTlsRequired,
    channelBindings: channelBindings.map(({ type }) => type),
    hasTrustedClientCertificate: certificateUsernames(external).length > 0,
    isAnonymousHost: host.settings.isAnonymous,
  });
  const decoy = { serverSecret: host.services.secret, iterations: c.environment.config.accounts.scramIterations };
  return { ...external, offered, channelBindings, decoy };
}

export function startLogin(c: Connection, frame: Frame): C2sState {
  if (c.environment.config.c2s.isTlsRequired && !c.isSecure) return failed(c, 'encryption-required'); // §6.5.4
  const exchange = startMechanism(attributeOf(frame, 'mechanism') ?? '', saslContext(c));
  if (exchange === undefined) return failed(c, 'invalid-mechanism'); // §6.5.7
  const initial = decodeSaslData(frame.body);
  if (initial === undefined) return failed(c, 'incorrect-encoding'); // §6.5.5
  c.login = { exchange, wanted: undefined, isGuess: false };
  const isLeftOut = frame.body === '' && exchange.mechanism !== 'ANONYMOUS'; // which has nothing to say: XEP-0175 §4
  return take(c, exchange.start(isLeftOut ? undefined : initial));
}

/** State `wait_for_sasl_response`: the client's next message, or what was fetched for the mechanism. */
export function continueLogin(c: Connection, event: C2sMessage | KernelEvent, otherwise: () => C2sState): C2sState {
  switch (event.kind) {
    case 'element': {
      if (event.ns !== NS.sasl) return c.fail('not-authorized'); // nothing else before the login is over
      if (event.name === 'abort') return abortLogin(c);
      if (event.name !== 'response') return failed(c, 'malformed-request');
      const data = decodeSaslData(event.body);
      return data === undefined ? failed(c, 'incorrect-encoding') : take(c, c.login!.exchange.respond(data));
    }
    case 'reply':
      return event.ok ? fetched(c, event.value as CredentialsAnswer) : failed(c, 'temporary-auth-failure');
    case 'task':
      return event.ok ? take(c, c.login!.exchange.verified(event.value === true)) : failed(c, 'temporary-auth-failure');
    default:
      return otherwise();
  }
}

/** §6.4.4 */
export function abortLogin(c: Connection): C2sState {
  return failed(c, 'aborted');
}

/** Does what the mechanism says. */
function take(c: Connection, step: Step): C2sState {
  const login = c.login!;
  login.wanted = undefined;
  switch (step.kind) {
    case 'challenge':
      c.link.write(`<challenge xmlns='${NS.sasl}'>${encodeSaslData(step.data)}</challenge>`);
      c.link.request(1);
      return 'wait_for_sasl_response';
    case 'need_credentials':
    case 'need_password_check':
    case 'need_account_check': {
      login.wanted = step;
      const account = makeJid(step.username, c.host!.domain);
      if (account === undefined) return failed(c, 'not-authorized');
      c.turn.askTo('credentials', 'account', account.bare, CREDENTIALS_TIMEOUT_MS, (replyTo) => ({
        kind: 'get_credentials' as const,
        replyTo,
      }));
      return 'wait_for_sasl_response';
    }
    case 'success':
      return succeeded(c, step.username, step.data);
    case 'failure':
      return failed(c, step.condition, step.text);
  }
}

/** What the account's actor knows; `isUsable` is false for unknown and disabled ones alike. */
function fetched(c: Connection, { isUsable, scram }: CredentialsAnswer): C2sState {
  const { exchange, wanted } = c.login!;
  c.login!.isGuess = true;
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
      return failed(c, 'temporary-auth-failure');
  }
}

/** §6.4.6: the stream starts anew, for somebody known. */
function succeeded(c: Connection, username: string, data: Buffer | undefined): C2sState {
  // What came before the client could know of its success was not meant for the new stream.
  if (c.link.hasMore()) return c.fail('policy-violation', 'protocol_error', 'nothing may be sent before the answer to the login');
  const { mechanism } = c.login!.exchange;
  const isAnonymous = mechanism === 'ANONYMOUS';
  const account = makeJid(username, c.host!.domain);
  if (account === undefined) return failed(c, 'not-authorized');
  c.account = { jid: account, mechanism, isAnonymous };
  c.login = undefined;
  c.isAuthenticated = true;
  c.environment.counters.authenticated++;
  c.environment.onAuthenticated(c.link, account);
  c.link.write(`<success xmlns='${NS.sasl}'>${data === undefined ? '' : encodeSaslData(data)}</success>`);
  c.link.restart();
  c.link.framer.limits = c.environment.config.stanza.afterLogin;
  c.isHeaderSent = false;
  c.link.request(1);
  return 'wait_for_stream';
}

/** §6.4.5: the client may try again, so many times. */
function failed(c: Connection, condition: SaslFailure, text?: string): C2sState {
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
  const detail = text === undefined ? '' : `<text xml:lang='en'>${escapeText(text)}</text>`;
  c.link.write(`<failure xmlns='${NS.sasl}'><${condition}/>${detail}</failure>`);
  if (c.failedLogins >= config.c2s.maxLoginAttempts || c.refusedLogins >= MAX_REFUSED_LOGINS) return c.closeFor('login_attempts'); // RFC 6120 §6.3.4
  c.link.request(1);
  return 'wait_for_feature_request';
}
