/** The pure parts of the roster: rows, roster sets, versions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ITEMS, itemXml, NS_ROSTER, removalXml, type RosterItem, type StoredItem } from '../../src/modules/roster/item.ts';
import { CHANGES, MAX_CHANGES, Roster } from '../../src/modules/roster/roster.ts';
import { MAX_GROUPS, MAX_NAME_BYTES, readRosterSet } from '../../src/modules/roster/roster-set.ts';
import { SUBSCRIPTION_STATES } from '../../src/modules/roster/subscription.ts';
import { el, type Element } from '../../src/xml/element.ts';
import { parseJid, type BareJid, type Jid } from '../../src/xmpp/jid.ts';
import { StanzaError } from '../../src/xmpp/stanza-error.ts';

const OWNER = 'romeo@montague.lit' as BareJid;
const jid = (text: string): Jid => parseJid(text)!;

function item(address: string, rest: Partial<StoredItem> = {}): RosterItem {
  return { jid: jid(address), name: '', groups: [], subscription: 'none', ask: false, approved: false, ...rest };
}

function stored({ name, groups, subscription, ask, approved }: StoredItem): StoredItem {
  return { name, groups, subscription, ask, approved };
}

test('a roster item comes back from its row as it was', () => {
  const names = ['', 'Nurse', 'Жюльетта 🌹', ' spaces  kept ', 'a&b<c>"\'', '\u{10FFFF}'];
  const groups = [[], ['Servants'], ['a', 'b', 'ü'], [' ']];
  for (const subscription of ['none', 'to', 'from', 'both'] as const) {
    for (const flags of [0, 1, 2, 3]) {
      for (const name of names) {
        for (const list of groups) {
          const before: StoredItem = { name, groups: list, subscription, ask: (flags & 1) !== 0, approved: (flags & 2) !== 0 };
          assert.deepEqual(ITEMS.decode(ITEMS.encode(before), 1), before);
        }
      }
    }
  }
});

test('a row is read where it stands in a larger buffer', () => {
  const row = ITEMS.encode(stored(item('nurse@capulet.lit', { name: 'Nurse', groups: ['x'] })));
  const larger = Buffer.concat([Buffer.from('before'), row, Buffer.from('after')]);
  assert.equal(ITEMS.decode(larger.subarray(6, 6 + row.length), 1).name, 'Nurse');
  const change = CHANGES.encode(OWNER);
  const within = Buffer.concat([Buffer.from('before'), change, Buffer.from('after')]);
  assert.equal(CHANGES.decode(within.subarray(6, 6 + change.length), 1), OWNER);
});

test('bytes that are no roster item are refused', () => {
  assert.throws(() => ITEMS.decode(Buffer.alloc(0), 1));
  assert.throws(() => ITEMS.decode(Buffer.from([0x80]), 1));
});

test('RFC 6121 §2.1.2: the item element shows exactly what is set', () => {
  assert.equal(itemXml(item('nurse@capulet.lit')), "<item jid='nurse@capulet.lit' subscription='none'/>");
  assert.equal(
    itemXml(item('nurse@capulet.lit', { name: "O'Nurse & co", groups: ['a<b', 'c'], subscription: 'from', ask: true, approved: true })),
    "<item jid='nurse@capulet.lit' subscription='from' name='O&apos;Nurse &amp; co' ask='subscribe' approved='true'><group>a&lt;b</group><group>c</group></item>",
  );
  assert.equal(removalXml(jid('nurse@capulet.lit')), "<item jid='nurse@capulet.lit' subscription='remove'/>");
});

const query = (...items: Element[]): Element => el('query', NS_ROSTER, {}, ...items);
const entry = (attrs: Record<string, string>, ...groups: string[]): Element =>
  el('item', NS_ROSTER, attrs, ...groups.map((group) => el('group', NS_ROSTER, {}, group)));

function refusal(...items: Element[]): string | undefined {
  const change = readRosterSet(query(...items), OWNER);
  return change instanceof StanzaError ? change.condition : undefined;
}

test('RFC 6121 §2.3.3: roster sets that are refused, and how', () => {
  const cases: [string, string, Element[]][] = [
    ['no item', 'bad-request', []],
    ['two items', 'bad-request', [entry({ jid: 'a@b.lit' }), entry({ jid: 'c@d.lit' })]],
    ['no jid', 'bad-request', [entry({})]],
    ['malformed jid', 'jid-malformed', [entry({ jid: '@b.lit' })]],
    ['empty jid', 'jid-malformed', [entry({ jid: '' })]],
    ['oneself', 'not-allowed', [entry({ jid: OWNER })]],
    ['oneself with resource and capitals', 'not-allowed', [entry({ jid: 'Romeo@Montague.lit/orchard' })]],
    ['long name', 'not-acceptable', [entry({ jid: 'a@b.lit', name: 'n'.repeat(MAX_NAME_BYTES + 1) })]],
    ['long name in bytes', 'not-acceptable', [entry({ jid: 'a@b.lit', name: 'é'.repeat(512) })]],
    ['empty group', 'not-acceptable', [entry({ jid: 'a@b.lit' }, 'x', '')]],
    ['long group', 'not-acceptable', [entry({ jid: 'a@b.lit' }, 'g'.repeat(MAX_NAME_BYTES + 1))]],
    ['too many groups', 'not-acceptable', [entry({ jid: 'a@b.lit' }, ...Array.from({ length: MAX_GROUPS + 1 }, (_, i) => `g${i}`))]],
    ['duplicate groups', 'bad-request', [entry({ jid: 'a@b.lit' }, 'x', 'y', 'x')]],
    ['groups that differ in normal form only', 'bad-request', [entry({ jid: 'a@b.lit' }, 'caf\u00e9', 'cafe\u0301')]],
  ];
  for (const [what, condition, items] of cases) assert.equal(refusal(...items), condition, what);
});

test('RFC 6121 §2.1.2: what a client may not say is ignored, the rest is taken as it is', () => {
  const longest = 'n'.repeat(MAX_NAME_BYTES);
  const change = readRosterSet(
    query(
      entry(
        { jid: 'Nurse@Capulet.lit/kitchen', name: longest, subscription: 'both', ask: 'subscribe', approved: 'true' },
        'Servants',
        'servants',
        ' ',
      ),
    ),
    OWNER,
  );
  assert.ok(!(change instanceof StanzaError) && change.action === 'update');
  assert.deepEqual(
    { ...change, contact: change.contact.full },
    { action: 'update', contact: 'nurse@capulet.lit', name: longest, groups: ['Servants', 'servants', ' '] },
  );
});

test('RFC 6121 §2.5.1: subscription remove needs nothing but the jid', () => {
  const change = readRosterSet(query(entry({ jid: 'nurse@capulet.lit', subscription: 'remove', name: 'n'.repeat(5_000) }, '', '')), OWNER);
  assert.ok(!(change instanceof StanzaError) && change.action === 'remove');
});

test('RFC 6121 §A.1: the state of a contact comes from its item and its request', () => {
  const roster = new Roster();
  const contact = jid('juliet@capulet.lit');
  assert.equal(roster.state(contact.bare), 'None');
  roster.requests.set(contact.bare, { from: contact, request: { body: '', children: [] } });
  assert.equal(roster.state(contact.bare), 'None + Pending In');
  roster.set(item('juliet@capulet.lit', { ask: true }));
  assert.equal(roster.state(contact.bare), 'None + Pending Out+In');
  roster.requests.clear();
  roster.set(item('juliet@capulet.lit', { subscription: 'both' }));
  assert.equal(roster.state(contact.bare), 'Both');
  assert.ok(SUBSCRIPTION_STATES.includes(roster.state(contact.bare)));
});

test('the indexes of subscribers and subscriptions follow every change of an item', () => {
  const roster = new Roster();
  const bare = jid('juliet@capulet.lit').bare;
  const indexes = () => [roster.subscribers.has(bare), roster.subscriptions.has(bare)];
  for (const [subscription, expected] of [
    ['none', [false, false]],
    ['from', [true, false]],
    ['both', [true, true]],
    ['to', [false, true]],
    ['none', [false, false]],
    ['both', [true, true]],
  ] as const) {
    roster.set(item('juliet@capulet.lit', { subscription }));
    assert.deepEqual(indexes(), expected);
  }
  assert.ok(roster.size > 0);
  roster.delete(bare);
  assert.deepEqual(indexes(), [false, false]);
  assert.equal(roster.size, 0);
});

/** A roster with contacts c0 … c(n-1), added one by one from time 1000 on; the `ver` after each. */
function filled(count: number): { roster: Roster; vers: string[] } {
  const roster = new Roster();
  const vers: string[] = [];
  for (let i = 0; i < count; i++) {
    roster.set(item(`c${i}@capulet.lit`));
    roster.noteChange(jid(`c${i}@capulet.lit`).bare, 1_000);
    vers.push(roster.ver);
  }
  return { roster, vers };
}

test('RFC 6121 §2.6.3: versions differ and increase, however the clock goes', () => {
  const roster = new Roster();
  const versions = [5_000, 5_000, 4_000, 6_000, 6_000].map((now) => roster.noteChange(OWNER, now).version);
  assert.deepEqual(versions, [5_000, 5_001, 5_002, 6_000, 6_001]);
});

test('RFC 6121 §2.6.3: the delta has each changed contact once, as it is now, in order of its last change', () => {
  const { roster, vers } = filled(5);
  const known = roster.ver;
  roster.set(item('c1@capulet.lit', { name: 'one' }));
  roster.noteChange(jid('c1@capulet.lit').bare, 1_000);
  roster.delete(jid('c3@capulet.lit').bare);
  roster.noteChange(jid('c3@capulet.lit').bare, 1_000);
  roster.set(item('c1@capulet.lit', { name: 'two' }));
  roster.noteChange(jid('c1@capulet.lit').bare, 1_000);
  const delta = roster.since(known)!;
  assert.deepEqual(
    delta.map(({ contact, item: current }) => [contact, current?.name]),
    [
      ['c3@capulet.lit', undefined],
      ['c1@capulet.lit', 'two'],
    ],
  );
  assert.deepEqual(roster.since(roster.ver), []);
  assert.deepEqual(
    roster.since(vers[2]!)!.map(({ contact }) => contact),
    ['c4@capulet.lit', 'c3@capulet.lit', 'c1@capulet.lit'],
  );
});

test('RFC 6121 §2.6.3: an unknown, malformed or forgotten version gets the whole roster', () => {
  const { roster, vers } = filled(5);
  for (const ver of ['', 'ver14', 'NaN', '-1', '0x10', 'rs ', ' rs', '1e3', (999).toString(36), (1_005).toString(36), 'Infinity']) {
    assert.equal(roster.since(ver), undefined, ver);
  }
  assert.equal(roster.since('0')?.length, 5); // everything since the beginning
  for (let i = 0; i < MAX_CHANGES; i++) roster.noteChange(jid('c0@capulet.lit').bare, 1_000);
  assert.equal(roster.since(vers.at(-1)!), undefined); // one more than the log holds: the change after it is gone
  assert.equal(roster.since('0'), undefined);
});

test('RFC 6121 §2.6.3 (1): where the pushes would be more than the roster, the roster is sent', () => {
  const { roster } = filled(3);
  const known = roster.ver;
  for (const i of [0, 1]) {
    roster.delete(jid(`c${i}@capulet.lit`).bare);
    roster.noteChange(jid(`c${i}@capulet.lit`).bare, 1_000);
  }
  assert.equal(roster.since(known), undefined);
});

test('the log of changes is bounded and says which row to forget', () => {
  const roster = new Roster();
  const forgotten: (number | undefined)[] = [];
  for (let i = 0; i < MAX_CHANGES + 3; i++) forgotten.push(roster.noteChange(OWNER, i).forgotten);
  assert.deepEqual(
    forgotten.slice(0, MAX_CHANGES),
    Array.from({ length: MAX_CHANGES }, () => undefined),
  );
  assert.deepEqual(forgotten.slice(MAX_CHANGES), [1, 2, 3]);
});
