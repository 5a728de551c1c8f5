/** Logins in a closed loop: connect, TLS where wanted, SASL, bind, and leave in order. */
import { accountName, PASSWORD } from '../bench.ts';
import { inParallel, LoadClient } from '../client.ts';
import type { Scenario } from '../scenario.ts';

export const login: Scenario = {
  name: 'login',
  summary: 'Clients connect, authenticate, bind and leave, again and again; logins.',
  options: {
    accounts: { default: 500, help: 'accounts that take turns' },
    concurrency: { default: 16, help: 'logins under way at once' },
  },
  async run(bench) {
    const mine = bench.share(bench.number('accounts'));
    await bench.register(mine);
    const logIn = async (index: number): Promise<void> => {
      const local = accountName(index);
      try {
        const started = performance.now();
        const client = await LoadClient.open(bench.target, local);
        await client.logIn(PASSWORD, bench.mechanism, 'bench');
        bench.latency.record((performance.now() - started) * 1_000);
        if (client.jid.startsWith(`${local}@${bench.target.domain}/`)) bench.count(1);
        else bench.fault('unexpected', `${local} was bound to ${client.jid}`);
        await client.leave();
      } catch (error) {
        bench.fault('failed', `${local}: ${(error as Error).message}`);
      }
    };
    const width = Math.max(1, Math.round(bench.number('concurrency') / bench.threads));
    // Everybody once: salted passwords, which only the client's side has to compute, are known from then on.
    bench.doing('logging everybody in once');
    await inParallel(mine, width, logIn);
    let isOver = false;
    const turns = (function* () {
      while (!isOver) yield* mine;
    })();
    const loops = Array.from({ length: Math.min(width, mine.length) }, async () => {
      for (const index of turns) {
        await logIn(index);
        if (isOver) return;
      }
    });
    await bench.warmUp();
    await bench.timed('login', 'login');
    isOver = true;
    await Promise.all(loops);
  },
};
