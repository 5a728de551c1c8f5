/**
 * Rows of the table of threats about sending too fast, reading too slowly and guessing: what slows a connection down, what
 * it may leave unread, and what shuts an address out. All at default settings but where a test says otherwise.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { startServer } from '../../src/server.ts';
import { base64, DOMAIN, SASL, threat, type Scene, type Wire } from './scene.ts';

const HEADER = `<stream:stream to='${DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;
const countOf = (text: string, part: string): number => text.split(part).length - 1;
const MIB = 1024 * 1024;

// Sending too fast

/** Sends `stanza` so often, in packets. */
async function floods(scene: Scene, { client }: Wire, stanza: string, times: number): Promise<void> {
  const each = Math.max(1, Math.floor(60_000 / stanza.length));
  for (let i = 0; i < times; i += each) client.write(stanza.repeat(Math.min(each, times - i)));
  await scene.settle();
}

threat(
  'Memory exhaustion at default settings: a flood of stanzas is slowed to the rate, and all of it is done in the end',
  async (scene) => {
    const { romeo } = scene.cast;
    await romeo.sync();
    const { stanzasPerSecond, burstStanzas } = scene.config.shapers.normal;
    const { counters, links } = scene.runtime;
    const before = counters.stanzasIn;
    const total = burstStanzas + 10 * stanzasPerSecond;
    await floods(scene, scene.wireOf(romeo.full), `<presence to='nobody@nowhere.example' type='unavailable'/>`, total);
    assert.ok(counters.stanzasIn - before <= burstStanzas, 'the burst at once');
    for (let passed = 100; passed <= 11_000; passed += 100) {
      await scene.advance(100);
      assert.ok(counters.stanzasIn - before <= burstStanzas + (passed / 1_000) * stanzasPerSecond + 1, `after ${passed} ms`);
    }
    assert.equal(counters.stanzasIn - before, total);
    assert.equal(links.throttle.waiting, 0);
    assert.ok(links.throttle.pauses > 0 && links.throttle.pausedMs > 5_000);
  },
);

threat(
  'Memory exhaustion at default settings: a flood of bytes is slowed to the rate, and what waits for it waits in the socket',
  async (scene) => {
    const { romeo } = scene.cast;
    await romeo.sync();
    const { bytesPerSecond, burstBytes } = scene.config.shapers.normal;
    const { counters } = scene.runtime;
    const size = 50_000;
    const stanza = `<presence to='nobody@nowhere.example' type='unavailable'><status>${'x'.repeat(size)}</status></presence>`;
    const before = counters.stanzasIn;
    const total = Math.ceil((burstBytes + 10 * bytesPerSecond) / stanza.length);
    await floods(scene, scene.wireOf(romeo.full), stanza, total);
    for (let seconds = 0; seconds < 10; seconds++) {
      const taken = (counters.stanzasIn - before) * stanza.length;
      assert.ok(taken <= burstBytes + seconds * bytesPerSecond + stanza.length, `${taken} bytes after ${seconds} s`);
      await scene.advance(1_000);
    }
    await scene.advance(3_000);
    assert.equal(counters.stanzasIn - before, total);
  },
);

threat(
  'Memory exhaustion at default settings: who is slowed down is not taken for idle, and costs his neighbours nothing',
  async (scene) => {
    const { romeo, juliet } = scene.cast;
    await juliet.sync();
    await romeo.sync();
    const wire = scene.wireOf(romeo.full);
    await floods(
      scene,
      wire,
      `<presence to='nobody@nowhere.example' type='unavailable'><status>${'x'.repeat(50_000)}</status></presence>`,
      1_000,
    );
    await scene.advance(5_000);
    assert.equal(scene.runtime.links.throttle.waiting, 1);
    await juliet.sends(`<message type='chat' to='${juliet.full}'><body>to myself</body></message>`);
    await juliet.receives(`<message type='chat' from='${juliet.full}'><body>to myself</body></message>`);
    assert.ok(!wire.client.isClosed);
  },
);

threat(
  'Leak from unauthenticated connections: requests before login are slowed to a few a second',
  { config: { accounts: { registration: 'open' }, c2s: { negotiationMs: 600_000 } } },
  async (scene) => {
    const wire = scene.connect();
    const { stanzasPerSecond, burstStanzas } = scene.config.shapers.login;
    wire.client.write(HEADER);
    await scene.settle();
    await floods(scene, wire, `<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>`, 1_000);
    assert.equal(countOf(wire.text, `<iq type='result'`) + countOf(wire.text, `<iq type="result"`), burstStanzas);
    await scene.advance(10_000);
    const answers = countOf(wire.text, `type='result'`) + countOf(wire.text, `type="result"`);
    assert.ok(answers > burstStanzas && answers <= burstStanzas + 10 * stanzasPerSecond, `${answers} answers`);
    assert.ok(!wire.client.isClosed);
  },
);

threat(
  'Leak from unauthenticated connections: bytes before login are slowed, too, while login makes them fast',
  { config: { accounts: { registration: 'open' }, c2s: { negotiationMs: 600_000 }, shapers: { login: { stanzasPerSecond: 0 } } } },
  async (scene) => {
    const wire = scene.connect();
    const { bytesPerSecond, burstBytes } = scene.config.shapers.login;
    wire.client.write(HEADER);
    await scene.settle();
    const request = `<iq type='get' id='${'r'.repeat(900)}'><query xmlns='jabber:iq:register'/></iq>`;
    await floods(scene, wire, request, 1_000);
    const taken = (): number => countOf(wire.text, `</iq>`) * request.length;
    for (let seconds = 0; seconds < 10; seconds++) {
      assert.ok(taken() <= burstBytes + seconds * bytesPerSecond + 60_000, `${taken()} bytes after ${seconds} s`);
      await scene.advance(1_000);
    }
    assert.ok(taken() > burstBytes + 5 * bytesPerSecond, 'but as fast as that');
  },
);

threat(
  'Memory exhaustion at default settings: rules by host and role; admins are not slowed down unless the operator wants it',
  { config: { admins: [`Romeo@${DOMAIN}`], shapers: { normal: { stanzasPerSecond: 10, burstStanzas: 10 } } } },
  async (scene) => {
    const { counters } = scene.runtime;
    for (const [name, expected] of [
      ['romeo', 100],
      ['juliet', 10],
    ] as const) {
      const client = scene.cast.client(name);
      await client.sync();
      await scene.advance(1_000); // full buckets
      const before = counters.stanzasIn;
      await floods(scene, scene.wireOf(client.full), `<presence to='nobody@nowhere.example' type='unavailable'/>`, 100);
      assert.equal(counters.stanzasIn - before, expected, name);
      await scene.advance(20_000);
    }
  },
);

// SASL before login

threat('Leak from unauthenticated connections: what a SASL message may hold is bounded, and so is the element around it', async (scene) => {
  for (const [length, outcome] of [
    [3_000, '<not-authorized/>'],
    [4_097, '<incorrect-encoding/>'],
    [7_000, '<incorrect-encoding/>'],
    [8_000, '<policy-violation '],
  ] as const) {
    const wire = scene.connect();
    wire.client.write(HEADER);
    await scene.settle();
    const data = `\0${'u'.repeat(length - 12)}\0password12`.slice(0, length);
    wire.client.write(`<auth xmlns='${SASL}' mechanism='PLAIN'>${base64(data)}</auth>`);
    await scene.settle();
    assert.ok(wire.text.includes(outcome) || (length === 3_000 && wire.text.includes('<failure ')), `${length}: ${wire.text.slice(-200)}`);
  }
});

// Reading too slowly

/** Stalls juliet and sends her so many bytes. */
async function unread(scene: Scene, bytes: number): Promise<Wire> {
  const { romeo, juliet } = scene.cast;
  await juliet.becomesAvailable();
  juliet.stalls();
  const body = 'x'.repeat(100_000);
  for (let sent = 0; sent < bytes; sent += body.length) {
    await romeo.sends(`<message type='chat' id='m' to='${juliet.full}'><body>${body}</body></message>`);
  }
  return scene.wireOf(juliet.full);
}

threat('Memory exhaustion at default settings: a reader that is slow for some seconds is not cut off', async (scene) => {
  const wire = await unread(scene, 3 * MIB);
  const { outboundGraceMs } = scene.config.limits;
  await scene.advance(outboundGraceMs - 1_000);
  assert.ok(!wire.client.isClosed);
  wire.client.unstall();
  await scene.advance(60_000);
  assert.ok(!wire.client.isClosed);
  assert.ok(wire.text.length > 3 * MIB);
  assert.equal(scene.runtime.counters.closed.get('slow_consumer'), undefined);
});

threat('Memory exhaustion at default settings: one that stays behind is, once the grace time is over', async (scene) => {
  const wire = await unread(scene, 3 * MIB);
  const { outboundGraceMs } = scene.config.limits;
  await scene.advance(outboundGraceMs);
  assert.ok(wire.client.isClosed);
  assert.equal(scene.runtime.counters.closed.get('slow_consumer'), 1);
  assert.equal(scene.count('c2s'), 1);
});

threat(
  'Memory exhaustion at default settings: all together have a budget; above it the fullest go',
  { config: { limits: { outboundHardBytes: 2 * MIB, outboundTotalBytes: 2 * MIB } } },
  async (scene) => {
    const { romeo } = scene.cast;
    await romeo.sync();
    const names = ['juliet', 'nurse', 'tybalt', 'benvolio', 'paris'];
    const wires: Wire[] = [];
    for (const name of names) {
      const client = scene.cast.client(name);
      await client.becomesAvailable();
      client.stalls();
      wires.push(scene.wireOf(client.full));
    }
    const give = async (i: number): Promise<void> => {
      const to = scene.cast.client(names[i]!).full;
      await romeo.sends(`<message type='chat' id='m' to='${to}'><body>${'x'.repeat(50_000)}</body></message>`);
    };
    for (const i of names.keys()) for (let times = 0; times < 2 * (i + 1); times++) await give(i);
    await scene.settle();
    const { outbound } = scene.runtime.links;
    assert.ok(outbound.pendingBytes > 1.4 * MIB && outbound.pendingBytes < 2 * MIB);
    for (let more = 0; more < 40 && outbound.victims === 0; more++) {
      await give(3 + (more % 2));
      await scene.settle();
      assert.ok(outbound.pendingBytes <= (2 * MIB * 9) / 8);
    }
    assert.deepEqual(
      wires.map(({ client }) => client.isClosed),
      [false, false, false, false, true],
      'the fullest, and nobody else',
    );
    assert.equal(scene.runtime.counters.closed.get('slow_consumer'), 1);
  },
);

threat('Memory exhaustion at default settings: a client that only keeps its connection alive may do so for weeks', async (scene) => {
  const { romeo } = scene.cast;
  await romeo.sync();
  const { client } = scene.wireOf(romeo.full);
  const days = 30;
  for (let minute = 0; minute < days * 24 * 60; minute++) {
    client.write(' ');
    scene.clock.advance(60_000);
  }
  await scene.settle();
  assert.ok(!client.isClosed);
  await romeo.receivesNothing();
});

// Guessing

/** What the server says on a connection until it ends, to somebody who says all this at once. */
async function tells(t: TestContext, port: number, words: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.on('error', () => undefined);
  if (words !== '') socket.write(words);
  await once(socket, 'close');
  return text;
}

test(
  'SCRAM timing / user enumeration: an address that guesses too often is shut out, over any connection',
  { timeout: 60_000 },
  async (t) => {
    const server = await startServer({
      c2s: { isTlsRequired: false, maxLoginAttempts: 1 },
      accounts: { scramIterations: 4_096 },
      limits: { loginFailures: { count: 3, windowMs: 600_000 } },
    });
    t.after(() => server.stop());
    await server.createAccount('juliet@localhost', 'wherefore art thou');
    const header = HEADER.replace(DOMAIN, 'localhost');
    const guess = `${header}<auth xmlns='${SASL}' mechanism='PLAIN'>${base64('\0juliet\0guess')}</auth>`;
    for (let i = 0; i < 4; i++) assert.match(await tells(t, server.port, guess), /<not-authorized\/>/);
    const text = await tells(t, server.port, '');
    assert.match(text, /^<\?xml.*<policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'\/>.*<\/stream:stream>$/s);
    assert.ok(!text.includes('features'));
  },
);
