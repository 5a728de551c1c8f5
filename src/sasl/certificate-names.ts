/**
 * The names in a server's certificate: its subjectAltName and nothing else, read by an ASN.1 parser (CVE-2025-59154: never the
 * common name, never a regular expression over a printed form). RFC 6120 §13.7.1.2, RFC 9525 §3
 */
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate, id_ce_subjectAltName, SubjectAlternativeName } from '@peculiar/asn1-x509';
import { MAX_CERTIFICATE_BYTES, MAX_CERTIFICATE_NAMES, readString, UTF8_STRING, XMPP_ADDR } from './certificate-addresses.ts';

/** id-on-dnsSRV. RFC 4985 §2 */
const SRV_NAME = '1.3.6.1.5.5.7.8.7';
const IA5_STRING = 0x16;

/** As they stand there: neither normalised nor checked. */
export interface CertificateNames {
  /** dNSName, perhaps with a wildcard. */
  readonly dns: readonly string[];
  /** SRVName: `_xmpp-server.example.org`. */
  readonly srv: readonly string[];
  /** xmppAddr. */
  readonly xmpp: readonly string[];
}

export const NO_NAMES: CertificateNames = { dns: [], srv: [], xmpp: [] };

/**
 * @param certificate DER of a certificate whose trust is the caller's business.
 * @returns no names where the certificate cannot be read, or has more of them than `MAX_CERTIFICATE_NAMES` (of any kind).
 */
export function parseCertificateNames(certificate: Uint8Array): CertificateNames {
  if (certificate.length > MAX_CERTIFICATE_BYTES) return NO_NAMES;
  const names = { dns: [] as string[], srv: [] as string[], xmpp: [] as string[] };
  try {
    const { extensions } = AsnConvert.parse(certificate, Certificate).tbsCertificate;
    const found = extensions?.find(({ extnID }) => extnID === id_ce_subjectAltName);
    if (found === undefined) return NO_NAMES;
    const entries = AsnConvert.parse(found.extnValue, SubjectAlternativeName);
    if (entries.length > MAX_CERTIFICATE_NAMES) return NO_NAMES;
    for (const { dNSName, otherName } of entries) {
      if (dNSName !== undefined) names.dns.push(dNSName);
      if (otherName === undefined) continue;
      const value = Buffer.from(otherName.value);
      const text =
        otherName.typeId === XMPP_ADDR
          ? readString(value, UTF8_STRING)
          : otherName.typeId === SRV_NAME
            ? readString(value, IA5_STRING)
            : undefined;
      if (text !== undefined) (otherName.typeId === XMPP_ADDR ? names.xmpp : names.srv).push(text);
    }
  } catch {
    return NO_NAMES; // The peer's certificate is not what it should be: the parser throws for that and for nothing else.
  }
  return names;
}
