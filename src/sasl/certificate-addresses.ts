/**
 * XMPP addresses in a certificate: subjectAltName entries of type otherName with the object identifier
 * id-on-xmppAddr. RFC 6120 §13.7.1.4, read by an ASN.1 parser and nothing else (CVE-2025-59154).
 */
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate, id_ce_subjectAltName, SubjectAlternativeName } from '@peculiar/asn1-x509';
import { utf8 } from './identity.ts';

/** id-on-xmppAddr. RFC 6120 §13.7.1.4 */
export const XMPP_ADDR = '1.3.6.1.5.5.7.8.5';
/** DER tag of UTF8String. */
export const UTF8_STRING = 0x0c;

/** A larger certificate is read as one without addresses; honest ones have about 2 kB. */
export const MAX_CERTIFICATE_BYTES = 65_536;
/** So is one with more names of all kinds. */
export const MAX_CERTIFICATE_NAMES = 256;
/** Of one address: three parts and two separators. RFC 7622 §3.1 */
const MAX_ADDRESS_BYTES = 3071;

/**
 * @param certificate DER of a certificate whose trust the caller has established.
 * @returns the addresses as they stand there, neither normalised nor checked; none where the certificate
 *   has no such entry or cannot be read.
 */
export function parseCertificateAddresses(certificate: Uint8Array): readonly string[] {
  if (certificate.length > MAX_CERTIFICATE_BYTES) return [];
  const addresses: string[] = [];
  try {
    const { extensions } = AsnConvert.parse(certificate, Certificate).tbsCertificate;
    const found = extensions?.find(({ extnID }) => extnID === id_ce_subjectAltName);
    if (found === undefined) return [];
    const names = AsnConvert.parse(found.extnValue, SubjectAlternativeName);
    if (names.length > MAX_CERTIFICATE_NAMES) return [];
    for (const { otherName } of names) {
      const address = otherName?.typeId === XMPP_ADDR ? readString(Buffer.from(otherName.value), UTF8_STRING) : undefined;
      if (address !== undefined) addresses.push(address);
    }
  } catch {
    return []; // The peer's certificate is not what it should be: the parser throws for that and for nothing else.
  }
  return addresses;
}

/** A DER string of that tag, whole and alone. X.690 §8.1 and §10.1: definite length in its shortest form. */
export function readString(der: Buffer, tag: number): string | undefined {
  if (der.length < 2 || der[0] !== tag) return undefined;
  let header = 2;
  let length = der[1]!;
  if (length === 0x81 && der.length > 2) {
    header = 3;
    length = der[2]!;
    if (length < 0x80) return undefined;
  } else if (length === 0x82 && der.length > 3) {
    header = 4;
    length = der.readUInt16BE(2);
    if (length < 0x100) return undefined;
  } else if (length >= 0x80) {
    return undefined;
  }
  return length > 0 && length <= MAX_ADDRESS_BYTES && der.length === header + length ? utf8(der.subarray(header)) : undefined;
}
