/**
 * `dist/rookery` itself, alone in an empty directory. Runs where TEST_BINARY names it, as `.ci/run`
 * does after building; the executable without the server is tested in executable.test.ts.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

const binary = process.env['TEST_BINARY'];
const options = { skip: binary === undefined || binary === '' ? 'TEST_BINARY is not set' : false, timeout: 60_000 };

/** A server of its own, alone in a directory, with nothing in its environment but ports. */
async function start(directory: string) {
  const executable = join(directory, 'rookery');
  copyFileSync(binary!, executable);
  const env = { ROOKERY_C2S_PORT: '0', ROOKERY_C2S_TLS_PORT: '0', ROOKERY_S2S_PORT: '0', ROOKERY_CACHE_DIR: join(directory, 'cache') };
  const startedMs = performance.now();
  const child = spawn(executable, [], { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = once(child, 'exit') as Promise<[number | null]>;
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const events: Record<string, unknown>[] = [];
  const started = Promise.withResolvers<Record<string, unknown>>();
  createInterface(child.stdout).on('line', (line) => {
    const event = JSON.parse(line) as Record<string, unknown>;
    events.push(event);
    if (event['what'] === 'started') started.resolve(event);
  });
  void exit.then(([code]) => started.reject(new Error(`it ended with ${code}: ${errors}`)));
  const run = (args: readonly string[], input = '') => {
    const { status, stdout, stderr } = spawnSync(executable, args, { cwd: directory, env, input, encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  const event = await started.promise;
  return { child, exit, events, run, ports: event['c2s'] as number[], startMs: performance.now() - startedMs, errors: () => errors };
}

function temporaryDirectory(t: { after(run: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-binary-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('dist/rookery serves, alone in an empty directory, and answers its commands', options, async (t) => {
  const directory = temporaryDirectory(t);
  const { child, exit, run, ports, startMs, errors } = await start(directory);
  t.after(() => child.kill('SIGKILL'));
  t.diagnostic(`started in ${Math.round(startMs)} ms`);

  const socket = connect(ports[0]!, '127.0.0.1').setEncoding('utf8');
  t.after(() => socket.destroy());
  socket.write("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>");
  let answer = '';
  for await (const text of socket) {
    answer += text as string;
    if (answer.includes('</stream:features>')) break;
  }
  assert.match(answer, /<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>/);

  const status = run(['status', '--json']);
  assert.equal(status.stderr, '');
  assert.deepEqual((JSON.parse(status.stdout) as { hosts: unknown }).hosts, ['localhost']);
  assert.deepEqual(run(['user', 'add', 'juliet'], 'R0meo-and-me\n'), { status: 0, stdout: 'Created juliet@localhost.\n', stderr: '' });
  assert.match(run(['user', 'list']).stdout, /^juliet@localhost +enabled +0$/m);
  assert.equal(run(['doctor']).status, 0);

  child.kill('SIGTERM');
  assert.deepEqual((await exit)[0], 0, errors());
  assert.equal(run(['status']).status, 3);
  // Nothing is made but what the README says, and nothing in it is for others.
  assert.deepEqual(readdirSync(directory).sort(), ['cache', 'data', 'rookery']);
  assert.equal(statSync(join(directory, 'data')).mode & 0o077, 0);
  for (const file of readdirSync(join(directory, 'data'), { recursive: true, encoding: 'utf8' })) {
    const path = join(directory, 'data', file);
    if (statSync(path).isFile()) assert.ok(!readFileSync(path).includes('R0meo-and-me'), `${file} has the password in it`);
  }
});

test('dist/rookery: what was acknowledged is there after kill -9', options, async (t) => {
  const directory = temporaryDirectory(t);
  const first = await start(directory);
  t.after(() => first.child.kill('SIGKILL'));
  assert.equal(first.run(['user', 'add', 'juliet@localhost'], 'secret1234\n').status, 0);
  first.child.kill('SIGKILL');
  await first.exit;
  const second = await start(directory);
  t.after(() => second.child.kill('SIGKILL'));
  assert.match(second.run(['user', 'list']).stdout, /juliet@localhost/);
  assert.equal(second.run(['stop']).status, 0);
  assert.equal((await second.exit)[0], 0, second.errors());
});
