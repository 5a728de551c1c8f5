/** What the engine does beyond its two protocols, whose tests are blocking.test.ts and privacy-lists.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PrivacyList, trafficOf, type Rule } from '../../src/modules/privacy/list.ts';
import { parseJid, type BareJid } from '../../src/xmpp/jid.ts';
import { makeStanza } from '../../src/xmpp/stanza.ts';
import { transcript } from '../harness/transcript.ts';

const jid = (text: string): NonNullable<ReturnType<typeof parseJid>> => parseJid(text)!;
const roster = {
  items: new Map<BareJid, { readonly subscription: string; readonly groups: readonly string[] }>([
    [jid('romeo@montague.lit').bare, { subscription: 'both', groups: ['Friends'] }],
  ]),
};
const deny = (value: string, order = 1): Rule => ({ order, action: 'deny', type: 'jid', value, kinds: [] });

test('XEP-0191 §6: what an address stands for', () => {
  const cases: readonly (readonly [blocked: string, peer: string, isBlocked: boolean])[] = [
    ['romeo@montague.lit/orchard', 'romeo@montague.lit/orchard', true],
    ['romeo@montague.lit/orchard', 'romeo@montague.lit/garden', false],
    ['romeo@montague.lit/orchard', 'romeo@montague.lit', false],
    ['romeo@montague.lit', 'romeo@montague.lit/orchard', true],
    ['romeo@montague.lit', 'romeo@montague.lit', true],
    ['romeo@montague.lit', 'juliet@montague.lit', false],
    ['montague.lit/orchard', 'montague.lit/orchard', true],
    ['montague.lit/orchard', 'montague.lit', false],
    ['montague.lit/orchard', 'romeo@montague.lit/orchard', false],
    ['montague.lit', 'montague.lit', true],
    ['montague.lit', 'montague.lit/orchard', true],
    ['montague.lit', 'romeo@montague.lit/orchard', true],
    ['montague.lit', 'romeo@house.montague.lit', false],
  ];
  for (const [blocked, peer, isBlocked] of cases) {
    const list = new PrivacyList([deny(blocked)]);
    assert.equal(list.denies(jid(peer), 'message', roster), isBlocked, `${blocked} and ${peer}`);
  }
});

test('blocked addresses are told from rules that only look like it', () => {
  const allow: Rule = { order: 2, action: 'allow', type: 'jid', value: 'a@b', kinds: [] };
  const partly: Rule = { ...deny('c@d', 3), kinds: ['message'] };
  const list = new PrivacyList([partly, allow, deny('x@y', 1), deny('behind@it', 4)]);
  assert.deepEqual([...list.blocked], ['x@y']);
  const more = list.withBlocked(['n@m', 'x@y']);
  assert.deepEqual([...more.blocked], ['n@m', 'x@y']);
  assert.deepEqual(new Set(more.rules.map(({ order }) => order)).size, more.rules.length);
  assert.deepEqual(
    more.withoutBlocked(new Set(['n@m', 'c@d', 'x@y'])).rules.map(({ value }) => value),
    ['a@b', 'c@d', 'behind@it'],
  );
});

test('XEP-0016 §2.1: what each kind of rule is for', () => {
  const to = jid('juliet@capulet.lit');
  const from = jid('romeo@montague.lit');
  const traffic = (kind: 'message' | 'presence' | 'iq', type: Parameters<typeof makeStanza>[0]['type'], isIncoming: boolean): string =>
    trafficOf(makeStanza({ kind, type, from, to }), isIncoming);
  assert.equal(traffic('message', 'chat', true), 'message');
  assert.equal(traffic('message', 'chat', false), 'other');
  assert.equal(traffic('iq', 'get', true), 'iq');
  assert.equal(traffic('iq', 'get', false), 'other');
  assert.equal(traffic('presence', 'available', true), 'presence-in');
  assert.equal(traffic('presence', 'unavailable', false), 'presence-out');
  for (const type of ['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed', 'probe', 'error'] as const)
    assert.equal(traffic('presence', type, true), 'other');
});

transcript('XEP-0191 §3.3: what a room’s occupant says is dropped: an error would put the user out', async ({ juliet, romeo }) => {
  await juliet.becomesAvailable();
  await juliet.sends(`<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'><item jid='${romeo.bare}'/></block></iq>`);
  await juliet.takes('the answer', ({ attrs }) => attrs['id'] === 'b1');
  await juliet.collects();
  for (const type of ['groupchat', 'headline', 'error'])
    await romeo.sends(`<message type='${type}' to='${juliet.full}'><body>All!</body></message>`);
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

transcript(
  'XEP-0016 §2.1: notifications of a node are like presence: who is blocked gets none',
  { onlyOurs: 'others do not say' },
  async (cast) => {
    const { juliet, romeo } = cast;
    const PUBSUB = 'http://jabber.org/protocol/pubsub';
    const publishes = async (id: string, more = ''): Promise<void> => {
      await juliet.sends(
        `<iq type='set' id='${id}'><pubsub xmlns='${PUBSUB}'><publish node='urn:example:n'><item id='${id}'><x xmlns='urn:example'/></item></publish>${more}</pubsub></iq>`,
      );
      await juliet.takes('the result', ({ attrs }) => attrs['id'] === id);
    };
    const blocks = async (name: string): Promise<void> => {
      await juliet.sends(`<iq type='set' id='${name}'><${name} xmlns='urn:xmpp:blocking'><item jid='${romeo.bare}'/></${name}></iq>`);
      await juliet.takes('the result', ({ attrs }) => attrs['id'] === name);
    };
    const field = (name: string, value: string): string => `<field var='${name}'><value>${value}</value></field>`;
    const open = `<publish-options><x xmlns='jabber:x:data' type='submit'>${field('FORM_TYPE', `${PUBSUB}#publish-options`)}${field('pubsub#access_model', 'open')}</x></publish-options>`;
    await romeo.becomesAvailable();
    await publishes('one', open);
    await romeo.sends(
      `<iq type='set' id='s1' to='${juliet.bare}'><pubsub xmlns='${PUBSUB}'><subscribe node='urn:example:n' jid='${romeo.bare}'/></pubsub></iq>`,
    );
    await romeo.receives(`<iq type='result' id='s1' match:rest='ignore'/>`);
    await romeo.collects();
    await blocks('block');
    await publishes('two');
    await romeo.receivesNothing();
    await blocks('unblock');
    await publishes('three');
    await romeo.takes('an event', ({ name }) => name === 'message');
  },
);
