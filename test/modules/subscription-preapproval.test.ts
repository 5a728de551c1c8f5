/** RFC 6121 §3.4: granting a request before it comes. */
import assert from 'node:assert/strict';
import { childOf } from '../harness/xml.ts';
import { becomesInterested, presenceOf, presenceScene, push, rosterOf, subscribes } from './roster-scenes.ts';

presenceScene('RFC 6121 §3.4: the stream feature is offered after login', async (cast) => {
  const { romeo } = cast;
  await romeo.sync();
  const stream = await cast.raw();
  const features = await stream.logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
  assert.ok(childOf(features, 'sub', 'urn:xmpp:features:pre-approval'));
});

presenceScene('RFC 6121 §3.4.2: approving one who has not asked is noted in the roster and not routed', async ({ romeo, juliet }) => {
  await becomesInterested(romeo);
  await becomesInterested(juliet);
  await juliet.becomesAvailable();
  await romeo.sends(`<presence type='subscribed' to='${juliet.full}'/>`);
  await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none' approved='true'/>`));
  await juliet.receivesNothing();
  assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} none approved`]);
  await romeo.sends(`<presence type='subscribed' to='${juliet.bare}'/>`);
  await romeo.receivesNothing(); // known already
});

presenceScene(
  'RFC 6121 §3.4.2: a pre-approved request is answered by the server and not delivered; presence follows',
  async ({ romeo, juliet }) => {
    await romeo.becomesAvailable();
    await becomesInterested(romeo);
    await becomesInterested(juliet);
    await juliet.becomesAvailable();
    await romeo.sends(`<presence type='subscribed' to='${juliet.bare}'/>`);
    await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none' approved='true'/>`));
    await juliet.sends(`<presence type='subscribe' id='s1' to='${romeo.bare}'/>`);
    await juliet.receives(push(`<item jid='${romeo.bare}' subscription='none' ask='subscribe'/>`));
    await juliet.receives(`<presence type='subscribed' from='${romeo.bare}' to='${juliet.bare}'/>`);
    await juliet.receives(push(`<item jid='${romeo.bare}' subscription='to'/>`));
    await juliet.receives(presenceOf(romeo));
    await romeo.receives(push(`<item jid='${juliet.bare}' subscription='from' approved='true'/>`));
    await romeo.receivesNothing();
  },
);

presenceScene('RFC 6121 §3.4.2: a pre-approval works while the user is offline', async (cast) => {
  const { romeo, juliet } = cast;
  await romeo.sends(`<presence type='subscribed' to='${juliet.bare}'/>`);
  await romeo.disconnects();
  await cast.advance(90_000); // long enough to be forgotten, short enough for the others to stay
  await juliet.sends(`<presence type='subscribe' to='${romeo.bare}'/>`);
  await juliet.sync();
  await romeo.connects();
  assert.deepEqual(await rosterOf(juliet), [`${romeo.bare} to`]);
  assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} from approved`]);
});

presenceScene(
  'RFC 6121 §3.4.2: in the states To and None + Pending Out the item keeps its state and is marked',
  async ({ romeo, juliet, nurse }) => {
    await subscribes(romeo, juliet);
    await romeo.sends(`<presence type='subscribe' to='${nurse.bare}'/>`);
    await romeo.sync();
    for (const contact of [juliet, nurse]) await romeo.sends(`<presence type='subscribed' to='${contact.bare}'/>`);
    await romeo.sync();
    assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} to approved`, `${nurse.bare} none subscribe approved`]);
    await juliet.sends(`<presence type='subscribe' to='${romeo.bare}'/>`);
    await nurse.sends(`<presence type='subscribe' to='${romeo.bare}'/>`);
    await juliet.sync();
    await nurse.sync();
    assert.deepEqual(await rosterOf(juliet), [`${romeo.bare} both`]);
    assert.deepEqual(await rosterOf(nurse), [`${romeo.bare} to`]);
  },
);

presenceScene('RFC 6121 §3.4.2 (1): approving a subscriber again is ignored', async ({ romeo, juliet }) => {
  await subscribes(romeo, juliet);
  await becomesInterested(juliet);
  await juliet.sends(`<presence type='subscribed' to='${romeo.bare}'/>`);
  await juliet.receivesNothing();
});

presenceScene('RFC 6121 §3.2.2 (2): a pre-approval is taken back without telling the contact', async ({ romeo, juliet }) => {
  await becomesInterested(juliet);
  await juliet.becomesAvailable();
  await romeo.sends(`<presence type='subscribed' to='${juliet.bare}'/>`);
  await becomesInterested(romeo);
  await romeo.sends(`<presence type='unsubscribed' to='${juliet.bare}'/>`);
  await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none'/>`));
  await juliet.receivesNothing();
  await romeo.becomesAvailable();
  await juliet.sends(`<presence type='subscribe' to='${romeo.bare}'/>`);
  await romeo.receives(`<presence type='subscribe' from='${juliet.bare}'/>`);
});

presenceScene('RFC 6121 §4.3.2 (1): the answer to a probe does not take a pre-approval back', async ({ romeo, juliet }) => {
  await romeo.sends(`<presence type='subscribed' to='${juliet.bare}'/>`);
  await romeo.sync();
  await juliet.sends(`<presence type='probe' to='${romeo.bare}'/>`);
  await juliet.sync();
  assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} none approved`]);
});
