/** The client of crash drills against a server whose every word the test knows: what it tells of a server has to be true. XEP-0198 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readArchive } from '../../bench/drill/archive.ts';
import type { SentMessage } from '../../bench/drill/checker.ts';
import { DrillClient, NoStreamManagement } from '../../bench/drill/client.ts';
import { ScriptedServer, type ScriptedConnection } from './scripted-server.ts';

interface Scene extends AsyncDisposable {
  readonly server: ScriptedServer;
  readonly client: DrillClient;
  readonly connection: ScriptedConnection;
  /** What the client has told of. */
  readonly told: string[];
  /** Resolves once the client has told of `what`. */
  tells(what: string): Promise<void>;
  /** Sends a numbered message. */
  say(n: number): SentMessage;
}

/** Logged in, with a session `one`, its first presence seen. */
async function scene(): Promise<Scene> {
  const server = await ScriptedServer.start();
  const told: string[] = [];
  let wake: () => void = () => undefined;
  const tell = (what: string): void => {
    told.push(what);
    wake();
  };
  const client = new DrillClient({
    target: { host: '127.0.0.1', port: server.port, domain: 'localhost' },
    credentials: { local: 'juliet', password: 'secret', keys: new Map() },
    resource: 'drill',
    acknowledgesUnasked: false,
    onMessage: (body, from, archiveId) => tell(`message ${body} from ${from}${archiveId === undefined ? '' : ` as ${archiveId}`}`),
    onReturned: (id) => tell(`returned ${id}`),
    onLost: () => tell('lost'),
    onBack: (how) => tell(how),
    onViolation: (text) => tell(`violation: ${text}`),
  });
  const started = client.start();
  const connection = await server.connection();
  await connection.login();
  await connection.bind('one');
  await started;
  await connection.receives(/<presence\/>/);
  connection.send(`<a xmlns='urn:xmpp:sm:3' h='1'/>`);
  return {
    server,
    client,
    connection,
    told,
    tells: async (what) => {
      while (!told.includes(what)) await new Promise<void>((resolve) => (wake = resolve));
    },
    say: (n) => {
      const message: SentMessage = { isAcknowledged: false, isResent: false, isReturned: false };
      client.sendMessage(`<message to='romeo@localhost' id='m${n}'><body>${n}</body></message>`, message);
      return message;
    },
    async [Symbol.asyncDispose]() {
      await client.stop();
      await server[Symbol.asyncDispose]();
    },
  };
}

const message = (n: number, more = ''): string => `<message from='romeo@localhost/orchard' type='chat'><body>${n}</body>${more}</message>`;
const bodies = (text: string): string[] => [...text.matchAll(/<body>(\d+)<\/body>/g)].map(([, n]) => n!);

test('§Acks: h counts message, presence and iq, and nothing else', async () => {
  await using s = await scene();
  s.connection.send(`${message(0)}<presence from='romeo@localhost/orchard'/><r xmlns='urn:xmpp:sm:3'/>`);
  await s.connection.receives(/<a xmlns='urn:xmpp:sm:3' h='2'\/>/);
  s.client.sendPing();
  await s.connection.receives(/<iq type='get' id='p0' to='localhost'>/);
  s.connection.send(`<r xmlns='urn:xmpp:sm:3'/>  <a xmlns='urn:xmpp:sm:3' h='1'/><iq type='result' id='p0'/><r xmlns='urn:xmpp:sm:3'/>`);
  await s.connection.receives(/<a xmlns='urn:xmpp:sm:3' h='2'\/><a xmlns='urn:xmpp:sm:3' h='3'\/>/);
});

test('§Resumption: it tells what it has handled, and resends exactly what the server has not, in order', async () => {
  await using s = await scene();
  const sent = [0, 1, 2, 3].map((n) => s.say(n));
  await s.connection.receives(/<body>3<\/body><\/message>/);
  s.connection.send(`${message(7)}<a xmlns='urn:xmpp:sm:3' h='2'/>`);
  await s.tells('message 7 from romeo@localhost/orchard');
  s.client.cut('test');
  const later = s.say(4); // while there is no connection

  const next = await s.server.connection();
  await next.login();
  await next.receives(/<resume xmlns='urn:xmpp:sm:3' h='1' previd='one'\/>/);
  next.send(`<resumed xmlns='urn:xmpp:sm:3' previd='one' h='3'/>`);
  const [text] = await next.receives(/.*<body>4<\/body><\/message>/s);
  assert.deepEqual(bodies(text), ['2', '3', '4']);
  assert.ok(!text.includes('delay') && !text.includes('<presence'), 'the same session goes on');
  assert.deepEqual(
    sent.map(({ isAcknowledged }) => isAcknowledged),
    [true, true, false, false],
  );
  next.send(`<a xmlns='urn:xmpp:sm:3' h='6'/>${message(8)}`);
  await s.tells('message 8 from romeo@localhost/orchard');
  assert.ok([...sent, later].every(({ isAcknowledged, isResent }) => isAcknowledged && !isResent));
  next.send(`<r xmlns='urn:xmpp:sm:3'/>`);
  await next.receives(/<a xmlns='urn:xmpp:sm:3' h='2'\/>/); // carried over
  assert.deepEqual(s.told.slice(0, 4), ['anew', 'message 7 from romeo@localhost/orchard', 'lost', 'resumed']);
});

test('§Resumption: a resumption that is cut off is tried again', async () => {
  await using s = await scene();
  s.client.cut('test');
  const cutOff = await s.server.connection();
  await cutOff.login();
  await cutOff.receives(/<resume [^>]*previd='one'\/>/);
  s.client.cut('test');
  await cutOff.ends();
  const next = await s.server.connection();
  await next.login();
  await next.receives(/<resume [^>]*previd='one'\/>/);
});

test('refused with h: what that covers is acknowledged, the rest is sent again behind presence, with its first time', async () => {
  await using s = await scene();
  const sent = [0, 1, 2].map((n) => s.say(n));
  await s.connection.receives(/<body>2<\/body><\/message>/);
  s.client.cut('test');
  const unwritten = s.say(3);
  const next = await s.server.connection();
  await next.login();
  await next.receives(/<resume [^>]*\/>/);
  next.send(`<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`);
  await next.bind('two');
  const [text] = await next.receives(/<presence\/>.*<body>3<\/body><\/message>/s);
  assert.deepEqual(bodies(text), ['1', '2', '3']);
  assert.equal(text.split("<delay xmlns='urn:xmpp:delay'").length - 1, 2, 'those that were sent before say when');
  assert.deepEqual(
    [...sent, unwritten].map(({ isAcknowledged, isResent }) => [isAcknowledged, isResent]),
    [
      [true, false],
      [false, true],
      [false, true],
      [false, false],
    ],
  );
  assert.ok(s.told.includes('refused'));
  assert.equal(s.client.failures, 1);
  next.send(`<a xmlns='urn:xmpp:sm:3' h='4'/>${message(9)}`); // counted anew: presence and three messages
  await s.tells('message 9 from romeo@localhost/orchard');
  assert.ok([...sent, unwritten].every(({ isAcknowledged }) => isAcknowledged));
  assert.ok(!s.told.some((what) => what.startsWith('violation')));
});

test('half-open: the old connection stays, silent and unheard, the session goes on over a new one', async () => {
  await using s = await scene();
  s.client.goHalfOpen('test');
  s.say(0);
  const next = await s.server.connection();
  s.connection.send(message(5)); // the server still believes in it
  await next.login();
  await next.receives(/<resume xmlns='urn:xmpp:sm:3' h='0' previd='one'\/>/);
  next.send(`<resumed xmlns='urn:xmpp:sm:3' previd='one' h='1'/>${message(5)}${message(6)}`);
  await next.receives(/<body>0<\/body><\/message>/);
  await s.tells('message 6 from romeo@localhost/orchard');
  assert.equal(s.told.filter((what) => what.startsWith('message 5')).length, 1);
  assert.ok(!s.connection.isOver);
  assert.ok(!s.connection.text.includes('<body>'));
});

test('a client that is away comes back when it is told to', async () => {
  await using s = await scene();
  s.client.goAway(Infinity, 'test');
  await s.tells('lost');
  s.client.comeBack();
  await (await s.server.connection()).login();
});

test('violations are told: more acknowledged than sent, acknowledgements taken back', async () => {
  await using s = await scene();
  s.say(0);
  s.connection.send(`<a xmlns='urn:xmpp:sm:3' h='3'/>`);
  await s.tells(`violation: <a h='3'/> acknowledges 2 of 1 stanzas`);

  await using t = await scene();
  t.say(0);
  t.connection.send(`<a xmlns='urn:xmpp:sm:3' h='2'/>${message(1)}`);
  await t.tells('message 1 from romeo@localhost/orchard');
  t.client.cut('test');
  const next = await t.server.connection();
  await next.login();
  await next.receives(/<resume [^>]*\/>/);
  next.send(`<resumed xmlns='urn:xmpp:sm:3' previd='one' h='1'/>`);
  await t.tells(`violation: <resumed h='1'/> takes back 1 acknowledgements`);
});

test('requests answered twice and those without an answer are counted', async () => {
  await using s = await scene();
  s.client.sendPing();
  s.client.sendPing();
  s.connection.send(`<iq type='result' id='p0'/><iq type='result' id='p0'/><r xmlns='urn:xmpp:sm:3'/>`);
  await s.connection.receives(/<a xmlns='urn:xmpp:sm:3' h='2'\/>/);
  assert.deepEqual([s.client.unanswered, s.client.answeredTwice], [1, 1]);
});

test('a message that comes back as an error is told as that, ids of the own archive as those', async () => {
  await using s = await scene();
  const id = (by: string, is: string): string => `<stanza-id xmlns='urn:xmpp:sid:0' by='${by}' id='${is}'/>`;
  s.connection.send(`<message from='romeo@localhost' type='error' id='m4'><body>4</body><error type='cancel'/></message>`);
  await s.tells('returned m4');
  s.connection.send(message(0, id('romeo@localhost', 'theirs') + id('juliet@localhost', 'ours')));
  await s.tells('message 0 from romeo@localhost/orchard as ours');
});

test('XEP-0313 §Querying, XEP-0059: the whole archive is read, page after page', async () => {
  await using s = await scene();
  const reading = readArchive(s.client);
  await s.connection.receives(/<iq type='get' id='q0' to='juliet@localhost'>/);
  s.connection.send(
    `<iq type='result' id='q0'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/></query></iq>`,
  );
  const result = (id: string, n: number): string =>
    `<message to='juliet@localhost/drill'><result xmlns='urn:xmpp:mam:2' queryid='drill' id='${id}'><forwarded xmlns='urn:xmpp:forward:0'>` +
    `<message xmlns='jabber:client' from='romeo@localhost'><body>${n}</body></message></forwarded></result></message>`;
  const fin = (attribute: string, last: string): string =>
    `<fin xmlns='urn:xmpp:mam:2'${attribute}><set xmlns='http://jabber.org/protocol/rsm'><last>${last}</last></set></fin>`;
  await s.connection.receives(/<iq type='set' id='q1'(?:(?!<after>).)*<\/iq>/);
  s.connection.send(`${result('x', 0)}${result('y', 1)}<iq type='result' id='q1'>${fin('', 'y')}</iq>`);
  await s.connection.receives(/<iq type='set' id='q2'.*?<after>y<\/after>/);
  s.connection.send(`${result('z', 2)}<iq type='result' id='q2'>${fin(" complete='true'", 'z')}</iq>`);
  assert.deepEqual(await reading, [
    { id: 'x', body: '0' },
    { id: 'y', body: '1' },
    { id: 'z', body: '2' },
  ]);
});

test('a server without stream management is told from one that fails', async () => {
  await using server = await ScriptedServer.start();
  const client = new DrillClient({
    target: { host: '127.0.0.1', port: server.port, domain: 'localhost' },
    credentials: { local: 'juliet', password: 'secret', keys: new Map() },
    resource: 'drill',
    acknowledgesUnasked: false,
    onMessage: () => undefined,
    onReturned: () => undefined,
    onLost: () => undefined,
    onBack: () => undefined,
    onViolation: () => undefined,
  });
  const started = client.start();
  const connection = await server.connection();
  await connection.login();
  await connection.receives(/<iq type='set' id='bind'>.*?<\/iq>/);
  connection.send(
    `<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@localhost/drill</jid></bind></iq>`,
  );
  await connection.receives(/<enable [^>]*\/>/);
  connection.send(`<failed xmlns='urn:xmpp:sm:3'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`);
  await assert.rejects(started, NoStreamManagement);
  await client.stop();
});
