/** Administration from a client nobody here wrote, Debian's python3-slixmpp: over two worker threads, up to a restart of the server. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from './server-process.ts';

const PYTHON = '/usr/bin/python3';
const STORY = fileURLToPath(new URL('slixmpp_admin_story.py', import.meta.url));
const isInstalled = spawnSync(PYTHON, ['-c', 'import slixmpp']).status === 0;

test(
  'slixmpp: commands are listed and run, users made, told, thrown out, the server restarted',
  { skip: isInstalled ? false : 'python3-slixmpp is not installed' },
  async () => {
    await using server = await ServerProcess.start({
      ROOKERY_DOMAIN: 'localhost',
      ROOKERY_ADMINS: 'admin@localhost',
      ROOKERY_WORKERS: '2',
    });
    await server.addUser('admin@localhost', 'not admin');
    await server.addUser('romeo@localhost', 'wherefore art');
    const story = spawn(PYTHON, [STORY, String(server.port), 'localhost', server.certificateFile]);
    let output = '';
    let errors = '';
    story.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    story.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const [code] = (await once(story, 'close')) as [number];
    assert.equal(code, 0, output + errors);
    const lines = output.trim().split('\n');
    const steps = new Map(
      lines.map((line) => JSON.parse(line) as { step: string } & Record<string, unknown>).map((step) => [step.step, step]),
    );
    const listed = steps.get('listed')!;
    for (const node of listed['romeo'] as string[]) assert.ok(!node.startsWith('http://jabber.org/protocol/admin'), node);
    assert.ok((listed['admin'] as string[]).includes('http://jabber.org/protocol/admin#add-user'));
    assert.equal(steps.get('user_refused')?.['condition'], 'forbidden');
    assert.equal(steps.get('added')?.['status'], 'completed');
    assert.equal(steps.get('added_twice')?.['condition'], 'conflict');
    assert.equal(steps.get('logged_in')?.['jid'], 'juliet@localhost');
    assert.equal(steps.get('online')?.['count'], '3');
    const { texts, types, sender } = steps.get('announced')!;
    assert.deepEqual(
      [texts, types, sender],
      [Array(3).fill('Rebellious subjects\nenemies to peace'), Array(3).fill('headline'), 'localhost'],
    );
    assert.equal(steps.get('own_sessions')?.['rows'], 1);
    assert.equal(steps.get('restarting')?.['status'], 'completed');
    assert.ok(steps.has('end'), output);

    // The same process goes on, with the same data and the message of the day.
    const { pid } = server;
    const isUpAgain = () => server.log.filter(({ what }) => what === 'started').length === 2;
    await server.logged(isUpAgain);
    const motd = await server.cli(['motd', 'show', '--json']);
    assert.deepEqual(JSON.parse(motd.stdout), [{ host: 'localhost', subject: '', text: 'The Globe is open' }]);
    const status = JSON.parse((await server.cli(['status', '--json'])).stdout) as { pid: number; workers: { state: string }[] };
    assert.deepEqual([status.pid, status.workers.map(({ state }) => state)], [pid, ['running', 'running']]);
    const users = JSON.parse((await server.cli(['user', 'list', '--json'])).stdout) as { address: string }[];
    assert.deepEqual(
      users.map(({ address }) => address),
      ['admin@localhost', 'romeo@localhost'],
    );
    assert.deepEqual(
      server.log.filter(({ what }) => what === 'command').map(({ command, by }) => `${String(by)} ${String(command)}`),
      ['user add', 'user count', 'announce online', 'motd set', 'session kick', 'user del', 'restart'].map(
        (name) => `admin@localhost ${name}`,
      ),
    );
    assert.ok(!server.log.some(({ what }) => what === 'actor_crashed' || what === 'command_failed'), 'nothing crashed or failed');
  },
);

test('the command line runs what modules bring, and says what is wrong', async () => {
  await using server = await ServerProcess.start({ ROOKERY_DOMAIN: 'localhost', ROOKERY_WORKERS: '2' });
  await server.addUser('juliet@localhost', 'r0m30myr0m30');
  const rookery = async (...args: string[]) => {
    const { code, stdout, stderr } = await server.cli(args);
    return [code, stdout.trim() || stderr.trim()] as const;
  };
  assert.deepEqual(await rookery('announce', 'all', 'Hear', 'ye,', 'hear', 'ye', '--subject', 'Verona'), [0, 'Sent to 1 account.']);
  assert.deepEqual(await rookery('announce', 'online', 'Hear ye'), [0, 'Sent to 0 sessions.']);
  assert.deepEqual(await rookery('user', 'disable', 'juliet', '--reason', 'out at night'), [0, 'Disabled juliet@localhost.']);
  const [, info] = await rookery('user', 'info', 'juliet');
  assert.match(info, /^Address: +juliet@localhost\nState: +disabled\nDisabled because: +out at night \(by control socket, [^)]+\)\n/);
  assert.deepEqual(await rookery('user', 'count', '--state', 'disabled'), [0, 'Accounts disabled: 1']);
  assert.match((await rookery('user', 'roster', 'juliet'))[1], /^The roster is empty/);
  assert.deepEqual(await rookery('admin', 'add', 'localhost', 'juliet'), [0, 'juliet@localhost is an admin.']);
  assert.match((await rookery('admin', 'list', 'localhost'))[1], /juliet@localhost +a command/);
  assert.deepEqual(await rookery('access', 'set', 'localhost', 'blacklist', 'verona.lit', 'tybalt@capulet.lit'), [
    0,
    'The list has 2 entries.',
  ]);
  assert.match((await rookery('access', 'show', 'localhost'))[1], /blacklist +both +verona\.lit/);
  assert.equal((await rookery('access', 'set', 'localhost', 'greylist'))[0], 1);
  assert.equal((await rookery('announce', 'online'))[0], 2);
  assert.match((await rookery('motd', 'set', 'x', '--host', 'verona.lit'))[1], /^ERR_HOST_UNKNOWN/);
  assert.match((await rookery('user', 'info', 'nobody'))[1], /^ERR_NO_ACCOUNT/);
});
