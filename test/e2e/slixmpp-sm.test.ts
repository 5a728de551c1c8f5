/** Stream management, carbons, archive and offline messages with a client nobody here wrote: Debian's python3-slixmpp. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from './server-process.ts';

const PYTHON = '/usr/bin/python3';
const STORY = fileURLToPath(new URL('slixmpp_sm_story.py', import.meta.url));
const isInstalled = spawnSync(PYTHON, ['-c', 'import slixmpp']).status === 0;

test(
  'slixmpp: acknowledgements, resumption of a broken stream, carbons, offline messages, paging through the archive',
  { skip: isInstalled ? false : 'python3-slixmpp is not installed' },
  async () => {
    await using server = await ServerProcess.start({ ROOKERY_DOMAIN: 'localhost' });
    for (const name of ['romeo', 'juliet']) await server.addUser(`${name}@localhost`, 'a password');
    const story = spawn(PYTHON, [STORY, String(server.port), 'localhost', server.certificateFile]);
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
    const { bodies: _, pages, ...archive } = steps.find(({ step }) => step === 'archive')!;
    assert.deepEqual(
      steps.filter(({ step }) => step !== 'archive'),
      [
        { step: 'managed', ids: true },
        { step: 'acknowledged', inOrder: true, all: true },
        { step: 'resumed', stored: true, sameSession: true, noNewStart: true, inOrder: true },
        { step: 'goes_on', to: 'and on', back: 'I am back', acked: true },
        { step: 'carbons', received: 'to the balcony', sent: 'from the balcony' },
        { step: 'offline', stored: true, inOrder: true, stamped: true },
        { step: 'end' },
      ],
    );
    assert.deepEqual(archive, { step: 'archive', complete: true, inOrder: true }, JSON.stringify(steps.at(-2)));
    assert.ok((pages as number) >= 6, `${String(pages)} pages`);
    assert.ok(!server.log.some(({ what }) => what === 'actor_crashed'), 'an actor crashed');
  },
);
