/**
 * What became of the messages of one direction of one pair: a comparison of histories, without any server.
 *
 *   sent, acknowledged ──► received live            (exactly once, in order)
 *                    └───► recipient's archive      (the same)
 *                    └───► sender's archive         (the same)
 *
 * A message that is resent because its session could not be resumed may be doubled, and so may one that had been received in a
 * session that could not be resumed: XEP-0198 cannot prevent either. Such doubles are counted apart.
 */

/** One message, as its sender knows it. Its number is its place in `sent`, from 0. */
export interface SentMessage {
  /** The server's `h` has covered it. */
  isAcknowledged: boolean;
  /** It was resent in another session, after the server had refused to resume the one it was sent in. */
  isResent: boolean;
  /** It came back as an error: the sender knows that it was not delivered. */
  isReturned: boolean;
}

/** One message, as its recipient got it. */
export interface ReceivedMessage {
  readonly n: number;
  /** How many sessions of the recipient could not be resumed up to then. */
  readonly failures: number;
  /** The archive's id that came with it (XEP-0359), if there was one. */
  readonly archiveId: string | undefined;
}

export interface ArchivedMessage {
  readonly n: number;
  readonly archiveId: string;
}

/** One direction of a pair. */
export interface FlowHistory {
  readonly name: string;
  readonly sent: readonly SentMessage[];
  readonly received: readonly ReceivedMessage[];
  /** Undefined where no archive was read. */
  readonly recipientArchive: readonly ArchivedMessage[] | undefined;
  readonly senderArchive: readonly ArchivedMessage[] | undefined;
}

/** What is wrong, as numbers of messages. */
export interface ViewFindings {
  readonly present: number;
  /** Acknowledged, not returned, and not there. */
  readonly lost: readonly number[];
  /** There more than once, once for each time too many. */
  readonly doubled: readonly number[];
  /** The same where a session that was not resumed accounts for it. */
  readonly excused: readonly number[];
  /** There for the first time behind one with a greater number. */
  readonly outOfOrder: readonly number[];
  /** There, but never sent. */
  readonly unknown: readonly number[];
}

export interface FlowFindings {
  readonly name: string;
  readonly sent: number;
  readonly acknowledged: number;
  readonly returned: number;
  /** Returned to the sender as undeliverable, and delivered all the same. */
  readonly returnedButDelivered: readonly number[];
  readonly live: ViewFindings;
  readonly recipientArchive: ViewFindings | undefined;
  readonly senderArchive: ViewFindings | undefined;
  /** Neither received live nor in the recipient's archive. Empty where no archive was read. */
  readonly lostForGood: readonly number[];
  /** Came with one id and is in the archive under another. */
  readonly changedIds: readonly number[];
}

/** Judges one view as it grows; `FlowChecker` and `checkFlow` share it, so what is told early is what is told at the end. */
export class ViewChecker {
  readonly doubled: number[] = [];
  readonly excused: number[] = [];
  readonly outOfOrder: number[] = [];
  readonly unknown: number[] = [];
  /** By number: how many sessions of the reader had failed when it came first. */
  readonly first = new Map<number, number>();
  private greatest = -1;
  private readonly sent: readonly SentMessage[];

  constructor(sent: readonly SentMessage[]) {
    this.sent = sent;
  }

  /** @returns what is wrong with it, if anything is. */
  add(n: number, failures = 0): 'doubled' | 'out_of_order' | 'unknown' | undefined {
    const message = this.sent[n];
    if (message === undefined) {
      this.unknown.push(n);
      return 'unknown';
    }
    const before = this.first.get(n);
    if (before !== undefined) {
      const isExcused = message.isResent || failures > before;
      (isExcused ? this.excused : this.doubled).push(n);
      return isExcused ? undefined : 'doubled';
    }
    this.first.set(n, failures);
    if (n < this.greatest) {
      this.outOfOrder.push(n);
      return 'out_of_order';
    }
    this.greatest = n;
    return undefined;
  }

  findings(): ViewFindings {
    const lost: number[] = [];
    for (const [n, { isAcknowledged, isReturned }] of this.sent.entries())
      if (isAcknowledged && !isReturned && !this.first.has(n)) lost.push(n);
    const { doubled, excused, outOfOrder, unknown } = this;
    return { present: this.first.size, lost, doubled, excused, outOfOrder, unknown };
  }
}

export function checkFlow({ name, sent, received, recipientArchive, senderArchive }: FlowHistory): FlowFindings {
  const live = new ViewChecker(sent);
  for (const { n, failures } of received) live.add(n, failures);
  const viewOf = (archive: readonly ArchivedMessage[] | undefined): ViewChecker | undefined => {
    if (archive === undefined) return undefined;
    const view = new ViewChecker(sent);
    for (const { n } of archive) view.add(n);
    return view;
  };
  const theirs = viewOf(recipientArchive);
  const own = viewOf(senderArchive);
  const liveFindings = live.findings();
  return {
    name,
    sent: sent.length,
    acknowledged: count(sent, ({ isAcknowledged }) => isAcknowledged),
    returned: count(sent, ({ isReturned }) => isReturned),
    returnedButDelivered: numbersWhere(sent, ({ isReturned }, n) => isReturned && live.first.has(n)),
    live: liveFindings,
    recipientArchive: theirs?.findings(),
    senderArchive: own?.findings(),
    lostForGood: theirs === undefined ? [] : liveFindings.lost.filter((n) => !theirs.first.has(n)),
    changedIds: changedIds(received, recipientArchive),
  };
}

/** XEP-0359: the id a message came with is the one it has in the archive. */
function changedIds(received: readonly ReceivedMessage[], archive: readonly ArchivedMessage[] | undefined): number[] {
  if (archive === undefined) return [];
  const ids = new Map<number, Set<string>>();
  for (const { n, archiveId } of archive) ids.set(n, (ids.get(n) ?? new Set()).add(archiveId));
  const changed: number[] = [];
  for (const { n, archiveId } of received) {
    if (archiveId === undefined) continue;
    const known = ids.get(n);
    if (known !== undefined && !known.has(archiveId)) changed.push(n);
  }
  return changed;
}

function count<T>(items: readonly T[], accept: (item: T) => boolean): number {
  let result = 0;
  for (const item of items) if (accept(item)) result++;
  return result;
}

function numbersWhere<T>(items: readonly T[], accept: (item: T, n: number) => boolean): number[] {
  const numbers: number[] = [];
  for (const [n, item] of items.entries()) if (accept(item, n)) numbers.push(n);
  return numbers;
}
