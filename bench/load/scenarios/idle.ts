/** Sessions that do nothing: what they weigh. */
import { inParallel, type LoadClient } from '../client.ts';
import { accountName, pause, persistently } from '../bench.ts';
import type { Scenario } from '../scenario.ts';

export const idle: Scenario = {
  name: 'idle',
  summary: 'Clients log in, become available and rest; sessions, with the growth of the server’s memory by each.',
  options: {
    sessions: { default: 5_000, help: 'clients' },
    rest: { default: 5, help: 'seconds until memory is measured, before the logins and after them' },
    managed: { default: false, help: 'with stream management (XEP-0198), resumable' },
  },
  wantsFreshServer: true,
  async run(bench) {
    const mine = bench.share(bench.number('sessions'));
    await bench.register(mine);
    const clients: LoadClient[] = [];
    const logIn = async (index: number): Promise<void> => {
      const client = await persistently(() => bench.logInOnce(accountName(index)));
      if (bench.flag('managed')) await client.enable(true);
      client.send('<presence/>');
      await client.ping();
      bench.count(1);
      clients.push(client);
    };
    // One session before, so that what is loaded once is not counted as theirs.
    const [first, ...rest] = mine;
    if (first !== undefined) await logIn(first);
    // What registration left behind in the server's heap would otherwise be freed in the section, and taken off the sessions.
    bench.doing('resting');
    await pause(bench.number('rest') * 1_000);
    await bench.section({ name: 'idle', unit: 'session', memoryAfterSeconds: bench.number('rest') }, async () => {
      await inParallel(rest, bench.number('width'), logIn);
    });
    bench.doing('asking each whether it is there');
    await inParallel(clients, bench.number('width'), (client) =>
      client.ping().catch((error: Error) => bench.fault('failed', `${client.local}: ${error.message}`)),
    );
    for (const client of clients) client.close();
  },
};
