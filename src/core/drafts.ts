/**
 * The message a turn writes into the account's log. While it is open, whom it is given to is noted in it; it is
 * written when that is known, in the same batch as everything else the turn changes.
 */
import type { Delivery, Direction, LogEntry, Origin } from '../log/entry.ts';
import { PENDING } from '../log/segment.ts';
import type { ChildHead } from '../xml/frame.ts';
import { STANZA_ID_START, STANZA_IDS } from '../xmpp/forwarding.ts';
import type { Stanza } from '../xmpp/stanza.ts';
import type { Account } from './account.ts';
import { NOTHING } from './small-list.ts';

/** Becomes the entry itself: what is written is what stands here when the turn ends. */
export interface Draft extends LogEntry {
  stanza: Stanza;
  settledBelow: number;
  deliveries: readonly Delivery[];
  /** Keys of the sessions it was given to; see `small-list.ts`. */
  givenTo: readonly number[];
  /** Of these, the ones that have it whatever becomes of its row among the pending. */
  holders: readonly number[];
  /** Nobody could take it: it waits for the next session. */
  isPending: boolean;
  /** As clients see it; made when the first one gets it. */
  shown: Stanza | undefined;
}

export function beginDraft(account: Account, stanza: Stanza, direction: Direction, source: number, origin: Origin | undefined): Draft {
  const { log, host } = account;
  return {
    position: log.next,
    atMs: log.timeOf(account.now),
    direction,
    stanza,
    isArchived: host.archives(account, stanza, direction),
    isTombstone: false,
    source,
    origin,
    settledBelow: 0,
    deliveries: NOTHING,
    givenTo: NOTHING,
    holders: NOTHING,
    isPending: false,
    shown: undefined,
  };
}

/** Writes it; closes the log's segment where that is full. */
export function finishDraft(account: Account, draft: Draft): void {
  const { position, stanza } = draft;
  const { log, outbox } = account;
  account.stayAwake();
  if (draft.direction === 'out') draft.settledBelow = outbox.settledBelow(position);
  const isFull = log.append(draft, account);
  if (draft.isPending) keepWaiting(account, position, stanza.bytes, draft.holders);
  if (!isFull) return;
  log.closeSegment(account, outbox.settledBelow(log.next));
  // A load reads the log from the open segment on: what sessions need of it before that goes into their rows.
  for (const session of account.sessions) {
    session.isDirty = true;
    if (session.sm === undefined) account.saveTaken(session);
  }
  account.host.hooks.emit('segment_closed', account);
}

/**
 * Notes in the store that a message of the log waits for a session.
 *
 * @param holders keys of sessions that have it all the same.
 */
export function keepWaiting(account: Account, position: number, bytes: number, holders: readonly number[] = []): void {
  account.pending.add(position, bytes, holders);
  account.put(PENDING, [position], { bytes, givenTo: holders });
}

/** A message of the log as clients are shown it: with its id in the archive. XEP-0359 §3.1, XEP-0313 §3.1 */
export function shownStanza(
  { log, stanzaIdEnd }: Account,
  stanza: Stanza,
  entry: { readonly position: number; readonly atMs: number; readonly isArchived: boolean },
): Stanza {
  if (!entry.isArchived) return stanza;
  return stanza.withAppendedXml(STANZA_ID_START + log.ids.of(entry) + stanzaIdEnd, ID_HEAD);
}

const ID_HEAD: ChildHead = { name: 'stanza-id', ns: STANZA_IDS };
