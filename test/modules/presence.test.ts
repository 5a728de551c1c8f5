/** RFC 6121 §4.2, §4.4, §4.5: presence that is broadcast. */
import { appears, befriends, presenceOf, presenceScene, subscribes } from './roster-scenes.ts';

presenceScene(
  'RFC 6121 §4.2.2: initial presence goes, whole and from the full JID, to subscribers and to the own available resources',
  async ({ romeo, phone, tablet, juliet, nurse, mercutio, tybalt }) => {
    await befriends(romeo, juliet); // both
    await subscribes(nurse, romeo); // from
    await subscribes(romeo, mercutio); // to
    for (const watcher of [juliet, nurse, mercutio, tybalt]) await watcher.becomesAvailable();
    await juliet.receives(`<presence type='unavailable' from='${romeo.bare}' match:rest='ignore'/>`);
    await nurse.receives(`<presence type='unavailable' from='${romeo.bare}' match:rest='ignore'/>`);
    await appears(phone, { online: [] });
    await phone.receivesInAnyOrder(presenceOf(juliet), presenceOf(mercutio));
    for (const subscriber of [juliet, nurse]) await subscriber.receives(presenceOf(phone));

    const content = `<show>chat</show><status>Wherefore</status><status xml:lang='it'>Perché</status><priority>3</priority><x xmlns='urn:x' a='1'><y/></x>`;
    await romeo.sends(`<presence id='p1' xml:lang='en'>${content}</presence>`);
    await juliet.receives(`<presence id='p1' xml:lang='en' from='${romeo.full}' to='${juliet.bare}'>${content}</presence>`);
    await nurse.receives(`<presence id='p1' xml:lang='en' from='${romeo.full}' to='${nurse.bare}'>${content}</presence>`);
    await phone.receives(`<presence id='p1' xml:lang='en' from='${romeo.full}'>${content}</presence>`);
    await romeo.receives(`<presence id='p1' from='${romeo.full}'>${content}</presence>`); // itself included
    await romeo.receivesInAnyOrder(presenceOf(phone), presenceOf(juliet), presenceOf(mercutio));
    for (const other of [mercutio, tybalt, tablet, phone, romeo]) await other.receivesNothing();
  },
);

presenceScene(
  'RFC 6121 §4.2.3: presence of a contact goes to all available resources, and to those alone',
  async ({ romeo, juliet, chamber, balcony }) => {
    await befriends(romeo, juliet);
    await appears(juliet, { offline: [romeo] });
    await chamber.becomesAvailable();
    await juliet.sync();
    await chamber.receives(`<presence type='unavailable' from='${romeo.bare}' match:rest='ignore'/>`);
    await romeo.sends('<presence/>');
    await juliet.receives(`<presence from='${romeo.full}' to='${juliet.bare}'/>`);
    await chamber.receives(`<presence from='${romeo.full}' to='${juliet.bare}'/>`);
    await balcony.receivesNothing();
  },
);

presenceScene('RFC 6121 §4.4.2: subsequent presence goes to the same, without new probes', async ({ romeo, phone, juliet }) => {
  await befriends(romeo, juliet);
  await appears(juliet, { offline: [romeo] });
  await appears(romeo, { online: [juliet] });
  await phone.becomesAvailable();
  await phone.receives(presenceOf(juliet));
  await juliet.receives(presenceOf(phone));
  await romeo.sync();
  await romeo.sends(`<presence id='p2'><show>away</show></presence>`);
  await juliet.receives(`<presence id='p2' from='${romeo.full}' to='${juliet.bare}'><show>away</show></presence>`);
  await phone.receives(`<presence id='p2' from='${romeo.full}'><show>away</show></presence>`);
  await romeo.receives(`<presence id='p2' from='${romeo.full}'><show>away</show></presence>`);
  for (const other of [romeo, phone, juliet]) await other.receivesNothing();
});

presenceScene(
  'RFC 6121 §4.5.2: unavailable presence goes, whole, to subscribers and own resources, the sender included',
  async ({ romeo, phone, juliet }) => {
    await befriends(romeo, juliet);
    await appears(juliet, { offline: [romeo] });
    await appears(romeo, { online: [juliet] });
    await phone.becomesAvailable();
    await phone.receives(presenceOf(juliet));
    await juliet.receives(presenceOf(phone));
    await romeo.sends(`<presence type='unavailable' id='u1'><status>going on vacation</status></presence>`);
    const content = '<status>going on vacation</status>';
    await juliet.receives(`<presence type='unavailable' id='u1' from='${romeo.full}' to='${juliet.bare}'>${content}</presence>`);
    await phone.receives(`<presence type='unavailable' id='u1' from='${romeo.full}'>${content}</presence>`);
    await romeo.receives(`<presence type='unavailable' id='u1' from='${romeo.full}'>${content}</presence>`);
    await juliet.sends('<presence/>');
    await juliet.receives(`<presence from='${juliet.full}'/>`);
    await phone.receives(`<presence from='${juliet.full}'/>`);
    await romeo.receivesNothing(); // connected, but not available
  },
);

presenceScene(
  'RFC 6121 §4.5.2: after "unavailable", presence is initial again: it is broadcast and contacts are probed',
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await appears(juliet, { offline: [romeo] });
    await appears(romeo, { online: [juliet] });
    await romeo.sends(`<presence type='unavailable'/>`);
    await romeo.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
    await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
    await romeo.sends('<presence/>');
    await romeo.receives(`<presence from='${romeo.full}'/>`);
    await romeo.receives(presenceOf(juliet));
    await juliet.receives(`<presence from='${romeo.full}'/>`);
  },
);

presenceScene('RFC 6121 §4.5.2: who was not available says nothing new with "unavailable"', async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  await appears(juliet, { offline: [romeo] });
  await romeo.sends(`<presence type='unavailable'/>`);
  await juliet.receivesNothing();
  await romeo.disconnects();
  await juliet.receivesNothing();
});

for (const [how, leave] of [
  ['ends its stream', 'disconnects'],
  ['loses its connection', 'drops'],
] as const) {
  presenceScene(`RFC 6121 §4.5.2: for a client that ${how} the server says "unavailable"`, async ({ romeo, phone, juliet }) => {
    await befriends(romeo, juliet);
    await appears(juliet, { offline: [romeo] });
    await appears(romeo, { online: [juliet] });
    await phone.becomesAvailable();
    await phone.receives(presenceOf(juliet));
    await juliet.receives(presenceOf(phone));
    await romeo[leave]();
    await juliet.receives(`<presence type='unavailable' from='${romeo.full}' to='${juliet.bare}'/>`);
    await phone.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
    await juliet.receivesNothing();
  });
}

presenceScene('RFC 6121 §4.5.2: what was said before the end of the stream is not said again', async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  await appears(juliet, { offline: [romeo] });
  await appears(romeo, { online: [juliet] });
  await romeo.sends(`<presence type='unavailable'><status>bye</status></presence>`);
  await romeo.disconnects();
  await juliet.receives(`<presence type='unavailable' from='${romeo.full}'><status>bye</status></presence>`);
  await juliet.receivesNothing();
});

presenceScene(
  'RFC 6120 §7.7.2.2: for a session that is replaced the server says "unavailable"',
  { config: { c2s: { resourceConflict: 'replace' } } },
  async (cast) => {
    const { romeo, juliet } = cast;
    await befriends(romeo, juliet);
    await appears(juliet, { offline: [romeo] });
    await appears(romeo, { online: [juliet] });
    const again = cast.client('again', { account: 'romeo', resource: romeo.resource });
    await again.sync();
    await romeo.isClosedWith('conflict');
    await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
    await again.sends('<presence/>');
    await juliet.receives(`<presence from='${romeo.full}'/>`);
  },
);

for (const priority of ['128', '-129', '1.5', 'high', '']) {
  presenceScene(
    `RFC 6121 §4.7.2.3: the priority '${priority}' is refused`,
    { onlyOurs: 'others take it for zero' },
    async ({ romeo, juliet }) => {
      await befriends(romeo, juliet);
      await appears(juliet, { offline: [romeo] });
      await romeo.sends(`<presence id='p1'><priority>${priority}</priority></presence>`);
      await romeo.receives(
        `<presence type='error' id='p1'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
      );
      await romeo.receivesNothing();
      await juliet.receivesNothing();
    },
  );
}

presenceScene(
  'RFC 6121 §4.7.2.3: a resource of negative priority gets presence but no messages to the bare JID',
  async ({ romeo, phone, juliet }) => {
    await befriends(romeo, juliet);
    await appears(juliet, { offline: [romeo] });
    await romeo.sends('<presence><priority>-1</priority></presence>');
    await romeo.receives(`<presence from='${romeo.full}'><priority>-1</priority></presence>`);
    await romeo.receives(presenceOf(juliet));
    await juliet.receives(`<presence from='${romeo.full}'><priority>-1</priority></presence>`);
    await phone.becomesAvailable();
    await juliet.receives(presenceOf(phone));
    await phone.receivesInAnyOrder(presenceOf(romeo), presenceOf(juliet));
    await romeo.receives(`<presence from='${phone.full}'/>`); // his own is among the available resources
    await juliet.sends(`<message type='chat' to='${romeo.bare}'><body>hi</body></message>`);
    await phone.receives(`<message type='chat' from='${juliet.full}'><body>hi</body></message>`);
    await romeo.receivesNothing();
  },
);

presenceScene('RFC 6121 §4.7.1: a type that is none is refused', async ({ romeo }) => {
  await romeo.sends(`<presence type='available' id='p1'/>`);
  await romeo.receives(
    `<presence type='error' id='p1'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
  );
});

presenceScene('presence that nobody asked for creates nothing and goes to nobody else', async ({ romeo, juliet, tybalt }) => {
  await befriends(romeo, juliet);
  await appears(romeo, { offline: [juliet] });
  await tybalt.sends(
    `<presence type='error' to='${romeo.bare}'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
  );
  await romeo.receives(
    `<presence type='error' from='${tybalt.full}'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
  );
  await tybalt.receivesNothing(); // RFC 6120 §8.3.1: an error is not answered
});

presenceScene(
  'RFC 6121 §4: the end of an account ends its subscriptions',
  { onlyOurs: 'others leave them' },
  async ({ romeo, juliet, nurse }) => {
    await befriends(romeo, juliet);
    await nurse.sends(`<presence type='subscribe' to='${romeo.bare}'/>`);
    await nurse.sync();
    await romeo.sync();
    for (const other of [juliet, nurse]) {
      await other.sends(`<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>`);
      await other.takes('the roster', ({ attrs }) => attrs['id'] === 'g');
      await other.becomesAvailable();
    }
    await juliet.receives(`<presence type='unavailable' from='${romeo.bare}' match:rest='ignore'/>`);
    await romeo.sends('<presence/>');
    await romeo.receives(`<presence from='${romeo.full}'/>`);
    await romeo.takes('the request', ({ attrs }) => attrs['type'] === 'subscribe');
    await romeo.takes('presence of Juliet', ({ attrs }) => attrs['from'] === juliet.full);
    await juliet.receives(`<presence from='${romeo.full}'/>`);
    await romeo.sends(`<iq type='set' id='x'><query xmlns='jabber:iq:register'><remove/></query></iq>`);
    await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
    await juliet.receives(`<presence type='unsubscribe' from='${romeo.bare}'/>`);
    await juliet.takes('the last push', ({ name, children }) => name === 'iq' && JSON.stringify(children).includes('"none"'));
    await nurse.receives(`<presence type='unsubscribed' from='${romeo.bare}'/>`);
  },
);
