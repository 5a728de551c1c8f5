/** Everything the store has of an account, as it is read when the account is loaded. */
import { loadLog, type LogImage } from '../log/log.ts';
import { AWAKE, type PendingRow } from '../log/segment.ts';
import type { Row } from '../store/store.ts';
import type { BareJid } from '../xmpp/jid.ts';
import { ACCOUNTS, type AccountRow } from './accounts.ts';
import type { Host } from './host.ts';
import { loadPending } from './pending.ts';
import { ENDED, SESSIONS, TAKEN, type EndedRow, type SessionRow } from './session-rows.ts';

/** What a load brings: the account's own rows, its log, its sessions and its modules' state. */
export interface Loaded {
  readonly row: AccountRow | undefined;
  readonly log: LogImage;
  readonly pending: ReadonlyMap<number, PendingRow>;
  readonly sessions: readonly Row<SessionRow>[];
  readonly taken: readonly Row<number>[];
  readonly ended: readonly Row<EndedRow>[];
  readonly isAwake: boolean;
  /** In the order of the host's slots. */
  readonly slots: readonly unknown[];
}

export async function loadAll(host: Host, bare: BareJid): Promise<Loaded> {
  const { store } = host.services;
  const row = await store.get(ACCOUNTS, bare, []);
  await host.stored.load();
  const log = await loadLog(store, bare);
  const pending = await loadPending(store, bare);
  const ended = await store.list(ENDED, bare);
  const isAwake = (await store.get(AWAKE, bare, [])) !== undefined;
  // Rows of sessions are only where the account is awake.
  const sessions = isAwake ? await store.list(SESSIONS, bare) : [];
  const taken = isAwake ? await store.list(TAKEN, bare) : [];
  const slots: unknown[] = [];
  for (const slot of host.slots) slots.push(await slot.load(store, bare, host));
  return { row, log, pending, sessions, taken, ended, isAwake, slots };
}
