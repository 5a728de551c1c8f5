/** What a stream that another server has begun is offered. RFC 6120 §4.3.2 */
import { NS_SM } from '../stream/stream-management.ts';
import { el, type Element } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { Incoming } from './incoming.ts';
import { isDialbackAllowed, isTlsRequired } from './policy.ts';

export const NS_BIDI = 'urn:xmpp:bidi';
export const NS_BIDI_FEATURE = 'urn:xmpp:features:bidi';
const LIMITS = 'urn:xmpp:stream-limits:0';

export function inboundFeatures(c: Incoming): string {
  return `<stream:features>${features(c)
    .map((feature) => serialize(feature, NS.server))
    .join('')}</stream:features>`;
}

function features(c: Incoming): Element[] {
  const { environment, stream, remote = '', proved } = c;
  const { config } = environment;
  const { tls } = stream.link.transport;
  const offered: Element[] = [];
  const isTlsMissing = tls === undefined && isTlsRequired(config, remote);
  if (tls === undefined) offered.push(el('starttls', NS.tls, {}, isTlsMissing && el('required', NS.tls)));
  if (proved === undefined && config.s2s.isBidi) offered.push(el('bidi', NS_BIDI_FEATURE)); // XEP-0288 §2.1
  if (isTlsMissing) return offered;
  // XEP-0178 §3 step 11: offered to whom it would help.
  if (tls !== undefined && proved === undefined && environment.trust.judge(tls, remote).isValid)
    offered.push(el('mechanisms', NS.sasl, {}, el('mechanism', NS.sasl, {}, 'EXTERNAL')));
  if (isDialbackAllowed(config, remote)) offered.push(el('dialback', NS.dialbackFeature, {}, el('errors', NS.dialbackFeature))); // XEP-0220 §2.4.2
  // After dialback there are no other features, so it is said now.
  offered.push(el('sm', NS_SM));
  offered.push(el('limits', LIMITS, {}, el('max-bytes', LIMITS, {}, String(config.stanza.servers.maxBytes)))); // XEP-0478 §3
  return offered;
}
