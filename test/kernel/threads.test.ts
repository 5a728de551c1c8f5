/** The bridge and the mesh between real threads, and threads that die. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { ExitReason } from '../../src/kernel/actor.ts';
import type { Inspection } from '../../src/kernel/inspection.ts';
import { Mesh, threadMember } from '../../src/kernel/mesh.ts';
import { homeWorker } from '../../src/kernel/registry.ts';
import { Supervisor } from '../../src/kernel/supervisor.ts';
import type { ChildSpec } from '../../src/kernel/supervisor.ts';
import type { Commands } from './mesh-worker.ts';

function keyAt(worker: number, workers: number): string {
  for (let i = 0; ; i++) if (homeWorker(`key${i}`, workers) === worker) return `key${i}`;
}

/** A started thread and its commands. */
class TestThread {
  readonly thread: Worker;
  readonly #waiting = new Map<number, (answer: { value?: unknown; error?: string }) => void>();
  #next = 1;

  constructor(worker: number, workers: number) {
    this.thread = new Worker(new URL('./mesh-worker.ts', import.meta.url), { workerData: { worker, workers } });
    this.thread.on('message', ({ id, ...answer }: { id: number; value?: unknown; error?: string }) => {
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
    this.thread.on('error', () => undefined); // told by its exit
    this.thread.on('exit', () => {
      for (const answer of this.#waiting.values()) answer({ error: 'the thread ended' });
    });
  }

  call<N extends keyof Commands>(name: N, ...args: Parameters<Commands[N]>): ReturnType<Commands[N]> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ value, error }) => (error === undefined ? resolve(value) : reject(new Error(error))));
      this.thread.postMessage({ id, name, args });
    }) as ReturnType<Commands[N]>;
  }
}

class TestServer implements AsyncDisposable {
  readonly threads: TestThread[] = [];
  readonly mesh = new Mesh();
  readonly #workers: number;

  constructor(workers: number) {
    this.#workers = workers;
  }

  static async of(workers: number): Promise<TestServer> {
    const server = new TestServer(workers);
    for (let worker = 0; worker < workers; worker++) await server.start(worker);
    return server;
  }

  async start(worker: number): Promise<TestThread> {
    const thread = new TestThread(worker, this.#workers);
    this.threads[worker] = thread;
    await this.mesh.add(worker, threadMember(thread.thread));
    return thread;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.threads.map(({ thread }) => thread.terminate()));
  }
}

test('thousands of messages from two threads to rooms on all arrive in order', { timeout: 60_000 }, async () => {
  await using server = await TestServer.of(3);
  const keys = [0, 1, 2].map((worker) => keyAt(worker, 3));
  await Promise.all([0, 1].flatMap((from) => keys.map((key) => server.threads[from]!.call('flood', key, 6_000, 400))));
  for (const key of keys) assert.deepEqual(await server.threads[2]!.call('report', key), { ok: true, value: { total: 12_000, wrong: 0 } });
  const { bridges, asks, bounced } = (await server.threads[0]!.call('inspect')) as Inspection;
  assert.equal(asks, 0);
  assert.deepEqual(bounced, { mailbox_full: 0, no_actor: 0, worker_down: 0, bridge_full: 0 });
  for (const { queuedEnvelopes } of bridges) assert.equal(queuedEnvelopes, 0);
});

test(
  'a thread that is terminated: monitors are told, questions fail, and when it is back its entities are reachable again',
  { timeout: 60_000 },
  async () => {
    await using server = await TestServer.of(2);
    const [survivor, victim] = [server.threads[0]!, server.threads[1]!];
    const key = keyAt(1, 2);
    const who = (await survivor.call('attach', key)) as { value: { node: number; worker: number; id: number } };
    assert.equal(who.value.worker, 1);
    await survivor.call('flood', key, 10, 10);
    await victim.thread.terminate();
    const events = (await survivor.call('events', 2)) as { kind: string }[];
    assert.deepEqual(
      events.toSorted((one, other) => (one.kind < other.kind ? -1 : 1)),
      [
        { kind: 'down', ref: who.value, reason: { kind: 'worker_down', worker: 1 } },
        { kind: 'reply', name: 'never', ok: false, failure: 'worker_down' },
      ],
    );
    await survivor.call('tell', key);
    assert.deepEqual(await survivor.call('events', 1), [
      { kind: 'bounced', message: { kind: 'count', from: 'tell0', n: 0 }, reason: 'worker_down' },
    ]);
    assert.deepEqual(await survivor.call('report', key), { ok: false, failure: 'worker_down' });

    await server.mesh.remove(1);
    await server.start(1);
    await survivor.call('flood', key, 10, 10);
    assert.deepEqual(await survivor.call('report', key), { ok: true, value: { total: 10, wrong: 0 } });
    const again = (await survivor.call('attach', key)) as typeof who;
    assert.notEqual(again.value.id, who.value.id, 'the old reference is not used again');
  },
);

test('what was posted to a thread whose event loop stands still comes back when it is terminated', { timeout: 60_000 }, async () => {
  await using server = await TestServer.of(2);
  const [survivor, victim] = [server.threads[0]!, server.threads[1]!];
  const key = keyAt(1, 2);
  await survivor.call('tell', key);
  assert.deepEqual(await survivor.call('report', key), { ok: true, value: { total: 1, wrong: 0 } });
  await victim.call('stall');
  for (let i = 0; i < 3; i++) await survivor.call('tell', key);
  await victim.thread.terminate();
  const bounced = { kind: 'bounced', message: { kind: 'count', from: 'tell0', n: 0 }, reason: 'worker_down' };
  assert.deepEqual(await survivor.call('events', 3), [bounced, bounced, bounced]);
});

test('a supervisor restarts a thread that dies of an uncaught error, and the mesh reaches it', { timeout: 60_000 }, async () => {
  await using server = new TestServer(2);
  const reasons: ExitReason[] = [];
  const child = (worker: number): ChildSpec => ({
    id: `worker ${worker}`,
    restart: 'permanent',
    shutdownMs: 5_000,
    async start(onExit) {
      const started = await server.start(worker);
      started.thread.once('exit', async () => {
        const reason: ExitReason = { kind: 'crash', error: 'the thread ended' };
        reasons.push(reason);
        await server.mesh.remove(worker);
        onExit(reason);
      });
      return {
        stop: async () => {
          await started.call('stop');
          await started.thread.terminate();
        },
      };
    },
  });
  const ups: string[] = [];
  const up = Promise.withResolvers<void>();
  const supervisor = new Supervisor(
    {
      id: 'workers',
      strategy: 'one_for_one',
      intensity: { maxRestarts: 3, withinMs: 10_000 },
      backoff: { minMs: 1, maxMs: 10 },
      children: [child(0), child(1)],
      observer: {
        childUp: (_supervisor, id) => {
          ups.push(id);
          if (ups.length === 3) up.resolve();
        },
      },
    },
    () => undefined,
  );
  await supervisor.start();
  const key = keyAt(1, 2);
  await server.threads[0]!.call('flood', key, 100, 10);
  await server.threads[1]!.call('throw');
  await up.promise;
  assert.deepEqual(ups, ['worker 0', 'worker 1', 'worker 1']);
  await server.threads[0]!.call('flood', key, 100, 10);
  assert.deepEqual(await server.threads[0]!.call('report', key), { ok: true, value: { total: 100, wrong: 0 } });
  await supervisor.stop('test over');
  assert.deepEqual(
    supervisor.report().map(({ state }) => state),
    ['down', 'down'],
  );
});

test('threads that are killed at any moment of heavy traffic leave the others running', { timeout: 60_000 }, async () => {
  await using server = await TestServer.of(3);
  const key = keyAt(0, 3);
  for (let round = 0; round < 5; round++) {
    const victim = 1 + (round % 2);
    const flooding = [server.threads[1]!.call('flood', key, 50_000, 400), server.threads[2]!.call('flood', key, 50_000, 400)];
    const over = Promise.allSettled(flooding);
    await server.threads[0]!.call('report', key);
    await server.threads[victim]!.thread.terminate();
    await server.mesh.remove(victim);
    const alive = server.threads[3 - victim]!;
    assert.equal(((await alive.call('report', key)) as { ok: boolean }).ok, true);
    await server.threads[3 - victim]!.thread.terminate();
    await server.mesh.remove(3 - victim);
    await over;
    await server.start(1);
    await server.start(2);
  }
  const { monitors, asks, bridges } = (await server.threads[0]!.call('inspect')) as Inspection;
  assert.deepEqual({ monitors, asks }, { monitors: 0, asks: 0 });
  assert.deepEqual(
    bridges.map(({ worker, isUp, queuedEnvelopes }) => [worker, isUp, queuedEnvelopes]),
    [
      [1, true, 0],
      [2, true, 0],
    ],
  );
});
