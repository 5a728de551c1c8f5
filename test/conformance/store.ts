/**
 * What every backend of the store must do. Run it with `storeConformance` from a test file of the backend's.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { binaryTable, jsonTable } from '../../src/store/codec.ts';
import { StoreError } from '../../src/store/errors.ts';
import { Batch, VersionConflict } from '../../src/store/store.ts';
import type { Commit, Key, KeyPart, Range, Store, Table } from '../../src/store/store.ts';

/** One open, empty store. */
export interface StoreSubject {
  readonly store: Store;
  /** Closes the store and opens it again; absent where nothing survives that. */
  readonly reopen?: () => Promise<Store>;
  /** What was committed and has not settled fails, and what is committed before `mend`; absent where that cannot be brought about. */
  readonly fail?: () => void;
  readonly mend?: () => void;
  /** Opens what `backup` has made; absent where there are no files. */
  readonly openBackup?: (directory: string) => Promise<Store>;
  dispose(): Promise<void>;
}

interface Note {
  readonly text: string;
}

const notes = jsonTable<Note>({ name: 'note', version: 1 });
const marks = jsonTable<Note>({ name: 'mark', version: 1 });
const blobs: Table<Uint8Array> = { name: 'blob', version: 3, encode: (value) => value, decode: (bytes) => bytes };

const steps = binaryTable<string>({
  name: 'step',
  version: 1,
  isRun: true,
  write: (row, text) => void row.text(text),
  read: (row) => row.rest(),
});

const JULIET = 'juliet@capulet.lit';
const ROMEO = 'romeo@montague.lit';
/** Of the generated keys; print it with what fails. */
const SEED = 20_260_728;

export function storeConformance(name: string, open: () => Promise<StoreSubject>): void {
  const check = (title: string, run: (store: Store, subject: StoreSubject) => Promise<void>): void => {
    test(title, async () => {
      const subject = await open();
      try {
        await run(subject.store, subject);
      } finally {
        await subject.dispose();
      }
    });
  };

  describe(`store: ${name}`, () => {
    check('a row is what was put last, until it is deleted', async (store) => {
      assert.equal(await store.get(notes, JULIET, ['a']), undefined);
      await store.commit(put(JULIET, ['a'], 'first')).promise;
      assert.deepEqual(await store.get(notes, JULIET, ['a']), { text: 'first' });
      await store.commit(put(JULIET, ['a'], 'second')).promise;
      assert.deepEqual(await store.get(notes, JULIET, ['a']), { text: 'second' });
      await store.commit(new Batch(JULIET).delete(notes, ['a'])).promise;
      assert.equal(await store.get(notes, JULIET, ['a']), undefined);
      await store.commit(new Batch(JULIET).delete(notes, ['a'])).promise;
      await store.commit(put(JULIET, [], 'the only one')).promise;
      assert.deepEqual(await store.get(notes, JULIET, []), { text: 'the only one' });
      assert.deepEqual(await keysOf(store, JULIET), [[]]);
    });

    check('partitions, tables and keys are told apart', async (store) => {
      await store.commit(new Batch(JULIET).put(notes, ['a', 1], { text: 'note' }).put(marks, ['a', 1], { text: 'mark' })).promise;
      assert.deepEqual(await store.get(marks, JULIET, ['a', 1]), { text: 'mark' });
      assert.equal(await store.get(notes, ROMEO, ['a', 1]), undefined);
      assert.equal(await store.get(notes, `${JULIET}x`, ['a', 1]), undefined);
      assert.equal(await store.get(notes, JULIET, ['a', '1']), undefined);
      assert.equal(await store.get(notes, JULIET, ['a']), undefined);
      assert.deepEqual(await texts(store, JULIET), ['note']);
    });

    check('a thread reads its own commits before they settle', async (store) => {
      await store.commit(put(JULIET, [1], 'old', [2], 'gone')).promise;
      const commit = store.commit(put(JULIET, [1], 'new', [3], 'added').delete(notes, [2]));
      assert.equal(commit.settled, false);
      const reads = [store.get(notes, JULIET, [1]), store.get(notes, JULIET, [2])];
      const listed = texts(store, JULIET);
      assert.deepEqual(await Promise.all(reads), [{ text: 'new' }, undefined]);
      assert.deepEqual(await listed, ['new', 'added']);
      await commit.promise;
      assert.deepEqual(await texts(store, JULIET), ['new', 'added']);
    });

    check('a commit settles once, and tells those who ask later at once', async (store) => {
      const commit = store.commit(put(JULIET, [1], 'x'));
      const told: string[] = [];
      commit.onSettled(() => told.push('before'));
      await commit.promise;
      assert.equal(commit.settled, true);
      assert.equal(commit.error, undefined);
      commit.onSettled(() => told.push('after'));
      assert.deepEqual(told, ['before', 'after']);
      const empty = store.commit(new Batch(JULIET));
      await empty.promise;
      assert.equal(await store.version(ROMEO), 0);
    });

    check('batches of one partition are applied in call order', async (store) => {
      const commits: Commit[] = [];
      for (let i = 0; i < 100; i++) commits.push(store.commit(put(JULIET, ['last'], `${i}`, [i], `${i}`)));
      assert.deepEqual(await store.get(notes, JULIET, ['last']), { text: '99' });
      await all(commits);
      assert.deepEqual(await store.get(notes, JULIET, ['last']), { text: '99' });
      assert.equal((await store.list(notes, JULIET)).length, 101);
    });

    check('the rows of a run are single rows, however they are kept', async (first, { reopen }) => {
      let store = first;
      const expected = new Map<number, string>();
      const next = random(SEED);
      const upTo = (limit: number): number => next(limit);
      for (let round = 0; round < 30; round++) {
        const batch = new Batch(round % 5 === 4 ? ROMEO : JULIET);
        const from = upTo(150);
        for (let number = from; number < from + 1 + upTo(60); number++) {
          const text = 'x'.repeat(upTo(round === 7 ? 3000 : 60));
          if (next(4) === 0) batch.delete(steps, [number]);
          else batch.put(steps, [number], text);
          if (batch.partition !== JULIET) continue;
          if (batch.changes.at(-1)!.write === undefined) expected.delete(number);
          else expected.set(number, text);
        }
        await store.commit(batch.put(notes, ['beside'], { text: `${round}` })).promise;
        if (round % 6 === 3 && reopen !== undefined) store = await reopen();
        const rows = [...expected].sort(([a], [b]) => a - b).map(([number, value]) => ({ key: [number], value }));
        assert.deepEqual(await store.list(steps, JULIET), rows, `round ${round}`);
        const [low, high] = [upTo(200), upTo(200)];
        const within = rows.filter(({ key: [number] }) => number! >= low && number! < high);
        assert.deepEqual(await store.list(steps, JULIET, { from: [low], to: [high] }), within);
        assert.deepEqual(
          await store.list(steps, JULIET, { from: [low], to: [high], reverse: true, limit: 5 }),
          within.toReversed().slice(0, 5),
        );
        assert.deepEqual(
          await store.list(steps, JULIET, { from: [low], limit: 3 }),
          rows.filter(({ key: [number] }) => number! >= low).slice(0, 3),
        );
        assert.equal(await store.get(steps, JULIET, [low]), expected.get(low));
        assert.deepEqual(await store.get(notes, JULIET, ['beside']), { text: `${round % 5 === 4 ? round - 1 : round}` });
      }
      assert.deepEqual(await store.partitions(steps), [JULIET, ROMEO]);
      const gone = new Batch(JULIET);
      for (const number of expected.keys()) gone.delete(steps, [number]);
      await store.commit(gone).promise;
      if (reopen !== undefined) store = await reopen();
      assert.deepEqual(await store.partitions(steps), [ROMEO]);
      await store.erase(ROMEO).promise;
      assert.deepEqual(await store.list(steps, ROMEO), []);
    });

    check('numbers sort by value, before strings, which sort by code point', async (store) => {
      const keys: Key[] = [
        [-Infinity],
        [-(2 ** 53)],
        [-1.5],
        [-1],
        [-Number.MIN_VALUE],
        [0],
        [Number.MIN_VALUE],
        [0.5],
        [1],
        [1, -1],
        [1, 'x'],
        [2],
        [255],
        [256],
        [2 ** 31],
        [2 ** 53 - 1],
        [2 ** 53],
        [Infinity],
        [''],
        ['', ''],
        ['\u0000'],
        ['a'],
        ['a', 1],
        ['a', 'b'],
        ['a\u0000'],
        ['a\u0000b'],
        ['a\u0001'],
        ['aa'],
        ['b'],
        ['é'],
        ['ﬀ'],
        ['😀'],
      ];
      for (const key of shuffled(keys, random(SEED))) void store.commit(put(JULIET, key, JSON.stringify(key)));
      assert.deepEqual(await keysOf(store, JULIET), keys);
      await store.commit(put(JULIET, [-0], 'zero')).promise;
      assert.deepEqual(await keysOf(store, JULIET), keys);
      assert.deepEqual(await store.get(notes, JULIET, [0]), { text: 'zero' });
    });

    check('a prefix finds the keys that start with its parts, and no others', async (store) => {
      const inside: Key[] = [['a'], ['a', -1], ['a', 2], ['a', ''], ['a', 'x', 'y']];
      const outside: Key[] = [[1], [''], ['a\u0000'], ['a\u0000\u00ff'], ['a\u0001'], ['aa'], ['b', 'a']];
      for (const key of [...inside, ...outside]) void store.commit(put(JULIET, key, 'x'));
      assert.deepEqual(await keysOf(store, JULIET, { prefix: ['a'] }), inside);
      assert.deepEqual(await keysOf(store, JULIET, { prefix: ['a', 'x'] }), [['a', 'x', 'y']]);
      assert.deepEqual(await keysOf(store, JULIET, { prefix: ['c'] }), []);
      assert.equal((await keysOf(store, JULIET, { prefix: [] })).length, inside.length + outside.length);
    });

    check('ranges include their first key and exclude their last, from either end, up to a limit', async (store) => {
      for (let i = 0; i < 10; i++) void store.commit(put(JULIET, ['k', i], `${i}`, ['l', i], 'other'));
      const list = async (range: Range): Promise<string> => (await texts(store, JULIET, range)).join('');
      for (const settled of [false, true]) {
        if (settled) await store.commit(put(ROMEO, [1], 'x')).promise;
        assert.equal(await list({ prefix: ['k'] }), '0123456789');
        assert.equal(await list({ from: ['k', 3], to: ['k', 6] }), '345');
        assert.equal(await list({ from: ['k', 3], to: ['k', 6], reverse: true }), '543');
        assert.equal(await list({ prefix: ['k'], from: ['k', 7] }), '789');
        assert.equal(await list({ prefix: ['k'], to: ['k', 2] }), '01');
        assert.equal(await list({ prefix: ['k'], from: ['a'], to: ['z'] }), '0123456789');
        assert.equal(await list({ prefix: ['k'], limit: 3 }), '012');
        assert.equal(await list({ prefix: ['k'], limit: 3, reverse: true }), '987');
        assert.equal(await list({ to: ['k', 4.5], reverse: true, limit: 2 }), '43');
        assert.equal(await list({ prefix: ['k'], limit: 0 }), '');
        assert.equal(await list({ from: ['k', 6], to: ['k', 3] }), '');
        assert.equal(await list({ from: ['k', 3], to: ['k', 3] }), '');
        assert.equal(await list({ prefix: ['k'], from: ['l'] }), '');
      }
    });

    check('lists agree with a sorted map, whatever is committed, deleted and erased', async (store, { reopen }) => {
      const next = random(SEED);
      const model = new Map<string, { key: Key; text: string }>();
      let open = store;
      for (let round = 0; round < 40; round++) {
        const batch = new Batch(JULIET);
        for (let i = 0; i < 1 + next(20); i++) {
          const key = randomKey(next);
          const text = `${round}.${i}`;
          if (next(4) === 0) {
            batch.delete(notes, key);
            model.delete(JSON.stringify(key));
          } else {
            batch.put(notes, key, { text });
            model.set(JSON.stringify(key), { key, text });
          }
        }
        const commit = open.commit(batch);
        if (next(12) === 0) {
          open.erase(JULIET);
          model.clear();
        }
        if (next(3) === 0) await commit.promise;
        if (next(10) === 0 && reopen !== undefined) {
          await commit.promise;
          open = await reopen();
        }
        const range = randomRange(next);
        const expected = [...model.values()].filter(({ key }) => isInRange(key, range)).toSorted((a, b) => compareKeys(a.key, b.key));
        if (range.reverse === true) expected.reverse();
        const found = await open.list(notes, JULIET, range);
        const rows = expected.slice(0, range.limit ?? Infinity).map(({ key, text }) => ({ key, value: { text } }));
        assert.deepEqual(found, rows, `seed ${SEED}, round ${round}, range ${JSON.stringify(range)}`);
      }
    });

    check('partitions of 2047 bytes and keys of 3071 work; they sort by their first 255 bytes', async (store) => {
      const long = (head: string, tail: string, bytes: number): string => head + 'x'.repeat(bytes - head.length - tail.length) + tail;
      const partition = long('a@', '.example', 2047);
      const sibling = long('a@', '.exampla', 2047);
      const keys = [long('a', '1', 255), long('a', '1', 256), long('a', '2', 3071), long('b', 'é', 3000), 'c'];
      const batch = new Batch(partition);
      for (const key of keys) batch.put(notes, ['item', key, 7], { text: key.slice(-1) });
      await store.commit(batch).promise;
      await store.commit(put(sibling, ['item'], 'other')).promise;
      await store.commit(put(long('b@', '', 200), ['item'], 'short')).promise;
      for (const key of keys) {
        assert.deepEqual(await store.get(notes, partition, ['item', key, 7]), { text: key.slice(-1) });
        assert.deepEqual(await keysOf(store, partition, { prefix: ['item', key] }), [['item', key, 7]]);
      }
      const listed = (await keysOf(store, partition)).map((key) => key[1] as string);
      assert.deepEqual(
        listed.map((key) => key[0]),
        ['a', 'a', 'a', 'b', 'c'],
      );
      assert.deepEqual(listed.toSorted(), keys.toSorted());
      assert.deepEqual(await texts(store, sibling), ['other']);
      const found = await store.partitions(notes);
      assert.equal(found[2], long('b@', '', 200));
      assert.deepEqual(found.slice(0, 2).toSorted(), [sibling, partition]);
      const [first, second] = found;
      assert.deepEqual(await store.partitions(notes, first, 1), [second]);
      await store.erase(partition).promise;
      assert.deepEqual(await store.list(notes, partition), []);
      assert.deepEqual(await texts(store, sibling), ['other']);
    });

    check('a batch with a key that cannot be stored is refused as a whole: ERR_STORE_KEY', async (store) => {
      const bad: Key[] = [
        [NaN],
        ['\ud800'],
        ['x', undefined as unknown as KeyPart],
        Array.from({ length: 12 }, (_, i) => `${i}`.repeat(300)),
      ];
      for (const key of bad) {
        const commit = store.commit(put(JULIET, ['good'], 'x').put(notes, key, { text: 'bad' }));
        await assert.rejects(commit.promise, withCode('ERR_STORE_KEY'), JSON.stringify(key));
      }
      await assert.rejects(store.commit(new Batch('\ud800').put(notes, [1], { text: 'x' })).promise, withCode('ERR_STORE_KEY'));
      await assert.rejects(
        store.commit(new Batch(JULIET).put({ ...notes, name: 'Not a name' }, [1], { text: 'x' })).promise,
        withCode('ERR_STORE_KEY'),
      );
      await assert.rejects(store.erase('\ud800').promise, withCode('ERR_STORE_KEY'));
      assert.equal(await store.get(notes, JULIET, ['good']), undefined);
      await store.commit(put(JULIET, ['good'], 'now')).promise;
      assert.deepEqual(await texts(store, JULIET), ['now']);
      await assert.rejects(store.get(notes, JULIET, [NaN]), withCode('ERR_STORE_KEY'));
    });

    check('a version is 0 at first, grows with every commit, and is 0 again after erase', async (store) => {
      assert.equal(await store.version(JULIET), 0);
      await store.commit(put(JULIET, [1], 'x')).promise;
      const first = await store.version(JULIET);
      assert.ok(first > 0);
      assert.equal(await store.version(JULIET), first);
      void store.commit(put(ROMEO, [1], 'x'));
      assert.equal(await store.version(JULIET), first);
      void store.commit(put(JULIET, [1], 'x'));
      const second = await store.version(JULIET);
      assert.ok(second > first);
      await store.commit(new Batch(JULIET).delete(notes, [1])).promise;
      assert.ok((await store.version(JULIET)) > second);
      void store.erase(JULIET);
      assert.equal(await store.version(JULIET), 0);
      await store.commit(put(JULIET, [1], 'x')).promise;
      assert.ok((await store.version(JULIET)) > second);
    });

    check('a commit whose expected version is not the present one leaves nothing: VersionConflict', async (store, { reopen }) => {
      await store.commit(put(JULIET, [1], 'created'), 0).promise;
      await assert.rejects(store.commit(put(JULIET, [1], 'again'), 0).promise, VersionConflict);
      await assert.rejects(store.commit(put(JULIET, [1], 'guess'), 1e9).promise, VersionConflict);
      const version = await store.version(JULIET);
      const won = store.commit(put(JULIET, [1], 'won'), version);
      const lost = store.commit(put(JULIET, [1], 'lost', [2], 'lost'), version);
      await won.promise;
      await assert.rejects(lost.promise, withCode('ERR_STORE_VERSION'));
      assert.deepEqual(await texts(store, JULIET), ['won']);
      const open = reopen === undefined ? store : await reopen();
      await assert.rejects(open.commit(put(JULIET, [1], 'stale'), version).promise, VersionConflict);
      await open.commit(put(JULIET, [1], 'fresh'), await open.version(JULIET)).promise;
      assert.deepEqual(await texts(open, JULIET), ['fresh']);
      void open.erase(JULIET);
      await open.commit(put(JULIET, [1], 'anew'), 0).promise;
      assert.deepEqual(await texts(open, JULIET), ['anew']);
    });

    check('erase removes every row of the partition, whatever its table, and nothing else', async (store) => {
      for (let i = 0; i < 50; i++) void store.commit(new Batch(JULIET).put(notes, [i], { text: 'x' }).put(marks, [i], { text: 'x' }));
      const near = [`${JULIET}\u0000`, `${JULIET}x`, 'juliet@capulet.li', ROMEO];
      for (const partition of near) void store.commit(put(partition, [1], 'kept'));
      await store.commit(put(JULIET, ['settled'], 'x')).promise;
      void store.commit(put(JULIET, ['unsettled'], 'x'));
      const erased = store.erase(JULIET);
      assert.deepEqual(await store.list(notes, JULIET), []);
      assert.equal(await store.get(marks, JULIET, [1]), undefined);
      const after = store.commit(put(JULIET, ['after'], 'new'));
      assert.deepEqual(await keysOf(store, JULIET), [['after']]);
      await all([erased, after]);
      assert.deepEqual(await keysOf(store, JULIET), [['after']]);
      assert.deepEqual(await store.list(marks, JULIET), []);
      for (const partition of near) assert.deepEqual(await texts(store, partition), ['kept']);
      await store.erase('nobody@nowhere.lit').promise;
    });

    check('partitions are listed in order, by pages, if they have a row in the table', async (store) => {
      const names = Array.from({ length: 250 }, (_, i) => `user${String(i).padStart(3, '0')}@capulet.lit`);
      for (const name of shuffled(names, random(SEED))) void store.commit(put(name, [1], 'x'));
      await store.commit(new Batch('aaa@capulet.lit').put(marks, [1], { text: 'x' })).promise;
      assert.deepEqual(await store.partitions(notes), names);
      assert.deepEqual(await store.partitions(marks), ['aaa@capulet.lit']);
      const paged: string[] = [];
      for (let after: string | undefined; ; after = paged.at(-1)) {
        const page = await store.partitions(notes, after, 60);
        paged.push(...page);
        if (page.length < 60) break;
      }
      assert.deepEqual(paged, names);
      assert.deepEqual(await store.partitions(notes, 'user248@capulet.lit'), ['user249@capulet.lit']);
      assert.deepEqual(await store.partitions(notes, 'user248@capulet.lit '), ['user249@capulet.lit']);
      void store.erase(names[0]!);
      await store.commit(new Batch(names[1]!).delete(notes, [1])).promise;
      assert.deepEqual(await store.partitions(notes, undefined, 1), [names[2]]);
    });

    check('rows of an older version are migrated; newer ones, and bytes that are no row, are ERR_STORE_DECODE', async (store) => {
      const old = jsonTable<{ name: string }>({ name: 'person', version: 1 });
      const now = jsonTable<{ first: string; last: string }>({
        name: 'person',
        version: 2,
        migrate(row, version) {
          assert.equal(version, 1);
          const [first = '', last = ''] = (row as { name: string }).name.split(' ');
          return { first, last };
        },
      });
      await store.commit(new Batch(JULIET).put(old, [1], { name: 'Juliet Capulet' })).promise;
      assert.deepEqual(await store.get(now, JULIET, [1]), { first: 'Juliet', last: 'Capulet' });
      await store.commit(new Batch(JULIET).put(now, [2], { first: 'Tybalt', last: 'Capulet' })).promise;
      assert.deepEqual(
        (await store.list(now, JULIET)).map(({ value }) => value.first),
        ['Juliet', 'Tybalt'],
      );
      await assert.rejects(store.get(old, JULIET, [2]), withCode('ERR_STORE_DECODE'));
      await assert.rejects(store.list(old, JULIET), withCode('ERR_STORE_DECODE'));
      const garbage: Table<string> = { name: 'person', version: 2, encode: (text) => Buffer.from(text), decode: String };
      await store.commit(new Batch(JULIET).put(garbage, [3], '{')).promise;
      await assert.rejects(store.get(now, JULIET, [3]), withCode('ERR_STORE_DECODE'));
    });

    check('binary tables read what they wrote, of their version or an older one', async (store) => {
      interface Counter {
        readonly position: number;
        readonly at: number;
        readonly isRead: boolean;
        readonly by: string | undefined;
        readonly body: Uint8Array;
      }
      const counters = binaryTable<Counter>({
        name: 'counter',
        version: 200,
        write: (row, { position, at, isRead, by, body }) => row.uint(position).double(at).boolean(isRead).optionalString(by).bytes(body),
        read: (row, version) => {
          assert.equal(version, 200);
          return { position: row.uint(), at: row.double(), isRead: row.boolean(), by: row.optionalString(), body: row.bytes() };
        },
      });
      const rows: Counter[] = [
        { position: 0, at: -1.5, isRead: true, by: undefined, body: Buffer.alloc(0) },
        { position: 2 ** 53 - 1, at: Infinity, isRead: false, by: 'Ünï😀', body: Buffer.from([0, 255, 1]) },
        { position: 127, at: 0, isRead: false, by: '', body: Buffer.alloc(5000, 7) },
      ];
      const batch = new Batch(JULIET);
      for (const [i, row] of rows.entries()) batch.put(counters, [i], row);
      await store.commit(batch).promise;
      const found = await store.list(counters, JULIET);
      assert.deepEqual(
        found.map(({ value }) => ({ ...value, body: [...value.body] })),
        rows.map((row) => ({ ...row, body: [...row.body] })),
      );
    });

    check('values of no byte and of a megabyte come back as they were, and as copies', async (store) => {
      for (const bytes of [0, 1, 300, 4096, 70_000, 1_000_000]) {
        const value = Buffer.from(Array.from({ length: Math.min(bytes, 1000) }, (_, i) => i % 251));
        const whole = Buffer.concat(Array.from({ length: Math.ceil(bytes / 1000) }, () => value)).subarray(0, bytes);
        const commit = store.commit(new Batch(JULIET).put(blobs, [bytes], whole));
        for (const settled of [false, true]) {
          if (settled) await commit.promise;
          const found = await store.get(blobs, JULIET, [bytes]);
          assert.ok(found !== undefined && Buffer.compare(found, whole) === 0, `${bytes} bytes, settled ${settled}`);
          found.fill(0);
        }
        const [row] = await store.list(blobs, JULIET, { prefix: [bytes] });
        assert.ok(row !== undefined && Buffer.compare(row.value, whole) === 0, `${bytes} bytes, listed`);
      }
    });

    check('a failed commit leaves nothing, and later ones work', async (store, { fail, mend, reopen }) => {
      if (fail === undefined || mend === undefined) return;
      await store.commit(put(JULIET, [1], 'kept', [2], 'kept')).promise;
      await store.commit(put(ROMEO, [1], 'kept')).promise;
      const version = await store.version(JULIET);
      const failed = [
        store.commit(put(JULIET, [1], 'lost', [3], 'lost').delete(notes, [2])),
        store.commit(put(JULIET, [1], 'lost too')),
        store.erase(ROMEO),
        store.commit(put(ROMEO, [2], 'lost')),
        store.commit(put('mercutio@verona.lit', [1], 'lost')),
      ];
      assert.deepEqual(await texts(store, JULIET), ['lost too', 'lost']);
      fail();
      for (const commit of failed) await assert.rejects(commit.promise, withCode('ERR_STORE_FULL'));
      mend();
      const check = async (open: Store): Promise<void> => {
        assert.deepEqual(await texts(open, JULIET), ['kept', 'kept']);
        assert.deepEqual(await texts(open, ROMEO), ['kept']);
        assert.deepEqual(await texts(open, 'mercutio@verona.lit'), []);
        assert.equal(await open.version(JULIET), version);
      };
      await check(store);
      await store.commit(put('benvolio@montague.lit', [1], 'works')).promise;
      await check(store);
      if (reopen !== undefined) await check(await reopen());
    });

    check('many partitions at once: every commit settles, and every row is there', async (store, { reopen }) => {
      const commits: Commit[] = [];
      for (let i = 0; i < 3000; i++) {
        commits.push(store.commit(put(`user${i % 500}@capulet.lit`, [Math.floor(i / 500)], `${i}`)));
        if (i % 700 === 0) await commits.at(-1)!.promise;
      }
      await all(commits);
      const open = reopen === undefined ? store : await reopen();
      for (let i = 0; i < 500; i++) {
        assert.deepEqual(
          await texts(open, `user${i}@capulet.lit`),
          [0, 1, 2, 3, 4, 5].map((k) => `${k * 500 + i}`),
        );
      }
    });

    check('what is settled is there after closing and opening again', async (store, { reopen }) => {
      if (reopen === undefined) return;
      await store.commit(new Batch(JULIET).put(notes, [1], { text: 'one' }).put(blobs, ['b'], Buffer.from('blob'))).promise;
      await store.commit(put(ROMEO, [1], 'erased')).promise;
      await store.erase(ROMEO).promise;
      const again = await reopen();
      assert.deepEqual(await texts(again, JULIET), ['one']);
      assert.equal(Buffer.from((await again.get(blobs, JULIET, ['b']))!).toString(), 'blob');
      assert.deepEqual(await again.partitions(notes), [JULIET]);
    });

    check('a backup opens, and has what was committed when it was asked for', async (store, { openBackup }) => {
      const parent = await mkdtemp(join(tmpdir(), 'rookery-backup-'));
      try {
        const directory = join(parent, 'backup');
        void store.commit(put(JULIET, [1], 'one', [2], 'two'));
        await store.commit(put(ROMEO, [1], 'three')).promise;
        await store.version(JULIET);
        if (openBackup === undefined) {
          await assert.rejects(store.backup(directory), withCode('ERR_STORE_BACKUP'));
          return;
        }
        void store.commit(put(ROMEO, [2], 'unsettled'));
        const done = store.backup(directory);
        for (let i = 0; i < 200; i++) void store.commit(put(`later${i}@capulet.lit`, [1], 'x'));
        await done;
        await assert.rejects(store.backup(directory), withCode('ERR_STORE_BACKUP'));
        await writeFile(join(parent, 'file'), 'x');
        await assert.rejects(store.backup(join(parent, 'file')), StoreError);
        const copy = await openBackup(directory);
        try {
          assert.deepEqual(await texts(copy, JULIET), ['one', 'two']);
          assert.deepEqual(await texts(copy, ROMEO), ['three', 'unsettled']);
          assert.equal(await copy.version(JULIET), await store.version(JULIET));
          await copy.commit(put(JULIET, [3], 'copy')).promise;
        } finally {
          await copy.close();
        }
        assert.deepEqual(await texts(store, JULIET), ['one', 'two']);
      } finally {
        await rm(parent, { recursive: true, force: true });
      }
    });

    check('a closed store refuses everything: ERR_STORE_CLOSED; what was committed before has settled', async (store) => {
      const last = store.commit(put(JULIET, [1], 'x'));
      await store.close();
      assert.equal(last.settled, true);
      assert.equal(last.error, undefined);
      await assert.rejects(store.get(notes, JULIET, [1]), withCode('ERR_STORE_CLOSED'));
      await assert.rejects(store.list(notes, JULIET), withCode('ERR_STORE_CLOSED'));
      await assert.rejects(store.version(JULIET), withCode('ERR_STORE_CLOSED'));
      await assert.rejects(store.partitions(notes), withCode('ERR_STORE_CLOSED'));
      await assert.rejects(store.commit(put(JULIET, [1], 'x')).promise, withCode('ERR_STORE_CLOSED'));
      await assert.rejects(store.erase(JULIET).promise, withCode('ERR_STORE_CLOSED'));
      await store.close();
    });
  });
}

/** Notes, as key and text by turns. */
function put(partition: string, ...rows: (Key | string)[]): Batch {
  const batch = new Batch(partition);
  for (let i = 0; i < rows.length; i += 2) batch.put(notes, rows[i] as Key, { text: rows[i + 1] as string });
  return batch;
}

async function texts(store: Store, partition: string, range?: Range): Promise<string[]> {
  return (await store.list(notes, partition, range)).map(({ value }) => value.text);
}

async function keysOf(store: Store, partition: string, range?: Range): Promise<Key[]> {
  return (await store.list(notes, partition, range)).map(({ key }) => key);
}

async function all(commits: readonly Commit[]): Promise<void> {
  await Promise.all(commits.map((commit) => commit.promise));
}

function withCode(code: string): (error: unknown) => boolean {
  return (error) => {
    assert.equal((error as { code?: string }).code, code, String(error));
    return true;
  };
}

/** Integers below the argument. */
type Random = (below: number) => number;

export function random(seed: number): Random {
  let state = seed;
  return (below) => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

function shuffled<T>(items: readonly T[], next: Random): T[] {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = next(i + 1);
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}

const PARTS: readonly KeyPart[] = ['', 'a', 'a\u0000', 'aa', 'b', 'é', '😀', 'ﬀ', -1, 0, 0.5, 1, 2, 2 ** 40];

function randomKey(next: Random): Key {
  return Array.from({ length: 1 + next(3) }, () => PARTS[next(PARTS.length)]!);
}

function randomRange(next: Random): Range {
  return {
    ...(next(2) === 0 ? { prefix: randomKey(next).slice(0, next(3)) } : {}),
    ...(next(2) === 0 ? { from: randomKey(next) } : {}),
    ...(next(2) === 0 ? { to: randomKey(next) } : {}),
    ...(next(2) === 0 ? { reverse: true } : {}),
    ...(next(2) === 0 ? { limit: next(8) } : {}),
  };
}

function isInRange(key: Key, { prefix = [], from, to }: Range): boolean {
  if (!prefix.every((part, i) => key[i] === part)) return false;
  return (from === undefined || compareKeys(key, from) >= 0) && (to === undefined || compareKeys(key, to) < 0);
}

/** The order of keys, by its definition: numbers by value, before strings by code point, shorter first. */
export function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const order = compareParts(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareParts(a: KeyPart, b: KeyPart): number {
  if (typeof a === 'number' || typeof b === 'number') {
    if (typeof a === 'number' && typeof b === 'number') return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === 'number' ? -1 : 1;
  }
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
