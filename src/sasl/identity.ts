/** Names inside SASL messages: who logs in (authcid), and as whom (authzid). RFC 6120 §6.3.7, §6.3.8 */
import { isUtf8 } from 'node:buffer';
import type { PreparedPassword } from './scram-credentials.ts';

/**
 * The rules for names and passwords, which live a layer above: `normalizeLocal` and `parseJid` of `src/xmpp/jid.ts`,
 * `opaqueString` of `src/xmpp/precis.ts`. Each returns `undefined` for text that is none.
 */
export interface Preparation {
  readonly username: (text: string) => string | undefined;
  readonly password: (text: string) => PreparedPassword | undefined;
  readonly address: (text: string) => { readonly local: string; readonly domain: string; readonly resource: string } | undefined;
}

/** @returns `undefined` where the bytes are no UTF-8. */
export function utf8(data: Buffer): string | undefined {
  return isUtf8(data) ? data.toString('utf8') : undefined;
}

/**
 * The account a client names. RFC 6120 §6.3.7 wants the local part; some send the bare JID, which is
 * taken if it is of this domain.
 */
export function readUsername(text: string, domain: string, prepare: Preparation): string | undefined {
  return text.includes('@') ? localOf(text, domain, prepare) : prepare.username(text);
}

/**
 * Whether an authorization identity is the account itself: its bare JID, or its local part alone. Acting for
 * others is not offered. RFC 6120 §6.3.8
 */
export function isSameAccount(authzid: string, username: string, domain: string, prepare: Preparation): boolean {
  return readUsername(authzid, domain, prepare) === username;
}

function localOf(text: string, domain: string, prepare: Preparation): string | undefined {
  const address = prepare.address(text);
  return address !== undefined && address.local !== '' && address.resource === '' && address.domain === domain ? address.local : undefined;
}
