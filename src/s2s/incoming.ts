/** The data of a stream that another server has begun, and what its states do with it. */
import { randomBytes } from 'node:crypto';
import type { LinkStatus } from '../core/links.ts';
import type { Turn } from '../kernel/actor.ts';
import { makeStreamId, responseHeader, STREAM_END, streamErrorXml } from '../stream/header.ts';
import type { Link } from '../stream/link.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { StreamCondition } from '../xmpp/stream-error.ts';
import { pairKey, type BidiStanza, type IncomingMessage, type S2sEnvironment, type S2sView } from './environment.ts';
import { Fifo } from './queue.ts';
import { READ_AHEAD, ServerStream } from './stream.ts';

export type IncomingState =
  | 'wait_for_stream'
  /** Features are out; nothing but negotiation is taken. */
  | 'negotiating'
  /** `<proceed/>` is sent, the TLS handshake is under way. */
  | 'wait_for_tls'
  /** At least one pair of domains is authorised. */
  | 'established'
  /** The connection is lost; the other side may resume the stream on another. */
  | 'detached'
  | 'closing';

export interface IncomingArgs {
  readonly environment: S2sEnvironment;
  readonly open: (turn: Turn<IncomingMessage>) => Link;
}

/** How long the peer may take to close its side after ours. RFC 6120 §4.4 */
const CLOSING_MS = 5_000;
/** Written stanzas of a stream without stream management count as arrived when they have left this process. */
export const CONFIRM_MS = 50;

export class Incoming implements S2sView {
  readonly environment: S2sEnvironment;
  readonly stream: ServerStream;
  turn: Turn<IncomingMessage>;
  state: IncomingState = 'wait_for_stream';
  /** Domains of the stream's header: whom it is for, and who the other side says to be. */
  local: string | undefined = undefined;
  remote: string | undefined = undefined;
  /** Proved by SASL EXTERNAL: the header after it must say the same. */
  proved: { readonly local: string; readonly remote: string } | undefined = undefined;
  /** Dialback keys that are being verified, as `remote local`. */
  readonly verifying = new Set<string>();
  /** Stanzas of ours that went the other way and are not known to have arrived. */
  readonly bidi = new Fifo<Pick<BidiStanza, 'owner' | 'number'>>();
  isConfirmDue = false;
  /** Who wants to go on with this stream, once accounts are done with what came over it. */
  successor: Extract<IncomingMessage, { kind: 'take_over' }> | undefined = undefined;
  /** It has waited long enough for that. */
  isHandOverDue = false;
  /** Of the stream that is to be resumed, while that is asked for. */
  previd: string | undefined = undefined;
  problem = '';

  constructor({ environment, open }: IncomingArgs, turn: Turn<IncomingMessage>, stream?: ServerStream) {
    this.environment = environment;
    this.turn = turn;
    this.stream = stream ?? new ServerStream(environment, open(turn), turn.self);
    environment.views.add(this);
  }

  get ref(): S2sView['ref'] {
    return this.stream.self as unknown as S2sView['ref'];
  }

  status(): LinkStatus | undefined {
    const { stream, local = '', remote = '', state, problem } = this;
    return {
      direction: 'in',
      local,
      remote,
      state,
      address: stream.link.transport.remoteAddress,
      auth: stream.auth ?? '',
      tls: stream.link.transport.tls?.version ?? '',
      isBidi: stream.isBidi,
      isManaged: stream.sm !== undefined,
      queued: 0,
      unacked: this.bidi.length,
      stanzasIn: stream.stanzasIn,
      stanzasOut: stream.stanzasOut,
      sinceMs: stream.openedAtMs,
      problem,
    };
  }

  openStream(): void {
    const { stream, environment } = this;
    stream.id = makeStreamId();
    stream.isHeaderSent = true;
    const from = this.local ?? environment.config.hosts[0]!.domain;
    const header = { contentNs: NS.server, from, to: this.remote, id: stream.id, lang: 'en' };
    stream.link.write(responseHeader({ ...header, hasDialback: environment.config.s2s.isDialback }));
  }

  /** Ends the stream with an error. RFC 6120 §4.9.1 */
  fail(condition: StreamCondition, text?: string): 'closing' {
    if (!this.stream.isHeaderSent) this.openStream(); // §4.9.1.2
    this.problem = text ?? condition;
    this.environment.log.info('s2s_closed', { direction: 'in', remote: this.remote, local: this.local, condition, text });
    this.stream.fail(condition, text);
    return this.closing();
  }

  finish(): 'closing' {
    this.stream.finish();
    return this.closing();
  }

  closing(): 'closing' {
    this.turn.cancelTimer('negotiation');
    this.turn.cancelTimer('idle');
    this.turn.timer('closing', CLOSING_MS);
    return 'closing';
  }

  /** The other side may speak for `remote` to `local` from now on. */
  authorise(remote: string, local: string): void {
    const { stream, environment, turn } = this;
    if (stream.pairs.size === 0) {
      turn.cancelTimer('negotiation');
      if (environment.config.s2s.idleMs > 0) turn.timer('idle', environment.config.s2s.idleMs);
      environment.authenticated(stream.link);
      stream.link.request(READ_AHEAD);
    }
    stream.pairs.add(`${remote} ${local}`);
    environment.log.info('s2s_authorised', { direction: 'in', remote, local, auth: stream.auth, tls: stream.link.transport.tls?.version });
    if (stream.isBidi) turn.sendTo('s2s_out', pairKey(local, remote), { kind: 'bidi_up', carrier: turn.self } as never);
  }

  /** Stanzas that went the other way have arrived. */
  settleBidi(count: number): void {
    let last: Pick<BidiStanza, 'owner' | 'number'> | undefined;
    for (let left = count; left > 0; left--) {
      const entry = this.bidi.shift();
      if (entry === undefined) break;
      if (last !== undefined && last.owner.id !== entry.owner.id) this.tellSettled(last);
      last = entry;
    }
    if (last !== undefined) this.tellSettled(last);
  }

  private tellSettled({ owner, number }: Pick<BidiStanza, 'owner' | 'number'>): void {
    this.turn.send(owner, { kind: 'bidi_settled', carrier: this.turn.self, number });
  }

  /** Last words of an actor that may not be restarted any more. */
  giveUp(): void {
    if (!this.stream.isHeaderSent) this.openStream();
    this.stream.link.write(streamErrorXml('internal-server-error', undefined) + STREAM_END);
    this.stream.link.transport.end();
  }
}

/** 128 random bits. */
export function makeToken(): string {
  return randomBytes(16).toString('base64url');
}
