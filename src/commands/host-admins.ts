/** Who administers a host: what the configuration says, and what administrators add to it while the server runs. */
import { z } from 'zod';
import { addressArgument, lineArgument, tableOf } from '../core/arguments.ts';
import { defineCommand } from '../core/command.ts';
import { accountNamed, hostNamed } from '../core/command-input.ts';
import { readSetting, writeSetting } from '../core/host-settings.ts';
import type { Operations } from '../core/operations.ts';
import { configuredAdmins, HOST_ADMINS } from '../core/roles.ts';

const host = lineArgument('Host');
const about = { role: 'admin', concerns: (args: { readonly host: string }) => [args.host] } as const;

export interface HostAdmins {
  /** Bare JIDs, from the configuration: only that can remove them. */
  readonly configured: readonly string[];
  /** Bare JIDs. */
  readonly added: readonly string[];
}

async function adminsOf(server: Operations, domain: string): Promise<HostAdmins> {
  const configured = [...configuredAdmins(server.config)].filter(([, domains]) => domains === undefined || domains.includes(domain));
  return { configured: configured.map(([bare]) => bare).toSorted(), added: (await readSetting(server, domain, HOST_ADMINS)) ?? [] };
}

export const adminList = defineCommand({
  ...about,
  name: 'admin list',
  summary: 'Show who administers a host',
  args: z.strictObject({ host }),
  positional: ['host'],
  run: (args, _caller, server) => adminsOf(server, hostNamed(server, args.host)),
  report: ({ configured, added }) =>
    tableOf(
      [...configured.map((address) => ({ address, by: 'the configuration' })), ...added.map((address) => ({ address, by: 'a command' }))],
      'Nobody administers this host over XMPP.',
      { ADDRESS: ({ address }) => address, NAMED_BY: ({ by }) => by },
    ),
});

export const adminAdd = defineCommand({
  ...about,
  name: 'admin add',
  summary: 'Let an account administer a host',
  args: z.strictObject({ host, address: addressArgument() }),
  positional: ['host', 'address'],
  async run(args, _caller, server) {
    const domain = hostNamed(server, args.host);
    const { bare } = accountNamed(server, args.address);
    const { configured, added } = await adminsOf(server, domain);
    if (!configured.includes(bare)) await writeSetting(server, domain, HOST_ADMINS, [...new Set([...added, bare])].toSorted());
    return { address: bare as string };
  },
  report: ({ address }) => ({ text: `${address} is an admin.` }),
});

export const adminRemove = defineCommand({
  ...about,
  name: 'admin remove',
  summary: 'Let an account administer a host no more, unless the configuration names it',
  args: z.strictObject({ host, address: addressArgument() }),
  positional: ['host', 'address'],
  async run(args, _caller, server) {
    const domain = hostNamed(server, args.host);
    const { bare } = accountNamed(server, args.address);
    const { configured, added } = await adminsOf(server, domain);
    const left = added.filter((each) => each !== bare);
    if (left.length < added.length) await writeSetting(server, domain, HOST_ADMINS, left.length === 0 ? undefined : left);
    return { address: bare as string, isConfigured: configured.includes(bare) };
  },
  report: ({ address, isConfigured }) => ({
    text: isConfigured ? `${address} stays an admin: the configuration names it.` : `${address} is no admin.`,
  }),
});
