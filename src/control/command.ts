/**
 * Commands an administrator gives, whatever carries them: the control socket now, ad-hoc
 * commands of XMPP later. Who may run what is decided here and not in the transport,
 * so that no transport can forget it.
 */
import type { z } from 'zod';
import { OperatorError } from '../kernel/errors.ts';

/**
 * Who runs a command, each including the ones before: an `admin` is an account listed in
 * ROOKERY_ADMINS, an `operator` whoever can open the control socket.
 */
export const ROLES = ['admin', 'operator'] as const;
export type Role = (typeof ROLES)[number];

export interface Caller {
  readonly role: Role;
  /** For the log: an address, or `control socket`. */
  readonly name: string;
  /** Aborted when the caller is gone; a stream of results ends then. */
  readonly signal: AbortSignal;
}

/** What a command is called and takes. `A` is what its handler is given. */
export interface CommandSpec<A> {
  /** Words separated by one space, e.g. `user add`. */
  readonly name: string;
  /** One sentence without a full stop, for help and for lists of ad-hoc commands. */
  readonly summary: string;
  readonly role: Role;
  readonly args: z.ZodType<A>;
}

/** A command that gives one result. Results are plain data that JSON can hold. */
export interface Command<A, R> extends CommandSpec<A> {
  readonly run: (args: A, caller: Caller) => Promise<R> | R;
}

/** A command that goes on giving results until it has no more or its caller is gone. */
export interface StreamingCommand<A, R> extends CommandSpec<A> {
  readonly stream: (args: A, caller: Caller) => AsyncIterable<R>;
}

/** Any command, its types forgotten: `prepare` has checked the arguments. */
// oxlint-disable-next-line no-explicit-any
export type AnyCommand = Command<any, unknown> | StreamingCommand<any, unknown>;

/** Commands by name. */
export type CommandTable = ReadonlyMap<string, AnyCommand>;

/** Makes a table. Throws on a name used twice: a bug of ours. */
export function commandTable(commands: readonly AnyCommand[]): CommandTable {
  const table = new Map<string, AnyCommand>();
  for (const command of commands) {
    if (table.has(command.name)) throw new Error(`There are two commands '${command.name}'`);
    table.set(command.name, command);
  }
  return table;
}

/** Classes of errors whose code and message are for the operator. By name: layers that do not import each other have one each. */
const OPERATOR_ERRORS = new Set(['OperatorError', 'ConfigError', 'StoreError', 'NativeAddonError']);

/** Whether the operator can mend it: then its code is stable and its message says how. */
export function isOperatorError(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && OPERATOR_ERRORS.has(error.name) && typeof (error as { code?: unknown }).code === 'string';
}

/** A command that may be run: the caller has the role, the arguments are right. */
export interface PreparedCommand {
  readonly command: AnyCommand;
  readonly args: unknown;
}

/**
 * Finds the command, and checks the caller and the arguments.
 *
 * @throws OperatorError ERR_COMMAND_UNKNOWN, ERR_COMMAND_FORBIDDEN or ERR_COMMAND_ARGUMENTS; the caller causes them.
 */
export function prepare(table: CommandTable, name: string, args: unknown, role: Role): PreparedCommand {
  const command = table.get(name);
  if (command === undefined)
    throw new OperatorError('ERR_COMMAND_UNKNOWN', `The server does not know the command '${name}'. Is it of another version?`);
  if (ROLES.indexOf(role) < ROLES.indexOf(command.role)) {
    throw new OperatorError('ERR_COMMAND_FORBIDDEN', `'${name}' needs the role ${command.role}.`);
  }
  const parsed = command.args.safeParse(args);
  if (parsed.success) return { command, args: parsed.data };
  const reasons = parsed.error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`));
  throw new OperatorError('ERR_COMMAND_ARGUMENTS', `Wrong arguments for '${name}': ${reasons.join('; ')}.`);
}
