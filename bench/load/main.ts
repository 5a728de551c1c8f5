/**
 * Load against a running XMPP server. `npm run bench -- SCENARIO --port 5222 --domain localhost --pid PID`; `--help` lists the rest.
 *
 * Exit codes: 0, 1 where something was lost, doubled, out of order or refused, 2 for wrong arguments.
 */
import { writeFileSync } from 'node:fs';
import { CommandLineError, parseCommandLine, usage } from './command-line.ts';
import { runScenario } from './coordinator.ts';
import { hasFaults, machine, type Saved } from './outcome.ts';
import { printOutcome, ProgressLine } from './print.ts';
import { SCENARIOS } from './scenarios/index.ts';

const args = process.argv.slice(2);
const [name = '--help'] = args;
const scenario = SCENARIOS.find((each) => each.name === name);
if (name === 's2s') {
  // Of two servers, which it starts itself.
  const { benchFederation, FEDERATION_USAGE } = await import('./federation.ts');
  try {
    if (args.includes('--help')) console.log(FEDERATION_USAGE);
    else await benchFederation(args.slice(1));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = error instanceof CommandLineError ? 2 : 1;
  }
} else if (name === '--help' || name === '-h' || args.includes('--help')) {
  console.log(usage(scenario));
} else if (scenario === undefined) {
  console.error(`no scenario ${name}\n\n${usage(undefined)}`);
  process.exitCode = 2;
} else {
  try {
    const line = parseCommandLine(scenario, args.slice(1));
    const progress = new ProgressLine(process.stderr);
    const outcome = await runScenario({ ...line.request, onProgress: (each) => progress.show(scenario.name, each) }).finally(() =>
      progress.clear(),
    );
    const saved = JSON.stringify({ machine: machine(), outcomes: [outcome] } satisfies Saved, undefined, 2);
    if (line.json === '-') console.log(saved);
    else printOutcome(outcome);
    if (line.json !== undefined && line.json !== '-') writeFileSync(line.json, `${saved}\n`);
    if (hasFaults(outcome)) process.exitCode = 1;
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = error instanceof CommandLineError ? 2 : 1;
  }
}
