/** The recipient's side of `forwarding.ts`: each message of another account once, in order, and word of it to its sender. */
import { LOG, logKey, type LogEntry } from '../log/entry.ts';
import type { BareJid } from '../xmpp/jid.ts';
import type { Account } from './account.ts';
import type { AccountContext } from './context.ts';
import { CLOCK_SLACK_MS } from './forwarding.ts';
import { Forward, type ForwardAgain, type Forwarded, type ForwardGap } from './messages.ts';

/** Senders are told what has arrived after so long, or so many messages. */
const CONFIRM_MS = 50;
const CONFIRM_MESSAGES = 64;
/** Entries read at a time when the log is asked what is there already. */
const CHUNK = 256;

export function arrived(account: Account, { stanza, position, previous }: Forward): void {
  const { inbox, turn } = account;
  const sender = stanza.from.bare;
  switch (inbox.admit(sender, position, previous)) {
    case 'gap': {
      const gap: ForwardGap = { kind: 'forward_gap', by: account.bare };
      turn.sendTo('account', sender, gap);
      return;
    }
    case 'next':
      account.receive(stanza, position);
      break;
    case 'known':
      break;
  }
  const isFirst = inbox.unconfirmed.size === 0;
  inbox.arrived(sender, position);
  if (++inbox.count >= CONFIRM_MESSAGES) confirm(account);
  else if (isFirst) turn.timer('confirm', CONFIRM_MS);
}

/** Leaves when all of it is durable: after the commits of the turns that handled the messages. */
export function confirm(account: Account): void {
  const { inbox, turn } = account;
  for (const [sender, position] of inbox.unconfirmed) tellForwarded(account, sender, position);
  inbox.unconfirmed.clear();
  inbox.count = 0;
  turn.cancelTimer('confirm');
}

/** The sender need not say it again. */
export function tellForwarded({ turn, bare }: Account, sender: BareJid, position: number): void {
  const message: Forwarded = { kind: 'forwarded', by: bare, position };
  turn.sendTo('account', sender, message);
}

/** Some of these may be here: the log knows. */
export function arrivedAgain(account: Account, { sender, messages }: ForwardAgain): void {
  const first = messages[0];
  if (first === undefined) return;
  account.later(knownSources(account, sender, first.atMs - CLOCK_SLACK_MS), (context: AccountContext, known) => {
    const { turn, inbox } = context as Account;
    let isNew = false;
    for (const { position, stanza } of messages) {
      if (known.has(position)) continue;
      isNew = true;
      turn.send(turn.self, new Forward(position, 0, stanza)); // each in a turn of its own: one may make it crash
    }
    if (isNew) return;
    inbox.arrived(sender, messages.at(-1)!.position);
    confirm(context as Account);
  });
}

/** Positions in the sender's log of its messages that came since `sinceMs`. */
async function knownSources({ host, bare, log }: Account, sender: BareJid, sinceMs: number): Promise<Set<number>> {
  const known = new Set<number>();
  for (let to = log.next; to > log.first; to = Math.max(log.first, to - CHUNK)) {
    const rows = await host.services.store.list(LOG, bare, { from: logKey(Math.max(log.first, to - CHUNK)), to: logKey(to) });
    for (const { value } of rows) if (isFrom(value, sender)) known.add(value.source);
    const oldest = rows[0]?.value;
    if (oldest !== undefined && oldest.atMs < sinceMs) break;
  }
  return known;
}

function isFrom({ direction, stanza, source }: LogEntry, sender: BareJid): boolean {
  return direction === 'in' && source > 0 && stanza.from.bare === sender;
}
