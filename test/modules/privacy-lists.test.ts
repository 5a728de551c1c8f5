import assert from 'node:assert/strict';
import type { CastOfClients, Client } from '../harness/cast.ts';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf, type XmlElement } from '../harness/xml.ts';
import { befriends, subscribes } from './roster-scenes.ts';

const NS = 'jabber:iq:privacy';
const BLOCKING = 'urn:xmpp:blocking';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';

type Play = (cast: CastOfClients) => Promise<void>;
/** @param ejabberd what ejabberd 23 does instead. Prosody 0.12 has no privacy lists. */
const scene = (title: string, play: Play, ejabberd?: string): void =>
  transcript(title, { differs: { prosody: 'has no privacy lists', ...(ejabberd === undefined ? {} : { ejabberd }) } }, play);

/** Of the refusals below, those that ejabberd does not make. */
const ACCEPTED = 'takes it';

let nextId = 1;

/** Sends a request and takes its answer, past pushes. */
async function asks(client: Client, type: 'get' | 'set', payload: string): Promise<XmlElement> {
  const id = `ask-${nextId++}`;
  await client.sends(`<iq type='${type}' id='${id}'><query xmlns='${NS}'>${payload}</query></iq>`);
  return client.takes('an answer', ({ attrs }) => attrs['id'] === id);
}
async function does(client: Client, payload: string): Promise<void> {
  const { attrs } = await asks(client, 'set', payload);
  assert.equal(attrs['type'], 'result', payload);
}
/** The condition, and nothing has changed. */
async function isRefused(client: Client, type: 'get' | 'set', payload: string): Promise<string> {
  const answer = await asks(client, type, payload);
  assert.equal(answer.attrs['type'], 'error');
  return childElements(childOf(answer, 'error')!)[0]!.name;
}
const list = (name: string, ...items: readonly string[]): string => `<list name='${name}'>${items.join('')}</list>`;
const deny = (order: number, attrs = '', kinds = ''): string => `<item action='deny' order='${order}' ${attrs}>${kinds}</item>`;
const allow = (order: number, attrs = ''): string => `<item action='allow' order='${order}' ${attrs}/>`;
const jid = (address: string): string => `type='jid' value='${address}'`;

/** `active`, `default` and the names of all lists. */
async function namesOf(client: Client): Promise<string[]> {
  const answer = await asks(client, 'get', '');
  const named = childElements(childOf(answer, 'query', NS)!).filter(({ attrs }) => attrs['name'] !== undefined); // ejabberd says that there is none
  return named.map(({ name, attrs }) => `${name} ${attrs['name']}`);
}
const messageTo = (to: string, id = 'm1'): string => `<message type='chat' id='${id}' to='${to}'><body>Wherefore?</body></message>`;
const message = (id = 'm1'): string => `<message type='chat' id='${id}' match:rest='ignore'/>`;
const refusal = (kind: string, condition = 'service-unavailable'): string =>
  `<${kind} type='error' id='{any}' match:rest='ignore'><error type='cancel' match:rest='ignore'><${condition} xmlns='${STANZAS}'/></error></${kind}>`;
const push = (name: string): string => `<iq type='set' id='{id}'><query xmlns='${NS}'><list name='${name}'/></query></iq>`;

scene('XEP-0016 §2.3: no lists at first; then names, and one list at a time', async ({ juliet }) => {
  assert.deepEqual(await namesOf(juliet), []);
  await does(juliet, list('public', deny(3, jid('tybalt@example.com')), allow(5)));
  await juliet.receives(push('public'));
  await does(juliet, list('private', allow(5, `type='subscription' value='both'`), deny(10, '', '<message/><presence-in/>')));
  await juliet.receives(push('private'));
  await does(juliet, `<active name='private'/>`);
  await does(juliet, `<default name='public'/>`);
  assert.deepEqual((await namesOf(juliet)).sort(), ['active private', 'default public', 'list private', 'list public']);
  await juliet.sends(`<iq type='get' id='l1'><query xmlns='${NS}'><list name='private'/></query></iq>`);
  await juliet.receives(`<iq type='result' id='l1'><query xmlns='${NS}'><list name='private'>
    <item type='subscription' value='both' action='allow' order='5'/>
    <item action='deny' order='10'><message/><presence-in/></item>
  </list></query></iq>`);
  await does(juliet, '<active/>');
  await does(juliet, '<default/>');
  assert.deepEqual((await namesOf(juliet)).sort(), ['list private', 'list public']);
});

const REFUSED: readonly (readonly [string, 'get' | 'set', string, string, string?])[] = [
  ['§2.3: a list that is not there', 'get', `<list name='x'/>`, 'item-not-found'],
  ['§2.3: two lists at once', 'get', `<list name='x'/><list name='y'/>`, 'bad-request'],
  ['§2.4: a list that is not there as active one', 'set', `<active name='x'/>`, 'item-not-found'],
  ['§2.5: a list that is not there as default', 'set', `<default name='x'/>`, 'item-not-found'],
  ['§2.8: removing a list that is not there', 'set', list('x'), 'item-not-found'],
  ['§2.1: two things at once', 'set', `<active/><default/>`, 'bad-request'],
  ['§2.1: nothing', 'set', '', 'bad-request'],
  ['§2.1: something else', 'set', '<passive/>', 'bad-request'],
  ['§2.1: two items in one place', 'set', list('x', deny(1), allow(1)), 'bad-request', ACCEPTED],
  ['§2.1: an item without a place', 'set', list('x', `<item action='deny'/>`), 'bad-request'],
  ['§2.1: an item that neither allows nor denies', 'set', list('x', `<item action='hide' order='1'/>`), 'bad-request'],
  ['§2.1: a place that is no number', 'set', list('x', `<item action='deny' order='-1'/>`), 'bad-request'],
  ['§2.1: a type that is none', 'set', list('x', deny(1, `type='age' value='13'`)), 'bad-request'],
  ['§2.1: an address that is none', 'set', list('x', deny(1, jid('@x'))), 'bad-request'],
  ['§2.1: a subscription that is none', 'set', list('x', deny(1, `type='subscription' value='half'`)), 'bad-request'],
  ['§2.1: a kind that is none', 'set', list('x', deny(1, '', '<smell/>')), 'bad-request', ACCEPTED],
  ['§2.1: a group that is not in the roster', 'set', list('x', deny(1, `type='group' value='Enemies'`)), 'item-not-found', ACCEPTED],
];
for (const [what, type, payload, condition, ejabberd] of REFUSED) {
  const refuses: Play = async ({ juliet }) => {
    assert.equal(await isRefused(juliet, type, payload), condition);
    assert.deepEqual(await namesOf(juliet), []);
  };
  scene(`XEP-0016 ${what} is refused`, refuses, ejabberd);
}

scene(
  'XEP-0016 §2.2: a list that holds for another client is not taken away',
  async ({ juliet, chamber }) => {
    await does(juliet, list('a', allow(1)));
    await does(juliet, list('b', allow(1)));
    await does(juliet, `<default name='a'/>`);
    await chamber.sync();
    await does(chamber, `<active name='b'/>`);
    await does(juliet, `<default name='b'/>`); // nobody else uses `a`
    assert.equal(await isRefused(juliet, 'set', list('b')), 'conflict');
    await does(chamber, '<active/>');
    assert.equal(await isRefused(juliet, 'set', `<default name='a'/>`), 'conflict');
    assert.equal(await isRefused(juliet, 'set', '<default/>'), 'conflict');
    await does(juliet, list('a'));
    assert.deepEqual(await namesOf(juliet), ['default b', 'list b']);
  },
  'lets the default list be changed under other clients',
);

scene('XEP-0016 §2.2: an active list ends with its session, the default one does not', async (cast) => {
  const { juliet, romeo } = cast;
  await does(juliet, list('nobody', deny(1)));
  await does(juliet, `<active name='nobody'/>`);
  await juliet.disconnects();
  await juliet.connects();
  await juliet.becomesAvailable();
  await romeo.sends(messageTo(juliet.full));
  await juliet.receives(message());
  await does(juliet, `<default name='nobody'/>`);
  await romeo.sends(messageTo(juliet.full));
  await romeo.receives(refusal('message'));
});

scene('XEP-0016 §2.2: of each client its own list', async ({ juliet, chamber, romeo }) => {
  await juliet.becomesAvailable();
  await chamber.becomesAvailable();
  await does(juliet, list('nobody', deny(1)));
  await chamber.receives(push('nobody'));
  await does(juliet, `<active name='nobody'/>`);
  await juliet.collects();
  await romeo.sends(messageTo(juliet.full));
  await romeo.receives(refusal('message'));
  await romeo.sends(messageTo(juliet.bare, 'm2'));
  await chamber.receives(message('m2'));
  await romeo.sends(`<presence to='${juliet.bare}'/>`);
  await chamber.receives(`<presence from='${romeo.full}' match:rest='ignore'/>`);
  await juliet.receivesNothing();
});

scene('XEP-0016 §2.2: a client with a list of its own gets what the default list denies', async ({ juliet, chamber, romeo }) => {
  await juliet.becomesAvailable();
  await chamber.becomesAvailable();
  await does(juliet, list('nobody', deny(1)));
  await does(juliet, list('all', allow(1)));
  await chamber.collects();
  await does(juliet, `<active name='all'/>`);
  await does(juliet, `<default name='nobody'/>`);
  await juliet.collects();
  await romeo.sends(messageTo(juliet.bare));
  await juliet.receives(message());
  await chamber.receivesNothing();
});

scene(
  'XEP-0016 §2.2: the first rule that fits counts, in the order of their numbers',
  async ({ juliet, romeo, mercutio }) => {
    await juliet.becomesAvailable();
    await does(juliet, list('x', deny(9), allow(2, jid(romeo.bare)), deny(1, jid(romeo.full))));
    await does(juliet, `<default name='x'/>`);
    await juliet.collects();
    await romeo.sends(messageTo(juliet.bare));
    await romeo.receives(refusal('message'));
    await mercutio.sends(messageTo(juliet.bare));
    await mercutio.receives(refusal('message'));
    await does(juliet, list('x', deny(9), allow(2, jid(romeo.bare))));
    await juliet.collects();
    await romeo.sends(messageTo(juliet.bare, 'm2'));
    await juliet.receives(message('m2'));
  },
  'goes on with the old rules for the session',
);

scene(
  'XEP-0016 §2.1: by subscription, as it is now',
  async ({ juliet, romeo, mercutio }) => {
    await subscribes(juliet, romeo);
    await juliet.becomesAvailable();
    await juliet.collects();
    await does(juliet, list('x', deny(1, `type='subscription' value='none'`)));
    await does(juliet, `<default name='x'/>`);
    await juliet.collects();
    await mercutio.sends(messageTo(juliet.bare));
    await mercutio.receives(refusal('message'));
    await romeo.sends(messageTo(juliet.bare));
    await juliet.receives(message());
    await juliet.sends(`<presence type='unsubscribe' to='${romeo.bare}'/>`);
    await juliet.sync();
    await romeo.sends(messageTo(juliet.bare));
    await romeo.receives(refusal('message'));
  },
  'pushes to resources that never asked for the roster',
);

scene('XEP-0016 §2.1: by group, as it is now', async ({ juliet, romeo }) => {
  const put = (groups: string): Promise<void> =>
    juliet.sends(`<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${romeo.bare}'>${groups}</item></query></iq>`);
  await put('<group>Enemies</group>');
  await juliet.becomesAvailable();
  await does(juliet, list('x', deny(1, `type='group' value='Enemies'`)));
  await does(juliet, `<default name='x'/>`);
  await juliet.collects();
  await romeo.sends(messageTo(juliet.bare));
  await romeo.receives(refusal('message'));
  await put('<group>Friends</group>');
  await juliet.collects();
  await romeo.sends(messageTo(juliet.bare));
  await juliet.receives(message());
});

scene(
  'XEP-0016 §2.9-§2.13: kinds of stanzas, in and out',
  async ({ juliet, romeo }) => {
    await befriends(juliet, romeo);
    await juliet.becomesAvailable();
    await romeo.becomesAvailable();
    await does(juliet, list('x', deny(1, jid(romeo.bare), '<message/>')));
    await does(juliet, `<active name='x'/>`);
    await juliet.collects();
    await romeo.collects();
    await romeo.sends(messageTo(juliet.full));
    await romeo.receives(refusal('message'));
    await romeo.sends(`<iq type='get' id='q1' to='${juliet.full}'><query xmlns='urn:example:q'/></iq>`);
    await juliet.receives(`<iq type='get' id='q1' match:rest='ignore'/>`);
    await juliet.sends(messageTo(romeo.full, 'm2')); // only what comes in
    await romeo.receives(message('m2'));

    await does(juliet, list('x', deny(1, jid(romeo.bare), '<iq/>')));
    await juliet.collects();
    await romeo.sends(`<iq type='get' id='q2' to='${juliet.full}'><query xmlns='urn:example:q'/></iq>`);
    await romeo.receives(refusal('iq'));

    await does(juliet, list('x', deny(1, jid(romeo.bare), '<presence-in/>')));
    await juliet.takes(
      'absence',
      ({ name, attrs }) => name === 'presence' && attrs['type'] === 'unavailable' && attrs['from'] === romeo.bare,
    );
    await juliet.collects();
    await romeo.sends(`<presence><show>away</show></presence>`);
    await romeo.collects();
    await juliet.receivesNothing();

    await does(juliet, list('x', deny(1, jid(romeo.bare), '<presence-out/>')));
    await romeo.receives(`<presence type='unavailable' from='${juliet.full}' match:rest='ignore'/>`);
    await juliet.collects();
    await juliet.sends(`<presence><show>away</show></presence>`);
    await juliet.receives(`<presence from='${juliet.full}' match:rest='ignore'/>`);
    await juliet.sends(`<presence to='${romeo.full}'/>`);
    await juliet.receives(
      `<presence type='error' from='${romeo.full}'><error type='cancel'><not-acceptable xmlns='${STANZAS}'/></error></presence>`,
    );
    await romeo.receivesNothing();
    await does(juliet, '<active/>');
    await romeo.receives(`<presence from='${juliet.full}' match:rest='ignore'><show>away</show></presence>`);
  },
  'drops answers of the blocked account to pings, for which the test waits',
);

scene(
  'XEP-0191 §5: the default list has the blocked addresses in front, and the blocklist is what stands there',
  async ({ juliet }) => {
    const blocklist = async (): Promise<(string | undefined)[]> => {
      await juliet.sends(`<iq type='get' id='b1'><blocklist xmlns='${BLOCKING}'/></iq>`);
      const answer = await juliet.takes('its blocklist', ({ attrs }) => attrs['id'] === 'b1');
      return childElements(childOf(answer, 'blocklist', BLOCKING)!).map(({ attrs }) => attrs['jid']);
    };
    await does(juliet, list('mine', deny(4, jid('a@example.lit')), allow(6, jid('b@example.lit')), deny(8, jid('c@example.lit'))));
    await does(juliet, `<default name='mine'/>`);
    await juliet.collects();
    assert.deepEqual(await blocklist(), ['a@example.lit']);
    await juliet.sends(`<iq type='set' id='b2'><block xmlns='${BLOCKING}'><item jid='d@example.lit'/></block></iq>`);
    await juliet.receives(`<iq type='result' id='b2'/>`);
    await juliet.receives(`<iq type='set' id='{id}'><block xmlns='${BLOCKING}'><item jid='d@example.lit'/></block></iq>`);
    const answer = await asks(juliet, 'get', `<list name='mine'/>`);
    const values = childElements(childElements(childOf(answer, 'query', NS)!)[0]!).map(({ attrs }) => attrs['value']);
    assert.deepEqual(values, ['d@example.lit', 'a@example.lit', 'b@example.lit', 'c@example.lit']);
    await does(juliet, list('mine', deny(1, jid('a@example.lit'))));
    await juliet.receives(`<iq type='set' id='{id}'><unblock xmlns='${BLOCKING}'><item jid='d@example.lit'/></unblock></iq>`);
    await juliet.receives(push('mine'));
    assert.deepEqual(await blocklist(), ['a@example.lit']);
    await does(juliet, list('mine'));
    assert.deepEqual(await blocklist(), []);
  },
  'its blocklist has all that is denied, wherever it stands',
);

scene(
  'XEP-0016 §2.1: whatever the rules, the user’s own clients and the server get through',
  async ({ juliet, chamber }) => {
    await juliet.becomesAvailable();
    await does(juliet, list('nobody', deny(1)));
    await does(juliet, `<default name='nobody'/>`);
    await juliet.collects();
    await chamber.sends(messageTo(juliet.full));
    await juliet.receives(message());
    await juliet.sends(`<iq type='get' id='q1' to='${juliet.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await juliet.receives(`<iq type='result' id='q1' match:rest='ignore'/>`);
  },
  'blocks the user’s own clients where all is denied',
);

transcript('lists and rules have an end', { modules: { privacy: { max_lists: 1, max_rules: 2 } } }, async ({ juliet }) => {
  assert.equal(await isRefused(juliet, 'set', list('x', allow(1), allow(2), allow(3))), 'resource-constraint');
  await does(juliet, list('x', allow(1), allow(2)));
  assert.equal(await isRefused(juliet, 'set', list('y', allow(1))), 'resource-constraint');
  await does(juliet, list('x', allow(1)));
});
