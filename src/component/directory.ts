/**
 * The directory of a worker: knows what is bound on all of them, and tells the others what is bound here.
 *
 *   connection ── bind_names ──► its worker's directory ── binding_news ──► those of all others
 *   account ──── Forward ──────► its worker's directory ──────────────────► connection, on whatever worker
 *
 * There is no authority: names are few and bound rarely, so all know all. Two connections that bind a name at the same moment on
 * two workers are both told that they have it; a moment later both directories see which was first, and the other one loses it.
 * Directories monitor the connections, so those of a worker that dies are forgotten; its successor is told all when it joins.
 */
import { defineMachine, type ActorRef, type KernelEvent, type Turn } from '../kernel/actor.ts';
import type { CoreLog } from '../core/context.ts';
import type { Host } from '../core/host.ts';
import type { Forward, ForwardAgain } from '../core/messages.ts';
import type { Outbox, Router } from '../core/router.ts';
import { delayElement } from '../xmpp/delay.ts';
import type { BareJid } from '../xmpp/jid.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, type Stanza } from '../xmpp/stanza.ts';
import { isEarlier, type Bindings } from './bindings.ts';
import {
  connectionKey,
  isSameConnection,
  tellDirectory,
  tellSender,
  type BindAnswer,
  type Binding,
  type BindNames,
  type BindingNews,
  type ComponentMessage,
  type DirectoryMessage,
} from './messages.ts';

/** Senders that are told when a component comes; others find out by themselves, within seconds. */
const MAX_WAITING = 10_000;

export interface DirectoryEnvironment {
  readonly worker: number;
  readonly workers: number;
  readonly bindings: Bindings;
  readonly router: Router;
  readonly log: CoreLog;
  readonly hosts: ReadonlyMap<string, Host>;
  /** How long messages for a name may wait for it; undefined: they are refused at once. */
  readonly queueMsOf: (name: string) => number | undefined;
  /** A name is bound that was not, or the other way round. */
  readonly nameChanged: (name: string, isThere: boolean) => void;
  /** Somebody takes what nobody has, or nobody does any more. */
  readonly defaultChanged: (isThere: boolean) => void;
  /** A connection of this or another worker has bound names. */
  readonly componentBound: (names: readonly string[], isLocal: boolean, outbox: Outbox, now: number) => void;
}

export interface DirectoryArgs {
  readonly environment: DirectoryEnvironment;
}

class Directory {
  readonly environment: DirectoryEnvironment;
  turn!: Turn<DirectoryMessage>;
  /** Whose messages wait for which name: by name, the pairs of sender and recipient. */
  readonly waiting = new Map<string, Map<string, { readonly sender: BareJid; readonly recipient: BareJid }>>();
  private waitingCount = 0;

  constructor({ environment }: DirectoryArgs) {
    this.environment = environment;
  }

  get bindings(): Bindings {
    return this.environment.bindings;
  }

  bind({ replyTo, bindings: wanted }: BindNames): void {
    const { turn, bindings } = this;
    if (!wanted.every((binding) => bindings.isFree(binding))) {
      turn.reply(replyTo, 'conflict' satisfies BindAnswer);
      return;
    }
    for (const binding of wanted) this.add(binding);
    this.tellPeers({ kind: 'binding_news', added: wanted, removed: [] });
    turn.reply(replyTo, 'bound' satisfies BindAnswer);
    this.welcome(wanted, true);
  }

  unbind(name: string, connection: ActorRef<ComponentMessage>): void {
    if (!this.remove(name, connection)) return;
    this.tellPeers({ kind: 'binding_news', added: [], removed: [{ name, connection }] });
    if (this.bindings.namesOf(connection).length === 0) this.turn.demonitor(connection);
  }

  news({ added, removed }: BindingNews): void {
    for (const { name, connection } of removed) this.remove(name, connection);
    const known = added.filter((binding) => !this.has(binding));
    for (const binding of known) this.settle(binding);
    this.welcome(known, false);
  }

  /** A connection is gone, with its worker or alone. Every directory notices by itself. */
  down(connection: ActorRef<ComponentMessage>): void {
    for (const name of this.bindings.namesOf(connection)) this.remove(name, connection);
  }

  joined(worker: number): void {
    const added = this.bindings.all().filter(({ connection }) => connection.worker === this.environment.worker);
    if (added.length > 0) tellDirectory(this.turn, worker, { kind: 'binding_news', added, removed: [] });
  }

  /** A message that its sender's log owes. */
  forward(message: Forward): void {
    const { stanza } = message;
    const binding = this.pick(stanza);
    if (binding !== undefined) this.turn.send(binding.connection, message);
    else if (this.mayWait(stanza, message.atMs)) this.wait(stanza);
    else if (message.previous === 0) {
      this.sendBack(stanza);
      this.tellForwarded(stanza, message.position);
    } else tellSender(this.turn, stanza.from.bare, { kind: 'forward_gap', by: stanza.to.bare }); // earlier ones are refused first: they may be lost with a connection
  }

  forwardAgain(message: ForwardAgain): void {
    const first = message.messages[0];
    if (first === undefined) return;
    const binding = this.pick(first.stanza);
    if (binding !== undefined) {
      this.turn.send(binding.connection, message);
      return;
    }
    let refused = 0;
    for (const { stanza, position, atMs } of message.messages) {
      if (this.mayWait(stanza, atMs)) {
        this.wait(stanza); // and so may all that are younger
        break;
      }
      this.sendBack(stanza);
      refused = position;
    }
    // Once: after each word it says again what is left.
    if (refused > 0) this.tellForwarded(first.stanza, refused);
  }

  forHost(stanza: Stanza): void {
    const host = this.environment.hosts.get(stanza.to.domain);
    if (host === undefined) return;
    const { turn, environment } = this;
    const context = { host, now: turn.now, route: (each: Stanza) => void environment.router.route(each, turn) };
    host.takes(stanza, context);
  }

  private pick({ from, to }: Stanza): Binding | undefined {
    return this.bindings.pickFor(to.domain, from, to) ?? this.bindings.defaultRoute;
  }

  private mayWait({ to }: Stanza, atMs: number): boolean {
    const queueMs = this.environment.queueMsOf(to.domain);
    return queueMs !== undefined && atMs + queueMs > this.turn.now;
  }

  private wait({ from, to }: Stanza): void {
    let pairs = this.waiting.get(to.domain);
    if (pairs === undefined) this.waiting.set(to.domain, (pairs = new Map()));
    const key = `${from.bare} ${to.bare}`;
    if (pairs.has(key) || this.waitingCount >= MAX_WAITING) return;
    pairs.set(key, { sender: from.bare, recipient: to.bare });
    this.waitingCount++;
  }

  private sendBack(stanza: Stanza): void {
    if (stanza.mayBeAnsweredWithError) this.environment.router.route(errorAnswer(stanza, notConnected()), this.turn);
  }

  private tellForwarded({ from, to }: Stanza, position: number): void {
    tellSender(this.turn, from.bare, { kind: 'forwarded', by: to.bare, position });
  }

  /** Whoever waited says again what it owes. */
  private welcome(added: readonly Binding[], isLocal: boolean): void {
    const { turn, environment } = this;
    for (const { name } of added) {
      const pairs = this.waiting.get(name);
      if (pairs === undefined) continue;
      this.waiting.delete(name);
      this.waitingCount -= pairs.size;
      for (const { sender, recipient } of pairs.values()) tellSender(turn, sender, { kind: 'forward_gap', by: recipient, isReady: true });
    }
    if (added.length > 0)
      environment.componentBound(
        added.map(({ name }) => name),
        isLocal,
        turn,
        turn.now,
      );
  }

  private has({ name, connection }: Binding): boolean {
    return this.bindings.of(name).some((each) => isSameConnection(each.connection, connection));
  }

  /** One that another worker has given away: it may be one too many. */
  private settle(binding: Binding): void {
    const { bindings, environment } = this;
    const rivals = bindings.of(binding.name).filter((each) => each.share === 'none' || binding.share === 'none');
    const isLate = rivals.some((rival) => isEarlier(rival, binding));
    if (isLate) return; // its own worker sees the same, and tells it
    for (const rival of rivals) {
      this.remove(rival.name, rival.connection);
      if (rival.connection.worker === environment.worker) this.turn.send(rival.connection, { kind: 'name_lost', name: rival.name });
    }
    this.add(binding);
  }

  private add(binding: Binding): void {
    const isNew = !this.bindings.has(binding.name);
    this.bindings.add(binding);
    this.turn.monitor(binding.connection);
    if (isNew) this.changed(binding, true);
    if (binding.isDefault) this.environment.defaultChanged(true);
  }

  private remove(name: string, connection: ActorRef<ComponentMessage>): boolean {
    const removed = this.bindings.remove(name, connection);
    if (removed === undefined) return false;
    if (removed.isDefault) this.environment.defaultChanged(this.bindings.defaultRoute !== undefined);
    if (!this.bindings.has(name)) this.changed(removed, false);
    return true;
  }

  private changed({ name, connection: own }: Binding, isThere: boolean): void {
    const { bindings, environment, turn } = this;
    environment.nameChanged(name, isThere);
    environment.log.info(isThere ? 'name_bound' : 'name_unbound', { name });
    // jabberd2's components want to know of each other; each directory tells those of its own worker.
    const told = new Set([connectionKey(own)]);
    for (const { protocol, connection } of bindings.all()) {
      if (protocol !== 'router' || connection.worker !== environment.worker || told.has(connectionKey(connection))) continue;
      told.add(connectionKey(connection));
      turn.send(connection, { kind: 'name_news', name, isThere });
    }
  }

  private tellPeers(news: BindingNews): void {
    for (let worker = 0; worker < this.environment.workers; worker++)
      if (worker !== this.environment.worker) tellDirectory(this.turn, worker, news);
  }
}

/** As Prosody says it. */
export function notConnected(): StanzaError {
  return new StanzaError('remote-server-timeout', 'the component is not connected');
}

/** A message that comes later than it was sent. XEP-0203 §2 */
export function delayed(stanza: Stanza, atMs: number, by: string): Stanza {
  return stanza.withAppended(delayElement(by, atMs));
}

function serving(directory: Directory, event: DirectoryMessage | KernelEvent, turn: Turn<DirectoryMessage>): 'serving' {
  directory.turn = turn;
  switch (event.kind) {
    case 'bind_names':
      directory.bind(event);
      break;
    case 'unbind_name':
      directory.unbind(event.name, event.connection);
      break;
    case 'binding_news':
      directory.news(event);
      break;
    case 'peer_joined':
      directory.joined(event.worker);
      break;
    case 'for_host':
      directory.forHost(event.stanza);
      break;
    case 'forward':
      directory.forward(event);
      break;
    case 'forward_again':
      directory.forwardAgain(event);
      break;
    case 'down':
      directory.down(event.ref as ActorRef<ComponentMessage>);
      break;
    default: // what bounced comes again: debts by their senders, bindings when the worker is back
  }
  return 'serving';
}

export const directoryMachine = defineMachine<'serving', Directory, DirectoryMessage, DirectoryArgs>({
  name: 'components',
  initial: 'serving',
  init(args, turn) {
    const directory = new Directory(args);
    directory.turn = turn;
    return directory;
  },
  states: { serving },
  recover(_crash, args, turn) {
    const directory = new Directory(args); // what waits says so again; the bindings are the environment's
    directory.turn = turn;
    return { state: 'serving', data: directory };
  },
  intensity: { maxRestarts: 100, withinMs: 10_000 },
});
