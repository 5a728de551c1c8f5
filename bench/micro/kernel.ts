/**
 * The kernel's hot paths: nanoseconds per operation here, microseconds per envelope between two real threads.
 *
 *   node bench/micro/kernel.ts [--json] [name…]
 */
import { isMainThread, MessageChannel, parentPort, Worker, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { defineMachine } from '../../src/kernel/actor.ts';
import type { ActorRef, Barrier, Message, ReplyTo } from '../../src/kernel/actor.ts';
import { ManualClock } from '../../src/kernel/clock.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { MAIL, Mailbox, SegmentPool } from '../../src/kernel/mailbox.ts';
import { Timer, TimerWheel } from '../../src/kernel/timers.ts';
import { report } from './results.ts';

const ROUNDS = 7;

/** The best of several rounds: the machine is shared, and the best is what the code costs. */
function best(rounds: number, run: () => number): number {
  let least = Infinity;
  for (let i = 0; i < rounds; i++) least = Math.min(least, run());
  return least;
}

function timed(operations: number, run: () => void): number {
  const start = performance.now();
  run();
  return ((performance.now() - start) * 1e6) / operations;
}

interface Ball extends Message {
  readonly kind: 'ball';
  readonly to: ActorRef<Ball>;
  readonly back: ActorRef<Ball>;
}

interface Left {
  count: number;
}

/** Sends the ball on while any are left. */
const player = defineMachine<'on', Left, Ball, Left>({
  name: 'player',
  initial: 'on',
  init: (left) => left,
  states: {
    on(left, event, turn) {
      if (event.kind === 'ball' && left.count-- > 0) turn.send(event.back, { kind: 'ball', to: event.back, back: event.to });
      return 'on';
    },
  },
});

/** Counts what it gets. */
const counter = defineMachine<'on', Left, Message, Left>({
  name: 'counter',
  initial: 'on',
  init: (left) => left,
  states: {
    on(left) {
      left.count++;
      return 'on';
    },
  },
});

const MESSAGE = { kind: 'tick' } as const;

function pingPong(): number {
  const kernel = new Kernel({ clock: new ManualClock() });
  const left: Left = { count: 0 };
  const [a, b] = [kernel.spawn(player, left), kernel.spawn(player, left)];
  kernel.runUntilIdle();
  return best(ROUNDS, () => {
    left.count = 1_000_000;
    kernel.send(a, { kind: 'ball', to: a, back: b });
    return timed(1_000_000, () => kernel.runUntilIdle());
  });
}

/** Many actors, one message each per round, all to one: its mailbox fills and empties. */
function fanIn(): number {
  const kernel = new Kernel({ clock: new ManualClock() });
  const total: Left = { count: 0 };
  const sink = kernel.spawn(counter, total);
  const source = defineMachine<'on', null, Message, null>({
    name: 'source',
    initial: 'on',
    init: () => null,
    states: {
      on(_data, _event, turn) {
        turn.send(sink, MESSAGE);
        return 'on';
      },
    },
  });
  const sources = Array.from({ length: 500 }, () => kernel.spawn(source, null));
  kernel.runUntilIdle();
  return best(ROUNDS, () =>
    timed(1000 * sources.length * 2, () => {
      for (let round = 0; round < 1000; round++) {
        for (const ref of sources) kernel.send(ref, MESSAGE);
        kernel.runUntilIdle();
      }
    }),
  );
}

/** A ring of many actors, so that cells are not in the cache: what a full server sees. */
function coldRing(): number {
  const kernel = new Kernel({ clock: new ManualClock() });
  const count = 100_000;
  const hops: Left = { count: 0 };
  const refs: ActorRef<Message>[] = [];
  const member = defineMachine<'on', { next: number }, Message, number>({
    name: 'member',
    initial: 'on',
    init: (next) => ({ next }),
    states: {
      on(data, _event, turn) {
        if (hops.count-- > 0) turn.send(refs[data.next]!, MESSAGE);
        return 'on';
      },
    },
  });
  for (let i = 0; i < count; i++) refs.push(kernel.spawn(member, (i * 7919 + 1) % count));
  kernel.runUntilIdle();
  return best(3, () => {
    hops.count = 1_000_000;
    for (let i = 0; i < 64; i++) kernel.send(refs[i * 1000]!, MESSAGE);
    return timed(1_000_000, () => kernel.runUntilIdle());
  });
}

function named(): number {
  const kernel = new Kernel({ clock: new ManualClock() });
  const total: Left = { count: 0 };
  kernel.registerEntity({ kind: 'account', machine: counter, args: () => total });
  const keys = Array.from({ length: 1000 }, (_, i) => `user${i}@capulet.lit`);
  const sender = defineMachine<'on', null, Message, null>({
    name: 'sender',
    initial: 'on',
    init: () => null,
    states: {
      on(_data, _event, turn) {
        for (const key of keys) turn.sendTo('account', key, MESSAGE);
        return 'on';
      },
    },
  });
  const ref = kernel.spawn(sender, null);
  return best(ROUNDS, () =>
    timed(300 * keys.length, () => {
      for (let i = 0; i < 300; i++) {
        kernel.send(ref, MESSAGE);
        kernel.runUntilIdle();
      }
    }),
  );
}

interface Question extends Message {
  readonly kind: 'question';
  readonly replyTo: ReplyTo;
}

function asking(): number {
  const kernel = new Kernel({ clock: new ManualClock() });
  const answerer = kernel.spawn(
    defineMachine<'on', null, Question, null>({
      name: 'answerer',
      initial: 'on',
      init: () => null,
      states: {
        on(_data, event, turn) {
          if (event.kind === 'question') turn.reply(event.replyTo, 1);
          return 'on';
        },
      },
    }),
    null,
  );
  const left: Left = { count: 0 };
  const asker = kernel.spawn(
    defineMachine<'on', Left, Message, Left>({
      name: 'asker',
      initial: 'on',
      init: (data) => data,
      states: {
        on(data, _event, turn) {
          if (data.count-- > 0) turn.ask('q', answerer, 10_000, (replyTo): Question => ({ kind: 'question', replyTo }));
          return 'on';
        },
      },
    }),
    left,
  );
  return best(ROUNDS, () => {
    left.count = 200_000;
    kernel.send(asker, MESSAGE);
    return timed(200_000, () => kernel.runUntilIdle());
  });
}

/** As an account does: every turn holds the commit that all turns of its slice share, and sends. */
function holding(): number {
  const kernel = new Kernel({ clock: new ManualClock() });
  const total: Left = { count: 0 };
  const sink = kernel.spawn(counter, total);
  let callbacks: (() => void)[] = [];
  let barrier: Barrier & { settled: boolean };
  const renew = (): void => {
    barrier = { settled: false, error: undefined, onSettled: (callback) => void callbacks.push(callback) };
  };
  const holder = defineMachine<'on', null, Message, null>({
    name: 'holder',
    initial: 'on',
    init: () => null,
    states: {
      on(_data, _event, turn) {
        turn.hold(barrier);
        turn.send(sink, MESSAGE);
        return 'on';
      },
    },
  });
  const holders = Array.from({ length: 20 }, () => kernel.spawn(holder, null));
  kernel.runUntilIdle();
  return best(ROUNDS, () =>
    timed(200 * holders.length * 40 * 2, () => {
      for (let round = 0; round < 200; round++) {
        renew();
        for (const ref of holders) for (let i = 0; i < 40; i++) kernel.send(ref, MESSAGE);
        kernel.runUntilIdle();
        barrier.settled = true;
        const settled = callbacks;
        callbacks = [];
        for (const callback of settled) callback();
        kernel.runUntilIdle();
      }
    }),
  );
}

function mailbox(): number {
  const box = new Mailbox({ maxMessages: 1e6, maxBytes: 1e9 }, new SegmentPool());
  return best(ROUNDS, () =>
    timed(2_000_000, () => {
      for (let round = 0; round < 20_000; round++) {
        for (let i = 0; i < 100; i++) box.post(MESSAGE, undefined, MAIL);
        for (let i = 0; i < 100; i++) {
          const { flags } = box;
          box.drop();
          box.discount(flags);
        }
      }
    }),
  );
}

class NullTimer extends Timer {
  fire(): void {}
}

function timers(restart: boolean): number {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const all = Array.from({ length: 10_000 }, () => new NullTimer());
  for (const timer of all) wheel.start(timer, 60_000, 0);
  return best(ROUNDS, () =>
    timed(100 * all.length, () => {
      for (let round = 0; round < 100; round++) {
        for (const timer of all) {
          if (!restart) wheel.cancel(timer);
          wheel.start(timer, 60_000 + round, 0);
        }
      }
    }),
  );
}

const LINE = {
  key: 'juliet@capulet.lit',
  from: 'romeo@montague.lit/orchard',
  type: 'chat',
  lang: 'en',
  body: '<body>'.padEnd(200, 'Wherefore art thou? '),
};

interface Line extends Message {
  readonly kind: 'line';
  readonly n: number;
  readonly key: string;
  readonly from: string;
  readonly type: string;
  readonly lang: string;
  readonly body: string;
  readonly replyTo: ActorRef<Message> | undefined;
}

interface ThreadData {
  readonly port: MessagePort;
}

/** The same kernel on both sides: lines with a codec, and an acknowledgement after each batch. */
function bridgeKernel(worker: number): Kernel {
  const kernel = new Kernel({ worker, workers: 2, limits: { mailbox: { maxMessages: 1e6, maxBytes: 1e9 } } });
  kernel.registerCodec<Line>('line', {
    write({ n, key, from, type, lang, body, replyTo }, out) {
      out.push(n, key, from, type, lang, body, replyTo === undefined ? 0 : replyTo.id);
    },
    read(input, cursor) {
      const { at } = cursor;
      cursor.at = at + 7;
      const id = input[at + 6] as number;
      return {
        kind: 'line',
        n: input[at] as number,
        key: input[at + 1] as string,
        from: input[at + 2] as string,
        type: input[at + 3] as string,
        lang: input[at + 4] as string,
        body: input[at + 5] as string,
        replyTo: id === 0 ? undefined : { node: 0, worker: 1 - worker, id },
      };
    },
  });
  return kernel;
}

/** Sends every line back that asks for it. */
const echo = defineMachine<'on', null, Line, null>({
  name: 'echo',
  initial: 'on',
  init: () => null,
  states: {
    on(_data, event, turn) {
      if (event.kind === 'line' && event.replyTo !== undefined) turn.send(event.replyTo, { kind: 'ack' });
      return 'on';
    },
  },
});

function thread(): void {
  const { port } = workerData as ThreadData;
  const kernel = bridgeKernel(1);
  kernel.connect(0, port);
  parentPort!.postMessage(kernel.spawn(echo, null));
}

/** Batches of `size` lines, `window` batches on the way: throughput per envelope. */
async function bridge(kernel: Kernel, target: ActorRef<Line>, size: number, window: number): Promise<number> {
  const batches = size === 1 ? 40_000 : Math.ceil(400_000 / size);
  let over: () => void;
  let left = 0;
  const driver = kernel.spawn(
    defineMachine<'on', null, Message, null>({
      name: 'driver',
      initial: 'on',
      init: () => null,
      states: {
        on(_data, event, turn) {
          if (event.kind === 'ack' && --left === 0) over();
          if (event.kind !== 'ack' || left >= window) {
            for (let i = 1; i <= size; i++) turn.send(target, { kind: 'line', n: i, ...LINE, replyTo: i === size ? turn.self : undefined });
          }
          return 'on';
        },
      },
    }),
    null,
  );
  let least = Infinity;
  for (let round = 0; round < 4; round++) {
    const done = new Promise<void>((resolve) => {
      over = resolve;
    });
    left = batches;
    const start = performance.now();
    for (let i = 0; i < window; i++) kernel.send(driver, MESSAGE);
    await done;
    least = Math.min(least, ((performance.now() - start) * 1e3) / (batches * size));
  }
  kernel.stop(driver);
  return least;
}

async function bridges(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL(import.meta.url), { workerData: { port: port2 } satisfies ThreadData, transferList: [port2] });
  const kernel = bridgeKernel(0);
  kernel.connect(1, port1);
  const target = await new Promise<ActorRef<Line>>((resolve) => worker.once('message', resolve));
  report('bridge, batches of 1, one on the way (round trip)', await bridge(kernel, target, 1, 1), 'us');
  report('bridge, batches of 1, 64 on the way', await bridge(kernel, target, 1, 64), 'us');
  report('bridge, batches of 16', await bridge(kernel, target, 16, 8), 'us');
  report('bridge, batches of 256', await bridge(kernel, target, 256, 8), 'us');
  await worker.terminate();
  kernel.close();
}

async function main(): Promise<void> {
  const wanted = process.argv.slice(2).filter((each) => !each.startsWith('--'));
  const local: [name: string, run: () => number][] = [
    ['mailbox: post and take', mailbox],
    ['timer: cancel and start', () => timers(false)],
    ['timer: restart', () => timers(true)],
    ['send + turn, ping-pong', pingPong],
    ['send + turn, fan-in of 500', fanIn],
    ['send + turn, ring of 100,000 actors', coldRing],
    ['send by name + turn, 1,000 keys', named],
    ['ask + answer (two turns)', asking],
    ['send + turn, all held (shared barrier)', holding],
  ];
  for (const [name, run] of local) if (wanted.length === 0 || wanted.some((each) => name.includes(each))) report(name, run(), 'ns');
  if (wanted.length === 0 || wanted.includes('bridge')) await bridges();
}

if (isMainThread) await main();
else thread();
