/**
 * The account actor: owns one bare JID. Everything that concerns the account passes through its
 * mailbox, on its home worker, so nothing here is shared or locked.
 *
 *   loading ──► active ──► absent        (absent: no such account; kept briefly so that
 *      └──────► absent ──► active         strangers' guesses cost one store read, not many)
 *
 * Past 400 lines because it is the whole machine: its states, and the context that modules
 * are given, which is the machine's own data.
 */
import { defineMachine, type ActorRef, type Crash, type KernelEvent, type Message, type Turn } from '../kernel/actor.ts';
import { Batch, type Key, type Table } from '../store/store.ts';
import { randomResource } from './resource.ts';
import type { BareJid, Jid } from '../xmpp/jid.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { errorAnswer, makeStanza, type Stanza } from '../xmpp/stanza.ts';
import { ACCOUNTS, CREDENTIALS, loadAccount, type AccountImage, type AccountRow } from './accounts.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import { closeCondition } from './closing.ts';
import type { AccountContext } from './context.ts';
import { deliver, isRequest } from './delivery.ts';
import { DROP, HANDLED, type StanzaHook } from './hooks.ts';
import type { Host } from './host.ts';
import { answerIq, handlerFor, refusalFor, reply } from './iq.ts';
import type {
  AccountMessage,
  AccountStatus,
  Attach,
  Bind,
  BindAnswer,
  ClientStanza,
  CloseReason,
  Credit,
  CredentialsAnswer,
  SessionStatus,
} from './messages.ts';
import { isStanza } from './messages.ts';
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

export type AccountState = 'loading' | 'active' | 'absent';
type AccountEvent = AccountMessage | KernelEvent;

/** Stanzas a connection may send ahead of its account; credit is given back in halves of it. */
export const CREDIT_WINDOW = 64;
const CREDIT_BATCH = CREDIT_WINDOW / 2;

/** How long an account without sessions stays in memory, and one that does not exist. */
const IDLE_MS = 60_000;
const ABSENT_MS = 2_000;
/** How long a client may read nothing before what waits for it is left where it is. */
const DRAIN_TIMEOUT_MS = 60_000;

const SEND_HOOK: Record<Stanza['kind'], StanzaHook> = { message: 'user_send_message', presence: 'user_send_presence', iq: 'user_send_iq' };
const RECEIVE_HOOK: Record<Stanza['kind'], StanzaHook> = {
  message: 'user_receive_message',
  presence: 'user_receive_presence',
  iq: 'user_receive_iq',
};

/** What a load brings: the account's own rows and its modules' state. */
interface Loaded {
  readonly image: AccountImage;
  readonly slots: ReadonlyMap<AccountSlot<unknown>, unknown>;
}

type Continuation = (account: AccountContext, value: unknown) => void;

/** The data of the actor and, at the same time, what handlers see of it. */
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
  /** IQ requests whose handler has not answered yet, so that a crash can. */
  readonly unanswered = new Set<Stanza>();
  private isRemoving = false;
  private isCountedIdle = false;

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
    const { to } = outcome;
    if (to.isDomain && to.domain === this.host.domain && isRequest(outcome)) {
      const head = outcome.children[0]!;
      const handler = this.host.handler('own_server', outcome.type, head.name, head.ns);
      if (handler !== undefined) {
        const error = answerIq(this, outcome, session, handler);
        if (error !== undefined) this.returnError(outcome, error);
        return;
      }
    }
    this.route(outcome);
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
    this.turn.send(session.connection, { kind: 'close_stream', condition: closeCondition(reason), text: undefined, reason });
    this.dropSession(session, reason);
  }

  setCredentials(scram: readonly ScramRecord[]): void {
    this.scram = scram;
    for (const record of scram) this.put(CREDENTIALS, [record.hash], record);
  }

  remove(): void {
    this.isRemoving = true;
  }

  later<T>(work: Promise<T>, then: (account: AccountContext, value: T) => void): void {
    const name = `later:${this.nextContinuation++}`;
    this.continuations.set(name, then as Continuation);
    this.turn.task(name, work);
  }

  whenDrained(session: Session, then: (account: AccountContext, isReady: boolean) => void): void {
    const name = `drained:${this.nextContinuation++}`;
    this.continuations.set(name, then as Continuation);
    this.turn.ask(name, session.connection, DRAIN_TIMEOUT_MS, (replyTo) => ({ kind: 'drain' as const, replyTo }));
  }

  /** Runs what was to follow `whenDrained`. */
  answered({ name, ok }: Extract<KernelEvent, { kind: 'reply' }>): void {
    const then = this.continuations.get(name);
    this.continuations.delete(name);
    then?.(this, ok);
  }

  /** Runs what was to follow a task of `later`. */
  resume(event: Extract<KernelEvent, { kind: 'task' }>): void {
    const then = this.continuations.get(event.name);
    this.continuations.delete(event.name);
    if (!event.ok) throw event.error;
    then?.(this, event.value);
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
    this.host.hooks.emit('session_closing', this, session, reason);
    if (this.bySid.size === 0) this.becomeIdle();
  }

  becomeIdle(): void {
    this.environment.census.owners.delete(this.bare);
    this.countIdle(true);
    const isCrowded = this.environment.census.idle > this.host.config.limits.cachedAccounts;
    this.turn.timer('idle', isCrowded ? 0 : IDLE_MS);
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

  /** Ends the turn: writes its changes and keeps its effects until they are durable. */
  finish(next: AccountState): AccountState {
    const { batch } = this;
    this.batch = undefined;
    if (this.isRemoving) {
      this.isRemoving = false;
      return this.erase();
    }
    if (batch !== undefined && !this.isTemporary) this.turn.hold(this.host.services.store.commit(batch));
    return next;
  }

  private erase(): AccountState {
    this.host.hooks.emit('account_removing', this);
    this.batch = undefined;
    for (const session of [...this.bySid.values()]) this.close(session, 'account_removed');
    this.batch = undefined;
    if (!this.isTemporary) this.turn.hold(this.host.services.store.erase(this.bare));
    this.row = undefined;
    this.scram = [];
    this.isTemporary = false;
    this.host.services.log.info('account_removed', { account: this.bare });
    // The modules' state still describes the erased rows: it is loaded anew.
    this.load();
    return 'loading';
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

  /** After a crash: the same sessions, rebuilt from their identity. */
  salvageFrom(old: Account): void {
    for (const previous of old.bySid.values()) {
      const session = new Session(previous.identity, previous.jid);
      session.presence = previous.presence;
      session.priority = previous.priority;
      session.isInterested = previous.isInterested;
      session.taken = previous.taken;
      for (const [key, jid] of previous.directed) session.directed.set(key, jid);
      this.bySid.set(session.sid, session);
      this.byResource.set(session.jid.resource, session);
    }
    this.isTemporary = old.isTemporary;
    this.isCountedIdle = old.isCountedIdle;
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

function loading(account: Account, event: AccountEvent, turn: Turn<AccountMessage>): AccountState {
  if (event.kind !== 'task' || event.name !== 'load') {
    turn.postpone();
    return 'loading';
  }
  if (!event.ok) throw event.error;
  const { image, slots } = event.value as Loaded;
  account.row = image.row;
  account.scram = image.scram;
  account.slots = slots;
  if (account.sessionCount === 0) account.becomeIdle();
  return image.row === undefined && !account.isTemporary ? becomeAbsent(account) : 'active';
}

function becomeAbsent(account: Account): AccountState {
  account.turn.timer('idle', ABSENT_MS);
  return 'absent';
}

function active(account: Account, event: AccountEvent): AccountState {
  switch (event.kind) {
    case 'client_stanza':
      fromClient(account, event);
      break;
    case 'message':
    case 'presence':
    case 'iq':
      account.receive(event);
      break;
    case 'bind':
      bind(account, event);
      break;
    case 'attach':
      attach(account, event);
      break;
    case 'unbind': {
      const session = account.sessionBySid(event.sid);
      if (session !== undefined) account.dropSession(session, event.reason);
      if (account.isTemporary && account.sessionCount === 0) account.remove(); // XEP-0175: gone with its session
      break;
    }
    case 'down':
      connectionDown(account, event.ref);
      break;
    case 'get_credentials':
      account.turn.reply(event.replyTo, {
        isUsable: account.row?.isEnabled ?? false,
        scram: account.scram,
      } satisfies CredentialsAnswer);
      break;
    case 'create_account':
      account.turn.reply(event.replyTo, 'exists');
      break;
    case 'set_credentials':
      account.setCredentials(event.scram);
      if (event.closeSessions) closeAll(account, 'password_changed');
      account.turn.reply(event.replyTo, 'changed');
      break;
    case 'set_enabled':
      setEnabled(account, event.isEnabled);
      account.turn.reply(event.replyTo, 'changed');
      break;
    case 'remove_account':
      account.remove();
      account.turn.reply(event.replyTo, 'removed');
      break;
    case 'get_status':
      account.turn.reply(event.replyTo, statusOf(account));
      break;
    case 'kick':
      account.turn.reply(event.replyTo, closeAll(account, event.reason, event.resource));
      break;
    case 'task':
      account.resume(event);
      break;
    case 'bounced':
      returned(account, event.message, event.reason);
      break;
    case 'timeout':
      if (account.sessionCount > 0) break;
      if (account.hasPendingWork) account.becomeIdle();
      else account.turn.stop('idle');
      break;
    case 'reply':
      account.answered(event);
      break;
    case 'restarted':
      break;
  }
  return account.finish('active');
}

/** No such account. RFC 6121 §8.5.1 */
function absent(account: Account, event: AccountEvent): AccountState {
  const { turn } = account;
  switch (event.kind) {
    case 'message':
      account.returnError(event, new StanzaError('service-unavailable'));
      break;
    case 'iq':
      if (isRequest(event)) reply(account, event, refusalFor(event, handlerFor(account.host, event)));
      break;
    case 'presence':
      // A probe gets the answer that ends the stale subscription (RFC 6121 §4.3.2); all else is ignored.
      if (event.type === 'probe') account.route(makeStanza({ kind: 'presence', type: 'unsubscribed', id: event.id, from: account.jid, to: event.from.toBare() }));
      break;
    case 'get_credentials':
      turn.reply(event.replyTo, { isUsable: false, scram: [] } satisfies CredentialsAnswer);
      break;
    case 'create_account':
      account.row = { createdAtMs: turn.now, isEnabled: true };
      account.put(ACCOUNTS, [], account.row);
      account.setCredentials(event.scram);
      turn.reply(event.replyTo, 'created');
      account.host.hooks.emit('account_created', account);
      account.host.services.log.info('account_created', { account: account.bare });
      account.becomeIdle();
      return account.finish('active');
    case 'set_credentials':
    case 'set_enabled':
    case 'remove_account':
      turn.reply(event.replyTo, 'absent');
      break;
    case 'get_status':
      turn.reply(event.replyTo, statusOf(account));
      break;
    case 'kick':
      turn.reply(event.replyTo, 0);
      break;
    case 'bind':
    case 'attach':
      if (!event.isAnonymous) {
        turn.reply(event.replyTo, { ok: false, condition: 'not-allowed' } satisfies BindAnswer);
        break;
      }
      account.isTemporary = true;
      if (event.kind === 'bind') bind(account, event);
      else attach(account, event);
      return 'active';
    case 'timeout':
      if (!account.hasPendingWork) turn.stop('absent');
      break;
    case 'client_stanza':
    case 'unbind':
    case 'task':
    case 'reply':
    case 'down':
    case 'restarted':
    case 'bounced':
      break;
  }
  return 'absent';
}

function fromClient(account: Account, event: ClientStanza): void {
  const session = account.sessionBySid(event.sid);
  if (session === undefined) return; // its connection has been told that the session is over
  if (++session.taken % CREDIT_BATCH === 0) giveCredit(account, session);
  account.sendFrom(session, event.stanza);
}

function giveCredit({ turn }: Account, { connection, taken }: Session): void {
  turn.send(connection, { kind: 'credit', taken } satisfies Credit);
}

function bind(account: Account, { identity, resource, replyTo, isAnonymous }: Bind): void {
  const refusal = whyNot(account, isAnonymous);
  if (refusal !== undefined) {
    account.turn.reply(replyTo, refusal);
    return;
  }
  let wanted = resource ?? randomResource();
  const holder = account.session(wanted);
  if (holder !== undefined) {
    switch (account.host.config.c2s.resourceConflict) {
      case 'refuse': // RFC 6120 §7.7.2.2
        account.turn.reply(replyTo, { ok: false, condition: 'conflict' } satisfies BindAnswer);
        return;
      case 'rename':
        wanted = randomResource();
        break;
      case 'replace':
        account.close(holder, 'conflict');
        break;
    }
  }
  if (account.sessionCount >= account.host.config.limits.sessionsPerAccount) {
    account.turn.reply(replyTo, { ok: false, condition: 'resource-constraint' } satisfies BindAnswer); // RFC 6120 §7.6.2.1
    return;
  }
  const jid = account.jid.withResource(wanted);
  if (jid === undefined) throw new Error('a resource was not normalised');
  const session = new Session(identity, jid);
  account.addSession(session);
  account.turn.reply(replyTo, { ok: true, resource: wanted, account: account.turn.self } satisfies BindAnswer);
  account.host.hooks.emit('session_opened', account, session);
}

/** The connection found its account gone (its worker died) and brings the session back. */
function attach(account: Account, { identity, resource, replyTo, isAnonymous, isInterested, directed }: Attach): void {
  const refusal = whyNot(account, isAnonymous);
  if (refusal !== undefined) {
    account.turn.reply(replyTo, refusal);
    return;
  }
  const holder = account.session(resource);
  if (holder?.sid === identity.sid) {
    account.turn.reply(replyTo, { ok: true, resource, account: account.turn.self } satisfies BindAnswer);
    return;
  }
  if (holder !== undefined) {
    account.turn.reply(replyTo, { ok: false, condition: 'conflict' } satisfies BindAnswer);
    return;
  }
  const session = new Session(identity, account.jid.withResource(resource)!);
  session.isInterested = isInterested;
  for (const text of directed) session.directed.set(text, account.environment.jidOf(text));
  account.addSession(session);
  account.turn.reply(replyTo, { ok: true, resource, account: account.turn.self } satisfies BindAnswer);
}

function whyNot(account: Account, isAnonymous: boolean): BindAnswer | undefined {
  const isAllowed = isAnonymous ? account.isTemporary : (account.row?.isEnabled ?? false);
  return isAllowed ? undefined : { ok: false, condition: 'not-allowed' };
}

function connectionDown(account: Account, ref: ActorRef): void {
  for (const session of account.sessions) {
    if (session.connection.id !== ref.id || session.connection.worker !== ref.worker) continue;
    account.dropSession(session, 'client_gone');
    break;
  }
  if (account.isTemporary && account.sessionCount === 0) account.remove();
}

function closeAll(account: Account, reason: CloseReason, resource?: string): number {
  let count = 0;
  for (const session of [...account.sessions]) {
    if (resource !== undefined && session.jid.resource !== resource) continue;
    account.close(session, reason);
    count++;
  }
  return count;
}

function setEnabled(account: Account, isEnabled: boolean): void {
  account.row = { createdAtMs: account.row?.createdAtMs ?? account.now, isEnabled };
  account.put(ACCOUNTS, [], account.row);
  if (!isEnabled) closeAll(account, 'account_disabled');
}

function statusOf(account: Account): AccountStatus {
  const sessions: SessionStatus[] = [];
  for (const { jid, identity, presence, priority } of account.sessions) {
    const { sid, remoteAddress, isSecure, mechanism, boundAtMs } = identity;
    const show = presence?.child('show', 'jabber:client')?.text() ?? '';
    sessions.push({ jid: jid.full, sid, remoteAddress, isSecure, mechanism, boundAtMs, show, priority: presence && priority });
  }
  const { row } = account;
  return { exists: row !== undefined, isEnabled: row?.isEnabled ?? false, createdAtMs: row?.createdAtMs ?? 0, sessions };
}

/** A stanza came back: either the one it was routed to could not take it, or a connection of ours could not. */
function returned(account: Account, message: Message, reason: string): void {
  if (!isStanza(message)) return;
  const isForUs = message.to.bare === account.bare;
  if (isForUs && message.from.bare !== account.bare) {
    const session = account.session(message.to.resource);
    if (session !== undefined && reason !== 'mailbox_full') account.dropSession(session, 'client_gone');
    if (message.kind === 'message' && reason !== 'mailbox_full') {
      account.receive(message); // its session is gone: to the others, or to be kept
      return;
    }
  }
  // RFC 6120 §8.3.3.18: try again later; nothing was kept.
  account.returnError(message, new StanzaError(reason === 'no_actor' ? 'service-unavailable' : 'resource-constraint'));
}

function crashed(crash: Crash<AccountState, Account, AccountMessage>, args: AccountArgs, turn: Turn<AccountMessage>): { state: AccountState; data: Account } {
  const account = new Account(args.environment, args.key);
  account.turn = turn;
  account.salvageFrom(crash.data);
  // What the failed turn, or one that was held, said of it is lost; without it a connection would wait for ever.
  for (const session of account.sessions) giveCredit(account, session);
  for (const request of crash.data.unanswered) account.answerCrash(request);
  const { event } = crash;
  if (event.kind === 'client_stanza') account.answerCrash(event.stanza);
  else if (isStanza(event)) account.answerCrash(event);
  account.load();
  return { state: 'loading', data: account };
}

/** Wraps a state function with what every turn of an account has. */
function inTurn(state: (account: Account, event: AccountEvent, turn: Turn<AccountMessage>) => AccountState) {
  return (account: Account, event: AccountEvent, turn: Turn<AccountMessage>): AccountState => {
    account.turn = turn;
    return state(account, event, turn);
  };
}

export const accountMachine = defineMachine<AccountState, Account, AccountMessage, AccountArgs>({
  name: 'account',
  initial: 'loading',
  init({ environment, key }, turn) {
    const account = new Account(environment, key);
    account.turn = turn;
    account.load();
    return account;
  },
  states: { loading: inTurn(loading), active: inTurn(active), absent: inTurn(absent) },
  recover: crashed,
  terminate(account) {
    account.countIdle(false);
    account.environment.census.owners.delete(account.bare);
  },
  intensity: { maxRestarts: 10, withinMs: 60_000 },
  describe: (account) => account.bare,
});
