/** A client nobody here wrote, from registration to removal: Debian's python3-slixmpp. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from './server-process.ts';

const PYTHON = '/usr/bin/python3';
const STORY = fileURLToPath(new URL('slixmpp_story.py', import.meta.url));
const isInstalled = spawnSync(PYTHON, ['-c', 'import slixmpp']).status === 0;

test(
  'slixmpp: registration, STARTTLS, SCRAM, roster, subscription, presence, chat, offline, removal',
  { skip: isInstalled ? false : 'python3-slixmpp is not installed' },
  async () => {
    await using server = await ServerProcess.start({ ROOKERY_REGISTRATION: 'open', ROOKERY_DOMAIN: 'localhost' });
    await server.addUser('juliet@localhost', 'r0m30myr0m30');
    const story = spawn(PYTHON, [STORY, String(server.port), 'localhost', server.certificateFile]);
    let output = '';
    let errors = '';
    story.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    story.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const [code] = (await once(story, 'close')) as [number];
    assert.equal(code, 0, errors);
    const steps = new Map(
      output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { step: string } & Record<string, unknown>)
        .map((step) => [step.step, step]),
    );
    assert.deepEqual(
      [...steps.keys()],
      [
        'registered',
        'secured',
        'logged_in',
        'wrong_password',
        'subscribed',
        'roster_set',
        'presence',
        'chat',
        'disco',
        'version',
        'offline',
        'unknown_iq',
        'removed',
        'end',
      ],
    );
    assert.equal(steps.get('secured')?.['tls'], 'TLSv1.3');
    assert.equal(steps.get('wrong_password')?.['refused'], true);
    assert.equal(steps.get('subscribed')?.['subscription'], 'both');
    assert.equal(steps.get('presence')?.['status'], 'on the balcony');
    assert.equal(steps.get('chat')?.['inOrder'], true);
    assert.deepEqual([steps.get('offline')?.['inOrder'], steps.get('offline')?.['stamped']], [true, true]);
    assert.equal(steps.get('unknown_iq')?.['condition'], 'service-unavailable');
    assert.equal(steps.get('version')?.['software'], 'Rookery');
    assert.ok(!server.log.some(({ what }) => what === 'actor_crashed'), 'an actor crashed');
  },
);
