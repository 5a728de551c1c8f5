import assert from 'node:assert/strict';
import { connect, createServer, Server, Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { mock, test } from 'node:test';
import { ManualClock } from '../../src/kernel/clock.ts';
import { FlushQueue } from '../../src/net/flush-queue.ts';
import { shareReads } from '../../src/net/shared-read.ts';
import { MIN_HIGH_WATER_BYTES } from '../../src/net/tcp.ts';
import type { Transport } from '../../src/net/transport.ts';
import { connectPlain, connectSecure, makeTls, Owner, serve } from './fixture.ts';

test('what is written between two flushes leaves in one write', async (t) => {
  const { port, accepted, flushQueue } = await serve(t, { flushQueue: new FlushQueue(() => undefined) });
  const client = await connectPlain(t, port);
  const { transport } = await accepted();
  const writes = mock.method(Socket.prototype, 'write');
  t.after(() => writes.mock.restore());
  for (let i = 0; i < 100; i++) transport.write(`<a n='${i}'/>`);
  assert.equal(writes.mock.callCount(), 0);
  assert.equal(transport.pendingBytes, 1_090);
  flushQueue.flush();
  assert.equal(writes.mock.callCount(), 1);
  flushQueue.flush();
  assert.equal(writes.mock.callCount(), 1);
  await client.received(`<a n='99'/>`);
});

test('without a scheduler text leaves in the same turn of the event loop, characters beyond ASCII in UTF-8', async (t) => {
  const { port, accepted } = await serve(t);
  const client = await connectPlain(t, port);
  const { transport } = await accepted();
  transport.write('Wherefore ');
  transport.write('thou, ☃ Roméo 𝄞?');
  await client.received('𝄞?');
  assert.equal(client.text, 'Wherefore thou, ☃ Roméo 𝄞?');
});

test('chunks are the owner’s to keep: later reads do not change them', async (t) => {
  const { port, accepted } = await serve(t);
  const client = await connectPlain(t, port);
  const owner = await accepted();
  client.socket.write('first');
  await owner.received('first');
  client.socket.write('SECOND');
  await owner.received('SECOND');
  assert.equal(owner.chunks[0]!.toString(), 'first');
  assert.equal(owner.text, 'firstSECOND');
});

test('a megabyte arrives whole, however it is cut', async (t) => {
  const { port, accepted } = await serve(t);
  const client = await connectPlain(t, port);
  const owner = await accepted();
  const sent = Buffer.alloc(1 << 20, '0123456789abcdef');
  client.socket.write(sent);
  await owner.until(() => owner.chunks.reduce((sum, { length }) => sum + length, 0) >= sent.length);
  assert.ok(Buffer.concat(owner.chunks).equals(sent));
});

test('this Node lets accepted sockets share a read buffer', async (t) => {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => client.destroy());
  const [accepted] = (await once(server, 'connection')) as [Socket];
  const received = Promise.withResolvers<readonly [Socket, string]>();
  const shared = shareReads(accepted, function (chunk) {
    received.resolve([this, chunk.toString()]);
  });
  assert.ok(shared !== undefined);
  t.after(() => shared.destroy());
  shared.resume();
  client.write('hello');
  assert.deepEqual(await received.promise, [shared, 'hello']);
  assert.equal(
    shareReads(accepted, () => undefined),
    undefined,
    'there is nothing left to share',
  );
});

test('on a Node that does not, reading goes on without', async (t) => {
  const emit = Server.prototype.emit;
  t.mock.method(Server.prototype, 'emit', function (this: Server, ...args: [string, { _handle: { useUserBuffer: unknown } }]): boolean {
    // oxlint-disable-next-line no-underscore-dangle
    if (args[0] === 'connection') args[1]._handle.useUserBuffer = undefined;
    return emit.apply(this, args);
  });
  const { port, accepted } = await serve(t, { tls: makeTls(t).tls });
  const client = await connectPlain(t, port);
  const owner = await accepted();
  client.socket.write('<starttls/>');
  await owner.received('<starttls/>');
  owner.transport.pause();
  owner.transport.resume();
  owner.transport.startTls();
  const secure = await connectSecure(t, port, { socket: client.socket });
  secure.socket.write('hello');
  await owner.received('hello');
  secure.socket.end();
  await owner.closing();
  assert.deepEqual(owner.events, ['bytes', 'secure', 'bytes', 'closed']);
});

test('two connections that share a read buffer do not see each other’s bytes', async (t) => {
  const { port, accepted } = await serve(t);
  const romeo = await connectPlain(t, port);
  const romeos = await accepted();
  const juliet = await connectPlain(t, port);
  const juliets = await accepted();
  for (let i = 0; i < 100; i++) {
    romeo.socket.write(`romeo${i};`);
    juliet.socket.write(`juliet${i};`);
  }
  await romeos.received('romeo99;');
  await juliets.received('juliet99;');
  assert.ok(!romeos.text.includes('juliet') && !juliets.text.includes('romeo'));
});

test('addresses and ports are those of the connection', async (t) => {
  const { port, accepted } = await serve(t, { hosts: ['::'] });
  const client = await connectPlain(t, port);
  const { transport } = await accepted();
  assert.equal(transport.remoteAddress, '127.0.0.1', 'not mapped into IPv6');
  assert.equal(transport.remotePort, client.socket.localPort);
  assert.equal(transport.localPort, port);
  assert.equal(transport.tls, undefined);
});

for (const kind of ['starttls', 'direct_tls'] as const) {
  const name = kind === 'starttls' ? 'plain' : 'TLS';

  test(`${name}: output of a client that does not read piles up; when it reads again the owner is told once that all has left`, async (t) => {
    const { port, accepted } = await serve(t, { kind, tls: makeTls(t).tls });
    const client = await (kind === 'starttls' ? connectPlain(t, port) : connectSecure(t, port));
    client.socket.pause();
    const owner = await accepted();
    const { transport } = owner;
    const block = 'x'.repeat(256 * 1024);
    let written = 0;
    // The kernel takes a few megabytes before it refuses.
    while (transport.pendingBytes < 1_000_000) {
      assert.ok(written < 500, 'the kernel takes everything');
      transport.write(block);
      transport.flush();
      await new Promise(setImmediate);
      written++;
    }
    const { drains } = owner;
    client.socket.resume();
    await owner.until(() => owner.drains > drains);
    assert.equal(transport.pendingBytes, 0);
    await client.until(() => client.text.length === written * block.length);
    assert.equal(owner.drains, drains + 1);
  });

  test(`${name}: pause stops reading and resume goes on where it stopped`, async (t) => {
    const { port, accepted } = await serve(t, { kind, tls: makeTls(t).tls });
    const client = await (kind === 'starttls' ? connectPlain(t, port) : connectSecure(t, port));
    const owner = await accepted();
    const { transport } = owner;
    owner.onBytes = () => transport.pause();
    const sent = Buffer.alloc(1 << 20, '0123456789abcdef');
    client.socket.write(sent);
    await owner.until(() => owner.chunks.length === 1);
    assert.equal(transport.isPaused, true);
    // Something for the event loop to do that would read, if anything did.
    const other = await connectPlain(t, port);
    other.socket.destroy();
    assert.equal(owner.chunks.length, 1);
    owner.onBytes = undefined;
    transport.resume();
    assert.equal(transport.isPaused, false);
    await owner.until(() => owner.chunks.reduce((sum, { length }) => sum + length, 0) >= sent.length);
    assert.ok(Buffer.concat(owner.chunks).equals(sent));
  });

  test(`${name}: a client that ends its side still gets the answer, then ours ends`, async (t) => {
    const { port, accepted } = await serve(t, { kind, tls: makeTls(t).tls });
    const client = await (kind === 'starttls'
      ? connectPlain(t, port, { allowHalfOpen: true } as object)
      : connectSecure(t, port, { allowHalfOpen: true } as object));
    const owner = await accepted();
    owner.onBytes = () => owner.transport.write('</stream:stream>');
    client.socket.end('</stream:stream>');
    await owner.closing();
    await client.until(() => client.hasEnded);
    assert.equal(client.text, '</stream:stream>');
    assert.equal(owner.error, undefined);
    assert.deepEqual(owner.events, ['bytes', 'closed']);
  });

  test(`${name}: end flushes, and the connection is over when the client has ended, too`, async (t) => {
    const { port, accepted, listener } = await serve(t, { kind, tls: makeTls(t).tls });
    const client = await (kind === 'starttls' ? connectPlain(t, port) : connectSecure(t, port));
    const owner = await accepted();
    owner.transport.write('</stream:stream>');
    owner.transport.end();
    owner.transport.write('too late');
    owner.transport.end();
    await client.closing();
    await owner.closing();
    assert.equal(client.text, '</stream:stream>');
    assert.equal(owner.error, undefined);
    assert.equal(listener.connections, 0);
  });

  test(`${name}: who does not end within the grace time is disconnected`, async (t) => {
    const clock = new ManualClock();
    const { port, accepted } = await serve(t, { kind, tls: makeTls(t).tls, clock, limits: { graceMs: 5_000 } });
    const client = await (kind === 'starttls'
      ? connectPlain(t, port, { allowHalfOpen: true } as object)
      : connectSecure(t, port, { allowHalfOpen: true } as object));
    const owner = await accepted();
    owner.transport.end();
    await client.until(() => client.hasEnded);
    clock.advance(4_999);
    // The client may still talk, and is still heard.
    client.socket.write('wait');
    await owner.received('wait');
    clock.advance(1);
    await owner.closing();
    assert.equal(owner.error, undefined);
  });

  test(`${name}: who does not take the rest of the output within the grace time ends with an error`, async (t) => {
    const clock = new ManualClock();
    const { port, accepted } = await serve(t, { kind, tls: makeTls(t).tls, clock, limits: { graceMs: 5_000 } });
    const client = await (kind === 'starttls' ? connectPlain(t, port) : connectSecure(t, port));
    client.socket.pause();
    const owner = await accepted();
    owner.transport.write('x'.repeat(64 << 20));
    owner.transport.end();
    clock.advance(5_000);
    await owner.closing();
    assert.match(owner.error!.message, /rest of the output/);
  });

  test(`${name}: a paused connection that is ended reads on to the client’s end, and discards what it reads`, async (t) => {
    const { port, accepted } = await serve(t, { kind, tls: makeTls(t).tls });
    const client = await (kind === 'starttls' ? connectPlain(t, port) : connectSecure(t, port));
    const owner = await accepted();
    owner.transport.pause();
    client.socket.write('unheard');
    owner.transport.end();
    await owner.closing();
    assert.deepEqual(owner.events, ['closed']);
  });

  test(`${name}: destroy closes at once, and is told once`, async (t) => {
    const { port, accepted } = await serve(t, { kind, tls: makeTls(t).tls });
    const client = await (kind === 'starttls' ? connectPlain(t, port) : connectSecure(t, port));
    const owner = await accepted();
    owner.transport.write('never sent');
    owner.transport.destroy();
    assert.equal(owner.isClosed, false, 'not within the call');
    owner.transport.destroy();
    owner.transport.end();
    await owner.closing();
    await client.closing();
    owner.transport.write('x');
    owner.transport.flush();
    owner.transport.pause();
    owner.transport.resume();
    owner.transport.destroy();
    await new Promise(setImmediate);
    assert.deepEqual(owner.events, ['closed']);
    assert.equal(owner.error, undefined);
    assert.equal(client.text, '');
  });

  test(`${name}: a reset is told as an error, and what is written after it is nobody’s`, async (t) => {
    const { port, accepted } = await serve(t, { kind, tls: makeTls(t).tls });
    const below = await connectPlain(t, port);
    const client = kind === 'starttls' ? below : await connectSecure(t, port, { socket: below.socket });
    const owner = await accepted();
    client.socket.write('x');
    await owner.received('x');
    below.socket.resetAndDestroy();
    owner.transport.write('y'.repeat(100_000));
    await owner.closing();
    owner.transport.write('z');
    owner.transport.flush();
    assert.match((owner.error as NodeJS.ErrnoException).code ?? '', /ECONNRESET|EPIPE/);
    assert.equal(owner.events.filter((event) => event === 'closed').length, 1);
  });
}

test('who writes to a client that has gone is told by an error, once', async (t) => {
  const { port, accepted } = await serve(t);
  const client = await connectPlain(t, port);
  const owner = await accepted();
  owner.transport.pause(); // Does not see the client leave.
  client.socket.destroy();
  await client.closing();
  while (!owner.isClosed) {
    owner.transport.write('x'.repeat(10_000));
    owner.transport.flush();
    await new Promise(setImmediate);
  }
  assert.match((owner.error as NodeJS.ErrnoException).code ?? '', /ECONNRESET|EPIPE/);
});

test('what comes before there are handlers waits for them', async (t) => {
  const accepting = Promise.withResolvers<Transport>();
  const { port } = await serve(t, { accept: accepting.resolve });
  const client = await connectPlain(t, port);
  const transport = await accepting.promise;
  t.after(() => transport.destroy());
  client.socket.write('early');
  const owner = new Owner(transport);
  await owner.received('early');
});

test('who sets handlers after the end is told of it, outside of the call', async (t) => {
  const accepting = Promise.withResolvers<Transport>();
  const { port, listener } = await serve(t, { accept: accepting.resolve });
  const client = await connectPlain(t, port);
  const transport = await accepting.promise;
  transport.destroy();
  await client.closing();
  while (listener.connections > 0) await new Promise(setImmediate);
  const owner = new Owner(transport);
  assert.equal(owner.isClosed, false);
  await owner.closing();
  assert.deepEqual(owner.events, ['closed']);
});

test('handlers can be replaced, as when a connection actor is restarted', async (t) => {
  const { port, accepted } = await serve(t);
  const client = await connectPlain(t, port);
  const first = await accepted();
  client.socket.write('a');
  await first.received('a');
  const second = new Owner(first.transport);
  client.socket.write('b');
  await second.received('b');
  assert.equal(first.text, 'a');
});

test('without a certificate STARTTLS ends the connection', async (t) => {
  const { port, accepted } = await serve(t);
  await connectPlain(t, port);
  const owner = await accepted();
  owner.transport.startTls();
  await owner.closing();
  assert.match(owner.error!.message, /certificate/);
});

test('the high-water mark is not below the one from which Node tells of drained sockets', () => {
  assert.ok(MIN_HIGH_WATER_BYTES >= 16 * 1024);
});
