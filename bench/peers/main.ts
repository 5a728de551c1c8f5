/**
 * Rookery and its peers under the same load, in one run, taking turns: `npm run bench:peers [-- options]`.
 * Servers, their ports and directories are its own and gone afterwards. Linux with Debian's packages. `--help` lists the options.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { valueOf } from '../load/command-line.ts';
import { runScenario } from '../load/coordinator.ts';
import { hasFaults, machine, type Outcome, type Saved } from '../load/outcome.ts';
import { figure, printFaults, ProgressLine } from '../load/print.ts';
import { COMMON_OPTIONS, type OptionSpecs, type OptionValue } from '../load/scenario.ts';
import { scenarioNamed } from '../load/scenarios/index.ts';
import type { ServerProcesses } from '../servers/process.ts';
import { CONTESTANTS, installMissing, startContestant, withWorkers, type Contestant } from './contestants.ts';
import { entriesOf, PLAN, suits, type Entry } from './plan.ts';
import { printTable, rowsOf } from './table.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    servers: { type: 'string' },
    seconds: { type: 'string', default: '10' },
    repetitions: { type: 'string', default: '3' },
    practice: { type: 'string', default: '1' },
    workers: { type: 'string' },
    option: { type: 'string', multiple: true, default: [] },
    set: { type: 'string', multiple: true, default: [] },
    output: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const HELP = `npm run bench:peers [-- options]

  --only TEXT          scenarios whose name holds it; may be repeated
  --servers A,B        of: ${CONTESTANTS.map(({ name }) => name).join(', ')}
  --seconds N          how long each is measured (10)
  --repetitions N      medians of so many (3)
  --practice N         so many more before those, which do not count: servers are warm then (1)
  --option NAME=VALUE  of the scenarios that have it, as sessions=1000; may be repeated
  --workers 1,2        Rookery with each of these numbers of worker threads
  --set NAME=VALUE     a setting for Rookery, as ROOKERY_WORKERS=1; may be repeated
  --output FILE        where the results are saved as JSON

${PLAN.map(({ title, isExtra = false }) => `  ${title}${isExtra ? '  (only by name)' : ''}`).join('\n')}`;

/** Servers that run; each is started when it is needed first. */
const running = new Map<string, ServerProcesses>();

if (values.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  const names = values.servers?.split(',') ?? CONTESTANTS.filter(({ isExtra = false }) => !isExtra).map(({ name }) => name);
  const named = names.map((name) => {
    const found = CONTESTANTS.find((each) => each.name === name);
    if (found === undefined) throw new Error(`no server ${name}: there are ${CONTESTANTS.map((each) => each.name).join(', ')}`);
    return found;
  });
  const contestants = withWorkers(named, values.workers?.split(',').map(Number) ?? []);
  const entries = entriesOf(values.only);
  installMissing(contestants);
  const outcomes: Outcome[] = [];
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      for (const server of running.values()) server.destroy();
      process.exit(130);
    });
  try {
    for (let repetition = 1 - Number(values.practice); repetition <= Number(values.repetitions); repetition++) {
      const counts = repetition > 0;
      for (const entry of entries) {
        if (!counts && wantsFreshServer(entry)) continue;
        for (const contestant of contestants.filter((each) => suits(entry, each))) {
          const outcome = await measure(entry, contestant, counts ? String(repetition) : 'practice');
          if (!counts) continue;
          outcomes.push(outcome);
          if (values.output !== undefined) save(values.output, outcomes);
        }
      }
    }
  } finally {
    for (const server of running.values()) await server[Symbol.asyncDispose]();
  }
  console.log(`\n${printTable(rowsOf(outcomes))}`);
  if (outcomes.some((each) => each.server.startsWith('rookery') && hasFaults(each))) process.exitCode = 1;
}

function save(file: string, outcomes: readonly Outcome[]): void {
  writeFileSync(file, `${JSON.stringify({ machine: machine(), outcomes } satisfies Saved, undefined, 1)}\n`);
}

function wantsFreshServer({ scenario }: Entry): boolean {
  return scenarioNamed(scenario).wantsFreshServer === true;
}

async function measure(entry: Entry, contestant: Contestant, repetition: string): Promise<Outcome> {
  const { title, scenario, options } = entry;
  const isFresh = wantsFreshServer(entry);
  const server = await serverOf(contestant, isFresh);
  const progress = new ProgressLine(process.stderr);
  try {
    const outcome = await runScenario({
      scenario,
      target: server.target,
      pids: server.pids,
      server: contestant.name,
      workers: contestant.workers,
      options: { ...options, ...overridden(scenario), seconds: Number(values.seconds) },
      onProgress: (each) => progress.show(`${title}, ${contestant.name}`, each),
    });
    progress.clear();
    const figures = outcome.sections.map((each) => `${figure(each.perSecond)}/s, ${figure(each.serverMicros ?? Number.NaN)} us`).join('; ');
    console.error(`${repetition}  ${title}  ${contestant.name}: ${figures}`);
    printFaults(outcome);
    return { ...outcome, title };
  } catch (error) {
    progress.clear();
    console.error(`${repetition}  ${title}  ${contestant.name}: ${(error as Error).message}\n${server.output.slice(-5).join('\n')}`);
    return {
      scenario,
      title,
      server: contestant.name,
      options,
      sections: [],
      faults: { failed: 1 },
      examples: [(error as Error).message],
      at: new Date().toISOString(),
    };
  } finally {
    if (isFresh) await stop(contestant);
  }
}

/** Those of `--option` that the scenario has. */
function overridden(scenario: string): Record<string, OptionValue> {
  const specs: OptionSpecs = { ...COMMON_OPTIONS, ...scenarioNamed(scenario).options };
  const pairs = values.option.map((each) => each.split('=', 2) as [string, string]);
  return Object.fromEntries(pairs.flatMap(([name, value]) => (name in specs ? [[name, valueOf(name, specs[name]!.default, value)]] : [])));
}

/** The one that runs, or a new one where `isFresh`. */
async function serverOf(contestant: Contestant, isFresh: boolean): Promise<ServerProcesses> {
  const { name } = contestant;
  if (isFresh || running.get(name)?.isRunning === false) await stop(contestant);
  const settings = Object.fromEntries(values.set.map((each) => each.split('=', 2) as [string, string]));
  const server = running.get(name) ?? (await startContestant(contestant, settings));
  running.set(name, server);
  return server;
}

async function stop({ name }: Contestant): Promise<void> {
  const server = running.get(name);
  running.delete(name);
  await server?.[Symbol.asyncDispose]();
}
