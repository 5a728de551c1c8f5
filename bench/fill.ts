/**
 * Accounts and messages in a store that no server has open, as years of use would leave them: what a server makes of a
 * large store can then be compared with what it makes of an empty one.
 *
 *   npm run bench:fill -- --data-dir DIR [--domain localhost] [--accounts 100000] [--entries 10000000]
 *
 * The accounts are `load0`, `load1`, …, with the password of the load generator (`--registered N` tells it that they are
 * there). Each has the same number of archived messages, in and out in turn, with ten correspondents. About a minute per million entries.
 */
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ACCOUNTS, CREDENTIALS } from '../src/core/accounts.ts';
import type { LogEntry } from '../src/log/entry.ts';
import { AccountLog } from '../src/log/log.ts';
import { derive } from '../src/pool.ts';
import { storePath } from '../src/server/open-store.ts';
import { openLmdb } from '../src/store/lmdb/open.ts';
import { Batch } from '../src/store/store.ts';
import { makeJid, type Jid } from '../src/xmpp/jid.ts';
import { opaqueString } from '../src/xmpp/precis.ts';
import { Stanza } from '../src/xmpp/stanza.ts';
import { PASSWORD } from './load/bench.ts';

const CORRESPONDENTS = 10;
const BODY = 'x'.repeat(100);
/** Between two messages of an account, so that its archive spans months. */
const STEP_MS = 6 * 3_600_000;
/** Commits under way: more would only fill the memory. */
const BATCHES = 64;

const { values } = parseArgs({
  options: {
    'data-dir': { type: 'string' },
    domain: { type: 'string', default: 'localhost' },
    accounts: { type: 'string', default: '100000' },
    entries: { type: 'string', default: '10000000' },
  },
});
const { domain, 'data-dir': dataDir } = values;
if (dataDir === undefined) throw new Error('--data-dir is wanted: a directory for ROOKERY_DATA_DIR');
const accounts = Number(values.accounts);
const perAccount = Math.ceil(Number(values.entries) / accounts);
const scram = derive({ password: opaqueString(PASSWORD)!, iterations: 4_096 });
const startMs = Date.now() - perAccount * STEP_MS;

function jid(index: number): Jid {
  return makeJid(`load${(index + accounts) % accounts}`, domain, 'bench')!;
}

function fill(index: number): Batch {
  const own = jid(index);
  const batch = new Batch(own.bare);
  batch.put(ACCOUNTS, [], { createdAtMs: startMs, isEnabled: true });
  for (const record of scram) batch.put(CREDENTIALS, [record.hash], record);
  const log = new AccountLog({ state: undefined, tail: [] });
  for (let n = 0; n < perAccount; n++) {
    const peer = jid(index ^ (1 + (n % CORRESPONDENTS)));
    const isOut = n % 2 === 0;
    const entry: LogEntry = {
      position: log.next,
      atMs: startMs + n * STEP_MS,
      direction: isOut ? 'out' : 'in',
      stanza: new Stanza({
        kind: 'message',
        type: 'chat',
        from: isOut ? own : peer,
        to: isOut ? peer : own,
        id: `m${n}`,
        body: `<body>${BODY}</body>`,
        children: [{ name: 'body', ns: 'jabber:client' }],
      }),
      isArchived: true,
      isTombstone: false,
      source: isOut ? 0 : n + 1,
      origin: undefined,
      settledBelow: log.next,
      deliveries: [],
    };
    if (log.append(entry, batch)) log.closeSegment(batch, log.next);
  }
  log.closeSegment(batch, log.next);
  return batch;
}

mkdirSync(dataDir, { recursive: true, mode: 0o700 });
await using store = await openLmdb({ path: storePath({ dataDir }) });
for (let index = 0; index < accounts;) {
  const commits: Promise<void>[] = [];
  for (; index < accounts && commits.length < BATCHES; index++) commits.push(store.commit(fill(index)).promise);
  await Promise.all(commits);
  if (process.stderr.isTTY) process.stderr.write(`\r${index} accounts, ${index * perAccount} entries`);
}
console.log(`${accounts} accounts with ${accounts * perAccount} entries in ${dataDir}`);
