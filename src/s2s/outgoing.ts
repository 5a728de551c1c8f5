/** The data of a link to another server: one per pair of domains, whatever becomes of its connections. */
import type { ActorRef, Message, Turn } from '../kernel/actor.ts';
import type { Forwarded } from '../core/messages.ts';
import { isRequest } from '../core/delivery.ts';
import type { CheckNote, LinkStatus } from '../core/links.ts';
import { StanzaError, type Condition } from '../xmpp/stanza-error.ts';
import { errorAnswer, type Stanza } from '../xmpp/stanza.ts';
import { toServerXml } from '../xmpp/server-content.ts';
import {
  BidiStanza,
  type DialPlace,
  type IncomingMessage,
  type OutgoingMessage,
  type S2sEnvironment,
  type S2sView,
} from './environment.ts';
import type { Intake } from './intake.ts';
import { Queue, type Item } from './queue.ts';
import type { Management, ServerStream } from './stream.ts';

export type OutgoingState =
  /** Names are looked up, addresses tried. */
  | 'connecting'
  | 'wait_for_stream'
  | 'wait_for_features'
  /** `<starttls/>` is sent. */
  | 'wait_for_proceed'
  | 'wait_for_tls'
  | 'wait_for_sasl'
  /** The key is sent, or that of somebody else for verification. */
  | 'wait_for_dialback'
  /** `<enable/>` or `<resume/>` is sent. */
  | 'wait_for_sm'
  | 'established'
  /** A stream that the other side has begun carries what this link sends. XEP-0288 */
  | 'carried'
  /** It could not be reached; until it is tried again, stanzas are refused. */
  | 'down'
  /** Nothing to send. */
  | 'dormant'
  | 'closing';

/** What a link is for. */
export type Purpose =
  | { readonly kind: 'deliver' }
  /** Asks whether a key is its own, and ends. XEP-0220 §2.1.2 */
  | { readonly kind: 'verify'; readonly id: string; readonly key: string; readonly asker: ActorRef<IncomingMessage> }
  /** Looks how far a link would come, tells that, and ends. */
  | { readonly kind: 'check'; readonly note: (line: CheckNote) => void };

export interface OutgoingArgs {
  readonly environment: S2sEnvironment;
  readonly local: string;
  readonly remote: string;
  readonly purpose: Purpose;
}

/** Stanzas sent and not known to have arrived; more wait. */
const MAX_SENT = 1_000;
/** Unsent output of the connection; more waits in the queue. */
const MAX_PENDING_BYTES = 256 * 1024;
/** Written stanzas of a stream without stream management count as arrived when they have left this process. Also how long confirmations are gathered. */
export const CONFIRM_MS = 50;

/** A stream that is over and can be resumed. XEP-0198 §5 */
export interface Resumable {
  readonly sm: Management;
  readonly intake: Intake;
  readonly untilMs: number;
}

export class Outgoing implements S2sView {
  readonly environment: S2sEnvironment;
  readonly local: string;
  readonly remote: string;
  readonly purpose: Purpose;
  turn: Turn<OutgoingMessage>;
  state: OutgoingState = 'dormant';
  readonly queue: Queue;
  stream: ServerStream | undefined = undefined;
  /** Which of this actor's links is the one. */
  epoch = 0;
  /** Places that have not been tried. */
  places: DialPlace[] = [];
  /** Attempts in a row that have come to nothing. */
  failures = 0;
  /** What senders are told meanwhile. */
  refusal = new StanzaError('remote-server-timeout');
  problem = '';
  /** It was reached, and the connection was lost: until then it is sought without bothering anybody; 0 where it was not. */
  seekUntilMs = 0;
  /** The place that is tried, and whether it is tried a second time. */
  place: DialPlace | undefined = undefined;
  isSecondTry = false;
  /** Whether SASL EXTERNAL was refused on the way: dialback is tried then. */
  isExternalRefused = false;
  isAuthenticated = false;
  offersManagement = false;
  resumable: Resumable | undefined = undefined;
  /** Of a stream that the other side has begun, and how many stanzas were given to it and have arrived. */
  carrier: ActorRef<IncomingMessage> | undefined = undefined;
  given = 0;
  givenSettled = 0;
  isConfirmDue = false;
  /** What is being written: the one to blame for a crash. */
  writing: Item | undefined = undefined;
  readonly createdAtMs: number;
  private readonly selfRef: S2sView['ref'];

  constructor({ environment, local, remote, purpose }: OutgoingArgs, turn: Turn<OutgoingMessage>, queue: Queue = new Queue()) {
    this.environment = environment;
    this.local = local;
    this.remote = remote;
    this.purpose = purpose;
    this.turn = turn;
    this.queue = queue;
    this.selfRef = turn.self as unknown as S2sView['ref'];
    this.createdAtMs = turn.now;
    environment.views.add(this);
  }

  get ref(): S2sView['ref'] {
    return this.selfRef;
  }

  status(): LinkStatus | undefined {
    if (this.purpose.kind === 'check') return undefined;
    const { stream, local, remote, state, problem, queue, createdAtMs } = this;
    return {
      direction: 'out',
      local,
      remote,
      state: this.purpose.kind === 'verify' ? 'verifying' : state,
      address: stream?.link.transport.remoteAddress ?? '',
      auth: stream?.auth ?? '',
      tls: stream?.link.transport.tls?.version ?? '',
      isBidi: stream?.isBidi ?? this.carrier !== undefined,
      isManaged: stream?.sm !== undefined,
      queued: queue.waiting.length,
      unacked: queue.sent.length,
      stanzasIn: stream?.stanzasIn ?? 0,
      stanzasOut: stream?.stanzasOut ?? 0,
      sinceMs: stream?.openedAtMs ?? createdAtMs,
      problem,
    };
  }

  /** Sends what waits, as far as the other side and the network take it. */
  pump(): void {
    const { queue, stream, carrier, turn } = this;
    if (carrier !== undefined) {
      while (queue.sent.length < MAX_SENT) {
        const item = queue.send();
        if (item === undefined) break;
        turn.send(carrier, new BidiStanza(++this.given, item.stanza, turn.self));
      }
      return;
    }
    if (stream === undefined) return;
    const { link } = stream;
    while (queue.sent.length < MAX_SENT && link.pendingBytes < MAX_PENDING_BYTES) {
      const item = queue.send();
      if (item === undefined) break;
      this.writing = item;
      stream.write(toServerXml(item.stanza));
    }
    this.writing = undefined;
    stream.requestInTime(turn);
    if (stream.sm === undefined && queue.sent.length > 0) this.confirmSoon();
  }

  confirmSoon(): void {
    if (this.isConfirmDue) return;
    this.isConfirmDue = true;
    this.turn.timer('confirm', CONFIRM_MS);
  }

  /** The timer `confirm`. */
  confirm(): void {
    const { queue, stream } = this;
    this.isConfirmDue = false;
    if (stream !== undefined && stream.sm === undefined && this.state === 'established' && queue.sent.length > 0) {
      if (stream.link.pendingBytes === 0) queue.settle(queue.sent.length);
      else this.confirmSoon();
    }
    this.tellSenders();
  }

  /** Accounts are told what they need not say again. */
  tellSenders(): void {
    for (const { sender, by, position } of this.queue.takeUnconfirmed()) {
      const message: Forwarded = { kind: 'forwarded', by, position };
      this.turn.sendTo('account', sender, message);
    }
  }

  /** The first `count` that were sent have arrived. */
  settle(count: number): void {
    if (count === 0) return;
    this.queue.settle(count);
    if (this.queue.hasUnconfirmed) this.confirmSoon();
    this.pump();
  }

  /** Takes what no account waits for; where there is no room, its sender is told. RFC 6120 §8.3.3.18 */
  take(stanza: Stanza): void {
    const { s2s } = this.environment.config;
    if (this.queue.isFull({ stanzas: s2s.queueStanzas, bytes: s2s.queueBytes })) {
      this.refuse({ stanza, position: 0 }, new StanzaError('resource-constraint'));
      return;
    }
    this.queue.add({ stanza, position: 0 });
  }

  /** Takes an account's message, if it is the next one and there is room; if not, the account says it again. */
  owe(stanza: Stanza, position: number, previous: number, atMs: number): boolean {
    const { queue, environment } = this;
    const { s2s } = environment.config;
    switch (queue.admit(stanza, position, previous, atMs)) {
      case 'known':
        queue.confirmAgain(stanza);
        this.confirmSoon();
        return true;
      case 'gap':
        this.turn.sendTo('account', stanza.from.bare, { kind: 'forward_gap', by: stanza.to.bare } as Message);
        return false;
      case 'next':
        if (queue.isFull({ stanzas: s2s.queueStanzas, bytes: s2s.queueBytes })) return false;
        queue.owe(stanza, position, atMs);
        return true;
    }
  }

  /** Returns a stanza to its sender. */
  refuse(item: Item, error: StanzaError): void {
    const { stanza } = item;
    this.environment.counters.refused++;
    if (stanza.mayBeAnsweredWithError) this.environment.router.route(errorAnswer(stanza, error), this.turn);
    this.queue.settled(item);
    if (this.queue.hasUnconfirmed) this.confirmSoon();
  }

  refuseAll(error: StanzaError): void {
    for (const item of this.queue.drain()) this.refuse(item, error);
  }

  /** The connection is over: what was sent and is not known to have arrived goes out again. A request does not: nobody knows whether it was carried out. */
  recall(): void {
    const lost = this.queue.recall(({ stanza }) => !isRequest(stanza));
    for (const item of lost) this.refuse(item, new StanzaError('remote-server-timeout'));
  }

  /** Lets go of the connection. */
  drop(): void {
    this.epoch++;
    const { stream } = this;
    this.stream = undefined;
    this.isAuthenticated = this.offersManagement = false;
    if (stream === undefined) return;
    stream.link.transport.destroy();
    stream.link.release();
  }

  note(what: string, isGood: boolean, text: string): void {
    if (this.purpose.kind === 'check') this.purpose.note({ what, isGood, text });
  }
}

/** What senders are told of a condition that another server has given us. */
export function refusalFor(condition: Condition | undefined, text: string): StanzaError {
  return new StanzaError(condition ?? 'remote-server-timeout', text);
}
