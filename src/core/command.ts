/**
 * Commands an administrator or a user gives, whatever carries them: the control socket and its command line, ad-hoc
 * commands of XMPP. One definition makes them all, and who may run what is decided here and not in the transport, so
 * that no transport can forget it.
 *
 * The server's own commands are in `src/commands`; a module brings its own (`ModuleSpec.commands`).
 */
import type { z } from 'zod';
import { OperatorError } from '../kernel/errors.ts';
import type { Operations } from './operations.ts';

/**
 * Who runs a command, each allowed what the ones before are. `remote`: an entity of another server; `anonymous`: logged in
 * without an account; `user`: an account of ours; `admin`: an account that the configuration names in `admins`;
 * `operator`: whoever can open the control socket.
 */
export const ROLES = ['remote', 'anonymous', 'user', 'admin', 'operator'] as const;
export type Role = (typeof ROLES)[number];

export interface Caller {
  readonly role: Role;
  /** For the log: an address, or `control socket`. */
  readonly name: string;
  /** Full JID; undefined for whoever is no entity of XMPP. */
  readonly jid?: string | undefined;
  /** Domains that an admin may manage; undefined: all. */
  readonly domains?: readonly string[] | undefined;
  /** Aborted when the caller is gone; a stream of results ends then. */
  readonly signal: AbortSignal;
}

/** A caller as it crosses threads. */
export type PlainCaller = Omit<Caller, 'signal'>;

/** A result for people, whatever shows it: lines of the command line, notes and data forms of ad-hoc commands. */
export interface Report {
  /** A sentence. */
  readonly text?: string | undefined;
  /** Names and values. */
  readonly facts?: readonly (readonly [name: string, value: string | number])[] | undefined;
  readonly table?: ReportTable | undefined;
}

export interface ReportTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
  /** What is said where there are no rows. */
  readonly empty: string;
}

/** What a command is called and takes. `A` is what its handler is given. */
export interface CommandSpec<A> {
  /** Words separated by one space, e.g. `user add`. */
  readonly name: string;
  /** One sentence without a full stop, for help and for lists of ad-hoc commands. */
  readonly summary: string;
  /** The least that may run it. */
  readonly role: Role;
  /** An object of fields from `arguments.ts`, from which forms and options of the command line are made. */
  readonly args: z.ZodType<A>;
  /**
   * Of the caller's own account: for nobody without one. Its role is `user` or `anonymous`.
   */
  readonly isPersonal?: boolean | undefined;
  /** Domains, or addresses at them, that the command is about. Without it, only an admin of all domains may run it. */
  readonly concerns?: ((args: A) => readonly string[]) | undefined;
  /** Arguments that the command line takes by position, in their order; all others are options. */
  readonly positional?: readonly string[] | undefined;
}

/** A command that gives one result. Results are plain data that JSON can hold. */
export interface Command<A, R> extends CommandSpec<A> {
  readonly run: (args: A, caller: Caller, server: Operations) => Promise<R> | R;
  /** Without it, the command says that it is done. */
  readonly report?: ((result: R) => Report) | undefined;
}

/** A command that goes on giving results until it has no more or its caller is gone. Only for the control socket. */
export interface StreamingCommand<A, R> extends CommandSpec<A> {
  readonly stream: (args: A, caller: Caller, server: Operations) => AsyncIterable<R>;
}

/** Any command, its types forgotten: `prepare` has checked the arguments. */
// oxlint-disable-next-line no-explicit-any
export type AnyCommand = Command<any, any> | StreamingCommand<any, any>;

/** Commands by name. */
export type CommandTable = ReadonlyMap<string, AnyCommand>;

/** Declares a command: the types of its arguments and result come from `args` and `run`. */
export function defineCommand<const N extends string, S extends z.ZodType, R>(
  command: Command<z.output<S>, R> & { readonly name: N; readonly args: S },
): Command<z.output<S>, R> & { readonly name: N; readonly args: S } {
  return command;
}

/** The same for one that streams. */
export function defineStream<const N extends string, S extends z.ZodType, R>(
  command: StreamingCommand<z.output<S>, R> & { readonly name: N; readonly args: S },
): StreamingCommand<z.output<S>, R> & { readonly name: N; readonly args: S } {
  return command;
}

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

/** Whether the caller may run the command with some arguments at least: what lists of commands show. */
export function mayRun(command: CommandSpec<unknown>, { role, jid, domains }: PlainCaller): boolean {
  if (ROLES.indexOf(role) < ROLES.indexOf(command.role)) return false;
  if (command.isPersonal === true) return jid !== undefined && role !== 'remote';
  return role !== 'admin' || domains === undefined || command.role !== 'admin' || command.concerns !== undefined;
}

/** A command that may be run: the caller may, the arguments are right. */
export interface PreparedCommand {
  readonly command: AnyCommand;
  readonly args: unknown;
}

/**
 * Finds the command, and checks the caller and the arguments.
 *
 * @throws OperatorError ERR_COMMAND_UNKNOWN, ERR_COMMAND_FORBIDDEN or ERR_COMMAND_ARGUMENTS; the caller causes them.
 */
export function prepare(table: CommandTable, name: string, args: unknown, caller: PlainCaller): PreparedCommand {
  const command = table.get(name);
  if (command === undefined)
    throw new OperatorError('ERR_COMMAND_UNKNOWN', `The server does not know the command '${name}'. Is it of another version?`);
  if (!mayRun(command, caller)) throw forbidden(command);
  const parsed = command.args.safeParse(args);
  if (!parsed.success) {
    const reasons = parsed.error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`));
    throw new OperatorError('ERR_COMMAND_ARGUMENTS', `Wrong arguments for '${name}': ${reasons.join('; ')}.`);
  }
  const { domains } = caller;
  if (caller.role === 'admin' && domains !== undefined && command.role === 'admin') {
    const concerned = command.concerns?.(parsed.data) ?? [];
    if (concerned.length === 0 || !concerned.every((address) => domains.includes(domainOf(address)))) throw forbidden(command);
  }
  return { command, args: parsed.data };
}

function forbidden({ name, role, isPersonal }: AnyCommand): OperatorError {
  if (isPersonal === true) return new OperatorError('ERR_COMMAND_FORBIDDEN', `'${name}' is for those who have an account here.`);
  return new OperatorError('ERR_COMMAND_FORBIDDEN', `'${name}' needs the role ${role}, for all that it is about.`);
}

/** Of an address without a resource, as commands take them; a domain is its own. */
function domainOf(address: string): string {
  const slash = address.indexOf('/');
  const bare = slash === -1 ? address : address.slice(0, slash);
  return bare.slice(bare.indexOf('@') + 1).toLowerCase();
}

/** How a command went, as it crosses threads. */
export type CommandOutcome =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** The way from a worker to the commands, which run on the main thread. */
export interface CommandPort {
  readonly table: CommandTable;
  /** Never rejects for what the caller or an operator can cause. */
  run(name: string, args: unknown, caller: PlainCaller): Promise<CommandOutcome>;
}
