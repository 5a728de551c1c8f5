import type { Client } from '../harness/cast.ts';
import { transcript, type TranscriptOptions } from '../harness/transcript.ts';
import { befriends } from './roster-scenes.ts';

const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const CLOSED: TranscriptOptions = { modules: { strangers: { messages: false, local: true } } };

const chat = (to: string): string => `<message type='chat' id='m1' to='${to}'><body>Buy!</body></message>`;
const message = `<message type='chat' id='m1' match:rest='ignore'/>`;
const request = (to: Client): string => `<presence type='subscribe' to='${to.bare}'/>`;
const REFUSED = `<message type='error' id='m1' match:rest='ignore'><error type='auth' match:rest='ignore'><policy-violation xmlns='${STANZAS}'/></error></message>`;

transcript('by default anybody may write', async ({ juliet, tybalt }) => {
  await juliet.becomesAvailable();
  await tybalt.sends(chat(juliet.bare));
  await juliet.receives(message);
});

transcript(
  'strangers may not write where the operator says so; contacts may, and oneself',
  CLOSED,
  async ({ juliet, romeo, tybalt, balcony }) => {
    await befriends(juliet, romeo);
    await juliet.becomesAvailable();
    await juliet.collects();
    for (const to of [juliet.bare, juliet.full]) {
      await tybalt.sends(chat(to));
      await tybalt.receives(REFUSED);
    }
    await tybalt.sends(`<message type='headline' to='${juliet.bare}'><body>Buy!</body></message>`);
    await tybalt.sends(`<iq type='get' id='q1' to='${juliet.full}'><query xmlns='urn:example:q'/></iq>`);
    await tybalt.receives(`<iq type='error' id='q1' match:rest='ignore'/>`);
    await juliet.receivesNothing();
    await romeo.sends(chat(juliet.bare));
    await juliet.receives(message);
    await balcony.sends(chat(juliet.full));
    await juliet.receives(message);
  },
);

transcript('they may ask for a subscription, and once they are asked themselves they may write', CLOSED, async ({ juliet, tybalt }) => {
  await juliet.becomesAvailable();
  await tybalt.sends(request(juliet));
  await juliet.receives(`<presence type='subscribe' from='${tybalt.bare}'/>`);
  await juliet.sends(request(tybalt));
  await juliet.sync();
  await tybalt.sends(chat(juliet.bare));
  await juliet.receives(message);
});

transcript('who was sent presence may write, such as a room', CLOSED, async ({ juliet, tybalt }) => {
  await juliet.becomesAvailable();
  await juliet.sends(`<presence to='${tybalt.full}'/>`);
  await tybalt.receives(`<presence from='${juliet.full}'/>`);
  await tybalt.sends(chat(juliet.full));
  await juliet.receives(message);
});

transcript(
  'accounts of the same server are no strangers unless the operator says so',
  { modules: { strangers: { messages: false } } },
  async (cast) => {
    const { juliet, tybalt } = cast;
    await juliet.becomesAvailable();
    await tybalt.sends(chat(juliet.bare));
    await juliet.receives(message);
  },
);

transcript(
  'a flood of subscription requests waits for the next login, and none is lost',
  { modules: { strangers: { requests: '2/1m' } } },
  async (cast) => {
    const { juliet, romeo, mercutio, tybalt, paris } = cast;
    await juliet.becomesAvailable();
    for (const each of [romeo, mercutio, tybalt]) {
      await each.sends(request(juliet));
      await each.sync();
    }
    await juliet.receives(`<presence type='subscribe' from='${romeo.bare}'/>`);
    await juliet.receives(`<presence type='subscribe' from='${mercutio.bare}'/>`);
    await juliet.receivesNothing();
    await juliet.disconnects();
    await juliet.connects();
    await juliet.becomesAvailable();
    await juliet.receivesInAnyOrder(...[romeo, mercutio, tybalt].map(({ bare }) => `<presence type='subscribe' from='${bare}'/>`));
    await cast.advance(60_000);
    await paris.sends(request(juliet)); // another minute
    await juliet.receives(`<presence type='subscribe' from='${paris.bare}'/>`);
  },
);
