/**
 * The log of one account on disk: writing it, and pages of its archive at both ends and in the middle.
 *
 *   node bench/micro/log.ts [--json] [--entries=1000000]
 *
 * Nine in ten messages are of one correspondent, one in a thousand of another, the rest of fifty. Times of pages of 50 are
 * medians; `search` is per message looked into, on the worker and in the thread that matches.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { LogEntry } from '../../src/log/entry.ts';
import { AccountLog, loadLog } from '../../src/log/log.ts';
import { findPage, viewOf, type ArchivePage, type ArchiveQuery } from '../../src/log/reader.ts';
import { siftRows } from '../../src/log/sift.ts';
import { applyTrim, planTrim } from '../../src/log/trim.ts';
import { wordsOf } from '../../src/log/words.ts';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import { Batch } from '../../src/store/store.ts';
import { parseJid, type Jid } from '../../src/xmpp/jid.ts';
import { Stanza } from '../../src/xmpp/stanza.ts';
import { report } from './results.ts';

const OWNER = 'juliet@capulet.lit';
const RUNS = 200;
const PAGE = 50;

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false }, entries: { type: 'string', default: '1000000' } } });
const count = Number(values.entries);
const path = mkdtempSync(join(tmpdir(), 'rookery-log-'));
const store = await openLmdb({ path });
const results: Record<string, number> = {};

const own = parseJid(`${OWNER}/balcony`)!;
const frequent = parseJid('romeo@montague.lit/orchard')!;
const rare = parseJid('nurse@capulet.lit/kitchen')!;
const others = Array.from({ length: 50 }, (_, i) => parseJid(`guest${i}@capulet.lit/hall`)!);
const peerOf = (i: number): Jid => (i % 1_000 === 7 ? rare : i % 10 === 3 ? others[((i / 10) % 50) | 0]! : frequent);

/** 300 bytes as a stanza counts itself. */
function entryAt(log: AccountLog, i: number): LogEntry {
  const isOut = i % 2 === 1;
  const peer = peerOf(i);
  const body = `<body>Message ${i} of many, which says what messages say: not much, but at some length, so that it is about as long as others are.</body>`;
  const stanza = new Stanza({
    kind: 'message',
    type: 'chat',
    id: `m${i}`,
    from: isOut ? own : peer,
    to: isOut ? peer.toBare() : own,
    body,
    children: [{ name: 'body', ns: 'jabber:client' }],
  });
  return {
    position: log.next,
    atMs: 1_700_000_000_000 + i * 10_000,
    direction: isOut ? 'out' : 'in',
    stanza,
    isArchived: true,
    isTombstone: false,
    source: 0,
    origin: undefined,
    settledBelow: 0,
    deliveries: [],
  };
}

const log = new AccountLog({ state: undefined, tail: [] });
const started = performance.now();
let appendMs = 0;
for (let i = 0; i < count;) {
  let last;
  for (const until = Math.min(count, i + 10_000); i < until; i++) {
    const entry = entryAt(log, i);
    const before = performance.now();
    const batch = new Batch(OWNER);
    if (log.append(entry, batch)) log.closeSegment(batch, log.next);
    last = store.commit(batch);
    appendMs += performance.now() - before;
  }
  await last!.promise;
}
results['append and commit, us'] = (appendMs * 1_000) / count;
results['append, settled, us'] = ((performance.now() - started) * 1_000) / count;
await store.partitions({ name: 'log_state', version: 1 }); // everything is in LMDB now

type Wanted = Omit<ArchiveQuery, 'page'> & { readonly page?: Partial<ArchiveQuery['page']> };

const ask = (wanted: Wanted): ReturnType<typeof findPage> =>
  findPage(viewOf(store, OWNER, log, wanted.with?.bare), { ...wanted, page: { max: PAGE, maxBytes: 1e9, isLast: false, ...wanted.page } });

async function time(what: string, wanted: Wanted, runs = RUNS): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    const page = (await ask(wanted)) as ArchivePage;
    times.push(performance.now() - start);
    if (typeof page === 'string') throw new Error(`${what}: ${String(page)}`);
  }
  results[`${what}, ms`] = times.toSorted((a, b) => a - b)[runs >> 1]!;
}

const entryLike = (position: number) => ({ position, atMs: 1_700_000_000_000 + (position - 1) * 10_000 });
const IDS = 100_000;
const naming = performance.now();
let named = '';
for (let i = 0; i < IDS; i++) named = log.ids.of(entryLike(i));
results['id of an entry, us'] = ((performance.now() - naming) * 1_000) / IDS;
const finding = performance.now();
for (let i = 0; i < IDS; i++) if (log.ids.parse(named) === undefined) throw new Error('an id of this log is none');
results['place of an id, us'] = ((performance.now() - finding) * 1_000) / IDS;

const idAt = (position: number): string => log.ids.of(entryLike(position));
const middle = count >> 1;
const middleMs = entryLike(middle).atMs;

await time('first page', {});
await time('last page', { page: { isLast: true } });
await time('page after an id in the middle', { page: { after: idAt(middle) } });
await time('page before an id in the middle', { page: { before: idAt(middle), isLast: true } });
await time('page from a time in the middle', { startMs: middleMs });
await time('last page up to a time in the middle', { endMs: middleMs, page: { isLast: true } });
await time('frequent correspondent, first page', { with: frequent.toBare() });
await time('frequent correspondent, last page', { with: frequent.toBare(), page: { isLast: true } });
await time('frequent correspondent, from a time in the middle', { with: frequent.toBare(), startMs: middleMs });
await time('rare correspondent, first page', { with: rare.toBare() });
await time('rare correspondent, last page', { with: rare.toBare(), page: { isLast: true } });
await time('rare correspondent, before an id in the middle', { with: rare.toBare(), page: { before: idAt(middle), isLast: true } });
await time('correspondent that never was', { with: parseJid('nobody@capulet.lit') });
await time('one by id', { ids: [idAt(middle)] });
await time('count of the frequent correspondent', { with: frequent.toBare(), page: { max: 0 } }, 5);
await time('count of half the time', { startMs: middleMs, page: { max: 0 } }, 5);

let matchingMs = 0;
const filter = { words: wordsOf('nothing-like-it') };
const start = performance.now();
await ask({
  sift: {
    maxEntries: Infinity,
    run: async (rows) => {
      const before = performance.now();
      const found = siftRows({ rows, filter });
      matchingMs += performance.now() - before;
      return found;
    },
  },
});
results['search, worker, us per message'] = ((performance.now() - start - matchingMs) * 1_000) / count;
results['search, matching, us per message'] = (matchingMs * 1_000) / count;

const loading = performance.now();
const loaded = new AccountLog(await loadLog(store, OWNER));
results['load, ms'] = performance.now() - loading;
if (loaded.next !== log.next) throw new Error('the log was not loaded as it was written');

const trimming = performance.now();
const STEPS = 20;
for (let i = 0; i < STEPS; i++) {
  const step = await planTrim({ store, bare: OWNER, nowMs: Date.now() * 2, bytes: log.bytes }, { keepMs: 0, maxBytes: Infinity });
  const batch = new Batch(OWNER);
  applyTrim(step!, log, batch);
  await store.commit(batch).promise;
}
results['trimming a segment, ms'] = (performance.now() - trimming) / STEPS;

for (const [name, value] of Object.entries(results)) {
  const unit = name.lastIndexOf(', ');
  report(name.slice(0, unit), value, name.slice(unit + 2));
}
await store.close();
rmSync(path, { recursive: true });
