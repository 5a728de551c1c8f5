/** RFC 6120 §4: stream headers, stream errors, and the end of streams. */
import assert from 'node:assert/strict';
import type { StreamClient } from '../harness/stream-client.ts';
import { transcript } from '../harness/transcript.ts';

const HEADER = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'`;

transcript('RFC 6120 §4.7: the answer to a stream header', async (cast) => {
  const client = await cast.raw();
  await client.opensStream({ from: `romeo@${cast.domain}`, 'xml:lang': 'de' });
  const { from, to, id, version, ...rest } = await client.receivesStream();
  assert.equal(from, cast.domain); // §4.7.1
  assert.ok(to === undefined || to === `romeo@${cast.domain}`); // §4.7.2
  assert.ok(id!.length >= 16); // §4.7.3
  assert.equal(version, '1.0'); // §4.7.5
  assert.ok(rest['xml:lang'] !== undefined); // §4.7.4
  await client.receivesFeatures(); // §4.3.2
});

transcript('RFC 6120 §4.7.3: no stream id is given twice', async (cast) => {
  const ids = new Set<string>();
  for (let i = 0; i < 5; i++) {
    const client = await cast.raw();
    await client.opensStream();
    ids.add((await client.receivesStream())['id']!);
  }
  assert.equal(ids.size, 5);
});

transcript('RFC 6120 §4.7.5: a higher minor version is answered with ours', async (cast) => {
  const client = await cast.raw();
  await client.opensStream({ version: '1.7' });
  assert.equal((await client.receivesStream())['version'], '1.0');
});

transcript(
  'RFC 6120 §4.9.3.25: no version, or one before 1.0, is unsupported',
  { differs: { prosody: 'offers no features', ejabberd: 'logs in as of old' } },
  async (cast) => {
    for (const version of [undefined, '0.9', 'one', '']) {
      const client = await cast.raw();
      await client.opensStream({ version });
      await client.isClosedWith('unsupported-version');
    }
  },
);

transcript('RFC 6120 §4.9.3.6: a host that is not ours', async (cast) => {
  const client = await cast.raw();
  await client.opensStream({ to: 'montague.example' });
  await client.isClosedWith('host-unknown');
});

transcript(
  'RFC 6120 §4.9.3.7: a header without or with a malformed address',
  { differs: { prosody: 'closes as host-unknown', ejabberd: 'closes as host-unknown' } },
  async (cast) => {
    const client = await cast.raw();
    await client.opensStream({ to: undefined });
    await client.isClosedWith('improper-addressing');
    const other = await cast.raw();
    await other.opensStream({ to: 'a@b@c' });
    await other.isClosedWith('improper-addressing');
  },
);

transcript('RFC 6120 §4.9.3.9: a malformed from', { differs: { prosody: 'ignores it', ejabberd: 'closes otherwise' } }, async (cast) => {
  const client = await cast.raw();
  await client.opensStream({ from: 'a@b@c' });
  await client.isClosedWith('invalid-from');
});

transcript('RFC 6120 §4.9.3.10: a stream of another namespace', async (cast) => {
  const client = await cast.raw();
  await client.opensStream({ 'xmlns:stream': 'http://wrong.namespace.example.org/' });
  await client.isClosedWith('invalid-namespace');
});

transcript('RFC 6120 §4.9.3.10: content of another namespace', { differs: { prosody: 'finds out later' } }, async (cast) => {
  const client = await cast.raw();
  await client.opensStream({ xmlns: 'jabber:server' });
  await client.isClosedWith('invalid-namespace');
});

transcript('RFC 6120 §4.9.1.2: an error comes after a header of ours, whatever was wrong with the other', async (cast) => {
  const client = await cast.raw();
  await client.opensStream({ to: 'montague.example' });
  await client.receivesStream();
  await client.isClosedWith('host-unknown');
});

for (const [what, text] of [
  ['a tag that does not match', '<message><body></message>'],
  ['two attributes of one name', `<message to='a' to='b'/>`],
  ['an attribute without quotes', '<message to=a/>'],
  ['a lone ampersand', '<message>&</message>'],
  ['a character that is none in XML', '<message>\u0001</message>'],
] as const) {
  transcript(`RFC 6120 §4.9.3.13: ${what} is not well-formed`, async (cast) => {
    const client = await cast.raw();
    await client.beginsStream();
    await client.sends(text);
    await client.isClosedWith('not-well-formed');
  });
}

for (const [what, text] of [
  ['a comment', '<!-- Ay me -->'],
  ['a processing instruction', '<?php phpinfo() ?>'],
  ['a document type', '<!DOCTYPE stream>'],
  ['an entity other than the five', '<message>&euro;</message>'],
  ['an entity of its own', '<!DOCTYPE x [<!ENTITY lol "lol">]><message>&lol;</message>'],
] as const) {
  transcript(
    `RFC 6120 §4.9.3.18, §11.1: ${what} is restricted XML`,
    { differs: { ejabberd: 'closes as not-well-formed', prosody: 'closes some of these as not-well-formed' } },
    async (cast) => {
      const client = await cast.raw();
      await client.beginsStream();
      await client.sends(text);
      await client.isClosedWith('restricted-xml');
    },
  );
}

transcript('RFC 6120 §11.1: also in front of the stream header', { onlyOurs: 'others say it in other words' }, async (cast) => {
  const client = await cast.raw();
  await client.sends('<!DOCTYPE x [<!ENTITY lol "lol">]>');
  await client.isClosedWith('restricted-xml');
});

transcript(
  'RFC 6120 §4.9.3.1, §11.4: a prefix nobody declared',
  { differs: { prosody: 'closes as not-well-formed', ejabberd: 'takes it for an element' } },
  async (cast) => {
    const client = await cast.raw();
    await client.beginsStream();
    await client.sends('<foo:message/>');
    await client.isClosedWith('bad-namespace-prefix');
  },
);

transcript(
  'RFC 6120 §4.9.3.22, §11.6: an encoding other than UTF-8',
  { differs: { prosody: 'ignores the declaration', ejabberd: 'ignores the declaration' } },
  async (cast) => {
    const client = await cast.raw();
    await client.sends(`<?xml version='1.0' encoding='ISO-8859-1'?>${HEADER} to='${cast.domain}'>`);
    await client.isClosedWith('unsupported-encoding');
  },
);

transcript('RFC 6120 §11.5: a declaration of UTF-8 is right, also without a declaration', async (cast) => {
  for (const declaration of [
    `<?xml version='1.0' encoding='UTF-8'?>`,
    `<?xml version="1.0"?>`,
    '',
    `<?xml version='1.0' encoding='utf-8' ?>\n`,
  ]) {
    const client = await cast.raw();
    await client.sends(`${declaration}${HEADER} to='${cast.domain}'>`);
    await client.receivesStream();
    await client.receivesFeatures();
  }
});

transcript(
  'RFC 6120 §4.8.2: the stream may be written with any prefix, or none',
  { differs: { ejabberd: 'wants its own' } },
  async (cast) => {
    for (const header of [
      `<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' version='1.0' to='${cast.domain}'>`,
      `<stream:stream version="1.0" to="${cast.domain}" xmlns:stream="http://etherx.jabber.org/streams" xmlns="jabber:client">`,
    ]) {
      const client = await cast.raw();
      await client.sends(header);
      await client.receivesStream();
      await client.receivesFeatures();
    }
  },
);

transcript('RFC 6120 §4.3: bytes may come in whatever pieces', async (cast) => {
  const client = await cast.raw();
  for (const byte of `<?xml version='1.0'?>${HEADER} to='${cast.domain}'>`) client.write(byte);
  await client.receivesStream();
  await client.receivesFeatures();
});

transcript('RFC 6120 §4.9.3.11: something that is no stream', { onlyOurs: 'others say it in other words' }, async (cast) => {
  const client = await cast.raw();
  await client.sends(`<message xmlns='jabber:client'><body>Ay me</body></message>`);
  await client.isClosedWith('invalid-namespace');
});

transcript(
  'RFC 6120 §4.3.3: a second header where none is due',
  { differs: { prosody: 'closes as not-well-formed', ejabberd: 'closes as not-well-formed' } },
  async (cast) => {
    const client = await cast.raw();
    await client.beginsStream();
    await client.sends(`${HEADER} to='${cast.domain}'>`);
    await client.closedSomehow(['invalid-xml', 'not-well-formed', 'policy-violation', 'bad-format', 'unsupported-stanza-type']);
  },
);

for (const stanza of [
  `<message to='x@y'><body>Ay me</body></message>`,
  '<presence/>',
  `<iq type='get' id='i1'><query xmlns='jabber:iq:roster'/></iq>`,
]) {
  transcript(
    `RFC 6120 §4.9.3.12: nothing is done for somebody unknown: ${stanza.slice(1, 9)}`,
    { differs: { prosody: 'answers with a stanza error' } },
    async (cast) => {
      const client = await cast.raw();
      await client.beginsStream();
      await client.sends(stanza);
      await client.isClosedWith('not-authorized');
    },
  );
}

transcript('RFC 6120 §4.9.3.24: an element that is no stanza', { differs: { ejabberd: 'closes otherwise' } }, async (cast) => {
  const client = await cast.raw();
  await client.beginsStream();
  await client.sends(`<pubsub xmlns='jabber:client'/>`);
  await client.isClosedWith('unsupported-stanza-type');
});

transcript('RFC 6120 §4.9.3.14: more than may be sent before login', { onlyOurs: 'our limits' }, async (cast) => {
  const opened = async (): Promise<StreamClient> => {
    const client = await cast.raw();
    await client.beginsStream();
    return client;
  };
  const large = await opened();
  await large.sends(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${'A'.repeat(10_000)}`); // before it ends
  await large.isClosedWith('policy-violation');
  const deep = await opened();
  await deep.sends('<a>'.repeat(100));
  await deep.isClosedWith('policy-violation');
  const wide = await opened();
  await wide.sends(`<iq>${'<a/>'.repeat(100)}`);
  await wide.isClosedWith('policy-violation');
  const attributes = await opened();
  await attributes.sends(`<iq ${Array.from({ length: 100 }, (_, i) => `a${i}='1'`).join(' ')}`);
  await attributes.isClosedWith('policy-violation');
  const spaces = await opened();
  spaces.write(' '.repeat(2_000));
  await spaces.isClosedWith('policy-violation');
});

transcript('RFC 6120 §4.9.3.14: a header without end', { onlyOurs: 'our limits' }, async (cast) => {
  const client = await cast.raw();
  await client.sends(`${HEADER} to='${'x'.repeat(20_000)}`);
  await client.isClosedWith('policy-violation');
});

transcript('RFC 6120 §4.9.3.4: a connection on which nothing happens ends', { onlyOurs: 'needs its clock' }, async (cast) => {
  const silent = await cast.raw();
  const polite = await cast.raw();
  await polite.beginsStream();
  await cast.advance(29_000);
  assert.deepEqual([silent.pending, polite.pending], [[], []]);
  await cast.advance(2_000);
  await silent.isClosedWith('connection-timeout');
  await polite.isClosedWith('connection-timeout');
});

transcript('RFC 6120 §4.4: the end of a stream is answered with the end of ours', async (cast) => {
  const client = await cast.raw();
  await client.beginsStream();
  await client.sends('</stream:stream>');
  await client.isClosed();
});

transcript('RFC 6120 §4.4: what was sent before the end tag is still done', async ({ romeo, juliet }) => {
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.full}'><body>Farewell</body></message></stream:stream>`);
  await juliet.receives(`<message type='chat' id='m1'><body>Farewell</body></message>`);
});

transcript('RFC 6120 §4.6.1: white space between stanzas means nothing', async ({ romeo, juliet }) => {
  for (let i = 0; i < 20; i++) await romeo.sends(' ');
  await romeo.sends(`\n\n <message type='chat' id='m1' to='${juliet.full}'><body>Hist!</body></message> \n`);
  await juliet.receives(`<message type='chat' id='m1'><body>Hist!</body></message>`);
});
