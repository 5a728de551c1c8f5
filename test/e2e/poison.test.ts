/** The supervisor's work seen from outside: a stanza that makes an actor crash costs its sender that stanza, and the operator one line. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callControl } from '../../src/control/client.ts';
import { controlPath } from '../../src/control/protocol.ts';
import { ServerProcess } from './server-process.ts';
import { SmClient } from './sm-client.ts';

const PASSWORD = 'a password';
const SETTINGS = { ROOKERY_DOMAIN: 'localhost', ROOKERY_TLS_REQUIRED: 'false', ROOKERY_WORKERS: '2', ROOKERY_DRILL: '1' };
const SECRET = 'dost thou not bite thy thumb';

interface CrashedActor {
  readonly worker: number;
  readonly id: number;
}

/** The next message of the actor makes it throw. Commands for drills are in no list of commands, so their types are not either. */
async function poison(server: ServerProcess, kind: string, whose: string): Promise<CrashedActor> {
  const args = { kind, count: 1, moment: 'next_message', whose };
  const crashed = (await callControl(controlPath(server.dataDir), 'drill crash' as 'status', args as never)) as unknown as CrashedActor[];
  assert.equal(crashed.length, 1);
  return crashed[0]!;
}

for (const { kind, whose, state, event } of [
  { kind: 'c2s', whose: 'romeo@localhost/orchard', state: 'session_established', event: 'element' },
  { kind: 'account', whose: 'romeo@localhost', state: 'active', event: 'client_stanza' },
]) {
  test(`a poisonous stanza crashes a client's ${kind} actor: the client stays online on the same socket, and the crash is one line`, async () => {
    await using server = await ServerProcess.start(SETTINGS);
    for (const name of ['romeo', 'juliet']) await server.addUser(`${name}@localhost`, PASSWORD);
    const [romeo, juliet] = ['romeo', 'juliet'].map((name) => new SmClient(server.port, name, PASSWORD)) as [SmClient, SmClient];
    await romeo.connect('orchard');
    await juliet.connect('balcony');
    for (const client of [romeo, juliet]) client.stanza('there', '<presence/>');
    await juliet.settled(['there']);
    romeo.message('juliet@localhost', 'before', SECRET);
    await romeo.settled(['there', 'before']); // nothing is under way to the actor any more
    const { socketNumber, resumption } = romeo;

    const victim = await poison(server, kind, whose);
    romeo.message('juliet@localhost', 'poison', SECRET);
    await romeo.until(() => romeo.refused.has('poison') || !romeo.isOpen, 'an answer');
    assert.match(romeo.refused.get('poison') ?? 'none', /internal-server-error$/);

    romeo.message('juliet@localhost', 'after', SECRET);
    const from = romeo.received.length;
    romeo.stanza('ping', "<iq type='get' id='ping' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    await romeo.settled(['poison', 'after', 'ping']);
    await romeo.until(() => romeo.count(/^<iq[^>]* id='ping'/, from) === 1, 'the pong');
    await juliet.until(() => juliet.count(/<message[^>]* id='after'/) === 1, 'what came after it');
    assert.deepEqual(
      juliet.received.flatMap((element) => /^<message[^>]* id='([^']+)'/.exec(element)?.[1] ?? []),
      ['before', 'after'],
    );
    assert.deepEqual([romeo.isOpen, romeo.socketNumber, romeo.resumption], [true, socketNumber, resumption]);

    // The session is still the one that stream management knows.
    romeo.drop();
    await romeo.resume();
    romeo.message('juliet@localhost', 'resumed', SECRET);
    await juliet.until(() => juliet.count(/<message[^>]* id='resumed'/) === 1, 'what came after the resumption');

    const crashes = server.log.filter(({ level }) => level === 'error' || level === 'fatal');
    assert.deepEqual(
      crashes.map((line) => [line.what, line['actor'], line['whose'], line['state'], line['event'], line['crashes'], line['restarts']]),
      [['actor_crashed', `${kind}:${victim.worker}:${victim.id}`, whose, state, event, 1, true]],
    );
    assert.ok(!JSON.stringify(server.log).includes(SECRET), 'a body in the log');
    romeo.drop();
    juliet.drop();
  });
}
