/** One end of an XML stream, driven by a test: raw text out, parsed events in. */
import assert from 'node:assert/strict';
import { describeMismatch, fillIn, mismatch, parseExpected, type Captures } from './match.ts';
import type { RawConnection } from './target.ts';
import { childElements, childOf, printXml, StreamReader, textOf, type StreamEvent, type XmlElement } from './xml.ts';
import { scramLogin } from './scram-client.ts';

const STREAMS = 'http://etherx.jabber.org/streams';
const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const TLS = 'urn:ietf:params:xml:ns:xmpp-tls';
const STREAM_CONDITIONS = 'urn:ietf:params:xml:ns:xmpp-streams';

/** Only ever reached by a test that fails: what is to come has come long before. */
const DEADLINE_MS = 4_000;

/** Lines of the conversation so far, shown when the transcript fails. */
export type Log = string[];

export interface StreamClientOptions {
  readonly name: string;
  readonly domain: string;
  readonly captures: Captures;
  readonly log: Log;
  /** Of the stream, if it is no client's: what is received is shown as a client's would be. */
  readonly contentNs?: string;
  /** How long to wait for what has to come; default: 4 seconds. */
  readonly deadlineMs?: number | undefined;
  /** Lets the server finish what it is doing. */
  readonly settle: () => Promise<void>;
}

export interface Login {
  readonly local: string;
  readonly password: string;
  /** Undefined lets the server choose. */
  readonly resource?: string | undefined;
}

/** A client at stream level. Every method that waits fails the test when what it waits for does not come. */
export class StreamClient {
  readonly name: string;
  readonly domain: string;
  protected readonly captures: Captures;
  private readonly log: Log;
  private readonly contentNs: string;
  private readonly settle: () => Promise<void>;
  private readonly deadlineMs: number;
  private readonly connection: RawConnection;
  private readonly inbox: StreamEvent[] = [];
  private reader: StreamReader;
  private wake: (() => void) | undefined = undefined;
  private isTls = false;
  /** Bare JID that a stanza without `from` comes from, once there is a session. RFC 6120 §8.1.2.1 */
  implicitFrom: string | undefined = undefined;
  /** Attributes of the server's latest stream header. */
  header: Readonly<Record<string, string>> = {};

  constructor(
    connection: RawConnection,
    { name, domain, captures, log, contentNs = 'jabber:client', settle, deadlineMs = DEADLINE_MS }: StreamClientOptions,
  ) {
    this.deadlineMs = deadlineMs;
    this.name = name;
    this.domain = domain;
    this.captures = captures;
    this.log = log;
    this.contentNs = contentNs;
    this.settle = settle;
    this.connection = connection;
    this.reader = this.newReader();
    connection.setHandlers(
      (text) => {
        log.push(`${name} ← ${text}`);
        this.reader.write(text);
      },
      () => this.take({ kind: 'closed' }),
    );
  }

  /** What the client answers by itself, before anybody looks: its answer to a stanza, or undefined. */
  responder: ((element: XmlElement) => string | undefined) | undefined = undefined;

  /** Writes text as it is, whole stanzas or parts of them, with captured values filled in. */
  async sends(xml: string): Promise<void> {
    this.write(fillIn(xml, this.captures).trim());
    await this.settle();
  }

  /** Like `sends`, without trimming, filling in, or waiting. */
  write(text: string): void {
    this.log.push(`${this.name} → ${text}`);
    this.connection.write(text);
  }

  /** The next element on the stream must match; it is returned. */
  async receives(xml: string): Promise<XmlElement> {
    const [expected] = parseExpected(xml);
    assert.ok(expected !== undefined, 'nothing is expected');
    const event = await this.next(() => `\n${printXml(expected)}`);
    if (event.kind !== 'element') this.fail(`${this.name} expected\n${printXml(expected)}\nbut ${describeEvent(event)}`);
    const reason = mismatch(expected, event.element, this.captures);
    if (reason !== undefined) this.fail(`${this.name} ${describeMismatch(expected, event.element, reason)}`);
    return event.element;
  }

  /** The next elements, as many as are given, must be these in whatever order. */
  async receivesInAnyOrder(...xmls: readonly string[]): Promise<XmlElement[]> {
    const left = xmls.flatMap((xml) => parseExpected(xml));
    const received: XmlElement[] = [];
    while (left.length > 0) {
      const event = await this.next(() => ` one of\n${left.map((each) => printXml(each)).join('\n')}`);
      if (event.kind !== 'element')
        this.fail(`${this.name} expected one of\n${left.map((each) => printXml(each)).join('\n')}\nbut ${describeEvent(event)}`);
      const reasons: string[] = [];
      const found = left.findIndex((expected) => {
        const reason = mismatch(expected, event.element, this.captures);
        if (reason !== undefined) reasons.push(describeMismatch(expected, event.element, reason));
        return reason === undefined;
      });
      if (found < 0) this.fail(`${this.name} received none of what is expected:\n${reasons.join('\nor\n')}`);
      left.splice(found, 1);
      received.push(event.element);
    }
    return received;
  }

  /** Takes the first element that satisfies `isWanted` out of the stream, now or when it comes, and leaves the others. */
  async takes(what: string, isWanted: (element: XmlElement) => boolean): Promise<XmlElement> {
    let from = 0;
    for (;;) {
      for (; from < this.inbox.length; from++) {
        const event = this.inbox[from]!;
        if (event.kind === 'closed' || event.kind === 'error') this.fail(`${this.name} expected ${what} but ${describeEvent(event)}`);
        if (event.kind !== 'element' || !isWanted(event.element)) continue;
        this.inbox.splice(from, 1);
        return event.element;
      }
      await this.arrival(() => ` ${what}`);
    }
  }

  /** Takes all elements that have come so far. */
  takesAll(): XmlElement[] {
    const elements = this.inbox.flatMap((event) => (event.kind === 'element' ? [event.element] : []));
    for (let i = this.inbox.length - 1; i >= 0; i--) if (this.inbox[i]!.kind === 'element') this.inbox.splice(i, 1);
    return elements;
  }

  /** Sends a stream header; attributes given replace or (undefined) remove the usual ones. */
  async opensStream(attrs: Readonly<Record<string, string | undefined>> = {}): Promise<void> {
    this.startOver();
    const all: Record<string, string | undefined> = {
      to: this.domain,
      version: '1.0',
      xmlns: this.contentNs,
      'xmlns:stream': STREAMS,
      ...attrs,
    };
    const text = Object.entries(all).map(([name, value]) => (value === undefined ? '' : ` ${name}='${value}'`));
    await this.sends(`<stream:stream${text.join('')}>`);
  }

  /** The server's stream header is next. */
  async receivesStream(): Promise<Readonly<Record<string, string>>> {
    const event = await this.next(() => ' a stream header');
    if (event.kind !== 'open') this.fail(`${this.name} expected a stream header but ${describeEvent(event)}`);
    this.header = event.attrs;
    return event.attrs;
  }

  /** Stream features are next; returned for a look inside. */
  async receivesFeatures(): Promise<XmlElement> {
    const event = await this.next(() => ' stream features');
    if (event.kind !== 'element' || event.element.name !== 'features')
      this.fail(`${this.name} expected stream features but ${describeEvent(event)}`);
    return event.element;
  }

  /** The server ends the stream with that error and closes the connection. RFC 6120 §4.9.1 */
  async isClosedWith(condition: string): Promise<void> {
    let event = await this.next(() => ` the stream error ${condition}`);
    if (event.kind === 'open') {
      this.header = event.attrs;
      event = await this.next(() => ` the stream error ${condition}`);
    }
    if (event.kind !== 'element' || event.element.name !== 'error' || event.element.ns !== STREAMS)
      this.fail(`${this.name} expected the stream error ${condition} but ${describeEvent(event)}`);
    const { element } = event;
    if (childOf(element, condition, STREAM_CONDITIONS) === undefined)
      this.fail(`${this.name} expected the stream error ${condition} but received\n${printXml(element)}`);
    await this.isClosed(`after the stream error ${condition}`);
  }

  /** Like `isClosedWith`, where any of several conditions is right. */
  async closedSomehow(conditions: readonly string[]): Promise<void> {
    const { name, ns, children } = await this.takes(
      `a stream error: ${conditions.join(' or ')}`,
      (element) => element.name === 'error' && element.ns === STREAMS,
    );
    const found = conditions.some((condition) => childOf({ name, ns, attrs: {}, children }, condition, STREAM_CONDITIONS) !== undefined);
    if (!found)
      this.fail(
        `${this.name} expected a stream error ${conditions.join(' or ')} but received\n${printXml({ name, ns, attrs: {}, children })}`,
      );
    await this.isClosed('after a stream error');
  }

  /** The server ends the stream in order and closes the connection. */
  async isClosed(when = 'now'): Promise<void> {
    for (const kind of ['close', 'closed']) {
      const event = await this.next(() => ` the end of the stream ${when}`);
      if (event.kind !== kind)
        this.fail(
          `${this.name} expected ${kind === 'close' ? 'the end tag of the stream' : 'the end of the connection'} ${when} but ${describeEvent(event)}`,
        );
    }
  }

  /** The connection ends without a word. */
  async isCut(): Promise<void> {
    const event = await this.next(() => ' the end of the connection');
    if (event.kind !== 'closed') this.fail(`${this.name} expected the end of the connection but ${describeEvent(event)}`);
  }

  /** Sends a stream header and takes the server's with its features, which are returned. */
  async beginsStream(attrs: Readonly<Record<string, string | undefined>> = {}): Promise<XmlElement> {
    await this.opensStream(attrs);
    await this.receivesStream();
    return this.receivesFeatures();
  }

  /** STARTTLS from the features on; afterwards a new stream is due. */
  async startsTls(): Promise<void> {
    await this.sends(`<starttls xmlns='${TLS}'/>`);
    await this.receives(`<proceed xmlns='${TLS}'/>`);
    await this.connection.startTls();
    this.isTls = true;
  }

  /** Everything from the first header to the features after SASL, with TLS if the server wants it. */
  async logsIn({ local, password }: Login): Promise<XmlElement> {
    let features = await this.beginsStream();
    const startTls = childOf(features, 'starttls', TLS);
    if (!this.isTls && startTls !== undefined && childOf(startTls, 'required', TLS) !== undefined) {
      await this.startsTls();
      features = await this.beginsStream();
    }
    const mechanisms = childOf(features, 'mechanisms', SASL);
    const names = mechanisms === undefined ? [] : childElements(mechanisms).map(textOf);
    if (names.includes('PLAIN')) {
      await this.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>${Buffer.from(`\0${local}\0${password}`).toString('base64')}</auth>`);
      await this.receives(`<success xmlns='${SASL}'>{any}</success>`);
    } else {
      await scramLogin(this, local, password, names);
    }
    return this.beginsStream();
  }

  /** Binds a resource. RFC 6120 §7. Returns the full JID. */
  async binds(resource?: string): Promise<string> {
    const wanted = resource === undefined ? '' : `<resource>${resource}</resource>`;
    await this.sends(`<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>${wanted}</bind></iq>`);
    const answer = await this.takes('the answer to bind', ({ attrs }) => attrs['id'] === 'bind');
    const jid = childOf(answer, 'bind')?.children.find((node) => typeof node !== 'string' && node.name === 'jid');
    if (jid === undefined || typeof jid === 'string') this.fail(`${this.name} could not bind a resource:\n${printXml(answer)}`);
    return textOf(jid);
  }

  /** Says nothing more and waits for the server to end the stream, too. RFC 6120 §4.4 */
  async endsStream(): Promise<void> {
    await this.sends('</stream:stream>');
    for (;;) {
      const event = await this.next(() => ' the end of the stream');
      if (event.kind === 'close') break;
      if (event.kind !== 'element') this.fail(`${this.name} expected the end of the stream but ${describeEvent(event)}`);
    }
    this.connection.end();
    await this.settle();
  }

  /** Breaks the connection without a word. */
  async drops(): Promise<void> {
    this.log.push(`${this.name} → (gone)`);
    this.connection.destroy();
    await this.settle();
  }

  /** Reads nothing from now on. */
  stalls(): void {
    this.log.push(`${this.name} reads no more`);
    this.connection.stall();
  }

  /** For the end of a transcript: whatever state this is in. */
  discard(): void {
    this.connection.destroy();
  }

  /** What has come and was not looked at yet. */
  get pending(): readonly StreamEvent[] {
    return this.inbox;
  }

  fail(message: string): never {
    assert.fail(`${message}\n\nthe conversation so far:\n${this.log.map(shortened).join('\n')}`);
  }

  /** A stream header from here on belongs to a new stream. RFC 6120 §6.4.6 */
  private startOver(): void {
    this.reader = this.newReader();
  }

  private newReader(): StreamReader {
    return new StreamReader((event) => this.take(event));
  }

  private take(event: StreamEvent): void {
    const received = event.kind === 'element' ? this.withFrom(asClient(event.element, this.contentNs)) : undefined;
    const response = received === undefined ? undefined : this.responder?.(received);
    if (response !== undefined) {
      this.write(response);
      return;
    }
    this.inbox.push(received === undefined ? event : { kind: 'element', element: received });
    this.wake?.();
  }

  private withFrom(element: XmlElement): XmlElement {
    if (this.implicitFrom === undefined || element.ns !== 'jabber:client' || element.attrs['from'] !== undefined) return element;
    return { ...element, attrs: { ...element.attrs, from: this.implicitFrom } };
  }

  private async next(what: () => string): Promise<StreamEvent> {
    if (this.inbox.length === 0) await this.arrival(what);
    return this.inbox.shift()!;
  }

  /** Resolves when one more event has come. */
  private async arrival(what: () => string): Promise<void> {
    const before = this.inbox.length;
    await this.settle();
    if (this.inbox.length > before) return;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const deadline = setTimeout(() => resolve(false), this.deadlineMs);
    this.wake = () => resolve(true);
    const hasCome = await promise;
    clearTimeout(deadline);
    this.wake = undefined;
    if (!hasCome) this.fail(`${this.name} received nothing; expected${what()}`);
  }
}

function asClient(element: XmlElement, contentNs: string): XmlElement {
  if (contentNs === 'jabber:client' || element.ns !== contentNs) return element;
  const children = element.children.map((child) => (typeof child === 'string' ? child : asClient(child, contentNs)));
  return { ...element, ns: 'jabber:client', children };
}

const MAX_LINE = 2_000;
const shortened = (line: string): string => (line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line);

function describeEvent(event: StreamEvent): string {
  switch (event.kind) {
    case 'element':
      return `received\n${printXml(event.element)}`;
    case 'open':
      return 'received a stream header';
    case 'close':
      return 'the server ended the stream';
    case 'closed':
      return 'the connection was closed';
    case 'error':
      return `the server sent broken XML: ${event.text}`;
  }
}
