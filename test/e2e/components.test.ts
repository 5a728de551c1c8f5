/** Components nobody here wrote, against the server as a process with two worker threads: npm's @xmpp/component and slixmpp's. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { client, xml } from '@xmpp/client';
import { component } from '@xmpp/component';
import { patient } from './patient.ts';
import { ServerProcess } from './server-process.ts';

const PYTHON = '/usr/bin/python3';
const STORY = fileURLToPath(new URL('slixmpp_component.py', import.meta.url));
const hasSlixmpp = spawnSync(PYTHON, ['-c', 'import slixmpp']).status === 0;

const SETTINGS = { ROOKERY_DOMAIN: 'localhost', ROOKERY_WORKERS: '2', ROOKERY_TLS_REQUIRED: 'false' };
const FILE = `
[components."echo.localhost"]
secret = "the secret of echo"
title = "Echo"
offline = "queue"
`;

process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'; // see xmpp-js.test.ts
process.removeAllListeners('warning');

/** These libraries have no types of their own. */
type Stanza = {
  is(name: string): boolean;
  attrs: Record<string, string>;
  getChild(name: string, ns?: string): Stanza | undefined;
  getChildren(name: string): Stanza[];
  getChildText(name: string): string | null;
};
type Listening = {
  on(event: string, listener: (value: unknown) => void): void;
  removeListener(event: string, listener: (value: unknown) => void): void;
};

function next(from: Listening, accept: (stanza: Stanza) => boolean): Promise<Stanza> {
  return new Promise((resolve) => {
    const listener = (stanza: unknown): void => {
      if (!accept(stanza as Stanza)) return;
      from.removeListener('stanza', listener);
      resolve(stanza as Stanza);
    };
    from.on('stanza', listener);
  });
}

async function logIn(server: ServerProcess, username: string): Promise<ReturnType<typeof client>> {
  const user = client({
    service: `xmpp://127.0.0.1:${server.port}`,
    domain: 'localhost',
    resource: 'here',
    username,
    password: 'a password',
  });
  patient(user);
  user.reconnect.stop();
  user.on('error', () => undefined); // it says so when the server ends, and counts acknowledgements wrongly
  await user.start();
  await user.send(xml('presence'));
  return user;
}

function echo(server: ServerProcess): ReturnType<typeof component> {
  const service = component({
    service: `xmpp://127.0.0.1:${server.componentPort}`,
    domain: 'echo.localhost',
    password: 'the secret of echo',
  });
  patient(service);
  service.reconnect.stop();
  service.on('error', () => undefined);
  service.on('stanza', (value) => {
    const stanza = value as Stanza;
    if (stanza.is('message') && stanza.attrs['type'] !== 'error')
      service
        .send(
          xml(
            'message',
            { to: stanza.attrs['from']!, from: stanza.attrs['to']!, type: 'chat' },
            xml('body', {}, `echo: ${stanza.getChildText('body')}`),
          ),
        )
        .catch(() => undefined); // what comes while it closes; after a cut the last message may come twice
  });
  service.iqCallee.get('jabber:iq:version', 'query', () => xml('query', 'jabber:iq:version', xml('name', {}, 'Echo')));
  return service;
}

test('@xmpp/component: messages and IQs with users of both workers, discovery, a server that is killed', async () => {
  await using server = await ServerProcess.start(SETTINGS, FILE);
  const names = ['anna', 'boris', 'clara', 'dieter'];
  for (const name of names) await server.addUser(`${name}@localhost`, 'a password');
  let service = echo(server);
  await service.start();
  const users = await Promise.all(names.map((name) => logIn(server, name)));
  for (const [index, user] of users.entries()) {
    const heard = next(user, (stanza) => stanza.is('message'));
    await user.send(xml('message', { to: 'anyone@echo.localhost', type: 'chat' }, xml('body', {}, `<${index}> ünïcode 🌹`)));
    assert.equal((await heard).getChildText('body'), `echo: <${index}> ünïcode 🌹`);
    const version = next(user, (stanza) => stanza.is('iq') && stanza.attrs['id'] === `v${index}`);
    await user.send(xml('iq', { to: 'echo.localhost', type: 'get', id: `v${index}` }, xml('query', 'jabber:iq:version')));
    assert.equal((await version).getChild('query', 'jabber:iq:version')?.getChildText('name'), 'Echo');
    const items = next(user, (stanza) => stanza.attrs['id'] === `d${index}`);
    await user.send(xml('iq', { to: 'localhost', type: 'get', id: `d${index}` }, xml('query', 'http://jabber.org/protocol/disco#items')));
    assert.deepEqual(
      (await items)
        .getChild('query')
        ?.getChildren('item')
        .map(({ attrs }) => attrs)
        .filter(({ jid }) => jid === 'echo.localhost'),
      [{ jid: 'echo.localhost', name: 'Echo' }],
    );
  }
  const list = await server.cli(['component', 'list']);
  assert.equal(list.code, 0, list.stderr);
  assert.match(list.stdout, /echo\.localhost +connected +component +echo\.localhost +127\.0\.0\.1 .* 8 +8\n/);
  assert.match((await server.cli(['metrics'])).stdout, /rookery_events_total\{event="componentStanzasIn"\} 8\n/);
  assert.doesNotMatch((await server.cli(['config', '--running'])).stdout, /the secret of/);

  // A message that is acknowledged to its sender while the component is away survives the server.
  await service.stop();
  await users[0]!.send(xml('message', { to: 'late@echo.localhost', type: 'chat' }, xml('body', {}, 'kept')));
  const pong = next(users[0]!, (stanza) => stanza.attrs['id'] === 'ping');
  await users[0]!.send(xml('iq', { to: 'localhost', type: 'get', id: 'ping' }, xml('ping', 'urn:xmpp:ping')));
  await pong;
  await server.kill();
  await server.launch();
  service = echo(server);
  const kept = next(service, (stanza) => stanza.is('message') && stanza.getChildText('body') === 'kept');
  await service.start();
  assert.equal((await kept).attrs['to'], 'late@echo.localhost');
  assert.ok(!server.log.some(({ what }) => what === 'actor_crashed'), 'an actor crashed');
  await service.stop();
});

test('@xmpp/component: a wrong secret is refused with not-authorized', async () => {
  await using server = await ServerProcess.start(SETTINGS, FILE);
  const service = component({ service: `xmpp://127.0.0.1:${server.componentPort}`, domain: 'echo.localhost', password: 'guessed' });
  patient(service);
  service.reconnect.stop();
  const refused = new Promise<{ condition?: string }>((resolve) =>
    service.on('error', (error) => resolve(error as { condition?: string })),
  );
  service.start().catch(() => undefined);
  assert.equal((await refused).condition, 'not-authorized');
});

test(
  'slixmpp: a component serves messages, IQs and subscriptions',
  { skip: hasSlixmpp ? false : 'python3-slixmpp is not installed' },
  async () => {
    await using server = await ServerProcess.start(SETTINGS, FILE);
    await server.addUser('anna@localhost', 'a password');
    const child = spawn(PYTHON, [STORY, String(server.componentPort), 'echo.localhost', 'the secret of echo']);
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    try {
      await server.logged(({ what }) => what === 'component_connected');
      const anna = await logIn(server, 'anna');
      const heard = next(anna, (stanza) => stanza.is('message'));
      await anna.send(xml('message', { to: 'x@echo.localhost', type: 'chat' }, xml('body', {}, 'hello')));
      assert.equal((await heard).getChildText('body'), 'slixmpp heard: hello');
      const info = next(anna, (stanza) => stanza.attrs['id'] === 'info');
      await anna.send(xml('iq', { to: 'echo.localhost', type: 'get', id: 'info' }, xml('query', 'http://jabber.org/protocol/disco#info')));
      assert.equal((await info).getChild('query')?.getChild('identity')?.attrs['category'], 'gateway');
      const seen = next(anna, (stanza) => stanza.is('presence') && stanza.attrs['from'] === 'x@echo.localhost/slixmpp');
      await anna.send(xml('presence', { to: 'x@echo.localhost', type: 'subscribe' }));
      await seen;
      await anna.stop();
      assert.doesNotMatch(errors, /Traceback|ERROR/);
    } finally {
      child.kill();
      await once(child, 'close');
    }
  },
);
