/** Which push services an account has enabled, for which of its clients, and how far each has been told. XEP-0357 §5, §6 */
import type { AccountContext } from '../../core/context.ts';
import type { AccountSlot } from '../../core/module.ts';
import type { Session, SessionSlot } from '../../core/session.ts';
import { jsonTable } from '../../store/codec.ts';
import type { Store } from '../../store/store.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import { optionsOf } from './options.ts';

interface ServiceRow {
  /** Of publish options, as XML; undefined without. */
  readonly form: string | undefined;
  /** The client that enabled it: the key of its session, and its resource, under which it comes back when that is gone. */
  readonly session: number;
  readonly resource: string;
  readonly enabledAtMs: number;
  /** Position in the account's log of the last message that the service is to be told of, and of the last it has confirmed. */
  readonly due: number;
  readonly done: number;
  /** Messages that it is to be told of and has not confirmed. */
  readonly count: number;
  /** In a row. */
  readonly failures: number;
}

/** Keyed by JID and node, '' without one. */
export const SERVICES = jsonTable<ServiceRow>({ name: 'push_service', version: 1 });

/** One service as it is in memory. */
export interface PushService {
  readonly jid: Jid;
  readonly node: string;
  row: ServiceRow;
  /** The notification that is not answered yet. */
  sent: { readonly id: string; readonly upTo: number; readonly count: number; readonly atMs: number } | undefined;
  /** A timer sees to it that the answer does not take too long. */
  isWatched: boolean;
  /** It waits until it may be tried again. */
  isWaiting: boolean;
  isGone: boolean;
}

const NONE: readonly PushService[] = [];

export const PUSH: AccountSlot<{ services: readonly PushService[] }> = {
  name: 'push',
  load: async (store: Store, bare) => {
    const rows = await store.list(SERVICES, bare);
    return { services: rows.length === 0 ? NONE : rows.flatMap(({ key, value }) => serviceOf(key, value) ?? []) };
  },
};

function serviceOf(key: readonly (string | number)[], row: ServiceRow): PushService | undefined {
  const jid = parseJid(String(key[0]));
  return jid && { jid, node: String(key[1]), row, sent: undefined, isWatched: false, isWaiting: false, isGone: false };
}

/** Nobody looks at the client, as it has said. XEP-0352 */
const INACTIVE: SessionSlot<boolean> = { name: 'push_inactive', initial: () => false };

export function servicesOf(account: AccountContext): readonly PushService[] {
  return account.state(PUSH).services;
}

/** Enables a service, or takes over an enabled one for this client. §5: "the last received request". */
export function enableService(account: AccountContext, session: Session, jid: Jid, node: string, form: string | undefined): void {
  const state = account.state(PUSH);
  const client = { form, session: session.key, resource: session.jid.resource, enabledAtMs: account.now, failures: 0 };
  const known = find(state.services, jid, node);
  if (known !== undefined) {
    saveService(account, known, client);
    return;
  }
  if (state.services.length >= optionsOf(account).max_services) {
    const oldest = state.services.reduce((a, b) => (b.row.enabledAtMs < a.row.enabledAtMs ? b : a));
    forgetService(account, oldest);
  }
  const before = account.log.next - 1; // what is there already is not news
  const row = { ...client, due: before, done: before, count: 0 };
  const service: PushService = { jid, node, row, sent: undefined, isWatched: false, isWaiting: false, isGone: false };
  state.services = [...state.services, service];
  saveService(account, service, {});
}

export function saveService(account: AccountContext, service: PushService, changes: Partial<ServiceRow>): void {
  service.row = { ...service.row, ...changes };
  account.put(SERVICES, [service.jid.full, service.node], service.row);
}

export function forgetService(account: AccountContext, service: PushService): void {
  const state = account.state(PUSH);
  service.isGone = true;
  state.services = state.services.length === 1 ? NONE : state.services.filter((each) => each !== service);
  account.delete(SERVICES, [service.jid.full, service.node]);
}

export function forgetAll(account: AccountContext): void {
  for (const service of servicesOf(account)) service.isGone = true;
  account.state(PUSH).services = NONE;
}

export function find(services: readonly PushService[], jid: Jid, node: string): PushService | undefined {
  return services.find((each) => each.jid.full === jid.full && each.node === node);
}

/** The session of the client that enabled the service, or that has come back under its resource. */
export function clientOf(account: AccountContext, { row }: PushService): Session | undefined {
  for (const session of account.sessions) if (session.key === row.session) return session;
  return account.session(row.resource);
}

/** Whether the client gets to see what comes without being woken. */
export function isAwake(session: Session | undefined): boolean {
  return session !== undefined && session.connection !== undefined && !session.get(INACTIVE);
}

export function noteActivity(session: Session, isActive: boolean): void {
  if (session.get(INACTIVE) === isActive) session.set(INACTIVE, !isActive);
}
