/** Words to users, who administers the service, and its end. XEP-0133 §4.23 – §4.31 */
import { stage, type AdhocCommand, type AdhocContext, type AdhocResult, type AdhocValues } from '../../core/adhoc.ts';
import { choiceField, jidsField, linesField, textField } from '../../xmpp/form-schema.ts';
import { parseJid } from '../../xmpp/jid.ts';
import { adminForm, jidsIn, nodeOf } from './form.ts';

interface Words {
  readonly node: string;
  readonly name: string;
  readonly command: string;
  readonly title: string;
  readonly instructions: string;
  /** The field of the text. */
  readonly field: string;
  readonly label: string;
  /** The command that tells what holds now. */
  readonly shown?: string;
  /** For all hosts, as ejabberd names it. */
  readonly isForAll?: boolean;
}

/** A text, with a subject where one is wanted, for the host that is asked or for all. */
function words({ node, name, command, title, instructions, field, label, shown, isForAll = false }: Words): AdhocCommand {
  const form = adminForm(title, instructions, {
    subject: textField({ label: 'Subject', maxLength: 1_023 }),
    [field]: linesField({ label, isRequired: true, maxLength: 10_000 }),
  });
  return {
    node: nodeOf(node),
    name,
    command,
    stages: [
      stage(form, async (_values, context) => {
        const known = shown === undefined ? [] : ((await context.run(shown, about(context, false))) as { subject: string; text: string }[]);
        return known.length === 0 ? {} : { subject: known[0]!.subject, [field]: known[0]!.text };
      }),
    ],
    async run(values, context) {
      const subject = values['subject'];
      const text = values[field];
      await context.run(command, { text, ...(subject === undefined || subject === '' ? {} : { subject }), ...about(context, isForAll) });
      return {};
    },
  };
}

function removal(node: string, name: string, command: string, isForAll = false): AdhocCommand {
  return {
    node: nodeOf(node),
    name,
    command,
    stages: [],
    async run(_values, context) {
      await context.run(command, about(context, isForAll));
      return {};
    },
  };
}

function about({ host }: AdhocContext, isForAll: boolean): { readonly host?: string } {
  return isForAll ? {} : { host: host.domain };
}

const ANNOUNCE = { title: 'Making an Announcement', field: 'announcement', label: 'Announcement' } as const;
const MOTD = { field: 'motd', label: 'Message of the Day' } as const;

/** §4.29: only what was added by commands can be taken away. */
const editAdmins: AdhocCommand = {
  node: nodeOf('edit-admin'),
  name: 'Edit Admin List',
  command: 'admin add',
  stages: [
    stage(
      adminForm('Editing the Admin List', 'Fill out this form to edit the list of entities who have administrative privileges.', {
        adminjids: jidsField({ label: 'The admin list' }),
      }),
      async (_values, context) => {
        const { configured, added } = await adminsOf(context);
        return { adminjids: [...configured, ...added].flatMap((address) => parseJid(address) ?? []) };
      },
    ),
  ],
  async run(values, context): Promise<AdhocResult> {
    const wanted: string[] = jidsIn(values, 'adminjids').map(({ full }) => full);
    const { configured, added } = await adminsOf(context);
    const host = context.host.domain;
    const known = [...configured, ...added];
    for (const address of wanted) if (!known.includes(address)) await context.run('admin add', { host, address });
    for (const address of added) if (!wanted.includes(address)) await context.run('admin remove', { host, address });
    const left = configured.filter((address) => !wanted.includes(address));
    return { notes: left.map((address) => ({ type: 'warn', text: `${address} stays: the configuration names it.` })) };
  },
};

async function adminsOf({ run, host }: AdhocContext): Promise<{ configured: string[]; added: string[] }> {
  return (await run('admin list', { host: host.domain })) as { configured: string[]; added: string[] };
}

/** §4.30, §4.31 */
const DELAYS = {
  '30': '30 seconds',
  '60': '60 seconds',
  '90': '90 seconds',
  '120': '2 minutes',
  '180': '3 minutes',
  '240': '4 minutes',
  '300': '5 minutes',
} as const;

function ending(node: string, name: string, command: string, title: string, what: string): AdhocCommand {
  return {
    node: nodeOf(node),
    name,
    command,
    stages: [
      stage(
        adminForm(title, `Fill out this form to ${what} the service.`, {
          delay: choiceField(DELAYS, { label: `Time delay before it happens` }),
          announcement: linesField({ label: 'Announcement', maxLength: 10_000 }),
        }),
      ),
    ],
    async run(values: AdhocValues, { run }: AdhocContext) {
      const { delay, announcement } = values;
      await run(command, {
        delay: delay === undefined ? 0 : Number(delay),
        ...(announcement === undefined || announcement === '' ? {} : { announcement }),
      });
      return {};
    },
  };
}

export const SERVICE_COMMANDS: readonly AdhocCommand[] = [
  words({
    ...ANNOUNCE,
    node: 'announce',
    name: 'Send Announcement to Online Users',
    command: 'announce online',
    instructions: 'Fill out this form to make an announcement to all active users of this service.',
  }), // §4.23
  words({
    ...ANNOUNCE,
    node: 'announce-allhosts',
    name: 'Send Announcement to Online Users of all Hosts',
    command: 'announce online',
    instructions: 'Fill out this form to make an announcement to all active users of all hosts.',
    isForAll: true,
  }),
  words({
    ...ANNOUNCE,
    node: 'announce-all',
    name: 'Send Announcement to all Users',
    command: 'announce all',
    instructions: 'Fill out this form to make an announcement to all users of this service.',
  }),
  words({
    ...ANNOUNCE,
    node: 'announce-all-allhosts',
    name: 'Send Announcement to all Users of all Hosts',
    command: 'announce all',
    instructions: 'Fill out this form to make an announcement to all users of all hosts.',
    isForAll: true,
  }),
  words({
    ...MOTD,
    node: 'set-motd',
    name: 'Set Message of the Day',
    command: 'motd set',
    title: 'Setting the Message of the Day',
    instructions: 'Fill out this form to set the message of the day.',
  }), // §4.24
  words({
    ...MOTD,
    node: 'set-motd-allhosts',
    name: 'Set Message of the Day of all Hosts',
    command: 'motd set',
    title: 'Setting the Message of the Day',
    instructions: 'Fill out this form to set the message of the day of all hosts.',
    isForAll: true,
  }),
  words({
    ...MOTD,
    node: 'edit-motd',
    name: 'Edit Message of the Day',
    command: 'motd update',
    shown: 'motd show',
    title: 'Editing the Message of the Day',
    instructions: 'Fill out this form to edit the message of the day.',
  }), // §4.25
  words({
    ...MOTD,
    node: 'edit-motd-allhosts',
    name: 'Edit Message of the Day of all Hosts',
    command: 'motd update',
    shown: 'motd show',
    title: 'Editing the Message of the Day',
    instructions: 'Fill out this form to edit the message of the day of all hosts.',
    isForAll: true,
  }),
  removal('delete-motd', 'Delete Message of the Day', 'motd delete'), // §4.26
  removal('delete-motd-allhosts', 'Delete Message of the Day of all Hosts', 'motd delete', true),
  words({
    node: 'set-welcome',
    name: 'Set Welcome Message',
    command: 'welcome set',
    shown: 'welcome show',
    title: 'Setting Welcome Message',
    instructions: 'Fill out this form to set the welcome message for this service.',
    field: 'welcome',
    label: 'Welcome Message',
  }), // §4.27
  removal('delete-welcome', 'Delete Welcome Message', 'welcome delete'), // §4.28
  editAdmins,
  ending('restart', 'Restart Service', 'restart', 'Restarting the Service', 'restart'),
  ending('shutdown', 'Shut Down Service', 'stop', 'Shutting Down the Service', 'shut down'),
];
