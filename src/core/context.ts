/**
 * What a module's handler is given: the account it runs in, or the host. Handlers are
 * synchronous functions of one account actor's turn, so they never interleave.
 */
import type { Message, ReplyTo } from '../kernel/actor.ts';
import type { Store, Table, Key } from '../store/store.ts';
import type { BareJid, Jid } from '../xmpp/jid.ts';
import type { Picture, PictureJob } from '../xmpp/picture.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { PreparedPassword } from '../sasl/scram-credentials.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import type { Host } from './host.ts';
import type { Form } from '../log/entry.ts';
import type { AccountLog } from '../log/log.ts';
import type { SiftJob } from '../log/sift.ts';
import type { CloseReason } from './messages.ts';
import type { CommandPort } from './command.ts';
import type { AccountSlot } from './module.ts';
import type { Session } from './session.ts';

/** The account of one handler call. Valid during that call only. */
export interface AccountContext {
  /** Bare JID of the account. */
  readonly jid: Jid;
  readonly bare: BareJid;
  readonly host: Host;
  /** Milliseconds since the epoch; constant within a turn. */
  readonly now: number;
  /** Sessions in the order they were bound. */
  readonly sessions: Iterable<Session>;
  readonly sessionCount: number;
  session(resource: string): Session | undefined;
  /** A module's state of this account, loaded with it. Changes to it must go to the store by `put`/`delete`, too. */
  state<T>(slot: AccountSlot<T>): T;
  /**
   * Changes to this account's partition, written as one atomic batch at the end of the turn. Nothing the
   * turn sends leaves before that batch is durable; if it fails, the account restarts from the store.
   */
  put<V>(table: Table<V>, key: Key, value: V): void;
  delete<V>(table: Table<V>, key: Key): void;
  /** Sends a stanza to its addressee, wherever that is; `from` is this account's. Hooks of sending do not run. */
  route(stanza: Stanza): void;
  /** As if the client had sent it itself: hooks of sending run, messages are written down and owed. */
  sendFrom(session: Session, stanza: Stanza): void;
  /** Hands a stanza to one of this account's own sessions. Hooks of receiving do not run. */
  push(session: Session, stanza: Stanza): void;
  /**
   * Hands a session a copy of the message of this turn, wrapped as `form` says: under `message_sent` and `message_delivered`.
   * Survives a crash as the message itself does. XEP-0280 §6
   */
  pushCopy(session: Session, stanza: Stanza, form: Exclude<Form, 'plain'>): void;
  /** The account's log. */
  readonly log: AccountLog;
  /**
   * The message of this turn waits for the next session that takes messages: the last word of `message_undelivered`.
   * False where the message is none that the log may keep.
   */
  keepPending(): boolean;
  /** Messages that wait for a session, and their size as stanzas count themselves. */
  readonly pendingCount: number;
  readonly pendingBytes: number;
  /** Runs the receive path (hooks, RFC 6121 §8.5) for a stanza as if it had just arrived. */
  receive(stanza: Stanza): void;
  /** The session asked for the roster: it gets pushes from now on, also after a restart of the account. RFC 6121 §2.1.6 */
  markInterested(session: Session): void;
  /** Ends a session; the client gets the stream error that goes with `reason`. */
  close(session: Session, reason: CloseReason): void;
  /** True for accounts that exist only as long as their session. XEP-0175 */
  readonly isTemporary: boolean;
  /** Replaces the stored credentials. */
  setCredentials(scram: readonly ScramRecord[]): void;
  /** Removes the account when the turn is over: sessions closed, rows erased. */
  remove(): void;
  /**
   * Runs `work` outside the turn and `then` in a later turn of this account, under a fresh context.
   * Lost if the account restarts in between. A rejected `work` crashes the account.
   */
  later<T>(work: Promise<T>, then: (account: AccountContext, value: T) => void): void;
  /** Runs `then` in a later turn, after that time; the account stays in memory so long. Lost like `later`. */
  after(ms: number, then: (account: AccountContext) => void): void;
  /**
   * Runs `then` in a later turn, once the session's connection has sent most of what was pushed to it: for
   * answers that are too long to be pushed at once. `isReady` is false where the session ended or its client did not
   * read for a minute. Lost like `later`.
   */
  whenDrained(session: Session, then: (account: AccountContext, isReady: boolean) => void): void;
}

/** What a server-wide handler is given. */
export interface HostContext {
  readonly host: Host;
  readonly now: number;
  /** Sends a stanza as from the server. */
  route(stanza: Stanza): void;
}

/** State a module keeps with a stream until somebody has logged in on it. */
export interface StreamSlot<T> {
  readonly name: string;
  readonly initial: () => T;
}

/** What a handler before login is given. */
export interface StreamContext {
  get<T>(slot: StreamSlot<T>): T;
  set<T>(slot: StreamSlot<T>, value: T): void;
  readonly host: Host;
  readonly now: number;
  readonly remoteAddress: string;
  /** What counts as one peer where requests are limited: an IPv4 address, the first half of an IPv6 address. */
  readonly addressKey: string;
  readonly isSecure: boolean;
}

/** Services every host shares on one worker; injected by the composition root. */
export interface Services {
  readonly store: Store;
  readonly pool: PasswordPool;
  readonly log: CoreLog;
  /** Asks any account, from code that is no actor. Rejects with AskError. */
  readonly askAccount: (bare: BareJid, request: (replyTo: ReplyTo) => Message) => Promise<unknown>;
  /** Commands, for whoever carries them. */
  readonly commands: CommandPort;
  /** Whether an external component is connected, to any worker. XEP-0114 */
  readonly hasComponent?: (domain: string) => boolean;
  /** Services beside the virtual hosts that are there now, e.g. external components. */
  readonly listedServices?: () => readonly { readonly domain: string; readonly title: string | undefined }[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Secret of this installation, for made-up salts and the like; 32 bytes. */
  readonly secret: Buffer;
}

/** Key derivation, which takes tens of milliseconds of CPU and so runs in the pool. */
export interface PasswordPool {
  /** All stored forms of a password, which `opaqueString` has prepared. */
  derive(password: PreparedPassword, iterations: number): Promise<ScramRecord[]>;
  verify(password: PreparedPassword, record: ScramRecord): Promise<boolean>;
  /** Which messages of an archive match, by index; without it they are compared on the worker. Rejects where too many jobs wait. */
  readonly sift?: (job: SiftJob) => Promise<number[]>;
  /** What an image is; without it, it is looked at on the worker. Rejects where too many jobs wait. */
  readonly inspectPicture?: (job: PictureJob) => Promise<Picture | undefined>;
}

/** Structured events; `what` is snake_case. Never bodies or passwords. */
export interface CoreLog {
  debug(what: string, fields?: Record<string, unknown>): void;
  info(what: string, fields?: Record<string, unknown>): void;
  warn(what: string, fields?: Record<string, unknown>): void;
  error(what: string, fields?: Record<string, unknown>): void;
}
