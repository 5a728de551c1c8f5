/** A report of spam or abuse: as the client sends it, as it is kept, and as operators read it. XEP-0377 */
import { jsonTable } from '../../store/codec.ts';
import type { Element } from '../../xml/element.ts';

export const NS = 'urn:xmpp:reporting:1';
const STANZA_ID = 'urn:xmpp:sid:0';

/** Of what a user writes. UTF-16 units. */
const MAX_TEXT_LENGTH = 2_000;
const MAX_IDS = 20;

export interface Report {
  readonly atMs: number;
  /** The address that was blocked. */
  readonly address: string;
  /** `spam`, `abuse` or what else the client gave, as a URI. */
  readonly reason: string;
  readonly text: string;
  /** Messages it is about, by their ids in archives. */
  readonly messages: readonly { readonly by: string; readonly id: string }[];
  /** What the user agrees to. */
  readonly mayTellOrigin: boolean;
  readonly mayTellOthers: boolean;
}

/** In the partition of who reports, by time. */
export const REPORTS = jsonTable<Report>({ name: 'abuse_report', version: 1 });

const REASONS: Readonly<Record<string, string>> = { 'urn:xmpp:reporting:spam': 'spam', 'urn:xmpp:reporting:abuse': 'abuse' };

/** @param item of a block command. Undefined without a report, or with one that gives no reason ("MUST include a reason"). */
export function reportOf(item: Element, address: string, atMs: number): Report | undefined {
  const report = item.child('report', NS);
  const reason = report?.attr('reason');
  if (report === undefined || reason === undefined) return undefined;
  const messages: { by: string; id: string }[] = [];
  for (const each of report.childrenNamed('stanza-id', STANZA_ID)) {
    const by = each.attr('by');
    const id = each.attr('id');
    if (by !== undefined && id !== undefined && messages.length < MAX_IDS) messages.push({ by: limited(by), id: limited(id) });
  }
  return {
    atMs,
    address,
    reason: REASONS[reason] ?? limited(reason),
    text: limited(report.child('text')?.text().trim() ?? ''),
    messages,
    mayTellOrigin: report.child('report-origin') !== undefined,
    mayTellOthers: report.child('third-party') !== undefined,
  };
}

/** For people. */
export function reportText(reporter: string, { address, reason, text, messages }: Report): string {
  const lines = [`${reporter} has blocked ${address} and reports ${reason}.`];
  if (text !== '') lines.push(text);
  if (messages.length > 0) lines.push(`Messages: ${messages.map(({ id, by }) => `${id} (in the archive of ${by})`).join(', ')}`);
  return lines.join('\n');
}

const limited = (text: string): string => text.slice(0, MAX_TEXT_LENGTH).toWellFormed();
