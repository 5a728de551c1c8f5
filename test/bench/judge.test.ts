/** A run fails when messages are lost, doubled, out of order or refused, and says which; with no server in the way, nothing is found. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { runScenario } from '../../bench/load/coordinator.ts';
import { hasFaults, type Outcome, type Saved } from '../../bench/load/outcome.ts';
import { startFakeServer, type Misbehaviour } from './fake-server.ts';

/** Waiting for what was lost last would be the only thing that takes time, and the message behind it shows it at once. */
const OPTIONS = { mechanism: 'PLAIN', pairs: 2, seconds: 0.2, warmup: 0.05, patience: 10 } as const;

async function outcomeOf(scenario: string, misbehave?: Misbehaviour, options = {}): Promise<Outcome> {
  const server = await startFakeServer(misbehave);
  try {
    return await runScenario({
      scenario,
      target: { host: '127.0.0.1', port: server.port, domain: 'localhost' },
      options: { ...OPTIONS, ...options },
    });
  } finally {
    await server.stop();
  }
}

/** Once for each recipient. */
const onThird =
  (what: ReturnType<Misbehaviour>): Misbehaviour =>
  (nth) =>
    nth === 3 ? what : 'deliver';

for (const scenario of ['chat', 'chat-rate']) {
  test(`${scenario}: a server that does what it should has no faults`, async () => {
    const outcome = await outcomeOf(scenario, undefined, { window: 4, rate: 500 });
    assert.deepEqual(outcome.faults, {});
    assert.ok(outcome.sections[0]!.operations > 0);
    assert.ok(outcome.sections[0]!.latency!.max > 0);
  });

  const expected = { lose: 'lost', double: 'doubled', hold: 'reordered' } as const;
  for (const [what, fault] of Object.entries(expected)) {
    test(`${scenario}: a message ${fault} for each of two recipients is found, and nothing else`, async () => {
      const outcome = await outcomeOf(scenario, onThird(what as keyof typeof expected), { window: 4, rate: 500 });
      assert.deepEqual(outcome.faults, { [fault]: 2 });
      assert.equal(outcome.examples.length, 2);
      assert.ok(hasFaults(outcome));
    });
  }
}

test('a message that comes back to its sender is found', async () => {
  const outcome = await outcomeOf('chat', onThird('bounce'), { window: 4 });
  assert.deepEqual(outcome.faults, { lost: 2, unexpected: 2 });
});

test('logins that are refused are failures', async () => {
  const outcome = await outcomeOf('login', undefined, { mechanism: 'SCRAM-SHA-1', accounts: 1, concurrency: 1, patience: 0 });
  assert.ok(outcome.faults.failed! > 0);
});

async function runBench(args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [resolve(import.meta.dirname, '../../bench/load/main.ts'), ...args]);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout, stderr };
}

test('the command line: JSON and code 0, code 1 for what was lost, code 2 for what is not understood', async () => {
  const servers = await Promise.all([startFakeServer(), startFakeServer(onThird('lose'))]);
  const args = ['chat', '--pairs', '1', '--window', '4', '--seconds', '0.1', '--warmup', '0', '--mechanism', 'PLAIN'];
  const [good, bad] = await Promise.all([
    runBench([...args, '--port', String(servers[0]!.port), '--pid', String(process.pid), '--json']),
    runBench([...args, '--port', String(servers[1]!.port)]),
  ]);
  for (const server of servers) await server.stop();
  assert.equal(good.code, 0, good.stderr);
  const { outcomes } = JSON.parse(good.stdout) as Saved;
  assert.equal(outcomes[0]!.options['window'], 4);
  assert.ok(outcomes[0]!.sections[0]!.serverMicros! >= 0);
  assert.equal(bad.code, 1, bad.stderr);
  assert.match(bad.stdout, /FAILED: 1 lost\n {2}load0 to load1: 1 of \d+ lost/);
  const wrong = await runBench(['chat', '--windows', '3']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--windows/);
  const help = await runBench(['chat', '--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /--window .*\(1\)/);
});
