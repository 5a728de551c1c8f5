/** XEP-0198 when something breaks: no stanza is lost, none comes twice, and both sides count the same. */
import assert from 'node:assert/strict';
import { defineModule } from '../../src/core/module.ts';
import { Push, type CloseStream } from '../../src/core/messages.ts';
import type { ActorRef, Message } from '../../src/kernel/actor.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { makeStanza, type Stanza } from '../../src/xmpp/stanza.ts';
import { DOMAIN, threat as scenario, type Scene } from '../threats/scene.ts';
import { ack, bound, failed, loggedIn, managed, REQUEST, SM, type Managed } from './managed-client.ts';

const FAREWELL: CloseStream = { kind: 'close_stream', condition: 'system-shutdown', text: undefined, reason: 'shutdown' };
const PING = `<ping xmlns='urn:xmpp:ping'/>`;
const chat = (to: string, id: string): string => `<message type='chat' id='${id}' to='${to}'><body>${id}</body></message>`;
const chatted = (id: string): string => `<message type='chat' id='${id}'><body>${id}</body></message>`;

function connectionOf(scene: Scene, full: string): ActorRef<Message> {
  const report = scene.kernel.list({ kind: 'c2s' }).find(({ description }) => description === full);
  assert.ok(report !== undefined, `${full} has no connection`);
  return report.ref;
}

function accountOf(scene: Scene, bare: string): ActorRef<Message> {
  return scene.kernel.find('account', bare)!;
}

const drill = new Error('a drill');

/** Notes what the account has taken, in the order in which it did. */
function noting(): { readonly ids: string[]; readonly module: ReturnType<typeof defineModule> } {
  const ids: string[] = [];
  const note = (stanza: Stanza): Stanza => {
    ids.push(stanza.id ?? '');
    return stanza;
  };
  const module = defineModule({ name: 'noting', implements: [], hooks: { user_send_message: { phase: 'observe', run: note } } });
  return { ids, module };
}

async function pair(scene: Scene): Promise<Managed> {
  await scene.cast.juliet.sync();
  return managed(scene.cast);
}

scenario('a stanza over which the connection crashes is answered, and counted by both', { mayCrash: true }, async (scene) => {
  const { juliet } = scene.cast;
  const romeo = await pair(scene);
  scene.kernel.crash(connectionOf(scene, romeo.full), drill, 'next_message');
  await romeo.sends(`<iq type='get' id='poison' to='${DOMAIN}'>${PING}</iq><iq type='get' id='cure' to='${DOMAIN}'>${PING}</iq>${REQUEST}`);
  await romeo.takes('the refusal', ({ attrs, name }) => name === 'iq' && attrs['id'] === 'poison' && attrs['type'] === 'error');
  await romeo.takes('the answer', ({ attrs, name }) => name === 'iq' && attrs['id'] === 'cure' && attrs['type'] === 'result');
  await scene.settle();
  romeo.stream.takesAll();
  await romeo.isAcked(3);
  await romeo.acks();
  await juliet.sends(chat(romeo.full, 'after'));
  await romeo.receives(chatted('after'));
  await romeo.stream.drops();
  await romeo.resumes(3);
  await romeo.isAcked(3);
});

scenario('a poisoned stanza is refused in its place among the others', { mayCrash: true }, async (scene) => {
  const romeo = await pair(scene);
  scene.kernel.crash(connectionOf(scene, romeo.full), drill, 'next_message');
  await romeo.sends(`<message id='a' to='${DOMAIN}'/><iq type='get' id='b' to='${DOMAIN}'>${PING}</iq>`);
  await romeo.takes('the refusal', ({ attrs, children }) => {
    if (attrs['id'] !== 'a') return false;
    assert.ok(children.some((each) => typeof each !== 'string' && each.name === 'error'));
    return true;
  });
  await romeo.takes('the answer', ({ attrs }) => attrs['id'] === 'b');
  romeo.stream.takesAll();
  await romeo.isAcked(3);
});

scenario('an error over which the connection crashes is not answered, but counted', { mayCrash: true }, async (scene) => {
  const romeo = await pair(scene);
  scene.kernel.crash(connectionOf(scene, romeo.full), drill, 'next_message');
  await romeo.sends(`<message type='error' id='a' to='${DOMAIN}'/>`);
  romeo.stream.takesAll();
  await romeo.isAcked(2);
});

scenario('a crash over a push: it comes once, and in its place', { mayCrash: true }, async (scene) => {
  const { juliet } = scene.cast;
  const romeo = await pair(scene);
  for (let round = 0; round < 3; round++) {
    scene.kernel.crash(connectionOf(scene, romeo.full), drill, 'next_message');
    for (const id of ['a', 'b', 'c']) await juliet.writes(chat(romeo.full, `${id}${round}`));
    await scene.settle();
    for (const id of ['a', 'b', 'c'])
      await romeo.takes('a message', ({ name, attrs }) => name === 'message' && (assert.equal(attrs['id'], `${id}${round}`), true));
    await scene.advance(5_000);
  }
  romeo.stream.takesAll();
  await romeo.isAcked(1);
  await romeo.acks();
  await romeo.isAcked(1);
  await juliet.receivesNothing();
});

scenario(
  'a push that is fatal each time does not keep the client from the next: something else takes its number',
  { mayCrash: true },
  async (scene) => {
    const { juliet } = scene.cast;
    const romeo = await pair(scene);
    const poison = makeStanza({ kind: 'message', type: 'chat', from: parseJid(juliet.full)!, to: parseJid(romeo.full)! });
    Object.defineProperty(poison, 'toXml', {
      value: () => {
        throw drill;
      },
    });
    for (let i = 0; i < 2; i++) {
      scene.kernel.send(connectionOf(scene, romeo.full), new Push(2, 0, poison));
      await scene.settle();
    }
    assert.equal(scene.crashes.length, 2);
    await romeo.takes('what takes its place', ({ name, attrs }) => name === 'message' && attrs['type'] === 'headline');
    await juliet.sends(chat(romeo.full, 'a'));
    await romeo.takes('the message', ({ attrs }) => attrs['id'] === 'a');
    assert.equal(romeo.handled, 3);
    romeo.stream.takesAll();
    await romeo.acks();
    await romeo.isAcked(1);
  },
);

scenario('without stream management, too, a push over which the connection crashes is tried again', { mayCrash: true }, async (scene) => {
  const { juliet, romeo } = scene.cast;
  await romeo.becomesAvailable();
  await juliet.sync();
  scene.kernel.crash(connectionOf(scene, romeo.full), drill, 'next_message');
  for (const id of ['a', 'b']) await juliet.writes(chat(romeo.full, id));
  await scene.settle();
  for (const id of ['a', 'b']) await romeo.receives(chatted(id));
  await romeo.receivesNothing();
});

for (const [what, xml, answer] of [
  ['<r/>', REQUEST, ack(1)],
  ['<a/>', ack(1), undefined],
  ['<resume/>', `<resume xmlns='${SM}' previd='x' h='0'/>`, failed('internal-server-error')],
] as const) {
  scenario(`a crash over ${what} costs neither the session nor its counts`, { mayCrash: true }, async (scene) => {
    const { juliet } = scene.cast;
    const romeo = await pair(scene);
    scene.kernel.crash(connectionOf(scene, romeo.full), drill, 'next_message');
    await romeo.sends(xml);
    if (answer !== undefined) await romeo.receives(answer);
    romeo.stream.takesAll();
    await romeo.isAcked(1);
    await juliet.sends(chat(romeo.full, 'a'));
    await romeo.receives(chatted('a'));
    await romeo.acks();
    await scene.advance(120_000); // whatever was asked for is answered
    await romeo.isAcked(1);
  });
}

scenario('a crash over <enable/> is told, and the client may try again', { mayCrash: true }, async (scene) => {
  const romeo = await bound(scene.cast, 'romeo');
  const { full } = scene.cast.client('romeo');
  scene.kernel.crash(connectionOf(scene, full), drill, 'next_message');
  await romeo.sends(`<enable xmlns='${SM}' resume='true'/>`);
  await romeo.receives(failed('internal-server-error'));
  await romeo.sends(`<enable xmlns='${SM}' resume='true'/>`);
  await romeo.receives(`<enabled xmlns='${SM}' id='{id}' resume='true' max='{id}'/>`);
});

scenario('the account crashes over <enable/>: it is asked again', { mayCrash: true }, async (scene) => {
  const romeo = await bound(scene.cast, 'romeo');
  await romeo.sends(`<message type='error' to='${DOMAIN}'/>`);
  scene.kernel.crash(accountOf(scene, scene.cast.client('romeo').bare), drill, 'next_message');
  await romeo.sends(`<enable xmlns='${SM}' resume='true'/><message type='error' to='${DOMAIN}'/>`);
  await scene.advance(1_000);
  await romeo.receives(`<enabled xmlns='${SM}' id='{id}' resume='true' max='{id}'/>`);
  romeo.takesAll();
  await romeo.sends(REQUEST);
  await romeo.receives(ack(1));
});

scenario('the connection crashes again and again: the session waits to be resumed', { mayCrash: true }, async (scene) => {
  const { juliet } = scene.cast;
  const romeo = await pair(scene);
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(`<presence from='${romeo.full}'/>`);
  for (let i = 0; i < 4; i++) {
    scene.kernel.crash(connectionOf(scene, romeo.full), drill, 'next_message');
    await romeo.sends(`<message type='error' id='e${i}' to='${DOMAIN}'/>`);
  }
  await romeo.stream.takes('the stream error', ({ name }) => name === 'error');
  await juliet.sends(chat(romeo.full, 'a'));
  romeo.stream.takesAll();
  await romeo.asksToResume();
  await romeo.takes('<resumed/>', ({ name }) => name === 'resumed');
  await romeo.takes('the message', ({ attrs }) => attrs['id'] === 'a');
  await juliet.receivesNothing();
});

scenario('the account crashes at any moment: nothing is lost, nothing comes twice, all is counted', { mayCrash: true }, async (scene) => {
  const { juliet } = scene.cast;
  const { bare } = scene.cast.client('romeo', { isOnline: false });
  const romeo = await pair(scene);
  const own: string[] = [];
  const theirs: string[] = [];
  for (let i = 0; i < 20; i++) {
    // In the place of whatever comes next: a stanza, a push's cause, an acknowledgement, a request.
    if (i % 2 === 0) scene.kernel.crash(accountOf(scene, bare), drill, i % 4 === 0 ? 'next_message' : 'now');
    await romeo.sends(chat(juliet.full, `own${i}`) + (i % 3 === 0 ? REQUEST : ''));
    await juliet.sends(chat(romeo.full, `theirs${i}`));
    await scene.advance(3_000);
    await romeo.acks();
    for (const element of romeo.stream.takesAll()) {
      if (element.ns === 'jabber:client') romeo.handled++;
      if (element.name === 'message') (element.attrs['type'] === 'error' ? own : theirs).push(element.attrs['id']!);
    }
  }
  await scene.advance(5_000);
  for (const element of romeo.stream.takesAll()) {
    if (element.ns === 'jabber:client') romeo.handled++;
    if (element.name === 'message') (element.attrs['type'] === 'error' ? own : theirs).push(element.attrs['id']!);
  }
  const received: string[] = [];
  for (const { name, attrs } of await juliet.collects())
    if (name === 'message') received.push(`${attrs['type'] === 'error' ? 'error ' : ''}${attrs['id']!}`);
  const numbers = Array.from({ length: 20 }, (_, i) => i);
  // A stanza over which the account crashes is refused (once); all others arrive, in order.
  assert.deepEqual([...own, ...received.filter((id) => id.startsWith('own'))].sort(), numbers.map((i) => `own${i}`).sort());
  const arrived = received.filter((id) => id.startsWith('own')).map((id) => Number(id.slice(3)));
  assert.deepEqual(
    arrived,
    [...arrived].sort((a, b) => a - b),
  );
  const refused = received.filter((id) => id.startsWith('error ')).map((id) => id.slice(6));
  assert.deepEqual([...theirs, ...refused].sort(), numbers.map((i) => `theirs${i}`).sort());
  const came = theirs.map((id) => Number(id.slice(6)));
  assert.deepEqual(
    came,
    [...came].sort((a, b) => a - b),
  );
  await romeo.isAcked(21);
  await romeo.acks();
  await romeo.drops();
  await romeo.resumes(21);
  await romeo.isAcked(21);
});

const full = noting();
scenario(
  'an account whose mailbox is full gets what it could not take again, in order and once',
  { config: { limits: { mailboxMessages: 16 } }, modules: [full.module] },
  async (scene) => {
    const romeo = await managed(scene.cast, 'romeo', { isAvailable: false });
    const ids = Array.from({ length: 300 }, (_, i) => `m${i}`);
    await romeo.sends(ids.map((id) => `<message type='error' id='${id}' to='${DOMAIN}'/>`).join('') + REQUEST);
    for (let i = 0; i < 200 && full.ids.length < 300; i++) await scene.advance(50);
    assert.deepEqual(full.ids, ids);
    romeo.stream.takesAll();
    await romeo.isAcked(300);
  },
);

const left = noting();
scenario(
  'RFC 6120 §4.4: nor is anything of it lost where the client has left meanwhile',
  { config: { limits: { mailboxMessages: 16 } }, modules: [left.module] },
  async (scene) => {
    const romeo = await bound(scene.cast, 'romeo');
    const ids = Array.from({ length: 60 }, (_, i) => `m${i}`);
    await romeo.sends(`${ids.map((id) => `<message type='error' id='${id}' to='${DOMAIN}'/>`).join('')}</stream:stream>`);
    for (let i = 0; i < 100 && left.ids.length < 60; i++) await scene.advance(50);
    assert.deepEqual(left.ids, ids);
    await romeo.isClosed();
    assert.equal(scene.count('c2s'), 0);
  },
);

scenario('the account crashes while its client leaves: what it had not taken is given to it again', { mayCrash: true }, async (scene) => {
  const { juliet } = scene.cast;
  await juliet.sync();
  const romeo = await bound(scene.cast, 'romeo');
  const { bare } = scene.cast.client('romeo');
  scene.kernel.crash(accountOf(scene, bare), drill, 'next_message');
  romeo.write(`${chat(juliet.full, 'a')}${chat(juliet.full, 'b')}</stream:stream>`);
  await scene.settle();
  await scene.advance(1_000);
  await juliet.receives(chatted('b'));
  await romeo.takes('the refusal', ({ attrs }) => attrs['id'] === 'a');
  await romeo.isClosed();
});

scenario('RFC 6120 §4.9.3.21: a server that shuts down keeps the sessions', async (scene) => {
  const { juliet } = scene.cast;
  const romeo = await pair(scene);
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(`<presence from='${romeo.full}'/>`);
  scene.kernel.send(connectionOf(scene, romeo.full), FAREWELL);
  await romeo.stream.isClosedWith('system-shutdown');
  await romeo.resumes(2);
  await juliet.receivesNothing();
});

scenario('a worker that is gone takes no session with it that can be resumed', async (scene) => {
  const { juliet } = scene.cast;
  const romeo = await pair(scene);
  const { bare } = scene.cast.client('romeo');
  await juliet.sends(chat(romeo.full, 'a'));
  await romeo.receives(chatted('a'));
  scene.kernel.kill(accountOf(scene, bare));
  await scene.advance(1_000);
  romeo.stream.takesAll();
  await romeo.sends(chat(juliet.full, 'b'));
  await juliet.receives(chatted('b'));
  await juliet.sends(chat(romeo.full, 'c'));
  await scene.advance(10_000); // one account finds out that the other has lost the thread
  await romeo.takes('the message', ({ attrs }) => attrs['id'] === 'c');
  await romeo.isAcked(2);
  await romeo.acks();
  await romeo.drops();
  await romeo.resumes(2);
  await romeo.isAcked(2);
  await juliet.receivesNothing();
});

scenario('nor does it take the counts of one that cannot: its presence is said again, but not counted', async (scene) => {
  const { juliet } = scene.cast;
  await juliet.sync();
  const romeo = await managed(scene.cast, 'romeo', { attrs: '' });
  const { bare } = scene.cast.client('romeo');
  for (const id of ['a', 'b']) {
    scene.kernel.kill(accountOf(scene, bare));
    await scene.advance(1_000);
    await juliet.sends(chat(bare, id));
    await scene.advance(10_000);
    await romeo.takes('the message', ({ attrs }) => attrs['id'] === id);
  }
  for (const { ns } of romeo.stream.takesAll()) if (ns === 'jabber:client') romeo.handled++;
  await romeo.isAcked(1);
  await romeo.acks();
  await romeo.sends(chat(juliet.full, 'c'));
  await juliet.receives(chatted('c'));
  await romeo.isAcked(2);
});

scenario('a resumption whose answer does not come leaves no session with two connections', async (scene) => {
  const { juliet } = scene.cast;
  const romeo = await pair(scene);
  await romeo.drops();
  const { bare } = scene.cast.client('romeo');
  const stream = await loggedIn(scene.cast, 'romeo');
  scene.kernel.kill(accountOf(scene, bare));
  await stream.sends(`<resume xmlns='${SM}' previd='${romeo.token}' h='${romeo.handled}'/>`);
  await scene.settle();
  const answer = await stream.takes('an answer', ({ ns }) => ns === SM);
  if (answer.name === 'failed') await romeo.resumes(1);
  else romeo.stream = stream;
  await juliet.sends(chat(romeo.full, 'a'));
  await romeo.receives(chatted('a'));
  await romeo.isAcked(1);
});
