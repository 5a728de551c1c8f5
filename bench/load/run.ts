/**
 * Load against a running server. `node bench/load/run.ts SCENARIO --port 5222 --domain localhost --pid PID`
 *
 *   idle   logs --sessions in, makes them available, and reports the server's memory per session
 *   chat   --pairs of users exchange messages, --window under way each, for --seconds; counts every one
 *
 * Accounts `load0`, `load1`, … are registered first where they are missing (XEP-0077).
 */
import { parseArgs } from 'node:util';
import { inParallel, LoadClient, type LoginMethod, type Target } from './client.ts';
import { cpuMicros, pssBytes } from './server-cost.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '5222' },
    domain: { type: 'string', default: 'localhost' },
    pid: { type: 'string' },
    sessions: { type: 'string', default: '1000' },
    pairs: { type: 'string', default: '200' },
    window: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '10' },
    method: { type: 'string', default: 'SCRAM-SHA-1' },
    json: { type: 'boolean', default: false },
  },
});

const target: Target = { host: values.host, port: Number(values.port), domain: values.domain };
const method = values.method as LoginMethod;
const PASSWORD = 'a password for load';
const WIDTH = 64;

/** Presence is on, so the account routes to it. */
async function logInAll(count: number): Promise<LoadClient[]> {
  const clients: LoadClient[] = [];
  const indices = Array.from({ length: count }, (_, index) => index);
  await inParallel(indices, WIDTH, async (index) => {
    const local = `load${index}`;
    let client = await LoadClient.open(target, local);
    try {
      await client.logIn(PASSWORD, method, 'bench');
    } catch {
      client.close();
      const registrar = await LoadClient.open(target, local);
      await registrar.register(PASSWORD);
      registrar.close();
      client = await LoadClient.open(target, local);
      await client.logIn(PASSWORD, method, 'bench');
    }
    client.send('<presence/>');
    clients[index] = client;
  });
  return clients;
}

function report(row: Record<string, number | string>): void {
  if (values.json) {
    console.log(JSON.stringify(row));
    return;
  }
  for (const [name, value] of Object.entries(row))
    console.log(`${name.padEnd(28)} ${typeof value === 'number' ? Math.round(value * 100) / 100 : value}`);
}

async function idle(): Promise<void> {
  const count = Number(values.sessions);
  const pid = values.pid === undefined ? undefined : Number(values.pid);
  const before = pid === undefined ? 0 : pssBytes(pid);
  const started = performance.now();
  const cpuBefore = pid === undefined ? 0 : cpuMicros(pid);
  const clients = await logInAll(count);
  const seconds = (performance.now() - started) / 1_000;
  const cpu = pid === undefined ? 0 : cpuMicros(pid) - cpuBefore;
  // Each answers a ping, so each is really there.
  await inParallel(clients, WIDTH, async (client) => {
    await client.ask(`<iq type='get' id='p' to='${target.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`, /id=['"]p['"]/);
  });
  const after = pid === undefined ? 0 : pssBytes(pid);
  report({
    scenario: 'idle',
    sessions: count,
    seconds,
    'logins/s': count / seconds,
    'server us/login': cpu / count,
    'KiB/session': (after - before) / count / 1024,
  });
  for (const client of clients) client.close();
}

async function chat(): Promise<void> {
  const pairs = Number(values.pairs);
  const window = Number(values.window);
  const pid = values.pid === undefined ? undefined : Number(values.pid);
  const clients = await logInAll(pairs * 2);
  const body = 'x'.repeat(100);
  let delivered = 0;
  let faults = 0;
  let isOver = false;
  const resolvers: (() => void)[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const a = clients[pair * 2]!;
    const b = clients[pair * 2 + 1]!;
    let sent = 0;
    let received = 0;
    let rest = '';
    const sendOne = (): void => {
      sent++;
      a.send(`<message to='${b.jid}' type='chat' id='m${sent}'><body>${body}</body></message>`);
    };
    a.flow(() => undefined);
    b.flow((text) => {
      rest += text;
      let from = 0;
      for (;;) {
        const end = rest.indexOf('</message>', from);
        if (end === -1) break;
        const id = /id=['"]m(\d+)['"]/.exec(rest.slice(from, end))?.[1];
        from = end + '</message>'.length;
        received++;
        if (Number(id) !== received) faults++; // lost, doubled or out of order
        delivered++;
        if (!isOver) sendOne();
        else if (received === sent) resolvers[pair]!();
      }
      rest = rest.slice(from);
    });
    for (let i = 0; i < window; i++) sendOne();
  }
  const started = performance.now();
  const cpuBefore = pid === undefined ? 0 : cpuMicros(pid);
  await new Promise((resolve) => setTimeout(resolve, Number(values.seconds) * 1_000));
  const count = delivered;
  const seconds = (performance.now() - started) / 1_000;
  const cpu = pid === undefined ? 0 : cpuMicros(pid) - cpuBefore;
  const drained = Promise.all(Array.from({ length: pairs }, (_, pair) => new Promise<void>((resolve) => (resolvers[pair] = resolve))));
  isOver = true;
  const late = await Promise.race([drained.then(() => 0), new Promise<number>((resolve) => setTimeout(resolve, 10_000, 1))]);
  report({
    scenario: 'chat',
    pairs,
    window,
    'messages/s': count / seconds,
    'server us/message': cpu / count,
    faults,
    'still missing': late === 1 ? 'yes' : 'no',
  });
  for (const client of clients) client.close();
  if (faults > 0 || late === 1) process.exitCode = 1;
}

const scenarios: Record<string, () => Promise<void>> = { idle, chat };
const scenario = scenarios[positionals[0] ?? ''];
if (scenario === undefined) {
  console.error(`usage: node bench/load/run.ts ${Object.keys(scenarios).join('|')} [--port N] [--domain D] [--pid PID] …`);
  process.exitCode = 2;
} else {
  await scenario();
}
