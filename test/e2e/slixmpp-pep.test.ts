/** Personal eventing by a client nobody here wrote: Debian's python3-slixmpp. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from './server-process.ts';

const PYTHON = '/usr/bin/python3';
const STORY = fileURLToPath(new URL('slixmpp_pep_story.py', import.meta.url));
const isInstalled = spawnSync(PYTHON, ['-c', 'import slixmpp']).status === 0;

test(
  'slixmpp: OMEMO’s device list, avatars into vCard and presence, bookmarks into private XML, the service',
  { skip: isInstalled ? false : 'python3-slixmpp is not installed' },
  async () => {
    await using server = await ServerProcess.start({ ROOKERY_DOMAIN: 'localhost', ROOKERY_WORKERS: '2' });
    for (const local of ['romeo', 'juliet', 'tybalt']) await server.addUser(`${local}@localhost`, `secret of ${local}`);
    const story = spawn(PYTHON, [STORY, String(server.port), 'localhost', server.certificateFile]);
    let output = '';
    let errors = '';
    story.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    story.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const [code] = (await once(story, 'close')) as [number];
    assert.equal(code, 0, `${output}\n${errors}`);
    const steps = new Map(
      output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { step: string } & Record<string, unknown>)
        .map((step) => [step.step, step]),
    );
    const features = steps.get('features')?.['features'] as string[];
    for (const feature of [
      'urn:xmpp:bookmarks:1#compat',
      'urn:xmpp:pep-vcard-conversion:0',
      'http://jabber.org/protocol/pubsub#publish-options',
    ])
      assert.ok(features.includes(feature), feature);
    assert.equal(steps.get('omemo')?.['device'], '31415');
    assert.equal(steps.get('precondition')?.['condition'], 'conflict');
    assert.equal(steps.get('avatar')?.['item'], true);
    assert.equal(steps.get('avatar_data')?.['isSame'], true);
    assert.equal(steps.get('vcard')?.['isSame'], true);
    assert.equal(steps.get('bookmark')?.['item'], 'theplay@conference.shakespeare.lit');
    assert.deepEqual(steps.get('private_xml')?.['rooms'], ['theplay@conference.shakespeare.lit']);
    assert.deepEqual([steps.get('service')?.['item'], steps.get('service')?.['sender']], ['one', 'pubsub.localhost']);
    assert.ok(steps.has('end'));
    assert.ok(!server.log.some(({ what }) => what === 'actor_crashed'), 'an actor crashed');
  },
);
