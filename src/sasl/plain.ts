/** PLAIN, server side. RFC 4616. Offered under TLS only: the password crosses as it is. */
import { failure, success, type FirstMessage } from './exchange.ts';
import { isSameAccount, readUsername, utf8, type Preparation } from './identity.ts';

export interface PlainContext {
  /** Of the stream. */
  readonly domain: string;
  readonly prepare: Preparation;
}

/**
 * The only message: `[authzid] NUL authcid NUL passwd`. RFC 4616 §2
 *
 * The account logged in is the account whose password was checked, in every layout: an authzid can only repeat it.
 */
export function plain({ domain, prepare }: PlainContext): FirstMessage {
  return (data) => {
    const parts = utf8(data)?.split('\0', 4);
    if (parts?.length !== 3) return failure('malformed-request');
    const [authzid, authcid, passwd] = parts as [string, string, string];
    if (authcid === '' || passwd === '') return failure('malformed-request');
    const username = readUsername(authcid, domain, prepare);
    const password = prepare.password(passwd);
    if (username === undefined || password === undefined) return failure('not-authorized');
    if (authzid !== '' && !isSameAccount(authzid, username, domain, prepare)) return failure('invalid-authzid');
    return {
      step: { kind: 'need_password_check', username, password },
      onVerified: (isVerified) => (isVerified ? success(username) : failure('not-authorized')),
    };
  };
}
