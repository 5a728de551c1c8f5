/**
 * The account actor: owns one bare JID. Everything that concerns the account passes through its
 * mailbox, on its home worker, so nothing here is shared or locked.
 *
 *   loading ──► active ──► loading       (removed: its modules' state is loaded anew)
 *    │ ▲  └───► absent ──► active        (absent: no such account; kept briefly so that
 *    ▼ │                                  strangers' guesses cost one store read, not many)
 *   out_of_order                         (the store failed: refuses for a moment, tries again)
 */
import { defineMachine, type Crash, type KernelEvent, type Message, type Turn } from '../kernel/actor.ts';
import { StanzaError } from '../xmpp/stanza-error.ts';
import { makeStanza, type Stanza } from '../xmpp/stanza.ts';
import { Account, type AccountEnvironment, type Loaded } from './account.ts';
import { attach, bind, closeAll, connectionDown, unbind } from './account-sessions.ts';
import { ACCOUNTS } from './accounts.ts';
import { isRequest } from './delivery.ts';
import { handlerFor, refusalFor, reply } from './iq.ts';
import {
  isStanza,
  Undelivered,
  type AccountMessage,
  type AccountStatus,
  type BindAnswer,
  type ClientStanza,
  type CredentialsAnswer,
  type SessionStatus,
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
/** Between two tries of a store that fails; the machine's intensity allows that rate of crashes. */
const RETRY_MS = 2_500;
/** A failure after so long is another one, and the first is tried again at once. */
const STORE_FAILURE_MS = 60_000;

function loading(account: Account, event: AccountEvent, turn: Turn<AccountMessage>): AccountState {
  if (event.kind !== 'task' || event.name !== 'load') {
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
  const { image, slots } = event.value as Loaded;
  account.row = image.row;
  account.scram = image.scram;
  account.slots = slots;
  if (!account.hasSessions) account.becomeIdle();
  if (image.row !== undefined || account.isTemporary) return 'active';
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
      account.answerCrash(event.stanza);
      const session = account.sessionBySid(event.sid);
      if (session !== undefined) account.countTaken(session);
      break;
    }
    case 'message':
    case 'presence':
    case 'iq':
      account.answerCrash(event);
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
    case 'undelivered':
      undelivered(account, event.stanza);
      break;
    case 'bind':
      bind(account, event);
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
      account.turn.reply(event.replyTo, { isUsable: account.row?.isEnabled ?? false, scram: account.scram } satisfies CredentialsAnswer);
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
      if (event.name === 'say_again') account.sayAgain();
      else if (event.name === 'idle') {
        if (!account.hasSessions) unload(account);
      } else account.drained(event.name, false);
      break;
    case 'reply':
    case 'restarted':
      break;
  }
  return account.finish('active', event);
}

function unload(account: Account): void {
  if (account.hasPendingWork) account.becomeIdle();
  else account.turn.stop('idle');
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
      account.returnError(event.stanza, new StanzaError('service-unavailable'));
      break;
    case 'client_stanza':
    case 'drain_done':
    case 'task':
    case 'reply':
    case 'down':
    case 'restarted':
      break;
  }
  return 'absent';
}

function fromClient(account: Account, { sid, stanza }: ClientStanza): void {
  const session = account.sessionBySid(sid);
  if (session === undefined) return; // its connection has been told that the session is over
  account.sendFrom(session, stanza);
  account.countTaken(session);
}

function change(account: Account, event: Extract<AccountMessage, { kind: 'set_credentials' | 'set_enabled' }>): void {
  if (event.kind === 'set_credentials') {
    account.setCredentials(event.scram);
    if (event.closeSessions) closeAll(account, 'password_changed');
    return;
  }
  account.row = { createdAtMs: account.row?.createdAtMs ?? account.now, isEnabled: event.isEnabled };
  account.put(ACCOUNTS, [], account.row);
  if (!event.isEnabled) closeAll(account, 'account_disabled');
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

/** Something came back: whom it was sent to could not take it. */
function returned(account: Account, message: Message, reason: string): void {
  const isGone = reason === 'no_actor' || reason === 'worker_down';
  if (!isStanza(message)) {
    if (!isGone) account.sayLater(message);
    return;
  }
  if (isGone && message.to.bare === account.bare) {
    // Only its own connections are sent stanzas for the account itself. That they are gone it hears before, but for
    // those of a worker that died: of them it hears next.
    if (reason === 'no_actor') undelivered(account, message);
    else account.turn.send(account.turn.self, new Undelivered(message));
    return;
  }
  // RFC 6120 §8.3.3.18: try again later; nothing was kept.
  account.returnError(message, new StanzaError(reason === 'no_actor' ? 'service-unavailable' : 'resource-constraint'));
}

/** The session a stanza was given to is over: the stanza is treated as if it came now. */
function undelivered(account: Account, stanza: Stanza): void {
  if (stanza.kind === 'presence') return; // RFC 6121 §8.5.3.2.2
  if (stanza.kind === 'iq') {
    account.returnError(stanza, new StanzaError('service-unavailable')); // RFC 6121 §8.5.3.2.3
    return;
  }
  // What was for the account was given to each of its sessions that take messages.
  if (stanza.to.resource === '') for (const each of account.sessions) if (each.takesMessages) return;
  account.receive(stanza);
}

function crashed(
  crash: Crash<AccountState, Account, AccountMessage>,
  args: AccountArgs,
  turn: Turn<AccountMessage>,
): { state: AccountState; data: Account } {
  const { event } = crash;
  const data = new Account(args.environment, args.key);
  data.turn = turn;
  data.salvageFrom(crash.data, event);
  if (event.kind === 'task' && event.name === 'hold') {
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
