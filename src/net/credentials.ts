/** Certificate and key files: reading them, and saying what is wrong with them. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';
import { domainToASCII } from 'node:url';
import { hashForServerEndPoint } from './tls-facts.ts';

/** A certificate and the domain it is configured for. Several hosts may share files. */
export interface TlsHost {
  readonly domain: string;
  /** PEM: the certificate, then the intermediate ones. */
  readonly certificateFile: string;
  /** PEM, not encrypted. */
  readonly keyFile: string;
}

/** What is wrong with a certificate; `error`s keep it from being used, `warning`s do not. */
export interface TlsProblem {
  readonly severity: 'error' | 'warning';
  readonly code: 'unreadable' | 'malformed' | 'key_mismatch' | 'expired' | 'not_yet_valid' | 'domain_not_covered' | 'client_authority';
  /** Undefined for the client authorities. */
  readonly domain: string | undefined;
  readonly file: string;
  /** A sentence for the operator. */
  readonly text: string;
}

/** A certificate that has been read and fits its key. */
export interface Credentials {
  readonly domain: string;
  readonly cert: string;
  readonly key: string;
  readonly x509: X509Certificate;
  readonly serverEndPoint: Buffer | undefined;
}

/** As it stands in certificates and server name indications. */
export function asciiName(domain: string): string {
  return domainToASCII(domain) || domain.toLowerCase();
}

/** The dNSName entries of a certificate, lower case; `*.` ones as they are. */
export function namesOf(x509: X509Certificate): readonly string[] {
  return (x509.subjectAltName ?? '').split(', ').flatMap((entry) => (entry.startsWith('DNS:') ? [entry.slice(4).toLowerCase()] : []));
}

/**
 * Reads and checks a host's certificate and key.
 *
 * @returns `undefined` if they cannot be used; in any case what is wrong is added to `problems`.
 */
export function readCredentials(host: TlsHost, problems: TlsProblem[]): Credentials | undefined {
  const { domain, certificateFile, keyFile } = host;
  const report = (severity: TlsProblem['severity'], code: TlsProblem['code'], file: string, text: string): undefined => {
    problems.push({ severity, code, domain, file, text });
  };
  const cert = readText(certificateFile);
  if (cert instanceof Error)
    return report('error', 'unreadable', certificateFile, `The certificate of ${domain} cannot be read: ${cert.message}`);
  const key = readText(keyFile);
  if (key instanceof Error) return report('error', 'unreadable', keyFile, `The private key of ${domain} cannot be read: ${key.message}`);
  const x509 = parseCertificate(cert);
  if (x509 === undefined)
    return report('error', 'malformed', certificateFile, `The certificate of ${domain} in ${certificateFile} is not a PEM certificate.`);
  const mismatch = contextError({ cert, key });
  if (mismatch !== undefined) {
    return /VALUES_MISMATCH|TYPE_MISMATCH/.test(mismatch.code ?? '')
      ? report(
          'error',
          'key_mismatch',
          keyFile,
          `The private key in ${keyFile} does not belong to the certificate of ${domain} in ${certificateFile}.`,
        )
      : report('error', 'malformed', keyFile, `The certificate and key of ${domain} cannot be used: ${mismatch.message}`);
  }
  const nowMs = Date.now();
  if (x509.validToDate.getTime() < nowMs)
    report('warning', 'expired', certificateFile, `The certificate of ${domain} expired on ${x509.validTo}.`);
  if (x509.validFromDate.getTime() > nowMs)
    report('warning', 'not_yet_valid', certificateFile, `The certificate of ${domain} is not valid before ${x509.validFrom}.`);
  if (x509.checkHost(asciiName(domain)) === undefined)
    report(
      'warning',
      'domain_not_covered',
      certificateFile,
      `The certificate in ${certificateFile} does not cover ${domain}; clients will refuse it.`,
    );
  return { domain, cert, key, x509, serverEndPoint: hashForServerEndPoint(x509) };
}

/** Reads the authorities whose client certificates are believed; `undefined` if they cannot be used, with a problem added. */
export function readClientAuthorities(file: string, problems: TlsProblem[]): string | undefined {
  const ca = readText(file);
  const problem =
    ca instanceof Error ? ca : parseCertificate(ca) === undefined ? new Error('it is not a PEM certificate') : contextError({ ca });
  if (problem === undefined) return ca as string;
  problems.push({
    severity: 'error',
    code: 'client_authority',
    domain: undefined,
    file,
    text: `The client authorities in ${file} cannot be used, so they are left as they were: ${problem.message}`,
  });
  return undefined;
}

function readText(file: string): string | Error {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    return error as Error;
  }
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** OpenSSL's opinion, in words. */
function contextError(options: SecureContextOptions): (Error & { code?: string }) | undefined {
  try {
    createSecureContext(options);
    return undefined;
  } catch (error) {
    return error as Error & { code?: string };
  }
}
