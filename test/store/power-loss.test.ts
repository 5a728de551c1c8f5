/**
 * A power loss at every moment, with every write that was not synced kept, lost or torn as chance has it. What the store asks of the
 * file system is recorded; then the disk is put together as it may have been found, and the store opened on it.
 *
 * The model of the disk is the weakest one POSIX allows: until fdatasync has returned, each 512-byte sector of a write may be
 * there or not, whatever its neighbours are; a file's name may be lost, or an unlinked one be back, until its directory is synced.
 * LMDB's own file is taken as it is after each of its transactions, which are synced.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { DATA_FILE } from '../../src/store/lmdb/backup.ts';
import { Env } from '../../src/store/lmdb/env.ts';
import type { JournalFiles } from '../../src/store/lmdb/journal.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import type { LmdbOptions } from '../../src/store/lmdb/open.ts';
import { Batch } from '../../src/store/store.ts';
import type { Store } from '../../src/store/store.ts';
import { random } from '../conformance/store.ts';
import { lines } from './fixtures/thread.ts';

const SEED = 20_261_121;
const BATCHES = 60;
const DISKS_PER_MOMENT = 2;
const SECTOR = 512;
const PARTITIONS = ['romeo@x', 'juliet@x', 'nurse@x'];
const KEYS = 6;

type Event =
  | { readonly kind: 'made'; readonly file: string }
  | { readonly kind: 'written'; readonly file: string; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'cut'; readonly file: string; readonly length: number }
  /** All that had been done to the file when event number `since` was the next. */
  | { readonly kind: 'synced'; readonly file: string; readonly since: number }
  | { readonly kind: 'names_synced'; readonly since: number }
  | { readonly kind: 'unlinked'; readonly file: string }
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'settled'; readonly partition: string; readonly batch: number };

/** Everything done to the store's directory, in order. */
class Recorder {
  readonly events: Event[] = [];
  readonly files: JournalFiles;
  readonly #names = new Map<number, string>();
  #known = new Set<string>();
  #path = '';

  constructor() {
    const { events } = this;
    const names = this.#names;
    this.files = {
      openSync: (path, flags, mode) => {
        const file = fs.openSync(path, flags, mode);
        names.set(file, basename(String(path)));
        if (flags === 'w') events.push({ kind: 'made', file: basename(String(path)) });
        return file;
      },
      closeSync: (file) => {
        names.delete(file);
        fs.closeSync(file);
      },
      writeSync: ((file: number, buffer: Buffer, offset: number, length: number, position: number) => {
        const written = fs.writeSync(file, buffer, offset, length, position);
        events.push({
          kind: 'written',
          file: names.get(file)!,
          at: position,
          bytes: Buffer.from(buffer.subarray(offset, offset + written)),
        });
        return written;
      }) as typeof fs.writeSync,
      ftruncateSync: (file, length) => {
        fs.ftruncateSync(file, length);
        events.push({ kind: 'cut', file: names.get(file)!, length: length ?? 0 });
      },
      fdatasync: ((file: number, callback: fs.NoParamCallback) => {
        const since = events.length;
        const name = names.get(file) ?? this.nameOf(file);
        fs.fdatasync(file, (error) => {
          if (error === null) events.push({ kind: 'synced', file: name, since });
          callback(error);
        });
      }) as typeof fs.fdatasync,
      fsyncSync: (file) => {
        const since = events.length;
        this.look();
        fs.fsyncSync(file);
        events.push({ kind: 'names_synced', since: Math.max(since, events.length) });
      },
      fsync: ((file: number, callback: fs.NoParamCallback) => {
        const since = events.length;
        fs.fsync(file, (error) => {
          if (error === null) events.push({ kind: 'names_synced', since });
          callback(error);
        });
      }) as typeof fs.fsync,
    };
  }

  /** Of a file the applier has opened for itself. */
  private nameOf(file: number): string {
    return basename(fs.readlinkSync(`/proc/self/fd/${file}`).replace(/ \(deleted\)$/, ''));
  }

  /** What was unlinked since the last look. */
  private look(): void {
    const now = new Set(fs.readdirSync(join(this.#path, 'journal')));
    for (const file of this.#known) if (!now.has(file)) this.events.push({ kind: 'unlinked', file });
    this.#known = now;
  }

  /** After each transaction. */
  watchData(path: string): Disposable {
    this.#path = path;
    const { transaction } = Env.prototype;
    const look = (): void => {
      this.look();
      this.events.push({ kind: 'data', bytes: fs.readFileSync(join(path, DATA_FILE)) });
    };
    const recorder = { [Symbol.dispose]: () => void (Env.prototype.transaction = transaction) };
    Env.prototype.transaction = function watched(this: Env, write) {
      transaction.call(this, write);
      look();
    };
    return recorder;
  }
}

/** What is found after the power went before event `until`. `keeps`: whether chance keeps what was not synced. */
function disk(events: readonly Event[], until: number, keeps: () => boolean, path: string): void {
  const past = events.slice(0, until);
  const syncedAt = new Map<string, number>();
  let namesSyncedAt = 0;
  let data: Buffer | undefined;
  for (const event of past) {
    if (event.kind === 'synced') syncedAt.set(event.file, Math.max(event.since, syncedAt.get(event.file) ?? 0));
    else if (event.kind === 'names_synced') namesSyncedAt = Math.max(namesSyncedAt, event.since);
    else if (event.kind === 'data') data = event.bytes;
  }
  const contents = new Map<string, Buffer>();
  const gone = new Set<string>();
  past.forEach((event, number) => {
    if (event.kind === 'made') {
      if (number < namesSyncedAt || keeps()) contents.set(event.file, Buffer.alloc(0));
    } else if (event.kind === 'unlinked') {
      if (number < namesSyncedAt || keeps()) gone.add(event.file);
    } else if (event.kind === 'written') {
      const before = contents.get(event.file);
      if (before === undefined) return;
      const isSynced = number < (syncedAt.get(event.file) ?? 0);
      contents.set(event.file, written(before, event.at, event.bytes, isSynced ? () => true : keeps));
    } else if (event.kind === 'cut') {
      const before = contents.get(event.file);
      if (before !== undefined && (number < (syncedAt.get(event.file) ?? 0) || keeps()))
        contents.set(event.file, before.subarray(0, event.length));
    }
  });
  fs.rmSync(path, { recursive: true, force: true });
  fs.mkdirSync(join(path, 'journal'), { recursive: true });
  if (data !== undefined) fs.writeFileSync(join(path, DATA_FILE), data);
  for (const [file, bytes] of contents) if (!gone.has(file)) fs.writeFileSync(join(path, 'journal', file), bytes);
}

/** By sectors: what is lost in the middle of a file is read as zeros, or as what was there before. */
function written(before: Buffer, at: number, bytes: Buffer, keeps: () => boolean): Buffer {
  const after = Buffer.alloc(Math.max(before.length, at + bytes.length));
  before.copy(after);
  let length = before.length;
  for (let from = 0; from < bytes.length;) {
    const to = Math.min(bytes.length, from + SECTOR - ((at + from) % SECTOR));
    if (keeps()) {
      bytes.copy(after, at + from, from, to);
      length = Math.max(length, at + to);
    }
    from = to;
  }
  return after.subarray(0, length);
}

interface History {
  readonly events: readonly Event[];
  /** For each partition, its rows after each of its batches; the first is of none. */
  readonly states: ReadonlyMap<string, Map<number, string>[]>;
}

/** Commits batches, some of which delete or erase, with the applier at work in between, and reads by a second opener. */
async function record(
  path: string,
  options: Partial<LmdbOptions>,
  next: (below: number) => number,
  afterBatch?: () => Promise<void>,
): Promise<History> {
  const recorder = new Recorder();
  using _ = recorder.watchData(path);
  const states = new Map(PARTITIONS.map((partition) => [partition, [new Map<number, string>()]]));
  // Transactions of one partition each, so that a power loss may come between any two of a window.
  const store = await openLmdb({ path, applyIntervalMs: 3_600_000, segmentBytes: 6_000, applyRows: 1, files: recorder.files, ...options });
  const other = await openLmdb({ path, files: recorder.files });
  for (let number = 1; number <= BATCHES; number++) {
    const partition = PARTITIONS[next(PARTITIONS.length)]!;
    const history = states.get(partition)!;
    const rows = new Map(history.at(-1));
    const batch = new Batch(partition);
    rows.set(KEYS, String(history.length)); // tells the states apart
    for (let i = 1 + next(4); i > 0; i--) {
      const key = next(KEYS);
      if (next(3) === 0) rows.delete(key);
      else rows.set(key, `${number} `.repeat(1 + next(150)));
    }
    for (let key = 0; key <= KEYS; key++) {
      const value = rows.get(key);
      if (value === undefined) batch.delete(lines, [key]);
      else if (value !== history.at(-1)!.get(key)) batch.put(lines, [key], value);
    }
    history.push(rows);
    const batchNumber = history.length - 1;
    const commit = store.commit(batch);
    commit.onSettled(() => {
      if (commit.error === undefined) recorder.events.push({ kind: 'settled', partition, batch: batchNumber });
    });
    if (next(3) > 0) await commit.promise;
    if (next(6) === 0) await other.get(lines, partition, [0]); // written early
    if (next(12) === 0) await store.partitions(lines); // all of it
    await afterBatch?.();
  }
  await other.close();
  await store.close();
  return { events: recorder.events, states };
}

async function check(store: Store, { states }: History, least: ReadonlyMap<string, number>, where: string): Promise<void> {
  for (const [partition, history] of states) {
    const rows = new Map((await store.list(lines, partition)).map(({ key, value }) => [key[0] as number, value]));
    const found = Number(rows.get(KEYS) ?? 0);
    assert.ok(found >= (least.get(partition) ?? 0), `${where}: ${partition} is at batch ${found}, ${least.get(partition)} was promised`);
    assert.deepEqual([...rows].toSorted(), [...history[found]!].toSorted(), `${where}: ${partition} is no state it ever had`);
  }
}

/** @param promised what must be there if the power goes at that event. */
async function replay(
  history: History,
  next: (below: number) => number,
  promised: (until: number) => ReadonlyMap<string, number>,
): Promise<number> {
  const path = fs.mkdtempSync(join(tmpdir(), 'rookery-power-'));
  let opened = 0;
  try {
    const firstData = history.events.findIndex(({ kind }) => kind === 'data');
    for (let until = firstData + 1; until <= history.events.length; until++) {
      if (history.events[until - 1]?.kind === 'settled' && until < history.events.length) continue; // nothing happened to the disk
      for (let i = 0; i < DISKS_PER_MOMENT; i++) {
        const odds = [0, 1, 5, 9, 10][next(5)]!;
        disk(history.events, until, () => next(10) < odds, path);
        const where = `seed ${SEED}, event ${until}, disk ${i}`;
        const store = await openLmdb({ path });
        await check(store, history, promised(until), where);
        await store.close();
        opened++;
      }
    }
  } finally {
    fs.rmSync(path, { recursive: true, force: true });
  }
  return opened;
}

function settledBefore(events: readonly Event[], until: number): Map<string, number> {
  const settled = new Map<string, number>();
  for (const event of events.slice(0, until)) {
    if (event.kind === 'settled') settled.set(event.partition, Math.max(event.batch, settled.get(event.partition) ?? 0));
  }
  return settled;
}

async function inDirectory<T>(run: (path: string) => Promise<T>): Promise<T> {
  const path = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'rookery-power-')));
  try {
    return await run(path);
  } finally {
    fs.rmSync(path, { recursive: true, force: true });
  }
}

const skip = process.platform === 'linux' ? false : 'reads /proc';

test('sync=disk: whenever the power goes, every settled commit is there, and each partition is in a state it had', { skip }, async () => {
  const next = random(SEED);
  const history = await inDirectory((path) => record(path, { sync: 'disk' }, next));
  const opened = await replay(history, next, (until) => settledBefore(history.events, until));
  assert.ok(opened > 200, `${opened} disks`);
});

test(
  'sync=process: whenever the power goes, each partition is in a state it had, and has what was settled before the last sync',
  { skip },
  async () => {
    const next = random(SEED + 1);
    const history = await inDirectory((path) =>
      record(path, { sync: 'process', syncIntervalMs: 1 }, next, async () => {
        if (next(4) === 0) await new Promise<void>((resolve) => setImmediate(resolve));
      }),
    );
    // A sync of a journal's file and of its name holds what was settled when it began.
    const opened = await replay(history, next, (until) => promisedBySync(history.events, until));
    assert.ok(opened > 150, `${opened} disks`);
  },
);

/** Of the journal the commits went to: what was settled when the last completed sync of its current segment began, if its name is synced. */
function promisedBySync(events: readonly Event[], until: number): ReadonlyMap<string, number> {
  const past = events.slice(0, until);
  let namesSyncedAt = 0;
  const syncedAt = new Map<string, number>();
  const made = new Map<string, number>();
  past.forEach((event, number) => {
    if (event.kind === 'names_synced') namesSyncedAt = Math.max(namesSyncedAt, event.since);
    else if (event.kind === 'made') made.set(event.file, number);
    else if (event.kind === 'synced') syncedAt.set(event.file, Math.max(event.since, syncedAt.get(event.file) ?? 0));
  });
  // Everything up to the first write that is not safe is.
  const unsafe = past.findIndex(
    (event, number) => event.kind === 'written' && (number >= (syncedAt.get(event.file) ?? 0) || made.get(event.file)! >= namesSyncedAt),
  );
  return settledBefore(events, unsafe < 0 ? until : unsafe);
}
