/** Groups, blocking, multicast and push with a client and a component nobody here wrote: Debian's python3-slixmpp. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from './server-process.ts';

const PYTHON = '/usr/bin/python3';
const STORY = fileURLToPath(new URL('slixmpp_privacy_story.py', import.meta.url));
const isInstalled = spawnSync(PYTHON, ['-c', 'import slixmpp']).status === 0;
const FILE = `
[components."push.localhost"]
secret = "the secret of push"
`;

test(
  'slixmpp: a group in the roster, blocking and unblocking, a message to several, push by a component; on two workers',
  { skip: isInstalled ? false : 'python3-slixmpp is not installed' },
  async () => {
    await using server = await ServerProcess.start({ ROOKERY_DOMAIN: 'localhost', ROOKERY_WORKERS: '2' }, FILE);
    for (const name of ['romeo', 'juliet']) await server.addUser(`${name}@localhost`, 'a password');
    const made = await server.cli(['group', 'set', 'verona', '--title', 'Verona', '--members', 'romeo,juliet@localhost']);
    assert.deepEqual([made.code, made.stdout], [0, 'The group verona has 2 members.\n'], made.stderr);
    const story = spawn(PYTHON, [
      STORY,
      String(server.port),
      'localhost',
      server.certificateFile,
      String(server.componentPort),
      'the secret of push',
    ]);
    let output = '';
    let errors = '';
    story.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    story.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const [code] = (await once(story, 'close')) as [number];
    assert.equal(code, 0, `${output}${errors}`);
    const steps = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly step: string } & Record<string, unknown>);
    assert.deepEqual(steps, [
      { step: 'group', subscription: 'both', groups: ['Verona'], called: 'romeo', seen: true },
      { step: 'blocked', condition: 'service-unavailable', listed: true },
      { step: 'unblocked', nothing: true },
      { step: 'multicast', body: 'All!', sender: true, shown: 1, blind: 2 },
      { step: 'push', sender: true, node: 'device-1', count: '1', leaks: false },
      { step: 'push_once', another: true, count: '1', more: false },
      { step: 'waiting', bodies: ['Unseen', 'And more'] },
      { step: 'end' },
    ]);
    assert.ok(!server.log.some(({ what }) => what === 'actor_crashed'), 'an actor crashed');
  },
);
