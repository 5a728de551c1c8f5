/** Everybody comes online at the same moment, until all see all of their contacts; goes offline, and again. */
import { makeCircles, logInCircle, memberOf, statusNumber, type Circle } from '../circles.ts';
import type { Bench } from '../bench.ts';
import type { LoadClient } from '../client.ts';
import { isPresence } from '../scanner.ts';
import type { Scenario } from '../scenario.ts';

export const presenceStorm: Scenario = {
  name: 'presence-storm',
  summary: 'All users become available at once, see all their contacts, leave, and again; arrivals.',
  options: {
    circles: { default: 10, help: 'circles of users who are all subscribed to each other' },
    contacts: { default: 20, help: 'contacts of each user' },
  },
  async run(bench) {
    const circles = await makeCircles(bench, bench.number('circles'), bench.number('contacts') + 1);
    const storms = await Promise.all(
      circles.map(async (circle) => {
        const clients = await logInCircle(bench, circle.locals);
        return new Storm(bench, circle, clients);
      }),
    );
    await bench.barrier();
    for (const storm of storms) storm.begin();
    await bench.warmUp();
    await bench.timed('presence-storm', 'arrival');
    for (const storm of storms) storm.isFinishing = true;
    await bench.until(() => storms.every((storm) => storm.isOver));
    for (const storm of storms) storm.end();
  },
};

class Storm {
  isFinishing = false;
  private readonly bench: Bench;
  private readonly circle: Circle;
  private readonly clients: readonly LoadClient[];
  private round = 0;
  /** By who looks and who is looked at: the round in which that contact was seen last. */
  private readonly seen: Int32Array;
  private missing = 0;
  private startedAt = 0;

  constructor(bench: Bench, circle: Circle, clients: readonly LoadClient[]) {
    this.bench = bench;
    this.circle = circle;
    this.clients = clients;
    this.seen = new Int32Array(clients.length ** 2);
    for (const [member, client] of clients.entries()) {
      client.listen((bytes, start, end) => {
        if (isPresence(bytes, start)) this.take(member, bytes, start, end);
      });
    }
  }

  begin(): void {
    this.round++;
    this.missing = this.clients.length * (this.clients.length - 1);
    this.startedAt = performance.now();
    for (const client of this.clients) client.send(`<presence><status>${this.round}</status></presence>`);
  }

  get isOver(): boolean {
    return this.missing === 0;
  }

  end(): void {
    if (this.missing > 0)
      this.bench.fault('lost', `${this.circle.locals[0]}’s circle: not everybody saw everybody in round ${this.round}`, this.missing);
    for (const client of this.clients) client.close();
  }

  /** A contact may be seen twice in a round: by its own presence and as the answer to a probe (RFC 6121 §4.3). */
  private take(member: number, bytes: Buffer, start: number, end: number): void {
    const number = statusNumber(bytes, start, end);
    const contact = memberOf(bytes, start, end);
    if (Number.isNaN(number) || Number.isNaN(contact) || contact === member) return;
    const at = member * this.clients.length + contact;
    if (number < this.seen[at]!) this.bench.fault('reordered', `${this.circle.locals[member]} got ${bytes.toString('utf8', start, end)}`);
    if (number !== this.round || this.seen[at] === number) return;
    this.seen[at] = number;
    if (--this.missing > 0) return;
    this.bench.count(this.clients.length);
    this.bench.latency.record((performance.now() - this.startedAt) * 1_000);
    for (const client of this.clients) client.send(`<presence type='unavailable'/>`);
    if (!this.isFinishing) this.begin();
  }
}
