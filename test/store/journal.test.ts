import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DELETE, ERASE, GROUP, GroupBuffer, Journal, PUT, parseSegmentName, segmentName } from '../../src/store/lmdb/journal.ts';
import type { JournalFiles } from '../../src/store/lmdb/journal.ts';
import { Journals } from '../../src/store/lmdb/journals.ts';
import type { Position } from '../../src/store/lmdb/tail.ts';
import { START, Tail } from '../../src/store/lmdb/tail.ts';
import { Window } from '../../src/store/lmdb/window.ts';

const NAME = { instance: 0xabc, thread: 7 };
const directories: string[] = [];

after(() => {
  for (const directory of directories) fs.rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = fs.mkdtempSync(join(tmpdir(), 'rookery-journal-'));
  directories.push(directory);
  return directory;
}

function group(text: string): GroupBuffer {
  const buffer = new GroupBuffer();
  buffer.batch('p', 3);
  buffer.mark(ERASE);
  buffer.beginPut(PUT, 'key', '\x02');
  buffer.raw(Buffer.from(text));
  buffer.endPut();
  buffer.delete(DELETE, 'gone');
  return buffer;
}

const segmentsOf = (directory: string): number[] =>
  fs
    .readdirSync(directory)
    .toSorted()
    .map((name) => parseSegmentName(name)!.segment);

/** The ticks of all complete records, read as the applier does. */
function ticks(directory: string, tail = new Tail(directory, NAME, START)): number[] {
  const found: number[] = [];
  tail.refresh(segmentsOf(directory));
  for (let record = tail.peek(); record !== undefined; record = tail.peek()) {
    found.push(record.tick);
    tail.advance();
  }
  tail.close();
  return found;
}

test('what is appended is read back, while it is appended and from any position', () => {
  const directory = newDirectory();
  const journal = new Journal({ directory, name: NAME, segmentBytes: 300 });
  const tail = new Tail(directory, NAME, START);
  tail.refresh([]);
  assert.equal(tail.peek(), undefined);
  let position = tail.position;
  for (let tick = 1; tick <= 40; tick++) {
    journal.append(group(`text ${tick}`), GROUP, tick);
    tail.refresh(segmentsOf(directory));
    const record = tail.peek()!;
    assert.equal(record.tick, tick);
    const window = new Window();
    window.add(record);
    const partition = window.changes.partitions.get('p')!;
    const rows = new Map<string, number>();
    assert.equal(window.changes.rows(partition, 0, rows), true, 'erased before');
    const value = window.changes.value(rows.get('key')!)!;
    assert.equal(value.chunk.toString('latin1', value.start, value.end), `\x02text ${tick}`);
    assert.equal(window.changes.value(rows.get('gone')!), undefined);
    tail.advance();
    assert.equal(tail.peek(), undefined);
    if (tick === 20) position = tail.position;
  }
  assert.ok(segmentsOf(directory).length > 5, 'in several segments');
  assert.deepEqual(
    ticks(directory, new Tail(directory, NAME, position)),
    Array.from({ length: 20 }, (_, i) => 21 + i),
  );
  assert.equal(tail.isClosed, false);
  journal.close(41);
  tail.refresh(segmentsOf(directory));
  assert.equal(tail.peek(), undefined);
  assert.equal(tail.isClosed, true);
  tail.close();
});

test('a record cut short anywhere, or changed anywhere, is not read, nor what follows it in its segment', () => {
  const directory = newDirectory();
  const journal = new Journal({ directory, name: NAME, segmentBytes: 1e9 });
  const file = join(directory, segmentName(NAME, 0));
  const ends: number[] = [];
  for (let tick = 1; tick <= 3; tick++) {
    journal.append(group('x'.repeat(20)), GROUP, tick);
    ends.push(fs.statSync(file).size);
  }
  const whole = fs.readFileSync(file);
  for (let length = 0; length < whole.length; length++) {
    fs.writeFileSync(file, whole.subarray(0, length));
    assert.deepEqual(ticks(directory), [1, 2, 3].slice(0, ends.filter((end) => end <= length).length), `${length} bytes`);
  }
  for (let at = 0; at < whole.length; at++) {
    const changed = Buffer.from(whole);
    changed[at]! ^= 0x40;
    fs.writeFileSync(file, changed);
    const read = assertNotThrownBut('ERR_STORE_NEWER', () => ticks(directory)) ?? [];
    assert.ok(read.length <= ends.filter((end) => end <= at).length, `byte ${at}`);
    assert.deepEqual(read, [1, 2, 3].slice(0, read.length));
  }
  journal.close(4);
});

test('segments are removed when what is in them is applied, not when it is read', () => {
  const directory = newDirectory();
  const journal = new Journal({ directory, name: NAME, segmentBytes: 200 });
  const positions = new Map<number, Position>();
  const journals = new Journals(directory, (instance) => positions.get(instance));
  const append = (from: number, to: number): void => {
    for (let tick = from; tick <= to; tick++) journal.append(group(`text ${tick}`), GROUP, tick);
  };
  append(1, 20);
  const current = new Window();
  assert.equal(journals.readInto(current, 400, Infinity), false, 'not all of it');
  const { tick } = current;
  assert.ok(tick > 3 && tick < 20);
  const next = new Window();
  assert.equal(journals.readInto(next, Infinity, 18), true);
  assert.equal(next.tick, 18, 'later ticks stay');
  journals.published(current);
  assert.deepEqual(journals.removeApplied(next), []);
  const again = new Journals(directory, () => current.positions.get(NAME.instance));
  const rest = new Window();
  assert.equal(again.readInto(rest, Infinity, Infinity), true);
  assert.equal(rest.groups, 20 - current.groups, 'all that is not applied is there');
  assert.ok(segmentsOf(directory)[0]! > 0, 'what is applied is not');
  const last = new Window();
  journals.readInto(last, Infinity, Infinity);
  journal.close(21);
  journals.readInto(last, Infinity, Infinity);
  journals.published(last);
  assert.deepEqual(journals.removeApplied(last), [], 'not while the last groups are to be applied');
  assert.deepEqual(journals.removeApplied(new Window()), [NAME.instance]);
  assert.deepEqual(segmentsOf(directory), []);
  again.close();
});

test('the memory of a window is used again, and never under one that still needs it', () => {
  const directory = newDirectory();
  // Of two threads, whose groups alternate: so do the chunks they are read into.
  const writers = [1, 2].map((thread) => new Journal({ directory, name: { instance: thread, thread }, segmentBytes: 5e6 }));
  const journals = new Journals(directory, () => undefined);
  const append = (tick: number): void => writers[tick % 2]!.append(group(textOf(tick)), GROUP, tick);
  const bytes = new Set<ArrayBufferLike>();
  const noteMemory = ({ chunk }: { chunk: Buffer }): void => void bytes.add(chunk.buffer);
  /** All that is in the window has to be what was appended. */
  const check = (window: Window): void => {
    const { changes } = window;
    let tick = window.tick;
    for (let change = changes.next - 1, left = window.groups; left > 0; change--) {
      const value = changes.value(change);
      if (value === undefined) continue;
      noteMemory(value);
      assert.ok(value.chunk.toString('latin1', value.start, value.end) === `\x02${textOf(tick)}`, `text ${tick}`);
      tick--;
      left--;
    }
  };
  const textOf = (tick: number): string => `${tick} `.repeat(30_000).slice(0, 100_000 + tick);
  let [current, next, spare] = [new Window(), new Window(), new Window()];
  for (let tick = 1; tick <= 120; tick++) {
    append(tick);
    journals.readInto(next, Infinity, tick);
    if (next.groups < 7) continue;
    // As the applier does: one is written while the next one is read, which begins in the same chunk.
    [current, next] = [next, spare];
    append(++tick);
    journals.readInto(next, Infinity, tick);
    check(current);
    check(next);
    assert.equal(next.tick, tick);
    journals.published(current);
    journals.clear(current, next);
    assert.ok(current.isEmpty && current.changes.partitions.size === 0 && current.bytes === 0);
    check(next);
    spare = current;
  }
  assert.ok(bytes.size <= 8, `12 MB lay in ${bytes.size} pieces`);
  journals.close();
  for (const writer of writers) writer.close(200);
});

test('groups of several journals come in the order of their ticks; a journal of a thread that is gone ends where it ends', () => {
  const directory = newDirectory();
  const names = [1, 2, 3].map((thread) => ({ instance: thread, thread }));
  const writers = names.map((name) => new Journal({ directory, name, segmentBytes: 150 }));
  for (let tick = 1; tick <= 60; tick++) writers[(tick * tick) % 3]!.append(group(`${tick}`), GROUP, tick);
  const journals = new Journals(directory, () => undefined);
  const window = new Window();
  assert.equal(journals.readInto(window, Infinity, Infinity), true);
  assert.equal(window.groups, 60);
  const partition = window.changes.partitions.get('p')!;
  const rows = new Map<string, number>();
  window.changes.rows(partition, 0, rows);
  const value = window.changes.value(rows.get('key')!)!;
  assert.equal(value.chunk.toString('latin1', value.start, value.end), '\x0260', 'the last one wins');
  journals.published(window);
  assert.deepEqual(journals.removeApplied(new Window()), []);
  journals.endThread(1);
  assert.deepEqual(journals.removeApplied(new Window()), [1]);
  journals.close();
  for (const writer of writers) writer.close(61);
});

test('a segment of another journal under this name is not read', () => {
  const directory = newDirectory();
  const other = { instance: 0xabd, thread: 7 };
  const journal = new Journal({ directory, name: other, segmentBytes: 1e9 });
  journal.append(group('x'), GROUP, 1);
  journal.close(2);
  fs.renameSync(join(directory, segmentName(other, 0)), join(directory, segmentName(NAME, 0)));
  assert.deepEqual(ticks(directory), []);
});

test('a failed append leaves nothing, whatever was written of it; also where it cannot be cut off', () => {
  for (const canTruncate of [true, false]) {
    const directory = newDirectory();
    let failing = false;
    const files: JournalFiles = {
      ...fs,
      writeSync: ((file: number, buffer: Buffer, offset: number, length: number, position: number) => {
        if (!failing) return fs.writeSync(file, buffer, offset, length, position);
        fs.writeSync(file, buffer, offset, Math.floor(length / 2), position);
        throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      }) as typeof fs.writeSync,
      ftruncateSync: (file, length) => {
        if (!canTruncate) throw new Error('cannot');
        fs.ftruncateSync(file, length);
      },
    };
    const journal = new Journal({ directory, name: NAME, segmentBytes: 1e9, files });
    const appended: number[] = [];
    for (let tick = 1; tick <= 20; tick++) {
      failing = tick % 3 === 0 || tick === 1;
      try {
        journal.append(group('x'.repeat(100)), GROUP, tick);
        appended.push(tick);
      } catch (error) {
        assert.ok(failing);
        assert.equal((error as { code?: string }).code, 'ERR_STORE_FULL');
      }
      assert.deepEqual(ticks(directory), appended, `truncating ${canTruncate}, tick ${tick}`);
    }
    journal.close(21);
  }
});

function assertNotThrownBut<T>(code: string, run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    assert.equal((error as { code?: string }).code, code);
    return undefined;
  }
}
