import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DER, makeDer, makeOid, parseDer } from '../../src/net/der.ts';

test('what makeDer writes, parseDer reads, at all sizes of the length field', () => {
  for (const length of [0, 1, 127, 128, 255, 256, 65_535]) {
    const content = Buffer.alloc(length, 0xab);
    const nodes = parseDer(Buffer.concat([makeDer(DER.octetString, content), makeDer(DER.integer, Buffer.of(1))]));
    assert.equal(nodes?.length, 2, `${length} bytes`);
    assert.equal(nodes[0]!.tag, DER.octetString);
    assert.deepEqual(nodes[0]!.content, content);
  }
});

test('parseDer returns undefined for what is not DER', () => {
  for (const bytes of [
    [0x30],
    [0x30, 0x02, 0x01],
    [0x30, 0x80, 0, 0],
    [0x1f, 0x81, 0x01, 0x00],
    [0x04, 0x83, 1, 0, 0],
    [0x04, 0x82, 0xff],
    [0x04, 0x81],
  ]) {
    assert.equal(parseDer(Buffer.from(bytes)), undefined, Buffer.from(bytes).toString('hex'));
  }
  assert.deepEqual(parseDer(Buffer.alloc(0)), []);
});

test('X.690 §8.19: object identifiers', () => {
  assert.equal(makeOid('1.2.840.113549.1.1.11').toString('hex'), '06092a864886f70d01010b');
  assert.equal(makeOid('2.5.29.17').toString('hex'), '0603551d11');
  assert.equal(makeOid('1.2.840.10045.4.3.2').toString('hex'), '06082a8648ce3d040302');
});
