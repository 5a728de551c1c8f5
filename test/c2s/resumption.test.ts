/** XEP-0198 §5, §7: a session outlives its connection, once, and for a limited time. */
import assert from 'node:assert/strict';
import { transcript } from '../harness/transcript.ts';
import type { CastOfClients } from '../harness/cast.ts';
import { ack, bound, failed, loggedIn, managed, REQUEST, SM, type Managed } from './managed-client.ts';

const UNAVAILABLE = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
const chat = (to: string, body: string | number, id = `m${body}`): string =>
  `<message type='chat' id='${id}' to='${to}'><body>${body}</body></message>`;
const chatted = (body: string | number, id = `m${body}`): string => `<message type='chat' id='${id}'><body>${body}</body></message>`;

/** Romeo under stream management, whom Juliet sees. */
async function seen(cast: CastOfClients): Promise<Managed> {
  const { juliet } = cast;
  await juliet.sync();
  const romeo = await managed(cast);
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(`<presence from='${romeo.full}'/>`);
  await romeo.isAcked(2);
  return romeo;
}

/** What the server asks on the way is of no interest. */
async function receivesNothing(romeo: Managed, h: number): Promise<void> {
  await romeo.isAcked(h);
}

transcript('XEP-0198 §5: after a cut the stream goes on where the client was, and nobody has noticed', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  await romeo.drops();
  await romeo.resumes(2);
  await receivesNothing(romeo, 2);
  await romeo.sends(chat(juliet.full, 'It is my lady'));
  await juliet.receives(`<message type='chat' from='${romeo.full}'><body>It is my lady</body></message>`);
  await romeo.isAcked(3);
  await juliet.sends(chat(romeo.full, 'Ay me'));
  await romeo.receives(`<message type='chat' from='${juliet.full}'><body>Ay me</body></message>`);
  await romeo.acks();
  await romeo.isAcked(3);
});

transcript(
  'XEP-0198 §5: what was not acknowledged comes again, once and in order: messages, presence, answers',
  { onlyOurs: 'others handle requests out of turn' },
  async (cast) => {
    const { juliet } = cast;
    const romeo = await seen(cast);
    for (let i = 0; i < 5; i++) await juliet.sends(chat(romeo.full, i));
    await romeo.sends(`<iq type='get' id='ping' to='${cast.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await romeo.takes('the answer', ({ attrs }) => attrs['id'] === 'ping');
    await juliet.sends(`<presence to='${romeo.full}'><show>away</show></presence>`);
    await juliet.sends(chat(romeo.full, 5));
    await romeo.takes('the last', ({ attrs }) => attrs['id'] === 'm5');
    romeo.handled = 3; // its own presence, and two messages
    await romeo.drops();
    await romeo.resumes(3);
    const again: string[] = [];
    for (let i = 0; i < 6; i++) again.push(String((await romeo.takes('a stanza', ({ ns }) => ns === 'jabber:client')).attrs['id']));
    assert.deepEqual(again, ['m2', 'm3', 'm4', 'ping', 'undefined', 'm5']);
    await romeo.isAcked(3);
    assert.equal(romeo.handled, 9);
    await romeo.acks();
    await romeo.drops();
    await romeo.resumes(3);
    await romeo.isAcked(3);
  },
);

transcript('XEP-0198 §5: what comes while nobody is connected waits, behind what was not acknowledged', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  for (let i = 0; i < 3; i++) await juliet.sends(chat(romeo.full, i));
  await romeo.takes('the last', ({ attrs }) => attrs['id'] === 'm2');
  romeo.handled = 2;
  await romeo.drops();
  await juliet.sync();
  for (let i = 3; i < 6; i++) await juliet.sends(chat(cast.client('romeo').bare, i));
  await juliet.sync();
  await romeo.resumes(2);
  for (let i = 1; i < 6; i++)
    await romeo.takes(`message ${i}`, ({ attrs, name }) => name === 'message' && (assert.equal(attrs['id'], `m${i}`), true));
  await romeo.isAcked(2);
});

transcript('XEP-0198 §5: the client learns what it has to send again, and the server does not take it twice', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  await romeo.sends(chat(juliet.full, 0) + chat(juliet.full, 1));
  for (let i = 0; i < 2; i++) await juliet.receives(chatted(i));
  await romeo.drops();
  await romeo.resumes(4);
  await romeo.sends(chat(juliet.full, 2));
  await juliet.receives(chatted(2));
  await juliet.receivesNothing();
});

transcript('XEP-0198 §5: a stanza cut in two was not handled', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  romeo.stream.write(chat(juliet.full, 0) + `<message type='chat' to='${juliet.full}'><body>1</bo`);
  await juliet.receives(chatted(0));
  await romeo.drops();
  await romeo.resumes(3);
  await juliet.receivesNothing();
});

transcript(
  'XEP-0198 §5: the old stream, if it is still there, is closed with a conflict; the session is one',
  { differs: { prosody: 'closes it without a word' } },
  async (cast) => {
    const { juliet } = cast;
    const romeo = await seen(cast);
    const old = romeo.stream;
    await juliet.sends(chat(romeo.full, 0));
    await romeo.takes('the message', ({ attrs }) => attrs['id'] === 'm0');
    romeo.handled = 1;
    await romeo.resumes(2);
    await old.takes(
      'the stream error',
      ({ name, children }) => name === 'error' && children.some((each) => typeof each !== 'string' && each.name === 'conflict'),
    );
    old.takesAll();
    await old.isClosed();
    await romeo.takes('the message', ({ attrs }) => attrs['id'] === 'm0');
    await romeo.isAcked(2);
    await juliet.receivesNothing();
    await juliet.sends(chat(romeo.full, 1));
    await romeo.receives(chatted(1));
  },
);

transcript('XEP-0198 §5: resumed again and again', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  for (let i = 0; i < 5; i++) {
    await juliet.sends(chat(romeo.full, i));
    await romeo.receives(chatted(i));
    await romeo.sends(chat(juliet.full, i));
    await juliet.receives(chatted(i));
    await romeo.drops();
    await romeo.resumes(3 + i);
  }
  await romeo.isAcked(7);
  await juliet.receivesNothing();
});

transcript('XEP-0198 §5, §6: a session that is not known cannot be resumed; the client may bind another', async (cast) => {
  for (const previd of ['unknown', '', 'x'.repeat(4_000), '\u{1d11e}']) {
    const stream = await loggedIn(cast, 'romeo');
    await stream.sends(`<resume xmlns='${SM}' previd='${previd}' h='0'/>`);
    await stream.receives(failed('item-not-found'));
    await stream.binds('orchard');
    await stream.sends(`<enable xmlns='${SM}' resume='true'/>`);
    await stream.receives(`<enabled xmlns='${SM}' id='{id}' resume='true' max='{id}'/>`);
  }
});

transcript('SM resumption hijack: another account does not get a session by its id', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  const thief = await loggedIn(cast, 'mercutio');
  await thief.sends(`<resume xmlns='${SM}' previd='${romeo.token}' h='0'/>`);
  await thief.receives(failed('item-not-found'));
  await romeo.drops();
  await thief.sends(`<resume xmlns='${SM}' previd='${romeo.token}' h='0'/>`);
  await thief.receives(failed('item-not-found'));
  await romeo.resumes(2);
  await juliet.receivesNothing();
});

transcript(
  'SM resumption hijack: an id is never used for two sessions, and cannot be guessed from another',
  { onlyOurs: 'others have shorter ones' },
  async (cast) => {
    const ids = new Set<string>();
    for (let i = 0; i < 10; i++) ids.add((await managed(cast, 'romeo', { isAvailable: false })).token);
    assert.equal(ids.size, 10);
    assert.ok([...ids].every((id) => id.length >= 16));
  },
);

transcript('XEP-0198 §5: not once a resource is bound', async (cast) => {
  const romeo = await seen(cast);
  const stream = await bound(cast, 'mercutio');
  await stream.sends(`<resume xmlns='${SM}' previd='${romeo.token}' h='0'/>`);
  await stream.receives(failed('unexpected-request'));
  await romeo.sends(`<resume xmlns='${SM}' previd='${romeo.token}' h='0'/>`);
  await romeo.receives(failed('unexpected-request'));
  await romeo.isAcked(2);
});

transcript('XEP-0198 §6, §10: a request to resume needs an id and a count', { onlyOurs: 'others are less exact' }, async (cast) => {
  const romeo = await seen(cast);
  await romeo.drops();
  const stream = await loggedIn(cast, 'romeo');
  const previd = `previd='${romeo.token}'`;
  for (const attrs of ['', `h='0'`, previd, `${previd} h=''`, `${previd} h='-1'`, `${previd} h='4294967296'`, `${previd} h='one'`]) {
    await stream.sends(`<resume xmlns='${SM}' ${attrs}/>`);
    await stream.receives(failed('bad-request'));
  }
  await romeo.resumes(2);
});

transcript('XEP-0198 §6: a client that claims to have more than it was sent is told so', { onlyOurs: 'others resume' }, async (cast) => {
  const romeo = await seen(cast);
  await romeo.drops();
  await romeo.asksToResume(romeo.token, 2);
  const error = await romeo.stream.takes('the stream error', ({ name }) => name === 'error');
  const detail = error.children.find((each) => typeof each !== 'string' && each.name === 'handled-count-too-high');
  assert.ok(typeof detail === 'object');
  assert.equal(detail.attrs['send-count'], '1');
  await romeo.stream.isClosed();
  await romeo.resumes(2);
});

transcript('XEP-0198 §5: a session without resumption ends with its connection', async (cast) => {
  const { juliet } = cast;
  await juliet.sync();
  const romeo = await managed(cast, 'romeo', { attrs: '' });
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(`<presence from='${romeo.full}'/>`);
  await romeo.drops();
  await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
});

transcript(
  'XEP-0198 §4: what it had not acknowledged is kept for the account',
  { differs: { prosody: 'returns it', ejabberd: 'returns it' } },
  async (cast) => {
    const { juliet, romeo: account } = cast;
    await juliet.sync();
    const romeo = await managed(cast, 'tablet', { attrs: '' });
    await juliet.sends(chat(account.bare, 0));
    await romeo.receives(chatted(0));
    await romeo.acks();
    for (let i = 1; i < 4; i++) await juliet.sends(chat(account.bare, i));
    await romeo.takes('the last', ({ attrs }) => attrs['id'] === 'm3');
    await account.sync();
    await romeo.drops();
    await account.sends('<presence/>');
    for (let i = 1; i < 4; i++)
      await account.takes(`message ${i}`, ({ name, attrs }) => name === 'message' && (assert.equal(attrs['id'], `m${i}`), true));
  },
);

transcript('XEP-0198 §7: a stream that is closed in order is the end of its session', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  await romeo.sends('</stream:stream>');
  await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
  await romeo.asksToResume();
  const { name, ns } = await romeo.takes('the answer', () => true);
  assert.deepEqual([name, ns], ['failed', SM]);
});

transcript('XEP-0198 §7: even if the client does not wait for the end', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  romeo.stream.write(`${chat(juliet.full, 'Adieu')}</stream:stream>`);
  await romeo.drops();
  await juliet.receives(`<message type='chat' id='mAdieu'><body>Adieu</body></message>`);
  await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
});

transcript('XEP-0198 §4: before the end the client is told that all it has sent was handled', { onlyOurs: 'free to' }, async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  await romeo.sends(`${chat(juliet.full, 'Adieu')}</stream:stream>`);
  await romeo.receives(ack(3));
  await romeo.stream.isClosed();
});

transcript('XEP-0198 §5: the time is over: contacts hear of it, the messages wait for the next session', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  await romeo.drops();
  await juliet.sends(chat(romeo.full, 0));
  await juliet.sends(chat(cast.client('romeo').bare, 1));
  await juliet.sends(`<iq type='get' id='asked' to='${romeo.full}'><query xmlns='jabber:iq:version'/></iq>`);
  await cast.advance(299_000);
  await juliet.receivesNothing();
  await cast.advance(2_000);
  await juliet.receivesInAnyOrder(
    `<presence type='unavailable' from='${romeo.full}'/>`,
    `<iq type='error' id='asked' from='${romeo.full}'>${UNAVAILABLE}</iq>`,
  );
  await juliet.receivesNothing();
  await romeo.asksToResume();
  await romeo.receives(failed('item-not-found', '2')); // §5: the count is still known
  await romeo.stream.binds('orchard');
  await romeo.sends('<presence/>');
  for (let i = 0; i < 2; i++)
    await romeo.takes(`message ${i}`, ({ name, attrs }) => name === 'message' && (assert.equal(attrs['id'], `m${i}`), true));
});

transcript('XEP-0198 §5: not acknowledged, but received: such a message may come twice, after the time is over', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  await juliet.sends(chat(romeo.full, 0));
  await romeo.receives(chatted(0));
  await romeo.drops();
  await cast.advance(301_000);
  const next = await bound(cast, 'romeo');
  await next.sends('<presence/>');
  await next.takes('the message', ({ attrs }) => attrs['id'] === 'm0');
});

transcript('XEP-0198 §5: the clock starts when the connection is lost, and anew each time', async (cast) => {
  const { juliet } = cast;
  const romeo = await seen(cast);
  await romeo.acks();
  for (let i = 0; i < 3; i++) {
    await cast.advance(200_000);
    await romeo.acks();
    await juliet.keepsAlive();
    await cast.advance(200_000);
    await romeo.drops();
    await juliet.keepsAlive();
    await cast.advance(250_000);
    await romeo.resumes(2);
    await juliet.keepsAlive();
  }
  await juliet.receivesNothing();
});

transcript(
  'RFC 6120 §7.7.2.2: a new session for the resource ends the one that waits',
  { differs: { ejabberd: 'returns what waited' } },
  async (cast) => {
    const { juliet } = cast;
    const romeo = await seen(cast);
    await romeo.drops();
    await juliet.sends(chat(romeo.full, 0));
    const stream = await bound(cast, 'romeo');
    await juliet.takes('the end of his presence', ({ name, attrs }) => name === 'presence' && attrs['type'] === 'unavailable');
    await stream.sends('<presence/>');
    await stream.takes('the message', ({ attrs }) => attrs['id'] === 'm0');
    await romeo.asksToResume();
    const { name } = await romeo.takes('the answer', () => true);
    assert.equal(name, 'failed');
  },
);

transcript(
  'XEP-0198 §5: a client that read too slowly may come back for what it missed',
  { config: { limits: { outboundBytes: 300_000, outboundHardBytes: 300_000 } } },
  async (cast) => {
    const { juliet } = cast;
    const romeo = await seen(cast);
    romeo.stream.stalls();
    for (let i = 0; i < 40; i++)
      await juliet.sends(`<message type='chat' id='m${i}' to='${romeo.full}'><body>${'x'.repeat(10_000)}</body></message>`);
    await cast.advance(120_000);
    const isOver = (): boolean => !romeo.stream.pending.some((event) => event.kind === 'element' && event.element.name === 'message');
    for (let i = 0, tries = 0; i < 40;) {
      assert.ok(tries++ < 5, `${i} messages after ${tries} tries`);
      await romeo.asksToResume();
      await romeo.takes('<resumed/>', ({ name }) => name === 'resumed');
      for (; i < 40 && !isOver(); i++)
        await romeo.takes(`message ${i}`, ({ name, attrs }) => name === 'message' && (assert.equal(attrs['id'], `m${i}`), true));
    }
    await juliet.receivesNothing();
  },
);

transcript(
  'XEP-0198 §5: the server goes down and comes back: sessions wait for their clients',
  { onlyOurs: 'needs a restart' },
  async (cast) => {
    const { juliet } = cast;
    const romeo = await seen(cast);
    await juliet.sends(chat(romeo.full, 0) + chat(romeo.full, 1) + chat(romeo.full, 2));
    for (let i = 0; i < 3; i++) await romeo.receives(chatted(i));
    await romeo.sends(chat(juliet.full, 0));
    await juliet.receives(chatted(0));
    await romeo.isAcked(3);
    romeo.handled = 2;
    const after = await cast.restarted();
    romeo.stream = await loggedIn(after, 'romeo');
    await romeo.sends(`<resume xmlns='${SM}' previd='${romeo.token}' h='2'/>`);
    await romeo.receives(`<resumed xmlns='${SM}' previd='${romeo.token}' h='3'/>`);
    for (let i = 1; i < 3; i++)
      await romeo.takes(`message ${i}`, ({ name, attrs }) => name === 'message' && (assert.equal(attrs['id'], `m${i}`), true));
    await romeo.sends(REQUEST);
    await romeo.receives(ack(3));
    await after.leave();
  },
);

transcript(
  'design §1: more than a mailbox holds waits for a session, which is handed it as fast as its client reads',
  { onlyOurs: 'the size of mailboxes is ours', config: { limits: { mailboxMessages: 16 } } },
  async (cast) => {
    const { juliet } = cast;
    const romeo = await seen(cast);
    await romeo.drops();
    const count = 120;
    for (let i = 0; i < count; i++) await juliet.sends(chat(romeo.full, i));
    await romeo.resumes(2);
    for (let i = 0; i < count; i++) {
      // Room is looked for every 100 ms; the account gives up on a client that reads nothing after 60 s.
      if (i % 10 === 0) await cast.advance(500);
      const { attrs } = await romeo.takes('a message', ({ name }) => name === 'message');
      assert.equal(attrs['id'], `m${i}`);
    }
    await romeo.acks();
    await romeo.isAcked(2);
  },
);
