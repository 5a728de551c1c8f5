/** A client under stream management, which counts what it has handled. XEP-0198 */
import type { CastOfClients } from '../harness/cast.ts';
import { describeMismatch, mismatch, parseExpected } from '../harness/match.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import type { XmlElement } from '../harness/xml.ts';

export const SM = 'urn:xmpp:sm:3';
export const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';

export const failed = (condition: string, h?: string): string =>
  `<failed xmlns='${SM}'${h === undefined ? '' : ` h='${h}'`}><${condition} xmlns='${STANZAS}'/><text xmlns='${STANZAS}' xml:lang='{any}' match:optional='true'>{any}</text></failed>`;
export const ack = (h: number | string): string => `<a xmlns='${SM}' h='${h}'/>`;
export const REQUEST = `<r xmlns='${SM}'/>`;

const isRequest = ({ name, ns }: XmlElement): boolean => ns === SM && name === 'r';

/** Logged in, nothing bound. */
export async function loggedIn(cast: CastOfClients, name: string): Promise<StreamClient> {
  const { local, bare, account } = cast.client(name, { isOnline: false });
  const stream = await cast.raw(name);
  await stream.logsIn({ local, password: cast.passwordOf(account) });
  stream.implicitFrom = bare;
  return stream;
}

/** Logged in and bound to the resource that the client of that name usually has. */
export async function bound(cast: CastOfClients, name: string): Promise<StreamClient> {
  const stream = await loggedIn(cast, name);
  await stream.binds(cast.client(name).resource);
  return stream;
}

export interface ManagedOptions {
  /** Attributes of `<enable/>`. */
  readonly attrs?: string;
  /** Default true: sends presence, and takes its echo. */
  readonly isAvailable?: boolean;
}

/** Bound and managed, with a session that can be resumed. */
export async function managed(
  cast: CastOfClients,
  name = 'romeo',
  { attrs = `resume='true'`, isAvailable = true }: ManagedOptions = {},
): Promise<Managed> {
  const client = new Managed(cast, name, await bound(cast, name));
  await client.sends(`<enable xmlns='${SM}' ${attrs}/>`);
  const { attrs: answer } = await client.takes('<enabled/>', ({ name: tag, ns }) => ns === SM && tag === 'enabled');
  client.token = answer['id'] ?? '';
  if (!isAvailable) return client;
  await client.sends('<presence/>');
  await client.receives(`<presence from='${client.full}'/>`);
  return client;
}

export class Managed {
  readonly cast: CastOfClients;
  readonly name: string;
  readonly full: string;
  stream: StreamClient;
  token = '';
  /** Stanzas looked at so far. */
  handled = 0;

  constructor(cast: CastOfClients, name: string, stream: StreamClient) {
    this.cast = cast;
    this.name = name;
    this.full = cast.client(name).full;
    this.stream = stream;
  }

  async sends(xml: string): Promise<void> {
    await this.stream.sends(xml);
  }

  /** The next element other than `<r/>`, for which servers have each their own time. */
  async receives(xml: string): Promise<XmlElement> {
    const [expected] = parseExpected(xml);
    const element = await this.takes(`\n${xml}`, (each) => !isRequest(each));
    const reason = mismatch(expected!, element, this.cast.captured);
    if (reason !== undefined) this.stream.fail(`${this.name} ${describeMismatch(expected!, element, reason)}`);
    return element;
  }

  async takes(what: string, isWanted: (element: XmlElement) => boolean): Promise<XmlElement> {
    const element = await this.stream.takes(what, isWanted);
    if (element.ns === 'jabber:client') this.handled++;
    return element;
  }

  /** The server has handled `h` stanzas; nothing but that has come. */
  async isAcked(h: number): Promise<void> {
    await this.sends(REQUEST);
    await this.receives(ack(h));
  }

  async acks(): Promise<void> {
    await this.sends(ack(this.handled % 2 ** 32));
  }

  async drops(): Promise<void> {
    await this.stream.drops();
  }

  /** On a new connection, whose stream it goes on with; the server has handled `h` stanzas. */
  async resumes(h: number): Promise<void> {
    await this.asksToResume();
    await this.receives(`<resumed xmlns='${SM}' previd='${this.token}' h='${h}'/>`);
  }

  async asksToResume(token = this.token, handled = this.handled): Promise<void> {
    this.stream = await loggedIn(this.cast, this.name);
    await this.sends(`<resume xmlns='${SM}' previd='${token}' h='${handled}'/>`);
  }
}
