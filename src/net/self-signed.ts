/**
 * A certificate for a server that has none yet, so that its first start needs no preparation. Clients have to be
 * told to trust it.
 *
 * Written in DER by hand: it is one fixed structure of RFC 5280, and Node has everything else. (`@peculiar/x509`
 * would bring a dependency-injection container and a global polyfill into the process for it.)
 */
import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { asciiName } from './credentials.ts';
import { contextTag, DER, makeDer, makeOid } from './der.ts';

/** Two years: less than the 825 days that some clients insist on, more than a server usually goes without a restart. */
const VALID_DAYS = 730;
/** An existing certificate is used while it has this long to go. */
const MIN_DAYS_LEFT = 30;
const DAY_MS = 24 * 3600 * 1000;
/** For clocks of clients that are behind. */
const BACKDATED_MS = 3600 * 1000;
const SERIAL_BYTES = 16;
const MAX_COMMON_NAME = 64; // RFC 5280 Appendix A.1, ub-common-name

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** Where a certificate and its key are. */
export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** SHA-256 of the certificate, as clients show it: `AB:CD:…`. */
  readonly fingerprint: string;
  readonly expiresMs: number;
  /** False where an existing one was good for another while. */
  readonly isNew: boolean;
}

/**
 * Makes sure that `directory` has a certificate for all `domains`, with `*.` for the services below each of them.
 * One that covers them and has 30 days to go is kept, for clients may have pinned it.
 *
 * The files are `self-signed.crt` and `self-signed.key`, readable by this user only. Throws where the directory cannot be written.
 */
export function ensureCertificate(directory: string, domains: readonly string[], nowMs: number = Date.now()): CertificateFiles {
  const certificateFile = join(directory, 'self-signed.crt');
  const keyFile = join(directory, 'self-signed.key');
  const existing = readUsable(certificateFile, keyFile, domains, nowMs);
  if (existing !== undefined) return { certificateFile, keyFile, ...summary(existing), isNew: false };

  const { certificate, key } = makeSelfSigned(domains, nowMs);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // The key first: at worst a crash leaves a pair that does not match, and the next start makes another.
  replaceFile(keyFile, key);
  replaceFile(certificateFile, certificate);
  return { certificateFile, keyFile, ...summary(new X509Certificate(certificate)), isNew: true };
}

function summary(certificate: X509Certificate): { fingerprint: string; expiresMs: number } {
  return { fingerprint: certificate.fingerprint256, expiresMs: certificate.validToDate.getTime() };
}

function readUsable(certificateFile: string, keyFile: string, domains: readonly string[], nowMs: number): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(readFileSync(certificateFile));
    const key = createPrivateKey(readFileSync(keyFile));
    chmodSync(keyFile, 0o600);
    const isUsable =
      certificate.validFromDate.getTime() <= nowMs &&
      certificate.validToDate.getTime() - nowMs >= MIN_DAYS_LEFT * DAY_MS &&
      certificate.checkPrivateKey(key) &&
      domains.every((domain) => covers(certificate, domain));
    return isUsable ? certificate : undefined;
  } catch {
    return undefined; // Missing or unusable in any way: replaced by a good one.
  }
}

function covers(certificate: X509Certificate, domain: string): boolean {
  const address = ipLiteral(domain);
  if (address !== undefined) return certificate.checkIP(address) !== undefined;
  return subjectNames(domain).every((name) => certificate.checkHost(name.replace('*', 'x')) !== undefined);
}

function replaceFile(file: string, content: string): void {
  const temporary = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(temporary, content, { mode: 0o600, flag: 'wx', flush: true });
  renameSync(temporary, file);
}

/** Makes a certificate and its key (ECDSA, P-256), both PEM. The first domain is its subject. */
export function makeSelfSigned(domains: readonly string[], nowMs: number = Date.now()): { certificate: string; key: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = makeDer(DER.sequence, makeOid(OID.ecdsaWithSha256));
  const name = commonName(domains[0] ?? 'localhost');
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const tbs = makeDer(
    DER.sequence,
    makeDer(contextTag(0, true), makeDer(DER.integer, Buffer.from([2]))), // Version 3
    makeDer(DER.integer, serialNumber()),
    algorithm,
    name,
    makeDer(DER.sequence, time(nowMs - BACKDATED_MS), time(nowMs + VALID_DAYS * DAY_MS)),
    name,
    spki,
    makeDer(contextTag(3, true), extensions(domains, spki)),
  );
  const signature = sign('sha256', tbs, privateKey);
  const der = makeDer(DER.sequence, tbs, algorithm, makeDer(DER.bitString, Buffer.of(0), signature));
  return { certificate: new X509Certificate(der).toString(), key: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
}

/** Positive, and 127 bits of it random. RFC 5280 §4.1.2.2 */
function serialNumber(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}

function commonName(domain: string): Buffer {
  const text = Buffer.from(asciiName(domain).slice(0, MAX_COMMON_NAME));
  return makeDer(DER.sequence, makeDer(DER.set, makeDer(DER.sequence, makeOid(OID.commonName), makeDer(DER.utf8String, text))));
}

/** RFC 5280 §4.1.2.5: UTCTime until 2049, GeneralizedTime from then on. */
function time(atMs: number): Buffer {
  const text = `${new Date(atMs).toISOString().replace(/[-:T]|\.\d+/g, '')}`;
  return Number(text.slice(0, 4)) < 2050
    ? makeDer(DER.utcTime, Buffer.from(text.slice(2)))
    : makeDer(DER.generalizedTime, Buffer.from(text));
}

function extensions(domains: readonly string[], spki: Buffer): Buffer {
  const names = [...new Set(domains)].flatMap(generalNames);
  return makeDer(
    DER.sequence,
    // No authority: whoever decides to trust it trusts it for these names, not for whatever its key may sign.
    extension(OID.basicConstraints, true, makeDer(DER.sequence)),
    extension(OID.keyUsage, true, makeDer(DER.bitString, Buffer.of(7, 0x80))), // digitalSignature
    extension(OID.extendedKeyUsage, false, makeDer(DER.sequence, makeOid(OID.serverAuth), makeOid(OID.clientAuth))),
    extension(OID.subjectKeyIdentifier, false, makeDer(DER.octetString, createHash('sha1').update(publicKeyBits(spki)).digest())),
    extension(OID.subjectAltName, false, makeDer(DER.sequence, ...names)),
  );
}

function extension(oid: string, isCritical: boolean, value: Buffer): Buffer {
  const critical = isCritical ? [makeDer(DER.boolean, Buffer.of(0xff))] : [];
  return makeDer(DER.sequence, makeOid(oid), ...critical, makeDer(DER.octetString, value));
}

/** The point itself, which for P-256 is the last 65 bytes of its wrapping. RFC 5280 §4.2.1.2 (1) */
function publicKeyBits(spki: Buffer): Buffer {
  return spki.subarray(-65);
}

function generalNames(domain: string): readonly Buffer[] {
  const address = ipLiteral(domain);
  if (address !== undefined) return [makeDer(contextTag(7, false), addressBytes(address))];
  return subjectNames(domain).map((name) => makeDer(contextTag(2, false), Buffer.from(name)));
}

/** The domain and, unless it is a single label, what stands directly below it: rooms, uploads and so on. */
function subjectNames(domain: string): readonly string[] {
  const name = asciiName(domain);
  return name.includes('.') ? [name, `*.${name}`] : [name];
}

/** A domain part may be an address, an IPv6 one in brackets. RFC 7622 §3.2 */
function ipLiteral(domain: string): string | undefined {
  const bare = domain.startsWith('[') && domain.endsWith(']') ? domain.slice(1, -1) : domain;
  return isIP(bare) === 0 ? undefined : bare;
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === '' ? [] : tail.split(':');
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  return Buffer.concat(groups.map((group) => Buffer.from(group.padStart(4, '0'), 'hex')));
}
