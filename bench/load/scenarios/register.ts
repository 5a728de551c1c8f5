/** New accounts by in-band registration (XEP-0077), each over a connection of its own. */
import { PASSWORD } from '../bench.ts';
import { inParallel, LoadClient } from '../client.ts';
import type { Scenario } from '../scenario.ts';

/** So many of the new accounts are logged in to at the end. */
const SAMPLE = 20;

export const register: Scenario = {
  name: 'register',
  summary: 'Clients connect and register new accounts; accounts.',
  options: { concurrency: { default: 16, help: 'registrations under way at once' } },
  async run(bench) {
    const created: string[] = [];
    let isOver = false;
    const registerOne = async (local: string): Promise<void> => {
      try {
        const started = performance.now();
        const client = await LoadClient.open(bench.target, local);
        if (!(await client.register(PASSWORD))) bench.fault('unexpected', `${local} was there already`);
        bench.latency.record((performance.now() - started) * 1_000);
        bench.count(1);
        created.push(local);
        client.close();
      } catch (error) {
        bench.fault('failed', `${local}: ${(error as Error).message}`);
      }
    };
    const names = (function* () {
      for (let i = bench.index; !isOver; i += bench.threads) yield `new${bench.token}${i}`;
    })();
    const loops = Array.from({ length: Math.max(1, Math.round(bench.number('concurrency') / bench.threads)) }, async () => {
      for (const local of names) {
        await registerOne(local);
        if (isOver) return;
      }
    });
    await bench.warmUp();
    await bench.timed('register', 'account');
    isOver = true;
    await Promise.all(loops);
    bench.doing('logging in to some of them');
    const step = Math.max(1, Math.floor(created.length / SAMPLE));
    await inParallel(
      created.filter((_, at) => at % step === 0),
      bench.number('width'),
      async (local) => {
        const client = await LoadClient.open(bench.target, local);
        await client.logIn(PASSWORD, bench.mechanism, 'bench').catch((error: Error) => bench.fault('lost', `${local}: ${error.message}`));
        client.close();
      },
    );
  },
};
