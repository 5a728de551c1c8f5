import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { binaryTable, jsonTable } from '../../src/store/codec.ts';
import { DATA_FILE } from '../../src/store/lmdb/backup.ts';
import { isBlock } from '../../src/store/lmdb/blocks.ts';
import { AFTER_PARTITIONS, Env, FORMAT_KEY, PARTITION_KEYS, STORE_FORMAT } from '../../src/store/lmdb/env.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import { packSuffix, rowHeader } from '../../src/store/row.ts';
import { Batch, type Key, type TableName } from '../../src/store/store.ts';
import { packKey } from '../../src/store/tuple.ts';

const directory = mkdtempSync(join(tmpdir(), 'rookery-upgrade-'));
after(() => rmSync(directory, { recursive: true, force: true }));

/** The run of format 1; what its rows say is of no matter here. */
const log = binaryTable<string>({
  name: 'log',
  version: 1,
  isRun: true,
  write: (row, text) => void row.text(text),
  read: (row) => row.rest(),
});
const pending = jsonTable<{ bytes: number }>({ name: 'pending', version: 1, isRun: true });
const peers = jsonTable<number[]>({ name: 'log_peer', version: 1 });
const OWNERS = ['juliet@capulet.lit', 'log', 'romeo@montague.lit'];

function put(env: Env, partition: string, table: TableName, key: Key, text: string): void {
  const row = Buffer.alloc(1 + text.length, rowHeader(1, undefined) + text, 'latin1');
  env.putSlice(packKey([partition]) + packSuffix(table, key), { chunk: row, start: 0, end: row.length });
}

test('a store of format 1 is brought to blocks when it is opened, whatever is missing between its rows', async () => {
  const path = join(directory, 'store');
  await (await openLmdb({ path })).close();
  const old = Env.open(join(path, DATA_FILE), false);
  // More than are read at a time, so that a block lies across the end of a reading.
  const positions = Array.from({ length: 2_300 }, (_, i) => i + 5).filter((position) => position % 7 !== 0);
  old.transaction(() => {
    old.putJson(FORMAT_KEY, 1);
    for (const owner of OWNERS) {
      for (const position of positions) put(old, owner, log, [position], `${owner} ${position}`);
      put(old, owner, peers, ['log', 5], '[5,6]'); // ends like a row of the log, and is none
      for (const position of [7, 9, 40]) put(old, owner, pending, [position], `{"bytes":${position}}`);
    }
  });
  await old.close();

  const store = await openLmdb({ path });
  for (const owner of OWNERS) {
    const rows = await store.list(log, owner);
    assert.deepEqual(
      rows.map(({ key }) => key[0]),
      positions,
    );
    assert.ok(rows.every(({ key, value }) => value === `${owner} ${key[0]}`));
    assert.equal(await store.get(log, owner, [positions[1_000]!]), `${owner} ${positions[1_000]}`);
    assert.deepEqual(await store.get(peers, owner, ['log', 5]), [5, 6]);
    assert.deepEqual(
      (await store.list(pending, owner)).map(({ key, value }) => [key[0], value.bytes]),
      [7, 9, 40].map((position) => [position, position]),
    );
  }
  await store.close();

  const env = Env.open(join(path, DATA_FILE), true);
  assert.equal(env.getJson(FORMAT_KEY), STORE_FORMAT);
  const stored = [...env.rows(PARTITION_KEYS, AFTER_PARTITIONS, false, Infinity)];
  assert.equal(stored.filter(({ value }) => isBlock(value)).length, OWNERS.length * (Math.ceil((positions.at(-1)! + 1) / 16) + 2));
  assert.equal(stored.filter(({ value }) => !isBlock(value)).length, OWNERS.length);
  await env.close();
});

test('a store of format 2 has runs already, and gets those that are new', async () => {
  const path = join(directory, 'second');
  const store = await openLmdb({ path });
  const owner = OWNERS[0]!;
  const positions = Array.from({ length: 40 }, (_, i) => i + 1);
  for (const position of positions) await store.commit(new Batch(owner).put(log, [position], `entry ${position}`)).promise;
  await store.close();
  const old = Env.open(join(path, DATA_FILE), false);
  old.transaction(() => {
    old.putJson(FORMAT_KEY, 2);
    for (const position of positions) put(old, owner, pending, [position], `{"bytes":${position}}`);
  });
  await old.close();

  const again = await openLmdb({ path });
  assert.deepEqual(
    (await again.list(log, owner)).map(({ value }) => value),
    positions.map((position) => `entry ${position}`),
  );
  assert.deepEqual(
    (await again.list(pending, owner)).map(({ value }) => value.bytes),
    positions,
  );
  await again.close();
});
