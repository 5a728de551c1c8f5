import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Key, KeyPart } from '../../src/store/store.ts';
import {
  endOfFirstPart,
  endOfPrefix,
  MAX_KEY_BYTES,
  MAX_PART_BYTES,
  NUMBER_BYTES,
  packFullKey,
  packKey,
  unpackKey,
  writeNumber,
} from '../../src/store/tuple.ts';
import { compareKeys, random } from '../conformance/store.ts';

const SEED = 7_919;
const ROUNDS = 20_000;

type Random = ReturnType<typeof random>;

/** Parts chosen to be near each other and near the rules' edges. */
function randomPart(next: Random): KeyPart {
  switch (next(6)) {
    case 0:
      return next(2 ** 32) - 2 ** 31;
    case 1:
      return [0, -0, Infinity, -Infinity, Number.MIN_VALUE, -Number.MIN_VALUE, Number.MAX_VALUE, 2 ** 53, -(2 ** 53), 2 ** 53 - 1][
        next(10)
      ]!;
    case 2:
      return (next(2 ** 31) - 2 ** 30) * 2 ** (next(2000) - 1000);
    default:
      return Array.from({ length: next(5) }, () => ['\u0000', '\u0001', '\u007f', 'a', 'b', 'é', 'ÿ', '\uffff', '😀'][next(9)]!).join('');
  }
}

function randomKey(next: Random): Key {
  return Array.from({ length: next(4) }, () => randomPart(next));
}

test('packed keys sort as keys do, and unpack to what they were', () => {
  const next = random(SEED);
  for (let round = 0; round < ROUNDS; round++) {
    const a = randomKey(next);
    const b = next(3) === 0 ? [...a, randomPart(next)] : randomKey(next);
    const [packedA, packedB] = [packKey(a), packKey(b)];
    const order = packedA < packedB ? -1 : packedA > packedB ? 1 : 0;
    assert.equal(order, Math.sign(compareKeys(a, b)), `seed ${SEED}, round ${round}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`);
    const unpacked = unpackKey(packedA);
    assert.ok(unpacked !== undefined && compareKeys(unpacked, a) === 0 && unpacked.length === a.length, JSON.stringify(a));
  }
});

test('the range of a prefix holds exactly the keys that start with its parts', () => {
  const next = random(SEED + 1);
  for (let round = 0; round < ROUNDS; round++) {
    const prefix = randomKey(next);
    const key = next(2) === 0 ? [...prefix, ...randomKey(next)] : randomKey(next);
    const packed = packKey(key);
    const start = packKey(prefix);
    const isInside = packed >= start && packed < endOfPrefix(start);
    const starts = prefix.length <= key.length && compareKeys(key.slice(0, prefix.length), prefix) === 0;
    assert.equal(isInside, starts, `seed ${SEED + 1}, round ${round}: ${JSON.stringify(prefix)} and ${JSON.stringify(key)}`);
  }
});

test('a long part is told from every other, sorts by its first 255 bytes and stays short', () => {
  const next = random(SEED + 2);
  const seen = new Map<string, string>();
  for (let round = 0; round < 2000; round++) {
    const head = 'a'.repeat(next(4)) + (next(2) === 0 ? 'b' : 'é');
    const part = head.padEnd(MAX_PART_BYTES - 3 + next(8), 'c') + ['', 'd', 'é', '\u0000', 'e'.repeat(next(3000))][next(5)]!;
    const packed = packKey([part]);
    assert.ok(packed.length <= 2 * MAX_PART_BYTES + 23, `${packed.length} bytes`);
    assert.equal(seen.get(packed) ?? part, part);
    seen.set(packed, part);
    assert.equal(packed.length, endOfFirstPart(packed + packKey(['x'])), 'its end is found');
    if (Buffer.byteLength(part) > MAX_PART_BYTES) assert.equal(unpackKey(packed), undefined);
    else assert.deepEqual(unpackKey(packed), [part]);
    assert.deepEqual(unpackKey(packFullKey([part, 1])), [part, 1]);
  }
  const parts = [...seen.values()];
  for (let i = 1; i < parts.length; i++) {
    const [a, b] = [parts[i - 1]!, parts[i]!];
    const order = Buffer.compare(Buffer.from(a).subarray(0, MAX_PART_BYTES), Buffer.from(b).subarray(0, MAX_PART_BYTES));
    if (order !== 0) assert.equal(packKey([a]) < packKey([b]) ? -1 : 1, order, `seed ${SEED + 2}: ${a} and ${b}`);
  }
});

test('a bare JID of 2047 bytes and a full JID of 3071 make a key that LMDB takes', () => {
  const key = ['a'.repeat(2047), 'roster_item', 'b'.repeat(3071), 'c'.repeat(1023), 2 ** 53];
  assert.ok(packKey(key).length <= MAX_KEY_BYTES);
});

test('parts that cannot be stored are refused: ERR_STORE_KEY', () => {
  for (const part of [NaN, '\ud800', 'a\udc00b', undefined, null, true, 1n, {}]) {
    assert.throws(() => packKey([part as KeyPart]), { code: 'ERR_STORE_KEY' }, String(part));
  }
});

test('bytes that are no packed key are not unpacked', () => {
  const next = random(SEED + 3);
  for (const packed of ['\u0003', '\u0001short', '\u0002no end', '\u0000']) assert.equal(unpackKey(packed), undefined);
  for (let round = 0; round < 5000; round++) {
    const packed = packKey(randomKey(next));
    const cut = packed.slice(0, next(packed.length + 1));
    const unpacked = unpackKey(cut);
    if (unpacked !== undefined) assert.ok(packed.startsWith(packKey(unpacked)), JSON.stringify(cut));
  }
});

test('a number that is not negative is written as it is packed', () => {
  const next = random(SEED);
  const buffer = Buffer.alloc(3 + NUMBER_BYTES);
  for (const value of [0, -0, 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, ...Array.from({ length: 1000 }, () => next(2 ** 30) * next(2 ** 20))]) {
    writeNumber(buffer, 3, value);
    assert.equal(buffer.toString('latin1', 3), packKey([value]), `${value}`);
  }
});
