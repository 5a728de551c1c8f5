import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openLmdb } from '../../src/store/lmdb/open.ts';
import type { Store } from '../../src/store/store.ts';
import { random } from '../conformance/store.ts';
import { GENERATION_ROWS, generations, numbered, ROWS_PER_BATCH } from './fixtures/crash-model.ts';

const SEED = 31_337;
const ROUNDS = 14;
const CHILD = fileURLToPath(new URL('fixtures/crash-child.ts', import.meta.url));

test('kill -9 at any moment loses no settled commit, halves no batch and changes no order', { timeout: 120_000 }, async () => {
  const next = random(SEED);
  const path = await mkdtemp(join(tmpdir(), 'rookery-crash-'));
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const acknowledged = await killAfter(path, 1 + next(next(3) === 0 ? 20 : 1500));
      const store = await openLmdb({ path });
      try {
        for (const [thread, number] of acknowledged) await check(store, thread, number, `seed ${SEED}, round ${round}, thread ${thread}`);
      } finally {
        await store.close();
      }
    }
  } finally {
    await rm(path, { recursive: true, force: true });
  }
});

/** Lets the child run until it has acknowledged so many batches; the last of each thread. */
async function killAfter(path: string, count: number): Promise<Map<number, number>> {
  const child = spawn(process.execPath, [CHILD, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exit = new Promise<NodeJS.Signals | number | null>((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  const last = new Map<number, number>();
  let seen = 0;
  for await (const line of createInterface(child.stdout)) {
    const match = /^([01]) ([0-9]+)$/.exec(line);
    if (match === null) continue; // cut short by the kill
    last.set(Number(match[1]), Number(match[2]));
    if (++seen === count) child.kill('SIGKILL');
  }
  assert.equal(await exit, 'SIGKILL', 'the child ran until it was killed');
  return last;
}

async function check(store: Store, thread: number, acknowledged: number, where: string): Promise<void> {
  const log = `log${thread}@capulet.lit`;
  const rows = await store.list(numbered, log, { prefix: ['row'] });
  const last = (await store.get(numbered, log, ['last']))!;
  assert.ok(last >= acknowledged, `${where}: ${acknowledged} was acknowledged, the last found is ${last}`);
  const expected = Array.from({ length: last * ROWS_PER_BATCH }, (_, i) => ['row', 1 + Math.floor(i / ROWS_PER_BATCH), i % ROWS_PER_BATCH]);
  assert.deepEqual(
    rows.map(({ key }) => key),
    expected,
    `${where}: each batch whole, none missing before the last`,
  );

  const flips = await store.list(generations, `flips${thread}@capulet.lit`);
  const generation = Math.floor(last / 10) * 10;
  const expectedFlips = generation === 0 ? [] : Array.from({ length: GENERATION_ROWS }, (_, i) => [generation, i]);
  assert.deepEqual(
    flips.map(({ key }) => key),
    expectedFlips,
    `${where}: erased and written anew at once`,
  );
}
