/** Stream headers and what ends a stream. RFC 6120 §4.7, §4.9 */
import { randomText } from '../sasl/random.ts';
import { escapeAttr, serialize } from '../xml/serialize.ts';
import type { Frame } from '../xml/frame.ts';
import { NS } from '../xmpp/namespaces.ts';
import { streamErrorElement, type StreamCondition } from '../xmpp/stream-error.ts';

export interface StreamHeader {
  readonly to: string | undefined;
  readonly from: string | undefined;
  readonly version: string | undefined;
  readonly lang: string | undefined;
  readonly id: string | undefined;
  /** Default namespace declared: the content namespace. */
  readonly contentNs: string;
}

/** An attribute of a framed element. */
export function attributeOf({ attrs }: Frame, name: string): string | undefined {
  for (let i = 0; i < attrs.length; i += 2) if (attrs[i] === name) return attrs[i + 1];
  return undefined;
}

export function readHeader(frame: Frame): StreamHeader {
  return {
    to: attributeOf(frame, 'to'),
    from: attributeOf(frame, 'from'),
    version: attributeOf(frame, 'version'),
    lang: attributeOf(frame, 'xml:lang'),
    id: attributeOf(frame, 'id'),
    contentNs: frame.contentNs,
  };
}

/** True for 1.0 and anything later that calls itself 1.x or more. RFC 6120 §4.7.5 */
export function isSupportedVersion(version: string | undefined): boolean {
  const match = version === undefined || version.length > 20 ? null : /^(\d+)\.\d+$/.exec(version);
  return match !== null && Number(match[1]) >= 1;
}

/** Unpredictable, 144 bits. RFC 6120 §4.7.3 */
export function makeStreamId(): string {
  return randomText(18);
}

export interface ResponseHeader {
  readonly contentNs: string;
  readonly from: string;
  readonly to: string | undefined;
  readonly id: string;
  readonly lang: string;
  /** Declares the prefix `db`, which is how dialback is offered and its elements have to be named. XEP-0220 §2.4.1 */
  readonly hasDialback?: boolean | undefined;
}

export function responseHeader({ contentNs, from, to, id, lang, hasDialback }: ResponseHeader): string {
  const addressee = to === undefined ? '' : ` to='${escapeAttr(to)}'`;
  return (
    `<?xml version='1.0'?><stream:stream xmlns='${contentNs}' xmlns:stream='${NS.streams}'${dialback(hasDialback)} from='${escapeAttr(from)}'` +
    `${addressee} id='${id}' version='1.0' xml:lang='${escapeAttr(lang)}'>`
  );
}

/** What whoever begins a stream says first. RFC 6120 §4.7 */
export interface InitialHeader {
  readonly contentNs: string;
  readonly from: string;
  readonly to: string;
  readonly hasDialback?: boolean | undefined;
}

export function initialHeader({ contentNs, from, to, hasDialback }: InitialHeader): string {
  return (
    `<?xml version='1.0'?><stream:stream xmlns='${contentNs}' xmlns:stream='${NS.streams}'${dialback(hasDialback)}` +
    ` from='${escapeAttr(from)}' to='${escapeAttr(to)}' version='1.0' xml:lang='en'>`
  );
}

const dialback = (isDeclared: boolean | undefined): string => (isDeclared === true ? ` xmlns:db='${NS.dialback}'` : '');

export const STREAM_END = '</stream:stream>';

/** The `<stream:error/>` element. RFC 6120 §4.9.2 */
export function streamErrorXml(condition: StreamCondition, text: string | undefined): string {
  const inner = streamErrorElement(condition, text)
    .children.map((child) => (typeof child === 'string' ? child : serialize(child, NS.client)))
    .join('');
  return `<stream:error>${inner}</stream:error>`;
}
