/** Exports in the pool's slow thread. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ACCOUNTS } from '../../src/core/accounts.ts';
import { ITEMS } from '../../src/modules/roster/item.ts';
import { Pool } from '../../src/server/pool.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import { Batch } from '../../src/store/store.ts';
import { LOG } from '../../src/log/entry.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { Stanza } from '../../src/xmpp/stanza.ts';

const JULIET = parseJid('juliet@capulet.lit')!;

test('a reader that leaves frees the thread for the next; one that stays gets all of it, what is not in LMDB yet included', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-export-'));
  const pool = new Pool({ threads: 1, maxQueued: 10 });
  try {
    await using store = await openLmdb({ path: directory, applyIntervalMs: 3_600_000 });
    const stanza = new Stanza({ kind: 'message', type: 'chat', from: JULIET, to: JULIET, body: `<body>${'x'.repeat(4_000)}</body>` });
    for (let from = 1; from <= 200; from += 50) {
      const batch = new Batch(JULIET.bare).put(ACCOUNTS, [], { createdAtMs: 0, isEnabled: true });
      for (let position = from; position < from + 50; position++) {
        const entry = { position, atMs: 0, direction: 'self', stanza, isArchived: true, isTombstone: false } as const;
        batch.put(LOG, [position], { ...entry, source: 0, origin: undefined, settledBelow: 0, deliveries: [] });
      }
      await store.commit(batch).promise;
    }
    for (let i = 0; i < 3; i++) {
      for await (const piece of pool.export(directory, JULIET.bare)) {
        assert.ok(piece.startsWith('<?xml'));
        break;
      }
    }
    const item = { name: 'new', groups: [], subscription: 'none', ask: false, approved: false } as const;
    await store.commit(new Batch(JULIET.bare).put(ITEMS, ['romeo@montague.lit'], item)).promise;
    let text = '';
    for await (const piece of pool.export(directory, JULIET.bare)) text += piece;
    assert.equal(text.match(/<result /g)!.length, 200);
    assert.match(text, /<item jid='romeo@montague\.lit' subscription='none' name='new'\/>/);
    await assert.rejects(pool.export(directory, 'nobody@capulet.lit').next(), { name: 'OperatorError', code: 'ERR_NO_ACCOUNT' });
  } finally {
    await pool.close();
    rmSync(directory, { recursive: true });
  }
});
