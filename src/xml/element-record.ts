/**
 * What is known of the element being read: where its parts are, which tags are open, which namespaces are in
 * scope. It decides everything that is about tags as wholes; the bytes are the scanner's.
 *
 * All positions are relative to the element's first byte, since the buffer may move while more is awaited.
 */
import { utf8Text } from './bytes.ts';
import { FAILURES } from './failures.ts';
import { NO_CHILDREN, withChild, type ChildHead, type FrameError, type FramerLimits } from './frame.ts';
import { headOf, intern } from './intern.ts';
import { STREAMS_NS, XML_NS, XMLNS_NS } from './namespaces.ts';
import type { Opening } from './openings.ts';
import { normaliseValue } from './references.ts';

/** What the scanned bytes are part of. */
export type ScanTarget = 'header' | 'element';

/** What a stream header has declared for all that follows. */
export interface StreamScope {
  readonly prefixes: readonly string[];
  readonly uris: readonly string[];
  readonly defaultNs: string;
  /** Declarations, the default one included: they count towards `maxNamespaces`. */
  readonly declarations: number;
  /** Qualified name of the root, which the stream's end tag must repeat; undefined where there can be no end tag. */
  readonly rootName: Uint8Array | undefined;
}

/** A prefix that was declared outside of a body and is used in it. */
export interface OuterPrefix {
  readonly prefix: string;
  readonly uri: string;
}

/** In scope where no stream header was read. */
export const NO_SCOPE: StreamScope = { prefixes: [], uris: [], defaultNs: '', declarations: 0, rootName: undefined };

/** Stands for the namespace of the prefix `xml`, which is bound to no other. */
const XML_URI_ID = -1_000_000;

/** Fields of one attribute in `attributes`. */
export const ATTRIBUTE_FIELDS = 6;
export const NAME_AT = 0;
export const NAME_END = 1;
/** Position of the colon in the name, or -1. */
export const COLON_AT = 2;
export const VALUE_AT = 3;
export const VALUE_END = 4;
export const FLAGS = 5;

/** Bits of FLAGS. */
export const HAS_REFERENCE = 1;
export const HAS_WHITESPACE = 2;
export const IS_DECLARATION = 4;

/** Fields of one open element in `open`. */
export const OPEN_FIELDS = 4;

export class ElementRecord {
  /** Qualified name, namespace and default namespace inside, of the first-level element or the header. */
  name = '';
  ns = '';
  contentNs = '';
  /** Direct children. */
  children: readonly ChildHead[] = NO_CHILDREN;
  hasText = false;
  /** Whether the first-level start tag, or what follows it, has bytes beyond ASCII. */
  isHeadMultibyte = false;
  isMultibyte = false;
  /** The body holds what is not to be forwarded as it is: CDATA, a carriage return, prefixes from outside. */
  mustRewrite = false;
  /** Prefixes declared outside of the body and used in it. */
  outerPrefixes: OuterPrefix[] = [];
  /** Attributes of the first-level start tag come first; those of the tag being read follow. ATTRIBUTE_FIELDS each. */
  attributes = new Int32Array(16 * ATTRIBUTE_FIELDS);
  /** Attributes of the first-level start tag, declarations included. */
  headAttributes = 0;
  /** Where the body is. */
  bodyAt = 0;
  bodyEnd = 0;
  /** What was read is the stream's end tag. */
  isStreamEnd = false;
  /** What was read is an empty-element tag. */
  isEmptyTag = false;
  /** Set with FAILED. */
  failure: FrameError = FAILURES.markup;
  /** Namespace bindings in scope below the header's: prefix and URI. */
  prefixes: string[] = [];
  uris: string[] = [];
  /** Per binding: equal for equal URIs, so that long ones are compared once and not for each pair of attributes. */
  private uriIds: number[] = [];
  /** Default namespaces declared in scope, below the header's. */
  defaultDeclarations = 0;

  protected target: ScanTarget = 'element';
  protected scope: StreamScope = NO_SCOPE;
  /** Open elements of the first-level element, itself included. */
  protected depth = 0;
  protected elements = 0;
  /** Per open element: where its name is, its length, bindings and default declarations around it. */
  protected open = new Int32Array(16 * OPEN_FIELDS);
  /** Per open element: the default namespace inside. */
  protected defaults: string[] = [];
  /** Bindings that stand outside of the body. */
  protected outerBindings = 0;
  /** Of the binding that `lookup` found: whether it is one of those, and its URI's id. */
  protected isOuterBinding = false;
  private uriId = 0;

  protected nameAt = 0;
  /** Where the name of the tag read last ends. */
  nameEnd = 0;
  protected nameColon = -1;
  /** Of the tag being read. */
  protected tagBindings = 0;
  protected tagDefaults = 0;
  protected tagDefault: string | undefined = undefined;
  protected opening: Opening | undefined = undefined;
  protected attributeCount = 0;
  protected prefixedAttributes = 0;

  /** Of the attribute being read: its name, the colon in it, its value. */
  protected tokenAt = 0;
  protected tokenEnd = 0;
  protected colonAt = -1;
  protected valueAt = 0;
  protected valueFlags = 0;

  /** Prepares for an element whose first byte, a `<`, is known. */
  begin(target: ScanTarget, scope: StreamScope): void {
    this.target = target;
    this.scope = scope;
    this.name = '';
    this.ns = '';
    this.contentNs = '';
    this.children = NO_CHILDREN;
    this.hasText = false;
    this.isHeadMultibyte = false;
    this.isMultibyte = false;
    this.mustRewrite = false;
    if (this.outerPrefixes.length > 0) this.outerPrefixes = [];
    this.headAttributes = 0;
    this.bodyAt = 0;
    this.bodyEnd = 0;
    this.isStreamEnd = false;
    this.isEmptyTag = false;
    if (this.prefixes.length > 0) {
      this.prefixes.length = 0;
      this.uris.length = 0;
      this.uriIds.length = 0;
    }
    this.defaultDeclarations = 0;
    this.depth = 0;
    this.elements = 0;
    this.outerBindings = 0;
    this.attributeCount = 0;
  }

  /** Whether keeping it for another element holds no more memory than an ordinary one took. */
  get isSmall(): boolean {
    return this.attributes.length + this.open.length <= 1024;
  }

  /** The namespace bound to `prefix` where the scanner stands. */
  lookup(prefix: string): string | undefined {
    const { prefixes, uris, scope } = this;
    for (let i = prefixes.length - 1; i >= 0; i--) {
      if (prefixes[i] === prefix) {
        this.isOuterBinding = i < this.outerBindings;
        this.uriId = this.uriIds[i]!;
        return uris[i];
      }
    }
    for (let i = scope.prefixes.length - 1; i >= 0; i--) {
      if (scope.prefixes[i] === prefix) {
        this.isOuterBinding = true;
        this.uriId = this.uriIdOf(scope.uris[i]!);
        return scope.uris[i];
      }
    }
    this.isOuterBinding = false;
    this.uriId = XML_URI_ID;
    return prefix === 'xml' ? XML_NS : undefined;
  }

  protected refuse(failure: FrameError): boolean {
    this.failure = failure;
    return false;
  }

  /** After the last byte of an attribute's name: it must be new in its tag. XML 1.0 §3.1 */
  protected endAttributeName(buf: Buffer, base: number, pos: number): boolean {
    const { attributes } = this;
    const at = this.tokenAt;
    const length = pos - base - at;
    for (let i = this.headAttributes; i < this.attributeCount; i++) {
      const field = i * ATTRIBUTE_FIELDS;
      const other = attributes[field + NAME_AT]!;
      if (attributes[field + NAME_END]! - other === length && isSameBytes(buf, base + other, base + at, length)) {
        return this.refuse(FAILURES.duplicate);
      }
    }
    this.tokenEnd = at + length;
    return true;
  }

  /** At the closing quote: notes the attribute, and declares what it declares. */
  protected endAttribute(buf: Buffer, base: number, pos: number, limits: FramerLimits): boolean {
    let field = this.attributeCount++ * ATTRIBUTE_FIELDS;
    if (field + ATTRIBUTE_FIELDS > this.attributes.length) this.attributes = grown(this.attributes);
    const { attributes } = this;
    const nameAt = this.tokenAt;
    const isDeclaration = isXmlns(buf, base + nameAt, (this.colonAt >= 0 ? this.colonAt : this.tokenEnd) - nameAt);
    attributes[field++] = nameAt;
    attributes[field++] = this.tokenEnd;
    attributes[field++] = this.colonAt;
    attributes[field++] = this.valueAt;
    attributes[field++] = pos - base;
    attributes[field] = this.valueFlags | (isDeclaration ? IS_DECLARATION : 0);
    if (isDeclaration) return this.bindNamespace(buf, base, pos, limits);
    if (this.colonAt >= 0) this.prefixedAttributes++;
    return true;
  }

  /** A namespace declaration. Namespaces in XML 1.0 §3, §5, §6 */
  protected bindNamespace(buf: Buffer, base: number, pos: number, limits: FramerLimits): boolean {
    const valueAt = base + this.valueAt;
    const uri = this.valueFlags !== 0 ? normaliseValue(utf8Text(buf, valueAt, pos)) : valueAt === pos ? '' : intern(buf, valueAt, pos).text;
    if (this.colonAt < 0) {
      if (uri === XML_NS || uri === XMLNS_NS) return this.refuse(FAILURES.namespace);
      this.tagDefault = uri;
      this.defaultDeclarations++;
    } else {
      const prefix = intern(buf, base + this.colonAt + 1, base + this.tokenEnd).text;
      if (prefix === 'xml') return uri === XML_NS || this.refuse(FAILURES.namespace);
      if (prefix === 'xmlns' || uri === '' || uri === XML_NS || uri === XMLNS_NS) return this.refuse(FAILURES.namespace);
      this.uriIds.push(this.uriIdOf(uri));
      this.prefixes.push(prefix);
      this.uris.push(uri);
    }
    const inScope = this.scope.declarations + this.prefixes.length + this.defaultDeclarations;
    return inScope <= limits.maxNamespaces || this.refuse(FAILURES.maxNamespaces);
  }

  /** After the `>` of a start tag: everything that could not be known before all of its declarations. */
  protected endStartTag(buf: Buffer, base: number, pos: number, isEmpty: boolean): boolean {
    const { depth } = this;
    const defaultNs = this.tagDefault ?? (depth === 0 ? this.scope.defaultNs : this.defaults[depth - 1]!);
    let ns: string | undefined = defaultNs;
    let localAt = base + this.nameAt;
    if (this.nameColon >= 0) {
      ns = this.resolve(intern(buf, localAt, base + this.nameColon).text);
      if (ns === undefined) return this.refuse(FAILURES.prefix);
      localAt = base + this.nameColon + 1;
    }
    if (this.prefixedAttributes > 0 && !this.checkPrefixes(buf, base)) return false;
    if (depth === 0) {
      const name = this.opening === undefined ? intern(buf, localAt, base + this.nameEnd).text : this.opening.name.text;
      if (!this.beginBody(name, ns, defaultNs, pos - base)) return false;
    } else if (depth === 1) {
      const head = this.opening === undefined ? headOf(intern(buf, localAt, base + this.nameEnd), ns) : this.opening.head;
      this.children = withChild(this.children, head);
    }
    if (depth > 0 && ns === STREAMS_NS) return this.refuse(FAILURES.nestedStream);
    if (!isEmpty) {
      const entry = depth * OPEN_FIELDS;
      if (entry + OPEN_FIELDS > this.open.length) this.open = grown(this.open);
      const { open } = this;
      open[entry] = this.nameAt;
      open[entry + 1] = this.nameEnd - this.nameAt;
      open[entry + 2] = this.tagBindings;
      open[entry + 3] = this.tagDefaults;
      this.defaults[depth] = defaultNs;
      this.depth = depth + 1;
    } else if (depth > 0) {
      this.undeclare(this.tagBindings, this.tagDefaults);
    }
    return true;
  }

  /** The start tag of the header or of the first-level element is complete. */
  protected beginBody(name: string, ns: string, defaultNs: string, at: number): boolean {
    if (this.target === 'header') {
      if (ns !== STREAMS_NS) return this.refuse(FAILURES.streamNamespace); // RFC 6120 §4.8.1
      if (name !== 'stream') return this.refuse(FAILURES.root);
    } else if (ns === STREAMS_NS && name !== 'error' && name !== 'features') {
      return this.refuse(FAILURES.nestedStream);
    }
    this.name = name;
    this.ns = ns;
    this.contentNs = defaultNs;
    this.bodyAt = at;
    this.bodyEnd = at;
    this.headAttributes = this.attributeCount;
    this.outerBindings = this.prefixes.length;
    this.isHeadMultibyte = this.isMultibyte;
    this.isMultibyte = false;
    return true;
  }

  protected closeElement(): void {
    this.depth--;
    const entry = this.depth * OPEN_FIELDS;
    this.undeclare(this.open[entry + 2]!, this.open[entry + 3]!);
  }

  protected undeclare(bindings: number, defaults: number): void {
    if (this.prefixes.length > bindings) {
      this.prefixes.length = bindings;
      this.uris.length = bindings;
      this.uriIds.length = bindings;
    }
    this.defaultDeclarations = defaults;
  }

  /** As `lookup`, for the tag being read; inside of a body it notes what the body cannot do without. */
  protected resolve(prefix: string): string | undefined {
    const uri = this.lookup(prefix);
    if (uri !== undefined && this.depth > 0 && this.isOuterBinding) this.noteOuterPrefix(prefix, uri);
    return uri;
  }

  /** The place of the first binding to `uri`, those of the header counted down from -1. */
  private uriIdOf(uri: string): number {
    const ofHeader = this.scope.uris.indexOf(uri);
    if (ofHeader >= 0) return -1 - ofHeader;
    const ofElement = this.uris.indexOf(uri);
    return ofElement >= 0 ? this.uriIds[ofElement]! : this.uris.length;
  }

  protected noteOuterPrefix(prefix: string, uri: string): void {
    this.mustRewrite = true;
    for (const outer of this.outerPrefixes) if (outer.prefix === prefix) return;
    this.outerPrefixes.push({ prefix, uri });
  }

  /** Attributes with a prefix: it must be bound, and no two may have one expanded name. Namespaces in XML 1.0 §5, §6.3 */
  protected checkPrefixes(buf: Buffer, base: number): boolean {
    const { attributes } = this;
    const seen: { readonly uriId: number; readonly at: number; readonly length: number }[] | undefined =
      this.prefixedAttributes > 1 ? [] : undefined;
    for (let i = this.headAttributes; i < this.attributeCount; i++) {
      const field = i * ATTRIBUTE_FIELDS;
      const colonAt = attributes[field + COLON_AT]!;
      if (colonAt < 0 || (attributes[field + FLAGS]! & IS_DECLARATION) !== 0) continue;
      if (this.resolve(intern(buf, base + attributes[field + NAME_AT]!, base + colonAt).text) === undefined)
        return this.refuse(FAILURES.prefix);
      if (seen === undefined) return true;
      const { uriId } = this;
      const at = base + colonAt + 1;
      const length = base + attributes[field + NAME_END]! - at;
      for (const other of seen) {
        if (other.uriId === uriId && other.length === length && isSameBytes(buf, other.at, at, length))
          return this.refuse(FAILURES.duplicate);
      }
      seen.push({ uriId, at, length });
    }
    return true;
  }
}

export function isSameBytes(buf: Uint8Array, one: number, other: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (buf[one + i] !== buf[other + i]) return false;
  return true;
}

/** Whether the name, or the prefix, at `at` is `xmlns`. */
export function isXmlns(buf: Uint8Array, at: number, length: number): boolean {
  return length === 5 && buf[at] === 0x78 && buf[at + 1] === 0x6d && buf[at + 2] === 0x6c && buf[at + 3] === 0x6e && buf[at + 4] === 0x73;
}

export function grown(array: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
