/**
 * How what is kept of an account leaves for another server and comes back: as the elements of XEP-0227, or of a
 * namespace of ours where that has none. Modules declare it (`portable`); src/portability does the rest.
 */
import type { Key, Range, Row, Table, TableName } from '../store/store.ts';
import type { Element } from '../xml/element.ts';
import { parseJid, type BareJid, type Jid } from '../xmpp/jid.ts';
import { NS } from '../xmpp/namespaces.ts';
import { makeStanza, type MessageType, type PresenceType, type Stanza } from '../xmpp/stanza.ts';

/** Local name and namespace. */
export type ElementName = readonly [name: string, ns: string];

/** Part of what a module keeps of an account, as elements. */
export interface Portable {
  /** Tables these elements stand for, and those whose rows need not leave. Rows of a module's other tables leave as they are. */
  readonly tables: readonly TableName[];
  /** What `write` gives and `read` takes. */
  readonly elements: readonly ElementName[];
  /**
   * The child of `<user/>` that the elements stand in; by default they are such children themselves. It is read and written
   * element by element, so there may be any number of them.
   */
  readonly within?: ElementName;
  /** Elements as text, each declaring the namespaces it uses. Rows may change meanwhile. */
  readonly write: (account: AccountRows) => AsyncIterable<string>;
  /** Called for an account whose document has such elements; the account has no other rows then. */
  readonly read: (account: AccountImport) => PortableReader;
}

/** Takes the elements of one account, in the order of the document. */
export interface PortableReader {
  /** False for what it cannot make sense of: the operator is told. */
  take(element: Element): boolean | Promise<boolean>;
  /** No more elements follow. */
  end?(): void | Promise<void>;
}

/** The rows of one account. */
export interface AccountRows {
  /** Whether a server works with the account: what it has in memory only is not known then. */
  readonly isInUse: boolean;
  readonly jid: Jid;
  readonly bare: BareJid;
  get<V>(table: Table<V>, key: Key): Promise<V | undefined>;
  /** In key order, a limited number at a time, so that no table is in memory as a whole. */
  pages<V>(table: Table<V>, range?: Pick<Range, 'prefix' | 'from' | 'to'>): AsyncIterable<readonly Row<V>[]>;
}

/** The rows of an account that is being made. Nobody else reads it before it is complete. */
export interface AccountImport extends AccountRows {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** Of a message, as stanzas count themselves: a longer one could not be sent to a client. */
  readonly maxStanzaBytes: number;
  /** Of what is sent in one piece, such as a roster. */
  readonly maxAnswerBytes: number;
  /** Gathered and written between elements; `get` and `pages` see it from then on. */
  put<V>(table: Table<V>, key: Key, value: V): void;
  delete<V>(table: Table<V>, key: Key): void;
}

/** The stanza as an element that stands alone. */
export function stanzaXml(stanza: Stanza): string {
  const name = '<' + stanza.kind;
  return name + " xmlns='" + NS.client + "'" + stanza.toXml().slice(name.length);
}

const MESSAGE_TYPES: readonly string[] = ['normal', 'chat', 'groupchat', 'headline', 'error'] satisfies MessageType[];

/**
 * A message from a document. Lines between its children are left out.
 *
 * @param owner whose it is: the address that is taken where one is missing.
 * @returns `undefined` for another element, or one with an address that is none.
 */
export function messageOf(element: Element, owner: Jid): Stanza | undefined {
  if (!element.is('message', NS.client)) return undefined;
  const from = addressOf(element, 'from') ?? owner;
  const to = addressOf(element, 'to') ?? owner;
  if (from === MALFORMED || to === MALFORMED) return undefined;
  const given = element.attr('type') ?? 'normal';
  const type = (MESSAGE_TYPES.includes(given) ? given : 'normal') as MessageType; // RFC 6121 §5.2.2
  return makeStanza({ kind: 'message', type, from, to, id: element.attr('id'), lang: element.attr('xml:lang') }, ...element.elements());
}

/** A presence of that type from a contact to `owner`; `undefined` for another element, or without a contact. */
export function presenceOf(element: Element, type: PresenceType, owner: Jid): Stanza | undefined {
  if (!element.is('presence', NS.client) || element.attr('type') !== type) return undefined;
  const from = addressOf(element, 'from');
  if (from === undefined || from === MALFORMED) return undefined;
  const id = element.attr('id');
  return makeStanza({ kind: 'presence', type, from, to: owner, id, lang: element.attr('xml:lang') }, ...element.elements());
}

const MALFORMED = Symbol('malformed');

function addressOf(element: Element, attribute: 'from' | 'to'): Jid | undefined | typeof MALFORMED {
  const text = element.attr(attribute);
  return text === undefined || text === '' ? undefined : (parseJid(text) ?? MALFORMED);
}
