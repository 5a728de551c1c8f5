/**
 * Backups of a whole installation, and the way back.
 *
 *     DIRECTORY/manifest.json         what is here, written last: without it a backup is none
 *               store/store.mdb       the store as of one moment
 *               secret                what made-up salts come from
 *               certificates/…        the self-signed certificate and its key, which clients may have pinned
 *
 * What lies elsewhere is not in it: the configuration file, certificates that it names, the environment.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { VERSION } from '../build/version.ts';
import { SESSIONS } from '../core/session-rows.ts';
import { OperatorError } from '../kernel/errors.ts';
import { StoreError, storeErrorFrom } from '../store/errors.ts';
import { DATA_FILE } from '../store/lmdb/backup.ts';
import { STORE_FORMAT } from '../store/lmdb/env.ts';
import { openLmdb } from '../store/lmdb/open.ts';
import { Batch, type Store } from '../store/store.ts';
import { checksum, inspectDataFile, knownTables, type Inspection } from './inspect-store.ts';

const MANIFEST = 'manifest.json';
/** Raised when a release writes backups that older ones would misread. */
const MANIFEST_FORMAT = 1;
/** Of what a client resumes a session by. */
const TOKEN_BYTES = 24;
const PARTITIONS_AT_ONCE = 100;
const STORE_FILE = join('store', DATA_FILE);
/** What a backup may hold: nothing in a manifest leads elsewhere. */
const FILE_NAME = /^(?:store\/store\.mdb|secret|certificates\/[A-Za-z0-9][A-Za-z0-9._-]{0,100})$/;

const manifestSchema = z.object({
  format: z.int().min(1),
  /** Of Rookery. */
  version: z.string().max(100),
  schema: z.object({ store: z.int(), tables: z.record(z.string(), z.int()) }),
  createdAt: z.iso.datetime(),
  accounts: z.int().min(0),
  rows: z.int().min(0),
  files: z.array(z.object({ path: z.string().regex(FILE_NAME), bytes: z.int().min(0), sha256: z.hex().length(64) })).min(1),
});
type Manifest = z.infer<typeof manifestSchema>;

export interface BackupReport {
  readonly directory: string;
  readonly accounts: number;
  /** Of all files. */
  readonly bytes: number;
  readonly durationMs: number;
}

export interface BackupOptions {
  readonly store: Store;
  readonly dataDir: string;
  /** New or empty. */
  readonly directory: string;
  /** Reads the copy: elsewhere, where this thread has other things to do. */
  readonly inspect?: (path: string) => Promise<Inspection>;
}

/**
 * Backs up while others write: the copy is of one moment, all that was settled before is in it.
 *
 * @throws StoreError ERR_STORE_BACKUP where the directory is not empty, ERR_STORE_FULL, …; nothing is left behind then.
 */
export async function backUp({ store, dataDir, directory, inspect = inspectDataFile }: BackupOptions): Promise<BackupReport> {
  const startedMs = performance.now();
  const isNew = claim(directory);
  try {
    const parts = ['secret', ...certificatesIn(dataDir)].filter((path) => existsSync(join(dataDir, path)));
    await store.backup(join(directory, dirname(STORE_FILE)));
    chmodSync(join(directory, STORE_FILE), 0o600); // LMDB leaves that of a copy to the umask
    const inspection = await inspect(join(directory, STORE_FILE));
    const files = [{ path: STORE_FILE, bytes: inspection.bytes, sha256: inspection.sha256 }];
    for (const path of parts) {
      copyPrivately(join(dataDir, path), join(directory, path));
      files.push({ path, ...(await checksum(join(directory, path))) });
    }
    const { accounts, rows } = inspection;
    const tables = Object.fromEntries([...knownTables().values()].map(({ name, version }) => [name, version]));
    const schema = { store: STORE_FORMAT, tables };
    const manifest: Manifest = {
      format: MANIFEST_FORMAT,
      version: VERSION,
      schema,
      createdAt: new Date().toISOString(),
      accounts,
      rows,
      files,
    };
    writeFileSync(join(directory, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true });
    syncDirectory(directory);
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    return { directory, accounts, bytes, durationMs: performance.now() - startedMs };
  } catch (error) {
    if (isNew) rmSync(directory, { recursive: true, force: true });
    else for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true, force: true });
    throw isSystemError(error) ? storeErrorFrom(error, directory) : error;
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'errno' in error;
}

/** Whether it was made; it is empty now. */
function claim(directory: string): boolean {
  try {
    const isNew = mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined;
    if (readdirSync(directory).length === 0) return isNew;
  } catch (error) {
    throw storeErrorFrom(error, directory);
  }
  throw new StoreError('ERR_STORE_BACKUP', `The directory ${directory} is not empty. Name a new one for each backup.`);
}

function certificatesIn(dataDir: string): string[] {
  const directory = join(dataDir, 'certificates');
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .map((name) => `certificates/${name}`)
    .filter((path) => FILE_NAME.test(path) && statSync(join(dataDir, path)).isFile());
}

export interface RestoreOptions {
  readonly dataDir: string;
  readonly directory: string;
  /** What is there is moved aside. */
  readonly isReplacing: boolean;
}

export interface RestoreReport {
  readonly accounts: number;
  readonly bytes: number;
  /** Of the backup. */
  readonly createdAt: string;
  readonly version: string;
  /** Where what was there is now. */
  readonly replaced: string | undefined;
  /** Rows of tables this release does not know, by table. They are kept. */
  readonly unknown: Readonly<Record<string, number>>;
}

/**
 * Puts a backup in place of a data directory's contents, after everything in it was checked. The caller holds the lock on
 * the data directory. A crash in between leaves the old store where it is, or moved aside; never half of either.
 *
 * @throws OperatorError ERR_BACKUP_MANIFEST, ERR_BACKUP_DAMAGED or ERR_RESTORE_EXISTS; StoreError, as `inspectDataFile`. Nothing has changed then.
 */
export async function restore({ dataDir, directory, isReplacing }: RestoreOptions): Promise<RestoreReport> {
  const manifest = readManifest(directory);
  if (!isReplacing && existsSync(join(dataDir, 'store'))) {
    throw new OperatorError(
      'ERR_RESTORE_EXISTS',
      `There is a store in ${dataDir} already. Nothing was changed; --replace moves it aside first.`,
    );
  }
  const staging = inDataDir(dataDir, () => mkdtempSync(join(dataDir, 'restoring-')));
  try {
    for (const file of manifest.files) await copyChecked(file, directory, staging);
    const { accounts, unknown } = await inspectDataFile(join(staging, STORE_FILE));
    if (accounts !== manifest.accounts) throw damaged(directory, `it has ${accounts} accounts instead of ${manifest.accounts}`);
    await withoutResumption(join(staging, dirname(STORE_FILE)));
    const replaced = inDataDir(dataDir, () => swap(dataDir, staging));
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
    const { createdAt, version } = manifest;
    return { accounts, bytes, createdAt, version, replaced, unknown };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

function inDataDir<T>(dataDir: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storeErrorFrom(error, dataDir);
  }
}

/**
 * Clients have gone on since the backup was made, so none may resume a session as it was then: both sides would count differently.
 * The sessions themselves stay, and end as those do that nobody resumes: what their clients had not acknowledged is delivered again.
 */
async function withoutResumption(path: string): Promise<void> {
  await using store = await openLmdb({ path });
  for (let after: string | undefined; ;) {
    const partitions = await store.partitions(SESSIONS, after, PARTITIONS_AT_ONCE);
    for (const partition of partitions) {
      const batch = new Batch(partition);
      for (const { key, value } of await store.list(SESSIONS, partition))
        batch.put(SESSIONS, key, { ...value, token: randomBytes(TOKEN_BYTES).toString('base64url') });
      await store.commit(batch).promise;
    }
    if (partitions.length < PARTITIONS_AT_ONCE) return;
    after = partitions.at(-1);
  }
}

function readManifest(directory: string): Manifest {
  const path = join(directory, MANIFEST);
  const bad = (why: string): OperatorError =>
    new OperatorError('ERR_BACKUP_MANIFEST', `${directory} is no backup that can be restored: ${why}. Nothing was changed.`);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw bad(
      error instanceof SyntaxError ? `${MANIFEST} is not JSON` : `${MANIFEST} cannot be read (${(error as NodeJS.ErrnoException).code})`,
    );
  }
  const format = z.object({ format: z.number(), version: z.string() }).safeParse(json);
  if (format.success && format.data.format > MANIFEST_FORMAT) throw bad(`it was made by a newer release, ${format.data.version}`);
  const manifest = manifestSchema.safeParse(json);
  if (!manifest.success) throw bad(`${MANIFEST} is not what this release writes`);
  const { schema, version, files } = manifest.data;
  if (schema.store > STORE_FORMAT) throw bad(`its store was written by a newer release, ${version}`);
  const newer = [...knownTables().values()].find((table) => (schema.tables[table.name] ?? 0) > table.version);
  if (newer !== undefined) throw bad(`its table ${newer.name} was written by a newer release, ${version}`);
  if (!files.some((file) => file.path === STORE_FILE)) throw bad('it has no store');
  return manifest.data;
}

async function copyChecked({ path, bytes, sha256 }: Manifest['files'][number], from: string, to: string): Promise<void> {
  try {
    copyPrivately(join(from, path), join(to, path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw damaged(from, `${path} is missing`);
    throw storeErrorFrom(error, to);
  }
  const found = await checksum(join(to, path));
  if (found.bytes !== bytes || found.sha256 !== sha256) throw damaged(from, `${path} is not what was backed up`);
}

function damaged(directory: string, what: string): OperatorError {
  return new OperatorError(
    'ERR_BACKUP_DAMAGED',
    `The backup in ${directory} is damaged: ${what}. Nothing was changed; use another backup.`,
  );
}

/** Moves aside what is in the way, then the new parts into place: the store last, for without one there is no server to start wrongly. */
function swap(dataDir: string, staging: string): string | undefined {
  const parts = ['certificates', 'secret', 'store'].filter((name) => existsSync(join(staging, name)));
  const inTheWay = parts.filter((name) => existsSync(join(dataDir, name)));
  const aside =
    inTheWay.length === 0 ? undefined : mkdtempSync(join(dataDir, `replaced-${new Date().toISOString().replace(/[-:]|\.\d+/g, '')}-`));
  for (const name of inTheWay) renameSync(join(dataDir, name), join(aside!, name));
  for (const name of parts) renameSync(join(staging, name), join(dataDir, name));
  syncDirectory(dataDir);
  return aside;
}

function copyPrivately(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
  copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  const file = openSync(to, 'r+');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncDirectory(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
