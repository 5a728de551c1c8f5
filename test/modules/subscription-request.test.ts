/** RFC 6121 §3.1: asking for a subscription and granting it. */
import assert from 'node:assert/strict';
import { appears, becomesInterested, befriends, presenceOf, presenceScene, push, rosterOf, subscribes } from './roster-scenes.ts';

presenceScene(
  'RFC 6121 §3.1.2, §3.1.3: a request is stamped with the bare JIDs, delivered to all available resources, and pushed as "ask"',
  async ({ romeo, phone, juliet, chamber, balcony }) => {
    await becomesInterested(romeo);
    await becomesInterested(phone);
    await juliet.becomesAvailable();
    await chamber.becomesAvailable();
    await becomesInterested(balcony); // interested, but not available
    await romeo.sends(
      `<presence type='subscribe' id='s1' xml:lang='it' to='${juliet.full}'><status>Ti prego</status><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>`,
    );
    const request = `
    <presence type='subscribe' id='s1' xml:lang='it' from='${romeo.bare}' to='${juliet.bare}'>
      <status>Ti prego</status><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick>
    </presence>`;
    await juliet.receives(request);
    await chamber.receives(request);
    await balcony.receivesNothing();
    const item = `<item jid='${juliet.bare}' subscription='none' ask='subscribe'/>`;
    await romeo.receives(push(item));
    await phone.receives(push(item));
    await romeo.receivesNothing();
  },
);

presenceScene('RFC 6121 §3.1.2: a request for a contact that is an item keeps its name and groups', async ({ romeo, juliet }) => {
  await romeo.sends(
    `<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${juliet.bare}' name='Juliet'><group>Love</group></item></query></iq>`,
  );
  await romeo.receives(`<iq type='result' id='r1'/>`);
  await becomesInterested(romeo);
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await romeo.receives(push(`<item jid='${juliet.bare}' name='Juliet' subscription='none' ask='subscribe'><group>Love</group></item>`));
});

presenceScene('RFC 6121 §A.2.1: asking again is routed again but changes nothing', async ({ romeo, juliet }) => {
  await becomesInterested(romeo);
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none' ask='subscribe'/>`));
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await romeo.receivesNothing();
});

presenceScene(
  'RFC 6121 §3.1.3: a request is kept whole and comes with each available resource until it is answered',
  async ({ romeo, juliet, chamber }) => {
    await romeo.sends(
      `<presence type='subscribe' id='s1' to='${juliet.bare}'><status>Call me but love</status><x xmlns='urn:x'><y/></x></presence>`,
    );
    await romeo.sync();
    const request = `<presence type='subscribe' id='s1' from='${romeo.bare}' to='${juliet.bare}'><status>Call me but love</status><x xmlns='urn:x'><y/></x></presence>`;
    await juliet.receivesNothing(); // connected, not available
    await juliet.becomesAvailable();
    await juliet.receives(request);
    await chamber.becomesAvailable();
    await chamber.receives(request);
    await juliet.receivesNothing(); // she has it
    await juliet.becomesUnavailable();
    await juliet.takes('her own unavailability', ({ attrs }) => attrs['type'] === 'unavailable');
    await chamber.takes('the unavailability of Juliet', ({ attrs }) => attrs['type'] === 'unavailable');
    await juliet.becomesAvailable();
    await juliet.receives(request);
    await juliet.sends(`<presence type='unsubscribed' to='${romeo.bare}'/>`);
    await juliet.disconnects();
    await juliet.connects();
    await juliet.becomesAvailable();
    await juliet.receivesNothing();
  },
);

presenceScene('RFC 6121 §3.1.3: a request is kept while the account is not in memory', async (cast) => {
  const { romeo, juliet } = cast;
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'><status>Call me but love</status></presence>`);
  await romeo.sync();
  await juliet.disconnects();
  await cast.advance(10 * 60_000);
  await juliet.connects();
  await juliet.becomesAvailable();
  await juliet.receives(`<presence type='subscribe' from='${romeo.bare}'><status>Call me but love</status></presence>`);
});

presenceScene(
  'RFC 6121 §3.1.3: however often one asks, the contact sees one request',
  { onlyOurs: 'the first or the last may be kept' },
  async ({ romeo, juliet, chamber }) => {
    await juliet.becomesAvailable();
    for (const i of [1, 2, 3]) await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'><status>${i}</status></presence>`);
    await juliet.receives(`<presence type='subscribe' from='${romeo.bare}'><status>1</status></presence>`);
    await juliet.receivesNothing();
    await chamber.becomesAvailable();
    await chamber.receives(`<presence type='subscribe' from='${romeo.bare}'><status>1</status></presence>`);
    await chamber.receivesNothing();
  },
);

presenceScene('RFC 6121 §3.1.3: before the approval there is no item for the sender of a request', async ({ romeo, juliet }) => {
  await becomesInterested(juliet);
  await juliet.becomesAvailable();
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await juliet.receives(`<presence type='subscribe' from='${romeo.bare}'/>`);
  await juliet.receivesNothing();
  assert.deepEqual(await rosterOf(juliet), []);
});

presenceScene('RFC 6121 §A.1 (3): an item that was there stays as it is while its request waits', async ({ romeo, juliet }) => {
  await juliet.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${romeo.bare}' name='Romeo'/></query></iq>`);
  await juliet.receives(`<iq type='result' id='r1'/>`);
  await becomesInterested(juliet);
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await juliet.receivesNothing();
  assert.deepEqual(await rosterOf(juliet), [`${romeo.bare} none`]);
  await juliet.becomesAvailable();
  await juliet.receives(`<presence type='subscribe' from='${romeo.bare}'/>`);
});

presenceScene(
  'RFC 6121 §3.1.3 (2): a request of one who is subscribed already is answered by the server, with the presence',
  async ({ romeo, juliet }) => {
    await subscribes(romeo, juliet);
    await becomesInterested(juliet);
    await juliet.becomesAvailable();
    await romeo.becomesAvailable();
    await romeo.receives(presenceOf(juliet));
    // Romeo's server has lost the subscription: as another server, it would ask anew.
    await romeo.sends(`<presence type='subscribe' id='s1' to='${juliet.bare}'/>`);
    await juliet.receivesNothing();
  },
);

presenceScene(
  'RFC 6121 §3.1.5, §3.1.6: an approval makes the subscription on both sides and brings the presence of all resources',
  async ({ romeo, phone, juliet, chamber, balcony }) => {
    await becomesInterested(romeo);
    await romeo.becomesAvailable();
    await becomesInterested(phone); // interested, not available
    await becomesInterested(juliet);
    await juliet.becomesAvailable();
    await chamber.sends(`<presence id='c1'><show>away</show></presence>`);
    await chamber.receivesInAnyOrder(`<presence from='${chamber.full}'><show>away</show></presence>`, presenceOf(juliet));
    await juliet.receives(`<presence from='${chamber.full}'><show>away</show></presence>`);
    await becomesInterested(balcony); // not available
    await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
    await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none' ask='subscribe'/>`));
    await phone.receives(push(`<item jid='${juliet.bare}' subscription='none' ask='subscribe'/>`));
    await juliet.receives(`<presence type='subscribe' from='${romeo.bare}'/>`);
    await chamber.receives(`<presence type='subscribe' from='${romeo.bare}'/>`);

    await juliet.sends(`<presence type='subscribed' id='a1' to='${romeo.full}'/>`);
    await juliet.receives(push(`<item jid='${romeo.bare}' subscription='from'/>`));
    await balcony.receives(push(`<item jid='${romeo.bare}' subscription='from'/>`));
    await chamber.receivesNothing();

    const approval = `<presence type='subscribed' id='a1' from='${juliet.bare}' to='${romeo.bare}'/>`;
    await romeo.receives(approval); // before the push
    await romeo.receives(push(`<item jid='${juliet.bare}' subscription='to'/>`));
    await romeo.receivesInAnyOrder(
      `<presence from='${juliet.full}' match:rest='ignore'/>`,
      `<presence id='c1' from='${chamber.full}' match:rest='ignore'><show>away</show></presence>`,
    );
    await phone.receives(approval);
    await phone.receives(push(`<item jid='${juliet.bare}' subscription='to'/>`));
    await phone.receivesNothing();
    await romeo.receivesNothing();
  },
);

presenceScene('RFC 6121 §3.1.6: both ways, the subscription is mutual', async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} both`]);
  assert.deepEqual(await rosterOf(juliet), [`${romeo.bare} both`]);
  await appears(romeo, { offline: [juliet] });
  await appears(juliet, { online: [romeo] });
});

presenceScene('RFC 6121 §A.1 (4): who both have asked each other see each other after both have approved', async ({ romeo, juliet }) => {
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await romeo.sync();
  await juliet.sends(`<presence type='subscribe' to='${romeo.bare}'/>`);
  await juliet.sync();
  assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} none subscribe`]);
  await romeo.sends(`<presence type='subscribed' to='${juliet.bare}'/>`);
  await romeo.sync();
  await romeo.takes('the push', ({ name }) => name === 'iq');
  assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} from subscribe`]);
  assert.deepEqual(await rosterOf(juliet), [`${romeo.bare} to`]);
  await juliet.sends(`<presence type='subscribed' to='${romeo.bare}'/>`);
  await juliet.sync();
  assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} both`]);
  assert.deepEqual(await rosterOf(juliet), [`${romeo.bare} both`]);
});

presenceScene(
  'Roster push / subscription spoof, RFC 6121 §3.1.6: an approval nobody asked for is ignored',
  async ({ romeo, juliet, tybalt }) => {
    await becomesInterested(romeo);
    await romeo.becomesAvailable();
    await tybalt.sends(`<presence type='subscribed' to='${romeo.bare}'/>`);
    await tybalt.sync();
    await romeo.receivesNothing();
    // Asked for of one contact, it is not given by another.
    await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
    await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none' ask='subscribe'/>`));
    await tybalt.sends(`<presence type='subscribed' to='${romeo.full}'/>`);
    await romeo.receivesNothing();
    assert.deepEqual(await rosterOf(romeo), [`${juliet.bare} none subscribe`]);
  },
);

presenceScene('RFC 6121 §3.1.4, §A.2.4: a denial is delivered, ends the request, and shows no presence', async ({ romeo, juliet }) => {
  await becomesInterested(romeo);
  await romeo.becomesAvailable();
  await becomesInterested(juliet);
  await juliet.becomesAvailable();
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none' ask='subscribe'/>`));
  await juliet.receives(`<presence type='subscribe' from='${romeo.bare}'/>`);
  await juliet.sends(`<presence type='unsubscribed' id='d1' to='${romeo.bare}'/>`);
  await romeo.receives(`<presence type='unsubscribed' id='d1' from='${juliet.bare}' to='${romeo.bare}'/>`);
  await romeo.receives(push(`<item jid='${juliet.bare}' subscription='none'/>`));
  await romeo.receivesNothing();
  await juliet.receivesNothing();
  assert.deepEqual(await rosterOf(juliet), []);
});

presenceScene(
  'RFC 6121 §3: a subscription to oneself is refused, and nothing else about oneself is routed',
  { onlyOurs: 'the RFC does not say' },
  async ({ romeo, phone }) => {
    await becomesInterested(romeo);
    await phone.becomesAvailable();
    await romeo.sends(`<presence type='subscribe' id='s1' to='${romeo.bare}'/>`);
    await romeo.receives(
      `<presence type='error' id='s1'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
    );
    await romeo.sends(`<presence type='subscribe' id='s2'/>`);
    await romeo.receives(
      `<presence type='error' id='s2'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
    );
    for (const type of ['subscribed', 'unsubscribe', 'unsubscribed']) await romeo.sends(`<presence type='${type}' to='${phone.full}'/>`);
    await romeo.receivesNothing();
    await phone.receivesNothing();
    assert.deepEqual(await rosterOf(romeo), []);
  },
);

presenceScene(
  'RFC 6121 §3.1.2: the error for a request that cannot be routed comes to the client',
  { onlyOurs: 'others look the domain up' },
  async ({ romeo }) => {
    await romeo.becomesAvailable();
    await romeo.sends(`<presence type='subscribe' id='s1' to='nobody@nowhere.invalid'/>`);
    await romeo.receives(
      `<presence type='error' id='s1' from='nobody@nowhere.invalid'><error type='cancel'><remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
    );
  },
);

presenceScene(
  'RFC 6121 §3.1.2: a request that waits is repeated with each new presence session',
  { onlyOurs: 'needs an account that is created later' },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<presence type='subscribe' to='${cast.localOf('juliet')}@${romeo.domain}'/>`);
    await romeo.sync();
    const { juliet } = cast; // her account exists only now
    await juliet.becomesAvailable();
    await juliet.receivesNothing();
    await romeo.becomesAvailable();
    await juliet.receives(`<presence type='subscribe' from='${romeo.bare}' to='${juliet.bare}'/>`);
  },
);

presenceScene(
  'RFC 6121 §3.1.3: the number of requests that wait is limited',
  { modules: { roster: { max_requests: 2 } } },
  async ({ romeo, mercutio, benvolio, juliet }) => {
    for (const asker of [mercutio, benvolio]) {
      await asker.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
      await asker.sync();
    }
    await romeo.becomesAvailable();
    await romeo.sends(`<presence type='subscribe' id='s1' to='${juliet.bare}'/>`);
    await romeo.receives(
      `<presence type='error' from='${juliet.bare}'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
    );
    await juliet.becomesAvailable();
    await juliet.receivesInAnyOrder(
      `<presence type='subscribe' from='${mercutio.bare}'/>`,
      `<presence type='subscribe' from='${benvolio.bare}'/>`,
    );
    await juliet.receivesNothing();
  },
);

presenceScene(
  'RFC 6121 §3.1.3: of a huge request only the request is kept',
  { onlyOurs: 'the size is ours to choose' },
  async ({ romeo, juliet }) => {
    await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'><status>${'x'.repeat(5_000)}</status></presence>`);
    await romeo.sync();
    await juliet.becomesAvailable();
    await juliet.receives(`<presence type='subscribe' from='${romeo.bare}'/>`);
  },
);
