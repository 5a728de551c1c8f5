/** What the layers above may know of a TLS connection, and the two channel bindings. */
import { createHash, X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { contextTag, DER, parseDer } from './der.ts';
import type { DerNode } from './der.ts';
import type { TlsFacts } from './transport.ts';

const EXPORTER_LABEL = 'EXPORTER-Channel-Binding'; // RFC 9266 §2
const EXPORTER_BYTES = 32;
const NO_CONTEXT = Buffer.alloc(0);
/** Longer chains are none that anybody uses. */
const MAX_CHAIN = 10;

/** Hash by signature algorithm. RFC 5929 §4.1: MD5 and SHA-1 are replaced by SHA-256. */
const HASH_OF_SIGNATURE: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'sha256', // md5WithRSAEncryption
  '1.2.840.113549.1.1.5': 'sha256', // sha1WithRSAEncryption
  '1.2.840.10040.4.3': 'sha256', // dsa-with-sha1
  '1.2.840.10045.4.1': 'sha256', // ecdsa-with-SHA1
  '1.2.840.113549.1.1.14': 'sha224',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.1': 'sha224',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '2.16.840.1.101.3.4.3.1': 'sha224', // DSA
  '2.16.840.1.101.3.4.3.2': 'sha256',
};

const RSASSA_PSS = '1.2.840.113549.1.1.10';

/** Content octets of the hash identifiers in RSASSA-PSS parameters, as hex. RFC 4055 §2.1 */
const HASH_OF_PSS: Readonly<Record<string, string>> = {
  '2b0e03021a': 'sha256', // SHA-1
  '608648016503040204': 'sha224',
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
};

/**
 * The `tls-server-end-point` binding of a certificate. RFC 5929 §4.1.
 *
 * @returns `undefined` where the RFC leaves the binding undefined: a signature algorithm that uses no
 *   hash function, such as Ed25519 or ML-DSA, or one that is not known here.
 */
export function hashForServerEndPoint(certificate: X509Certificate): Buffer | undefined {
  const oid = certificate.signatureAlgorithmOid;
  const hash = oid === RSASSA_PSS ? pssHash(certificate.raw) : HASH_OF_SIGNATURE[oid];
  return hash === undefined ? undefined : createHash(hash).update(certificate.raw).digest();
}

function pssHash(certificate: Buffer): string | undefined {
  const algorithm = members(members(one(certificate))?.[1]); // Certificate ::= { tbsCertificate, signatureAlgorithm, … }
  const parameters = members(algorithm?.[1]);
  if (parameters === undefined) return undefined;
  const hashField = parameters.find(({ tag }) => tag === contextTag(0, true));
  if (hashField === undefined) return 'sha256'; // The default is SHA-1.
  const oid = members(members(hashField)?.[0])?.[0];
  return oid?.tag === DER.oid ? HASH_OF_PSS[oid.content.toString('hex')] : undefined;
}

/** Bit of OpenSSL's SSL_SESSION flags: the session was made with an extended master secret. RFC 7627 */
const SESSION_FLAG_EXTENDED_MASTER_SECRET = 1;

/**
 * Whether a TLS 1.2 session used the extended master secret. Node has no question for it, but the
 * session it serializes says so: `flags [13] INTEGER` of OpenSSL's SSL_SESSION.
 */
export function hasExtendedMasterSecret(session: Buffer): boolean {
  const flags = members(members(one(session))?.find(({ tag }) => tag === contextTag(13, true)))?.[0];
  if (flags?.tag !== DER.integer || flags.content.length === 0) return false;
  return (flags.content.at(-1)! & SESSION_FLAG_EXTENDED_MASTER_SECRET) !== 0;
}

function one(bytes: Buffer): DerNode | undefined {
  return parseDer(bytes)?.[0];
}

function members(node: DerNode | undefined): readonly DerNode[] | undefined {
  return node === undefined ? undefined : parseDer(node.content);
}

/** Names of versions and suites come as new strings for each connection; tens of thousands of copies of few. */
const interned = new Map<string, string>();
const MAX_INTERNED = 64;

function intern(text: string): string {
  const known = interned.get(text);
  if (known !== undefined) return known;
  if (interned.size < MAX_INTERNED) interned.set(text, text);
  return text;
}

/** The facts of a handshake that is done, seen from either side. Bindings are worked out when asked for: most logins use none. */
export class SocketTlsFacts implements TlsFacts {
  readonly version: string;
  readonly cipher: string;
  readonly alpn: string | undefined;
  readonly serverName: string | undefined;
  readonly isPeerTrusted: boolean;
  readonly #socket: TLSSocket;
  readonly #serverEndPoint: Buffer | undefined;
  readonly peerProblem: string | undefined;

  /** @param serverEndPoint of the certificate this side presents to `serverName`; undefined for a client's side. */
  constructor(socket: TLSSocket, serverName: string | undefined, serverEndPoint: Buffer | undefined) {
    this.version = intern(socket.getProtocol() ?? '');
    this.cipher = intern(socket.getCipher().name);
    this.alpn = typeof socket.alpnProtocol === 'string' ? intern(socket.alpnProtocol) : undefined;
    this.serverName = serverName;
    this.isPeerTrusted = socket.authorized;
    const problem = socket.authorizationError as unknown as string | (Error & { code?: string }) | null | undefined;
    this.peerProblem =
      socket.authorized || !problem ? undefined : typeof problem === 'string' ? problem : (problem.code ?? problem.message);
    this.#socket = socket;
    this.#serverEndPoint = serverEndPoint;
  }

  /** Undefined also once the connection is over. */
  tlsExporter(): Buffer | undefined {
    const socket = this.#socket;
    if (socket.destroyed) return undefined;
    if (this.version !== 'TLSv1.3') {
      // RFC 9266 §4: without the extended master secret the value is not unique to the connection.
      const session = socket.getSession();
      if (session === undefined || session === null || !hasExtendedMasterSecret(session)) return undefined;
    }
    return socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, NO_CONTEXT);
  }

  tlsServerEndPoint(): Buffer | undefined {
    return this.#serverEndPoint;
  }

  get peerCertificate(): X509Certificate | undefined {
    return this.#socket.destroyed ? undefined : this.#socket.getPeerX509Certificate();
  }

  peerChain(): readonly X509Certificate[] {
    const chain: X509Certificate[] = [];
    if (this.#socket.destroyed) return chain;
    let current = (this.#socket.getPeerCertificate(true) as DetailedPeerCertificate | undefined)?.issuerCertificate;
    for (let last: DetailedPeerCertificate | undefined; current?.raw !== undefined && current !== last;) {
      if (chain.length >= MAX_CHAIN || chain.some(({ raw }) => raw.equals(current!.raw))) break;
      chain.push(new X509Certificate(current.raw));
      last = current;
      current = current.issuerCertificate;
    }
    return chain;
  }
}
