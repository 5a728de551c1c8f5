/**
 * A component of jabberd2, which takes us for its router.
 *
 *   wait_for_stream ─► wait_for_auth ─► wait_for_response ─► wait_for_stream (again) ─► established ─► closing
 *
 * Between the components of a router we carry whatever they say; what is for a virtual host is taken out of its packet and goes the way
 * of all stanzas, and what is for one of theirs is put into one.
 */
import { randomBytes } from 'node:crypto';
import { defineMachine, type Crash, type Turn } from '../../kernel/actor.ts';
import type { RouterUserConfig } from '../../config/components.ts';
import { decodeSaslData, encodeSaslData } from '../../sasl/base64.ts';
import { digestChallenge, readDigestResponse, type DigestOffer } from '../../sasl/digest-md5.ts';
import { attributeOf, isSupportedVersion, makeStreamId, readHeader } from '../../stream/header.ts';
import type { LinkEvent } from '../../stream/link.ts';
import type { Frame } from '../../xml/frame.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { carryOver, ComponentConnection, type ComponentArgs, type ComponentEvent, type Dialect } from '../connection.ts';
import { READ_AHEAD, readOn } from '../from-component.ts';
import { begin, closing, ofBound, stay, terminate } from '../machine.ts';
import type { BindAnswer, ComponentMessage } from '../messages.ts';
import { bindAnswer, nameXml, NS_ROUTER, packetXml, readBind, throttleXml, unbindAnswer, wrapped, type BindRequest } from './packets.ts';
import { namesThere, refusalOf, routePacket } from './routing.ts';

export type RouterState = 'wait_for_stream' | 'wait_for_auth' | 'wait_for_response' | 'established' | 'closing';
type Handler = (c: RouterLink, event: ComponentEvent) => RouterState;

/** jabberd2's own. */
const REALM = 'jabberd-router';
const SERVICE = 'jabberd-router';
/** Failed logins after which the connection ends. */
const MAX_FAILURES = 3;
/** Whether what was sent before has left, for those that asked. */
const THROTTLE_MS = 50;

const DIALECT: Dialect = {
  protocol: 'router',
  header: (c) => `<?xml version='1.0'?><stream:stream xmlns:stream='${NS.streams}' version='1.0' id='${(c.streamId = makeStreamId())}'>`,
  wrap: (_c, stanza) => wrapped(stanza),
};

export class RouterLink extends ComponentConnection {
  offer: DigestOffer | undefined = undefined;
  failures = 0;
  /** Binds that the directory has not answered yet, by the name of the question. */
  readonly binds = new Map<string, BindRequest & { readonly name: string }>();
  private nextBind = 1;
  /** Answers that wait until what was written before them has left. */
  throttles: string[] = [];

  constructor(args: ComponentArgs, sinceMs: number) {
    super(args, DIALECT, sinceMs);
  }

  get user(): RouterUserConfig | undefined {
    return this.name === undefined ? undefined : this.userNamed(this.name);
  }

  userNamed(name: string): RouterUserConfig | undefined {
    const { routerUsers } = this.environment.config;
    return Object.hasOwn(routerUsers, name) ? routerUsers[name] : undefined;
  }

  startBind(request: BindRequest & { readonly name: string }): void {
    const reply = `bind:${this.nextBind++}`;
    this.binds.set(reply, request);
    const { name, multi, isDefault, isLog } = request;
    this.askToBind(reply, [{ name, share: multi ?? 'none', isDefault, isLog }]);
  }
}

const wait_for_stream: Handler = (c, event) => {
  if (event.kind !== 'open') return event.kind === 'element' ? c.fail('invalid-xml') : stay(c, event, 'wait_for_stream');
  const header = readHeader(event);
  if (event.ns !== NS.streams) return c.fail('invalid-namespace');
  if (!isSupportedVersion(header.version)) return c.fail('unsupported-version');
  c.openStream();
  if (c.isAuthenticated) {
    c.link.write('<stream:features/>');
    readOn(c, READ_AHEAD);
    return 'established';
  }
  c.link.write(`<stream:features><mechanisms xmlns='${NS.sasl}'><mechanism>DIGEST-MD5</mechanism></mechanisms></stream:features>`);
  c.link.request(1);
  return 'wait_for_auth';
};

const wait_for_auth: Handler = (c, event) => {
  if (event.kind !== 'element') return stay(c, event, 'wait_for_auth');
  if (event.ns !== NS.sasl || event.name !== 'auth') return c.fail('not-authorized');
  if (attributeOf(event, 'mechanism') !== 'DIGEST-MD5') return refused(c, 'invalid-mechanism'); // RFC 6120 §6.5.7
  c.offer = { realm: REALM, nonce: randomBytes(18).toString('base64') };
  c.link.write(`<challenge xmlns='${NS.sasl}'>${encodeSaslData(Buffer.from(digestChallenge(c.offer)))}</challenge>`);
  c.link.request(1);
  return 'wait_for_response';
};

const wait_for_response: Handler = (c, event) => {
  if (event.kind !== 'element') return stay(c, event, 'wait_for_response');
  if (event.ns !== NS.sasl) return c.fail('not-authorized');
  if (event.name === 'abort') return refused(c, 'aborted');
  const data = event.name === 'response' ? decodeSaslData(event.body) : undefined;
  const { offer } = c;
  c.offer = undefined;
  if (data === undefined || offer === undefined) return refused(c, 'incorrect-encoding');
  const response = readDigestResponse(data.toString('utf8'), offer, SERVICE);
  if (response === undefined) return refused(c, 'malformed-request');
  const rspauth = response.verify(c.userNamed(response.username)?.secret);
  if (rspauth === undefined) {
    c.loginFailed(response.username);
    return refused(c, 'not-authorized');
  }
  if (c.link.hasMore()) return c.fail('policy-violation', 'protocol_error', 'nothing may be sent before the answer to the login');
  c.authenticated(response.username);
  c.link.write(`<success xmlns='${NS.sasl}'>${encodeSaslData(Buffer.from(rspauth))}</success>`);
  c.link.restart();
  c.isHeaderSent = false;
  c.link.request(1);
  return 'wait_for_stream';
};

function refused(c: RouterLink, condition: string): RouterState {
  c.link.write(`<failure xmlns='${NS.sasl}'><${condition}/></failure>`);
  if (++c.failures >= MAX_FAILURES) return c.closeFor('login_attempts');
  c.link.request(1);
  return 'wait_for_auth';
}

const established: Handler = (c, event) => {
  switch (event.kind) {
    case 'element':
      packet(c, event);
      readOn(c, 1);
      return 'established';
    case 'route_packet':
      c.link.write(packetXml(event));
      c.stanzasOut++;
      c.environment.counters.componentStanzasOut++;
      return c.link.isOverfull ? c.drop('slow_consumer') : 'established';
    case 'name_news':
      if (!c.names.has(event.name)) c.link.write(nameXml(event.name, event.isThere));
      return 'established';
    case 'reply':
      bound(c, event.name, event.ok ? (event.value as BindAnswer) : 'conflict');
      return 'established';
    case 'timeout':
      if (event.name !== 'throttle') return ofBound(c, event, 'established');
      answerThrottles(c);
      return 'established';
    default:
      return ofBound(c, event, 'established');
  }
};

function packet(c: RouterLink, frame: Frame): void {
  if (frame.ns !== NS_ROUTER) return; // jabberd2's router takes no notice, either
  switch (frame.name) {
    case 'bind':
      bind(c, frame);
      break;
    case 'unbind': {
      const name = attributeOf(frame, 'name');
      const isThere = name !== undefined && c.names.has(name);
      if (isThere) c.unbind(name);
      c.link.write(unbindAnswer(name === undefined ? '400' : isThere ? undefined : '404'));
      break;
    }
    case 'route':
      routePacket(c, frame);
      break;
    case 'throttle':
      c.throttles.push(throttleXml(frame));
      answerThrottles(c);
      break;
    default:
  }
}

function bind(c: RouterLink, frame: Frame): void {
  const request = readBind(frame);
  const refusal = refusalOf(c, request);
  if (refusal !== undefined || request.name === undefined) {
    c.environment.log.warn('router_bind_refused', { user: c.name, name: request.name, error: refusal });
    c.link.write(bindAnswer(request, refusal));
    return;
  }
  c.startBind({ ...request, name: request.name });
}

function bound(c: RouterLink, reply: string, answer: BindAnswer): void {
  const request = c.binds.get(reply);
  if (request === undefined) return;
  c.binds.delete(reply);
  if (answer === 'conflict') {
    c.link.write(bindAnswer(request, '409'));
    return;
  }
  c.names.add(request.name);
  c.link.write(
    bindAnswer(request) +
      namesThere(c)
        .map((name) => nameXml(name, true))
        .join(''),
  );
}

function answerThrottles(c: RouterLink): void {
  if (c.throttles.length === 0) return;
  if (c.link.pendingBytes > 0) {
    c.turn.timer('throttle', THROTTLE_MS);
    return;
  }
  for (const xml of c.throttles.splice(0)) c.link.write(xml);
}

function inTurn(handler: Handler) {
  return (c: RouterLink, event: ComponentEvent, turn: Turn<ComponentMessage | LinkEvent>): RouterState => {
    c.turn = turn;
    return handler(c, event);
  };
}

function recover(
  crash: Crash<RouterState, RouterLink, ComponentMessage | LinkEvent>,
  args: ComponentArgs,
  turn: Turn<ComponentMessage | LinkEvent>,
): { state: RouterState; data: RouterLink } {
  const old = crash.data;
  const c = new RouterLink(args, old.sinceMs);
  c.turn = turn;
  carryOver(old, c);
  if (crash.state !== 'established') return { state: c.fail('internal-server-error'), data: c };
  if (crash.event.kind === 'element') readOn(c, 1);
  return { state: 'established', data: c };
}

export const routerLinkMachine = defineMachine<RouterState, RouterLink, ComponentMessage | LinkEvent, ComponentArgs>({
  name: 'router_link',
  initial: 'wait_for_stream',
  init(args, turn) {
    const c = new RouterLink(args, turn.now);
    begin(c, turn);
    return c;
  },
  states: {
    wait_for_stream: inTurn(wait_for_stream),
    wait_for_auth: inTurn(wait_for_auth),
    wait_for_response: inTurn(wait_for_response),
    established: inTurn(established),
    closing: inTurn(closing),
  },
  recover,
  terminate,
  intensity: { maxRestarts: 3, withinMs: 10_000 },
  describe: (c) => c.name ?? c.link.transport.remoteAddress,
});
