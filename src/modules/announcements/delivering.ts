/** How words reach many accounts: by their actors, some at a time, on whatever workers these live. */
import type { AccountContext } from '../../core/context.ts';
import { accountOperation, workerOperation } from '../../core/operations.ts';
import type { BareJid } from '../../xmpp/jid.ts';
import { messageTo, SEEN, SEEN_MOTD, type Words } from './words.ts';

/** Accounts asked at a time. */
const WIDTH = 32;

interface Told {
  readonly words: Words;
  /** They are the message of the day, so they are not to be told again. */
  readonly isMotd: boolean;
}

/** To the account, as a message that waits where nobody is there. */
export const DELIVER = accountOperation<Told, 1>('announcements.deliver', (account, { words, isMotd }) => {
  if (isMotd) noteSeen(account, words);
  account.receive(messageTo(account.host, account.jid, 'normal', words));
  return 1;
});

/** To each of its sessions that is there; how many. */
export const DELIVER_ONLINE = accountOperation<Told, number>('announcements.deliver_online', (account, { words, isMotd }) => {
  const sessions = [...account.sessions].filter(({ takesMessages }) => takesMessages);
  if (isMotd && sessions.length > 0) noteSeen(account, words);
  // A message of the day must not be lost; an announcement is for who is there now.
  for (const { jid } of sessions) account.receive(messageTo(account.host, jid, isMotd ? 'normal' : 'headline', words));
  return sessions.length;
});

function noteSeen(account: AccountContext, { id }: Words): void {
  if (account.isTemporary) return;
  account.state(SEEN_MOTD).id = id;
  account.put(SEEN, [], { id });
}

/** Tells accounts that live anywhere; how many there were. */
export const TELL_ALL = workerOperation<Told & { readonly addresses: readonly BareJid[] }, number>(
  'announcements.tell_all',
  ({ account }, { addresses, ...told }) => inParts(addresses, (bare) => account(bare, DELIVER, told)),
);

/** Tells the sessions of accounts that live on the worker; how many there were. */
export const TELL_ONLINE = workerOperation<Told & { readonly hosts: readonly string[] }, number>(
  'announcements.tell_online',
  ({ account, sessionOwners }, { hosts, ...told }) => {
    const owners = sessionOwners().filter((bare) => hosts.includes(bare.slice(bare.indexOf('@') + 1)));
    return inParts(owners, (bare) => account(bare, DELIVER_ONLINE, told));
  },
);

/** One that has gone meanwhile, or whose host has no announcements, counts for nothing. */
async function inParts(addresses: readonly BareJid[], tell: (bare: BareJid) => Promise<number>): Promise<number> {
  let told = 0;
  for (let i = 0; i < addresses.length; i += WIDTH) {
    const answers = await Promise.allSettled(addresses.slice(i, i + WIDTH).map(tell));
    for (const answer of answers) if (answer.status === 'fulfilled') told += answer.value;
  }
  return told;
}
