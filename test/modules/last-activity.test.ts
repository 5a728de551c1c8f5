import assert from 'node:assert/strict';
import { transcript } from '../harness/transcript.ts';
import { befriends } from './roster-scenes.ts';

const LAST = 'jabber:iq:last';
const FORBIDDEN = `<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;

transcript('XEP-0012 §3: how long ago a contact left, and what was said then', { config: { c2s: { idleMs: 0 } } }, async (cast) => {
  const { romeo, juliet } = cast;
  await befriends(romeo, juliet);
  await juliet.becomesAvailable();
  await juliet.sends(`<presence type='unavailable'><status>Heading Home</status></presence>`);
  await juliet.disconnects();
  await cast.advance(903_400);
  await romeo.sends(`<iq type='get' id='last1' to='${juliet.bare}'><query xmlns='${LAST}'/></iq>`);
  await romeo.receives(`<iq type='result' id='last1' from='${juliet.bare}'><query xmlns='${LAST}' seconds='903'>Heading Home</query></iq>`);
});

transcript(
  'XEP-0012 §3: a contact that left without a word, and one whose connection broke',
  { onlyOurs: 'needs its clock' },
  async (cast) => {
    const { romeo, juliet, nurse } = cast;
    await befriends(romeo, juliet);
    await befriends(romeo, nurse);
    await juliet.disconnects();
    await nurse.drops();
    await cast.advance(60_000);
    for (const { bare } of [juliet, nurse]) {
      await romeo.sends(`<iq type='get' id='last1' to='${bare}'><query xmlns='${LAST}'/></iq>`);
      await romeo.receives(`<iq type='result' id='last1'><query xmlns='${LAST}' seconds='60'/></iq>`);
    }
  },
);

transcript('XEP-0012 §3: a status said before the last presence is not that of the end', { onlyOurs: 'needs its clock' }, async (cast) => {
  const { romeo, juliet } = cast;
  await befriends(romeo, juliet);
  await juliet.becomesAvailable();
  await juliet.becomesUnavailable('At mass');
  await juliet.becomesAvailable();
  await juliet.disconnects();
  await romeo.sends(`<iq type='get' id='last1' to='${juliet.bare}'><query xmlns='${LAST}'/></iq>`);
  await romeo.receives(`<iq type='result' id='last1'><query xmlns='${LAST}' seconds='0'/></iq>`);
});

transcript(
  'XEP-0012 §3: 0 while any resource is connected',
  { differs: { ejabberd: 'looks at available resources only' } },
  async ({ romeo, juliet, chamber }) => {
    await befriends(romeo, juliet);
    await chamber.disconnects();
    await romeo.sends(`<iq type='get' id='last1' to='${juliet.bare}'><query xmlns='${LAST}'/></iq>`);
    await romeo.receives(`<iq type='result' id='last1' from='${juliet.bare}'><query xmlns='${LAST}' seconds='0'/></iq>`);
  },
);

transcript(
  'XEP-0012 §3, §8: strangers may not know, whether the account exists or not',
  { differs: { prosody: 'answers in other words', ejabberd: 'answers in other words' } },
  async (cast) => {
    const { romeo, juliet } = cast;
    const nurse = cast.offline('nurse');
    await juliet.becomesAvailable();
    for (const address of [
      juliet.bare,
      nurse.bare,
      `nobody@${cast.domain}`,
      juliet.full,
      `${nurse.bare}/gone`,
      `nobody@${cast.domain}/gone`,
    ]) {
      await romeo.sends(`<iq type='get' id='last1' to='${address}'><query xmlns='${LAST}'/></iq>`);
      await romeo.receives(`<iq type='error' id='last1' from='${address}'>${FORBIDDEN}</iq>`);
    }
    await juliet.receivesNothing(); // §4: not delivered to an available resource
  },
);

transcript('XEP-0012 §8: a subscription in the other direction is not enough', async ({ romeo, juliet }) => {
  await juliet.sends(`<presence type='subscribe' to='${romeo.bare}'/>`);
  await juliet.sync();
  await romeo.sends(`<presence type='subscribed' to='${juliet.bare}'/>`);
  await romeo.sync();
  await romeo.sends(`<iq type='get' id='last1' to='${juliet.bare}'><query xmlns='${LAST}'/></iq>`);
  await romeo.takes('the refusal', ({ name, attrs }) => name === 'iq' && attrs['type'] === 'error');
});

transcript('XEP-0012 §4: a question to an available resource is its to answer', async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  await juliet.becomesAvailable();
  await romeo.sync();
  await romeo.collects();
  await romeo.sends(`<iq type='get' id='last2' to='${juliet.full}'><query xmlns='${LAST}'/></iq>`);
  await juliet.takes('the question', ({ name, attrs }) => name === 'iq' && attrs['id'] === 'last2' && attrs['from'] === romeo.full);
  await juliet.sends(`<iq type='result' id='last2' to='${romeo.full}'><query xmlns='${LAST}' seconds='123'/></iq>`);
  await romeo.receives(`<iq type='result' id='last2' from='${juliet.full}'><query xmlns='${LAST}' seconds='123'/></iq>`);
});

transcript('XEP-0012 §5: the server tells how long it is up', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='last3' to='${cast.domain}'><query xmlns='${LAST}'/></iq>`);
  const answer = await romeo.receives(
    `<iq type='result' id='last3' from='${cast.domain}'><query xmlns='${LAST}' seconds='{seconds}'/></iq>`,
  );
  assert.match(cast.captured.get('seconds')!, /^\d+$/, `in ${answer.name}`);
});

transcript('XEP-0012 §5: by the clock', { config: { c2s: { idleMs: 0 } } }, async (cast) => {
  const { romeo } = cast;
  await cast.advance(123_456_000);
  await romeo.sends(`<iq type='get' id='last3' to='${cast.domain}'><query xmlns='${LAST}'/></iq>`);
  await romeo.receives(`<iq type='result' id='last3'><query xmlns='${LAST}' seconds='123456'/></iq>`);
});

transcript('XEP-0012 §6: disco announces it', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='d1'><query xmlns='http://jabber.org/protocol/disco#info' match:rest='ignore'><feature var='${LAST}'/></query></iq>`,
  );
});
