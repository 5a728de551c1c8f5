import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExitReason } from '../../src/kernel/actor.ts';
import { ManualClock } from '../../src/kernel/clock.ts';
import { actorChild, Supervisor, supervisorChild } from '../../src/kernel/supervisor.ts';
import type { ChildHandle, ChildSpec, RestartPolicy, Strategy, SupervisorSpec } from '../../src/kernel/supervisor.ts';
import { forSeeds, makeKernel, makeLog, recorder, settle } from './fixture.ts';

const CRASH: ExitReason = { kind: 'crash', error: 'on purpose' };
const NORMAL: ExitReason = { kind: 'normal', why: 'done' };

/** A child that writes what happens to it into a shared journal. */
class TestChild {
  readonly id: string;
  readonly journal: string[];
  readonly restart: RestartPolicy;
  exit: ((reason: ExitReason) => void) | undefined;
  isUp = false;
  /** How many of the next starts fail. */
  failures = 0;
  /** Never finishes stopping. */
  isStuck = false;
  /** Set: the start waits for it. */
  gate: Promise<void> | undefined;

  constructor(id: string, journal: string[], restart: RestartPolicy = 'permanent') {
    this.id = id;
    this.journal = journal;
    this.restart = restart;
  }

  get spec(): ChildSpec {
    return {
      id: this.id,
      restart: this.restart,
      shutdownMs: 100,
      start: async (onExit): Promise<ChildHandle> => {
        await this.gate;
        if (this.failures > 0) {
          this.failures--;
          this.journal.push(`!${this.id}`);
          throw new Error(`${this.id} cannot start`);
        }
        this.journal.push(`+${this.id}`);
        this.isUp = true;
        this.exit = (reason) => {
          this.isUp = false;
          onExit(reason);
        };
        return {
          stop: async () => {
            this.journal.push(`-${this.id}`);
            this.isUp = false;
            if (this.isStuck) await new Promise(() => undefined);
          },
          kill: () => void this.journal.push(`x${this.id}`),
        };
      },
    };
  }
}

function setup(
  strategy: Strategy,
  policies: Record<string, RestartPolicy> = { a: 'permanent', b: 'permanent', c: 'permanent' },
  more: Partial<SupervisorSpec> = {},
) {
  const clock = new ManualClock();
  const journal: string[] = [];
  const children = Object.fromEntries(Object.entries(policies).map(([id, restart]) => [id, new TestChild(id, journal, restart)]));
  const givenUp: ExitReason[] = [];
  const supervisor = new Supervisor(
    {
      id: 'top',
      strategy,
      intensity: { maxRestarts: 3, withinMs: 10_000 },
      backoff: { minMs: 10, maxMs: 80 },
      clock,
      children: Object.values(children).map(({ spec }) => spec),
      ...more,
    },
    (reason) => givenUp.push(reason),
  );
  /** Lets promises come to rest and `ms` pass. */
  const pass = async (ms = 0): Promise<void> => {
    await settle();
    for (let left = ms; left > 0; left -= 5) {
      clock.advance(5);
      await settle(2);
    }
  };
  /** What happened since the last call. */
  const news = (): string => journal.splice(0).join(' ');
  return { clock, supervisor, children, givenUp, pass, news };
}

const STRATEGIES: readonly { strategy: Strategy; crash: string; readonly follows: string }[] = [
  { strategy: 'one_for_one', crash: 'b', follows: '+b' },
  { strategy: 'rest_for_one', crash: 'b', follows: '-c +b +c' },
  { strategy: 'rest_for_one', crash: 'c', follows: '+c' },
  { strategy: 'rest_for_one', crash: 'a', follows: '-c -b +a +b +c' },
  { strategy: 'one_for_all', crash: 'b', follows: '-c -a +a +b +c' },
];

for (const { strategy, crash, follows } of STRATEGIES) {
  test(`${strategy}: when ${crash} of a b c crashes: ${follows}`, async () => {
    const { supervisor, children, pass, news } = setup(strategy);
    await supervisor.start();
    assert.equal(news(), '+a +b +c');
    children[crash]!.exit!(CRASH);
    await pass(20);
    assert.equal(news(), follows);
    assert.deepEqual(
      supervisor.report().map(({ state }) => state),
      ['up', 'up', 'up'],
    );
    await supervisor.stop('over');
    assert.equal(news(), '-c -b -a');
  });
}

const POLICIES: readonly { restart: RestartPolicy; reason: ExitReason; isRestarted: boolean }[] = [
  { restart: 'permanent', reason: NORMAL, isRestarted: true },
  { restart: 'permanent', reason: CRASH, isRestarted: true },
  { restart: 'transient', reason: NORMAL, isRestarted: false },
  { restart: 'transient', reason: CRASH, isRestarted: true },
  { restart: 'transient', reason: { kind: 'killed', why: 'drill' }, isRestarted: true },
  { restart: 'temporary', reason: NORMAL, isRestarted: false },
  { restart: 'temporary', reason: CRASH, isRestarted: false },
];

for (const { restart, reason, isRestarted } of POLICIES) {
  test(`a ${restart} child that ends with ${reason.kind} is ${isRestarted ? '' : 'not '}started again`, async () => {
    const { supervisor, children, pass, news } = setup('one_for_one', { a: restart });
    await supervisor.start();
    news();
    children['a']!.exit!(reason);
    await pass(20);
    assert.equal(news(), isRestarted ? '+a' : '');
  });
}

test('a child that is over for good is not started again because of a sibling', async () => {
  const { supervisor, children, pass, news } = setup('one_for_all', { a: 'permanent', b: 'transient', c: 'temporary' });
  await supervisor.start();
  children['b']!.exit!(NORMAL);
  await pass();
  news();
  children['a']!.exit!(CRASH);
  await pass(20);
  assert.equal(news(), '-c +a');
});

test('more restarts than the intensity allows: all children are stopped, and the parent is told once', async () => {
  const { supervisor, children, givenUp, pass, news } = setup('one_for_one');
  await supervisor.start();
  for (let i = 0; i < 3; i++) {
    children['b']!.exit!(CRASH);
    await pass(100);
  }
  assert.deepEqual(givenUp, []);
  news();
  children['c']!.exit!(CRASH);
  await pass(100);
  assert.equal(news(), '-b -a');
  assert.deepEqual(givenUp, [{ kind: 'crash', error: 'top: c ended too often, last with: on purpose' }]);
  children['a']!.exit?.(CRASH);
  await pass(100);
  assert.equal(news(), '');
});

test('slower crashes than the intensity go on for ever', async () => {
  const { supervisor, children, givenUp, pass } = setup('one_for_one');
  await supervisor.start();
  for (let i = 0; i < 8; i++) {
    children['a']!.exit!(CRASH);
    await pass(3_400);
  }
  assert.deepEqual(givenUp, []);
  assert.ok(children['a']!.isUp);
});

test('the wait before a restart doubles with each crash of the same child, up to a limit', async () => {
  const { supervisor, children, pass, clock } = setup(
    'one_for_one',
    { a: 'permanent', b: 'permanent' },
    { intensity: { maxRestarts: 20, withinMs: 60_000 } },
  );
  await supervisor.start();
  const waits: number[] = [];
  for (let i = 0; i < 6; i++) {
    const sinceMs = clock.now();
    children['a']!.exit!(CRASH);
    while (!children['a']!.isUp) await pass(5);
    waits.push(clock.now() - sinceMs);
  }
  assert.deepEqual(waits, [10, 20, 40, 80, 80, 80]);
  const sinceMs = clock.now();
  children['b']!.exit!(CRASH);
  while (!children['b']!.isUp) await pass(5);
  assert.equal(clock.now() - sinceMs, 10);
});

test('with one_for_one the wait of one child does not delay another', async () => {
  const { supervisor, children, pass, news } = setup(
    'one_for_one',
    { a: 'permanent', b: 'permanent' },
    { backoff: { minMs: 1_000, maxMs: 1_000 } },
  );
  await supervisor.start();
  news();
  children['a']!.exit!(CRASH);
  await pass(900);
  children['b']!.exit!(CRASH);
  await pass(105);
  assert.equal(news(), '+a');
  await pass(900);
  assert.equal(news(), '+b');
});

test('a start that fails counts as a crash and is tried again', async () => {
  const { supervisor, children, pass, news } = setup('rest_for_one');
  await supervisor.start();
  news();
  children['b']!.failures = 2;
  children['a']!.exit!(CRASH);
  await pass(200);
  assert.equal(news(), '-c -b +a !b !b +b +c');
});

test('a start that keeps failing exhausts the intensity', async () => {
  const { supervisor, children, givenUp, pass, news } = setup('one_for_one', { a: 'permanent', b: 'permanent' });
  await supervisor.start();
  news();
  children['b']!.failures = 100;
  children['b']!.exit!(CRASH);
  await pass(500);
  assert.equal(news(), '!b !b !b -a');
  assert.equal(givenUp.length, 1);
});

test('the first start fails as a whole, with the error of the child, after stopping the others', async () => {
  const { supervisor, children, news } = setup('one_for_one');
  children['c']!.failures = 1;
  await assert.rejects(supervisor.start(), /c cannot start/);
  assert.equal(news(), '+a +b !c -b -a');
});

test('stop calls off a restart that waits', async () => {
  const { supervisor, children, pass, news } = setup(
    'one_for_one',
    { a: 'permanent', b: 'permanent' },
    { backoff: { minMs: 60_000, maxMs: 60_000 } },
  );
  await supervisor.start();
  news();
  children['a']!.exit!(CRASH);
  await pass(5);
  await supervisor.stop('over');
  await pass(100);
  assert.equal(news(), '-b');
});

test('a child that is just starting when the supervisor stops is stopped too', async () => {
  const { supervisor, children, pass, news } = setup('one_for_one', { a: 'permanent' });
  await supervisor.start();
  news();
  const gate = Promise.withResolvers<void>();
  children['a']!.gate = gate.promise;
  children['a']!.exit!(CRASH);
  await pass(20);
  const stopped = supervisor.stop('over');
  gate.resolve();
  await pass();
  await stopped;
  assert.equal(news(), '+a -a');
  assert.equal(children['a']!.isUp, false);
});

test('a child whose start ends after the supervisor has given up waiting for it is stopped all the same', async () => {
  const { supervisor, children, pass, news } = setup('one_for_one', { a: 'permanent' });
  await supervisor.start();
  const gate = Promise.withResolvers<void>();
  children['a']!.gate = gate.promise;
  children['a']!.exit!(CRASH);
  await pass(20);
  news();
  let isOver = false;
  void supervisor.stop('over').then(() => (isOver = true));
  await pass(110);
  assert.ok(isOver);
  gate.resolve();
  await pass();
  assert.equal(news(), '+a -a');
});

test('a child that does not stop within shutdownMs is killed, and the others follow', async () => {
  const { supervisor, children, pass, news } = setup('one_for_one');
  await supervisor.start();
  news();
  children['b']!.isStuck = true;
  let isOver = false;
  void supervisor.stop('over').then(() => (isOver = true));
  await pass(95);
  assert.equal(news(), '-c -b');
  await pass(10);
  assert.equal(news(), 'xb -a');
  assert.ok(isOver);
});

test('a nested supervisor that gives up is one crash of one child', async () => {
  const clock = new ManualClock();
  const journal: string[] = [];
  const [inner, outer] = [new TestChild('inner', journal), new TestChild('outer', journal)];
  const givenUp: ExitReason[] = [];
  const nested = supervisorChild(
    {
      id: 'nested',
      strategy: 'one_for_one',
      intensity: { maxRestarts: 1, withinMs: 10_000 },
      backoff: { minMs: 1, maxMs: 1 },
      clock,
      children: [inner.spec],
    },
    'permanent',
    100,
  );
  const top = new Supervisor(
    {
      id: 'top',
      strategy: 'one_for_all',
      intensity: { maxRestarts: 1, withinMs: 10_000 },
      backoff: { minMs: 1, maxMs: 1 },
      clock,
      children: [nested, outer.spec],
    },
    (reason) => givenUp.push(reason),
  );
  const pass = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) {
      await settle();
      clock.advance(1);
    }
  };
  await top.start();
  for (const expected of ['+inner', '-outer +inner +outer', '+inner', '-outer']) {
    journal.length = 0;
    inner.exit!(CRASH);
    await pass();
    assert.equal(journal.join(' '), expected);
  }
  assert.equal(givenUp.length, 1);
  assert.match((givenUp[0] as { error: string }).error, /top: nested ended too often, last with: nested: inner ended too often/);
});

test('an actor as a child: its intensity first, then the supervisor', async () => {
  const { kernel, run, clock } = makeKernel();
  const log = makeLog();
  const machine = { ...recorder, intensity: { maxRestarts: 1, withinMs: 10_000 } };
  const supervisor = new Supervisor(
    {
      id: 'actors',
      strategy: 'one_for_one',
      intensity: { maxRestarts: 1, withinMs: 10_000 },
      backoff: { minMs: 1, maxMs: 1 },
      clock,
      children: [actorChild(kernel, machine, { log }, 'permanent', 100)],
    },
    () => undefined,
  );
  await supervisor.start();
  run();
  const first = kernel.list()[0]!.ref;
  for (let i = 0; i < 2; i++) {
    kernel.crash(first, new Error('drill'));
    run();
  }
  assert.equal(log.lives, 2);
  await settle();
  clock.advance(5);
  await settle();
  run();
  assert.equal(log.lives, 3);
  assert.notDeepEqual(kernel.list()[0]!.ref, first);
  const stopped = supervisor.stop('over');
  await settle();
  run();
  await stopped;
  assert.equal(kernel.inspect().actors, 0);
});

test('any schedule of crashes ends with all children up, or all down and the parent told', async () => {
  const cases: Promise<void>[] = [];
  forSeeds(40, (choose, seed) => {
    const strategy = (['one_for_one', 'rest_for_one', 'one_for_all'] as const)[choose(3)]!;
    const run = async (): Promise<void> => {
      const { supervisor, children, givenUp, pass } = setup(strategy, undefined, {
        intensity: { maxRestarts: 1 + choose(12), withinMs: 10_000 },
      });
      await supervisor.start();
      const all = Object.values(children);
      for (let step = 0; step < 15; step++) {
        const child = all[choose(all.length)]!;
        if (choose(4) === 0) child.failures = choose(3);
        if (child.isUp) child.exit!(choose(2) === 0 ? CRASH : NORMAL);
        await pass(choose(6) * 5);
      }
      await pass(1_000);
      const states = supervisor.report().map(({ state }) => state);
      if (givenUp.length === 0) assert.deepEqual(states, ['up', 'up', 'up'], `seed ${seed}`);
      else assert.deepEqual(states, ['down', 'down', 'down'], `seed ${seed}`);
      assert.deepEqual(
        all.map(({ isUp }) => isUp),
        all.map(() => givenUp.length === 0),
        `seed ${seed}`,
      );
      assert.ok(givenUp.length <= 1);
      await supervisor.stop('over');
      assert.ok(
        all.every(({ isUp }) => !isUp),
        `seed ${seed}`,
      );
    };
    cases.push(run());
  });
  await Promise.all(cases);
});
