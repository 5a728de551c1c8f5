/** The client's side of XEP-0388 and what goes with it. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import type { CastOfClients } from '../harness/cast.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { childOf, textOf, type XmlElement } from '../harness/xml.ts';

export const SASL2 = 'urn:xmpp:sasl:2';
export const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
export const BIND2 = 'urn:xmpp:bind:0';
export const FAST = 'urn:xmpp:fast:0';
export const SM = 'urn:xmpp:sm:3';
export const CLIENT_ID = 'd4565fa7-4d72-4749-b3d3-740edbf87770';
export const OTHER_CLIENT_ID = '8b0f5a3e-1c2d-4e5f-9a6b-7c8d9e0f1a2b';

/** Debian's Prosody (0.12) and ejabberd (23.01). */
export const ONLY_OURS = { onlyOurs: 'the others installed here have no SASL2' } as const;

export const userAgent = (id = CLIENT_ID): string =>
  `<user-agent id='${id}'><software>AwesomeXMPP</software><device>Kiva&apos;s Phone</device></user-agent>`;
export const failure = (condition: string): string =>
  `<failure xmlns='${SASL2}'><${condition} xmlns='${SASL}'/><text xml:lang='en' match:optional='true'>{any}</text></failure>`;
export const requestToken = (mechanism = 'HT-SHA-256-NONE'): string => `<request-token xmlns='${FAST}' mechanism='${mechanism}'/>`;

export const base64 = (data: string | Buffer): string => Buffer.from(data).toString('base64');

export function authenticate(mechanism: string, initial: string | Buffer | undefined, ...wishes: readonly string[]): string {
  const response = initial === undefined ? '' : `<initial-response>${base64(initial)}</initial-response>`;
  return `<authenticate xmlns='${SASL2}' mechanism='${mechanism}'>${response}${wishes.join('')}</authenticate>`;
}

/** A connection with Romeo's account behind it, after the features. */
export async function opened(cast: CastOfClients, attrs: Readonly<Record<string, string>> = {}): Promise<StreamClient> {
  cast.offline('romeo');
  await cast.ready();
  const client = await cast.raw();
  await client.beginsStream(attrs);
  return client;
}

/** Romeo's login with a password. */
export const withPassword = (cast: CastOfClients, ...wishes: readonly string[]): string =>
  authenticate('PLAIN', `\0${cast.localOf('romeo')}\0${cast.passwordOf('romeo')}`, ...wishes);

export interface TokenLogin {
  readonly token: string;
  readonly mechanism?: string;
  readonly binding?: Uint8Array;
  /** Attributes of `<fast/>`. */
  readonly fast?: string;
  readonly local?: string;
}

/** Romeo's login with a token. XEP-0484 §3.4 */
export function withToken(
  cast: CastOfClients,
  { token, mechanism = 'HT-SHA-256-NONE', binding = Buffer.alloc(0), fast = '', local = cast.localOf('romeo') }: TokenLogin,
  ...wishes: readonly string[]
): string {
  const hash = createHmac('sha256', token).update('Initiator').update(binding).digest();
  return authenticate(mechanism, Buffer.concat([Buffer.from(`${local}\0`), hash]), `<fast xmlns='${FAST}' ${fast}/>`, ...wishes);
}

export const responderOf = (token: string, binding: Uint8Array = Buffer.alloc(0)): string =>
  createHmac('sha256', token).update('Responder').update(binding).digest('base64');

/** Takes the success and the features behind it. */
export async function succeeds(client: StreamClient): Promise<{ readonly success: XmlElement; readonly features: XmlElement }> {
  const success = await client.takes('an answer to the login', () => true);
  if (success.name !== 'success' || success.ns !== SASL2) client.fail(`${client.name} expected a success but received a ${success.name}`);
  return { success, features: await client.receivesFeatures() };
}

/** The token in a success; it is a secret of 256 bits. */
export function tokenIn(success: XmlElement): string {
  const element = childOf(success, 'token', FAST);
  assert.ok(element !== undefined, 'there is a token');
  const token = element.attrs['token']!;
  assert.match(token, /^[\w-]{43}$/);
  assert.match(element.attrs['expiry']!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/);
  return token;
}

export const jidIn = (success: XmlElement): string => textOf(childOf(success, 'authorization-identifier', SASL2)!);

/** Logs in with the password for a token, on a connection of its own. */
export async function fetchesToken(cast: CastOfClients, mechanism?: string, id?: string): Promise<string> {
  const client = await opened(cast);
  await client.sends(withPassword(cast, userAgent(id), requestToken(mechanism)));
  const token = tokenIn((await succeeds(client)).success);
  await client.drops();
  return token;
}

/** Tries to log in; the success, or the failure's condition. */
export async function tries(cast: CastOfClients, login: string): Promise<XmlElement | string> {
  const client = await opened(cast);
  await client.sends(login);
  const answer = await client.takes('an answer to the login', () => true);
  await client.drops();
  if (answer.name === 'success') return answer;
  const [condition] = answer.children;
  return typeof condition === 'string' || condition === undefined ? answer.name : condition.name;
}
