/** RFC 6121 §4.6: presence to one entity. */
import { appears, befriends, presenceOf, presenceScene, subscribes } from './roster-scenes.ts';

presenceScene(
  'RFC 6121 §4.6.3 (2): directed presence goes to its address alone, and its end, too',
  async ({ romeo, juliet, chamber, nurse }) => {
    await befriends(romeo, nurse);
    await appears(nurse, { offline: [romeo] });
    await appears(romeo, { online: [nurse] });
    await juliet.becomesAvailable();
    await chamber.becomesAvailable();
    await juliet.sync();
    await romeo.sends(`<presence id='d1' to='${juliet.full}'><show>chat</show></presence>`);
    await juliet.receives(`<presence id='d1' from='${romeo.full}' to='${juliet.full}'><show>chat</show></presence>`);
    for (const other of [chamber, nurse, romeo]) await other.receivesNothing();
    await romeo.sends('<presence><show>away</show></presence>'); // not for her
    await nurse.receives(`<presence from='${romeo.full}'><show>away</show></presence>`);
    await juliet.receivesNothing();
    await romeo.sends(`<presence type='unavailable'><status>bye</status></presence>`);
    await juliet.receives(`<presence type='unavailable' from='${romeo.full}' to='${juliet.full}'><status>bye</status></presence>`);
    await chamber.receivesNothing();
    await romeo.disconnects();
    await juliet.receivesNothing(); // the list is cleared
  },
);

presenceScene('RFC 6121 §4.6.3 (2): the end is told, too, when the connection breaks', async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.becomesAvailable();
  await romeo.sends(`<presence to='${juliet.bare}'/>`);
  await juliet.receives(`<presence from='${romeo.full}' to='${juliet.bare}'/>`);
  await romeo.drops();
  await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
  await juliet.receivesNothing();
});

presenceScene(
  'RFC 6121 §4.6.3 (3): directed presence of a resource that is not available is remembered likewise',
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await appears(juliet, { offline: [romeo] });
    await romeo.sends(`<presence to='${juliet.bare}'/>`);
    await juliet.receives(`<presence from='${romeo.full}' to='${juliet.bare}'/>`);
    await romeo.disconnects();
    await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
    await juliet.receivesNothing();
  },
);

presenceScene(
  'RFC 6121 §4.6.3 (1): a subscriber gets directed presence besides the broadcast, but the end once',
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await appears(juliet, { offline: [romeo] });
    await appears(romeo, { online: [juliet] });
    await romeo.sends(`<presence to='${juliet.full}'><status>for you</status></presence>`);
    await juliet.receives(`<presence from='${romeo.full}'><status>for you</status></presence>`);
    await romeo.sends('<presence><show>away</show></presence>');
    await juliet.receives(`<presence from='${romeo.full}'><show>away</show></presence>`);
    await romeo.disconnects();
    await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
    await juliet.receivesNothing();
  },
);

presenceScene('RFC 6121 §4.6.3 (1): directed "unavailable" does not end the broadcasts to a subscriber', async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  await appears(juliet, { offline: [romeo] });
  await appears(romeo, { online: [juliet] });
  await romeo.sends(`<presence type='unavailable' to='${juliet.bare}'/>`);
  await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
  await romeo.sends('<presence><show>away</show></presence>');
  await juliet.receives(`<presence from='${romeo.full}'><show>away</show></presence>`);
});

presenceScene('RFC 6121 §4.6.1: after directed "unavailable" the address hears no more', async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.becomesAvailable();
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(presenceOf(romeo));
  await romeo.sends(`<presence type='unavailable' to='${juliet.full}'/>`);
  await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
  await romeo.disconnects();
  await juliet.receivesNothing();
});

presenceScene('RFC 6121 §4.6.1: an entity that has said "unavailable" itself hears no more', async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.becomesAvailable();
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(presenceOf(romeo));
  await juliet.sends(`<presence to='${romeo.full}'/>`);
  await romeo.receives(presenceOf(juliet));
  await juliet.sends(`<presence type='unavailable' to='${romeo.full}'/>`);
  await romeo.receives(`<presence type='unavailable' from='${juliet.full}'/>`);
  await romeo.disconnects();
  await juliet.receivesNothing();
});

presenceScene('RFC 6121 §4.6.1: a subscription takes precedence over directed presence', async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.becomesAvailable();
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(presenceOf(romeo));
  await subscribes(juliet, romeo);
  await romeo.takes('the request', ({ attrs }) => attrs['type'] === 'subscribe');
  await juliet.receives(presenceOf(romeo)); // §3.1.5
  await romeo.sends('<presence><show>dnd</show></presence>');
  await juliet.receives(`<presence from='${romeo.full}'><show>dnd</show></presence>`);
  await romeo.disconnects();
  await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
  await juliet.receivesNothing();
});

presenceScene('directed presence to another own resource ends with the session', async ({ romeo, phone }) => {
  await phone.becomesAvailable();
  await romeo.sends(`<presence to='${phone.full}'/>`);
  await phone.receives(`<presence from='${romeo.full}' to='${phone.full}'/>`);
  await romeo.disconnects();
  await phone.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
  await phone.receivesNothing();
});

presenceScene(
  'RFC 6121 §4.6.1: the list of addresses is limited, and what would not be remembered is not delivered',
  { onlyOurs: 'the limit is ours' },
  async ({ romeo, juliet }) => {
    await juliet.becomesAvailable();
    for (let i = 0; i < 1_000; i++) await romeo.sends(`<presence to='nobody${i}@${romeo.domain}'/>`);
    await romeo.sends(`<presence id='d1' to='${juliet.full}'/>`);
    await romeo.receives(
      `<presence type='error' id='d1' from='${juliet.full}'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
    );
    await juliet.receivesNothing();
    await romeo.sends(`<presence type='unavailable' to='nobody7@${romeo.domain}'/>`);
    await romeo.sends(`<presence to='${juliet.full}'/>`);
    await juliet.receives(presenceOf(romeo));
  },
);

presenceScene('RFC 6121 §4.6.3: directed presence does not make a resource available', async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  await juliet.becomesAvailable();
  await juliet.receives(`<presence type='unavailable' from='${romeo.bare}' match:rest='ignore'/>`);
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await juliet.receives(presenceOf(romeo));
  await juliet.sends('<presence><show>away</show></presence>');
  await juliet.receives(`<presence from='${juliet.full}'><show>away</show></presence>`);
  await romeo.receivesNothing();
});
