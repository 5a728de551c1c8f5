/** When and from where an account was last logged in to: for `rookery user info` and administrators. XEP-0133 §4.9, §4.10 */
import type { AccountContext } from '../core/context.ts';
import { defineModule, type AccountSlot } from '../core/module.ts';
import { accountOperation } from '../core/operations.ts';
import type { Session } from '../core/session.ts';
import { jsonTable } from '../store/codec.ts';

export interface LastLogin {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly resource: string;
  readonly remoteAddress: string;
  /** Of SASL. */
  readonly mechanism: string;
  /** Logins since `firstMs`. */
  readonly count: number;
  readonly firstMs: number;
}

const LOGINS = jsonTable<LastLogin>({ name: 'last_login', version: 1 });

const LOGIN: AccountSlot<{ last: LastLogin | undefined }> = {
  name: 'last_login',
  load: async (store, bare) => ({ last: await store.get(LOGINS, bare, []) }),
};

/** Null where there was none. */
export const LAST_LOGIN = accountOperation<null, LastLogin | null>('logins.last', (account) => account.state(LOGIN).last ?? null);

export default defineModule({
  name: 'logins',
  implements: [],
  tables: [LOGINS],
  slots: [LOGIN],
  accountOperations: [LAST_LOGIN],
  hooks: { session_opened: note },
});

function note(account: AccountContext, { jid, identity }: Session): void {
  if (account.isTemporary) return;
  const state = account.state(LOGIN);
  const { last } = state;
  const { remoteAddress, mechanism } = identity;
  const atMs = account.now;
  const login = { atMs, resource: jid.resource, remoteAddress, mechanism, count: (last?.count ?? 0) + 1, firstMs: last?.firstMs ?? atMs };
  state.last = login;
  account.put(LOGINS, [], login);
}
