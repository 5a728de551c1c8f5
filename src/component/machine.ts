/**
 * An external component's connection, as the side that accepts. XEP-0114
 *
 *   wait_for_stream ─► wait_for_handshake ─► wait_for_names ─► established ─► closing
 *
 * Writes to the link leave at once, not with the turn, so each state function writes last.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { defineMachine, type Crash, type Turn } from '../kernel/actor.ts';
import type { ComponentConfig } from '../config/components.ts';
import { makeStreamId, readHeader } from '../stream/header.ts';
import type { LinkEvent } from '../stream/link.ts';
import type { Frame } from '../xml/frame.ts';
import { escapeAttr } from '../xml/serialize.ts';
import { parseJid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { toClientContent, toServerXml } from '../xmpp/server-content.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, readStanza, type Stanza } from '../xmpp/stanza.ts';
import { carryOver, ComponentConnection, type ComponentArgs, type ComponentEvent, type Dialect } from './connection.ts';
import { fromComponent, giveLostBack, giveBack, cameBack, READ_AHEAD, readOn, taken } from './from-component.ts';
import type { BindAnswer, ComponentMessage } from './messages.ts';
import { confirm, drained, forwarded, forwardedAgain, settle, toComponent } from './to-component.ts';

export type ComponentState = 'wait_for_stream' | 'wait_for_handshake' | 'wait_for_names' | 'established' | 'closing';
type Handler = (c: ComponentConnection, event: ComponentEvent) => ComponentState;

const DIALECT: Dialect = {
  protocol: 'component',
  // §3: without a version, which would promise features.
  header: (c) =>
    `<?xml version='1.0'?><stream:stream xmlns='${NS.component}' xmlns:stream='${NS.streams}' from='${escapeAttr(c.domain ?? '')}' id='${(c.streamId = makeStreamId())}'>`,
  wrap: (_c, stanza) => toServerXml(stanza),
};

const wait_for_stream: Handler = (c, event) => {
  if (event.kind !== 'open') return event.kind === 'element' ? c.fail('invalid-xml') : stay(c, event, 'wait_for_stream');
  const header = readHeader(event);
  const to = header.to === undefined ? undefined : parseJid(header.to);
  c.domain = to?.full;
  if (event.ns !== NS.streams || header.contentNs !== NS.component) return c.fail('invalid-namespace'); // §3
  if (to === undefined) return c.fail('improper-addressing');
  if (settingsOf(c) === undefined) return c.fail('host-unknown'); // §3
  c.openStream();
  c.link.request(1);
  return 'wait_for_handshake';
};

const wait_for_handshake: Handler = (c, event) => {
  if (event.kind !== 'element') return stay(c, event, 'wait_for_handshake');
  if (event.ns !== NS.component || event.name !== 'handshake') return c.fail('not-authorized');
  const settings = settingsOf(c);
  if (settings === undefined) return c.fail('host-unknown'); // a reload has taken it out
  if (!isRightHandshake(event, c.streamId, settings.secret)) {
    c.loginFailed(settings.name);
    return c.fail('not-authorized', 'login_attempts'); // §3
  }
  c.name = settings.name;
  const share = settings.multiple === 'balance' ? 'from' : 'none';
  c.askToBind(
    'names',
    [settings.name, ...settings.domains].map((name) => ({ name, share, isDefault: false, isLog: false })),
  );
  return 'wait_for_names';
};

const wait_for_names: Handler = (c, event) => {
  if (event.kind !== 'reply') return stay(c, event, 'wait_for_names');
  if (!event.ok) return c.fail('internal-server-error', 'account_unreachable');
  const settings = settingsOf(c);
  if (settings === undefined || c.name === undefined) return c.fail('host-unknown');
  if ((event.value as BindAnswer) === 'conflict') {
    c.environment.log.warn('component_refused', { name: c.name, from: c.link.transport.remoteAddress, why: 'connected already' });
    c.name = undefined;
    return c.fail('conflict', 'conflict', 'another connection has this name'); // §3, RFC 6120 §4.9.3.3
  }
  for (const name of [settings.name, ...settings.domains]) c.names.add(name);
  c.authenticated(settings.name);
  c.link.write('<handshake/>'); // §3
  readOn(c, READ_AHEAD);
  return 'established';
};

const established: Handler = (c, event) => {
  switch (event.kind) {
    case 'element': {
      if (event.ns !== NS.component || !isStanzaName(event.name)) return c.fail('unsupported-stanza-type');
      const outcome = fromComponent(c, toClientContent(event), ({ domain }) => c.names.has(domain));
      if (outcome !== 'handled') return c.fail(outcome);
      readOn(c, 1);
      return 'established';
    }
    default:
      return ofBound(c, event, 'established');
  }
};

/** What a connection with names does in either protocol. */
export function ofBound<S extends string>(c: ComponentConnection, event: ComponentEvent, state: S): S | 'closing' {
  switch (event.kind) {
    case 'message':
    case 'presence':
    case 'iq':
      return toComponent(c, event) ? state : c.drop('slow_consumer');
    case 'forward':
      forwarded(c, event);
      return state;
    case 'forward_again':
      forwardedAgain(c, event);
      return state;
    case 'remote_taken':
      taken(c, event.number);
      return state;
    case 'drained':
      drained(c);
      return state;
    case 'bounced':
      cameBack(c, event.message, event.reason);
      return state;
    case 'name_lost':
      c.names.delete(event.name);
      return c.fail('conflict', 'conflict', 'another connection had this name first');
    case 'timeout':
      if (event.name === 'confirm') confirm(c);
      else if (event.name === 'lost') giveLostBack(c);
      return state;
    default:
      return stay(c, event, state);
  }
}

/** Events that mean the same in every state. */
export function stay<S extends string>(c: ComponentConnection, event: ComponentEvent, state: S): S | 'closing' {
  switch (event.kind) {
    case 'error':
      return c.fail(event.condition, 'protocol_error', event.text);
    case 'close':
      return c.finish('client_closed');
    case 'open':
      return c.fail('invalid-xml');
    case 'closed':
      if (event.error === undefined) settle(c); // in order: all that was written has left
      c.closeReason ??= 'client_gone';
      c.turn.stop(c.closeReason);
      return 'closing';
    case 'close_stream':
      return c.fail(event.condition, event.reason, event.text);
    case 'slow_consumer':
      return c.drop('slow_consumer');
    case 'timeout':
      return event.name === 'negotiation' ? c.fail('connection-timeout', 'negotiation_timeout') : state;
    default:
      return state;
  }
}

/** Our end tag is sent: the peer's or the end of the connection is awaited. What still comes for it comes again, or goes back. */
export function closing(c: ComponentConnection, event: ComponentEvent): 'closing' {
  if (event.kind === 'closed' && event.error === undefined && c.closeReason !== 'slow_consumer') settle(c);
  if (event.kind === 'closed' || event.kind === 'close' || (event.kind === 'timeout' && event.name === 'closing'))
    c.turn.stop(c.closeReason ?? 'client_gone');
  else if (event.kind === 'message' || event.kind === 'presence' || event.kind === 'iq') {
    const error = event.mayBeAnsweredWithError ? new StanzaError('recipient-unavailable') : undefined;
    if (error !== undefined) returnToSender(c, event, error);
  }
  return 'closing';
}

function returnToSender(c: ComponentConnection, stanza: Stanza, error: StanzaError): void {
  c.environment.router.route(errorAnswer(stanza, error), c.turn);
}

/** §3: SHA-1 of stream id and secret in lower-case hexadecimal; compared in constant time. */
function isRightHandshake({ body, children }: Frame, streamId: string, secret: string): boolean {
  if (children.length > 0) return false;
  const expected = createHash('sha1')
    .update(streamId + secret)
    .digest('hex');
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest(); // of one length, whatever was sent
  return timingSafeEqual(digest(body.trim()), digest(expected));
}

/** The section of the domain that the peer named. */
function settingsOf(c: ComponentConnection): ComponentConfig | undefined {
  const { domain } = c;
  if (domain === undefined) return undefined;
  const { components } = c.environment.config;
  if (Object.hasOwn(components, domain)) return components[domain];
  return Object.values(components).find(({ domains }) => domains.includes(domain));
}

const isStanzaName = (name: string): boolean => name === 'message' || name === 'presence' || name === 'iq';

function inTurn(handler: Handler) {
  return (c: ComponentConnection, event: ComponentEvent, turn: Turn<ComponentMessage | LinkEvent>): ComponentState => {
    c.turn = turn;
    return handler(c, event);
  };
}

/** A crash costs the component the stanza that caused it, not its connection. */
function recover(
  crash: Crash<ComponentState, ComponentConnection, ComponentMessage | LinkEvent>,
  args: ComponentArgs,
  turn: Turn<ComponentMessage | LinkEvent>,
): { state: ComponentState; data: ComponentConnection } {
  const old = crash.data;
  const c = new ComponentConnection(args, DIALECT, old.sinceMs);
  c.turn = turn;
  carryOver(old, c);
  if (crash.state !== 'established') return { state: c.fail('internal-server-error'), data: c };
  const { event } = crash;
  if (event.kind === 'element') {
    const from = parseJid(event.attrs[event.attrs.indexOf('from') + 1] ?? '');
    const stanza = from === undefined ? undefined : readStanza(toClientContent(event), from, from);
    if (stanza !== undefined && stanza.kind !== 'refused') giveBack(c, stanza, new StanzaError('internal-server-error'));
    readOn(c, 1);
  }
  return { state: 'established', data: c };
}

export const componentMachine = defineMachine<ComponentState, ComponentConnection, ComponentMessage | LinkEvent, ComponentArgs>({
  name: 'component',
  initial: 'wait_for_stream',
  init: (args, turn) => begin(new ComponentConnection(args, DIALECT, turn.now), turn),
  states: {
    wait_for_stream: inTurn(wait_for_stream),
    wait_for_handshake: inTurn(wait_for_handshake),
    wait_for_names: inTurn(wait_for_names),
    established: inTurn(established),
    closing: inTurn(closing),
  },
  recover,
  terminate,
  intensity: { maxRestarts: 3, withinMs: 10_000 },
  describe: (c) => c.name ?? c.link.transport.remoteAddress,
});

/** The first turn of a connection. */
export function begin(c: ComponentConnection, turn: Turn<ComponentMessage | LinkEvent>): ComponentConnection {
  c.turn = turn;
  const { environment, link } = c;
  environment.counters.componentsAccepted++;
  environment.connections.add(c);
  turn.timer('negotiation', environment.config.c2s.negotiationMs);
  link.request(1);
  return c;
}

export function terminate(c: ComponentConnection): void {
  const { environment, link } = c;
  environment.connections.delete(c);
  if (c.name !== undefined) environment.log.info('component_disconnected', { name: c.name, why: c.closeReason ?? 'crashed' });
  link.transport.destroy();
  link.release();
}
