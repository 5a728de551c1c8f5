import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlushQueue } from '../../src/net/flush-queue.ts';
import { makeTlsFacts, memoryPair } from '../../src/net/memory-pair.ts';
import { Owner } from './fixture.ts';

test('what the client writes reaches the owner before the call returns, in chunks as written', () => {
  const { server, client } = memoryPair();
  const owner = new Owner(server);
  client.write('<a/>');
  client.write(Buffer.from('<b/>'));
  assert.deepEqual(owner.chunks.map(String), ['<a/>', '<b/>']);
});

test('maxChunkBytes splits every byte from the next, in characters, too', () => {
  const { server, client } = memoryPair({ maxChunkBytes: 1 });
  const owner = new Owner(server);
  client.write('é☃');
  assert.deepEqual(
    owner.chunks.map(({ length }) => length),
    [1, 1, 1, 1, 1],
  );
  assert.equal(owner.text, 'é☃');
});

test('what comes before there are handlers, or while paused, waits for them in order', () => {
  const { server, client } = memoryPair();
  client.write('1');
  const owner = new Owner(server);
  client.write('2');
  server.pause();
  client.write('3');
  assert.equal(owner.text, '12');
  assert.equal(server.isPaused, true);
  server.resume();
  assert.equal(owner.text, '12', 'not within the call');
  client.settle();
  assert.equal(owner.text, '123');
});

test('an owner that pauses with each chunk gets one for each resume', () => {
  const { server, client } = memoryPair({ maxChunkBytes: 1 });
  const owner = new Owner(server);
  owner.onBytes = () => server.pause();
  client.write('abc');
  for (const text of ['a', 'ab', 'abc']) {
    assert.equal(owner.text, text);
    server.resume();
    client.settle();
  }
});

test('writes are gathered and leave in a microtask, or with the flush queue', async () => {
  const { server, client } = memoryPair();
  const texts: string[] = [];
  client.handlers = { text: (text) => texts.push(text) };
  server.write('a');
  server.write('b');
  assert.equal(server.pendingBytes, 2);
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual(texts, ['ab']);

  const flushQueue = new FlushQueue(() => undefined);
  const other = memoryPair({ flushQueue });
  other.server.write('a');
  other.client.settle();
  assert.equal(other.client.received, '');
  flushQueue.flush();
  other.client.settle();
  assert.equal(other.client.take(), 'a');
  assert.equal(other.client.take(), '');
});

test('a client that answers at once does so after the owner has finished', () => {
  const { server, client } = memoryPair();
  const owner = new Owner(server);
  client.handlers = { text: () => client.write('pong') };
  owner.onBytes = (chunk) => {
    if (chunk.toString() !== 'go') return;
    server.write('ping');
    server.flush();
    assert.equal(owner.text, 'go');
  };
  client.write('go');
  assert.equal(owner.text, 'gopong');
});

test('output of a stalled client piles up, and the owner is told when it has left', () => {
  const { server, client } = memoryPair({ highWaterBytes: 10 });
  const owner = new Owner(server);
  client.stall();
  server.write('x'.repeat(6));
  server.flush();
  server.write('y'.repeat(6));
  server.flush();
  client.settle();
  assert.deepEqual([server.pendingBytes, client.received, owner.drains], [12, '', 0]);
  client.unstall();
  assert.deepEqual([server.pendingBytes, client.received, owner.drains], [0, 'xxxxxxyyyyyy', 1]);
  server.write('z');
  client.settle();
  assert.equal(owner.drains, 1, 'only after the mark was passed');
});

test('STARTTLS: what is gathered leaves first, then both sides are secure', () => {
  const facts = makeTlsFacts({ version: 'TLSv1.2', serverName: 'capulet.lit' });
  const { server, client } = memoryPair({ startTls: facts });
  const owner = new Owner(server);
  const events: string[] = [];
  client.handlers = { text: (text) => events.push(text), secure: () => events.push('secure') };
  server.write('<proceed/>');
  server.startTls();
  server.write('after');
  assert.equal(server.tls, undefined);
  client.settle();
  assert.equal(server.tls, facts);
  assert.deepEqual(events, ['<proceed/>', 'secure', 'after']);
  client.write('hello');
  assert.deepEqual(owner.events, ['secure', 'bytes']);
});

test('a failed handshake closes with its error', () => {
  const { server, client } = memoryPair({ startTls: new Error('no shared cipher') });
  const owner = new Owner(server);
  server.startTls();
  client.settle();
  assert.deepEqual([owner.events, owner.error?.message, client.isClosed], [['closed'], 'no shared cipher', true]);
});

test('direct TLS is secure from the start, with bindings of 32 bytes', () => {
  const { server, client } = memoryPair({ tls: makeTlsFacts() });
  assert.equal(client.isSecure, true);
  assert.deepEqual([server.tls?.tlsExporter()?.length, server.tls?.tlsServerEndPoint()?.length], [32, 32]);
});

test('end flushes, the client follows, and the owner is told once, without error', () => {
  const { server, client } = memoryPair();
  const owner = new Owner(server);
  server.write('</stream:stream>');
  server.end();
  server.write('too late');
  server.end();
  assert.equal(owner.isClosed, false);
  client.settle();
  assert.deepEqual([client.received, client.hasServerEnded, client.isClosed], ['</stream:stream>', true, true]);
  assert.deepEqual([owner.events, owner.error], [['closed'], undefined]);
});

test('a client that does not follow keeps its side open until it ends, and is heard until then', () => {
  const { server, client } = memoryPair({ clientFollowsEnd: false });
  const owner = new Owner(server);
  server.end();
  client.settle();
  client.write('one more thing');
  assert.equal(owner.isClosed, false);
  client.end();
  assert.deepEqual([owner.events, owner.text], [['bytes', 'closed'], 'one more thing']);
});

test('a client that ends gets the answer to what it said last', () => {
  const { server, client } = memoryPair();
  const owner = new Owner(server);
  owner.onBytes = () => server.write('</stream:stream>');
  client.write('</stream:stream>');
  client.end();
  assert.deepEqual([client.received, owner.events, owner.error], ['</stream:stream>', ['bytes', 'closed'], undefined]);
});

test('a client that ends while the owner is paused is noticed after what it said', () => {
  const { server, client } = memoryPair();
  const owner = new Owner(server);
  server.pause();
  client.write('last words');
  client.end();
  assert.deepEqual(owner.events, []);
  server.resume();
  client.settle();
  assert.deepEqual(owner.events, ['bytes', 'closed']);
});

test('a client that ends while the owner is paused with nothing to read is not noticed before the owner reads', () => {
  const { server, client } = memoryPair();
  const owner = new Owner(server);
  client.write('last words');
  server.pause();
  client.end();
  client.settle();
  assert.deepEqual([owner.events, client.isClosed], [['bytes'], false]);
  server.resume();
  client.settle();
  assert.deepEqual(owner.events, ['bytes', 'closed']);
});

test('a reset is an error for the owner, and what was under way is lost', () => {
  const { server, client } = memoryPair();
  const owner = new Owner(server);
  server.pause();
  client.write('lost');
  client.reset();
  assert.deepEqual([owner.events, (owner.error as NodeJS.ErrnoException).code], [['closed'], 'ECONNRESET']);
  client.reset();
  client.write('x');
  server.write('x');
  server.destroy();
  client.settle();
  assert.deepEqual(owner.events, ['closed']);
});

test('destroy is told once, after the call', () => {
  const { server, client } = memoryPair();
  const owner = new Owner(server);
  server.write('never sent');
  server.destroy();
  server.destroy();
  assert.equal(owner.isClosed, false);
  client.settle();
  assert.deepEqual([owner.events, owner.error, client.received, client.isClosed], [['closed'], undefined, '', true]);
  const late = new Owner(server);
  client.settle();
  assert.deepEqual(late.events, []);
});

test('who sets handlers after the end is told of it', () => {
  const { server, client } = memoryPair();
  client.reset();
  const owner = new Owner(server);
  assert.equal(owner.isClosed, false);
  client.settle();
  assert.deepEqual(owner.events, ['closed']);
});
