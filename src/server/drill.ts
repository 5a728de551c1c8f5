/**
 * For crash drills (bench/drill), never for operators: where the environment has ROOKERY_DRILL, the server can be told to break.
 *
 *   1          commands that make actors throw and end worker threads
 *   early-ack  the same, and a store that says of every commit at once that it is durable: a broken commit order on purpose, to see
 *              that a drill finds it. The store's own writing has to be slow for that: ROOKERY_STORE_GATHER=200ms
 */
import { randomInt } from 'node:crypto';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { z } from 'zod';
import { commandTable, type CommandTable } from '../core/command.ts';
import type { CrashMoment } from '../kernel/kernel.ts';
import { settledCommit } from '../store/commit.ts';
import type { Store } from '../store/store.ts';
import type { Server } from './server.ts';
import type { ActorView } from './worker-control.ts';

const VARIABLE = 'ROOKERY_DRILL';
const MAX_ACTORS = 100_000;
const MAX_CRASHES = 1_000;

const MODE = takeMode();

/** Worker threads have it from the main thread; the environment loses it, as the configuration refuses variables it does not know. */
function takeMode(): string | undefined {
  if (!isMainThread) return getEnvironmentData(VARIABLE) as string | undefined;
  const mode = process.env[VARIABLE];
  delete process.env[VARIABLE];
  if (mode !== undefined) setEnvironmentData(VARIABLE, mode);
  return mode;
}

/** `commands`, and in a drill those that break things. */
export function withDrillCommands(commands: CommandTable, current: () => Server): CommandTable {
  return MODE === undefined ? commands : new Map([...commands, ...drillCommands(current)]);
}

/** The store a worker is given: in mode `early-ack` one that lies, else `store` itself. */
export function storeForDrill(store: Store): Store {
  if (MODE !== 'early-ack') return store;
  const lying: Partial<Store> = {
    commit(batch, expect) {
      store.commit(batch, expect);
      return settledCommit();
    },
  };
  return new Proxy(store, {
    get: (target, name) => {
      const value: unknown = lying[name as keyof Store] ?? Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function drillCommands(current: () => Server): CommandTable {
  return commandTable([
    {
      name: 'drill crash',
      summary: 'Make actors of one kind throw',
      role: 'operator',
      args: z.strictObject({
        kind: z.string().max(100),
        count: z.int().min(1).max(MAX_CRASHES).default(1),
        /** At once, or in place of handling the next message. */
        moment: z.enum(['now', 'next_message']).default('now'),
        /** Only actors whose description begins with it. */
        whose: z.string().max(3_071).default(''),
      }),
      run: (order: CrashOrder) => crashActors(current(), order),
    },
    {
      name: 'drill kill-worker',
      summary: 'End a worker thread, or any, as a crash would',
      role: 'operator',
      args: z.strictObject({ worker: z.int().min(0).max(255).optional() }),
      run: async ({ worker }: { worker?: number | undefined }) => {
        const running = current().workers.filter(({ index, state }) => state === 'running' && (worker === undefined || index === worker));
        const victim = running[randomInt(Math.max(running.length, 1))];
        if (victim === undefined) throw new Error('no such worker is running');
        await victim.kill();
        return { worker: victim.index };
      },
    },
  ]);
}

interface CrashOrder {
  readonly kind: string;
  readonly count: number;
  readonly moment: CrashMoment;
  readonly whose: string;
}

/** @returns those that were there to crash. */
async function crashActors(server: Server, { kind, count, moment, whose }: CrashOrder): Promise<ActorView[]> {
  const running = server.workers.filter(({ state }) => state === 'running');
  const actors = (await Promise.all(running.map(({ control }) => control.actors(kind, MAX_ACTORS))))
    .flat()
    .filter(({ what }) => what.startsWith(whose));
  const crashed: ActorView[] = [];
  while (crashed.length < count && actors.length > 0) {
    const actor = actors.splice(randomInt(actors.length), 1)[0]!;
    const worker = running.find(({ index }) => index === actor.worker)!;
    if (await worker.control.crashActor(actor.id, moment)) crashed.push(actor);
  }
  return crashed;
}
