/**
 * The compliance suites of XEP-0479 as far as they ask something of a server: what is wanted, of whom, and where clients see that it is
 * there. `compliance.test.ts` holds it against a running server, and the README's table is made of it.
 */
import { MODULES } from '../../src/modules/index.ts';

export interface Wanted {
  readonly suite: 'Core' | 'Web' | 'IM' | 'Mobile' | 'A/V calling';
  readonly feature: string;
  /** Of all servers, or only of advanced ones. */
  readonly level: 'server' | 'advanced';
  readonly specs: readonly string[];
  /** Where it is advertised, all of it; none: by how the protocol goes. */
  readonly advertised: readonly Advertised[];
}

export type Advertised =
  /** Disco feature of the server, or of an account (asked by its owner). */
  | { readonly by: 'server' | 'account'; readonly feature: string }
  /** Disco identity of an account. */
  | { readonly by: 'account'; readonly identity: string }
  /** Name and namespace of an element of the stream's features, after login or before. */
  | { readonly by: 'stream' | 'login'; readonly element: readonly [name: string, ns: string] }
  /** Identity of a service among the server's items. */
  | { readonly by: 'service'; readonly identity: string };

const server = (feature: string): Advertised => ({ by: 'server', feature });
const account = (feature: string): Advertised => ({ by: 'account', feature });
const stream = (name: string, ns: string): Advertised => ({ by: 'stream', element: [name, ns] });

export const WANTED: readonly Wanted[] = [
  {
    suite: 'Core',
    feature: 'Core features',
    level: 'server',
    specs: ['RFC 6120'],
    advertised: [stream('bind', 'urn:ietf:params:xml:ns:xmpp-bind')],
  },
  {
    suite: 'Core',
    feature: 'TLS',
    level: 'server',
    specs: ['RFC 7590'],
    advertised: [{ by: 'login', element: ['starttls', 'urn:ietf:params:xml:ns:xmpp-tls'] }],
  },
  { suite: 'Core', feature: 'Direct TLS', level: 'advanced', specs: ['XEP-0368'], advertised: [] },
  {
    suite: 'Core',
    feature: 'Feature discovery',
    level: 'server',
    specs: ['XEP-0030'],
    advertised: ['http://jabber.org/protocol/disco#info', 'http://jabber.org/protocol/disco#items'].flatMap((ns) => [
      server(ns),
      account(ns),
    ]),
  },
  {
    suite: 'Core',
    feature: 'Feature broadcasts',
    level: 'advanced',
    specs: ['XEP-0115'],
    advertised: [stream('c', 'http://jabber.org/protocol/caps'), server('http://jabber.org/protocol/caps')],
  },
  { suite: 'Core', feature: 'Server extensibility', level: 'server', specs: ['XEP-0114'], advertised: [] },
  {
    suite: 'Core',
    feature: 'Event publishing',
    level: 'advanced',
    specs: ['XEP-0163'],
    advertised: [
      { by: 'account', identity: 'pubsub/pep' },
      account('http://jabber.org/protocol/pubsub#publish'),
      account('http://jabber.org/protocol/pubsub#filtered-notifications'),
    ],
  },
  { suite: 'Web', feature: 'Web connection mechanisms', level: 'server', specs: ['RFC 7395', 'XEP-0206'], advertised: [] },
  {
    suite: 'IM',
    feature: 'Core features',
    level: 'server',
    specs: ['RFC 6121'],
    advertised: [server('jabber:iq:roster'), stream('ver', 'urn:xmpp:features:rosterver')],
  },
  {
    suite: 'IM',
    feature: 'User avatar compatibility',
    level: 'advanced',
    specs: ['XEP-0398', 'XEP-0153'],
    advertised: [account('urn:xmpp:pep-vcard-conversion:0')],
  },
  { suite: 'IM', feature: 'vcard-temp', level: 'server', specs: ['XEP-0054'], advertised: [server('vcard-temp')] },
  {
    suite: 'IM',
    feature: 'Outbound message synchronization',
    level: 'server',
    specs: ['XEP-0280'],
    advertised: [server('urn:xmpp:carbons:2')],
  },
  { suite: 'IM', feature: 'User blocking', level: 'advanced', specs: ['XEP-0191'], advertised: [server('urn:xmpp:blocking')] },
  {
    suite: 'IM',
    feature: 'Group chat',
    level: 'server',
    specs: ['XEP-0045', 'XEP-0249'],
    advertised: [{ by: 'service', identity: 'conference/text' }],
  },
  {
    suite: 'IM',
    feature: 'Advanced group chat',
    level: 'advanced',
    specs: ['XEP-0048', 'XEP-0313', 'XEP-0402', 'XEP-0410'],
    advertised: [account('urn:xmpp:bookmarks:1#compat'), { by: 'service', identity: 'conference/text' }],
  },
  {
    suite: 'IM',
    feature: 'Persistent storage of private data via PubSub',
    level: 'advanced',
    specs: ['XEP-0223'],
    advertised: ['persistent-items', 'publish-options', 'access-whitelist'].map((word) =>
      account(`http://jabber.org/protocol/pubsub#${word}`),
    ),
  },
  { suite: 'IM', feature: 'Private XML storage', level: 'advanced', specs: ['XEP-0049'], advertised: [server('jabber:iq:private')] },
  { suite: 'IM', feature: 'Stream management', level: 'advanced', specs: ['XEP-0198'], advertised: [stream('sm', 'urn:xmpp:sm:3')] },
  {
    suite: 'IM',
    feature: 'History storage and retrieval',
    level: 'advanced',
    specs: ['XEP-0313'],
    advertised: [account('urn:xmpp:mam:2')],
  },
  { suite: 'IM', feature: 'File upload', level: 'server', specs: ['XEP-0363'], advertised: [{ by: 'service', identity: 'store/file' }] },
  { suite: 'Mobile', feature: 'Stream management', level: 'server', specs: ['XEP-0198'], advertised: [stream('sm', 'urn:xmpp:sm:3')] },
  {
    suite: 'Mobile',
    feature: 'Client state indication',
    level: 'server',
    specs: ['XEP-0352'],
    advertised: [stream('csi', 'urn:xmpp:csi:0')],
  },
  {
    suite: 'Mobile',
    feature: 'Third-party push notifications',
    level: 'advanced',
    specs: ['XEP-0357'],
    advertised: [account('urn:xmpp:push:0')],
  },
  {
    suite: 'A/V calling',
    feature: 'STUN and TURN server discovery',
    level: 'server',
    specs: ['XEP-0215'],
    advertised: [server('urn:xmpp:extdisco:2')],
  },
];

/** What is no module: the core's, the listeners', the stream's. */
const BUILT_IN: readonly string[] = ['RFC 6120', 'RFC 7590', 'XEP-0114', 'XEP-0198', 'XEP-0368'];

/** Those of the specifications that nothing here implements. */
export function missing({ specs }: Wanted): string[] {
  const implemented = new Set([...BUILT_IN, ...MODULES.flatMap((module) => module.implements.map(({ spec }) => spec))]);
  return specs.filter((spec) => !implemented.has(spec));
}

/** The README's table, in Markdown. */
export function describeCompliance(): string {
  const rows = WANTED.map((wanted) => {
    const lacking = missing(wanted);
    const has = lacking.length === 0 ? 'yes' : `no: ${lacking.join(', ')}`;
    return `| ${wanted.suite} | ${wanted.feature} | ${wanted.specs.join(', ')} | ${wanted.level === 'server' ? 'every server' : 'advanced servers'} | ${has} |`;
  });
  return ['| Suite | Feature | Specifications | Asked of | Here |', '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}
