/** `bench/fill.ts`: a server finds in its store what one has written. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ACCOUNTS } from '../../src/core/accounts.ts';
import { AccountLog, loadLog } from '../../src/log/log.ts';
import { LOG } from '../../src/log/entry.ts';
import { storePath } from '../../src/server/open-store.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';

test('accounts and archives, closed in segments', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'rookery-fill-'));
  try {
    const main = fileURLToPath(new URL('../../bench/fill.ts', import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [main, '--data-dir', dataDir, '--accounts', '20', '--entries', '6000'], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    await using store = await openLmdb({ path: storePath({ dataDir }) });
    assert.equal((await store.partitions(ACCOUNTS)).length, 20);
    const bare = 'load7@localhost';
    const log = new AccountLog(await loadLog(store, bare));
    assert.deepEqual([log.next, log.archived], [301, 300]);
    const entries = await store.list(LOG, bare);
    assert.equal(entries.length, 300);
    for (const { value } of entries) assert.equal((value.direction === 'out' ? value.stanza.from : value.stanza.to).bare, bare);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
