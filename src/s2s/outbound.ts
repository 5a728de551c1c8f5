/**
 * A link to another server: one actor per pair of domains, at a place that follows from the pair. It connects when there is
 * something to send, queues meanwhile, and outlives its connections.
 *
 *   connecting ─► wait_for_stream ─► wait_for_features ─► wait_for_sasl ────► wait_for_stream
 *     ▲   │             ▲             │        │   │                              │
 *     │   │             │             ▼        │   ├─► wait_for_dialback ─┐       ▼
 *     │   │       wait_for_tls ◄ wait_for_proceed  │                      ├─► wait_for_sm ─► established
 *     │   ▼                                        │                      └──────────────────▲    │
 *     │  down ─► dormant ◄─────────────────────────┴─────────────────────────────────────────┴────┤
 *     └───────────┴──────────────────── (the connection is lost, and something is to be sent) ◄────┘
 *
 * Writes to the link leave at once, not with the turn, so each state function writes last. Long because the states share one
 * way to fail.
 */
import { defineMachine, type Crash, type KernelEvent, type Turn } from '../kernel/actor.ts';
import type { RemoteMessage } from '../core/messages.ts';
import { isStanza } from '../core/messages.ts';
import type { Transport } from '../net/transport.ts';
import { attributeOf, initialHeader, isSupportedVersion, readHeader } from '../stream/header.ts';
import { NS_SM, parseBoolean, parseCount, unwrapCount } from '../stream/stream-management.ts';
import type { LinkEvent } from '../stream/link.ts';
import type { Frame } from '../xml/frame.ts';
import { escapeAttr } from '../xml/serialize.ts';
import { elementOf } from '../xml/tree.ts';
import { parseJid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { parseStreamError } from '../xmpp/stream-error.ts';
import { findPlaces, type Found } from './connecting.ts';
import { dialbackKey, dialbackRequest, readDialback, type DialbackElement } from './dialback.ts';
import type { DialPlace, LinkMail, OutgoingMessage } from './environment.ts';
import { NS_BIDI, NS_BIDI_FEATURE } from './features.ts';
import { Outgoing, refusalFor, type OutgoingArgs, type OutgoingState } from './outgoing.ts';
import { isDialbackAllowed, isDomainAllowed, isTlsRequired } from './policy.ts';
import { Queue } from './queue.ts';
import { isStanzaFrame, Management, READ_AHEAD, ServerStream } from './stream.ts';

type Event = OutgoingMessage | KernelEvent;
/** What a state is given: events of the link in place of its mail. */
type StreamEvent = Exclude<Event, LinkMail> | LinkEvent;
type Handler = (c: Outgoing, event: StreamEvent) => OutgoingState;

/** How long a link without anything to send, or one that could not be reached, is remembered. */
const DORMANT_MS = 600_000;
/** How long a server that was reached is sought after its connection was lost, where the stream cannot be resumed. */
const SEEK_MS = 60_000;

function connect(c: Outgoing): OutgoingState {
  c.drop();
  c.isExternalRefused = c.isSecondTry = false;
  c.turn.timer('negotiation', c.environment.config.s2s.negotiationMs);
  if (!isDomainAllowed(c.environment.config, c.remote))
    return failed(c, new StanzaError('policy-violation', 'This server does not speak with that domain'));
  c.turn.task(`find:${c.epoch}`, findPlaces(c.environment, c.remote));
  return 'connecting';
}

const connecting: Handler = (c, event) => {
  if (event.kind !== 'task') return common(c, event, 'connecting');
  if (event.name === `find:${c.epoch}`) {
    const found = (event.ok ? event.value : { kind: 'failed', reason: String(event.error) }) as Found;
    if (found.kind !== 'places') {
      c.note('names', false, found.reason);
      const isNone = found.kind === 'none'; // RFC 6120 §8.3.3.16, §8.3.3.17
      return failed(c, new StanzaError(isNone ? 'remote-server-not-found' : 'remote-server-timeout', `No address: ${found.reason}`));
    }
    for (const { address, port, isDirectTls } of found.places)
      c.note('names', true, `${address} port ${port}${isDirectTls ? ' (direct TLS)' : ''}`);
    c.places = [...found.places];
    return dialNext(c, 'it has no address');
  }
  if (event.name !== `dial:${c.epoch}`) return common(c, event, 'connecting');
  if (!event.ok) {
    c.note('connection', false, (event.error as Error).message);
    return dialNext(c, (event.error as Error).message);
  }
  const link = c.environment.open(event.value as Transport, c.turn.self, c.epoch);
  c.stream = new ServerStream(c.environment, link, c.turn.self);
  c.note('connection', true, link.transport.remoteAddress);
  if (link.transport.tls !== undefined) {
    const refused = judge(c);
    if (refused !== undefined) return refused;
  }
  return openStream(c);
};

function dialNext(c: Outgoing, reason: string): OutgoingState {
  const place: DialPlace | undefined = c.places.shift();
  if (place === undefined) return failed(c, new StanzaError('remote-server-timeout', `No connection: ${reason}`));
  c.place = place;
  c.epoch++;
  c.turn.task(`dial:${c.epoch}`, c.environment.dial(place, c.local, c.remote));
  return 'connecting';
}

/** RFC 6120 §4.2, §4.7.1 */
function openStream(c: Outgoing): OutgoingState {
  const { link } = c.stream!;
  c.stream!.isHeaderSent = true;
  link.write(
    initialHeader({ contentNs: NS.server, from: c.local, to: c.remote, hasDialback: isDialbackAllowed(c.environment.config, c.remote) }),
  );
  link.request(1);
  return 'wait_for_stream';
}

const wait_for_stream: Handler = (c, event) => {
  if (event.kind !== 'open') return event.kind === 'element' ? streamError(c, event) : common(c, event, 'wait_for_stream');
  const header = readHeader(event);
  if (event.ns !== NS.streams || header.contentNs !== NS.server) return broken(c, 'invalid-namespace');
  if (!isSupportedVersion(header.version)) return broken(c, 'unsupported-version');
  const from = header.from === undefined ? undefined : parseJid(header.from);
  if (header.from !== undefined && from?.full !== c.remote) return broken(c, 'invalid-from');
  c.stream!.id = header.id ?? '';
  c.stream!.link.request(1);
  return 'wait_for_features';
};

/** RFC 6120 §4.3.2 */
const wait_for_features: Handler = (c, event) => {
  if (event.kind !== 'element') return common(c, event, 'wait_for_features');
  if (event.ns !== NS.streams || event.name !== 'features') return streamError(c, event);
  const features = elementOf(event);
  if (features === undefined) return broken(c, 'bad-format');
  const stream = c.stream!;
  const { config } = c.environment;
  c.note(
    'features',
    true,
    features
      .elements()
      .map(({ name }) => name)
      .join(', ') || 'none',
  );
  c.offersManagement = features.child('sm', NS_SM) !== undefined;
  if (c.isAuthenticated) return authenticated(c);
  const startTls = features.child('starttls', NS.tls);
  if (!stream.isSecure) {
    if (startTls !== undefined) {
      stream.link.write(`<starttls xmlns='${NS.tls}'/>`);
      stream.link.request(1);
      return 'wait_for_proceed';
    }
    if (isTlsRequired(config, c.remote)) {
      c.note('TLS', false, 'not offered');
      return given(c, new StanzaError('remote-server-not-found', 'That server does not offer TLS'), 'policy-violation');
    }
  }
  if (c.purpose.kind === 'verify') return askForVerification(c);
  const offersBidi = features.child('bidi', NS_BIDI_FEATURE) !== undefined;
  if (offersBidi && config.s2s.isBidi && c.purpose.kind === 'deliver') {
    stream.link.write(`<bidi xmlns='${NS_BIDI}'/>`); // XEP-0288 §2.2
    stream.isBidi = true;
  }
  const mechanisms = features.child('mechanisms', NS.sasl)?.childrenNamed('mechanism', NS.sasl) ?? [];
  const offersExternal = mechanisms.some((mechanism) => mechanism.text().trim() === 'EXTERNAL');
  if (c.purpose.kind === 'check') return checked(c, offersExternal, features.child('dialback', NS.dialbackFeature) !== undefined);
  if (stream.isSecure && offersExternal && !c.isExternalRefused) {
    // The name is for servers that do not take it from the header. XEP-0178 §3
    stream.link.write(`<auth xmlns='${NS.sasl}' mechanism='EXTERNAL'>${Buffer.from(c.local).toString('base64')}</auth>`);
    stream.link.request(1);
    return 'wait_for_sasl';
  }
  return askForDialback(c);
};

const wait_for_proceed: Handler = (c, event) => {
  if (event.kind !== 'element') return common(c, event, 'wait_for_proceed');
  if (event.ns !== NS.tls || event.name !== 'proceed') return streamError(c, event);
  const { link } = c.stream!;
  // What came in the clear behind <proceed/> would be taken for protected (CVE-2011-0411).
  if (link.hasMore()) return broken(c, 'policy-violation');
  link.restart();
  c.stream!.isHeaderSent = false;
  link.transport.startTls();
  return 'wait_for_tls';
};

const wait_for_tls: Handler = (c, event) => {
  if (event.kind !== 'secure') return common(c, event, 'wait_for_tls');
  return judge(c) ?? openStream(c);
};

/** Whether the certificate shows that this is the server it should be; if not, only dialback lets us speak with it. */
function judge(c: Outgoing): OutgoingState | undefined {
  const { environment, remote } = c;
  const { tls } = c.stream!.link.transport;
  const verdict = environment.trust.judge(tls, remote);
  c.note('TLS', true, `${tls?.version} ${tls?.cipher}`);
  const names = tls === undefined ? undefined : environment.trust.names(tls);
  const listed = [...(names?.dns ?? []), ...(names?.srv ?? []), ...(names?.xmpp ?? [])].slice(0, 20).join(', ');
  c.note('certificate', verdict.isValid, `${verdict.isValid ? 'valid' : verdict.reason}; names: ${listed || 'none'}`);
  if (verdict.isValid || isDialbackAllowed(environment.config, remote)) return undefined;
  environment.log.warn('s2s_certificate_refused', { remote, address: c.stream!.link.transport.remoteAddress, reason: verdict.reason });
  return given(
    c,
    new StanzaError('remote-server-not-found', `The certificate of that server is not right: ${verdict.reason}`),
    'not-authorized',
  );
}

const wait_for_sasl: Handler = (c, event) => {
  if (event.kind !== 'element') return common(c, event, 'wait_for_sasl');
  const stream = c.stream!;
  if (event.ns === NS.sasl && event.name === 'success') {
    if (stream.link.hasMore()) return broken(c, 'policy-violation');
    c.isAuthenticated = true;
    stream.auth = 'external';
    stream.link.restart();
    return openStream(c);
  }
  if (event.ns !== NS.sasl || event.name !== 'failure') return streamError(c, event);
  c.isExternalRefused = true;
  return askForDialback(c); // XEP-0178 §3 step 12
};

/** XEP-0220 §2.1.1 */
function askForDialback(c: Outgoing): OutgoingState {
  const stream = c.stream!;
  const { config, secret } = c.environment;
  if (!isDialbackAllowed(config, c.remote))
    return given(
      c,
      new StanzaError('remote-server-not-found', 'That server does not accept the certificate of this one'),
      'not-authorized',
    );
  const key = dialbackKey(secret, c.remote, c.local, stream.id);
  stream.link.write(dialbackRequest('result', { from: c.local, to: c.remote }, key));
  stream.link.request(1);
  return 'wait_for_dialback';
}

/** XEP-0220 §2.1.2 */
function askForVerification(c: Outgoing): OutgoingState {
  if (c.purpose.kind !== 'verify') return broken(c, 'internal-server-error');
  const { link } = c.stream!;
  link.write(dialbackRequest('verify', { from: c.local, to: c.remote, id: c.purpose.id }, c.purpose.key));
  link.request(1);
  return 'wait_for_dialback';
}

const wait_for_dialback: Handler = (c, event) => {
  if (event.kind !== 'element') return common(c, event, 'wait_for_dialback');
  if (event.ns !== NS.dialback) return streamError(c, event);
  const element = readDialback(event);
  // Nothing but the answer to the one question that was asked on this stream. XEP-0220 §3.1
  if (element === undefined || !isAnswer(c, element)) {
    c.environment.counters.spoofs++;
    c.environment.log.warn('s2s_unsolicited_dialback', { remote: c.remote, address: c.stream!.link.transport.remoteAddress });
    return broken(c, 'policy-violation');
  }
  if (c.purpose.kind === 'verify') {
    // Whatever went wrong there, the other side is told that its server was no help. §2.4.2
    return reported(c, element.type === 'error' ? 'remote-server-not-found' : element.type!);
  }
  if (element.type === 'valid') {
    c.stream!.auth = 'dialback';
    c.isAuthenticated = true;
    return authenticated(c);
  }
  const text =
    element.type === 'invalid'
      ? 'That server could not verify this one'
      : `That server refused dialback: ${element.condition ?? 'no reason given'}`;
  return given(c, new StanzaError(element.type === 'invalid' ? 'internal-server-error' : 'remote-server-timeout', text), undefined);
};

function isAnswer({ purpose, local, remote }: Outgoing, { name, from, to, type, id }: DialbackElement): boolean {
  if (type === undefined || from !== remote || to !== local) return false;
  return purpose.kind === 'verify' ? name === 'verify' && id === purpose.id : name === 'result';
}

/** For who has asked for the verification of a key; then this is over. */
function reported(c: Outgoing, outcome: 'valid' | 'invalid' | 'remote-server-not-found' | 'remote-server-timeout'): OutgoingState {
  if (c.purpose.kind === 'verify') c.turn.send(c.purpose.asker, { kind: 'verified', from: c.remote, to: c.local, outcome });
  c.stream?.finish();
  c.turn.stop('verified');
  return 'closing';
}

/** Stanzas may go. */
function authenticated(c: Outgoing): OutgoingState {
  const stream = c.stream!;
  const { environment } = c;
  environment.authenticated(stream.link);
  if (stream.isBidi) stream.pairs.add(`${c.remote} ${c.local}`);
  if (stream.auth === 'external') environment.counters.outExternal++;
  else environment.counters.outDialback++;
  environment.log.info('s2s_authorised', {
    direction: 'out',
    remote: c.remote,
    local: c.local,
    auth: stream.auth,
    tls: stream.link.transport.tls?.version,
  });
  const { resumable } = c;
  if (!c.offersManagement) {
    forgetResumable(c);
    return begin(c);
  }
  if (resumable?.sm.token !== undefined && resumable.untilMs > c.turn.now) {
    const h = Math.max(0, resumable.intake.taken - resumable.sm.base);
    stream.link.write(`<resume xmlns='${NS_SM}' previd='${escapeAttr(resumable.sm.token)}' h='${h}'/>`); // XEP-0198 §5
  } else {
    forgetResumable(c);
    stream.link.write(`<enable xmlns='${NS_SM}'${environment.config.s2s.resumeMs > 0 && !stream.isBidi ? " resume='true'" : ''}/>`);
  }
  stream.link.request(1);
  return 'wait_for_sm';
}

/** What was sent over a stream that cannot be resumed goes out again. */
function forgetResumable(c: Outgoing): void {
  c.resumable = undefined;
  c.recall();
}

const wait_for_sm: Handler = (c, event) => {
  if (event.kind !== 'element') return common(c, event, 'wait_for_sm');
  const stream = c.stream!;
  if (isStanzaFrame(event) && stream.isBidi) return fromServer(c, event, 'wait_for_sm');
  if (event.ns !== NS_SM) return streamError(c, event);
  const { resumable } = c;
  switch (event.name) {
    case 'enabled': {
      const isResumable = parseBoolean(attributeOf(event, 'resume')) === true;
      stream.sm = new Management(isResumable ? attributeOf(event, 'id') : undefined, stream.intake.count);
      return begin(c);
    }
    case 'resumed': {
      if (resumable === undefined) return broken(c, 'bad-format');
      const arrived = arrivedSince(resumable.sm, attributeOf(event, 'h'));
      if (arrived === undefined) return broken(c, 'bad-format');
      c.environment.counters.resumed++;
      c.queue.settle(arrived);
      stream.sm = new Management(resumable.sm.token, resumable.sm.base);
      stream.sm.sent = stream.sm.acked = stream.sm.requested = resumable.sm.acked + arrived;
      stream.intake = resumable.intake;
      c.resumable = undefined;
      // What it has not got goes again, requests included: they were not carried out.
      c.queue.recall(() => true);
      return begin(c);
    }
    case 'failed':
      if (resumable === undefined) {
        stream.sm = undefined;
        return begin(c);
      }
      // It may know how far it came. XEP-0198 §5
      c.queue.settle(arrivedSince(resumable.sm, attributeOf(event, 'h')) ?? 0);
      forgetResumable(c);
      stream.link.write(`<enable xmlns='${NS_SM}' resume='true'/>`);
      stream.link.request(1);
      return 'wait_for_sm';
    default:
      return streamError(c, event);
  }
};

function arrivedSince(sm: Management, text: string | undefined): number | undefined {
  const h = parseCount(text);
  if (h === undefined) return undefined;
  const acked = unwrapCount(h, sm.acked);
  return acked < sm.acked || acked > sm.sent ? undefined : acked - sm.acked;
}

function begin(c: Outgoing): OutgoingState {
  const { turn, environment, stream } = c;
  turn.cancelTimer('negotiation');
  if (environment.config.s2s.idleMs > 0) turn.timer('idle', environment.config.s2s.idleMs);
  c.failures = 0;
  c.problem = '';
  c.seekUntilMs = 0;
  stream!.link.request(READ_AHEAD);
  c.pump();
  return 'established';
}

const established: Handler = (c, event) => {
  const stream = c.stream!;
  switch (event.kind) {
    case 'element':
      return fromServer(c, event, 'established');
    case 'drained':
      c.pump();
      return 'established';
    case 'remote_taken':
      stream.taken(event);
      return 'established';
    default:
      return common(c, event, 'established');
  }
};

function fromServer(c: Outgoing, frame: Frame, state: 'established' | 'wait_for_sm'): OutgoingState {
  const stream = c.stream!;
  if (frame.ns === NS_SM) {
    const arrived = stream.manage(frame);
    if (typeof arrived !== 'number') return broken(c, arrived.condition);
    stream.link.request(1);
    c.settle(arrived);
    return state;
  }
  if (isStanzaFrame(frame)) {
    // Without bidi there are no pairs, so nothing may come this way. XEP-0288, RFC 6120 §8.1.2.2
    const taken = stream.take(frame, c.turn);
    return taken === 'ok' ? state : broken(c, taken.condition);
  }
  if (frame.ns === NS.dialback) {
    c.environment.counters.spoofs++;
    return broken(c, 'policy-violation'); // an answer to nothing that was asked
  }
  return streamError(c, frame);
}

/** The other side has begun a stream that goes both ways. */
const carried: Handler = (c, event) => {
  const isCarrier = (ref: { id: number; worker: number }): boolean => ref.id === c.carrier?.id && ref.worker === c.carrier.worker;
  switch (event.kind) {
    case 'bidi_settled':
      if (!isCarrier(event.carrier) || event.number <= c.givenSettled) return 'carried';
      c.settle(event.number - c.givenSettled);
      c.givenSettled = event.number;
      return 'carried';
    case 'restarted':
    case 'down':
      if (!isCarrier(event.ref)) return 'carried';
      leaveCarrier(c);
      return goOn(c);
    case 'bounced':
      if (event.message.kind !== 'bidi_stanza') return common(c, event, 'carried');
      leaveCarrier(c);
      return goOn(c);
    case 'close_link':
      c.turn.send(c.carrier!, event);
      return 'carried';
    default:
      return common(c, event, 'carried');
  }
};

function leaveCarrier(c: Outgoing): void {
  if (c.carrier !== undefined) c.turn.demonitor(c.carrier);
  c.carrier = undefined;
  c.recall();
}

function carry(c: Outgoing, carrier: NonNullable<Outgoing['carrier']>): OutgoingState {
  if (c.carrier !== undefined) leaveCarrier(c);
  c.drop();
  c.recall();
  c.resumable = undefined;
  c.turn.cancelTimer('negotiation');
  c.carrier = carrier;
  c.given = c.givenSettled = 0;
  c.failures = 0;
  c.turn.monitor(carrier);
  c.pump();
  return 'carried';
}

/** It could not be reached: nobody is kept waiting. */
const down: Handler = (c, event) => {
  switch (event.kind) {
    case 'message':
    case 'presence':
    case 'iq':
      c.refuse({ stanza: event, position: 0 }, c.refusal);
      return 'down';
    case 'forward':
    case 'forward_again':
      common(c, event, 'down');
      c.refuseAll(c.refusal);
      return 'down';
    case 'timeout':
      if (event.name !== 'retry') return common(c, event, 'down');
      return goOn(c);
    default:
      return common(c, event, 'down');
  }
};

const dormant: Handler = (c, event) => {
  if (event.kind === 'start_link') return connect(c);
  if (event.kind === 'timeout' && event.name === 'dormant') {
    c.turn.stop('idle');
    return 'dormant';
  }
  const state = common(c, event, 'dormant');
  return state === 'dormant' && !c.queue.isEmpty ? connect(c) : state;
};

/** Without a connection: connects if there is something to send. */
function goOn(c: Outgoing): OutgoingState {
  c.turn.cancelTimer('idle');
  c.turn.cancelTimer('ack');
  if (c.queue.waiting.length > 0 || c.resumable !== undefined) return connect(c);
  c.turn.timer('dormant', DORMANT_MS);
  return 'dormant';
}

/** Events that mean the same in every state. */
function common(c: Outgoing, event: StreamEvent, state: OutgoingState): OutgoingState {
  switch (event.kind) {
    case 'message':
    case 'presence':
    case 'iq':
      c.take(event);
      if (state === 'established' || state === 'carried') c.pump();
      return state;
    case 'forward':
      c.owe(event.stanza, event.position, event.previous, event.atMs);
      if (state === 'established' || state === 'carried') c.pump();
      return state;
    case 'forward_again':
      for (const { stanza, position, atMs } of event.messages) if (!c.owe(stanza, position, 0, atMs)) break;
      if (state === 'established' || state === 'carried') c.pump();
      return state;
    case 'bidi_up':
      return state === 'established' || c.purpose.kind !== 'deliver' ? state : carry(c, event.carrier);
    case 'error':
      return broken(c, event.condition);
    case 'close':
      c.stream?.finish();
      return lost(c, 'the other side has closed the stream', state);
    case 'closed':
      return lost(c, event.error ?? 'the connection was closed', state);
    case 'slow_consumer':
      return lost(c, 'the other side does not read', state);
    case 'open':
      return broken(c, 'invalid-xml');
    case 'element':
      return streamError(c, event);
    case 'close_link':
      return close(c, event.condition, state);
    case 'worker_lost': // what came by XEP-0288 and went down with it comes again, on another stream
      return (c.stream?.intake.outstanding ?? 0) > 0 ? close(c, 'internal-server-error', state) : state;
    case 'bounced':
      if (event.message.kind === 'remote_message')
        c.stream?.bounced(
          event.message as RemoteMessage,
          new StanzaError(event.reason === 'no_actor' ? 'service-unavailable' : 'resource-constraint'),
          c.turn,
        );
      return state;
    case 'task':
      if (event.ok && event.name.startsWith('dial:')) (event.value as Transport).destroy(); // of an attempt that is over
      return state;
    case 'timeout':
      return timedOut(c, event.name, state);
    default:
      return state;
  }
}

function timedOut(c: Outgoing, name: string, state: OutgoingState): OutgoingState {
  const { stream, turn, environment } = c;
  switch (name) {
    case 'confirm':
      c.confirm();
      if (state === 'established') c.pump();
      return state;
    case 'negotiation':
      return given(c, new StanzaError('remote-server-timeout', 'That server took too long'), 'connection-timeout');
    case 'request_ack':
      stream?.requestNow(turn);
      return state;
    case 'ack':
      return stream === undefined || stream.checkAck(turn) ? state : lost(c, 'the other side does not answer', state);
    case 'intake':
      return stream === undefined || stream.checkIntake(turn) ? state : broken(c, 'resource-constraint');
    case 'idle': {
      if (stream === undefined || state !== 'established') return state;
      const leftMs = stream.lastStanzaAtMs + environment.config.s2s.idleMs - turn.now;
      if (leftMs > 0 || !c.queue.isEmpty) {
        turn.timer('idle', Math.max(leftMs, 1_000));
        return state;
      }
      stream.finish();
      c.drop();
      return goOn(c);
    }
    case 'closing':
      c.turn.stop('closed');
      return state;
    default:
      return state;
  }
}

/** The connection is over, in whatever way. */
function lost(c: Outgoing, reason: string, state: OutgoingState): OutgoingState {
  const { stream, turn, environment } = c;
  if (state !== 'established') {
    // Another place may do better; one that has answered and refused would not.
    if (state === 'connecting' || stream === undefined) return state;
    if (state === 'wait_for_dialback' && c.isExternalRefused && !c.isSecondTry && c.place !== undefined) {
      // It goes no further after a refusal: dialback is tried from the start. XEP-0178 §3 step 12
      c.places.unshift(c.place);
      c.isSecondTry = true;
    }
    c.drop();
    return dialNext(c, reason);
  }
  const sm = stream?.sm;
  const intake = stream?.intake;
  leaveGently(c);
  turn.cancelTimer('ack');
  environment.log.info('s2s_lost', { direction: 'out', remote: c.remote, local: c.local, reason });
  if (sm?.token !== undefined && intake !== undefined) {
    c.resumable = { sm, intake, untilMs: turn.now + environment.config.s2s.resumeMs };
    // With nothing under way there is nothing to resume.
    if (c.queue.isEmpty) c.resumable = undefined;
  } else {
    c.recall();
  }
  c.seekUntilMs = turn.now + (c.resumable === undefined ? SEEK_MS : environment.config.s2s.resumeMs);
  return goOn(c);
}

/** The other side has broken the protocol, or said something that we do not take. */
function broken(c: Outgoing, condition: Parameters<ServerStream['fail']>[0]): OutgoingState {
  const { stream, state } = c;
  c.problem = condition;
  if (stream !== undefined && stream.isHeaderSent) stream.fail(condition);
  c.refusal = new StanzaError('remote-server-timeout', `The stream with that server could not go on: ${condition}`);
  if (state === 'established') return lost(c, condition, state);
  c.places = [];
  return failed(c, c.refusal);
}

/** Its `<stream:error/>`, or something that does not belong there. RFC 6120 §4.9 */
function streamError(c: Outgoing, frame: Frame): OutgoingState {
  const element = frame.ns === NS.streams && frame.name === 'error' ? elementOf(frame) : undefined;
  const error = element === undefined ? undefined : parseStreamError(element);
  if (error === undefined) return broken(c, frame.ns === NS.streams ? 'bad-format' : 'unsupported-stanza-type');
  c.note('stream', false, `${error.condition}${error.text === undefined ? '' : `: ${error.text}`}`);
  const isUnknown = error.condition === 'host-unknown' || error.condition === 'host-gone'; // RFC 6120 §10.4
  c.problem = error.condition;
  c.refusal = refusalFor(isUnknown ? 'remote-server-not-found' : undefined, `That server ended the stream: ${error.condition}`);
  c.stream?.finish();
  return c.state === 'established' ? lost(c, error.condition, 'established') : failed(c, c.refusal);
}

/** We do not want to go on with what is there. */
function given(c: Outgoing, refusal: StanzaError, condition: Parameters<ServerStream['fail']>[0] | undefined): OutgoingState {
  const { stream } = c;
  if (stream !== undefined && !stream.isHeaderSent && stream.link.transport.tls !== undefined) openStream(c);
  if (stream !== undefined && stream.isHeaderSent && condition !== undefined) stream.fail(condition, refusal.text);
  else stream?.finish();
  return failed(c, refusal);
}

/** The attempt has come to nothing. Senders are told, and until the next attempt others are, too: negative caching. */
function failed(c: Outgoing, refusal: StanzaError): OutgoingState {
  const { turn, environment, purpose } = c;
  leaveGently(c);
  turn.cancelTimer('negotiation');
  environment.counters.failures++;
  c.problem = refusal.text ?? refusal.condition;
  c.refusal = refusal;
  c.note('outcome', false, c.problem);
  if (purpose.kind === 'verify')
    return reported(c, refusal.condition === 'remote-server-not-found' ? 'remote-server-not-found' : 'remote-server-timeout');
  if (purpose.kind === 'check') {
    turn.stop('checked');
    return 'closing';
  }
  const { retryMs, retryMaxMs } = environment.config.s2s;
  const waitMs = Math.min(retryMaxMs, retryMs * 2 ** Math.min(c.failures, 20));
  c.failures++;
  environment.log.info('s2s_failed', { remote: c.remote, local: c.local, reason: c.problem, retryMs: waitMs });
  turn.timer('retry', waitMs);
  if (c.seekUntilMs > turn.now + waitMs) return 'connecting';
  c.seekUntilMs = 0;
  c.resumable = undefined;
  c.recall();
  c.refuseAll(refusal);
  return 'down';
}

/** What was said last still leaves. */
function leaveGently(c: Outgoing): void {
  const { stream } = c;
  c.epoch++;
  c.stream = undefined;
  c.places = [];
  c.isAuthenticated = c.offersManagement = false;
  if (stream === undefined) return;
  stream.link.transport.end();
  stream.link.release();
}

/** An operator wants it closed; or the server ends, and what is under way is left to the accounts. */
function close(c: Outgoing, condition: Parameters<ServerStream['fail']>[0], state: OutgoingState): OutgoingState {
  const { stream } = c;
  if (stream !== undefined && stream.isHeaderSent) stream.fail(condition);
  leaveGently(c);
  if (condition === 'system-shutdown') {
    c.turn.stop('shutdown');
    return 'closing';
  }
  c.failures = 0;
  c.resumable = undefined;
  if (state === 'down') c.turn.cancelTimer('retry');
  c.recall();
  return goOn(c);
}

/** All that a check wants to know. */
function checked(c: Outgoing, offersExternal: boolean, offersDialback: boolean): OutgoingState {
  c.note('SASL EXTERNAL', offersExternal, offersExternal ? 'that server believes the certificate of this one' : 'not offered');
  const isAllowed = isDialbackAllowed(c.environment.config, c.remote);
  c.note(
    'dialback',
    offersDialback && isAllowed,
    offersDialback ? (isAllowed ? 'offered' : 'offered, but switched off here') : 'not offered',
  );
  const isGood = offersExternal || (offersDialback && isAllowed);
  c.note('outcome', isGood, isGood ? 'stanzas can be sent there' : 'that server would not accept this one');
  c.stream?.finish();
  leaveGently(c);
  c.turn.stop('checked');
  return 'closing';
}

const closing: Handler = () => 'closing';

function inTurn(handler: Handler) {
  return (c: Outgoing, event: Event, turn: Turn<OutgoingMessage>): OutgoingState => {
    c.turn = turn;
    if (event.kind === 'link_mail') {
      if (event.epoch !== c.epoch) return c.state; // of a connection that is over
      return (c.state = handler(c, event.event));
    }
    if (event.kind === 'timeout' && event.name === 'retry' && c.state === 'connecting') return (c.state = connect(c));
    return (c.state = handler(c, event));
  };
}

/** A crash costs the stanza that caused it and the connection; what waits goes on. */
function recover(
  crash: Crash<OutgoingState, Outgoing, OutgoingMessage>,
  args: OutgoingArgs,
  turn: Turn<OutgoingMessage>,
): { state: OutgoingState; data: Outgoing } {
  const { data: old, event } = crash;
  old.environment.views.delete(old);
  const { stream, writing } = old;
  stream?.link.transport.destroy();
  stream?.link.release();
  if (old.carrier !== undefined) turn.demonitor(old.carrier);
  const c = new Outgoing(args, turn, old.queue);
  c.epoch = old.epoch + 1;
  const poison = writing === undefined ? undefined : c.queue.withdraw(writing);
  c.resumable = crash.state === 'established' ? resumableOf(stream, c) : old.resumable;
  if (c.resumable === undefined) c.recall();
  else c.seekUntilMs = c.resumable.untilMs;
  if (poison !== undefined) c.refuse(poison, new StanzaError('internal-server-error'));
  else if (isStanza(event as never)) c.refuse({ stanza: event as never, position: 0 }, new StanzaError('internal-server-error'));
  c.confirmSoon();
  if (args.purpose.kind === 'deliver') return { state: (c.state = goOn(c)), data: c };
  return { state: (c.state = failed(c, new StanzaError('remote-server-timeout'))), data: c };
}

/** What that stream has sent, if both sides can go on with it: the other one has it already, and must not be told again. XEP-0198 §5 */
function resumableOf(stream: Outgoing['stream'], { queue, turn, environment }: Outgoing): Outgoing['resumable'] {
  const { sm, intake } = stream ?? {};
  if (sm?.token === undefined || intake === undefined || queue.isEmpty) return undefined;
  // Where they differ, the crash came between a stanza and its count.
  if (queue.sent.length !== sm.sent - sm.acked) return undefined;
  return { sm, intake, untilMs: turn.now + environment.config.s2s.resumeMs };
}

export const outboundMachine = defineMachine<OutgoingState, Outgoing, OutgoingMessage, OutgoingArgs>({
  name: 's2s_out',
  initial: 'dormant',
  init(args, turn) {
    return new Outgoing(args, turn, new Queue());
  },
  states: {
    connecting: inTurn(connecting),
    wait_for_stream: inTurn(wait_for_stream),
    wait_for_features: inTurn(wait_for_features),
    wait_for_proceed: inTurn(wait_for_proceed),
    wait_for_tls: inTurn(wait_for_tls),
    wait_for_sasl: inTurn(wait_for_sasl),
    wait_for_dialback: inTurn(wait_for_dialback),
    wait_for_sm: inTurn(wait_for_sm),
    established: inTurn(established),
    carried: inTurn(carried),
    down: inTurn(down),
    dormant: inTurn(dormant),
    closing: inTurn(closing),
  },
  recover,
  terminate(c) {
    c.environment.views.delete(c);
    c.stream?.link.transport.end();
    c.stream?.link.release();
  },
  intensity: { maxRestarts: 10, withinMs: 10_000 },
  describe: (c) => `${c.local} → ${c.remote}`,
});
