/**
 * Hashed tokens, server side: HT-SHA-256-* of draft-schmaus-kitten-sasl-ht, as XEP-0484 uses them. One message each way, and
 * two HMACs: nothing to be hashed thousands of times, since a token is random.
 */
import { createHmac } from 'node:crypto';
import type { SaslFailure } from './exchange.ts';
import { readUsername, utf8, type Preparation } from './identity.ts';
import type { ChannelBinding, ChannelBindingType } from './scram.ts';
import { equalInConstantTime } from './scram-credentials.ts';

/** In the order they are advertised, strongest first. */
export const TOKEN_MECHANISMS = ['HT-SHA-256-EXPR', 'HT-SHA-256-ENDP', 'HT-SHA-256-NONE'] as const;
export type TokenMechanism = (typeof TOKEN_MECHANISMS)[number];

const BINDINGS: Readonly<Record<TokenMechanism, ChannelBindingType | undefined>> = {
  'HT-SHA-256-EXPR': 'tls-exporter',
  'HT-SHA-256-ENDP': 'tls-server-end-point',
  'HT-SHA-256-NONE': undefined,
};

const HASH_BYTES = 32;
const NO_DATA = Buffer.alloc(0);

/** What a client says to prove that it has a token. */
export interface TokenProof {
  readonly mechanism: TokenMechanism;
  /** `initiator-hashed-token`, 32 bytes. */
  readonly hash: Uint8Array;
  /** Of the connection it was said on; empty without channel binding. */
  readonly binding: Uint8Array;
}

export interface TokenContext {
  /** Of the stream. */
  readonly domain: string;
  readonly prepare: Preparation;
  readonly channelBindings: readonly ChannelBinding[];
}

/** Those that a connection with these channel bindings can do. */
export function tokenMechanismsFor(channelBindings: readonly ChannelBinding[]): TokenMechanism[] {
  return TOKEN_MECHANISMS.filter((name) => BINDINGS[name] === undefined || channelBindings.some(({ type }) => type === BINDINGS[name]));
}

/** Reads the only message: `authcid NUL initiator-hashed-token`. */
export function readTokenProof(
  mechanism: TokenMechanism,
  data: Buffer,
  { domain, prepare, channelBindings }: TokenContext,
): { readonly username: string; readonly proof: TokenProof } | SaslFailure {
  const end = data.indexOf(0);
  const authcid = end > 0 ? utf8(data.subarray(0, end)) : undefined;
  if (authcid === undefined || data.length !== end + 1 + HASH_BYTES) return 'malformed-request';
  const username = readUsername(authcid, domain, prepare);
  const type = BINDINGS[mechanism];
  const binding = type === undefined ? NO_DATA : channelBindings.find((each) => each.type === type)?.data;
  if (username === undefined || binding === undefined) return 'not-authorized';
  return { username, proof: { mechanism, hash: data.subarray(end + 1), binding } };
}

/** In constant time. @returns what proves to the client that the server has the token, too: `undefined` where the proof is wrong. */
export function checkTokenProof(token: string, { hash, binding }: TokenProof): Buffer | undefined {
  const isProved = equalInConstantTime(hashedToken(token, 'Initiator', binding), Buffer.from(hash));
  return isProved ? hashedToken(token, 'Responder', binding) : undefined;
}

/** What the client says (`Initiator`) and the server answers. */
export function hashedToken(token: string, side: 'Initiator' | 'Responder', binding: Uint8Array): Buffer {
  return createHmac('sha256', token).update(side).update(binding).digest();
}
