/**
 * Trees from checked XML, by fast-xml-parser with everything switched off that it would do on its own: trimming,
 * numbers, entities, DTDs. The framer has decided what is well-formed; this only arranges it, and a
 * property test holds the two together.
 *
 * Names reach the parser's objects with a mark in front, so that `constructor` or `__proto__` are names like
 * any other. What cannot be read gives `undefined`, never an exception.
 */
import { XMLParser } from 'fast-xml-parser';
import { Element, type Node } from './element.ts';
import { Framer } from './framer.ts';
import type { Frame, FramerLimits } from './frame.ts';
import { LIMITS_OF_DOCUMENT } from './limits.ts';
import { XML_NS } from './namespaces.ts';
import { normaliseValue, unescapeText } from './references.ts';

/** How large a tree may get. */
export type TreeLimits = Pick<FramerLimits, 'maxDepth' | 'maxElements'>;

/** In front of every name; no name of XML begins with it. */
const MARK = '.';
const TEXT_KEY = '#text';
const SECTION_KEY = '#cdata';
const ATTRIBUTES_KEY = ':@';
/** Around what is parsed: the parser drops text that is in no element. */
const WRAPPER = 'body';

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: MARK,
  textNodeName: TEXT_KEY,
  cdataPropName: SECTION_KEY,
  trimValues: false,
  parseTagValue: false,
  parseAttributeValue: false,
  processEntities: false,
  // Called twice for an empty-element tag.
  transformTagName: (name) => (name.startsWith(MARK) ? name : MARK + name),
  maxNestedTags: Number.MAX_SAFE_INTEGER, // counted here, against `maxDepth`
  jPath: false,
});

/** What the parser makes of an element, a text or a section: an object with one key beside its attributes. */
type Parsed = Readonly<Record<string, unknown>>;

interface Scope {
  readonly defaultNs: string;
  readonly prefixes: ReadonlyMap<string, string>;
}

const NO_PREFIXES: ReadonlyMap<string, string> = new Map([['xml', XML_NS]]);

/**
 * The children that a frame's body describes.
 *
 * @param body checked by a framer.
 * @param contentNs the default namespace the body stands under: `Frame.contentNs`.
 * @returns `undefined` for what the framer would not have let through, or past `limits`.
 *   Cost: O(length), tens of nanoseconds per byte; see bench/micro/xml.
 */
export function parseBody(body: string, contentNs: string, limits: TreeLimits = LIMITS_OF_DOCUMENT): Node[] | undefined {
  if (body === '') return [];
  if (!body.includes('<')) return [unescapeText(body)];
  let parsed: unknown;
  try {
    parsed = parser.parse(`<${WRAPPER}>${body}</${WRAPPER}>`);
  } catch {
    return undefined; // the parser throws for what is not XML
  }
  const root = Array.isArray(parsed) && parsed.length === 1 ? (parsed[0] as Parsed) : undefined;
  const content = root?.[MARK + WRAPPER];
  if (!Array.isArray(content)) return undefined;
  return new TreeBuilder(limits).nodes(content as Parsed[], { defaultNs: contentNs, prefixes: NO_PREFIXES }, 1);
}

/** The element of a frame; of an `open`, the root without content. `undefined` as for `parseBody`. */
export function elementOf(frame: Frame, limits: TreeLimits = LIMITS_OF_DOCUMENT): Element | undefined {
  const children = parseBody(frame.body, frame.contentNs, limits);
  if (children === undefined) return undefined;
  const attrs = Object.create(null) as Record<string, string>;
  for (let i = 0; i < frame.attrs.length; i += 2) attrs[frame.attrs[i]!] = frame.attrs[i + 1]!;
  return new Element(frame.name, frame.ns, attrs, children);
}

/**
 * Reads one element that stands alone: a stored item, a configuration value, an HTTP body. It goes through the
 * framer, so the rules are those of a stream; an XML declaration may precede it, white space may surround it.
 *
 * @returns `undefined` for anything else.
 */
export function parseElement(text: string, limits: FramerLimits = LIMITS_OF_DOCUMENT): Element | undefined {
  if (!text.isWellFormed()) return undefined;
  const framer = new Framer({ limits, contentNs: '' });
  framer.push(Buffer.from(text));
  const frame = framer.next();
  if (frame?.kind !== 'element' || framer.next() !== undefined || framer.buffered > 0) return undefined;
  return elementOf(frame, limits);
}

class TreeBuilder {
  private readonly limits: TreeLimits;
  private elements = 0;

  constructor(limits: TreeLimits) {
    this.limits = limits;
  }

  /** Adjacent texts become one. */
  nodes(items: readonly Parsed[], scope: Scope, depth: number): Node[] | undefined {
    const nodes: Node[] = [];
    for (const item of items) {
      const text = textOf(item);
      if (text !== undefined) {
        if (typeof nodes.at(-1) === 'string') nodes[nodes.length - 1] += text;
        else if (text !== '') nodes.push(text);
        continue;
      }
      const element = this.element(item, scope, depth + 1);
      if (element === undefined) return undefined;
      nodes.push(element);
    }
    return nodes;
  }

  private element(item: Parsed, outer: Scope, depth: number): Element | undefined {
    if (depth > this.limits.maxDepth || ++this.elements > this.limits.maxElements) return undefined;
    let tag: string | undefined;
    for (const key in item) if (key !== ATTRIBUTES_KEY) tag = key;
    if (tag === undefined || !tag.startsWith(MARK)) return undefined;
    const raw = item[ATTRIBUTES_KEY] as Readonly<Record<string, string>> | undefined;
    const scope = raw === undefined ? outer : scopeInside(raw, outer);
    const qname = tag.slice(MARK.length);
    const colon = qname.indexOf(':');
    const ns = colon < 0 ? scope.defaultNs : scope.prefixes.get(qname.slice(0, colon));
    const attrs = raw === undefined ? NO_ATTRIBUTES : attributes(raw, scope);
    const content = item[tag];
    if (ns === undefined || attrs === undefined || !Array.isArray(content)) return undefined;
    const children = this.nodes(content as Parsed[], scope, depth);
    return children === undefined ? undefined : new Element(qname.slice(colon + 1), ns, attrs, children);
  }
}

const NO_ATTRIBUTES = Object.freeze(Object.create(null) as Record<string, string>);

function textOf(item: Parsed): string | undefined {
  const text = item[TEXT_KEY];
  if (typeof text === 'string') return unescapeText(text);
  const section = item[SECTION_KEY];
  if (!Array.isArray(section)) return undefined;
  const content = (section[0] as Parsed | undefined)?.[TEXT_KEY];
  return typeof content === 'string' ? content : '';
}

/** The scope inside a tag with these attributes. */
function scopeInside(raw: Readonly<Record<string, string>>, outer: Scope): Scope {
  let { defaultNs } = outer;
  let prefixes: Map<string, string> | undefined;
  for (const key in raw) {
    if (key === MARK + 'xmlns') {
      defaultNs = normaliseValue(raw[key]!);
    } else if (key.startsWith(MARK + 'xmlns:')) {
      prefixes ??= new Map(outer.prefixes);
      prefixes.set(key.slice(MARK.length + 6), normaliseValue(raw[key]!));
    }
  }
  return prefixes === undefined && defaultNs === outer.defaultNs ? outer : { defaultNs, prefixes: prefixes ?? outer.prefixes };
}

function attributes(raw: Readonly<Record<string, string>>, scope: Scope): Record<string, string> | undefined {
  const attrs = Object.create(null) as Record<string, string>;
  for (const key in raw) {
    const qname = key.slice(MARK.length);
    const colon = qname.indexOf(':');
    const prefix = colon < 0 ? undefined : qname.slice(0, colon);
    if (qname === 'xmlns' || prefix === 'xmlns') continue;
    const value = normaliseValue(raw[key]!);
    if (prefix === undefined) {
      attrs[qname] = value;
      continue;
    }
    const uri = scope.prefixes.get(prefix);
    if (uri === undefined) return undefined;
    const local = qname.slice(colon + 1);
    attrs[uri === XML_NS && local === 'lang' ? 'xml:lang' : `{${uri}}${local}`] = value;
  }
  return attrs;
}
