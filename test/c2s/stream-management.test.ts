/** XEP-0198: what is said of stanzas that have and have not arrived. Resumption is in `resumption.test.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COUNT_RANGE, parseCount, unwrapCount } from '../../src/stream/stream-management.ts';
import { childOf } from '../harness/xml.ts';
import { transcript } from '../harness/transcript.ts';
import { ack, bound, failed, loggedIn, managed, REQUEST, SM } from './managed-client.ts';

transcript('XEP-0198 §2: offered once the client has logged in', async (cast) => {
  const { local } = cast.offline('romeo');
  const client = await cast.raw();
  assert.equal(childOf(await client.beginsStream(), 'sm', SM), undefined);
  const other = await cast.raw();
  const features = await other.logsIn({ local, password: cast.passwordOf('romeo') });
  assert.notEqual(childOf(features, 'sm', SM), undefined);
});

transcript(
  'XEP-0198 §3: enabled, without resumption unless that is asked for',
  { differs: { prosody: 'says that it is not resumable' } },
  async (cast) => {
    for (const attrs of ['', `resume='false'`, `resume='0'`]) {
      const client = await bound(cast, 'romeo');
      await client.sends(`<enable xmlns='${SM}' ${attrs}/>`);
      const { attrs: answer } = await client.receives(`<enabled xmlns='${SM}'/>`);
      assert.deepEqual(answer, {});
    }
  },
);

for (const value of ['true', '1']) {
  transcript(`XEP-0198 §5: the session can be resumed where the client asks for it: ${value}`, async (cast) => {
    const client = await bound(cast, 'romeo');
    await client.sends(`<enable xmlns='${SM}' resume='${value}'/>`);
    const { attrs } = await client.receives(`<enabled xmlns='${SM}' id='{id}' resume='{any}' max='{id}'/>`);
    assert.match(attrs['resume']!, /^(true|1)$/);
    assert.ok(attrs['id']!.length <= 4_000);
  });
}

transcript(
  'XEP-0198 §3: the server keeps the session as long as the client wishes, but not longer than it may',
  { config: { c2s: { resumeMs: 120_000 } } },
  async (cast) => {
    for (const [wish, max] of [
      ['60', '60'],
      ['3600', '120'],
      ['999999999', '120'],
    ]) {
      const client = await bound(cast, 'romeo');
      await client.sends(`<enable xmlns='${SM}' resume='true' max='${wish}'/>`);
      await client.receives(`<enabled xmlns='${SM}' id='{id}' resume='true' max='${max}'/>`);
    }
  },
);

transcript('XEP-0198 §3: no resumption where the operator does not want it', { config: { c2s: { resumeMs: 0 } } }, async (cast) => {
  const client = await bound(cast, 'romeo');
  await client.sends(`<enable xmlns='${SM}' resume='true'/>`);
  assert.deepEqual((await client.receives(`<enabled xmlns='${SM}'/>`)).attrs, {});
});

transcript(
  'XEP-0198 §3, §6: enabling before a resource is bound fails, and does no harm',
  { differs: { ejabberd: 'calls it not-authorized' } },
  async (cast) => {
    const client = await loggedIn(cast, 'romeo');
    await client.sends(`<enable xmlns='${SM}' resume='true'/>`);
    await client.receives(failed('unexpected-request'));
    await client.binds('orchard');
    await client.sends(`<enable xmlns='${SM}' resume='true'/>`);
    await client.receives(`<enabled xmlns='${SM}' id='{id}' resume='true' max='{id}'/>`);
  },
);

transcript(
  'XEP-0198 §3, §10: neither enabling nor resuming comes before login',
  { differs: { prosody: 'ends the stream', ejabberd: 'ends the stream' } },
  async (cast) => {
    const { local } = cast.offline('romeo');
    const client = await cast.raw();
    await client.beginsStream();
    for (const request of [`<enable xmlns='${SM}'/>`, `<resume xmlns='${SM}' previd='x' h='0'/>`]) {
      await client.sends(request);
      await client.receives(failed('unexpected-request'));
    }
    await client.sends(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${Buffer.from(`\0${local}\0${cast.passwordOf('romeo')}`).toString('base64')}</auth>`,
    );
    await client.receives(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{any}</success>`);
  },
);

transcript('XEP-0198 §3: only once', async (cast) => {
  const romeo = await managed(cast);
  await romeo.sends(`<enable xmlns='${SM}'/>`);
  await romeo.receives(failed('unexpected-request'));
  await romeo.isAcked(1); // what there is, stays
});

transcript('XEP-0198 §3: only once, even before the answer', { onlyOurs: 'others answer at once' }, async (cast) => {
  const client = await bound(cast, 'romeo');
  await client.sends(`<enable xmlns='${SM}'/><enable xmlns='${SM}'/>`);
  await client.receives(failed('unexpected-request'));
  await client.receives(`<enabled xmlns='${SM}'/>`);
});

transcript('XEP-0198 §6: what cannot be read is a bad request', { onlyOurs: 'others are less exact' }, async (cast) => {
  const client = await bound(cast, 'romeo');
  for (const attrs of [`resume='yes'`, `resume=''`, `max='0'`, `max='-1'`, `max='soon'`, `max='1.5'`, `max='99999999999999999999'`]) {
    await client.sends(`<enable xmlns='${SM}' ${attrs}/>`);
    await client.receives(failed('bad-request'));
  }
  await client.sends(`<enable xmlns='${SM}'/>`);
  await client.receives(`<enabled xmlns='${SM}'/>`);
});

transcript('XEP-0198 §4: requests and counts mean nothing before <enable/>', { differs: { prosody: 'ends the stream' } }, async (cast) => {
  const client = await bound(cast, 'romeo');
  for (const nonza of [REQUEST, ack(0), ack(5)]) {
    await client.sends(nonza);
    await client.receives(failed('unexpected-request'));
  }
});

transcript('RFC 6120 §4.9.3.24: other elements of the namespace are no clients’', { onlyOurs: 'others ignore it' }, async (cast) => {
  for (const name of ['enabled', 'resumed', 'failed', 'sm', 'location']) {
    const client = await bound(cast, 'romeo');
    await client.sends(`<${name} xmlns='${SM}'/>`);
    await client.isClosedWith('unsupported-stanza-type');
  }
});

transcript('XEP-0198 §4: every stanza counts, and nothing else', async (cast) => {
  const { juliet } = cast;
  await juliet.sync();
  const romeo = await managed(cast, 'romeo', { isAvailable: false });
  await romeo.isAcked(0);
  await romeo.sends(`<message to='${juliet.full}'><body>1</body></message>`);
  await juliet.receives(`<message><body>1</body></message>`);
  await romeo.isAcked(1);
  await romeo.isAcked(1);
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(`<presence/>`);
  await romeo.isAcked(2);
  await romeo.sends(`<iq type='get' id='ping' to='${cast.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await romeo.receives(`<iq type='result' id='ping'/>`);
  await romeo.sends(ack(1));
  await romeo.isAcked(3);
});

transcript('XEP-0198 §4: the count begins with <enable/>, not with the answer to it', async (cast) => {
  const romeo = await bound(cast, 'romeo');
  await romeo.sends(`<message type='error' to='${cast.domain}'/>`);
  await romeo.sends(
    `<enable xmlns='${SM}'/><message type='error' to='${cast.domain}'/><message type='error' to='${cast.domain}'/>${REQUEST}`,
  );
  await romeo.receives(`<enabled xmlns='${SM}'/>`);
  await romeo.receives(ack(2));
});

transcript(
  'XEP-0198 §4: a stanza that is refused has been handled',
  { differs: { ejabberd: 'ends the stream over some of them' } },
  async (cast) => {
    const romeo = await managed(cast, 'romeo', { isAvailable: false });
    await romeo.sends(`<message id='a' to='@@'/><iq type='get' id='b'/><presence type='nonsense' id='c'/>`);
    await romeo.receives(
      `<message type='error' id='a'><error type='modify'><jid-malformed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
    );
    for (const [kind, id] of [
      ['iq', 'b'],
      ['presence', 'c'],
    ])
      await romeo.receives(
        `<${kind} type='error' id='${id}'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></${kind}>`,
      );
    await romeo.sends(`<iq type='result' id='d'><one xmlns='a:b'/><two xmlns='a:b'/></iq><message type='error' to='@@'/>`);
    await romeo.isAcked(5);
    await romeo.acks();
    await romeo.isAcked(5);
  },
);

transcript('XEP-0198 §4: the server tells by itself what it has handled, now and then', { onlyOurs: 'free to' }, async (cast) => {
  const romeo = await managed(cast, 'romeo', { isAvailable: false });
  await romeo.sends(`<message type='error' to='${cast.domain}'/>`.repeat(31));
  await romeo.sends(`<message type='error' to='${cast.domain}'/>`);
  await romeo.receives(ack(32));
  await romeo.isAcked(32);
});

transcript(
  'SM queue growth, ack flood: many requests are answered with few, the last of which is right',
  { onlyOurs: 'free to' },
  async (cast) => {
    const romeo = await managed(cast, 'romeo', { isAvailable: false });
    await romeo.sends(`${REQUEST.repeat(1_000)}<message type='error' to='${cast.domain}'/>${REQUEST}`);
    const answers = romeo.stream.takesAll();
    assert.ok(answers.length > 0 && answers.length <= 100, `${answers.length} answers`);
    assert.deepEqual([answers.at(-1)!.name, answers.at(-1)!.attrs], ['a', { h: '1' }]);
  },
);

transcript('XEP-0198 §4: an answer does not wait for others: it counts what came before the request', async (cast) => {
  const romeo = await managed(cast, 'romeo', { isAvailable: false });
  await romeo.sends(`<message type='error' to='${cast.domain}'/>${REQUEST}`);
  await romeo.receives(ack(1));
  await romeo.sends(`<message type='error' to='${cast.domain}'/>${REQUEST}`);
  await romeo.receives(ack(2));
});

transcript(
  'XEP-0198 §4: the client may say again what it has said, and less',
  { differs: { prosody: 'ends the stream over less' } },
  async (cast) => {
    const { juliet } = cast;
    await juliet.sync();
    const romeo = await managed(cast);
    await juliet.sends(`<message type='chat' to='${romeo.full}'><body>1</body></message>`);
    await romeo.receives(`<message type='chat'><body>1</body></message>`);
    for (const h of [2, 2, 1, 0]) await romeo.sends(ack(h));
    await romeo.isAcked(1);
    await romeo.isAcked(1); // and the stream is still there
  },
);

transcript(
  'XEP-0198 §6: more than was sent ends the stream, and says how much that was',
  { differs: { prosody: 'does not say how much', ejabberd: 'does not say how much' } },
  async (cast) => {
    const romeo = await managed(cast);
    await romeo.sends(ack(2));
    const { children } = await romeo.takes('the stream error', ({ name }) => name === 'error');
    const detail = children.find((child) => typeof child !== 'string' && child.name === 'handled-count-too-high');
    assert.ok(detail !== undefined && typeof detail !== 'string');
    assert.deepEqual([detail.ns, detail.attrs], [SM, { h: '2', 'send-count': '1' }]);
    assert.ok(children.some((child) => typeof child !== 'string' && child.name === 'undefined-condition'));
    await romeo.stream.isClosed();
  },
);

transcript(
  'XEP-0198 §6: a count that has never been is too high, not an old one',
  { onlyOurs: 'others end the stream otherwise' },
  async (cast) => {
    for (const h of [COUNT_RANGE - 1, COUNT_RANGE / 2, COUNT_RANGE / 2 + 1]) {
      const romeo = await managed(cast);
      await romeo.sends(ack(h));
      await romeo.stream.isClosedWith('undefined-condition');
    }
  },
);

transcript('RFC 6120 §4.9.3.1: a count that is none ends the stream', { onlyOurs: 'others ignore it' }, async (cast) => {
  for (const nonza of [
    `<a xmlns='${SM}'/>`,
    ack(''),
    ack('x'),
    ack('-1'),
    ack('1.0'),
    ack('0x1'),
    ack('4294967296'),
    ack('9'.repeat(1_000)),
  ]) {
    const romeo = await managed(cast);
    await romeo.sends(nonza);
    await romeo.stream.isClosedWith('bad-format');
  }
});

transcript(
  'XEP-0198 §4: the server asks after many stanzas, or a second, one question at a time',
  { onlyOurs: 'free to' },
  async (cast) => {
    const { juliet } = cast;
    await juliet.sync();
    const { stream, full } = await managed(cast, 'romeo', { isAvailable: false });
    const chat = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await juliet.sends(`<message type='chat' to='${full}'><body>${i}</body></message>`);
    };
    const receives = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await stream.receives(`<message type='chat'><body>${i}</body></message>`);
    };
    await chat(16);
    await receives(16);
    await stream.receives(REQUEST);
    await chat(40); // no other question before the answer
    await receives(40);
    assert.deepEqual(stream.pending, []);
    await cast.advance(2_000);
    assert.deepEqual(stream.pending, []);
    await stream.sends(ack(20));
    await stream.receives(REQUEST); // much has come since the last
    await stream.sends(ack(56));
    await cast.advance(10_000);
    assert.deepEqual(stream.pending, []); // it has all
    await chat(3);
    await receives(3);
    assert.deepEqual(stream.pending, []);
    await cast.advance(1_000);
    await stream.receives(REQUEST);
    await stream.sends(ack(59));
    await cast.advance(50_000);
    assert.deepEqual(stream.pending, []);
  },
);

transcript('XEP-0198 §1: a client that does not answer is gone; the session waits for it', { onlyOurs: 'free to' }, async (cast) => {
  const { juliet } = cast;
  await juliet.sync();
  const romeo = await managed(cast);
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(`<presence from='${romeo.full}'/>`);
  await juliet.sends(`<message type='chat' to='${romeo.full}'><body>Art thou gone so?</body></message>`);
  await cast.advance(1_000);
  romeo.stream.write(' '); // alive, if not talkative
  await cast.advance(59_000);
  await cast.advance(500);
  assert.equal(
    romeo.stream.pending.some(({ kind }) => kind === 'closed'),
    false,
  );
  await cast.advance(2_000);
  await romeo.takes('the message', ({ name }) => name === 'message');
  await romeo.takes('a request', ({ name }) => name === 'r');
  await romeo.stream.isClosedWith('connection-timeout');
  await juliet.receivesNothing();
  await romeo.resumes(2);
});

transcript(
  'RFC 6120 §4.6.4: under stream management a silent client is asked what it has, since a ping would be counted',
  { config: { c2s: { idleMs: 600_000 } } },
  async (cast) => {
    const romeo = await managed(cast, 'romeo', { isAvailable: false });
    await cast.advance(300_000);
    await romeo.stream.receives(REQUEST);
    await cast.advance(1_000);
    await romeo.sends(ack(0));
    await cast.advance(310_000);
    await romeo.stream.receives(REQUEST);
    await cast.advance(61_000);
    await romeo.stream.isClosedWith('connection-timeout');
  },
);

test('XEP-0198 §4: counts wrap at 2^32', () => {
  const cases: readonly (readonly [h: number, known: number, seq: number])[] = [
    [0, 0, 0],
    [5, 0, 5],
    [3, 5, 3],
    [COUNT_RANGE - 1, COUNT_RANGE - 3, COUNT_RANGE - 1],
    [0, COUNT_RANGE - 1, COUNT_RANGE],
    [7, COUNT_RANGE - 1, COUNT_RANGE + 7],
    [COUNT_RANGE - 1, COUNT_RANGE + 7, COUNT_RANGE - 1],
    [7, 3 * COUNT_RANGE, 3 * COUNT_RANGE + 7],
    [COUNT_RANGE - 1, 3 * COUNT_RANGE, 3 * COUNT_RANGE - 1],
    [COUNT_RANGE - 1, 0, COUNT_RANGE - 1], // there was none before
    [COUNT_RANGE / 2, 0, COUNT_RANGE / 2],
  ];
  for (const [h, known, seq] of cases) assert.equal(unwrapCount(h, known), seq, `${h} behind ${known}`);
  for (let known = COUNT_RANGE - 100; known < COUNT_RANGE + 100; known += 7)
    for (let seq = known - 90; seq < known + 90; seq += 3) assert.equal(unwrapCount(seq % COUNT_RANGE, known), seq);
});

test('XEP-0198 §10: a count is an xs:unsignedInt', () => {
  for (const [text, count] of [
    ['0', 0],
    ['007', 7],
    [' 7\n', 7],
    ['4294967295', 4_294_967_295],
  ] as const)
    assert.equal(parseCount(text), count);
  for (const text of [undefined, '', ' ', '-0', '+1', '1e3', '0x10', '4294967296', '١', 'NaN', '1 2'])
    assert.equal(parseCount(text), undefined);
});
