/** Namespaces of the core protocols. Those of features live in their modules. */
export const NS = {
  /** Content namespace of client streams. RFC 6120 §4.8.2 */
  client: 'jabber:client',
  /** Content namespace of server streams. */
  server: 'jabber:server',
  /** Content namespace of component streams. XEP-0114 */
  component: 'jabber:component:accept',
  /** The stream root, its features and errors. RFC 6120 §4.8.1 */
  streams: 'http://etherx.jabber.org/streams',
  /** Conditions of stream errors. RFC 6120 §4.9.2 */
  streamErrors: 'urn:ietf:params:xml:ns:xmpp-streams',
  /** Conditions of stanza errors. RFC 6120 §8.3.2 */
  stanzaErrors: 'urn:ietf:params:xml:ns:xmpp-stanzas',
  /** RFC 6120 §5 */
  tls: 'urn:ietf:params:xml:ns:xmpp-tls',
  /** RFC 6120 §6 */
  sasl: 'urn:ietf:params:xml:ns:xmpp-sasl',
  /** XEP-0388 */
  sasl2: 'urn:xmpp:sasl:2',
  /** XEP-0386 */
  bind2: 'urn:xmpp:bind:0',
  /** XEP-0484 */
  fast: 'urn:xmpp:fast:0',
  /** XEP-0440 */
  saslChannelBinding: 'urn:xmpp:sasl-cb:0',
  /** RFC 6120 §7 */
  bind: 'urn:ietf:params:xml:ns:xmpp-bind',
  /** RFC 3921 §3; obsolete, still offered as optional. */
  session: 'urn:ietf:params:xml:ns:xmpp-session',
  /** RFC 7395 */
  framing: 'urn:ietf:params:xml:ns:xmpp-framing',
  /** RFC 6121 §2.6.1 */
  rosterVersioning: 'urn:xmpp:features:rosterver',
  /** RFC 6121 §3.4.1 */
  preApproval: 'urn:xmpp:features:pre-approval',
  /** XEP-0220 */
  dialback: 'jabber:server:dialback',
  dialbackFeature: 'urn:xmpp:features:dialback',
  /** Bound to the prefix `xml` by Namespaces in XML §3. */
  xml: 'http://www.w3.org/XML/1998/namespace',
  /** XEP-0030 */
  discoInfo: 'http://jabber.org/protocol/disco#info',
  discoItems: 'http://jabber.org/protocol/disco#items',
  /** XEP-0004 */
  dataForm: 'jabber:x:data',
  /** XEP-0122 */
  dataFormValidation: 'http://jabber.org/protocol/xdata-validate',
  /** XEP-0059 */
  rsm: 'http://jabber.org/protocol/rsm',
  /** XEP-0203 */
  delay: 'urn:xmpp:delay',
  /** XEP-0115 */
  caps: 'http://jabber.org/protocol/caps',
} as const;
