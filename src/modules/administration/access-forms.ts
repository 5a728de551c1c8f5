/** Block lists and allow lists as commands and forms. XEP-0133 §4.11, §4.12 */
import { z } from 'zod';
import { stage, type AdhocCommand } from '../../core/adhoc.ts';
import { choiceArgument, lineArgument, tableOf, textArgument } from '../../core/arguments.ts';
import { defineCommand, type AnyCommand } from '../../core/command.ts';
import { hostNamed } from '../../core/command-input.ts';
import { readSetting, writeSetting } from '../../core/host-settings.ts';
import { OperatorError } from '../../kernel/errors.ts';
import { jidsField } from '../../xmpp/form-schema.ts';
import { parseJid } from '../../xmpp/jid.ts';
import { ACCESS, DIRECTIONS, LISTS, NO_LISTS, type AccessLists, type ListDirection, type ListName } from './access-lists.ts';
import { adminForm, jidsIn, nodeOf } from './form.ts';

const MAX_ENTRIES = 1_000;

const common = { role: 'admin', positional: ['host'], concerns: ({ host }: { readonly host: string }) => [host] } as const;
const host = lineArgument('Host');

const accessShow = defineCommand({
  ...common,
  name: 'access show',
  summary: 'Show with whom a host’s accounts may and may not communicate',
  args: z.strictObject({ host }),
  run: async (args, _caller, server): Promise<AccessLists> => (await readSetting(server, hostNamed(server, args.host), ACCESS)) ?? NO_LISTS,
  report: (lists) =>
    tableOf(
      LISTS.flatMap((list) => DIRECTIONS.flatMap((direction) => lists[list][direction].map((entry) => ({ list, direction, entry })))),
      'There are no such lists: everybody may.',
      { LIST: ({ list }) => list, DIRECTION: ({ direction }) => direction, ADDRESS: ({ entry }) => entry },
    ),
});

const accessSet = defineCommand({
  ...common,
  name: 'access set',
  summary: 'Say with whom a host’s accounts may not communicate (blacklist), or with whom alone (whitelist)',
  args: z.strictObject({
    host,
    list: choiceArgument('List: blacklist or whitelist', LISTS),
    direction: choiceArgument('Direction: both, in or out', DIRECTIONS).default('both'),
    entries: textArgument('Addresses or domains, all of the list; without any, it is empty', 100_000).optional(),
  }),
  positional: ['host', 'list', 'entries'],
  async run(args, _caller, server) {
    const domain = hostNamed(server, args.host);
    const lists = (await readSetting(server, domain, ACCESS)) ?? NO_LISTS;
    const entries = readEntries(args.entries ?? '');
    const changed: AccessLists = { ...lists, [args.list]: { ...lists[args.list], [args.direction]: entries } };
    const isEmpty = LISTS.every((list) => DIRECTIONS.every((direction) => changed[list][direction].length === 0));
    await writeSetting(server, domain, ACCESS, isEmpty ? undefined : changed);
    return { entries: entries.length };
  },
  report: ({ entries }) => ({ text: entries === 1 ? 'The list has 1 entry.' : `The list has ${entries} entries.` }),
});

function readEntries(text: string): string[] {
  const entries = new Set<string>();
  for (const word of text.split(/\s+/).filter((each) => each !== '')) {
    const jid = parseJid(word);
    if (jid === undefined) throw new OperatorError('ERR_ADDRESS', `'${word}' is no address.`);
    entries.add(jid.full);
  }
  if (entries.size > MAX_ENTRIES) throw new OperatorError('ERR_COMMAND_ARGUMENTS', `A list has at most ${MAX_ENTRIES} entries.`);
  return [...entries];
}

export const ACCESS_COMMANDS: readonly AnyCommand[] = [accessShow, accessSet];

const NAMES: Readonly<Record<ListDirection, string>> = { both: '', in: ' (inbound)', out: ' (outbound)' };

function edit(list: ListName, direction: ListDirection): AdhocCommand {
  const field = `${list}jids`;
  const words = list === 'blacklist' ? (['Blacklist', 'disallowed'] as const) : (['Whitelist', 'allowed'] as const);
  return {
    node: nodeOf(direction === 'both' ? `edit-${list}` : `add-to-${list}-${direction}`),
    name: `Edit ${words[0]}${NAMES[direction]}`,
    command: 'access set',
    stages: [
      stage(
        adminForm(`Editing the ${words[0]}`, `Fill out this form to edit the list of entities with whom communications are ${words[1]}.`, {
          [field]: jidsField({ label: `The ${list}` }),
        }),
        async (_values, { run, host: { domain } }) => {
          const lists = (await run('access show', { host: domain })) as AccessLists;
          return { [field]: lists[list][direction].flatMap((address) => parseJid(address) ?? []) };
        },
      ),
    ],
    async run(values, { run, host: { domain } }) {
      const entries = jidsIn(values, field).map(({ full }) => full);
      await run('access set', { host: domain, list, direction, ...(entries.length === 0 ? {} : { entries: entries.join('\n') }) });
      return {};
    },
  };
}

export const ACCESS_FORMS: readonly AdhocCommand[] = LISTS.flatMap((list) => DIRECTIONS.map((direction) => edit(list, direction)));
