/**
 * The host itself as an addressee: `<iq to='capulet.lit'/>` and the like. One actor per
 * domain on every worker, since its handlers keep no state; the sender's worker serves it.
 * What clients of ours ask is answered in their accounts: see `answerForHost`.
 */
import { defineMachine, type KernelEvent, type Turn } from '../kernel/actor.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, type Stanza } from '../xmpp/stanza.ts';
import type { HostContext } from './context.ts';
import { isRequest } from './delivery.ts';
import type { Host } from './host.ts';
import { answerStanza } from './iq.ts';
import { IqRequest, type IqAnswer } from './module.ts';
import { isStanza } from './messages.ts';
import type { Outbox, Router } from './router.ts';

/** Requests whose handlers have not answered yet. Overflow: refused, to be tried again later. */
const MAX_WAITING = 1_024;

export interface HostArgs {
  readonly environment: {
    readonly router: Router;
    readonly hostOf: (domain: string) => Host | undefined;
    /** Shows a stanza to the host's like on the other workers. */
    readonly tellOtherHosts: (stanza: Stanza, outbox: Outbox) => void;
  };
  /** The domain. */
  readonly key: string;
}

class HostData implements HostContext {
  readonly host: Host;
  readonly router: Router;
  turn!: Turn<Stanza>;
  readonly waiting = new Map<string, Stanza>();
  private nextTask = 1;

  readonly environment: HostArgs['environment'];

  constructor({ environment, key }: HostArgs) {
    this.environment = environment;
    const host = environment.hostOf(key);
    if (host === undefined) throw new Error(`no such host: ${key}`);
    this.host = host;
    this.router = environment.router;
  }

  get now(): number {
    return this.turn.now;
  }

  route(stanza: Stanza): void {
    const error = this.router.route(stanza, this.turn);
    // The server's own stanza has nobody to return to: it is the sender.
    if (error !== undefined) this.host.services.log.debug('unroutable', { to: stanza.to.domain, condition: error.condition });
  }

  answer(request: Stanza, answer: IqAnswer): void {
    const stanza = answerStanza(request, answer);
    if (stanza !== undefined) this.route(stanza);
  }

  wait(request: Stanza, work: Promise<IqAnswer>): void {
    const name = `iq:${this.nextTask++}`;
    this.waiting.set(name, request);
    this.turn.task(name, work);
  }

  done(event: Extract<KernelEvent, { kind: 'task' }>): void {
    const request = this.waiting.get(event.name);
    this.waiting.delete(event.name);
    if (request === undefined) return;
    if (!event.ok) this.host.services.log.error('iq_handler_failed', { payload: request.children[0]?.ns, error: String(event.error) });
    this.answer(request, event.ok ? (event.value as IqAnswer) : new StanzaError('internal-server-error'));
  }
}

function serving(data: HostData, event: Stanza | KernelEvent, turn: Turn<Stanza>): 'serving' {
  data.turn = turn;
  if (isStanza(event)) {
    const outcome = data.host.takes(event, data);
    if (outcome === 'everywhere') data.environment.tellOtherHosts(event, turn);
    if (outcome !== undefined) return 'serving';
  }
  switch (event.kind) {
    case 'iq':
      serve(data, event);
      break;
    case 'message':
      // RFC 6121 §8.4 leaves it to the server; nobody reads here.
      if (event.mayBeAnsweredWithError) data.route(errorAnswer(event, new StanzaError('service-unavailable')));
      break;
    case 'task':
      data.done(event);
      break;
    default: // presence to a server means nothing without a module that asks for it
  }
  return 'serving';
}

function serve(data: HostData, stanza: Stanza): void {
  if (!isRequest(stanza)) return; // an answer to nothing we asked
  const head = stanza.children[0]!;
  const handler = stanza.to.resource === '' ? data.host.handler('server', stanza.type, head.name, head.ns) : undefined;
  if (handler === undefined) {
    data.answer(stanza, new StanzaError('service-unavailable')); // RFC 6120 §8.4
    return;
  }
  if (data.waiting.size >= MAX_WAITING) {
    data.answer(stanza, new StanzaError('resource-constraint'));
    return;
  }
  const answer = handler.run(new IqRequest(stanza, undefined), data);
  if (answer instanceof Promise) data.wait(stanza, answer);
  else data.answer(stanza, answer);
}

export const hostMachine = defineMachine<'serving', HostData, Stanza, HostArgs>({
  name: 'host',
  initial: 'serving',
  init: (args, turn) => {
    const data = new HostData(args);
    data.turn = turn;
    return data;
  },
  states: { serving },
  recover(crash, args, turn) {
    const data = new HostData(args);
    data.turn = turn;
    const unanswered = [...crash.data.waiting.values()];
    if (crash.event.kind === 'iq' && isRequest(crash.event)) unanswered.push(crash.event);
    for (const request of unanswered) data.answer(request, new StanzaError('internal-server-error'));
    return { state: 'serving', data };
  },
  intensity: { maxRestarts: 100, withinMs: 10_000 },
  describe: (data) => data.host.domain,
});
