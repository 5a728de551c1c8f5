/**
 * Stanzas as they travel inside the server: a parsed header and a checked body that
 * stays text. A tree exists only after a handler asked for one.
 *
 * A stanza is itself a kernel message (it has `kind` and `bytes`), so sending one from
 * actor to actor allocates nothing. Immutable but for the tree it caches.
 */
import { el, type Element } from '../xml/element.ts';
import { NO_CHILDREN, type ChildHead, type Frame } from '../xml/frame.ts';
import { escapeAttr, serialize } from '../xml/serialize.ts';
import { parseBody, type TreeLimits } from '../xml/tree.ts';
import { parseJid, type Jid } from './jid.ts';
import { NS } from './namespaces.ts';
import { StanzaError, stanzaErrorElement } from './stanza-error.ts';

export type StanzaKind = 'message' | 'presence' | 'iq';

/** RFC 6121 §5.2.2 */
export type MessageType = 'normal' | 'chat' | 'groupchat' | 'headline' | 'error';
/** RFC 6121 §4.7.1; `available` stands for the absence of the attribute. */
export type PresenceType = 'available' | 'unavailable' | 'subscribe' | 'subscribed' | 'unsubscribe' | 'unsubscribed' | 'probe' | 'error';
/** RFC 6120 §8.2.3 */
export type IqType = 'get' | 'set' | 'result' | 'error';
export type StanzaType = MessageType | PresenceType | IqType;

/** A framer has held the body against the limits of its stream, which are the operator's. */
const CHECKED: TreeLimits = { maxDepth: Infinity, maxElements: Infinity };

const END_TAGS: Readonly<Record<StanzaKind, string>> = { message: '</message>', presence: '</presence>', iq: '</iq>' };
/** What a header is taken to weigh in mailboxes, beside id and language. */
const HEADER_BYTES = 160;

/** What a new stanza is made of; `kind`, `type`, `to` and `from` are always known inside the server. */
export interface StanzaInit {
  readonly kind: StanzaKind;
  readonly type: StanzaType;
  readonly to: Jid;
  readonly from: Jid;
  readonly id?: string | undefined;
  readonly lang?: string | undefined;
  /** Inner XML under default namespace `jabber:client`, from a checked source. */
  readonly body?: string;
  readonly children?: readonly ChildHead[];
  /** False where a client named no addressee: its presence is then for all subscribers. Default true. */
  readonly hasTo?: boolean;
}

export class Stanza {
  readonly kind: StanzaKind;
  readonly type: StanzaType;
  readonly to: Jid;
  readonly from: Jid;
  /** As the sender chose it; undefined where there was none (never on an IQ). */
  readonly id: string | undefined;
  readonly lang: string | undefined;
  /** Inner XML, self-contained under default namespace `jabber:client`. */
  readonly body: string;
  readonly children: readonly ChildHead[];
  /** What it counts for in mailboxes and buffers: characters of body, id and language, and something for the rest of the header; roughly its size on the wire. */
  readonly bytes: number;
  /** False for what a client sent without a `to` (RFC 6120 §10.3); `to` is then its own account. */
  readonly hasTo: boolean;
  private tree: Element | undefined;

  constructor(init: StanzaInit) {
    this.kind = init.kind;
    this.type = init.type;
    this.to = init.to;
    this.from = init.from;
    this.id = init.id;
    this.lang = init.lang;
    this.body = init.body ?? '';
    this.children = init.children ?? NO_CHILDREN;
    // All that a peer chooses the length of, or limits by size would be none.
    this.bytes =
      this.body.length + HEADER_BYTES + (init.id === undefined ? 0 : init.id.length) + (init.lang === undefined ? 0 : init.lang.length);
    this.hasTo = init.hasTo ?? true;
    this.tree = undefined;
  }

  /** Whether a direct child of that name and namespace is there. Reads the heads; builds no tree. */
  has(name: string, ns: string): boolean {
    const { children } = this;
    for (let i = 0; i < children.length; i++) {
      const child = children[i]!;
      if (child.name === name && child.ns === ns) return true;
    }
    return false;
  }

  /** The whole stanza as a tree, built at the first call (about 7 us for 300 bytes). */
  element(): Element {
    this.tree ??= el(this.kind, NS.client, this.attrs(), ...(parseBody(this.body, NS.client, CHECKED) ?? []));
    return this.tree;
  }

  /** The first child element with that name and namespace; an IQ's payload for instance. */
  child(name: string, ns: string): Element | undefined {
    return this.has(name, ns) ? this.element().child(name, ns) : undefined;
  }

  /** The same content under other addresses. */
  readdressed(from: Jid, to: Jid): Stanza {
    return new Stanza({
      kind: this.kind,
      type: this.type,
      id: this.id,
      lang: this.lang,
      body: this.body,
      children: this.children,
      from,
      to,
    });
  }

  /** The same header with other content. */
  withContent(children: readonly (Element | string)[]): Stanza {
    const { kind, type, to, from, id, lang, hasTo } = this;
    return makeStanza({ kind, type, to, from, id, lang, hasTo }, ...children);
  }

  /** The same stanza with elements added at the end of its content. No tree is built of what was there. */
  withAppended(...added: readonly Element[]): Stanza {
    const xml = added.map((child) => serialize(child, NS.client)).join('');
    return this.withMore(xml, [...this.children, ...added.map(({ name, ns }) => ({ name, ns }))]);
  }

  /** The same for an element that is text already: self-contained, of a checked source, with its head. */
  withAppendedXml(xml: string, head: ChildHead): Stanza {
    const { children } = this;
    return this.withMore(xml, children.length === 1 ? [children[0]!, head] : [...children, head]); // a list with room for no more is a third as large
  }

  /**
   * As text for a stream whose default namespace is the content namespace (client or server alike).
   *
   * @param last what the last one to the same reader began with; becomes that of this one.
   */
  toXml(last?: LastHead): string {
    let xml = last === undefined ? this.head() : last.of(this);
    if (this.id !== undefined) xml += " id='" + escapeAttr(this.id) + "'";
    if (this.lang !== undefined) xml += " xml:lang='" + escapeAttr(this.lang) + "'";
    return this.body === '' ? xml + '/>' : xml + '>' + this.body + END_TAGS[this.kind];
  }

  /** Its start tag up to the type. */
  head(): string {
    const { kind, type, from, to } = this;
    const xml = '<' + kind + " from='" + from.xml + "' to='" + to.xml;
    return type === 'normal' || type === 'available' ? xml + "'" : xml + "' type='" + type + "'";
  }

  /** An error about an error would loop for ever. RFC 6120 §8.3.1 */
  get mayBeAnsweredWithError(): boolean {
    return this.type !== 'error' && this.type !== 'result';
  }

  private withMore(xml: string, children: readonly ChildHead[]): Stanza {
    const { kind, type, to, from, id, lang, body, hasTo } = this;
    return new Stanza({ kind, type, to, from, id, lang, body: body + xml, children, hasTo });
  }

  private attrs(): Record<string, string | undefined> {
    const type = this.type === 'normal' || this.type === 'available' ? undefined : this.type;
    return { from: this.from.full, to: this.to.full, type, id: this.id, 'xml:lang': this.lang };
  }
}

/**
 * What the last stanza to a reader began with. In a conversation the next one begins likewise: that is seen by its addresses, which are
 * the same objects then, and is one text in place of nine, which cost more to join than all else that is written.
 */
export class LastHead {
  private kind: StanzaKind | undefined = undefined;
  private type: StanzaType | undefined = undefined;
  private from: Jid | undefined = undefined;
  private to: Jid | undefined = undefined;
  /** Made for the second of a kind. */
  private text = '';

  of(stanza: Stanza): string {
    const { kind, type, from, to } = stanza;
    if (from !== this.from || to !== this.to || type !== this.type || kind !== this.kind) {
      this.kind = kind;
      this.type = type;
      this.from = from;
      this.to = to;
      this.text = '';
      return stanza.head();
    }
    if (this.text === '') {
      this.text = stanza.head();
      this.text.charCodeAt(0); // for the engine, it is one text only from the first look into it
    }
    return this.text;
  }
}

/** Builds a stanza around elements of ours. */
export function makeStanza(init: Omit<StanzaInit, 'body' | 'children'>, ...content: readonly (Element | string | undefined)[]): Stanza {
  let body = '';
  const children: ChildHead[] = [];
  for (const part of content) {
    if (part === undefined) continue;
    if (typeof part === 'string') {
      body += serializeText(part);
    } else {
      body += serialize(part, NS.client);
      children.push({ name: part.name, ns: part.ns });
    }
  }
  return new Stanza({ ...init, body, children });
}

/** Text directly inside a stanza is never ours to write but for white space. */
function serializeText(text: string): string {
  return text.trim() === '' ? text : escapeAttr(text);
}

/** The answer to an IQ get or set. RFC 6120 §8.2.3 */
export function iqResult(request: Stanza, payload?: Element): Stanza {
  return makeStanza({ kind: 'iq', type: 'result', id: request.id, to: request.from, from: request.to }, payload);
}

/**
 * The error answer to `stanza`, with the sender's content left out (RFC 6120 §8.3.1 makes it optional,
 * and what is not sent back cannot amplify). Only for stanzas that `mayBeAnsweredWithError`.
 */
export function errorAnswer(stanza: Stanza, error: StanzaError): Stanza {
  return makeStanza({ kind: stanza.kind, type: 'error', id: stanza.id, to: stanza.from, from: stanza.to }, stanzaErrorElement(error));
}

/** A first-level element that is no acceptable stanza, with what is needed to say so. */
export interface RefusedStanza {
  readonly kind: 'refused';
  readonly stanzaKind: StanzaKind;
  readonly type: string;
  readonly id: string | undefined;
  /** The address as received; may be no JID at all. */
  readonly to: string | undefined;
  readonly error: StanzaError;
}

const MESSAGE_TYPES: ReadonlySet<string> = new Set<MessageType>(['normal', 'chat', 'groupchat', 'headline', 'error']);
const PRESENCE_TYPES: ReadonlySet<string> = new Set<string>([
  'unavailable',
  'subscribe',
  'subscribed',
  'unsubscribe',
  'unsubscribed',
  'probe',
  'error',
]);
const IQ_TYPES: ReadonlySet<string> = new Set<IqType>(['get', 'set', 'result', 'error']);

/**
 * Reads the header of a framed stanza. Attributes other than the five of RFC 6120 §8.1 are dropped.
 *
 * @param frame an element named message, presence or iq in the stream's content namespace.
 * @param from the authenticated sender: what the frame claims was compared by the caller.
 * @param implicitTo who is meant where there is no `to`. RFC 6120 §10.3
 * @param implicitLang the stream's `xml:lang`, for a stanza that has none. RFC 6120 §8.1.5
 * @param addressee whom the sender has written to last: who is written to again need not be looked up.
 */
export function readStanza(frame: Frame, from: Jid, implicitTo: Jid, implicitLang?: string, addressee?: Jid): Stanza | RefusedStanza {
  const kind = frame.name as StanzaKind;
  let type: string | undefined;
  let id: string | undefined;
  let lang = implicitLang;
  let toText: string | undefined;
  const { attrs } = frame;
  for (let i = 0; i < attrs.length; i += 2) {
    const value = attrs[i + 1]!;
    switch (attrs[i]) {
      case 'to':
        toText = value;
        break;
      case 'type':
        type = value;
        break;
      case 'id':
        id = value;
        break;
      case 'xml:lang':
        lang = value;
        break;
      default:
    }
  }
  const to = toText === undefined ? implicitTo : toText === addressee?.full ? addressee : parseJid(toText);
  if (to === undefined) return refuse(new StanzaError('jid-malformed')); // RFC 6120 §8.3.3.8
  switch (kind) {
    case 'message':
      if (type === undefined || !MESSAGE_TYPES.has(type)) type = 'normal'; // RFC 6121 §5.2.2
      break;
    case 'presence':
      if (type === undefined) type = 'available';
      else if (!PRESENCE_TYPES.has(type)) return refuse(new StanzaError('bad-request')); // RFC 6121 §4.7.1
      break;
    case 'iq':
      if (id === undefined || type === undefined || !IQ_TYPES.has(type)) return refuse(new StanzaError('bad-request')); // RFC 6120 §8.2.3
      if ((type === 'get' || type === 'set') && frame.children.length !== 1) return refuse(new StanzaError('bad-request'));
      if (type === 'result' && frame.children.length > 1) return refuse(new StanzaError('bad-request'));
      break;
  }
  return new Stanza({
    kind,
    type: type as StanzaType,
    to,
    from,
    id,
    lang,
    body: frame.body,
    children: frame.children,
    hasTo: toText !== undefined,
  });

  function refuse(error: StanzaError): RefusedStanza {
    return { kind: 'refused', stanzaKind: kind, type: type ?? '', id, to: toText, error };
  }
}

/**
 * The error for a refused stanza as XML, or `undefined` where none may be sent.
 *
 * @param by who answers: the server, since the address meant may be none. RFC 6120 §8.3.1
 */
export function refusalXml(refused: RefusedStanza, by: Jid, to: Jid): string | undefined {
  if (refused.type === 'error' || refused.type === 'result') return undefined;
  const attrs = { from: by.full, to: to.full, type: 'error', id: refused.id };
  return serialize(el(refused.stanzaKind, NS.client, attrs, stanzaErrorElement(refused.error)), NS.client);
}
