import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { z } from 'zod';
import { EXIT } from '../../src/cli/exit.ts';
import { commands, startFakeServer, topFrame } from '../control/fake-server.ts';
import { Keyboard, run } from './run.ts';

const NOWHERE = { ROOKERY_DATA_DIR: join(tmpdir(), 'rookery-cli-nowhere') };

test('help fits on one screen, with examples', async () => {
  const { code, out } = await run(['--help']);
  assert.equal(code, EXIT.ok);
  assert.ok(out.split('\n').length <= 48, 'too long for a screen');
  assert.match(out, /Examples:\n {2}rookery /);
  for (const name of ['serve', 'status', 'top', 'user', 'session', 'config', 'reload', 'stop', 'doctor'])
    assert.match(out, new RegExp(`^ {2}${name} `, 'm'));
});

test('--version', async () => {
  assert.deepEqual(await run(['--version']), { code: EXIT.ok, out: '1.2.3\n', err: '' });
});

test('serve is what happens without a command; its exit code is the program’s', async () => {
  for (const args of [[], ['serve'], ['-d', '/srv/x'], ['serve', '--data-dir', '/srv/x']]) {
    let dataDir = '';
    const result = await run(args, {
      serve: async ({ config }) => {
        dataDir = config.dataDir;
        return 7;
      },
    });
    assert.deepEqual(result, { code: 7, out: '', err: '' });
    assert.equal(dataDir, args.includes('/srv/x') ? '/srv/x' : join(process.cwd(), 'data'));
  }
});

test('serve: what an operator can mend is one line, a bug is not hidden', async () => {
  const failure = (name: string) => Object.assign(new Error('It is so. Do this.'), { name, code: 'ERR_STORE_FULL' });
  const { code, err } = await run([], { serve: () => Promise.reject(failure('StoreError')) });
  assert.deepEqual([code, err], [EXIT.failed, 'ERR_STORE_FULL: It is so. Do this.\n']);
  await assert.rejects(run([], { serve: () => Promise.reject(failure('TypeError')) }), /It is so/);
});

test('wrong usage: unknown commands with a suggestion, unknown options, missing arguments', async () => {
  for (const [args, message] of [
    [['statsu'], 'did you mean status?'],
    [['--confg', 'x'], '--config'],
    [['user', 'ad'], 'add'],
    [['user', 'add'], 'address'],
    [['top', '--interval', '5'], "such as '2s'"],
    [['top', '--count', '0'], 'a number'],
    [['serve', 'now'], 'too many arguments'],
  ] as const) {
    const { code, out, err } = await run(args);
    assert.equal(code, EXIT.usage, args.join(' '));
    assert.ok(err.includes(message), `${args.join(' ')}: ${err}`);
    assert.equal(out, '');
  }
});

test('a configuration that cannot be used: every problem, and its own exit code', async () => {
  const env = { ROOKERY_C2S_PRT: '1', ROOKERY_WORKERS: 'many' };
  for (const args of [[], ['status'], ['config'], ['doctor']]) {
    const { code, err } = await run(args, { env });
    assert.equal(code, EXIT.configuration);
    assert.match(err, /ROOKERY_C2S_PRT.*did you mean ROOKERY_C2S_PORT/);
    assert.match(err, /ROOKERY_WORKERS = 'many'/);
  }
});

test('commands that need a server say how to start one where there is none', async () => {
  for (const args of [
    ['status'],
    ['top'],
    ['reload'],
    ['stop'],
    ['config', '--running'],
    ['user', 'list'],
    ['user', 'add', 'a@b'],
    ['session', 'list'],
  ]) {
    const { code, out, err } = await run(args, { env: NOWHERE });
    assert.equal(code, EXIT.not_running, args.join(' '));
    assert.match(err, /^ERR_NOT_RUNNING: .*rookery serve/);
    assert.equal(out, '');
  }
});

test('status: one screen for people, JSON for programs', async () => {
  await using server = await startFakeServer();
  const env = { ROOKERY_DATA_DIR: server.dataDir };
  const { out } = await run(['status'], { env });
  assert.match(out, /^Server: {4}Rookery 1\.2\.3, process 4711, up \d+d/);
  assert.match(out, /^Listening: c2s 5222, c2s_tls 5223 \(on \*\)$/m);
  assert.match(out, /^WORKER {2}STATE {7}CONNECTIONS/m);
  assert.match(out, /^ {5}1 {2}restarting {11}12 {8}11 {8}12 {2}1\.3 ms {4}50\.0 MiB$/m);
  const { out: json } = await run(['status', '--json'], { env });
  assert.equal(JSON.parse(json).pid, 4_711);
});

test('user add: the password is asked for twice, without echo', async () => {
  const users = new Map<string, string>();
  await using server = await startFakeServer(commands(users));
  const stdin = new Keyboard();
  const running = run(['user', 'add', 'juliet@capulet.lit'], { env: { ROOKERY_DATA_DIR: server.dataDir }, stdin });
  for (const keys of ['R0mE\u{7f}eo ü\r', 'R0meo ü\r']) {
    while (!stdin.isRaw) await new Promise((resolve) => setImmediate(resolve));
    stdin.type(keys);
    while (stdin.isRaw) await new Promise((resolve) => setImmediate(resolve));
  }
  const { code, out, err } = await running;
  assert.deepEqual([code, out], [EXIT.ok, 'Created juliet@capulet.lit.\n']);
  assert.equal(err, 'Password: \nAgain: \n');
  assert.equal(stdin.hasEchoed, false);
  assert.deepEqual([...users], [['juliet@capulet.lit', 'R0meo ü']]);
});

test('user add: differing or no passwords, and Ctrl-C, change nothing', async () => {
  const users = new Map<string, string>();
  await using server = await startFakeServer(commands(users));
  for (const [typed, message] of [
    [['one\r', 'two\r'], 'The two passwords differ.'],
    [['\r'], 'The password must not be empty.'],
    [['one\u{3}'], 'Aborted.'],
  ] as const) {
    const stdin = new Keyboard();
    const running = run(['user', 'add', 'juliet@capulet.lit'], { env: { ROOKERY_DATA_DIR: server.dataDir }, stdin });
    for (const keys of typed) {
      while (!stdin.isRaw) await new Promise((resolve) => setImmediate(resolve));
      stdin.type(keys);
      while (stdin.isRaw) await new Promise((resolve) => setImmediate(resolve));
    }
    const { code, err } = await running;
    assert.equal(code, EXIT.failed);
    assert.ok(err.endsWith(`${message}\n`), err);
  }
  assert.equal(users.size, 0);
});

test('user passwd: the first line of what is piped in', async () => {
  const users = new Map([['juliet@capulet.lit', 'old']]);
  await using server = await startFakeServer(commands(users));
  const env = { ROOKERY_DATA_DIR: server.dataDir };
  for (const [args, piped, expected] of [
    [['--password-stdin'], ['new p', 'ass\r\nrest\n'], 'new pass'],
    [[], [' spaces '], ' spaces '],
  ] as const) {
    const { code, out } = await run(['user', 'passwd', 'juliet@capulet.lit', ...args], { env, stdin: Readable.from([...piped]) });
    assert.deepEqual([code, out], [EXIT.ok, 'Changed the password of juliet@capulet.lit.\n']);
    assert.equal(users.get('juliet@capulet.lit'), expected);
  }
  for (const [piped, message] of [
    [[], 'No password was piped in'],
    [['\nx'], 'No password was piped in'],
    [['x'.repeat(20_000)], 'too long'],
  ] as const) {
    const { code, err } = await run(['user', 'passwd', 'juliet@capulet.lit', '--password-stdin'], {
      env,
      stdin: Readable.from([...piped]),
    });
    assert.equal(code, EXIT.failed);
    assert.ok(err.includes(message), err);
  }
});

test('a password is never taken from the arguments', async () => {
  const { code } = await run(['user', 'add', 'juliet@capulet.lit', 'secret'], { env: NOWHERE });
  assert.equal(code, EXIT.usage);
});

test('an address without a domain is one of the only host; with several it is an error', async () => {
  const users = new Map<string, string>();
  await using server = await startFakeServer(commands(users));
  const env = { ROOKERY_DATA_DIR: server.dataDir, ROOKERY_DOMAIN: 'capulet.lit' };
  await run(['user', 'add', 'juliet'], { env, stdin: Readable.from(['x']) });
  assert.deepEqual([...users.keys()], ['juliet@capulet.lit']);
  const { code, err } = await run(['user', 'del', 'juliet'], { env: { ...env, ROOKERY_DOMAIN: 'capulet.lit,montague.lit' } });
  assert.equal(code, EXIT.failed);
  assert.match(err, /juliet@capulet\.lit or juliet@montague\.lit/);
});

test('user del, enable, disable: done, or the server’s reason why not', async () => {
  const users = new Map([['juliet@capulet.lit', 'x']]);
  await using server = await startFakeServer(commands(users));
  const env = { ROOKERY_DATA_DIR: server.dataDir };
  const outcome = async (name: string) => (await run(['user', name, 'juliet@capulet.lit'], { env })).out;
  assert.equal(await outcome('disable'), 'Disabled juliet@capulet.lit.\n');
  assert.equal(await outcome('enable'), 'Enabled juliet@capulet.lit.\n');
  assert.equal(await outcome('del'), 'Removed juliet@capulet.lit.\n');
  assert.deepEqual(await run(['user', 'del', 'juliet@capulet.lit'], { env }), {
    code: EXIT.failed,
    out: '',
    err: 'ERR_NO_ACCOUNT: There is no account juliet@capulet.lit.\n',
  });
});

test('user list: all pages as one table', async () => {
  const users = new Map<string, string>();
  await using server = await startFakeServer(commands(users));
  const env = { ROOKERY_DATA_DIR: server.dataDir };
  assert.match((await run(['user', 'list'], { env })).out, /There are no accounts/);
  for (const name of ['a', 'b', 'c', 'd', 'e']) users.set(`${name}@x`, '');
  assert.equal(
    (await run(['user', 'list'], { env })).out,
    'ADDRESS  STATE    SESSIONS\na@x      enabled         1\nb@x      enabled         1\nc@x      enabled         1\nd@x      enabled         1\ne@x      enabled         1\n',
  );
  assert.equal(JSON.parse((await run(['user', 'list', '--json'], { env })).out).length, 5);
});

test('session list: what a client chose cannot write on the terminal', async () => {
  await using server = await startFakeServer();
  const env = { ROOKERY_DATA_DIR: server.dataDir };
  const { out } = await run(['session', 'list'], { env });
  assert.ok(!out.includes('\u{1b}'));
  assert.match(out, /romeo@montague\.lit\/\u{fffd}\[2Jorchard/u);
  assert.match((await run(['session', 'list', '--limit', '1'], { env })).out, /… and more/);
  assert.equal((await run(['session', 'kick', 'juliet@capulet.lit/balcony'], { env })).out, 'Ended 1 session.\n');
  assert.equal((await run(['session', 'kick', 'juliet@capulet.lit'], { env })).out, 'Ended 2 sessions.\n');
});

test('config: as a file with origins, with defaults, of the running server', async () => {
  await using server = await startFakeServer();
  const env = { ROOKERY_DATA_DIR: server.dataDir, ROOKERY_LOG_LEVEL: 'warn' };
  assert.match((await run(['config'], { env })).out, /^level = "warn" {2}# ROOKERY_LOG_LEVEL$/m);
  assert.match((await run(['config', '--defaults'], { env })).out, /^#level = "info"$/m);
  assert.equal((await run(['config', '--running'], { env })).out, 'running = true\n');
  const modules = { ping: z.strictObject({}) };
  assert.equal((await run(['config'], { env, modules })).code, EXIT.ok);
});

test('metrics: as the server wrote them', async () => {
  await using server = await startFakeServer();
  assert.equal((await run(['metrics'], { env: { ROOKERY_DATA_DIR: server.dataDir } })).out, 'rookery_sessions 11\n');
});

test('reload and stop say what they did', async () => {
  await using server = await startFakeServer();
  const env = { ROOKERY_DATA_DIR: server.dataDir };
  assert.match((await run(['reload'], { env })).out, /^ {2}log\.level: in effect$/m);
  assert.equal((await run(['stop'], { env })).out, 'The server is stopping.\n');
});

test('top: piped, one look or as many as asked for; rates are against the look before', async () => {
  await using server = await startFakeServer();
  const env = { ROOKERY_DATA_DIR: server.dataDir };
  const once = (await run(['top'], { env })).out;
  assert.equal(once.match(/^WORKER/gm)?.length, 1);
  assert.match(once, /^2026-01-02T03:04:06Z {2}12 connections, 11 sessions, 0 stanzas\/s in, 0 out, 200 MiB$/m);
  const twice = (await run(['top', '-n', '2'], { env })).out;
  assert.match(twice, /100 stanzas\/s in, 250 out/);
  assert.match(twice, /^account {6}40 {5}0 {9}2$/m);
  assert.match(twice, /^0\.7 {4}account {2}ready {5}3 {2}2\.0 KiB {9}0 {2}juliet@capulet\.lit$/m);
  assert.ok(!twice.includes('\u{1b}'));
});

test('top: on a terminal it takes the screen, stays inside it, and gives it back at q', async () => {
  const frames = Promise.withResolvers<void>();
  await using server = await startFakeServer(
    commands(new Map(), {
      top: async function* (_, { signal }) {
        yield topFrame(1, { actors: Array.from({ length: 100 }, (_, id) => ({ ...topFrame(1).actors[0]!, id })) });
        frames.resolve();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    }),
  );
  const stdin = new Keyboard();
  const { code, out } = await run(['top'], {
    env: { ROOKERY_DATA_DIR: server.dataDir },
    stdin,
    terminal: { columns: 40, rows: 10 },
    onOutput: (text) => {
      if (text.includes('WORKER') && !stdin.readableEnded) stdin.type('q');
    },
  });
  await frames.promise;
  assert.equal(code, EXIT.ok);
  assert.ok(out.startsWith('\u{1b}[?1049h\u{1b}[?25l'));
  assert.ok(out.endsWith('\u{1b}[?25h\u{1b}[?1049l'));
  assert.equal(stdin.isRaw, false);
  const lines = out.slice(out.indexOf('\u{1b}[H')).split('\n');
  assert.ok(lines.length < 10);
  for (const line of lines) assert.ok(line.replaceAll(/\u{1b}\[[?\d]*[A-Za-z]/gu, '').length <= 40);
});
