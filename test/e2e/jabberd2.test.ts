/** Debian's jabberd2, without its router: sm, c2s and s2s bind to ours, and their users and ours talk. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasJabberd2, startJabberd2 } from '../harness/jabberd2.ts';
import { freePort } from '../harness/own-process.ts';
import { StreamClient } from '../harness/stream-client.ts';
import { tcpTarget } from '../harness/tcp-target.ts';
import { childElements, type XmlElement } from '../harness/xml.ts';
import { ServerProcess } from './server-process.ts';

const FILE = `
[router_users.jabberd]
secret = "the secret of jabberd2"
bind = ["*"]
default_route = true
`;

async function logIn(port: number, domain: string, local: string): Promise<StreamClient> {
  const connection = await tcpTarget({ host: '127.0.0.1', port, domain }).connect();
  const client = new StreamClient(connection, { name: local, domain, captures: new Map(), log: [], settle: () => Promise.resolve() });
  await client.logsIn({ local, password: 'secret' });
  await client.binds('here');
  return client;
}

const isMessage =
  (body: string) =>
  (element: XmlElement): boolean =>
    element.name === 'message' && childElements(element).some((child) => child.name === 'body' && child.children[0] === body);

test(
  'jabberd2: its session manager, client listener and server links on our router listener',
  { skip: hasJabberd2 ? false : 'jabberd2 is not installed' },
  async () => {
    const routerPort = await freePort();
    const [c2sPort, s2sPort] = [await freePort(), await freePort()];
    await using server = await ServerProcess.start(
      { ROOKERY_DOMAIN: 'capulet.lit', ROOKERY_WORKERS: '2', ROOKERY_TLS_REQUIRED: 'false', ROOKERY_ROUTER_PORT: String(routerPort) },
      FILE,
    );
    for (const name of ['juliet', 'nurse', 'tybalt']) await server.addUser(`${name}@capulet.lit`, 'secret');
    await using jabberd2 = await startJabberd2({
      routerPort,
      user: 'jabberd',
      secret: 'the secret of jabberd2',
      domain: 'montague.lit',
      c2sPort,
      s2sPort,
    });
    for (const name of ['sm', 'montague.lit', 'c2s', 's2s'])
      await server.logged(({ what, name: bound }) => what === 'name_bound' && bound === name);

    const list = await server.cli(['component', 'list']);
    for (const names of ['sm montague.lit', 'c2s', 's2s'])
      assert.match(list.stdout, new RegExp(`jabberd +connected +router +${names} +127`));

    // Their c2s and sm talk to each other through us: a session of their own begins.
    const romeo = await logIn(c2sPort, 'montague.lit', 'romeo');
    await romeo.sends(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>`);
    await romeo.takes('the roster', ({ attrs }) => attrs['id'] === 'r');

    for (const [index, name] of ['juliet', 'nurse', 'tybalt'].entries()) {
      const ours = await logIn(server.port, 'capulet.lit', name);
      await ours.sends('<presence/>');
      await romeo.sends(`<message to='${name}@capulet.lit' type='chat' id='m${index}'><body>hello ${name} ünïcode 🌹</body></message>`);
      const heard = await ours.takes('his message', isMessage(`hello ${name} ünïcode 🌹`));
      assert.equal(heard.attrs['from'], 'romeo@montague.lit/here');
      await ours.sends(`<message to='romeo@montague.lit' type='chat'><body>here is ${name}</body></message>`);
      const answer = await romeo.takes('the answer', isMessage(`here is ${name}`));
      assert.equal(answer.attrs['from'], `${name}@capulet.lit/here`);

      // An IQ each way.
      await ours.sends(`<iq to='montague.lit' type='get' id='v'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
      const info = await ours.takes('disco of jabberd2', ({ attrs }) => attrs['id'] === 'v');
      assert.equal(childElements(childElements(info)[0]!).find((child) => child.name === 'identity')?.attrs['name'], 'jabberd2');
      await romeo.sends(`<iq to='capulet.lit' type='get' id='w${index}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
      const own = await romeo.takes('disco of ours', ({ attrs }) => attrs['id'] === `w${index}`);
      assert.equal(own.attrs['type'], 'result');

      // A subscription, and presence both ways.
      await ours.sends(`<presence to='romeo@montague.lit' type='subscribe'/>`);
      await romeo.takes('the request', ({ attrs }) => attrs['type'] === 'subscribe' && attrs['from'] === `${name}@capulet.lit`);
      await romeo.sends(`<presence to='${name}@capulet.lit' type='subscribed'/>`);
      await ours.takes('his presence', ({ attrs }) => attrs['from'] === 'romeo@montague.lit/here');
      ours.discard();
    }

    // What nobody has goes to their s2s, which finds no such server.
    const juliet = await logIn(server.port, 'capulet.lit', 'juliet');
    await juliet.sends(`<message to='x@nowhere.invalid' type='chat' id='n'><body>?</body></message>`);
    const error = await juliet.takes('the error', ({ attrs }) => attrs['id'] === 'n' && attrs['type'] === 'error');
    assert.ok(
      childElements(error)
        .flatMap(childElements)
        .some(({ name }) => name === 'remote-server-not-found' || name === 'remote-server-timeout'),
    );
    const nobody = `<message to='nobody-here@capulet.lit' type='chat' id='o'><body>?</body></message>`;
    await romeo.sends(nobody);
    await romeo.takes('the error', ({ attrs }) => attrs['id'] === 'o' && attrs['type'] === 'error');

    // We end and come back: they bind again.
    await server.kill();
    await server.launch();
    for (const name of ['sm', 'montague.lit', 'c2s', 's2s'])
      await server.logged(({ what, name: bound }) => what === 'name_bound' && bound === name);
    const nurse = await logIn(server.port, 'capulet.lit', 'nurse');
    await nurse.sends(`<iq to='montague.lit' type='get' id='v'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    assert.equal((await nurse.takes('disco of jabberd2', ({ attrs }) => attrs['id'] === 'v')).attrs['type'], 'result');
    assert.ok(!server.log.some(({ what }) => what === 'actor_crashed'), 'an actor crashed');
    assert.match(readFileSync(join(jabberd2.directory, 'sm.log'), 'utf8'), /connection to router established/);
  },
);
