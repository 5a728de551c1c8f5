/** Which mechanisms a stream offers, and the way into each. RFC 6120 §6.3 */
import { anonymous } from './anonymous.ts';
import { Exchange, type FirstMessage } from './exchange.ts';
import { external } from './external.ts';
import type { Preparation } from './identity.ts';
import { plain } from './plain.ts';
import { scram, type ChannelBinding, type ChannelBindingType, type Decoy } from './scram.ts';
import type { ScramHash } from './scram-credentials.ts';

export { Exchange, SASL_FAILURES } from './exchange.ts';
export type { SaslFailure, Step } from './exchange.ts';
export type { Preparation } from './identity.ts';

/** In the order they are advertised: the server's preference, strongest first. RFC 6120 §6.3.3 */
export const MECHANISMS = [
  'EXTERNAL',
  'SCRAM-SHA-512-PLUS',
  'SCRAM-SHA-256-PLUS',
  'SCRAM-SHA-1-PLUS',
  'SCRAM-SHA-512',
  'SCRAM-SHA-256',
  'SCRAM-SHA-1',
  'PLAIN',
  'ANONYMOUS',
] as const;
export type MechanismName = (typeof MECHANISMS)[number];

/** What is known of the stream when it advertises. */
export interface OfferFacts {
  readonly isSecure: boolean;
  /** Those with data for this connection. */
  readonly channelBindings: readonly ChannelBindingType[];
  /** The client's certificate is trusted and is for an account of this domain (`certificateUsernames`). */
  readonly hasTrustedClientCertificate: boolean;
  /** Whether anyone may log in without an account. XEP-0175 §3: off by default. */
  readonly isAnonymousHost: boolean;
  /** By the operator's leave; all where it is left out. */
  readonly allow?: readonly MechanismName[];
}

/** The mechanisms to advertise, in order. Those that need a secure channel are never offered without one. */
export function mechanismsFor({
  isSecure,
  channelBindings,
  hasTrustedClientCertificate,
  isAnonymousHost,
  allow = MECHANISMS,
}: OfferFacts): MechanismName[] {
  return MECHANISMS.filter((name) => {
    if (!allow.includes(name)) return false;
    if (name.endsWith('-PLUS')) return isSecure && channelBindings.length > 0;
    if (name === 'EXTERNAL') return isSecure && hasTrustedClientCertificate; // RFC 6120 §6.3.4
    if (name === 'PLAIN') return isSecure; // RFC 6120 §13.8.3
    if (name === 'ANONYMOUS') return isAnonymousHost;
    return true;
  });
}

/** Types for `<sasl-channel-binding/>`: none without a mechanism that uses them, which clients take for an attack. XEP-0440 §3 */
export function channelBindingTypes(offered: readonly string[], channelBindings: readonly ChannelBinding[]): ChannelBindingType[] {
  return offered.some((name) => name.endsWith('-PLUS')) ? channelBindings.map(({ type }) => type) : [];
}

/** What the mechanisms need to know of the stream. */
export interface SaslContext {
  /** Exactly the mechanisms advertised on this stream. */
  readonly offered: readonly string[];
  /** Exactly the channel bindings of this connection; those advertised are `channelBindingTypes` of them. */
  readonly channelBindings: readonly ChannelBinding[];
  /** Of the stream, normalised. */
  readonly domain: string;
  readonly prepare: Preparation;
  readonly decoy: Decoy;
  /** Of the client's certificate if that is trusted, else none. */
  readonly certificateAddresses: readonly string[];
  /** Whether SCRAM carries the hash of what was advertised. XEP-0474. Default: yes. */
  readonly isDowngradeProtected?: boolean;
  /** Of the connection as `TlsFacts` names it; undefined without TLS. XEP-0515 */
  readonly tlsVersion?: string | undefined;
  /** For tests against the vectors of the RFCs. */
  readonly makeNonce?: () => string;
}

/** @returns `undefined` where `name` was not advertised on this stream: answer `<invalid-mechanism/>` (RFC 6120 §6.5.7). */
export function startMechanism(name: string, context: SaslContext): Exchange | undefined {
  if (!context.offered.includes(name)) return undefined;
  const first = firstMessage(name, context);
  return first === undefined ? undefined : new Exchange(name, first);
}

function firstMessage(name: string, context: SaslContext): FirstMessage | undefined {
  switch (name) {
    case 'EXTERNAL':
      return external(context);
    case 'PLAIN':
      return plain(context);
    case 'ANONYMOUS':
      return anonymous();
    case 'SCRAM-SHA-1':
    case 'SCRAM-SHA-256':
    case 'SCRAM-SHA-512':
      return scram({ isDowngradeProtected: true, ...context, hash: name.slice(6) as ScramHash, isPlus: false });
    case 'SCRAM-SHA-1-PLUS':
    case 'SCRAM-SHA-256-PLUS':
    case 'SCRAM-SHA-512-PLUS':
      return scram({ isDowngradeProtected: true, ...context, hash: name.slice(6, -5) as ScramHash, isPlus: true });
    default:
      return undefined;
  }
}
