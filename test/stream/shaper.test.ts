import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/kernel/clock.ts';
import { Shaper, Throttle, THROTTLE_TICK_MS, type ShaperRates } from '../../src/stream/shaper.ts';

const OFF: ShaperRates = { bytesPerSecond: 0, burstBytes: 0, stanzasPerSecond: 0, burstStanzas: 0 };

function make(rates: Partial<ShaperRates>, startMs = 0) {
  const clock = new ManualClock(startMs);
  const throttle = new Throttle(clock);
  const told: number[] = [];
  const shaper = new Shaper({ ...OFF, ...rates }, throttle, { refilled: () => void told.push(clock.now()) });
  return { clock, throttle, shaper, told };
}

test('a burst is free, and what is above it waits as long as it takes at the rate', () => {
  const { clock, shaper, told } = make({ bytesPerSecond: 1_000, burstBytes: 5_000 });
  shaper.received(5_000);
  shaper.brake(false);
  assert.equal(shaper.isWaiting, false);
  shaper.received(2_000);
  shaper.brake(false);
  assert.equal(shaper.isWaiting, true);
  clock.advance(1_999);
  assert.deepEqual(told, []);
  clock.advance(1);
  assert.deepEqual(told, [2_000]);
  assert.equal(shaper.isWaiting, false);
});

test('a rest fills the bucket, but never above the burst', () => {
  const { clock, shaper } = make({ bytesPerSecond: 1_000, burstBytes: 5_000 });
  shaper.received(5_000);
  clock.advance(3_600_000);
  shaper.received(5_000);
  shaper.brake(false);
  assert.equal(shaper.isWaiting, false);
  shaper.received(1);
  shaper.brake(false);
  assert.equal(shaper.isWaiting, true);
});

test('over a long time no more than the burst and the rate pass, however the bytes come', () => {
  const { clock, shaper } = make({ bytesPerSecond: 20_000, burstBytes: 100_000 });
  let state = 12_345;
  const random = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state % below;
  };
  let taken = 0;
  const seconds = 600;
  while (clock.now() < seconds * 1_000) {
    if (shaper.isWaiting) {
      clock.advance(THROTTLE_TICK_MS);
      continue;
    }
    const bytes = 1 + random(65_536);
    shaper.received(bytes);
    shaper.brake(false);
    taken += bytes;
    if (random(4) === 0) clock.advance(random(500));
  }
  assert.ok(taken <= 100_000 + seconds * 20_000 + 65_536, `${taken} bytes`);
  assert.ok(taken >= seconds * 20_000 * 0.95, `${taken} bytes: the rate is there to be used`);
});

test('stanzas have a bucket of their own, and only who wants one waits for it', () => {
  const { clock, shaper, told } = make({ stanzasPerSecond: 10, burstStanzas: 3 });
  for (let i = 0; i < 3; i++) {
    assert.ok(shaper.hasStanza);
    shaper.takeStanza();
  }
  assert.equal(shaper.hasStanza, false);
  shaper.brake(false);
  assert.equal(shaper.isWaiting, false);
  shaper.brake(true);
  assert.equal(shaper.isWaiting, true);
  clock.advance(100);
  assert.deepEqual(told, [100]);
  assert.ok(shaper.hasStanza);
  shaper.takeStanza();
  assert.equal(shaper.hasStanza, false);
});

test('0 is no limit', () => {
  const { clock, shaper } = make({});
  for (let i = 0; i < 1_000; i++) {
    shaper.received(65_536);
    assert.ok(shaper.hasStanza);
    shaper.takeStanza();
    shaper.brake(true);
    assert.equal(shaper.isWaiting, false);
  }
  assert.equal(clock.pending, 0);
});

test('there is one timer for all who wait, and none without; who leaves is not told', () => {
  const clock = new ManualClock(7);
  const throttle = new Throttle(clock);
  const told: number[] = [];
  const shapers = Array.from({ length: 1_000 }, (_, i) => {
    const rates = { ...OFF, bytesPerSecond: 1_000, burstBytes: 1 };
    const shaper: Shaper = new Shaper(rates, throttle, { refilled: () => void told.push(i) });
    shaper.received(1 + 10 * (i + 1)); // 10 ms to 10 s
    shaper.brake(false);
    return shaper;
  });
  assert.deepEqual([throttle.waiting, throttle.pauses, clock.pending], [1_000, 1_000, 1]);
  for (const shaper of shapers.slice(500)) shaper.cancel();
  clock.advance(5_000 + THROTTLE_TICK_MS);
  assert.deepEqual(
    told,
    Array.from({ length: 500 }, (_, i) => i),
    'in order of their waits',
  );
  assert.deepEqual([throttle.waiting, clock.pending], [0, 0]);
  for (const shaper of shapers) shaper.cancel();
  assert.equal(throttle.waiting, 0);
});

test('the last who leaves takes the timer with him', () => {
  const { clock, throttle, shaper } = make({ bytesPerSecond: 1_000, burstBytes: 1_000 });
  shaper.received(2_000);
  shaper.brake(false);
  assert.equal(clock.pending, 1);
  shaper.cancel();
  assert.deepEqual([clock.pending, throttle.waiting], [0, 0]);
});

test('one whose wait is over may end the wait of another in the same moment', () => {
  const clock = new ManualClock();
  const throttle = new Throttle(clock);
  const rates = { ...OFF, bytesPerSecond: 1_000, burstBytes: 1_000 };
  const told: string[] = [];
  const second: Shaper = new Shaper(rates, throttle, { refilled: () => void told.push('second') });
  const first = new Shaper(rates, throttle, {
    refilled() {
      told.push('first');
      second.cancel();
    },
  });
  for (const shaper of [first, second]) {
    shaper.received(1_100);
    shaper.brake(false);
  }
  clock.advance(1_000);
  assert.deepEqual(told, ['first']);
  assert.equal(throttle.waiting, 0);
});

test('how often and how long is counted, a wait that was cut short for what it lasted', () => {
  const { clock, throttle, shaper } = make({ bytesPerSecond: 1_000, burstBytes: 1_000 });
  for (let i = 0; i < 2; i++) {
    shaper.received(3_000);
    shaper.brake(false);
    shaper.brake(false);
    clock.advance(i === 0 ? 2_000 : 500);
    shaper.cancel();
  }
  assert.deepEqual([throttle.pauses, throttle.pausedMs], [2, 2_500]);
});
