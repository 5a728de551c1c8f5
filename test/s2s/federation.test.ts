/** Two servers of ours and their users: whatever works within one works between them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL, pair, REMOTE, type Pair, type PairOptions } from './fixture.ts';

const WAYS: Readonly<Record<string, PairOptions>> = {
  'SASL EXTERNAL': {},
  dialback: { uncertified: [LOCAL, REMOTE] },
  'one connection for both ways, SASL EXTERNAL': { config: { s2s: { isBidi: true } } },
  'one connection for both ways, dialback': { uncertified: [LOCAL, REMOTE], config: { s2s: { isBidi: true } } },
};

for (const [way, options] of Object.entries(WAYS)) {
  test(`${way}: messages, requests and errors in both directions`, async () => {
    await using servers = await pair(options);
    const { juliet } = servers.capulet.cast;
    const { romeo } = servers.montague.cast;
    await juliet.sends('<presence/>');
    await romeo.sends('<presence/>');
    await juliet.takes('her presence', ({ name }) => name === 'presence');
    await romeo.takes('his presence', ({ name }) => name === 'presence');

    await juliet.sends(`<message to='${romeo.full}' type='chat' id='m1'><body>Wherefore?</body></message>`);
    await romeo.receives(`<message from='${juliet.full}' to='${romeo.full}' type='chat' id='m1'><body>Wherefore?</body></message>`);
    await romeo.sends(`<message to='${juliet.full}' type='chat' id='m2'><body>Neither.</body></message>`);
    await juliet.receives(`<message from='${romeo.full}' to='${juliet.full}' type='chat' id='m2'><body>Neither.</body></message>`);

    await juliet.sends(`<iq to='${romeo.full}' type='get' id='q1'><query xmlns='jabber:iq:version'/></iq>`);
    await romeo.receives(`<iq from='${juliet.full}' to='${romeo.full}' type='get' id='q1'><query xmlns='jabber:iq:version'/></iq>`);
    await romeo.sends(`<iq to='${juliet.full}' type='result' id='q1'/>`);
    await juliet.receives(`<iq from='${romeo.full}' to='${juliet.full}' type='result' id='q1'/>`);
    await juliet.sends(`<iq to='${REMOTE}' type='get' id='q2'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await juliet.receives(`<iq from='${REMOTE}' to='${juliet.full}' type='result' id='q2'/>`);

    // Nobody can tell who there is: RFC 6121 §8.5.1
    await juliet.sends(`<message to='nobody@${REMOTE}' type='chat' id='m3'><body>?</body></message>`);
    await juliet.receives(
      `<message from='nobody@${REMOTE}' to='${juliet.full}' type='error' id='m3'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
    );
    if (options.config?.s2s?.isBidi === true) assert.equal(servers.lines.filter(({ isOpen }) => isOpen()).length, 1);
  });
}

async function subscribe(servers: Pair): Promise<void> {
  const { juliet } = servers.capulet.cast;
  const { romeo } = servers.montague.cast;
  for (const client of [juliet, romeo]) {
    await client.sends(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`);
    await client.sends('<presence/>');
  }
  await romeo.sends(`<presence to='${juliet.bare}' type='subscribe'/>`);
  await juliet.takes('his request', ({ attrs }) => attrs['type'] === 'subscribe');
  await juliet.sends(`<presence to='${romeo.bare}' type='subscribed'/>`);
  await romeo.takes('her consent', ({ attrs }) => attrs['type'] === 'subscribed');
  await juliet.sends(`<presence to='${romeo.bare}' type='subscribe'/>`);
  await romeo.sends(`<presence to='${juliet.bare}' type='subscribed'/>`);
  await juliet.takes('his consent', ({ attrs }) => attrs['type'] === 'subscribed');
  await juliet.collects();
  await romeo.collects();
}

test('RFC 6121 §3, §4: subscriptions, presence, probes and the end of a session between servers', async () => {
  await using servers = await pair();
  const { juliet, chamber } = servers.capulet.cast;
  const { romeo } = servers.montague.cast;
  await subscribe(servers);

  await juliet.sends('<presence><show>away</show></presence>');
  await romeo.receives(`<presence from='${juliet.full}' to='${romeo.bare}'><show>away</show></presence>`);

  // Who comes later asks: RFC 6121 §4.3
  await chamber.sends('<presence/>');
  await chamber.takes('what his server answers', ({ attrs }) => attrs['from'] === romeo.full);
  await romeo.takes('her other resource', ({ attrs }) => attrs['from'] === chamber.full);

  await romeo.sends(`<presence to='stranger@${LOCAL}/x'/>`);
  await romeo.disconnects();
  await juliet.takes('that he is gone', ({ attrs }) => attrs['type'] === 'unavailable' && attrs['from'] === romeo.full);
});

test('RFC 6121 §8.5.2.2: messages from another server wait for who is offline, and are archived', async () => {
  await using servers = await pair();
  const { juliet } = servers.capulet.cast;
  const romeo = servers.montague.cast.client('romeo');
  await romeo.sends('<presence/>');
  await romeo.disconnects();
  await juliet.sends(`<message to='${romeo.bare}' type='chat' id='m1'><body>Art thou gone so?</body></message>`);
  await romeo.connects();
  await romeo.sends('<presence/>');
  const message = await romeo.takes('what waited', ({ name }) => name === 'message');
  assert.equal(message.attrs['from'], juliet.full);
  await romeo.sends(`<iq type='set' id='a1'><query xmlns='urn:xmpp:mam:2'/></iq>`);
  await romeo.takes('the archive', ({ name, children }) => name === 'message' && JSON.stringify(children).includes('Art thou gone so?'));
});

test('XEP-0280: a message from another server is copied to the other resource', async () => {
  await using servers = await pair();
  const { juliet, chamber } = servers.capulet.cast;
  const { romeo } = servers.montague.cast;
  for (const client of [juliet, chamber]) {
    await client.sends(`<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
    await client.sends('<presence/>');
    await client.collects();
  }
  await romeo.sends(`<message to='${juliet.full}' type='chat' id='m1'><body>By a name</body></message>`);
  await juliet.takes('the message', ({ attrs }) => attrs['id'] === 'm1');
  await chamber.takes('its copy', ({ children }) => JSON.stringify(children).includes('By a name'));
});

for (const [machine, side] of [
  ['s2s_out', 'capulet'],
  ['s2s_in', 'montague'],
] as const) {
  for (const moment of ['now', 'next_message'] as const) {
    test(`${machine} crashes (${moment}) in the middle: each message arrives once and in order, or comes back`, async () => {
      await using servers = await pair();
      const { juliet } = servers.capulet.cast;
      const { romeo } = servers.montague.cast;
      await romeo.sends('<presence/>');
      const say = (n: number) => juliet.sends(`<message to='${romeo.full}' type='chat' id='m${n}'><body>${n}</body></message>`);
      for (let n = 0; n < 5; n++) await say(n);
      const { kernel, crashes } = servers[side].target;
      for (const { ref } of kernel.list({ kind: machine })) kernel.crash(ref, new Error('a drill'), moment);
      for (let n = 5; n < 15; n++) await say(n);
      for (let second = 0; second < 90; second++) await servers.advance(1_000);
      assert.equal(crashes.splice(0).length, 1);
      const ids = (received: readonly { readonly attrs: Readonly<Record<string, string>> }[]): string[] =>
        received.flatMap(({ attrs: { id } }) => (id?.startsWith('m') === true ? [id] : []));
      const arrived = ids(await romeo.collects());
      const returned = ids((await juliet.collects()).filter(({ attrs }) => attrs['type'] === 'error'));
      const sorted = [...arrived].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
      assert.deepEqual(arrived, sorted, 'in order');
      assert.deepEqual(
        [...arrived, ...returned].sort(),
        Array.from({ length: 15 }, (_, n) => `m${n}`).sort(),
        JSON.stringify({ arrived, returned }),
      );
      assert.ok(returned.length <= (moment === 'now' ? 0 : 1), returned.join());
    });
  }
}
