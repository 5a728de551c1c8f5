import type { ActorRef, BounceReason, ExitReason, Message } from './actor.ts';
import { ASK } from './mailbox.ts';
import type { ReturnAddress } from './mailbox.ts';

/*
 * How envelopes stand in the one flat array that is posted per batch. Structured clone copies an array of
 * strings and small numbers about three times as fast as an array of objects, and faster than JSON or one
 * long string with offsets. Measured on two cores, batches of 256 envelopes of nine fields, wall time per envelope:
 * 0.4 µs flat, 1.2 objects, 1.3 JSON, 0.7 long string. bench/micro/kernel has the figures of the whole way.
 *
 *   [ acknowledged batches, envelopes, bytes, is an acknowledgement wanted, tally,  head … , head … , head … ]
 *
 *   head = operation | IS_ASK or IS_OK | (codec + 1) << CODEC_SHIFT     codec + 1 = 0: the message is one element
 */
export const HEADER = 5;

/** An empty batch. The first one of a connection brings the Tally of its sender. */
export function emptyBatch(): unknown[] {
  return [0, 0, 0, false, undefined];
}

/** to, from [, ask], message. `from` is 0 where nobody asked to be told. */
export const SEND = 0;
/** entity, key, from [, ask], message. */
export const SEND_NAMED = 1;
/** ask, result. */
export const ANSWER = 2;
/** to, reason, message. */
export const BOUNCE = 3;
/** watched, watcher. */
export const MONITOR = 4;
export const DEMONITOR = 5;
/** watcher, watched, reason. */
export const DOWN = 6;
/** watcher, watched. */
export const RESTARTED = 7;
/** index, kind: from now on `index` stands for the codec, or entity, of that kind. */
export const DECLARE_CODEC = 8;
export const DECLARE_ENTITY = 9;
const OPERATION_MASK = 15;
export const IS_ASK = 16;
export const IS_OK = 16;
export const CODEC_SHIFT = 5;

/** Where a reader stands in a batch. */
export interface Cursor {
  at: number;
}

/**
 * Turns messages of one kind into flat primitives and back. `write` appends strings, numbers, booleans,
 * null or undefined (other values work, slower); `read` takes as many from `cursor.at` on and moves it
 * behind them. Neither may throw for a message that the type allows. Every worker registers the same codecs.
 */
export interface Codec<M extends Message> {
  write(message: M, out: unknown[]): void;
  read(input: readonly unknown[], cursor: Cursor): M;
}

/** A registered codec; `index` is the order of registration. */
export interface CodecEntry {
  readonly kind: string;
  readonly index: number;
  readonly codec: Codec<Message>;
}

/** Who wrote a batch, and what its indexes mean. */
export interface WireSource {
  readonly node: number;
  readonly worker: number;
  readonly codecs: (CodecEntry | undefined)[];
  readonly entities: (string | undefined)[];
  /** Looks up what is declared on the way. */
  codecFor(kind: string): CodecEntry | undefined;
}

/** What becomes of each envelope of a batch. */
export interface EnvelopeSink {
  send(to: number, message: Message, from: ReturnAddress, ask: number): void;
  sendNamed(entity: string, key: string, message: Message, from: ReturnAddress, ask: number): void;
  answer(ask: number, ok: boolean, result: unknown): void;
  bounce(to: number, message: Message, reason: BounceReason): void;
  monitor(id: number, watcher: ActorRef): void;
  demonitor(id: number, watcher: ActorRef): void;
  down(watcher: number, ref: ActorRef, reason: ExitReason): void;
  restarted(watcher: number, ref: ActorRef): void;
}

/** Reads every envelope of `batch`. Throws where the two sides do not agree on codecs: the worker cannot go on. */
export function readBatch(batch: readonly unknown[], source: WireSource, sink: EnvelopeSink): void {
  const cursor: Cursor = { at: HEADER };
  while (cursor.at < batch.length) readEnvelope(batch, cursor, source, sink);
}

/** A copy of `batch` without the envelopes for which `probe`, shown each, does not leave `isSound` true. */
export function filterBatch(batch: readonly unknown[], source: WireSource, probe: EnvelopeSink & { isSound: boolean }): unknown[] {
  const kept = batch.slice(0, HEADER);
  const cursor: Cursor = { at: HEADER };
  while (cursor.at < batch.length) {
    const start = cursor.at;
    probe.isSound = true;
    readEnvelope(batch, cursor, source, probe);
    if (probe.isSound) for (let at = start; at < cursor.at; at++) kept.push(batch[at]);
  }
  return kept;
}

function readEnvelope(input: readonly unknown[], cursor: Cursor, source: WireSource, sink: EnvelopeSink): void {
  const head = input[cursor.at++] as number;
  const { node, worker } = source;
  switch (head & OPERATION_MASK) {
    case SEND: {
      const to = input[cursor.at++] as number;
      const from = readFrom(input, cursor, head, source);
      sink.send(to, readMessage(input, cursor, head, source), from, (head & IS_ASK) !== 0 ? ASK : 0);
      return;
    }
    case SEND_NAMED: {
      const entity = source.entities[input[cursor.at++] as number];
      if (entity === undefined) throw new Error('an envelope names an entity that was not declared');
      const key = input[cursor.at++] as string;
      const from = readFrom(input, cursor, head, source);
      sink.sendNamed(entity, key, readMessage(input, cursor, head, source), from, (head & IS_ASK) !== 0 ? ASK : 0);
      return;
    }
    case ANSWER: {
      const ask = input[cursor.at++] as number;
      sink.answer(ask, (head & IS_OK) !== 0, input[cursor.at++]);
      return;
    }
    case BOUNCE: {
      const to = input[cursor.at++] as number;
      const reason = input[cursor.at++] as BounceReason;
      sink.bounce(to, readMessage(input, cursor, head, source), reason);
      return;
    }
    case MONITOR: {
      const id = input[cursor.at++] as number;
      sink.monitor(id, { node, worker, id: input[cursor.at++] as number });
      return;
    }
    case DEMONITOR: {
      const id = input[cursor.at++] as number;
      sink.demonitor(id, { node, worker, id: input[cursor.at++] as number });
      return;
    }
    case DOWN: {
      const watcher = input[cursor.at++] as number;
      const ref = { node, worker, id: input[cursor.at++] as number };
      sink.down(watcher, ref, input[cursor.at++] as ExitReason);
      return;
    }
    case RESTARTED: {
      const watcher = input[cursor.at++] as number;
      sink.restarted(watcher, { node, worker, id: input[cursor.at++] as number });
      return;
    }
    case DECLARE_CODEC: {
      const index = input[cursor.at++] as number;
      source.codecs[index] = source.codecFor(input[cursor.at++] as string);
      return;
    }
    case DECLARE_ENTITY: {
      const index = input[cursor.at++] as number;
      source.entities[index] = input[cursor.at++] as string;
      return;
    }
    default:
      throw new Error(`worker ${worker} posted an unknown operation`);
  }
}

function readFrom(input: readonly unknown[], cursor: Cursor, head: number, { node, worker }: WireSource): ReturnAddress {
  const id = input[cursor.at++] as number;
  if ((head & IS_ASK) !== 0) return { node, worker, id, ask: input[cursor.at++] as number };
  return id === 0 ? undefined : { node, worker, id };
}

function readMessage(input: readonly unknown[], cursor: Cursor, head: number, source: WireSource): Message {
  const codec = head >> CODEC_SHIFT;
  if (codec === 0) return input[cursor.at++] as Message;
  const entry = source.codecs[codec - 1];
  if (entry === undefined) throw new Error(`worker ${source.worker} uses a codec that is not registered here`);
  return entry.codec.read(input, cursor);
}
