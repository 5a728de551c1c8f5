/** The command line of `npm run bench`: options common to all scenarios, and those of each. */
import { parseArgs } from 'node:util';
import type { RunRequest } from './coordinator.ts';
import { COMMON_OPTIONS, type OptionSpecs, type OptionValue, type Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios/index.ts';

export class CommandLineError extends Error {}

const SERVER_OPTIONS = {
  host: '127.0.0.1',
  port: '5222',
  domain: 'localhost',
} as const;

export interface CommandLine {
  readonly request: RunRequest;
  /** Where the outcome goes as JSON; `-` is the standard output. */
  readonly json: string | undefined;
}

export function parseCommandLine(scenario: Scenario, args: readonly string[]): CommandLine {
  const specs: OptionSpecs = { ...COMMON_OPTIONS, ...scenario.options };
  const values = parse(specs, args);
  const options: Record<string, OptionValue> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const value = values[name];
    if (value !== undefined) options[name] = valueOf(name, spec.default, value as string | boolean);
  }
  const pids = ((values['pid'] ?? []) as string[]).flatMap((each) => each.split(',')).map((each) => whole('pid', each));
  const optional = (name: string): number | undefined => (values[name] === undefined ? undefined : whole(name, values[name] as string));
  const threads = optional('threads');
  if (threads === 0) throw new CommandLineError('--threads 0: at least one is wanted');
  return {
    request: {
      scenario: scenario.name,
      target: { host: values['host'] as string, port: whole('port', values['port'] as string), domain: values['domain'] as string },
      options,
      threads,
      pids,
      workers: optional('workers'),
      ...(values['server'] === undefined ? {} : { server: values['server'] as string }),
    },
    json: values['json'] as string | undefined,
  };
}

function parse(specs: OptionSpecs, args: readonly string[]): Record<string, unknown> {
  const own = Object.entries(specs).map(([name, { default: value }]) => [
    name,
    { type: typeof value === 'boolean' ? 'boolean' : 'string' },
  ]);
  const server = Object.entries(SERVER_OPTIONS).map(([name, value]) => [name, { type: 'string', default: value }]);
  try {
    return parseArgs({
      allowNegative: true,
      args: args.map((each) => (each === '--json' ? '--json=-' : each)),
      options: {
        ...Object.fromEntries([...own, ...server]),
        pid: { type: 'string', multiple: true },
        threads: { type: 'string' },
        server: { type: 'string' },
        workers: { type: 'string' },
        json: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new CommandLineError((error as Error).message);
  }
}

/** As the kind of `example`. */
export function valueOf(name: string, example: OptionValue, value: string | boolean): OptionValue {
  if (typeof example === 'boolean') return value === true || value === 'true';
  if (typeof example === 'string') return String(value);
  const number = Number(value);
  if (!Number.isFinite(number) || number < 0) throw new CommandLineError(`--${name} ${String(value)}: a number is wanted`);
  return number;
}

function whole(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0) throw new CommandLineError(`--${name} ${text}: a whole number is wanted`);
  return number;
}

/** For a person; without a scenario, the list of them. */
export function usage(scenario: Scenario | undefined): string {
  const line = (name: string, text: string): string => `  ${name.padEnd(22)} ${text}`;
  const table = (specs: OptionSpecs): string[] =>
    Object.entries(specs).map(([name, { default: value, help }]) =>
      line(value === true ? `--no-${name}` : `--${name}`, `${help}${typeof value === 'boolean' ? '' : ` (${String(value)})`}`),
    );
  const common = [
    'Every scenario:',
    line('--host --port --domain', `the server (${Object.values(SERVER_OPTIONS).join(', ')})`),
    line('--pid', 'its process, for CPU and memory; several with commas'),
    line('--server', 'its name in the results'),
    line('--workers', 'its worker threads, for plots'),
    line('--threads', 'threads of the generator'),
    line('--json[=FILE]', 'the results as JSON'),
    ...table(COMMON_OPTIONS),
  ];
  if (scenario !== undefined) {
    return [`npm run bench -- ${scenario.name} [options]`, '', scenario.summary, '', ...table(scenario.options), '', ...common].join('\n');
  }
  const list = SCENARIOS.map(({ name, summary }) => line(name, summary));
  return ['npm run bench -- SCENARIO [options]   (--help after a scenario: its own options)', '', ...list, '', ...common].join('\n');
}
