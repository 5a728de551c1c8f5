/**
 * The account actor: owns one bare JID. Everything that concerns the account passes through its
 * mailbox, on its home worker, so nothing here is shared or locked.
 *
 *   loading ──► active ──► loading       (removed: its modules' state is loaded anew)
 *    │ ▲  └───► absent ──► active        (absent: no such account; kept briefly so that
 *    ▼ │                                  strangers' guesses cost one store read, not many)
 *   out_of_order                         (the store failed: refuses for a moment, tries again)
 *
 * Long because each state answers for every message there is.
 */
import { defineMachine, type Crash, type KernelEvent, type Message, type Turn } from '../kernel/actor.ts';
import { StanzaError, stanzaErrorElement } from '../xmpp/stanza-error.ts';
import { makeStanza } from '../xmpp/stanza.ts';
import { Account, type AccountEnvironment } from './account.ts';
import { attach, bind, closeAll, connectionDown, unbind } from './account-sessions.ts';
import { ACCOUNTS } from './accounts.ts';
import { arrived, arrivedAgain, confirm, tellForwarded } from './arrivals.ts';
import { waitAgain } from './catch-up.ts';
import { isRequest } from './delivery.ts';
import { sayForwardsAgain } from './forwarding-again.ts';
import { comeBack } from './giving.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import type { Loaded } from './image.ts';
import { logIn, refuseLogin } from './log-in.ts';
import { takeIn } from './loading.ts';
import { salvage } from './salvage.ts';
import { operate, refuseOperation } from './operate.ts';
import { PROBE, probe } from './store-trouble.ts';
import { acknowledge, enable, expire, ready, resume } from './stream-management.ts';
import { handlerFor, refusalFor, reply } from './iq.ts';
import {
  isStanza,
  Undelivered,
  type AccountMessage,
  type AccountStatus,
  type BindAnswer,
  type ClientRefusal,
  type ClientStanza,
  type CredentialsAnswer,
  type Forward,
  type ForwardAgain,
  type Push,
  type ResumeAnswer,
  type SessionStatus,
  type SmAnswer,
} from './messages.ts';

export interface AccountArgs {
  readonly environment: AccountEnvironment;
  /** Bare JID. */
  readonly key: string;
}

export type AccountState = 'loading' | 'active' | 'absent' | 'out_of_order';
type AccountEvent = AccountMessage | KernelEvent;

/** How long an account that does not exist stays in memory. */
const ABSENT_MS = 2_000;
/** Between two looks at messages that have not arrived. */
const FORWARD_LEAST_MS = 200;
/** Between two tries of a store that fails; the machine's intensity allows that rate of crashes. */
const RETRY_MS = 2_500;
/** A failure after so long is another one, and the first is tried again at once. */
const STORE_FAILURE_MS = 60_000;

function loading(account: Account, event: AccountEvent, turn: Turn<AccountMessage>): AccountState {
  if (event.kind !== 'task' || (event.name !== 'load' && event.name !== 'load_credentials')) {
    turn.postpone();
    return 'loading';
  }
  if (!event.ok) {
    account.host.services.log.error('account_unreadable', {
      account: account.bare,
      error: event.error instanceof Error ? event.error.stack : String(event.error),
    });
    return waitForStore(account);
  }
  if (event.name === 'load_credentials') {
    account.scram = event.value as readonly ScramRecord[];
    return account.row !== undefined || account.isTemporary ? 'active' : 'absent';
  }
  takeIn(account, event.value as Loaded);
  if (!account.hasSessions) account.becomeIdle();
  if (account.row !== undefined || account.isTemporary) return account.finish('active', event);
  account.armIdle(ABSENT_MS);
  return 'absent';
}

function waitForStore(account: Account): 'out_of_order' {
  account.storeFailedAtMs = account.now;
  account.turn.timer('retry', RETRY_MS);
  return 'out_of_order';
}

/** Says so to those who send stanzas; all others wait. */
function outOfOrder(account: Account, event: AccountEvent, turn: Turn<AccountMessage>): AccountState {
  switch (event.kind) {
    case 'client_stanza': {
      const session = account.sessionBySid(event.sid);
      if (session === undefined || event.number !== session.taken + 1) break;
      account.answerFailure(event.stanza, 'resource-constraint'); // RFC 6120 §8.3.3.18
      account.countTaken(session);
      break;
    }
    case 'message':
    case 'presence':
    case 'iq':
      account.answerFailure(event, 'resource-constraint');
      break;
    case 'remote_message':
      account.answerFailure(event.stanza, 'resource-constraint');
      account.tellTakenRemote(event);
      break;
    case 'forward': // they come again
    case 'forward_again':
      break;
    case 'timeout':
      if (event.name === 'retry') return tryAgain(account);
      turn.postpone();
      break;
    default:
      turn.postpone();
  }
  return 'out_of_order';
}

function tryAgain(account: Account): AccountState {
  if (!account.hasSessions) {
    account.turn.stop('out_of_order'); // whoever waits by name gets the next one
    return 'out_of_order';
  }
  account.load();
  return 'loading';
}

/**
 * Credentials are in memory only while somebody logs in or changes them. They are read where there is no account, too:
 * less work would tell that from one whose password is wrong.
 */
function needsCredentials({ scram }: Account, { kind }: AccountEvent): boolean {
  return scram === undefined && (kind === 'get_credentials' || kind === 'set_credentials');
}

function readCredentials(account: Account, turn: Turn<AccountMessage>): 'loading' {
  account.loadCredentials();
  turn.postpone();
  return 'loading';
}

function active(account: Account, event: AccountEvent, turn: Turn<AccountMessage>): AccountState {
  if (needsCredentials(account, event)) return readCredentials(account, turn);
  switch (event.kind) {
    case 'client_stanza':
      fromClient(account, event);
      break;
    case 'message':
    case 'presence':
    case 'iq':
      account.receive(event);
      break;
    case 'undelivered':
      comeBack(account, event.push);
      break;
    case 'client_refusal':
      refusalFromClient(account, event);
      break;
    case 'forward':
      if (!account.isStoreFailing) arrived(account, event); // else it comes again
      break;
    case 'forward_again':
      if (!account.isStoreFailing) arrivedAgain(account, event);
      break;
    case 'remote_message':
      account.receive(event.stanza);
      account.tellTakenRemote(event);
      break;
    case 'forwarded':
      account.outbox.confirmed(event.by, event.position, account.now);
      sayForwardsAgain(account);
      break;
    case 'forward_gap':
      account.outbox.gap(event, account.now);
      sayForwardsAgain(account);
      break;
    case 'wake':
      account.host.hooks.emit('woken', account);
      break;
    case 'component_bound':
      account.host.hooks.emit('component_bound', account, event.domain);
      break;
    case 'sm_enable':
      enable(account, event);
      break;
    case 'sm_ack':
      acknowledge(account, event);
      break;
    case 'client_state': {
      const session = account.sessionBySid(event.sid);
      if (session !== undefined) account.host.hooks.emit('client_state', account, session, event.isActive);
      break;
    }
    case 'sm_request': {
      const session = account.sessionBySid(event.sid);
      if (session !== undefined) account.tellTaken(session, true);
      break;
    }
    case 'resume':
      if (account.row?.isEnabled === true) resume(account, event);
      else turn.reply(event.replyTo, { ok: false, condition: 'item-not-found', h: undefined } satisfies ResumeAnswer);
      break;
    case 'ready':
      ready(account, event);
      break;
    case 'bind':
      bind(account, event);
      break;
    case 'log_in':
      logIn(account, event);
      break;
    case 'attach':
      attach(account, event);
      break;
    case 'unbind':
      unbind(account, event);
      break;
    case 'down':
      connectionDown(account, event.ref);
      break;
    case 'get_credentials':
      account.turn.reply(event.replyTo, { isUsable: account.row?.isEnabled ?? false, scram: account.scram! } satisfies CredentialsAnswer);
      break;
    case 'create_account':
      account.turn.reply(event.replyTo, 'exists');
      break;
    case 'set_credentials':
    case 'set_enabled':
      account.turn.reply(event.replyTo, account.isTemporary ? 'absent' : 'changed');
      if (!account.isTemporary) change(account, event);
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
    case 'operate':
      operate(account, event);
      break;
    case 'task':
      account.resume(event);
      break;
    case 'drain_done':
      account.drained(event.name, true);
      break;
    case 'bounced':
      returned(account, event.message, event.reason);
      break;
    case 'timeout':
      timeOut(account, event.name);
      break;
    case 'reply':
    case 'restarted':
      break;
  }
  return account.finish('active', event);
}

function timeOut(account: Account, name: string): void {
  switch (name) {
    case 'say_again':
      account.sayAgain();
      break;
    case 'idle':
      if (!account.hasSessions) unload(account);
      break;
    case PROBE:
      probe(account);
      break;
    case 'confirm':
      confirm(account);
      break;
    case 'forward': {
      const nextMs = account.outbox.tick(account.now);
      sayForwardsAgain(account);
      if (nextMs !== undefined) account.turn.timer('forward', Math.max(nextMs, FORWARD_LEAST_MS));
      break;
    }
    default:
      if (!expire(account, name)) account.drained(name, false);
  }
}

function unload(account: Account): void {
  if (account.hasPendingWork) {
    account.becomeIdle();
    return;
  }
  account.putToSleep();
  account.turn.stop('idle');
}

/** No such account. RFC 6121 §8.5.1 */
function absent(account: Account, event: AccountEvent): AccountState {
  const { turn } = account;
  if (needsCredentials(account, event)) return readCredentials(account, turn);
  switch (event.kind) {
    case 'message':
      account.returnError(event, new StanzaError('service-unavailable'));
      break;
    case 'iq':
      if (isRequest(event)) reply(account, event, refusalFor(event, handlerFor(account.host, event)));
      break;
    case 'forward':
      account.returnError(event.stanza, new StanzaError('service-unavailable'));
      tellForwarded(account, event.stanza.from.bare, event.position);
      break;
    case 'forward_again': {
      for (const { stanza } of event.messages) account.returnError(stanza, new StanzaError('service-unavailable'));
      const last = event.messages.at(-1);
      if (last !== undefined) tellForwarded(account, event.sender, last.position);
      break;
    }
    case 'remote_message':
      account.returnError(event.stanza, new StanzaError('service-unavailable'));
      account.tellTakenRemote(event);
      break;
    case 'resume':
      turn.reply(event.replyTo, { ok: false, condition: 'item-not-found', h: undefined } satisfies ResumeAnswer);
      break;
    case 'sm_enable':
      turn.reply(event.replyTo, { ok: false } satisfies SmAnswer);
      break;
    case 'presence':
      // A probe gets the answer that ends the stale subscription (RFC 6121 §4.3.2); all else is ignored.
      if (event.type === 'probe')
        account.route(makeStanza({ kind: 'presence', type: 'unsubscribed', id: event.id, from: account.jid, to: event.from.toBare() }));
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
      return account.finish('active', event);
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
    case 'operate':
      refuseOperation(account, event);
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
      return account.finish('active', event);
    case 'log_in':
      if (!event.isAnonymous) {
        refuseLogin(account, event);
        break;
      }
      account.isTemporary = true;
      logIn(account, event);
      return account.finish('active', event);
    case 'unbind':
      if (event.replyTo !== undefined) turn.reply(event.replyTo, true);
      break;
    case 'timeout':
      if (event.name === 'say_again') account.sayAgain();
      else turn.stop('absent');
      break;
    case 'bounced':
      account.sayLater(event.message);
      break;
    case 'undelivered':
      account.returnError(event.push.stanza, new StanzaError('service-unavailable'));
      break;
    case 'client_stanza':
    case 'client_refusal':
    case 'forwarded':
    case 'forward_gap':
    case 'wake':
    case 'component_bound':
    case 'sm_ack':
    case 'sm_request':
    case 'client_state':
    case 'ready':
    case 'drain_done':
    case 'task':
    case 'reply':
    case 'down':
    case 'restarted':
      break;
  }
  return 'absent';
}

function fromClient(account: Account, { sid, number, stanza }: ClientStanza): void {
  const session = account.sessionBySid(sid);
  if (session === undefined) return; // its connection has been told that the session is over
  if (number !== session.taken + 1) return; // known, or to come again behind what is missing
  account.sendFrom(session, stanza);
  account.countTaken(session);
}

/** What is no stanza counts as one. XEP-0198 §4 */
function refusalFromClient(account: Account, { sid, number, answer }: ClientRefusal): void {
  const session = account.sessionBySid(sid);
  if (session === undefined || number !== session.taken + 1) return;
  if (answer !== undefined) {
    const { stanzaKind, id, condition } = answer;
    const from = account.host.jid;
    const error = stanzaErrorElement(new StanzaError(condition));
    account.push(session, makeStanza({ kind: stanzaKind, type: 'error', id, from, to: session.jid }, error)); // RFC 6120 §8.3.1
  }
  account.countTaken(session);
}

function change(account: Account, event: Extract<AccountMessage, { kind: 'set_credentials' | 'set_enabled' }>): void {
  if (event.kind === 'set_credentials') {
    account.setCredentials(event.scram);
    if (event.closeSessions) closeAll(account, 'password_changed');
    return;
  }
  const { isEnabled } = event;
  const ban = isEnabled || event.ban === undefined ? undefined : { ...event.ban, atMs: account.now };
  account.row = { createdAtMs: account.now, ...account.row, isEnabled, ban };
  account.put(ACCOUNTS, [], account.row);
  if (!isEnabled) closeAll(account, 'account_disabled');
}

function statusOf(account: Account): AccountStatus {
  const sessions: SessionStatus[] = [];
  for (const { jid, identity, presence, priority, taken, detachedAtMs } of account.sessions) {
    const { sid, remoteAddress, isSecure, mechanism, boundAtMs } = identity;
    const show = presence?.child('show', 'jabber:client')?.text() ?? '';
    sessions.push({
      jid: jid.full,
      sid,
      remoteAddress,
      isSecure,
      mechanism,
      boundAtMs,
      taken,
      show,
      priority: presence && priority,
      detachedAtMs,
    });
  }
  const { row } = account;
  return { exists: row !== undefined, isEnabled: row?.isEnabled ?? false, ban: row?.ban, createdAtMs: row?.createdAtMs ?? 0, sessions };
}

/** Something came back: whom it was sent to could not take it. */
function returned(account: Account, message: Message, reason: string): void {
  const isGone = reason === 'no_actor' || reason === 'worker_down';
  if (message.kind === 'push') {
    pushReturned(account, message as Push, reason);
    return;
  }
  if (message.kind === 'forward' || message.kind === 'forward_again') {
    const to = message.kind === 'forward' ? (message as Forward).stanza.to.bare : (message as ForwardAgain).messages[0]?.stanza.to.bare;
    if (to !== undefined) account.outbox.bounced(to, account.now);
    account.turn.timer('forward', FORWARD_LEAST_MS);
    return;
  }
  if (!isStanza(message)) {
    if (!isGone) account.sayLater(message);
    return;
  }
  // RFC 6120 §8.3.3.18: try again later; nothing was kept.
  account.returnError(message, new StanzaError(reason === 'no_actor' ? 'service-unavailable' : 'resource-constraint'));
}

/** A connection could not take a stanza. */
function pushReturned(account: Account, push: Push, reason: string): void {
  if (push.seq > 0) {
    if (reason === 'no_actor' || reason === 'worker_down') return; // its session waits for another connection
    account.resendLater(push.seq);
    return;
  }
  // That the connection is gone the account hears before, but for those of a worker that died: of them it hears next.
  if (reason === 'no_actor') comeBack(account, push);
  else if (reason === 'worker_down') account.turn.send(account.turn.self, new Undelivered(push));
  else if (push.position > 0) comeBack(account, push);
  else if (!waitAgain(account, push.stanza)) account.returnError(push.stanza, new StanzaError('resource-constraint')); // RFC 6120 §8.3.3.18: try again later
}

function crashed(
  crash: Crash<AccountState, Account, AccountMessage>,
  args: AccountArgs,
  turn: Turn<AccountMessage>,
): { state: AccountState; data: Account } {
  const { event } = crash;
  const data = new Account(args.environment, args.key);
  data.turn = turn;
  salvage(data, crash.data, event, crash.hasLostHeld);
  if (crash.hasLostHeld) {
    const isAgain = turn.now - data.storeFailedAtMs < STORE_FAILURE_MS;
    data.storeFailedAtMs = turn.now;
    if (isAgain) return { state: waitForStore(data), data };
  }
  data.load();
  return { state: 'loading', data };
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
  states: { loading: inTurn(loading), active: inTurn(active), absent: inTurn(absent), out_of_order: inTurn(outOfOrder) },
  recover: crashed,
  terminate(account) {
    account.countIdle(false);
    account.environment.census.owners.delete(account.bare);
  },
  intensity: { maxRestarts: 30, withinMs: 60_000 },
  describe: (account) => account.bare,
});
