/**
 * What account, host and connection actors say to each other. All but stanzas is plain
 * data: it crosses threads by structured clone. Stanzas are messages themselves (kind
 * `message`, `presence`, `iq`).
 */
import type { ActorRef, ReplyTo } from '../kernel/actor.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { StreamCondition } from '../xmpp/stream-error.ts';
import { readStanzaFromWire, writeStanza, type WireCursor } from '../xmpp/wire.ts';

/** Every way a connection or session ends, as logs, metrics and tests name it. */
export const CLOSE_REASONS = [
  'account_removed',
  'account_disabled',
  'account_unreachable',
  'client_closed',
  'client_gone',
  'conflict',
  'crashed_too_often',
  'handshake_failed',
  'idle_timeout',
  'kicked',
  'login_attempts',
  'negotiation_timeout',
  'password_changed',
  'protocol_error',
  'slow_consumer',
  'shutdown',
] as const;
export type CloseReason = (typeof CLOSE_REASONS)[number];

/** Stanzas a connection may send ahead of its account; credit is given back in halves of it. */
export const CREDIT_WINDOW = 64;

/** A stanza from one of the account's own connections. */
export class ClientStanza {
  readonly kind = 'client_stanza';
  readonly sid: string;
  readonly stanza: Stanza;
  readonly bytes: number;
  constructor(sid: string, stanza: Stanza) {
    this.sid = sid;
    this.stanza = stanza;
    this.bytes = stanza.bytes;
  }
}

/** Who is behind a session: what the account needs to know of the connection. */
export interface SessionIdentity {
  /** Unguessable id of the session. */
  readonly sid: string;
  readonly connection: ActorRef<ConnectionMessage>;
  readonly remoteAddress: string;
  readonly isSecure: boolean;
  /** SASL mechanism used. */
  readonly mechanism: string;
  readonly boundAtMs: number;
}

/** Asks for a new session. Answer: BindAnswer. */
export interface Bind {
  readonly kind: 'bind';
  readonly replyTo: ReplyTo;
  readonly identity: SessionIdentity;
  /** Normalised; undefined lets the server choose. */
  readonly resource: string | undefined;
  /** The account exists for this session only. XEP-0175 */
  readonly isAnonymous: boolean;
}

export type BindAnswer =
  /** `isNew` is false where the account had kept the session; `taken` as in Credit. */
  | {
      readonly ok: true;
      readonly resource: string;
      readonly account: ActorRef<AccountMessage>;
      readonly isNew: boolean;
      readonly taken: number;
    }
  | { readonly ok: false; readonly condition: 'conflict' | 'resource-constraint' | 'not-allowed' };

/** After the account actor was restarted or lost: the session is still there. Answer: BindAnswer. */
export interface Attach {
  readonly kind: 'attach';
  readonly replyTo: ReplyTo;
  readonly identity: SessionIdentity;
  readonly resource: string;
  readonly isAnonymous: boolean;
  /** Whether the client had asked for the roster. RFC 6121 §2.1.6 */
  readonly isInterested: boolean;
  /** Full or bare JIDs that got directed presence. RFC 6121 §4.6 */
  readonly directed: readonly string[];
}

/**
 * The connection is over; so is the session. Where `replyTo` is given, the answer (true) comes when all that the
 * session has sent was handled and is durable.
 */
export interface Unbind {
  readonly kind: 'unbind';
  readonly sid: string;
  readonly reason: CloseReason;
  readonly replyTo?: ReplyTo;
}

/** A connection that is closing gives back what it was to send, as the kernel does for one that is gone. */
export class Undelivered {
  readonly kind = 'undelivered';
  readonly stanza: Stanza;
  readonly bytes: number;
  constructor(stanza: Stanza) {
    this.stanza = stanza;
    this.bytes = stanza.bytes;
  }
}

/** The connection has sent most of what it was given before the `drain` of that name. */
export interface DrainDone {
  readonly kind: 'drain_done';
  readonly name: string;
}

/** Asks for what SASL needs. Answer: CredentialsAnswer. */
export interface GetCredentials {
  readonly kind: 'get_credentials';
  readonly replyTo: ReplyTo;
}

export interface CredentialsAnswer {
  /** False for unknown and disabled accounts: the caller goes on with made-up credentials. */
  readonly isUsable: boolean;
  readonly scram: readonly ScramRecord[];
}

/** Creates the account. Answer: 'created' | 'exists'. */
export interface CreateAccount {
  readonly kind: 'create_account';
  readonly replyTo: ReplyTo;
  readonly scram: readonly ScramRecord[];
}

/** Answer: 'changed' | 'absent'. Other sessions are closed where `closeSessions`. */
export interface SetCredentials {
  readonly kind: 'set_credentials';
  readonly replyTo: ReplyTo;
  readonly scram: readonly ScramRecord[];
  readonly closeSessions: boolean;
}

/** Answer: 'changed' | 'absent'. Disabling closes the sessions. */
export interface SetEnabled {
  readonly kind: 'set_enabled';
  readonly replyTo: ReplyTo;
  readonly isEnabled: boolean;
}

/** Removes everything the account has. Answer: 'removed' | 'absent'. */
export interface RemoveAccount {
  readonly kind: 'remove_account';
  readonly replyTo: ReplyTo;
}

/** Answer: AccountStatus. */
export interface GetStatus {
  readonly kind: 'get_status';
  readonly replyTo: ReplyTo;
}

export interface AccountStatus {
  readonly exists: boolean;
  readonly isEnabled: boolean;
  readonly createdAtMs: number;
  readonly sessions: readonly SessionStatus[];
}

export interface SessionStatus {
  readonly jid: string;
  readonly sid: string;
  readonly remoteAddress: string;
  readonly isSecure: boolean;
  readonly mechanism: string;
  readonly boundAtMs: number;
  readonly priority: number | undefined;
  readonly show: string;
}

/** Closes sessions of the account; all without `resource`. Answer: how many. */
export interface Kick {
  readonly kind: 'kick';
  readonly replyTo: ReplyTo;
  readonly resource: string | undefined;
  readonly reason: CloseReason;
}

/** What an account understands; a stanza is for its owner. */
export type AccountMessage =
  | Stanza
  | ClientStanza
  | Bind
  | Attach
  | Unbind
  | Undelivered
  | DrainDone
  | GetCredentials
  | CreateAccount
  | SetCredentials
  | SetEnabled
  | RemoveAccount
  | GetStatus
  | Kick;

/**
 * How many of the connection's stanzas the account has taken in all: it may send as many more as that is more than
 * it knew. A total, so that it can be said again after a crash, which drops what was said last.
 */
export interface Credit {
  readonly kind: 'credit';
  readonly sid: string;
  readonly taken: number;
}

/** The account or an operator ends the connection. */
export interface CloseStream {
  readonly kind: 'close_stream';
  readonly condition: StreamCondition;
  readonly text: string | undefined;
  readonly reason: CloseReason;
  /** Whom the account tells, to say it again should that one's mailbox be full. */
  readonly connection?: ActorRef<ConnectionMessage>;
}

/** What the session keeps for itself in case its account is restarted. */
export interface SessionNote {
  readonly kind: 'session_note';
  readonly isInterested: boolean;
}

/** Wants `drain_done` from the connection, once little of what it was given is left to send. No ask: those go the other way only. */
export interface Drain {
  readonly kind: 'drain';
  /** The account's name for it. */
  readonly name: string;
}

/** What a bound connection understands; a stanza is for the client. */
export type ConnectionMessage = Stanza | Credit | CloseStream | SessionNote | Drain;

export function isStanza(message: { readonly kind: string }): message is Stanza {
  return message.kind === 'message' || message.kind === 'presence' || message.kind === 'iq';
}

/** The hot kinds travel as flat primitives. */
export const STANZA_CODEC = {
  write: writeStanza,
  read: readStanzaFromWire,
};

export const UNDELIVERED_CODEC = {
  write: ({ stanza }: Undelivered, out: unknown[]): void => writeStanza(stanza, out),
  read: (input: readonly unknown[], cursor: WireCursor): Undelivered => new Undelivered(readStanzaFromWire(input, cursor)),
};

export const CLIENT_STANZA_CODEC = {
  write(message: ClientStanza, out: unknown[]): void {
    out.push(message.sid);
    writeStanza(message.stanza, out);
  },
  read(input: readonly unknown[], cursor: WireCursor): ClientStanza {
    const sid = input[cursor.at++] as string;
    return new ClientStanza(sid, readStanzaFromWire(input, cursor));
  },
};
