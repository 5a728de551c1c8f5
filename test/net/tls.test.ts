import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mock, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { ManualClock } from '../../src/kernel/clock.ts';
import { hashForServerEndPoint } from '../../src/net/tls-facts.ts';
import { makeTlsSettings, TlsContexts } from '../../src/net/tls-context.ts';
import type { TlsSettings } from '../../src/net/tls-context.ts';
import { Certificates, connectPlain, connectSecure, loadTls, makeTls, serve } from './fixture.ts';
import type { Client, Owner, Serving } from './fixture.ts';

const EMPTY = Buffer.alloc(0);

/** SSL_OP_NO_EXTENDED_MASTER_SECRET, which Node does not name. */
const NO_EXTENDED_MASTER_SECRET = 1;

/** A client and its owner after STARTTLS as in XMPP: asked for, answered, done. */
async function startTls(
  t: TestContext,
  { port, accepted }: Serving,
  options: ConnectionOptions = {},
): Promise<{ client: Client<TLSSocket>; owner: Owner }> {
  const below = await connectPlain(t, port);
  const owner = await accepted();
  below.socket.write('<starttls/>');
  await owner.received('<starttls/>');
  owner.transport.write('<proceed/>');
  owner.transport.startTls();
  await below.received('<proceed/>');
  const [client] = await Promise.all([connectSecure(t, port, { ...options, socket: below.socket }), owner.until(() => owner.isSecure)]);
  return { client, owner };
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  const only = { minVersion: version, maxVersion: version } as const;

  test(`STARTTLS to ${version}: <proceed/> leaves in the clear, what follows does not`, async (t) => {
    const serving = await serve(t, { tls: makeTls(t).tls });
    const { client, owner } = await startTls(t, serving, only);
    assert.equal(client.socket.getProtocol(), version);
    assert.equal(owner.transport.tls?.version, version);
    assert.equal(owner.transport.tls.cipher, client.socket.getCipher().name);
    assert.equal(owner.transport.tls.serverName, 'capulet.lit');
    client.socket.write('<stream:stream>');
    await owner.received('<stream:stream>');
    owner.transport.write('<stream:features/>');
    await client.received('<stream:features/>');
    owner.transport.end();
    await owner.closing();
    assert.deepEqual(owner.events, ['bytes', 'secure', 'bytes', 'closed']);
    assert.equal(owner.error, undefined);
  });

  test(`direct TLS with ${version}: the owner gets the connection after the handshake`, async (t) => {
    const serving = await serve(t, { kind: 'direct_tls', tls: makeTls(t).tls });
    const client = await connectSecure(t, serving.port, only);
    const owner = await serving.accepted();
    assert.equal(owner.transport.tls?.version, version);
    client.socket.write('hello');
    await owner.received('hello');
    assert.deepEqual(owner.events, ['bytes'], 'secure is for STARTTLS');
  });

  test(`RFC 9266 and RFC 5929 §4.1: channel bindings under ${version} are what the client computes`, async (t) => {
    const serving = await serve(t, { tls: makeTls(t).tls });
    const { client, owner } = await startTls(t, serving, only);
    assert.deepEqual(owner.transport.tls!.tlsExporter(), client.socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', EMPTY));
    assert.deepEqual(
      owner.transport.tls!.tlsServerEndPoint(),
      createHash('sha256').update(client.socket.getPeerX509Certificate()!.raw).digest(),
    );
    owner.transport.destroy();
    await owner.closing();
    assert.equal(owner.transport.tls!.tlsExporter(), undefined);
  });

  for (const isShared of [true, false]) {
    test(`${version}: a session resumed at another worker has the bindings of what the client saw (${isShared ? 'one certificate' : 'several certificates'})`, async (t) => {
      const certificates = new Certificates(t);
      certificates.write('capulet.lit', 'capulet.lit', 'montague.lit');
      certificates.write('montague.lit', 'montague.lit');
      const settings = makeTlsSettings([
        certificates.host('capulet.lit'),
        certificates.host('montague.lit', isShared ? 'capulet.lit' : 'montague.lit'),
      ]);
      const [first, second] = [
        await serve(t, { kind: 'direct_tls', tls: loadTls(settings) }),
        await serve(t, { kind: 'direct_tls', tls: loadTls(settings) }),
      ];
      const { certificate, session } = await ticketOf(t, first, only);
      const client = await connectSecure(t, second.port, { ...only, servername: 'montague.lit', session });
      const { transport } = await second.accepted();
      assert.equal(client.socket.isSessionReused(), true);
      assert.deepEqual(transport.tls!.tlsExporter(), client.socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', EMPTY));
      // TLS 1.2 does not tell the server for which name the session was made; no binding is better than a wrong one.
      const expected = version === 'TLSv1.2' && !isShared ? undefined : hashForServerEndPoint(certificate);
      assert.deepEqual(transport.tls!.tlsServerEndPoint(), expected);
    });
  }
}

/** A first connection to montague.lit: the certificate it is presented and the ticket it gets. */
async function ticketOf(
  t: TestContext,
  { port, accepted }: Serving,
  options: ConnectionOptions,
): Promise<{ certificate: X509Certificate; session: Buffer }> {
  const { socket } = await connectSecure(t, port, { ...options, servername: 'montague.lit' });
  const certificate = socket.getPeerX509Certificate()!;
  if (socket.getProtocol() === 'TLSv1.2') return { certificate, session: socket.getSession()! };
  const ticket = once(socket, 'session');
  (await accepted()).transport.write('x'); // Tickets come after the handshake.
  const [session] = (await ticket) as [Buffer];
  return { certificate, session };
}

test('RFC 9266 §4: under TLS 1.2 without the extended master secret there is no tls-exporter binding', async (t) => {
  const serving = await serve(t, { tls: makeTls(t).tls });
  const { owner } = await startTls(t, serving, { maxVersion: 'TLSv1.2', secureOptions: NO_EXTENDED_MASTER_SECRET });
  assert.equal(owner.transport.tls!.version, 'TLSv1.2');
  assert.equal(owner.transport.tls!.tlsExporter(), undefined);
  assert.notEqual(owner.transport.tls!.tlsServerEndPoint(), undefined);
});

test('a client that trusts the certificate verifies it, for the domain and what is below it', async (t) => {
  const { tls, certificate } = makeTls(t);
  const { port } = await serve(t, { kind: 'direct_tls', tls });
  for (const servername of ['capulet.lit', 'rooms.capulet.lit']) {
    const client = await connectSecure(t, port, { servername, ca: certificate, rejectUnauthorized: true });
    assert.equal(client.socket.authorized, true);
  }
  await assert.rejects(connectSecure(t, port, { servername: 'montague.lit', ca: certificate, rejectUnauthorized: true }), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  });
});

test('text written during the handshake leaves after it, under TLS', async (t) => {
  const serving = await serve(t, { tls: makeTls(t).tls });
  const below = await connectPlain(t, serving.port);
  const owner = await serving.accepted();
  owner.transport.startTls();
  owner.transport.write('secret');
  owner.transport.flush();
  assert.equal(owner.transport.pendingBytes, 6);
  const client = await connectSecure(t, serving.port, { socket: below.socket });
  await client.received('secret');
});

test('a paused connection stays paused across the handshake', async (t) => {
  const serving = await serve(t, { tls: makeTls(t).tls });
  const below = await connectPlain(t, serving.port);
  const owner = await serving.accepted();
  owner.transport.pause();
  owner.transport.startTls();
  const client = await connectSecure(t, serving.port, { socket: below.socket });
  await owner.until(() => owner.isSecure);
  client.socket.write('later');
  owner.transport.write('now');
  await client.received('now');
  assert.equal(owner.text, '');
  owner.transport.resume();
  await owner.received('later');
});

test('startTls a second time does nothing', async (t) => {
  const serving = await serve(t, { tls: makeTls(t).tls });
  const { client, owner } = await startTls(t, serving);
  owner.transport.startTls();
  owner.transport.write('still here');
  await client.received('still here');
});

test('XEP-0368: the client’s ALPN names xmpp-client among others, and gets it', async (t) => {
  const serving = await serve(t, { kind: 'direct_tls', tls: makeTls(t).tls });
  const client = await connectSecure(t, serving.port, { ALPNProtocols: ['h2', 'xmpp-client'] });
  const { transport } = await serving.accepted();
  assert.equal(client.socket.alpnProtocol, 'xmpp-client');
  assert.equal(transport.tls!.alpn, 'xmpp-client');
});

test('XEP-0368: a client without ALPN is accepted', async (t) => {
  const serving = await serve(t, { kind: 'direct_tls', tls: makeTls(t).tls });
  await connectSecure(t, serving.port);
  assert.equal((await serving.accepted()).transport.tls!.alpn, undefined);
});

test('RFC 7301 §3.2: a client whose ALPN is for something else is refused with the alert that says so', async (t) => {
  const failed = Promise.withResolvers<Error>();
  const { port, listener } = await serve(t, {
    kind: 'direct_tls',
    tls: makeTls(t).tls,
    onHandshakeFailed: (_, error) => failed.resolve(error),
  });
  await assert.rejects(connectSecure(t, port, { ALPNProtocols: ['h2', 'http/1.1'] }), {
    code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
  });
  await failed.promise;
  assert.equal(listener.failedHandshakes, 1);
});

test('after STARTTLS the client’s ALPN is not looked at', async (t) => {
  const serving = await serve(t, { tls: makeTls(t).tls });
  const { client, owner } = await startTls(t, serving, { ALPNProtocols: ['h2'] });
  assert.equal(client.socket.alpnProtocol, false);
  assert.equal(owner.transport.tls!.alpn, undefined);
});

test('RFC 8996: nothing older than TLS 1.2', async (t) => {
  const { port } = await serve(t, { kind: 'direct_tls', tls: makeTls(t).tls });
  await assert.rejects(connectSecure(t, port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }), {
    code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  });
});

test('RFC 9325 §4.2: no suite without forward secrecy and authenticated encryption', async (t) => {
  const { port } = await serve(t, { kind: 'direct_tls', tls: makeTls(t).tls });
  for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384'])
    await assert.rejects(connectSecure(t, port, { maxVersion: 'TLSv1.2', ciphers }), { code: /HANDSHAKE_FAILURE/ }, ciphers);
});

test('CVE-2021-32920: a client that renegotiates is disconnected, even if it does not take the hint', async (t) => {
  const serving = await serve(t, { kind: 'direct_tls', tls: makeTls(t).tls });
  // Between the two, and deaf to the client's leaving: what closes the server's side is the server.
  const serverClosed = Promise.withResolvers<void>();
  const relay = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect(serving.port, '127.0.0.1', () => {
      near.on('data', (chunk) => far.write(chunk));
      far.on('data', (chunk) => near.write(chunk));
    });
    near.on('error', () => undefined);
    far.on('error', () => undefined);
    far.on('close', () => {
      near.destroy();
      serverClosed.resolve();
    });
  });
  relay.listen(0, '127.0.0.1');
  t.after(() => relay.close());
  await once(relay, 'listening');
  const client = await connectSecure(t, (relay.address() as AddressInfo).port, { maxVersion: 'TLSv1.2' });
  const owner = await serving.accepted();
  client.socket.renegotiate({}, () => undefined);
  await owner.closing();
  assert.equal((owner.error as NodeJS.ErrnoException).code, 'ERR_TLS_RENEGOTIATION_DISABLED');
  await serverClosed.promise;
});

test('something else than a handshake ends a direct TLS connection of which no owner hears', async (t) => {
  const failed = Promise.withResolvers<Error>();
  const { port, listener, admission } = await serve(t, {
    kind: 'direct_tls',
    tls: makeTls(t).tls,
    accept: () => assert.fail('accepted'),
    onHandshakeFailed: (address, error) => {
      assert.equal(address, '127.0.0.1');
      failed.resolve(error);
    },
  });
  const client = await connectPlain(t, port);
  client.socket.write('GET / HTTP/1.1\r\n\r\n');
  assert.equal(((await failed.promise) as NodeJS.ErrnoException).code, 'ERR_SSL_HTTP_REQUEST');
  await client.closing();
  assert.deepEqual([listener.failedHandshakes, listener.connections, admission.open, admission.unauthenticated], [1, 0, 0, 0]);
});

test('something else than a handshake after STARTTLS is an error for the owner', async (t) => {
  const { port, accepted } = await serve(t, { tls: makeTls(t).tls });
  const client = await connectPlain(t, port);
  const owner = await accepted();
  owner.transport.startTls();
  client.socket.write('<iq type="get" id="plain"/>');
  await owner.closing();
  assert.match((owner.error as NodeJS.ErrnoException).code ?? '', /^ERR_SSL/);
  assert.deepEqual(owner.events, ['closed'], 'and not one byte of it');
});

test('a client that leaves during the handshake is an error', async (t) => {
  const { port, accepted } = await serve(t, { tls: makeTls(t).tls });
  const client = await connectPlain(t, port);
  const owner = await accepted();
  owner.transport.startTls();
  client.socket.end(Buffer.from('160301', 'hex')); // The beginning of a record.
  await owner.closing();
  assert.match(owner.error!.message, /during the TLS handshake|socket hang up|unexpected eof/);
});

for (const kind of ['starttls', 'direct_tls'] as const) {
  test(`a handshake has to be done in time, however busy the client looks (${kind})`, async (t) => {
    const clock = new ManualClock();
    const failed = Promise.withResolvers<Error>();
    const { port, accepted, listener, admission } = await serve(t, {
      kind,
      tls: makeTls(t).tls,
      clock,
      limits: { handshakeMs: 10_000 },
      onHandshakeFailed: (_, error) => failed.resolve(error),
    });
    const client = await connectPlain(t, port);
    const owner = kind === 'starttls' ? await accepted() : undefined;
    owner?.transport.startTls();
    while (admission.open === 0) await new Promise(setImmediate);
    client.socket.write(Buffer.from('16', 'hex'));
    clock.advance(9_999);
    assert.equal(listener.connections, 1);
    client.socket.write(Buffer.from('03', 'hex'));
    clock.advance(1);
    await owner?.closing();
    const error = owner === undefined ? await failed.promise : owner.error!;
    assert.match(error.message, /took too long/);
    await client.closing();
    assert.equal(listener.connections, 0);
    assert.equal(clock.pending, 0);
  });
}

test('a handshake that is done leaves no deadline behind', async (t) => {
  const clock = new ManualClock();
  const serving = await serve(t, { tls: makeTls(t).tls, clock });
  const { client, owner } = await startTls(t, serving);
  assert.equal(clock.pending, 0);
  clock.advance(3_600_000);
  client.socket.write('still here');
  await owner.received('still here');
});

test('destroy and end during a handshake end it', async (t) => {
  for (const how of ['destroy', 'end'] as const) {
    const { port, accepted } = await serve(t, { tls: makeTls(t).tls });
    const client = await connectPlain(t, port);
    const owner = await accepted();
    owner.transport.startTls();
    owner.transport[how]();
    await owner.closing();
    await client.closing();
    assert.deepEqual([owner.events, owner.error], [['closed'], undefined], how);
  }
});

test('one write per flush under TLS, too', async (t) => {
  const serving = await serve(t, { tls: makeTls(t).tls });
  const { client, owner } = await startTls(t, serving);
  const writes = mock.method(Socket.prototype, 'write');
  t.after(() => writes.mock.restore());
  for (let i = 0; i < 10; i++) owner.transport.write(`<a n='${i}'/>`);
  owner.transport.flush();
  assert.equal(writes.mock.callCount(), 1);
  await client.received(`<a n='9'/>`);
});

async function presentedTo(t: TestContext, port: number, servername: string): Promise<string> {
  const client = await connectSecure(t, port, servername === '' ? { servername: '' } : { servername });
  return client.socket.getPeerX509Certificate()!.fingerprint256;
}

test('the certificate follows the name the client asks for: a host’s own first, then any that covers it, then the first', async (t) => {
  const certificates = new Certificates(t);
  const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256;
  const capulet = fingerprint(certificates.write('capulet.lit', 'capulet.lit'));
  const montague = fingerprint(certificates.write('montague.lit', 'montague.lit', 'capulet.lit', 'verona.lit'));
  const unicode = fingerprint(certificates.write('unicode', 'bücher.example'));
  const serving = await serve(t, {
    kind: 'direct_tls',
    tls: loadTls(
      makeTlsSettings([
        certificates.host('capulet.lit'),
        certificates.host('montague.lit'),
        certificates.host('bücher.example', 'unicode'),
      ]),
    ),
  });
  for (const [name, expected] of [
    ['capulet.lit', capulet],
    ['montague.lit', montague],
    ['MONTAGUE.lit', montague],
    ['verona.lit', montague],
    ['rooms.montague.lit', montague],
    ['rooms.capulet.lit', capulet],
    ['a.b.montague.lit', capulet],
    ['xn--bcher-kva.example', unicode],
    ['elsewhere.example', capulet],
    ['', capulet],
  ] as const) {
    assert.equal(await presentedTo(t, serving.port, name), expected, name);
    const { transport } = await serving.accepted();
    const facts = transport.tls!;
    assert.equal(facts.serverName, name === '' ? undefined : name.toLowerCase());
    assert.equal(facts.tlsServerEndPoint()!.toString('hex').toUpperCase(), expected.replaceAll(':', ''), `end point of ${name}`);
  }
});

test('reload presents new certificates to new connections and leaves the others alone', async (t) => {
  const { tls, certificates, certificate } = makeTls(t);
  const serving = await serve(t, { kind: 'direct_tls', tls });
  const before = await connectSecure(t, serving.port);
  const owner = await serving.accepted();
  const endPoint = owner.transport.tls!.tlsServerEndPoint();
  const renewed = certificates.write('capulet.lit', 'capulet.lit');
  assert.deepEqual(tls.reload(), []);
  assert.equal(await presentedTo(t, serving.port, 'capulet.lit'), new X509Certificate(renewed).fingerprint256);
  assert.notEqual(renewed, certificate);
  before.socket.write('still here');
  await owner.received('still here');
  assert.deepEqual(owner.transport.tls!.tlsServerEndPoint(), endPoint);
});

test('a reload voids the tickets of other certificates, whose channel binding the client would use', async (t) => {
  const { tls, certificates } = makeTls(t);
  const serving = await serve(t, { kind: 'direct_tls', tls });
  const before = await connectSecure(t, serving.port, { maxVersion: 'TLSv1.2' });
  const session = before.socket.getSession()!;
  const resumed = await connectSecure(t, serving.port, { maxVersion: 'TLSv1.2', session });
  assert.equal(resumed.socket.isSessionReused(), true);
  certificates.write('capulet.lit', 'capulet.lit');
  tls.reload();
  const after = await connectSecure(t, serving.port, { maxVersion: 'TLSv1.2', session });
  assert.equal(after.socket.isSessionReused(), false);
});

test('a broken new certificate keeps the old one in use and says why', async (t) => {
  const { tls, certificates, certificate } = makeTls(t);
  const serving = await serve(t, { kind: 'direct_tls', tls });
  const expected = new X509Certificate(certificate).fingerprint256;
  const other = new Certificates(t);
  other.write('other', 'capulet.lit');
  const { certificateFile, keyFile } = certificates.host('capulet.lit');
  for (const [code, file, breakIt] of [
    ['malformed', certificateFile, () => writeFileSync(certificateFile, 'garbage')],
    ['key_mismatch', keyFile, () => writeFileSync(certificateFile, other.write('other', 'capulet.lit'))],
    ['malformed', keyFile, () => writeFileSync(keyFile, 'garbage')],
    ['unreadable', keyFile, () => rmSync(keyFile)],
    ['unreadable', certificateFile, () => rmSync(certificateFile)],
  ] as const) {
    breakIt();
    const [problem, ...others] = tls.reload();
    assert.deepEqual(others, []);
    assert.deepEqual([problem!.severity, problem!.code, problem!.domain, problem!.file], ['error', code, 'capulet.lit', file]);
    assert.ok(problem!.text.includes('capulet.lit') && problem!.text.length < 300, problem!.text);
    assert.equal(await presentedTo(t, serving.port, 'capulet.lit'), expected, code);
  }
});

test('reload takes other hosts and files', async (t) => {
  const { tls, certificates } = makeTls(t);
  const serving = await serve(t, { kind: 'direct_tls', tls });
  const montague = certificates.write('montague.lit', 'montague.lit');
  assert.deepEqual(tls.reload(makeTlsSettings([certificates.host('capulet.lit'), certificates.host('montague.lit')])), []);
  assert.equal(await presentedTo(t, serving.port, 'montague.lit'), new X509Certificate(montague).fingerprint256);
});

test('a host without a usable certificate is answered with the first usable one; without any there are no contexts', (t) => {
  const certificates = new Certificates(t);
  certificates.write('montague.lit', 'montague.lit');
  const { contexts, problems } = TlsContexts.load(makeTlsSettings([certificates.host('capulet.lit'), certificates.host('montague.lit')]));
  assert.notEqual(contexts, undefined);
  assert.deepEqual(
    problems.map(({ code, domain }) => [code, domain]),
    [['unreadable', 'capulet.lit']],
  );
  const none = TlsContexts.load(makeTlsSettings([certificates.host('capulet.lit')]));
  assert.equal(none.contexts, undefined);
});

test('a certificate for another domain, or out of its time, is used with a warning', (t) => {
  const certificates = new Certificates(t);
  certificates.write('capulet.lit', 'montague.lit');
  const { contexts, problems } = TlsContexts.load(makeTlsSettings([certificates.host('capulet.lit')]));
  assert.deepEqual(
    problems.map(({ severity, code }) => [severity, code]),
    [['warning', 'domain_not_covered']],
  );
  assert.ok(contexts!.firstExpiryMs > Date.now());
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 3 * 365 * 24 * 3_600_000 });
  assert.deepEqual(
    contexts!.reload().map(({ severity, code }) => [severity, code]),
    [
      ['warning', 'expired'],
      ['warning', 'domain_not_covered'],
    ],
  );
});

/** Contexts that ask for client certificates, believing `authorities`. */
function makeMutual(t: TestContext, authority: string, overrides: Partial<TlsSettings> = {}): TlsContexts {
  const certificates = new Certificates(t);
  certificates.write('capulet.lit', 'capulet.lit');
  writeFileSync(certificates.file('authority.pem'), authority);
  return loadTls(
    makeTlsSettings([certificates.host('capulet.lit')], { clientAuthorityFile: certificates.file('authority.pem'), ...overrides }),
  );
}

/** What a client shows of itself. */
function identity(certificates: Certificates, name: string): { cert: string; key: string } {
  const cert = certificates.write(name, `${name}.example`);
  return { cert, key: readFileSync(certificates.file(`${name}.key`), 'utf8') };
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`SASL EXTERNAL: the client’s certificate and whether it is trusted are known; no or another one is no obstacle (${version})`, async (t) => {
    const clients = new Certificates(t);
    const [romeo, stranger] = [identity(clients, 'romeo'), identity(clients, 'stranger')];
    const serving = await serve(t, { tls: makeMutual(t, romeo.cert) });
    for (const [options, isTrusted, fingerprint] of [
      [romeo, true, new X509Certificate(romeo.cert).fingerprint256],
      [stranger, false, new X509Certificate(stranger.cert).fingerprint256],
      [{}, false, undefined],
    ] as const) {
      const { owner, client } = await startTls(t, serving, { maxVersion: version, ...options });
      const facts = owner.transport.tls!;
      assert.deepEqual([facts.isPeerTrusted, facts.peerCertificate?.fingerprint256], [isTrusted, fingerprint]);
      client.socket.write('hello');
      await owner.received('hello');
      owner.transport.destroy();
      await owner.closing();
      assert.equal(facts.peerCertificate, undefined);
    }
  });
}

test('SASL EXTERNAL: without client authorities nobody is asked for a certificate', async (t) => {
  const { tls, certificates, certificate } = makeTls(t);
  const serving = await serve(t, { tls });
  const { owner } = await startTls(t, serving, { cert: certificate, key: readFileSync(certificates.file('capulet.lit.key')) });
  assert.deepEqual([owner.transport.tls!.peerCertificate, owner.transport.tls!.isPeerTrusted], [undefined, false]);
});

test('client authorities that cannot be used are a problem, and a reload keeps those in use', async (t) => {
  const clients = new Certificates(t);
  const { cert, key } = identity(clients, 'romeo');
  const certificates = new Certificates(t);
  certificates.write('capulet.lit', 'capulet.lit');
  writeFileSync(certificates.file('authority.pem'), cert);
  const tls = loadTls(makeTlsSettings([certificates.host('capulet.lit')], { clientAuthorityFile: certificates.file('authority.pem') }));
  writeFileSync(certificates.file('authority.pem'), 'garbage');
  assert.deepEqual(
    tls.reload().map(({ code }) => code),
    ['client_authority'],
  );
  const serving = await serve(t, { tls });
  const { owner } = await startTls(t, serving, { cert, key });
  assert.equal(owner.transport.tls!.isPeerTrusted, true);
});
