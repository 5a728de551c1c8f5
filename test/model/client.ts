/**
 * A client of the model: counts what it gets as XEP-0198 demands, keeps what it has sent until that is acknowledged, sends it
 * again when it resumes, and remembers all that has come to it. It does what it is told and nothing by chance.
 * Long because it is one state machine that is read as one.
 */
import { DOMAIN } from '../harness/memory-target.ts';
import type { RawConnection } from '../harness/target.ts';
import { childElements, childOf, StreamReader, type XmlElement } from '../harness/xml.ts';
import type { Kind, World } from './world.ts';

export const SM = 'urn:xmpp:sm:3';
const STANZA_ID = 'urn:xmpp:sid:0';
const DELAY = 'urn:xmpp:delay';
export const CARBONS = 'urn:xmpp:carbons:2';
/** Of every account. */
export const PASSWORD = 'a secret';

export interface ClientPlan {
  readonly account: number;
  readonly isManaged: boolean;
  /** Acknowledges only when it is told to. */
  readonly isLazy: boolean;
  readonly isResumable: boolean;
}

/** A message of a client, and what the world knows of its fate. */
export interface Sent {
  readonly id: string;
  readonly n: number;
  readonly by: Client;
  readonly life: Life;
  readonly to: string;
  readonly kind: Kind;
  isAcked: boolean;
  isErrorReceived: boolean;
  /** Its recipient had a client without stream management whose connection ended: what was in the socket is gone. */
  mayBeLost: boolean;
  /** A session of the recipient has ended since: it may have been for that one first. */
  mayBeLate: boolean;
  /** Its sender or recipient is another account by now. */
  isVoid: boolean;
  /** A crash may have hit it, on the way from its client. */
  mayBeRefused: boolean;
}

export interface Got {
  readonly id: string;
  readonly form: 'plain' | 'copy';
  readonly stanzaId: string | undefined;
  readonly isDelayed: boolean;
}

/** What a client thinks of as one session: from binding to its end, through resumptions. */
export class Life {
  readonly got: Got[] = [];
  /** `got` of messages and everything else that counts. */
  readonly counted: (Got | undefined)[] = [];
  h = 0;
  ackedByMe = 0;
  token: string | undefined = undefined;
  /** Not acknowledged yet. */
  unacked: { readonly xml: string; readonly id: string | undefined; isWritten: boolean }[] = [];
  outAcked = 0;
  hasEnded = false;
  /** Since `<enabled/>`. */
  isCounting = false;
  /** Since `<enable/>`, the other way. */
  hasAsked = false;
}

export interface Request {
  readonly id: string;
  readonly by: Client;
  readonly life: Life;
  readonly isToPeer: boolean;
  isAnswered: boolean;
  isExcused: boolean;
}

export class Client {
  readonly world: World;
  readonly name: string;
  readonly account: number;
  readonly isManaged: boolean;
  readonly isResumable: boolean;
  isLazy: boolean;
  resource: string;
  connection: RawConnection | undefined = undefined;
  isOnline = false;
  /** Its packets get nowhere, in either direction, and nobody knows yet. */
  isMute = false;
  /** It reads nothing. */
  isStalled = false;
  isAuthenticated = false;
  life: Life | undefined = undefined;
  readonly lives: Life[] = [];
  crashed = 0;

  constructor(world: World, { account, isManaged, isLazy, isResumable }: ClientPlan, name: string) {
    this.world = world;
    this.name = name;
    this.account = account;
    this.isManaged = isManaged;
    this.isResumable = isResumable;
    this.isLazy = isLazy;
    this.resource = name;
  }

  get bare(): string {
    return this.world.bareOf(this.account);
  }

  get full(): string {
    return `${this.bare}/${this.resource}`;
  }

  /** Resumes where it can, binds otherwise. */
  async connect(): Promise<void> {
    this.lost();
    const connecting = this.world.target.connect();
    this.world.target.clock.run();
    const connection = await connecting;
    this.connection = connection;
    this.isAuthenticated = false;
    let reader: StreamReader;
    const restart = (): void => {
      reader = new StreamReader((event) => {
        if (this.connection !== connection || this.isMute) return;
        if (event.kind === 'element') this.takes(event.element, restart);
        else if (event.kind === 'close' || event.kind === 'closed') this.lost();
        else if (event.kind === 'error') this.world.wrongs.push(`${this.name} cannot read: ${event.text}`);
      });
      connection.write(
        `<?xml version='1.0'?><stream:stream to='${DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`,
      );
    };
    connection.setHandlers(
      (text) => {
        if (this.connection !== connection || this.isMute) return;
        this.world.note(`${this.name} < ${text}`);
        reader.write(text);
      },
      () => {
        if (this.connection === connection && !this.isMute) this.lost();
      },
    );
    restart();
  }

  private takes(element: XmlElement, restart: () => void): void {
    const { name, ns, attrs } = element;
    if (name === 'features') {
      if (!this.isAuthenticated) {
        const proof = Buffer.from(`\0a${this.account}\0${PASSWORD}`).toString('base64');
        this.connection!.write(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${proof}</auth>`);
      } else if (this.life?.token !== undefined) {
        this.life.ackedByMe = this.life.h;
        this.connection!.write(`<resume xmlns='${SM}' previd='${this.life.token}' h='${this.life.h}'/>`);
      } else {
        this.binds();
      }
    } else if (name === 'success') {
      this.isAuthenticated = true;
      restart();
    } else if (name === 'failure') {
      this.lost(); // the account has just crashed, or its disk is full
    } else if (name === 'error' && ns.endsWith('streams')) {
      if (childOf(element, 'undefined-condition') !== undefined)
        this.world.wrongs.push(`${this.name}: the server denies what was acknowledged`);
      this.lost();
    } else if (ns === SM) {
      this.takesManagement(element);
    } else if (attrs['id'] === 'bind') {
      this.bound(attrs['type'] === 'result');
    } else {
      this.takesStanza(element);
    }
  }

  private binds(): void {
    this.endLife();
    this.connection!.write(
      `<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${this.resource}</resource></bind></iq>`,
    );
  }

  private bound(isGood: boolean): void {
    if (!isGood) {
      this.connection!.destroy();
      this.lost();
      return;
    }
    this.life = new Life();
    this.lives.push(this.life);
    if (this.isManaged) {
      this.life.hasAsked = true;
      this.connection!.write(`<enable xmlns='${SM}'${this.isResumable ? ` resume='true'` : ''}/>`);
    } else {
      this.isOnline = true;
      this.send('<presence/>');
    }
  }

  private takesManagement({ name, attrs }: XmlElement): void {
    const h = attrs['h'] === undefined ? undefined : Number(attrs['h']);
    const { life } = this;
    switch (name) {
      case 'enabled':
        life!.token = attrs['id'];
        life!.isCounting = true;
        this.isOnline = true;
        for (const { xml, isWritten } of life!.unacked) if (!isWritten) this.raw(xml); // asked for before there was a stream to send it on
        this.send('<presence/>');
        break;
      case 'resumed':
        this.acknowledged(h!);
        this.isOnline = true;
        for (const { xml } of life!.unacked) this.raw(xml);
        break;
      case 'failed':
        if (life === undefined || this.isOnline || life.token === undefined) {
          this.connection!.destroy();
          this.lost();
          break;
        }
        if (h !== undefined) this.acknowledged(h);
        this.binds();
        break;
      case 'r':
        if (!this.isLazy) this.acks();
        break;
      case 'a':
        this.acknowledged(h!);
        break;
    }
  }

  private acknowledged(h: number): void {
    const life = this.life!;
    if (h < life.outAcked) this.world.wrongs.push(`${this.name}: h went back from ${life.outAcked} to ${h}`);
    if (h > life.outAcked + life.unacked.length)
      this.world.wrongs.push(`${this.name}: h is ${h}, but ${life.outAcked + life.unacked.length} were sent`);
    while (life.outAcked < h && life.unacked.length > 0) {
      const { id } = life.unacked.shift()!;
      life.outAcked++;
      const sent = id === undefined ? undefined : this.world.sent.get(id);
      if (sent !== undefined) sent.isAcked = true;
    }
  }

  private takesStanza(element: XmlElement): void {
    const { life } = this;
    if (life === undefined) return;
    const { name, attrs } = element;
    const got = name === 'message' ? gotOf(element, this.bare) : undefined;
    if (life.isCounting) {
      life.h++;
      life.counted.push(got);
    }
    const { id, type } = attrs;
    if (name === 'message' && type === 'error') {
      const sent = this.world.sent.get(id ?? '');
      if (sent !== undefined) sent.isErrorReceived = true;
    } else if (got !== undefined) {
      life.got.push(got);
    } else if (name === 'iq' && (type === 'result' || type === 'error')) {
      const request = this.world.requests.get(id ?? '');
      if (request !== undefined) request.isAnswered = true;
    } else if (name === 'iq') {
      const answer = `<iq type='result' id='${id}' to='${attrs['from']}'/>`;
      this.send(answer);
      if (this.isOnline) return;
      this.connection!.write(answer);
      if (life.hasAsked) life.unacked.at(-1)!.isWritten = true;
    }
  }

  says(n: number, kind: Kind, to: string, attrs: string, content: string): void {
    const { life } = this;
    if (life === undefined || (!this.isOnline && !this.isManaged)) return;
    if (!this.isOnline && life.token === undefined) return;
    const id = `m${n}`;
    this.world.sent.set(id, {
      id,
      n,
      by: this,
      life,
      to,
      kind,
      isAcked: false,
      isErrorReceived: false,
      isVoid: false,
      mayBeLost: this.world.leaky.has(to.split('/')[0]!),
      mayBeLate: this.world.delaying.has(to.split('/')[0]!),
      mayBeRefused: this.crashed > 0,
    });
    this.send(`<message id='${id}' to='${to}' ${attrs}>${content}</message>`, id);
  }

  asks(n: number, to: string, peer: Client | undefined): void {
    const { life } = this;
    if (life === undefined || !this.isOnline || this.isMute) return;
    const id = `q${n}`;
    const isToPeer = peer !== undefined;
    this.world.requests.set(id, {
      id,
      by: this,
      life,
      isToPeer,
      isAnswered: false,
      isExcused: isToPeer && (!peer.isManaged || this.world.isFailing || this.world.clients.some(({ crashed }) => crashed > 0)),
    });
    this.send(`<iq type='get' id='${id}' to='${to}'><ping xmlns='urn:xmpp:ping'/></iq>`);
  }

  /** A stanza; one that cannot be sent now is sent with the next resumption. */
  send(xml: string, id?: string): void {
    const { life } = this;
    if (life === undefined) return;
    if (life.hasAsked) life.unacked.push({ xml, id, isWritten: this.isOnline });
    if (xml.startsWith('<presence') && xml !== '<presence/>') this.mayDelay();
    if (this.isOnline) this.raw(xml);
  }

  /** A stanza of one that is online. */
  sendRaw(xml: string): void {
    if (this.isOnline) this.send(xml);
  }

  raw(text: string): void {
    if (this.isOnline && !this.isMute) {
      this.world.note(`${this.name} > ${text}`);
      this.connection!.write(text);
    }
  }

  acks(): void {
    const { life } = this;
    if (!this.isManaged || life === undefined || !this.isOnline || this.isMute) return;
    life.ackedByMe = life.h;
    this.raw(`<a xmlns='${SM}' h='${life.h}'/>`);
  }

  cut(): void {
    this.connection?.destroy();
    this.lost();
  }

  /** The connection is gone. */
  lost(): void {
    if (this.connection !== undefined && !this.isMute) this.world.note(`${this.name} is cut off`);
    if (this.connection !== undefined) {
      const { connection } = this;
      this.connection = undefined;
      if (!this.isMute) connection.destroy();
    }
    const wasOnline = this.isOnline;
    this.isOnline = this.isMute = this.isStalled = false;
    if (wasOnline && this.life?.token === undefined) this.endLife();
  }

  /** It has lost the last stanzas it got, as one that was killed before it wrote them down. */
  forget(count: number): void {
    const { life } = this;
    this.lost();
    if (life === undefined || life.hasEnded) return;
    while (count-- > 0 && life.h > life.ackedByMe) {
      life.h--;
      const got = life.counted.pop();
      if (got !== undefined) life.got.splice(life.got.lastIndexOf(got), 1);
    }
  }

  /** It will not come back to its session. @param isSudden without a word. */
  abandon(isSudden: boolean): void {
    if (!isSudden) this.leaves();
    this.lost();
    this.endLife();
  }

  leaves(): void {
    if (this.isOnline && !this.isMute) {
      this.raw('</stream:stream>');
      this.endLife();
      const { connection } = this;
      this.connection = undefined;
      this.isOnline = false;
      connection!.end();
    }
  }

  private endLife(): void {
    const { life, world } = this;
    if (life === undefined || life.hasEnded) return;
    life.hasEnded = true;
    this.life = undefined;
    this.mayDelay();
    if (this.isManaged) return this.excuse(life);
    world.leaky.add(this.bare);
    for (const sent of world.sent.values()) if (sent.to.startsWith(this.bare)) sent.mayBeLost = true;
    this.excuse(life);
  }

  /** What comes now may wait for a session that is over for its client, or for one that takes messages. */
  private mayDelay(): void {
    const { world } = this;
    world.delaying.add(this.bare);
    for (const sent of world.sent.values()) if (sent.to.startsWith(this.bare)) sent.mayBeLate = true;
  }

  private excuse(life: Life): void {
    const { world } = this;
    for (const request of world.requests.values()) if (request.life === life) request.isExcused = true;
  }
}

function gotOf(element: XmlElement, own: string): Got | undefined {
  if (element.attrs['type'] === 'error') return undefined;
  const copy = childElements(element).find(({ ns }) => ns === CARBONS);
  const message = copy === undefined ? element : childOf(childOf(copy, 'forwarded')!, 'message')!;
  const id = message.attrs['id'];
  if (id === undefined) return undefined;
  const stanzaId = childElements(message).find(({ name, ns, attrs }) => ns === STANZA_ID && name === 'stanza-id' && attrs['by'] === own);
  return {
    id,
    form: copy === undefined ? 'plain' : 'copy',
    stanzaId: stanzaId?.attrs['id'],
    isDelayed: childElements(message).some(({ ns }) => ns === DELAY),
  };
}
