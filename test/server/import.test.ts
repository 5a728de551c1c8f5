/** What was imported is an account like any other. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LoadClient } from '../../bench/load/client.ts';
import { loadConfig } from '../../src/config/load.ts';
import { dataTools } from '../../src/server/data-tools.ts';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { makeDataDir, run } from './whole-server.ts';

const message = (id: string, text: string, extra = ''): string =>
  `<message xmlns='jabber:client' id='${id}' from='romeo@montague.lit/orchard' to='juliet@localhost' type='chat'><body>${text}</body>${extra}</message>`;

const FILE = `<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='juliet' password='O Romeo, Romeo'>
  <offline-messages>
    ${message('m1', 'first', "<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2026-01-02T03:04:05Z'/>")}
    ${message('m2', 'second', "<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2026-01-02T03:04:06Z'/>")}
  </offline-messages>
  <query xmlns='jabber:iq:roster'><item jid='romeo@montague.lit' name='Romeo' subscription='both'><group>Friends</group></item></query>
  <presence xmlns='jabber:client' type='subscribe' from='mercutio@montague.lit'/>
</user></host></server-data>`;

test('an imported account: its password, its roster, its waiting request and messages, before and after it goes on', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rookery-import-'));
  const dataDir = await makeDataDir();
  try {
    writeFileSync(join(directory, 'juliet.xml'), FILE);
    const values = { dataDir, domains: ['localhost'], accounts: { scramIterations: 4_096 } };
    const { config } = loadConfig({ env: {}, modules: moduleSchemas(), values });
    await dataTools.importAccounts(config, { file: join(directory, 'juliet.xml'), domain: undefined, isOverwriting: false });

    await using running = await run({}, dataDir);
    const open = () => LoadClient.open({ host: '127.0.0.1', port: running.server.ports.c2s[0]!, domain: 'localhost' }, 'juliet');
    const juliet = await open();
    await juliet.logIn('O Romeo, Romeo', 'SCRAM-SHA-256', 'balcony');
    const roster = await juliet.ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>", /id='r'/);
    assert.match(roster, /<item jid='romeo@montague\.lit' subscription='both' name='Romeo'><group>Friends<\/group><\/item>/);
    const greeting = await juliet.ask('<presence/>', /(?=.*id='m2'.*<\/message>)(?=.*type='subscribe')/s);
    assert.match(greeting, /<presence [^>]*from='mercutio@montague\.lit'[^>]*type='subscribe'/);
    assert.match(greeting, /id='m1'.*<body>first<\/body>.*stamp='2026-01-02T03:04:05.000Z'.*id='m2'.*<body>second<\/body>/s);
    const own = await juliet.ask(
      "<message to='juliet@localhost' type='chat' id='own'><body>to myself</body></message>",
      /id='own'.*<\/message>/s,
    );
    assert.ok(!own.includes("id='m1'"));
    juliet.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
