/** Announcements, message of the day and welcome as commands. */
import { z } from 'zod';
import { ACCOUNTS } from '../../core/accounts.ts';
import { lineArgument, textArgument } from '../../core/arguments.ts';
import { defineCommand, type AnyCommand } from '../../core/command.ts';
import { hostNamed } from '../../core/command-input.ts';
import { readSetting, writeSetting, type HostSetting } from '../../core/host-settings.ts';
import type { Operations } from '../../core/operations.ts';
import type { BareJid } from '../../xmpp/jid.ts';
import { TELL_ALL, TELL_ONLINE } from './delivering.ts';
import { makeWords, MOTD, WELCOME, type Words } from './words.ts';

/** Accounts read from the store at a time. */
const PAGE = 500;

const what = {
  text: textArgument('Message'),
  subject: lineArgument('Subject').optional(),
  host: lineArgument('Only of this host').optional(),
};
const where = { host: lineArgument('Only of this host').optional() };

interface Where {
  readonly host?: string | undefined;
}

const common = { role: 'admin', concerns: ({ host }: Where): string[] => (host === undefined ? [] : [host]) } as const;

/** The host that is meant, or all. */
function hostsOf(server: Operations, { host }: Where): string[] {
  return host === undefined ? server.config.hosts.map(({ domain }) => domain) : [hostNamed(server, host)];
}

/** Sessions that were told. */
export async function tellOnline(server: Operations, hosts: readonly string[], words: Words, isMotd = false): Promise<number> {
  const told = await server.everyWorker(TELL_ONLINE, { hosts, words, isMotd });
  return told.reduce((sum, each) => sum + each, 0);
}

const announceOnline = defineCommand({
  ...common,
  name: 'announce online',
  summary: 'Send a message to everybody who is online',
  args: z.strictObject(what),
  positional: ['text'],
  async run({ text, subject, host }, _caller, server) {
    return { sessions: await tellOnline(server, hostsOf(server, { host }), makeWords(text, subject)) };
  },
  report: ({ sessions }) => ({ text: `Sent to ${counted(sessions, 'session')}.` }),
});

const announceAll = defineCommand({
  ...common,
  name: 'announce all',
  summary: 'Send a message to every account, online or not',
  args: z.strictObject(what),
  positional: ['text'],
  async run({ text, subject, host }, _caller, server) {
    const words = makeWords(text, subject);
    const hosts = hostsOf(server, { host });
    let accounts = 0;
    for (let after: string | undefined; ;) {
      const page = (await server.store.partitions(ACCOUNTS, after, PAGE)) as BareJid[];
      const addresses = page.filter((bare) => hosts.includes(bare.slice(bare.indexOf('@') + 1)));
      accounts += await server.anyWorker(TELL_ALL, { addresses, words, isMotd: false });
      after = page.at(-1);
      if (page.length < PAGE) return { accounts };
    }
  },
  report: ({ accounts }) => ({ text: `Sent to ${counted(accounts, 'account')}.` }),
});

const motdSet = defineCommand({
  ...common,
  name: 'motd set',
  summary: 'Set the message of the day, and send it to everybody who is online',
  args: z.strictObject(what),
  positional: ['text'],
  async run({ text, subject, host }, _caller, server) {
    const words = makeWords(text, subject);
    const hosts = hostsOf(server, { host });
    for (const domain of hosts) await writeSetting(server, domain, MOTD, words);
    return { sessions: await tellOnline(server, hosts, words, true) };
  },
  report: ({ sessions }) => ({ text: `Set, and sent to ${counted(sessions, 'session')}.` }),
});

const motdUpdate = defineCommand({
  ...common,
  name: 'motd update',
  summary: 'Set the message of the day for logins from now on',
  args: z.strictObject(what),
  positional: ['text'],
  async run({ text, subject, host }, _caller, server) {
    for (const domain of hostsOf(server, { host })) await writeSetting(server, domain, MOTD, makeWords(text, subject));
    return {};
  },
});

const welcomeSet = defineCommand({
  ...common,
  name: 'welcome set',
  summary: 'Set the message that new accounts find',
  args: z.strictObject(what),
  positional: ['text'],
  async run({ text, subject, host }, _caller, server) {
    for (const domain of hostsOf(server, { host })) await writeSetting(server, domain, WELCOME, makeWords(text, subject));
    return {};
  },
});

/** The two commands that every kind of standing words has. */
function standing(name: 'motd' | 'welcome', setting: HostSetting<Words>, title: string): readonly AnyCommand[] {
  const remove = defineCommand({
    ...common,
    name: `${name} delete`,
    summary: `Remove ${title}`,
    args: z.strictObject(where),
    positional: ['host'],
    async run({ host }, _caller, server) {
      for (const domain of hostsOf(server, { host })) await writeSetting(server, domain, setting, undefined);
      return {};
    },
  });
  const show = defineCommand({
    ...common,
    name: `${name} show`,
    summary: `Show ${title}`,
    args: z.strictObject(where),
    positional: ['host'],
    async run({ host }, _caller, server) {
      const all: { host: string; subject: string; text: string }[] = [];
      for (const domain of hostsOf(server, { host })) {
        const words = await readSetting(server, domain, setting);
        if (words !== undefined) all.push({ host: domain, subject: words.subject ?? '', text: words.text });
      }
      return all;
    },
    report: (all) => ({
      table: {
        columns: ['HOST', 'SUBJECT', 'TEXT'],
        rows: all.map(({ host, subject, text }) => [host, subject, text]),
        empty: 'There is none.',
      },
    }),
  });
  return [remove, show];
}

const counted = (count: number, what: string): string => (count === 1 ? `1 ${what}` : `${count} ${what}s`);

export const ANNOUNCEMENT_COMMANDS: readonly AnyCommand[] = [
  announceOnline,
  announceAll,
  motdSet,
  motdUpdate,
  ...standing('motd', MOTD, 'the message of the day'),
  welcomeSet,
  ...standing('welcome', WELCOME, 'the message that new accounts find'),
];
