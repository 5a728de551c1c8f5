/**
 * The data of a component's connection, whichever protocol it speaks: its stream, the names it has bound, and what is under way
 * in both directions.
 */
import type { ActorRef, KernelEvent, Turn } from '../kernel/actor.ts';
import type { Config } from '../config/config.ts';
import { closeCondition } from '../core/closing.ts';
import type { CoreLog } from '../core/context.ts';
import { Inbox } from '../core/forwarding.ts';
import type { Hosts } from '../core/host.ts';
import type { CloseReason } from '../core/messages.ts';
import type { Router } from '../core/router.ts';
import { STREAM_END, streamErrorXml } from '../stream/header.ts';
import type { Link, LinkEvent } from '../stream/link.ts';
import type { BareJid } from '../xmpp/jid.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { StreamCondition } from '../xmpp/stream-error.ts';
import type { Bindings } from './bindings.ts';
import { DIRECTORY, tellDirectory, type Binding, type BindNames, type ComponentMessage } from './messages.ts';
import { settle } from './to-component.ts';

/** What the component connections of one worker have done so far, read by metrics. */
export class ComponentCounters {
  componentsAccepted = 0;
  componentsAuthenticated = 0;
  /** Wrong secrets and passwords. */
  componentLoginFailures = 0;
  componentStanzasIn = 0;
  componentStanzasOut = 0;
}

/** What all component connections of a worker share. */
export interface ComponentEnvironment {
  /** Changes with a reload: read when needed. */
  config: Config;
  readonly worker: number;
  readonly hosts: Hosts;
  readonly router: Router;
  readonly bindings: Bindings;
  readonly counters: ComponentCounters;
  /** Those that are there now. */
  readonly connections: Set<ComponentConnection>;
  readonly log: CoreLog;
  /** Tells the listener that the connection no longer counts as one before login. */
  readonly onAuthenticated: (link: Link) => void;
  /** Tells the listener that a secret was guessed wrongly. */
  readonly onLoginFailed: (link: Link) => void;
}

export interface ComponentArgs {
  readonly environment: ComponentEnvironment;
  readonly link: Link;
}

export type ComponentEvent = ComponentMessage | LinkEvent | KernelEvent;

/** How long the peer may take to close its side after ours. RFC 6120 §4.4 */
const CLOSING_MS = 5_000;
/** The directory lives on the same worker. */
const BIND_MS = 10_000;

/** How a protocol puts things to its peer. */
export interface Dialect {
  readonly protocol: Binding['protocol'];
  header(c: ComponentConnection): string;
  wrap(c: ComponentConnection, stanza: Stanza): string;
}

export class ComponentConnection {
  readonly environment: ComponentEnvironment;
  readonly link: Link;
  readonly dialect: Dialect;
  turn!: Turn<ComponentMessage | LinkEvent>;
  isHeaderSent = false;
  /** Of our last stream header. */
  streamId = '';
  /** That its stream header names. */
  domain: string | undefined = undefined;
  /** Name of the component's section or of the router's user; undefined before it has authenticated. */
  name: string | undefined = undefined;
  /** What it has bound. */
  readonly names = new Set<string>();
  readonly sinceMs: number;
  stanzasIn = 0;
  stanzasOut = 0;
  /** Messages to accounts that are not written down yet, by number. */
  readonly underWay = new Map<number, Stanza>();
  underWayBytes = 0;
  lastNumber = 0;
  /** Frames that the link may hand over when there is room again. */
  owedDemand = 0;
  /** What came from whom of our accounts, and whom to tell. */
  inbox = new Inbox();
  /** Whose messages wait until what was written before has left, with the addressee. */
  readonly deferred = new Map<string, { readonly sender: BareJid; readonly recipient: BareJid }>();
  isConfirmArmed = false;
  closeReason: CloseReason | undefined = undefined;

  constructor({ environment, link }: ComponentArgs, dialect: Dialect, sinceMs: number) {
    this.environment = environment;
    this.link = link;
    this.dialect = dialect;
    this.sinceMs = sinceMs;
  }

  get isAuthenticated(): boolean {
    return this.name !== undefined;
  }

  openStream(): void {
    this.isHeaderSent = true;
    this.link.write(this.dialect.header(this));
  }

  /** Ends the stream with an error; the header goes first where none was sent. RFC 6120 §4.9.1.2 */
  fail(condition: StreamCondition, reason: CloseReason = 'protocol_error', text?: string): 'closing' {
    if (!this.isHeaderSent) this.openStream();
    this.link.write(streamErrorXml(condition, text));
    return this.finish(reason);
  }

  /** Ends the stream in order: our end tag, then the transport. */
  finish(reason: CloseReason): 'closing' {
    this.link.flush();
    if (this.link.pendingBytes === 0) settle(this);
    if (this.isHeaderSent) this.link.write(STREAM_END);
    this.closeReason ??= reason;
    for (const name of this.names) this.unbind(name);
    this.link.transport.end();
    this.turn.cancelTimer('negotiation');
    this.turn.timer('closing', CLOSING_MS);
    return 'closing';
  }

  closeFor(reason: CloseReason, text?: string): 'closing' {
    return this.fail(closeCondition(reason), reason, text);
  }

  /** It does not read, so it would not read a stream error either. */
  drop(reason: CloseReason): 'closing' {
    this.closeReason ??= reason;
    this.link.transport.destroy();
    this.turn.timer('closing', 0);
    return 'closing';
  }

  /** The answer comes as a reply of that name: BindAnswer. */
  askToBind(reply: string, bindings: readonly Omit<Binding, 'connection' | 'protocol' | 'sinceMs'>[]): void {
    const { turn, environment, dialect } = this;
    const own = { connection: turn.self as ActorRef<ComponentMessage>, protocol: dialect.protocol, sinceMs: turn.now };
    turn.askTo(reply, DIRECTORY, String(environment.worker), BIND_MS, (replyTo): BindNames => ({
      kind: 'bind_names',
      replyTo,
      bindings: bindings.map((binding) => ({ ...binding, ...own })),
    }));
  }

  unbind(name: string): void {
    if (!this.names.delete(name)) return;
    const connection = this.turn.self as ActorRef<ComponentMessage>;
    tellDirectory(this.turn, this.environment.worker, { kind: 'unbind_name', name, connection });
  }

  authenticated(name: string): void {
    this.name = name;
    const { environment, link, turn } = this;
    environment.counters.componentsAuthenticated++;
    environment.onAuthenticated(link);
    link.framer.limits = {
      ...environment.config.stanza.afterLogin,
      maxBytes: wrappedBytes(environment.config),
      maxElements: 2 * environment.config.stanza.afterLogin.maxElements,
    };
    turn.cancelTimer('negotiation');
    environment.log.info('component_connected', { name, protocol: this.dialect.protocol, from: link.transport.remoteAddress });
  }

  loginFailed(name: string): void {
    const { environment, link } = this;
    environment.counters.componentLoginFailures++;
    environment.onLoginFailed(link);
    environment.log.warn('component_refused', { name, from: link.transport.remoteAddress });
  }
}

/** Room for what a client may send in a wrapping of the component's own. */
function wrappedBytes({ stanza }: Config): number {
  return 2 * stanza.afterLogin.maxBytes;
}

/** Carries on after a crash, on the same socket. */
export function carryOver(old: ComponentConnection, c: ComponentConnection): void {
  c.isHeaderSent = old.isHeaderSent;
  c.streamId = old.streamId;
  c.domain = old.domain;
  c.name = old.name;
  for (const name of old.names) c.names.add(name);
  c.stanzasIn = old.stanzasIn;
  c.stanzasOut = old.stanzasOut;
  c.lastNumber = old.lastNumber;
  c.owedDemand = old.owedDemand;
  c.inbox = old.inbox;
  c.environment.connections.delete(old);
  c.environment.connections.add(c);
}
