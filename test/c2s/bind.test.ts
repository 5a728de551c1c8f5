/** RFC 6120 §7: resource binding. */
import assert from 'node:assert/strict';
import type { CastOfClients } from '../harness/cast.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { transcript } from '../harness/transcript.ts';

const BIND = 'urn:ietf:params:xml:ns:xmpp-bind';
const request = (resource?: string): string =>
  `<iq type='set' id='b1'><bind xmlns='${BIND}'>${resource === undefined ? '' : `<resource>${resource}</resource>`}</bind></iq>`;
const error = (type: string, condition: string) =>
  `<iq type='error' id='b1'><error type='${type}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`;

async function loggedIn(cast: CastOfClients): Promise<StreamClient> {
  const { romeo } = cast;
  await romeo.sync();
  const client = await cast.raw();
  await client.logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
  return client;
}

transcript('RFC 6120 §7.6.1: the server chooses a resource that nobody guesses', async (cast) => {
  const [one, other] = [await loggedIn(cast), await loggedIn(cast)];
  const [first, second] = [await one.binds(), await other.binds()];
  assert.notEqual(first, second);
  for (const jid of [first, second]) assert.ok(jid.startsWith(`${cast.romeo.bare}/`) && jid.split('/')[1]!.length >= 8, jid);
});

transcript('RFC 6120 §7.7.1: the client chooses', async (cast) => {
  const client = await loggedIn(cast);
  await client.sends(request('balcony scene'));
  await client.receives(`<iq type='result' id='b1'><bind xmlns='${BIND}'><jid>${cast.romeo.bare}/balcony scene</jid></bind></iq>`);
});

transcript('RFC 6120 §7.6.1: an empty resource is none', async (cast) => {
  const client = await loggedIn(cast);
  await client.sends(request(''));
  await client.receives(`<iq type='result' id='b1'><bind xmlns='${BIND}'><jid>${cast.romeo.bare}/{resource}</jid></bind></iq>`);
});

transcript(
  'RFC 6120 §7.7.2.1: a resource that is none is a bad request; the client may ask for another',
  { differs: { prosody: 'chooses another' } },
  async (cast) => {
    const client = await loggedIn(cast);
    for (const resource of ['tab&#9;', 'x'.repeat(1_024), '\u2028']) {
      await client.sends(request(resource));
      await client.receives(error('modify', 'bad-request'));
    }
    await client.sends(request('fine'));
    await client.receives(`<iq type='result' id='b1'><bind xmlns='${BIND}'><jid>${cast.romeo.bare}/fine</jid></bind></iq>`);
  },
);

transcript('RFC 6120 §7.7.2.2: a resource in use: by default the newer session wins', async (cast) => {
  const { romeo } = cast;
  const client = await loggedIn(cast);
  await client.sends(request(romeo.resource));
  await client.receives(`<iq type='result' id='b1'><bind xmlns='${BIND}'><jid>${romeo.full}</jid></bind></iq>`);
  await romeo.isClosedWith('conflict');
});

transcript('RFC 6120 §7.7.2.2: or the older one', { config: { c2s: { resourceConflict: 'refuse' } } }, async (cast) => {
  const { romeo } = cast;
  const client = await loggedIn(cast);
  await client.sends(request(romeo.resource));
  await client.receives(error('cancel', 'conflict'));
  await client.sends(request('elsewhere'));
  await client.receives(`<iq type='result' id='b1'><bind xmlns='${BIND}'><jid>${romeo.bare}/elsewhere</jid></bind></iq>`);
  await romeo.receivesNothing();
});

transcript('RFC 6120 §7.7.2.2: or both, one under another name', { config: { c2s: { resourceConflict: 'rename' } } }, async (cast) => {
  const { romeo } = cast;
  const client = await loggedIn(cast);
  await client.sends(request(romeo.resource));
  await client.receives(`<iq type='result' id='b1'><bind xmlns='${BIND}'><jid>${romeo.bare}/{resource}</jid></bind></iq>`);
  assert.notEqual(cast.captured.get('resource'), romeo.resource);
  await romeo.receivesNothing();
});

transcript(
  'RFC 6120 §7.6.2.1: no more sessions than the operator allows',
  { config: { limits: { sessionsPerAccount: 2 } } },
  async (cast) => {
    const { romeo, phone } = cast;
    await phone.sync();
    const client = await loggedIn(cast);
    await client.sends(request('third'));
    await client.receives(error('wait', 'resource-constraint'));
    await phone.disconnects();
    await client.sends(request('third'));
    await client.receives(`<iq type='result' id='b1'><bind xmlns='${BIND}'><jid>${romeo.bare}/third</jid></bind></iq>`);
  },
);

for (const stanza of [
  `<message to='juliet@capulet.lit'><body>Ay me</body></message>`,
  '<presence/>',
  `<iq type='get' id='i1'><ping xmlns='urn:xmpp:ping'/></iq>`,
]) {
  transcript(
    `RFC 6120 §7.1: no stanza before a resource is bound: ${stanza.slice(1, 9)}`,
    { differs: { prosody: 'answers with a stanza error or drops it', ejabberd: 'does something else' } },
    async (cast) => {
      const client = await loggedIn(cast);
      await client.sends(stanza);
      await client.isClosedWith('not-authorized');
    },
  );
}

transcript('RFC 6120 §7.1: a second resource on one stream is not bound', { onlyOurs: 'others answer in other words' }, async (cast) => {
  const { romeo } = cast;
  await romeo.sends(request('another'));
  await romeo.receives(`<iq type='error' id='b1'><error type='{any}'>{any}</error></iq>`);
});
