/** Every scenario, for a moment and with a handful of clients, on the server as its users run it: it counts, and finds nothing wrong. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { runScenario } from '../../bench/load/coordinator.ts';
import { hasFaults } from '../../bench/load/outcome.ts';
import type { OptionValue } from '../../bench/load/scenario.ts';
import { SCENARIOS } from '../../bench/load/scenarios/index.ts';
import { prepareServer } from '../../bench/servers/index.ts';
import { ServerProcesses } from '../../bench/servers/process.ts';
import { freePort } from '../harness/own-process.ts';

let server: ServerProcesses;
let tlsPort: number;

before(async () => {
  tlsPort = await freePort();
  const settings = { ROOKERY_C2S_TLS_PORT: String(tlsPort) };
  const { target, directory, setup } = await prepareServer('rookery', 'test', { hasArchive: true, isOpen: true, settings });
  server = new ServerProcesses('rookery', target, directory, setup);
  await server.start();
});

after(() => server[Symbol.asyncDispose]());

interface Small {
  readonly options?: Readonly<Record<string, OptionValue>>;
  readonly threads?: number;
  /** Sections, and how many operations each has at least. */
  readonly atLeast: Readonly<Record<string, number>>;
}

/** Options that make each scenario small. */
const SMALL: Readonly<Record<string, readonly Small[]>> = {
  register: [{ options: { concurrency: 2 }, atLeast: { register: 1 } }],
  login: [
    { options: { accounts: 4, concurrency: 2 }, atLeast: { login: 1 } },
    { options: { accounts: 2, concurrency: 2, mechanism: 'PLAIN' }, atLeast: { login: 1 } },
    { options: { accounts: 2, concurrency: 2, mechanism: 'SCRAM-SHA-256', security: 'starttls' }, atLeast: { login: 1 } },
  ],
  component: [{ options: { users: 3, window: 2 }, threads: 2, atLeast: { component: 1 } }],
  contacts: [{ options: { circles: 1, contacts: 3 }, atLeast: { contacts: 1 } }],
  idle: [{ options: { sessions: 6, rest: 0, managed: true }, atLeast: { idle: 5 } }],
  chat: [
    { options: { pairs: 3 }, atLeast: { chat: 1 } },
    { options: { pairs: 4, window: 16 }, threads: 2, atLeast: { chat: 1 } },
    { options: { pairs: 2, window: 4, security: 'direct' }, atLeast: { chat: 1 } },
  ],
  'chat-rate': [
    { options: { pairs: 4, rate: 200 }, atLeast: { 'chat-rate': 1 } },
    { options: { pairs: 4, rate: 200 }, threads: 1, atLeast: { 'chat-rate': 1 } },
  ],
  roster: [{ options: { clients: 2, items: 3 }, atLeast: { roster: 1 } }],
  'presence-broadcast': [{ options: { circles: 2, contacts: 3 }, threads: 2, atLeast: { 'presence-broadcast': 1 } }],
  'presence-storm': [{ options: { circles: 1, contacts: 3 }, atLeast: { 'presence-storm': 1 } }],
  offline: [{ options: { pairs: 2, messages: 25 }, atLeast: { store: 50, deliver: 50 } }],
  archive: [{ options: { pairs: 1, messages: 25, page: 10 }, atLeast: { archive: 1 } }],
  reconnect: [
    { options: { sessions: 6, pairs: 2, rate: 50 }, atLeast: { reconnect: 6 } },
    { options: { sessions: 6, pairs: 2, rate: 50, resume: false }, threads: 1, atLeast: { reconnect: 6 } },
  ],
};

test('every scenario is tried here', () => {
  assert.deepEqual(Object.keys(SMALL).toSorted(), SCENARIOS.map(({ name }) => name).toSorted());
});

for (const [scenario, runs] of Object.entries(SMALL)) {
  for (const { options = {}, threads, atLeast } of runs) {
    test(`${scenario} ${JSON.stringify(options)}`, async () => {
      const outcome = await runScenario({
        scenario,
        target: options['security'] === 'direct' ? { ...server.target, port: tlsPort } : server.target,
        pids: server.pids,
        threads,
        options: { seconds: 0.5, warmup: 0.1, ...options },
      });
      assert.ok(!hasFaults(outcome), JSON.stringify(outcome, undefined, 2));
      assert.deepEqual(
        outcome.sections.map(({ name }) => name),
        Object.keys(atLeast),
      );
      for (const { name, operations, generatorMicros } of outcome.sections) {
        assert.ok(operations >= atLeast[name]!, `${name}: ${operations} operations`);
        assert.ok(generatorMicros > 0);
      }
    });
  }
}
