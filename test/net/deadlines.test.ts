import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/kernel/clock.ts';
import { Deadlines } from '../../src/net/deadlines.ts';

function makeDeadlines(): { clock: ManualClock; expired: string[]; deadlines: Deadlines<string> } {
  const clock = new ManualClock();
  const expired: string[] = [];
  return { clock, expired, deadlines: new Deadlines<string>(100, clock, (item) => expired.push(item)) };
}

test('items expire in the order they were added, each after its own wait', () => {
  const { clock, expired, deadlines } = makeDeadlines();
  deadlines.add('a');
  clock.advance(60);
  deadlines.add('b');
  clock.advance(39);
  assert.deepEqual(expired, []);
  clock.advance(1);
  assert.deepEqual(expired, ['a']);
  clock.advance(59);
  assert.deepEqual(expired, ['a']);
  clock.advance(1);
  assert.deepEqual(expired, ['a', 'b']);
});

test('adding again starts the wait again; a deleted item does not expire', () => {
  const { clock, expired, deadlines } = makeDeadlines();
  deadlines.add('a');
  deadlines.add('b');
  deadlines.delete('b');
  clock.advance(80);
  deadlines.add('a');
  clock.advance(80);
  assert.deepEqual(expired, []);
  clock.advance(20);
  assert.deepEqual(expired, ['a']);
});

test('there is one timer for all items, and none without items', () => {
  const { clock, deadlines } = makeDeadlines();
  for (let i = 0; i < 1_000; i++) deadlines.add(`item ${i}`);
  assert.equal(clock.pending, 1);
  for (let i = 0; i < 1_000; i++) deadlines.delete(`item ${i}`);
  assert.equal(deadlines.size, 0);
  assert.equal(clock.pending, 0);
});

test('an item added while others expire gets its whole wait', () => {
  const clock = new ManualClock();
  const expired: string[] = [];
  const deadlines: Deadlines<string> = new Deadlines<string>(100, clock, (item) => {
    expired.push(item);
    if (item === 'a') deadlines.add('again');
  });
  deadlines.add('a');
  clock.advance(199);
  assert.deepEqual(expired, ['a']);
  clock.advance(1);
  assert.deepEqual(expired, ['a', 'again']);
});
