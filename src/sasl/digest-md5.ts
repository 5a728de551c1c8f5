/**
 * DIGEST-MD5, server side, as pure steps. RFC 2831, which RFC 6331 moved to historic: needs the password itself and trusts in MD5.
 * Here only because components of jabberd2 know nothing else.
 *
 *   challenge ─► the client's response ─► readResponse ─► isRight? ─► rspauth, which shows that the server knows the secret, too
 */
import { createHash, timingSafeEqual } from 'node:crypto';

export interface DigestOffer {
  readonly realm: string;
  /** Unpredictable, of this exchange alone. */
  readonly nonce: string;
}

/** What the server says first. §2.1.1 */
export function digestChallenge({ realm, nonce }: DigestOffer): string {
  return `realm="${realm}", nonce="${nonce}", qop="auth", charset=utf-8, algorithm=md5-sess`;
}

export interface DigestResponse {
  readonly username: string;
  /**
   * @param secret of that user; undefined where there is no such user, which takes as long.
   * @returns the last word of the server (§2.1.3), or undefined where the response is wrong.
   */
  readonly verify: (secret: string | undefined) => string | undefined;
}

/** @param service the `serv-type` of the digest-uri, e.g. `xmpp`. @returns undefined for what is no response to `offer`. §2.1.2 */
export function readDigestResponse(text: string, { realm, nonce }: DigestOffer, service: string): DigestResponse | undefined {
  const directives = parseDirectives(text);
  if (directives === undefined) return undefined;
  const value = (name: string): string => directives.get(name) ?? '';
  const username = value('username');
  const cnonce = value('cnonce');
  const uri = value('digest-uri');
  const isFit =
    username !== '' &&
    cnonce !== '' &&
    value('realm') === realm &&
    value('nonce') === nonce && // a nonce is good for one exchange
    value('nc') === '00000001' &&
    (directives.get('qop') ?? 'auth') === 'auth' &&
    uri.startsWith(`${service}/`) &&
    !directives.has('authzid');
  if (!isFit) return undefined;
  return {
    username,
    verify(secret) {
      // §2.1.2.1: A1 begins with the sixteen bytes of the hash itself.
      const head = md5(`${username}:${realm}:${secret ?? nonce}`);
      const key = md5(Buffer.concat([head, Buffer.from(`:${nonce}:${cnonce}`)])).toString('hex');
      const answer = (method: string): string => hex(`${key}:${nonce}:00000001:${cnonce}:auth:${hex(`${method}:${uri}`)}`);
      const expected = Buffer.from(answer('AUTHENTICATE'));
      const given = Buffer.from(value('response'));
      const isRight = given.length === expected.length && timingSafeEqual(given, expected);
      return isRight && secret !== undefined ? `rspauth=${answer('')}` : undefined;
    },
  };
}

const MAX_DIRECTIVES = 16;

/** §7.1: `name=value` or `name="value"`, separated by commas. Undefined where it is malformed or names one twice. */
function parseDirectives(text: string): ReadonlyMap<string, string> | undefined {
  const directives = new Map<string, string>();
  const pattern = /[\s,]*([A-Za-z-]{1,32})\s*=\s*(?:"((?:[^"\\]|\\.){0,1024})"|([^\s,"]{1,1024}))\s*(?=,|$)/gy;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (match === null) return undefined;
    const [, name, quoted, token] = match;
    if (directives.has(name!) || directives.size >= MAX_DIRECTIVES) return undefined;
    directives.set(name!, quoted === undefined ? token! : quoted.replace(/\\(.)/g, '$1'));
  }
  return directives;
}

const md5 = (data: string | Buffer): Buffer => createHash('md5').update(data).digest();
const hex = (data: string): string => md5(data).toString('hex');
