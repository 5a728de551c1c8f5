import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomText } from '../../src/sasl/random.ts';

test('no random text comes twice, across many blocks', () => {
  const seen = new Set<string>();
  for (let i = 0; i < 2_000; i++) {
    const text = randomText(16);
    assert.match(text, /^[-_A-Za-z0-9]{22}$/);
    seen.add(text);
  }
  assert.equal(seen.size, 2_000);
});

test('it is as long and looks as was asked for', () => {
  assert.equal(Buffer.from(randomText(18, 'base64'), 'base64').length, 18);
  assert.match(randomText(9, 'hex'), /^[0-9a-f]{18}$/);
});

test('all bits are random: none is the same in a thousand texts', () => {
  const ones = Buffer.alloc(16);
  const zeros = Buffer.alloc(16, 0xff);
  for (let i = 0; i < 1_000; i++) {
    const bytes = Buffer.from(randomText(16), 'base64url');
    for (let k = 0; k < 16; k++) {
      ones[k]! |= bytes[k]!;
      zeros[k]! &= bytes[k]!;
    }
  }
  assert.deepEqual(ones, Buffer.alloc(16, 0xff));
  assert.deepEqual(zeros, Buffer.alloc(16));
});
