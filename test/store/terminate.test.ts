import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const TIMES = 25;
const SEED = 65_537;
const CHILD = fileURLToPath(new URL('fixtures/terminate-child.ts', import.meta.url));

// In a process of its own: what this looks for takes the whole process with it.
test('terminating a writing worker again and again loses no settled commit and leaves the store usable', { timeout: 120_000 }, async () => {
  const path = await mkdtemp(join(tmpdir(), 'rookery-terminate-'));
  try {
    const child = spawn(process.execPath, [CHILD, path, String(TIMES), String(SEED)], { stdio: ['ignore', 'inherit', 'inherit'] });
    const outcome = await new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
    assert.equal(outcome, 0, `seed ${SEED}`);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
});
