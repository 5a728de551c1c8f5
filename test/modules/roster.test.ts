/** RFC 6121 §2: the roster. */
import assert from 'node:assert/strict';
import { appears, becomesInterested, befriends, push, rosterOf, scene } from './roster-scenes.ts';

const NURSE = 'nurse@capulet.lit';

scene('RFC 6121 §2.1.4: an empty roster is a result with an empty query', async ({ romeo }) => {
  await romeo.sends(`<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>`);
  await romeo.receives(`<iq type='result' id='r1' to='${romeo.full}'><query xmlns='jabber:iq:roster' ver='{any}'/></iq>`);
});

scene('RFC 6121 §2.1.3: a roster get contains no item', { differs: { prosody: 'does not look' } }, async ({ romeo }) => {
  await romeo.sends(`<iq type='get' id='r1'><query xmlns='jabber:iq:roster'><item jid='${NURSE}'/></query></iq>`);
  await romeo.receives(
    `<iq type='error' id='r1'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  );
});

scene('RFC 6121 §2.2: the roster may be asked of the own bare JID', async ({ romeo }) => {
  await romeo.sends(`<iq type='get' id='r1' to='${romeo.bare}'><query xmlns='jabber:iq:roster'/></iq>`);
  await romeo.receives(`<iq type='result' id='r1' from='${romeo.bare}'><query xmlns='jabber:iq:roster' ver='{any}'/></iq>`);
});

scene(
  'RFC 6121 §2.3.2: an added item is confirmed, then pushed to all interested resources, and to those alone',
  async ({ romeo, phone, tablet }) => {
    await becomesInterested(romeo);
    await becomesInterested(phone);
    await tablet.becomesAvailable(); // available, but not interested
    await romeo.sends(
      `<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${NURSE}' name='Nurse'><group>Servants</group></item></query></iq>`,
    );
    await romeo.receives(`<iq type='result' id='r1' to='${romeo.full}'/>`);
    const item = `<item jid='${NURSE}' name='Nurse' subscription='none'><group>Servants</group></item>`;
    await romeo.receives(push(item));
    await phone.receives(push(item));
    await tablet.receivesNothing();
  },
);

scene('RFC 6121 §2.3.2: a resource that is not interested gets the result alone', async ({ romeo }) => {
  await romeo.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${NURSE}'/></query></iq>`);
  await romeo.receives(`<iq type='result' id='r1'/>`);
  await romeo.receivesNothing();
});

scene('RFC 6121 §2.4.1: an update replaces name and groups', async ({ romeo }) => {
  await becomesInterested(romeo);
  const sets: [string, string][] = [
    [
      `<item jid='${NURSE}' name='Nurse'><group>a</group></item>`,
      `<item jid='${NURSE}' subscription='none' name='Nurse'><group>a</group></item>`,
    ],
    [
      `<item jid='${NURSE}' name='Nurse'><group>a</group><group>b</group></item>`,
      `<item jid='${NURSE}' subscription='none' name='Nurse'><group>a</group><group>b</group></item>`,
    ],
    [
      `<item jid='${NURSE}' name='Angelica'><group>b</group></item>`,
      `<item jid='${NURSE}' subscription='none' name='Angelica'><group>b</group></item>`,
    ],
    [`<item jid='${NURSE}' name='Angelica'/>`, `<item jid='${NURSE}' subscription='none' name='Angelica'/>`],
    [`<item jid='${NURSE}'/>`, `<item jid='${NURSE}' subscription='none'/>`],
    [`<item jid='${NURSE}' name=''/>`, `<item jid='${NURSE}' subscription='none'/>`],
  ];
  for (const [i, [set, pushed]] of sets.entries()) {
    await romeo.sends(`<iq type='set' id='r${i}'><query xmlns='jabber:iq:roster'>${set}</query></iq>`);
    await romeo.receives(`<iq type='result' id='r${i}'/>`);
    await romeo.receives(push(pushed));
  }
  await romeo.sends(`<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='g'><query xmlns='jabber:iq:roster' ver='{any}'><item jid='${NURSE}' subscription='none'/></query></iq>`,
  );
});

scene("RFC 6121 §2.1.2: subscription, ask and approved are not the client's to set", async ({ romeo }) => {
  await becomesInterested(romeo);
  await romeo.sends(
    `<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${NURSE}' subscription='both' ask='subscribe' approved='true'/></query></iq>`,
  );
  await romeo.receives(`<iq type='result' id='r1'/>`);
  await romeo.receives(push(`<item jid='${NURSE}' subscription='none'/>`));
});

scene(
  'RFC 6121 §2.1.2.3: an item is a bare JID in its normal form',
  { onlyOurs: 'others keep the resource or refuse it' },
  async ({ romeo }) => {
    await becomesInterested(romeo);
    await romeo.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='Nurse@Capulet.lit/kitchen'/></query></iq>`);
    await romeo.receives(`<iq type='result' id='r1'/>`);
    await romeo.receives(push(`<item jid='${NURSE}' subscription='none'/>`));
    assert.deepEqual(await rosterOf(romeo), [`${NURSE} none`]);
  },
);

scene('RFC 6121 §2.4: an update keeps the state of the subscription', async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  await becomesInterested(romeo);
  await romeo.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${juliet.bare}' name='Juliet'/></query></iq>`);
  await romeo.receives(`<iq type='result' id='r1'/>`);
  await romeo.receives(push(`<item jid='${juliet.bare}' name='Juliet' subscription='both'/>`));
});

scene('RFC 6121 §2.5.2: a removed item is confirmed, pushed with "remove", and gone', async ({ romeo, phone }) => {
  await becomesInterested(romeo);
  await becomesInterested(phone);
  await romeo.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${NURSE}' name='Nurse'/></query></iq>`);
  await romeo.receives(`<iq type='result' id='r1'/>`);
  await romeo.receives(push(`<item jid='${NURSE}' name='Nurse' subscription='none'/>`));
  await phone.receives(push(`<item jid='${NURSE}' name='Nurse' subscription='none'/>`));
  await romeo.sends(`<iq type='set' id='r2'><query xmlns='jabber:iq:roster'><item jid='${NURSE}' subscription='remove'/></query></iq>`);
  await romeo.receives(`<iq type='result' id='r2'/>`);
  await romeo.receives(push(`<item jid='${NURSE}' subscription='remove'/>`));
  await phone.receives(push(`<item jid='${NURSE}' subscription='remove'/>`));
  assert.deepEqual(await rosterOf(phone), []);
});

scene(
  'RFC 6121 §2.5.2: removing a mutual contact ends both subscriptions',
  { differs: { prosody: 'adds vcard-temp:x:update to all presence' } },
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await becomesInterested(juliet);
    await appears(juliet, { offline: [romeo] });
    await appears(romeo, { online: [juliet] });

    await romeo.sends(
      `<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${juliet.bare}' subscription='remove'/></query></iq>`,
    );
    await romeo.receives(`<iq type='result' id='r1'/>`);
    await romeo.receives(`<presence type='unavailable' from='${juliet.full}'/>`);

    // §3.2.2: unavailable while she is still subscribed
    await juliet.receives(`<presence type='unavailable' from='${romeo.full}'/>`);
    await juliet.receives(`<presence type='unsubscribe' from='${romeo.bare}' to='${juliet.bare}'/>`);
    await juliet.receives(push(`<item jid='${romeo.bare}' subscription='to'/>`));
    await juliet.receives(`<presence type='unsubscribed' from='${romeo.bare}' to='${juliet.bare}'/>`);
    await juliet.receives(push(`<item jid='${romeo.bare}' subscription='none'/>`));
    await juliet.receivesNothing();
    assert.deepEqual(await rosterOf(romeo), []);
  },
);

scene('RFC 6121 §2.5.2: removing a contact that was only asked takes the request back', async ({ romeo, juliet }) => {
  await romeo.sends(`<presence type='subscribe' to='${juliet.bare}'/>`);
  await romeo.sync();
  await romeo.sends(
    `<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${juliet.bare}' subscription='remove'/></query></iq>`,
  );
  await romeo.receives(`<iq type='result' id='r1'/>`);
  await romeo.sync();
  await juliet.becomesAvailable();
  await juliet.receivesNothing(); // §3.3.3: the record of the request is removed
});

scene('RFC 6121 §2.5.3: an item that is not there cannot be removed', async ({ romeo }) => {
  await becomesInterested(romeo);
  await romeo.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${NURSE}' subscription='remove'/></query></iq>`);
  await romeo.receives(
    `<iq type='error' id='r1'><error type='{any}'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  );
  await romeo.receivesNothing();
});

for (const [what, payload, condition, type] of [
  ['no item', '', 'bad-request', 'modify'],
  ['more than one item', `<item jid='${NURSE}'/><item jid='mother@capulet.lit'/>`, 'bad-request', 'modify'],
  ['duplicate groups', `<item jid='${NURSE}'><group>Servants</group><group>Servants</group></item>`, 'bad-request', 'modify'],
  ['an oversized handle', `<item jid='${NURSE}' name='${'n'.repeat(1024)}'/>`, 'not-acceptable', 'modify'],
  ['an empty group', `<item jid='${NURSE}'><group/></item>`, 'not-acceptable', 'modify'],
  ['an oversized group', `<item jid='${NURSE}'><group>${'g'.repeat(1024)}</group></item>`, 'not-acceptable', 'modify'],
  ['no jid', `<item name='Nurse'/>`, 'bad-request', 'modify'],
  ['a malformed jid', `<item jid='@'/>`, 'jid-malformed', 'modify'],
] as const) {
  const differs = { prosody: 'has no limits, drops such groups, and calls a malformed jid a bad request' };
  scene(`RFC 6121 §2.3.3: a roster set with ${what} is refused with ${condition}`, { differs }, async ({ romeo }) => {
    await becomesInterested(romeo);
    await romeo.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'>${payload}</query></iq>`);
    await romeo.receives(
      `<iq type='error' id='r1'><error type='${type}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
    );
    await romeo.receivesNothing();
    assert.deepEqual(await rosterOf(romeo), []);
  });
}

scene('RFC 6121 §2.3.3: an account is not its own contact', async ({ romeo }) => {
  await romeo.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${romeo.bare}'/></query></iq>`);
  await romeo.receives(
    `<iq type='error' id='r1'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  );
});

scene(
  'RFC 6121 §2.1.5: a roster set for another account is forbidden, whether that exists or not',
  { differs: { prosody: 'says service-unavailable' } },
  async ({ romeo, juliet }) => {
    await becomesInterested(juliet);
    for (const [id, to] of [
      ['r1', juliet.bare],
      ['r2', `nobody@${romeo.domain}`],
    ]) {
      await romeo.sends(`<iq type='set' id='${id}' to='${to}'><query xmlns='jabber:iq:roster'><item jid='${NURSE}'/></query></iq>`);
      await romeo.receives(
        `<iq type='error' id='${id}' from='${to}'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
      );
    }
    await juliet.receivesNothing();
    assert.deepEqual(await rosterOf(juliet), []);
  },
);

scene(
  'RFC 6121 §2: nobody else reads a roster, and the answer does not tell whether there is one',
  { onlyOurs: 'the condition is ours to choose' },
  async ({ romeo, juliet }) => {
    for (const [id, to] of [
      ['r1', juliet.bare],
      ['r2', `nobody@${romeo.domain}`],
    ]) {
      await romeo.sends(`<iq type='get' id='${id}' to='${to}'><query xmlns='jabber:iq:roster'/></iq>`);
      await romeo.receives(
        `<iq type='error' id='${id}' from='${to}'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
      );
    }
  },
);

scene('RFC 6121 §2.1.6: answers to pushes are ignored, errors as well as results', async ({ romeo }) => {
  await becomesInterested(romeo);
  for (const [i, answer] of ['result', 'error'].entries()) {
    await romeo.sends(`<iq type='set' id='r${i}'><query xmlns='jabber:iq:roster'><item jid='c${i}@capulet.lit'/></query></iq>`);
    await romeo.receives(`<iq type='result' id='r${i}'/>`);
    const pushed = await romeo.receives(push(`<item jid='c${i}@capulet.lit' subscription='none'/>`));
    const content =
      answer === 'error' ? `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>` : '';
    await romeo.sends(`<iq type='${answer}' id='${pushed.attrs['id']}'>${content}</iq>`);
    await romeo.sends(`<iq type='${answer}' id='${pushed.attrs['id']}' to='${romeo.bare}'>${content}</iq>`);
    await romeo.receivesNothing();
  }
});

scene(
  'RFC 6121 §2.1.6: a push comes from the bare JID of the account and goes to the full JID',
  { differs: { prosody: 'leaves the addresses out' } },
  async ({ romeo }) => {
    await becomesInterested(romeo);
    await romeo.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${NURSE}'/></query></iq>`);
    await romeo.receives(`<iq type='result' id='r1'/>`);
    const pushed = await romeo.receives(push(`<item jid='${NURSE}' subscription='none'/>`));
    assert.ok(pushed.attrs['from'] === undefined || pushed.attrs['from'] === romeo.bare);
    assert.equal(pushed.attrs['to'], romeo.full);
  },
);

scene(
  'Roster push / subscription spoof: a client cannot push; its roster set to a contact arrives as from its sender',
  async ({ romeo, juliet }) => {
    await becomesInterested(juliet);
    await romeo.sends(
      `<iq type='set' id='evil' to='${juliet.full}'><query xmlns='jabber:iq:roster'><item jid='tybalt@capulet.lit' subscription='both'/></query></iq>`,
    );
    await juliet.receives(
      `<iq type='set' id='evil' from='${romeo.full}'><query xmlns='jabber:iq:roster'><item jid='tybalt@capulet.lit' subscription='both'/></query></iq>`,
    );
    assert.deepEqual(await rosterOf(juliet), []);
  },
);

scene('the roster has a limit', { config: { accounts: { maxRosterItems: 2 } } }, async ({ romeo, juliet }) => {
  for (const i of [0, 1]) {
    await romeo.sends(`<iq type='set' id='r${i}'><query xmlns='jabber:iq:roster'><item jid='c${i}@capulet.lit'/></query></iq>`);
    await romeo.receives(`<iq type='result' id='r${i}'/>`);
  }
  const full = `<error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
  await romeo.sends(`<iq type='set' id='r2'><query xmlns='jabber:iq:roster'><item jid='c2@capulet.lit'/></query></iq>`);
  await romeo.receives(`<iq type='error' id='r2'>${full}</iq>`);
  await romeo.sends(`<presence type='subscribe' id='s1' to='${juliet.bare}'/>`);
  await romeo.receives(`<presence type='error' id='s1' from='${juliet.bare}'>${full}</presence>`);
  await romeo.sends(
    `<iq type='set' id='r3'><query xmlns='jabber:iq:roster'><item jid='c1@capulet.lit' name='still changeable'/></query></iq>`,
  );
  await romeo.receives(`<iq type='result' id='r3'/>`);
});

scene('the roster as a whole has a size limit', { modules: { roster: { max_size: '16KiB' } } }, async ({ romeo }) => {
  const name = 'n'.repeat(1_000);
  for (let i = 0; i < 15; i++) {
    await romeo.sends(
      `<iq type='set' id='r${i}'><query xmlns='jabber:iq:roster'><item jid='c${i}@capulet.lit' name='${name}'/></query></iq>`,
    );
    await romeo.receives(`<iq type='result' id='r${i}'/>`);
  }
  const full = `<error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
  await romeo.sends(`<iq type='set' id='a'><query xmlns='jabber:iq:roster'><item jid='c15@capulet.lit' name='${name}'/></query></iq>`);
  await romeo.receives(`<iq type='error' id='a'>${full}</iq>`);
  await romeo.sends(
    `<iq type='set' id='b'><query xmlns='jabber:iq:roster'><item jid='c0@capulet.lit' name='${name}'><group>${name}</group></item></query></iq>`,
  );
  await romeo.receives(`<iq type='error' id='b'>${full}</iq>`);
  await romeo.sends(`<iq type='set' id='c'><query xmlns='jabber:iq:roster'><item jid='c0@capulet.lit' name='short'/></query></iq>`);
  await romeo.receives(`<iq type='result' id='c'/>`);
  await romeo.sends(`<iq type='set' id='d'><query xmlns='jabber:iq:roster'><item jid='c15@capulet.lit' name='${name}'/></query></iq>`);
  await romeo.receives(`<iq type='result' id='d'/>`);
});

scene('the roster is kept while the account is not in memory', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(
    `<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${NURSE}' name='Nurse'><group>Servants</group><group>ü</group></item></query></iq>`,
  );
  await romeo.receives(`<iq type='result' id='r1'/>`);
  await romeo.disconnects();
  await cast.advance(10 * 60_000);
  await romeo.connects();
  await romeo.sends(`<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>`);
  await romeo.receives(`
    <iq type='result' id='g'><query xmlns='jabber:iq:roster' ver='{any}'>
      <item jid='${NURSE}' name='Nurse' subscription='none'><group>Servants</group><group>ü</group></item>
    </query></iq>`);
});

scene('a contact may have the longest of addresses', async (cast) => {
  const { romeo } = cast;
  const long = `${'n'.repeat(1023)}@${Array.from({ length: 16 }, () => 'd'.repeat(62)).join('.')}`;
  await romeo.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${long}' name='Long'/></query></iq>`);
  await romeo.receives(`<iq type='result' id='r1'/>`);
  await romeo.disconnects();
  await cast.advance(10 * 60_000);
  await romeo.connects();
  assert.deepEqual(await rosterOf(romeo), [`${long} none`]);
});
