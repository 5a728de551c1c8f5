/**
 * A client with stream management (XEP-0198) on one plain socket that remembers what it was told: which of its messages
 * were acknowledged, which came back as errors, what it received. It says what it has not been acknowledged for again
 * when it resumes, as every client of that protocol does.
 */
import { pbkdf2Sync, createHash, createHmac, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

const STREAMS = 'http://etherx.jabber.org/streams';
const SM = 'urn:xmpp:sm:3';
const DOMAIN = 'localhost';
/** Of everything that is waited for: longer than any of it may take, so that a hang is a failure. */
const WAIT_MS = 15_000;
/** A first-level element without children of its own name. */
const ELEMENT = /<(message|iq|presence|a|r|enabled|resumed|failed|stream:error)(?=[\s/>])(?:[^>]*\/>|[\s\S]*?<\/\1>)/g;

export class SmClient {
  readonly local: string;
  readonly port: number;
  /** First-level elements in the order they came, over all connections. */
  readonly received: string[] = [];
  /** Ids of messages the server has taken over, by `<a/>` or on resumption. */
  readonly acknowledged = new Set<string>();
  /** Conditions of the errors that came back, by message id. */
  readonly refused = new Map<string, string>();
  isOpen = false;
  /** Sockets opened so far. */
  socketNumber = 0;
  private readonly password: string;
  private socket: Socket | undefined;
  private text = '';
  /** Stanzas not acknowledged yet, oldest first; the first has number `acknowledgedCount` + 1. */
  private unacknowledged: { readonly id: string; readonly xml: string }[] = [];
  private acknowledgedCount = 0;
  private handled = 0;
  private resumeId = '';
  private readonly watchers = new Set<() => void>();

  constructor(port: number, local: string, password: string) {
    this.port = port;
    this.local = local;
    this.password = password;
  }

  get resumption(): string {
    return this.resumeId;
  }

  /** Elements received after the first `from` that satisfy `accept`. */
  count(accept: RegExp, from = 0): number {
    return this.received.slice(from).filter((element) => accept.test(element)).length;
  }

  /** Logs in, binds and enables stream management with resumption. */
  async connect(resource: string): Promise<void> {
    await this.authenticate();
    const bound = await this.ask(
      `<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
      /<\/iq>/,
    );
    if (!bound.includes('<jid>')) throw new Error(`not bound: ${bound}`);
    this.unacknowledged = [];
    this.acknowledgedCount = 0;
    this.handled = 0;
    const enabled = await this.ask(`<enable xmlns='${SM}' resume='true'/>`, /<enabled[^>]*\/>|<failed[\s\S]*?<\/failed>/);
    this.resumeId = /<enabled[^>]* id='([^']+)'/.exec(enabled)?.[1] ?? '';
    if (this.resumeId === '') throw new Error(`stream management refused: ${enabled}`);
    this.listen();
  }

  /** Resumes on a new socket. Throws where that is refused. */
  async resume(): Promise<void> {
    await this.authenticate();
    const answer = await this.ask(
      `<resume xmlns='${SM}' previd='${this.resumeId}' h='${this.handled}'/>`,
      /<resumed[^>]*\/>|<failed[^>]*\/>|<failed[\s\S]*?<\/failed>/,
    );
    const h = /<resumed[^>]* h='(\d+)'/.exec(answer)?.[1];
    if (h === undefined) throw new Error(`not resumed: ${answer}`);
    // What came right behind it belongs to the session already.
    this.text = answer.slice(answer.indexOf('>', answer.indexOf('<resumed')) + 1) + this.text;
    this.noteAcknowledged(Number(h));
    this.listen();
    // Whatever came of it before, it is decided anew.
    for (const { id } of this.unacknowledged) this.refused.delete(id);
    const again = this.unacknowledged.map(({ xml }) => xml).join('');
    if (again !== '') this.socket!.write(again);
  }

  /** Counted stanzas; not whole streams. */
  stanza(id: string, xml: string): void {
    this.unacknowledged.push({ id, xml });
    this.socket!.write(xml);
  }

  message(to: string, id: string, padding = ''): void {
    this.stanza(id, `<message to='${to}' type='chat' id='${id}'><body>${id} ${padding}</body></message>`);
  }

  /** Asks what the server has taken over. */
  request(): void {
    this.socket!.write(`<r xmlns='${SM}'/>`);
  }

  /** Waits until each of the messages was either acknowledged or refused. Asks for that now and then. */
  async settled(ids: readonly string[]): Promise<void> {
    const asking = setInterval(() => this.request(), 200);
    try {
      await this.until(() => ids.every((id) => this.acknowledged.has(id) || this.refused.has(id)), 'every message is answered for');
    } finally {
      clearInterval(asking);
    }
  }

  async until(isTrue: () => boolean, what: string): Promise<void> {
    if (isTrue()) return;
    const done = Promise.withResolvers<void>();
    const watcher = (): void => {
      if (isTrue()) done.resolve();
    };
    const timer = setTimeout(
      () => done.reject(new Error(`${this.local}: not within ${WAIT_MS} ms: ${what}; last: ${this.received.slice(-3).join('')}`)),
      WAIT_MS,
    );
    this.watchers.add(watcher);
    try {
      await done.promise;
    } finally {
      clearTimeout(timer);
      this.watchers.delete(watcher);
    }
  }

  /** The socket is gone without a word, as on a lost network. */
  drop(): void {
    this.isOpen = false;
    this.socket?.destroy();
  }

  private async authenticate(): Promise<void> {
    await this.open();
    await this.openStream();
    const bare = `n=${this.local},r=${randomBytes(12).toString('hex')}`;
    const auth = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>${base64(`n,,${bare}`)}</auth>`;
    const first = await this.ask(auth, /<\/challenge>|<\/failure>/);
    const challenge = Buffer.from(/<challenge[^>]*>([^<]*)</.exec(first)?.[1] ?? '', 'base64').toString();
    const { r, s, i } = Object.fromEntries(challenge.split(',').map((part) => [part[0], part.slice(2)]));
    if (r === undefined || s === undefined || i === undefined) throw new Error(`no SCRAM challenge: ${first}`);
    const salted = pbkdf2Sync(this.password, Buffer.from(s, 'base64'), Number(i), 32, 'sha256');
    const clientKey = createHmac('sha256', salted).update('Client Key').digest();
    const final = `c=biws,r=${r}`;
    const signature = createHmac('sha256', createHash('sha256').update(clientKey).digest())
      .update(`${bare},${challenge},${final}`)
      .digest();
    const proof = clientKey.map((byte, at) => byte ^ signature[at]!);
    const response = base64(`${final},p=${Buffer.from(proof).toString('base64')}`);
    const end = await this.ask(`<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>${response}</response>`, /<success[^>]*>|<\/failure>/);
    if (!end.includes('<success')) throw new Error(`not logged in: ${end}`);
    await this.openStream();
  }

  private async open(): Promise<void> {
    this.drop();
    this.text = '';
    this.socket = connect(this.port, '127.0.0.1').setNoDelay(true).setEncoding('utf8');
    const { socket } = this;
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    this.isOpen = true;
    this.socketNumber++;
    this.onText = () => undefined;
    socket.on('data', (text) => {
      if (socket !== this.socket) return;
      this.text += String(text);
      this.onText();
    });
    socket.on('error', () => undefined); // it closes
    socket.on('close', () => {
      if (socket !== this.socket) return;
      this.isOpen = false;
      this.onText();
    });
  }

  private onText: () => void = () => undefined;

  private openStream(): Promise<string> {
    return this.ask(
      `<?xml version='1.0'?><stream:stream to='${DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='${STREAMS}'>`,
      /<\/stream:features>/,
    );
  }

  /** While no session is there. */
  private async ask(xml: string, until: RegExp): Promise<string> {
    const answer = Promise.withResolvers<string>();
    const timer = setTimeout(() => answer.reject(new Error(`${this.local}: no answer to ${xml.slice(0, 80)}: ${this.text}`)), WAIT_MS);
    this.onText = () => {
      if (until.test(this.text)) answer.resolve(this.text);
      else if (!this.isOpen) answer.reject(new Error(`${this.local}: closed: ${this.text}`));
    };
    this.socket!.write(xml);
    try {
      const text = await answer.promise;
      this.text = '';
      return text;
    } finally {
      clearTimeout(timer);
    }
  }

  private listen(): void {
    this.onText = () => this.take();
    this.take();
  }

  private take(): void {
    let end = 0;
    for (const match of this.text.matchAll(ELEMENT)) {
      end = match.index + match[0].length;
      this.takeElement(match[1]!, match[0]);
    }
    this.text = this.text.slice(end);
    for (const watcher of this.watchers) watcher();
  }

  private takeElement(name: string, xml: string): void {
    this.received.push(xml);
    if (name === 'a') this.noteAcknowledged(Number(/ h='(\d+)'/.exec(xml)?.[1]));
    else if (name === 'r') this.socket!.write(`<a xmlns='${SM}' h='${this.handled}'/>`);
    else if (name === 'message' || name === 'iq' || name === 'presence') {
      this.handled++;
      const id = / id='([^']+)'/.exec(xml)?.[1];
      const condition = /<error[^>]*type='(\w+)'[\s\S]*?<([\w-]+) xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/.exec(xml);
      if (name === 'message' && id !== undefined && / type='error'/.test(xml)) this.refused.set(id, `${condition?.[1]} ${condition?.[2]}`);
    }
  }

  private noteAcknowledged(h: number): void {
    for (; this.acknowledgedCount < h; this.acknowledgedCount++) {
      const stanza = this.unacknowledged.shift();
      if (stanza === undefined) throw new Error(`${this.local}: the server acknowledged ${h}, which is more than was sent`);
      this.acknowledged.add(stanza.id);
    }
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
