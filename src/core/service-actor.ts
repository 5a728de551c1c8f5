/**
 * The actor of one entity of a service: loaded from its partition when something comes for it, unloaded when nothing has for a
 * while. As with accounts, what a turn changes is durable before anything the turn says leaves.
 *
 *   loading ──► serving ──► (idle: stops)
 */
import { defineMachine, type Crash, type KernelEvent, type Turn } from '../kernel/actor.ts';
import { Batch, type Key, type Table } from '../store/store.ts';
import type { BareJid, Jid } from '../xmpp/jid.ts';
import { StanzaError, type Condition } from '../xmpp/stanza-error.ts';
import { errorAnswer, type Stanza } from '../xmpp/stanza.ts';
import { isRequest } from './delivery.ts';
import type { Host } from './host.ts';
import { answerStanza } from './iq.ts';
import { IqRequest, type IqAnswer } from './module.ts';
import type { Router } from './router.ts';
import type { ServiceContext, ServiceDomain, ServiceSpec } from './service.ts';

/** How long an entity nobody says anything to stays in memory. */
const IDLE_MS = 60_000;
/** Requests and other work under way. Overflow: refused, to be tried again later. */
const MAX_WAITING = 1_024;
const LOAD = 'load';

export interface ServiceArgs {
  readonly environment: {
    readonly router: Router;
    readonly serviceOf: (domain: string) => ServiceDomain | undefined;
    readonly jidOf: (text: string) => Jid;
  };
  /** The entity's bare JID. */
  readonly key: string;
}

type State = 'loading' | 'serving';
type Continuation = (context: ServiceContext, value: unknown) => void;

class ServiceData implements ServiceContext {
  readonly jid: Jid;
  readonly bare: BareJid;
  readonly host: Host;
  readonly service: ServiceSpec;
  readonly router: Router;
  state: unknown = undefined;
  turn!: Turn<Stanza>;
  /** The request this turn handles, those whose handlers have not answered, and those whose answers wait for the store. */
  current: Stanza | undefined = undefined;
  readonly waiting = new Set<Stanza>();
  readonly held = new Set<Stanza>();
  private readonly continuations = new Map<string, Continuation>();
  private batch: Batch | undefined = undefined;
  private nextTask = 1;

  constructor({ environment, key }: ServiceArgs) {
    this.jid = environment.jidOf(key);
    this.bare = this.jid.bare;
    const found = environment.serviceOf(this.jid.domain);
    if (found === undefined) throw new Error(`no service at ${key}`);
    this.host = found.host;
    this.service = found.spec;
    this.router = environment.router;
  }

  get now(): number {
    return this.turn.now;
  }

  get isBusy(): boolean {
    return this.continuations.size > 0;
  }

  load(): void {
    this.turn.task(LOAD, this.service.load(this.host.services.store, this.bare, this.host));
  }

  put<V>(table: Table<V>, key: Key, value: V): void {
    (this.batch ??= new Batch(this.bare)).put(table, key, value);
  }

  delete<V>(table: Table<V>, key: Key): void {
    (this.batch ??= new Batch(this.bare)).delete(table, key);
  }

  route(stanza: Stanza): void {
    const error = this.router.route(stanza, this.turn);
    // Its own stanza has nobody to return to: it is the sender.
    if (error !== undefined) this.host.services.log.debug('unroutable', { to: stanza.to.domain, condition: error.condition });
  }

  later<T>(work: Promise<T>, then: (context: ServiceContext, value: T) => void): void {
    const name = `continue:${this.nextTask++}`;
    this.continuations.set(name, then as Continuation);
    this.turn.task(name, work);
  }

  /** @throws what the work failed with. */
  resume(event: Extract<KernelEvent, { kind: 'task' }>): void {
    const then = this.continuations.get(event.name);
    this.continuations.delete(event.name);
    if (then === undefined) return;
    if (!event.ok) throw event.error;
    then(this, event.value);
  }

  receive(stanza: Stanza): void {
    if (!isRequest(stanza)) {
      const error = this.service.receive?.(stanza, this);
      const refusal =
        error ?? (stanza.kind === 'message' && this.service.receive === undefined ? new StanzaError('service-unavailable') : undefined);
      if (refusal !== undefined && stanza.mayBeAnsweredWithError) this.route(errorAnswer(stanza, refusal));
      return;
    }
    this.current = stanza;
    const answer =
      this.waiting.size >= MAX_WAITING || this.continuations.size >= MAX_WAITING
        ? new StanzaError('resource-constraint')
        : this.ask(stanza);
    if (!(answer instanceof Promise)) {
      this.answer(stanza, answer);
      return;
    }
    this.waiting.add(stanza);
    const settled = answer.catch((error: unknown) => {
      const text = error instanceof Error ? error.stack : String(error);
      this.host.services.log.error('iq_handler_failed', { payload: stanza.children[0]?.ns, error: text });
      return new StanzaError('internal-server-error');
    });
    this.later(settled, (_context, value) => {
      this.waiting.delete(stanza);
      this.answer(stanza, value);
    });
  }

  private ask(stanza: Stanza): IqAnswer | Promise<IqAnswer> {
    const head = stanza.children[0]!;
    const own = this.service.iq.find(({ type, payload: [name, ns] }) => type === stanza.type && name === head.name && ns === head.ns);
    const handler = own ?? this.host.handler('service', stanza.type, head.name, head.ns);
    return handler === undefined ? new StanzaError('service-unavailable') : handler.run(new IqRequest(stanza, undefined), this); // RFC 6120 §8.4
  }

  private answer(request: Stanza, answer: IqAnswer): void {
    const stanza = answerStanza(request, answer);
    if (stanza !== undefined) this.route(stanza);
  }

  /** Writes the turn's changes and keeps what it says until they are durable. */
  finish(): void {
    const { batch, current } = this;
    this.batch = this.current = undefined;
    if (!this.isBusy) this.turn.timer('idle', IDLE_MS);
    else this.turn.cancelTimer('idle');
    if (batch === undefined) return;
    const commit = this.host.services.store.commit(batch);
    this.turn.hold(commit);
    if (current === undefined) return;
    this.held.add(current);
    commit.onSettled(() => {
      if (commit.error === undefined) this.held.delete(current);
    });
  }
}

function loading(data: ServiceData, event: Stanza | KernelEvent, turn: Turn<Stanza>): State {
  data.turn = turn;
  if (event.kind !== 'task' || event.name !== LOAD) {
    turn.postpone();
    return 'loading';
  }
  if (!event.ok) throw event.error;
  data.state = event.value;
  data.finish();
  return 'serving';
}

function serving(data: ServiceData, event: Stanza | KernelEvent, turn: Turn<Stanza>): State {
  data.turn = turn;
  switch (event.kind) {
    case 'iq':
    case 'message':
    case 'presence':
      data.receive(event);
      break;
    case 'task':
      data.resume(event);
      break;
    case 'timeout':
      turn.stop('idle');
      return 'serving';
    default: // what did not arrive is nobody's loss but its recipient's
  }
  data.finish();
  return 'serving';
}

/** Says so to those who wait for answers that will not come. */
function recover(crash: Crash<State, ServiceData, Stanza>, args: ServiceArgs, turn: Turn<Stanza>): { state: State; data: ServiceData } {
  const data = new ServiceData(args);
  data.turn = turn;
  const { waiting, held } = crash.data;
  const condition: Condition = crash.hasLostHeld ? 'resource-constraint' : 'internal-server-error';
  const unanswered = new Set<Stanza>([...waiting, ...(crash.hasLostHeld ? held : [])]);
  if (crash.event.kind === 'iq' && isRequest(crash.event)) unanswered.add(crash.event);
  for (const request of unanswered) data.route(errorAnswer(request, new StanzaError(condition)));
  data.load();
  return { state: 'loading', data };
}

export const serviceMachine = defineMachine<State, ServiceData, Stanza, ServiceArgs>({
  name: 'service',
  initial: 'loading',
  init(args, turn) {
    const data = new ServiceData(args);
    data.turn = turn;
    data.load();
    return data;
  },
  states: { loading, serving },
  recover,
  intensity: { maxRestarts: 30, withinMs: 60_000 },
  describe: ({ bare }) => bare,
});
