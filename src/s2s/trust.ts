/** Whether a certificate shows that the peer speaks for a domain: whom it leads to, and which names it has. Loads an ASN.1 parser. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import type { Config } from '../config/config.ts';
import { isPathTrusted, RootStore } from '../net/certificate-path.ts';
import type { TlsFacts } from '../net/transport.ts';
import { parseCertificateNames, type CertificateNames } from '../sasl/certificate-names.ts';
import { asciiDomain } from '../xmpp/jid.ts';
import { isCertificateFor } from './identity.ts';
import { remoteOf } from './policy.ts';
import type { Trust, Verdict } from './environment.ts';

/** OpenSSL's word for a certificate of a server where it expects one of a client. */
const NO_CLIENT = 'INVALID_PURPOSE';

export interface TrustOptions {
  readonly config: () => Config;
  /** PEM, any number of certificates; undefined: those that come with Node. */
  readonly authorities: () => string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export function makeTrust(options: TrustOptions): Trust {
  return new CertificateTrust(options);
}

class CertificateTrust implements Trust {
  private readonly options: TrustOptions;
  /** By their PEM text or path; at most as many as are configured. */
  private readonly stores = new Map<string, RootStore>();

  constructor(options: TrustOptions) {
    this.options = options;
  }

  names(tls: TlsFacts): CertificateNames | undefined {
    const { peerCertificate } = tls;
    return peerCertificate === undefined ? undefined : parseCertificateNames(peerCertificate.raw);
  }

  judge(tls: TlsFacts | undefined, domain: string): Verdict {
    const leaf = tls?.peerCertificate;
    if (tls === undefined || leaf === undefined) return { isValid: false, reason: 'no certificate' };
    const remote = remoteOf(this.options.config(), domain);
    if (remote !== undefined && remote.pins.length > 0) {
      const spki = leaf.publicKey.export({ type: 'spki', format: 'der' });
      const hashes = [leaf.raw, spki].map((bytes) => createHash('sha256').update(bytes).digest('hex'));
      const isPinned = remote.pins.some((pin) => hashes.includes(pin));
      return isPinned ? { isValid: true } : { isValid: false, reason: 'not the certificate that is pinned' };
    }
    const isRight = isCertificateFor(parseCertificateNames(leaf.raw), domain);
    if (!isRight) return { isValid: false, reason: 'not for this domain' };
    const path = (roots: RootStore): boolean =>
      isPathTrusted({ leaf, presented: tls.peerChain(), roots, nowMs: this.options.now(), name: asciiDomain(domain) });
    if (remote?.authorities !== undefined) {
      return path(this.fileStore(remote.authorities))
        ? { isValid: true }
        : { isValid: false, reason: 'not of the authorities for this domain' };
    }
    if (tls.isPeerTrusted || (tls.peerProblem === NO_CLIENT && path(this.commonStore()))) return { isValid: true };
    return { isValid: false, reason: tls.peerProblem ?? 'not of a known authority' };
  }

  private commonStore(): RootStore {
    const pem = this.options.authorities();
    return this.store(pem ?? 'node', () => (pem === undefined ? rootCertificates : splitPem(pem)));
  }

  private fileStore(file: string): RootStore {
    return this.store(file, () => splitPem(readFileSync(file, 'utf8')));
  }

  private store(key: string, read: () => readonly string[]): RootStore {
    let store = this.stores.get(key);
    if (store === undefined) this.stores.set(key, (store = new RootStore(read())));
    return store;
  }
}

function splitPem(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
