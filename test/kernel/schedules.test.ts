/** Generated schedules over three workers: nothing is lost silently, reordered, doubled or leaked, whatever crashes when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ActorRef, Message, ReplyTo, Turn } from '../../src/kernel/actor.ts';
import { homeWorker } from '../../src/kernel/registry.ts';
import type { Codec } from '../../src/kernel/wire.ts';
import { doing, forSeeds, Ledger, makeKernel, makeLog, note, recorder, TestBarrier, TestCluster } from './fixture.ts';
import type { Log, Note, RecorderArgs } from './fixture.ts';

const WORKERS = 3;
const KEYS = ['k0', 'k1', 'k2', 'k3', 'k4'];

const noteCodec: Codec<Note> = {
  write: ({ n, from }, out) => void out.push(n, from),
  read: (input, cursor) => note(input[cursor.at++] as number, { from: input[cursor.at++] as string }),
};

interface Options {
  readonly withCrashes: boolean;
  readonly withDeaths: boolean;
}

interface Sender {
  readonly name: string;
  readonly worker: number;
  ref: ActorRef<Message>;
  log: Log;
  readonly ledger: Ledger;
  n: number;
}

interface RoomArgs extends RecorderArgs {
  readonly ledger: Ledger;
}

/** A recorder that tells `ledger` when a failed barrier, or its end, drops what it held. */
function keeping(ledger: Ledger, intensity = { maxRestarts: 1e9, withinMs: 1 }): Partial<typeof recorder> {
  return {
    recover: ({ data, hasLostHeld }, { log }, turn) => {
      if (hasLostHeld) ledger.drop();
      log.lives++;
      ledger.finish(turn);
      return { state: 'one', data };
    },
    terminate: (_data, _state, { kind }) => {
      // All has left, unless it is the last barrier that failed.
      if (kind === 'crash') ledger.drop();
    },
    intensity,
  };
}

function check(choose: (count: number) => number, options: Options): void {
  const barriers: TestBarrier[] = [];
  const logs = new Map<string, Log>(KEYS.map((key) => [key, makeLog()]));
  const ledgers = new Map<string, Ledger>(KEYS.map((key) => [key, new Ledger()]));
  const hold = (turn: Turn<Message>): void => {
    if (barriers.length === 0 || choose(3) === 0) barriers.push(new TestBarrier());
    turn.hold(barriers.at(-1)!);
  };
  const isCoded = choose(2) === 0;
  const limits = {
    turnBudget: 1 + choose(6),
    batchEnvelopes: 1 + choose(5),
    maxUnackedEnvelopes: 1 + choose(20),
    maxHeldTurns: 1 + choose(6),
    intensity: { maxRestarts: 1e9, withinMs: 1 },
  };
  const cluster = new TestCluster(WORKERS, (worker, incarnation, clock) => {
    const made = makeKernel({ worker, workers: WORKERS, incarnation, clock, limits });
    if (isCoded) made.kernel.registerCodec('note', noteCodec);
    made.kernel.registerEntity({
      kind: 'room',
      // What differs between rooms comes with their arguments; a machine is shared.
      machine: {
        ...recorder,
        recover: (crash, args, turn) => keeping((args as RoomArgs).ledger).recover!(crash, args, turn),
        terminate: (data, state, reason) => keeping((data.args as RoomArgs).ledger).terminate!(data, state, reason),
      },
      args: (key): RoomArgs => ({
        log: logs.get(key)!,
        ledger: ledgers.get(key)!,
        onInit: (turn) => ledgers.get(key)!.finish(turn),
        onEvent: (event: Message, turn: Turn<Message>) => {
          if (event.kind !== 'note') return undefined;
          // Before anything else, so that a message counts as handled once only.
          if (options.withCrashes && choose(25) === 0)
            turn.send(
              turn.self,
              doing(() => {
                throw new Error('drill');
              }),
            );
          if (choose(10) === 0) hold(turn);
          if (choose(15) === 0) turn.stop('idle');
          const { replyTo } = event as Note;
          if (replyTo !== undefined) turn.reply(replyTo, (event as Note).n);
          ledgers.get(key)!.finish(turn);
          return choose(5) === 0 ? 'two' : 'one';
        },
      }),
    });
    return made;
  });
  const senders: Sender[] = Array.from({ length: 4 }, (_, index) => {
    const ledger = new Ledger();
    return { name: `s${index}`, worker: index % WORKERS, ledger, ...cluster.at(index % WORKERS).record({}, keeping(ledger)), n: 0 };
  });
  /** What left its sender. */
  const sent = new Map<string, number[]>();
  const asked: { sender: Sender; name: string }[] = [];
  const died = new Set<Sender>();

  const act = (): void => {
    switch (choose(options.withDeaths ? 12 : 11)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const sender = senders[choose(senders.length)]!;
        const key = KEYS[choose(KEYS.length)]!;
        if (died.has(sender)) return;
        const isHeld = choose(6) === 0;
        cluster.at(sender.worker).kernel.send(
          sender.ref,
          doing((turn) => {
            if (isHeld) hold(turn);
            const n = sender.n++;
            const id = `${sender.name}>${key}`;
            turn.effect(() => sent.set(id, [...(sent.get(id) ?? []), n]));
            turn.sendTo('room', key, note(n, { from: id }));
            if (options.withCrashes && choose(8) === 0) throw new Error('drill');
            sender.ledger.finish(turn);
          }),
        );
        return;
      }
      case 4: {
        const sender = senders[choose(senders.length)]!;
        const key = KEYS[choose(KEYS.length)]!;
        if (died.has(sender)) return;
        cluster.at(sender.worker).kernel.send(
          sender.ref,
          doing((turn) => {
            const name = `${sender.name}:${sender.n++}`;
            asked.push({ sender, name });
            // Without a codec: the question carries an object.
            if (choose(4) === 0) hold(turn);
            turn.askTo(name, 'room', key, 5_000, (replyTo: ReplyTo) => ({ kind: 'question', replyTo }) as Message);
            sender.ledger.finish(turn);
          }),
        );
        return;
      }
      case 5: {
        const { kernel } = cluster.at(cluster.alive[choose(cluster.alive.length)]!);
        if (options.withCrashes && choose(4) === 0) {
          const { worker, ref } = senders[choose(senders.length)]!;
          cluster.workers[worker]?.kernel.crash(ref, new Error('drill'), choose(2) === 0 ? 'now' : 'next_message');
          return;
        }
        const ref = kernel.find('room', KEYS[choose(KEYS.length)]!);
        if (ref === undefined) return;
        if (choose(2) === 0) kernel.stop(ref);
        else if (options.withCrashes) kernel.crash(ref, new Error('drill'));
        return;
      }
      case 6: {
        const open = barriers.filter(({ settled }) => !settled);
        if (open.length > 0) open[choose(open.length)]!.settle(options.withCrashes && choose(15) === 0 ? new Error('commit') : undefined);
        return;
      }
      case 7:
      case 8:
        cluster.pumpOne(choose);
        return;
      case 11: {
        if (cluster.alive.length === WORKERS && choose(4) === 0) {
          const worker = choose(WORKERS);
          for (const sender of senders) if (sender.worker === worker) died.add(sender);
          cluster.kill(worker);
          for (const [key, ledger] of ledgers) if (homeWorker(key, WORKERS) === worker) ledger.drop();
        } else for (let worker = 0; worker < WORKERS; worker++) if (cluster.workers[worker] === undefined) cluster.start(worker);
        return;
      }
      default:
        cluster.clock.tick();
    }
  };
  for (let step = 0; step < 250; step++) act();

  for (let worker = 0; worker < WORKERS; worker++) if (cluster.workers[worker] === undefined) cluster.start(worker);
  for (let rounds = 0; rounds < 60; rounds++) {
    cluster.run();
    for (const barrier of barriers) if (!barrier.settled) barrier.settle();
  }
  cluster.clock.advance(6_000);
  cluster.run();

  const alive = senders.filter((sender) => !died.has(sender));
  for (const { name, ledger } of alive) assert.deepEqual(ledger.left, ledger.expected, `what ${name} did has left, once and in order`);
  for (const [key, ledger] of ledgers) assert.deepEqual(ledger.left, ledger.expected, `what ${key} did has left, once and in order`);
  if (!options.withCrashes && !options.withDeaths)
    for (const ledger of [...senders.map((sender) => sender.ledger), ...ledgers.values()]) assert.deepEqual(ledger.dropped, []);
  for (const key of KEYS) {
    for (const sender of senders) {
      const id = `${sender.name}>${key}`;
      const got = logs
        .get(key)!
        .seen.filter((event): event is Note => event.kind === 'note' && (event as Note).from === id)
        .map(({ n }) => n);
      for (let i = 1; i < got.length; i++) assert.ok(got[i]! > got[i - 1]!, `${id}: ${got.join(' ')} is out of order or doubled`);
      const back = sender.log.seen.flatMap((event) => {
        const { message } = event as unknown as { message?: Note };
        return event.kind === 'bounced' && message?.from === id ? [message.n] : [];
      });
      if (!options.withDeaths) {
        assert.deepEqual(got, sent.get(id) ?? [], `${id} is complete`);
        assert.deepEqual(back, []);
      }
      for (const n of back) assert.ok(!got.includes(n), `${id}: ${n} was taken and came back`);
    }
  }
  for (const { sender, name } of asked) {
    if (died.has(sender)) continue;
    const outcomes = sender.log.seen.filter((event) => event.kind === 'reply' && (event as { name: string }).name === name);
    // An asker that crashed (its own commit failed) has forgotten what it asked.
    assert.ok(outcomes.length === 1 || (outcomes.length === 0 && sender.log.lives > 1), `${name} has ${outcomes.length} outcomes`);
  }

  // Nothing is left over.
  for (const worker of cluster.alive) {
    const { kernel } = cluster.at(worker);
    const { timers, asks, monitors, watchers, machines, bridges } = kernel.inspect();
    assert.deepEqual({ timers, asks, monitors, watchers }, { timers: 0, asks: 0, monitors: 0, watchers: 0 });
    for (const { queued, queuedBytes, heldTurns } of machines)
      assert.deepEqual({ queued, queuedBytes, heldTurns }, { queued: 0, queuedBytes: 0, heldTurns: 0 });
    for (const { queuedEnvelopes, queuedBytes } of bridges)
      assert.deepEqual({ queuedEnvelopes, queuedBytes }, { queuedEnvelopes: 0, queuedBytes: 0 });
    for (const { ref } of kernel.list()) kernel.stop(ref);
  }
  cluster.run();
  for (const worker of cluster.alive) {
    const { actors, openAsks, started, ended } = cluster.at(worker).kernel.inspect();
    assert.deepEqual({ actors, openAsks }, { actors: 0, openAsks: 0 });
    assert.equal(started, ended);
  }
}

test('without faults all mail by name arrives, in order per (sender, receiver), through holds, passivation and short credit', () => {
  forSeeds(120, (choose) => check(choose, { withCrashes: false, withDeaths: false }));
});

test('with crashes of receivers and failed commits no mail is doubled or reordered, every question has one outcome, nothing leaks', () => {
  forSeeds(120, (choose) => check(choose, { withCrashes: true, withDeaths: false }), 10_000);
});

test('with workers that die and come back the same holds for all that survive', () => {
  forSeeds(120, (choose) => check(choose, { withCrashes: true, withDeaths: true }), 20_000);
});

test('with deaths alone, what a survivor sent either arrived, or came back, or was on its way to the dead', () => {
  forSeeds(60, (choose) => check(choose, { withCrashes: false, withDeaths: true }), 30_000);
});
