/** Backups of a server that works, and the way back. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/config.ts';
import { callControl, streamControl } from '../../src/control/client.ts';
import { controlPath } from '../../src/control/protocol.ts';
import { ACCOUNTS } from '../../src/core/accounts.ts';
import { SESSIONS, type SessionRow } from '../../src/core/session-rows.ts';
import { ITEMS } from '../../src/modules/roster/item.ts';
import { backUp } from '../../src/server/backup.ts';
import { dataTools } from '../../src/server/data-tools.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { STORE_FORMAT } from '../../src/store/lmdb/env.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import { Batch, type Store } from '../../src/store/store.ts';
import { createAccounts, logIn, run } from './whole-server.ts';

class Place implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'rookery-backup-'));

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  config(name: string): Config {
    return loadConfig({
      env: {},
      modules: moduleSchemas(),
      values: { dataDir: this.path(name), domains: ['localhost'], accounts: { scramIterations: 4_096 } },
    }).config;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

async function putAccounts(store: Store, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const bare = `user${i}@localhost`;
    const item = { name: '', groups: [], subscription: 'none', ask: false, approved: false } as const;
    const batch = new Batch(bare).put(ACCOUNTS, [], { createdAtMs: i, isEnabled: true }).put(ITEMS, ['romeo@montague.lit'], item);
    await store.commit(batch).promise;
  }
}

/** A data directory with accounts, a secret and a certificate; and a backup of it. */
async function makeBackup(place: Place, accounts = 3): Promise<string> {
  const store = await openLmdb({ path: place.path('data', 'store') });
  await putAccounts(store, accounts);
  writeFileSync(place.path('data', 'secret'), Buffer.alloc(32, 7), { mode: 0o600 });
  mkdirSync(place.path('data', 'certificates'));
  writeFileSync(place.path('data', 'certificates', 'self-signed.crt'), 'certificate');
  writeFileSync(place.path('data', 'certificates', 'self-signed.key'), 'key', { mode: 0o600 });
  await backUp({ store, dataDir: place.path('data'), directory: place.path('backup') });
  await store.close();
  return place.path('backup');
}

async function accountsIn(path: string): Promise<string[]> {
  await using store = await openLmdb({ path });
  return await store.partitions(ACCOUNTS);
}

test('a backup while threads write is a state that was: of each account a beginning of what was committed, with all that had settled', async () => {
  using place = new Place();
  await using store = await openLmdb({ path: place.path('data', 'store'), applyIntervalMs: 50 });
  const progress = new Int32Array(new SharedArrayBuffer(12));
  const writers = [0, 1].map(
    (index) =>
      new Worker(new URL('./backup-writer.ts', import.meta.url), { workerData: { path: place.path('data', 'store'), progress, index } }),
  );
  const ends = writers.map((writer) => new Promise((resolve) => writer.once('exit', resolve)));
  while (Atomics.load(progress, 0) < 200 || Atomics.load(progress, 1) < 200) await new Promise((resolve) => setImmediate(resolve));
  const settled = [Atomics.load(progress, 0), Atomics.load(progress, 1)];
  const report = await backUp({ store, dataDir: place.path('data'), directory: place.path('backup') });
  const after = [Atomics.load(progress, 0), Atomics.load(progress, 1)];
  Atomics.store(progress, 2, 1);
  await Promise.all(ends);
  assert.ok(
    after.some((count, i) => count > settled[i]!),
    'nothing was written meanwhile',
  );
  assert.equal(report.accounts, 2);
  await using copy = await openLmdb({ path: place.path('backup', 'store') });
  for (const index of [0, 1]) {
    const bare = `writer${index}@localhost`;
    // Each commit writes the row of its number and, with it, the number itself.
    const rows = await copy.list(ITEMS, bare);
    const { createdAtMs: last } = (await copy.get(ACCOUNTS, bare, []))!;
    assert.deepEqual(
      rows.map(({ key }) => key[0]),
      Array.from({ length: last }, (_, i) => i + 1),
    );
    assert.ok(last >= settled[index]!, `${last} of at least ${settled[index]} that had settled`);
  }
});

test('a backup has everything of an installation, for its owner only, and a manifest that says what', async () => {
  using place = new Place();
  const directory = await makeBackup(place);
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(directory, name)).isFile());
  assert.deepEqual(files.sort(), [
    'certificates/self-signed.crt',
    'certificates/self-signed.key',
    'manifest.json',
    'secret',
    'store/store.mdb',
  ]);
  assert.equal(statSync(directory).mode & 0o077, 0);
  for (const name of ['manifest.json', 'secret', 'store/store.mdb']) assert.equal(statSync(join(directory, name)).mode & 0o077, 0, name);
  const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'));
  assert.deepEqual(
    [manifest.format, manifest.accounts, manifest.rows, manifest.schema.store, manifest.schema.tables.roster_item],
    [1, 3, 6, STORE_FORMAT, 1],
  );
  assert.deepEqual(
    manifest.files.map(({ path }: { path: string }) => path).sort(),
    files.filter((name) => name !== 'manifest.json'),
  );
});

test('a directory with anything in it is not backed up into', async () => {
  using place = new Place();
  const directory = await makeBackup(place);
  const config = place.config('data');
  const before = readFileSync(join(directory, 'manifest.json'), 'utf8');
  await assert.rejects(dataTools.backUp(config, directory), { code: 'ERR_STORE_BACKUP' });
  assert.equal(readFileSync(join(directory, 'manifest.json'), 'utf8'), before);
  mkdirSync(place.path('empty'));
  assert.equal((await dataTools.backUp(config, place.path('empty'))).accounts, 3);
  await assert.rejects(dataTools.backUp(place.config('nothing'), place.path('other')), { code: 'ERR_NO_STORE' });
  assert.equal(existsSync(place.path('other')), false);
});

test('restore: into a new data directory, or with --replace in place of what is there, which is kept', async () => {
  using place = new Place();
  const directory = await makeBackup(place);
  const report = await dataTools.restore(place.config('fresh'), directory, false);
  assert.deepEqual([report.accounts, report.replaced, report.unknown], [3, undefined, {}]);
  assert.deepEqual(readdirSync(place.path('fresh')).sort(), ['certificates', 'control.sock.lock', 'secret', 'store']);
  assert.deepEqual(readFileSync(place.path('fresh', 'secret')), Buffer.alloc(32, 7));
  assert.deepEqual(await accountsIn(place.path('fresh', 'store')), ['user0@localhost', 'user1@localhost', 'user2@localhost']);

  {
    await using store = await openLmdb({ path: place.path('fresh', 'store') });
    await store.erase('user1@localhost').promise;
  }
  await assert.rejects(dataTools.restore(place.config('fresh'), directory, false), { code: 'ERR_RESTORE_EXISTS' });
  assert.equal((await accountsIn(place.path('fresh', 'store'))).length, 2);
  const { replaced } = await dataTools.restore(place.config('fresh'), directory, true);
  assert.equal((await accountsIn(place.path('fresh', 'store'))).length, 3);
  assert.deepEqual(readdirSync(replaced!).sort(), ['certificates', 'secret', 'store']);
  assert.equal((await accountsIn(join(replaced!, 'store'))).length, 2);
});

test('restore: nobody can resume a session as it was then, yet the session is there with what its client had not acknowledged', async () => {
  using place = new Place();
  const items = [[1, 7, 'plain', 0, 0]] as const;
  const session = { token: 'known to its client', resource: 'balcony', maxMs: 300_000, items } as unknown as SessionRow;
  {
    await using store = await openLmdb({ path: place.path('data', 'store') });
    await putAccounts(store, 1);
    await store.commit(new Batch('user0@localhost').put(SESSIONS, [1], session).put(SESSIONS, [2], session)).promise;
    await backUp({ store, dataDir: place.path('data'), directory: place.path('backup') });
  }
  await dataTools.restore(place.config('fresh'), place.path('backup'), false);
  await using store = await openLmdb({ path: place.path('fresh', 'store') });
  const rows = (await store.list(SESSIONS, 'user0@localhost')).map(({ value }) => value);
  assert.equal(new Set([...rows.map(({ token }) => token), session.token]).size, 3);
  for (const row of rows) assert.deepEqual({ ...row, token: session.token }, session);
});

test('restore: one byte that differs, a file or the manifest that is missing, a newer release; nothing is changed by any', async () => {
  using place = new Place();
  const good = await makeBackup(place);
  const config = place.config('data');
  const damage = (change: (directory: string) => void): string => {
    rmSync(place.path('bad'), { recursive: true, force: true });
    cpSync(good, place.path('bad'), { recursive: true });
    change(place.path('bad'));
    return place.path('bad');
  };
  const edit = (change: (manifest: Record<string, never>) => void) => (directory: string) => {
    const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'));
    change(manifest);
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest));
  };
  const flip = (name: string, at: number) => (directory: string) => {
    const bytes = readFileSync(join(directory, name));
    bytes[at] = bytes[at]! ^ 1;
    writeFileSync(join(directory, name), bytes);
  };
  const { size } = statSync(join(good, 'store', 'store.mdb'));
  for (const [code, change] of [
    ['ERR_BACKUP_DAMAGED', flip('store/store.mdb', size - 100)],
    ['ERR_BACKUP_DAMAGED', flip('store/store.mdb', 20)],
    ['ERR_BACKUP_DAMAGED', flip('secret', 3)],
    ['ERR_BACKUP_DAMAGED', (directory) => rmSync(join(directory, 'store', 'store.mdb'))],
    ['ERR_BACKUP_DAMAGED', edit((manifest) => Object.assign(manifest, { accounts: 4 }))],
    ['ERR_BACKUP_MANIFEST', (directory) => rmSync(join(directory, 'manifest.json'))],
    ['ERR_BACKUP_MANIFEST', (directory) => writeFileSync(join(directory, 'manifest.json'), '{')],
    ['ERR_BACKUP_MANIFEST', edit((manifest) => Object.assign(manifest, { format: 2 }))],
    ['ERR_BACKUP_MANIFEST', edit((manifest) => Object.assign(manifest['schema']!, { store: 99 }))],
    ['ERR_BACKUP_MANIFEST', edit((manifest) => Object.assign(manifest['schema']!['tables'], { roster_item: 99 }))],
    ['ERR_BACKUP_MANIFEST', edit((manifest) => Object.assign(manifest['files']![1]!, { path: '../../secret' }))],
    ['ERR_BACKUP_MANIFEST', (directory) => rmSync(directory, { recursive: true })],
  ] as [string, (directory: string) => void][]) {
    await assert.rejects(dataTools.restore(config, damage(change), true), { code });
    assert.deepEqual(readdirSync(place.path('data')).sort(), ['certificates', 'control.sock.lock', 'secret', 'store']);
  }
  assert.equal((await accountsIn(place.path('data', 'store'))).length, 3);
});

test('restore: a row that its table cannot read is found though the file is what was backed up', async () => {
  using place = new Place();
  {
    await using store = await openLmdb({ path: place.path('data', 'store') });
    const broken = { name: ITEMS.name, version: 1, encode: () => Buffer.from([0xff]), decode: () => undefined };
    await store.commit(new Batch('user@localhost').put(broken, ['romeo@montague.lit'], undefined)).promise;
    await assert.rejects(backUp({ store, dataDir: place.path('data'), directory: place.path('backup') }), { code: 'ERR_STORE_DECODE' });
    assert.equal(existsSync(place.path('backup')), false);
    const elsewhere = async () => ({ bytes: 0, sha256: '', accounts: 0, rows: 0, unknown: {} });
    await backUp({ store, dataDir: place.path('data'), directory: place.path('backup'), inspect: elsewhere });
  }
  const { checksum } = await import('../../src/server/inspect-store.ts');
  const path = place.path('backup', 'manifest.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8'));
  Object.assign(manifest.files[0], await checksum(place.path('backup', 'store', 'store.mdb')));
  writeFileSync(path, JSON.stringify(manifest));
  await assert.rejects(dataTools.restore(place.config('fresh'), place.path('backup'), false), {
    code: 'ERR_STORE_DECODE',
    message: /user@localhost/,
  });
  assert.equal(existsSync(place.path('fresh', 'store')), false);
});

test('a running server: backup and export over its control socket; what needs it stopped is refused', async () => {
  using place = new Place();
  await using running = await run();
  await createAccounts(running.server, ['juliet', 'romeo']);
  const juliet = await logIn(running.server, 'juliet', 'balcony');
  await juliet.ask(
    "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost' name='Nurse'/></query></iq>",
    /<iq [^>]*id='r'/,
  );
  const path = controlPath(running.dataDir);
  const report = await callControl(path, 'backup', { directory: place.path('backup') });
  assert.equal(report.accounts, 2);
  assert.equal(report.bytes > 0 && report.durationMs > 0, true);
  await assert.rejects(callControl(path, 'backup', { directory: place.path('backup') }), { code: 'ERR_STORE_BACKUP' });
  await assert.rejects(callControl(path, 'backup', { directory: 'relative' }), { code: 'ERR_COMMAND_ARGUMENTS' });

  const exported = async (address: string): Promise<string> => {
    let text = '';
    for await (const piece of streamControl(path, 'export', { address }, new AbortController().signal)) text += piece.text;
    return text;
  };
  const document = await exported('juliet@localhost');
  assert.match(document, /<item jid='nurse@localhost' subscription='none' name='Nurse'\/>/);
  assert.ok(document.endsWith('</server-data>\n'));
  await assert.rejects(exported('nobody@localhost'), { code: 'ERR_NO_ACCOUNT' });
  await assert.rejects(exported('juliet@elsewhere'), { code: 'ERR_HOST_UNKNOWN' });

  const config = { ...place.config('data'), dataDir: running.dataDir };
  await assert.rejects(dataTools.restore(config, place.path('backup'), true), { code: 'ERR_CONTROL_IN_USE' });
  await assert.rejects(dataTools.importAccounts(config, { file: place.path('x'), domain: undefined, isOverwriting: true }), {
    code: 'ERR_CONTROL_IN_USE',
  });
  await assert.rejects(dataTools.backUp(config, place.path('other')), { code: 'ERR_CONTROL_IN_USE' });

  await dataTools.restore(place.config('fresh'), place.path('backup'), false);
  await using again = await run({}, place.path('fresh'));
  const back = await logIn(again.server, 'juliet', 'balcony');
  await back.ask("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>", /nurse@localhost/);
  juliet.close();
  back.close();
});
