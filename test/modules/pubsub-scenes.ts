/** What transcripts about publish-subscribe have in common. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { capsVer } from '../../src/xmpp/caps.ts';
import type { Client } from '../harness/cast.ts';
import { printXml, type XmlElement } from '../harness/xml.ts';

export const PUBSUB = 'http://jabber.org/protocol/pubsub';
export const OWNER = `${PUBSUB}#owner`;
export const EVENT = `${PUBSUB}#event`;
const INFO = 'http://jabber.org/protocol/disco#info';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const TYPES: Readonly<Record<string, string>> = {
  'bad-request': 'modify',
  conflict: 'cancel',
  'feature-not-implemented': 'cancel',
  forbidden: 'auth',
  'item-not-found': 'cancel',
  'not-acceptable': 'modify',
  'not-allowed': 'cancel',
  'not-authorized': 'auth',
  'policy-violation': 'wait',
  'resource-constraint': 'wait',
  'service-unavailable': 'cancel',
  'unexpected-request': 'cancel',
};

/** The error with that condition and, where given, pubsub's own beside it. */
export function error(condition: string, specific = '', feature = ''): string {
  const attr = feature === '' ? '' : ` feature='${feature}'`;
  const more = specific === '' ? '' : `<${specific} xmlns='${PUBSUB}#errors'${attr}/>`;
  return `<error type='${TYPES[condition]}'><${condition} xmlns='${STANZAS}'/>${more}</error>`;
}

/** Inside of a form of type submit: fields by their names without `pubsub#`. */
export function form(type: 'node_config' | 'publish-options' | 'subscribe_options', fields: Readonly<Record<string, string>>): string {
  const rows = Object.entries(fields).map(([name, value]) => `<field var='pubsub#${name}'><value>${value}</value></field>`);
  return `<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>${PUBSUB}#${type}</value></field>${rows.join('')}</x>`;
}

/** Asks; the answer is what comes next. */
export async function asks(client: Client, id: string, type: 'get' | 'set', to: string, payload: string, answer: string): Promise<void> {
  await client.sends(`<iq type='${type}' id='${id}'${to === '' ? '' : ` to='${to}'`}>${payload}</iq>`);
  await client.receives(
    answer === ''
      ? `<iq type='result' id='${id}'/>`
      : answer.startsWith('<error')
        ? `<iq type='error' id='${id}'>${answer}</iq>`
        : `<iq type='result' id='${id}'>${answer}</iq>`,
  );
}

export interface Publication {
  readonly node: string;
  readonly id?: string;
  /** Default: `<note xmlns='urn:example:note'>text</note>` */
  readonly text?: string;
  readonly payload?: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly to?: string;
}

export const note = (text: string): string => `<note xmlns='urn:example:note'>${text}</note>`;

/** The request that publishes an item. */
export function publishes({ node, id, text = 'hello', payload = note(text), options }: Publication): string {
  const name = id === undefined ? '' : ` id='${id}'`;
  const more = options === undefined ? '' : `<publish-options>${form('publish-options', options)}</publish-options>`;
  return `<pubsub xmlns='${PUBSUB}'><publish node='${node}'><item${name}>${payload}</item></publish>${more}</pubsub>`;
}

let nextPublication = 1;

/** Publishes and takes the answer, past whatever else has come. */
export async function publish(client: Client, publication: Publication): Promise<void> {
  const { to = '' } = publication;
  const id = `publication-${nextPublication++}`;
  await client.sends(`<iq type='set' id='${id}'${to === '' ? '' : ` to='${to}'`}>${publishes(publication)}</iq>`);
  const answer = await client.takes('the answer', ({ attrs }) => attrs['id'] === id);
  assert.equal(answer.attrs['type'], 'result', printXml(answer));
}

/** What somebody is told who wants to know of the node. */
export function itemEvent(from: string, node: string, id: string, payload: string, more = ''): string {
  return `<message type='headline' from='${from}'><event xmlns='${EVENT}'><items node='${node}'><item id='${id}'>${payload}</item></items></event>${more}</message>`;
}

export const DELAY = `<delay xmlns='urn:xmpp:delay' stamp='{stamp}' from='{any}'/>`;

export interface Capabilities {
  readonly ver: string;
  readonly features: readonly string[];
}

/** Such as nobody had before, so that every server has to ask. */
export function capabilities(...nodes: readonly string[]): Capabilities {
  const features = [INFO, `urn:example:${randomBytes(6).toString('hex')}`, ...nodes.map((node) => `${node}+notify`)];
  return { features, ver: capsVer({ identities: [{ category: 'client', type: 'pc' }], features, forms: [] }) };
}

export const presenceWith = ({ ver }: Capabilities): string =>
  `<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:example:client' ver='${ver}'/></presence>`;

/** Its answer to a question about its capabilities. */
function capsAnswer({ name, attrs, children }: XmlElement, { features, ver }: Capabilities): string | undefined {
  const [query] = children;
  const isQuestion = name === 'iq' && attrs['type'] === 'get' && typeof query === 'object' && query.ns === INFO;
  if (!isQuestion || query.attrs['node'] !== `urn:example:client#${ver}`) return undefined;
  const body = features.map((feature) => `<feature var='${feature}'/>`).join('');
  return `<iq type='result' id='${attrs['id']}' to='${attrs['from']}'><query xmlns='${INFO}'><identity category='client' type='pc'/>${body}</query></iq>`;
}

/** Takes one of the servers' questions about a client's capabilities and answers it. */
export async function answersCaps(client: Client, caps: Capabilities): Promise<void> {
  const question = await client.takes('a question about its capabilities', (element) => capsAnswer(element, caps) !== undefined);
  await client.sends(capsAnswer(question, caps)!);
}

/** Becomes available as a client that wants to be told of these nodes, and answers all who ask. Its own presence is taken in. */
export async function listensTo(client: Client, ...nodes: readonly string[]): Promise<Capabilities> {
  const caps = capabilities(...nodes);
  await client.responds((element) => capsAnswer(element, caps));
  await client.sends(presenceWith(caps));
  await client.takes('its own presence', ({ name, attrs }) => name === 'presence' && attrs['from'] === client.full);
  await client.sync();
  return caps;
}
