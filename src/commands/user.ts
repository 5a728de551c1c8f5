/** Commands about accounts. */
import { z } from 'zod';
import { addressArgument, lineArgument, numberArgument, passwordArgument, tableOf } from '../core/arguments.ts';
import { ACCOUNTS } from '../core/accounts.ts';
import { defineCommand } from '../core/command.ts';
import { accountNamed, hostNamed, noAccount, passwordGiven } from '../core/command-input.ts';
import type { Operations } from '../core/operations.ts';
import { OperatorError } from '../kernel/errors.ts';
import type { Jid } from '../xmpp/jid.ts';
import { inChunks } from './chunks.ts';

export interface UserRow {
  readonly address: string;
  readonly isEnabled: boolean;
  readonly sessions: number;
}

export interface UserPage {
  readonly users: readonly UserRow[];
  /** Where the next page starts; absent on the last one. */
  readonly next?: string;
}

const oneUser = z.strictObject({ address: addressArgument() });
const withPassword = z.strictObject({ address: addressArgument(), password: passwordArgument() });
const aboutUser = {
  role: 'admin',
  positional: ['address'],
  concerns: ({ address }: { readonly address: string }) => [address],
} as const;

export const userAdd = defineCommand({
  ...aboutUser,
  name: 'user add',
  summary: 'Create an account',
  args: withPassword,
  async run({ address, password }, _caller, server) {
    const jid = accountNamed(server, address);
    const scram = await server.derive(passwordGiven(password));
    if ((await server.ask(jid.bare, { kind: 'create_account', scram })) !== 'created')
      throw new OperatorError(
        'ERR_ACCOUNT_EXISTS',
        `The account ${jid.bare} exists already. 'rookery user passwd' gives it a new password.`,
      );
    return { address: jid.bare as string };
  },
  report: ({ address }) => ({ text: `Created ${address}.` }),
});

export const userPasswd = defineCommand({
  ...aboutUser,
  name: 'user passwd',
  summary: 'Set an account’s password',
  args: withPassword,
  async run({ address, password }, _caller, server) {
    const jid = accountNamed(server, address);
    const scram = await server.derive(passwordGiven(password));
    return found(jid, (await server.ask(jid.bare, { kind: 'set_credentials', scram, closeSessions: true })) !== 'absent');
  },
  report: ({ address }) => ({ text: `Changed the password of ${address}.` }),
});

export const userDel = defineCommand({
  ...aboutUser,
  name: 'user del',
  summary: 'Remove an account and all it has',
  args: oneUser,
  async run({ address }, _caller, server) {
    const jid = accountNamed(server, address);
    return found(jid, (await server.ask(jid.bare, { kind: 'remove_account' })) === 'removed');
  },
  report: ({ address }) => ({ text: `Removed ${address}.` }),
});

export const userEnable = defineCommand({
  ...aboutUser,
  name: 'user enable',
  summary: 'Let a disabled account log in again',
  args: oneUser,
  async run({ address }, _caller, server) {
    const jid = accountNamed(server, address);
    return found(jid, (await server.ask(jid.bare, { kind: 'set_enabled', isEnabled: true })) === 'changed');
  },
  report: ({ address }) => ({ text: `Enabled ${address}.` }),
});

export const userDisable = defineCommand({
  ...aboutUser,
  name: 'user disable',
  summary: 'End an account’s sessions and let it log in no more',
  args: z.strictObject({ address: addressArgument(), reason: lineArgument('Reason').optional() }),
  async run({ address, reason }, caller, server) {
    const jid = accountNamed(server, address);
    const ban = reason === undefined ? undefined : { reason, by: caller.name };
    return found(jid, (await server.ask(jid.bare, { kind: 'set_enabled', isEnabled: false, ban })) === 'changed');
  },
  report: ({ address }) => ({ text: `Disabled ${address}.` }),
});

export const userList = defineCommand({
  name: 'user list',
  summary: 'List accounts',
  role: 'admin',
  args: z.strictObject({
    host: lineArgument('Only of this host').optional(),
    after: addressArgument('Where the page starts').optional(),
    limit: numberArgument('At most so many', 1, 1_000).default(1_000),
  }),
  positional: ['host'],
  concerns: ({ host }) => (host === undefined ? [] : [host]),
  async run({ host, after, limit }, _caller, server): Promise<UserPage> {
    const addresses: string[] = [];
    const suffix = host === undefined ? '' : `@${hostNamed(server, host)}`;
    let last = after;
    for (;;) {
      const page = await server.store.partitions(ACCOUNTS, last, limit);
      for (const address of page) if (address.endsWith(suffix) && isServed(server, address)) addresses.push(address);
      last = page.at(-1);
      if (page.length < limit || addresses.length >= limit) break;
    }
    const users = await inChunks(addresses.slice(0, limit), async (address): Promise<UserRow> => {
      const { isEnabled, sessions } = await server.ask(accountNamed(server, address).bare, { kind: 'get_status' });
      return { address, isEnabled, sessions: sessions.length };
    });
    const next = addresses.length >= limit ? addresses[limit - 1] : undefined;
    return next === undefined ? { users } : { users, next };
  },
  report: ({ users }: UserPage) =>
    tableOf(users, 'There are no accounts. Create one with: rookery user add <address>', {
      ADDRESS: ({ address }) => address,
      STATE: ({ isEnabled }) => (isEnabled ? 'enabled' : 'disabled'),
      SESSIONS: ({ sessions }) => sessions,
    }),
});

function found(jid: Jid, isThere: boolean): { readonly address: string } {
  if (!isThere) throw noAccount(jid);
  return { address: jid.bare };
}

/** Accounts of domains that were given up stay in the store. */
function isServed({ config }: Operations, address: string): boolean {
  return config.hosts.some(({ domain }) => address.endsWith(`@${domain}`));
}
