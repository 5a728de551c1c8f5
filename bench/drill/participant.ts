/** Who takes part in a drill, and what goes on between them. */
import { ViewChecker, type ArchivedMessage, type FlowHistory, type ReceivedMessage, type SentMessage } from './checker.ts';
import type { DrillClient } from './client.ts';
import type { Cause } from './report.ts';

/** One direction of a pair, as it grows. */
export class Flow implements FlowHistory {
  readonly name: string;
  readonly sent: SentMessage[] = [];
  readonly received: ReceivedMessage[] = [];
  readonly live: ViewChecker;
  recipientArchive: readonly ArchivedMessage[] | undefined;
  senderArchive: readonly ArchivedMessage[] | undefined;

  constructor(name: string) {
    this.name = name;
    this.live = new ViewChecker(this.sent);
  }

  /** The number in `<flow>:<n>`; undefined where the text is of another flow. */
  numberIn(text: string): number | undefined {
    if (!text.startsWith(`${this.name}:`)) return undefined;
    const digits = text.slice(this.name.length + 1);
    return /^\d+$/.test(digits) ? Number(digits) : undefined;
  }
}

export interface Participant {
  readonly client: DrillClient;
  readonly outgoing: Flow;
  readonly incoming: Flow;
  readonly peer: { readonly bare: string; readonly full: string };
  /** Why it has no connection, or is about to have none. */
  cause: Cause | undefined;
  lostAtMs: number | undefined;
  isAway: boolean;
  hasStarted: boolean;
  /** Messages it may send. */
  credit: number;
}
