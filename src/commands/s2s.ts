/** Commands about links to other servers. */
import { z } from 'zod';
import { lineArgument, tableOf } from '../core/arguments.ts';
import { defineCommand } from '../core/command.ts';
import { hostNamed } from '../core/command-input.ts';
import { CHECK_LINK, CLOSE_LINKS, LIST_LINKS } from '../core/links.ts';
import { OperatorError } from '../kernel/errors.ts';
import { parseJid } from '../xmpp/jid.ts';
import { timeText } from './session.ts';

export const s2sList = defineCommand({
  name: 's2s list',
  summary: 'List connections with other servers',
  role: 'admin',
  args: z.strictObject({ domain: lineArgument('Only with this domain', 1_023).optional() }),
  positional: ['domain'],
  async run({ domain }, _caller, server) {
    const remote = domain === undefined ? undefined : domainNamed(domain);
    const links = (await server.everyWorker(LIST_LINKS, undefined)).flat();
    const wanted = links.filter((link) => remote === undefined || link.remote === remote);
    return wanted.sort((a, b) => compare(a.remote, b.remote) || compare(a.local, b.local) || compare(a.direction, b.direction));
  },
  report: (links) =>
    tableOf(links, 'There are no connections with other servers.', {
      REMOTE: ({ remote }) => remote,
      LOCAL: ({ local }) => local,
      WAY: ({ direction, isBidi }) => (isBidi ? `${direction}, both ways` : direction),
      STATE: ({ state }) => state,
      AUTH: ({ auth }) => auth || '–',
      TLS: ({ tls }) => tls || '–',
      SM: ({ isManaged }) => (isManaged ? 'yes' : 'no'),
      QUEUED: ({ queued }) => queued,
      UNACKED: ({ unacked }) => unacked,
      IN: ({ stanzasIn }) => stanzasIn,
      OUT: ({ stanzasOut }) => stanzasOut,
      ADDRESS: ({ address }) => address || '–',
      SINCE: ({ sinceMs }) => timeText(sinceMs),
      PROBLEM: ({ problem }) => problem,
    }),
});

export const s2sClose = defineCommand({
  name: 's2s close',
  summary: 'Close all connections with another server; what waits for it goes over new ones',
  role: 'admin',
  args: z.strictObject({ domain: lineArgument('The other domain', 1_023) }),
  positional: ['domain'],
  async run({ domain }, _caller, server) {
    const counts = await server.everyWorker(CLOSE_LINKS, domainNamed(domain));
    return { count: counts.reduce((sum, count) => sum + count, 0) };
  },
  report: ({ count }) => ({ text: count === 1 ? 'Closed 1 connection.' : `Closed ${count} connections.` }),
});

export const s2sCheck = defineCommand({
  name: 's2s check',
  summary: 'Show how far a connection to another server comes: names, TLS, certificate, features',
  role: 'admin',
  args: z.strictObject({
    domain: lineArgument('The other domain', 1_023),
    as: lineArgument('As which of our hosts; the first by default', 1_023).optional(),
  }),
  positional: ['domain'],
  run({ domain, as }, _caller, server) {
    const local = as === undefined ? server.config.hosts[0]!.domain : hostNamed(server, as);
    return server.anyWorker(CHECK_LINK, { local, remote: domainNamed(domain) });
  },
  report: (notes) =>
    tableOf(notes, 'Nothing was found out.', {
      STEP: ({ what }) => what,
      OK: ({ isGood }) => (isGood ? 'yes' : 'NO'),
      FOUND: ({ text }) => text,
    }),
});

function domainNamed(text: string): string {
  const jid = parseJid(text);
  if (jid?.isDomain !== true) throw new OperatorError('ERR_ADDRESS', `'${text}' is no domain, such as montague.example.`);
  return jid.full;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
