/** RFC 6121 §3.2 and §3.3: ending a subscription from either side. */
import assert from 'node:assert/strict';
import { appears, becomesInterested, befriends, presenceScene, push, rosterOf, subscribes } from './roster-scenes.ts';

presenceScene(
  'RFC 6121 §3.2.2, §3.2.3: a cancellation: unavailable from all resources, then "unsubscribed", then the pushes',
  async ({ romeo, phone, juliet, chamber, balcony }) => {
    await befriends(romeo, juliet);
    await becomesInterested(romeo);
    await appears(romeo, { offline: [juliet] });
    await becomesInterested(phone);
    await becomesInterested(juliet);
    await appears(juliet, { online: [romeo] });
    await chamber.becomesAvailable();
    await chamber.receives(`<presence from='${romeo.full}' match:rest='ignore'/>`);
    await romeo.receives(`<presence from='${chamber.full}'/>`);
    await juliet.sync();
    await becomesInterested(balcony);

    await juliet.sends(`<presence type='unsubscribed' id='u1' to='${romeo.bare}'/>`);
    await romeo.receivesInAnyOrder(
      `<presence type='unavailable' from='${juliet.full}'/>`,
      `<presence type='unavailable' from='${chamber.full}'/>`,
    );
    await romeo.receives(`<presence type='unsubscribed' id='u1' from='${juliet.bare}' to='${romeo.bare}'/>`);
    await romeo.receives(push(`<item jid='${juliet.bare}' subscription='from'/>`));
    await phone.receives(`<presence type='unsubscribed' id='u1' from='${juliet.bare}' to='${romeo.bare}'/>`);
    await phone.receives(push(`<item jid='${juliet.bare}' subscription='from'/>`));
    await balcony.receives(push(`<item jid='${romeo.bare}' subscription='to'/>`));
    await phone.receivesNothing();
    await romeo.receivesNothing();
    assert.deepEqual(await rosterOf(juliet), [`${romeo.bare} to`]);
  },
);

presenceScene(
  'RFC 6121 §3.2.2 (1): who is no subscriber hears nothing of a cancellation, nor of any presence',
  async ({ romeo, juliet }) => {
    await becomesInterested(romeo);
    await romeo.becomesAvailable();
    await becomesInterested(juliet);
    await juliet.becomesAvailable();
    await juliet.sends(`<presence type='unsubscribed' to='${romeo.bare}'/>`); // not in her roster
    await juliet.receivesNothing();
    await romeo.receivesNothing();
    await subscribes(juliet, romeo); // To
    await juliet.sync();
    await juliet.takes('the last of it', ({ attrs }) => attrs['from'] === romeo.full);
    await romeo.takes('the last of it', ({ name, children }) => name === 'iq' && JSON.stringify(children).includes('from'));
    await juliet.sends(`<presence type='unsubscribed' id='late' to='${romeo.bare}'/>`);
    await juliet.sync();
    assert.deepEqual(await rosterOf(juliet), [`${romeo.bare} to`]);
    assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} from`]);
  },
);

presenceScene(
  'Roster push / subscription spoof, RFC 6121 §3.2.3: a cancellation of what is not there is ignored',
  async ({ romeo, tybalt, juliet }) => {
    await befriends(romeo, juliet);
    await becomesInterested(romeo);
    await appears(romeo, { offline: [juliet] });
    await tybalt.sends(`<presence type='unsubscribed' to='${romeo.bare}'/>`);
    await tybalt.sends(`<presence type='unsubscribe' to='${romeo.bare}'/>`);
    await romeo.receivesNothing();
    assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} both`]);
  },
);

presenceScene(
  'RFC 6121 §3.3.2, §3.3.3: to unsubscribe: the contact hears it before the push and answers with unavailable and "unsubscribed"',
  async ({ romeo, juliet, chamber }) => {
    await befriends(romeo, juliet);
    await becomesInterested(romeo);
    await appears(romeo, { offline: [juliet] });
    await becomesInterested(juliet);
    await appears(juliet, { online: [romeo] });
    await becomesInterested(chamber);

    await romeo.sends(`<presence type='unsubscribe' id='u1' to='${juliet.full}'/>`);
    await romeo.receivesInAnyOrder(
      push(`<item jid='${juliet.bare}' subscription='from'/>`),
      `<presence type='unavailable' from='${juliet.full}'/>`,
    );
    for (const resource of [juliet, chamber]) {
      await resource.receives(`<presence type='unsubscribe' id='u1' from='${romeo.bare}' to='${juliet.bare}'/>`);
      await resource.receives(push(`<item jid='${romeo.bare}' subscription='to'/>`));
      await resource.receivesNothing();
    }
    await romeo.receivesNothing(); // §A.3.4: the answer "unsubscribed" changes nothing any more
  },
);

presenceScene('RFC 6121 §3.3.3: one who does not want to see any more is not shown more', async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  await romeo.sends(`<presence type='unsubscribe' to='${juliet.bare}'/>`);
  await romeo.sync();
  await juliet.sync();
  await romeo.becomesAvailable();
  await juliet.becomesAvailable();
  await juliet.receives(`<presence from='${romeo.full}' match:rest='ignore'/>`);
  await juliet.sends(`<presence><show>dnd</show></presence>`);
  await juliet.receives(`<presence from='${juliet.full}'><show>dnd</show></presence>`);
  await romeo.receivesNothing();
});

presenceScene('RFC 6121 §3.3.3: a request is taken back; its record goes', async ({ romeo, juliet }) => {
  await becomesInterested(romeo);
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none' ask='subscribe'/>`));
  await romeo.sends(`<presence type='unsubscribe' to='${juliet.bare}'/>`);
  await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none'/>`));
  await juliet.becomesAvailable();
  await juliet.receivesNothing();
  assert.deepEqual(await rosterOf(juliet), []);
});

presenceScene('RFC 6121 §A.3.2: a request taken back is told to those who saw it', async ({ romeo, juliet }) => {
  await becomesInterested(juliet);
  await juliet.becomesAvailable();
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await juliet.receives(`<presence type='subscribe' from='${romeo.bare}'/>`);
  await romeo.sends(`<presence type='unsubscribe' to='${juliet.bare}'/>`);
  await juliet.receives(`<presence type='unsubscribe' from='${romeo.bare}' to='${juliet.bare}'/>`);
  await juliet.receivesNothing(); // §3.3.3: she never had an item, so there is no push
});

presenceScene('RFC 6121 §4.6.1: a cancellation says "unavailable" also to one who had directed presence', async ({ romeo, juliet }) => {
  await subscribes(romeo, juliet);
  await becomesInterested(romeo);
  await romeo.becomesAvailable();
  await romeo.receives(`<presence type='unavailable' from='${juliet.bare}' match:rest='ignore'/>`);
  await juliet.sends(`<presence to='${romeo.bare}'><show>chat</show></presence>`); // before she is available
  await romeo.receives(`<presence from='${juliet.full}'><show>chat</show></presence>`);
  await juliet.becomesAvailable();
  await romeo.receives(`<presence from='${juliet.full}'/>`);
  await juliet.sends(`<presence type='unsubscribed' to='${romeo.bare}'/>`);
  await romeo.receives(`<presence type='unavailable' from='${juliet.full}'/>`);
  await romeo.receives(`<presence type='unsubscribed' from='${juliet.bare}'/>`);
  await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none'/>`));
  await juliet.disconnects();
  await romeo.receivesNothing(); // he has been told
});
