import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Shared, tagOf } from '../../src/store/lmdb/shared.ts';
import { random } from '../conformance/store.ts';

const SEED = 1_299_709;

test('ticks grow from where the clock was started, for all who share it', () => {
  const shared = new Shared();
  const other = new Shared(shared.buffer);
  shared.startClock(2 ** 32 - 2);
  const ticks = [shared.tick(), other.tick(), shared.tick(), other.tick()];
  assert.deepEqual(ticks, [2 ** 32 - 1, 2 ** 32 + 1, 2 ** 32 + 2, 2 ** 32 + 3]);
  assert.ok(
    ticks.every((tick) => tagOf(tick) !== 0),
    '0 means no tag',
  );
  assert.equal(other.clock, 2 ** 32 + 3);
});

test('a mark is seen by all until it is removed by its own tag', () => {
  const shared = new Shared();
  const other = new Shared(shared.buffer);
  const next = random(SEED);
  const model = new Map<string, number>();
  for (let tag = 1; tag < 30_000; tag++) {
    const name = `user${next(2000)}@capulet.lit`;
    const place = shared.place(name);
    assert.deepEqual(other.place(name), place);
    assert.equal(other.tagAt(place), model.get(name) ?? 0, `seed ${SEED}, tag ${tag}`);
    if (next(3) === 0) {
      const removed = next(2) === 0 ? (model.get(name) ?? 0) : tag;
      other.unmark(place, removed);
      if (model.get(name) === removed) model.delete(name);
    } else {
      assert.equal(shared.mark(place, tag), model.get(name) ?? 0);
      model.set(name, tag);
    }
  }
});

test('where a bucket is full nobody can tell, until what was changed by then is applied', () => {
  const shared = new Shared();
  const { first } = shared.place('a');
  const place = (fingerprint: number): { first: number; fingerprint: number } => ({ first, fingerprint });
  for (let i = 1; i <= 8; i++) shared.mark(place(i), 100 + i);
  assert.equal(shared.tagAt(place(9)), 0);
  shared.mark(place(9), 109);
  assert.equal(shared.tagAt(place(9)), undefined);
  assert.equal(shared.tagAt(shared.place('b')), undefined);
  assert.equal(shared.tagAt(place(3)), 103);
  const before = shared.crowded;
  shared.mark(place(10), 110);
  shared.uncrowd(before);
  assert.equal(shared.tagAt(place(9)), undefined, 'another one came meanwhile');
  shared.uncrowd(shared.crowded);
  assert.equal(shared.tagAt(place(9)), 0);
  shared.unmark(place(3), 103);
  shared.mark(place(9), 111);
  assert.equal(shared.tagAt(place(9)), 111);
});
