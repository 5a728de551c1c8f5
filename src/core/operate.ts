/** What a command asks of an account: finds the module's operation and answers for it. */
import type { Account } from './account.ts';
import { isOperatorError } from './command.ts';
import type { Operate } from './messages.ts';
import type { OperationAnswer } from './operations.ts';

/** A refusal that the operation throws goes back to the command; any other failure is the account's. */
export function operate(account: Account, { replyTo, operation: name, args }: Operate): void {
  const operation = account.host.accountOperation(name);
  if (operation === undefined) {
    const message = `${account.host.domain} has the module '${name.slice(0, name.indexOf('.'))}' switched off.`;
    account.turn.reply(replyTo, { ok: false, code: 'ERR_MODULE_OFF', message } satisfies OperationAnswer);
    return;
  }
  let result: unknown;
  try {
    result = operation.run(account, args);
  } catch (error) {
    account.turn.reply(replyTo, refusalOf(error));
    return;
  }
  if (!(result instanceof Promise)) {
    account.turn.reply(replyTo, { ok: true, result } satisfies OperationAnswer);
    return;
  }
  const settled = result.then(
    (value: unknown): OperationAnswer => ({ ok: true, result: value }),
    (error: unknown): OperationAnswer => {
      if (isOperatorError(error)) return refusalOf(error);
      const text = error instanceof Error ? error.stack : String(error);
      account.host.services.log.error('operation_failed', { account: account.bare, operation: name, error: text });
      return { ok: false, code: 'ERR_COMMAND_FAILED', message: `'${name}' failed inside the server; its log says why.` };
    },
  );
  account.later(settled, (current, answer) => (current as Account).turn.reply(replyTo, answer));
}

export function refuseOperation(account: Account, { replyTo }: Operate): void {
  const message = `There is no account ${account.bare}. 'rookery user list' shows those that are.`;
  account.turn.reply(replyTo, { ok: false, code: 'ERR_NO_ACCOUNT', message } satisfies OperationAnswer);
}

function refusalOf(error: unknown): OperationAnswer {
  if (!isOperatorError(error)) throw error;
  return { ok: false, code: error.code, message: error.message };
}
