/**
 * Services: domains beside a host whose addressees are no accounts, e.g. pubsub.capulet.lit. A module declares one; each of its
 * entities (the whole domain, or an address of it) is an actor on the home worker of its name, with a partition of the store.
 */
import type { Key, Store, Table } from '../store/store.ts';
import type { Element } from '../xml/element.ts';
import type { DiscoInfo } from '../xmpp/caps.ts';
import type { BareJid, Jid } from '../xmpp/jid.ts';
import type { StanzaError } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { HostContext } from './context.ts';
import type { Host } from './host.ts';
import type { Identity, IqAnswer, IqRequest } from './module.ts';

/** One entity, during one turn. What `AccountContext` says of turns, changes and `later` holds here, too. */
export interface ServiceContext extends HostContext {
  /** The entity's: the domain, or the address that `keyOf` gave. */
  readonly jid: Jid;
  readonly bare: BareJid;
  readonly service: ServiceSpec;
  /** What `load` made. */
  readonly state: unknown;
  put<V>(table: Table<V>, key: Key, value: V): void;
  delete<V>(table: Table<V>, key: Key): void;
  later<T>(work: Promise<T>, then: (context: ServiceContext, value: T) => void): void;
}

export interface ServiceIqHandler {
  readonly type: 'get' | 'set';
  readonly payload: readonly [name: string, ns: string];
  readonly run: (request: IqRequest, context: ServiceContext) => IqAnswer | Promise<IqAnswer>;
}

/** A host as its settings describe it. */
export type ServedHost = Pick<Host, 'domain' | 'settings'>;

export interface ServiceSpec {
  /** snake_case; names its actors. */
  readonly kind: string;
  /** Under that host; undefined: it has none. Known from the settings alone, so that a component of the same name is found before anything runs. */
  readonly domain: (host: ServedHost) => string | undefined;
  /** The name of the entity that takes a stanza to this address. Default: the domain, so that there is one. */
  readonly keyOf?: (to: Jid) => string;
  readonly load: (store: Store, bare: BareJid, host: Host) => Promise<unknown>;
  /** XEP-0030, of the domain. */
  readonly identities: readonly Identity[];
  readonly features: readonly string[];
  /** Nodes and items for disco; as `AccountNodes`. */
  readonly nodes?: {
    readonly items: (context: ServiceContext, from: Jid) => readonly Element[];
    readonly info: (context: ServiceContext, node: string, from: Jid) => DiscoInfo | undefined;
    readonly itemsOf: (context: ServiceContext, node: string, from: Jid) => readonly Element[] | StanzaError | undefined;
  };
  /** What it is asked beside what modules answer for all services (`to: 'service'`). */
  readonly iq: readonly ServiceIqHandler[];
  /** Messages and presence, and answers to requests of its own. An error goes back to the sender. */
  readonly receive?: (stanza: Stanza, context: ServiceContext) => StanzaError | undefined;
}

/** A service of one host. */
export interface ServiceDomain {
  readonly domain: string;
  readonly host: Host;
  readonly spec: ServiceSpec;
}
