/**
 * One-to-one messages in an open loop: each has a moment at which it is due, whatever became of those before. Latencies count from that
 * moment, so a server that stalls cannot hide the messages that were not sent meanwhile (coordinated omission).
 */
import { accountName, clockMs, type Bench } from '../bench.ts';
import type { LoadClient } from '../client.ts';
import { Outbox, Template } from '../outbox.ts';
import { isMessage, numberOf } from '../scanner.ts';
import type { Scenario } from '../scenario.ts';
import { Sequence } from '../sequence.ts';

/** The first message is due so long after the start. */
const LEAD_MS = 100;
/** A sender that waits looks after its sockets at least so often. */
const MAX_SLEEP_MS = 2;
const RESOURCE = 'bench';

export const chatRate: Scenario = {
  name: 'chat-rate',
  summary: 'Pairs send messages at a fixed rate in all; messages that arrived, and their latencies from when they were due.',
  options: {
    pairs: { default: 200, help: 'pairs of clients' },
    rate: { default: 5_000, help: 'messages per second, of all pairs together' },
    bytes: { default: 100, help: 'length of a body' },
  },
  // Senders sleep between messages, with more precision than an event loop has; so recipients are in a thread of their own.
  threads: 2,
  async run(bench) {
    const schedule = new Schedule(bench);
    const senders = await logIn(bench, schedule.sends);
    const recipients = await logIn(bench, schedule.receives, true);
    const inbound = schedule.receives.map((pair, at) => new Inbound(bench, schedule, pair, recipients[at]!));
    schedule.startMs = (await bench.barrier()) + LEAD_MS;
    const sending = new Sending(bench, schedule, senders);
    const sent = sending.run();
    await bench.warmUp();
    await bench.timed('chat-rate', 'message');
    sending.isOver = true;
    await sent;
    await bench.barrier();
    bench.doing('waiting for the last messages');
    await bench.until(() => inbound.every((each) => each.isOver));
    for (const each of inbound) each.judge();
    await bench.barrier();
    for (const client of [...senders, ...recipients]) client.close();
  },
};

/** Message g of all, from 0, belongs to pair g modulo the pairs, and is due g intervals after the start. */
class Schedule {
  startMs = 0;
  readonly pairs: number;
  readonly intervalMs: number;
  /** Pairs whose sender is in this thread, and those whose recipient is. */
  readonly sends: readonly number[];
  readonly receives: readonly number[];

  constructor(bench: Bench) {
    this.pairs = bench.number('pairs');
    this.intervalMs = 1_000 / bench.number('rate');
    const all = Array.from({ length: this.pairs }, (_, pair) => pair);
    const senders = Math.max(1, bench.threads >> 1);
    const receivers = Math.max(1, bench.threads - senders);
    const receiver = bench.threads === 1 ? 0 : bench.index - senders;
    this.sends = all.filter((pair) => pair % senders === bench.index);
    this.receives = all.filter((pair) => pair % receivers === receiver);
  }

  /** `number` counts a pair's messages, from 1. */
  dueMs(pair: number, number: number): number {
    return this.startMs + ((number - 1) * this.pairs + pair) * this.intervalMs;
  }
}

async function logIn(bench: Bench, pairs: readonly number[], areRecipients = false): Promise<LoadClient[]> {
  const indices = pairs.map((pair) => 2 * pair + (areRecipients ? 1 : 0));
  return bench.logIn(indices);
}

const endToken = (bench: Bench): string => `end${bench.token}`;

class Sending {
  isOver = false;
  private readonly bench: Bench;
  private readonly schedule: Schedule;
  private readonly clients: readonly LoadClient[];

  constructor(bench: Bench, schedule: Schedule, clients: readonly LoadClient[]) {
    this.bench = bench;
    this.schedule = schedule;
    this.clients = clients;
    for (const client of clients) {
      client.listen((bytes, start, end) => {
        if (isMessage(bytes, start)) bench.fault('unexpected', `${client.local} got ${bytes.toString('utf8', start, end)}`);
      });
    }
  }

  /** Until `isOver`, and then to the end of the round, so that every pair has as many. */
  async run(): Promise<void> {
    const { bench, schedule, clients } = this;
    if (clients.length === 0) return;
    const outbox = new Outbox();
    const body = 'x'.repeat(bench.number('bytes'));
    const to = schedule.sends.map((pair) => `${accountName(2 * pair + 1)}@${bench.target.domain}/${RESOURCE}`);
    const templates = to.map((jid) => new Template(jid, bench.token, body));
    const cell = new Int32Array(new SharedArrayBuffer(4));
    // Where recipients are in the same thread, what has come is looked at after every sleep.
    const turnEveryMs = bench.threads === 1 ? 0 : MAX_SLEEP_MS;
    let turnedMs = 0;
    let number = 0;
    while (!this.isOver) {
      number++;
      for (const [at, client] of clients.entries()) {
        const dueMs = schedule.dueMs(schedule.sends[at]!, number);
        for (let waitMs = dueMs - clockMs(); waitMs > 0; waitMs = dueMs - clockMs()) {
          Atomics.wait(cell, 0, 0, Math.min(waitMs, MAX_SLEEP_MS));
          if (clockMs() - turnedMs < turnEveryMs) continue;
          await new Promise(setImmediate);
          turnedMs = clockMs();
        }
        bench.lateness.record((clockMs() - dueMs) * 1_000);
        outbox.add(client, templates[at]!, number);
        outbox.flush(client);
      }
      // Behind schedule there was no wait in the whole round, but sockets want to be looked after.
      await new Promise(setImmediate);
    }
    for (const [at, client] of clients.entries()) {
      outbox.add(client, new Template(to[at]!, endToken(bench), ''), number);
      outbox.flush(client);
    }
  }
}

/** The messages of one pair, as they arrive. */
class Inbound {
  private readonly bench: Bench;
  private readonly client: LoadClient;
  private readonly received = new Sequence();
  /** Known when the message behind the last one has arrived. */
  private sent = -1;

  constructor(bench: Bench, schedule: Schedule, pair: number, client: LoadClient) {
    this.bench = bench;
    this.client = client;
    if (!client.jid.endsWith(`/${RESOURCE}`)) throw new Error(`${client.jid} is not the resource that was asked for`);
    const ended = Buffer.from(endToken(bench));
    client.listen((bytes, start, end) => {
      if (!isMessage(bytes, start)) return;
      const number = numberOf(bench.tokenBytes, bytes, start, end);
      if (!Number.isNaN(number)) {
        if (!this.received.take(number)) return;
        bench.latency.record((clockMs() - schedule.dueMs(pair, number)) * 1_000);
        bench.count(1);
        return;
      }
      const last = numberOf(ended, bytes, start, end);
      if (!Number.isNaN(last)) this.sent = last;
    });
  }

  get isOver(): boolean {
    return this.sent !== -1 || !this.client.isOpen;
  }

  judge(): void {
    if (this.sent === -1) this.bench.fault('lost', `${this.client.local}: the last message did not arrive`);
    else this.bench.judge(this.received, this.sent, this.client.local);
  }
}
