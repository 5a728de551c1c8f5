/** Rows of the table of threats that blocking, groups in rosters and multicast touch: who learns of presence, who gets into a roster, how much one stanza makes. */
import assert from 'node:assert/strict';
import type { Client } from '../harness/cast.ts';
import { threat, type Scene } from './scene.ts';

const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const ADDRESS = 'http://jabber.org/protocol/address';

async function blocks(client: Client, address: string): Promise<void> {
  await client.sends(`<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'><item jid='${address}'/></block></iq>`);
  await client.receives(`<iq type='result' id='b1'/>`);
}

/** What the sender is told, with names of whom it asked taken out. */
async function answers(client: Client, asked: Client, ask: (to: string) => string): Promise<string[]> {
  const told: string[] = [];
  for (const to of [asked.bare, asked.full]) {
    await client.sends(ask(to));
    for (const { name, attrs, children } of await client.collects()) told.push(`${name} ${attrs['type']} ${JSON.stringify(children)}`);
  }
  return told;
}

const QUESTIONS: readonly (readonly [string, (to: string) => string])[] = [
  ['a probe', (to) => `<presence type='probe' to='${to}'/>`],
  ['presence', (to) => `<presence to='${to}'/>`],
  ['a request', (to) => `<presence type='subscribe' to='${to}'/>`],
  ['a message', (to) => `<message type='chat' id='q' to='${to}'><body>Art thou there?</body></message>`],
  ['a headline', (to) => `<message type='headline' id='q' to='${to}'><body>News</body></message>`],
  ['a ping', (to) => `<iq type='get' id='q' to='${to}'><ping xmlns='urn:xmpp:ping'/></iq>`],
  ['a question for the last activity', (to) => `<iq type='get' id='q' to='${to}'><query xmlns='jabber:iq:last'/></iq>`],
  ['a question for what there is', (to) => `<iq type='get' id='q' to='${to}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`],
  ['a question for the version', (to) => `<iq type='get' id='q' to='${to}'><query xmlns='jabber:iq:version'/></iq>`],
];
for (const [what, ask] of QUESTIONS) {
  threat(
    `Roster push / subscription spoof: to who is blocked, ${what} tells nothing of whether the user is there`,
    async ({ cast }: Scene) => {
      const { juliet, nurse, tybalt } = cast;
      for (const client of [juliet, nurse]) await blocks(client, tybalt.bare);
      await juliet.becomesAvailable();
      await nurse.disconnects();
      assert.deepEqual(await answers(tybalt, juliet, ask), await answers(tybalt, nurse, ask));
      await juliet.receivesNothing();
    },
  );
}

threat(
  'Roster push / subscription spoof: nothing a blocked contact was told before is repaired or repeated by its own coming and going',
  async ({ cast }: Scene) => {
    const { juliet, tybalt } = cast;
    await juliet.sends(`<presence type='subscribe' to='${tybalt.bare}'/>`);
    await tybalt.sync();
    await tybalt.sends(`<presence type='subscribed' to='${juliet.bare}'/>`);
    await tybalt.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
    await juliet.sync();
    await juliet.sends(`<presence type='subscribed' to='${tybalt.bare}'/>`);
    await juliet.becomesAvailable();
    await juliet.collects();
    await blocks(juliet, tybalt.bare);
    await tybalt.collects();
    await tybalt.disconnects();
    await tybalt.connects();
    await tybalt.becomesAvailable();
    await juliet.sends(`<presence><status>here</status></presence>`);
    await juliet.disconnects();
    await juliet.connects();
    await juliet.becomesAvailable();
    await tybalt.receivesNothing();
  },
);

threat('Roster push / subscription spoof: the rows of a block list are its owner’s alone', async ({ cast }: Scene) => {
  const { juliet, tybalt } = cast;
  const kinds = [`<blocklist xmlns='urn:xmpp:blocking'/>`, `<query xmlns='jabber:iq:privacy'/>`];
  for (const payload of kinds) {
    await tybalt.sends(`<iq type='get' id='g1' to='${juliet.bare}'>${payload}</iq>`);
    await tybalt.receives(
      `<iq type='error' id='g1' from='${juliet.bare}'><error match:rest='ignore' type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`,
    );
  }
  for (const payload of [
    `<unblock xmlns='urn:xmpp:blocking'/>`,
    `<block xmlns='urn:xmpp:blocking'><item jid='${cast.domain}'/></block>`,
    `<query xmlns='jabber:iq:privacy'><default name='x'/></query>`,
  ]) {
    await tybalt.sends(`<iq type='set' id='s1' to='${juliet.bare}'>${payload}</iq>`);
    await tybalt.receives(
      `<iq type='error' id='s1' from='${juliet.bare}'><error match:rest='ignore' type='cancel'><service-unavailable xmlns='${STANZAS}'/></error></iq>`,
    );
  }
});

threat(
  'disco#items, presence, MUC flood amplification: a stanza to several makes one for each address, and no more than the limit',
  async ({ cast }: Scene) => {
    const { juliet, tybalt } = cast;
    await juliet.becomesAvailable();
    const to = (count: number, jid: (i: number) => string): string =>
      Array.from({ length: count }, (_, i) => `<address type='bcc' jid='${jid(i)}'/>`).join('');
    const sends = (addresses: string): Promise<void> =>
      tybalt.sends(
        `<message type='chat' id='m1' to='${cast.domain}'><addresses xmlns='${ADDRESS}'>${addresses}</addresses><body>!</body></message>`,
      );
    await sends(to(50, () => juliet.bare));
    await juliet.takes('the only copy', ({ name }) => name === 'message');
    await juliet.receivesNothing();
    await sends(to(51, (i) => `${juliet.bare}/${i}`));
    await tybalt.receives(
      `<message type='error' id='m1' match:rest='ignore'><error type='modify' match:rest='ignore'><not-acceptable xmlns='${STANZAS}'/></error></message>`,
    );
    await juliet.receivesNothing();
    // Nor does one lead to another: addresses of the server itself are refused, those of somebody else's list are none of ours.
    await sends(`<address type='to' jid='${cast.domain}'/>`);
    await tybalt.receives(`<message type='error' id='m1' match:rest='ignore'/>`);
    await tybalt.receivesNothing();
  },
);
