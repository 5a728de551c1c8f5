/** `<stream:features/>`. RFC 6120 §4.3.2 */
import { el, type Element } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { Connection } from './connection.ts';
import { saslOffer } from './login.ts';
import { NS_SM } from '../stream/stream-management.ts';

const LIMITS = 'urn:xmpp:stream-limits:0';
const CHANNEL_BINDING = 'urn:xmpp:sasl-cb:0';

export function featuresXml(c: Connection): string {
  const features = c.isAuthenticated ? afterLogin(c) : beforeLogin(c);
  return `<stream:features>${features.map((feature) => serialize(feature, NS.client)).join('')}</stream:features>`;
}

function beforeLogin(c: Connection): Element[] {
  const { config } = c.environment;
  const features: Element[] = [];
  const isTlsMissing = !c.isSecure && config.c2s.isTlsRequired;
  if (!c.isSecure) features.push(el('starttls', NS.tls, {}, isTlsMissing ? el('required', NS.tls) : undefined)); // §5.4.1
  if (isTlsMissing) return features;
  const offer = saslOffer(c);
  features.push(el('mechanisms', NS.sasl, {}, ...offer.mechanisms.map((name) => el('mechanism', NS.sasl, {}, name)))); // §6.4.1
  if (offer.channelBindings.length > 0) {
    const types = offer.channelBindings.map((type) => el('channel-binding', CHANNEL_BINDING, { type }));
    features.push(el('sasl-channel-binding', CHANNEL_BINDING, {}, ...types)); // XEP-0440 §3
  }
  features.push(...moduleFeatures(c), limits(c));
  return features;
}

function afterLogin(c: Connection): Element[] {
  // `session` did its work in RFC 3921; clients that still ask for it are told it is optional.
  const session = el('session', NS.session, {}, el('optional', NS.session));
  return [el('bind', NS.bind), session, el('sm', NS_SM), ...moduleFeatures(c), limits(c)]; // XEP-0198 §2
}

function moduleFeatures(c: Connection): Element[] {
  return c.host!.modules.flatMap(({ streamFeatures }) => streamFeatures?.(c.streamContext, c.isAuthenticated) ?? []);
}

/** XEP-0478 §3 */
function limits(c: Connection): Element {
  const { config } = c.environment;
  const { maxBytes } = c.isAuthenticated ? config.stanza.afterLogin : config.stanza.beforeLogin;
  const { idleMs } = config.c2s;
  return el(
    'limits',
    LIMITS,
    {},
    el('max-bytes', LIMITS, {}, String(maxBytes)),
    idleMs === 0 ? undefined : el('idle-seconds', LIMITS, {}, String(Math.floor(idleMs / 1_000))),
  );
}
