/**
 * The client connection: RFC 6120's negotiation and a bound session, one function per state.
 *
 *   wait_for_stream ─► wait_for_feature_request ─► wait_for_sasl_response ─► wait_for_stream (again)
 *                        │        ▲         │              │                      │
 *                        ▼        │         │ (SASL2)      │                      ▼
 *                      wait_for_tls         └──► wait_for_login ──────────► wait_for_bind ─► session_established
 *                                                      └──────────────────────────────────────────▲
 *
 * Writes to the link leave at once, not with the turn, so each state function writes last.
 */
import { defineMachine, type Crash, type KernelEvent, type Turn } from '../kernel/actor.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import type { Frame } from '../xml/frame.ts';
import { elementOf } from '../xml/tree.ts';
import { serialize } from '../xml/serialize.ts';
import { el } from '../xml/element.ts';
import { parseJid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { stanzaErrorElement } from '../xmpp/stanza-error.ts';
import { EMPTY_RESULT, NO_ANSWER, type IqAnswer } from '../core/module.ts';
import { attributeOf, isSupportedVersion, readHeader } from '../stream/header.ts';
import { wait_for_bind } from './bind.ts';
import { Connection, type C2sArgs, type C2sMessage, type C2sState } from './connection.ts';
import { featuresXml } from './features.ts';
import { abortLogin, continueLogin, startLogin } from './login.ts';
import { closing, wait_for_unbind } from './leaving.ts';
import { recoverSession, wait_for_account } from './lost-account.ts';
import { session_established } from './session.ts';
import { authenticate, wait_for_login } from './sasl2.ts';
import { NS_SM } from '../stream/stream-management.ts';
import { manageBeforeBind } from './stream-management.ts';
import { dropSlowConsumer } from './to-client.ts';

/** What is put into each stanza has to be short: the longest tag RFC 5646 §4.4.1 makes room for. */
const LANGUAGE_TAG = /^[A-Za-z0-9-]{1,35}$/;

type C2sEvent = C2sMessage | KernelEvent;
type Handler = (connection: Connection, event: C2sEvent) => C2sState;

/** Entered on connect, after TLS and after login. RFC 6120 §4.3.3, §5.4.3.3, §6.4.6 */
const wait_for_stream: Handler = (c, event) => {
  if (event.kind !== 'open') return event.kind === 'element' ? c.fail('invalid-xml') : stay(c, event, 'wait_for_stream');
  const header = readHeader(event);
  if (event.ns !== NS.streams || header.contentNs !== NS.client) return c.fail('invalid-namespace'); // §4.9.3.10
  const from = header.from === undefined ? undefined : parseJid(header.from);
  if (header.from !== undefined && from === undefined) return c.fail('invalid-from'); // §4.9.3.9
  if (from !== undefined && c.account !== undefined && from.bare !== c.account.jid.bare) return c.fail('invalid-from'); // not who has logged in
  c.peerFrom = from?.bare;
  c.lang = header.lang !== undefined && LANGUAGE_TAG.test(header.lang) ? header.lang : undefined;
  const to = header.to === undefined ? undefined : parseJid(header.to);
  if (to === undefined) return c.fail('improper-addressing'); // §4.9.3.7
  const host = c.environment.hosts.get(to.full);
  if (host === undefined) return c.fail('host-unknown'); // §4.9.3.6
  if (c.host !== undefined && c.host !== host) return c.fail('not-authorized'); // the address is frozen with the first header
  c.host = host;
  if (from !== undefined && from.domain !== host.domain) return c.fail('invalid-from'); // §4.9.3.9, XEP-0388 §SASL mechanism negotiation
  if (!isSupportedVersion(header.version)) return c.fail('unsupported-version'); // §4.7.5, §4.9.3.25
  c.openStream();
  c.link.write(featuresXml(c));
  c.link.request(1);
  return c.isAuthenticated ? 'wait_for_bind' : 'wait_for_feature_request';
};

const wait_for_feature_request: Handler = (c, event) => {
  if (event.kind === 'task') return answerEarlyIq(c, event);
  if (event.kind !== 'element') return stay(c, event, 'wait_for_feature_request');
  if (event.ns === NS.tls && event.name === 'starttls') return startTls(c);
  if (event.ns === NS.sasl || event.ns === NS.sasl2) {
    // What one profile has begun the other does not go on with.
    if ((c.profile ??= event.ns) !== event.ns) return c.fail('policy-violation', 'protocol_error', 'one stream, one profile of SASL');
    if (event.ns === NS.sasl2) return authenticate(c, event);
    if (event.name === 'auth') return startLogin(c, event);
    if (event.name === 'abort') return abortLogin(c);
  }
  if (event.ns === NS.client && event.name === 'iq') return earlyIq(c, event);
  if (event.ns === NS_SM) return manageBeforeBind(c, event, 'wait_for_feature_request');
  return c.fail(isStanzaName(event) ? 'not-authorized' : 'unsupported-stanza-type'); // RFC 6120 §4.9.3.12, §4.9.3.24
};

/** RFC 6120 §5.4.2, §5.4.3 */
function startTls(c: Connection): C2sState {
  if (c.isSecure) {
    c.link.write(`<failure xmlns='${NS.tls}'/>`); // §5.4.2.2
    return c.finish('protocol_error');
  }
  // What was sent in the clear behind <starttls/> would be taken for protected (CVE-2011-0411).
  if (c.link.hasMore()) return c.fail('policy-violation', 'protocol_error', 'nothing may follow starttls before the handshake');
  c.link.write(`<proceed xmlns='${NS.tls}'/>`);
  c.link.transport.flush();
  c.link.restart();
  c.isHeaderSent = false;
  c.link.transport.startTls();
  return 'wait_for_tls';
}

const wait_for_tls: Handler = (c, event) => {
  if (event.kind !== 'secure') return stay(c, event, 'wait_for_tls');
  c.link.request(1);
  return 'wait_for_stream';
};

const wait_for_sasl_response: Handler = (c, event) => continueLogin(c, event, () => stay(c, event, 'wait_for_sasl_response'));

/** A request that may be made before login, e.g. to register. XEP-0077 §3.1 */
function earlyIq(c: Connection, frame: Frame): C2sState {
  const { config } = c.environment;
  if (config.c2s.isTlsRequired && !c.isSecure) return c.fail('not-authorized', 'protocol_error', 'TLS is required first');
  const id = attributeOf(frame, 'id');
  const type = attributeOf(frame, 'type');
  const head = frame.children[0];
  if (id === undefined || head === undefined || frame.children.length !== 1 || (type !== 'get' && type !== 'set'))
    return c.fail('not-authorized');
  const handler = c.host!.handler('stream', type, head.name, head.ns);
  if (handler === undefined) return c.fail('not-authorized'); // RFC 6120 §4.9.3.12
  const payload = elementOf(frame)?.child(head.name, head.ns);
  if (payload === undefined) return c.fail('internal-server-error');
  const answer = handler.run(payload, c.streamContext);
  c.turn.task(`iq:${id}`, Promise.resolve(answer));
  return 'wait_for_feature_request';
}

function answerEarlyIq(c: Connection, event: Extract<KernelEvent, { kind: 'task' }>): C2sState {
  const id = event.name.slice('iq:'.length);
  const answer = event.ok ? (event.value as IqAnswer) : new StanzaError('internal-server-error');
  const { domain } = c.host!;
  if (!event.ok) c.host!.services.log.error('iq_handler_failed', { error: String(event.error) });
  if (answer instanceof StanzaError) {
    c.link.write(serialize(el('iq', NS.client, { type: 'error', id, from: domain }, stanzaErrorElement(answer)), NS.client));
  } else if (answer !== NO_ANSWER) {
    const payload = answer === EMPTY_RESULT ? undefined : answer;
    c.link.write(serialize(el('iq', NS.client, { type: 'result', id, from: domain }, payload), NS.client));
  }
  c.link.request(1);
  return 'wait_for_feature_request';
}

/** Events that mean the same in every state of the negotiation. */
function stay(c: Connection, event: C2sEvent, state: C2sState): C2sState {
  switch (event.kind) {
    case 'error':
      return c.fail(event.condition, 'protocol_error', event.text);
    case 'close':
      return c.finish('client_closed');
    case 'open':
      return c.fail('invalid-xml');
    case 'closed':
      c.closeReason ??= state === 'wait_for_tls' ? 'handshake_failed' : 'client_gone';
      c.leaveSession(c.closeReason);
      c.turn.stop(c.closeReason);
      return 'closing';
    case 'close_stream':
      return c.fail(event.condition, event.reason, event.text);
    case 'slow_consumer':
      return dropSlowConsumer(c);
    case 'timeout':
      return event.name === 'negotiation' ? c.fail('connection-timeout', 'negotiation_timeout') : state; // RFC 6120 §4.9.3.4
    default:
      return state;
  }
}

function isStanzaName({ name, ns }: Frame): boolean {
  return ns === NS.client && (name === 'message' || name === 'presence' || name === 'iq');
}

function inTurn(handler: Handler) {
  return (c: Connection, event: C2sEvent, turn: Turn<C2sMessage>): C2sState => {
    c.turn = turn;
    return handler(c, event);
  };
}

/**
 * A crash costs the client the stanza that caused it, not the connection: the actor goes on
 * on the same socket. Before a session is bound there is nothing worth keeping.
 */
function recover(
  crash: Crash<C2sState, Connection, C2sMessage>,
  args: C2sArgs,
  turn: Turn<C2sMessage>,
): { state: C2sState; data: Connection } {
  const c = new Connection(args);
  c.turn = turn;
  if (crash.data.session === undefined) {
    c.isHeaderSent = crash.data.isHeaderSent;
    c.host = crash.data.host;
    return { state: c.fail('internal-server-error'), data: c };
  }
  return { state: recoverSession(c, crash), data: c };
}

export const c2sMachine = defineMachine<C2sState, Connection, C2sMessage, C2sArgs>({
  name: 'c2s',
  initial: 'wait_for_stream',
  init(args, turn) {
    const c = new Connection(args);
    const { counters, config } = args.environment;
    counters.accepted++;
    turn.timer('negotiation', config.c2s.negotiationMs);
    c.link.request(1);
    return c;
  },
  states: {
    wait_for_stream: inTurn(wait_for_stream),
    wait_for_feature_request: inTurn(wait_for_feature_request),
    wait_for_tls: inTurn(wait_for_tls),
    wait_for_sasl_response: inTurn(wait_for_sasl_response),
    wait_for_login: inTurn((c, event) => wait_for_login(c, event, () => stay(c, event, 'wait_for_login'))),
    wait_for_bind: inTurn((c, event) => wait_for_bind(c, event, () => stay(c, event, 'wait_for_bind'))),
    session_established: inTurn((c, event) => session_established(c, event, () => stay(c, event, 'session_established'))),
    wait_for_account: inTurn((c, event) => wait_for_account(c, event, () => stay(c, event, 'wait_for_account'))),
    wait_for_unbind: inTurn((c, event) => wait_for_unbind(c, event, () => stay(c, event, 'wait_for_unbind'))),
    closing: inTurn(closing),
  },
  recover,
  terminate(c, _state, reason) {
    const { counters } = c.environment;
    const why = c.closeReason ?? (reason.kind === 'crash' ? 'crashed_too_often' : 'shutdown');
    counters.closed.set(why, (counters.closed.get(why) ?? 0) + 1);
    if (reason.kind === 'crash' && c.closeReason === undefined) c.giveUp();
    else c.link.transport.destroy();
    c.link.release();
    if (c.session !== undefined) counters.openSessions--;
  },
  // Design §3: more than 3 crashes in 10 s end the stream.
  intensity: { maxRestarts: 3, withinMs: 10_000 },
  describe: (c) => c.session?.jid.full ?? c.link.transport.remoteAddress,
});
