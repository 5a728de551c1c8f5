/** The archive (XEP-0313), read page by page from the beginning to the end, by both sides of each conversation. */
import type { Bench } from '../bench.ts';
import type { LoadClient } from '../client.ts';
import { Outbox, Template } from '../outbox.ts';
import { attributeText, contains, ID, isIq, isMessage, numberAt } from '../scanner.ts';
import type { Scenario } from '../scenario.ts';
import { Sequence } from '../sequence.ts';

/** Messages between two pings while the archives are filled. */
const BATCH = 20;

export const archive: Scenario = {
  name: 'archive',
  summary: 'Clients read their archives page by page; pages.',
  options: {
    pairs: { default: 20, help: 'pairs who have written to each other, new accounts' },
    messages: { default: 500, help: 'messages in each archive' },
    page: { default: 50, help: 'messages of a page' },
    bytes: { default: 100, help: 'length of a body' },
  },
  needsArchive: true,
  async run(bench) {
    const mine = bench.share(bench.number('pairs'));
    const local = (index: number): string => `past${bench.token}x${index}`;
    const clients = await bench.logIn(
      mine.flatMap((pair) => [2 * pair, 2 * pair + 1]),
      { local },
    );
    bench.doing('filling the archives');
    await Promise.all(mine.map((_, at) => converse(bench, clients[2 * at]!, clients[2 * at + 1]!)));
    const readers = clients.map((client, at) => new Reader(bench, client, clients[at ^ 1]!.jid));
    await bench.barrier();
    for (const reader of readers) reader.start();
    await bench.warmUp();
    await bench.timed('archive', 'page');
    for (const reader of readers) reader.isFinishing = true;
    await bench.until(() => readers.every((reader) => reader.isOver));
    for (const reader of readers) reader.judge();
  },
};

async function converse(bench: Bench, sender: LoadClient, recipient: LoadClient): Promise<void> {
  const outbox = new Outbox();
  const template = new Template(recipient.jid, bench.token, 'x'.repeat(bench.number('bytes')));
  const count = bench.number('messages');
  let arrived = 0;
  recipient.listen((bytes, start) => {
    if (isMessage(bytes, start)) arrived++;
  });
  for (let number = 1; number <= count;) {
    for (const first = number; number <= count && number < first + BATCH; number++) outbox.add(sender, template, number);
    outbox.flush(sender);
    await sender.ping();
  }
  if (!(await bench.until(() => arrived >= count)))
    bench.fault('lost', `${recipient.local}: ${count - arrived} of ${count} did not arrive`);
  recipient.unlisten();
}

class Reader {
  isFinishing = false;
  isOver = false;
  private readonly bench: Bench;
  private readonly client: LoadClient;
  private readonly peer: string;
  private readonly wanted: number;
  private readonly marker: Buffer;
  private pass = new Sequence();
  private query = 0;
  private onPage = 0;
  private sentAt = 0;

  constructor(bench: Bench, client: LoadClient, peer: string) {
    this.bench = bench;
    this.client = client;
    this.peer = peer.slice(0, peer.indexOf('/'));
    this.wanted = bench.number('messages');
    this.marker = Buffer.from(`${bench.token}-`);
  }

  start(): void {
    this.client.listen((bytes, start, end) => {
      if (isMessage(bytes, start)) this.takeResult(bytes, start, end);
      else if (isIq(bytes, start)) this.takeEnd(bytes, start, end);
    });
    this.ask('');
  }

  judge(): void {
    if (!this.isOver) this.bench.fault('lost', `${this.client.local}: page ${this.query} did not come to its end`);
    this.client.close();
  }

  private ask(after: string): void {
    this.query++;
    this.onPage = 0;
    this.sentAt = performance.now();
    const form = `<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field><field var='with'><value>${this.peer}</value></field></x>`;
    const behind = after === '' ? '' : `<after>${after}</after>`;
    const set = `<set xmlns='http://jabber.org/protocol/rsm'><max>${this.bench.number('page')}</max>${behind}</set>`;
    this.client.send(
      `<iq type='set' id='q${this.query}'><query xmlns='urn:xmpp:mam:2' queryid='q${this.query}'>${form}${set}</query></iq>`,
    );
  }

  private takeResult(bytes: Buffer, start: number, end: number): void {
    // The id of the message that is forwarded: the result itself has another.
    const at = bytes.indexOf(this.marker, start);
    if (at === -1 || at >= end) return this.bench.fault('unexpected', `${this.client.local} got ${bytes.toString('utf8', start, end)}`);
    this.pass.take(numberAt(bytes, at + this.marker.length));
    this.onPage++;
  }

  private takeEnd(bytes: Buffer, start: number, end: number): void {
    if (attributeText(bytes, start, end, ID) !== `q${this.query}`) return;
    const { bench, client } = this;
    const text = bytes.toString('utf8', start, end);
    if (!contains(bytes, start, end, Buffer.from('<fin'))) {
      bench.fault('failed', `${client.local} got ${text}`);
      this.isOver = true;
      return;
    }
    bench.latency.record((performance.now() - this.sentAt) * 1_000);
    bench.count(1);
    const isComplete = /complete=['"]true['"]/.test(text);
    if (!isComplete && this.onPage !== bench.number('page')) bench.fault('lost', `${client.local}: a page of ${this.onPage} in the middle`);
    if (isComplete) {
      bench.judge(this.pass, this.wanted, `${client.local}’s archive`);
      this.pass = new Sequence();
    }
    if (this.isFinishing) this.isOver = true;
    else this.ask(isComplete ? '' : (/<last>([^<]*)<\/last>/.exec(text)?.[1] ?? ''));
  }
}
