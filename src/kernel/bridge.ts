import type { ActorRef, BounceReason, ExitReason, Message, ReplyTo } from './actor.ts';
import type { KernelLimits } from './limits.ts';
import { ASK, bytesOf, DEFAULT_MESSAGE_BYTES } from './mailbox.ts';
import type { ReturnAddress } from './mailbox.ts';
import { Peer, reportOf } from './peer.ts';
import type { Batch, BridgePort, BridgeReport } from './peer.ts';
import type { Entity } from './registry.ts';
import { Tally } from './tally.ts';
import { CloneProbe, Returning } from './undelivered.ts';
import type { UndeliveredHost } from './undelivered.ts';
import {
  ANSWER,
  BOUNCE,
  CODEC_SHIFT,
  DECLARE_CODEC,
  DECLARE_ENTITY,
  DEMONITOR,
  DOWN,
  emptyBatch,
  filterBatch,
  HEADER,
  IS_ASK,
  IS_OK,
  MONITOR,
  readBatch,
  RESTARTED,
  SEND,
  SEND_NAMED,
} from './wire.ts';
import type { Codec, CodecEntry, EnvelopeSink, WireSource } from './wire.ts';

/** What bridges need of their kernel. */
export interface BridgeHost extends UndeliveredHost {
  /** What arrives. */
  readonly sink: EnvelopeSink;
  /** Something waits to be flushed at the end of a slice. */
  arm(): void;
  /** The port closed by itself: its worker is gone. */
  lost(worker: number): void;
  /** Kinds of entities in order of registration. */
  entityKinds(): string[];
}

export interface BridgesOptions {
  readonly node: number;
  readonly worker: number;
  readonly limits: KernelLimits;
  readonly host: BridgeHost;
}

/**
 * The bridges to all other workers. Envelopes are gathered in a flat array per peer and posted once per
 * slice (or when enough of them are there, so that the peer need not wait for the end of a long one).
 * Order is that of the calls; back-pressure is by credit: what the peer has not taken out of its port is
 * bounded, then what waits here is, then messages bounce.
 */
export class Bridges {
  readonly #options: BridgesOptions;
  readonly #limits: KernelLimits;
  readonly #host: BridgeHost;
  readonly #peers: (Peer | undefined)[] = [];
  readonly #dirty: Peer[] = [];
  readonly #codecs = new Map<string, CodecEntry>();

  constructor(options: BridgesOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#host = options.host;
  }

  registerCodec(kind: string, codec: Codec<Message>): void {
    if (this.#codecs.has(kind)) throw new Error(`codec '${kind}' is registered twice`);
    this.#codecs.set(kind, { kind, index: this.#codecs.size, codec });
  }

  isUp(worker: number): boolean {
    return this.#peers[worker]?.port !== undefined;
  }

  /** Connects to `worker`, which was not connected or went down before. */
  connect(worker: number, port: BridgePort): void {
    if (this.isUp(worker)) throw new Error(`worker ${worker} is connected already`);
    const peer = this.#replace(worker);
    peer.port = port;
    port.on('message', (batch) => this.#receive(peer, batch));
    port.on('close', () => {
      if (peer.port === port) this.#host.lost(worker);
    });
  }

  /**
   * Forgets the connection; what the worker has not taken out of its port bounces as `worker_down`, as does what was
   * not posted. False where it was not up.
   */
  disconnect(worker: number): boolean {
    const peer = this.#peers[worker];
    if (peer?.port === undefined) return false;
    peer.port.removeAllListeners();
    peer.port.close();
    peer.port = undefined;
    this.#replace(worker);
    const source = this.#ownSource();
    const sink = new Returning(this.#host);
    peer.unclaimed.splice(0, peer.tally.close());
    for (const batch of [...peer.unclaimed, ...peer.sealed, peer.out]) readBatch(batch, source, sink);
    return true;
  }

  /** Whether the bridge took the message; if not, it has bounced. */
  send(to: ActorRef, message: Message, from: ReturnAddress, ask: number): boolean {
    const peer = this.#peers[to.worker];
    if (peer?.port === undefined) return this.#host.bounce(from, ask, message, 'worker_down');
    if (this.#isFull(peer)) return this.#host.bounce(from, ask, message, 'bridge_full');
    const codec = this.#codecs.get(message.kind);
    if (codec !== undefined) this.#declareCodec(peer, codec);
    const { out } = peer;
    const start = out.length;
    out.push(headOf(SEND, codec, ask), to.id);
    this.#finish(peer, start, message, codec, from, ask);
    return true;
  }

  sendNamed(worker: number, entity: Entity, key: string, message: Message, from: ReturnAddress, ask: number): boolean {
    const peer = this.#peers[worker];
    if (peer?.port === undefined) return this.#host.bounce(from, ask, message, 'worker_down');
    if (this.#isFull(peer)) return this.#host.bounce(from, ask, message, 'bridge_full');
    const codec = this.#codecs.get(message.kind);
    if (codec !== undefined) this.#declareCodec(peer, codec);
    this.#declareEntity(peer, entity.index, entity.kind);
    const { out } = peer;
    const start = out.length;
    out.push(headOf(SEND_NAMED, codec, ask), entity.index, key);
    this.#finish(peer, start, message, codec, from, ask);
    return true;
  }

  answer(replyTo: ReplyTo, ok: boolean, result: unknown): void {
    const peer = this.#up(replyTo.worker);
    if (peer === undefined) return; // the asker is gone with its worker
    peer.out.push(ANSWER | (ok ? IS_OK : 0), replyTo.ask, result);
    this.#gathered(peer, DEFAULT_MESSAGE_BYTES);
  }

  /** Gives `message` back to the actor `to` that sent it. Not bounded: each was a message that had been. */
  bounce(to: ActorRef, message: Message, reason: BounceReason): void {
    const peer = this.#up(to.worker);
    if (peer === undefined) return;
    const codec = this.#codecs.get(message.kind);
    if (codec !== undefined) this.#declareCodec(peer, codec);
    const { out } = peer;
    out.push(headOf(BOUNCE, codec, 0), to.id, reason);
    if (codec === undefined) out.push(message);
    else codec.codec.write(message, out);
    this.#gathered(peer, bytesOf(message));
  }

  /** False where the worker is down. */
  monitor(ref: ActorRef, watcher: number): boolean {
    return this.#push(ref.worker, MONITOR, ref.id, watcher);
  }

  demonitor(ref: ActorRef, watcher: number): void {
    this.#push(ref.worker, DEMONITOR, ref.id, watcher);
  }

  down(watcher: ActorRef, id: number, reason: ExitReason): void {
    const peer = this.#up(watcher.worker);
    if (peer === undefined) return;
    peer.out.push(DOWN, watcher.id, id, reason);
    this.#gathered(peer, DEFAULT_MESSAGE_BYTES);
  }

  restarted(watcher: ActorRef, id: number): void {
    this.#push(watcher.worker, RESTARTED, watcher.id, id);
  }

  /** Posts all that is gathered, as far as credit goes. */
  flush(): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    for (let i = 0; i < dirty.length; i++) {
      const peer = dirty[i]!;
      peer.isDirty = false;
      this.#flush(peer);
    }
    dirty.length = 0;
  }

  /** True when nothing waits here for any worker. */
  get isIdle(): boolean {
    return this.#peers.every((peer) => peer === undefined || peer.queuedEnvelopes === 0);
  }

  report(): BridgeReport[] {
    return this.#peers.flatMap((peer) => (peer === undefined ? [] : [reportOf(peer)]));
  }

  close(): void {
    for (const peer of this.#peers) {
      peer?.port?.removeAllListeners();
      peer?.port?.close();
      if (peer !== undefined) peer.port = undefined;
    }
  }

  #up(worker: number): Peer | undefined {
    const peer = this.#peers[worker];
    return peer?.port === undefined ? undefined : peer;
  }

  #isFull(peer: Peer): boolean {
    return peer.queuedEnvelopes >= this.#limits.maxQueuedEnvelopes || peer.queuedBytes >= this.#limits.maxQueuedBytes;
  }

  #push(worker: number, operation: number, a: number, b: number): boolean {
    const peer = this.#up(worker);
    if (peer === undefined) return false;
    peer.out.push(operation, a, b);
    this.#gathered(peer, DEFAULT_MESSAGE_BYTES);
    return true;
  }

  /** Appends return address and message. A codec that throws leaves nothing behind. */
  #finish(peer: Peer, start: number, message: Message, codec: CodecEntry | undefined, from: ReturnAddress, ask: number): void {
    const { out } = peer;
    out.push(from === undefined ? 0 : from.id);
    if ((ask & ASK) !== 0) out.push((from as ReplyTo).ask);
    if (codec === undefined) out.push(message);
    else {
      try {
        codec.codec.write(message, out);
      } catch (cause) {
        out.length = start;
        throw new Error(`codec '${codec.kind}' failed`, { cause });
      }
    }
    this.#gathered(peer, bytesOf(message));
  }

  #declareCodec(peer: Peer, { kind, index }: CodecEntry): void {
    if (peer.declaredCodecs[index]) return;
    peer.declaredCodecs[index] = true;
    peer.out.push(DECLARE_CODEC, index, kind);
  }

  #declareEntity(peer: Peer, index: number, kind: string): void {
    if (peer.declaredEntities[index]) return;
    peer.declaredEntities[index] = true;
    peer.out.push(DECLARE_ENTITY, index, kind);
  }

  #gathered(peer: Peer, bytes: number): void {
    peer.outEnvelopes++;
    peer.outBytes += bytes;
    peer.queuedEnvelopes++;
    peer.queuedBytes += bytes;
    this.#soil(peer);
    if (peer.outEnvelopes >= this.#limits.batchEnvelopes) this.#flush(peer);
  }

  #soil(peer: Peer): void {
    if (peer.isDirty) return;
    peer.isDirty = true;
    this.#dirty.push(peer);
    this.#host.arm();
  }

  #flush(peer: Peer): void {
    if (peer.port === undefined) return;
    if (peer.outEnvelopes > 0) {
      const { out } = peer;
      out[1] = peer.outEnvelopes;
      out[2] = peer.outBytes;
      peer.sealed.push(out);
      peer.sealedSizes.push({ envelopes: peer.outEnvelopes, bytes: peer.outBytes });
      peer.out = emptyBatch();
      peer.outEnvelopes = peer.outBytes = 0;
    }
    let posted = 0;
    while (posted < peer.sealed.length && this.#hasCredit(peer)) {
      this.#post(peer, peer.sealed[posted]!, peer.sealedSizes[posted]!);
      posted++;
    }
    if (posted === peer.sealed.length) peer.sealed.length = peer.sealedSizes.length = 0;
    else if (posted > 0) {
      peer.sealed.splice(0, posted);
      peer.sealedSizes.splice(0, posted);
    }
    if (peer.isAckWanted) this.#postRaw(peer, emptyBatch());
  }

  /** Looks at what is out already: one batch may go over, so that a batch of any size gets through. */
  #hasCredit(peer: Peer): boolean {
    return peer.unackedEnvelopes < this.#limits.maxUnackedEnvelopes && peer.unackedBytes < this.#limits.maxUnackedBytes;
  }

  #post(peer: Peer, flat: unknown[], size: Batch, isProbed = false): void {
    peer.queuedEnvelopes -= size.envelopes;
    peer.queuedBytes -= size.bytes;
    // From half a window on, so that credit comes back before it is needed; otherwise it comes with the next batch the other way.
    flat[3] =
      (peer.unackedEnvelopes + size.envelopes) * 2 >= this.#limits.maxUnackedEnvelopes ||
      (peer.unackedBytes + size.bytes) * 2 >= this.#limits.maxUnackedBytes;
    this.#forgetTaken(peer);
    peer.unclaimed.push(flat); // before the peer can take it
    try {
      this.#postRaw(peer, flat);
    } catch (error) {
      peer.unclaimed.pop();
      if (isProbed || !(error instanceof DOMException)) throw error;
      this.#salvage(peer, flat);
      return;
    }
    peer.unacked.push(size);
    peer.unackedEnvelopes += size.envelopes;
    peer.unackedBytes += size.bytes;
    peer.postedBatches++;
    peer.postedEnvelopes += size.envelopes;
  }

  #postRaw(peer: Peer, flat: unknown[]): void {
    flat[0] = peer.owedBatches;
    flat[4] = peer.isTallyKnown ? undefined : peer.tally.shared;
    peer.port!.postMessage(flat);
    peer.isTallyKnown = true;
    peer.owedBatches = 0;
    peer.isAckWanted = false;
  }

  /** What the peer has taken is its own; kept for no longer than until the next batch either way. */
  #forgetTaken(peer: Peer): void {
    if (peer.unclaimed.length === 0) return;
    const taken = peer.tally.taken();
    if (taken > 0) peer.unclaimed.splice(0, taken);
  }

  #receive(peer: Peer, batch: unknown[]): void {
    if (batch[4] !== undefined) peer.peersTally = new Tally(batch[4] as SharedArrayBuffer);
    this.#acknowledged(peer, batch[0] as number);
    this.#forgetTaken(peer);
    // Otherwise it is an acknowledgement and nothing else. Not taken: the sender is about to hang up, and has told its actors.
    if (batch.length > HEADER && peer.peersTally!.take()) {
      peer.receivedEnvelopes += batch[1] as number;
      peer.owedBatches++;
      peer.isAckWanted ||= batch[3] as boolean;
      readBatch(batch, peer.source, this.#host.sink);
    }
    if (peer.sealed.length > 0 || peer.isAckWanted) this.#soil(peer);
  }

  #acknowledged(peer: Peer, batches: number): void {
    for (let i = 0; i < batches; i++) {
      const { envelopes, bytes } = peer.unacked[peer.unackedAt++]!;
      peer.unackedEnvelopes -= envelopes;
      peer.unackedBytes -= bytes;
    }
    if (peer.unackedAt * 2 >= peer.unacked.length) {
      peer.unacked.splice(0, peer.unackedAt);
      peer.unackedAt = 0;
    }
  }

  /** A batch with something in it that cannot be cloned goes without that; its sender is told, for it is a bug. */
  #salvage(peer: Peer, flat: unknown[]): void {
    const probe = new CloneProbe(this.#host);
    const kept = filterBatch(flat, this.#ownSource(), probe);
    const size = { envelopes: (flat[1] as number) - probe.removedEnvelopes, bytes: (flat[2] as number) - probe.removedBytes };
    kept[1] = size.envelopes;
    kept[2] = size.bytes;
    peer.queuedEnvelopes += size.envelopes;
    peer.queuedBytes += size.bytes;
    if (kept.length > HEADER) this.#post(peer, kept, size, true);
    for (const ask of probe.failedAnswers) this.answer({ node: this.#options.node, worker: peer.worker, id: 0, ask }, false, 'crashed');
  }

  /** A fresh state for `worker`, not connected; its counters go on. */
  #replace(worker: number): Peer {
    const peer = new Peer(worker, this.#sourceOf(worker));
    const known = this.#peers[worker];
    if (known !== undefined) {
      peer.postedBatches = known.postedBatches;
      peer.postedEnvelopes = known.postedEnvelopes;
      peer.receivedEnvelopes = known.receivedEnvelopes;
    }
    this.#peers[worker] = peer;
    return peer;
  }

  #sourceOf(worker: number): WireSource {
    return { node: this.#options.node, worker, codecs: [], entities: [], codecFor: (kind) => this.#codecs.get(kind) };
  }

  /** For reading what was written here: its declarations may have been posted before. */
  #ownSource(): WireSource {
    return { ...this.#sourceOf(this.#options.worker), codecs: [...this.#codecs.values()], entities: this.#host.entityKinds() };
  }
}

function headOf(operation: number, codec: CodecEntry | undefined, ask: number): number {
  return operation | ((ask & ASK) !== 0 ? IS_ASK : 0) | (codec === undefined ? 0 : (codec.index + 1) << CODEC_SHIFT);
}
