/**
 * Whether a certificate leads to an authority that is trusted: RFC 5280 §6, as far as certificates of servers need it.
 *
 * OpenSSL does this for the side that connects. For the side that accepts it asks whether the certificate is one of a client, and
 * many of servers say that they are not (only `serverAuth` among their uses). Node has no way to ask otherwise, nor to tell that
 * complaint from others that it hides; so that one case is decided here, and nothing else is.
 */
import { X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { BasicConstraints, Certificate, KeyUsage, KeyUsageFlags, NameConstraints, type GeneralSubtrees } from '@peculiar/asn1-x509';

/** Certificates from the peer's up to a root, both included. */
const MAX_PATH = 8;
/** Signatures checked for one certificate: peers send what they like. */
const MAX_SIGNATURES = 32;
const MIN_RSA_BITS = 2048;

/** Broken hashes: nobody has to have seen the certificate to sign another with them. */
const WEAK_SIGNATURES: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.4', // md5WithRSAEncryption
  '1.2.840.113549.1.1.5', // sha1WithRSAEncryption
  '1.2.840.10045.4.1', // ecdsa-with-SHA1
  '1.2.840.10040.4.3', // dsa-with-sha1
]);

const EXTENSION = { basicConstraints: '2.5.29.19', keyUsage: '2.5.29.15', nameConstraints: '2.5.29.30' } as const;
/** Critical extensions that do not matter here, or are dealt with: policies are not asked for, revocation is not looked up. */
const KNOWN_CRITICAL: ReadonlySet<string> = new Set([
  ...Object.values(EXTENSION),
  '2.5.29.14', // subjectKeyIdentifier
  '2.5.29.17', // subjectAltName
  '2.5.29.31', // cRLDistributionPoints
  '2.5.29.32', // certificatePolicies
  '2.5.29.35', // authorityKeyIdentifier
  '2.5.29.37', // extKeyUsage
]);

const USES: ReadonlySet<string> = new Set([
  '1.3.6.1.5.5.7.3.1', // serverAuth
  '1.3.6.1.5.5.7.3.2', // clientAuth
  '2.5.29.37.0', // anyExtendedKeyUsage
]);

export interface PathInput {
  readonly leaf: X509Certificate;
  /** What the peer sent beside it, in whatever order. */
  readonly presented: readonly X509Certificate[];
  readonly roots: RootStore;
  readonly nowMs: number;
  /** The name that the certificate is to stand for, as DNS writes it: what authorities may be confined to. */
  readonly name: string;
}

/** Authorities that are believed, by their subject. */
export class RootStore {
  private readonly bySubject = new Map<string, X509Certificate[]>();

  /** @param pems one certificate each. What cannot be read is left out. */
  constructor(pems: readonly string[]) {
    for (const pem of pems) {
      let certificate: X509Certificate;
      try {
        certificate = new X509Certificate(pem);
      } catch {
        continue;
      }
      const known = this.bySubject.get(certificate.subject);
      if (known === undefined) this.bySubject.set(certificate.subject, [certificate]);
      else known.push(certificate);
    }
  }

  issuersOf({ issuer }: X509Certificate): readonly X509Certificate[] {
    return this.bySubject.get(issuer) ?? [];
  }

  /** A certificate may be trusted itself: self-signed ones, pinned by the operator. */
  has(certificate: X509Certificate): boolean {
    return (this.bySubject.get(certificate.subject) ?? []).some(({ fingerprint256 }) => fingerprint256 === certificate.fingerprint256);
  }
}

/** Cost: at most MAX_SIGNATURES checks of signatures, some 0.1 ms each. */
export function isPathTrusted(input: PathInput): boolean {
  const { leaf } = input;
  // No uses at all, or one of these: a certificate for signing code is none of a server.
  const uses = (leaf as X509Certificate & { keyUsage?: string[] }).keyUsage;
  if (uses !== undefined && uses.length > 0 && !uses.some((use) => USES.has(use))) return false;
  if (!isUsable(leaf, input.nowMs) || !hasKnownExtensions(leaf)) return false;
  if (input.roots.has(leaf)) return true;
  return new PathSearch(input).leadsToRoot(leaf, []);
}

function isUsable(certificate: X509Certificate, nowMs: number): boolean {
  if (certificate.validFromDate.getTime() > nowMs || certificate.validToDate.getTime() < nowMs) return false;
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  return asymmetricKeyType === 'rsa' ? (asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS : asymmetricKeyType !== 'dsa';
}

class PathSearch {
  private readonly input: PathInput;
  private signatures = 0;

  constructor(input: PathInput) {
    this.input = input;
  }

  /** @param below what is between `certificate` and the peer's, that one included. */
  leadsToRoot(certificate: X509Certificate, below: readonly X509Certificate[]): boolean {
    const path = [...below, certificate];
    if (path.length >= MAX_PATH) return false;
    for (const root of this.input.roots.issuersOf(certificate)) if (this.isIssuer(root, certificate, path)) return true;
    for (const issuer of this.input.presented) {
      const isNew = !path.some(({ fingerprint256 }) => fingerprint256 === issuer.fingerprint256);
      if (isNew && this.isIssuer(issuer, certificate, path) && this.leadsToRoot(issuer, path)) return true;
    }
    return false;
  }

  private isIssuer(issuer: X509Certificate, certificate: X509Certificate, path: readonly X509Certificate[]): boolean {
    if (!certificate.checkIssued(issuer) || WEAK_SIGNATURES.has(certificate.signatureAlgorithmOid)) return false;
    if (!isUsable(issuer, this.input.nowMs) || !mayIssue(issuer, path, this.input.name)) return false;
    return ++this.signatures <= MAX_SIGNATURES && certificate.verify(issuer.publicKey);
  }
}

/** @param path below it, the peer's certificate first. */
function mayIssue(issuer: X509Certificate, path: readonly X509Certificate[], name: string): boolean {
  if (!issuer.ca) return false;
  try {
    const { extensions = [] } = AsnConvert.parse(issuer.raw, Certificate).tbsCertificate;
    for (const { extnID, critical, extnValue } of extensions) {
      if (extnID === EXTENSION.basicConstraints) {
        const { cA, pathLenConstraint } = AsnConvert.parse(extnValue, BasicConstraints);
        // §4.2.1.9: authorities below it, but for those that have signed themselves.
        const intermediates = path.slice(1).filter(({ subject, issuer: by }) => subject !== by).length;
        if (!cA || (pathLenConstraint !== undefined && intermediates > pathLenConstraint)) return false;
      } else if (extnID === EXTENSION.keyUsage) {
        if ((AsnConvert.parse(extnValue, KeyUsage).toNumber() & KeyUsageFlags.keyCertSign) === 0) return false;
      } else if (extnID === EXTENSION.nameConstraints) {
        const { permittedSubtrees, excludedSubtrees } = AsnConvert.parse(extnValue, NameConstraints);
        if (!isPermitted(name, permittedSubtrees, excludedSubtrees)) return false;
      } else if (critical && !KNOWN_CRITICAL.has(extnID)) {
        return false; // §4.2
      }
    }
    return true;
  } catch {
    return false; // not what it should be: the parser throws for that and for nothing else
  }
}

function hasKnownExtensions(certificate: X509Certificate): boolean {
  try {
    const { extensions = [] } = AsnConvert.parse(certificate.raw, Certificate).tbsCertificate;
    return extensions.every(({ extnID, critical }) => !critical || KNOWN_CRITICAL.has(extnID));
  } catch {
    return false;
  }
}

/** §4.2.1.10. Names of hosts are all that is taken from a certificate; what confines names of other kinds confines nothing here, unless it cannot be told. */
function isPermitted(name: string, permitted: GeneralSubtrees | undefined, excluded: GeneralSubtrees | undefined): boolean {
  const all = [...(permitted ?? []), ...(excluded ?? [])];
  if (all.some(({ base }) => base.otherName !== undefined || base.directoryName !== undefined)) return false;
  const names = (trees: GeneralSubtrees | undefined): string[] => (trees ?? []).flatMap(({ base }) => base.dNSName ?? []);
  if (names(excluded).some((tree) => isWithin(name, tree))) return false;
  const allowed = names(permitted);
  return allowed.length === 0 || allowed.some((tree) => isWithin(name, tree));
}

function isWithin(name: string, tree: string): boolean {
  const suffix = tree.toLowerCase().replace(/^\./, '');
  return suffix === '' || name === suffix || name.endsWith(`.${suffix}`);
}
