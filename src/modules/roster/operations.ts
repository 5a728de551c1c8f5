/** What commands ask of a roster. */
import { accountOperation } from '../../core/operations.ts';
import { rosterOf } from './changes.ts';
import type { Subscription } from './subscription.ts';

/** A contact as commands show it. */
export interface ListedContact {
  readonly address: string;
  readonly name: string;
  readonly groups: readonly string[];
  readonly subscription: Subscription;
  readonly ask: boolean;
}

export const ROSTER_LIST = accountOperation<null, ListedContact[]>('roster.list', (account) =>
  Array.from(rosterOf(account).items.values(), ({ jid, name, groups, subscription, ask }) => ({
    address: jid.bare,
    name,
    groups: [...groups],
    subscription,
    ask,
  })),
);
