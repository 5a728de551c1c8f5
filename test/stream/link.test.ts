import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { shaperFor } from '../../src/config/shapers.ts';
import type { ShaperRates } from '../../src/stream/shaper.ts';
import { Links, OUTBOUND } from './fixture.ts';

const RATES: ShaperRates = { bytesPerSecond: 1_000, burstBytes: 2_000, stanzasPerSecond: 0, burstStanzas: 0 };
const STANZAS: ShaperRates = { bytesPerSecond: 0, burstBytes: 0, stanzasPerSecond: 10, burstStanzas: 5 };
const KB = `<a>${'x'.repeat(993)}</a>`;

test('a link hands up no more frames than were asked for, and does not read while none is wanted', () => {
  const { link, client, events, names } = new Links().join({ demand: 0 });
  client.write('<a/><b/><c/>');
  assert.deepEqual(events, []);
  assert.equal(link.transport.isPaused, true);
  link.request(2);
  assert.deepEqual(names(), ['a', 'b']);
  link.request(2);
  assert.deepEqual(names(), ['a', 'b', 'c']);
  assert.equal(link.transport.isPaused, false);
});

test('shaper: with default settings a client that sends 500 stanzas of 300 bytes a second is never braked', () => {
  const { config } = loadConfig({ env: {} });
  const links = new Links();
  const side = links.join({ rates: shaperFor(config, 'users', 'localhost')! });
  const message = `<a>${'x'.repeat(293)}</a>`;
  for (let second = 0; second < 60; second++) {
    for (let i = 0; i < 500; i++) side.client.write(message);
    links.advance(1_000);
  }
  assert.equal(side.names().length, 30_000);
  assert.equal(links.share.throttle.pauses, 0);
});

test('shaper: above the burst the socket is not read until the debt is paid, and nothing is lost', () => {
  const links = new Links();
  const side = links.join({ rates: RATES });
  for (let i = 0; i < 10; i++) side.client.write(KB);
  assert.equal(side.names().length, 3, 'two of the burst, and one that was read as the bucket was found empty');
  assert.equal(side.link.transport.isPaused, true);
  links.advance(950, side);
  assert.equal(side.names().length, 3);
  for (let seconds = 1; seconds <= 7; seconds++) {
    links.advance(1_000, side);
    assert.equal(side.names().length, 3 + seconds, `after ${seconds} s`);
  }
  links.advance(10_000, side);
  assert.equal(side.link.transport.isPaused, false);
  assert.equal(links.share.throttle.waiting, 0);
  assert.equal(links.clock.pending, 0);
});

test('shaper: a stream of one byte at a time comes to the same', () => {
  const links = new Links();
  const side = links.join({ rates: RATES, pair: { maxChunkBytes: 1 } });
  side.client.write(KB.repeat(10));
  assert.equal(side.names().length, 2);
  for (let i = 0; i < 160; i++) links.advance(50, side);
  assert.ok(side.names().length >= 9, `${side.names().length} in 8 s`);
});

test('shaper: frames without a token wait as bytes in the framer; what follows stays in the socket', () => {
  const links = new Links();
  const side = links.join({ rates: STANZAS });
  side.client.write('<a/>'.repeat(20));
  assert.equal(side.names().length, 5);
  assert.equal(side.link.framer.buffered, 15 * 4);
  assert.equal(side.link.transport.isPaused, true);
  side.client.write('<b/>'.repeat(20));
  assert.equal(side.link.framer.buffered, 15 * 4);
  links.advance(1_000, side);
  assert.equal(side.names().length, 15);
  links.advance(3_000, side);
  assert.equal(side.names().length, 40);
  assert.deepEqual(
    side.names().slice(20),
    Array.from({ length: 20 }, () => 'b'),
  );
});

test('shaper: who asks for more while there is no token is served when there is one', () => {
  const links = new Links();
  const side = links.join({ rates: STANZAS, demand: 5 });
  side.client.write('<a/>'.repeat(8));
  assert.equal(side.names().length, 5);
  assert.equal(links.share.throttle.waiting, 0, 'nobody wants the sixth');
  side.link.request(2);
  assert.equal(side.names().length, 5);
  assert.equal(links.share.throttle.waiting, 1);
  links.advance(1_000, side);
  assert.equal(side.names().length, 7);
  assert.equal(side.link.transport.isPaused, true, 'for want of demand');
  assert.equal(links.share.throttle.waiting, 0);
});

test('shaper: the end of the peer is seen after what it sent before, however long that takes', () => {
  const links = new Links();
  const side = links.join({ rates: STANZAS });
  side.client.write('<a/>'.repeat(30));
  side.client.end();
  links.advance(1_000, side);
  assert.equal(side.count('closed'), 0);
  links.advance(3_000, side);
  assert.equal(side.names().length, 30);
  assert.equal(side.count('closed'), 1);
  assert.equal(side.events.at(-1)!.kind, 'closed');
});

test('shaper: new rates hold from then on, with full buckets and without the old debt', () => {
  const links = new Links();
  const side = links.join({ rates: { ...RATES, bytesPerSecond: 1_000, burstBytes: 1_000 } });
  side.client.write(KB.repeat(50));
  assert.equal(side.link.transport.isPaused, true);
  side.link.shape({ ...RATES, bytesPerSecond: 1_000_000, burstBytes: 1_000_000 });
  side.client.settle();
  assert.equal(side.link.transport.isPaused, false);
  assert.deepEqual([links.share.throttle.waiting, links.clock.pending], [0, 0]);
  side.link.shape(undefined);
  side.client.write(KB.repeat(2_000));
  assert.equal(side.link.transport.isPaused, false);
});

test('shaper: a connection that ends while it waits leaves no timer', () => {
  const links = new Links();
  const [reset, released] = [links.join({ rates: RATES }), links.join({ rates: RATES })];
  for (const { client } of [reset, released]) client.write(KB.repeat(5));
  assert.equal(links.share.throttle.waiting, 2);
  reset.client.reset();
  released.link.release();
  assert.deepEqual([links.share.throttle.waiting, links.clock.pending], [0, 0]);
  released.link.shape(RATES);
  released.client.write(KB.repeat(5));
  assert.equal(links.share.throttle.waiting, 0);
});

test('shaper: a restart of the stream, as after login, does not free who waits', () => {
  const links = new Links();
  const side = links.join({ rates: RATES });
  side.client.write(KB.repeat(5));
  side.link.restart();
  side.link.request(1);
  assert.equal(side.link.transport.isPaused, true);
  links.advance(2_950, side);
  assert.equal(side.link.transport.isPaused, true);
  links.advance(100, side);
  assert.equal(side.link.transport.isPaused, false);
});

test('white space: keep-alives of single spaces are allowed for ever, with and without stanzas between', () => {
  const links = new Links();
  const side = links.join({ limits: { maxWhitespaceBytes: 100 } });
  for (let i = 0; i < 50_000; i++) {
    side.client.write(' ');
    links.advance(1_000);
  }
  side.client.write('<a/>');
  assert.deepEqual(side.names(), ['a']);
  assert.equal(side.count('error'), 0);
});

test('white space: a flood is none the better for coming in pieces', () => {
  const links = new Links();
  const side = links.join({ limits: { maxWhitespaceBytes: 100 } });
  for (let i = 0; i < 101; i++) {
    assert.equal(side.count('error'), 0);
    side.client.write(' ');
    links.advance(999);
  }
  assert.deepEqual(
    side.events.map((event) => (event.kind === 'error' ? event.condition : event.kind)),
    ['policy-violation'],
  );
});

test('white space: what is inside a stanza counts as its size, whatever time it takes', () => {
  const links = new Links();
  const side = links.join({ limits: { maxWhitespaceBytes: 100, maxBytes: 10_000 } });
  side.client.write('<a>');
  for (let i = 0; i < 9_996; i++) {
    side.client.write(' ');
    links.advance(1_000);
  }
  assert.equal(side.count('error'), 0);
  side.client.write('   ');
  assert.equal(side.count('error'), 1);
});

/** Of a reader that does not read. */
function stalled(links: Links) {
  const side = links.join();
  side.client.stall();
  return side;
}

test('output: above the soft limit a connection has the grace time, and is told of once it is over', () => {
  const links = new Links();
  const side = stalled(links);
  side.link.write('x'.repeat(OUTBOUND.softBytes));
  links.advance(60_000, side);
  assert.equal(side.count('slow_consumer'), 0);
  side.link.write('x');
  assert.equal(side.link.isOverfull, false);
  links.advance(OUTBOUND.graceMs - 1, side);
  side.link.write('more');
  assert.equal(side.count('slow_consumer'), 0);
  links.advance(1, side);
  assert.equal(side.count('slow_consumer'), 1);
  links.advance(60_000, side);
  side.link.write('x'.repeat(2_000));
  links.advance(60_000, side);
  assert.equal(side.count('slow_consumer'), 1, 'once');
  assert.equal(links.share.outbound.softExceeded, 2);
});

test('output: who catches up in time may fall behind again, and has the whole grace time again', () => {
  const links = new Links();
  const side = stalled(links);
  for (let i = 0; i < 5; i++) {
    side.link.write('x'.repeat(4_000));
    links.advance(OUTBOUND.graceMs - 1, side);
    side.client.unstall();
    side.client.stall();
    assert.equal(side.link.pendingBytes, 0);
  }
  assert.equal(side.count('slow_consumer'), 0);
  assert.equal(links.share.outbound.softExceeded, 5);
});

test('output: that it caught up is also seen without a word from the transport', () => {
  const links = new Links();
  const side = links.join({ pair: { highWaterBytes: Infinity } }); // never says `drained`
  side.client.stall();
  side.link.write('x'.repeat(4_000));
  links.advance(OUTBOUND.graceMs - 1, side);
  side.client.unstall();
  side.client.stall();
  side.link.write('x'.repeat(4_000));
  links.advance(OUTBOUND.graceMs - 1, side);
  assert.equal(side.count('slow_consumer'), 0);
  links.advance(1, side);
  assert.equal(side.count('slow_consumer'), 1);
});

test('output: at the end of the grace time only who is still behind has to go', () => {
  const links = new Links();
  const side = links.join({ pair: { highWaterBytes: Infinity } });
  side.client.stall();
  side.link.write('x'.repeat(4_000));
  side.client.unstall();
  links.advance(OUTBOUND.graceMs, side);
  assert.equal(side.count('slow_consumer'), 0);
});

test('output: above the hard limit a connection is overfull at once', () => {
  const links = new Links();
  const side = stalled(links);
  side.link.write('x'.repeat(OUTBOUND.hardBytes));
  assert.equal(side.link.isOverfull, false);
  side.link.write('x');
  assert.equal(side.link.isOverfull, true);
});

test('output: what was only gathered in one slice is nobody’s slowness', () => {
  const links = new Links();
  const side = links.join();
  for (let i = 0; i < 100; i++) {
    side.link.write('x'.repeat(900));
    assert.equal(side.count('slow_consumer'), 0);
    side.client.settle();
  }
  assert.equal(links.share.outbound.softExceeded, 0);
  assert.equal(links.clock.pending, 0);
});

test('output: a connection that ends leaves no timer and no place in the budget', () => {
  const links = new Links();
  const [reset, released] = [stalled(links), stalled(links)];
  for (const { link } of [reset, released]) link.write('x'.repeat(2_000));
  assert.equal(links.clock.pending, 1, 'one timer for both');
  reset.client.reset();
  released.link.release();
  assert.equal(links.clock.pending, 0);
  assert.equal(links.share.outbound.pendingBytes, 0);
  links.advance(60_000);
  assert.equal(reset.count('slow_consumer') + released.count('slow_consumer'), 0);
});

test('budget: above it the fullest connections go, as many as it takes, and nobody else', () => {
  const links = new Links({ ...OUTBOUND, softBytes: 1_000_000, hardBytes: 1_000_000, totalBytes: 80_000 });
  const sizes = [1_000, 30_000, 2_000, 20_000, 3_000, 25_000];
  const sides = sizes.map((size) => {
    const side = stalled(links);
    side.link.write('x'.repeat(size));
    return side;
  });
  assert.equal(links.share.outbound.pendingBytes, 81_000);
  assert.equal(links.share.outbound.victims, 0, 'an eighth above it is allowed');
  sides[0]!.link.write('x'.repeat(10_000));
  assert.deepEqual(
    sides.map((side) => side.count('slow_consumer')),
    [0, 1, 0, 0, 0, 0],
  );
  assert.equal(links.share.outbound.victims, 1);
  for (let i = 0; i < 12; i++) sides[0]!.link.write('x'.repeat(1_000));
  assert.deepEqual(
    sides.map((side) => side.count('slow_consumer')),
    [0, 1, 0, 0, 0, 0],
    'not to be looked for with every write',
  );
});

test('budget: what clients read does not count, however much it was', () => {
  const links = new Links({ ...OUTBOUND, softBytes: 1_000_000, hardBytes: 1_000_000, totalBytes: 80_000 });
  const slow = stalled(links);
  slow.link.write('x'.repeat(50_000));
  const readers = Array.from({ length: 10 }, () => links.join());
  for (let i = 0; i < 1_000; i++) {
    for (const { link } of readers) link.write('x'.repeat(2_000));
    for (const { client } of readers) client.settle();
  }
  assert.equal(links.share.outbound.victims, 0);
  assert.equal(slow.count('slow_consumer'), 0);
});

test('budget: a new one holds at once, new limits of a connection for those that come', () => {
  const links = new Links({ ...OUTBOUND, softBytes: 100_000, hardBytes: 100_000, totalBytes: 800_000 });
  const old = stalled(links);
  old.link.write('x'.repeat(50_000));
  links.share.outbound.setLimits({ softBytes: 1_000, hardBytes: 2_000, graceMs: 5_000, totalBytes: 40_000 });
  const fresh = stalled(links);
  fresh.link.write('x'.repeat(1_500));
  assert.equal(old.count('slow_consumer'), 1);
  assert.equal(old.link.isOverfull, false);
  links.advance(5_000, fresh);
  assert.equal(fresh.count('slow_consumer'), 1);
});
