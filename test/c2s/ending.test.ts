/** How a client leaves, and what it says without saying it. RFC 6120 §4.4, §4.7.4, §6.4 */
import assert from 'node:assert/strict';
import { base64, SASL, threat as scenario } from '../threats/scene.ts';

scenario('RFC 6120 §4.4: what was sent before the end tag is answered before ours', async (scene) => {
  const { romeo } = scene.cast;
  const juliet = scene.cast.offline('juliet');
  await romeo.becomesAvailable();
  const wire = scene.wireOf(romeo.full);
  await romeo.writes(
    `<message type='groupchat' id='refused' to='${juliet.bare}'/><iq type='set' id='set'><query xmlns='jabber:iq:roster'><item jid='${juliet.bare}'/></query></iq></stream:stream>`,
  );
  await scene.settle();
  assert.match(wire.text, /id='set'.*<\/stream:stream>$/s);
  assert.equal(scene.runtime.counters.closed.get('client_closed'), 1);
  assert.equal(scene.count('c2s'), 0);
});

scenario('RFC 6120 §4.4: a client that does not wait for the end is gone without further ado', async (scene) => {
  const { romeo } = scene.cast;
  await romeo.becomesAvailable();
  const { client } = scene.wireOf(romeo.full);
  client.write(`</stream:stream>`);
  client.reset();
  await scene.settle();
  assert.equal(scene.count('c2s'), 0);
});

for (const [lang, expected] of [
  ['de', `xml:lang='de'`],
  ['x'.repeat(5_000), ''],
] as const) {
  scenario(
    `RFC 6120 §4.7.4, §8.1.5: stanzas are in the stream's language unless they say otherwise (${lang.slice(0, 2)})`,
    async (scene) => {
      const { juliet } = scene.cast;
      await juliet.becomesAvailable();
      scene.cast.offline('romeo');
      await scene.cast.ready();
      const client = await scene.opened();
      await client.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>${base64(`\0romeo\0${scene.cast.passwordOf('romeo')}`)}</auth>`);
      await client.receives(`<success xmlns='${SASL}'>{any}</success>`);
      await client.beginsStream({ 'xml:lang': lang });
      await client.binds('orchard');
      await client.sends(
        `<message to='${juliet.full}'><body>1</body></message><message xml:lang='fr' to='${juliet.full}'><body>2</body></message>`,
      );
      await juliet.receives(`<message ${expected}><body>1</body></message>`);
      await juliet.receives(`<message xml:lang='fr'><body>2</body></message>`);
      const [sent] = scene.wireOf(juliet.full).text.match(/<message [^>]*><body>1/)!;
      assert.equal(sent.includes('xml:lang'), expected !== '');
    },
  );
}

scenario('RFC 6120 §6.3.5: white space after <auth/> is no offence; anything else is', async (scene) => {
  scene.cast.offline('romeo');
  await scene.cast.ready();
  const auth = `<auth xmlns='${SASL}' mechanism='PLAIN'>${base64(`\0romeo\0${scene.cast.passwordOf('romeo')}`)}</auth>`;
  const client = await scene.opened();
  client.write(`${auth}\r\n`);
  await scene.settle();
  await client.receives(`<success xmlns='${SASL}'>{any}</success>`);
  await client.beginsStream();
  await client.binds();
  const hasty = await scene.opened();
  hasty.write(`${auth}<iq`);
  await scene.settle();
  await hasty.isClosedWith('policy-violation');
});

scenario('RFC 6120 §7.1: a session is bound once per stream', async (scene) => {
  const { romeo } = scene.cast;
  await romeo.sends(`<iq type='set' id='again'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>other</resource></bind></iq>`);
  await romeo.receives(`<iq type='error' id='again'>{any}</iq>`);
  await romeo.receivesNothing();
});
