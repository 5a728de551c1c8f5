/** When a stanza was first sent, said where it is handed over later. XEP-0203 */
import { el, type Element } from '../xml/element.ts';
import type { ChildHead } from '../xml/frame.ts';
import { formatDateTime, parseDateTime } from './date-time.ts';
import { parseJid, type Jid } from './jid.ts';
import { NS } from './namespaces.ts';

export const DELAY_HEAD: ChildHead = { name: 'delay', ns: NS.delay };

export interface Delay {
  /** Who says so; `undefined` where that is missing or no address. A sender can write anything here. */
  readonly from: Jid | undefined;
  readonly atMs: number;
  /** Why, for people. */
  readonly text: string | undefined;
}

/**
 * @param from the entity that delayed the stanza: a server, an account, a room.
 * @param atMs when it was sent.
 */
export function delayElement(from: string, atMs: number, text?: string): Element {
  return el('delay', NS.delay, { from, stamp: formatDateTime(atMs) }, text);
}

/** The same as text, for what is handed over in numbers. `from` and `text` are ours: nothing in them needs escaping. */
export function delayXml(from: string, atMs: number, text: string): string {
  return `<delay xmlns='${NS.delay}' from='${from}' stamp='${formatDateTime(atMs)}'>${text}</delay>`;
}

/** @returns `undefined` for another element, or one without a proper stamp. */
export function parseDelay(element: Element): Delay | undefined {
  if (!element.is('delay', NS.delay)) return undefined;
  const atMs = parseDateTime(element.attr('stamp') ?? '');
  if (atMs === undefined) return undefined;
  const from = element.attr('from');
  return { from: from === undefined ? undefined : parseJid(from), atMs, text: element.text().trim() || undefined };
}
