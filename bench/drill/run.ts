/**
 * A crash drill on a server of its own: `npm run drill -- --pairs 20 --seconds 600`. See bench/README.md.
 * Exit code 0: nothing lost, doubled or out of order, and every session resumed; 1: not so; 2: it cannot be held.
 */
import { parseArgs } from 'node:util';
import { NoStreamManagement } from './client.ts';
import { runDrill } from './drill.ts';
import { printReport } from './report.ts';
import { startServer, TARGETS, type TargetName } from './servers.ts';

const OPTIONS = {
  target: { type: 'string', default: 'rookery' },
  binary: { type: 'string' },
  broken: { type: 'string' },
  pairs: { type: 'string', default: '20' },
  seconds: { type: 'string', default: '600' },
  seed: { type: 'string' },
  rate: { type: 'string', default: '500' },
  window: { type: 'string', default: '32' },
  to: { type: 'string', default: 'mix' },
  kills: { type: 'string' },
  'start-kills': { type: 'string' },
  'worker-kills': { type: 'string' },
  'actor-crashes': { type: 'string' },
  cuts: { type: 'string' },
  'half-open': { type: 'string' },
  away: { type: 'string' },
  'away-over-kill': { type: 'string' },
  'no-archive': { type: 'boolean', default: false },
  rereads: { type: 'string', default: '4' },
  rest: { type: 'string', default: '60' },
  json: { type: 'boolean', default: false },
  output: { type: 'boolean', default: false },
} as const;

function readOptions() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    const names = Object.keys(OPTIONS).map((each) => `--${each}`);
    console.error(`${(error as Error).message}\nOptions, see bench/README.md: ${names.join(' ')}`);
    process.exit(2);
  }
}

const values = readOptions();

const name = values.target as TargetName;
if (!TARGETS.includes(name)) {
  console.error(`--target ${name}: known are ${TARGETS.join(', ')}`);
  process.exit(2);
}
const seconds = Number(values.seconds);
const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
const isOurs = name === 'rookery';

/** So many for every minute, where nothing else is said. */
const perMinute = (text: string | undefined, count: number): number =>
  text === undefined ? Math.round((count * seconds) / 60) : Number(text);

const settings = values.broken === undefined ? undefined : { ROOKERY_STORE_GATHER: '200ms' };
await using server = await startServer(name, { hasArchive: !values['no-archive'], binary: values.binary, mode: values.broken, settings });
const giveUp = (why: string): void => {
  console.error(why);
  server.destroy();
  process.exit(2);
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => giveUp(`ended by ${signal}`));
// As long as it takes at worst, and some; then something here is wrong.
setTimeout(() => giveUp('the drill has not ended in time'), (seconds + 2 * Number(values.rest) + 900) * 1_000).unref();
const isTerminal = process.stderr.isTTY;
let lastLineMs = 0;
try {
  const report = await runDrill(server, {
    pairs: Number(values.pairs),
    seconds,
    seed,
    rate: Number(values.rate),
    window: Number(values.window),
    addressing: values.to as 'bare' | 'full' | 'mix',
    hasArchive: !values['no-archive'],
    rereads: Number(values.rereads),
    restMs: Number(values.rest) * 1_000,
    ...(values['away-over-kill'] === undefined ? {} : { awayOverKill: Number(values['away-over-kill']) }),
    faults: {
      kill: perMinute(values.kills, 6),
      start_kill: isOurs ? perMinute(values['start-kills'], 1) : Number(values['start-kills'] ?? 0),
      worker_kill: isOurs ? perMinute(values['worker-kills'], 4) : 0,
      actor_crash: isOurs ? perMinute(values['actor-crashes'], 30) : 0,
      cut: perMinute(values.cuts, 100),
      half_open: perMinute(values['half-open'], 20),
      away: perMinute(values.away, 10),
    },
    onProgress: (line) => {
      if (isTerminal) process.stderr.write(`\r${line}\x1b[K`);
      else if (performance.now() - lastLineMs > 9_500) {
        lastLineMs = performance.now();
        process.stderr.write(`${line}\n`);
      }
    },
  });
  if (isTerminal) process.stderr.write('\n');
  if (values.json) console.log(JSON.stringify(report));
  else console.log(printReport(report));
  if (report.problems.length > 0) {
    process.exitCode = 1;
    for (const { who, events } of report.traces) process.stderr.write(`\n${who}\n  ${events.join('\n  ')}\n`);
  }
  if (values.output) process.stderr.write(`\n${server.output.join('\n')}\n`);
} catch (error) {
  process.exitCode = 2;
  console.error(error instanceof NoStreamManagement ? error.message : error);
  process.stderr.write(`${server.output.slice(-50).join('\n')}\n`);
}
