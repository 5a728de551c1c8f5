import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cell } from '../../src/kernel/cell.ts';
import { Slots, watchKey } from '../../src/kernel/slots.ts';
import { forSeeds } from './fixture.ts';

function put(slots: Slots): Cell {
  const cell = { id: slots.take() } as Cell;
  slots.put(cell);
  return cell;
}

test('an id is never 0 and finds its own actor only', () => {
  const slots = new Slots(0, 1000);
  const [a, b] = [put(slots), put(slots)];
  assert.notEqual(a.id, 0);
  assert.equal(slots.get(a.id), a);
  assert.equal(slots.get(b.id), b);
  assert.equal(slots.get(0), undefined);
  slots.remove(a);
  assert.equal(slots.get(a.id), undefined);
  assert.equal(slots.size, 1);
});

test('a slot that is used again gives another id', () => {
  const slots = new Slots(3, 1_048_576);
  const ids = new Set<number>();
  for (let i = 0; i < 20_000; i++) {
    const cell = put(slots);
    assert.ok(!ids.has(cell.id));
    ids.add(cell.id);
    slots.remove(cell);
  }
  assert.ok(slots.cells.length < 2_000, 'slots are used again');
});

test('lives of the same worker share no id', () => {
  const [first, second] = [new Slots(1, 100), new Slots(2, 100)];
  const ids = new Set(Array.from({ length: 100 }, () => put(first).id));
  for (let i = 0; i < 100; i++) assert.ok(!ids.has(put(second).id));
});

test('it is full at maxActors, and not before', () => {
  const slots = new Slots(0, 10);
  const cells = Array.from({ length: 10 }, () => put(slots));
  assert.ok(slots.isFull);
  slots.remove(cells[4]!);
  assert.ok(!slots.isFull);
  put(slots);
  assert.ok(slots.isFull);
});

test('the largest id and worker still make one exact number', () => {
  const largest = 2 ** 45 - 1;
  assert.ok(Number.isSafeInteger(watchKey(largest, 255)));
  assert.notEqual(watchKey(largest, 254), watchKey(largest, 255));
  assert.notEqual(watchKey(largest - 1, 255), watchKey(largest, 0));
});

test('any order of taking and removing agrees with a map', () => {
  forSeeds(50, (choose) => {
    const slots = new Slots(choose(300), 4000);
    const model = new Map<number, Cell>();
    for (let step = 0; step < 4000; step++) {
      if (choose(2) === 0 && !slots.isFull) {
        const cell = put(slots);
        assert.ok(!model.has(cell.id));
        model.set(cell.id, cell);
      } else if (model.size > 0) {
        const id = [...model.keys()][choose(Math.min(model.size, 20))]!;
        slots.remove(model.get(id)!);
        model.delete(id);
        assert.equal(slots.get(id), undefined);
      }
      assert.equal(slots.size, model.size);
    }
    for (const [id, cell] of model) assert.equal(slots.get(id), cell);
  });
});
