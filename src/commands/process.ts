/** Commands about the server as a process. */
import { isAbsolute } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { addressArgument, lineArgument, NO_ARGUMENTS, numberArgument, textArgument } from '../core/arguments.ts';
import { defineCommand, defineStream } from '../core/command.ts';
import { accountNamed } from '../core/command-input.ts';
import type { Operations } from '../core/operations.ts';
import type { ReloadResult } from '../core/server-status.ts';
import { makeWords, tellOnline } from '../modules/announcements/index.ts';

export const status = defineCommand({
  name: 'status',
  summary: 'Show what the server is and how it fares',
  role: 'admin',
  args: NO_ARGUMENTS,
  run: (_args, _caller, server) => server.process.status(),
  report: ({ version, startedAtMs, hosts, rssBytes, workers }) => ({
    facts: [
      ['Version', version],
      ['Started', new Date(startedAtMs).toISOString()],
      ['Hosts', hosts.join(', ')],
      ['Connections', workers.reduce((sum, { connections }) => sum + connections, 0)],
      ['Sessions', workers.reduce((sum, { sessions }) => sum + sessions, 0)],
      ['Memory in bytes', rssBytes],
    ],
  }),
});

export const top = defineStream({
  name: 'top',
  summary: 'Show workers and actors as they change',
  role: 'operator',
  args: z.strictObject({
    intervalMs: numberArgument('Time between looks, in milliseconds', 100, 60_000).default(1_000),
    limit: numberArgument('So many actors', 0, 1_000).default(20),
    kind: lineArgument('Only actors of this kind', 100).optional(),
  }),
  async *stream({ intervalMs, limit, kind }, { signal }, server) {
    while (!signal.aborted) {
      yield await server.process.topFrame(limit, kind);
      await setTimeout(intervalMs, undefined, { signal }).catch(() => undefined); // nobody looks any more
    }
  },
});

export const reload = defineCommand({
  name: 'reload',
  summary: 'Read configuration and certificates again',
  role: 'operator',
  args: NO_ARGUMENTS,
  run: (_args, _caller, server): Promise<ReloadResult> => server.process.reload(),
});

const ending = z.strictObject({
  delay: numberArgument('Seconds until then', 0, 86_400).default(0),
  announcement: textArgument('Message to everybody who is online').optional(),
});

/** Begins the end; the answer is to leave before it. */
async function end(isRestart: boolean, { delay, announcement }: z.output<typeof ending>, server: Operations): Promise<{ delay: number }> {
  const { process } = server; // where there is none, nobody is told either
  const hosts = server.config.hosts.map(({ domain }) => domain);
  if (announcement !== undefined) await tellOnline(server, hosts, makeWords(announcement, undefined));
  process.stopLater(delay * 1_000, isRestart);
  return { delay };
}

const whenText = (delay: number): string => (delay === 0 ? '' : ` in ${delay} seconds`);

export const stop = defineCommand({
  name: 'stop',
  summary: 'Stop the server in order',
  role: 'admin',
  args: ending,
  run: (args, _caller, server) => end(false, args, server),
  report: ({ delay }) => ({ text: delay === 0 ? 'The server is stopping.' : `The server stops${whenText(delay)}.` }),
});

export const restart = defineCommand({
  name: 'restart',
  summary: 'Stop the server in order and start it again',
  role: 'admin',
  args: ending,
  run: (args, _caller, server) => end(true, args, server),
  report: ({ delay }) => ({ text: delay === 0 ? 'The server is restarting.' : `The server restarts${whenText(delay)}.` }),
});

export const config = defineCommand({
  name: 'config',
  summary: 'Show the configuration in effect',
  role: 'operator',
  args: NO_ARGUMENTS,
  run: (_args, _caller, server) => ({ toml: server.process.describeConfig() }),
});

export const metrics = defineCommand({
  name: 'metrics',
  summary: 'Show metrics in the text form of Prometheus',
  role: 'operator',
  args: NO_ARGUMENTS,
  run: async (_args, _caller, server) => ({ text: await server.process.metricsText() }),
});

export const backup = defineCommand({
  name: 'backup',
  summary: 'Copy all the server keeps, also while it runs',
  role: 'operator',
  args: z.strictObject({
    directory: lineArgument('New directory, as an absolute path', 4_096, isAbsolute),
  }),
  positional: ['directory'],
  run: ({ directory }, _caller, server) => server.process.backUp(directory),
});

export const exportAccount = defineStream({
  name: 'export',
  summary: 'Write one account as XEP-0227',
  role: 'operator',
  args: z.strictObject({ address: addressArgument() }),
  positional: ['address'],
  stream: ({ address }, _caller, server) => server.process.export(accountNamed(server, address).bare),
});
