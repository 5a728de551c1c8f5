/** What operators see of reports. */
import { z } from 'zod';
import { lineArgument, numberArgument, tableOf } from '../../core/arguments.ts';
import { defineCommand } from '../../core/command.ts';
import { hostNamed } from '../../core/command-input.ts';
import { formatDateTime } from '../../xmpp/date-time.ts';
import { REPORTS, type Report } from './report.ts';

/** Accounts read at a time. */
const PAGE = 1_000;

interface ReportRow extends Report {
  readonly reporter: string;
}

export const reportList = defineCommand({
  name: 'report list',
  summary: 'List reports of spam and abuse, the latest first',
  role: 'admin',
  args: z.strictObject({
    host: lineArgument('Only of users of this host').optional(),
    limit: numberArgument('At most so many', 1, 10_000).default(100),
  }),
  positional: ['host'],
  concerns: ({ host }) => (host === undefined ? [] : [host]),
  async run({ host, limit }, _caller, server): Promise<{ readonly reports: readonly ReportRow[] }> {
    const suffix = host === undefined ? '' : `@${hostNamed(server, host)}`;
    const reports: ReportRow[] = [];
    for (let after: string | undefined; ;) {
      const page = await server.store.partitions(REPORTS, after, PAGE);
      for (const reporter of page) {
        if (!reporter.endsWith(suffix)) continue;
        for (const { value } of await server.store.list(REPORTS, reporter)) reports.push({ reporter, ...value });
      }
      after = page.at(-1);
      if (page.length < PAGE) break;
    }
    return { reports: reports.sort((a, b) => b.atMs - a.atMs).slice(0, limit) };
  },
  report: ({ reports }) =>
    tableOf(reports, 'Nothing was reported.', {
      Time: ({ atMs }) => formatDateTime(atMs),
      Reporter: ({ reporter }) => reporter,
      About: ({ address }) => address,
      Reason: ({ reason }) => reason,
      Text: ({ text }) => text,
    }),
});
