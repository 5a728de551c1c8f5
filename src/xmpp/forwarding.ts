/** Messages inside messages: XEP-0297, as carbons and archives use it. No tree is built of what is forwarded. */
import { serialize } from '../xml/serialize.ts';
import { delayElement } from './delay.ts';
import type { Jid } from './jid.ts';
import { NS } from './namespaces.ts';
import type { Stanza } from './stanza.ts';

export const FORWARD = 'urn:xmpp:forward:0';
/** XEP-0280 */
export const CARBONS = 'urn:xmpp:carbons:2';
/** XEP-0359 */
export const STANZA_IDS = 'urn:xmpp:sid:0';

/** A stanza of ours as an element inside another one; it says its namespace itself. XEP-0297 §3.1 */
export function embeddedXml(stanza: Stanza): string {
  const xml = stanza.toXml();
  const afterName = stanza.kind.length + 1;
  return `${xml.slice(0, afterName)} xmlns='${NS.client}'${xml.slice(afterName)}`;
}

/**
 * `<forwarded/>` around a stanza.
 *
 * @param delay when it came, as `by` saw it. XEP-0297 §3.2
 */
export function forwardedXml(stanza: Stanza, delay?: { readonly by: string; readonly atMs: number }): string {
  const stamp = delay === undefined ? '' : serialize(delayElement(delay.by, delay.atMs), '');
  return `<forwarded xmlns='${FORWARD}'>${stamp}${embeddedXml(stanza)}</forwarded>`;
}

/** `<stanza-id/>` before its id, which is of our own making: nothing in it wants escaping. XEP-0359 §3.1 */
export const STANZA_ID_START = `<stanza-id xmlns='${STANZA_IDS}' id='`;

/** And after it. */
export function stanzaIdEnd(by: Jid): string {
  return `' by='${by.xml}'/>`;
}
