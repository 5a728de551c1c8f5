/** Rows of the table of threats that push notifications touch: what they tell whom, and what a service that misbehaves can set off. */
import assert from 'node:assert/strict';
import type { Client } from '../harness/cast.ts';
import { printXml, type XmlElement } from '../harness/xml.ts';
import { threat, type Scene } from './scene.ts';

const NS = 'urn:xmpp:push:0';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';

const chat = (to: string, body: string, id = 'm1'): string => `<message type='chat' id='${id}' to='${to}'><body>${body}</body></message>`;
const isRequest = ({ name, attrs }: XmlElement): boolean => name === 'iq' && attrs['type'] === 'set';

/** The client's service is that address, and the client has gone. */
async function wakes(client: Client, service: string, node = 'n1'): Promise<void> {
  await client.sends(`<iq type='set' id='e1'><enable xmlns='${NS}' jid='${service}' node='${node}'/></iq>`);
  await client.receives(`<iq type='result' id='e1'/>`);
  await client.disconnects();
}

threat('Push content and token abuse: neither sender nor text leave the server unless the operator says so', async ({ cast }: Scene) => {
  const { juliet, romeo, tybalt } = cast;
  await tybalt.sync();
  await wakes(juliet, tybalt.full);
  await romeo.sends(chat(juliet.bare, 'It is the east', 'secret-id'));
  const told = printXml(await tybalt.takes('a notification', isRequest));
  for (const secret of [romeo.local, 'the east', 'secret-id']) assert.ok(!told.includes(secret), secret);
});

threat(
  'Push content and token abuse: a service that is gone is forgotten, so that nobody who takes its address later is told anything',
  async ({ cast }: Scene) => {
    const { juliet, romeo, tybalt } = cast;
    for (const condition of ['item-not-found', 'gone', 'forbidden']) {
      await tybalt.sync();
      await juliet.connects();
      await wakes(juliet, tybalt.full);
      await romeo.sends(chat(juliet.bare, '1'));
      const { attrs } = await tybalt.takes('a notification', isRequest);
      await tybalt.sends(
        `<iq type='error' id='${attrs['id']}' to='${juliet.bare}'><error type='cancel'><${condition} xmlns='${STANZAS}'/></error></iq>`,
      );
      await romeo.sends(chat(juliet.bare, '2'));
      await cast.advance(120_000);
      await tybalt.receivesNothing();
    }
  },
);

threat('Push content and token abuse: a service that only fails is tried less and less, and then no more', async ({ cast }: Scene) => {
  const { juliet, romeo, tybalt } = cast;
  await tybalt.sync();
  await wakes(juliet, tybalt.full);
  await romeo.sends(chat(juliet.bare, '1'));
  let tries = 0;
  for (let minutes = 0; minutes < 300; minutes++) {
    for (const { attrs, ...rest } of await tybalt.collects()) {
      if (!isRequest({ attrs, ...rest } as XmlElement)) continue;
      tries++;
      await tybalt.sends(
        `<iq type='error' id='${attrs['id']}' to='${juliet.bare}'><error type='wait'><resource-constraint xmlns='${STANZAS}'/></error></iq>`,
      );
    }
    await cast.advance(60_000);
    await romeo.keepsAlive();
  }
  assert.equal(tries, 10);
});

threat('Push content and token abuse: answers that nobody asked for change nothing, whoever sends them', async ({ cast }: Scene) => {
  const { juliet, romeo, tybalt, nurse } = cast;
  await tybalt.sync();
  await nurse.sync();
  await wakes(juliet, tybalt.full);
  await romeo.sends(chat(juliet.bare, '1'));
  const { attrs } = await tybalt.takes('a notification', isRequest);
  const error = (id: string): string =>
    `<iq type='error' id='${id}' to='${juliet.bare}'><error type='cancel'><item-not-found xmlns='${STANZAS}'/></error></iq>`;
  await nurse.sends(error(attrs['id']!)); // the right id, the wrong sender
  await tybalt.sends(error('another'));
  await tybalt.sends(`<iq type='result' id='${attrs['id']}' to='${juliet.bare}'/>`);
  await tybalt.sends(error(attrs['id']!)); // once answered it is answered
  await romeo.sends(chat(juliet.bare, '2'));
  await tybalt.takes('the next notification', isRequest);
});

threat('Push content and token abuse: nobody is the service of somebody who did not ask for it', async ({ cast }: Scene) => {
  const { juliet, tybalt } = cast;
  await tybalt.sends(`<iq type='set' id='e1' to='${juliet.bare}'><enable xmlns='${NS}' jid='${tybalt.full}' node='n1'/></iq>`);
  await tybalt.receives(
    `<iq type='error' id='e1' from='${juliet.bare}'><error match:rest='ignore' type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`,
  );
  await tybalt.sends(`<iq type='set' id='e2' to='${juliet.bare}'><disable xmlns='${NS}' jid='${tybalt.full}'/></iq>`);
  await tybalt.receives(
    `<iq type='error' id='e2' from='${juliet.bare}'><error match:rest='ignore' type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`,
  );
});

const TARGETS: readonly (readonly [string, (cast: Scene['cast']) => string])[] = [
  ['an account that does not exist', (cast) => `nobody@${cast.domain}`],
  ['an account that wakes the other one', ({ romeo }) => romeo.bare],
  ['a client that is gone', ({ romeo }) => romeo.full],
  ['the server', (cast) => cast.domain],
  ['a domain that nobody knows', () => 'push.example.lit'],
];
for (const [what, target] of TARGETS) {
  threat(`Routing loop / error ping-pong: a push to ${what} comes to an end`, async ({ cast }: Scene) => {
    const { juliet, romeo, nurse } = cast;
    await nurse.sync();
    await wakes(romeo, juliet.bare);
    await wakes(juliet, target(cast));
    for (let i = 1; i <= 3; i++) await nurse.sends(chat(juliet.bare, String(i), `m${i}`));
    await nurse.sends(chat(romeo.bare, 'Both'));
    await nurse.receivesNothing();
    await cast.advance(120_000);
    await nurse.receivesNothing();
    await juliet.connects();
    await juliet.becomesAvailable();
    const waiting = (await juliet.collects()).filter(({ name }) => name === 'message');
    assert.deepEqual(
      waiting.map(({ attrs }) => attrs['id']),
      ['m1', 'm2', 'm3'],
    ); // and nothing that a push has brought
  });
}

threat('Routing loop / error ping-pong: what a push service writes to its user wakes nobody', async ({ cast }: Scene) => {
  const { juliet, tybalt } = cast;
  await tybalt.sync();
  await wakes(juliet, tybalt.full);
  await tybalt.sends(chat(juliet.bare, 'You have been told'));
  await tybalt.receivesNothing();
});
