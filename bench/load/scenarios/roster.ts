/** Roster sets (RFC 6121 §2.3), one under way for each client, which is over when its result and its push have come. */
import type { Bench } from '../bench.ts';
import type { LoadClient } from '../client.ts';
import { attributeText, contains, ID, isIq, TYPE } from '../scanner.ts';
import type { Scenario } from '../scenario.ts';

const ROSTER = Buffer.from('jabber:iq:roster');

export const roster: Scenario = {
  name: 'roster',
  summary: 'Clients change their rosters, one change after the other; changes that were answered and pushed.',
  options: {
    clients: { default: 100, help: 'clients' },
    items: { default: 50, help: 'items in each roster, which take turns' },
  },
  async run(bench) {
    const clients = await bench.logIn(bench.share(bench.number('clients')));
    const setters = clients.map((client) => new Setter(bench, client));
    // Only who has asked for the roster gets pushes (§2.1.6).
    for (const client of clients)
      await client.ask(`<iq type='get' id='all'><query xmlns='jabber:iq:roster'/></iq>`, /<iq [^>]*id=['"]all['"]/);
    await bench.barrier();
    for (const setter of setters) setter.start();
    await bench.warmUp();
    await bench.timed('roster', 'change');
    for (const setter of setters) setter.isFinishing = true;
    await bench.until(() => setters.every((setter) => setter.isOver));
    for (const setter of setters) setter.judge();
    for (const client of clients) client.close();
  },
};

class Setter {
  isFinishing = false;
  private readonly bench: Bench;
  private readonly client: LoadClient;
  private number = 0;
  private hasResult = true;
  private hasPush = true;
  private sentAt = 0;
  private answer = '';
  /** What the push of the change under way has to hold. */
  private wanted = Buffer.alloc(0);

  constructor(bench: Bench, client: LoadClient) {
    this.bench = bench;
    this.client = client;
  }

  start(): void {
    this.client.listen((bytes, start, end) => {
      if (isIq(bytes, start)) this.take(bytes, start, end);
    });
    this.client.onRead(() => this.next());
    this.next();
  }

  get isOver(): boolean {
    return (this.hasPush && this.hasResult) || !this.client.isOpen;
  }

  judge(): void {
    if (!this.hasResult) this.bench.fault('lost', `${this.client.local}: change ${this.number} was not answered`);
    if (!this.hasPush) this.bench.fault('lost', `${this.client.local}: change ${this.number} was not pushed`);
  }

  private take(bytes: Buffer, start: number, end: number): void {
    const id = attributeText(bytes, start, end, ID) ?? '';
    const type = attributeText(bytes, start, end, TYPE);
    if (type === 'set' && contains(bytes, start, end, ROSTER)) {
      // §2.1.6: a push is answered, here together with the next change.
      this.answer += `<iq type='result' id='${id}'/>`;
      if (!contains(bytes, start, end, this.wanted)) this.fault('reordered', bytes, start, end);
      else if (this.hasPush) this.fault('doubled', bytes, start, end);
      else this.hasPush = true;
    } else if (id === `r${this.number}`) {
      if (type !== 'result') this.fault('failed', bytes, start, end);
      else if (this.hasResult) this.fault('doubled', bytes, start, end);
      this.hasResult = true;
    } else this.fault('unexpected', bytes, start, end);
    if (this.hasPush && this.hasResult && this.sentAt !== 0) {
      this.bench.count(1);
      this.bench.latency.record((performance.now() - this.sentAt) * 1_000);
      this.sentAt = 0;
    }
  }

  private next(): void {
    let xml = this.answer;
    this.answer = '';
    if (!this.isFinishing && this.hasPush && this.hasResult) {
      const number = ++this.number;
      const item = number % this.bench.number('items');
      const name = `name ${this.bench.token} ${number}`;
      this.wanted = Buffer.from(name);
      this.hasPush = false;
      this.hasResult = false;
      this.sentAt = performance.now();
      xml += `<iq type='set' id='r${number}'><query xmlns='jabber:iq:roster'><item jid='friend${item}@friends.example' name='${name}'><group>Friends</group></item></query></iq>`;
    }
    if (xml !== '') this.client.send(xml);
  }

  private fault(kind: 'doubled' | 'reordered' | 'failed' | 'unexpected', bytes: Buffer, start: number, end: number): void {
    this.bench.fault(kind, `${this.client.local} got ${bytes.toString('utf8', start, end)}`);
  }
}
