/** What groups do to rosters, and what of subscriptions they leave to users: nothing, among those that are shared. */
import { ACCOUNTS } from '../../core/accounts.ts';
import type { AccountContext } from '../../core/context.ts';
import { DROP } from '../../core/hooks.ts';
import type { SharedContact } from '../../core/module.ts';
import { accountOperation, workerOperation, type WorkerContext } from '../../core/operations.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';
import { rosterOf, shareContacts } from '../roster/index.ts';
import { directoryOf, reloadDirectory } from './directory.ts';

/** Accounts told at a time that groups have changed. */
const WIDTH = 32;

const REFRESH = accountOperation<null, null>('shared_groups.refresh', (account) => {
  refresh(account);
  return null;
});
export const OPERATIONS = [REFRESH];

/** The groups of a host are others: each worker reads them, and whoever is there gets them at once. */
export const RELOAD = workerOperation<{ readonly domain: string }, null>('shared_groups.reload', async (worker, { domain }) => {
  const host = worker.hosts.get(domain);
  if (host === undefined || !host.isEnabled('shared_groups')) return null;
  await reloadDirectory(host);
  await refreshAll(worker, domain);
  return null;
});

async function refreshAll(worker: WorkerContext, domain: string): Promise<void> {
  const owners = worker.sessionOwners().filter((owner) => owner.endsWith(`@${domain}`));
  for (let i = 0; i < owners.length; i += WIDTH) {
    // Who has gone meanwhile reads them when he comes back.
    await Promise.allSettled(owners.slice(i, i + WIDTH).map((owner) => worker.account(owner, REFRESH, null)));
  }
}

/** Makes the roster what the groups say. */
export function refresh(account: AccountContext): void {
  const directory = directoryOf(account.host);
  if (directory === undefined) return;
  const wanted = new Map<string, readonly [Jid, SharedContact | undefined]>();
  for (const { jid } of rosterOf(account).sharedContacts) wanted.set(jid.bare, [jid, undefined]);
  for (const contact of directory.contactsOf(account.bare)) wanted.set(contact.jid.bare, [contact.jid, contact]);
  shareContacts(account, wanted.values());
}

/** The account is there from now on, for those of this worker; others learn of it by its presence. */
export function welcome(account: AccountContext): void {
  const directory = directoryOf(account.host);
  if (directory === undefined || account.host.settings.isAnonymous) return;
  directory.add(account.bare);
  refresh(account);
}

/** Subscriptions among those that are shared are the operator's. */
export function keepSubscribed(stanza: Stanza, account: AccountContext): Stanza | StanzaError {
  const { type, to } = stanza;
  if (type !== 'unsubscribe' && type !== 'unsubscribed') return stanza;
  if (!rosterOf(account).isShared(to.bare)) return stanza;
  return new StanzaError('not-allowed', 'The operator of the server has put this contact there');
}

export function takePresence(stanza: Stanza, account: AccountContext): Stanza | typeof DROP {
  const { host } = account;
  const { from, type } = stanza;
  if (from.domain !== host.domain || from.local === '' || from.bare === account.bare) return stanza;
  const directory = directoryOf(host);
  if (directory === undefined || directory.isEmpty) return stanza;
  if (!rosterOf(account).isShared(from.bare)) {
    if (directory.needsEveryone && !host.settings.isAnonymous && type !== 'error') meet(account, from);
    return stanza;
  }
  switch (type) {
    case 'unsubscribe':
    case 'unsubscribed':
      if (directory.needsEveryone) sayGoodbye(account, from.toBare());
      return DROP;
    case 'subscribed':
      return DROP; // it is, already
    default:
      return stanza;
  }
}

/** Somebody of whom this worker has not heard yet: an account, since the server says who has sent a stanza. */
function meet(account: AccountContext, from: Jid): void {
  const directory = directoryOf(account.host)!;
  directory.add(from.bare);
  const contact = directory.contact(account.bare, from.bare);
  if (contact !== undefined) shareContacts(account, [[contact.jid, contact]]);
}

/** Perhaps the account is no more; its presence alone is no proof. */
function sayGoodbye(account: AccountContext, contact: Jid): void {
  account.later(account.host.services.store.get(ACCOUNTS, contact.bare, []), (current, row) => {
    if (row !== undefined) return;
    const directory = directoryOf(current.host);
    directory?.delete(contact.bare);
    shareContacts(current, [[contact, directory?.contact(current.bare, contact.bare)]]);
  });
}
