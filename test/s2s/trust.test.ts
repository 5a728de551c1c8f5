/** Which certificates show that a server speaks for a domain: names and paths, with certificates made on the fly. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { after, before, test, type TestContext } from 'node:test';
import { once } from 'node:events';
import { loadConfig } from '../../src/config/load.ts';
import { isPathTrusted, RootStore } from '../../src/net/certificate-path.ts';
import { Dialer } from '../../src/net/dial.ts';
import { FlushQueue } from '../../src/net/flush-queue.ts';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { makeTlsSettings, TlsContexts } from '../../src/net/tls-context.ts';
import type { TlsFacts } from '../../src/net/transport.ts';
import { parseCertificateNames, type CertificateNames } from '../../src/sasl/certificate-names.ts';
import { isCertificateFor } from '../../src/s2s/identity.ts';
import { makeTrust } from '../../src/s2s/trust.ts';
import { Authority, hasOpenssl, type CertificateFiles, type CertificateOptions } from '../harness/authority.ts';

const skip = (await hasOpenssl()) ? false : 'there is no openssl';
/** The certificates are made after this line. */
const NOW = Date.now() + 3_600_000;

let authority: Authority;
let stranger: Authority;
before(async () => {
  if (skip !== false) return;
  [authority, stranger] = await Promise.all([Authority.make(), Authority.make()]);
});
after(async () => {
  if (skip !== false) return;
  await authority[Symbol.asyncDispose]();
  await stranger[Symbol.asyncDispose]();
});

const names = (changes: Partial<CertificateNames>): CertificateNames => ({ dns: [], srv: [], xmpp: [], ...changes });

test('RFC 9525 §6, RFC 6120 §13.7.1.2: which names stand for a domain', () => {
  const right: [Partial<CertificateNames>, string][] = [
    [{ dns: ['montague.lit'] }, 'montague.lit'],
    [{ dns: ['MONTAGUE.lit'] }, 'montague.lit'],
    [{ dns: ['*.montague.lit'] }, 'chat.montague.lit'],
    [{ srv: ['_xmpp-server.montague.lit'] }, 'montague.lit'],
    [{ srv: ['_xmpps-server.montague.lit'] }, 'montague.lit'],
    [{ xmpp: ['montague.lit'] }, 'montague.lit'],
    [{ dns: ['xn--mller-kva.example'] }, 'müller.example'],
    [{ xmpp: ['müller.example'] }, 'müller.example'],
  ];
  for (const [each, domain] of right) assert.ok(isCertificateFor(names(each), domain), JSON.stringify(each));
  const wrong: [Partial<CertificateNames>, string][] = [
    [{}, 'montague.lit'],
    [{ dns: ['montague.lit'] }, 'chat.montague.lit'],
    [{ dns: ['*.montague.lit'] }, 'montague.lit'],
    [{ dns: ['*.montague.lit'] }, 'a.chat.montague.lit'],
    [{ dns: ['m*.montague.lit'] }, 'me.montague.lit'],
    [{ dns: ['chat.*.lit'] }, 'chat.montague.lit'],
    [{ dns: ['*.lit'] }, 'montague.lit'],
    [{ dns: ['*'] }, 'lit'],
    [{ dns: ['montague.lit.evil.example'] }, 'montague.lit'],
    [{ dns: ['127.0.0.1'] }, '127.0.0.1'],
    [{ srv: ['_xmpp-client.montague.lit'] }, 'montague.lit'],
    [{ srv: ['_xmpp-server.*.lit'] }, 'montague.lit'],
    [{ srv: ['montague.lit'] }, 'montague.lit'],
    [{ xmpp: ['romeo@montague.lit'] }, 'montague.lit'],
    [{ xmpp: ['montague.lit/x'] }, 'montague.lit'],
  ];
  for (const [each, domain] of wrong) assert.ok(!isCertificateFor(names(each), domain), `${JSON.stringify(each)} for ${domain}`);
});

async function read(files: CertificateFiles): Promise<X509Certificate> {
  return new X509Certificate(await readFile(files.certificateFile));
}

test('S2S EXTERNAL identity: names come from subjectAltName alone, and not too many', { skip }, async () => {
  const all = await authority.issue({
    commonName: 'tybalt.lit',
    names: [
      'DNS:montague.lit',
      'DNS:*.montague.lit',
      'otherName:1.3.6.1.5.5.7.8.5;UTF8:verona.lit',
      'otherName:1.3.6.1.5.5.7.8.7;IA5:_xmpp-server.mantua.lit',
      'email:dns@padua.lit',
    ],
  });
  assert.deepEqual(parseCertificateNames((await read(all)).raw), {
    dns: ['montague.lit', '*.montague.lit'],
    srv: ['_xmpp-server.mantua.lit'],
    xmpp: ['verona.lit'],
  });
  const many = await authority.issue({ names: Array.from({ length: 300 }, (_, i) => `DNS:d${i}.lit`) });
  assert.deepEqual(parseCertificateNames((await read(many)).raw), { dns: [], srv: [], xmpp: [] });
  assert.deepEqual(parseCertificateNames(Buffer.from('nonsense')), { dns: [], srv: [], xmpp: [] });
});

test('RFC 5280 §6: whom a certificate leads to', { skip }, async () => {
  const roots = new RootStore([await readFile(authority.file, 'utf8')]);
  const path = async (from: Authority, options: CertificateOptions, nowMs = NOW): Promise<boolean> =>
    isPathTrusted({ leaf: await read(await from.issue(options)), presented: [], roots, nowMs, name: 'montague.lit' });
  const of = { names: ['DNS:montague.lit'] };
  assert.ok(await path(authority, of));
  assert.ok(await path(authority, { ...of, uses: 'clientAuth' }));
  assert.ok(await path(authority, { ...of, uses: '' }));
  assert.ok(!(await path(authority, { ...of, uses: 'codeSigning' })));
  assert.ok(!(await path(stranger, of)));
  assert.ok(!(await path(authority, of, NOW + 3 * 86_400_000)), 'it has expired by then');
  assert.ok(!(await path(authority, of, NOW - 86_400_000)), 'it was not valid yet');
  // A certificate of a server is no authority, whoever has signed it.
  const leaf = await authority.issue(of);
  const self = new X509Certificate(makeSelfSigned(['montague.lit']).certificate);
  assert.ok(!isPathTrusted({ leaf: self, presented: [await read(leaf)], roots, nowMs: NOW, name: 'montague.lit' }));
  assert.ok(isPathTrusted({ leaf: self, presented: [], roots: new RootStore([self.toString()]), nowMs: NOW, name: 'montague.lit' }));
});

/** A handshake between two of ours over TCP; what each side knows of the other. */
async function handshake(t: TestContext, near: CertificateFiles, far: CertificateFiles): Promise<{ client: TlsFacts; server: TlsFacts }> {
  const settings = (files: CertificateFiles, domain: string): ReturnType<typeof makeTlsSettings> =>
    makeTlsSettings([{ domain, ...files }], { areServers: true, clientAuthorityFile: authority.file, alpn: ['xmpp-server'] });
  const accepting = TlsContexts.load(settings(far, 'montague.lit')).contexts!;
  const connecting = TlsContexts.load(settings(near, 'capulet.lit')).contexts!;
  const { promise, resolve, reject } = Promise.withResolvers<TlsFacts>();
  const sockets: Socket[] = [];
  const tcp = createTcpServer({ pauseOnConnect: true }, (socket) => {
    sockets.push(socket);
    accepting.accept(socket, 'direct_tls', { handshakeDone: (_socket, facts) => resolve(facts), handshakeFailed: reject });
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const dialer = new Dialer({ flushQueue: new FlushQueue(), timeoutMs: 20_000 });
  const { port } = tcp.address() as AddressInfo;
  const context = connecting.clientContext('capulet.lit')!;
  const transport = await dialer.dial({
    address: '127.0.0.1',
    port,
    isDirectTls: true,
    serverName: 'montague.lit',
    alpn: 'xmpp-server',
    context,
  });
  const server = await promise;
  t.after(() => {
    transport.destroy();
    for (const socket of sockets) socket.destroy();
    tcp.close();
  });
  return { client: transport.tls!, server };
}

test('XEP-0368 §4, XEP-0178 §3: direct TLS between servers, certificates only good for servers', { skip }, async (t) => {
  const near = await authority.issue({ names: ['DNS:capulet.lit'] });
  const far = await authority.issue({ names: ['DNS:montague.lit'] });
  const { client, server } = await handshake(t, near, far);
  const { config } = loadConfig({ env: {} });
  const pem = await readFile(authority.file, 'utf8');
  const trust = makeTrust({ config: () => config, authorities: () => pem, now: () => NOW });
  assert.deepEqual([client.alpn, server.alpn, server.serverName], ['xmpp-server', 'xmpp-server', 'montague.lit']);
  assert.deepEqual(trust.judge(client, 'montague.lit'), { isValid: true });
  assert.equal(server.peerProblem, 'INVALID_PURPOSE'); // OpenSSL takes whoever connects for a client
  assert.deepEqual(trust.judge(server, 'capulet.lit'), { isValid: true });
  assert.deepEqual(trust.judge(server, 'tybalt.lit'), { isValid: false, reason: 'not for this domain' });
  assert.deepEqual(trust.judge(undefined, 'capulet.lit'), { isValid: false, reason: 'no certificate' });
});

test('an unknown authority stays unknown, whatever OpenSSL complains of last; pins and authorities of one domain', { skip }, async (t) => {
  const near = await stranger.issue({ names: ['DNS:capulet.lit'] });
  const far = await authority.issue({ names: ['DNS:montague.lit'] });
  const { server } = await handshake(t, near, far);
  const pem = await readFile(authority.file, 'utf8');
  const base = loadConfig({ env: {} }).config;
  const remote = { addresses: [], isDirectTls: false, pins: [], authorities: undefined, isDialback: undefined, isTlsRequired: undefined };
  const judge = (changes: Partial<typeof remote>, domain = 'capulet.lit'): boolean => {
    const config = { ...base, remotes: { 'capulet.lit': { ...remote, ...changes } } } as typeof base;
    return makeTrust({ config: () => config, authorities: () => pem, now: () => NOW }).judge(server, domain).isValid;
  };
  assert.ok(!judge({}));
  const { fingerprint256 } = await read(near);
  const pin = fingerprint256.replaceAll(':', '').toLowerCase();
  assert.ok(judge({ pins: [pin] as never }));
  assert.ok(!judge({ pins: ['0'.repeat(64)] as never }));
  assert.ok(judge({ authorities: stranger.file as never }));
  assert.ok(!judge({ authorities: authority.file as never }));
  assert.ok(!judge({ authorities: stranger.file as never }, 'montague.lit'));
});
