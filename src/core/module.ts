/**
 * A feature is one declaration. Start, stop, registration and discovery are the
 * framework's job; a third party writes modules against this file and `context.ts`.
 */
import type * as z from 'zod';
import type { Store, TableName } from '../store/store.ts';
import type { Element } from '../xml/element.ts';
import type { DiscoInfo } from '../xmpp/caps.ts';
import type { DataForm } from '../xmpp/data-form.ts';
import type { Jid, BareJid } from '../xmpp/jid.ts';
import type { Condition, StanzaError } from '../xmpp/stanza-error.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { AdhocCommand } from './adhoc.ts';
import type { AnyCommand } from './command.ts';
import type { AccountContext, HostContext, StreamContext } from './context.ts';
import type { Guest } from './guest.ts';
import type { Host } from './host.ts';
import type { Direction } from '../log/entry.ts';
import type { TrimPolicy } from '../log/trim.ts';
import type { ModuleHooks, PushGuard, RouteGuard } from './hooks.ts';
import type { AccountOperation, WorkerOperation } from './operations.ts';
import type { Portable } from './portable.ts';
import type { ServiceIqHandler, ServiceSpec } from './service.ts';
import type { Session } from './session.ts';

/** A specification a module obeys; the README's table is generated from these. */
export interface Implements {
  /** 'XEP-0199', 'RFC 6121'. */
  readonly spec: string;
  /** Of the text that was followed. */
  readonly version: string;
  readonly status: 'complete' | 'partial';
  /** What is missing or chosen, where that helps a reader. */
  readonly note?: string;
}

/** An IQ result without a payload. */
export const EMPTY_RESULT = Symbol('empty result');
/** The handler answers by itself, later. */
export const NO_ANSWER = Symbol('no answer');

export type IqAnswer = Element | typeof EMPTY_RESULT | typeof NO_ANSWER | StanzaError;

/** A get or set that reached its handler. */
export class IqRequest {
  readonly stanza: Stanza;
  /** The sender's session where the request comes from the account's own client. */
  readonly session: Session | undefined;
  private readonly name: string;
  private readonly ns: string;
  constructor(stanza: Stanza, session: Session | undefined) {
    const head = stanza.children[0]!;
    this.stanza = stanza;
    this.session = session;
    this.name = head.name;
    this.ns = head.ns;
  }
  get from(): Jid {
    return this.stanza.from;
  }
  /** The one child; builds the tree. */
  get payload(): Element {
    return this.stanza.child(this.name, this.ns)!;
  }
}

type Payload = readonly [name: string, ns: string];

export type IqHandler =
  /**
   * Asked of an account: its bare JID, or no address at all. By default only its owner may ask;
   * `anyone` leaves the decision to the handler.
   */
  | {
      readonly to: 'account';
      readonly type: 'get' | 'set';
      readonly from?: 'owner' | 'anyone';
      /**
       * What others than the owner are told, whether the account exists or not. By default `service-unavailable`.
       * A function also answers for accounts that do not exist where a full JID is asked.
       */
      readonly refusal?: Condition | ((request: Stanza) => IqAnswer);
      readonly payload: Payload;
      readonly run: (request: IqRequest, account: AccountContext) => IqAnswer | Promise<IqAnswer>;
    }
  /** Asked of the sender's own server about the sender's account: runs in that account. */
  | {
      readonly to: 'own_server';
      readonly type: 'get' | 'set';
      readonly payload: Payload;
      readonly run: (request: IqRequest, account: AccountContext) => IqAnswer | Promise<IqAnswer>;
    }
  /** Asked of the host itself, by anyone. */
  | {
      readonly to: 'server';
      readonly type: 'get' | 'set';
      readonly payload: Payload;
      readonly run: (request: IqRequest, context: HostContext) => IqAnswer | Promise<IqAnswer>;
    }
  /** Asked of any service of the host. */
  | ({ readonly to: 'service' } & ServiceIqHandler)
  /** Asked on a stream that has not logged in yet. */
  | {
      readonly to: 'stream';
      readonly type: 'get' | 'set';
      readonly payload: Payload;
      readonly run: (payload: Element, stream: StreamContext) => IqAnswer | Promise<IqAnswer>;
    };

/** State a module keeps of each account, in the account's actor, as long as that is loaded. */
export interface AccountSlot<T> {
  readonly name: string;
  /** Runs once per load of the account (also of one that is created just now). */
  readonly load: (store: Store, bare: BareJid, host: Host) => Promise<T> | T;
}

/** Who asks for a node of a host, for modules that tell some more than others. */
export interface NodeQuery {
  readonly host: Host;
  readonly node: string;
  readonly from: Jid;
  /** See IqRequest. */
  readonly session: Session | undefined;
}

/** What a node is, and what belongs to it; undefined where the module has no such node. */
export interface ServerNodes {
  readonly info: (query: NodeQuery) => DiscoInfo | StanzaError | undefined;
  readonly items: (query: NodeQuery) => readonly DiscoItem[] | StanzaError | undefined;
}

/** XEP-0030 §4 */
export interface DiscoItem {
  readonly jid: string;
  readonly node?: string | undefined;
  readonly name?: string | undefined;
}

/** Something a client may have switched on with the session it binds. XEP-0386 §Discovering support */
export interface BindFeature {
  /** As it is advertised. Several may share one. */
  readonly feature: string;
  /** The element that asks for it. */
  readonly payload: Payload;
  /**
   * Runs before the client knows of its session: nothing may be pushed to that yet.
   *
   * @returns what the client is told, if anything.
   */
  readonly run: (account: AccountContext, session: Session, payload: Element) => Element | undefined;
}

/** What is said in the name of a host and of its accounts by somebody else. */
export interface NestedInfo {
  readonly server: readonly DiscoInfo[];
  readonly account: readonly DiscoInfo[];
  /** Namespaces of which nothing else is said. */
  readonly replaced: readonly string[];
  /** Grows with every change. */
  readonly version: number;
}

/** XEP-0030 identity. */
export interface Identity {
  readonly category: string;
  readonly type: string;
  readonly name?: string;
}

/** Nodes of accounts that disco tells of. XEP-0030 §3.2, §4.2. `undefined`: another module's, or nobody's. */
export interface AccountNodes {
  /** Among the items of the account itself. */
  readonly items: (account: AccountContext, from: Jid) => readonly Element[];
  readonly info: (account: AccountContext, node: string, from: Jid) => DiscoInfo | undefined;
  readonly itemsOf: (account: AccountContext, node: string, from: Jid) => readonly Element[] | StanzaError | undefined;
}

/** A contact in somebody's roster that the operator has put there. */
export interface SharedContact {
  /** Bare. */
  readonly jid: Jid;
  /** Unless the user gives it another one. */
  readonly name: string;
  /** Beside those the user puts it in. */
  readonly groups: readonly string[];
  /** As far as it is shared. */
  readonly subscription: 'to' | 'from' | 'both';
  /** False: the user does not see the contact, which sees the user. */
  readonly isListed: boolean;
}

export interface ModuleSpec<C = unknown> {
  /** snake_case; its key in the config file and the name of its test. */
  readonly name: string;
  readonly implements: readonly Implements[];
  /** Modules that must be enabled, too, and whose exports this one uses. */
  readonly needs?: readonly string[];
  /** Shape and defaults of the module's section in the config file. */
  readonly config?: z.ZodType<C>;
  readonly tables?: readonly TableName[];
  /** How rows leave with an account for another server, and come back; those of tables not named here leave as they are. XEP-0227 */
  readonly portable?: readonly Portable[];
  /** Disco features of the server. A function where they depend on configuration. */
  readonly features?: readonly string[] | ((host: Host) => readonly string[]);
  /** Disco features and identities of an account (its bare JID). */
  readonly accountFeatures?: readonly string[];
  readonly identities?: readonly Identity[];
  readonly accountIdentities?: readonly Identity[];
  readonly accountNodes?: AccountNodes;
  /** Ad-hoc commands of the module: those that are more than the form of one of the registry. XEP-0050 */
  readonly adhoc?: readonly AdhocCommand[];
  /** What the module adds to the server's discovery: forms of type `result`. XEP-0128 */
  readonly serverForms?: (host: Host) => readonly DataForm[];
  /** Nodes of the server's discovery that are the module's. XEP-0030 §3.2 */
  readonly serverNodes?: ServerNodes;
  /** Commands that come with the module; they run on the main thread and reach accounts and workers by the operations below. */
  readonly commands?: readonly AnyCommand[];
  /** What commands may ask of accounts of hosts on which the module is enabled. */
  // oxlint-disable-next-line no-explicit-any
  readonly accountOperations?: readonly AccountOperation<any, any>[];
  /** What commands may ask of worker threads. */
  // oxlint-disable-next-line no-explicit-any
  readonly workerOperations?: readonly WorkerOperation<any, any>[];
  /** Elements for `<stream:features/>`, before and after login: the same for all streams of the host that are secured alike, until the configuration changes. */
  readonly streamFeatures?: (stream: Pick<StreamContext, 'host' | 'isSecure'>, isAuthenticated: boolean) => readonly Element[];
  /** Whether a username is kept for somebody else than that guest, if there is one. */
  readonly reservesUsername?: (host: Host, local: string, guest: Guest | undefined, nowMs: number) => Promise<boolean>;
  readonly bindFeatures?: readonly BindFeature[];
  /** What a client is told of its account with a session it binds, as it is at that moment. XEP-0386 */
  readonly tellBound?: (account: AccountContext) => Promise<Element>;
  readonly iq?: readonly IqHandler[];
  /** A domain of its own beside the host. */
  readonly service?: ServiceSpec;
  /**
   * Sees what is addressed to the virtual host itself before anything else does. `taken`: it is dealt with. `everywhere`: so it is, and
   * the host on the other workers is to see it, too. Undefined: not its business.
   */
  readonly toHost?: (stanza: Stanza, context: HostContext) => 'taken' | 'everywhere' | undefined;
  /** Whether somebody who is not the owner of an account may ask what only owners may. An error says that he is known, and may not. */
  readonly admits?: (host: Host, request: Stanza) => boolean | StanzaError;
  /** Whether accounts with sessions are to be told (`component_bound`) when that component comes. */
  readonly watches?: (host: Host, domain: string) => boolean;
  /** What others add to, or replace in, what the host and its accounts say of themselves. XEP-0355 §7.2 */
  readonly nestedInfo?: (host: Host) => NestedInfo;
  /** An external component is there: once on each worker, first on that of its connection (`isLocal`). XEP-0114 */
  readonly componentBound?: (domain: string, isLocal: boolean, context: HostContext) => void;
  readonly hooks?: ModuleHooks;
  /** See PushGuard. */
  readonly guardsPush?: PushGuard;
  /** See RouteGuard. */
  readonly guardsRoute?: RouteGuard;
  /** Whether the archive is to show a message that the log takes in; where no module says so, it does not. */
  readonly archives?: (account: AccountContext, stanza: Stanza, direction: Direction) => boolean;
  /** How long what the archive shows is kept, and how much of it; read anew each time. Where no module says so, for ever. */
  readonly retains?: (host: Host) => TrimPolicy;
  /** Contacts that accounts have without having asked for them; read when an account is loaded. What changes later is the module's to say. */
  readonly sharesContacts?: (host: Host, bare: BareJid) => Promise<readonly SharedContact[]>;
  readonly slots?: readonly AccountSlot<never>[] | readonly AccountSlot<unknown>[];
}

/** Declares a module; the types of its config flow into nothing else, so handlers read it by `host.config(module)`. */
export function defineModule<C = unknown>(spec: ModuleSpec<C>): ModuleSpec<C> {
  return spec;
}
