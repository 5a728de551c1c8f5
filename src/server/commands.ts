/** What the commands of `rookery` do in the running server. */
import { setTimeout } from 'node:timers/promises';
import { makeCommands, type CommandHandlers, type SessionRow, type TopFrame, type UserRow } from '../control/command-types.ts';
import type { CommandTable } from '../control/command.ts';
import { OperatorError } from '../kernel/errors.ts';
import { ACCOUNTS } from '../core/accounts.ts';
import type { AccountStatus } from '../core/messages.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import { opaqueString } from '../xmpp/precis.ts';
import { withDrillCommands } from './drill.ts';
import type { Server } from './server.ts';

/** Accounts asked at a time when listing. */
const LISTING_WIDTH = 32;

/** @param current the server; throws OperatorError ERR_NOT_READY before it is up. */
export function serverCommands(current: () => Server): CommandTable {
  const handlers: CommandHandlers = {
    status: () => current().status(),
    top: ({ intervalMs, limit, kind }, { signal }) => top(current(), intervalMs, limit, kind, signal),
    reload: () => current().reload(),
    stop: () => {
      void current().stop();
      return {};
    },
    config: () => ({ toml: current().describeConfig() }),
    metrics: async () => ({ text: await current().metricsText() }),
    'user add': async ({ address, password }) => {
      const jid = account(current(), address);
      await current().createAccount(jid, prepared(password));
      return { address: jid.bare };
    },
    'user passwd': async ({ address, password }) => {
      const jid = account(current(), address);
      const scram = await current().pool.derive(prepared(password), current().config.accounts.scramIterations);
      const answer = await current().ask(jid.bare, { kind: 'set_credentials', scram, closeSessions: true });
      return found(jid, answer !== 'absent');
    },
    'user del': async ({ address }) => {
      const jid = account(current(), address);
      return found(jid, (await current().ask(jid.bare, { kind: 'remove_account' })) === 'removed');
    },
    'user enable': async ({ address }) => {
      const jid = account(current(), address);
      return found(jid, (await current().ask(jid.bare, { kind: 'set_enabled', isEnabled: true })) === 'changed');
    },
    'user disable': async ({ address }) => {
      const jid = account(current(), address);
      return found(jid, (await current().ask(jid.bare, { kind: 'set_enabled', isEnabled: false })) === 'changed');
    },
    'user list': async ({ host, after, limit }) => {
      const addresses: string[] = [];
      let last = after;
      for (;;) {
        const page = await current().store.partitions(ACCOUNTS, last, limit);
        for (const address of page) if (host === undefined || address.endsWith(`@${host}`)) addresses.push(address);
        last = page.at(-1);
        if (page.length < limit || addresses.length >= limit) break;
      }
      const users = await inChunks(addresses.slice(0, limit), async (address): Promise<UserRow> => {
        const status = (await current().ask(address, { kind: 'get_status' })) as AccountStatus;
        return { address, isEnabled: status.isEnabled, sessions: status.sessions.length };
      });
      const next = addresses.length >= limit ? addresses[limit - 1] : undefined;
      return next === undefined ? { users } : { users, next };
    },
    'session list': async ({ of, limit }) => {
      const isAccount = of?.includes('@') ?? false;
      const owners = isAccount
        ? [account(current(), of!).bare]
        : (await current().sessionOwners()).filter((owner) => of === undefined || owner.endsWith(`@${of}`));
      const rows: SessionRow[] = [];
      for (let i = 0; i < owners.length && rows.length <= limit; i += LISTING_WIDTH) {
        const statuses = await inChunks(
          owners.slice(i, i + LISTING_WIDTH),
          (owner) => current().ask(owner, { kind: 'get_status' }) as Promise<AccountStatus>,
        );
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
    'session kick': async ({ address }) => {
      const jid = parse(current(), address);
      const resource = jid.resource === '' ? undefined : jid.resource;
      const count = (await current().ask(jid.bare, { kind: 'kick', resource, reason: 'kicked' })) as number;
      return { count };
    },
    backup: ({ directory }) => current().backUp(directory),
    export: ({ address }) => current().export(account(current(), address)),
  };
  return withDrillCommands(makeCommands(handlers), current);
}

function parse(server: Server, address: string): Jid {
  const jid = parseJid(address);
  if (jid === undefined || jid.local === '')
    throw new OperatorError('ERR_ADDRESS', `'${address}' is not the address of an account. It should look like juliet@capulet.lit.`);
  if (!server.config.hosts.some(({ domain }) => domain === jid.domain)) {
    const domains = server.config.hosts.map(({ domain }) => domain).join(', ');
    throw new OperatorError(
      'ERR_HOST_UNKNOWN',
      `This server does not serve '${jid.domain}', only ${domains}. Add the domain to ROOKERY_DOMAIN, or correct the address.`,
    );
  }
  return jid;
}

function account(server: Server, address: string): Jid {
  const jid = parse(server, address);
  if (jid.resource !== '')
    throw new OperatorError('ERR_ADDRESS', `'${address}' names a session; leave out '/${jid.resource}' to name the account.`);
  return jid;
}

function found(jid: Jid, isThere: boolean): { readonly address: string } {
  if (!isThere) throw new OperatorError('ERR_NO_ACCOUNT', `There is no account ${jid.bare}. 'rookery user list' shows those that are.`);
  return { address: jid.bare };
}

function prepared(password: string): ReturnType<typeof opaqueString> & string {
  const result = opaqueString(password);
  if (result === undefined)
    throw new OperatorError(
      'ERR_PASSWORD',
      'This password is empty or has characters that cannot be typed alike everywhere (control characters). Choose another.',
    );
  return result;
}

async function* top(
  server: Server,
  intervalMs: number,
  limit: number,
  kind: string | undefined,
  signal: AbortSignal,
): AsyncIterable<TopFrame> {
  while (!signal.aborted) {
    yield await server.topFrame(limit, kind);
    await setTimeout(intervalMs, undefined, { signal }).catch(() => undefined); // nobody looks any more
  }
}

async function inChunks<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < items.length; i += LISTING_WIDTH) results.push(...(await Promise.all(items.slice(i, i + LISTING_WIDTH).map(work))));
  return results;
}
