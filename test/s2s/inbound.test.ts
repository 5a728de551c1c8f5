/** Streams that other servers begin: what they are asked to show, and what they may do before and after. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeTlsFacts } from '../../src/net/memory-pair.ts';
import { dialbackKey, dialbackSecret, isSameKey } from '../../src/s2s/dialback.ts';
import { alone, LOCAL, REMOTE, tlsFor, type Alone, type Peer } from './fixture.ts';

export const header = (attrs = `from='${REMOTE}' to='${LOCAL}'`, ns = 'jabber:server'): string =>
  `<?xml version='1.0'?><stream:stream xmlns='${ns}' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' version='1.0' ${attrs}>`;
const STARTTLS = `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`;
const AUTH = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>${Buffer.from(REMOTE).toString('base64')}</auth>`;
const MESSAGE = `<message from='romeo@${REMOTE}/x' to='juliet@${LOCAL}' type='chat' id='m'><body>hark</body></message>`;
const idOf = (text: string): string => /<stream:stream[^>]* id='([^']+)'/.exec(text)![1]!;

/** A peer under TLS, with its features looked at. */
async function secured(here: Alone, facts = tlsFor(REMOTE)): Promise<{ peer: Peer; features: string }> {
  const peer = await here.comes({ startTls: facts });
  const first = await peer.says(header());
  assert.match(first, /<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required\/>/);
  assert.match(await peer.says(STARTTLS), /<proceed/);
  return { peer, features: await peer.says(header()) };
}

async function established(here: Alone): Promise<Peer> {
  const { peer, features } = await secured(here);
  assert.match(features, /<mechanism>EXTERNAL<\/mechanism>/);
  assert.match(await peer.says(AUTH), /<success/);
  assert.match(await peer.says(header()), /<stream:features>/);
  return peer;
}

test('RFC 6120 §4.7, §4.9.3: headers that are none', async () => {
  for (const [sent, condition] of [
    [header(`from='${REMOTE}' to='nowhere.lit'`), 'host-unknown'],
    [header(`from='${REMOTE}'`), 'improper-addressing'],
    [header(`from='${LOCAL}' to='${LOCAL}'`), 'invalid-from'],
    [header(`from='a b' to='${LOCAL}'`), 'invalid-from'],
    [header(undefined, 'jabber:client'), 'invalid-namespace'],
    [header().replace(`version='1.0' `, ''), 'unsupported-version'],
  ] as const) {
    await using here = await alone();
    const peer = await here.comes();
    assert.match(await peer.says(sent), new RegExp(`<stream:error><${condition} `), sent);
    assert.ok(peer.isClosed);
  }
});

test('XEP-0178 §3: a certificate for the domain, and stanzas of that domain', async () => {
  await using here = await alone();
  const { juliet } = here.cast;
  await juliet.sends('<presence/>');
  await juliet.receives('<presence/>');
  const peer = await established(here);
  await peer.says(MESSAGE);
  await juliet.receives(`<message from='romeo@${REMOTE}/x' to='juliet@${LOCAL}' type='chat' id='m'><body>hark</body></message>`);
});

test('S2S EXTERNAL identity: a certificate for others is not asked for, and proves nothing', async () => {
  for (const facts of [tlsFor('tybalt.lit'), makeTlsFacts()]) {
    await using here = await alone();
    const { peer, features } = await secured(here, facts);
    assert.doesNotMatch(features, /EXTERNAL/);
    assert.match(await peer.says(AUTH), /<failure[^>]*><not-authorized\/>/);
    assert.match(await peer.says(MESSAGE), /<stream:error><not-authorized /);
  }
});

test('XEP-0178 §3: the identity asked for must be that of the header', async () => {
  await using here = await alone();
  const { peer } = await secured(here, tlsFor(REMOTE, 'tybalt.lit'));
  const other = AUTH.replace(Buffer.from(REMOTE).toString('base64'), Buffer.from('tybalt.lit').toString('base64'));
  assert.match(await peer.says(other), /<invalid-authzid\/>/);
  assert.match(await peer.says(AUTH), /<success/);
  // Who has shown who it is stays that.
  assert.match(await peer.says(header(`from='tybalt.lit' to='${LOCAL}'`)), /<invalid-from /);
});

test('without dialback, a wrong certificate ends the stream with the reason', async () => {
  await using here = await alone({ config: { s2s: { isDialback: false } } });
  const { peer, features } = await secured(here, tlsFor('tybalt.lit'));
  assert.match(features, /<stream:error><not-authorized .*certificate.*not for this domain/);
  assert.ok(peer.isClosed);
});

test('unvalidated sessions send nothing but negotiation', async () => {
  await using here = await alone();
  for (const [sent, condition] of [
    [MESSAGE, 'not-authorized'],
    [`<presence from='romeo@${REMOTE}' to='juliet@${LOCAL}' type='subscribe'/>`, 'not-authorized'],
    [`<enable xmlns='urn:xmpp:sm:3'/>`, 'unsupported-stanza-type'],
    [`<iq from='${REMOTE}' to='${LOCAL}' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>`, 'not-authorized'],
  ] as const) {
    const { peer } = await secured(here);
    assert.match(await peer.says(sent), new RegExp(`<stream:error><${condition} `));
    assert.ok(peer.isClosed);
  }
});

test('S2S from spoof: only what the pair of domains allows, in that direction', async () => {
  for (const [from, to, condition] of [
    [`x@tybalt.lit`, `juliet@${LOCAL}`, 'invalid-from'],
    [`juliet@${LOCAL}`, `juliet@${LOCAL}`, 'invalid-from'],
    [`x@${REMOTE}`, 'x@tybalt.lit', 'host-unknown'],
    [`x@sub.${REMOTE}`, `juliet@${LOCAL}`, 'invalid-from'],
  ] as const) {
    await using here = await alone();
    const peer = await established(here);
    assert.match(
      await peer.says(`<message from='${from}' to='${to}' type='chat'><body>!</body></message>`),
      new RegExp(`<stream:error><${condition} `),
    );
    assert.ok(peer.isClosed);
    assert.equal(here.target.runtime.s2s!.counters.spoofs, 1);
  }
  for (const attrs of [`from='x@${REMOTE}'`, `to='juliet@${LOCAL}'`, `from='x@${REMOTE}' to='@'`]) {
    await using here = await alone();
    const peer = await established(here);
    assert.match(await peer.says(`<message ${attrs}><body>!</body></message>`), /<stream:error><improper-addressing /);
  }
});

test('S2S from spoof: a pair is good for the virtual host it was shown for', async () => {
  await using here = await alone({ config: { domains: [LOCAL, 'verona.lit'] } });
  const peer = await established(here);
  assert.match(await peer.says(`<message from='x@${REMOTE}' to='x@verona.lit'><body>!</body></message>`), /<invalid-from /);
});

test('STARTTLS injection: nothing may follow starttls before the handshake', async () => {
  await using here = await alone();
  const peer = await here.comes();
  await peer.says(header());
  assert.match(await peer.says(STARTTLS + header()), /<stream:error><policy-violation /);
  assert.ok(peer.isClosed);
});

test('XEP-0185: the example of the specification; keys belong to one pair and one stream', () => {
  const secret = 'a7136eb1f46c9ef18c5e78c36ca257067c69b3d518285f0b18a96c33beae9acc';
  assert.equal(
    dialbackKey(secret, 'xmpp.example.com', 'example.org', 'D60000229F'),
    '37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643',
  );
  const own = dialbackSecret(Buffer.alloc(32, 7));
  const key = dialbackKey(own, 'a.lit', 'b.lit', '1');
  for (const other of [
    dialbackKey(own, 'b.lit', 'a.lit', '1'),
    dialbackKey(own, 'a.lit', 'c.lit', '1'),
    dialbackKey(own, 'a.lit', 'b.lit', '2'),
    '',
    `${key}0`,
  ])
    assert.ok(!isSameKey(other, key));
  assert.ok(isSameKey(key, key));
});

/** The server asks the domain's own server; the test is that. */
async function asked(here: Alone, at = 0): Promise<{ server: Peer; question: string }> {
  const server = here.dialed[at]!.peer;
  const first = await server.hears();
  assert.match(first, /<stream:stream[^>]* from='capulet.lit' to='montague.lit'/);
  await server.says(
    `${header(`from='${REMOTE}' to='${LOCAL}' id='a1'`)}<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>`,
  );
  await server.says(`<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`);
  const question = await server.says(
    `${header(`from='${REMOTE}' to='${LOCAL}' id='a2'`)}<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>`,
  );
  return { server, question };
}

const RESULT = `<db:result from='${REMOTE}' to='${LOCAL}'>0123456789abcdef</db:result>`;

test('XEP-0220 §2.2.1: a key is verified with the domain itself, on another connection', async () => {
  await using here = await alone();
  const { juliet } = here.cast;
  await juliet.sends('<presence/>');
  await juliet.receives('<presence/>');
  const { peer, features } = await secured(here, makeTlsFacts());
  assert.match(features, /<dialback xmlns='urn:xmpp:features:dialback'><errors\/>/);
  const id = idOf(features);
  assert.equal(await peer.says(RESULT), '');
  const { server, question } = await asked(here);
  assert.equal(
    question.slice(question.indexOf('<db:')),
    `<db:verify from='${LOCAL}' to='${REMOTE}' id='${id}'>0123456789abcdef</db:verify>`,
  );
  await server.says(`<db:verify from='${REMOTE}' to='${LOCAL}' id='${id}' type='valid'/>`);
  assert.equal(await peer.hears(), `<db:result from='${LOCAL}' to='${REMOTE}' type='valid'/>`);
  await peer.says(MESSAGE);
  await juliet.takes('the message', ({ attrs }) => attrs['id'] === 'm');
});

test('dialback spoof: an invalid key ends the stream, others go on', async () => {
  await using here = await alone();
  const { peer, features } = await secured(here, makeTlsFacts());
  await peer.says(RESULT);
  const { server } = await asked(here);
  await server.says(`<db:verify from='${REMOTE}' to='${LOCAL}' id='${idOf(features)}' type='invalid'/>`);
  assert.match(await peer.hears(), /<db:result from='capulet.lit' to='montague.lit' type='invalid'\/>/);
  assert.ok(peer.isClosed);
});

test('dialback spoof: answers to nothing that was asked are not believed', async () => {
  for (const spoof of [
    `<db:result from='${REMOTE}' to='${LOCAL}' type='valid'/>`,
    `<db:verify from='${REMOTE}' to='${LOCAL}' id='x' type='valid'/>`,
  ]) {
    await using here = await alone();
    const { peer } = await secured(here, makeTlsFacts());
    assert.match(await peer.says(spoof), /<stream:error><policy-violation /);
    assert.match(await peer.says(MESSAGE), /^$/);
  }
});

test('dialback spoof: the answer must fit the question', async () => {
  const wrong = (id: string): string[] => [
    `<db:verify from='tybalt.lit' to='${LOCAL}' id='${id}' type='valid'/>`,
    `<db:verify from='${REMOTE}' to='verona.lit' id='${id}' type='valid'/>`,
    `<db:verify from='${REMOTE}' to='${LOCAL}' id='other' type='valid'/>`,
    `<db:result from='${REMOTE}' to='${LOCAL}' type='valid'/>`,
    `<db:verify from='${REMOTE}' to='${LOCAL}' id='${id}'>0123456789abcdef</db:verify>`,
  ];
  for (let i = 0; i < wrong('').length; i++) {
    await using here = await alone();
    const { peer, features } = await secured(here, makeTlsFacts());
    await peer.says(RESULT);
    const { server } = await asked(here);
    assert.match(await server.says(wrong(idOf(features))[i]!), /<stream:error><policy-violation /);
    assert.match(await peer.hears(), /type='error'><error type='wait'><remote-server-timeout /);
    assert.match(await peer.says(MESSAGE), /<stream:error><not-authorized /);
  }
});

test('XEP-0220 §2.4.2: errors that leave the stream as it is', async () => {
  await using here = await alone();
  const { peer } = await secured(here, makeTlsFacts());
  assert.match(
    await peer.says(`<db:result from='${REMOTE}' to='nowhere.lit'>00</db:result>`),
    /<db:result from='nowhere.lit' to='montague.lit' type='error'><error type='cancel'><item-not-found /,
  );
  assert.match(await peer.says(`<db:result from='${LOCAL}' to='${LOCAL}'>00</db:result>`), /type='error'.*<forbidden /);
  assert.match(
    await peer.says(`<db:verify from='${REMOTE}' to='nowhere.lit' id='1'>00</db:verify>`),
    /<db:verify from='nowhere.lit' to='montague.lit' id='1' type='error'.*<item-not-found /,
  );
  here.dialing = () => new Error('connect ECONNREFUSED');
  assert.match(await peer.says(RESULT), /type='error'><error type='wait'><remote-server-timeout /);
  assert.ok(!peer.isClosed);
});

test('XEP-0220 §2.4.2: no dialback before TLS, where TLS is wanted', async () => {
  await using here = await alone();
  const peer = await here.comes();
  await peer.says(header());
  assert.match(await peer.says(RESULT), /type='error'.*<policy-violation /);
  assert.match(await peer.says(`<db:verify from='${REMOTE}' to='${LOCAL}' id='1'>00</db:verify>`), /type='error'.*<policy-violation /);
});

test('XEP-0220 §2.2.2: whether a key is ours', async () => {
  await using here = await alone();
  const { peer } = await secured(here, makeTlsFacts());
  const key = dialbackKey(dialbackSecret(Buffer.alloc(32, 7)), REMOTE, LOCAL, 'their-stream');
  const ask = (text: string): Promise<string> =>
    peer.says(`<db:verify from='${REMOTE}' to='${LOCAL}' id='their-stream'>${text}</db:verify>`);
  assert.equal(await ask(key), `<db:verify from='${LOCAL}' to='${REMOTE}' id='their-stream' type='valid'/>`);
  assert.equal(
    await ask(key.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))),
    `<db:verify from='${LOCAL}' to='${REMOTE}' id='their-stream' type='invalid'/>`,
  );
});

test('XEP-0220 §2.5: several domains on one stream, each verified', async () => {
  await using here = await alone({ config: { domains: [LOCAL, 'verona.lit'] } });
  const peer = await established(here);
  // The certificate shows it: nobody need be asked.
  assert.equal(
    await peer.says(`<db:result from='${REMOTE}' to='verona.lit'>00</db:result>`),
    `<db:result from='verona.lit' to='${REMOTE}' type='valid'/>`,
  );
  assert.match(await peer.says(`<iq from='${REMOTE}' to='verona.lit' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>`), /^$/);
  assert.equal(here.dialed.at(-1)!.local, 'verona.lit'); // the answer goes its own way
});

test('s2s.allow and s2s.block', async () => {
  for (const [s2s, isAllowed] of [
    [{ block: [REMOTE] }, false],
    [{ block: ['*.lit'] }, false],
    [{ allow: ['tybalt.lit'] }, false],
    [{ allow: [REMOTE] }, true],
    [{ allow: ['*.lit'], block: ['tybalt.lit'] }, true],
  ] as const) {
    await using here = await alone({ config: { s2s } });
    const peer = await here.comes();
    const answer = await peer.says(header());
    assert.match(answer, isAllowed ? /<stream:features>/ : /<stream:error><policy-violation /);
    const { juliet } = here.cast;
    await juliet.sends(`<message to='x@${REMOTE}' id='m'><body>?</body></message>`);
    assert.equal(here.dialed.length, isAllowed ? 1 : 0);
    if (!isAllowed) await juliet.takes('the refusal', ({ attrs }) => attrs['type'] === 'error');
  }
});

test('XEP-0198: counts of a stream from another server, and its resumption on another connection', async () => {
  await using here = await alone();
  const { juliet } = here.cast;
  await juliet.sends('<presence/>');
  await juliet.receives('<presence/>');
  const first = await established(here);
  const enabled = await first.says(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`);
  const token = /<enabled xmlns='urn:xmpp:sm:3' id='([^']+)' resume='true' max='300'/.exec(enabled)![1]!;
  assert.equal(await first.says(`<r xmlns='urn:xmpp:sm:3'/>`), `<a xmlns='urn:xmpp:sm:3' h='0'/>`);
  // What is not durable yet is not counted, and the answer waits for that.
  assert.equal(await first.says(`${MESSAGE}${MESSAGE}<r xmlns='urn:xmpp:sm:3'/>`), `<a xmlns='urn:xmpp:sm:3' h='2'/>`);
  first.client.reset();
  await here.settle();
  const second = await established(here);
  assert.match(
    await second.says(`<resume xmlns='urn:xmpp:sm:3' previd='${token}' h='0'/>`),
    new RegExp(`<resumed xmlns='urn:xmpp:sm:3' previd='${token}' h='2'/>`),
  );
  assert.equal(await second.says(`${MESSAGE}<r xmlns='urn:xmpp:sm:3'/>`), `<a xmlns='urn:xmpp:sm:3' h='3'/>`);
  // Of a connection that is not known to be lost, too.
  const third = await established(here);
  assert.match(await third.says(`<resume xmlns='urn:xmpp:sm:3' previd='${token}' h='0'/>`), /<resumed .* h='3'\/>/);
  assert.ok(second.isClosed);
  assert.match(await third.says(`<resume xmlns='urn:xmpp:sm:3' previd='${token}' h='0'/>`), /<unexpected-request /);
  const stranger = await established(here);
  assert.match(await stranger.says(`<resume xmlns='urn:xmpp:sm:3' previd='guess' h='0'/>`), /<failed .*<item-not-found /);
});

test('RFC 6120 §4.9.1.1: the other side says why it ends the stream, and gets an end in order', async () => {
  for (const how of [secured, established]) {
    await using here = await alone();
    const outcome = await how(here);
    const peer = 'peer' in outcome ? outcome.peer : outcome;
    assert.equal(
      await peer.says(`<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`),
      '</stream:stream>',
    );
    assert.ok(peer.isClosed);
  }
});
