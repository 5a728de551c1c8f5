import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binaryTable, jsonTable, RowReader, RowWriter } from '../../src/store/codec.ts';
import { random } from '../conformance/store.ts';

const SEED = 104_729;

test('what a RowWriter wrote a RowReader reads, field by field, to the end', () => {
  const next = random(SEED);
  for (let round = 0; round < 500; round++) {
    const writer = new RowWriter();
    const checks: ((reader: RowReader) => void)[] = [];
    for (let i = 0; i < next(30); i++) {
      const number = Math.floor(next(2 ** 31) * 2 ** (next(22) - 8));
      const text = '😀é\u0000x'.repeat(next(200));
      switch (next(5)) {
        case 0:
          writer.uint(number);
          checks.push((reader) => assert.equal(reader.uint(), number));
          break;
        case 1:
          writer.double(-number / 3);
          checks.push((reader) => assert.equal(reader.double(), -number / 3));
          break;
        case 2:
          writer.string(text);
          checks.push((reader) => assert.equal(reader.string(), text));
          break;
        case 3:
          writer.bytes(Buffer.from(text)).optionalString(undefined);
          checks.push((reader) => {
            assert.equal(Buffer.from(reader.bytes()).toString(), text);
            assert.equal(reader.optionalString(), undefined);
          });
          break;
        default:
          writer.boolean(number % 2 === 0);
          checks.push((reader) => assert.equal(reader.boolean(), number % 2 === 0));
      }
    }
    const reader = new RowReader(writer.finish());
    for (const check of checks) check(reader);
    assert.ok(reader.isAtEnd, `seed ${SEED}, round ${round}`);
  }
});

test('integers that are not, and rows that end too soon, are RangeErrors', () => {
  for (const bad of [-1, 1.5, NaN, 2 ** 53, Infinity]) assert.throws(() => new RowWriter().uint(bad), RangeError);
  const row = new RowWriter().uint(300).double(1).string('text').boolean(true).finish();
  for (let length = 0; length < row.length; length++) {
    const reader = new RowReader(row.subarray(0, length));
    assert.throws(() => [reader.uint(), reader.double(), reader.string(), reader.boolean()], RangeError, `${length} bytes`);
  }
  assert.throws(() => new RowReader(Buffer.alloc(20, 0xff)).uint(), RangeError);
});

test('a binary table hands out rows of their own, though it writes them all in one buffer', () => {
  const table = binaryTable<string>({ name: 'text', version: 2, write: (row, text) => row.string(text), read: (row) => row.string() });
  const rows = ['one', 'two', 'three'].map((text) => table.encode(text));
  assert.deepEqual(
    rows.map((row) => table.decode(row, 2)),
    ['one', 'two', 'three'],
  );
  assert.throws(() => table.decode(rows[0]!, 3), RangeError);
});

test('a JSON table migrates older rows, and refuses those it cannot understand', () => {
  const table = jsonTable<{ b: number }>({
    name: 'row',
    version: 3,
    migrate: (row, version) => ({ b: (row as { a: number }).a + version }),
  });
  assert.deepEqual(table.decode(Buffer.from('{"a":1}'), 2), { b: 3 });
  assert.deepEqual(table.decode(table.encode({ b: 1 }), 3), { b: 1 });
  assert.throws(() => table.decode(Buffer.from('{}'), 4), /newer/);
  assert.throws(() => jsonTable({ name: 'row', version: 2 }).decode(Buffer.from('{}'), 1), /no migration/);
});
