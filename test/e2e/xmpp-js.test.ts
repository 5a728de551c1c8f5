/** A client nobody here wrote: npm's @xmpp/client, over STARTTLS and over direct TLS. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { client as makeClient, xml, type FastToken } from '@xmpp/client';
import { patient } from './patient.ts';
import { ServerProcess } from './server-process.ts';

/** @xmpp/client has no types of its own for this. */
type Stanza = {
  is(name: string): boolean;
  attrs: Record<string, string>;
  getChildText(name: string): string | null;
  getChild(name: string, ns?: string): Stanza | undefined;
  getChildren(name: string): Stanza[];
};
type Client = ReturnType<typeof makeClient>;

/** Node's TLS takes trust from the process only; these connect to loopback with a certificate made a second ago. */
process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
process.removeAllListeners('warning');

function client(options: Parameters<typeof makeClient>[0]): Client {
  return patient(makeClient(options));
}

function nextStanza(from: Client, accept: (stanza: Stanza) => boolean): Promise<Stanza> {
  return new Promise((resolve, reject) => {
    const listener = (stanza: unknown): void => {
      if (!accept(stanza as Stanza)) return;
      from.removeListener('stanza', listener);
      resolve(stanza as Stanza);
    };
    from.on('stanza', listener);
    from.once('error', reject);
  });
}

async function logIn(service: string, username: string, resource: string): Promise<Client> {
  const xmpp = client({ service, domain: 'localhost', resource, username, password: 'a password' });
  xmpp.reconnect.stop();
  xmpp.on('error', () => undefined); // of interest where something is awaited; else it is that the server ends before the client has
  await xmpp.start();
  return xmpp;
}

for (const kind of ['STARTTLS', 'direct TLS'] as const) {
  test(`@xmpp/client over ${kind}: login, roster both ways, presence, chat, offline`, async () => {
    await using server = await ServerProcess.start({ ROOKERY_DOMAIN: 'localhost' });
    for (const name of ['romeo', 'juliet']) await server.addUser(`${name}@localhost`, 'a password');
    assert.match(readFileSync(server.certificateFile, 'utf8'), /BEGIN CERTIFICATE/);
    const service = kind === 'STARTTLS' ? `xmpp://127.0.0.1:${server.port}` : `xmpps://127.0.0.1:${server.tlsPort}`;
    const romeo = await logIn(service, 'romeo', 'orchard');
    const juliet = await logIn(service, 'juliet', 'balcony');

    await romeo.iqCaller.get(xml('query', 'jabber:iq:roster'));
    await juliet.iqCaller.get(xml('query', 'jabber:iq:roster'));
    await romeo.send(xml('presence'));
    await juliet.send(xml('presence'));

    const asked = nextStanza(juliet, (stanza) => stanza.is('presence') && stanza.attrs['type'] === 'subscribe');
    await romeo.send(xml('presence', { to: 'juliet@localhost', type: 'subscribe' }));
    assert.equal((await asked).attrs['from'], 'romeo@localhost');
    const seen = nextStanza(romeo, (stanza) => stanza.is('presence') && stanza.attrs['from']!.startsWith('juliet@localhost/balcony/'));
    await juliet.send(xml('presence', { to: 'romeo@localhost', type: 'subscribed' }));
    await seen;

    const pushed = nextStanza(romeo, (stanza) => stanza.is('iq') && stanza.attrs['type'] === 'set');
    await romeo.iqCaller.set(xml('query', 'jabber:iq:roster', xml('item', { jid: 'juliet@localhost', name: 'Juliet' })));
    const item = (await pushed).getChild('query', 'jabber:iq:roster')?.getChild('item');
    assert.deepEqual([item?.attrs['name'], item?.attrs['subscription']], ['Juliet', 'to']);

    const heard = nextStanza(juliet, (stanza) => stanza.is('message'));
    await romeo.send(xml('message', { to: 'juliet@localhost', type: 'chat' }, xml('body', {}, 'Wherefore? <&> ’tis ünïcode 🌹')));
    assert.equal((await heard).getChildText('body'), 'Wherefore? <&> ’tis ünïcode 🌹');

    const gone = nextStanza(romeo, (stanza) => stanza.is('presence') && stanza.attrs['type'] === 'unavailable');
    await juliet.stop();
    await gone;
    await romeo.send(xml('message', { to: 'juliet@localhost', type: 'chat' }, xml('body', {}, 'kept')));
    await romeo.iqCaller.get(xml('ping', 'urn:xmpp:ping'));
    // It logs in by SASL2 and Bind 2: what waited is in the archive, and comes from there.
    const again = await logIn(service, 'juliet', 'balcony');
    const kept = nextStanza(again, (stanza) => stanza.is('message') && stanza.getChild('result', 'urn:xmpp:mam:2') !== undefined);
    await again.iqCaller.set(
      xml('query', 'urn:xmpp:mam:2', xml('set', 'http://jabber.org/protocol/rsm', xml('max', {}, '1'), xml('before'))),
    );
    const message = (await kept)
      .getChild('result', 'urn:xmpp:mam:2')
      ?.getChild('forwarded', 'urn:xmpp:forward:0')
      ?.getChild('message', 'jabber:client');
    assert.equal(message?.getChildText('body'), 'kept');
    await romeo.stop();
    await again.stop();
  });
}

test('@xmpp/client: SASL2 with Bind 2 and a token, which outlives the server', async () => {
  await using server = await ServerProcess.start({ ROOKERY_DOMAIN: 'localhost' });
  await server.addUser('romeo@localhost', 'a password');
  const service = `xmpps://127.0.0.1:${server.tlsPort}`;
  const userAgent = xml('user-agent', { id: randomUUID() }, xml('software', {}, 'xmpp.js'));
  let token: FastToken | undefined;
  const tokens: string[] = [];
  const make = (password: string): Client => {
    const xmpp = client({ service, domain: 'localhost', resource: 'orchard', username: 'romeo', password, userAgent });
    xmpp.reconnect.stop();
    xmpp.on('error', () => undefined); // the server is killed under it
    xmpp.fast.fetchToken = async () => token;
    xmpp.fast.saveToken = async (fresh) => {
      token = fresh;
      tokens.push(fresh.token);
    };
    return xmpp;
  };
  const first = make('a password');
  const jid = String(await first.start());
  assert.match(jid, /^romeo@localhost\/orchard\/[\w-]{12}$/);
  assert.equal(first.streamManagement.enabled, true);
  assert.equal(token?.mechanism, 'HT-SHA-256-NONE');
  await first.stop();

  const second = make('not the password');
  assert.equal(String(await second.start()), jid); // Bind 2 gives the same client the same resource
  assert.equal(tokens.length, 2);
  assert.ok(second.streamManagement.id !== '');

  await server.kill();
  await server.launch();
  const third = make('not the password');
  assert.equal(String(await third.start()), jid);
  assert.equal(tokens.length, 3);
  assert.equal(new Set(tokens).size, 3);
  await third.stop();
});

test('@xmpp/client: a session is taken up with the login, and goes on being counted', async () => {
  await using server = await ServerProcess.start({ ROOKERY_DOMAIN: 'localhost' });
  await server.addUser('romeo@localhost', 'a password');
  const service = `xmpps://127.0.0.1:${server.tlsPort}`;
  const romeo = client({ service, domain: 'localhost', resource: 'orchard', username: 'romeo', password: 'a password' });
  romeo.reconnect.delay = 1;
  const { streamManagement } = romeo;
  const isAcked = (body: string): Promise<void> =>
    new Promise((resolve, reject) => {
      streamManagement.on('ack', (stanza) => (stanza as Stanza).getChildText('body') === body && resolve());
      streamManagement.on('fail', (stanza) => reject(new Error(`given up: ${String(stanza)}`)));
    });
  const says = (body: string): Promise<void> => romeo.send(xml('message', { to: 'romeo@localhost', type: 'chat' }, xml('body', {}, body)));

  try {
    await romeo.start();
    await romeo.send(xml('presence'));
    const before = isAcked('before');
    await says('before');
    await before;
    const { id } = streamManagement;
    const resumed = new Promise<void>((resolve) => streamManagement.once('resumed', resolve));
    romeo.socket.socket.destroy();
    await resumed;
    const after = isAcked('after');
    await says('after');
    await after;
    assert.deepEqual([streamManagement.enabled, streamManagement.id], [true, id]);
  } finally {
    romeo.reconnect.stop();
    await romeo.stop();
  }
});
