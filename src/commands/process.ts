/** Commands about the server as a process. */
import { isAbsolute } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { addressArgument, lineArgument, NO_ARGUMENTS, numberArgument } from '../core/arguments.ts';
import { defineCommand, defineStream } from '../core/command.ts';
import { accountNamed } from '../core/command-input.ts';
import type { ReloadResult } from '../core/server-status.ts';

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

export const stop = defineCommand({
  name: 'stop',
  summary: 'Stop the server in order',
  role: 'operator',
  args: NO_ARGUMENTS,
  run(_args, _caller, server) {
    void server.process.stop(false); // the answer is to leave before the end
    return {};
  },
  report: () => ({ text: 'The server is stopping.' }),
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
