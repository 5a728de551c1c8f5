/**
 * Crash drills in small: each kind of fault alone, on the server as its users run it, for a second or two. At length: `npm run drill`.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { runDrill, type DrillOptions } from '../../bench/drill/drill.ts';
import type { FaultKind } from '../../bench/drill/faults.ts';
import { printReport, type DrillReport } from '../../bench/drill/report.ts';
import { startServer, type DrillServer } from '../../bench/drill/servers.ts';
import { commandTable } from '../../src/core/command.ts';
import { withDrillCommands } from '../../src/server/drill.ts';

let server: DrillServer;

before(async () => {
  server = await startServer('rookery', { hasArchive: true, binary: process.env['TEST_BINARY'] });
});

after(() => server[Symbol.asyncDispose]());

type SmallDrill = Pick<DrillOptions, 'seconds' | 'seed' | 'faults'> & Partial<DrillOptions>;

function drillOn(at: DrillServer, options: SmallDrill): Promise<DrillReport> {
  return runDrill(at, { pairs: 4, rate: 600, restMs: 20_000, ...options });
}

const describe = (report: DrillReport): string =>
  [printReport(report), ...report.traces.map(({ who, events }) => [who, ...events].join('\n  ')), ...server.output.slice(-20)].join('\n');

const DRILLS: Readonly<Record<string, SmallDrill>> = {
  'sockets are cut': { seconds: 1.5, seed: 1, faults: { cut: 30 } },
  'connections go half-open': { seconds: 1.5, seed: 2, faults: { half_open: 20 } },
  'clients stay away for a while': { seconds: 1, seed: 3, faults: { away: 8 } },
  'actors throw': { seconds: 1.5, seed: 4, faults: { actor_crash: 10 } },
  'a worker ends': { seconds: 1.5, seed: 5, faults: { worker_kill: 1 } },
  'the process is killed, some clients stay away over it': { seconds: 3, seed: 6, faults: { kill: 1 }, awayOverKill: 2, rereads: 1 },
  'the process is killed, and once more while it starts': { seconds: 2, seed: 7, faults: { start_kill: 1 } },
};

for (const [what, options] of Object.entries(DRILLS)) {
  test(`crash drill: ${what}; nothing acknowledged is lost, doubled or out of order, and every session resumes`, async () => {
    const report = await drillOn(server, options);
    assert.deepEqual(report.problems, [], describe(report));
    assert.ok(report.acknowledged > 100, describe(report));
    assert.equal(report.acknowledged, report.sent, 'all is acknowledged in the end');
    for (const [kind, count] of Object.entries(options.faults)) {
      const injected: number = report.faults[kind as FaultKind]?.injected ?? 0;
      assert.ok(injected >= count, `${kind} happened ${injected} times: ${describe(report)}`);
    }
    for (const [cause, { sessions, resumed }] of Object.entries(report.faults))
      assert.equal(resumed, sessions, `${cause}: ${describe(report)}`);
  });
}

test('without ROOKERY_DRILL the commands that break things do not exist', () => {
  const commands = commandTable([]);
  assert.equal(
    withDrillCommands(commands, () => assert.fail()),
    commands,
  );
});

test('the drill can fail: a server that acknowledges before it commits loses messages, and is found out', async () => {
  // What `npm run drill -- --broken early-ack` runs; see src/server/drill.ts.
  await using broken = await startServer('rookery', {
    hasArchive: true,
    binary: process.env['TEST_BINARY'],
    mode: 'early-ack',
    settings: { ROOKERY_STORE_GATHER: '1s' },
  });
  const report = await drillOn(broken, { seconds: 3, seed: 8, rate: 1_000, faults: { kill: 2 }, hasArchive: false, restMs: 5_000 });
  const isTakenBack = report.problems.some((problem) => problem.includes('takes back'));
  // Without rest, what is not there may only be late.
  assert.ok(isTakenBack || (report.isAtRest && report.live.lost > 0), describe(report));
});
