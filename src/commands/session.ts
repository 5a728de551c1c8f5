/** Commands about who is online. */
import { z } from 'zod';
import { addressArgument, lineArgument, numberArgument, tableOf } from '../core/arguments.ts';
import { defineCommand } from '../core/command.ts';
import { accountNamed, accountOrSession, hostNamed } from '../core/command-input.ts';
import { inChunks, LISTING_WIDTH } from './chunks.ts';

export interface SessionRow {
  /** Full JID. */
  readonly address: string;
  readonly remoteAddress: string;
  readonly isSecure: boolean;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Undefined before initial presence. */
  readonly priority?: number;
  /** Milliseconds since the epoch; only there while the session waits for its client to come back. */
  readonly detachedAtMs?: number;
}

export interface SessionPage {
  readonly sessions: readonly SessionRow[];
  /** Whether there are more than the limit let through. */
  readonly isTruncated: boolean;
}

export const sessionList = defineCommand({
  name: 'session list',
  summary: 'List sessions',
  role: 'admin',
  args: z.strictObject({
    of: lineArgument('Only of this host or account', 3_071).optional(),
    limit: numberArgument('At most so many', 1, 100_000).default(1_000),
  }),
  positional: ['of'],
  concerns: ({ of }) => (of === undefined ? [] : [of]),
  async run({ of, limit }, _caller, server): Promise<SessionPage> {
    const isAccount = of?.includes('@') ?? false;
    const suffix = of === undefined || isAccount ? '' : `@${hostNamed(server, of)}`;
    const owners = isAccount ? [accountNamed(server, of!).bare] : (await server.sessionOwners()).filter((owner) => owner.endsWith(suffix));
    const rows: SessionRow[] = [];
    for (let i = 0; i < owners.length && rows.length <= limit; i += LISTING_WIDTH) {
      const statuses = await inChunks(owners.slice(i, i + LISTING_WIDTH), (owner) => server.ask(owner, { kind: 'get_status' }));
      for (const { sessions } of statuses) {
        for (const { jid, remoteAddress, isSecure, boundAtMs, priority, detachedAtMs } of sessions) {
          rows.push({
            address: jid,
            remoteAddress,
            isSecure,
            sinceMs: boundAtMs,
            ...(priority === undefined ? {} : { priority }),
            ...(detachedAtMs === undefined ? {} : { detachedAtMs }),
          });
        }
      }
    }
    return { sessions: rows.slice(0, limit), isTruncated: rows.length > limit };
  },
  report: ({ sessions, isTruncated }) => ({
    ...tableOf(sessions, 'Nobody is online.', {
      ADDRESS: ({ address }) => address,
      PRIORITY: ({ priority }) => priority ?? '–',
      FROM: ({ remoteAddress }) => remoteAddress,
      TLS: ({ isSecure }) => (isSecure ? 'yes' : 'no'),
      SINCE: ({ sinceMs }) => timeText(sinceMs),
      'AWAY SINCE': ({ detachedAtMs }) => (detachedAtMs === undefined ? '' : timeText(detachedAtMs)),
    }),
    ...(isTruncated ? { text: '… and more; see --limit.' } : {}),
  }),
});

export const sessionKick = defineCommand({
  name: 'session kick',
  summary: 'End one session (full address) or all of an account (bare address)',
  role: 'admin',
  args: z.strictObject({ address: addressArgument('Address of the session or account') }),
  positional: ['address'],
  concerns: ({ address }) => [address],
  async run({ address }, _caller, server) {
    const jid = accountOrSession(server, address);
    const resource = jid.resource === '' ? undefined : jid.resource;
    return { count: await server.ask(jid.bare, { kind: 'kick', resource, reason: 'kicked' }) };
  },
  report: ({ count }) => ({ text: count === 1 ? 'Ended 1 session.' : `Ended ${count} sessions.` }),
});

/** UTC to the second, as XEP-0082 has it. */
export function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
