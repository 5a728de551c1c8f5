/** The recipient's side of `forwarding.ts`: each message of another account once, in order, and word of it to its sender. */
import { LOG, logKey, type LogEntry } from '../log/entry.ts';
import type { BareJid } from '../xmpp/jid.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { Account } from './account.ts';
import type { AccountContext } from './context.ts';
import { CLOCK_SLACK_MS } from './forwarding.ts';
import { Forward, type ForwardAgain, type Forwarded, type ForwardGap } from './messages.ts';

/** Senders are told what has arrived after so long, or so many messages: till then they keep them, and what is kept long is dear to collect. */
const CONFIRM_MS = 250;
const CONFIRM_MESSAGES = 8;
/** Entries read at a time when the log is asked what is there already. */
const CHUNK = 256;

export function arrived(account: Account, message: Forward): void {
  const { stanza, position, atMs } = message;
  const { inbox, turn } = account;
  const sender = stanza.from.bare;
  switch (inbox.admit(sender, message)) {
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
  inbox.arrived(sender, position, atMs);
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
    let previous = 0;
    for (const { position, atMs, stanza } of messages) {
      const there = known.get(position);
      if (there !== undefined && there.id === stanza.id && there.from.full === stanza.from.full) continue;
      // Each in a turn of its own, since one may make it crash; and none before the one before it.
      turn.send(turn.self, new Forward(position, previous, atMs, stanza));
      previous = position;
    }
    if (previous !== 0) return;
    const last = messages.at(-1)!;
    inbox.arrived(sender, last.position, last.atMs);
    confirm(context as Account);
  });
}

/** The sender's messages that came since `sinceMs`, by position in its log. */
async function knownSources({ host, bare, log }: Account, sender: BareJid, sinceMs: number): Promise<Map<number, Stanza>> {
  const known = new Map<number, Stanza>();
  for (let to = log.next; to > log.first; to = Math.max(log.first, to - CHUNK)) {
    const rows = await host.services.store.list(LOG, bare, { from: logKey(Math.max(log.first, to - CHUNK)), to: logKey(to) });
    for (const { value } of rows) if (value.atMs >= sinceMs && isFrom(value, sender)) known.set(value.source, value.stanza);
    const oldest = rows[0]?.value;
    if (oldest !== undefined && oldest.atMs < sinceMs) break;
  }
  return known;
}

function isFrom({ direction, stanza, source }: LogEntry, sender: BareJid): boolean {
  return direction === 'in' && source > 0 && stanza.from.bare === sender;
}
