/** Opening the store on disk: the first opener of the process recovers and applies, the others join it. */
import { closeSync, fsyncSync, mkdirSync, openSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type { Worker } from 'node:worker_threads';
import { StoreError, storeErrorFrom } from '../errors.ts';
import { Applier } from './applier.ts';
import type { Recovery } from './applier.ts';
import { DATA_FILE } from './backup.ts';
import { FirstOpener, LaterOpener } from './channel.ts';
import type { ApplierLink } from './channel.ts';
import { checkDataFile } from './data-file.ts';
import { Committer } from './committer.ts';
import { checkFormat, Env, FORMAT_KEY, STORE_FORMAT } from './env.ts';
import { Journal } from './journal.ts';
import type { JournalFiles } from './journal.ts';
import { LmdbStore } from './lmdb-store.ts';
import { lockDirectory, lockHolder } from './lock.ts';
import type { StoreLock } from './lock.ts';
import { upgrade } from './upgrade.ts';
import { Shared } from './shared.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export interface LmdbOptions {
  /** The store's directory; made if it does not exist. The same for all threads. */
  readonly path: string;
  /**
   * What a settled commit survives: 'process' (default) a crash of the process, and a power loss except for about the
   * last `syncIntervalMs`; 'disk' also that, for the price of one fdatasync per group.
   */
  readonly sync?: 'process' | 'disk';
  /**
   * 0 (default): a group is what one turn of the event loop commits. More: groups are at least this far apart
   * while commits keep coming; a lone commit never waits.
   */
  readonly commitDelayMs?: number;
  /** Where a group is not to wait: calls `write` when what belongs together has been committed. Default: in the next turn of the event loop. */
  readonly gather?: (write: () => void) => void;
  /** With 'process': how often journals go to the disk. Default 1000. */
  readonly syncIntervalMs?: number;
  /** A larger batch is refused with ERR_STORE_TOO_LARGE. Default 8 MiB. */
  readonly maxBatchBytes?: number;
  /** With more than this unsettled, commits are refused with ERR_STORE_BUSY. Default 32 MiB. */
  readonly maxGroupBytes?: number;
  /** With more of this thread's changes in memory, waiting for LMDB, commits stay unsettled until there is less. Default 64 MiB. */
  readonly maxUnappliedBytes?: number;
  /** First opener: how often changes are applied to LMDB. Default 5000. Longer costs less time, more memory and recovery. */
  readonly applyIntervalMs?: number;
  /** A thread that has written this much asks for it sooner. Default 16 MiB. */
  readonly applyBytes?: number;
  /** First opener: rows in one LMDB transaction, about a millisecond per 200. Default 2000. */
  readonly applyRows?: number;
  /** Journals are cut into files of this size. Default 16 MiB. */
  readonly segmentBytes?: number;
  /** Later openers: how long to wait for the first one, which may be recovering. Default 30000. */
  readonly attachMs?: number;
  /** First opener: told when applying fails (nothing is lost, but journals and memory grow), and with `undefined` when it works again. */
  readonly onTrouble?: (error: StoreError | undefined) => void;
  /** For tests of failing disks. */
  readonly files?: JournalFiles;
}

/** A store, and what opening it found. */
export interface OpenedLmdb {
  readonly store: LmdbStore;
  /** What a crash had left; `undefined` for later openers. */
  readonly recovery: Recovery | undefined;
}

interface First {
  readonly shared: Shared;
  readonly link: ApplierLink;
}

/** The stores this thread was the first to open, by directory. */
const firsts = new Map<string, Promise<First>>();

/**
 * Opens the store at `path`, in any thread of the process. The first to open it should be the main thread: it applies the
 * changes of all threads to LMDB, and must be the last to close. Other processes are refused.
 *
 * Rejects with a StoreError: ERR_STORE_LOCKED, ERR_STORE_UNWRITABLE, ERR_STORE_CORRUPT, ERR_STORE_NEWER, ERR_STORE_FULL,
 * ERR_STORE_IO. An operator can mend each; the message says how.
 */
export async function openLmdb(options: LmdbOptions): Promise<LmdbStore> {
  return (await openLmdbVerbose(options)).store;
}

/** Like `openLmdb`, and tells what recovery found. */
export async function openLmdbVerbose(options: LmdbOptions): Promise<OpenedLmdb> {
  const directory = prepare(options.path);
  const first = firsts.get(directory);
  if (first !== undefined) return { store: joinSameThread(directory, await first, options), recovery: undefined };
  const lock = lockDirectory(directory);
  if (lock === undefined) return { store: await joinOtherThread(directory, options), recovery: undefined };
  const opening = openFirst(directory, lock, options);
  const joinable = opening.then(({ first }) => first);
  joinable.catch(() => undefined); // who waits for it is told; if nobody does, `opening` tells
  firsts.set(directory, joinable);
  try {
    const { store, recovery } = await opening;
    return { store, recovery };
  } catch (error) {
    firsts.delete(directory);
    lock.release();
    throw storeErrorFrom(error, directory);
  }
}

function prepare(path: string): string {
  try {
    mkdirSync(join(path, 'journal'), { recursive: true, mode: 0o700 });
    return realpathSync(path);
  } catch (error) {
    throw storeErrorFrom(error, path);
  }
}

async function openFirst(directory: string, lock: StoreLock, options: LmdbOptions): Promise<OpenedLmdb & { first: First }> {
  checkDataFile(join(directory, DATA_FILE));
  const env = Env.open(join(directory, DATA_FILE), false);
  const shared = new Shared();
  try {
    if (env.isEmpty) env.transaction(() => env.putJson(FORMAT_KEY, STORE_FORMAT));
    checkFormat(env);
    for (const named of [join(directory, 'journal'), directory, dirname(directory)]) syncDirectory(named);
    const applier = new Applier({
      env,
      shared,
      directory: join(directory, 'journal'),
      intervalMs: options.applyIntervalMs ?? 5000,
      rowsPerTransaction: options.applyRows ?? 2000,
      onTrouble: options.onTrouble,
      files: options.files,
    });
    const recovery = await applier.recover();
    await upgrade(env);
    applier.start();
    const channel = new FirstOpener(directory, applier, shared.buffer);
    const onWorker = (worker: Worker): void => {
      const { threadId: id } = worker;
      worker.once('exit', () => applier.endThread(id));
    };
    process.on('worker', onWorker);
    const store = makeStore(directory, env, shared, applier, options, async () => {
      process.off('worker', onWorker);
      shared.close();
      channel.close();
      await applier.stop();
      await env.close();
      firsts.delete(directory);
      lock.release();
    });
    return { store, recovery, first: { shared, link: applier } };
  } catch (error) {
    await env.close();
    throw error;
  }
}

/** What was made in it is found there after a power loss. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function joinSameThread(directory: string, { shared, link }: First, options: LmdbOptions): LmdbStore {
  const env = Env.open(join(directory, DATA_FILE), true);
  return makeStore(directory, env, shared, link, options, () => env.close());
}

async function joinOtherThread(directory: string, options: LmdbOptions): Promise<LmdbStore> {
  const holder = lockHolder(directory);
  if (holder !== undefined && holder !== process.pid) throw locked(directory, `process ${holder}`);
  const link = new LaterOpener(directory);
  const buffer = await link.attach(options.attachMs ?? 30_000);
  if (buffer === undefined) {
    link.close();
    throw locked(directory, 'another process, or by a thread that is busy or gone');
  }
  const env = Env.open(join(directory, DATA_FILE), true);
  return makeStore(directory, env, new Shared(buffer), link, options, async () => {
    link.close();
    await env.close();
  });
}

function makeStore(
  directory: string,
  env: Env,
  shared: Shared,
  link: ApplierLink,
  options: LmdbOptions,
  close: () => Promise<void>,
): LmdbStore {
  const instance = shared.tick();
  const journal = new Journal({
    directory: join(directory, 'journal'),
    name: { instance, thread: threadId },
    segmentBytes: options.segmentBytes ?? 16 * MIB,
    ...(options.files === undefined ? {} : { files: options.files }),
  });
  const committer = new Committer({
    env,
    shared,
    journal,
    instance,
    sync: options.sync ?? 'process',
    commitDelayMs: options.commitDelayMs ?? 0,
    gather: options.gather ?? setImmediate,
    syncIntervalMs: options.syncIntervalMs ?? 1000,
    maxBatchBytes: options.maxBatchBytes ?? 8 * MIB,
    maxGroupBytes: options.maxGroupBytes ?? 32 * MIB,
    maxUnappliedBytes: options.maxUnappliedBytes ?? 64 * MIB,
    wakeBytes: options.applyBytes ?? 16 * MIB,
    wake: () => link.wake(),
  });
  return new LmdbStore({ env, shared, committer, link, close });
}

function locked(directory: string, by: string): StoreError {
  return new StoreError('ERR_STORE_LOCKED', `The store at ${directory} is in use by ${by}. Stop it, or use its control socket.`);
}
