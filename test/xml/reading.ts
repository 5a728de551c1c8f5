/** How the tests of the XML layer read streams: by the framer under any cut, and by an independent parser. */
import { SaxesParser } from 'saxes';
import { Element, type Node } from '../../src/xml/element.ts';
import type { Frame, FrameError, FramerLimits } from '../../src/xml/frame.ts';
import { Framer } from '../../src/xml/framer.ts';
import { LIMITS_OF_CLIENT } from '../../src/xml/limits.ts';

export const HEADER = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='capulet.lit' version='1.0'>`;

export type Result = Frame | FrameError;

/** Everything that comes out when the chunks are pushed one by one. */
export function framesOf(
  chunks: readonly Uint8Array[],
  limits: FramerLimits = LIMITS_OF_CLIENT,
  framer: Framer = new Framer({ limits }),
): Result[] {
  const results: Result[] = [];
  for (const chunk of chunks) {
    framer.push(Buffer.from(chunk));
    for (;;) {
      const result = framer.next();
      if (result === undefined) break;
      results.push(result);
      if (result.kind === 'error') return results;
    }
  }
  return results;
}

export function bytesOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
}

/** Elements as plain data, for comparison: name, namespace, attributes by name, content with adjacent texts joined. */
export type Plain = readonly [
  name: string,
  ns: string,
  attrs: readonly (readonly [string, string])[],
  content: readonly (Plain | string)[],
];

export function plainOf(element: Element): Plain {
  const attrs = Object.keys(element.attrs)
    .toSorted()
    .map((name) => [name, element.attrs[name]!] as const);
  return [element.name, element.ns, attrs, joined(element.children.map((child) => (typeof child === 'string' ? child : plainOf(child))))];
}

function joined(content: readonly (Plain | string)[]): (Plain | string)[] {
  const result: (Plain | string)[] = [];
  for (const item of content) {
    const last = result.at(-1);
    if (typeof item === 'string' && typeof last === 'string') result[result.length - 1] = last + item;
    else if (item !== '') result.push(item);
  }
  return result;
}

/** What an independent parser makes of a whole stream: its first-level elements, or `undefined` where it refuses. */
export function readBySaxes(bytes: Uint8Array): { readonly root: Plain; readonly elements: readonly Plain[] } | undefined {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
  const parser = new SaxesParser({ xmlns: true, position: false });
  let failed = false;
  let root: Element | undefined;
  const open: { element: Element; content: Node[] }[] = [];
  parser.on('error', () => {
    failed = true;
  });
  parser.on('opentag', (tag) => {
    const attrs = Object.create(null) as Record<string, string>;
    for (const attr of Object.values(tag.attributes)) {
      if (attr.name === 'xmlns' || attr.prefix === 'xmlns') continue;
      attrs[attr.name === 'xml:lang' ? 'xml:lang' : attr.prefix === '' ? attr.name : `{${attr.uri}}${attr.local}`] = attr.value;
    }
    const content: Node[] = [];
    const element = new Element(tag.local, tag.uri, attrs, content);
    open.at(-1)?.content.push(element);
    root ??= element;
    open.push({ element, content });
  });
  parser.on('closetag', () => {
    open.pop();
  });
  parser.on('text', (data) => {
    open.at(-1)?.content.push(data);
  });
  parser.on('cdata', (data) => {
    open.at(-1)?.content.push(data);
  });
  parser.write(text).close();
  if (failed || root === undefined) return undefined;
  return { root: plainOf(root), elements: root.elements().map(plainOf) };
}
