/** A session is a bound resource of an account. RFC 6121 §2.2 */
import type { ActorRef } from '../kernel/actor.ts';
import type { Jid } from '../xmpp/jid.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { ConnectionMessage, SessionIdentity } from './messages.ts';

/** State a module keeps with each session, e.g. whether carbons are on. */
export interface SessionSlot<T> {
  readonly name: string;
  readonly initial: () => T;
}

export class Session {
  readonly identity: SessionIdentity;
  readonly sid: string;
  /** Full JID. */
  readonly jid: Jid;
  readonly connection: ActorRef<ConnectionMessage>;
  /** The last presence the client sent to all: undefined while it is not an *available* resource. */
  presence: Stanza | undefined = undefined;
  /** Of that presence; -128 to 127. RFC 6121 §4.7.2.3 */
  priority = 0;
  /** Asked for the roster, so it gets pushes: an *interested* resource. */
  isInterested = false;
  /** Who got directed presence and must hear of its end, by JID as given. RFC 6121 §4.6.3 */
  readonly directed = new Map<string, Jid>();
  /** Stanzas of the client taken so far; the connection is told in batches. */
  taken = 0;
  private slots: Map<SessionSlot<never>, unknown> | undefined = undefined;

  constructor(identity: SessionIdentity, jid: Jid) {
    this.identity = identity;
    this.sid = identity.sid;
    this.jid = jid;
    this.connection = identity.connection;
  }

  get isAvailable(): boolean {
    return this.presence !== undefined;
  }

  /** May be given messages that are addressed to the account. RFC 6121 §8.5.2.1 */
  get takesMessages(): boolean {
    return this.presence !== undefined && this.priority >= 0;
  }

  get<T>(slot: SessionSlot<T>): T {
    this.slots ??= new Map();
    const key = slot as SessionSlot<never>;
    if (!this.slots.has(key)) this.slots.set(key, slot.initial());
    return this.slots.get(key) as T;
  }

  set<T>(slot: SessionSlot<T>, value: T): void {
    this.slots ??= new Map();
    this.slots.set(slot as SessionSlot<never>, value);
  }
}
