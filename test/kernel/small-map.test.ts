import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SmallMap, SmallSet } from '../../src/kernel/small-map.ts';

const KEYS = fc.constantFrom(undefined, 0, 1, 2, 3);
const STEPS = fc.array(
  fc.record({
    what: fc.constantFrom('set', 'set', 'delete', 'delete', 'get', 'clear'),
    key: KEYS,
    value: fc.constantFrom(undefined, 7, 8),
  }),
  { maxLength: 30 },
);

test('a SmallMap behaves like a Map, through any number of entries', () => {
  fc.assert(
    fc.property(STEPS, (steps) => {
      const small = new SmallMap<number | undefined, number | undefined>();
      const map = new Map<number | undefined, number | undefined>();
      for (const { what, key, value } of steps) {
        if (what === 'set') {
          small.set(key, value);
          map.set(key, value);
        } else if (what === 'delete') {
          assert.equal(small.delete(key), map.delete(key));
        } else if (what === 'clear') {
          small.clear();
          map.clear();
        }
        assert.equal(small.get(key), map.get(key));
        assert.equal(small.has(key), map.has(key));
        assert.equal(small.size, map.size);
        assert.deepEqual([...small], [...map]);
        assert.deepEqual([...small.keys()], [...map.keys()]);
        assert.deepEqual([...small.values()], [...map.values()]);
        assert.equal(small.firstKey, map.keys().next().value);
      }
    }),
  );
});

test('a SmallSet behaves like a Set, through any number of values', () => {
  fc.assert(
    fc.property(STEPS, (steps) => {
      const small = new SmallSet<number | undefined>();
      const set = new Set<number | undefined>();
      for (const { what, key } of steps) {
        if (what === 'set') {
          small.add(key);
          set.add(key);
        } else if (what === 'delete') {
          assert.equal(small.delete(key), set.delete(key));
        } else if (what === 'clear') {
          small.clear();
          set.clear();
        }
        assert.equal(small.has(key), set.has(key));
        assert.equal(small.size, set.size);
        assert.deepEqual([...small], [...set]);
        assert.equal(small.first, set.values().next().value);
      }
    }),
  );
});

test('entries may be deleted while they are gone through', () => {
  for (const keys of [['a'], ['a', 'b', 'c']]) {
    const map = new SmallMap<string, number>();
    const set = new SmallSet<string>();
    for (const key of keys) {
      map.set(key, 1);
      set.add(key);
    }
    for (const [key] of map) map.delete(key);
    for (const key of set) set.delete(key);
    assert.equal(map.size + set.size, 0);
  }
});
