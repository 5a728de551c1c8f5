/** Everybody's connection breaks at once and everybody comes back, while others go on talking. */
import { clockMs, pause, PASSWORD, type Bench } from '../bench.ts';
import { inParallel, LoadClient } from '../client.ts';
import { Outbox, Template } from '../outbox.ts';
import { isMessage, numberOf } from '../scanner.ts';
import type { Scenario } from '../scenario.ts';
import { Sequence } from '../sequence.ts';

export const reconnect: Scenario = {
  name: 'reconnect',
  summary: 'All sessions lose their connections and come back; sessions, with latencies of messages between others meanwhile.',
  options: {
    sessions: { default: 10_000, help: 'sessions that are cut off' },
    resume: { default: true, help: 'everybody logs in anew, in place of resuming (XEP-0198)' },
    burst: { default: 1_000, help: 'of a thread, so many come back at the same time' },
    pairs: { default: 50, help: 'pairs who go on talking' },
    rate: { default: 500, help: 'their messages per second, all together, in an open loop' },
  },
  // The first talks, so that its latencies are not those of a busy generator.
  threads: 2,
  async run(bench) {
    const pairs = bench.number('pairs');
    const talk = bench.index === 0 ? await Talk.begin(bench, pairs) : undefined;
    const stormers = Math.max(1, bench.threads - 1);
    const mine: number[] = [];
    if (bench.threads === 1 || bench.index > 0) {
      const first = bench.threads === 1 ? 0 : bench.index - 1;
      for (let i = first; i < bench.number('sessions'); i += stormers) mine.push(2 * pairs + i);
    }
    const clients = await logInAll(bench, mine);
    await bench.barrier();
    const talking = talk?.run();
    await bench.warmUp();
    const before = bench.countedByAll;
    await bench.barrier();
    await bench.section({ name: 'reconnect', unit: 'session' }, async () => {
      for (const client of clients) client.close();
      await inParallel([...clients.keys()], bench.number('burst'), async (at) => {
        clients[at] = await comeBack(bench, clients[at]!);
      });
      await bench.until(() => bench.countedByAll - before >= bench.number('sessions'));
    });
    if (talk !== undefined) talk.isOver = true;
    await talking;
    bench.doing('asking each whether it is there');
    const back = clients.filter((client) => client.isOpen);
    await inParallel(back, bench.number('width'), (client) =>
      client.ping().catch((error: Error) => bench.fault('failed', `${client.local}: ${error.message}`)),
    );
    await talk?.end();
    for (const client of clients) client.close();
  },
};

async function logInAll(bench: Bench, indices: readonly number[]): Promise<LoadClient[]> {
  const clients = await bench.logIn(indices, { hasPresence: false });
  await inParallel(clients, bench.number('width'), async (client) => {
    if (bench.flag('resume')) await client.enable(true);
    client.send('<presence/>');
    await client.ping();
  });
  return clients;
}

async function comeBack(bench: Bench, previous: LoadClient): Promise<LoadClient> {
  const { local } = previous;
  try {
    const client = await LoadClient.open(bench.target, local);
    if (bench.flag('resume')) {
      await client.authenticate(PASSWORD, bench.mechanism);
      await client.resume(previous);
    } else {
      await client.logIn(PASSWORD, bench.mechanism, 'bench');
      client.send('<presence/>');
    }
    bench.count(1);
    return client;
  } catch (error) {
    bench.fault('failed', `${local}: ${(error as Error).message}`);
    bench.count(1);
    return previous;
  }
}

/** Messages that are due at fixed moments. */
class Talk {
  isOver = false;
  private readonly bench: Bench;
  private readonly clients: readonly LoadClient[];
  private readonly inboxes: Sequence[] = [];
  private readonly sent: number[] = [];
  private startMs = 0;

  private constructor(bench: Bench, clients: readonly LoadClient[]) {
    this.bench = bench;
    this.clients = clients;
    for (let pair = 0; 2 * pair < clients.length; pair++) {
      const inbox = new Sequence();
      this.inboxes.push(inbox);
      this.sent.push(0);
      clients[2 * pair]!.listen(() => undefined);
      clients[2 * pair + 1]!.listen((bytes, start, end) => {
        if (!isMessage(bytes, start)) return;
        const number = numberOf(bench.tokenBytes, bytes, start, end);
        if (!Number.isNaN(number) && inbox.take(number)) bench.latency.record((clockMs() - this.dueMs(pair, number)) * 1_000);
      });
    }
  }

  static async begin(bench: Bench, pairs: number): Promise<Talk> {
    return new Talk(bench, await bench.logIn(Array.from({ length: 2 * pairs }, (_, index) => index)));
  }

  async run(): Promise<void> {
    const { bench, clients, sent } = this;
    const outbox = new Outbox();
    const templates = sent.map((_, pair) => new Template(clients[2 * pair + 1]!.jid, bench.token, 'x'.repeat(100)));
    this.startMs = clockMs();
    while (!this.isOver) {
      const now = clockMs();
      for (const [pair, template] of templates.entries()) {
        for (; this.dueMs(pair, sent[pair]! + 1) <= now; outbox.flush(clients[2 * pair]!)) {
          outbox.add(clients[2 * pair]!, template, ++sent[pair]!);
        }
      }
      await pause(1);
    }
  }

  async end(): Promise<void> {
    const { bench, inboxes, sent, clients } = this;
    await bench.until(() => inboxes.every((inbox, pair) => inbox.next > sent[pair]!));
    for (const [pair, inbox] of inboxes.entries()) bench.judge(inbox, sent[pair]!, clients[2 * pair + 1]!.local);
    for (const client of clients) client.close();
  }

  private dueMs(pair: number, number: number): number {
    return this.startMs + (((number - 1) * this.sent.length + pair) * 1_000) / this.bench.number('rate');
  }
}
