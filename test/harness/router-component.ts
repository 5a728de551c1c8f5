/** A component as those of jabberd2 are, made from what they say on the wire: for tests of the router's listener. */
import { createHash } from 'node:crypto';
import type { Cast } from './cast.ts';
import { StreamClient } from './stream-client.ts';
import { textOf } from './xml.ts';

export const NS_ROUTER = 'http://jabberd.jabberstudio.org/ns/component/1.0';
const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';

/** A connection on which nothing has been said yet. */
export async function rawLink(cast: Cast, name = 'link'): Promise<StreamClient> {
  await cast.ready();
  const connection = await cast.target.connectComponent!('router');
  const { captured: captures, log } = cast;
  return new StreamClient(connection, { name, domain: '', captures, log, settle: () => cast.target.settle() });
}

/** The header that jabberd2's components send: no namespace, no addresses. */
export const header = { to: undefined, xmlns: undefined };

/** One that has logged in and may bind. */
export async function link(cast: Cast, user = 'jabberd', secret = 'secret', name = user): Promise<StreamClient> {
  const client = await rawLink(cast, name);
  await client.beginsStream(header);
  await client.sends(`<auth xmlns='${SASL}' mechanism='DIGEST-MD5'/>`);
  const challenge = Buffer.from(textOf(await client.takes('a challenge', (each) => each.name === 'challenge')), 'base64').toString();
  await client.sends(`<response xmlns='${SASL}'>${digestResponse(challenge, user, secret)}</response>`);
  await client.takes('success', (each) => each.name === 'success');
  await client.beginsStream(header);
  return client;
}

export function digestResponse(challenge: string, user: string, secret: string, change = (text: string): string => text): string {
  const [realm, nonce] = ['realm', 'nonce'].map((name) => new RegExp(`${name}="([^"]*)"`).exec(challenge)![1]!);
  const md5 = (data: string | Buffer): Buffer => createHash('md5').update(data).digest();
  const a1 = Buffer.concat([md5(`${user}:${realm}:${secret}`), Buffer.from(`:${nonce}:c`)]);
  const a2 = md5('AUTHENTICATE:jabberd-router/vm').toString('hex');
  const response = md5(`${md5(a1).toString('hex')}:${nonce}:00000001:c:auth:${a2}`).toString('hex');
  const text = `username="${user}", realm="${realm}", nonce="${nonce}", cnonce="c", nc=00000001, qop=auth, digest-uri="jabberd-router/vm", response=${response}, charset=utf-8`;
  return Buffer.from(change(text)).toString('base64');
}

/** Binds a name; the presence of others is taken, too, and its names are returned. */
export async function binds(client: StreamClient, name: string, more = '', inner = ''): Promise<string[]> {
  await client.sends(`<bind xmlns='${NS_ROUTER}' name='${name}'${more}>${inner}</bind>`);
  await client.receives(`<bind xmlns='${NS_ROUTER}'${more}>${inner}</bind>`);
  return client
    .takesAll()
    .filter((each) => each.name === 'presence' && each.ns === NS_ROUTER)
    .map(({ attrs }) => attrs['from']!);
}

export const route = (from: string, to: string, inner: string, more = ''): string =>
  `<route xmlns='${NS_ROUTER}' from='${from}' to='${to}'${more}>${inner}</route>`;
