/** The server as a library, as the README shows it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startServer } from '../../src/server.ts';

test('the example of the README passes as printed', async (t) => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const example = /^```js\n(?<code>.*?)^```$/ms.exec(readme)?.groups?.['code'] ?? '';
  // It stands in a project that has these installed.
  const installed = { rookery: new URL('../../src/server.ts', import.meta.url).href, '@xmpp/client': import.meta.resolve('@xmpp/client') };
  let code = example;
  for (const [name, url] of Object.entries(installed)) {
    assert.ok(example.includes(` from '${name}';`), `it imports ${name}`);
    code = code.replace(` from '${name}';`, ` from ${JSON.stringify(url)};`);
  }
  const directory = mkdtempSync(join(tmpdir(), 'rookery-example-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'example.test.mjs');
  writeFileSync(file, code);
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: '0' }; // as it says there
  delete env['NODE_TEST_CONTEXT']; // it is not a part of this run
  const { isPassed, output } = await new Promise<{ readonly isPassed: boolean; readonly output: string }>((resolve) => {
    execFile(process.execPath, ['--test-reporter=tap', file], { env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ isPassed: error === null, output: stdout + stderr }),
    );
  });
  assert.ok(isPassed, output);
  assert.match(output, /^ok 1 - juliet hears herself$/m);
});

test('what cannot be used is refused with a sentence', async () => {
  await assert.rejects(startServer({ domains: [] }), /domain/i);
  await using server = await startServer();
  await assert.rejects(server.createAccount('not an address', 'secret'), /is not the address of an account/);
  await assert.rejects(server.createAccount('juliet@localhost', ''), /password/);
  await server.createAccount('juliet@localhost', 'secret');
  await assert.rejects(server.createAccount('juliet@localhost', 'secret'), /exists already/);
  assert.equal(await server.removeAccount('juliet@localhost'), true);
  assert.equal(await server.removeAccount('juliet@localhost'), false);
  assert.match(server.certificate, /BEGIN CERTIFICATE/);
});
