import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDate, formatDateTime, parseDate, parseDateTime, parseTime } from '../../src/xmpp/date-time.ts';

const MOON = Date.UTC(1969, 6, 21, 2, 56, 15);

test('XEP-0082 §3.2: the examples of DateTime', () => {
  assert.equal(parseDateTime('1969-07-21T02:56:15Z'), MOON);
  assert.equal(parseDateTime('1969-07-20T21:56:15-05:00'), MOON);
  assert.equal(formatDateTime(MOON), '1969-07-21T02:56:15.000Z');
});

test('XEP-0082 §3.1 and §3.3: the examples of Date and Time', () => {
  assert.equal(parseDate('1776-07-04'), Date.UTC(1776, 6, 4));
  assert.equal(formatDate(Date.UTC(1776, 6, 4)), '1776-07-04');
  assert.equal(parseTime('16:00:00'), 16 * 3_600_000);
  assert.equal(parseTime('01:00:00+07:00'), 18 * 3_600_000);
});

test('XEP-0082 §3.2: fractions of any length, zones up to fourteen hours, leap days', () => {
  const table: [string, number][] = [
    ['2002-09-10T23:08:25.1Z', Date.UTC(2002, 8, 10, 23, 8, 25, 100)],
    ['2002-09-10T23:08:25.1239999999Z', Date.UTC(2002, 8, 10, 23, 8, 25, 123)],
    ['2002-09-10T23:08:25+14:00', Date.UTC(2002, 8, 10, 9, 8, 25)],
    ['2002-09-10T23:08:25-00:00', Date.UTC(2002, 8, 10, 23, 8, 25)],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
    ['2000-02-29T00:00:00Z', Date.UTC(2000, 1, 29)],
    ['0001-01-01T00:00:00Z', -62_135_596_800_000],
    ['9999-12-31T23:59:59Z', Date.UTC(9999, 11, 31, 23, 59, 59)],
  ];
  for (const [text, expected] of table) assert.equal(parseDateTime(text), expected, text);
});

test('XEP-0082 §3.2: texts that are no DateTime', () => {
  for (const text of [
    '',
    '2002-09-10',
    '23:08:25Z',
    '2002-09-10T23:08:25',
    '2002-09-10t23:08:25z',
    '2002-09-10 23:08:25Z',
    '20020910T23:08:25',
    '2002-9-10T23:08:25Z',
    '2002-09-10T23:08Z',
    '2002-13-10T23:08:25Z',
    '2002-00-10T23:08:25Z',
    '2002-09-31T23:08:25Z',
    '2002-02-29T23:08:25Z',
    '1900-02-29T00:00:00Z',
    '2002-09-10T24:00:00Z',
    '2002-09-10T23:60:25Z',
    '2002-09-10T23:08:60Z',
    '2002-09-10T23:08:25.Z',
    '2002-09-10T23:08:25,1Z',
    '2002-09-10T23:08:25+0700',
    '2002-09-10T23:08:25+14:01',
    '2002-09-10T23:08:25+07:60',
    '2002-09-10T23:08:25+7:00',
    '-2002-09-10T23:08:25Z',
    '+2002-09-10T23:08:25Z',
    '12002-09-10T23:08:25Z',
    ' 2002-09-10T23:08:25Z',
    '2002-09-10T23:08:25Z ',
    '２００２-09-10T23:08:25Z',
    `2002-09-10T23:08:25.${'1'.repeat(60)}Z`,
    '2002-09-10T23:08:25Zjunk',
    '2002-09-10T23:08:25Z\n',
  ]) {
    assert.equal(parseDateTime(text), undefined, JSON.stringify(text));
  }
});

test('XEP-0082 §3.2: parse after print is the same moment; others agree with the engine', () => {
  const first = parseDateTime('0000-01-01T00:00:00Z')!;
  fc.assert(
    fc.property(fc.integer({ min: first, max: Date.UTC(9999, 11, 31, 23, 59, 59, 999) }), (atMs) => {
      assert.equal(parseDateTime(formatDateTime(atMs)), atMs);
      assert.equal(parseDate(formatDate(atMs)), Math.floor(atMs / 86_400_000) * 86_400_000);
    }),
    { seed: 82, numRuns: 3000 },
  );
  for (const atMs of [first - 1, Date.UTC(9999, 11, 31, 23, 59, 59, 999) + 1, NaN, Infinity])
    assert.throws(() => formatDateTime(atMs), RangeError);
});
