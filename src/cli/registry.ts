/** Commands of the server as commands of the command line: arguments, options, help and output all come from their definitions. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { callAny } from '../control/client.ts';
import { argumentsOf, readArgument, type Argument } from '../core/arguments.ts';
import type { AnyCommand, Report } from '../core/command.ts';
import { printable, type CliIo } from './io.ts';
import { readNewPassword } from './password.ts';
import { renderTable } from './table.ts';

/** What commands need of the command line around them. */
export interface RegistryContext {
  readonly io: CliIo;
  /** Of the control socket. */
  readonly controlPath: () => string;
  /** An address whose domain may have been left out. */
  readonly complete: (address: string) => string;
  readonly print: (lines: readonly string[]) => void;
  readonly printJson: (value: unknown) => void;
}

/** What groups of commands are about. */
const GROUPS: Readonly<Record<string, string>> = {
  user: 'Manage accounts',
  session: 'Manage sessions',
  component: 'Look at external components',
  group: 'Manage groups that are in rosters',
  s2s: 'Connections with other servers',
};

/** Adds those commands that are not there yet, streaming and personal ones left out. */
export function addRegistryCommands(program: Command, commands: Iterable<AnyCommand>, context: RegistryContext): void {
  for (const command of commands) {
    if ('stream' in command || command.isPersonal === true) continue;
    const words = command.name.split(' ');
    const parent = words.slice(0, -1).reduce(groupOf, program);
    if (parent.commands.some((each) => each.name() === words.at(-1))) continue;
    addCommand(parent.command(words.at(-1)!), command, context);
  }
}

/** The group of that name; made where it is not there. */
export function groupOf(parent: Command, word: string): Command {
  const known = parent.commands.find((command) => command.name() === word);
  return (
    known ??
    parent
      .command(word)
      .description(GROUPS[word] ?? `Manage ${word}s`)
      .helpCommand(false)
  );
}

function addCommand(target: Command, command: Exclude<AnyCommand, { readonly stream: unknown }>, context: RegistryContext): void {
  const all = argumentsOf(command.args);
  const positional = (command.positional ?? []).map((name) => all.find((argument) => argument.name === name)!);
  const password = all.find(({ type }) => type === 'password');
  const options = all.filter((argument) => !positional.includes(argument) && argument !== password);
  target.description(command.summary).helpOption('-h, --help', 'show this help');
  for (const argument of positional) target.argument(placeholder(argument), argument.title);
  if (password !== undefined) target.option('--password-stdin', 'read the password from standard input');
  for (const argument of options) target.addOption(optionFor(argument));
  target.option('--json', 'print JSON');
  target.action(async (...given: unknown[]) => {
    const chosen = given[positional.length] as Record<string, unknown>;
    const values: Record<string, unknown> = {};
    for (const [index, argument] of positional.entries()) values[argument.name] = valueOf(argument, given[index], context);
    for (const argument of options) values[argument.name] = valueOf(argument, chosen[optionKey(argument)], context);
    if (password !== undefined) {
      await callAny(context.controlPath(), 'status', {}); // before asking for a password in vain
      values[password.name] = await readNewPassword(context.io, chosen['passwordStdin'] === true);
    }
    const present = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
    const result = await callAny(context.controlPath(), command.name, present);
    if (chosen['json'] === true) context.printJson(result);
    else context.print(renderReport(command.report?.(result) ?? { text: 'Done.' }));
  });
}

/** The last words of a text need no quotes. */
function placeholder({ name, type, isRequired }: Argument): string {
  const text = `${name}${type === 'lines' ? '...' : ''}`;
  return isRequired ? `<${text}>` : `[${text}]`;
}

function optionFor(argument: Argument): Option {
  const { name, title, type, choices, isRequired } = argument;
  const long = `--${name.replaceAll('_', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const option = new Option(type === 'flag' ? long : `${long} <${type === 'number' ? 'number' : 'value'}>`, lowered(title));
  if (type === 'choice') option.choices(choices);
  if (type === 'number') option.argParser((text: string) => numberIn(argument, text));
  if (isRequired) option.makeOptionMandatory();
  return option;
}

/** The key under which `commander` gives an option's value. */
function optionKey(argument: Argument): string {
  return optionFor(argument).attributeName();
}

function numberIn(argument: Argument, text: string): unknown {
  const value = readArgument(argument, text);
  if (value === undefined) throw new InvalidArgumentError('Expected a number.');
  return value;
}

function valueOf({ type }: Argument, given: unknown, { complete }: RegistryContext): unknown {
  if (Array.isArray(given)) return given.length === 0 ? undefined : given.join(' ');
  return type === 'address' && typeof given === 'string' ? complete(given) : given;
}

const lowered = (title: string): string => `${title[0]!.toLowerCase()}${title.slice(1)}`;

/** A report as lines of text. */
export function renderReport({ text, facts = [], table }: Report): string[] {
  const width = Math.max(0, ...facts.map(([name]) => name.length));
  const lines = facts.map(([name, value]) => `${`${printable(name)}:`.padEnd(width + 2)}${printable(String(value))}`);
  if (table !== undefined) {
    const columns = table.columns.map((title, index) => ({ title, value: (row: (typeof table.rows)[number]) => row[index]! }));
    lines.push(...(table.rows.length === 0 ? [table.empty] : renderTable(columns, table.rows)));
  }
  if (text !== undefined) lines.push(printable(text));
  return lines;
}
