/** How a link finds and reaches the other server. RFC 6120 §3.2 */
import { isIP } from 'node:net';
import { findAddresses, findService, isAbsent } from '../net/service-records.ts';
import { asciiDomain } from '../xmpp/jid.ts';
import type { DialPlace, S2sEnvironment } from './environment.ts';
import { remoteOf } from './policy.ts';

const DEFAULT_PORT = 5269;
/** Addresses tried in one attempt, whatever names lead to. */
const MAX_PLACES = 16;

/** What a domain's names come to. */
export type Found =
  | { readonly kind: 'places'; readonly places: readonly DialPlace[] }
  /** There is no such server. */
  | { readonly kind: 'none'; readonly reason: string }
  /** It may be otherwise in a moment. */
  | { readonly kind: 'failed'; readonly reason: string };

/** Never rejects. */
export async function findPlaces({ config, names }: S2sEnvironment, remote: string): Promise<Found> {
  const override = remoteOf(config, remote);
  const services =
    override !== undefined && override.addresses.length > 0
      ? override.addresses.map((text) => ({ ...parsePlace(text), isDirectTls: override.isDirectTls }))
      : await findService(asciiDomain(remote), names);
  if ('kind' in services && services.kind !== 'places') return services;
  const list = 'kind' in services ? services.places : services;
  const places: DialPlace[] = [];
  let isUncertain = false;
  let reason = 'no addresses';
  for (const { host, port, isDirectTls } of list) {
    const addresses = await findAddresses(host, names);
    if (addresses instanceof Error) {
      reason = addresses.message;
      isUncertain ||= !isAbsent(addresses);
    } else {
      for (const address of addresses) places.push({ address, port, isDirectTls });
    }
    if (places.length >= MAX_PLACES) break;
  }
  if (places.length > 0) return { kind: 'places', places: places.slice(0, MAX_PLACES) };
  return { kind: isUncertain ? 'failed' : 'none', reason };
}

/** `host`, `host:port` or `[IPv6]:port`. */
function parsePlace(text: string): { readonly host: string; readonly port: number } {
  if (isIP(text) !== 0) return { host: text, port: DEFAULT_PORT };
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text);
  return { host: match?.[1] ?? match?.[2] ?? text, port: match?.[3] === undefined ? DEFAULT_PORT : Number(match[3]) };
}
