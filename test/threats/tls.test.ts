/**
 * Rows of the table of threats about the change from plain text to TLS, and about TLS itself: on memory pairs
 * where only the order of bytes counts, on sockets of a whole server where OpenSSL is part of the answer.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { contextTag, DER, parseDer, type DerNode } from '../../src/net/der.ts';
import { startServer, type EmbeddedServer } from '../../src/server.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { childElements, childOf } from '../harness/xml.ts';
import { base64, SASL, threat } from './scene.ts';

const TLS = 'urn:ietf:params:xml:ns:xmpp-tls';
const START_TLS = `<starttls xmlns='${TLS}'/>`;
const HEADER = `<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;

const TLS_REQUIRED = { config: { c2s: { isTlsRequired: true } } } as const;
const INJECTED = [
  `<auth xmlns='${SASL}' mechanism='PLAIN'>${base64('\0romeo\0secret of romeo')}</auth>`,
  `<stream:stream to='capulet.lit' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`,
  `<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`,
  '<',
  'x',
  '\u0016\u0003\u0001', // even a handshake that does not wait to be asked for
];

for (const injected of INJECTED) {
  threat(
    `STARTTLS command injection: ${JSON.stringify(injected.slice(0, 30))} behind <starttls/> ends the stream before TLS`,
    TLS_REQUIRED,
    async (scene) => {
      const client = await scene.opened();
      await client.sends(START_TLS + injected);
      await client.isClosedWith('policy-violation');
      assert.ok(!scene.wires[0]!.text.includes('<proceed'), 'no handshake is promised');
      assert.ok(!scene.wires[0]!.client.isSecure);
    },
  );

  threat(
    `STARTTLS command injection: ${JSON.stringify(injected.slice(0, 30))} that comes between <starttls/> and its handling does, too`,
    TLS_REQUIRED,
    async (scene) => {
      const client = await scene.opened();
      const { client: wire } = scene.wires[0]!;
      wire.write(START_TLS); // is in the mailbox of the connection's actor now
      wire.write(injected);
      await scene.settle();
      await client.isClosedWith('policy-violation');
      assert.ok(!wire.isSecure);
    },
  );
}

threat('STARTTLS command injection: white space behind <starttls/> is no command', TLS_REQUIRED, async (scene) => {
  const client = await scene.opened();
  client.write(`${START_TLS}\n`);
  await scene.settle();
  await client.receives(`<proceed xmlns='${TLS}'/>`);
});

threat('STARTTLS command injection: what was sent before login in hope of success ends the stream, too', async (scene) => {
  scene.cast.offline('romeo');
  await scene.cast.ready();
  for (const login of [
    (client: StreamClient) => client.sends(INJECTED[0]! + INJECTED[1]!),
    async (client: StreamClient) => {
      const { client: wire } = scene.wires.at(-1)!;
      wire.write(INJECTED[0]!);
      wire.write(`${INJECTED[1]}${INJECTED[2]}`);
      await scene.settle();
      void client;
    },
  ]) {
    const client = await scene.opened();
    await login(client);
    await client.isClosedWith('policy-violation');
    assert.ok(!scene.wires.at(-1)!.text.includes('<success'), 'nobody is told that he is in');
    assert.equal(scene.runtime.counters.bound, 0);
  }
});

threat(
  'STARTTLS command injection: what was said in the clear is forgotten: the new stream starts from nothing',
  TLS_REQUIRED,
  async (scene) => {
    const client = await scene.opened({ from: `juliet@capulet.lit`, 'xml:lang': 'it' });
    await client.startsTls();
    await client.opensStream();
    const header = await client.receivesStream();
    assert.equal(header['to'], undefined);
    const features = await client.receivesFeatures();
    assert.equal(childOf(features, 'starttls', TLS), undefined);
    assert.ok(childOf(features, 'mechanisms', SASL) !== undefined);
    await client.sends(START_TLS); // RFC 6120 §5.4.2.2
    await client.receives(`<failure xmlns='${TLS}'/>`);
    await client.isClosed();
  },
);

threat(
  'STARTTLS command injection: between <proceed/> and the handshake nothing is taken for XML',
  { ...TLS_REQUIRED, connection: { startTls: new Error('no handshake') } },
  async (scene) => {
    const client = await scene.opened();
    await client.sends(START_TLS);
    await client.receives(`<proceed xmlns='${TLS}'/>`);
    await client.isCut();
    assert.equal(scene.count('c2s'), 0);
  },
);

// On sockets

/** Only ever reached by a test that fails. */
const OVER_TCP = { timeout: 60_000 };

/** A client that keeps what it gets. */
class SocketClient {
  readonly socket: Socket;
  text = '';
  error: Error | undefined;
  readonly closed: Promise<void>;
  private wake: (() => void) | undefined = undefined;

  constructor(t: TestContext, socket: Socket) {
    this.socket = socket;
    // Not at once: see test/net/fixture.ts.
    t.after(() => void setImmediate(() => socket.destroy()));
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
      this.wake?.();
    });
    socket.on('error', (error) => (this.error = error));
    socket.on('close', () => this.wake?.());
  }

  /** Waits until `text` was received; fails if the connection ends before. */
  async receives(text: string): Promise<void> {
    while (!this.text.includes(text)) {
      assert.ok(!this.socket.destroyed, `the connection ended before ${text}: ${this.text}`);
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

async function serverOf(t: TestContext): Promise<EmbeddedServer> {
  const server = await startServer({ domains: ['localhost'] });
  t.after(() => server.stop());
  await server.createAccount('juliet@localhost', 'wherefore art thou');
  return server;
}

async function connected(t: TestContext, port: number): Promise<SocketClient> {
  const client = new SocketClient(t, connect(port, '127.0.0.1'));
  await once(client.socket, 'connect');
  return client;
}

async function secured(t: TestContext, options: ConnectionOptions): Promise<{ client: SocketClient; socket: TLSSocket }> {
  const socket = connectTls({ host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false, ...options });
  const client = new SocketClient(t, socket);
  await once(socket, 'secureConnect');
  return { client, socket };
}

/** Numbers of the optional fields of OpenSSL's SSL_SESSION. */
const SESSION = { ticket: 10, compression: 11, flags: 13, maxEarlyData: 15 } as const;

function fieldsOf(session: Buffer): number[] {
  // Node puts a header of its own in front of what OpenSSL wrote.
  for (let at = session.indexOf(DER.sequence); at >= 0; at = session.indexOf(DER.sequence, at + 1)) {
    const nodes = parseDer(session.subarray(at));
    const members = nodes?.length === 1 ? parseDer(nodes[0]!.content) : undefined;
    if (members !== undefined) return fieldsAmong(members);
  }
  throw new Error('this is no session');
}

function fieldsAmong(members: readonly DerNode[]): number[] {
  return Object.values(SESSION).filter((number) => members.some(({ tag }) => tag === contextTag(number, true)));
}

test(
  'STARTTLS command injection: over TCP, a login in the same segment as <starttls/> is neither answered nor kept for after the handshake',
  OVER_TCP,
  async (t) => {
    const server = await serverOf(t);
    const client = await connected(t, server.port);
    client.socket.write(HEADER);
    await client.receives('</stream:features>');
    client.socket.write(`${START_TLS}<auth xmlns='${SASL}' mechanism='PLAIN'>${base64('\0juliet\0wherefore art thou')}</auth>`);
    await client.closed;
    assert.match(client.text, /<policy-violation /);
    assert.doesNotMatch(client.text, /proceed|success/);
  },
);

test(
  'STARTTLS command injection: over TCP, plain text in place of the handshake ends the connection without an answer',
  OVER_TCP,
  async (t) => {
    const server = await serverOf(t);
    const client = await connected(t, server.port);
    client.socket.write(HEADER);
    await client.receives('</stream:features>');
    client.socket.write(START_TLS);
    await client.receives('<proceed');
    const before = client.text.length;
    client.socket.write(`${HEADER}<auth xmlns='${SASL}' mechanism='PLAIN'>${base64('\0juliet\0wherefore art thou')}</auth>`);
    await client.closed;
    assert.doesNotMatch(client.text.slice(before), /stream|success|failure/, 'at most an alert of TLS');
  },
);

/** Stands between a client and the server, deaf to the client's leaving: what closes the far side is the server. */
async function relayTo(t: TestContext, port: number): Promise<{ readonly port: number; readonly serverClosed: Promise<void> }> {
  const { promise: serverClosed, resolve } = Promise.withResolvers<void>();
  const relay = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect(port, '127.0.0.1');
    near.on('data', (chunk) => far.write(chunk));
    far.on('data', (chunk) => near.write(chunk));
    for (const socket of [near, far]) socket.on('error', () => undefined);
    far.on('close', () => {
      near.destroy();
      resolve();
    });
    t.after(() => far.destroy());
  });
  relay.listen(0, '127.0.0.1');
  t.after(() => relay.close());
  await once(relay, 'listening');
  return { port: (relay.address() as AddressInfo).port, serverClosed };
}

test(
  'TLS renegotiation flood: under TLS 1.2 a client that renegotiates is disconnected, under 1.3 there is no such thing',
  OVER_TCP,
  async (t) => {
    const server = await serverOf(t);
    const relay = await relayTo(t, server.tlsPort);
    const { client, socket } = await secured(t, { port: relay.port, maxVersion: 'TLSv1.2' });
    socket.write(HEADER);
    await client.receives('</stream:features>');
    socket.renegotiate({}, () => undefined);
    await relay.serverClosed;
    const modern = await secured(t, { port: server.tlsPort, minVersion: 'TLSv1.3' });
    assert.equal(modern.socket.getProtocol(), 'TLSv1.3');
    modern.socket.write(HEADER);
    await modern.client.receives('</stream:features>');
  },
);

test('TLS renegotiation flood: nothing older than TLS 1.2 is spoken at all', OVER_TCP, async (t) => {
  const server = await serverOf(t);
  for (const version of ['TLSv1', 'TLSv1.1'] as const) {
    await assert.rejects(
      secured(t, { port: server.tlsPort, minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }),
      { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' },
      version,
    );
  }
});

test('SASL2 / FAST in 0-RTT replay: session tickets allow no early data', OVER_TCP, async (t) => {
  const server = await serverOf(t);
  const { client, socket } = await secured(t, { port: server.tlsPort, minVersion: 'TLSv1.3' });
  const ticket = once(socket, 'session');
  socket.write(HEADER);
  await client.receives('</stream:features>');
  const [session] = (await ticket) as [Buffer];
  const fields = fieldsOf(session);
  assert.ok(fields.includes(SESSION.ticket));
  assert.ok(!fields.includes(SESSION.maxEarlyData), 'absent where it is zero');
});

test('CRIME-like leak: TLS compresses nothing, and no stream offers to', OVER_TCP, async (t) => {
  const server = await serverOf(t);
  const { client, socket } = await secured(t, { port: server.tlsPort, maxVersion: 'TLSv1.2' });
  socket.write(HEADER);
  await client.receives('</stream:features>');
  const fields = fieldsOf(socket.getSession()!);
  assert.ok(fields.includes(SESSION.flags));
  assert.ok(!fields.includes(SESSION.compression), 'absent where there is none');
  assert.doesNotMatch(client.text, /compress/);
});

threat('Compression bombs: XEP-0138 is neither offered nor spoken, before and after login', async (scene) => {
  const compress = `<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>`;
  const early = await scene.cast.raw();
  await early.opensStream();
  await early.receivesStream();
  const offered = childElements(await early.receivesFeatures()).map(({ name }) => name);
  await early.sends(compress);
  await early.isClosedWith('unsupported-stanza-type');
  scene.cast.offline('romeo');
  await scene.cast.ready();
  const client = await scene.cast.raw();
  const later = childElements(await client.logsIn({ local: 'romeo', password: 'secret of romeo' })).map(({ name }) => name);
  assert.ok(![...offered, ...later].includes('compression'));
  await client.sends(compress);
  await client.isClosedWith('unsupported-stanza-type');
  const bound = await scene.loggedIn('romeo');
  await bound.binds();
  await bound.sends(compress);
  await bound.isClosedWith('unsupported-stanza-type');
});
