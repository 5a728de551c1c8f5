/**
 * XML as the test's side of a stream reads it. On purpose another parser (saxes)
 * than the server's: a test that shared its bugs could not find them.
 */
import { SaxesParser } from 'saxes';

export interface XmlElement {
  readonly name: string;
  readonly ns: string;
  /** By local name; `xml:lang` under that name, other prefixed ones as `{ns}name`. */
  readonly attrs: Readonly<Record<string, string>>;
  readonly children: readonly XmlNode[];
}

export type XmlNode = XmlElement | string;

/** What a stream brings. `closed`: the bytes have ended, with or without an end tag. */
export type StreamEvent =
  | { readonly kind: 'open'; readonly attrs: Readonly<Record<string, string>> }
  | { readonly kind: 'element'; readonly element: XmlElement }
  | { readonly kind: 'close' }
  | { readonly kind: 'error'; readonly text: string }
  | { readonly kind: 'closed' };

interface OpenElement {
  name: string;
  ns: string;
  attrs: Record<string, string>;
  children: XmlNode[];
}

const XML_NS = 'http://www.w3.org/XML/1998/namespace';
const XMLNS_NS = 'http://www.w3.org/2000/xmlns/';

/** Reads one XML stream, a piece at a time. A restarted stream needs a new reader. */
export class StreamReader {
  private readonly parser = new SaxesParser({ xmlns: true });
  private readonly path: OpenElement[] = [];
  private depth = 0;

  constructor(emit: (event: StreamEvent) => void) {
    const { parser, path } = this;
    const addText = (text: string) => path.at(-1)?.children.push(text);
    parser.on('text', addText);
    parser.on('cdata', addText);
    parser.on('error', (error) => emit({ kind: 'error', text: error.message }));
    parser.on('opentag', (tag) => {
      const attrs: Record<string, string> = {};
      for (const { uri, local, value } of Object.values(tag.attributes)) {
        if (uri === XMLNS_NS) continue;
        attrs[uri === XML_NS ? `xml:${local}` : uri === '' ? local : `{${uri}}${local}`] = value;
      }
      if (this.depth++ === 0) emit({ kind: 'open', attrs });
      else path.push({ name: tag.local, ns: tag.uri, attrs, children: [] });
    });
    parser.on('closetag', () => {
      if (--this.depth === 0) {
        emit({ kind: 'close' });
        return;
      }
      const element = path.pop()!;
      const parent = path.at(-1);
      if (parent === undefined) emit({ kind: 'element', element });
      else parent.children.push(element);
    });
  }

  write(text: string): void {
    this.parser.write(text);
  }
}

/**
 * Parses one or more elements as they would stand in a client's stream.
 *
 * @param declarations more namespace declarations in scope.
 * @throws Error where the test's own XML is wrong.
 */
export function parseElements(xml: string, declarations = ''): XmlElement[] {
  const elements: XmlElement[] = [];
  const reader = new StreamReader((event) => {
    if (event.kind === 'error') throw new Error(`the test's XML is wrong: ${event.text}\n${xml}`);
    if (event.kind === 'element') elements.push(event.element);
  });
  reader.write(
    `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' ${declarations}>${xml}</stream:stream>`,
  );
  return elements;
}

export function isElement(node: XmlNode): node is XmlElement {
  return typeof node !== 'string';
}

export function childElements(element: XmlElement): XmlElement[] {
  return element.children.filter(isElement);
}

/** The first child with that name, in `ns` where that is given. */
export function childOf(element: XmlElement, name: string, ns?: string): XmlElement | undefined {
  return childElements(element).find((child) => child.name === name && (ns === undefined || child.ns === ns));
}

/** All character data directly inside. */
export function textOf(element: XmlElement): string {
  return element.children.filter((node) => !isElement(node)).join('');
}

const escapeXml = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/'/g, '&apos;');

/** For people who read a failure: indented, attributes in order of name. */
export function printXml(element: XmlElement, indent = '  ', parentNs = 'jabber:client'): string {
  const attrs = Object.entries(element.attrs)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ` ${name}='${escapeXml(value)}'`)
    .join('');
  const start = `${indent}<${element.name}${element.ns === parentNs ? '' : ` xmlns='${element.ns}'`}${attrs}`;
  const children = element.children.filter((node) => isElement(node) || node.trim() !== '');
  if (children.length === 0) return `${start}/>`;
  if (!children.some(isElement)) return `${start}>${escapeXml(children.join(''))}</${element.name}>`;
  const inner = children.map((node) =>
    isElement(node) ? printXml(node, `${indent}  `, element.ns) : `${indent}  ${escapeXml(node.trim())}`,
  );
  return [`${start}>`, ...inner, `${indent}</${element.name}>`].join('\n');
}
