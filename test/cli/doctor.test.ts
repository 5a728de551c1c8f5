import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  checkCertificates,
  checkClock,
  checkDataDirectory,
  checkMemory,
  checkOpenFiles,
  checkPorts,
  openFilesLimit,
} from '../../src/cli/doctor.ts';
import type { Finding } from '../../src/cli/doctor.ts';
import { EXIT } from '../../src/cli/exit.ts';
import { loadConfig } from '../../src/config/load.ts';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { startFakeServer } from '../control/fake-server.ts';
import { run } from './run.ts';

const NOW_MS = Date.UTC(2026, 5, 1);
const DAY_MS = 86_400_000;
const NO_PORTS = {
  ROOKERY_C2S_PORT: 'off',
  ROOKERY_C2S_TLS_PORT: 'off',
  ROOKERY_S2S_PORT: 'off',
  ROOKERY_COMPONENT_PORT: 'off',
  ROOKERY_HTTP_PORT: 'off',
  ROOKERY_HTTPS_PORT: 'off',
};

function temporaryDirectory(t: { after(run: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-doctor-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const levels = (findings: readonly Finding[]) => findings.map(({ level }) => level);
const texts = (findings: readonly Finding[]) => findings.map(({ text }) => text).join('\n');

function input(env: Record<string, string>, nowMs = NOW_MS) {
  return { config: loadConfig({ env }).config, isRunning: false, nowMs, builtMs: NOW_MS - DAY_MS };
}

test('data directory: missing is fine where it can be made', (t) => {
  const directory = temporaryDirectory(t);
  assert.deepEqual(levels(checkDataDirectory(directory)), ['ok']);
  assert.deepEqual(levels(checkDataDirectory(join(directory, 'a/b'))), ['ok']);
  writeFileSync(join(directory, 'file'), '');
  assert.deepEqual(levels(checkDataDirectory(join(directory, 'file'))), ['error']);
});

test('data directory: open to others is a warning', (t) => {
  const directory = temporaryDirectory(t);
  chmodSync(directory, 0o755);
  const findings = checkDataDirectory(directory);
  assert.deepEqual(levels(findings), ['warning']);
  assert.equal(findings[0]!.fix, `chmod 700 ${directory}`);
});

test('data directory: not writable is an error', { skip: process.getuid?.() === 0 ? 'root may write anywhere' : false }, (t) => {
  const directory = temporaryDirectory(t);
  chmodSync(directory, 0o500);
  assert.deepEqual(levels(checkDataDirectory(directory)), ['error']);
  assert.deepEqual(levels(checkDataDirectory(join(directory, 'a'))), ['error']);
});

test('clock: before the program was made, or behind its own files, is noticed', (t) => {
  const directory = temporaryDirectory(t);
  const env = { ROOKERY_DATA_DIR: directory };
  assert.deepEqual(levels(checkClock(input(env))), ['ok']);
  assert.deepEqual(levels(checkClock(input(env, NOW_MS - 3 * DAY_MS))), ['error']);
  writeFileSync(join(directory, 'file'), '');
  utimesSync(join(directory, 'file'), (NOW_MS + 3 * DAY_MS) / 1_000, (NOW_MS + 3 * DAY_MS) / 1_000);
  const [finding] = checkClock(input(env));
  assert.equal(finding!.level, 'warning');
  assert.match(finding!.text, /3d in the future/);
});

test('certificates: valid, expiring, expired, not yet valid, for another host, with another key, unreadable', (t) => {
  const directory = temporaryDirectory(t);
  const write = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const pair = makeSelfSigned(['capulet.lit', 'bücher.example', '[::1]'], NOW_MS);
  const certificate = write('a.crt', pair.certificate);
  const key = write('a.key', pair.key);
  const check = (env: Record<string, string>, nowMs = NOW_MS) =>
    checkCertificates(input({ ROOKERY_DOMAIN: 'capulet.lit', ROOKERY_TLS_CERTIFICATE: certificate, ROOKERY_TLS_KEY: key, ...env }, nowMs));

  assert.deepEqual(levels(check({ ROOKERY_DOMAIN: 'capulet.lit,bücher.example,[::1]' })), ['ok', 'ok', 'ok']);
  const [, years] = /valid for (\d+)d/.exec(texts(check({})))!;
  const endMs = NOW_MS + Number(years) * DAY_MS;
  assert.match(texts(check({}, endMs - 2 * DAY_MS)), /expires in/);
  assert.match(texts(check({}, endMs + 10 * DAY_MS)), /expired .* ago/);
  assert.match(texts(check({}, NOW_MS - 100 * DAY_MS)), /not valid yet/);
  assert.match(texts(check({ ROOKERY_DOMAIN: 'montague.lit' })), /is not for montague\.lit/);
  const other = write('b.key', makeSelfSigned(['capulet.lit'], NOW_MS).key);
  assert.match(texts(check({ ROOKERY_TLS_KEY: other })), /does not belong to the certificate/);
  assert.match(texts(check({ ROOKERY_TLS_KEY: '/does/not/exist' })), /cannot be used \(ENOENT\)/);
  assert.match(texts(check({ ROOKERY_TLS_CERTIFICATE: write('c.crt', 'nonsense') })), /cannot be used/);
});

test('certificates: the one the server makes is a warning, and its faults are told', (t) => {
  const directory = temporaryDirectory(t);
  const { certificate, key } = makeSelfSigned(['capulet.lit'], NOW_MS - 20_000 * DAY_MS);
  writeFileSync(join(directory, 'crt'), certificate);
  writeFileSync(join(directory, 'key'), key);
  const env = { ROOKERY_DOMAIN: 'capulet.lit' };
  assert.match(texts(checkCertificates(input(env))), /self-signed/);
  const selfSignedPair = () => ({ certificate: join(directory, 'crt'), key: join(directory, 'key') });
  assert.match(texts(checkCertificates({ ...input(env), selfSignedPair })), /expired/);
});

test('ports: one in use is an error with the port in it', async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const env = { ...NO_PORTS, ROOKERY_LISTEN: '127.0.0.1' };
  const findings = await checkPorts(loadConfig({ env: { ...env, ROOKERY_C2S_PORT: `0,${port}` } }).config);
  assert.deepEqual(levels(findings), ['error']);
  assert.ok(findings[0]!.text.includes(`Port ${port} of 127.0.0.1`));
  assert.deepEqual(levels(await checkPorts(loadConfig({ env: { ...env, ROOKERY_C2S_PORT: '0' } }).config)), ['ok']);
  const [foreign] = await checkPorts(loadConfig({ env: { ...env, ROOKERY_LISTEN: '192.0.2.1', ROOKERY_C2S_PORT: '0' } }).config);
  assert.match(foreign!.text, /192\.0\.2\.1 is not an address of this machine/);
});

test('open files: fewer than connections is a warning, hardly any an error', () => {
  const { config } = loadConfig({ env: { ROOKERY_WORKERS: '2', ROOKERY_MAX_CONNECTIONS: '1000' } });
  assert.deepEqual(levels(checkOpenFiles(config, 2_256)), ['ok']);
  assert.deepEqual(levels(checkOpenFiles(config, Number.POSITIVE_INFINITY)), ['ok']);
  assert.deepEqual(levels(checkOpenFiles(config, 1_024)), ['warning']);
  assert.deepEqual(levels(checkOpenFiles(config, 64)), ['error']);
  assert.deepEqual(checkOpenFiles(config, undefined), []);
  const limit = openFilesLimit();
  if (process.platform === 'linux') assert.ok(limit !== undefined && limit > 0);
});

test('memory: heaps larger than the machine are a warning', () => {
  const { config } = loadConfig({ env: { ROOKERY_WORKERS: '4', ROOKERY_WORKER_HEAP: '1GiB' } });
  assert.deepEqual(levels(checkMemory(config, 8 * 1024 ** 3)), ['ok']);
  assert.deepEqual(levels(checkMemory(config, 2 * 1024 ** 3)), ['warning']);
});

test('doctor: exit code 5 when something keeps the server from working, 0 with warnings only', async (t) => {
  const directory = temporaryDirectory(t);
  const env = { ...NO_PORTS, ROOKERY_DATA_DIR: join(directory, 'data'), ROOKERY_DOMAIN: 'capulet.lit' };
  const well = await run(['doctor'], { env });
  assert.equal(well.code, EXIT.ok);
  assert.match(well.out, /^warning {2}capulet\.lit has no certificate/m);
  assert.match(well.out, /^ {9}→ /m);
  mkdirSync(join(directory, 'data'));
  const ill = await run(['doctor'], { env: { ...env, ROOKERY_TLS_CERTIFICATE: '/does/not/exist', ROOKERY_TLS_KEY: '/does/not/exist' } });
  assert.equal(ill.code, EXIT.unhealthy);
  assert.match(ill.out, /^ERROR {4}The certificate of capulet\.lit/m);
});

test('doctor: the ports of a running server are not tried', async () => {
  await using server = await startFakeServer();
  const { out } = await run(['doctor'], { env: { ROOKERY_DATA_DIR: server.dataDir } });
  assert.match(out, /A server is running/);
});
