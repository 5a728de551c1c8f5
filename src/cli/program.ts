/** The `rookery` command: what it understands, and what it does with it. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import type { LoadedConfig } from '../config/load.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/config.ts';
import { printConfig, printDefaults } from '../config/describe.ts';
import { ConfigError } from '../config/error.ts';
import type { ModuleSchemas } from '../config/hosts.ts';
import { nearestName } from '../config/nearest.ts';
import { parseDuration } from '../config/types.ts';
import { OWN_COMMANDS, type CommandName } from '../commands/index.ts';
import { sessionList } from '../commands/session.ts';
import { userList, type UserRow } from '../commands/user.ts';
import { callControl, streamControl } from '../control/client.ts';
import { controlPath } from '../control/protocol.ts';
import { isOperatorError, type AnyCommand } from '../core/command.ts';
import { OperatorError } from '../kernel/errors.ts';
import { addDataCommands, type DataTools } from './data.ts';
import { examine, renderFindings } from './doctor.ts';
import type { CertificatePair } from './doctor.ts';
import { EXIT } from './exit.ts';
import { printable, processIo } from './io.ts';
import type { CliIo } from './io.ts';
import { PasswordError } from './password.ts';
import { addRegistryCommands, groupOf, renderReport } from './registry.ts';
import { renderStatus } from './status.ts';
import { showTop } from './top.ts';

export interface CliInput {
  /** Without the program's own name. */
  readonly args: readonly string[];
  readonly io: CliIo;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly builtMs: number;
  readonly modules: ModuleSchemas;
  /** Commands of the running server; by default those that no module brings. */
  readonly commands?: Iterable<AnyCommand>;
  /** Runs the server until it has stopped; the number is the exit code. */
  readonly serve: (loaded: LoadedConfig) => Promise<number>;
  /** Where the server keeps the certificate it makes for hosts that have none. */
  readonly selfSignedPair?: (config: Config) => CertificatePair;
  /** Works on data directories whose server is stopped. */
  readonly dataTools?: DataTools;
}

interface GlobalOptions {
  readonly config?: string;
  readonly dataDir?: string;
}

const EXAMPLES = `
Examples:
  rookery                                   start the server
  rookery user add juliet@capulet.example   create an account; asks for the password
  pass juliet | rookery user add juliet@capulet.example --password-stdin
  rookery session list capulet.example      who is online
  rookery config --defaults > rookery.toml  a configuration file to start from
  ROOKERY_CONFIG=rookery.toml rookery       use it

Every option of the configuration is also an environment variable ROOKERY_…; see: rookery config`;

/** Runs one command line to its end and gives the exit code. Never throws what an operator can cause. */
export async function runCli(input: CliInput): Promise<number> {
  const { io } = input;
  let exitCode: number = EXIT.ok;
  const program = makeProgram(input, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...input.args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (error instanceof ConfigError) {
      io.stderr.write(
        `The configuration cannot be used:\n${error.problems.length > 0 ? error.message.replace(/^/gm, '  ') : error.message}\n`,
      );
      return EXIT.configuration;
    }
    if (error instanceof PasswordError) {
      io.stderr.write(`${error.message}\n`);
      return EXIT.failed;
    }
    if (!isOperatorError(error)) throw error;
    io.stderr.write(`${error.code}: ${printable(error.message)}\n`);
    return error.code === 'ERR_NOT_RUNNING' ? EXIT.not_running : EXIT.failed;
  }
}

function makeProgram(input: CliInput, exitWith: (code: number) => void): Command {
  const { io, version } = input;
  const program = new Command('rookery');
  program
    .description('An XMPP server.')
    .version(version, '-V, --version', 'print the version')
    .option('-c, --config <file>', 'configuration file (also: ROOKERY_CONFIG)')
    .option('-d, --data-dir <directory>', 'data directory (also: ROOKERY_DATA_DIR)')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    .configureOutput({ writeOut: (text) => void io.stdout.write(text), writeErr: (text) => void io.stderr.write(text) })
    .showSuggestionAfterError()
    .usage('[options] [command]')
    .configureHelp({ visibleArguments: (command) => (command === program ? [] : [...command.registeredArguments]) });

  const session = new Session(input, program);
  const print = (lines: readonly string[]) => void io.stdout.write(`${lines.join('\n')}\n`);
  const printJson = (value: unknown) => void io.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);

  const serve = async () => exitWith(await input.serve(session.load(input.modules)));
  program.command('serve').description('Run the server (what happens without a command)').action(serve);
  program.argument('[words...]').action(async ([word]: string[]) => {
    if (word === undefined) return await serve();
    const meant = nearestName(
      word,
      program.commands.map((command) => command.name()),
    );
    return program.error(`error: unknown command '${word}'${meant === undefined ? '' : `; did you mean ${meant}?`} See: rookery --help`);
  });

  described(program, 'status')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const status = await callControl(session.path, 'status', {});
      if (json) printJson(status);
      else print(renderStatus(status, Date.now()));
    });

  described(program, 'top')
    .option('-i, --interval <time>', 'time between looks', parseInterval, 1_000)
    .option('-n, --count <number>', 'end after so many looks (1 when not on a terminal)', parseCount)
    .option('-k, --kind <kind>', 'only actors of this kind')
    .option('-l, --limit <number>', 'so many actors', parseCount, 20)
    .action(async ({ interval, count, kind, limit }: { interval: number; count?: number; kind?: string; limit: number }) => {
      const args = { intervalMs: interval, limit, ...(kind === undefined ? {} : { kind }) };
      const maxFrames = count ?? (io.stdout.isTTY === true ? Number.POSITIVE_INFINITY : 1);
      await showTop((signal) => streamControl(session.path, 'top', args, signal), io, maxFrames);
    });

  const user = groupOf(program, 'user');
  described(user, 'user list')
    .argument('[host]', 'only of this host')
    .option('--json', 'print JSON')
    .action(async (host: string | undefined, { json }: { json?: true }) => {
      const users: UserRow[] = [];
      let after: string | undefined;
      do {
        const page = await callControl(session.path, 'user list', {
          ...(host === undefined ? {} : { host }),
          ...(after === undefined ? {} : { after }),
        });
        users.push(...page.users);
        after = page.next;
      } while (after !== undefined);
      if (json) printJson(users);
      else print(renderReport(userList.report!({ users })));
    });

  const sessions = groupOf(program, 'session');
  described(sessions, 'session list')
    .argument('[of]', 'only of this host or account')
    .option('-l, --limit <number>', 'at most so many', parseCount, 1_000)
    .option('--json', 'print JSON')
    .action(async (of: string | undefined, { limit, json }: { limit: number; json?: true }) => {
      const page = await callControl(session.path, 'session list', { limit, ...(of === undefined ? {} : { of }) });
      if (json) return printJson(page.sessions);
      print(renderReport(sessionList.report!(page)));
    });
  program
    .command('config')
    .description('Show the configuration as a file, and where each value comes from')
    .option('--defaults', 'show every option with its meaning, as a file to start from')
    .option('--running', 'show that of the running server')
    .action(async ({ defaults, running }: { defaults?: true; running?: true }) => {
      if (defaults) io.stdout.write(printDefaults());
      else if (running) io.stdout.write((await callControl(session.path, 'config', {})).toml);
      else io.stdout.write(printConfig(session.load(input.modules), input.modules));
    });

  described(program, 'metrics').action(async () => {
    io.stdout.write((await callControl(session.path, 'metrics', {})).text);
  });

  described(program, 'reload').action(async () => {
    const { changes } = await callControl(session.path, 'reload', {});
    const notes = { now: 'in effect', 'new connections': 'for new connections', restart: 'after a restart' };
    print([
      'Certificates and configuration were read again.',
      ...changes.map(({ path, reload }) => `  ${printable(path)}: ${notes[reload]}`),
    ]);
  });

  addDataCommands(program, {
    io,
    print,
    tools: input.dataTools,
    controlPath: () => session.path,
    config: () => session.load(input.modules).config,
    complete: (address) => session.complete(address),
  });

  addRegistryCommands(program, input.commands ?? OWN_COMMANDS, {
    io,
    print,
    printJson,
    controlPath: () => session.path,
    complete: (address) => session.complete(address),
  });

  program
    .command('doctor')
    .description('Look for what keeps the server from working, and say how to mend it')
    .action(async () => {
      const { config } = session.load(input.modules);
      const isRunning = await callControl(session.path, 'status', {}).then(
        () => true,
        () => false,
      );
      const findings = await examine({
        config,
        isRunning,
        nowMs: Date.now(),
        builtMs: input.builtMs,
        selfSignedPair: input.selfSignedPair,
      });
      print(renderFindings(findings));
      if (findings.some(({ level }) => level === 'error')) exitWith(EXIT.unhealthy);
    });

  return program;
}

/** The README's table of commands, in Markdown: what the program's own help says, and who else may run it over XMPP. */
export function describeCommands(commands: readonly AnyCommand[]): string {
  const io = processIo();
  const serve = (): never => {
    throw new Error('nothing is run');
  };
  const program = makeProgram({ args: [], io, version: '', builtMs: 0, modules: {}, commands, serve }, () => undefined);
  const rows = program.commands.flatMap((command) => leaves(command, []));
  const lines = rows.map(([name, usage, summary]) => {
    const role = commands.find((command) => command.name === name)?.role;
    return `| \`rookery ${[name, usage].join(' ').trim().replaceAll('|', '\\|')}\` | ${summary} | ${role === 'operator' || role === undefined ? '' : 'admins'} |`;
  });
  const personal = commands
    .filter(({ isPersonal }) => isPersonal === true)
    .map(({ name, summary }) => `| – (\`${name}\`) | ${summary} | users |`);
  return ['| Command | What it does | Over XMPP |', '| --- | --- | --- |', ...lines, ...personal].join('\n');
}

function leaves(command: Command, path: readonly string[]): (readonly [name: string, usage: string, summary: string])[] {
  const words = [...path, command.name()];
  if (command.commands.length > 0) return command.commands.flatMap((each) => leaves(each, words));
  const options = command.options.map(({ flags, mandatory }) => (mandatory ? flags : `[${flags.replace(/^-\w, /, '')}]`));
  const positional = command.registeredArguments.map(
    (argument) => `${argument.required ? '<' : '['}${argument.name()}${argument.variadic ? '...' : ''}${argument.required ? '>' : ']'}`,
  );
  return [[words.join(' '), [...positional, ...options].join(' '), command.description()]];
}

/** A subcommand with the summary its specification has. */
function described(parent: Command, name: CommandName): Command {
  return parent
    .command(name.slice(name.lastIndexOf(' ') + 1))
    .description(OWN_COMMANDS.find((command) => command.name === name)!.summary)
    .helpOption('-h, --help', 'show this help');
}

/** Where the server is, as far as this command line's configuration says. */
class Session {
  private readonly input: CliInput;
  private readonly program: Command;
  private loaded: LoadedConfig | undefined;

  constructor(input: CliInput, program: Command) {
    this.input = input;
    this.program = program;
  }

  /** @throws ConfigError */
  load(modules: ModuleSchemas | undefined): LoadedConfig {
    const { config: file, dataDir } = this.program.opts<GlobalOptions>();
    const env = dataDir === undefined ? this.input.io.env : { ...this.input.io.env, ROOKERY_DATA_DIR: dataDir };
    return loadConfig({ env, file, modules });
  }

  /** Of the control socket. */
  get path(): string {
    this.loaded ??= this.load(undefined);
    return controlPath(this.loaded.config.dataDir);
  }

  /** `juliet` is `juliet@` the only host. */
  complete(address: string): string {
    if (address.includes('@')) return address;
    this.loaded ??= this.load(undefined);
    const { hosts } = this.loaded.config;
    if (hosts.length === 1) return `${address}@${hosts[0]!.domain}`;
    throw new OperatorError(
      'ERR_COMMAND_ARGUMENTS',
      `'${address}' needs a domain: ${hosts.map(({ domain }) => `${address}@${domain}`).join(' or ')}`,
    );
  }
}

function parseCount(text: string): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : undefined;
  if (value === undefined || value === 0) throw new InvalidArgumentError('Expected a number.');
  return value;
}

function parseInterval(text: string): number {
  const value = parseDuration(text);
  if (value === undefined || value < 100 || value > 60_000)
    throw new InvalidArgumentError("Expected a time between 100ms and 1m, such as '2s'.");
  return value;
}
