/** When a worker rests before it looks at its sockets again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from '../../src/stream/pace.ts';

/** A time of its own, in which only what a test does takes any. */
class World {
  nowMs = 1_000;
  readonly rests: number[] = [];
  readonly pace: Pace;
  private readonly lastHeard = new Map<number, number>();

  constructor(intervalMs = 1) {
    this.pace = new Pace(
      intervalMs,
      (ms) => {
        this.rests.push(ms);
        this.nowMs += ms;
      },
      () => this.nowMs,
    );
  }

  hear(connection: number): void {
    const wallMs = Math.floor(this.nowMs);
    this.pace.heard(this.lastHeard.get(connection) ?? 0, wallMs);
    this.lastHeard.set(connection, wallMs);
  }

  /** For so long, so many messages a millisecond, from each of `connections` in turn; handling those of a slice takes `workMs`. The rests. */
  talk(connections: number, { forMs, perMs, workMs }: { forMs: number; perMs: number; workMs: number }): number[] {
    this.rests.length = 0;
    const fromMs = this.nowMs;
    for (let heard = 0; this.nowMs < fromMs + forMs;) {
      for (const come = (this.nowMs - fromMs) * perMs; heard < come; heard++) this.hear(heard % connections);
      this.nowMs += workMs;
      this.pace.rest();
    }
    return this.rests.splice(0);
  }
}

test('while many connections talk, sockets are looked at once in an interval', () => {
  const world = new World();
  world.talk(1_000, { forMs: 64, perMs: 5, workMs: 0.25 });
  const rests = world.talk(1_000, { forMs: 20, perMs: 5, workMs: 0.25 });
  assert.equal(rests.length, 20);
  for (const ms of rests) assert.ok(ms > 0.7 && ms <= 1, `${ms}`);
});

test('few connections are served at once, however much they say', () => {
  const world = new World();
  assert.deepEqual(world.talk(2, { forMs: 1_000, perMs: 8, workMs: 0.1 }), []);
  assert.deepEqual(world.talk(63, { forMs: 1_000, perMs: 8, workMs: 0.1 }), []);
});

test('there is no rest where there is more to do than an interval', () => {
  const world = new World();
  world.talk(1_000, { forMs: 64, perMs: 5, workMs: 0.25 });
  for (let slice = 0; slice < 20; slice++) {
    for (let n = 0; n < 100; n++) world.hear(n);
    world.nowMs += 3;
    world.pace.rest();
  }
  assert.deepEqual(world.rests, []);
});

test('many connections that say little are served at once', () => {
  const world = new World();
  assert.deepEqual(world.talk(1_000, { forMs: 5_000, perMs: 1, workMs: 0.1 }), []);
});

test('after silence the first is served at once', () => {
  const world = new World();
  world.talk(1_000, { forMs: 64, perMs: 5, workMs: 0.25 });
  world.nowMs += 10_000;
  assert.deepEqual(world.talk(1_000, { forMs: 10, perMs: 5, workMs: 0.25 }), []);
});

test('an interval of none: never', () => {
  assert.deepEqual(new World(0).talk(1_000, { forMs: 200, perMs: 5, workMs: 0.25 }), []);
});
