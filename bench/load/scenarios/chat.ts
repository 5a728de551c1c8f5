/** One-to-one messages in a closed loop: as soon as one has arrived the next is sent. */
import type { Bench } from '../bench.ts';
import type { LoadClient } from '../client.ts';
import { Outbox, Template } from '../outbox.ts';
import { isMessage, numberOf } from '../scanner.ts';
import type { Scenario } from '../scenario.ts';
import { Sequence } from '../sequence.ts';

export const chat: Scenario = {
  name: 'chat',
  summary: 'Pairs exchange messages, so many of each pair under way; messages that arrived.',
  options: {
    pairs: { default: 200, help: 'pairs of clients' },
    window: { default: 1, help: 'messages of one pair under way' },
    bytes: { default: 100, help: 'length of a body' },
  },
  async run(bench) {
    const shares = bench.share(bench.number('pairs'));
    const clients = await bench.logIn(shares.flatMap((pair) => [2 * pair, 2 * pair + 1]));
    const outbox = new Outbox();
    const pairs = shares.map((_, at) => new Pair(bench, outbox, clients[2 * at]!, clients[2 * at + 1]!));
    await bench.barrier();
    for (const pair of pairs) pair.start();
    await bench.warmUp();
    await bench.timed('chat', 'message');
    bench.doing('waiting for the last messages');
    for (const pair of pairs) pair.finish();
    await bench.until(() => pairs.every((pair) => pair.isOver));
    for (const pair of pairs) pair.judge();
    for (const client of clients) client.close();
  },
};

/** Sender and recipient of messages in one direction. */
class Pair {
  private readonly bench: Bench;
  private readonly outbox: Outbox;
  private readonly sender: LoadClient;
  private readonly recipient: LoadClient;
  private readonly template: Template;
  private readonly received = new Sequence();
  private readonly window: number;
  /** When each that is under way was sent, by number modulo the window. */
  private readonly sentAt: Float64Array;
  private sent = 0;
  /** Arrived since the last write: as many are sent in the next. */
  private owed = 0;
  private isFinishing = false;

  constructor(bench: Bench, outbox: Outbox, sender: LoadClient, recipient: LoadClient) {
    this.bench = bench;
    this.outbox = outbox;
    this.sender = sender;
    this.recipient = recipient;
    this.window = bench.number('window');
    this.sentAt = new Float64Array(this.window);
    this.template = new Template(recipient.jid, bench.token, 'x'.repeat(bench.number('bytes')));
    sender.listen((bytes, start, end) => {
      if (isMessage(bytes, start)) bench.fault('unexpected', `${sender.local} got ${bytes.toString('utf8', start, end)}`);
    });
    recipient.listen((bytes, start, end) => this.arrive(bytes, start, end));
    recipient.onRead(() => this.send());
  }

  start(): void {
    this.owed = this.window;
    this.send();
  }

  /** One message more: once it has arrived, whatever has not is lost. */
  finish(): void {
    this.isFinishing = true;
    this.outbox.add(this.sender, this.template, ++this.sent);
    this.outbox.flush(this.sender);
  }

  get isOver(): boolean {
    return this.received.next > this.sent || !this.recipient.isOpen || !this.sender.isOpen;
  }

  judge(): void {
    this.bench.judge(this.received, this.sent, `${this.sender.local} to ${this.recipient.local}`);
  }

  private arrive(bytes: Buffer, start: number, end: number): void {
    if (!isMessage(bytes, start)) return;
    const number = numberOf(this.bench.tokenBytes, bytes, start, end);
    if (Number.isNaN(number)) return;
    if (!this.received.take(number)) return;
    this.bench.latency.record((performance.now() - this.sentAt[number % this.window]!) * 1_000);
    this.bench.count(1);
    this.owed++;
  }

  private send(): void {
    if (this.isFinishing || this.owed === 0) return;
    const now = performance.now();
    for (; this.owed > 0; this.owed--) {
      this.sent++;
      this.sentAt[this.sent % this.window] = now;
      this.outbox.add(this.sender, this.template, this.sent);
    }
    this.outbox.flush(this.sender);
  }
}
