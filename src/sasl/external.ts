/** EXTERNAL with a client certificate, server side. RFC 4422 Appendix A, XEP-0178 §2. */
import { failure, success, type FirstMessage } from './exchange.ts';
import { readUsername, utf8, type Preparation } from './identity.ts';

export interface ExternalContext {
  /** Of the stream. */
  readonly domain: string;
  readonly prepare: Preparation;
  /** xmppAddr names of a certificate that the caller has found to be trusted, as `parseCertificateAddresses` reads them. */
  readonly certificateAddresses: readonly string[];
}

/** The accounts of `domain` a certificate is for. */
export function certificateUsernames({ domain, prepare, certificateAddresses }: ExternalContext): string[] {
  const usernames = new Set<string>();
  for (const text of certificateAddresses) {
    const username = text.includes('@') ? readUsername(text, domain, prepare) : undefined;
    if (username !== undefined) usernames.add(username);
  }
  return [...usernames];
}

/** The only message: the authorization identity, mostly empty. */
export function external(context: ExternalContext): FirstMessage {
  return (data) => {
    const authzid = utf8(data);
    if (authzid === undefined || authzid.includes('\0')) return failure('malformed-request');
    const usernames = certificateUsernames(context);
    if (usernames.length === 0) return failure('not-authorized'); // XEP-0178 §2 step 11.3
    let username: string | undefined;
    if (authzid === '') {
      if (usernames.length > 1) return failure('invalid-authzid', 'the certificate is for several accounts: name one'); // step 11.2
      [username] = usernames;
    } else {
      const wanted = readUsername(authzid, context.domain, context.prepare);
      username = usernames.find((each) => each === wanted);
    }
    if (username === undefined) return failure('invalid-authzid');
    const proved = username;
    return {
      step: { kind: 'need_account_check', username: proved },
      onVerified: (isVerified) => (isVerified ? success(proved) : failure('not-authorized')),
    };
  };
}
