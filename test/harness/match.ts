/**
 * Compares a received element with the XML a transcript expects.
 *
 * - The order of attributes and of child elements, and white space between elements, do not matter.
 * - `from`, `to`, `id` and `xml:lang` of a stanza are compared where the expectation names them; all other
 *   attributes must be the same ones. A missing `type` of a message is `normal`.
 * - Of an error stanza, what RFC 6120 §8.3.1 leaves to the server may be there or not: the sender's
 *   content, `<text/>`, `by`, and the old `code` (XEP-0086).
 * - Inside values: `{any}` is any text, `{id}` any that is not empty, `{stamp}` a UTC time of XEP-0082,
 *   `{none}` as a whole attribute value that it is absent, any other `{name}` a capture: the first match fixes it.
 * - An element whose only content is `{any}` may hold anything.
 * - `match:rest='ignore'` allows further children, `match:ordered='true'` wants the children in that order,
 *   `match:optional='true'` lets the element be absent.
 */
import { childElements, parseElements, printXml, textOf, type XmlElement } from './xml.ts';

export const MATCH_NS = 'urn:rookery:test:match';
const STANZAS_NS = 'urn:ietf:params:xml:ns:xmpp-stanzas';

/** Values that earlier stanzas fixed, by name. */
export type Captures = Map<string, string>;

/** The expectation as elements; usually one. */
export function parseExpected(xml: string): XmlElement[] {
  return parseElements(xml, `xmlns:match='${MATCH_NS}'`);
}

/** `undefined` where it matches (captures are then set), else why not. */
export function mismatch(expected: XmlElement, actual: XmlElement, captures: Captures): string | undefined {
  const attempt = new Map(captures);
  const reason = compare(expected, actual, attempt);
  if (reason === undefined) for (const [name, value] of attempt) captures.set(name, value);
  return reason;
}

/** Puts captured values where `{name}` stands; unknown names stay as they are. */
export function fillIn(xml: string, captures: Captures): string {
  return xml.replace(/\{([A-Za-z]\w*)\}/g, (whole, name: string) => captures.get(name) ?? whole);
}

/** Expected and received, one under the other. */
export function describeMismatch(expected: XmlElement, actual: XmlElement, reason: string): string {
  return `expected\n${printXml(expected)}\nreceived\n${printXml(actual)}\nbecause ${reason}`;
}

const isStanza = ({ name, ns }: XmlElement): boolean =>
  ns === 'jabber:client' && (name === 'message' || name === 'presence' || name === 'iq');
const HEADER = new Set(['from', 'to', 'id', 'xml:lang']);
const PSEUDO = `{${MATCH_NS}}`;

function pseudo(element: XmlElement, name: string): string | undefined {
  return element.attrs[PSEUDO + name];
}

function compare(expected: XmlElement, actual: XmlElement, captures: Captures): string | undefined {
  if (expected.name !== actual.name) return `<${actual.name}/> is not <${expected.name}/>`;
  if (expected.ns !== actual.ns) return `<${actual.name}/> is in namespace '${actual.ns}', not '${expected.ns}'`;
  return compareAttributes(expected, actual, captures) ?? compareContent(expected, actual, captures);
}

function compareAttributes(expected: XmlElement, actual: XmlElement, captures: Captures): string | undefined {
  const isHeader = isStanza(expected);
  const known = { ...actual.attrs };
  if (isHeader && expected.name === 'message') known['type'] ??= 'normal';
  for (const [name, value] of Object.entries(wanted(expected))) {
    const found = known[name];
    delete known[name];
    if (value === '{none}') {
      if (found !== undefined) return `<${actual.name}/> has ${name}='${found}', which it must not have`;
    } else if (found === undefined) {
      return `<${actual.name}/> has no attribute ${name}`;
    } else if (!matchesValue(value, found, captures)) {
      return `${name} of <${actual.name}/> is '${found}', not '${fillIn(value, captures)}'`;
    }
  }
  for (const [name, value] of Object.entries(known)) {
    if (isHeader && HEADER.has(name)) continue;
    if (isErrorElement(expected) && (name === 'by' || name === 'code')) continue;
    return `<${actual.name}/> has an unexpected ${name}='${value}'`;
  }
  return undefined;
}

function wanted(expected: XmlElement): Record<string, string> {
  const attrs: Record<string, string> = isStanza(expected) && expected.name === 'message' ? { type: 'normal' } : {};
  for (const [name, value] of Object.entries(expected.attrs)) if (!name.startsWith(PSEUDO)) attrs[name] = value;
  return attrs;
}

const isErrorElement = ({ name, ns }: XmlElement): boolean => name === 'error' && ns === 'jabber:client';

function compareContent(expected: XmlElement, actual: XmlElement, captures: Captures): string | undefined {
  const children = childElements(expected);
  if (children.length === 0 && textOf(expected).trim() === '{any}') return undefined;
  if (children.length === 0 && childElements(actual).length === 0) {
    const text = textOf(actual);
    const isMatch = textOf(expected).trim() === '' ? text.trim() === '' : matchesValue(textOf(expected), text, captures);
    return isMatch ? undefined : `<${actual.name}/> contains '${text}', not '${fillIn(textOf(expected), captures)}'`;
  }
  const [wantedText, text] = [textOf(expected).trim(), textOf(actual).trim()];
  if (wantedText === '' ? text !== '' : !matchesValue(wantedText, text, captures))
    return `<${actual.name}/> contains the text '${text}', not '${fillIn(wantedText, captures)}'`;
  return compareChildren(expected, children, childElements(actual), captures);
}

function compareChildren(
  parent: XmlElement,
  expected: readonly XmlElement[],
  actual: readonly XmlElement[],
  captures: Captures,
): string | undefined {
  const left = [...actual];
  const isOrdered = pseudo(parent, 'ordered') === 'true';
  for (const child of expected) {
    const reasons: string[] = [];
    const found = left.findIndex((candidate, at) => {
      if (isOrdered && at > 0) return false;
      const attempt = new Map(captures);
      const reason = compare(child, candidate, attempt);
      if (reason === undefined) for (const [name, value] of attempt) captures.set(name, value);
      else if (candidate.name === child.name && candidate.ns === child.ns) reasons.push(reason);
      return reason === undefined;
    });
    if (found >= 0) left.splice(found, 1);
    else if (pseudo(child, 'optional') !== 'true') return reasons[0] ?? `<${parent.name}/> has no matching\n${printXml(child)}`;
  }
  if (pseudo(parent, 'rest') === 'ignore') return undefined;
  const extra = left.find((child) => !mayBeExtra(parent, expected, child));
  return extra === undefined ? undefined : `<${parent.name}/> contains an unexpected\n${printXml(extra)}`;
}

/** What RFC 6120 §8.3.1 and §8.3.2 leave to the server. */
function mayBeExtra(parent: XmlElement, expected: readonly XmlElement[], child: XmlElement): boolean {
  if (isErrorElement(parent)) return child.name === 'text' && child.ns === STANZAS_NS;
  // XEP-0313 §3.1: whatever is archived carries its id, which only transcripts about that want to see.
  if (child.name === 'stanza-id' && child.ns === 'urn:xmpp:sid:0') return isStanza(parent) && !expected.some(({ ns }) => ns === child.ns);
  return isStanza(parent) && parent.attrs['type'] === 'error' && !isErrorElement(child) && expected.every(isErrorElement);
}

const STAMP = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)?Z';

function matchesValue(expected: string, actual: string, captures: Captures): boolean {
  if (!expected.includes('{')) return expected === actual;
  const names: string[] = [];
  const pattern = expected.replace(/\{([A-Za-z]\w*)\}|[\\^$.*+?()[\]{}|]/g, (whole, name: string | undefined) => {
    if (name === undefined) return `\\${whole}`;
    if (name === 'any') return '[^]*';
    if (name === 'id') return '[^]+';
    if (name === 'stamp') return STAMP;
    const known = captures.get(name);
    if (known !== undefined) return known.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    names.push(name);
    return '([^]+)';
  });
  const found = new RegExp(`^${pattern}$`).exec(actual);
  if (found === null) return false;
  for (const [i, name] of names.entries()) captures.set(name, found[i + 1]!);
  return true;
}
