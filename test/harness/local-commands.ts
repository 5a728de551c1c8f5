/** The command layer of a server that is one runtime in this thread. */
import type { Config } from '../../src/config/config.ts';
import { isOperatorError, type CommandPort } from '../../src/core/command.ts';
import type { CoreLog, PasswordPool } from '../../src/core/context.ts';
import type { Operations, ProcessOperations } from '../../src/core/operations.ts';
import { runCommand, serverCommands } from '../../src/server/commands.ts';
import { ServerOperations } from '../../src/server/operations.ts';
import type { Runtime } from '../../src/server/runtime.ts';
import type { Store } from '../../src/store/store.ts';
import { parseJid } from '../../src/xmpp/jid.ts';

export interface LocalParts {
  readonly config: Config;
  readonly store: Store;
  readonly pool: PasswordPool;
  readonly log: CoreLog;
  readonly runtime: () => Runtime;
  readonly process?: ProcessOperations | undefined;
}

export function localCommands({
  config,
  store,
  pool,
  log,
  runtime,
  process,
}: LocalParts): CommandPort & { readonly operations: Operations } {
  const worker = {
    ask: async (bare: string, request: Parameters<Runtime['ask']>[1]) => runtime().ask(parseJid(bare)!.bare, request),
    sessionOwners: async () => runtime().sessionOwners(),
    operate: async (name: string, args: unknown) => {
      try {
        return { ok: true, result: await runtime().operate(name, args) } as const;
      } catch (error) {
        if (!isOperatorError(error)) throw error;
        return { ok: false, code: error.code, message: error.message } as const;
      }
    },
  };
  const operations = new ServerOperations({ config, store, pool, reachable: [worker], process });
  const table = serverCommands();
  return { table, operations, run: (name, args, caller) => runCommand(table, { name, args, caller }, () => operations, log) };
}
