/** Presence that goes to many: in each circle one member after the other says something new, when everybody has heard the one before. */
import type { Bench } from '../bench.ts';
import { logInCircle, makeCircles, memberOf, statusNumber, type Circle } from '../circles.ts';
import type { LoadClient } from '../client.ts';
import { isPresence } from '../scanner.ts';
import type { Scenario } from '../scenario.ts';

export const presenceBroadcast: Scenario = {
  name: 'presence-broadcast',
  summary: 'Users change their presence, which all contacts get; presences that arrived.',
  options: {
    circles: { default: 10, help: 'circles of users who are all subscribed to each other' },
    contacts: { default: 20, help: 'contacts of each user' },
  },
  async run(bench) {
    const circles = await makeCircles(bench, bench.number('circles'), bench.number('contacts') + 1);
    const broadcasts = await Promise.all(
      circles.map(async (circle) => {
        const clients = await logInCircle(bench, circle.locals);
        for (const client of clients) {
          client.send('<presence/>');
          await client.ping();
        }
        return new Broadcast(bench, circle, clients);
      }),
    );
    await bench.barrier();
    for (const broadcast of broadcasts) broadcast.next();
    await bench.warmUp();
    await bench.timed('presence-broadcast', 'presence');
    for (const broadcast of broadcasts) broadcast.isFinishing = true;
    await bench.until(() => broadcasts.every((broadcast) => broadcast.isOver));
    for (const broadcast of broadcasts) broadcast.end();
  },
};

class Broadcast {
  isFinishing = false;
  private readonly bench: Bench;
  private readonly circle: Circle;
  private readonly clients: readonly LoadClient[];
  /** Of the one under way, which is this member's modulo the members. */
  private number = 0;
  private missing = 0;
  private sentAt = 0;
  /** The number each member has heard last. */
  private readonly heard: number[];

  constructor(bench: Bench, circle: Circle, clients: readonly LoadClient[]) {
    this.bench = bench;
    this.circle = circle;
    this.clients = clients;
    this.heard = clients.map(() => 0);
    for (const [member, client] of clients.entries()) {
      client.listen((bytes, start, end) => {
        if (isPresence(bytes, start)) this.take(member, bytes, start, end);
      });
    }
  }

  next(): void {
    if (this.isFinishing) return;
    this.number++;
    this.missing = this.clients.length - 1;
    this.sentAt = performance.now();
    this.clients[this.number % this.clients.length]!.send(`<presence><show>away</show><status>${this.number}</status></presence>`);
  }

  get isOver(): boolean {
    return this.missing === 0;
  }

  end(): void {
    if (this.missing > 0) this.bench.fault('lost', `presence ${this.number} of ${this.circle.locals[0]}’s circle`, this.missing);
    for (const client of this.clients) client.close();
  }

  private take(member: number, bytes: Buffer, start: number, end: number): void {
    const number = statusNumber(bytes, start, end);
    // What is of the time before, and what a server reflects to its sender, does not count.
    if (Number.isNaN(number) || memberOf(bytes, start, end) === member) return;
    const { bench } = this;
    const name = (): string => `${this.circle.locals[member]} got ${bytes.toString('utf8', start, end)}`;
    if (number < this.number || number <= this.heard[member]!) return bench.fault('doubled', name());
    if (number > this.number || memberOf(bytes, start, end) !== number % this.clients.length) return bench.fault('unexpected', name());
    this.heard[member] = number;
    bench.count(1);
    bench.latency.record((performance.now() - this.sentAt) * 1_000);
    if (--this.missing === 0) this.next();
  }
}
