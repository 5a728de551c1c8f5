/**
 * A stream that another server has begun: who it may speak for is found out first, and until then nothing but that is taken.
 *
 *   wait_for_stream ─► negotiating ─(a pair of domains is authorised)─► established ─► closing
 *          ▲            │   │  ▲                                          │    ▲
 *          │ (restart)  ▼   │  └── dialback: the key is being verified    ▼    │ (resumed elsewhere)
 *          └─ wait_for_tls  └─ SASL EXTERNAL ─► wait_for_stream        detached
 *
 * Writes to the link leave at once, not with the turn, so each state function writes last.
 */
import { defineMachine, type Crash, type KernelEvent, type Turn } from '../kernel/actor.ts';
import { decodeSaslData } from '../sasl/base64.ts';
import { attributeOf, isSupportedVersion, readHeader } from '../stream/header.ts';
import { NS_SM } from '../stream/stream-management.ts';
import type { Frame } from '../xml/frame.ts';
import { elementOf } from '../xml/tree.ts';
import { parseStreamError } from '../xmpp/stream-error.ts';
import { parseJid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, readStanza } from '../xmpp/stanza.ts';
import { toClientContent, toServerXml } from '../xmpp/server-content.ts';
import type { RemoteMessage } from '../core/messages.ts';
import { authoritativeAnswer, dialbackVerified, receiveKey } from './receiving.ts';
import { readDialback } from './dialback.ts';
import { NS_BIDI, inboundFeatures } from './features.ts';
import { CONFIRM_MS, Incoming, type IncomingArgs, type IncomingState } from './incoming.ts';
import type { IncomingMessage } from './environment.ts';
import { detach, enable, handOver, resume, resumeAnswered } from './resumption.ts';
import { isDialbackAllowed, isDomainAllowed, isTlsRequired } from './policy.ts';
import { isStanzaFrame } from './stream.ts';

type Event = IncomingMessage | KernelEvent;
type Handler = (c: Incoming, event: Event) => IncomingState;

/** Entered on connect, after TLS and after SASL. RFC 6120 §4.3.3, §5.4.3.3, §6.4.6 */
const wait_for_stream: Handler = (c, event) => {
  if (event.kind !== 'open') return event.kind === 'element' ? c.fail('invalid-xml') : common(c, event, 'wait_for_stream');
  const { environment, stream } = c;
  const header = readHeader(event);
  if (event.ns !== NS.streams || header.contentNs !== NS.server) return c.fail('invalid-namespace'); // §4.9.3.10
  const from = header.from === undefined ? undefined : parseJid(header.from);
  if (header.from !== undefined && from?.isDomain !== true) return c.fail('invalid-from'); // §4.9.3.9
  const to = header.to === undefined ? undefined : parseJid(header.to);
  if (to === undefined) return c.fail('improper-addressing'); // §4.9.3.7
  if (!environment.router.serves(to.full)) return c.fail('host-unknown'); // §4.9.3.6
  c.local = to.domain;
  if (from !== undefined && environment.router.serves(from.domain)) return c.fail('invalid-from'); // nobody else speaks for us
  c.remote = from?.domain;
  const { proved } = c;
  if (proved !== undefined && (c.remote !== proved.remote || c.local !== proved.local)) return c.fail('invalid-from'); // not who it was
  if (from !== undefined && !isDomainAllowed(environment.config, from.domain)) return c.fail('policy-violation', 'not with this domain');
  if (!isSupportedVersion(header.version)) return c.fail('unsupported-version'); // §4.9.3.25
  if (stream.isSecure && proved === undefined && !isDialbackAllowed(environment.config, c.remote ?? '')) {
    const verdict = environment.trust.judge(stream.link.transport.tls, c.remote ?? '');
    // XEP-0178 §3 step 8: nothing else could show who it is.
    if (!verdict.isValid) return c.fail('not-authorized', `the certificate does not show who you are: ${verdict.reason}`);
  }
  c.openStream();
  stream.link.write(inboundFeatures(c));
  if (proved === undefined) {
    stream.link.request(1);
    return 'negotiating';
  }
  c.authorise(proved.remote, proved.local);
  return 'established';
};

const negotiating: Handler = (c, event) => {
  if (event.kind === 'verified') return dialbackVerified(c, event) ?? 'negotiating';
  if (event.kind !== 'element') return common(c, event, 'negotiating');
  const { name, ns } = event;
  if (ns === NS.tls && name === 'starttls') return startTls(c);
  if (ns === NS.sasl) return name === 'auth' ? authenticate(c, event) : c.fail('unsupported-stanza-type');
  if (ns === NS.dialback) return dialback(c, event, 'negotiating');
  if (ns === NS_BIDI && name === 'bidi') {
    c.stream.isBidi = c.environment.config.s2s.isBidi && isAsSecureAsNeeded(c); // XEP-0288 §2.1: after TLS
    return next(c, 'negotiating');
  }
  if (ns === NS.streams && name === 'error') return streamError(c, event);
  // Who has not shown who it is may send nothing but negotiation. RFC 6120 §4.9.3.12
  return c.fail(isStanzaFrame(event) ? 'not-authorized' : 'unsupported-stanza-type');
};

const established: Handler = (c, event) => {
  switch (event.kind) {
    case 'element':
      return fromServer(c, event);
    case 'remote_taken':
      c.stream.taken(event);
      break;
    case 'bidi_stanza':
      return toServer(c, event);
    case 'verified':
      return dialbackVerified(c, event) ?? 'established';
    case 'reply':
      return resumeAnswered(c, event);
    default:
      return common(c, event, 'established');
  }
  return 'established';
};

/** The other side says why it ends the stream: ours is closed in order. RFC 6120 §4.9.1.1 */
function streamError(c: Incoming, frame: Frame): IncomingState {
  const element = elementOf(frame);
  const error = element === undefined ? undefined : parseStreamError(element);
  if (error === undefined) return c.fail('bad-format');
  const { condition, text } = error;
  c.problem = text ?? condition;
  c.environment.log.info('s2s_ended', { direction: 'in', remote: c.remote, local: c.local, condition, text });
  return c.finish();
}

function fromServer(c: Incoming, frame: Frame): IncomingState {
  const { stream } = c;
  if (isStanzaFrame(frame)) {
    const taken = stream.take(frame, c.turn);
    return taken === 'ok' ? 'established' : c.fail(taken.condition, taken.text);
  }
  if (frame.ns === NS.dialback) return dialback(c, frame, 'established');
  if (frame.ns === NS.streams && frame.name === 'error') return streamError(c, frame);
  if (frame.ns !== NS_SM) return c.fail('unsupported-stanza-type'); // RFC 6120 §4.9.3.24
  if (frame.name === 'enable') return next(c, enable(c, frame));
  if (frame.name === 'resume') return next(c, resume(c, frame));
  const arrived = stream.manage(frame);
  if (typeof arrived !== 'number') return c.fail(arrived.condition, arrived.text);
  c.settleBidi(arrived);
  return next(c, 'established');
}

/** A stanza of ours on a stream that goes both ways. XEP-0288 */
function toServer(c: Incoming, event: Extract<IncomingMessage, { kind: 'bidi_stanza' }>): IncomingState {
  const { stream } = c;
  const { stanza, owner, number } = event;
  if (!stream.pairs.has(`${stanza.to.domain} ${stanza.from.domain}`))
    throw new Error('a stanza for a stream that is not authorised for it');
  c.bidi.push({ owner, number });
  if (stream.sm === undefined && !c.isConfirmDue) {
    c.isConfirmDue = true;
    c.turn.timer('confirm', CONFIRM_MS);
  }
  stream.write(toServerXml(stanza));
  stream.requestInTime(c.turn);
  return 'established';
}

const wait_for_tls: Handler = (c, event) => {
  if (event.kind !== 'secure') return common(c, event, 'wait_for_tls');
  return next(c, 'wait_for_stream');
};

/** RFC 6120 §5.4.2, §5.4.3 */
function startTls(c: Incoming): IncomingState {
  const { link } = c.stream;
  if (c.stream.isSecure) {
    link.write(`<failure xmlns='${NS.tls}'/>`); // §5.4.2.2
    return c.finish();
  }
  // What was sent in the clear behind <starttls/> would be taken for protected (CVE-2011-0411).
  if (link.hasMore()) return c.fail('policy-violation', 'nothing may follow starttls before the handshake');
  link.write(`<proceed xmlns='${NS.tls}'/>`);
  link.transport.flush();
  link.restart();
  c.stream.isHeaderSent = c.stream.isBidi = false;
  c.local = c.remote = undefined; // §5.4.3.3: all that was said before is forgotten
  c.verifying.clear();
  link.transport.startTls();
  return 'wait_for_tls';
}

/** XEP-0178 §3 */
function authenticate(c: Incoming, frame: Frame): IncomingState {
  const { stream, environment, local, remote } = c;
  const failed = (condition: string): IncomingState => {
    stream.link.write(`<failure xmlns='${NS.sasl}'><${condition}/></failure>`);
    return next(c, 'negotiating'); // dialback may follow: step 12
  };
  if (!stream.isSecure) return failed('encryption-required'); // RFC 6120 §6.5.4
  if (attributeOf(frame, 'mechanism') !== 'EXTERNAL') return failed('invalid-mechanism'); // §6.5.7
  const data = decodeSaslData(frame.body);
  if (data === undefined) return failed('incorrect-encoding'); // §6.5.5
  const authzid = data.toString('utf8');
  if (remote === undefined || (authzid !== '' && parseJid(authzid)?.full !== remote)) return failed('invalid-authzid'); // §6.5.6
  const verdict = environment.trust.judge(stream.link.transport.tls, remote);
  if (!verdict.isValid) {
    environment.log.warn('s2s_certificate_refused', { remote, address: stream.link.transport.remoteAddress, reason: verdict.reason });
    return failed('not-authorized');
  }
  if (stream.link.hasMore()) return c.fail('policy-violation', 'nothing may follow auth before its outcome');
  c.proved = { local: local!, remote };
  stream.auth = 'external';
  environment.counters.inExternal++;
  stream.link.write(`<success xmlns='${NS.sasl}'/>`);
  stream.link.restart();
  stream.isHeaderSent = false;
  return next(c, 'wait_for_stream');
}

/** XEP-0220 §2.2. What has a type answers a question, and none is asked on a stream that others have begun. §3.1 */
function dialback(c: Incoming, frame: Frame, state: 'negotiating' | 'established'): IncomingState {
  const element = readDialback(frame);
  if (element === undefined) return c.fail('bad-format');
  if (element.type !== undefined) {
    c.environment.counters.spoofs++;
    c.environment.log.warn('s2s_unsolicited_dialback', { from: element.from, address: c.stream.link.transport.remoteAddress });
    return c.fail('policy-violation', 'an answer to nothing that was asked');
  }
  if (element.name === 'verify') c.stream.link.write(authoritativeAnswer(c, element));
  else if (receiveKey(c, element)) return next(c, 'established');
  return next(c, state);
}

function isAsSecureAsNeeded(c: Incoming): boolean {
  return c.stream.isSecure || !isTlsRequired(c.environment.config, c.remote ?? '');
}

function next<S extends IncomingState>(c: Incoming, state: S): S {
  if (state !== 'closing') c.stream.link.request(1);
  return state;
}

/** Events that mean the same in every state with a connection. */
function common(c: Incoming, event: Event, state: IncomingState): IncomingState {
  const { stream, turn, environment } = c;
  switch (event.kind) {
    case 'error':
      return c.fail(event.condition, event.text);
    case 'open':
      return c.fail('invalid-xml');
    case 'close':
      return c.finish();
    case 'closed':
      return state === 'established' && stream.sm?.token !== undefined ? detach(c) : gone(c, event.error);
    case 'slow_consumer':
      stream.link.transport.destroy();
      return state;
    case 'close_link':
      return c.fail(event.condition);
    case 'worker_lost':
      return stream.intake.outstanding > 0 ? intakeLost(c) : state;
    case 'take_over':
      return handOver(c, event, state);
    case 'remote_taken':
      stream.taken(event);
      return state;
    case 'bounced':
      return event.reason === 'worker_down' && event.message.kind === 'remote_message' ? intakeLost(c) : bounced(c, event, state);
    case 'timeout':
      break;
    default:
      return state;
  }
  switch (event.name) {
    case 'negotiation':
      return c.fail('connection-timeout');
    case 'idle': {
      const leftMs = stream.lastStanzaAtMs + environment.config.s2s.idleMs - turn.now;
      if (leftMs <= 0) return c.fail('connection-timeout', 'no stanza for long');
      turn.timer('idle', leftMs);
      return state;
    }
    case 'intake':
      return stream.checkIntake(turn) ? state : c.fail('resource-constraint', 'too busy');
    case 'ack':
      return stream.checkAck(turn) ? state : c.fail('connection-timeout');
    case 'request_ack':
      stream.requestNow(turn);
      return state;
    case 'confirm':
      c.isConfirmDue = stream.link.transport.pendingBytes > 0;
      if (c.isConfirmDue) turn.timer('confirm', CONFIRM_MS);
      else if (stream.sm === undefined) c.settleBidi(c.bidi.length);
      return state;
    default:
      return state;
  }
}

function gone(c: Incoming, error: string | undefined): IncomingState {
  c.problem = error ?? '';
  c.turn.stop('gone');
  return 'closing';
}

/** RFC 6120 §8.3.3.18: its sender may try again. */
/** What went down with a worker the other side says again, in order, on another stream: it was not acknowledged. XEP-0198 §5 */
function intakeLost(c: Incoming): IncomingState {
  return c.fail('internal-server-error', 'a part of this server was restarted');
}

function bounced(c: Incoming, { message, reason }: Extract<KernelEvent, { kind: 'bounced' }>, state: IncomingState): IncomingState {
  if (message.kind !== 'remote_message') return state;
  const condition = reason === 'no_actor' ? 'service-unavailable' : 'resource-constraint';
  c.stream.bounced(message as RemoteMessage, new StanzaError(condition), c.turn);
  return state;
}

/** The connection is gone; what accounts are still about to take is counted, for whoever resumes. */
const detached: Handler = (c, event) => {
  switch (event.kind) {
    case 'remote_taken':
      c.stream.intake.done(event.number);
      return handOver(c, undefined, 'detached');
    case 'take_over':
      return handOver(c, event, 'detached');
    case 'bounced':
      return handOver(c, undefined, bounced(c, event, 'detached'));
    case 'close_link':
      return gone(c, undefined);
    case 'worker_lost': // whoever comes back is told to say all again
      return c.stream.intake.outstanding > 0 ? gone(c, undefined) : 'detached';
    case 'timeout':
      if (event.name === 'expire') return gone(c, undefined);
      if (event.name === 'hand_over') c.isHandOverDue = true;
      return handOver(c, undefined, 'detached');
    default:
      return 'detached';
  }
};

const closing: Handler = (c, event) => {
  if (event.kind === 'closed' || (event.kind === 'timeout' && event.name === 'closing')) c.turn.stop('closed');
  else if (event.kind === 'take_over') c.turn.reply(event.replyTo, undefined);
  return 'closing';
};

function inTurn(handler: Handler) {
  return (c: Incoming, event: Event, turn: Turn<IncomingMessage>): IncomingState => {
    c.turn = turn;
    return (c.state = handler(c, event));
  };
}

/** A crash costs the stanza that caused it, not the stream: its sender is told. */
function recover(
  crash: Crash<IncomingState, Incoming, IncomingMessage>,
  args: IncomingArgs,
  turn: Turn<IncomingMessage>,
): { state: IncomingState; data: Incoming } {
  const { data: old, event } = crash;
  old.environment.views.delete(old);
  const c = new Incoming(args, turn, old.stream);
  c.local = old.local;
  c.remote = old.remote;
  c.proved = old.proved;
  if (crash.state !== 'established') return { state: (c.state = c.fail('internal-server-error')), data: c };
  const { stream, environment } = c;
  if (event.kind === 'element' && isStanzaFrame(event)) {
    stream.intake.done(stream.intake.count);
    const from = parseJid(attributeOf(event, 'from') ?? '');
    const to = parseJid(attributeOf(event, 'to') ?? '');
    const stanza = from && to && readStanza(toClientContent(event), from, to);
    if (stanza !== undefined && stanza.kind !== 'refused' && stanza.mayBeAnsweredWithError)
      environment.router.route(errorAnswer(stanza, new StanzaError('internal-server-error')), turn);
  }
  if (environment.config.s2s.idleMs > 0) turn.timer('idle', environment.config.s2s.idleMs);
  if (stream.isBidi) for (const pair of stream.pairs) takeBackBidi(c, pair);
  stream.link.request(1);
  return { state: (c.state = 'established'), data: c };
}

/** What it had to send is said again by the link that has it. */
function takeBackBidi(c: Incoming, pair: string): void {
  const [remote, local] = pair.split(' ') as [string, string];
  c.turn.sendTo('s2s_out', `${local} ${remote}`, { kind: 'bidi_up', carrier: c.turn.self } as never);
}

export const inboundMachine = defineMachine<IncomingState, Incoming, IncomingMessage, IncomingArgs>({
  name: 's2s_in',
  initial: 'wait_for_stream',
  init(args, turn) {
    const c = new Incoming(args, turn);
    turn.timer('negotiation', args.environment.config.s2s.negotiationMs);
    c.stream.link.request(1);
    return c;
  },
  states: {
    wait_for_stream: inTurn(wait_for_stream),
    negotiating: inTurn(negotiating),
    wait_for_tls: inTurn(wait_for_tls),
    established: inTurn(established),
    detached: inTurn(detached),
    closing: inTurn(closing),
  },
  recover,
  terminate(c, _state, reason) {
    c.environment.views.delete(c);
    if (reason.kind === 'crash') c.giveUp();
    else c.stream.link.transport.destroy();
    c.stream.link.release();
  },
  intensity: { maxRestarts: 3, withinMs: 10_000 },
  describe: (c) => `${c.remote ?? c.stream.link.transport.remoteAddress} → ${c.local ?? '?'}`,
});
