import assert from 'node:assert/strict';
import type { Client } from '../harness/cast.ts';
import { transcript } from '../harness/transcript.ts';
import { childOf, textOf, type XmlElement } from '../harness/xml.ts';

const SERVICE_UNAVAILABLE = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
/** Where there is an archive. */
const ID = `<stanza-id xmlns='urn:xmpp:sid:0' id='{any}' by='{any}' match:optional='true'/>`;
const delay = (domain: string, stamp = '{stamp}') => `<delay xmlns='urn:xmpp:delay' from='${domain}' stamp='${stamp}'>{any}</delay>${ID}`;
const chat = (to: string, body: string, id = body) => `<message type='chat' id='${id}' to='${to}'><body>${body}</body></message>`;

transcript('XEP-0160 §2: messages wait for the first available resource, in order, with the time they were sent', async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  for (const body of ['1', '2', '3']) await romeo.sends(chat(juliet.bare, body));
  await romeo.receivesNothing();
  await juliet.connects();
  await juliet.receivesNothing(); // connected only: §2, "when the recipient next sends non-negative available presence"
  await juliet.becomesAvailable();
  for (const body of ['1', '2', '3']) {
    await juliet.receives(`<message type='chat' id='${body}' from='${romeo.full}'><body>${body}</body>${delay(cast.domain)}</message>`);
  }
  await juliet.receivesNothing();
  await juliet.disconnects();
  await juliet.connects();
  await juliet.becomesAvailable();
  await juliet.receivesNothing(); // handed over once
});

transcript('XEP-0203 §2: the stamp is the time the server got the message', { onlyOurs: 'needs its clock' }, async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await romeo.sends(chat(juliet.bare, 'm1'));
  await cast.advance(60_000);
  await romeo.sends(chat(juliet.bare, 'm2'));
  await cast.advance(60_000);
  await juliet.connects();
  await juliet.becomesAvailable();
  await juliet.receives(`<message type='chat'><body>m1</body>${delay(cast.domain, '2025-06-01T12:00:00.000Z')}</message>`);
  await juliet.receives(`<message type='chat'><body>m2</body>${delay(cast.domain, '2025-06-01T12:01:00.000Z')}</message>`);
});

transcript(
  'XEP-0160 §2: negative priority does not count, a later change to a non-negative one does',
  { differs: { prosody: 'looks at the initial presence only' } },
  async (cast) => {
    const { romeo } = cast;
    const juliet = cast.offline('juliet');
    await romeo.sends(chat(juliet.bare, 'm1'));
    await romeo.sync();
    await juliet.connects();
    await juliet.becomesAvailable(-1);
    await juliet.receivesNothing();
    await juliet.becomesAvailable(0);
    await juliet.receives(`<message type='chat' id='m1' from='${romeo.full}'><body>m1</body>${delay(cast.domain)}</message>`);
    await juliet.receivesNothing();
  },
);

transcript('XEP-0160 §2: they are for one resource, not for all', async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await romeo.sends(chat(juliet.bare, 'm1'));
  await romeo.sync();
  await juliet.connects();
  const chamber = cast.client('chamber');
  await chamber.becomesAvailable(-1);
  await juliet.becomesAvailable(1);
  await juliet.receives(`<message type='chat' id='m1'><body>m1</body>${delay(cast.domain)}</message>`);
  await chamber.receivesNothing();
});

transcript('XEP-0160 §2: everything in the message is kept as it was', async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  const content = `<subject xml:lang='it'>Balcone</subject><body>&lt;3 &amp; 💌</body><thread parent='t0'>t1</thread><x:in xmlns:x='urn:example:in' x:a='1'><y/></x:in>`;
  await romeo.sends(`<message xml:lang='en' id='a&apos;b&quot;c' to='${juliet.bare}'>${content}</message>`);
  await romeo.sync();
  await juliet.connects();
  await juliet.becomesAvailable();
  await juliet.receives(
    `<message xml:lang='en' id='a&apos;b&quot;c' from='${romeo.full}' to='${juliet.bare}'>${content}${delay(cast.domain)}</message>`,
  );
});

transcript('XEP-0160 §3: chat states alone are not kept, with a body they are', { differs: { prosody: 'keeps them' } }, async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  const state = (name: string) => `<${name} xmlns='http://jabber.org/protocol/chatstates'/>`;
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.bare}'>${state('composing')}<thread>t1</thread></message>`);
  await romeo.sends(`<message type='chat' id='m2' to='${juliet.bare}'>${state('active')}<body>Hist!</body></message>`);
  await romeo.sends(`<message type='chat' id='m3' to='${juliet.bare}'>${state('gone')}</message>`);
  await romeo.sync();
  await juliet.connects();
  await juliet.becomesAvailable();
  await juliet.receives(`<message type='chat' id='m2'>${state('active')}<body>Hist!</body>${delay(cast.domain)}</message>`);
  await juliet.receivesNothing();
});

transcript('XEP-0160 §3: a chat message with other content than a body is kept', async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.bare}'><received xmlns='urn:xmpp:receipts' id='x'/></message>`);
  await romeo.sends(
    `<message type='chat' id='m2' to='${juliet.bare}'><encrypted xmlns='urn:example:e2e'>…</encrypted><store xmlns='urn:xmpp:hints'/></message>`,
  );
  await romeo.sync();
  await juliet.connects();
  await juliet.becomesAvailable();
  await juliet.receives(`<message type='chat' id='m1'><received xmlns='urn:xmpp:receipts' id='x'/>${delay(cast.domain)}</message>`);
  await juliet.receives(
    `<message type='chat' id='m2'><encrypted xmlns='urn:example:e2e'>…</encrypted><store xmlns='urn:xmpp:hints'/>${delay(cast.domain)}</message>`,
  );
});

transcript(
  'XEP-0334 §4.2: with no-store a message is not kept, and its sender told so; no-permanent-store is no hindrance',
  { differs: { prosody: 'ignores hints' } },
  async (cast) => {
    const { romeo } = cast;
    const juliet = cast.offline('juliet');
    await romeo.sends(
      `<message type='chat' id='m1' to='${juliet.bare}'><body>Burn this</body><no-store xmlns='urn:xmpp:hints'/></message>`,
    );
    await romeo.receives(`<message type='error' id='m1' from='${juliet.bare}'>${SERVICE_UNAVAILABLE}</message>`);
    await romeo.sends(
      `<message type='chat' id='m2' to='${juliet.bare}'><body>Keep it short</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>`,
    );
    await romeo.receivesNothing();
    await juliet.connects();
    await juliet.becomesAvailable();
    await juliet.receives(
      `<message type='chat' id='m2'><body>Keep it short</body><no-permanent-store xmlns='urn:xmpp:hints'/>${delay(cast.domain)}</message>`,
    );
    await juliet.receivesNothing();
  },
);

transcript(
  'XEP-0160 §2: a full queue refuses with service-unavailable',
  { config: { accounts: { maxOfflineMessages: 2 } } },
  async (cast) => {
    const { romeo } = cast;
    const juliet = cast.offline('juliet');
    for (const body of ['1', '2', '3']) await romeo.sends(chat(juliet.bare, body));
    await romeo.receives(`<message type='error' id='3' from='${juliet.bare}'>${SERVICE_UNAVAILABLE}</message>`);
    await juliet.connects();
    await juliet.becomesAvailable();
    assert.deepEqual((await juliet.collects()).map(bodyOf), ['1', '2']);
    await juliet.becomesUnavailable();
    await juliet.collects();
    await romeo.sends(chat(juliet.bare, '4')); // there is room again
    await romeo.receivesNothing();
  },
);

transcript('XEP-0160 §2: with a limit of none nothing is kept', { config: { accounts: { maxOfflineMessages: 0 } } }, async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await romeo.sends(chat(juliet.bare, 'm1'));
  await romeo.receives(`<message type='error' id='m1'>${SERVICE_UNAVAILABLE}</message>`);
});

transcript('XEP-0160 §2: the size of all messages is limited, too', { modules: { offline: { size: '4kB' } } }, async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.bare}'><body>${'x'.repeat(3_000)}</body></message>`);
  await romeo.sends(`<message type='chat' id='m2' to='${juliet.bare}'><body>${'x'.repeat(3_000)}</body></message>`);
  await romeo.receives(`<message type='error' id='m2'>${SERVICE_UNAVAILABLE}</message>`);
  await romeo.sends(chat(juliet.bare, 'm3'));
  await romeo.receivesNothing();
});

transcript(
  'XEP-0203 §5: nobody but the server says that the server delayed a message',
  { differs: { prosody: 'passes it on', ejabberd: 'passes it on' } },
  async (cast) => {
    const { romeo, juliet } = cast;
    const nurse = cast.offline('nurse');
    const forged = `<delay xmlns='urn:xmpp:delay' from='${cast.domain}' stamp='1597-01-01T00:00:00Z'/>`;
    const other = `<delay xmlns='urn:xmpp:delay' from='rooms.${cast.domain}' stamp='1597-01-01T00:00:00Z'/>`;
    await romeo.sends(`<message type='chat' id='m1' to='${juliet.full}'><body>Now</body>${forged}${other}</message>`);
    await juliet.receives(`<message type='chat' id='m1'><body>Now</body>${other}${ID}</message>`);
    await romeo.sends(`<message type='chat' id='m2' to='${nurse.bare}'><body>Now</body>${forged}</message>`);
    await romeo.sync();
    await nurse.connects();
    await nurse.becomesAvailable();
    await nurse.receives(
      `<message type='chat' id='m2'><body>Now</body><delay xmlns='urn:xmpp:delay' from='${cast.domain}' stamp='{year}-{any}'>{any}</delay>${ID}</message>`,
    );
    assert.notEqual(cast.captured.get('year')!.slice(0, 4), '1597');
  },
);

transcript(
  'XEP-0160: a backlog of several chunks comes complete and in order, what arrives meanwhile after it',
  { onlyOurs: 'a corner of ours' },
  async (cast) => {
    const { romeo } = cast;
    const juliet = cast.offline('juliet');
    await cast.ready();
    for (let i = 0; i < 120; i++) await romeo.sends(chat(juliet.bare, String(i)));
    await juliet.connects();
    // All are under way at once: the messages meet a backlog that is being handed over.
    await juliet.writes('<presence/>');
    await Promise.all([romeo.sends(chat(juliet.bare, '120')), romeo.sends(chat(juliet.bare, '121'))]);
    await juliet.takes('its own presence', ({ name }) => name === 'presence');
    assert.deepEqual((await messagesOf(juliet, 122)).map(bodyOf), range(0, 122));
    await juliet.receivesNothing();
    await romeo.sends(chat(juliet.bare, '122'));
    await juliet.receives(`<message type='chat' id='122'><body>122</body>${ID}</message>`); // at once, without delay
  },
);

transcript('XEP-0160: nor is it overtaken by what goes to the full JID of its reader', { config: {} }, async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await cast.ready();
  for (let i = 0; i < 60; i++) await romeo.sends(chat(juliet.bare, String(i)));
  await juliet.connects();
  await juliet.writes('<presence/>');
  await Promise.all([
    romeo.sends(chat(juliet.full, '60')),
    romeo.sends(`<message type='headline' to='${juliet.full}'><body>News</body></message>`),
  ]);
  const messages = await messagesOf(juliet, 62);
  assert.deepEqual(messages.filter(({ attrs }) => attrs['type'] === 'chat').map(bodyOf), range(0, 61));
});

transcript(
  'XEP-0160: a backlog larger than a connection may have unsent goes out as fast as it is read',
  { config: { limits: { outboundBytes: 300_000 } } },
  async (cast) => {
    const { romeo } = cast;
    const juliet = cast.offline('juliet');
    const filler = 'x'.repeat(20_000);
    for (let i = 0; i < 60; i++) await romeo.sends(`<message type='chat' id='${i}' to='${juliet.bare}'><body>${filler}</body></message>`);
    await romeo.receivesNothing();
    await juliet.connects();
    await juliet.becomesAvailable();
    await cast.advance(1_000);
    assert.deepEqual(
      (await juliet.collects()).map(({ attrs }) => attrs['id']),
      range(0, 60),
    );
  },
);

transcript(
  'XEP-0160: a session that ends while it is handed its backlog loses nothing that did not leave',
  { config: { limits: { outboundBytes: 300_000 } } },
  async (cast) => {
    const { romeo } = cast;
    const juliet = cast.offline('juliet');
    const filler = 'x'.repeat(20_000);
    for (let i = 0; i < 60; i++) await romeo.sends(`<message type='chat' id='${i}' to='${juliet.bare}'><body>${filler}</body></message>`);
    await juliet.connects();
    juliet.stalls();
    await juliet.sends('<presence/>'); // reads no more than the first chunk
    await juliet.drops();
    const chamber = cast.client('chamber');
    await chamber.becomesAvailable();
    await cast.advance(1_000);
    const ids = (await chamber.collects()).map(({ attrs }) => Number(attrs['id']));
    assert.ok(ids.length > 40, `most are left: ${ids.length}`);
    assert.deepEqual(ids, range(60 - ids.length, 60).map(Number));
  },
);

transcript(
  'XEP-0160: who reads nothing for a minute does not keep the rest from another resource',
  { config: { limits: { outboundBytes: 300_000 }, c2s: { idleMs: 0 } } },
  async (cast) => {
    const { romeo } = cast;
    const juliet = cast.offline('juliet');
    const filler = 'x'.repeat(20_000);
    for (let i = 0; i < 60; i++) await romeo.sends(`<message type='chat' id='${i}' to='${juliet.bare}'><body>${filler}</body></message>`);
    await juliet.connects();
    juliet.stalls();
    await juliet.writes('<presence/>');
    const chamber = cast.client('chamber');
    await chamber.sends('<presence/>');
    await cast.advance(59_000);
    assert.deepEqual(
      (await chamber.collects()).filter(({ name }) => name === 'message'),
      [],
    );
    await cast.advance(2_000);
    const ids = (await chamber.collects()).filter(({ name }) => name === 'message').map(({ attrs }) => Number(attrs['id']));
    assert.ok(ids.length > 40, `most are left: ${ids.length}`);
    assert.deepEqual(ids, range(60 - ids.length, 60).map(Number));
  },
);

transcript('XEP-0160: a restart of the server keeps the queue', { onlyOurs: 'restarts it' }, async (cast) => {
  const { romeo } = cast;
  const juliet = cast.offline('juliet');
  await romeo.sends(chat(juliet.bare, 'm1'));
  await romeo.sync();
  const again = await cast.restarted();
  const later = again.client('juliet');
  await later.becomesAvailable();
  await later.receives(`<message type='chat' id='m1' from='${romeo.full}'><body>m1</body>${delay(cast.domain)}</message>`);
  const romeoAgain = again.client('romeo');
  await later.becomesUnavailable();
  await later.collects();
  await romeoAgain.sends(chat(juliet.bare, 'm2'));
  await romeoAgain.sync();
  await later.becomesAvailable();
  await later.receives(`<message type='chat' id='m2'><body>m2</body>${delay(cast.domain)}</message>`);
});

for (const passes of [0, 1, 2, 3, 4, 5, 6, 8, 10]) {
  transcript(
    `XEP-0160: a crash of the account ${passes} passes of the event loop into the hand-over loses nothing and doubles nothing`,
    { onlyOurs: 'crashes it' },
    async (cast) => {
      const { romeo } = cast;
      const juliet = cast.offline('juliet');
      await cast.ready();
      for (let i = 0; i < 120; i++) await romeo.sends(chat(juliet.bare, String(i)));
      await juliet.connects();
      const { kernel, clock, crashes } = cast.memory;
      const actor = kernel.list({ kind: 'account' }).find(({ description }) => description === juliet.bare)!;
      await juliet.writes('<presence/>');
      for (let i = 0; i < passes; i++) {
        clock.tick();
        await new Promise(setImmediate);
      }
      kernel.crash(actor.ref, new Error('a drill'));
      await cast.target.settle();
      assert.equal(crashes.splice(0).length, 1);
      // Whatever was left waits for the next message, and comes before it.
      await romeo.sends(chat(juliet.bare, '120'));
      await cast.target.settle();
      const bodies = (await messagesOf(juliet, 121)).map(bodyOf);
      assert.deepEqual(bodies, range(0, 121));
    },
  );
}

transcript('XEP-0160: what a broken connection gave back is kept with its first time', { onlyOurs: 'needs its clock' }, async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  await juliet.disconnects();
  await romeo.sends(chat(juliet.bare, 'm1'));
  await cast.advance(60_000);
  await juliet.connects();
  await juliet.becomesAvailable(-1);
  // The kernel hands a message back where the connection has gone with it on the way.
  const { kernel } = cast.memory;
  const connection = kernel.list({ kind: 'c2s' }).find(({ description }) => description === juliet.full)!;
  await Promise.all([juliet.sends('<presence/>'), kernel.crash(connection.ref, new Error('a drill'))]);
  await cast.target.settle();
  cast.memory.crashes.splice(0);
  const received = await messagesOf(juliet, 1);
  assert.deepEqual(received.map(bodyOf), ['m1']);
  assert.equal(childOf(received[0]!, 'delay')!.attrs['stamp'], '2025-06-01T12:00:00.000Z');
});

const SM = 'urn:xmpp:sm:3';

async function manages(client: Client, more = ''): Promise<void> {
  await client.sends(`<enable xmlns='${SM}'${more}/>`);
  await client.takes('<enabled/>', ({ name, ns }) => name === 'enabled' && ns === SM);
}

/** What has come under stream management, without its requests. */
async function chatOf(client: Client): Promise<string[]> {
  return (await client.collects()).filter(({ name }) => name === 'message').map(bodyOf);
}

transcript(
  'XEP-0198 §5, XEP-0160: what a session had not acknowledged when it ended waits for the next',
  { onlyOurs: 'looks into it' },
  async (cast) => {
    const { romeo, juliet } = cast;
    await juliet.becomesAvailable();
    await manages(juliet);
    for (const body of ['1', '2', '3']) await romeo.sends(chat(juliet.bare, body));
    assert.deepEqual(await chatOf(juliet), ['1', '2', '3']);
    await juliet.sends(`<a xmlns='${SM}' h='1'/>`);
    await juliet.drops();
    await romeo.sends(chat(juliet.bare, '4'));
    await cast.advance(1_000);
    await juliet.connects();
    await juliet.becomesAvailable();
    const received = await messagesOf(juliet, 3);
    assert.deepEqual(received.map(bodyOf), ['2', '3', '4']);
    assert.ok(received.every((message) => childOf(message, 'delay')?.attrs['stamp'] === '2025-06-01T12:00:00.000Z'));
    await juliet.receivesNothing();
  },
);

transcript('XEP-0198 §5, XEP-0160: also where it was to be resumed and was not', { onlyOurs: 'needs its clock' }, async (cast) => {
  const { romeo, juliet } = cast;
  await juliet.becomesAvailable();
  await manages(juliet, ` resume='true' max='60'`);
  await romeo.sends(chat(juliet.bare, '1'));
  assert.deepEqual(await chatOf(juliet), ['1']);
  await juliet.drops();
  await romeo.sends(chat(juliet.bare, '2')); // for the session that may come back
  await romeo.receivesNothing();
  await cast.advance(61_000);
  const chamber = cast.client('chamber');
  await chamber.becomesAvailable();
  assert.deepEqual((await messagesOf(chamber, 2)).map(bodyOf), ['1', '2']);
  await chamber.receivesNothing();
});

transcript(
  'XEP-0160 §2: what was acknowledged to nobody is kept even where the queue is full',
  { config: { accounts: { maxOfflineMessages: 2 } } },
  async (cast) => {
    const { romeo, juliet } = cast;
    await juliet.becomesAvailable();
    await manages(juliet);
    for (const body of ['1', '2', '3']) await romeo.sends(chat(juliet.bare, body));
    await chatOf(juliet);
    await juliet.drops();
    await romeo.sends(chat(juliet.bare, '4'));
    await romeo.receives(`<message type='error' id='4' from='${juliet.bare}'>${SERVICE_UNAVAILABLE}</message>`);
    await juliet.connects();
    await juliet.becomesAvailable();
    assert.deepEqual((await messagesOf(juliet, 3)).map(bodyOf), ['1', '2', '3']);
  },
);

transcript(
  'XEP-0160 §2: what was refused for its size leaves room for smaller ones',
  { modules: { offline: { size: '1KiB' } } },
  async (cast) => {
    const { romeo } = cast;
    const juliet = cast.offline('juliet');
    await romeo.sends(chat(juliet.bare, 'x'.repeat(2_000), 'm1'));
    await romeo.receives(
      `<message type='error' id='m1'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>No more messages are kept for this account</text></error></message>`,
    );
    await romeo.sends(chat(juliet.bare, 'm2'));
    await romeo.receivesNothing();
  },
);

transcript('XEP-0175: an anonymous account has no queue', { config: { accounts: { anonymousHosts: ['capulet.lit'] } } }, async (cast) => {
  const { romeo } = cast;
  const guest = await cast.raw('guest');
  await guest.beginsStream();
  await guest.sends(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>`);
  await guest.receives(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`);
  await guest.beginsStream();
  const full = await guest.binds();
  await romeo.sends(chat(full.split('/')[0]!, 'm1'));
  await romeo.receives(`<message type='error' id='m1'>${SERVICE_UNAVAILABLE}</message>`);
});

transcript('XEP-0160 §4: disco announces it', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='d1'><query xmlns='http://jabber.org/protocol/disco#info' match:rest='ignore'><feature var='msgoffline'/></query></iq>`,
  );
});

/** The next `count` messages, however long they take. */
async function messagesOf(client: Client, count: number): Promise<XmlElement[]> {
  const messages: XmlElement[] = [];
  while (messages.length < count)
    messages.push(await client.takes(`message ${messages.length + 1} of ${count}`, ({ name }) => name === 'message'));
  return messages;
}

function bodyOf(message: XmlElement): string {
  return textOf(childOf(message, 'body')!);
}

function range(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => String(from + i));
}
