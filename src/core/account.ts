/**
 * The data of an account's actor and, at the same time, what modules see of it. The states are in
 * `account-machine.ts`; how sessions come and go is in `account-sessions.ts`. Long because all of it is one object that every turn
 * touches; whatever is about one matter only (giving, catching up, ending, salvage, the store's trouble) has a file of its own.
 */
import { SmallMap, SmallSet } from '../kernel/small-map.ts';
import type { ActorRef, KernelEvent, Message, Turn } from '../kernel/actor.ts';
import type { Form } from '../log/entry.ts';
import { AccountLog } from '../log/log.ts';
import { AWAKE } from '../log/segment.ts';
import { Batch, type Commit, type Key, type Table } from '../store/store.ts';
import { stanzaIdEnd } from '../xmpp/forwarding.ts';
import type { BareJid, Jid } from '../xmpp/jid.ts';
import { isDurable } from '../xmpp/message-content.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, type Stanza } from '../xmpp/stanza.ts';
import { ACCOUNTS, CREDENTIALS, loadCredentials, type AccountRow } from './accounts.ts';
import { catchUp, handOver } from './catch-up.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import { closeCondition } from './closing.ts';
import type { AccountContext } from './context.ts';
import { endSession, leave } from './ending.ts';
import { deliver, isRequest } from './delivery.ts';
import { beginDraft, finishDraft, type Draft } from './drafts.ts';
import { FORWARD_CHECK_MS, Inbox, Outbox } from './forwarding.ts';
import { give, tell } from './giving.ts';
import { DROP, HANDLED, type StanzaHook } from './hooks.ts';
import type { Host } from './host.ts';
import { answerForHost, answerIq } from './iq.ts';
import {
  CREDIT_WINDOW,
  Push,
  type AccountMessage,
  type CloseReason,
  type CloseStream,
  type ConnectionMessage,
  type Credit,
  type Drain,
  type RemoteMessage,
} from './messages.ts';
import type { AccountSlot } from './module.ts';
import { loadAll } from './image.ts';
import type { Item } from './outbound.ts';
import { Pending } from './pending.ts';
import type { Router } from './router.ts';
import { withoutOwnDelay, withoutOwnIds } from './server-owned.ts';
import type { FailureCondition } from './salvage.ts';
import { sessionRow, SESSIONS, TAKEN, type EndedRow } from './session-rows.ts';
import type { Session } from './session.ts';
import { NOTHING } from './small-list.ts';
import { detach } from './stream-management.ts';
import { Unsettled } from './unsettled.ts';

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

/** Stanzas taken before their connection is told. It keeps them until then: told seldom, they grow old and cost the collector more than the telling. */
const CREDIT_BATCH = CREDIT_WINDOW / 8;

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

type Continuation = (account: AccountContext, value: unknown) => void;

export class Account implements AccountContext {
  readonly jid: Jid;
  readonly bare: BareJid;
  readonly host: Host;
  readonly environment: AccountEnvironment;
  row: AccountRow | undefined = undefined;
  /** How it proves itself; undefined while nobody logs in: see `needsCredentials`. */
  scram: readonly ScramRecord[] | undefined = undefined;
  isTemporary = false;
  /** State of the modules, in the order of the host's slots. */
  slots: readonly unknown[] = [];
  /** The current turn; set at its start, since handlers run only within one. */
  turn!: Turn<AccountMessage>;
  private readonly bySid = new SmallMap<string, Session>();
  private readonly byResource = new SmallMap<string, Session>();
  private batch: Batch | undefined = undefined;
  private readonly continuations = new SmallMap<string, Continuation>();
  private nextContinuation = 1;
  /** Which of them wait for a session's connection to drain, by name. */
  private readonly draining = new SmallMap<string, string>();
  /** IQ requests whose handler has not answered yet, so that a crash can. */
  readonly unanswered = new SmallSet<Stanza>();
  /** When the store last failed this account; see `account-machine.ts`. */
  storeFailedAtMs = -Infinity;
  /** See `store-trouble.ts`. */
  isStoreFailing = false;
  /** Grows with every change to what is known of clients: what was read before is out of date. */
  clientChanges = 0;
  private resendFrom = Infinity;
  private idEnd: string | undefined = undefined;
  /** Empty until the account is loaded. */
  log = new AccountLog({ state: undefined, tail: [] });
  /** The message this turn writes down. */
  draft: Draft | undefined = undefined;
  outbox = new Outbox();
  inbox = new Inbox();
  pending = new Pending();
  /** Sessions that were not resumed in time, by key. */
  readonly ended = new SmallMap<number, EndedRow>();
  /** Keys of the rows with what was taken. */
  readonly takenRows = new SmallSet<number>();
  /** Turns that have ended in order. */
  turnCount = 0;
  /** Stanzas taken from sessions, by key, as the log tells. */
  readonly takenByKey = new SmallMap<number, number>();
  /** A row says so: whoever starts the server will look after the account. */
  isAwake = false;
  /** See `retention.ts`. */
  isTrimming = false;
  private isRemoving = false;
  isCountedIdle = false;
  unsettled = new Unsettled();
  /** Stanzas to be answered with an error once the account is loaded again. */
  failures: ReadonlyMap<Stanza, FailureCondition> | undefined = undefined;
  /** What connections could not be told, by session; bounded by the connections that are there. */
  readonly unsaid = new SmallMap<string, { readonly to: ActorRef<ConnectionMessage>; readonly message: CloseStream | Credit | Drain }>();

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
    return this.slots[this.host.slotIndex(slot)] as T;
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
      // Its own mailbox would only add a hop; but a turn writes one message at a time.
      if (this.draft !== undefined && this.mayLog(stanza)) this.turn.sendTo('account', this.bare, stanza);
      else this.receive(stanza);
      return;
    }
    const { routeGuards } = this.host;
    for (let i = 0; i < routeGuards.length; i++) if (routeGuards[i]!(this, stanza)) return;
    const error = this.environment.router.route(stanza, this.turn);
    if (error !== undefined) this.returnError(stanza, error);
  }

  push(session: Session, stanza: Stanza): void {
    give(this, session, stanza, 'plain');
  }

  pushCopy(session: Session, stanza: Stanza, form: Exclude<Form, 'plain'>): void {
    give(this, session, stanza, form);
  }

  keepPending(): boolean {
    if (this.draft === undefined) return false;
    this.draft.isPending = true;
    return true;
  }

  get pendingCount(): number {
    return this.pending.count;
  }

  /** What `<stanza-id/>` of this account ends with. */
  get stanzaIdEnd(): string {
    return (this.idEnd ??= stanzaIdEnd(this.jid));
  }

  get pendingBytes(): number {
    return this.pending.bytes;
  }

  /** @param source position in the log of the account of this server that sent it; 0 for others. */
  receive(stanza: Stanza, source = 0): void {
    const { kind, to } = stanza;
    const { ownDraft } = this;
    this.ownDraft = undefined;
    const session = to.resource === '' ? undefined : this.byResource.get(to.resource);
    const outcome = this.host.hooks.run(RECEIVE_HOOK[kind], stanza, this, session);
    if (outcome === HANDLED || outcome === DROP) return;
    if (outcome instanceof StanzaError) {
      this.returnError(stanza, outcome);
      return;
    }
    if (kind === 'message') {
      this.receiveMessage(outcome, session, source, ownDraft);
      return;
    }
    const ownRequest = kind === 'iq' && to.resource === '' && isRequest(outcome);
    const error = ownRequest ? answerIq(this, outcome, this.ownSession(outcome)) : deliver(this, outcome, session);
    if (error !== undefined) this.returnError(outcome, error);
  }

  /** To its sessions, or to wait for one; written down if it is worth it and somebody has it then. */
  private receiveMessage(stanza: Stanza, session: Session | undefined, source: number, ownDraft: Draft | undefined): void {
    const message = withoutOwnIds(stanza, this.bare);
    if (this.isStoreFailing && this.mayLog(message)) {
      this.returnError(message, new StanzaError('resource-constraint'));
      return;
    }
    const { draft: outerDraft, recipients: outerRecipients } = this;
    const draft = ownDraft ?? (this.mayLog(message) ? beginDraft(this, message, 'in', source, undefined) : undefined);
    if (draft !== undefined) draft.stanza = message;
    this.draft = draft;
    this.recipients = NOTHING;
    const error = deliver(this, message, session);
    const { recipients } = this;
    if (recipients.length > 0) this.host.hooks.emit('message_delivered', this, message, recipients);
    else if (draft?.isPending === true) this.host.hooks.emit('message_kept', this, message);
    const isKept = draft !== undefined && draft !== ownDraft && (recipients.length > 0 || draft.isPending);
    if (isKept) finishDraft(this, draft);
    this.draft = outerDraft;
    this.recipients = outerRecipients;
    if (error !== undefined) this.returnError(message, error);
  }

  /** Sessions the message of `receiveMessage` was given to. */
  recipients: readonly Session[] = NOTHING;
  /** A message to oneself is on its way back: it is written once. */
  private ownDraft: Draft | undefined = undefined;

  private mayLog(stanza: Stanza): boolean {
    return !this.isTemporary && this.row !== undefined && isDurable(stanza);
  }

  /** A stanza from one of our own clients: hooks of sending, then on its way. */
  sendFrom(session: Session, sent: Stanza): void {
    const stanza = sent.kind === 'message' ? withoutOwnDelay(sent, this.host.domain) : sent;
    const outcome = this.host.hooks.run(SEND_HOOK[stanza.kind], stanza, this, session);
    if (outcome === HANDLED || outcome === DROP) return;
    if (outcome instanceof StanzaError) {
      // No hook of receiving runs: who may not be written to may be one from whom nothing is taken.
      if (stanza.mayBeAnsweredWithError) this.push(session, errorAnswer(stanza, outcome));
      return;
    }
    if (outcome.kind === 'message') {
      this.sendMessage(session, outcome);
      return;
    }
    if (session.sm !== undefined) {
      if (isRequest(outcome)) session.noteRequest(outcome);
      else if (outcome.kind === 'presence') session.isDirty = true;
    }
    const host = outcome.to.isDomain && isRequest(outcome) ? this.environment.hostOf(outcome.to.domain) : undefined;
    if (host === undefined) {
      this.route(outcome);
      return;
    }
    const head = outcome.children[0]!;
    const own = host === this.host ? host.handler('own_server', outcome.type, head.name, head.ns) : undefined;
    const error = own === undefined ? answerForHost(this, host, outcome, session) : answerIq(this, outcome, session, own);
    if (error !== undefined) this.returnError(outcome, error);
  }

  /** Into the log, with what that says of the session it came from; then to whom it is for. */
  private sendMessage(session: Session, stanza: Stanza): void {
    if (!this.mayLog(stanza)) {
      if (stanza.to.bare !== this.bare) this.host.hooks.emit('message_sent', this, stanza, session);
      this.route(stanza);
      return;
    }
    if (this.outbox.isFull || this.isStoreFailing) {
      this.returnError(stanza, new StanzaError('resource-constraint'));
      return;
    }
    const origin = { session: session.key, taken: session.taken + 1, requests: session.openRequests() };
    if (stanza.to.bare === this.bare) {
      const draft = (this.ownDraft = beginDraft(this, stanza, 'self', 0, origin));
      session.savedTaken = origin.taken;
      this.receive(stanza);
      finishDraft(this, draft);
      return;
    }
    const debtor = this.environment.router.debtorOf(stanza.to);
    const error = debtor !== undefined ? undefined : this.environment.router.route(stanza, this.turn);
    if (error !== undefined) {
      this.returnError(stanza, error);
      return;
    }
    const draft = (this.draft = beginDraft(this, stanza, 'out', 0, origin));
    session.savedTaken = origin.taken;
    this.host.hooks.emit('message_sent', this, stanza, session);
    this.draft = undefined;
    if (debtor !== undefined) {
      if (this.outbox.isEmpty) this.turn.timer('forward', FORWARD_CHECK_MS);
      this.outbox.send(this.turn, debtor, draft, this.now);
    }
    finishDraft(this, draft);
  }

  /** RFC 6120 §8.3.1: never an error for an error. */
  returnError(stanza: Stanza, error: StanzaError): void {
    if (stanza.mayBeAnsweredWithError) this.route(errorAnswer(stanza, error));
  }

  /** Answers a stanza whose handling failed; no hook runs, since what failed may be one, or their state is not loaded. */
  answerFailure(stanza: Stanza, condition: FailureCondition): void {
    if (!stanza.mayBeAnsweredWithError) return;
    const answer = errorAnswer(stanza, new StanzaError(condition));
    if (answer.to.bare !== this.bare) {
      this.environment.router.route(answer, this.turn);
      return;
    }
    const session = this.byResource.get(answer.to.resource);
    if (session !== undefined) tell(this, session, answer);
  }

  markInterested(session: Session): void {
    if (session.isInterested) return;
    session.isInterested = true;
    if (session.sm !== undefined) session.isDirty = true;
    if (session.connection !== undefined) this.turn.send(session.connection, { kind: 'session_note', isInterested: true });
  }

  close(session: Session, reason: CloseReason): void {
    this.closeStream(session, reason);
    this.dropSession(session, reason);
  }

  /** Ends the connection of a session, if it has one. */
  closeStream({ connection }: Session, reason: CloseReason): void {
    if (connection === undefined) return;
    this.turn.send(connection, { kind: 'close_stream', condition: closeCondition(reason), text: undefined, reason, connection });
  }

  /** One more of the client's stanzas was handled. */
  countTaken(session: Session): void {
    if (++session.taken % CREDIT_BATCH === 0) this.tellTaken(session, false);
  }

  /**
   * Leaves when all of it is durable, like everything a turn says: what was acknowledged once must be known after any crash.
   */
  tellTaken(session: Session, isAnswer: boolean): void {
    const { sid, taken, connection } = session;
    if (this.bySid.get(sid) !== session) return; // it has ended in this turn
    if (session.sm !== undefined && session.savedTaken < taken) {
      if (this.isStoreFailing) {
        if (connection !== undefined) this.turn.send(connection, { kind: 'credit', sid, taken, saved: session.savedTaken, isAnswer });
        return;
      }
      if (session.hasUnsavedRequests) session.isDirty = true;
      else this.saveTaken(session);
    }
    if (connection !== undefined) this.turn.send(connection, { kind: 'credit', sid, taken, saved: taken, isAnswer });
  }

  /** A message of another server is dealt with. Leaves when that is durable, like everything a turn says. */
  tellTakenRemote({ link, number }: RemoteMessage): void {
    this.turn.send(link, { kind: 'remote_taken', number });
  }

  /** A connection had no room for words without which it would wait, or stay, for ever. */
  sayLater(message: Message): void {
    if (message.kind === 'credit') {
      const { sid } = message as Credit;
      const connection = this.bySid.get(sid)?.connection;
      if (connection !== undefined) this.unsaid.set(sid, { to: connection, message: message as Credit });
    } else if (message.kind === 'close_stream') {
      const { connection } = message as CloseStream;
      if (connection !== undefined)
        this.unsaid.set(`${connection.worker}/${connection.id}`, { to: connection, message: message as CloseStream });
    } else if (message.kind === 'drain') {
      const { name } = message as Drain;
      const connection = this.bySid.get(this.draining.get(name) ?? '')?.connection;
      if (connection !== undefined) this.unsaid.set(name, { to: connection, message: message as Drain });
    } else {
      return;
    }
    this.turn.timer('say_again', SAY_AGAIN_MS);
  }

  /** A connection had no room for that push; it takes none of those behind it before this one. */
  resendLater(seq: number): void {
    this.resendFrom = Math.min(this.resendFrom, seq);
    this.turn.timer('say_again', SAY_AGAIN_MS);
  }

  sayAgain(): void {
    const { resendFrom } = this;
    this.resendFrom = Infinity;
    // Which session it was the push did not say: the others know theirs already.
    for (const { outbound, connection } of resendFrom === Infinity ? [] : this.bySid.values()) {
      if (connection === undefined) continue;
      for (const { seq, position, stanza } of outbound.unacked())
        if (seq >= resendFrom && stanza !== undefined) this.turn.send(connection, new Push(seq, position, stanza));
    }
    const unsaid = [...this.unsaid.values()];
    this.unsaid.clear();
    for (const { to, message } of unsaid) this.turn.send(to, message);
  }

  setCredentials(scram: readonly ScramRecord[]): void {
    const { row } = this;
    if (row !== undefined) {
      this.row = { ...row, passwordNumber: (row.passwordNumber ?? 0) + 1 };
      this.put(ACCOUNTS, [], this.row);
      this.clientChanges++;
    }
    const hashes = new Set(scram.map(({ hash }) => hash));
    for (const { hash } of this.scram ?? []) if (!hashes.has(hash)) this.delete(CREDENTIALS, [hash]); // of another password
    this.scram = scram;
    for (const record of scram) this.put(CREDENTIALS, [record.hash], record);
  }

  /** Further stored forms of the same password. */
  addCredentials(scram: readonly ScramRecord[]): void {
    const others = this.scram?.filter(({ hash }) => !scram.some((record) => record.hash === hash));
    if (others !== undefined) this.scram = [...others, ...scram];
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
    if (session.connection !== undefined) this.turn.send(session.connection, { kind: 'drain', name });
    this.turn.timer(name, DRAIN_TIMEOUT_MS);
  }

  after(ms: number, then: (account: AccountContext) => void): void {
    const name = this.continuation(then as Continuation);
    this.draining.set(name, ''); // nobody's connection
    this.turn.timer(name, ms);
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
    if (session.connection !== undefined) this.turn.monitor(session.connection);
    this.turn.cancelTimer('idle');
    this.scram = undefined; // whoever has logged in does not do it again soon
    this.environment.census.owners.add(this.bare);
    this.countIdle(false);
  }

  /** One that has survived a crash: nobody need be told. */
  keepSession(session: Session): void {
    this.bySid.set(session.sid, session);
    this.byResource.set(session.jid.resource, session);
    if (session.connection !== undefined) this.turn.monitor(session.connection); // the crash may have taken the first one back
  }

  /** Goes on with what waits for the session. */
  catchUp(session: Session): void {
    catchUp(this, session);
  }

  /** Gives what waits for any session to one of them. @param except one that does not read. */
  handOver(except?: Session): void {
    handOver(this, except);
  }

  /** The session's connection is over; the session waits, or ends. */
  detach(session: Session): void {
    detach(this, session);
  }

  /** What a session that has ended had not got. */
  leave(item: Item): void {
    leave(this, item);
  }

  /** The session's connection is another one from now on, under a new id. */
  moveSession(session: Session, identity: Session['identity']): void {
    this.leaveConnection(session);
    this.bySid.delete(session.sid);
    session.identity = identity;
    session.connection = identity.connection;
    session.detachedAtMs = undefined;
    this.bySid.set(session.sid, session);
    this.turn.monitor(identity.connection);
  }

  /** Nothing more is said to the session's connection. */
  leaveConnection(session: Session): void {
    if (session.connection === undefined) return;
    this.turn.demonitor(session.connection);
    session.connection = undefined;
    for (const [name, sid] of this.draining) if (sid === session.sid) this.turn.timer(name, 0);
  }

  /** Takes the session out and lets modules tell who must know. What it had not got yet goes where it would go now. */
  dropSession(session: Session, reason: CloseReason): void {
    if (!this.bySid.delete(session.sid)) return;
    if (this.byResource.get(session.jid.resource) === session) this.byResource.delete(session.jid.resource);
    this.leaveConnection(session);
    this.host.hooks.emit('session_closing', this, session, reason);
    if (!this.isRemoving) endSession(this, session);
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
    return this.continuations.size > 0 || !this.outbox.isEmpty || this.inbox.unconfirmed.size > 0;
  }

  /** Before the account leaves the memory: nothing is under way, and the next load has little to read. */
  putToSleep(): void {
    this.log.closeSegment(this, this.log.next);
    if (this.isAwake) this.delete(AWAKE, []);
    for (const key of this.takenRows) this.delete(TAKEN, [key]); // of sessions that were lost with their worker
    this.takenRows.clear();
    this.isAwake = false;
  }

  /** From now on something may be under way that a crash would interrupt. */
  stayAwake(): void {
    if (this.isAwake || this.isTemporary || this.isStoreFailing) return;
    this.isAwake = true;
    this.put(AWAKE, [], { sinceMs: this.now });
  }

  load(): void {
    this.turn.task('load', loadAll(this.host, this.bare));
  }

  loadCredentials(): void {
    this.turn.task('load_credentials', loadCredentials(this.host.services.store, this.bare));
  }

  /** Ends the turn that handled `event`: writes its changes and keeps its effects until they are durable. */
  finish<S>(next: S, event: AccountMessage | KernelEvent): S | 'loading' {
    if (!this.isTemporary && !this.isRemoving && !this.isStoreFailing) this.saveSessions(event);
    const { batch } = this;
    this.batch = undefined;
    const state = this.isRemoving ? this.erase() : next;
    if (batch !== undefined && state === next && !this.isTemporary) this.hold(this.host.services.store.commit(batch));
    this.unsettled.note(event);
    this.turnCount++;
    return state;
  }

  /** Rows of sessions that have changed; and where the turn writes anything, it writes what it has taken from whom, too. */
  saveTaken(session: Session): void {
    this.stayAwake();
    session.savedTaken = Math.max(session.savedTaken, session.taken);
    this.takenRows.add(session.key);
    this.put(TAKEN, [session.key], session.savedTaken);
  }

  private saveSessions(event: AccountMessage | KernelEvent): void {
    for (const session of this.bySid.values()) {
      // With whatever else is written, what was asked is, too: it counts as taken then.
      if (session.hasUnsavedRequests && this.batch !== undefined) session.isDirty = true;
      if (!session.isDirty || session.sm === undefined) continue;
      session.isDirty = false;
      session.savedTaken = session.taken;
      this.stayAwake(); // a load looks for rows of sessions only then
      this.put(SESSIONS, [session.key], sessionRow(session, this.log.next));
    }
    if (this.batch !== undefined && event.kind === 'client_stanza') {
      const session = this.bySid.get(event.sid);
      if (session?.sm !== undefined && session.savedTaken < session.taken && !session.hasUnsavedRequests) this.saveTaken(session);
    }
  }

  private erase(): 'loading' {
    this.host.hooks.emit('account_removing', this);
    for (const session of [...this.bySid.values()]) this.close(session, 'account_removed');
    this.isRemoving = false;
    this.forgetLog();
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
    this.scram = undefined;
    this.isTemporary = false;
    // The modules' state still describes the erased rows: it is loaded anew.
    this.load();
    return 'loading';
  }

  private hold(commit: Commit): void {
    this.turn.hold(commit);
    this.unsettled.hold(commit, this.turnCount);
  }

  private ownSession(stanza: Stanza): Session | undefined {
    return stanza.from.bare === this.bare ? this.byResource.get(stanza.from.resource) : undefined;
  }

  /** Nothing of the log is in memory any more. */
  private forgetLog(): void {
    this.log = new AccountLog({ state: undefined, tail: [] });
    this.outbox = new Outbox();
    this.inbox = new Inbox();
    this.pending = new Pending();
    this.ended.clear();
    this.takenByKey.clear();
    this.takenRows.clear();
    this.isAwake = this.isTrimming = false;
  }
}
