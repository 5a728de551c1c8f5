/** A worker thread of the thread tests: a kernel, rooms that note what they get, and a driver that does what the main thread says. */
import { parentPort, workerData } from 'node:worker_threads';
import { defineMachine } from '../../src/kernel/actor.ts';
import type { ActorRef, KernelEvent, Message, ReplyTo, Turn } from '../../src/kernel/actor.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { meshed } from '../../src/kernel/mesh.ts';

const { worker, workers } = workerData as { worker: number; workers: number };
const kernel = new Kernel({ worker, workers });

interface Count extends Message {
  readonly kind: 'count';
  readonly from: string;
  readonly n: number;
}

type RoomMessage =
  | Count
  | { readonly kind: 'report' | 'who'; readonly replyTo: ReplyTo }
  | { readonly kind: 'never'; readonly replyTo: ReplyTo };

const room = defineMachine<'open', { last: Map<string, number>; wrong: number; total: number }, RoomMessage, string>({
  name: 'room',
  initial: 'open',
  init: () => ({ last: new Map(), wrong: 0, total: 0 }),
  states: {
    open(data, event, turn) {
      if (event.kind === 'count') {
        if (event.n !== (data.last.get(event.from) ?? -1) + 1) data.wrong++;
        data.last.set(event.from, event.n);
        data.total++;
      } else if (event.kind === 'report') turn.reply(event.replyTo, { total: data.total, wrong: data.wrong });
      else if (event.kind === 'who') turn.reply(event.replyTo, turn.self);
      return 'open';
    },
  },
});
kernel.registerEntity({ kind: 'room', machine: room });
kernel.registerCodec<Count>('count', {
  write: ({ from, n }, out) => void out.push(from, n),
  read: (input, cursor) => ({ kind: 'count', from: input[cursor.at++] as string, n: input[cursor.at++] as number }),
});

interface Run extends Message {
  readonly kind: 'run';
  readonly what: (turn: Turn<Message>) => void;
}

const events: (KernelEvent | Message)[] = [];
let wanted: (() => void) | undefined;
const driver: ActorRef<Message> = kernel.spawn(
  defineMachine<'on', null, Message, null>({
    name: 'driver',
    initial: 'on',
    init: () => null,
    states: {
      on(_data, event, turn) {
        if (event.kind === 'run') (event as Run).what(turn);
        else {
          events.push(event);
          wanted?.();
        }
        return 'on';
      },
    },
  }),
  null,
);
/** Resolves when the effects of the turn have left. */
const inTurn = (what: Run['what']): Promise<void> =>
  new Promise((resolve) => {
    const run = (turn: Turn<Message>): void => {
      what(turn);
      turn.effect(resolve);
    };
    kernel.send(driver, { kind: 'run', what: run } as Run);
  });

/** What the main thread may ask for. */
const commands = {
  /** Counts up at a room, `perTurn` at a time, and starts the next turn only when the room has kept up. */
  async flood(key: string, count: number, perTurn: number): Promise<void> {
    for (let n = 0; n < count; n += perTurn) {
      const first = n;
      await inTurn((turn) => {
        for (let i = first; i < Math.min(first + perTurn, count); i++)
          turn.sendTo('room', key, { kind: 'count', from: `w${worker}`, n: i } as Count);
      });
      await kernel.askTo('room', key, 10_000, (replyTo) => ({ kind: 'who', replyTo }) as Message);
    }
  },
  async report(key: string): Promise<unknown> {
    return kernel.askTo('room', key, 5_000, (replyTo) => ({ kind: 'report', replyTo }) as Message);
  },
  /** Monitors the room, and asks it what it never answers. */
  async attach(key: string): Promise<unknown> {
    const who = await kernel.askTo('room', key, 5_000, (replyTo) => ({ kind: 'who', replyTo }) as Message);
    if (who.ok) {
      await inTurn((turn) => {
        turn.monitor(who.value as ActorRef);
        turn.askTo('never', 'room', key, 60_000, (replyTo) => ({ kind: 'never', replyTo }) as Message);
      });
    }
    return who;
  },
  /** Sends one message by name from the driver, which gets the bounce. */
  async tell(key: string): Promise<void> {
    await inTurn((turn) => turn.sendTo('room', key, { kind: 'count', from: `tell${worker}`, n: 0 } as Count));
  },
  /** The driver's events, once there are `count`. */
  async events(count: number): Promise<unknown> {
    while (events.length < count) {
      await new Promise<void>((resolve) => {
        wanted = resolve;
      });
    }
    return events.splice(0);
  },
  async inspect(): Promise<unknown> {
    return kernel.inspect();
  },
  /** The event loop stands still from now on; see below. */
  async stall(): Promise<void> {},
  async throw(): Promise<void> {
    setImmediate(() => {
      throw new Error('uncaught, on purpose');
    });
  },
  async stop(): Promise<boolean> {
    const isInOrder = await kernel.drain(2_000);
    kernel.close();
    parentPort!.close();
    return isInOrder;
  },
};

export type Commands = typeof commands;

parentPort!.on('message', (message: { id: number; name: keyof Commands; args: never[] }) => {
  if (meshed(kernel, message)) return;
  const { id, name, args } = message;
  if (name === 'stall') {
    parentPort!.postMessage({ id });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    return;
  }
  const work = (commands[name] as (...all: never[]) => Promise<unknown>)(...args);
  work.then(
    (value) => parentPort!.postMessage({ id, value }),
    (error: unknown) => parentPort!.postMessage({ id, error: String(error) }),
  );
});
