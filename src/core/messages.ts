/**
 * What account, host and connection actors say to each other. All but stanzas is plain
 * data: it crosses threads by structured clone. Stanzas are messages themselves (kind
 * `message`, `presence`, `iq`). Long because it is the whole vocabulary: one look shows who may say what to whom.
 */
import type { ActorRef, ReplyTo } from '../kernel/actor.ts';
import type { TokenMechanism, TokenProof } from '../sasl/ht.ts';
import type { ScramRecord } from '../sasl/scram-record.ts';
import type { Ban } from './accounts.ts';
import type { BareJid } from '../xmpp/jid.ts';
import type { Condition } from '../xmpp/stanza-error.ts';
import type { Stanza, StanzaKind } from '../xmpp/stanza.ts';
import type { StreamCondition } from '../xmpp/stream-error.ts';
import { added, NOTHING } from './small-list.ts';
import { readStanzaFromWire, writeStanza, type WireCursor } from '../xmpp/wire.ts';

/** Every way a connection or session ends, as logs, metrics and tests name it. */
export const CLOSE_REASONS = [
  'account_removed',
  'account_disabled',
  'account_unreachable',
  'client_closed',
  'client_gone',
  'client_revoked',
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

/** Those that are the connection's and not the user's: under stream management the session waits to be resumed. XEP-0198 §5 */
export const RESUMABLE_REASONS: ReadonlySet<CloseReason> = new Set<CloseReason>([
  'account_unreachable',
  'client_gone',
  'crashed_too_often',
  'idle_timeout',
  'protocol_error',
  'shutdown',
  'slow_consumer',
]);

/** Stanzas a connection may send ahead of its account; credit is given back in halves of it. */
export const CREDIT_WINDOW = 64;

/**
 * A stanza from one of the account's own connections. The account takes number `taken + 1` and no other: what
 * it misses, because its mailbox was full or it was restarted, comes again with all that followed.
 */
export class ClientStanza {
  readonly kind = 'client_stanza';
  readonly sid: string;
  /** From 1, of all that the session has sent, whatever connection it had. */
  readonly number: number;
  readonly stanza: Stanza;
  readonly bytes: number;
  constructor(sid: string, number: number, stanza: Stanza) {
    this.sid = sid;
    this.number = number;
    this.stanza = stanza;
    this.bytes = stanza.bytes;
  }
}

/**
 * What a client sent that is no acceptable stanza, with the answer to it (none where none may be sent). The account takes
 * it like a stanza, so that both sides count the same. XEP-0198 §4
 */
export interface ClientRefusal {
  readonly kind: 'client_refusal';
  readonly sid: string;
  readonly number: number;
  /** Plain, since it may cross threads; undefined where no answer may be sent. RFC 6120 §8.3.1 */
  readonly answer: { readonly stanzaKind: StanzaKind; readonly id: string | undefined; readonly condition: Condition } | undefined;
}

/** A stanza from the account to one of its connections. */
export class Push {
  readonly kind = 'push';
  /** Number of the stanza under stream management, from 1 at `<enabled/>`; 0 without it. A connection takes no other than the next. */
  readonly seq: number;
  /** Of the message in the account's log; 0 for what is not there. */
  readonly position: number;
  readonly stanza: Stanza;
  /** Without stream management, of a message of the log: keys of all sessions that have got it, in whatever form, this one among them. */
  readonly holders: readonly number[];
  readonly bytes: number;
  constructor(seq: number, position: number, stanza: Stanza, holders: readonly number[] = NOTHING) {
    this.seq = seq;
    this.position = position;
    this.stanza = stanza;
    this.holders = holders;
    this.bytes = stanza.bytes;
  }
}

/** A message from one account of this server to another, which says when it has it: see `core/forwarding.ts`. */
export class Forward {
  readonly kind = 'forward';
  /** In the sender's log. */
  readonly position: number;
  /** Position of the message before it to the same recipient that may not have arrived; 0 if there is none. */
  readonly previous: number;
  /** When the sender's server got it: tells a later account of the same name, whose positions begin anew. */
  readonly atMs: number;
  readonly stanza: Stanza;
  readonly bytes: number;
  constructor(position: number, previous: number, atMs: number, stanza: Stanza) {
    this.position = position;
    this.previous = previous;
    this.atMs = atMs;
    this.stanza = stanza;
    this.bytes = stanza.bytes;
  }
}

/** Messages that may have arrived before: the recipient looks into its log. Followed by nothing until it is answered. */
export class ForwardAgain {
  readonly kind = 'forward_again';
  /** Bare JID of the sender. */
  readonly sender: BareJid;
  readonly messages: readonly { readonly position: number; readonly atMs: number; readonly stanza: Stanza }[];
  readonly bytes: number;
  constructor(sender: BareJid, messages: ForwardAgain['messages']) {
    this.sender = sender;
    this.messages = messages;
    this.bytes = messages.reduce((sum, { stanza }) => sum + stanza.bytes, 0);
  }
}

/**
 * A message from another server, by way of the link it came over. What the account is done with, the link may acknowledge: it is told
 * when that is durable. XEP-0198 §4
 */
export class RemoteMessage {
  readonly kind = 'remote_message';
  readonly link: ActorRef<RemoteTaken>;
  /** Among the stanzas of that link, from 1. */
  readonly number: number;
  readonly stanza: Stanza;
  readonly bytes: number;
  constructor(link: ActorRef<RemoteTaken>, number: number, stanza: Stanza) {
    this.link = link;
    this.number = number;
    this.stanza = stanza;
    this.bytes = stanza.bytes;
  }
}

/** To the link: that message is written down, delivered or refused. */
export interface RemoteTaken {
  readonly kind: 'remote_taken';
  readonly number: number;
}

/** To the sender: the recipient has written down, or refused, all of its messages up to that position. */
export interface Forwarded {
  readonly kind: 'forwarded';
  /** Bare JID of the recipient. */
  readonly by: BareJid;
  readonly position: number;
}

/** To the sender: a message came whose predecessor did not. */
export interface ForwardGap {
  readonly kind: 'forward_gap';
  /** Bare JID of the recipient. */
  readonly by: BareJid;
  /** Whoever could not take any before can now: what is owed is said again at once, also if it was said again before. */
  readonly isReady?: boolean;
}

/** Somebody should look after what a crash has left: at the start of the server, and when it is time to trim a log. */
export interface Wake {
  readonly kind: 'wake';
}

/** An external component came that a module waits for. */
export interface ComponentBound {
  readonly kind: 'component_bound';
  readonly domain: string;
}

/** Stream management for a session that has just begun or goes on without resumption. Answer: SmAnswer. XEP-0198 §3 */
export interface SmEnable {
  readonly kind: 'sm_enable';
  readonly replyTo: ReplyTo;
  readonly sid: string;
  /** The client wants to be able to resume. */
  readonly isResumable: boolean;
  /** Seconds the client would like; undefined leaves it to the server. */
  readonly maxSeconds: number | undefined;
  /** `number` of the last stanza before the client's count begins. Not what is taken: it may still lack some of them. */
  readonly base: number;
}

/** Refused where the session is gone or has it already. */
export type SmAnswer =
  | {
      readonly ok: true;
      /** For `<resume previd=…/>`; undefined where the session cannot be resumed. */
      readonly token: string | undefined;
      readonly maxSeconds: number;
      /** `number` of the last stanza before the client's count began: `h` is `taken - base`. */
      readonly base: number;
    }
  | { readonly ok: false };

/** The client has got all up to `seq`: its `h`, without the wrapping. XEP-0198 §4 */
export interface SmAck {
  readonly kind: 'sm_ack';
  readonly sid: string;
  readonly seq: number;
}

/** The client wants to know what was taken: a Credit with `isAnswer` follows when all before it is durable. XEP-0198 §4 */
export interface SmRequest {
  readonly kind: 'sm_request';
  readonly sid: string;
}

/**
 * The client says whether somebody looks at it. No stanza: it has no number, and one that did not get through is said again
 * by the connection, which knows the latest. XEP-0352 §4.2
 */
export interface ClientState {
  readonly kind: 'client_state';
  readonly sid: string;
  readonly isActive: boolean;
}

/** A client that has logged in anew takes up its session. Answer: ResumeAnswer. XEP-0198 §5 */
export interface Resume {
  readonly kind: 'resume';
  readonly replyTo: ReplyTo;
  /** `previd` as the client sent it. */
  readonly token: string;
  /** Modulo 2^32. */
  readonly h: number;
  /** Of the new connection; its `sid` is the session's from now on. */
  readonly identity: SessionIdentity;
}

export type ResumeAnswer =
  | {
      readonly ok: true;
      readonly resource: string;
      readonly account: ActorRef<AccountMessage>;
      /** As in Credit and SmAnswer. */
      readonly taken: number;
      readonly base: number;
      /** `seq` of the last push the client has: the next is one more. */
      readonly seq: number;
    }
  | {
      readonly ok: false;
      readonly condition: 'item-not-found' | 'unexpected-request';
      /** What `<failed/>` tells where the session is still known. XEP-0198 §5 */
      readonly h: number | undefined;
    }
  /** The client claims to have got more than it was sent. XEP-0198 §4 */
  | { readonly ok: false; readonly condition: 'handled-count-too-high'; readonly h: number; readonly sent: number };

/** Behind the answer to Attach: what the connection has got, so that pushing can go on behind it. */
export interface Ready {
  readonly kind: 'ready';
  readonly sid: string;
  /** `seq` of the last push it took, and of the last that the client has acknowledged. */
  readonly received: number;
  readonly acked: number;
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
  /** Which of the account's clients it is (`clientKey`), where that has said so. XEP-0388 §Initiation */
  readonly client?: string | undefined;
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

/**
 * A login with all that the client wants at once, done in one turn or not at all. XEP-0388, XEP-0386, XEP-0484. Answer: LogInAnswer.
 * What proves the client has been checked, but for a token.
 */
export interface LogIn {
  readonly kind: 'log_in';
  readonly replyTo: ReplyTo;
  /** Of the session that is to be. */
  readonly identity: SessionIdentity;
  readonly isAnonymous: boolean;
  /** How the client has proved itself; undefined where a token is to prove it. */
  readonly method: 'password' | 'certificate' | undefined;
  /** What is told of the client, where it has said which one it is. */
  readonly agent: { readonly software: string | undefined; readonly device: string | undefined } | undefined;
  readonly token: TokenLogin | undefined;
  /** The mechanism that the client wants a token for. */
  readonly wantsToken: TokenMechanism | undefined;
  /** Further stored forms of the password. XEP-0480 */
  readonly upgrades: readonly ScramRecord[];
  readonly resume: Pick<Resume, 'token' | 'h'> | undefined;
  /** Only where nothing is resumed. */
  readonly bind: BindRequest | undefined;
}

export interface TokenLogin {
  readonly proof: TokenProof;
  /** XEP-0484 §3.4 */
  readonly count: number | undefined;
  /** XEP-0484 §3.6 */
  readonly isInvalidated: boolean;
}

/** XEP-0386 */
export interface BindRequest {
  readonly tag: string | undefined;
  /** XEP-0198 */
  readonly sm: Pick<SmEnable, 'isResumable' | 'maxSeconds'> | undefined;
  /** Nobody looks at the client. XEP-0352 */
  readonly isInactive: boolean;
  /** What modules are to switch on, each as it stands in the request. */
  readonly features: readonly { readonly name: string; readonly ns: string; readonly xml: string }[];
}

export type LogInAnswer =
  | { readonly ok: false; readonly condition: 'not-authorized' | 'credentials-expired' }
  | {
      readonly ok: true;
      readonly account: ActorRef<AccountMessage>;
      /** Proves to the client that the server has its token. */
      readonly proof: Uint8Array | undefined;
      readonly newToken: { readonly token: string; readonly expiresAtMs: number } | undefined;
      readonly resume: ResumeAnswer | undefined;
      readonly bind: BoundAnswer | undefined;
    };

/** `xml`: what modules have to say of it. */
export type BoundAnswer =
  | (Extract<BindAnswer, { ok: true }> & { readonly sm: SmAnswer | undefined; readonly xml: string })
  | Extract<BindAnswer, { ok: false }>;

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
  /** `number` of the last stanza known to be taken; where the account knows better, its answer says so. */
  readonly taken: number;
  /** Of stream management with resumption, as SmAnswer gave it. */
  readonly token: string | undefined;
}

/**
 * The connection is over; so is the session, unless stream management keeps it (reasons that are the connection's alone). Where `replyTo` is given, the answer (true) comes when all that the
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
  readonly push: Push;
  readonly bytes: number;
  constructor(push: Push) {
    this.push = push;
    this.bytes = push.bytes;
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
  /** Why it is disabled, where that was said, and by whom. */
  readonly ban?: { readonly reason: string; readonly by: string } | undefined;
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
  readonly ban: Ban | undefined;
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
  /** Stanzas it has sent. */
  readonly taken: number;
  readonly priority: number | undefined;
  readonly show: string;
  /** Since when it waits to be resumed; undefined while it has a connection. Milliseconds since the epoch. */
  readonly detachedAtMs: number | undefined;
}

/** Closes sessions of the account; all without `resource`. Answer: how many. */
export interface Kick {
  readonly kind: 'kick';
  readonly replyTo: ReplyTo;
  readonly resource: string | undefined;
  readonly reason: CloseReason;
}

/** Asks what a module offers to commands. Answer: OperationAnswer. See `core/operations.ts`. */
export interface Operate {
  readonly kind: 'operate';
  readonly replyTo: ReplyTo;
  /** Its name. */
  readonly operation: string;
  /** Plain data. */
  readonly args: unknown;
}

/** What an account understands; a stanza is for its owner. */
export type AccountMessage =
  | Stanza
  | ClientStanza
  | ClientRefusal
  | Forward
  | ForwardAgain
  | RemoteMessage
  | Forwarded
  | ForwardGap
  | Wake
  | ComponentBound
  | SmEnable
  | SmAck
  | SmRequest
  | ClientState
  | Resume
  | Ready
  | Bind
  | LogIn
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
  | Kick
  | Operate;

/**
 * How many of the connection's stanzas the account has taken in all: it may send as many more as that is more than
 * it knew. A total, so that it can be said again after a crash, which drops what was said last.
 */
export interface Credit {
  readonly kind: 'credit';
  readonly sid: string;
  readonly taken: number;
  /** Of those, how many may be acknowledged to the client: less while the store cannot write. XEP-0198 §4 */
  readonly saved: number;
  /** To SmRequest. */
  readonly isAnswer: boolean;
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

/** To a connection that may not have watched the account yet when that crashed: it has to attach its session. */
export interface AccountRestarted {
  readonly kind: 'account_restarted';
  readonly sid: string;
}

/** What a bound connection understands; a push is for the client. */
export type ConnectionMessage = Push | Credit | CloseStream | SessionNote | AccountRestarted | Drain;

export function isStanza(message: { readonly kind: string }): message is Stanza {
  return message.kind === 'message' || message.kind === 'presence' || message.kind === 'iq';
}

/** The hot kinds travel as flat primitives. */
export const STANZA_CODEC = {
  write: writeStanza,
  read: readStanzaFromWire,
};

export const PUSH_CODEC = {
  write(push: Push, out: unknown[]): void {
    const { seq, position, holders } = push;
    out.push(seq, position, holders.length);
    for (let i = 0; i < holders.length; i++) out.push(holders[i]);
    writeStanza(push.stanza, out);
  },
  read(input: readonly unknown[], cursor: WireCursor): Push {
    const seq = input[cursor.at++] as number;
    const position = input[cursor.at++] as number;
    let holders: readonly number[] = NOTHING;
    for (let left = input[cursor.at++] as number; left > 0; left--) holders = added(holders, input[cursor.at++] as number);
    return new Push(seq, position, readStanzaFromWire(input, cursor), holders);
  },
};

export const FORWARD_CODEC = {
  write(message: Forward, out: unknown[]): void {
    out.push(message.position, message.previous, message.atMs);
    writeStanza(message.stanza, out);
  },
  read(input: readonly unknown[], cursor: WireCursor): Forward {
    const position = input[cursor.at++] as number;
    const previous = input[cursor.at++] as number;
    const atMs = input[cursor.at++] as number;
    return new Forward(position, previous, atMs, readStanzaFromWire(input, cursor));
  },
};

export const FORWARD_AGAIN_CODEC = {
  write({ sender, messages }: ForwardAgain, out: unknown[]): void {
    out.push(sender, messages.length);
    for (const { position, atMs, stanza } of messages) {
      out.push(position, atMs);
      writeStanza(stanza, out);
    }
  },
  read(input: readonly unknown[], cursor: WireCursor): ForwardAgain {
    const sender = input[cursor.at++] as BareJid;
    const messages: ForwardAgain['messages'][number][] = [];
    for (let left = input[cursor.at++] as number; left > 0; left--) {
      const position = input[cursor.at++] as number;
      const atMs = input[cursor.at++] as number;
      messages.push({ position, atMs, stanza: readStanzaFromWire(input, cursor) });
    }
    return new ForwardAgain(sender, messages);
  },
};

export const REMOTE_MESSAGE_CODEC = {
  write({ link, number, stanza }: RemoteMessage, out: unknown[]): void {
    out.push(link.node, link.worker, link.id, number);
    writeStanza(stanza, out);
  },
  read(input: readonly unknown[], cursor: WireCursor): RemoteMessage {
    const link = { node: input[cursor.at++] as number, worker: input[cursor.at++] as number, id: input[cursor.at++] as number };
    const number = input[cursor.at++] as number;
    return new RemoteMessage(link, number, readStanzaFromWire(input, cursor));
  },
};

export const UNDELIVERED_CODEC = {
  write: ({ push }: Undelivered, out: unknown[]): void => PUSH_CODEC.write(push, out),
  read: (input: readonly unknown[], cursor: WireCursor): Undelivered => new Undelivered(PUSH_CODEC.read(input, cursor)),
};

export const CLIENT_STANZA_CODEC = {
  write(message: ClientStanza, out: unknown[]): void {
    out.push(message.sid, message.number);
    writeStanza(message.stanza, out);
  },
  read(input: readonly unknown[], cursor: WireCursor): ClientStanza {
    const sid = input[cursor.at++] as string;
    const number = input[cursor.at++] as number;
    return new ClientStanza(sid, number, readStanzaFromWire(input, cursor));
  },
};

/** Codecs by kind, for every worker to register in this order. */
export const CODECS = {
  message: STANZA_CODEC,
  presence: STANZA_CODEC,
  iq: STANZA_CODEC,
  client_stanza: CLIENT_STANZA_CODEC,
  push: PUSH_CODEC,
  forward: FORWARD_CODEC,
  forward_again: FORWARD_AGAIN_CODEC,
  undelivered: UNDELIVERED_CODEC,
  remote_message: REMOTE_MESSAGE_CODEC,
} as const;
