/** The names that XEP-0227 and this server's own additions to it use. */
import type { ElementName } from '../core/portable.ts';

/** XEP-0227 §4 */
export const NS_PIE = 'urn:xmpp:pie:0';
/** §4.4 */
export const NS_PIE_SCRAM = 'urn:xmpp:pie:0#scram';
/** §4.11 */
export const NS_PIE_MAM = 'urn:xmpp:pie:0#mam';
/** What no specification has an element for. An importing server of another kind passes over it. §4: "elements qualified by a namespace not mentioned" */
export const NS_ROOKERY = 'urn:rookery:portable:0';
/** Attribute of `<user/>`: what the ids of the archive are made with, so that they stay what they are. */
export const ARCHIVE_KEY: ElementName = ['archive-key', NS_ROOKERY];
export const NS_XINCLUDE = 'http://www.w3.org/2001/XInclude';

/** COMPAT ejabberd 2: the namespace of the first drafts. */
const NS_PIE_DRAFT = 'http://www.xmpp.org/extensions/xep-0227.html#ns';

/** One name for what is the same. */
export function currentNs(ns: string): string {
  return ns === NS_PIE_DRAFT ? NS_PIE : ns;
}

export const SERVER_DATA: ElementName = ['server-data', NS_PIE];
export const HOST: ElementName = ['host', NS_PIE];
export const USER: ElementName = ['user', NS_PIE];

/** `{ns}name`: for sets, and for the operator. */
export function nameKey(name: string, ns: string): string {
  return `{${ns}}${name}`;
}
