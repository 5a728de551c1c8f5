/** Commands that make groups. They alone write them, into the partition of the host. */
import { z } from 'zod';
import { addressArgument, lineArgument, tableOf } from '../../core/arguments.ts';
import { defineCommand } from '../../core/command.ts';
import { accountNamed, hostNamed } from '../../core/command-input.ts';
import type { Operations } from '../../core/operations.ts';
import { OperatorError } from '../../kernel/errors.ts';
import { Batch } from '../../store/store.ts';
import { readGroups } from './directory.ts';
import { GROUPS, type Group } from './group.ts';
import { RELOAD } from './sharing.ts';

/** Of one group, beside `everyone`. A row is read whole. */
const MAX_MEMBERS = 10_000;
const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,99}$/u;

const name = () => lineArgument('Name of the group, of letters, digits, spaces, points and hyphens', 100, (text) => NAME.test(text));
const host = () => lineArgument('Host whose group it is, if not the first one').optional();

interface GroupRow extends Group {
  readonly name: string;
}

const concerns = ({ host: domain }: { readonly host?: string | undefined }): readonly string[] => (domain === undefined ? [] : [domain]);
const aboutGroup = { role: 'admin', positional: ['name'], concerns } as const;
const aboutMember = {
  role: 'admin',
  positional: ['name', 'address'],
  concerns: ({ address }: { readonly address: string }) => [address],
} as const;

export const groupSet = defineCommand({
  ...aboutGroup,
  name: 'group set',
  summary: 'Make a group whose members have each other in their rosters, or change it',
  args: z.strictObject({
    name: name(),
    title: lineArgument('Name that clients show; at first that of the group', 200).optional(),
    members: lineArgument('Addresses of the members, with commas between them, or everyone', 100_000).optional(),
    visible: lineArgument('Whose rosters have them: members, everyone, or names of groups, with commas between them', 10_000).optional(),
    host: host(),
  }),
  async run(args, _caller, server) {
    const domain = domainOf(server, args.host);
    const groups = await readGroups(server.store, domain);
    const before: Group = groups.get(args.name) ?? { title: args.name, members: [], visibleTo: 'members' };
    const group: Group = {
      title: args.title ?? before.title,
      members: args.members === undefined ? before.members : membersFrom(server, domain, args.members),
      visibleTo: args.visible === undefined ? before.visibleTo : viewersFrom(args.visible, groups, args.name),
    };
    await save(server, domain, args.name, group);
    return { name: args.name, ...group };
  },
  report: ({ name: group, members }) => ({ text: `The group ${group} has ${describeMembers(members)}.` }),
});

export const groupDel = defineCommand({
  ...aboutGroup,
  name: 'group del',
  summary: 'Remove a group from all rosters',
  args: z.strictObject({ name: name(), host: host() }),
  async run(args, _caller, server) {
    const domain = domainOf(server, args.host);
    await groupNamed(server, domain, args.name);
    await save(server, domain, args.name, undefined);
    return { name: args.name };
  },
  report: (result) => ({ text: `Removed the group ${result.name}.` }),
});

export const groupList = defineCommand({
  name: 'group list',
  summary: 'List groups that are in rosters',
  role: 'admin',
  args: z.strictObject({ host: host() }),
  positional: ['host'],
  concerns,
  async run(args, _caller, server): Promise<{ readonly groups: readonly GroupRow[] }> {
    const groups = await readGroups(server.store, domainOf(server, args.host));
    return { groups: [...groups].map(([group, row]) => ({ name: group, ...row })) };
  },
  report: ({ groups }) =>
    tableOf(groups, 'There are no groups. Make one with: rookery group set <name> --members <addresses>', {
      Name: (row) => row.name,
      Title: ({ title }) => title,
      Members: ({ members }) => describeMembers(members),
      'Visible to': ({ visibleTo }) => (typeof visibleTo === 'string' ? visibleTo : visibleTo.join(', ')),
    }),
});

export const groupMembers = defineCommand({
  ...aboutGroup,
  name: 'group members',
  summary: 'List the members of a group',
  args: z.strictObject({ name: name(), host: host() }),
  async run(args, _caller, server) {
    const { members } = await groupNamed(server, domainOf(server, args.host), args.name);
    return { members };
  },
  report: ({ members }) =>
    members === 'everyone' ? { text: 'Everyone.' } : tableOf(members, 'It has no members.', { Address: (each) => each }),
});

export const groupJoin = defineCommand({
  ...aboutMember,
  name: 'group join',
  summary: 'Put an account into a group',
  args: z.strictObject({ name: name(), address: addressArgument() }),
  run: ({ name: group, address }, _caller, server) =>
    changeMembers(server, group, address, (members, bare) => [...members.filter((each) => each !== bare), bare]),
  report: ({ name: group, members }) => ({ text: `The group ${group} has ${describeMembers(members)}.` }),
});

export const groupLeave = defineCommand({
  ...aboutMember,
  name: 'group leave',
  summary: 'Take an account out of a group',
  args: z.strictObject({ name: name(), address: addressArgument() }),
  run: ({ name: group, address }, _caller, server) =>
    changeMembers(server, group, address, (members, bare) => members.filter((each) => each !== bare)),
  report: ({ name: group, members }) => ({ text: `The group ${group} has ${describeMembers(members)}.` }),
});

export const COMMANDS = [groupSet, groupDel, groupList, groupMembers, groupJoin, groupLeave];

async function changeMembers(
  server: Operations,
  group: string,
  address: string,
  change: (members: readonly string[], bare: string) => readonly string[],
): Promise<GroupRow> {
  const jid = accountNamed(server, address);
  const before = await groupNamed(server, jid.domain, group);
  if (before.members === 'everyone')
    throw new OperatorError('ERR_COMMAND_ARGUMENTS', `Everyone is a member of ${group}, and nobody else can be.`);
  const after = { ...before, members: limited(change(before.members, jid.bare)) };
  await save(server, jid.domain, group, after);
  return { name: group, ...after };
}

/** Written first, then every worker reads it and tells those who are there. */
async function save(server: Operations, domain: string, group: string, row: Group | undefined): Promise<void> {
  const batch = new Batch(domain);
  if (row === undefined) batch.delete(GROUPS, [group]);
  else batch.put(GROUPS, [group], row);
  await server.store.commit(batch).promise;
  await server.everyWorker(RELOAD, { domain });
}

async function groupNamed(server: Operations, domain: string, group: string): Promise<Group> {
  const row = await server.store.get(GROUPS, domain, [group]);
  if (row === undefined)
    throw new OperatorError('ERR_NO_GROUP', `There is no group '${group}' at ${domain}. 'rookery group list' shows those that are.`);
  return row;
}

function domainOf(server: Operations, given: string | undefined): string {
  return given === undefined ? server.config.hosts[0]!.domain : hostNamed(server, given);
}

function membersFrom(server: Operations, domain: string, text: string): Group['members'] {
  if (text.trim() === 'everyone') return 'everyone';
  const members = words(text).map((word) => accountNamed(server, word.includes('@') ? word : `${word}@${domain}`));
  const stranger = members.find((jid) => jid.domain !== domain);
  if (stranger !== undefined) throw new OperatorError('ERR_ADDRESS', `${stranger.bare} is no account of ${domain}, whose group it is.`);
  return limited([...new Set(members.map(({ bare }) => bare))]);
}

function limited(members: readonly string[]): readonly string[] {
  if (members.length > MAX_MEMBERS)
    throw new OperatorError('ERR_COMMAND_ARGUMENTS', `A group has at most ${MAX_MEMBERS} members, unless it is of everyone.`);
  return members;
}

function viewersFrom(text: string, groups: ReadonlyMap<string, Group>, self: string): Group['visibleTo'] {
  const [first, ...more] = words(text);
  if (more.length === 0 && (first === 'members' || first === 'everyone')) return first;
  const names = words(text);
  const unknown = names.find((each) => each !== self && !groups.has(each));
  if (unknown !== undefined)
    throw new OperatorError('ERR_NO_GROUP', `There is no group '${unknown}'. 'rookery group list' shows those that are.`);
  return names;
}

const words = (text: string): string[] =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');

function describeMembers(members: Group['members']): string {
  if (members === 'everyone') return 'everyone';
  return members.length === 1 ? '1 member' : `${members.length} members`;
}
