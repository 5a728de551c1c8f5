import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ArchiveIds, newArchiveKey } from '../../src/log/archive-id.ts';
import { LOG, logKey, type Direction, type LogEntry } from '../../src/log/entry.ts';
import { archiveEdges, findPage, viewOf, type ArchivePage, type ArchiveQuery, type PageFailure } from '../../src/log/reader.ts';
import { siftRows, type SiftFilter } from '../../src/log/sift.ts';
import { fold, wordsOf } from '../../src/log/words.ts';
import { jid, LogFixture, OWNER, type EntryInit } from './fixture.ts';

const PEERS = ['romeo@montague.lit/garden', 'romeo@montague.lit/orchard', 'nurse@capulet.lit/a', 'tybalt@capulet.lit', 'a@b'];
const WORDS = ['Wherefore', 'art', 'thou', 'Roméo', 'balcony', 'STRASSE', 'Straße', 'night'];

/** A query in terms of the model: everything but the page. */
interface Wanted {
  readonly with?: string;
  readonly startMs?: number;
  readonly endMs?: number;
  readonly afterId?: string;
  readonly beforeId?: string;
  readonly ids?: readonly string[];
  readonly words?: string;
}

type Paging = Partial<ArchiveQuery['page']>;

async function ask(fixture: LogFixture, wanted: Wanted, page: Paging = {}, maxEntries = 1_000_000): Promise<ArchivePage | PageFailure> {
  const { with: peerText, words, ...rest } = wanted;
  const peer = peerText === undefined ? undefined : jid(peerText);
  const address = peer?.isFull === true ? peer.full : undefined;
  const filter: SiftFilter = { words: words === undefined ? undefined : wordsOf(words), address };
  const isSifted = words !== undefined || address !== undefined;
  return findPage(viewOf(fixture.store, OWNER, fixture.log, peer?.bare), {
    ...rest,
    with: peer,
    isAnywhere: address !== undefined && peer!.bare === OWNER,
    sift: isSifted ? { maxEntries, run: async (rows) => siftRows({ rows, filter }) } : undefined,
    page: { max: 10, maxBytes: 1_000_000, isLast: false, ...page },
  });
}

/** Everything the archive shows that matches, by looking at each entry. */
function matching({ entries, log }: LogFixture, wanted: Wanted): LogEntry[] {
  const positionOf = (id: string): number => entries.find((entry) => log.ids.of(entry) === id)!.position;
  const peer = wanted.with === undefined ? undefined : jid(wanted.with);
  return entries.filter((entry) => {
    const { position, atMs, stanza, isArchived, direction } = entry;
    if (!isArchived || position < log.first) return false;
    if (wanted.startMs !== undefined && atMs < wanted.startMs) return false;
    if (wanted.endMs !== undefined && atMs > wanted.endMs) return false;
    if (wanted.afterId !== undefined && position <= positionOf(wanted.afterId)) return false;
    if (wanted.beforeId !== undefined && position >= positionOf(wanted.beforeId)) return false;
    if (wanted.ids !== undefined && !wanted.ids.includes(log.ids.of(entry))) return false;
    if (peer?.isFull === true && stanza.from.full !== peer.full && stanza.to.full !== peer.full) return false;
    if (peer?.isBare === true && peer.bare === OWNER && direction !== 'self') return false;
    if (peer?.isBare === true && peer.bare !== OWNER && stanza.from.bare !== peer.bare && stanza.to.bare !== peer.bare) return false;
    return wanted.words === undefined || wanted.words.split(' ').every((word) => hasWord(stanza.body, word));
  });
}

function hasWord(xml: string, word: string): boolean {
  const words = fold(xml.slice('<body>'.length, -'</body>'.length)).split(' ');
  return words.some((each) => each.startsWith(fold(word)));
}

const positionsOf = (page: ArchivePage | PageFailure): number[] => {
  assert.notEqual(typeof page, 'string', String(page));
  return (page as ArchivePage).entries.map(({ position }) => position);
};

interface Plan {
  readonly entries: readonly EntryInit[];
  readonly closeAfter: readonly number[];
  /** How many of the oldest positions were trimmed. */
  readonly trimmed: number;
}

const entryArbitrary = fc.record({
  peer: fc.constantFrom(...PEERS),
  direction: fc.constantFrom<Direction>('in', 'out', 'out', 'self'),
  atMs: fc.integer({ min: 0, max: 40 }).map((tick) => 1_000 + tick * 100),
  body: fc.array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 3 }).map((words) => words.join(' ')),
  isArchived: fc.constantFrom(true, true, true, false),
  isTombstone: fc.constantFrom(false, false, false, true),
});

const planArbitrary: fc.Arbitrary<Plan> = fc.record({
  entries: fc.array(entryArbitrary, { maxLength: 60 }).map((entries) => entries.toSorted((a, b) => a.atMs - b.atMs)),
  closeAfter: fc.array(fc.nat(60), { maxLength: 8 }),
  trimmed: fc.oneof(fc.constant(0), fc.nat(20)),
});

/** Segments end anywhere; what the archive does not show may be gone; so may all before `trimmed`. */
async function build({ entries, closeAfter, trimmed }: Plan): Promise<LogFixture> {
  const fixture = new LogFixture();
  entries.forEach((entry, i) => {
    fixture.append(entry);
    if (closeAfter.includes(i)) fixture.close();
  });
  await fixture.write();
  const first = Math.min(trimmed + 1, fixture.log.openFrom);
  await fixture.change((batch) => {
    const gone = fixture.entries.filter(
      ({ position, isArchived }) => position < first || (!isArchived && position < fixture.log.openFrom && position % 2 === 0),
    );
    for (const { position } of gone) batch.delete(LOG, logKey(position));
    const archived = fixture.entries.filter(({ position, isArchived }) => isArchived && position < first).length;
    fixture.log.trimmed(first, archived, 0, batch);
  });
  return fixture;
}

const wantedArbitrary = (fixture: LogFixture): fc.Arbitrary<Wanted> => {
  const shown = fixture.entries
    .filter(({ isArchived, position }) => isArchived && position >= fixture.log.first)
    .map((entry) => fixture.log.ids.of(entry));
  const id = shown.length === 0 ? fc.constant(undefined) : fc.option(fc.constantFrom(...shown), { nil: undefined });
  const time = fc.option(fc.integer({ min: 900, max: 5_200 }), { nil: undefined });
  return fc
    .record({
      with: fc.option(
        fc.constantFrom(...PEERS, 'romeo@montague.lit', 'nurse@capulet.lit', 'nobody@capulet.lit', OWNER, `${OWNER}/balcony`),
        { nil: undefined },
      ),
      startMs: time,
      endMs: time,
      afterId: id,
      beforeId: id,
      ids:
        shown.length === 0
          ? fc.constant(undefined)
          : fc.option(fc.array(fc.constantFrom(...shown), { maxLength: 12 }), { nil: undefined, freq: 3 }),
      words: fc.option(fc.constantFrom('art', 'romeo', 'STRASSE night', 'ball', 'hou'), { nil: undefined }),
    })
    .map((wanted) => Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined)) as Wanted);
};

test('every query is answered as if each entry had been looked at: all filters, both directions, all page sizes', async () => {
  await fc.assert(
    fc.asyncProperty(planArbitrary, fc.integer({ min: 1, max: 9 }), fc.infiniteStream(fc.nat()), async (plan, max, seeds) => {
      const fixture = await build(plan);
      for (let round = 0; round < 4; round++) {
        const [wanted] = fc.sample(wantedArbitrary(fixture), { numRuns: 1, seed: seeds.next().value });
        const expected = matching(fixture, wanted!).map(({ position }) => position);
        await pagesThrough(fixture, wanted!, max, expected);
      }
    }),
    { seed: 313, numRuns: 150 },
  );
});

async function pagesThrough(fixture: LogFixture, wanted: Wanted, max: number, expected: readonly number[]): Promise<void> {
  const told = (page: ArchivePage): void => {
    if (page.count !== undefined)
      assert.equal(page.count, wanted.ids === undefined && Object.keys(wanted).length === 0 ? fixture.log.archived : expected.length);
    if (page.firstIndex !== undefined) assert.equal(page.firstIndex, expected.indexOf(page.entries[0]!.position));
  };
  const forwards: number[] = [];
  for (let after: string | undefined; ;) {
    const page = (await ask(fixture, wanted, { max, after })) as ArchivePage;
    const got = positionsOf(page);
    told(page);
    forwards.push(...got);
    assert.equal(page.isComplete, forwards.length === expected.length);
    if (page.isComplete) break;
    assert.equal(got.length, max);
    after = fixture.log.ids.of(page.entries.at(-1)!);
  }
  assert.deepEqual(forwards, expected);
  const backwards: number[] = [];
  for (let before: string | undefined; ;) {
    const page = (await ask(fixture, wanted, { max, before, isLast: true })) as ArchivePage;
    const got = positionsOf(page);
    told(page);
    backwards.unshift(...got);
    assert.equal(page.isComplete, backwards.length === expected.length);
    if (page.isComplete) break;
    assert.equal(got.length, max);
    before = fixture.log.ids.of(page.entries[0]!);
  }
  assert.deepEqual(backwards, expected);
  const counted = (await ask(fixture, wanted, { max: 0 })) as ArchivePage;
  assert.deepEqual(counted.entries, []);
  const isSifted = wanted.words !== undefined || wanted.with?.includes('/') === true;
  if (wanted.ids === undefined && isSifted) assert.equal(counted.count, undefined);
  else assert.equal(counted.count, expected.length);
}

/** Four segments and an open one, of two correspondents; one message a second. */
async function longLog(entries = 1_100): Promise<LogFixture> {
  const fixture = new LogFixture();
  for (let i = 1; i <= entries; i++)
    fixture.append({ atMs: i * 1_000, peer: i % 100 === 0 ? 'nurse@capulet.lit/a' : PEERS[0]!, body: `message ${i}` });
  await fixture.write();
  return fixture;
}

test('XEP-0313 §4.3: across full segments, both ways, for frequent and rare correspondents', async () => {
  const fixture = await longLog();
  for (const wanted of [
    {},
    { with: 'romeo@montague.lit' },
    { with: 'nurse@capulet.lit' },
    { startMs: 200_500, endMs: 1_000_000 },
    { words: 'message 99' },
  ]) {
    const expected = matching(fixture, wanted).map(({ position }) => position);
    assert.ok(expected.length > 0);
    await pagesThrough(fixture, wanted, 70, expected);
  }
});

test('XEP-0313 §4.1.3, §4.3.2: an id that is not in the archive is item_not_found, wherever it stands', async () => {
  const fixture = new LogFixture();
  const [shown, hidden, gone] = [fixture.append({ atMs: 5 }), fixture.append({ atMs: 6, isArchived: false }), fixture.append({ atMs: 7 })];
  await fixture.change((batch) => batch.delete(LOG, logKey(gone.position)));
  const unknown = [
    fixture.log.ids.of(hidden), // there, but not shown
    fixture.log.ids.of(gone),
    fixture.log.ids.of({ position: shown.position, atMs: shown.atMs + 1 }),
    fixture.log.ids.of({ position: 4, atMs: 8 }), // yet to come
    fixture.log.ids.of({ position: 1e12, atMs: 8 }),
    new ArchiveIds(newArchiveKey()).of(shown), // of an account that had the name before
    'made-up',
    '',
    'x'.repeat(1_000),
  ];
  for (const id of unknown) {
    for (const wanted of [{ afterId: id }, { beforeId: id }, { ids: [fixture.log.ids.of(shown), id] }]) {
      assert.equal(await ask(fixture, wanted), 'item_not_found', JSON.stringify(wanted));
    }
    assert.equal(await ask(fixture, {}, { after: id }), 'item_not_found');
    assert.equal(await ask(fixture, {}, { before: id, isLast: true }), 'item_not_found');
  }
  assert.deepEqual(positionsOf(await ask(fixture, { ids: [fixture.log.ids.of(shown)] })), [shown.position]);
});

test('XEP-0313 §3.2: what is trimmed is not found, even if its row is still there for a session', async () => {
  const fixture = new LogFixture();
  const [old, young] = [fixture.append({ atMs: 1 }), fixture.append({ atMs: 2 })];
  fixture.close();
  await fixture.change((batch) => fixture.log.trimmed(young.position, 1, 0, batch));
  assert.deepEqual(positionsOf(await ask(fixture, {})), [young.position]);
  assert.deepEqual(positionsOf(await ask(fixture, { with: 'romeo@montague.lit' })), [young.position]);
  assert.deepEqual(positionsOf(await ask(fixture, { with: PEERS[0]! })), [young.position]);
  assert.equal(await ask(fixture, { ids: [fixture.log.ids.of(old)] }), 'item_not_found');
});

test('XEP-0313 §3.2: a tombstone keeps its place', async () => {
  const fixture = new LogFixture();
  fixture.append({ atMs: 1 });
  const retracted = fixture.append({ atMs: 2, isTombstone: true });
  await fixture.write();
  const page = (await ask(fixture, { with: 'romeo@montague.lit' })) as ArchivePage;
  assert.deepEqual(
    page.entries.map(({ isTombstone }) => isTombstone),
    [false, true],
  );
  assert.deepEqual(positionsOf(await ask(fixture, { ids: [fixture.log.ids.of(retracted)] })), [retracted.position]);
});

test('XEP-0313 §4.3.1: a page of large messages ends early, and going on from there brings the rest', async () => {
  const fixture = new LogFixture();
  for (let i = 0; i < 9; i++) fixture.append({ atMs: i, body: 'x'.repeat(i === 4 ? 5_000 : 100) });
  await fixture.write();
  for (const wanted of [{}, { with: 'romeo@montague.lit' }]) {
    const forwards: number[][] = [];
    for (let after: string | undefined; ;) {
      const page = (await ask(fixture, wanted, { maxBytes: 900, after })) as ArchivePage;
      forwards.push(positionsOf(page));
      if (page.isComplete) break;
      after = fixture.log.ids.of(page.entries.at(-1)!);
    }
    assert.deepEqual(forwards, [[1, 2, 3], [4], [5], [6, 7, 8], [9]]);
    const last = (await ask(fixture, wanted, { maxBytes: 900, isLast: true })) as ArchivePage;
    assert.deepEqual(positionsOf(last), [7, 8, 9]);
    assert.equal(last.isComplete, false);
  }
});

test('XEP-0059 §2.7: the number of results alone, also for part of the log', async () => {
  const fixture = await longLog();
  const cases: [Wanted, number | undefined][] = [
    [{}, 1_100],
    [{ with: 'nurse@capulet.lit' }, 11],
    [{ with: 'nobody@capulet.lit' }, 0],
    [{ startMs: 200_000, endMs: 300_000 }, 101],
    [{ startMs: 1_050_000 }, 51],
    [{ endMs: 256_000 }, 256],
    [{ startMs: 257_000, endMs: 512_000 }, 256],
    [{ startMs: 2_000_000 }, 0],
    [{ words: 'message' }, undefined],
  ];
  for (const [wanted, count] of cases) {
    const page = (await ask(fixture, wanted, { max: 0 })) as ArchivePage;
    assert.equal(page.count, count, JSON.stringify(wanted));
    assert.equal(page.isComplete, count === 0);
  }
});

test('XEP-0431: a search goes no further than it may, and says so where it found nothing', async () => {
  const fixture = await longLog();
  assert.equal(await ask(fixture, { words: '1090' }, {}, 600), 'too_long');
  assert.deepEqual(positionsOf(await ask(fixture, { words: '1090' }, { isLast: true }, 600)), [1_090]);
  const page = (await ask(fixture, { words: 'message 3' }, { max: 300 }, 400)) as ArchivePage;
  assert.equal(page.isComplete, false);
  assert.deepEqual(positionsOf(page).slice(0, 3), [3, 30, 31]);
});

test('XEP-0313 §5: first and last message of the archive', async () => {
  const fixture = new LogFixture();
  const view = () => viewOf(fixture.store, OWNER, fixture.log);
  assert.deepEqual(await archiveEdges(view()), []);
  for (let i = 0; i < 200; i++) fixture.append({ atMs: i, isArchived: i >= 90 && i < 120 });
  await fixture.write();
  assert.deepEqual(
    (await archiveEdges(view())).map(({ position }) => position),
    [91, 120],
  );
});

test('a page is of one moment: what is appended while it is read is not on it', async () => {
  const fixture = await longLog(250);
  const view = viewOf(fixture.store, OWNER, fixture.log, 'romeo@montague.lit');
  for (let i = 0; i < 20; i++) fixture.append({ atMs: 999_999 }); // closes the segment, too
  await fixture.write();
  for (const peer of [undefined, jid('romeo@montague.lit')]) {
    const page = await findPage(view, { with: peer, page: { max: 500, maxBytes: 1e9, isLast: true } });
    assert.equal(positionsOf(page).at(-1), 250);
  }
});
