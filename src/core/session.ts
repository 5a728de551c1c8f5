/** A session is a bound resource of an account. RFC 6121 §2.2 */
import { SmallMap } from '../kernel/small-map.ts';
import type { ActorRef } from '../kernel/actor.ts';
import type { OpenRequest } from '../log/entry.ts';
import type { Jid } from '../xmpp/jid.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { ConnectionMessage, SessionIdentity } from './messages.ts';
import { Outbound } from './outbound.ts';

/** State a module keeps with each session, e.g. whether carbons are on. */
export interface SessionSlot<T> {
  readonly name: string;
  readonly initial: () => T;
  /** Survives restarts of account and server with a session that can be resumed; then `T` is plain JSON. */
  readonly isKept?: boolean;
}

/** A session under stream management. XEP-0198 */
export interface StreamManagement {
  /** For resumption; undefined where the client did not want that. */
  readonly token: string | undefined;
  /** How long it waits for its client to come back. */
  readonly maxMs: number;
  /** Stanzas taken before the client began to count. */
  readonly base: number;
}

const NO_REQUESTS: readonly OpenRequest[] = [];
/** Requests of a client that are remembered so that a crash can be answered for. */
const MAX_REQUESTS = 32;

export class Session {
  /** Of the connection it has, or had last. */
  identity: SessionIdentity;
  /** Names the session in the log and the store; never changes. */
  readonly key: number;
  /** Full JID. */
  readonly jid: Jid;
  /** Undefined while it waits to be resumed. */
  connection: ActorRef<ConnectionMessage> | undefined;
  readonly outbound = new Outbound();
  sm: StreamManagement | undefined = undefined;
  /** Since when there is no connection, in milliseconds since the epoch. */
  detachedAtMs: number | undefined = undefined;
  /** It comes from the store: what was in memory only is gone. */
  isRestored = false;
  /** False after a restart of the account: the client may have got more than the log tells. */
  isCountKnown = true;
  /** The last presence the client sent to all: undefined while it is not an *available* resource. */
  presence: Stanza | undefined = undefined;
  /** Of that presence; -128 to 127. RFC 6121 §4.7.2.3 */
  priority = 0;
  /** Asked for the roster, so it gets pushes: an *interested* resource. */
  isInterested = false;
  /** Who got directed presence and must hear of its end, by JID as given. RFC 6121 §4.6.3 */
  readonly directed = new SmallMap<string, Jid>();
  /** Stanzas of the client taken so far; the connection is told in batches. */
  taken = 0;
  /** IQ requests of the client whose answer it has not acknowledged, by id; kept under stream management. */
  readonly requests = new SmallMap<string, OpenRequest>();
  /** Of the stanzas taken, how many the store knows of: no more may be acknowledged. */
  savedTaken = 0;
  /** What waits for it is being read, or the client is reading it. */
  isBusy = false;
  /** Grows whenever its connection or its queue is another one: what was begun before is void. */
  generation = 0;
  /** First position of the log from which on it was given what is for the account. */
  takesFrom = Infinity;
  /** Requests have come since the store was told of them. */
  hasUnsavedRequests = false;
  /** It goes on being handed what waits when the client has acknowledged what it got. */
  isAwaitingAck = false;
  /** Its row in the store has to be written again. */
  isDirty = false;
  private slots: SmallMap<SessionSlot<never>, unknown> | undefined = undefined;
  /** Kept values by name, as they came from the store. */
  private restored: Readonly<Record<string, unknown>> | undefined = undefined;

  constructor(identity: SessionIdentity, jid: Jid, key = keyOf(identity.sid)) {
    this.identity = identity;
    this.jid = jid;
    this.key = key;
    this.connection = identity.connection;
  }

  get sid(): string {
    return this.identity.sid;
  }

  get isAvailable(): boolean {
    return this.presence !== undefined;
  }

  /** May be given messages that are addressed to the account. RFC 6121 §8.5.2.1 */
  get takesMessages(): boolean {
    return this.presence !== undefined && this.priority >= 0;
  }

  get<T>(slot: SessionSlot<T>): T {
    const key = slot as SessionSlot<never>;
    const value = this.slots?.get(key);
    if (value !== undefined) return value as T;
    if (this.slots?.has(key) === true) return undefined as T; // it was set to that
    const { restored } = this;
    const { isKept = false, name } = slot;
    const isKnown = isKept && restored !== undefined && Object.hasOwn(restored, name);
    const first = isKnown ? (restored[name] as T) : slot.initial();
    if (first !== undefined) (this.slots ??= new SmallMap()).set(key, first);
    return first;
  }

  set<T>(slot: SessionSlot<T>, value: T): void {
    this.slots ??= new SmallMap();
    this.slots.set(slot as SessionSlot<never>, value);
    if (slot.isKept === true) this.isDirty = true;
  }

  /** The client asks something whose answer may get lost. */
  noteRequest({ id, to }: Stanza): void {
    if (id === undefined || this.requests.size >= MAX_REQUESTS || this.requests.has(id)) return;
    this.requests.set(id, { id, to: to.full, seq: 0 });
    this.hasUnsavedRequests = true;
  }

  /** The client was sent an answer, or has acknowledged it. */
  noteAnswer({ kind, type, id }: Stanza, seq: number): void {
    if (kind !== 'iq' || id === undefined || (type !== 'result' && type !== 'error') || this.requests.size === 0) return;
    const request = this.requests.get(id);
    if (request === undefined) return;
    if (request.seq === seq) this.requests.delete(id);
    else request.seq = seq;
  }

  /** For the log: empty for most messages. */
  openRequests(): readonly OpenRequest[] {
    this.hasUnsavedRequests = false;
    return this.requests.size === 0 ? NO_REQUESTS : Array.from(this.requests.values(), (request) => ({ ...request }));
  }

  /** Values of slots that are kept, by name. */
  keptSlots(): Record<string, unknown> {
    const kept: Record<string, unknown> = { ...this.restored };
    for (const [slot, value] of this.slots ?? []) if (slot.isKept === true) kept[slot.name] = value;
    return kept;
  }

  restoreSlots(values: Readonly<Record<string, unknown>>): void {
    this.restored = values;
  }
}

/** 48 bits of the id a session was bound with. */
export function keyOf(sid: string): number {
  return Buffer.from(sid.slice(0, 8), 'base64url').readUIntBE(0, 6);
}
