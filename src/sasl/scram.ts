/**
 * SCRAM, server side: RFC 5802, RFC 7677, channel binding of RFC 9266 and RFC 5929, downgrade protection of XEP-0474 and XEP-0515.
 *
 *     client-first ─► need_credentials ─► server-first (challenge) ─► client-final ─► server-final (success)
 *
 * An unknown name, an account that may not log in and a wrong password take the same steps to the same failure.
 */
import { hash as digest } from 'node:crypto';
import { randomText } from './random.ts';
import { decodeBase64 } from './base64.ts';
import { challenge, failure, success, type FirstMessage, type Pending } from './exchange.ts';
import { isSameAccount, readUsername, utf8, type Preparation } from './identity.ts';
import {
  equalInConstantTime,
  fakeScramCredentials,
  hmac,
  SCRAM_HASHES,
  type ScramCredentials,
  type ScramHash,
} from './scram-credentials.ts';

export { deriveScramCredentials, fakeScramCredentials, MIN_SCRAM_ITERATIONS, SALT_BYTES, verifyPassword } from './scram-credentials.ts';
export type { PreparedPassword, ScramCredentials, ScramHash } from './scram-credentials.ts';

export type ChannelBindingType = 'tls-exporter' | 'tls-server-end-point';

/** A channel binding of the connection, as both ends compute it. */
export interface ChannelBinding {
  readonly type: ChannelBindingType;
  readonly data: Buffer;
}

/** Credentials for names without an account are made of these. */
export interface Decoy {
  /** At least 32 random bytes, kept with the store. */
  readonly serverSecret: Buffer;
  /** What real accounts have: a different number would tell them apart. */
  readonly iterations: number;
}

export interface ScramContext {
  readonly hash: ScramHash;
  /** Whether this is the -PLUS variant. */
  readonly isPlus: boolean;
  /** Mechanisms advertised on this stream. */
  readonly offered: readonly string[];
  /** Those advertised on this stream (XEP-0440), with their data. */
  readonly channelBindings: readonly ChannelBinding[];
  /** Of the stream. */
  readonly domain: string;
  readonly prepare: Preparation;
  readonly decoy: Decoy;
  /** Whether the challenge carries the hash of what was advertised. XEP-0474 */
  readonly isDowngradeProtected: boolean;
  /** 'TLSv1.3' and the like; undefined without TLS. XEP-0515 */
  readonly tlsVersion?: string | undefined;
  /** For tests against the vectors of the RFCs. */
  readonly makeNonce?: () => string;
}

/** Of randomness in our part of the nonce. */
const NONCE_BYTES = 18;
/** Of the peer's part of the nonce, in characters. */
const MAX_CLIENT_NONCE = 256;
/** Attributes in one message: four are known, the others are for extensions we ignore. */
const MAX_ATTRIBUTES = 16;

interface ClientFirst {
  /** Up to and with the comma before the bare message. */
  readonly gs2Header: string;
  /** 'n': the client has no channel binding; 'y': it has, and thinks we have not; 'p': it uses `bindingType`. */
  readonly flag: 'n' | 'y' | 'p';
  readonly bindingType: string;
  readonly authzid: string | undefined;
  readonly bare: string;
  readonly username: string;
  readonly nonce: string;
}

/** The first message of an exchange. */
export function scram(context: ScramContext): FirstMessage {
  return (data) => {
    const first = parseClientFirst(utf8(data));
    if (first === undefined) return failure('malformed-request');
    const binding = context.isPlus ? context.channelBindings.find(({ type }) => type === first.bindingType) : undefined;
    if (context.isPlus !== (first.flag === 'p')) return failure('malformed-request', 'the channel binding flag does not fit the mechanism'); // RFC 5802 §6
    if (context.isPlus && binding === undefined) return failure('not-authorized', 'this type of channel binding is not offered');
    // RFC 5802 §6: a client that saw no -PLUS although we sent it was lied to.
    if (first.flag === 'y' && context.offered.some((name) => name.endsWith('-PLUS')))
      return failure('not-authorized', 'channel binding is offered here: the list of mechanisms was changed on its way');
    const { domain, prepare } = context;
    const username = readUsername(first.username, domain, prepare);
    if (username === undefined) return failure('not-authorized');
    if (first.authzid !== undefined && !isSameAccount(first.authzid, username, domain, prepare)) return failure('invalid-authzid');
    return {
      step: { kind: 'need_credentials', username, hash: context.hash },
      onCredentials: (found, isEnabled) => serverFirst(context, first, binding, username, found, isEnabled),
    };
  };
}

function serverFirst(
  context: ScramContext,
  first: ClientFirst,
  binding: ChannelBinding | undefined,
  username: string,
  found: ScramCredentials | undefined,
  isEnabled: boolean,
): Pending {
  const { hash, decoy } = context;
  if (found !== undefined && found.hash !== hash) throw new Error(`credentials for ${found.hash} where ${hash} was asked for`);
  // Made in any case, so that the time taken is the same.
  const fake = fakeScramCredentials(decoy.serverSecret, username, hash, decoy.iterations);
  const credentials = found ?? fake;
  const nonce = first.nonce + (context.makeNonce ?? makeNonce)();
  let message = `r=${nonce},s=${credentials.salt.toString('base64')},i=${credentials.iterations}`;
  if (context.isDowngradeProtected) message += `,h=${downgradeHash(context)}${tlsVersion(context)}`;
  const bindingInput = Buffer.concat([Buffer.from(first.gs2Header), binding?.data ?? Buffer.alloc(0)]);
  return challenge(Buffer.from(message), (data) => {
    const final = parseClientFinal(utf8(data), hash);
    if (final === undefined) return failure('malformed-request');
    const authMessage = `${first.bare},${message},${final.withoutProof}`;
    const clientKey = exclusiveOr(final.proof, hmac(hash, credentials.storedKey, authMessage));
    const isProved = equalInConstantTime(digest(SCRAM_HASHES[hash].algorithm, clientKey, 'buffer'), credentials.storedKey);
    const isBound = equalInConstantTime(final.bindingInput, bindingInput);
    const isFresh = equalInConstantTime(Buffer.from(final.nonce), Buffer.from(nonce));
    const signature = hmac(hash, credentials.serverKey, authMessage);
    if (!isProved || !isBound || !isFresh || found === undefined || !isEnabled) return failure('not-authorized');
    return success(username, Buffer.from(`v=${signature.toString('base64')}`));
  });
}

/** RFC 5802 §5.1: printable ASCII without a comma. */
function makeNonce(): string {
  return randomText(NONCE_BYTES, 'base64');
}

/** XEP-0474 §6.1: what was advertised, hashed, comes back under the password. */
function downgradeHash({ hash, offered, channelBindings }: ScramContext): string {
  // Names are ASCII, where code unit order is i;octet.
  let list = offered.toSorted().join('\x1e');
  const types = channelBindings.map(({ type }) => type as string);
  if (types.length > 0 && offered.some((name) => name.endsWith('-PLUS'))) list += '\x1f' + types.toSorted().join('\x1e');
  return digest(SCRAM_HASHES[hash].algorithm, list, 'base64');
}

/** XEP-0515 §5.1: numbers as in the TLS handshake. RFC 8446 §4.2.1 */
const TLS_VERSIONS: Readonly<Record<string, string>> = { TLSv1: '0301', 'TLSv1.1': '0302', 'TLSv1.2': '0303', 'TLSv1.3': '0304' };

function tlsVersion({ tlsVersion: version }: ScramContext): string {
  const number = version === undefined ? undefined : TLS_VERSIONS[version];
  return number === undefined ? '' : `,t=${number}`;
}

function exclusiveOr(one: Buffer, other: Buffer): Buffer {
  const result = Buffer.alloc(one.length);
  for (let i = 0; i < one.length; i++) result[i] = one[i]! ^ other[i]!;
  return result;
}

/** client-first-message. RFC 5802 §7 */
function parseClientFirst(text: string | undefined): ClientFirst | undefined {
  if (text === undefined || text.includes('\0')) return undefined;
  const flagEnd = text.indexOf(',');
  const headerEnd = text.indexOf(',', flagEnd + 1);
  if (flagEnd === -1 || headerEnd === -1) return undefined;
  const flagText = text.slice(0, flagEnd);
  const flag = flagText.startsWith('p=') ? 'p' : flagText;
  const bindingType = flagText.slice(2);
  if (flag !== 'n' && flag !== 'y' && !(flag === 'p' && /^[-.A-Za-z0-9]+$/.test(bindingType))) return undefined;
  let authzid: string | undefined;
  const authzidText = text.slice(flagEnd + 1, headerEnd);
  if (authzidText !== '') {
    authzid = authzidText.startsWith('a=') ? parseSaslName(authzidText.slice(2)) : undefined;
    if (authzid === undefined) return undefined;
  }
  const bare = text.slice(headerEnd + 1);
  const [name, nonce, ...extensions] = bare.split(',', MAX_ATTRIBUTES + 1);
  // A leading m= asks for an extension we do not know, and RFC 5802 §5.1 then forbids to go on.
  if (name === undefined || nonce === undefined || !name.startsWith('n=') || !nonce.startsWith('r=') || !areExtensions(extensions))
    return undefined;
  const username = parseSaslName(name.slice(2));
  const clientNonce = nonce.slice(2);
  if (username === undefined || clientNonce.length > MAX_CLIENT_NONCE || !/^[\x21-\x7E]+$/.test(clientNonce)) return undefined;
  return { gs2Header: text.slice(0, headerEnd + 1), flag, bindingType, authzid, bare, username, nonce: clientNonce };
}

interface ClientFinal {
  readonly bindingInput: Buffer;
  readonly nonce: string;
  readonly proof: Buffer;
  readonly withoutProof: string;
}

/** client-final-message. RFC 5802 §7 */
function parseClientFinal(text: string | undefined, hash: ScramHash): ClientFinal | undefined {
  if (text === undefined || text.includes('\0')) return undefined;
  const proofAt = text.lastIndexOf(',p=');
  if (proofAt === -1) return undefined;
  const withoutProof = text.slice(0, proofAt);
  const [binding, nonce, ...extensions] = withoutProof.split(',', MAX_ATTRIBUTES + 1);
  if (binding === undefined || nonce === undefined || !binding.startsWith('c=') || !nonce.startsWith('r=') || !areExtensions(extensions))
    return undefined;
  const bindingInput = decodeBase64(binding.slice(2));
  const proof = decodeBase64(text.slice(proofAt + 3));
  if (bindingInput === undefined || proof?.length !== SCRAM_HASHES[hash].bytes) return undefined;
  return { bindingInput, nonce: nonce.slice(2), proof, withoutProof };
}

/** Optional extensions are ignored (RFC 5802 §5.1); attributes the RFC itself defines have their place elsewhere. */
function areExtensions(attributes: readonly string[]): boolean {
  return (
    attributes.length <= MAX_ATTRIBUTES - 2 &&
    attributes.every((attribute) => /^[b-ln-zA-Z]=./.test(attribute) && !/^[cinprsv]=/.test(attribute))
  );
}

/** saslname: `=2C` and `=3D` stand for comma and equals sign, and no other use of the latter is allowed. RFC 5802 §5.1 */
function parseSaslName(text: string): string | undefined {
  if (text === '' || /=(?!2C|3D)/.test(text)) return undefined;
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=');
}
