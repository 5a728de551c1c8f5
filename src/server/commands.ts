/** All commands of this server, and how one is run for somebody who is not at the control socket. */
import { OWN_COMMANDS } from '../commands/index.ts';
import { commandTable, isOperatorError, prepare, type CommandOutcome, type CommandTable, type PlainCaller } from '../core/command.ts';
import type { CoreLog } from '../core/context.ts';
import type { Operations } from '../core/operations.ts';
import { MODULES } from '../modules/index.ts';

/** The server's own, then those of modules. */
export function serverCommands(): CommandTable {
  return commandTable([...OWN_COMMANDS, ...MODULES.flatMap(({ commands = [] }) => commands)]);
}

/**
 * Runs a command that gives one result. What administrators do is logged, with the command's name but without its arguments.
 * Never rejects: what is nobody's fault but ours is in the log.
 */
export async function runCommand(
  table: CommandTable,
  { name, args, caller }: { readonly name: string; readonly args: unknown; readonly caller: PlainCaller },
  operations: () => Operations | Promise<Operations>,
  log: CoreLog,
): Promise<CommandOutcome> {
  try {
    const { command, args: checked } = prepare(table, name, args, caller);
    if (!('run' in command)) throw new Error(`'${name}' streams`);
    const result: unknown = await command.run(checked, { ...caller, signal: NEVER }, await operations());
    if (caller.role === 'admin') log.info('command', { command: name, by: caller.name });
    return { ok: true, result };
  } catch (error) {
    if (isOperatorError(error)) {
      if (caller.role === 'admin' || error.code === 'ERR_COMMAND_FORBIDDEN')
        log.info('command_refused', { command: name, by: caller.name, code: error.code });
      return { ok: false, code: error.code, message: error.message };
    }
    log.error('command_failed', { command: name, by: caller.name, error: error instanceof Error ? error.stack : String(error) });
    return { ok: false, code: 'ERR_COMMAND_FAILED', message: `'${name}' failed inside the server; its log says why.` };
  }
}

const NEVER = new AbortController().signal;
