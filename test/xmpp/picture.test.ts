import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { inspectPicture } from '../../src/xmpp/picture.ts';

const LIMITS = { maxBytes: 10_000, maxPixels: 4_096 };
const bytes = (...parts: readonly (string | readonly number[])[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))));

const PNG = bytes('\x89PNG\r\n\x1a\n', [0, 0, 0, 13], 'IHDR', [0, 0, 0, 64, 0, 0, 0, 32], [8, 6, 0, 0, 0]);
const GIF = bytes('GIF89a', [64, 0, 32, 0], [0, 0, 0]);
const JPEG = bytes([0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2], [0xff, 0xff, 0xc0, 0, 17, 8, 0, 32, 0, 64, 3, 1, 1, 1, 1, 1, 1]);
const WEBP = bytes('RIFF', [0, 0, 0, 0], 'WEBPVP8X', [10, 0, 0, 0, 0, 0, 0, 0], [63, 0, 0, 31, 0, 0]);
const WEBP_LOSSY = bytes('RIFF', [0, 0, 0, 0], 'WEBPVP8 ', [0, 0, 0, 0, 0, 0, 0, 0x9d, 1, 0x2a], [64, 0, 32, 0]);
const WEBP_LOSSLESS = bytes('RIFF', [0, 0, 0, 0], 'WEBPVP8L', [0, 0, 0, 0, 0x2f], [63, 0xc0, 7, 0], [0, 0, 0, 0, 0]);

test('type, size and hash of each format', () => {
  for (const [type, data] of [
    ['image/png', PNG],
    ['image/gif', GIF],
    ['image/jpeg', JPEG],
    ['image/webp', WEBP],
    ['image/webp', WEBP_LOSSY],
    ['image/webp', WEBP_LOSSLESS],
  ] as const) {
    const sha1 = createHash('sha1').update(data).digest('hex');
    assert.deepEqual(inspectPicture({ base64: data.toString('base64'), ...LIMITS }), {
      type,
      width: 64,
      height: 32,
      bytes: data.length,
      sha1,
    });
  }
});

test('white space in base64 is allowed, other characters are not', () => {
  const base64 = PNG.toString('base64');
  assert.equal(inspectPicture({ base64: `\n  ${base64.slice(0, 10)}\n${base64.slice(10)} `, ...LIMITS })?.type, 'image/png');
  assert.equal(inspectPicture({ base64: `${base64.slice(0, 10)}-${base64.slice(10)}`, ...LIMITS }), undefined);
  assert.equal(inspectPicture({ base64: '', ...LIMITS }), undefined);
});

test('what is too large, in bytes or pixels, is none', () => {
  const base64 = PNG.toString('base64');
  assert.equal(inspectPicture({ base64, maxBytes: PNG.length - 1, maxPixels: 4_096 }), undefined);
  assert.equal(inspectPicture({ base64, maxBytes: 10_000, maxPixels: 63 }), undefined);
});

test('other formats are none', () => {
  for (const text of ['<svg xmlns="http://www.w3.org/2000/svg"/>', 'BM....', '%PDF-1.4', 'GIF88a__________'])
    assert.equal(inspectPicture({ base64: Buffer.from(text).toString('base64'), ...LIMITS }), undefined);
});

test('any bytes, behind any beginning, are an answer and no exception', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(PNG, GIF, JPEG, WEBP, Buffer.alloc(0)),
      fc.nat(40),
      fc.uint8Array({ maxLength: 64 }),
      (head, length, tail) => {
        inspectPicture({ base64: Buffer.concat([head.subarray(0, length), tail]).toString('base64'), ...LIMITS });
      },
    ),
  );
});
