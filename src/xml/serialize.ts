/**
 * Trees as text, under one promise: what is written here is read by the framer as the same tree.
 *
 * Text may come from anywhere (a directory, an administrator, a module), so characters that XML cannot
 * express are written as U+FFFD; leaving them out could join what was apart. Names are ours: one that
 * is none is an error of the program, and throws before it becomes markup.
 */
import { isXmlChar } from './characters.ts';
import type { Element } from './element.ts';
import { isNameRest, isNameStart } from './name-characters.ts';
import { STREAMS_NS, XML_NS, XMLNS_NS } from './namespaces.ts';

/** Names found valid are remembered up to this many; beyond it they are checked each time. */
const KNOWN_NAMES = 1024;
const knownNames = new Set<string>();

/**
 * @param parentDefaultNs default namespace in scope where the text will stand; `xmlns` is written where it changes.
 * @throws TypeError for a name that is no NCName, a declaration among the attributes, or an element of the
 *   stream namespace inside another: none of them could be read again.
 */
export function serialize(element: Element, parentDefaultNs = ''): string {
  return writeElement(element, parentDefaultNs, 0);
}

/** The inside of an element, to stand under its own namespace as the default. */
export function serializeChildren(element: Element): string {
  return writeChildren(element, element.ns, 0);
}

/** For use as text. Returns `text` itself where nothing is to be escaped. */
export function escapeText(text: string): string {
  return escape(text, false);
}

/** For use inside a value in single or double quotes. Returns `text` itself where nothing is to be escaped. */
export function escapeAttr(text: string): string {
  return escape(text, true);
}

function writeElement(element: Element, parentDefaultNs: string, depth: number): string {
  const { name, ns, attrs } = element;
  checkName(name);
  if (ns === XMLNS_NS) throw new TypeError('No element can be in the namespace of declarations');
  if (ns === STREAMS_NS && depth > 0) throw new TypeError('An element of the stream namespace inside another');
  const isXml = ns === XML_NS; // Namespaces in XML 1.0 §3: that one cannot be a default
  const tag = isXml ? 'xml:' + name : name;
  const defaultNs = isXml ? parentDefaultNs : ns;
  let xml = '<' + tag;
  if (defaultNs !== parentDefaultNs) xml += " xmlns='" + escapeAttr(defaultNs) + "'";
  let prefixes = 0;
  for (const key in attrs) {
    const brace = key.charCodeAt(0) === 0x7b ? key.lastIndexOf('}') : -1;
    if (brace < 0) {
      if (key !== 'xml:lang') checkName(key);
      if (key === 'xmlns') throw new TypeError('A declaration among the attributes');
      xml += ' ' + key + "='" + escapeAttr(attrs[key]!) + "'";
      continue;
    }
    const local = key.slice(brace + 1);
    const uri = key.slice(1, brace);
    checkName(local);
    if (uri === XMLNS_NS) throw new TypeError('A declaration among the attributes');
    if (uri === '') xml += ' ' + local + "='" + escapeAttr(attrs[key]!) + "'";
    else if (uri === XML_NS) xml += ' xml:' + local + "='" + escapeAttr(attrs[key]!) + "'";
    else xml += ` xmlns:ns${prefixes}='${escapeAttr(uri)}' ns${prefixes++}:${local}='${escapeAttr(attrs[key]!)}'`;
  }
  const inner = writeChildren(element, defaultNs, depth);
  return inner === '' ? xml + '/>' : xml + '>' + inner + '</' + tag + '>';
}

function writeChildren(element: Element, defaultNs: string, depth: number): string {
  let xml = '';
  for (const child of element.children) xml += typeof child === 'string' ? escapeText(child) : writeElement(child, defaultNs, depth + 1);
  return xml;
}

/** NCName of Namespaces in XML 1.0 §3. */
function checkName(name: string): void {
  if (knownNames.has(name)) return;
  if (!isNcName(name)) throw new TypeError('Not a name of XML: ' + JSON.stringify(name));
  if (knownNames.size < KNOWN_NAMES && name.length <= 64) knownNames.add(name);
}

function isNcName(name: string): boolean {
  let isFirst = true;
  for (const char of name) {
    const code = char.codePointAt(0)!;
    const isAscii = code < 0x80;
    const isStart = isAscii ? /[A-Za-z_]/.test(char) : isNameStart(code);
    if (!isStart && (isFirst || !(isAscii ? /[-.0-9]/.test(char) : isNameRest(code)))) return false;
    isFirst = false;
  }
  return !isFirst;
}

/** What makes a text need a closer look; lone surrogates are found by `isWellFormed`. */
const TEXT_SPECIAL = /[<>&\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/; // oxlint-disable-line no-control-regex
const VALUE_SPECIAL = /[<>&'"\r\n\t\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/; // oxlint-disable-line no-control-regex

function escape(text: string, isValue: boolean): string {
  if (!(isValue ? VALUE_SPECIAL : TEXT_SPECIAL).test(text) && text.isWellFormed()) return text;
  const source = text.toWellFormed();
  let result = '';
  let from = 0;
  for (let i = 0; i < source.length; i++) {
    const replacement = replacementOf(source.charCodeAt(i), isValue);
    if (replacement === undefined) continue;
    result += source.slice(from, i) + replacement;
    from = i + 1;
  }
  return result + source.slice(from);
}

function replacementOf(code: number, isValue: boolean): string | undefined {
  switch (code) {
    case 0x26:
      return '&amp;';
    case 0x3c:
      return '&lt;';
    case 0x3e:
      return '&gt;'; // never a ']]>'
    case 0x0d:
      return '&#13;'; // would be read as a line feed: XML 1.0 §2.11
    case 0x27:
      return isValue ? '&apos;' : undefined;
    case 0x22:
      return isValue ? '&quot;' : undefined;
    case 0x09:
      return isValue ? '&#9;' : undefined; // would be read as a space: XML 1.0 §3.3.3
    case 0x0a:
      return isValue ? '&#10;' : undefined;
    default:
      return (code >= 0xd800 && code <= 0xdfff) || isXmlChar(code) ? undefined : '\ufffd';
  }
}
