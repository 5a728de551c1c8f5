/** A client nobody here wrote: npm's @xmpp/client, over STARTTLS and over direct TLS. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { client, xml } from '@xmpp/client';
import { ServerProcess } from './server-process.ts';

/** @xmpp/client has no types of its own for this. */
type Stanza = {
  is(name: string): boolean;
  attrs: Record<string, string>;
  getChildText(name: string): string | null;
  getChild(name: string, ns?: string): Stanza | undefined;
  getChildren(name: string): Stanza[];
};
type Client = ReturnType<typeof client>;

/** Node's TLS takes trust from the process only; these connect to loopback with a certificate made a second ago. */
process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
process.removeAllListeners('warning');

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
    const seen = nextStanza(romeo, (stanza) => stanza.is('presence') && stanza.attrs['from'] === 'juliet@localhost/balcony');
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
    const again = client({ service, domain: 'localhost', resource: 'balcony', username: 'juliet', password: 'a password' });
    again.reconnect.stop();
    // It does not count the answers to its own requests, so it has acknowledged too little: the last message comes again, too.
    const kept = nextStanza(again, (stanza) => stanza.is('message') && stanza.getChildText('body') === 'kept');
    await again.start();
    await again.send(xml('presence'));
    const message = await kept;
    assert.equal(message.getChildText('body'), 'kept');
    assert.ok(message.getChild('delay', 'urn:xmpp:delay'));
    await romeo.stop();
    await again.stop();
  });
}
