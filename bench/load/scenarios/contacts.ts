/** Logins of users whose contacts are online: what a login costs in a server that is in use. */
import { pause, type Bench } from '../bench.ts';
import { logInCircle, logInMember, makeCircles, memberOf, type Circle } from '../circles.ts';
import type { LoadClient } from '../client.ts';
import { attributeText, isPresence, TYPE } from '../scanner.ts';
import type { Scenario } from '../scenario.ts';

/** The member who comes and goes. */
const GUEST = 0;
const AFTER_FAILURE_MS = 50;

export const contacts: Scenario = {
  name: 'contacts',
  summary: 'Users log in, see all their contacts, are seen by them, and leave, again and again; users.',
  options: {
    circles: { default: 10, help: 'circles of users who are all subscribed to each other; one of each comes and goes' },
    contacts: { default: 20, help: 'contacts of each user' },
  },
  async run(bench) {
    const circles = await makeCircles(bench, bench.number('circles'), bench.number('contacts') + 1);
    const visits = await Promise.all(
      circles.map(async (circle) => {
        const hosts = await logInCircle(bench, circle.locals.slice(1));
        for (const host of hosts) {
          host.send('<presence/>');
          await host.ping();
        }
        return new Visits(bench, circle, hosts);
      }),
    );
    let isOver = false;
    const loops = visits.map(async (each) => {
      while (!isOver && (await each.visit()));
    });
    await bench.warmUp();
    await bench.timed('contacts', 'user');
    isOver = true;
    await Promise.all(loops);
    for (const each of visits) each.end();
  },
};

class Visits {
  private readonly bench: Bench;
  private readonly circle: Circle;
  private readonly hosts: readonly LoadClient[];
  /** Contacts that know whether the guest is there. */
  private informed = 0;
  private isThere = false;
  private readonly knows: boolean[];

  constructor(bench: Bench, circle: Circle, hosts: readonly LoadClient[]) {
    this.bench = bench;
    this.circle = circle;
    this.hosts = hosts;
    this.knows = hosts.map(() => false);
    for (const [at, host] of hosts.entries()) {
      host.listen((bytes, start, end) => {
        if (!isPresence(bytes, start) || memberOf(bytes, start, end) !== GUEST) return;
        const isAvailable = attributeText(bytes, start, end, TYPE) !== 'unavailable';
        if (isAvailable === this.isThere && !this.knows[at]) {
          this.knows[at] = true;
          this.informed++;
        }
      });
    }
  }

  /** One login and logout; false: presence was lost, so what comes next would not be understood. */
  async visit(): Promise<boolean> {
    const { bench, circle, hosts } = this;
    const local = circle.locals[GUEST]!;
    try {
      const started = performance.now();
      this.expect(true);
      const client = await logInMember(bench, local);
      const seen = new Set<number>();
      client.listen((bytes, start, end) => {
        const member = isPresence(bytes, start) ? memberOf(bytes, start, end) : Number.NaN;
        if (!Number.isNaN(member) && member !== GUEST) seen.add(member);
      });
      client.send('<presence/>');
      if (!(await bench.until(() => seen.size >= hosts.length && this.informed >= hosts.length))) {
        bench.fault('lost', `${local} saw ${seen.size} and was seen by ${this.informed} of ${hosts.length} contacts`);
        return false;
      }
      bench.latency.record((performance.now() - started) * 1_000);
      bench.count(1);
      this.expect(false);
      await client.leave();
      if (await bench.until(() => this.informed >= hosts.length)) return true;
      bench.fault('lost', `${local}: ${hosts.length - this.informed} contacts were not told that it had left`);
    } catch (error) {
      bench.fault('failed', `${local}: ${(error as Error).message}`);
      await pause(AFTER_FAILURE_MS);
      return true;
    }
    return false;
  }

  end(): void {
    for (const host of this.hosts) host.close();
  }

  private expect(isThere: boolean): void {
    this.isThere = isThere;
    this.informed = 0;
    this.knows.fill(false);
  }
}
