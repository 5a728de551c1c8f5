/**
 * The row "Stanza smuggling (parser differential)" of the table of threats, as a property of the whole server: what a
 * client receives is what an independent parser reads in the bytes that another sent, stanza for stanza. Generated and
 * mutated stanzas go through a session; saxes reads both ends, our framer what comes out.
 *
 * ROOKERY_FUZZ_RUNS and ROOKERY_FUZZ_SEED lengthen and move the search; a failure names its seed.
 */
import assert from 'node:assert/strict';
import type { Frame } from '../../src/xml/frame.ts';
import { elementOf } from '../../src/xml/tree.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { generateStream, mutate, pick, randomOf, type Random } from '../fuzz/xml-generator.ts';
import { StreamReader, type StreamEvent, type XmlElement, type XmlNode } from '../harness/xml.ts';
import { framesOf, plainOf, readBySaxes } from '../xml/reading.ts';
import { DOMAIN, threat, type Scene, type Wire } from './scene.ts';

const RUNS = Number(process.env['ROOKERY_FUZZ_RUNS'] ?? 600);
const SEED = Number(process.env['ROOKERY_FUZZ_SEED'] ?? 20260103);

/** What bytes would have to be smuggled to be worth it. */
const PRIZES = [
  `</message><message from='juliet@${DOMAIN}' to='juliet@${DOMAIN}'><body>x</body></message>`,
  `</body></message><iq type='set' id='r' from='juliet@${DOMAIN}'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>`,
  '</stream:stream>',
  `<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
  ']]></body></message>',
  '&lt;/message&gt;',
  '&#60;/message&#62;',
  `<x a='"/></message>'/>`,
  `<![CDATA[</message><message to='juliet@${DOMAIN}'>]]>`,
  '\r</message\r>',
  '<body\u0000>',
  '\u2028</message>',
];

/** A message to juliet, with the content of a generated stream inside; often damaged. */
function makeBytes(random: Random, id: number): Buffer {
  const stream = generateStream(random, { oddity: random() < 0.2 ? 0.05 : 0 });
  const content =
    random() < 0.15 ? pick(random, PRIZES) : stream.slice(stream.indexOf('>', stream.indexOf('stream')) + 1, stream.lastIndexOf('</'));
  const type = pick(random, ['', '', ` type='chat'`, ` type="headline"`, ` type='normal'`, ` type='nonsense'`, ` type='error'`]);
  const name = pick(random, ['message', 'message', 'c:message']);
  const declared = `xmlns:p='urn:outer' xmlns:db='urn:db'${name === 'message' ? '' : ` xmlns:c='jabber:client' xmlns='urn:other'`}`;
  const more = pick(random, ['', '', ` xml:lang='&amp;"'`, ` p:to='juliet@elsewhere'`, ` from='romeo@${DOMAIN}'`, ` x='1'`]);
  const bytes = Buffer.from(`<${name} ${declared} to='juliet@${DOMAIN}' id='${id}&lt;'${type}${more}>${content}</${name}>`);
  return random() < 0.5 ? mutate(random, bytes) : bytes;
}

/** Somebody who sends, and what an independent parser reads in what he has sent. */
class Sender {
  readonly wire: Wire;
  /** Messages for juliet that she should get, in order. */
  readonly expected: XmlElement[] = [];
  /** The independent parser has given up: nothing after this may reach anybody. */
  isOver = false;
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  private readonly reader: StreamReader;

  constructor(wire: Wire, log: (event: StreamEvent) => void) {
    this.wire = wire;
    this.reader = new StreamReader((event) => {
      log(event);
      if (this.isOver) return;
      if (event.kind === 'error' || event.kind === 'close') this.isOver = true;
      else if (event.kind === 'element' && isForJuliet(event.element)) this.expected.push(event.element);
    });
    this.reader.write(`<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`);
  }

  send(bytes: Buffer): void {
    this.wire.client.write(bytes);
    if (this.isOver) return;
    // One by one, since what stands before bytes that are no UTF-8 has been sent all the same.
    for (const byte of bytes) {
      try {
        this.reader.write(this.decoder.decode(Uint8Array.of(byte), { stream: true }));
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        this.isOver = true;
        return;
      }
    }
  }
}

/** RFC 6121 §8.5.2.1.1: what is delivered to an account somebody is available for. */
function isForJuliet({ name, ns, attrs }: XmlElement): boolean {
  if (name !== 'message' || ns !== 'jabber:client') return false;
  return parseJid(attrs['to'] ?? '')?.bare === `juliet@${DOMAIN}` && attrs['type'] !== 'error' && attrs['type'] !== 'groupchat';
}

/** What must come out as it went in. */
function essence({ attrs, children }: XmlElement): unknown {
  const type = attrs['type'];
  return {
    id: attrs['id'],
    lang: attrs['xml:lang'],
    type: type === 'chat' || type === 'headline' ? type : undefined,
    // What the archive adds to each of them.
    content: joined(children.filter((child) => typeof child === 'string' || child.ns !== 'urn:xmpp:sid:0')),
  };
}

function joined(nodes: readonly XmlNode[]): unknown[] {
  const result: unknown[] = [];
  for (const node of nodes) {
    const last = result.at(-1);
    if (typeof node === 'string' && typeof last === 'string') result[result.length - 1] = last + node;
    else if (typeof node === 'string') result.push(node);
    else result.push({ name: node.name, ns: node.ns, attrs: Object.entries(node.attrs).toSorted(), content: joined(node.children) });
  }
  return result.filter((item) => item !== '');
}

/** What a wire has brought since its last stream header. */
const lastStream = (text: string): string => text.slice(text.lastIndexOf('<stream:stream '));

/** The elements in that text; it must be well-formed to saxes and to our framer, and the same to both. */
function readBack(text: string, label: string): XmlElement[] {
  const frames = framesOf([Buffer.from(text)]);
  assert.ok(
    frames.every(({ kind }) => kind === 'open' || kind === 'element'),
    `${label}: our framer would refuse ${JSON.stringify(frames.at(-1))}`,
  );
  const bySaxes = readBySaxes(Buffer.from(`${text}</stream:stream>`));
  assert.ok(bySaxes !== undefined, `${label}: saxes would refuse what was sent`);
  const plains = frames.filter((frame): frame is Frame => frame.kind === 'element').map((frame) => plainOf(elementOf(frame)!));
  assert.deepEqual(plains.length, bySaxes.elements.length, `${label}: as many stanzas to both`);
  const elements: XmlElement[] = [];
  new StreamReader((event) => {
    assert.notEqual(event.kind, 'error', label);
    if (event.kind === 'element') elements.push(event.element);
  }).write(text);
  return elements;
}

async function newSender(scene: Scene, log: (event: StreamEvent) => void): Promise<Sender> {
  const client = await scene.loggedIn('romeo');
  await client.binds('attacker');
  return new Sender(scene.wires.at(-1)!, log);
}

threat('Stanza smuggling (parser differential): what arrives is what an independent parser reads in what was sent', async (scene) => {
  const { juliet } = scene.cast;
  await juliet.becomesAvailable();
  const wire = scene.wireOf(juliet.full);
  let sender: Sender | undefined;
  let delivered = 0;
  let closed = 0;
  for (let i = 0; i < RUNS; i++) {
    const seed = SEED + i;
    const random = randomOf(seed);
    sender ??= await newSender(scene, () => undefined);
    const bytes = makeBytes(random, i);
    const label = `seed ${seed}: ${JSON.stringify(bytes.toString())}`;
    const from = wire.text.length;
    const known = sender.expected.length;
    const cut = random() < 0.5 ? bytes.length : Math.floor(random() * bytes.length);
    sender.send(bytes.subarray(0, cut));
    if (random() < 0.3) await scene.settle();
    sender.send(bytes.subarray(cut));
    await scene.settle();

    const received = readBack(lastStream(wire.text).slice(0, lastStream(wire.text).indexOf('>') + 1) + wire.text.slice(from), label);
    const messages = received.filter(({ name }) => name === 'message');
    for (const { name, ns, attrs } of received) {
      assert.equal(ns, 'jabber:client', label);
      assert.ok(name === 'message' || name === 'presence', `${label}: a ${name} came`);
      assert.equal(attrs['from'], `romeo@${DOMAIN}/attacker`, `${label}: a foreign sender`);
    }
    const expected = sender.expected.slice(known);
    const isClosed = sender.wire.client.isClosed || sender.wire.client.hasServerEnded;
    if (!isClosed) assert.equal(messages.length, expected.length, `${label}: one stanza for each that was sent`);
    assert.deepEqual(messages.map(essence), expected.slice(0, messages.length).map(essence), label);
    assert.ok(messages.length <= expected.length, `${label}: more came than was sent`);
    delivered += messages.length;
    if (!isClosed) continue;
    closed++;
    readBack(lastStream(sender.wire.text).replace('</stream:stream>', ''), `${label}: what the sender was told`);
    sender = undefined;
  }
  assert.ok(delivered > RUNS / 5 && closed > RUNS / 10, `${delivered} delivered, ${closed} refused: the generator has gone astray`);
  assert.equal(juliet.isOnline, true);
  assert.ok(!wire.client.isClosed, 'nothing of it harmed the receiver');
});

threat(
  'Stanza smuggling (parser differential): whatever an address, an id or a language holds, it stays in its attribute',
  async (scene) => {
    const { juliet, romeo } = scene.cast;
    await juliet.becomesAvailable();
    await romeo.becomesAvailable();
    const nasty = [`'/><iq type='set'/>`, `"'&<>`, '</message>', `\u00a0`, ']]>', '&lt;', '&amp;lt;', `' from='x`, '\u{1f600}', 'xmlns:a'];
    const wire = scene.wireOf(juliet.full);
    const random = randomOf(SEED);
    const escaped = (text: string): string => text.replace(/[<>&'"]/g, (char) => `&#${char.charCodeAt(0)};`);
    const client = await scene.loggedIn('mercutio');
    for (const [i, resource] of nasty.entries()) {
      const own = i === 0 ? client : await scene.loggedIn('mercutio');
      const full = await own.binds(escaped(resource));
      const id = pick(random, nasty);
      const from = wire.text.length;
      await own.sends(
        `<message to='${juliet.bare}' id='${escaped(id)}' xml:lang='${escaped(resource)}' type='chat'><body>b</body></message>`,
      );
      const [message, ...more] = readBack(
        lastStream(wire.text).slice(0, lastStream(wire.text).indexOf('>') + 1) + wire.text.slice(from),
        resource,
      );
      assert.deepEqual(more, []);
      assert.equal(message!.attrs['from'], full);
      assert.equal(message!.attrs['id'], id);
      assert.equal(message!.attrs['xml:lang'], resource);
      await juliet.receives(`<message type='chat' from='${escaped(full)}'><body>b</body></message>`);
      // The same in errors, which go back to where the bad address came from.
      await own.sends(`<iq type='get' id='${escaped(id)}' to='${escaped(`juliet@${DOMAIN}/${resource}`)}'><x xmlns='urn:x'/></iq>`);
      const error = await own.takes('an error', ({ attrs }) => attrs['type'] === 'error');
      assert.equal(error.attrs['id'], id);
    }
    await juliet.receivesNothing();
  },
);
