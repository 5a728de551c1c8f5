/**
 * A client with stream management (XEP-0198) that does exactly what the specification says, and whose connection can be broken in
 * every way. It comes back by itself until it is stopped. One machine from connecting to coming back, so one file.
 */
import type { Frame } from '../../src/xml/frame.ts';
import { logIn, openStream, type Credentials } from './login.ts';
import type { SentMessage } from './checker.ts';
import { Outbox } from './outbox.ts';
import { attribute, Wire, type Target } from './wire.ts';

const SM = 'urn:xmpp:sm:3';
const CLIENT = 'jabber:client';
const BIND = 'urn:ietf:params:xml:ns:xmpp-bind';
const MAM = 'urn:xmpp:mam:2';

/** While something is unacknowledged and nothing is sent, the server is asked this often. */
const REQUEST_MS = 200;
/** Between attempts to connect. */
const RETRY_MS = 50;
const MAX_RETRY_MS = 400;
const MAX_SLEEP_MS = 60_000;
/** Stanzas after which clients that acknowledge unasked do so. */
const UNASKED_EVERY = 10;
const MAX_EVENTS = 400;

/** The server does not offer stream management: there is nothing to drill. */
export class NoStreamManagement extends Error {}

/** How a time without a connection ended. */
export type Return = 'resumed' | 'refused' | 'anew';

export interface ClientOptions {
  readonly target: Target;
  readonly credentials: Credentials;
  readonly resource: string;
  /** It acknowledges also where the server has not asked. */
  readonly acknowledgesUnasked: boolean;
  /** A message with a body has come. */
  readonly onMessage: (body: string, from: string, archiveId: string | undefined) => void;
  /** A message came back as an error. */
  readonly onReturned: (id: string, body: string) => void;
  /** The session has lost its connection. */
  readonly onLost: (reason: string) => void;
  readonly onBack: (how: Return) => void;
  /** The server broke XEP-0198. */
  readonly onViolation: (text: string) => void;
}

interface Request {
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: Error) => void;
}

/** One message of an archive. */
export interface ArchiveEntry {
  readonly id: string;
  readonly body: string;
}

export class DrillClient {
  readonly bare: string;
  readonly full: string;
  /** Sessions that the server refused to resume, so far. */
  failures = 0;
  /** Answers to requests that had one already, or that belonged to a session that was refused. */
  answeredTwice = 0;
  /** What happened to it, newest last, with times; for those who look for the cause of a failure. */
  readonly events: string[] = [];
  private readonly options: ClientOptions;
  private wire: Wire | undefined;
  private isFlowing = false;
  private isStopped = false;
  private awayUntilMs = 0;
  private wakeUp: (() => void) | undefined;

  private smId: string | undefined;
  /** The session was refused, and there is no other yet. */
  private isRefused = false;
  /** Stanzas of this session that were handled here: our `h`. */
  private handled = 0;
  private readonly outbox = new Outbox();
  private requestTimer: NodeJS.Timeout | undefined;
  private readonly requests = new Map<string, Request>();
  private readonly pings = new Set<string>();
  private nextId = 0;
  private readonly archived: ArchiveEntry[] = [];
  private over: Promise<void> | undefined;

  constructor(options: ClientOptions) {
    this.options = options;
    this.bare = `${options.credentials.local}@${options.target.domain}`;
    this.full = `${this.bare}/${options.resource}`;
  }

  /** Its session has a connection. */
  get isOnline(): boolean {
    return this.isFlowing;
  }

  /** Stanzas that the server has not acknowledged. */
  get unacknowledged(): number {
    return this.outbox.size;
  }

  /** Connects and stays connected until `stop`. Rejects only with NoStreamManagement. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.over = this.live(resolve).catch((error: Error) => {
        this.isStopped = true;
        reject(error);
      });
    });
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.requestTimer);
    this.wire?.destroy('the drill is over');
    this.wakeUp?.();
    await this.over;
  }

  /** Sends what may have to be sent again in another session. */
  sendMessage(xml: string, message: SentMessage): void {
    this.enqueue(xml, message);
  }

  /** Asks for an acknowledgement of what was sent. */
  requestAck(): void {
    if (this.isFlowing) this.wire!.write(`<r xmlns='${SM}'/>`);
  }

  /** Breaks the connection, in whatever state it is. */
  cut(why: string): void {
    this.note(`fault: ${why}`);
    this.wire?.destroy(why);
  }

  /** Leaves the connection as it is, reads and writes no more on it, and comes back on another. */
  goHalfOpen(why: string): void {
    this.note(`fault: ${why}`);
    this.wire?.abandon(why);
  }

  /** Is cut off and does not come back before `ms` milliseconds have passed, or `comeBack` is called. */
  goAway(ms: number, why: string): void {
    this.awayUntilMs = performance.now() + ms;
    this.cut(why);
  }

  comeBack(): void {
    this.awayUntilMs = 0;
    this.wakeUp?.();
  }

  /** Asks the server whether it is there, and takes note whether it answers: once, and not twice. */
  sendPing(): void {
    const id = `p${this.nextId++}`;
    this.pings.add(id);
    this.enqueue(`<iq type='get' id='${id}' to='${this.options.target.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`, undefined);
  }

  /** Becomes more or less available. */
  sendPresence(show: string | undefined): void {
    this.enqueue(show === undefined ? '<presence/>' : `<presence><show>${show}</show></presence>`, undefined);
  }

  /** Pings of this session without an answer. */
  get unanswered(): number {
    return this.pings.size;
  }

  /** Asks; for times without faults. Rejects when the session ends first. */
  ask(type: 'get' | 'set', to: string, payload: string): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const id = `q${this.nextId++}`;
      this.requests.set(id, { resolve, reject });
      this.enqueue(`<iq type='${type}' id='${id}' to='${to}'>${payload}</iq>`, undefined);
      this.requestAck();
    });
  }

  /** What has come of the archive since it was asked for the last time. */
  takeArchived(): ArchiveEntry[] {
    return this.archived.splice(0);
  }

  private async live(whenOnline: () => void): Promise<void> {
    let failures = 0;
    while (!this.isStopped) {
      await this.waitUntilBack();
      if (this.isStopped) return;
      try {
        const { promise, resolve } = Promise.withResolvers<string>();
        const how = await this.connect();
        failures = 0;
        this.isFlowing = true;
        // Before the first frame of the session is looked at.
        this.options.onBack(how);
        whenOnline();
        this.beginSession(how, resolve);
        const reason = await promise;
        this.note(`lost: ${reason}`);
        this.options.onLost(reason);
      } catch (error) {
        if (error instanceof NoStreamManagement) throw error;
        if (failures === 0 || (error as NodeJS.ErrnoException).code !== 'ECONNREFUSED')
          this.note(`attempt failed: ${(error as Error).message}`);
        this.wire?.destroy('negotiation failed');
        failures++;
        await this.sleep(Math.min(RETRY_MS * failures, MAX_RETRY_MS));
      }
    }
  }

  private beginSession(how: Return, over: (reason: string) => void): void {
    const wire = this.wire!;
    if (how !== 'resumed') {
      this.outbox.beginAnew('<presence/>');
      for (const { reject } of this.requests.values()) reject(new Error('the session was not resumed'));
      this.requests.clear();
      this.pings.clear();
    }
    this.flush();
    this.requestAck();
    this.armRequest();
    wire.flow({
      frame: (frame) => this.take(wire, frame),
      closed: (reason) => {
        this.isFlowing = false;
        clearTimeout(this.requestTimer);
        over(reason);
      },
    });
  }

  private async connect(): Promise<Return> {
    const { target, credentials } = this.options;
    const wire = await Wire.open(target);
    this.wire = wire;
    await logIn(wire, await openStream(wire, target), credentials);
    const features = await openStream(wire, target);
    if (!features.children.some(({ ns }) => ns === SM)) throw new NoStreamManagement('the server does not offer stream management');
    if (this.smId !== undefined && (await this.resume(wire))) return 'resumed';
    await this.bind(wire);
    const { isRefused } = this;
    this.isRefused = false;
    return isRefused ? 'refused' : 'anew';
  }

  /** False: refused, and the stream can be used to bind. XEP-0198 §Resumption */
  private async resume(wire: Wire): Promise<boolean> {
    wire.write(`<resume xmlns='${SM}' h='${this.handled}' previd='${escapeAttribute(this.smId!)}'/>`);
    const answer = await wire.next();
    const h = attribute(answer, 'h');
    if (answer.ns !== SM || (answer.name !== 'resumed' && answer.name !== 'failed')) {
      this.options.onViolation(`<resume/> was answered with <${answer.name} xmlns='${answer.ns}'>${answer.body}`);
      throw new Error('neither resumed nor failed');
    }
    if (answer.name === 'failed') {
      this.note(`refused: ${answer.body} h=${h ?? 'none'}`);
      if (h !== undefined) this.acknowledge(h, 'failed');
      this.failures++;
      this.isRefused = true;
      this.smId = undefined;
      return false;
    }
    if (attribute(answer, 'previd') !== this.smId) this.options.onViolation(`<resumed/> has another previd than <resume/>`);
    if (h === undefined) this.options.onViolation('<resumed/> without h');
    else this.acknowledge(h, 'resumed');
    this.note(`resumed: our h ${this.handled}, the server's ${h}, ${this.outbox.size} to send`);
    this.outbox.rewind();
    return true;
  }

  private async bind(wire: Wire): Promise<void> {
    wire.write(`<iq type='set' id='bind'><bind xmlns='${BIND}'><resource>${this.options.resource}</resource></bind></iq>`);
    const bound = await this.answerTo(wire, ({ name }) => name === 'iq');
    const jid = /<jid>([^<]+)<\/jid>/.exec(bound.body)?.[1];
    if (jid !== this.full) throw new Error(`bound as ${jid ?? bound.body}`);
    wire.write(`<enable xmlns='${SM}' resume='true'/>`);
    const enabled = await this.answerTo(wire, ({ ns }) => ns === SM);
    const resumes = attribute(enabled, 'resume');
    const id = attribute(enabled, 'id');
    if (enabled.name !== 'enabled' || id === undefined || (resumes !== 'true' && resumes !== '1'))
      throw new NoStreamManagement(`<enable resume='true'/> was answered with <${enabled.name} ${enabled.attrs.join(' ')}>${enabled.body}`);
    this.smId = id;
    this.handled = 0;
    this.note(`new session ${id}`);
  }

  /** Stanzas may come as soon as a resource is bound; without stream management nobody counts them. */
  private async answerTo(wire: Wire, isAnswer: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const frame = await wire.next();
      if (isAnswer(frame)) return frame;
      if (frame.ns !== CLIENT) throw new Error(`got <${frame.name}>${frame.body}`);
      this.handle(frame);
    }
  }

  private take(wire: Wire, frame: Frame): boolean {
    if (frame.ns === CLIENT) {
      this.handle(frame);
      this.handled = (this.handled + 1) >>> 0;
      if (this.options.acknowledgesUnasked && this.handled % UNASKED_EVERY === 0) wire.write(`<a xmlns='${SM}' h='${this.handled}'/>`);
      return true;
    }
    if (frame.ns === SM && frame.name === 'r') {
      wire.write(`<a xmlns='${SM}' h='${this.handled}'/>`);
      return true;
    }
    if (frame.ns === SM && frame.name === 'a') {
      const h = attribute(frame, 'h');
      if (h === undefined) this.options.onViolation('<a/> without h');
      else this.acknowledge(h, 'a');
      return true;
    }
    wire.destroy(frame.kind === 'close' ? 'the server ended the stream' : `<${frame.name}>${frame.body}`);
    return false;
  }

  private handle(frame: Frame): void {
    if (frame.name === 'iq') {
      this.answered(attribute(frame, 'id') ?? '', frame);
      return;
    }
    if (frame.name !== 'message') return;
    if (frame.children.some(({ name, ns }) => name === 'result' && ns === MAM)) {
      const id = /<result\b[^>]*?\sid=(['"])([^'"]*)\1/.exec(frame.body)?.[2] ?? '';
      this.archived.push({ id, body: bodyOf(frame.body) });
      return;
    }
    if (attribute(frame, 'type') === 'error') {
      this.options.onReturned(attribute(frame, 'id') ?? '', frame.body);
      return;
    }
    if (!frame.children.some(({ name }) => name === 'body')) return;
    this.options.onMessage(bodyOf(frame.body), attribute(frame, 'from') ?? '', this.archiveIdIn(frame.body));
  }

  private answered(id: string, frame: Frame): void {
    if (this.pings.delete(id)) return;
    const request = this.requests.get(id);
    this.requests.delete(id);
    if (request !== undefined) request.resolve(frame);
    else this.answeredTwice++;
  }

  private archiveIdIn(body: string): string | undefined {
    for (const [tag] of body.matchAll(/<stanza-id\b[^>]*>/g)) {
      if (/\sby=(['"])([^'"]*)\1/.exec(tag)?.[2] === this.bare) return /\sid=(['"])([^'"]*)\1/.exec(tag)?.[2];
    }
    return undefined;
  }

  private acknowledge(h: string, where: string): void {
    const wrong = this.outbox.acknowledge(Number(h));
    if (wrong === undefined) return;
    this.note(`violation: <${where} h='${h}'/> ${wrong}`);
    this.options.onViolation(`<${where} h='${h}'/> ${wrong}`);
  }

  private enqueue(xml: string, message: SentMessage | undefined): void {
    this.outbox.add(xml, message);
    if (this.isFlowing) this.flush();
  }

  private flush(): void {
    const text = this.outbox.take();
    if (text !== '') this.wire!.write(text);
  }

  private armRequest(): void {
    clearTimeout(this.requestTimer);
    this.requestTimer = setTimeout(() => {
      if (this.outbox.size > 0) this.requestAck();
      this.armRequest();
    }, REQUEST_MS);
  }

  private async waitUntilBack(): Promise<void> {
    for (;;) {
      const ms = this.awayUntilMs - performance.now();
      if (ms <= 0 || this.isStopped) return;
      await this.sleep(Math.min(ms, MAX_SLEEP_MS)); // comeBack ends it
    }
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Adds to `events`. */
  note(text: string): void {
    if (this.events.length >= MAX_EVENTS) this.events.splice(0, MAX_EVENTS / 2);
    this.events.push(`${(performance.now() / 1_000).toFixed(3)} ${text}`);
  }
}

function bodyOf(xml: string): string {
  return /<body(?:\s[^>]*)?>([^<]*)<\/body>/.exec(xml)?.[1] ?? '';
}

const escapeAttribute = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/'/g, '&apos;');
