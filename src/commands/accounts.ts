/** Which accounts there are, by what state they are in. */
import { ACCOUNTS } from '../core/accounts.ts';
import type { AccountStatus, SessionStatus } from '../core/messages.ts';
import type { Operations } from '../core/operations.ts';
import type { BareJid } from '../xmpp/jid.ts';
import { inChunks } from './chunks.ts';

/**
 * `online`: has a session, whether it is connected or waits to be resumed. `active`: somebody seems to be there, at a session that is
 * connected, available, and neither away nor gone for longer. `idle`: online and not active. XEP-0133 §4.15 – §4.17
 */
export const USER_STATES = ['registered', 'disabled', 'online', 'active', 'idle'] as const;
export type UserState = (typeof USER_STATES)[number];

const PAGE = 1_000;

/**
 * Bare JIDs in order, page by page. Those that are registered or disabled are read from the store; a million takes seconds.
 *
 * @param host undefined: of all hosts.
 * @param after where to start, exclusive.
 */
export async function* accountsIn(
  server: Operations,
  { host, state, after }: { readonly host: string | undefined; readonly state: UserState; readonly after?: string | undefined },
): AsyncGenerator<BareJid[]> {
  if (state === 'registered' || state === 'disabled') {
    for await (const page of registered(server, host, after)) yield state === 'disabled' ? await onlyDisabled(server, page) : page;
    return;
  }
  const owners = (await server.sessionOwners()).filter((bare) => isOf(server, host, bare) && (after === undefined || bare > after));
  for (let i = 0; i < owners.length; i += PAGE) {
    const page = owners.slice(i, i + PAGE);
    yield state === 'online' ? page : await onlyActive(server, page, state === 'active');
  }
}

async function* registered(server: Operations, host: string | undefined, after: string | undefined): AsyncGenerator<BareJid[]> {
  for (let last = after; ;) {
    const page = await server.store.partitions(ACCOUNTS, last, PAGE);
    // Accounts of domains that were given up stay in the store.
    yield page.filter((bare) => isOf(server, host, bare)) as BareJid[];
    last = page.at(-1);
    if (page.length < PAGE) return;
  }
}

async function onlyDisabled({ store }: Operations, page: readonly BareJid[]): Promise<BareJid[]> {
  const rows = await inChunks(page, (bare) => store.get(ACCOUNTS, bare, []));
  return page.filter((_, index) => rows[index]?.isEnabled === false);
}

async function onlyActive(server: Operations, page: readonly BareJid[], isWanted: boolean): Promise<BareJid[]> {
  const statuses = await inChunks(page, (bare) => server.ask(bare, { kind: 'get_status' }));
  return page.filter((_, index) => isActive(statuses[index]!) === isWanted);
}

export function isActive({ sessions }: AccountStatus): boolean {
  return sessions.some(isAttended);
}

function isAttended({ priority, show, detachedAtMs }: SessionStatus): boolean {
  return priority !== undefined && detachedAtMs === undefined && show !== 'away' && show !== 'xa';
}

function isOf({ config }: Operations, host: string | undefined, bare: string): boolean {
  const domain = bare.slice(bare.indexOf('@') + 1);
  return host === undefined ? config.hosts.some((each) => each.domain === domain) : domain === host;
}
