import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LOG } from '../../src/log/entry.ts';
import { AccountLog, loadLog } from '../../src/log/log.ts';
import { findPage, viewOf } from '../../src/log/reader.ts';
import { PEERS, PENDING, SEGMENTS } from '../../src/log/segment.ts';
import { applyTrim, GRACE_MS, isTrimDue, LEFTOVERS, planTrim, type TrimPolicy } from '../../src/log/trim.ts';
import { jid, LogFixture, OWNER } from './fixture.ts';

const HOUR = 60 * 60_000;
const FOR_EVER: TrimPolicy = { keepMs: Infinity, maxBytes: Infinity };

/** Trims until nothing is left to do. @returns what was done, step by step. */
async function trimAll(fixture: LogFixture, nowMs: number, policy: TrimPolicy): Promise<string[]> {
  const done: string[] = [];
  for (;;) {
    const { store, log } = fixture;
    const step = await planTrim({ store, bare: OWNER, nowMs, bytes: log.bytes }, policy);
    assert.equal(await isTrimDue(store, OWNER, nowMs, policy), step !== undefined && step.kind !== 'thinned');
    if (step === undefined) return done;
    done.push(step.kind);
    assert.ok(done.length < 1_000, 'it ends');
    await fixture.change((batch) => applyTrim(step, log, batch));
  }
}

const positions = async ({ store }: LogFixture): Promise<number[]> => (await store.list(LOG, OWNER)).map(({ value }) => value.position);
const leftovers = async ({ store }: LogFixture): Promise<unknown[]> => (await store.list(LEFTOVERS, OWNER)).map(({ key }) => key[0]);

async function shown(fixture: LogFixture, peer?: string): Promise<number[]> {
  const { store, log } = fixture;
  const view = viewOf(store, OWNER, log, peer);
  const page = await findPage(view, {
    with: peer === undefined ? undefined : jid(peer),
    page: { max: 10_000, maxBytes: 1e9, isLast: false },
  });
  assert.ok(typeof page !== 'string');
  return page.entries.map(({ position }) => position);
}

/** Segments of three messages, one every ten minutes. */
function hourly(count: number, init: (position: number) => Parameters<LogFixture['append']>[0] = () => ({})): LogFixture {
  const fixture = new LogFixture();
  for (let position = 1; position <= count; position++) {
    fixture.append({ atMs: position * 10 * 60_000, ...init(position) });
    if (position % 3 === 0) fixture.close();
  }
  return fixture;
}

test('messages older than is kept go, whole segments of them, with their indexes; the open segment stays', async () => {
  const fixture = hourly(10);
  await fixture.write();
  const { bytes } = fixture.entries[0]!.stanza;
  assert.deepEqual(await trimAll(fixture, 100 * HOUR, { ...FOR_EVER, keepMs: 98.95 * HOUR }), ['segment', 'segment', 'thinned']);
  assert.deepEqual(await positions(fixture), [7, 8, 9, 10]);
  assert.deepEqual(await shown(fixture), [7, 8, 9, 10]);
  assert.deepEqual(await shown(fixture, 'romeo@montague.lit'), [7, 8, 9, 10]);
  assert.equal((await fixture.store.list(PEERS, OWNER)).length, 1);
  assert.deepEqual(
    (await fixture.store.list(SEGMENTS, OWNER)).map(({ key }) => key),
    [[7]],
  );
  const { log } = fixture;
  assert.deepEqual([log.first, log.archived, log.bytes], [7, 4, 4 * bytes]);
  assert.deepEqual(await trimAll(fixture, 1_000 * HOUR, { ...FOR_EVER, keepMs: HOUR }), ['segment']);
  assert.deepEqual(await positions(fixture), [10]);
});

test('a log that is too large loses its oldest segments, but nothing of the last hour', async () => {
  const fixture = hourly(18);
  await fixture.write();
  const { bytes } = fixture.entries[0]!.stanza;
  const nowMs = 18 * 10 * 60_000;
  await trimAll(fixture, nowMs, { ...FOR_EVER, maxBytes: 14 * bytes });
  assert.deepEqual(await positions(fixture), [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
  await trimAll(fixture, nowMs, { ...FOR_EVER, maxBytes: 1 });
  assert.deepEqual(await positions(fixture), [10, 11, 12, 13, 14, 15, 16, 17, 18]);
  await trimAll(fixture, nowMs + GRACE_MS + 1, { ...FOR_EVER, maxBytes: 1 });
  assert.deepEqual(await positions(fixture), []);
  assert.equal(fixture.log.bytes, 0);
  assert.equal(fixture.log.archived, 0);
});

test('what waits for a session stays until it has one, and is not shown meanwhile: the archive has no holes', async () => {
  const fixture = hourly(7, (position) => ({ isPending: position === 2 || position === 4 }));
  await fixture.write();
  await trimAll(fixture, 100 * HOUR, { ...FOR_EVER, keepMs: HOUR });
  assert.deepEqual(await positions(fixture), [2, 4, 7]);
  assert.deepEqual(await leftovers(fixture), [2, 4]);
  assert.deepEqual(await shown(fixture), [7]);
  await fixture.change((batch) => batch.delete(PENDING, [2]));
  assert.deepEqual(await trimAll(fixture, 100 * HOUR, FOR_EVER), ['leftovers']);
  assert.deepEqual(await positions(fixture), [4, 7]);
  assert.deepEqual(await leftovers(fixture), [4]);
});

test('what is not archived goes after an hour, and a segment that has nothing else with it', async () => {
  const fixture = hourly(12, (position) => ({
    isArchived: position % 2 === 0 && position < 7,
    isPending: position === 3 || position === 8,
  }));
  await fixture.write();
  const { bytes } = fixture.entries[0]!.stanza;
  assert.deepEqual(await trimAll(fixture, 0.5 * HOUR + GRACE_MS, FOR_EVER), []);
  await trimAll(fixture, 100 * HOUR, FOR_EVER);
  assert.deepEqual(await positions(fixture), [2, 3, 4, 6, 8]);
  assert.deepEqual(await leftovers(fixture), [3, 8]);
  assert.deepEqual(await shown(fixture), [2, 4, 6]);
  assert.deepEqual(
    (await fixture.store.list(SEGMENTS, OWNER)).map(({ key }) => key),
    [[1], [4]],
  );
  assert.deepEqual([fixture.log.first, fixture.log.archived, fixture.log.bytes], [1, 3, 4 * bytes]);
  await fixture.change((batch) => batch.delete(PENDING, [3]).delete(PENDING, [8]));
  await trimAll(fixture, 100 * HOUR, FOR_EVER);
  assert.deepEqual(await positions(fixture), [2, 4, 6]);
  assert.deepEqual(await trimAll(fixture, 100 * HOUR, { ...FOR_EVER, keepMs: HOUR }), ['segment', 'segment']);
  assert.deepEqual(await positions(fixture), []);
});

test('what has not reached its recipients stays', async () => {
  const fixture = hourly(8);
  fixture.close(5);
  await fixture.write();
  assert.deepEqual(await trimAll(fixture, 100 * HOUR, { ...FOR_EVER, keepMs: HOUR }), ['segment']);
  assert.deepEqual(await positions(fixture), [4, 5, 6, 7, 8]);
});

test('an account without a closed segment has nothing to trim', async () => {
  const fixture = new LogFixture();
  assert.equal(await isTrimDue(fixture.store, OWNER, 100 * HOUR, { keepMs: HOUR, maxBytes: 1 }), false);
  assert.deepEqual(await trimAll(fixture, 100 * HOUR, { keepMs: HOUR, maxBytes: 1 }), []);
});

test('whatever the log, trimming ends, keeps what waits and what the archive shows, and its figures agree with the rows', async () => {
  const entry = fc.record({
    isArchived: fc.boolean(),
    isPending: fc.constantFrom(false, false, false, true),
    close: fc.constantFrom(false, false, true),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 40 }), fc.nat(40), fc.nat(45), fc.boolean(), async (inits, keep, now, isSmall) => {
      const fixture = new LogFixture();
      inits.forEach(({ close, ...init }, i) => {
        fixture.append({ ...init, atMs: (i + 1) * HOUR });
        if (close) fixture.close();
      });
      await fixture.write();
      const policy = { keepMs: (keep + 1) * HOUR, maxBytes: isSmall ? 2_000 : Infinity };
      await trimAll(fixture, now * HOUR, policy);
      const { entries, log, store } = fixture;
      const there = new Set(await positions(fixture));
      const left = new Set(await leftovers(fixture));
      const young = ({ atMs, position }: { atMs: number; position: number }) => atMs >= now * HOUR - GRACE_MS || position >= log.openFrom;
      for (const each of entries) {
        const { position, isArchived, atMs } = each;
        const isPending = inits[position - 1]!.isPending;
        if (isPending || young(each)) assert.ok(there.has(position), `${position} stays`);
        if (left.has(position)) assert.ok(isPending && there.has(position));
        if (isArchived && position >= log.first) assert.ok(there.has(position), `${position} is shown`);
        if (isArchived && !isSmall && atMs >= now * HOUR - policy.keepMs) assert.ok(position >= log.first, `${position} is not too old`);
      }
      const kept = entries.filter(({ position, isArchived }) => isArchived && position >= log.first);
      assert.deepEqual(
        await shown(fixture),
        kept.map(({ position }) => position),
      );
      assert.deepEqual(
        await shown(fixture, 'romeo@montague.lit'),
        kept.map(({ position }) => position),
      );
      assert.equal(log.archived, kept.length);
      const reloaded = new AccountLog(await loadLog(store, OWNER));
      assert.deepEqual([reloaded.first, reloaded.archived, reloaded.bytes, reloaded.next], [log.first, log.archived, log.bytes, log.next]);
    }),
    { seed: 365, numRuns: 300 },
  );
});
