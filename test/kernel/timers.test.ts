import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/kernel/clock.ts';
import { Timer, TimerWheel } from '../../src/kernel/timers.ts';
import { forSeeds } from './fixture.ts';

class TestTimer extends Timer {
  readonly name: string;
  readonly onFire: (timer: TestTimer) => void;
  constructor(name: string, onFire: (timer: TestTimer) => void) {
    super();
    this.name = name;
    this.onFire = onFire;
  }
  fire(): void {
    this.onFire(this);
  }
}

function setup(options = { tickMs: 1, slots: 64 }, startMs = 0) {
  const clock = new ManualClock(startMs);
  const wheel = new TimerWheel(clock, options);
  const fired: [name: string, atMs: number][] = [];
  const timer = (name: string): TestTimer => new TestTimer(name, () => fired.push([name, clock.monotonicMs()]));
  return { clock, wheel, fired, timer };
}

test('a timer fires once, when its time has come', () => {
  const { clock, wheel, fired, timer } = setup();
  wheel.start(timer('a'), 30);
  clock.advance(29);
  assert.deepEqual(fired, []);
  clock.advance(1);
  assert.deepEqual(fired, [['a', 30]]);
  clock.advance(1000);
  assert.equal(fired.length, 1);
  assert.equal(wheel.size, 0);
  assert.equal(clock.pending, 0);
});

test('timers fire in order of their deadlines, whatever order they were started in', () => {
  const { clock, wheel, fired, timer } = setup({ tickMs: 10, slots: 64 });
  for (const ms of [29, 21, 25, 40, 3]) wheel.start(timer(String(ms)), ms);
  clock.advance(100);
  assert.deepEqual(
    fired.map(([name]) => name),
    ['3', '21', '25', '29', '40'],
  );
});

test('a timer further ahead than a revolution of the wheel waits for its own', () => {
  const { clock, wheel, fired, timer } = setup();
  wheel.start(timer('far'), 64 * 10 + 5);
  clock.advance(640);
  assert.deepEqual(fired, []);
  clock.advance(5);
  assert.deepEqual(fired, [['far', 645]]);
});

test('restarting moves the deadline: later and earlier', () => {
  const { clock, wheel, fired, timer } = setup();
  const [later, earlier] = [timer('later'), timer('earlier')];
  wheel.start(later, 20);
  wheel.start(earlier, 500);
  clock.advance(10);
  wheel.start(later, 200);
  wheel.start(earlier, 5);
  clock.advance(190);
  assert.deepEqual(fired, [['earlier', 15]]);
  clock.advance(10);
  assert.deepEqual(fired.at(-1), ['later', 210]);
  assert.equal(wheel.size, 0);
});

test('a cancelled timer does not fire, even if another one cancels it in the same tick', () => {
  const { clock, wheel, fired, timer } = setup();
  const victim = timer('victim');
  const killer = new TestTimer('killer', () => wheel.cancel(victim));
  wheel.start(killer, 10);
  wheel.start(victim, 10);
  const gone = timer('gone');
  wheel.start(gone, 5);
  wheel.cancel(gone);
  wheel.cancel(gone);
  clock.advance(100);
  assert.deepEqual(fired, []);
  assert.equal(wheel.size, 0);
});

test('a timer may restart itself, and one that is due in the same tick', () => {
  const { clock, wheel, fired, timer } = setup();
  const other = timer('other');
  let left = 3;
  const again = new TestTimer('again', (self) => {
    fired.push(['again', clock.monotonicMs()]);
    wheel.start(other, 7);
    if (--left > 0) wheel.start(self, 10);
  });
  wheel.start(again, 10);
  wheel.start(other, 10);
  clock.advance(100);
  assert.deepEqual(fired, [
    ['again', 10],
    ['other', 17],
    ['again', 20],
    ['other', 27],
    ['again', 30],
    ['other', 37],
  ]);
});

test('a clock that jumps far ahead fires everything that was due, in order', () => {
  let now = 0;
  const scheduled: (() => void)[] = [];
  const clock = {
    now: () => now,
    monotonicMs: () => now,
    schedule: (_ms: number, run: () => void) => {
      scheduled.push(run);
      return () => void scheduled.splice(scheduled.indexOf(run), 1);
    },
    immediate: () => undefined,
  };
  const wheel = new TimerWheel(clock, { tickMs: 1, slots: 32 });
  const fired: string[] = [];
  for (const ms of [500, 5, 77, 31, 32, 33, 100_000]) wheel.start(new TestTimer(String(ms), ({ name }) => fired.push(name)), ms);
  now = 50_000;
  scheduled.shift()!();
  assert.deepEqual(fired, ['5', '31', '32', '33', '77', '500']);
  assert.equal(wheel.size, 1);
});

test('one appointment with the clock serves all timers', () => {
  const { clock, wheel, timer } = setup();
  for (let i = 0; i < 100; i++) wheel.start(timer(String(i)), 10 + (i % 50));
  assert.equal(clock.pending, 1);
  wheel.close();
  assert.equal(clock.pending, 0);
  assert.equal(wheel.size, 0);
});

for (const options of [
  { tickMs: 1, slots: 32 },
  { tickMs: 10, slots: 64 },
  { tickMs: 7, slots: 4096 },
]) {
  test(`any schedule of starts, restarts and cancels agrees with a list (tick ${options.tickMs} ms, ${options.slots} slots)`, () => {
    forSeeds(120, (choose) => {
      const { clock, wheel, fired, timer } = setup(options, choose(10_000));
      const timers = Array.from({ length: 12 }, (_, index) => timer(String(index)));
      const model = new Map<string, number>();
      for (let step = 0; step < 120; step++) {
        const one = timers[choose(timers.length)]!;
        switch (choose(4)) {
          case 0:
          case 1: {
            const delayMs = choose([5, 60, 400, 20_000][choose(4)]!);
            wheel.start(one, delayMs);
            model.set(one.name, clock.monotonicMs() + delayMs);
            break;
          }
          case 2:
            wheel.cancel(one);
            model.delete(one.name);
            break;
          default: {
            fired.length = 0;
            const before = clock.monotonicMs();
            clock.advance(choose([3, 50, 1000, 15_000][choose(4)]!));
            const now = clock.monotonicMs();
            for (const [name, atMs] of fired) {
              const deadline = model.get(name);
              assert.ok(deadline !== undefined, `${name} fired without being started`);
              assert.ok(atMs >= deadline, `${name} fired ${deadline - atMs} ms early`);
              assert.ok(atMs <= Math.max(deadline, before) + 2 * options.tickMs, `${name} fired ${atMs - deadline} ms late`);
              model.delete(name);
            }
            for (const [name, deadline] of model) assert.ok(deadline > now - 2 * options.tickMs, `${name} did not fire`);
            for (let i = 1; i < fired.length; i++) assert.ok(fired[i]![1] >= fired[i - 1]![1]);
          }
        }
        assert.equal(wheel.size, model.size);
      }
    });
  });
}
