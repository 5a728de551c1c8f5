/** What figures are made of: percentiles, sequences, medians and ratios. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Histogram } from '../../bench/load/histogram.ts';
import { Template } from '../../bench/load/outbox.ts';
import type { Outcome } from '../../bench/load/outcome.ts';
import { Sequence } from '../../bench/load/sequence.ts';
import { median, printTable, rowsOf } from '../../bench/peers/table.ts';

test('percentiles are those of the sorted values, to the width of a bucket', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 7_000_000_000 })), { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, share) => {
        const histogram = new Histogram();
        for (const value of values) histogram.record(value);
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(share * values.length)) - 1]!;
        const found = histogram.percentile(share);
        assert.ok(found >= exact && found <= exact * (1 + 1 / 64) + 1, `${found} for ${exact}`);
      },
    ),
  );
});

test('histograms of several threads add up', () => {
  const both = new Histogram();
  const one = new Histogram();
  const other = new Histogram();
  for (let i = 1; i <= 100; i++) (i % 3 === 0 ? one : other).record(i * 10);
  both.add(one);
  both.add(other);
  assert.equal(both.total, 100);
  assert.equal(both.max, 1_000);
  assert.ok(Math.abs(both.percentile(0.5) - 500) <= 8);
  both.reset();
  assert.deepEqual(both.percentiles(), { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 });
});

test('a value beyond all buckets, or before the first, is counted', () => {
  const histogram = new Histogram();
  histogram.record(1e15);
  histogram.record(-3);
  assert.equal(histogram.percentile(0.5), 0);
  assert.equal(histogram.total, 2);
});

function faultsOf(numbers: readonly number[], sent: number) {
  const sequence = new Sequence();
  for (const number of numbers) sequence.take(number);
  return sequence.faultsOf(sent);
}

test('a sequence: lost, doubled and out of order are told apart', () => {
  assert.deepEqual(faultsOf([1, 2, 3], 3), { lost: 0, doubled: 0, reordered: 0 });
  assert.deepEqual(faultsOf([], 2), { lost: 2, doubled: 0, reordered: 0 });
  assert.deepEqual(faultsOf([1, 3], 4), { lost: 2, doubled: 0, reordered: 0 });
  assert.deepEqual(faultsOf([1, 2, 2, 3, 1], 3), { lost: 0, doubled: 2, reordered: 0 });
  assert.deepEqual(faultsOf([2, 1, 3], 3), { lost: 0, doubled: 0, reordered: 1 });
  assert.deepEqual(faultsOf([3, 1, 1, 2], 3), { lost: 0, doubled: 1, reordered: 2 });
});

test('messages made of bytes carry their number', () => {
  const template = new Template('juliet@capulet.lit/balcony', 'abc', 'Hi');
  const target = Buffer.alloc(300);
  const end = template.copy(target, 5, 4_070);
  assert.equal(
    target.toString('latin1', 5, end),
    `<message to='juliet@capulet.lit/balcony' type='chat' id='abc-000004070'><body>Hi</body></message>`,
  );
});

const outcome = (server: string, serverMicros: number, faults: Outcome['faults'] = {}): Outcome => ({
  scenario: 'chat',
  title: 'chat, window 1',
  server,
  options: {},
  sections: [
    { name: 'chat', unit: 'message', operations: 10, seconds: 1, perSecond: 1e6 / serverMicros, serverMicros, generatorMicros: 2 },
  ],
  faults,
  examples: [],
  at: '2026-01-01T00:00:00Z',
});

test('the table has medians, and ratios to the first server', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  const outcomes = [10, 30, 20].flatMap((us) => [outcome('rookery', us), outcome('other', us * 5, us === 30 ? { lost: 1 } : {})]);
  const rows = rowsOf(outcomes);
  assert.deepEqual(
    rows.map(({ server, serverMicros, failures, repetitions }) => [server, serverMicros, failures, repetitions]),
    [
      ['rookery', 20, 0, 3],
      ['other', 100, 1, 3],
    ],
  );
  assert.match(printTable(rows), /other \(failed 1 of 3\) +10,000 +x 5\.0 +100 +x 5\.0/);
});
