/**
 * The data of an account's actor and, at the same time, what modules see of it. The states are in
 * `account-machine.ts`; how sessions come and go is in `account-sessions.ts`.
 */
import type { ActorRef, KernelEvent, Message, Turn } from '../kernel/actor.ts';
import { Batch, type Commit, type Key, type Table } from '../store/store.ts';
import type { BareJid, Jid } from '../xmpp/jid.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, type Stanza } from '../xmpp/stanza.ts';
import { CREDENTIALS, loadAccount, type AccountImage, type AccountRow } from './accounts.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import { closeCondition } from './closing.ts';
import type { AccountContext } from './context.ts';
import { deliver, isRequest } from './delivery.ts';
import { DROP, HANDLED, type StanzaHook } from './hooks.ts';
import type { Host } from './host.ts';
import { answerForHost, answerIq } from './iq.ts';
import {
  CREDIT_WINDOW,
  isStanza,
  type AccountMessage,
  type CloseReason,
  type CloseStream,
  type ConnectionMessage,
  type Credit,
} from './messages.ts';
import type { AccountSlot } from './module.ts';
import type { Router } from './router.ts';
import { Session } from './session.ts';

/** What every account actor of a worker shares. */
export interface AccountEnvironment {
  readonly router: Router;
  readonly hostOf: (domain: string) => Host | undefined;
  readonly jidOf: (bare: string) => Jid;
  readonly census: AccountCensus;
}

/** Which accounts are loaded on this worker; the account actors themselves keep it. */
export interface AccountCensus {
  /** How many have no session. */
  idle: number;
  /** Bare JIDs of those with sessions. */
  readonly owners: Set<string>;
}

export interface AccountArgs {
  readonly environment: AccountEnvironment;
  /** Bare JID. */
  readonly key: string;
}

const CREDIT_BATCH = CREDIT_WINDOW / 2;

/** How long an account without sessions stays in memory. */
const IDLE_MS = 60_000;
/** While a worker has more idle accounts than it may keep. Not 0: what an idle account waits for may still take a moment. */
const CROWDED_MS = 100;
/** Continuations of `later` and `whenDrained` one account may have. More is a bug of a module: each has to be bounded by what asks for it. */
const MAX_CONTINUATIONS = 4_096;
/** When a connection is told again what its mailbox had no room for. */
const SAY_AGAIN_MS = 100;
/** How long a client may read nothing before what waits for it is left where it is. */
const DRAIN_TIMEOUT_MS = 60_000;

const SEND_HOOK: Record<Stanza['kind'], StanzaHook> = { message: 'user_send_message', presence: 'user_send_presence', iq: 'user_send_iq' };
const RECEIVE_HOOK: Record<Stanza['kind'], StanzaHook> = {
  message: 'user_receive_message',
  presence: 'user_receive_presence',
  iq: 'user_receive_iq',
};

/** What a load brings: the account's own rows and its modules' state. */
export interface Loaded {
  readonly image: AccountImage;
  readonly slots: ReadonlyMap<AccountSlot<unknown>, unknown>;
}

/** A stanza whose effects have not left yet, and the commit they wait for. */
interface Unsettled {
  readonly commit: Commit;
  readonly stanza: Stanza;
}

type Continuation = (account: AccountContext, value: unknown) => void;

export class Account implements AccountContext {
  readonly jid: Jid;
  readonly bare: BareJid;
  readonly host: Host;
  readonly environment: AccountEnvironment;
  row: AccountRow | undefined = undefined;
  scram: readonly ScramRecord[] = [];
  isTemporary = false;
  slots: ReadonlyMap<AccountSlot<unknown>, unknown> = new Map();
  /** The current turn; set at its start, since handlers run only within one. */
  turn!: Turn<AccountMessage>;
  private readonly bySid = new Map<string, Session>();
  private readonly byResource = new Map<string, Session>();
  private batch: Batch | undefined = undefined;
  private continuations = new Map<string, Continuation>();
  private nextContinuation = 1;
  /** Which of them wait for a session's connection to drain, by name. */
  private readonly draining = new Map<string, string>();
  /** IQ requests whose handler has not answered yet, so that a crash can. */
  readonly unanswered = new Set<Stanza>();
  /** When the store last failed this account; see `account-machine.ts`. */
  storeFailedAtMs = -Infinity;
  private isRemoving = false;
  private isCountedIdle = false;
  private lastCommit: Commit | undefined = undefined;
  /** Bounded by the kernel's `maxHeldTurns`. */
  private readonly unsettled: Unsettled[] = [];
  /** What connections could not be told, by session; bounded by the connections that are there. */
  private readonly unsaid = new Map<string, { readonly to: ActorRef<ConnectionMessage>; readonly message: CloseStream | Credit }>();

  constructor(environment: AccountEnvironment, key: string) {
    this.environment = environment;
    this.jid = environment.jidOf(key);
    this.bare = this.jid.bare;
    const host = environment.hostOf(this.jid.domain);
    if (host === undefined) throw new Error(`no host for the account ${key}`);
    this.host = host;
  }

  get now(): number {
    return this.turn.now;
  }

  get sessions(): Iterable<Session> {
    return this.bySid.values();
  }

  get hasSessions(): boolean {
    return this.bySid.size > 0;
  }

  get sessionCount(): number {
    return this.bySid.size;
  }

  session(resource: string): Session | undefined {
    return this.byResource.get(resource);
  }

  sessionBySid(sid: string): Session | undefined {
    return this.bySid.get(sid);
  }

  state<T>(slot: AccountSlot<T>): T {
    const key = slot as AccountSlot<unknown>;
    if (!this.slots.has(key)) throw new Error(`the slot ${slot.name} is not declared by an enabled module`);
    return this.slots.get(key) as T;
  }

  put<V>(table: Table<V>, key: Key, value: V): void {
    (this.batch ??= new Batch(this.bare)).put(table, key, value);
  }

  delete<V>(table: Table<V>, key: Key): void {
    (this.batch ??= new Batch(this.bare)).delete(table, key);
  }

  route(stanza: Stanza): void {
    const { to } = stanza;
    if (to.bare === this.bare) {
      this.receive(stanza); // its own mailbox would only add a hop
      return;
    }
    const error = this.environment.router.route(stanza, this.turn);
    if (error !== undefined) this.returnError(stanza, error);
  }

  push(session: Session, stanza: Stanza): void {
    this.turn.send(session.connection, stanza);
  }

  receive(stanza: Stanza): void {
    const { kind, to } = stanza;
    const session = to.resource === '' ? undefined : this.byResource.get(to.resource);
    const outcome = this.host.hooks.run(RECEIVE_HOOK[kind], stanza, this, session);
    if (outcome === HANDLED || outcome === DROP) return;
    if (outcome instanceof StanzaError) {
      this.returnError(stanza, outcome);
      return;
    }
    const ownRequest = kind === 'iq' && to.resource === '' && isRequest(outcome);
    const error = ownRequest ? answerIq(this, outcome, this.ownSession(outcome)) : deliver(this, outcome, session);
    if (error !== undefined) this.returnError(outcome, error);
  }

  /** A stanza from one of our own clients: hooks of sending, then on its way. */
  sendFrom(session: Session, stanza: Stanza): void {
    const outcome = this.host.hooks.run(SEND_HOOK[stanza.kind], stanza, this, session);
    if (outcome === HANDLED || outcome === DROP) return;
    if (outcome instanceof StanzaError) {
      this.returnError(stanza, outcome);
      return;
    }
    const host = outcome.to.isDomain && isRequest(outcome) ? this.environment.hostOf(outcome.to.domain) : undefined;
    if (host === undefined) {
      this.route(outcome);
      return;
    }
    const head = outcome.children[0]!;
    const own = host === this.host ? host.handler('own_server', outcome.type, head.name, head.ns) : undefined;
    const error = own === undefined ? answerForHost(this, host, outcome) : answerIq(this, outcome, session, own);
    if (error !== undefined) this.returnError(outcome, error);
  }

  /** RFC 6120 §8.3.1: never an error for an error. */
  returnError(stanza: Stanza, error: StanzaError): void {
    if (stanza.mayBeAnsweredWithError) this.route(errorAnswer(stanza, error));
  }

  markInterested(session: Session): void {
    if (session.isInterested) return;
    session.isInterested = true;
    this.turn.send(session.connection, { kind: 'session_note', isInterested: true });
  }

  close(session: Session, reason: CloseReason): void {
    const { connection } = session;
    this.turn.send(connection, { kind: 'close_stream', condition: closeCondition(reason), text: undefined, reason, connection });
    this.dropSession(session, reason);
  }

  /** One more of the client's stanzas was handled. */
  countTaken(session: Session): void {
    if (++session.taken % CREDIT_BATCH === 0) this.turn.send(session.connection, this.creditOf(session));
  }

  private creditOf({ sid, taken }: Session): Credit {
    return { kind: 'credit', sid, taken };
  }

  /** A connection had no room for words without which it would wait, or stay, for ever. */
  sayLater(message: Message): void {
    if (message.kind === 'credit') {
      const { sid } = message as Credit;
      const session = this.bySid.get(sid);
      if (session !== undefined) this.unsaid.set(sid, { to: session.connection, message: message as Credit });
    } else if (message.kind === 'close_stream') {
      const { connection } = message as CloseStream;
      if (connection !== undefined)
        this.unsaid.set(`${connection.worker}/${connection.id}`, { to: connection, message: message as CloseStream });
    } else {
      return;
    }
    this.turn.timer('say_again', SAY_AGAIN_MS);
  }

  sayAgain(): void {
    const unsaid = [...this.unsaid.values()];
    this.unsaid.clear();
    for (const { to, message } of unsaid) this.turn.send(to, message);
  }

  setCredentials(scram: readonly ScramRecord[]): void {
    this.scram = scram;
    for (const record of scram) this.put(CREDENTIALS, [record.hash], record);
  }

  remove(): void {
    this.isRemoving = true;
  }

  later<T>(work: Promise<T>, then: (account: AccountContext, value: T) => void): void {
    this.turn.task(this.continuation(then as Continuation), work);
  }

  whenDrained(session: Session, then: (account: AccountContext, isReady: boolean) => void): void {
    const name = this.continuation(then as Continuation);
    this.draining.set(name, session.sid);
    this.turn.send(session.connection, { kind: 'drain', name });
    this.turn.timer(name, DRAIN_TIMEOUT_MS);
  }

  /** The connection has drained, or it has ended or took too long. False where nothing of that name waits. */
  drained(name: string, isReady: boolean): boolean {
    if (!this.draining.delete(name)) return false;
    this.turn.cancelTimer(name);
    const then = this.continuations.get(name);
    this.continuations.delete(name);
    then?.(this, isReady);
    return true;
  }

  private continuation(then: Continuation): string {
    if (this.continuations.size >= MAX_CONTINUATIONS) throw new Error(`the account waits for ${MAX_CONTINUATIONS} things already`);
    const name = `continue:${this.nextContinuation++}`;
    this.continuations.set(name, then);
    return name;
  }

  /** Runs what was to follow `later`; nothing where the account was removed meanwhile. */
  resume(event: Extract<KernelEvent, { kind: 'task' }>): void {
    const then = this.continuations.get(event.name);
    if (then === undefined) return;
    this.continuations.delete(event.name);
    if (event.ok) then(this, event.value);
    else throw event.error;
  }

  addSession(session: Session): void {
    this.bySid.set(session.sid, session);
    this.byResource.set(session.jid.resource, session);
    this.turn.monitor(session.connection);
    this.turn.cancelTimer('idle');
    this.environment.census.owners.add(this.bare);
    this.countIdle(false);
  }

  /** Takes the session out and lets modules tell who must know. */
  dropSession(session: Session, reason: CloseReason): void {
    if (!this.bySid.delete(session.sid)) return;
    if (this.byResource.get(session.jid.resource) === session) this.byResource.delete(session.jid.resource);
    this.turn.demonitor(session.connection);
    for (const [name, sid] of this.draining) if (sid === session.sid) this.turn.timer(name, 0);
    this.host.hooks.emit('session_closing', this, session, reason);
    if (this.bySid.size === 0) this.becomeIdle();
  }

  becomeIdle(): void {
    this.environment.census.owners.delete(this.bare);
    this.countIdle(true);
    this.armIdle(IDLE_MS);
  }

  /** The account is unloaded after `ms`, or soon where there are many of its kind. */
  armIdle(ms: number): void {
    const isCrowded = this.environment.census.idle > this.host.config.limits.cachedAccounts;
    this.turn.timer('idle', isCrowded ? Math.min(CROWDED_MS, ms) : ms);
  }

  countIdle(isIdle: boolean): void {
    if (isIdle === this.isCountedIdle) return;
    this.isCountedIdle = isIdle;
    this.environment.census.idle += isIdle ? 1 : -1;
  }

  get hasPendingWork(): boolean {
    return this.continuations.size > 0;
  }

  load(): void {
    const { store } = this.host.services;
    this.turn.task('load', loadAll(store, this.bare, this.host));
  }

  /** Ends the turn that handled `event`: writes its changes and keeps its effects until they are durable. */
  finish<S>(next: S, event: AccountMessage | KernelEvent): S | 'loading' {
    const { batch } = this;
    this.batch = undefined;
    const state = this.isRemoving ? this.erase() : next;
    if (batch !== undefined && state === next && !this.isTemporary) this.hold(this.host.services.store.commit(batch));
    this.noteUnsettled(event);
    return state;
  }

  private erase(): 'loading' {
    this.isRemoving = false;
    this.host.hooks.emit('account_removing', this);
    for (const session of [...this.bySid.values()]) this.close(session, 'account_removed');
    this.batch = undefined;
    if (!this.isTemporary) {
      this.hold(this.host.services.store.erase(this.bare));
      this.host.services.log.info('account_removed', { account: this.bare });
    }
    // What was to follow would speak for an account that is gone.
    this.continuations.clear();
    for (const name of this.draining.keys()) this.turn.cancelTimer(name);
    this.draining.clear();
    for (const request of this.unanswered) this.returnError(request, new StanzaError('service-unavailable'));
    this.unanswered.clear();
    this.row = undefined;
    this.scram = [];
    this.isTemporary = false;
    // The modules' state still describes the erased rows: it is loaded anew.
    this.load();
    return 'loading';
  }

  private hold(commit: Commit): void {
    this.turn.hold(commit);
    this.lastCommit = commit;
  }

  /** Remembers whose stanza is not answered for until the last commit has settled; later turns wait for it, too. */
  private noteUnsettled(event: AccountMessage | KernelEvent): void {
    const commit = this.lastCommit;
    if (commit === undefined) return;
    if (commit.settled && commit.error === undefined) {
      this.lastCommit = undefined;
      this.unsettled.length = 0;
      return;
    }
    if (event.kind === 'client_stanza') this.unsettled.push({ commit, stanza: event.stanza });
    else if (event.kind === 'undelivered') this.unsettled.push({ commit, stanza: event.stanza });
    else if (isStanza(event)) this.unsettled.push({ commit, stanza: event });
  }

  private ownSession(stanza: Stanza): Session | undefined {
    return stanza.from.bare === this.bare ? this.byResource.get(stanza.from.resource) : undefined;
  }

  /** Answers a stanza whose handling crashed; no hook runs, since what crashed may be one. */
  answerCrash(stanza: Stanza): void {
    if (!stanza.mayBeAnsweredWithError) return;
    const answer = errorAnswer(stanza, new StanzaError('internal-server-error'));
    if (answer.to.bare !== this.bare) {
      this.environment.router.route(answer, this.turn);
      return;
    }
    const session = this.byResource.get(answer.to.resource);
    if (session !== undefined) this.push(session, answer);
  }

  /**
   * After a crash: the same sessions, rebuilt from their identity, and an error for each stanza whose effects went
   * down with it. Of a commit that is still under way nobody knows: its senders may be told of an error that was none.
   */
  salvageFrom(old: Account, crashedAt: AccountMessage | KernelEvent): void {
    for (const previous of old.bySid.values()) {
      const session = new Session(previous.identity, previous.jid);
      session.presence = previous.presence;
      session.priority = previous.priority;
      session.isInterested = previous.isInterested;
      session.taken = previous.taken;
      for (const [key, jid] of previous.directed) session.directed.set(key, jid);
      this.bySid.set(session.sid, session);
      this.byResource.set(session.jid.resource, session);
      this.turn.monitor(session.connection); // the crash may have taken the first one back
    }
    this.isTemporary = old.isTemporary;
    this.isCountedIdle = old.isCountedIdle;
    this.storeFailedAtMs = old.storeFailedAtMs;
    const lost = new Set(old.unanswered);
    for (const { commit, stanza } of old.unsettled) if (!commit.settled || commit.error !== undefined) lost.add(stanza);
    if (crashedAt.kind === 'client_stanza') {
      lost.add(crashedAt.stanza);
      const session = this.bySid.get(crashedAt.sid);
      if (session !== undefined) session.taken++; // its turn did not come to that
    } else if (isStanza(crashedAt)) {
      lost.add(crashedAt);
    }
    for (const stanza of lost) this.answerCrash(stanza);
    // What the failed turn, or one that was held, said of it is lost; without it a connection would wait for ever.
    for (const session of this.bySid.values()) this.turn.send(session.connection, this.creditOf(session));
    for (const { to, message } of old.unsaid.values()) if (message.kind === 'close_stream') this.turn.send(to, message);
  }
}

async function loadAll(store: Account['host']['services']['store'], bare: BareJid, host: Host): Promise<Loaded> {
  const image = await loadAccount(store, bare);
  const slots = new Map<AccountSlot<unknown>, unknown>();
  for (const module of host.modules) {
    for (const slot of (module.slots ?? []) as readonly AccountSlot<unknown>[]) slots.set(slot, await slot.load(store, bare, host));
  }
  return { image, slots };
}
