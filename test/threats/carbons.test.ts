/** The row of the table of threats about copies of messages that are none: who can make a client believe it said or heard something. */
import assert from 'node:assert/strict';
import { parseJid } from '../../src/xmpp/jid.ts';
import { Stanza } from '../../src/xmpp/stanza.ts';
import type { Client } from '../harness/cast.ts';
import { threat, type Scene } from './scene.ts';

const CARBONS = 'urn:xmpp:carbons:2';
const OLDER = 'urn:xmpp:carbons:1';

const forged = (name: string, { juliet, nurse }: Scene['cast'], ns = CARBONS): string => `
  <${name} xmlns='${ns}'><forwarded xmlns='urn:xmpp:forward:0'>
    <message xmlns='jabber:client' type='chat' from='${juliet.full}' to='${nurse.full}'><body>Thou shall meet me tonite</body></message>
  </forwarded></${name}>`;

async function enables(...clients: readonly Client[]): Promise<void> {
  for (const client of clients) {
    await client.sends(`<iq type='set' id='c1'><enable xmlns='${CARBONS}'/></iq>`);
    await client.receives(`<iq type='result' id='c1' from='{any}'/>`);
  }
}

for (const name of ['received', 'sent']) {
  for (const ns of [CARBONS, OLDER]) {
    threat(`Carbons / MAM forgery: a <${name}/> of ${ns} from somebody else reaches nobody`, async (scene) => {
      const { tybalt, juliet, chamber } = scene.cast;
      await juliet.becomesAvailable();
      await enables(juliet, chamber);
      for (const to of [juliet.bare, juliet.full]) {
        await tybalt.sends(`<message type='chat' id='m1' to='${to}'>${forged(name, scene.cast, ns)}</message>`);
        for (const client of [juliet, chamber]) await client.receivesNothing();
      }
      await tybalt.receivesNothing();
    });
  }

  threat(`Carbons / MAM forgery: without the <${name}/> the rest of such a message arrives, and is copied so`, async (scene) => {
    const { tybalt, juliet, chamber } = scene.cast;
    await enables(chamber);
    const rest = `<body>Good morrow</body><thread>t1</thread>`;
    await tybalt.sends(
      `<message type='chat' id='m1' to='${juliet.full}'>${forged(name, scene.cast)}${rest}${forged(name, scene.cast)}</message>`,
    );
    const id = `<stanza-id xmlns='urn:xmpp:sid:0' id='{any}' by='{any}' match:optional='true'/>`;
    await juliet.receives(`<message type='chat' id='m1' from='${tybalt.full}'>${rest}${id}</message>`);
    await chamber.receives(
      `<message type='chat'><received xmlns='${CARBONS}'><forwarded xmlns='urn:xmpp:forward:0'>
        <message xmlns='jabber:client' type='chat' id='m1' from='${tybalt.full}' to='${juliet.full}'>${rest}${id}</message>
      </forwarded></received></message>`,
    );
  });

  threat(`Carbons / MAM forgery: nor does a <${name}/> wait for somebody who is away`, async (scene) => {
    const { tybalt } = scene.cast;
    const nurse = scene.cast.offline('nurse');
    await tybalt.sends(`<message type='chat' id='m1' to='${nurse.bare}'>${forged(name, scene.cast)}</message>`);
    await tybalt.sends(`<message type='chat' id='m2' to='${nurse.bare}'>${forged(name, scene.cast)}<body>Good morrow</body></message>`);
    await tybalt.receivesNothing();
    await nurse.connects();
    await nurse.becomesAvailable();
    const messages = (await nurse.collects()).filter((element) => element.name === 'message');
    assert.deepEqual(
      messages.map(({ attrs }) => attrs['id']),
      ['m2'],
    );
    assert.ok(!scene.wireOf(nurse.full).text.includes('tonite'));
  });

  threat(`Carbons / MAM forgery: nor does a <${name}/> of another server that claims to be its user’s`, async (scene) => {
    const { juliet, chamber } = scene.cast;
    await enables(juliet, chamber);
    const xml = forged(name, scene.cast);
    // As it would come from a stream of servers, which lets nobody speak for a domain that is ours: from elsewhere.
    const stanza = new Stanza({
      kind: 'message',
      type: 'chat',
      from: parseJid(`juliet@${scene.cast.domain}.example`)!,
      to: parseJid(juliet.full)!,
      body: xml,
      children: [{ name, ns: CARBONS }],
    });
    scene.kernel.sendTo('account', juliet.bare, stanza);
    await scene.settle();
    for (const client of [juliet, chamber]) await client.receivesNothing();
  });
}

threat('Carbons / MAM forgery: a copy is not copied again', async (scene) => {
  const { romeo, phone, tablet, juliet } = scene.cast;
  await enables(romeo, phone, tablet);
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.full}'><body>Hist!</body></message>`);
  for (const client of [phone, tablet]) {
    const received = await client.collects();
    assert.equal(received.length, 1);
  }
  await romeo.receivesNothing();
});

threat('Routing loop / error ping-pong: an error that answers a copy is the end of it', async (scene) => {
  const { romeo, phone, juliet } = scene.cast;
  await enables(romeo, phone);
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.full}'><body>Hist!</body></message>`);
  await phone.collects();
  await juliet.collects();
  const error = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
  for (const to of [romeo.bare, juliet.full]) await phone.sends(`<message type='error' to='${to}'>${error}</message>`);
  assert.equal((await juliet.collects()).length, 1); // what was sent to her
  for (const client of [romeo, phone]) await client.receivesNothing();
});

threat('Memory exhaustion at default settings: ids of copied messages are remembered for a while only', async (scene) => {
  const { romeo, phone, juliet } = scene.cast;
  await enables(phone);
  for (let i = 0; i < 300; i++) await romeo.sends(`<message type='chat' id='m${i}' to='${juliet.full}'><body>${i}</body></message>`);
  await juliet.collects();
  assert.equal((await phone.collects()).length, 300);
  const error = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
  for (const id of ['m0', 'm43', 'm44', 'm299'])
    await juliet.sends(`<message type='error' id='${id}' to='${romeo.full}'>${error}</message>`);
  assert.equal((await romeo.collects()).length, 4);
  assert.equal((await phone.collects()).length, 2); // of the 256 last
});
