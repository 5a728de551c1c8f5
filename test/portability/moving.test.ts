import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { test } from 'node:test';
import { ACCOUNTS, CREDENTIALS } from '../../src/core/accounts.ts';
import { SESSIONS, type SessionRow } from '../../src/core/session-rows.ts';
import type { ModuleSpec } from '../../src/core/module.ts';
import { ArchiveIds } from '../../src/log/archive-id.ts';
import { LOG, type LogEntry } from '../../src/log/entry.ts';
import { AccountLog } from '../../src/log/log.ts';
import { LOG_STATE, PENDING, SEGMENTS } from '../../src/log/segment.ts';
import { ITEMS } from '../../src/modules/roster/item.ts';
import { REQUESTS } from '../../src/modules/roster/request.ts';
import { CHANGES } from '../../src/modules/roster/roster.ts';
import { MODULES } from '../../src/modules/index.ts';
import { verify } from '../../src/pool.ts';
import { exportAccount } from '../../src/portability/export.ts';
import type { ScramRecord } from '../../src/sasl/scram-record.ts';
import { openMemory } from '../../src/store/memory.ts';
import { Batch, type Key, type Table } from '../../src/store/store.ts';
import { el } from '../../src/xml/element.ts';
import { parseElement } from '../../src/xml/tree.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';
import { makeStanza, type Stanza } from '../../src/xmpp/stanza.ts';
import { NOW, Scene } from './fixture.ts';

const JULIET = 'juliet@capulet.lit';
const ROMEO = 'romeo@montague.lit/orchard';

function message(from: string, to: string, text: string): Stanza {
  const jid = (address: string) => parseJid(address)!;
  return makeStanza(
    { kind: 'message', type: 'chat', id: `id-${text.length}`, lang: 'en', from: jid(from), to: jid(to) },
    el('body', 'jabber:client', {}, text),
  );
}

/** A log with gaps: some entries are archived, some only wait for a session, some are both. */
async function fillLog(scene: Scene, entries: number): Promise<void> {
  const log = new AccountLog({ state: undefined, tail: [] });
  let batch = new Batch(JULIET);
  const writer = {
    put: <V>(table: Table<V>, key: Key, value: V) => void batch.put(table, key, value),
    delete: <V>(table: Table<V>, key: Key) => void batch.delete(table, key),
  };
  for (let i = 1; i <= entries; i++) {
    if (i % 7 === 0) continue; // trimmed: it waits for nobody
    const direction = i % 3 === 0 ? 'out' : 'in';
    const stanza = direction === 'out' ? message(`${JULIET}/balcony`, ROMEO, `<${i}> & you`) : message(ROMEO, JULIET, `${i}: "wherefore"`);
    const entry: LogEntry = {
      position: i,
      atMs: NOW - entries + i - (i % 2),
      direction,
      stanza,
      isArchived: i % 5 !== 0,
      isTombstone: i === 4,
      source: 0,
      origin: undefined,
      settledBelow: 0,
      deliveries: [],
    };
    if (log.append(entry, writer)) log.closeSegment(writer, log.next);
    if (direction === 'in' && (i % 5 === 0 || i > entries - 10)) writer.put(PENDING, [i], { bytes: stanza.bytes });
    if (batch.changes.length > 500) {
      await scene.store.commit(batch).promise;
      batch = new Batch(JULIET);
    }
  }
  await scene.store.commit(batch).promise;
}

async function fillRoster(scene: Scene): Promise<void> {
  const item = { name: '', groups: [], subscription: 'none', ask: false, approved: false } as const;
  await scene.put(JULIET, [
    [ITEMS, ['romeo@montague.lit'], { ...item, name: 'Romeo <\'&">', groups: ['Friends', 'A & B'], subscription: 'both' }],
    [ITEMS, ['nurse@capulet.lit'], { ...item, subscription: 'from', ask: true }],
    [ITEMS, ['paris@capulet.lit'], { ...item, approved: true }],
  ]);
  const nick = "<nick xmlns='http://jabber.org/protocol/nick'>M</nick>";
  const children = [{ name: 'nick', ns: 'http://jabber.org/protocol/nick' }];
  await scene.put(JULIET, [
    [REQUESTS, ['mercutio@montague.lit'], { id: 'x1', lang: undefined, body: nick, children }],
    [REQUESTS, ['tybalt@capulet.lit'], { id: undefined, lang: undefined, body: '', children: [] }],
  ]);
}

test('export, import, export: the same document, and the same rows but for what is made anew', async () => {
  using from = new Scene();
  await from.createAccount(JULIET);
  await fillRoster(from);
  await fillLog(from, 1_000);
  const document = await from.export(JULIET);
  const file = from.file('juliet.xml', document);
  using to = new Scene();
  const report = await to.import(file);
  assert.deepEqual(report.unknown, {});
  assert.deepEqual([report.accounts, report.replaced, report.withoutPasswordCount], [1, 0, 0]);
  assert.equal(await to.export(JULIET), document);
  for (const table of [ACCOUNTS, CREDENTIALS, ITEMS, REQUESTS, PENDING] as Table<unknown>[])
    assert.deepEqual(await to.rows(table, JULIET), await from.rows(table, JULIET), table.name);
  const brief = async (scene: Scene) => {
    const entries = (await scene.rows(LOG, JULIET)).map(([, entry]) => entry);
    const ids = new ArchiveIds((await scene.store.get(LOG_STATE, JULIET, []))!.key);
    const pending = new Set((await scene.rows(PENDING, JULIET)).map(([key]) => key[0]));
    return entries
      .filter(({ isArchived, position }) => isArchived || pending.has(position))
      .map((entry) => [ids.of(entry), entry.direction, entry.isArchived, entry.isTombstone, entry.stanza.toXml()]);
  };
  assert.deepEqual(await brief(to), await brief(from));
});

test('XEP-0359: without the key of its ids, or with none that is one, an archive is the same under ids of its own', async () => {
  using from = new Scene();
  await from.createAccount(JULIET);
  await fillLog(from, 700);
  const document = await from.export(JULIET);
  const attribute = / xmlns:rookery='[^']+' rookery:archive-key='[^']+'/;
  assert.match(document, attribute);
  const bodies = async (scene: Scene) => {
    const pending = new Set((await scene.rows(PENDING, JULIET)).map(([key]) => key[0]));
    const entries = (await scene.rows(LOG, JULIET)).map(([, entry]) => entry);
    const shown = entries.filter(({ isArchived, position }) => isArchived || pending.has(position));
    return shown.map(({ atMs, isArchived, position, stanza }) => `${atMs} ${isArchived} ${pending.has(position)} ${stanza.body}`).sort();
  };
  const key = (await from.store.get(LOG_STATE, JULIET, []))!.key;
  for (const [other, unknown] of [
    ['', {}],
    [` xmlns:r='urn:rookery:portable:0' r:archive-key='${key}A'`, { '{urn:rookery:portable:0}archive-key (attribute of a user)': 1 }],
  ] as const) {
    using to = new Scene();
    const report = await to.import(from.file('juliet.xml', document.replace(attribute, other)));
    assert.deepEqual(report.unknown, unknown);
    assert.deepEqual(await bodies(to), await bodies(from));
    assert.notEqual((await to.store.get(LOG_STATE, JULIET, []))!.key, key);
  }
});

test('an imported log is one that an account can go on with: closed segments, and nothing that is owed', async () => {
  using from = new Scene();
  await from.createAccount(JULIET);
  await fillLog(from, 700);
  using to = new Scene();
  await to.import(from.file('juliet.xml', await from.export(JULIET)));
  const state = await to.store.get(LOG_STATE, JULIET, []);
  const entries = (await to.rows(LOG, JULIET)).map(([, entry]) => entry);
  assert.equal(state!.openFrom, entries.at(-1)!.position + 1);
  assert.equal(state!.archived, entries.filter(({ isArchived }) => isArchived).length);
  assert.equal(
    state!.bytes,
    entries.reduce((sum, { stanza }) => sum + stanza.bytes, 0),
  );
  const segments = (await to.rows(SEGMENTS, JULIET)).map(([, segment]) => segment);
  assert.equal(segments.length, 3);
  assert.equal(
    segments.reduce((sum, { archived }) => sum + archived, 0),
    state!.archived,
  );
  for (const { direction, settledBelow, position } of entries) assert.ok(direction === 'in' || settledBelow > position);
});

test('XEP-0198 §5: what sessions had not acknowledged waits for the next one, elsewhere; not where the account is in use', async () => {
  using from = new Scene();
  await from.createAccount(JULIET);
  await fillLog(from, 20);
  const entry = (await from.store.get(LOG, JULIET, [19]))!;
  const deliveries = [
    { session: 1, seq: 9, form: 'plain' },
    { session: 2, seq: 4, form: 'carbon_received' },
  ] as const;
  await from.put(JULIET, [[LOG, [19], { ...entry, deliveries }]]);
  const row = (until: number, items: SessionRow['items']) => ({ token: 't', resource: 'r', until, items }) as unknown as SessionRow;
  await from.put(JULIET, [
    [
      SESSIONS,
      [1],
      row(18, [
        [8, 3, 'plain', NOW, []],
        [7, 2, 'carbon_sent', NOW, []],
      ]),
    ],
    [SESSIONS, [2], row(1, [[3, 4, 'plain', NOW, []]])], // a tombstone by now
  ]);
  await from.store.commit(new Batch(JULIET).delete(PENDING, [19])).promise;
  const pending = (await from.rows(PENDING, JULIET)).map(([key]) => key[0] as number);
  for (const [isInUse, expected] of [
    [true, pending],
    [false, [...pending, 3, 19].sort((one, other) => one - other)],
  ] as const) {
    using to = new Scene();
    await to.import(from.file('juliet.xml', await from.export(JULIET, isInUse)));
    assert.deepEqual(
      (await to.rows(PENDING, JULIET)).map(([key]) => key[0]),
      expected,
    );
  }
});

test('§4: the document is what the specification says', async () => {
  using scene = new Scene();
  await scene.createAccount(JULIET);
  await fillRoster(scene);
  await fillLog(scene, 12);
  const text = await scene.export(JULIET);
  assert.ok(text.startsWith("<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='urn:xmpp:pie:0'>"));
  const root = parseElement(text)!;
  const [user] = root.child('host')!.elements();
  assert.equal(root.child('host')!.attr('jid'), 'capulet.lit');
  assert.equal(user!.attr('name'), 'juliet');
  assert.equal(user!.attr('password'), undefined);
  assert.equal(user!.elements()[0]!.name, 'offline-messages'); // §9
  const scram = user!.childrenNamed('scram-credentials', 'urn:xmpp:pie:0#scram');
  assert.deepEqual(scram.map((each) => each.attr('mechanism')).sort(), ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512']);
  assert.deepEqual(
    scram[0]!.elements().map(({ name }) => name),
    ['iter-count', 'salt', 'server-key', 'stored-key'],
  );
  assert.equal(user!.child('query', 'jabber:iq:roster')!.elements().length, 3);
  const requests = user!.childrenNamed('presence', 'jabber:client');
  assert.deepEqual(
    requests.map((each) => [each.attr('type'), each.attr('from')]),
    [
      ['subscribe', 'mercutio@montague.lit'],
      ['subscribe', 'tybalt@capulet.lit'],
    ],
  );
  const archive = user!.child('archive', 'urn:xmpp:pie:0#mam')!.elements();
  const stamps = archive.map((result) => result.child('forwarded', 'urn:xmpp:forward:0')!.child('delay', 'urn:xmpp:delay')!.attr('stamp')!);
  assert.deepEqual(stamps, stamps.toSorted());
  assert.ok(
    archive.every(
      (result) =>
        result.is('result', 'urn:xmpp:mam:2') &&
        result.child('forwarded', 'urn:xmpp:forward:0')!.child('message', 'jabber:client') !== undefined,
    ),
  );
});

test('an account of any length is exported in pieces, none of them long', async () => {
  using scene = new Scene();
  await scene.createAccount(JULIET);
  await fillLog(scene, 5_000);
  let pieces = 0;
  let longest = 0;
  for await (const piece of exportAccount(scene.store, parseJid(JULIET)!, MODULES, true)) {
    pieces++;
    longest = Math.max(longest, piece.length);
  }
  assert.ok(pieces > 10 && longest < 80 * 1024, `${pieces} pieces, the longest of ${longest}`);
});

test('§4.2, §4.4: a password is hashed, credentials are taken over; both let their owner in', async () => {
  using scene = new Scene();
  await scene.createAccount(JULIET, 'O Romeo');
  const scram = /<scram-credentials [^>]*SHA-1'.*?<\/scram-credentials>/.exec(await scene.export(JULIET))![0];
  const file = scene.file(
    'two.xml',
    `<server-data xmlns='urn:xmpp:pie:0'><host jid='montague.lit'>
      <user name='one' password='O Romeo'/>
      <user name='two'>${scram}<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA3-512'/></user>
      <user name='three'/>
    </host></server-data>`,
  );
  const report = await scene.import(file);
  assert.deepEqual(report.withoutPassword, ['three@montague.lit']);
  assert.deepEqual(report.unknown, { '{urn:xmpp:pie:0#scram}scram-credentials': 1 });
  for (const [name, count] of [
    ['one', 3],
    ['two', 1],
  ] as const) {
    const records = await scene.rows(CREDENTIALS, `${name}@montague.lit`);
    assert.equal(records.length, count);
    for (const [, record] of records) assert.ok(verify({ password: opaqueString('O Romeo')!, record }));
  }
});

/** As Prosody's storage in this format writes it: one account per file, no declaration, prefixes of its own. */
const PROSODY = `<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'><user xmlns:ns1='http://prosody.im/protocol/extended-xep0227' ns1:created='1700000000' name='juliet'><scram-credentials mechanism='SCRAM-SHA-1' xmlns='urn:xmpp:pie:0#scram'><iter-count>10000</iter-count><salt>TmFDbE5hQ2xOYUNsTmFDbE5hQ2xOYUNsTmFDbE5hQ2xOYUNsTmFDbE5hQ2wK</salt><server-key>0pXWGK0GZJ6TR73AIUN3ITYtA1g=</server-key><stored-key>Q6qT/SbybblGCZz8e8eSfCJOQic=</stored-key></scram-credentials><vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard><query xmlns='jabber:iq:roster'><item subscription='both' jid='romeo@montague.lit' name='Romeo'><group>Friends</group></item><item subscription='none' ask='subscribe' jid='Nurse@capulet.lit'/></query><presence xmlns='jabber:client' type='subscribe' from='mercutio@montague.lit'><nick xmlns='http://jabber.org/protocol/nick'>Merc</nick></presence><archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='qwsxHyPyXFY2'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2024-07-10T23:08:25Z'/><message to='juliet@capulet.lit/balcony' from='romeo@montague.lit/orchard' xmlns='jabber:client' type='chat'><body>Call me but love</body><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@capulet.lit' id='qwsxHyPyXFY2'/></message></forwarded></result><result xmlns='urn:xmpp:mam:2' id='2-1'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2024-07-10T23:09:32Z'/><message from='juliet@capulet.lit/balcony' to='romeo@montague.lit/orchard' xmlns='jabber:client' id='8a54s'><body>What man art thou</body></message></forwarded></result></archive></user></host></server-data>`;

test('a file from Prosody', async () => {
  using scene = new Scene();
  const report = await scene.import(scene.file('juliet@capulet.lit.xml', PROSODY));
  assert.equal(report.accounts, 1);
  assert.deepEqual(report.unknown, {
    '{http://prosody.im/protocol/extended-xep0227}created (attribute of a user)': 1,
  });
  const [[, record]] = (await scene.rows(CREDENTIALS, JULIET)) as [[Key, ScramRecord]];
  assert.deepEqual([record.hash, record.iterations], ['SHA-1', 10_000]);
  assert.deepEqual(await scene.rows(ITEMS, JULIET), [
    [['nurse@capulet.lit'], { name: '', groups: [], subscription: 'none', ask: true, approved: false }],
    [['romeo@montague.lit'], { name: 'Romeo', groups: ['Friends'], subscription: 'both', ask: false, approved: false }],
  ]);
  // RFC 6121 §2.6.3: a client that says it knows an empty roster is told of each item.
  assert.equal((await scene.rows(CHANGES, JULIET)).length, 2);
  assert.equal((await scene.rows(REQUESTS, JULIET))[0]![1].children[0]!.name, 'nick');
  const entries = (await scene.rows(LOG, JULIET)).map(([, { position, atMs, direction, stanza, isArchived }]) => [
    position,
    new Date(atMs).toISOString(),
    direction,
    stanza.body,
    isArchived,
  ]);
  assert.deepEqual(entries, [
    [1, '2024-07-10T23:08:25.000Z', 'in', '<body>Call me but love</body>', true],
    [2, '2024-07-10T23:09:32.000Z', 'out', '<body>What man art thou</body>', true],
  ]);
  assert.deepEqual(await scene.rows(PENDING, JULIET), []);
});

const EJABBERD_HEAD = "<?xml version='1.0' encoding='UTF-8'?>";
const twice = (base64: string): string => Buffer.from(base64).toString('base64');

test('a server from ejabberd: a file per host (§5), keys in Base64 twice, offline messages', async () => {
  using scene = new Scene();
  const salt = Buffer.alloc(16, 7).toString('base64');
  const stored = Buffer.alloc(20, 8).toString('base64');
  const server = Buffer.alloc(20, 9).toString('base64');
  const main = `${EJABBERD_HEAD}<server-data xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='20260102-030405_capulet_lit.xml'/><xi:include href='montague%2Exml'/></server-data>`;
  scene.file(
    '20260102-030405_capulet_lit.xml',
    `${EJABBERD_HEAD}<host xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude' jid='capulet.lit'><user name='juliet'><scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'><iter-count>4096</iter-count><salt>${twice(salt)}</salt><server-key>${twice(server)}</server-key><stored-key>${twice(stored)}</stored-key></scram-credentials><offline-messages><message xmlns='jabber:client' from='romeo@montague.lit/orchard' to='juliet@capulet.lit' type='chat'><body>Neither, fair saint</body><delay xmlns='urn:xmpp:delay' from='capulet.lit' stamp='2025-07-21T00:32:29.123Z'>Offline Storage</delay></message></offline-messages><query xmlns='jabber:iq:privacy'><list name='x'><item action='deny' order='1' type='jid' value='tybalt@capulet.lit'/></list></query><query xmlns='jabber:iq:roster'><item jid='romeo@montague.lit' subscription='to'/></query><query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'/></query></user></host>`,
  );
  scene.file(
    'montague.xml',
    `${EJABBERD_HEAD}<host xmlns='urn:xmpp:pie:0' jid='montague.lit'><user name='romeo' password='scram:${twice(stored)},${twice(server)},${twice(salt)},4096'/><user name='benvolio' password=''/></host>`,
  );
  const report = await scene.import(scene.file('main.xml', main));
  assert.equal(report.accounts, 3);
  assert.deepEqual(report.withoutPassword, ['benvolio@montague.lit']);
  assert.deepEqual(report.unknown, {});
  for (const bare of [JULIET, 'romeo@montague.lit']) {
    assert.deepEqual(await scene.rows(CREDENTIALS, bare), [
      [['SHA-1'], { hash: 'SHA-1', iterations: 4_096, salt, storedKey: stored, serverKey: server }],
    ]);
  }
  const [[, entry]] = (await scene.rows(LOG, JULIET)) as [[Key, LogEntry]];
  assert.deepEqual(
    [entry.isArchived, new Date(entry.atMs).toISOString(), entry.stanza.body],
    [false, '2025-07-21T00:32:29.123Z', '<body>Neither, fair saint</body>'],
  );
  assert.deepEqual(await scene.rows(PENDING, JULIET), [[[1], { bytes: entry.stanza.bytes }]]);
});

test('§5: only files beside the first one are included', async () => {
  using scene = new Scene();
  mkdirSync(scene.path('inner'));
  scene.file('outside.xml', "<host xmlns='urn:xmpp:pie:0' jid='capulet.lit'/>");
  scene.file('inner/loop.xml', "<include xmlns='http://www.w3.org/2001/XInclude' href='loop.xml'/>");
  for (const [attributes, reason] of [
    ["href='../outside.xml'", 'outside of the directory'],
    ["href='a/../../outside.xml'", 'outside of the directory'],
    ["href='%2e%2e/outside.xml'", 'outside of the directory'],
    [`href='${scene.path('outside.xml')}'`, 'by a relative path'],
    ["href='file:///etc/passwd'", 'by a relative path'],
    ["href='http://example.org/x.xml'", 'by a relative path'],
    ["href=''", 'by a relative path'],
    ["href='x.xml' parse='text'", 'Only whole XML files'],
    ["href='x.xml' xpointer='a'", 'Only whole XML files'],
    ["href='missing.xml'", 'cannot be read (ENOENT)'],
    ["href='loop.xml'", 'too deeply'],
  ]) {
    const file = scene.file(
      'inner/main.xml',
      `<server-data xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude'>\n<xi:include ${attributes}/></server-data>`,
    );
    await assert.rejects(
      scene.import(file),
      (error: Error) => error.message.includes(reason!) || assert.fail(`${attributes}: ${error.message}`),
    );
  }
});

test('§5.1: a file per host, a file per user, and parts of a user in files of their own', async () => {
  using scene = new Scene();
  mkdirSync(scene.path('capulet.lit'));
  const xi = "xmlns:xi='http://www.w3.org/2001/XInclude'";
  const offline = `<offline-messages xmlns='urn:xmpp:pie:0'><message xmlns='jabber:client' from='romeo@montague.lit'><body>1</body></message></offline-messages>`;
  scene.file('capulet.lit/offline.xml', offline);
  scene.file('capulet.lit/roster.xml', "<query xmlns='jabber:iq:roster'><item jid='romeo@montague.lit'/></query>");
  scene.file(
    'capulet.lit/juliet.xml',
    `<?xml version='1.0'?><user xmlns='urn:xmpp:pie:0' ${xi} name='juliet'><xi:include href='roster.xml'/><xi:include href='offline.xml'/><vCard xmlns='vcard-temp'><xi:include href='../../etc/passwd'/></vCard></user>`,
  );
  scene.file(
    'capulet.lit.xml',
    `<host xmlns='urn:xmpp:pie:0' ${xi} jid='capulet.lit'><xi:include href='capulet.lit/juliet.xml'/><user name='nurse'/></host>`,
  );
  const report = await scene.import(
    scene.file('main.xml', `<server-data xmlns='urn:xmpp:pie:0' ${xi}><xi:include href='capulet.lit.xml'/></server-data>`),
  );
  assert.deepEqual(report.unknown, {});
  assert.deepEqual(await scene.store.partitions(ACCOUNTS), [JULIET, 'nurse@capulet.lit']);
  assert.equal((await scene.rows(ITEMS, JULIET)).length, 1);
  assert.equal((await scene.rows(PENDING, JULIET)).length, 1);
  // A part that is broken is said with its own name.
  scene.file('capulet.lit/roster.xml', "<query xmlns='jabber:iq:roster'>\n<item></query>");
  await assert.rejects(scene.import(scene.path('main.xml'), { isOverwriting: true }), {
    code: 'ERR_IMPORT_XML',
    message: /roster\.xml, line 2: /,
  });
});

test('what is wrong with a file is said with file and line, and nothing is imported', async () => {
  using scene = new Scene();
  const around = (users: string) => `<server-data xmlns='urn:xmpp:pie:0'>\n<host jid='capulet.lit'>\n${users}\n</host>\n</server-data>`;
  for (const [text, line, reason] of [
    [
      around("<user name='juliet'>\n<vCard xmlns='vcard-temp'>\n<FN>Juliet</FM></vCard></user>"),
      5,
      'An end tag does not match its start tag.',
    ],
    [around("<user name='juliet'/>\n<user name='juliet'/>"), 4, 'is there twice'],
    [around("<user name='juliet'/>\n<user name='Juliet'/>"), 4, 'is there twice'],
    [around('<user/>'), 3, 'A user has no name.'],
    [around("<user name='a b'/>"), 3, 'is not the address of an account'],
    ["<server-data xmlns='urn:xmpp:pie:0'><user name='a'/><host/></server-data>", 1, 'A host has no jid.'],
    ["<html xmlns='http://www.w3.org/1999/xhtml'/>", 1, 'This is no file of XEP-0227'],
    [around("<user name='juliet'>"), 4, 'An end tag does not match'],
  ] as const) {
    const file = scene.file('bad.xml', text);
    await assert.rejects(scene.import(file), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ERR_IMPORT_XML');
      assert.ok(error.message.includes(`bad.xml, line ${line}: `) && error.message.includes(reason), error.message);
      return true;
    });
    assert.deepEqual(await scene.store.partitions(ACCOUNTS), []);
  }
  await assert.rejects(scene.import(scene.path('none.xml')), { code: 'ERR_IMPORT_FILE' });
});

test('accounts that exist are left alone, or replaced with all they have; others are not touched', async () => {
  using scene = new Scene();
  await scene.createAccount(JULIET);
  await fillRoster(scene);
  const file = scene.file(
    'two.xml',
    "<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'><user name='nurse'/><user name='juliet'/></host></server-data>",
  );
  await assert.rejects(scene.import(file), { code: 'ERR_ACCOUNT_EXISTS', message: /^juliet@capulet\.lit exists already/ });
  assert.deepEqual(await scene.store.partitions(ACCOUNTS), [JULIET]);
  assert.equal((await scene.rows(ITEMS, JULIET)).length, 3);
  const report = await scene.import(file, { isOverwriting: true });
  assert.deepEqual([report.accounts, report.replaced], [2, 1]);
  assert.deepEqual(await scene.rows(ITEMS, JULIET), []);
  assert.deepEqual(await scene.rows(CREDENTIALS, JULIET), []);
});

test('--host: the accounts of a file under another domain; a domain that is not served is refused', async () => {
  using scene = new Scene();
  const file = scene.file(
    'old.xml',
    "<server-data xmlns='urn:xmpp:pie:0'><host jid='old.example'><user name='juliet' password='x'/></host></server-data>",
  );
  await assert.rejects(scene.import(file), { code: 'ERR_HOST_UNKNOWN' });
  await assert.rejects(scene.import(file, { domain: 'new.example' }), { code: 'ERR_HOST_UNKNOWN' });
  await scene.import(file, { domain: 'Montague.LIT' });
  assert.deepEqual(await scene.store.partitions(ACCOUNTS), ['juliet@montague.lit']);
});

test('rows of tables without an element of their own come back as they were; made-up ones do not get in', async () => {
  using from = new Scene();
  await from.createAccount(JULIET);
  const last = (await import('../../src/modules/last-activity.ts')).default.tables![0] as Table<{ atMs: number; status: string }>;
  await from.put(JULIET, [[last, [], { atMs: NOW, status: 'à bientôt <&>' }]]);
  const text = await from.export(JULIET);
  using to = new Scene();
  await to.import(from.file('juliet.xml', text));
  assert.deepEqual(await to.rows(last, JULIET), [[[], { atMs: NOW, status: 'à bientôt <&>' }]]);
  const forged = (table: string, version: string, row: string) =>
    `<rows xmlns='urn:rookery:portable:0' table='${table}'><row version='${version}' key='[]'>${row}</row></rows></user>`;
  for (const rows of [
    forged('account', '1', 'e30='),
    forged('log', '1', 'AAAA'),
    forged('gone', '1', 'e30='),
    forged('last_activity', '1', 'AAAA'),
    forged('last_activity', '9', 'e30='),
    forged('last_activity', '1', '*'),
    forged('last_activity', '1', 'e30=').replace("'[]'", "'{}'"),
  ]) {
    using scene = new Scene();
    const report = await scene.import(scene.file('forged.xml', (await from.export(JULIET)).replace(/<rows [^]*<\/user>/, rows)));
    assert.deepEqual(report.unknown, { '{urn:rookery:portable:0}rows': 1 }, rows);
    assert.deepEqual(await scene.rows(last, JULIET), []);
    assert.equal((await scene.rows(ACCOUNTS, JULIET)).length, 1);
  }
});

test('an import that is interrupted leaves no half account behind', async () => {
  const store = openMemory();
  using scene = new Scene(store);
  const users = Array.from(
    { length: 40 },
    (_, i) => `<user name='u${i}' password='x'><query xmlns='jabber:iq:roster'><item jid='romeo@montague.lit'/></query></user>`,
  );
  const file = scene.file('many.xml', `<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'>${users.join('')}</host></server-data>`);
  let calls = 0;
  const derive = async (): Promise<never[]> => {
    if (++calls > 20) throw new Error('the pool is gone');
    return [];
  };
  await assert.rejects(scene.import(file, { derive }), /the pool is gone/);
  const complete = new Set(await store.partitions(ACCOUNTS));
  assert.ok(complete.size >= 20 && complete.size < 40);
  for (const bare of complete) assert.equal((await store.get(ACCOUNTS, bare, []))!.isEnabled, true);
  const halves = (await store.partitions(ITEMS)).filter((bare) => !complete.has(bare));
  assert.deepEqual(halves, []);
});

test('XEP-0441: what the owner wants archived', async () => {
  const { PREFERENCES } = await import('../../src/modules/archive/preferences.ts');
  const { default: archive } = await import('../../src/modules/archive/index.ts');
  const modules = [archive] as readonly ModuleSpec[];
  using scene = new Scene();
  const text = `<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'><user name='juliet'>
    <prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>romeo@montague.lit</jid></always><never><jid>Tybalt@capulet.lit</jid></never></prefs>
  </user></host></server-data>`;
  const report = await scene.import(scene.file('prefs.xml', text), { modules });
  assert.deepEqual(report.unknown, {});
  const row = { default: 'roster', always: ['romeo@montague.lit'], never: ['tybalt@capulet.lit'] };
  assert.deepEqual(await scene.rows(PREFERENCES, JULIET), [[[], row]]);
  let exported = '';
  for await (const piece of exportAccount(scene.store, parseJid(JULIET)!, modules, false)) exported += piece;
  assert.match(exported, /<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>romeo@montague\.lit<\/jid><\/always><never>/);
});

test('XEP-0227 §4.7: privacy lists and the default one; rules that are none are left out, and said', async () => {
  const { LISTS, DEFAULT } = await import('../../src/modules/privacy/state.ts');
  using scene = new Scene();
  const query = (lists: string): string => `<query xmlns='jabber:iq:privacy'><default name='public'/>${lists}</query>`;
  const good = `<list name='public'><item type='jid' value='tybalt@example.com' action='deny' order='1'><presence-in/></item><item action='allow' order='2'/></list>`;
  const text = `<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'><user name='juliet'>${query(`${good}<list name='odd'><item action='maybe' order='1'/></list>`)}</user></host></server-data>`;
  const report = await scene.import(scene.file('lists.xml', text));
  assert.equal(Object.values(report.unknown).length, 1);
  const rules = [
    { order: 1, action: 'deny', type: 'jid', value: 'tybalt@example.com', kinds: ['presence-in'] },
    { order: 2, action: 'allow', value: '', kinds: [] },
  ];
  assert.deepEqual(await scene.rows(LISTS, JULIET), [[['public'], rules]]);
  assert.deepEqual(await scene.rows(DEFAULT, JULIET), [[[], 'public']]);
  assert.ok((await scene.export(JULIET)).includes(`<query xmlns='jabber:iq:privacy'><default name='public'/><list name='public'><item`));
});

test('what no client could be sent is left out, and said: messages beyond the size of a stanza, the end of an endless roster', async () => {
  using scene = new Scene();
  const long = 'x'.repeat(2_000);
  const stamp = "<delay xmlns='urn:xmpp:delay' stamp='2024-07-10T23:08:25Z'/>";
  const message = (body: string) => `<message xmlns='jabber:client' from='romeo@montague.lit'><body>${body}</body></message>`;
  const result = (body: string) =>
    `<result xmlns='urn:xmpp:mam:2'><forwarded xmlns='urn:xmpp:forward:0'>${stamp}${message(body)}</forwarded></result>`;
  const items = Array.from({ length: 50 }, (_, i) => `<item jid='contact${i}@montague.lit' name='${'n'.repeat(100)}'/>`);
  const text = `<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'><user name='juliet'>
    <offline-messages>${message(long)}${message('short')}</offline-messages>
    <query xmlns='jabber:iq:roster'>${items.join('')}</query>
    <archive xmlns='urn:xmpp:pie:0#mam'>${result('short')}${result(long)}</archive>
  </user></host></server-data>`;
  const report = await scene.import(scene.file('long.xml', text), { maxStanzaBytes: 1_000, maxAnswerBytes: 4_000 });
  assert.deepEqual(report.unknown, { '{jabber:client}message': 1, '{jabber:iq:roster}query': 1, '{urn:xmpp:mam:2}result': 1 });
  assert.equal((await scene.rows(LOG, JULIET)).length, 2);
  const kept = (await scene.rows(ITEMS, JULIET)).length;
  assert.ok(kept > 10 && kept < 40, String(kept));
});

test('an account whose import was killed is there, disabled, so that nobody else takes its name', async () => {
  const store = openMemory();
  using scene = new Scene(store);
  const file = scene.file(
    'one.xml',
    "<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'><user name='juliet' password='x'/></host></server-data>",
  );
  const reached = Promise.withResolvers<void>();
  const never = Promise.withResolvers<never>();
  const derive = (): Promise<never> => {
    reached.resolve();
    return never.promise;
  };
  const importing = scene.import(file, { derive });
  await reached.promise;
  while ((await store.get(ACCOUNTS, JULIET, [])) === undefined) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await store.get(ACCOUNTS, JULIET, []))!.isEnabled, false);
  never.reject(new Error('over'));
  await assert.rejects(importing, /over/);
  assert.equal(await store.get(ACCOUNTS, JULIET, []), undefined);
});
