/** `<stream:features/>`. RFC 6120 §4.3.2 */
import type { Implements } from '../core/module.ts';
import type { Config } from '../config/config.ts';
import { channelBindingTypes } from '../sasl/mechanism.ts';
import { el, type Element } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { Beginning, Connection } from './connection.ts';
import { makeOffer, type SaslOffer } from './login.ts';
import { UPGRADES, UPGRADE_NS } from './wish.ts';
import { NS_SM } from '../stream/stream-management.ts';

/** What the client role obeys beside what modules do. */
export const C2S_SPECS: readonly Implements[] = [
  { spec: 'XEP-0178', version: '1.2', status: 'partial', note: 'of clients' },
  { spec: 'XEP-0198', version: '1.6.3', status: 'complete', note: 'inline with SASL2 and Bind 2, too' },
  { spec: 'XEP-0386', version: '1.1.0', status: 'complete', note: 'the resource is the same for the same client' },
  { spec: 'XEP-0388', version: '1.0.4', status: 'complete', note: 'no early data, which Node does not take; no second factor' },
  { spec: 'XEP-0440', version: '1.0.0', status: 'complete' },
  { spec: 'XEP-0474', version: '0.5.0', status: 'complete' },
  { spec: 'XEP-0478', version: '0.2.0', status: 'complete' },
  { spec: 'XEP-0480', version: '0.2.0', status: 'complete', note: 'SCRAM-SHA-256 and SCRAM-SHA-512' },
  {
    spec: 'XEP-0484',
    version: '0.2.0',
    status: 'complete',
    note: 'HT-SHA-256 with NONE, ENDP and EXPR; another token with each login; no early data',
  },
  { spec: 'XEP-0515', version: '0.1.0', status: 'complete' },
];

const LIMITS = 'urn:xmpp:stream-limits:0';
const CHANNEL_BINDING = 'urn:xmpp:sasl-cb:0';

/** By what they depend on; forgotten with the configuration they were made under. */
const texts = new WeakMap<Config, Map<string, string>>();

/**
 * What may be negotiated now: nothing that has been, since clients take up whatever is named.
 *
 * @param begun the session that came with the login. XEP-0388 §Success
 */
export function featuresXml(c: Connection, begun?: Pick<Beginning, 'sm'>): string {
  const { config } = c.environment;
  let known = texts.get(config);
  if (known === undefined) texts.set(config, (known = new Map()));
  const { domain } = c.host!;
  let facts = `${domain} ${c.isSecure}`;
  if (c.isAuthenticated) {
    facts += ` ${begun !== undefined} ${begun?.sm !== undefined}`;
  } else if (c.isSecure || !config.c2s.isTlsRequired) {
    const { offered, channelBindings, tokenMechanisms } = (c.offer = makeOffer(c));
    facts += ` ${offered.join()} ${channelBindings.map(({ type }) => type).join()} ${tokenMechanisms.join()}`;
  }
  let text = known.get(facts);
  if (text === undefined) {
    const features = c.isAuthenticated ? afterLogin(c, begun) : beforeLogin(c);
    text = `<stream:features>${features.map((feature) => serialize(feature, NS.client)).join('')}</stream:features>`;
    known.set(facts, text);
  }
  return text;
}

function beforeLogin(c: Connection): Element[] {
  const features: Element[] = [];
  const { offer } = c;
  const isTlsMissing = offer === undefined;
  if (!c.isSecure) features.push(el('starttls', NS.tls, {}, isTlsMissing ? el('required', NS.tls) : undefined)); // §5.4.1
  if (isTlsMissing) return features;
  features.push(
    el('mechanisms', NS.sasl, {}, ...offer.offered.map((name) => el('mechanism', NS.sasl, {}, name))),
    authentication(c, offer),
  ); // §6.4.1
  const bindings = channelBindingTypes(offer.offered, offer.channelBindings);
  if (bindings.length > 0) {
    const types = bindings.map((type) => el('channel-binding', CHANNEL_BINDING, { type }));
    features.push(el('sasl-channel-binding', CHANNEL_BINDING, {}, ...types)); // XEP-0440 §3
  }
  features.push(...moduleFeatures(c), limits(c));
  return features;
}

/** XEP-0388 §SASL mechanism negotiation */
function authentication(c: Connection, { offered, tokenMechanisms }: SaslOffer): Element {
  const named = (ns: string, names: readonly string[]): Element[] => names.map((name) => el('mechanism', ns, {}, name));
  const features = new Set([...c.host!.bindFeatures.map(({ feature }) => feature), NS_SM]);
  const bind = el(
    'bind',
    NS.bind2,
    {},
    el('inline', NS.bind2, {}, ...Array.from(features, (feature) => el('feature', NS.bind2, { var: feature }))), // XEP-0386 §Discovering support
  );
  // No `tls-0rtt`: Node accepts no early data. XEP-0484 §3.1
  const fast = tokenMechanisms.length > 0 && el('fast', NS.fast, {}, ...named(NS.fast, tokenMechanisms));
  const hasPasswords = offered.some((name) => name.startsWith('SCRAM-'));
  const upgrades = hasPasswords ? Object.keys(UPGRADES).map((name) => el('upgrade', UPGRADE_NS, {}, name)) : []; // XEP-0480 §2.1
  const inline = el('inline', NS.sasl2, {}, bind, el('sm', NS_SM), fast); // XEP-0198 §SASL2
  return el('authentication', NS.sasl2, {}, ...named(NS.sasl2, offered), inline, ...upgrades);
}

function afterLogin(c: Connection, begun: Pick<Beginning, 'sm'> | undefined): Element[] {
  const features: Element[] = [];
  // `session` did its work in RFC 3921; clients that still ask for it are told it is optional.
  if (begun === undefined) features.push(el('bind', NS.bind), el('session', NS.session, {}, el('optional', NS.session)));
  if (begun?.sm === undefined) features.push(el('sm', NS_SM)); // XEP-0198 §2; "at most one attempt to enable": §3
  features.push(...moduleFeatures(c), limits(c));
  return features;
}

function moduleFeatures(c: Connection): Element[] {
  const { streamContext } = c;
  return c.host!.modules.flatMap(({ streamFeatures }) => streamFeatures?.(streamContext, c.isAuthenticated) ?? []);
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
