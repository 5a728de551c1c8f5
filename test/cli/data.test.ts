import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { DataTools } from '../../src/cli/data.ts';
import { EXIT } from '../../src/cli/exit.ts';
import { runCli } from '../../src/cli/program.ts';
import { OperatorError } from '../../src/kernel/errors.ts';
import { dataTools } from '../../src/server/data-tools.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { commands, startFakeServer } from '../control/fake-server.ts';
import { run } from './run.ts';

class Directory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'rookery-cli-data-'));
  readonly env = { ROOKERY_DATA_DIR: join(this.path, 'data'), ROOKERY_DOMAIN: 'capulet.lit', ROOKERY_SCRAM_ITERATIONS: '4096' };

  file(name: string, text?: string): string {
    const path = join(this.path, name);
    if (text !== undefined) writeFileSync(path, text);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

const JULIET = `<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'><user name='juliet' password='secret'><vCard xmlns='vcard-temp'/><mood xmlns='urn:example:other-server'/></user><user name='nurse'/></host></server-data>`;

test('backup: by the running server, with an absolute path; else by this process', async () => {
  const asked: string[] = [];
  const table = commands(new Map(), {
    backup: ({ directory }) => {
      asked.push(directory);
      return { directory, accounts: 1, bytes: 3 * 1024 * 1024, durationMs: 1_234 };
    },
  });
  {
    await using server = await startFakeServer(table);
    const { code, out } = await run(['backup', 'some/where'], { env: { ROOKERY_DATA_DIR: server.dataDir } });
    assert.deepEqual([code, out], [EXIT.ok, `Backed up 1 account, 3.0 MiB, in 1.2 s: ${resolve('some/where')}\n`]);
    assert.deepEqual(asked, [resolve('some/where')]);
  }
  using directory = new Directory();
  const backUp: DataTools['backUp'] = async (config, where) => {
    asked.push(config.dataDir, where);
    return { directory: where, accounts: 2, bytes: 10, durationMs: 0 };
  };
  const { out } = await run(['backup', '/there'], { env: directory.env, dataTools: { ...dataTools, backUp } });
  assert.equal(out, 'Backed up 2 accounts, 10 B, in 0.0 s: /there\n');
  assert.deepEqual(asked.slice(1), [directory.env.ROOKERY_DATA_DIR, '/there']);
});

test('backup: what the server says of a failure; nothing is tried without it then', async () => {
  const table = commands(new Map(), {
    backup: () => {
      throw new OperatorError('ERR_STORE_BACKUP', 'The directory is not empty.');
    },
  });
  await using server = await startFakeServer(table);
  assert.deepEqual(await run(['backup', '/there'], { env: { ROOKERY_DATA_DIR: server.dataDir } }), {
    code: EXIT.failed,
    out: '',
    err: 'ERR_STORE_BACKUP: The directory is not empty.\n',
  });
});

test('a whole move without a server: import, export, import elsewhere, backup, restore', async () => {
  using directory = new Directory();
  const options = { env: directory.env, modules: moduleSchemas(), dataTools };
  const file = directory.file('from.xml', JULIET);
  assert.deepEqual(await run(['import', file], options), {
    code: EXIT.ok,
    out: [
      'Imported 2 accounts, with 1 element.',
      'Without a password that can be used, so nobody can log in before you set one (rookery user passwd):',
      '  nurse@capulet.lit',
      'Not understood, and left out, wholly or in part:',
      '  1 times {urn:example:other-server}mood',
      '',
    ].join('\n'),
    err: '',
  });
  const again = await run(['import', file], options);
  assert.equal(again.code, EXIT.failed);
  assert.match(again.err, /^ERR_ACCOUNT_EXISTS: juliet@capulet\.lit, nurse@capulet\.lit exist already\./);
  assert.match((await run(['import', file, '--overwrite'], options)).out, /^Imported 2 accounts, 2 in place of what was there/);

  const target = directory.file('juliet.xml');
  const exported = await run(['export', 'juliet', target], options);
  assert.match(exported.out, /^Exported juliet@capulet\.lit, 1\.\d KiB: /);
  assert.equal(statSync(target).mode & 0o077, 0); // XEP-0227 §6
  const { out: document } = await run(['export', 'juliet@capulet.lit'], options);
  assert.equal(document, readFileSync(target, 'utf8'));
  assert.match(document, /<vCard xmlns=.vcard-temp.\/>/);
  const moved = { ...options, env: { ...directory.env, ROOKERY_DATA_DIR: directory.file('other'), ROOKERY_DOMAIN: 'montague.lit' } };
  assert.match((await run(['import', target], moved)).err, /^ERR_HOST_UNKNOWN: /);
  assert.match((await run(['import', target, '--host', 'montague.lit'], moved)).out, /^Imported 1 account, with 6 elements\.\n$/);

  assert.match((await run(['backup', directory.file('backup')], options)).out, /^Backed up 2 accounts, /);
  const refused = await run(['restore', directory.file('backup')], options);
  assert.match(refused.err, /^ERR_RESTORE_EXISTS: /);
  const restored = await run(['restore', directory.file('backup'), '--replace'], options);
  assert.match(restored.out, /^Restored 2 accounts, .*, backed up 20\d\d-.* by Rookery 0\.\d+\.\d+\.\nWhat was there is in .*replaced-/);
  assert.equal((await run(['export', 'juliet'], options)).out, document);
});

test('export: a name that is taken, a directory that is missing, an account that is not; no file is left behind', async () => {
  using directory = new Directory();
  const options = { env: directory.env, modules: moduleSchemas(), dataTools };
  await run(['import', directory.file('from.xml', JULIET)], options);
  const before = readdirSync(directory.path).sort();
  for (const [args, message] of [
    [['juliet', directory.file('from.xml')], 'ERR_EXPORT_FILE: .*from\\.xml cannot be written: it is there already'],
    [['juliet', directory.file('none/juliet.xml')], 'ERR_EXPORT_FILE: .*ENOENT'],
    [['romeo', directory.file('romeo.xml')], 'ERR_NO_ACCOUNT: '],
    [['romeo'], 'ERR_NO_ACCOUNT: '],
    [['@', directory.file('x.xml')], 'ERR_ADDRESS: '],
  ] as const) {
    const { code, out, err } = await run(['export', ...args], options);
    assert.deepEqual([code, out], [EXIT.failed, ''], args.join(' '));
    assert.match(err, new RegExp(`^${message}`));
    assert.deepEqual(readdirSync(directory.path).sort(), before);
  }
  assert.equal(readFileSync(directory.file('from.xml'), 'utf8'), JULIET);
  const nowhere = await run(['export', 'juliet'], { ...options, env: { ...directory.env, ROOKERY_DATA_DIR: directory.file('nowhere') } });
  assert.match(nowhere.err, /^ERR_NO_STORE: /);
  assert.equal(readdirSync(directory.path).includes('nowhere'), false);
});

test('export: from the running server, at the pace of whoever reads', async () => {
  const PIECES = 500;
  let made = 0;
  const table = commands(new Map(), {
    export: async function* () {
      for (; made < PIECES; made++) yield { text: 'x'.repeat(64 * 1024) };
    },
  });
  await using server = await startFakeServer(table);
  const stdout = new PassThrough({ highWaterMark: 1024 });
  const running = runCli({
    args: ['export', 'juliet@capulet.lit'],
    io: { env: { ROOKERY_DATA_DIR: server.dataDir }, stdin: process.stdin, stdout, stderr: process.stderr },
    version: '1.2.3',
    builtMs: 0,
    modules: {},
    serve: () => Promise.reject(new Error('serve was called')),
  });
  let length = (await new Promise<Buffer>((resolve) => stdout.once('readable', () => resolve(stdout.read() as Buffer)))).length;
  let last = -1;
  while (made !== last) {
    last = made;
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(made < PIECES / 2, `${made} pieces were made for one that was read`);
  stdout.on('data', (chunk: Buffer) => (length += chunk.length));
  assert.equal(await running, EXIT.ok);
  assert.equal(length, PIECES * 64 * 1024);
});

test('import: bad XML is one line, with file, line and reason', async () => {
  using directory = new Directory();
  const file = directory.file(
    'bad.xml',
    `<server-data xmlns='urn:xmpp:pie:0'>\n<host jid='capulet.lit'>\n<user name='juliet'>\n<a></b>\n</user></host></server-data>`,
  );
  const { code, out, err } = await run(['import', file], { env: directory.env, modules: moduleSchemas(), dataTools });
  assert.deepEqual([code, out], [EXIT.failed, '']);
  assert.equal(err, `ERR_IMPORT_XML: ${file}, line 4: An end tag does not match its start tag. Nothing was imported.\n`);
});
