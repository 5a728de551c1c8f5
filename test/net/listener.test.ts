import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, Server, Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/kernel/clock.ts';
import { Admission, DEFAULT_ADMISSION_LIMITS } from '../../src/net/admission.ts';
import type { Refusal } from '../../src/net/admission.ts';
import { FlushQueue } from '../../src/net/flush-queue.ts';
import { listen } from '../../src/net/listener.ts';
import type { Listener, ListenOptions, ListenProblem } from '../../src/net/listener.ts';
import { Client, connectPlain, connectSecure, makeTls, serve } from './fixture.ts';

async function open(t: TestContext, options: Partial<ListenOptions>): Promise<Listener | ListenProblem> {
  const outcome = await listen({
    hosts: ['127.0.0.1'],
    port: 0,
    setting: 'ROOKERY_C2S_PORT',
    kind: 'starttls',
    flushQueue: new FlushQueue(),
    admission: new Admission(DEFAULT_ADMISSION_LIMITS, systemClock),
    accept: (transport) => transport.destroy(),
    ...options,
  });
  if (outcome.kind === 'listener') t.after(() => outcome.close());
  return outcome;
}

function isListener(outcome: Listener | ListenProblem): asserts outcome is Listener {
  assert.equal(outcome.kind, 'listener', outcome.kind === 'listener' ? '' : outcome.text);
}

function isProblem(outcome: Listener | ListenProblem): asserts outcome is ListenProblem {
  assert.equal(outcome.kind, 'listen_problem');
}

/** Connects and is refused. */
async function refused(t: TestContext, port: number): Promise<void> {
  const client = new Client(t, new Socket().connect(port, '127.0.0.1'));
  await client.closing();
}

test('port 0 becomes a port, the same for several workers and several addresses', async (t) => {
  const first = await open(t, { reusePort: true, hosts: ['127.0.0.1', '127.0.0.2'] });
  isListener(first);
  assert.ok(first.port > 0);
  const second = await open(t, { reusePort: true, port: first.port, hosts: ['127.0.0.1', '127.0.0.2'] });
  isListener(second);
  assert.equal(second.port, first.port);
  for (const host of ['127.0.0.1', '127.0.0.2']) await connectPlain(t, first.port, { host } as object);
});

test('without addresses it listens on all, IPv4 and IPv6', async (t) => {
  const { port, accepted } = await serve(t, { hosts: undefined as never });
  for (const [host, seen] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
  ] as const) {
    await connectPlain(t, port, { host } as object);
    assert.equal((await accepted()).transport.remoteAddress, seen);
  }
});

test('0.0.0.0 and :: side by side share a port', async (t) => {
  const { port, accepted } = await serve(t, { hosts: ['0.0.0.0', '::'] });
  await connectPlain(t, port, { host: '127.0.0.1' } as object);
  assert.equal((await accepted()).transport.remoteAddress, '127.0.0.1');
  await connectPlain(t, port, { host: '::1' } as object);
  assert.equal((await accepted()).transport.remoteAddress, '::1');
});

test('a port in use is a problem that names the port and the setting', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const problem = await open(t, { port });
  isProblem(problem);
  assert.deepEqual([problem.code, problem.setting, problem.port, problem.host], ['EADDRINUSE', 'ROOKERY_C2S_PORT', port, '127.0.0.1']);
  assert.match(problem.text, new RegExp(`port ${port} of 127\\.0\\.0\\.1.*ROOKERY_C2S_PORT`));
});

test('another server that shares ports is noticed by the first worker, not mistaken for a sibling', async (t) => {
  const stranger = await open(t, { reusePort: true });
  isListener(stranger);
  const problem = await open(t, { reusePort: true, checkUnused: true, port: stranger.port });
  isProblem(problem);
  assert.equal(problem.code, 'EADDRINUSE');
  stranger.close();
  isListener(await open(t, { reusePort: true, checkUnused: true, port: stranger.port }));
});

test('if one of several addresses cannot be had, none is kept', async (t) => {
  const free = await open(t, {});
  isListener(free);
  const { port } = free;
  free.close();
  const problem = await open(t, { port, hosts: ['127.0.0.1', '192.0.2.1'] });
  isProblem(problem);
  assert.deepEqual([problem.code, problem.host], ['EADDRNOTAVAIL', '192.0.2.1']);
  isListener(await open(t, { port }));
});

test('what the system says is put into words', async (t) => {
  for (const [code, port, pattern] of [
    ['EACCES', 80, /privileged.*CAP_NET_BIND_SERVICE.*ROOKERY_C2S_PORT/],
    ['EACCES', 8080, /may not listen on port 8080.*ROOKERY_C2S_PORT/],
    ['EMFILE', 5222, /file descriptors.*ROOKERY_C2S_PORT/],
    ['EAFNOSUPPORT', 5222, /protocol.*ROOKERY_C2S_PORT/],
    ['EWEIRD', 5222, /ROOKERY_C2S_PORT.*weird/],
  ] as const) {
    const listening = t.mock.method(Server.prototype, 'listen', function (this: Server) {
      process.nextTick(() => this.emit('error', Object.assign(new Error('weird'), { code })));
      return this;
    });
    const problem = await open(t, { port });
    listening.mock.restore();
    isProblem(problem);
    assert.match(problem.text, pattern);
  }
});

test('direct TLS without a certificate is a problem', async (t) => {
  const problem = await open(t, { kind: 'direct_tls', port: 5223, setting: 'ROOKERY_C2S_TLS_PORT' });
  isProblem(problem);
  assert.equal(problem.code, 'NO_CERTIFICATE');
  assert.match(problem.text, /5223.*ROOKERY_C2S_TLS_PORT/);
});

test('connections beyond the limit are closed at once and counted by reason', async (t) => {
  const refusals: (readonly [Refusal, string | undefined])[] = [];
  const { port, accepted, listener, admission } = await serve(t, {
    admission: { maxConnections: 1 },
    onRefused: (...refusal) => refusals.push(refusal),
  });
  const client = await connectPlain(t, port);
  const owner = await accepted();
  await refused(t, port);
  assert.equal(listener.refused.too_many_connections, 1);
  assert.deepEqual(refusals, [['too_many_connections', '127.0.0.1']]);
  client.socket.write('still here');
  await owner.received('still here');
  client.socket.end();
  await owner.closing();
  assert.equal(admission.open, 0);
  await connectPlain(t, port);
  await accepted();
});

test('an address has a limit of strangers, and a log-in makes room', async (t) => {
  const { port, accepted, listener } = await serve(t, { admission: { maxUnauthenticatedPerAddress: 1 } });
  await connectPlain(t, port);
  const first = await accepted();
  await refused(t, port);
  listener.authenticated(first.transport);
  listener.authenticated(first.transport);
  await connectPlain(t, port);
  await accepted();
  await refused(t, port);
  assert.equal(listener.refused.too_many_unauthenticated_from_address, 2);
});

test('a connection under direct TLS counts from the first byte, and is released when the handshake fails', async (t) => {
  const { port, listener, admission } = await serve(t, { kind: 'direct_tls', tls: makeTls(t).tls, admission: { maxUnauthenticated: 1 } });
  const client = await connectPlain(t, port);
  while (admission.unauthenticated === 0) await new Promise(setImmediate);
  await refused(t, port);
  assert.equal(listener.refused.too_many_unauthenticated, 1);
  client.socket.destroy();
  while (admission.unauthenticated > 0) await new Promise(setImmediate);
  await connectSecure(t, port);
});

test('limits are shared by the listeners of a worker', async (t) => {
  const admission = new Admission({ ...DEFAULT_ADMISSION_LIMITS, maxConnections: 1 }, systemClock);
  const first = await open(t, { admission, accept: () => undefined });
  const second = await open(t, { admission, accept: () => undefined });
  isListener(first);
  isListener(second);
  await connectPlain(t, first.port);
  await refused(t, second.port);
  assert.equal(second.refused.too_many_connections, 1);
});

test('who is refused is told why where that is worth it, and is closed at once, whether he reads or not', async (t) => {
  const { port, listener, admission } = await serve(t, {
    admission: { maxLoginFailures: 1 },
    refusalText: (refusal) => (refusal === 'too_many_login_failures' ? '<go away/>' : undefined),
  });
  for (let i = 0; i < 2; i++) admission.loginFailed('127.0.0.1');
  const client = await connectPlain(t, port);
  await client.closing();
  assert.deepEqual([client.text, client.error], ['<go away/>', undefined]);
  const deaf = await connectPlain(t, port);
  deaf.socket.pause();
  while (listener.refused.too_many_login_failures < 2) await new Promise(setImmediate);
  assert.deepEqual([listener.connections, admission.open], [0, 0]);
});

test('under direct TLS nobody is told why he is refused: he is reset', async (t) => {
  const { port, admission } = await serve(t, {
    kind: 'direct_tls',
    tls: makeTls(t).tls,
    admission: { maxLoginFailures: 1 },
    refusalText: () => '<go away/>',
  });
  for (let i = 0; i < 2; i++) admission.loginFailed('127.0.0.1');
  await refused(t, port);
});

test('close stops accepting; connections stay', async (t) => {
  const { port, accepted, listener } = await serve(t);
  const client = await connectPlain(t, port);
  const owner = await accepted();
  listener.close();
  listener.close();
  await assert.rejects(connectPlain(t, port), { code: 'ECONNREFUSED' });
  client.socket.write('still here');
  await owner.received('still here');
  owner.transport.write('so am I');
  await client.received('so am I');
  assert.equal(listener.connections, 1);
});

test('without file descriptors connections are closed, the process lives, and accepts again when there are some', async (t) => {
  const script = fileURLToPath(new URL('accept-until-out-of-files.ts', import.meta.url));
  const child = spawn('sh', ['-c', 'ulimit -n 40; exec "$0" "$@"', process.execPath, script], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const { value } = await createInterface(child.stdout)[Symbol.asyncIterator]().next();
  const [, port] = /^limit 40 port (\d+)$/.exec(value as string)!;
  const crowd = Array.from({ length: 60 }, () => new Client(t, new Socket().connect(Number(port), '127.0.0.1')));
  await Promise.race(crowd.map((client) => client.closing()));
  for (const client of crowd) client.socket.destroy();
  // The first ones may be among those turned away while the crowd leaves.
  for (;;) {
    const client = new Client(t, new Socket().connect(Number(port), '127.0.0.1'));
    client.socket.write('hello');
    await client.until(() => client.text === 'hello' || client.isClosed);
    if (client.text === 'hello') break;
  }
  const ended = once(child, 'exit');
  child.stdin.end();
  assert.deepEqual(await ended, [0, null]);
});

test('what the system refuses to hand over is counted, told, and no reason to stop', async (t) => {
  const errors: (string | undefined)[] = [];
  const { port, accepted, listener } = await serve(t, { onAcceptError: ({ code }) => errors.push(code) });
  const emitted = t.mock.method(Server.prototype, 'emit', function (this: Server, ...args: unknown[]): boolean {
    emitted.mock.restore();
    // As Node does when accept(2) fails.
    return this.emit('error', Object.assign(new Error('accept ENOBUFS'), { code: 'ENOBUFS', args }));
  });
  await connectPlain(t, port);
  while (listener.acceptErrors === 0) await new Promise(setImmediate);
  assert.deepEqual(errors, ['ENOBUFS']);
  await connectPlain(t, port);
  await accepted();
});
