/** All journals of a store, read as one: by the thread that applies them. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { Chunks } from './chunks.ts';
import { parseSegmentName, segmentName } from './journal.ts';
import type { JournalFiles, JournalName } from './journal.ts';
import { START, Tail } from './tail.ts';
import type { JournalRecord, Position } from './tail.ts';
import type { Window } from './window.ts';

export class Journals {
  readonly #directory: string;
  readonly #positionOf: (instance: number) => Position | undefined;
  readonly #tails = new Map<number, Tail>();
  /** The segment of each journal that its position in LMDB is in. */
  readonly #applied = new Map<number, number>();
  /** Threads that are gone; ids are not used again within a process. */
  readonly #ended = new Set<number>();

  readonly #files: JournalFiles;
  readonly #chunks = new Chunks();
  /** Of the tails when the names of the files were last synced. */
  #listed = 0;
  /** Of tails that are gone. */
  #goneSegments = 0;

  /** `positionOf`: how far LMDB says a journal is applied. */
  constructor(directory: string, positionOf: (instance: number) => Position | undefined, files: JournalFiles = fs) {
    this.#directory = directory;
    this.#files = files;
    this.#positionOf = positionOf;
  }

  /** What the thread has written to its journals is all there will be. */
  endThread(thread: number): void {
    this.#ended.add(thread);
  }

  /**
   * Reads groups in the order of their ticks, up to the tick `until`, into the window. False if the window grew to
   * `maxBytes` before all there was had been read. Throws what fs throws, or ERR_STORE_NEWER.
   */
  readInto(window: Window, maxBytes: number, until: number): boolean {
    const tails = this.#refresh();
    for (;;) {
      const first = firstOf(tails, until);
      if (first === undefined) return true;
      if (window.bytes >= maxBytes) return false;
      window.add(first.record);
      first.tail.advance();
      window.positions.set(first.tail.name.instance, first.tail.position);
    }
  }

  /** Settles when all that was read is on the disk, and can be found there. Not while it is read. */
  async sync(): Promise<void> {
    const tails = [...this.#tails.values()];
    await Promise.all(tails.map((tail) => tail.sync()));
    const opened = tails.reduce((sum, tail) => sum + tail.opened, this.#goneSegments);
    if (opened === this.#listed) return;
    await this.#syncNames();
    this.#listed = opened;
  }

  /** The window is in LMDB, with its positions. */
  published(window: Window): void {
    for (const [instance, { segment }] of window.positions) this.#applied.set(instance, segment);
  }

  /** Empties a window that is done with, so that it and its memory can be used again. `next`: the window that is read ahead. */
  clear(window: Window, next: Window): void {
    const tails = [...this.#tails.values()];
    for (const chunk of window.clear()) if (!next.has(chunk) && !tails.some((tail) => tail.chunk === chunk)) this.#chunks.giveBack(chunk);
  }

  /**
   * Removes what is applied: all segments of a journal but the last, and that too once nobody writes it any more. `next`:
   * the window that is read ahead. Returns the journals that are gone for good, whose positions can go.
   */
  removeApplied(next: Window): number[] {
    const gone: number[] = [];
    for (const { name, segments } of this.#list()) {
      const { instance } = name;
      const tail = this.#tails.get(instance);
      if (tail === undefined) continue;
      // Its last groups, if read, may still be in the next window.
      const isOver = !next.positions.has(instance) && this.#isOver(tail, segments);
      const applied = this.#applied.get(instance) ?? 0;
      for (const segment of segments) if (isOver || segment < applied) fs.unlinkSync(this.#path(name, segment));
      if (!isOver) continue;
      tail.close();
      this.#goneSegments += tail.opened;
      this.#tails.delete(instance);
      this.#applied.delete(instance);
      gone.push(instance);
    }
    // A file that came back after a power loss, without its position, would be applied again.
    if (gone.length > 0) this.#syncDirectory();
    return gone;
  }

  /** Removes all journals. Returns how many bytes at their ends were no complete groups. */
  removeAll(): number {
    let discardedBytes = 0;
    for (const tail of this.#tails.values()) discardedBytes += tail.discardedBytes + tail.remainingBytes;
    this.close();
    for (const { name, segments } of this.#list()) for (const segment of segments) fs.unlinkSync(this.#path(name, segment));
    this.#syncDirectory();
    return discardedBytes;
  }

  close(): void {
    for (const tail of this.#tails.values()) tail.close();
    this.#tails.clear();
    this.#listed = 0;
    this.#goneSegments = 0;
  }

  #isOver(tail: Tail, segments: readonly number[]): boolean {
    if (tail.isClosed) return true;
    if (!this.#ended.has(tail.name.thread)) return false;
    tail.refresh(segments);
    return tail.peek() === undefined;
  }

  #refresh(): Tail[] {
    const tails: Tail[] = [];
    for (const { name, segments } of this.#list()) {
      let tail = this.#tails.get(name.instance);
      if (tail === undefined) {
        tail = new Tail(this.#directory, name, this.#positionOf(name.instance) ?? START, this.#files, this.#chunks);
        this.#tails.set(name.instance, tail);
      }
      tail.refresh(segments);
      tails.push(tail);
    }
    return tails;
  }

  /** With their segments ascending. */
  #list(): { readonly name: JournalName; readonly segments: number[] }[] {
    const found = new Map<number, { readonly name: JournalName; readonly segments: number[] }>();
    for (const file of fs.readdirSync(this.#directory).toSorted()) {
      const parsed = parseSegmentName(file);
      if (parsed === undefined) continue;
      const { instance, thread, segment } = parsed;
      const journal = found.get(instance);
      if (journal === undefined) found.set(instance, { name: { instance, thread }, segments: [segment] });
      else journal.segments.push(segment);
    }
    return [...found.values()];
  }

  #path(name: JournalName, segment: number): string {
    return join(this.#directory, segmentName(name, segment));
  }

  #syncNames(): Promise<void> {
    const directory = fs.openSync(this.#directory, 'r');
    return new Promise((resolve, reject) =>
      this.#files.fsync(directory, (error) => {
        fs.closeSync(directory);
        if (error === null) resolve();
        else reject(error);
      }),
    );
  }

  #syncDirectory(): void {
    const directory = fs.openSync(this.#directory, 'r');
    try {
      this.#files.fsyncSync(directory);
    } finally {
      fs.closeSync(directory);
    }
  }
}

/** The tail whose next record has the lowest tick, if that is at most `until`. */
function firstOf(tails: readonly Tail[], until: number): { tail: Tail; record: JournalRecord } | undefined {
  let first: { tail: Tail; record: JournalRecord } | undefined;
  for (const tail of tails) {
    const record = tail.peek();
    if (record !== undefined && record.tick <= until && (first === undefined || record.tick < first.record.tick)) first = { tail, record };
  }
  return first;
}
