/** Commands about accounts. */
import { z } from 'zod';
import { addressArgument, choiceArgument, lineArgument, numberArgument, passwordArgument, tableOf } from '../core/arguments.ts';
import type { Ban } from '../core/accounts.ts';
import { defineCommand } from '../core/command.ts';
import { accountNamed, hostNamed, noAccount, passwordGiven } from '../core/command-input.ts';
import type { SessionStatus } from '../core/messages.ts';
import { OperatorError } from '../kernel/errors.ts';
import { LAST_LOGIN, type LastLogin } from '../modules/logins.ts';
import { ROSTER_LIST } from '../modules/roster/index.ts';
import type { BareJid, Jid } from '../xmpp/jid.ts';
import { accountsIn, USER_STATES } from './accounts.ts';
import { inChunks } from './chunks.ts';
import { timeText } from './session.ts';

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

const ofHost = { host: lineArgument('Only of this host').optional() };
const aboutHost = ({ host }: { readonly host?: string | undefined }): string[] => (host === undefined ? [] : [host]);
const stateArgument = choiceArgument('State: registered, disabled, online, active or idle', USER_STATES).default('registered');

export const userList = defineCommand({
  name: 'user list',
  summary: 'List accounts',
  role: 'admin',
  args: z.strictObject({
    ...ofHost,
    state: stateArgument,
    after: addressArgument('Where the page starts').optional(),
    limit: numberArgument('At most so many', 1, 1_000).default(1_000),
  }),
  positional: ['host'],
  concerns: aboutHost,
  async run({ host, state, after, limit }, _caller, server): Promise<UserPage> {
    const addresses: BareJid[] = [];
    for await (const page of accountsIn(server, { host: host === undefined ? undefined : hostNamed(server, host), state, after })) {
      addresses.push(...page);
      if (addresses.length >= limit) break;
    }
    const users = await inChunks(addresses.slice(0, limit), async (address): Promise<UserRow> => {
      const { isEnabled, sessions } = await server.ask(address, { kind: 'get_status' });
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

export const userCount = defineCommand({
  name: 'user count',
  summary: 'Count accounts',
  role: 'admin',
  args: z.strictObject({ ...ofHost, state: stateArgument }),
  positional: ['host'],
  concerns: aboutHost,
  async run({ host, state }, _caller, server) {
    let count = 0;
    for await (const page of accountsIn(server, { host: host === undefined ? undefined : hostNamed(server, host), state }))
      count += page.length;
    return { count, state };
  },
  report: ({ count, state }) => ({ facts: [[`Accounts ${state}`, count]] }),
});

/** What is known of an account. Times are in milliseconds since the epoch. */
export interface UserInfo {
  readonly address: string;
  readonly isEnabled: boolean;
  readonly ban: Ban | null;
  readonly createdAtMs: number;
  /** Null where there was none, or nobody keeps it. */
  readonly lastLogin: LastLogin | null;
  readonly rosterSize: number | null;
  readonly sessions: readonly SessionStatus[];
}

export const userInfo = defineCommand({
  ...aboutUser,
  name: 'user info',
  summary: 'Show what is known of an account',
  args: oneUser,
  async run({ address }, _caller, server): Promise<UserInfo> {
    const jid = accountNamed(server, address);
    const { exists, isEnabled, ban, createdAtMs, sessions } = await server.ask(jid.bare, { kind: 'get_status' });
    found(jid, exists);
    const lastLogin = await ifOn(server.account(jid.bare, LAST_LOGIN, null));
    const contacts = await ifOn(server.account(jid.bare, ROSTER_LIST, null));
    return { address: jid.bare, isEnabled, ban: ban ?? null, createdAtMs, lastLogin, rosterSize: contacts?.length ?? null, sessions };
  },
  report: ({ address, isEnabled, ban, createdAtMs, lastLogin, rosterSize, sessions }) => ({
    facts: [
      ['Address', address],
      ['State', isEnabled ? 'enabled' : 'disabled'],
      ...(ban === null ? [] : [['Disabled because', `${ban.reason} (by ${ban.by}, ${timeText(ban.atMs)})`] as const]),
      ['Created', timeText(createdAtMs)],
      ['Last login', lastLogin === null ? 'never' : `${timeText(lastLogin.atMs)} from ${lastLogin.remoteAddress} (${lastLogin.mechanism})`],
      ['Contacts', rosterSize ?? 'unknown'],
      ...sessions.map(
        ({ jid, remoteAddress, boundAtMs }) => ['Session', `${jid} from ${remoteAddress} since ${timeText(boundAtMs)}`] as const,
      ),
    ],
  }),
});

/** Null where the module is switched off. */
async function ifOn<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof OperatorError && error.code === 'ERR_MODULE_OFF') return null;
    throw error;
  }
}

export const userRoster = defineCommand({
  ...aboutUser,
  name: 'user roster',
  summary: 'Show an account’s contacts',
  args: oneUser,
  async run({ address }, _caller, server) {
    const jid = accountNamed(server, address);
    return { address: jid.bare as string, contacts: await server.account(jid.bare, ROSTER_LIST, null) };
  },
  report: ({ contacts }) =>
    tableOf(contacts, 'The roster is empty.', {
      ADDRESS: ({ address }) => address,
      NAME: ({ name }) => name,
      SUBSCRIPTION: ({ subscription, ask }) => (ask ? `${subscription}, asked` : subscription),
      GROUPS: ({ groups }) => groups.join(', '),
    }),
});

function found(jid: Jid, isThere: boolean): { readonly address: string } {
  if (!isThere) throw noAccount(jid);
  return { address: jid.bare };
}
