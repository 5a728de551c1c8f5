import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ArchiveIds, isArchiveKey, newArchiveKey } from '../../src/log/archive-id.ts';
import { AccountLog, loadLog } from '../../src/log/log.ts';
import { LOG_STATE } from '../../src/log/segment.ts';
import { Speck128 } from '../../src/log/speck.ts';
import { Batch } from '../../src/store/store.ts';
import { LogFixture, OWNER } from './fixture.ts';

const KEY = 'Dw4NDAsKCQgHBgUEAwIBAA';

test('Speck128/128 is what its paper says, and what it makes can be taken back', () => {
  const cipher = new Speck128(Buffer.from('0f0e0d0c0b0a09080706050403020100', 'hex'));
  const plain = [0x6c617669, 0x75716520, 0x74692065, 0x64616d20];
  const block = new Int32Array(plain);
  cipher.encrypt(block);
  assert.deepEqual(block, new Int32Array([0xa65d9851, 0x79783265, 0x7860fedf, 0x5c570d18]));
  cipher.decrypt(block);
  assert.deepEqual(block, new Int32Array(plain));
});

test('Speck128/128 agrees with the definition in 64-bit words, for any key and block', () => {
  const ror = (word: bigint, by: bigint): bigint => ((word >> by) | (word << (64n - by))) & (2n ** 64n - 1n);
  const wordOf = (bytes: Uint8Array, at: number): bigint => Buffer.from(bytes).readBigUInt64BE(at);
  const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(sixteen, sixteen, (key, bytes) => {
      let [l, k, x, y] = [wordOf(key, 0), wordOf(key, 8), wordOf(bytes, 0), wordOf(bytes, 8)];
      for (let round = 0n; round < 32n; round++) {
        x = BigInt.asUintN(64, ror(x, 8n) + y) ^ k;
        y = ror(y, 61n) ^ x;
        l = BigInt.asUintN(64, ror(l, 8n) + k) ^ round;
        k = ror(k, 61n) ^ l;
      }
      const halves = Array.from({ length: 4 }, (_, i) => Buffer.from(bytes).readInt32BE(4 * i));
      const block = new Int32Array(halves);
      const cipher = new Speck128(Buffer.from(key));
      cipher.encrypt(block);
      const words = [0, 2].map((i) => (BigInt(block[i]! >>> 0) << 32n) | BigInt(block[i + 1]! >>> 0));
      assert.deepEqual(words, [x, y]);
      cipher.decrypt(block);
      assert.deepEqual([...block], halves);
    }),
    { seed: 128, numRuns: 500 },
  );
});

test('every place has one id, and the id leads back to it', () => {
  const ids = new ArchiveIds(KEY);
  const number = fc
    .oneof(fc.nat(1_000), fc.maxSafeNat(), fc.constantFrom(2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1))
    .map((n) => n % 2 ** 48);
  fc.assert(
    fc.property(number, number, (position, atMs) => {
      const id = ids.of({ position, atMs });
      assert.match(id, /^[A-Za-z0-9_-]{22}$/);
      assert.deepEqual(ids.parse(id), { position, atMs });
    }),
    { seed: 359, numRuns: 1_000 },
  );
  assert.equal(ids.of({ position: 1, atMs: 1_700_000_000_000 }), 'nMpGU2MKoaPhtkjU6JbbqA'); // stays what it is from release to release
});

test('XEP-0313 §3: an id tells nothing of the next one', () => {
  const ids = new ArchiveIds(newArchiveKey());
  const bitsOf = (position: number): bigint =>
    BigInt(`0x${Buffer.from(ids.of({ position, atMs: 1_700_000_000_000 }), 'base64url').toString('hex')}`);
  const changed: number[] = [];
  for (let position = 1; position <= 500; position++) {
    const difference = bitsOf(position) ^ bitsOf(position + 1);
    changed.push([...difference.toString(2)].filter((bit) => bit === '1').length);
  }
  // Of 128 bits half change, give or take: seven deviations of a fair coin are never seen.
  assert.ok(Math.min(...changed) > 24 && Math.max(...changed) < 104, `${Math.min(...changed)} to ${Math.max(...changed)}`);
});

test('what is no id of this log is none', () => {
  const ids = new ArchiveIds(KEY);
  const id = ids.of({ position: 7, atMs: 1_700_000_000_000 });
  const [last] = id.slice(-1);
  const texts = [
    '',
    'x',
    '1-1',
    'kq2c-7',
    id.slice(1),
    `${id}A`,
    ` ${id}`,
    `${id}=`,
    `${id}\n`,
    'A'.repeat(22),
    new ArchiveIds(newArchiveKey()).of({ position: 7, atMs: 1 }),
  ];
  // The same bytes written in another way.
  for (const other of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
    if (other !== last) texts.push(id.slice(0, -1) + other);
  for (const text of texts) assert.equal(ids.parse(text), undefined, text);
});

test('a key is 16 bytes in base64url', () => {
  assert.ok(isArchiveKey(KEY));
  for (let i = 0; i < 50; i++) assert.ok(isArchiveKey(newArchiveKey()));
  for (const text of ['', 'short', `${KEY}A`, `${KEY.slice(0, -1)}B`, `${KEY.slice(0, -1)}+`, `${KEY}\n`])
    assert.ok(!isArchiveKey(text), text);
});

test('the key is written with the first entry, once, and is there again after a load', async () => {
  const fixture = new LogFixture();
  const { log, store } = fixture;
  const id = log.ids.of(fixture.append({ atMs: 5 }));
  await fixture.write();
  const { key } = (await store.get(LOG_STATE, OWNER, []))!;
  assert.equal(new ArchiveIds(key).of({ position: 1, atMs: 5 }), id);
  const batch = new Batch(OWNER);
  const loaded = new AccountLog(await loadLog(store, OWNER));
  loaded.append({ ...fixture.entries[0]!, position: 2 }, batch);
  assert.deepEqual(batch.changes.length, 1);
  assert.equal(loaded.ids.of({ position: 1, atMs: 5 }), id);
  assert.deepEqual([loaded.next, loaded.first, loaded.archived, loaded.openFrom], [3, 1, 2, 1]);
});

test('the key outlives segments and trimming', async () => {
  const fixture = new LogFixture();
  fixture.append({ atMs: 5 });
  await fixture.write();
  const before = (await fixture.store.get(LOG_STATE, OWNER, []))!;
  fixture.close();
  await fixture.change((batch) => fixture.log.trimmed(2, 1, 0, batch));
  const after = (await fixture.store.get(LOG_STATE, OWNER, []))!;
  assert.equal(after.key, before.key);
  assert.deepEqual([before.first, before.openFrom, after.first, after.openFrom], [1, 1, 2, 2]);
});

test('two logs have no id in common', () => {
  const [one, other] = [new LogFixture(), new LogFixture()];
  assert.notEqual(one.log.ids.of(one.append({ atMs: 5 })), other.log.ids.of(other.append({ atMs: 5 })));
});
