/** What is under way when a connection, an account or a host goes down is delivered elsewhere, kept, or answered for. */
import assert from 'node:assert/strict';
import { defineModule, EMPTY_RESULT, type IqAnswer } from '../../src/core/module.ts';
import { Push, type AccountStatus, type CloseStream } from '../../src/core/messages.ts';
import type { ActorRef, Message } from '../../src/kernel/actor.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { makeStanza, type Stanza, type StanzaInit } from '../../src/xmpp/stanza.ts';
import { el } from '../../src/xml/element.ts';
import { DOMAIN, errorXml, threat as scenario, type Scene } from '../threats/scene.ts';

const SLOW = 'urn:slow';
const UNAVAILABLE = errorXml('cancel', 'service-unavailable');
const FAREWELL: CloseStream = { kind: 'close_stream', condition: 'system-shutdown', text: undefined, reason: 'shutdown' };

function connectionOf(scene: Scene, full: string): ActorRef<Message> {
  const report = scene.kernel.list({ kind: 'c2s' }).find(({ description }) => description === full);
  assert.ok(report !== undefined, `${full} has no connection`);
  return report.ref;
}

/** As the account sends it to a connection without stream management. */
const pushed = (each: Stanza): Push => new Push(0, 0, each);

function stanza(from: string, to: string, init: Pick<StanzaInit, 'kind' | 'type'> & { readonly id?: string }): Stanza {
  const content = init.kind === 'iq' ? el('ping', 'urn:xmpp:ping') : el('body', 'jabber:client', {}, 'Ay me');
  return makeStanza({ ...init, from: parseJid(from)!, to: parseJid(to)! }, content);
}

scenario(
  'RFC 6120 §4.4: what comes for a connection that is closing is kept for the account, or goes to its other sessions once',
  { connection: { clientFollowsEnd: false } },
  async (scene) => {
    const { romeo, juliet, chamber } = scene.cast;
    for (const client of [romeo, juliet]) await client.becomesAvailable();
    const connection = connectionOf(scene, juliet.full);
    scene.kernel.send(connection, FAREWELL);
    scene.kernel.send(connection, pushed(stanza(romeo.full, juliet.bare, { kind: 'message', type: 'chat', id: 'kept' })));
    scene.kernel.send(connection, pushed(stanza(romeo.full, juliet.full, { kind: 'iq', type: 'get', id: 'asked' })));
    scene.kernel.send(connection, pushed(stanza(romeo.full, juliet.full, { kind: 'presence', type: 'available', id: 'seen' })));
    await scene.settle();
    await romeo.receives(`<iq type='error' id='asked' from='${juliet.full}'>${UNAVAILABLE}</iq>`);
    await romeo.receivesNothing();
    await chamber.sends('<presence/>');
    await chamber.takes('the message', ({ attrs }) => attrs['id'] === 'kept');
    await chamber.sync();
    await chamber.collects();
    // With another session that takes messages, both were given it: it is not delivered again.
    const second = connectionOf(scene, chamber.full);
    await scene.cast.balcony.sends('<presence/>');
    await scene.cast.balcony.collects();
    scene.kernel.send(second, FAREWELL);
    scene.kernel.send(second, pushed(stanza(romeo.full, juliet.bare, { kind: 'message', type: 'chat', id: 'both' })));
    await scene.settle();
    assert.deepEqual(
      (await scene.cast.balcony.collects()).filter(({ name }) => name === 'message'),
      [],
    );
  },
);

scenario('RFC 6121 §8.5.3.2.2: presence for a connection that has just gone is answered with nothing', async (scene) => {
  const { romeo, juliet } = scene.cast;
  for (const client of [romeo, juliet]) await client.becomesAvailable();
  const connection = connectionOf(scene, juliet.full);
  scene.kernel.sendTo('account', juliet.bare, stanza(romeo.full, juliet.full, { kind: 'presence', type: 'available' }));
  scene.kernel.sendTo('account', juliet.bare, stanza(romeo.full, juliet.full, { kind: 'message', type: 'chat', id: 'm' }));
  scene.kernel.sendTo('account', juliet.bare, stanza(romeo.full, juliet.full, { kind: 'iq', type: 'get', id: 'asked' }));
  scene.kernel.kill(connection);
  await scene.settle();
  await romeo.receives(`<iq type='error' id='asked' from='${juliet.full}'>${UNAVAILABLE}</iq>`);
  await romeo.receivesNothing();
});

scenario(
  'a connection whose mailbox is full is closed all the same, as soon as there is room',
  { config: { limits: { mailboxMessages: 16 } } },
  async (scene) => {
    const { juliet, chamber } = scene.cast;
    // With another session the account has nothing to write down first: it tells the connection at once.
    for (const client of [juliet, chamber]) await client.becomesAvailable();
    const connection = connectionOf(scene, juliet.full);
    const kicked = scene.runtime.ask(parseJid(juliet.bare)!.bare, { kind: 'kick', resource: juliet.resource, reason: 'kicked' });
    for (let i = 0; i < 16; i++)
      assert.ok(scene.kernel.send(connection, pushed(stanza(DOMAIN, juliet.full, { kind: 'message', type: 'normal' }))));
    await scene.settle();
    assert.equal(await kicked, 1);
    assert.equal(scene.runtime.counters.closed.get('kicked'), undefined, 'it had no room for the news');
    await scene.advance(1_000);
    assert.equal(scene.runtime.counters.closed.get('kicked'), 1);
  },
);

scenario(
  "what a client sends while its connection's mailbox is full is handled later, not lost; nor is the news that it has left",
  { config: { limits: { mailboxMessages: 16 } } },
  async (scene) => {
    const { juliet } = scene.cast;
    await juliet.becomesAvailable();
    const connection = connectionOf(scene, juliet.full);
    const { client } = scene.wireOf(juliet.full);
    const fill = (): void => {
      while (scene.kernel.send(connection, pushed(stanza(DOMAIN, juliet.full, { kind: 'message', type: 'normal' }))));
    };
    fill();
    client.write(
      `<iq type='get' id='q'><query xmlns='jabber:iq:roster'/></iq><iq type='get' id='r' to='${DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>`,
    );
    client.settle();
    await scene.settle();
    await juliet.takes('the answer', ({ attrs }) => attrs['id'] === 'q');
    await juliet.takes('the answer', ({ attrs }) => attrs['id'] === 'r');
    fill();
    client.reset();
    client.settle();
    await scene.settle();
    assert.equal(scene.count('c2s'), 0);
  },
);

interface Late {
  readonly answers: ((answer: IqAnswer) => void)[];
  readonly module: ReturnType<typeof defineModule>;
}

/** IQs that are answered when the test says so. */
function late(): Late {
  const answers: Late['answers'] = [];
  const run = (): Promise<IqAnswer> => new Promise((resolve) => answers.push(resolve));
  const module = defineModule({
    name: 'late',
    implements: [],
    iq: [
      { to: 'account', type: 'get', from: 'anyone', payload: ['late', SLOW], run },
      { to: 'server', type: 'get', payload: ['late', SLOW], run },
    ],
  });
  return { answers, module };
}

const ask = (id: string, to: string): string => `<iq type='get' id='${id}' to='${to}'><late xmlns='${SLOW}'/></iq>`;

/** The same as it comes to the host from elsewhere: its own clients' requests are answered in their accounts. */
function askHost(scene: Scene, id: string, from: string): void {
  const request = { kind: 'iq', type: 'get', id, from: parseJid(from)!, to: parseJid(DOMAIN)! } as const;
  scene.kernel.sendTo('host', DOMAIN, makeStanza(request, el('late', SLOW)));
}

const removal = late();
scenario(
  'a request under way when its account is removed is answered, and the account leaves the memory',
  { modules: [removal.module] },
  async (scene) => {
    const { romeo } = scene.cast;
    const juliet = scene.cast.offline('juliet');
    await romeo.sends(ask('q', juliet.bare));
    assert.equal(await scene.ask('juliet', { kind: 'remove_account' }), 'removed');
    await romeo.receives(`<iq type='error' id='q' from='${juliet.bare}'>${UNAVAILABLE}</iq>`);
    for (const answer of removal.answers) answer(EMPTY_RESULT);
    await romeo.receivesNothing();
    await scene.advance(5_000);
    assert.equal(scene.kernel.find('account', juliet.bare), undefined);
  },
);

const hostCrash = late();
scenario(
  'requests under way when the actor of their host crashes are answered',
  { modules: [hostCrash.module], mayCrash: true },
  async (scene) => {
    const { romeo } = scene.cast;
    await romeo.sync();
    askHost(scene, 'q', romeo.full);
    await scene.settle();
    scene.kernel.crash(scene.kernel.find('host', DOMAIN)!, new Error('a drill'));
    await scene.settle();
    await romeo.receives(`<iq type='error' id='q' from='${DOMAIN}'>${errorXml('cancel', 'internal-server-error')}</iq>`);
    for (const answer of hostCrash.answers) answer(EMPTY_RESULT);
    await romeo.receivesNothing();
  },
);

const flood = late();
scenario('requests that wait for their answer are bounded, per account and per host', { modules: [flood.module] }, async (scene) => {
  const { romeo } = scene.cast;
  await romeo.sync();
  const asks: readonly (readonly [limit: number, ask: (id: string) => unknown])[] = [
    [256, (id) => romeo.writes(ask(id, romeo.bare))],
    [256, (id) => romeo.writes(ask(id, DOMAIN))],
    [1_024, (id) => askHost(scene, id, romeo.full)],
  ];
  for (const [limit, put] of asks) {
    for (let i = 0; i < limit; i++) await put(`q${i}`);
    await put('more');
    await scene.settle();
    await romeo.receives(`<iq type='error' id='more'>${errorXml('wait', 'resource-constraint')}</iq>`);
    for (const answer of flood.answers.splice(0)) answer(EMPTY_RESULT);
    await scene.settle();
    assert.equal((await romeo.collects()).filter(({ attrs }) => attrs['type'] === 'result').length, limit);
  }
});

scenario(
  'a session survives a crash of its account exactly once, and a crash while it binds leaves none behind',
  { mayCrash: true },
  async (scene) => {
    const { romeo, juliet } = scene.cast;
    for (const client of [romeo, juliet]) await client.becomesAvailable();
    for (let i = 0; i < 3; i++) {
      scene.kernel.crash(scene.kernel.find('account', juliet.bare)!, new Error('a drill'));
      await scene.settle();
      await romeo.sends(`<message to='${juliet.full}'><body>${i}</body></message>`);
      await juliet.receives(`<message><body>${i}</body></message>`);
    }
    const { sessions } = (await scene.ask('juliet', { kind: 'get_status' })) as AccountStatus;
    assert.deepEqual(
      sessions.map(({ jid }) => jid),
      [juliet.full],
    );
    await juliet.drops();
    assert.deepEqual(((await scene.ask('juliet', { kind: 'get_status' })) as AccountStatus).sessions, [], 'its end was noticed');
  },
);

scenario(
  'strangers cannot fill the memory with accounts that do not exist',
  { config: { limits: { cachedAccounts: 10 } } },
  async (scene) => {
    const { romeo } = scene.cast;
    for (let i = 0; i < 200; i++) await romeo.writes(`<message type='error' to='nobody${i}@${DOMAIN}'/>`);
    await romeo.sync();
    await scene.advance(500);
    assert.ok(scene.count('account') < 20, `${scene.count('account')} accounts are loaded`);
  },
);
