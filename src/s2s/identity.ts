/** For which domains a server's certificate stands. RFC 6120 §13.7.1.2, RFC 9525 §6 */
import { isIP } from 'node:net';
import type { CertificateNames } from '../sasl/certificate-names.ts';
import { asciiDomain, parseJid } from '../xmpp/jid.ts';

/** RFC 6120 §14.5; XEP-0368 wants those of direct TLS treated alike. */
const SERVICES = ['_xmpp-server.', '_xmpps-server.'] as const;

/** @param domain normalised. */
export function isCertificateFor({ dns, srv, xmpp }: CertificateNames, domain: string): boolean {
  const name = asciiDomain(domain).toLowerCase();
  if (xmpp.some((text) => isDomainAddress(text, domain))) return true;
  if (isIP(name) !== 0 || name.startsWith('[')) return false; // an address is no name: RFC 9525 §6.1
  return srv.some((text) => isService(text, name)) || dns.some((text) => isHost(text, name));
}

/** xmppAddr of a server: a domain and nothing else. RFC 6120 §13.7.1.4 */
function isDomainAddress(text: string, domain: string): boolean {
  const jid = text.includes('@') || text.includes('/') ? undefined : parseJid(text);
  return jid?.isDomain === true && jid.full === domain;
}

/** SRV-ID: wildcards are none. RFC 9525 §6.5 */
function isService(text: string, name: string): boolean {
  const lower = text.toLowerCase();
  return SERVICES.some((service) => lower === service + name);
}

/** DNS-ID: as it is, or with `*` for the whole of its first label. RFC 9525 §6.3 */
function isHost(text: string, name: string): boolean {
  const lower = text.toLowerCase().replace(/\.$/, '');
  if (!lower.includes('*')) return lower === name;
  const dot = name.indexOf('.');
  // Not what stands for all of a top-level domain, and no other use of the asterisk.
  return dot > 0 && /^\*(?:\.[a-z0-9_-]+){2,}$/.test(lower) && lower.slice(1) === name.slice(dot);
}
