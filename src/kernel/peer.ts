import { Tally } from './tally.ts';
import { emptyBatch } from './wire.ts';
import type { WireSource } from './wire.ts';

/** One end of the channel to another worker; a MessagePort, or a pair of queues in tests. */
export interface BridgePort {
  postMessage(batch: unknown): void;
  on(event: 'message', handler: (batch: unknown[]) => void): unknown;
  on(event: 'close', handler: () => void): unknown;
  removeAllListeners(): unknown;
  close(): void;
}

/** One worker's state of one bridge, for inspection. */
export interface BridgeReport {
  readonly worker: number;
  readonly isUp: boolean;
  readonly queuedEnvelopes: number;
  readonly queuedBytes: number;
  readonly unackedEnvelopes: number;
  readonly unackedBytes: number;
  /** Since this worker started. */
  readonly postedBatches: number;
  readonly postedEnvelopes: number;
  readonly receivedEnvelopes: number;
}

/** The size of a batch. */
export interface Batch {
  readonly envelopes: number;
  readonly bytes: number;
}

/**
 * One peer: what is gathered for it, what waits for credit, what it has not acknowledged.
 *
 *   send ─► gathering (flat array) ─► sealed batches, while out of credit ─► postMessage ─► unacked ─► (ack) credit
 *           └────────────── bounded: maxQueued… ─────────────┘               └─ bounded: maxUnacked… ─┘
 */
export class Peer {
  readonly worker: number;
  port: BridgePort | undefined = undefined;
  /** Gathering; begins with the header. */
  out: unknown[] = emptyBatch();
  outEnvelopes = 0;
  outBytes = 0;
  /** Sealed, waiting for credit: arrays and their sizes, in step. */
  sealed: unknown[][] = [];
  sealedSizes: Batch[] = [];
  queuedEnvelopes = 0;
  queuedBytes = 0;
  /** Sizes of posted batches from `unackedAt` on. */
  unacked: Batch[] = [];
  unackedAt = 0;
  unackedEnvelopes = 0;
  unackedBytes = 0;
  /** Posted batches that the peer had not taken when last looked at. */
  unclaimed: unknown[][] = [];
  /** What the peer has taken of ours; it learns of it with the first batch. */
  readonly tally: Tally;
  isTallyKnown = false;
  /** What we have taken of the peer's. */
  peersTally: Tally | undefined = undefined;
  /** Received and not acknowledged to the peer. */
  owedBatches = 0;
  isAckWanted = false;
  /** By index: what was declared to the peer. */
  readonly declaredCodecs: boolean[] = [];
  readonly declaredEntities: boolean[] = [];
  /** What the peer's indexes mean. */
  readonly source: WireSource;
  isDirty = false;
  postedBatches = 0;
  postedEnvelopes = 0;
  receivedEnvelopes = 0;

  constructor(worker: number, source: WireSource) {
    this.worker = worker;
    this.source = source;
    this.tally = new Tally();
  }
}

export function reportOf(peer: Peer): BridgeReport {
  const { worker, queuedEnvelopes, queuedBytes, unackedEnvelopes, unackedBytes, postedBatches, postedEnvelopes, receivedEnvelopes } = peer;
  return {
    worker,
    isUp: peer.port !== undefined,
    queuedEnvelopes,
    queuedBytes,
    unackedEnvelopes,
    unackedBytes,
    postedBatches,
    postedEnvelopes,
    receivedEnvelopes,
  };
}
