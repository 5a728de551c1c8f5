/** What the process does with signals and with a start that fails, and what it ends with. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { COMMAND, ServerProcess } from './server-process.ts';

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program until it ends; `act` is called with its first line of output. */
async function runOnce(settings: Readonly<Record<string, string>>, act: (pid: number) => void = () => undefined): Promise<Ended> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rookery-signals-'));
  const [program, ...args] = COMMAND;
  const env = {
    PATH: process.env['PATH'],
    ROOKERY_LISTEN: '127.0.0.1',
    ROOKERY_C2S_PORT: '0',
    ROOKERY_C2S_TLS_PORT: 'off',
    ROOKERY_S2S_PORT: 'off',
    ROOKERY_LOG_FORMAT: 'json',
    ...settings,
    ROOKERY_DATA_DIR: dataDir,
  };
  const child = spawn(program!, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdout.once('data', () => act(child.pid!));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  await rm(dataDir, { recursive: true, force: true });
  return { code, signal, stdout, stderr };
}

test('SIGTERM while it starts: it stops in order as soon as it has started', async () => {
  // The first line is that of the first worker, before anything listens.
  const { code, signal, stdout } = await runOnce({ ROOKERY_WORKERS: '2' }, (pid) => process.kill(pid, 'SIGTERM'));
  assert.deepEqual([code, signal], [0, null], stdout);
  assert.match(stdout, /"what":"stopped"/);
});

test('a port that is taken: one sentence, exit code 1', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const { code, stderr } = await runOnce({ ROOKERY_WORKERS: '1', ROOKERY_C2S_PORT: String(port) });
  other.close();
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`^ERR_LISTEN: .*${port}.*ROOKERY_C2S_PORT`));
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
});

test('SIGHUP with a configuration that cannot be used: said in the log, and the server goes on as it was', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'rookery-config-'));
  const file = join(directory, 'rookery.toml');
  await writeFile(file, '[limits]\nsessions = 7\n');
  try {
    await using server = await ServerProcess.start({ ROOKERY_DOMAIN: 'localhost', ROOKERY_WORKERS: '1', ROOKERY_CONFIG: file });
    await writeFile(file, '[limits]\nsessions = "many"\n');
    process.kill(server.pid, 'SIGHUP');
    await server.logged(({ what }) => what === 'reload_failed');
    await writeFile(file, '[limits]\nsessions = 8\n'); // the command reads it, too
    assert.match((await server.cli(['config', '--running'])).stdout, /sessions = 7/);
    await writeFile(file, '[limits]\nsessions = 9\n');
    process.kill(server.pid, 'SIGHUP');
    await server.logged(({ what }) => what === 'reloaded');
    assert.match((await server.cli(['config', '--running'])).stdout, /sessions = 9/);
    assert.equal(await server.stop(), 0);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
