/** Messages to users who are offline: first they are stored, then everybody comes and gets them. */
import { persistently } from '../bench.ts';
import { inParallel, type LoadClient } from '../client.ts';
import { Outbox, Template } from '../outbox.ts';
import { isMessage, numberOf } from '../scanner.ts';
import type { Scenario } from '../scenario.ts';
import { Sequence } from '../sequence.ts';

/** Messages between two pings, with which a sender keeps to the server's pace. */
const BATCH = 10;

export const offline: Scenario = {
  name: 'offline',
  summary: 'Messages are sent to users who are offline, who then get them; messages stored and messages delivered.',
  options: {
    pairs: { default: 200, help: 'pairs of a sender and a recipient, new accounts' },
    messages: { default: 100, help: 'messages to each recipient' },
    bytes: { default: 100, help: 'length of a body' },
  },
  async run(bench) {
    const mine = bench.share(bench.number('pairs'));
    const count = bench.number('messages');
    const recipient = (pair: number): string => `off${bench.token}x${pair}`;
    await bench.register(mine, recipient);
    const senders = await bench.logIn(mine, { local: (pair) => `on${bench.token}x${pair}`, hasPresence: false });
    const outbox = new Outbox();
    const body = 'x'.repeat(bench.number('bytes'));
    await bench.section({ name: 'store', unit: 'message', untilQuiet: true }, async () => {
      await inParallel([...mine.entries()], mine.length, async ([at, pair]) => {
        const sender = senders[at]!;
        const template = new Template(`${recipient(pair)}@${bench.target.domain}`, bench.token, body);
        for (let number = 1; number <= count;) {
          const first = number;
          for (; number <= count && number < first + BATCH; number++) outbox.add(sender, template, number);
          outbox.flush(sender);
          const answer = await sender.pingAnswer();
          if (answer.includes('<message')) bench.fault('unexpected', `${sender.local} got ${answer}`);
          bench.count(number - first);
        }
      });
    });
    for (const sender of senders) sender.close();

    bench.doing('logging the recipients in');
    const clients: LoadClient[] = [];
    const inboxes: Sequence[] = [];
    await inParallel(mine, bench.number('width'), async (pair) => {
      const client = await persistently(() => bench.logInOnce(recipient(pair)));
      const inbox = new Sequence();
      client.listen((bytes, start, end) => {
        if (!isMessage(bytes, start)) return;
        const number = numberOf(bench.tokenBytes, bytes, start, end);
        if (!Number.isNaN(number) && inbox.take(number)) bench.count(1);
      });
      clients.push(client);
      inboxes.push(inbox);
    });
    await bench.section({ name: 'deliver', unit: 'message' }, async () => {
      for (const client of clients) client.send('<presence/>');
      await bench.until(() => inboxes.every((inbox) => inbox.next > count));
    });
    for (const [at, client] of clients.entries()) {
      bench.judge(inboxes[at]!, count, client.local);
      client.close();
    }
  },
};
