import assert from 'node:assert/strict';
import type { Client } from '../harness/cast.ts';
import type { StreamClient } from '../harness/stream-client.ts';
import { transcript } from '../harness/transcript.ts';
import { childOf, textOf, type XmlElement } from '../harness/xml.ts';
import { befriends } from './roster-scenes.ts';

const NS = 'urn:xmpp:csi:0';
const STATES = 'http://jabber.org/protocol/chatstates';
const MUC_USER = 'http://jabber.org/protocol/muc#user';
const OURS = { onlyOurs: 'what is held back is our choice' };
const ID = `<stanza-id xmlns='urn:xmpp:sid:0' id='{any}' by='{any}' match:optional='true'/>`;

const inactive = (client: Client): Promise<void> => client.sends(`<inactive xmlns='${NS}'/>`);
const active = (client: Client): Promise<void> => client.sends(`<active xmlns='${NS}'/>`);
const says = (client: Client, status: string): Promise<void> => client.sends(`<presence><status>${status}</status></presence>`);
const types = (client: Client, to: string, state = 'composing'): Promise<void> =>
  client.sends(`<message type='chat' to='${to}'><${state} xmlns='${STATES}'/></message>`);
const delay = (domain: string, stamp = '{stamp}'): string => `<delay xmlns='urn:xmpp:delay' from='${domain}' stamp='${stamp}'/>`;
const presence = (from: Client, status: string, more = ''): string =>
  `<presence from='${from.full}'><status>${status}</status>${more}</presence>`;
const statusOf = (element: XmlElement): string => textOf(childOf(element, 'status') ?? childOf(element, 'body')!);

/** Both are available, each other's contacts, and have nothing left to look at. */
async function meet(one: Client, other: Client): Promise<void> {
  await befriends(one, other);
  for (const client of [one, other]) await client.becomesAvailable();
  for (const client of [one, other]) await client.collects();
}

transcript('XEP-0352 §4.1: a feature of the stream after login, not before', async (cast) => {
  const { romeo } = cast;
  await cast.ready();
  const client = await cast.raw('client');
  await client.opensStream();
  await client.receivesStream();
  const before = await client.receivesFeatures();
  assert.equal(childOf(before, 'csi', NS), undefined);
  const later = await cast.raw('later');
  const after = await later.logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
  assert.ok(childOf(after, 'csi', NS) !== undefined);
});

transcript('XEP-0352 §3.2: presence waits, then the latest of each contact comes, with its time', OURS, async (cast) => {
  const { romeo, juliet, nurse } = cast;
  await meet(romeo, juliet);
  await meet(romeo, nurse);
  await juliet.collects();
  await inactive(romeo);
  await says(juliet, 'one');
  await says(nurse, 'first');
  await cast.advance(1_000);
  await says(juliet, 'two');
  await cast.advance(60_000);
  await active(romeo);
  await romeo.receives(presence(nurse, 'first', delay(cast.domain, '2025-06-01T12:00:00.000Z')));
  await romeo.receives(presence(juliet, 'two', delay(cast.domain, '2025-06-01T12:00:01.000Z')));
  await says(juliet, 'three');
  await romeo.receives(presence(juliet, 'three'));
  await romeo.receivesNothing();
});

transcript('XEP-0352 §3.2: what comes and goes meanwhile is gone', OURS, async ({ romeo, juliet }) => {
  await meet(romeo, juliet);
  await inactive(romeo);
  await says(juliet, 'one');
  await juliet.sends(`<presence type='unavailable'/>`);
  await active(romeo);
  await romeo.receives(`<presence type='unavailable' from='${juliet.full}'/>`);
  await romeo.receivesNothing();
});

transcript('XEP-0352 §5.1: the answer to a request comes after what was held back', OURS, async ({ romeo, juliet }) => {
  await meet(romeo, juliet);
  await inactive(romeo);
  await says(juliet, 'one');
  await says(juliet, 'two');
  await romeo.sends(`<active xmlns='${NS}'/><iq type='get' id='p1'><ping xmlns='urn:xmpp:ping'/></iq>`);
  await romeo.receives(presence(juliet, 'two'));
  await romeo.receives(`<iq type='result' id='p1'/>`);
});

transcript('XEP-0352 §3.2: a message does not wait, and what came before it comes before it', OURS, async (cast) => {
  const { romeo, juliet, nurse } = cast;
  await meet(romeo, juliet);
  await inactive(romeo);
  await says(juliet, 'one');
  await says(juliet, 'two');
  await types(nurse, romeo.full);
  await types(nurse, romeo.full, 'paused');
  await cast.advance(1_000);
  await nurse.sends(`<message type='chat' id='m1' to='${romeo.full}'><body>Hist!</body></message>`);
  await romeo.receives(presence(juliet, 'two', delay(cast.domain)));
  await romeo.receives(`<message type='chat' from='${nurse.full}'><paused xmlns='${STATES}'/>${delay(cast.domain)}</message>`);
  await romeo.receives(`<message type='chat' id='m1'><body>Hist!</body>${ID}</message>`);
  // It is still inactive.
  await says(juliet, 'three');
  await says(juliet, 'four');
  await active(romeo);
  await romeo.receives(presence(juliet, 'four'));
  await romeo.receivesNothing();
});

const IMPORTANT: readonly (readonly [string, (romeo: Client) => string, string])[] = [
  ['an IQ', (romeo) => `<iq type='get' id='i1' to='${romeo.full}'><query xmlns='urn:example:q'/></iq>`, 'iq'],
  ['a subscription request', (romeo) => `<presence type='subscribe' to='${romeo.bare}'/>`, 'presence'],
  ['a headline', (romeo) => `<message type='headline' to='${romeo.full}'><body>News</body></message>`, 'message'],
  [
    'a message nobody may store',
    (romeo) => `<message type='chat' to='${romeo.full}'><body>Burn this</body><no-store xmlns='urn:xmpp:hints'/></message>`,
    'message',
  ],
  [
    'an error',
    (romeo) =>
      `<message type='error' id='e1' to='${romeo.full}'><active xmlns='${STATES}'/><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
    'message',
  ],
  [
    'presence of a room that says that the client is in it',
    (romeo) => `<presence to='${romeo.full}'><x xmlns='${MUC_USER}'><item role='none'/><status code='110'/></x></presence>`,
    'presence',
  ],
];

for (const [what, make, name] of IMPORTANT) {
  transcript(`XEP-0352 §3.2: ${what} does not wait`, OURS, async ({ romeo, juliet, nurse }) => {
    await meet(romeo, juliet);
    await inactive(romeo);
    await says(juliet, 'one');
    await says(juliet, 'two');
    await nurse.sends(make(romeo));
    await says(juliet, 'three');
    await romeo.receives(presence(juliet, 'two'));
    await romeo.receives(
      `<${name} match:rest='ignore' from='${what.startsWith('a sub') ? nurse.bare : nurse.full}' ${attributes(make(romeo))}>{any}</${name}>`,
    );
    await active(romeo);
    await romeo.receives(presence(juliet, 'three'));
  });
}

function attributes(xml: string): string {
  return /type='[a-z]+'/.exec(xml.slice(0, xml.indexOf('>')))?.[0] ?? '';
}

transcript('XEP-0352 §3.2: presence of a room about others waits', OURS, async ({ romeo, juliet, nurse }) => {
  await meet(romeo, juliet);
  await inactive(romeo);
  for (const role of ['none', 'visitor', 'participant']) {
    await nurse.sends(`<presence to='${romeo.full}'><x xmlns='${MUC_USER}'><item role='${role}'/></x></presence>`);
  }
  await active(romeo);
  await romeo.receives(`<presence from='${nurse.full}'><x xmlns='${MUC_USER}'><item role='participant'/></x></presence>`);
  await romeo.receivesNothing();
});

transcript('XEP-0352, XEP-0280 §10.2: a copy of a chat state waits like the chat state itself', OURS, async (cast) => {
  const { romeo, phone, juliet } = cast;
  await phone.sends(`<iq type='set' id='c1'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
  await phone.receives(`<iq type='result' id='c1'/>`);
  await inactive(phone);
  await types(juliet, romeo.full);
  await types(juliet, romeo.full, 'paused');
  await types(romeo, juliet.full);
  await types(romeo, juliet.full, 'paused');
  await cast.advance(1_000);
  await romeo.sends(`<message type='chat' id='m1' to='${juliet.full}'><body>Hist!</body></message>`);
  const copies = ['received', 'sent', 'sent'];
  for (const [i, direction] of copies.entries()) {
    const inside =
      i === 2
        ? `<message xmlns='jabber:client' type='chat'><body>Hist!</body>${ID}</message>`
        : `<message xmlns='jabber:client' type='chat'><paused xmlns='${STATES}'/></message>`;
    await phone.receives(
      `<message type='chat' from='${phone.bare}'><${direction} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>${inside}</forwarded></${direction}>${i === 2 ? '' : delay(cast.domain)}</message>`,
    );
  }
});

transcript('XEP-0352, XEP-0280 §7: a chat state that waits for one client is copied to the others all the same', OURS, async (cast) => {
  const { romeo, phone, juliet } = cast;
  await phone.sends(`<iq type='set' id='c1'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
  await phone.receives(`<iq type='result' id='c1'/>`);
  await inactive(romeo);
  await types(juliet, romeo.full);
  await phone.receives(
    `<message type='chat'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat'><composing xmlns='${STATES}'/></message></forwarded></received></message>`,
  );
});

transcript('XEP-0352: no more waits than may', { modules: { client_state: { queue: 3 } } }, async (cast) => {
  const { romeo, juliet } = cast;
  await meet(romeo, juliet);
  await inactive(romeo);
  for (let i = 0; i < 5; i++) {
    const other = cast.client(`other${i}`);
    await other.sends(`<presence to='${romeo.full}'><status>${i}</status></presence>`);
  }
  // The fourth was one too many; the fifth is the first of those that wait again.
  await active(romeo);
  assert.deepEqual((await romeo.collects()).map(statusOf), ['0', '1', '2', '3', '4']);
  const at = (what: string): number => cast.log.findIndex((line) => line.replaceAll(/\s+/g, ' ').includes(what));
  const came = cast.log.findIndex((line) => line.startsWith('romeo ←') && line.includes('<status>0</status>'));
  assert.ok(at('other3 →') < came && came < at('other4 →'), 'they came with the fourth, before the fifth');
});

transcript(
  'XEP-0352 §3.2: what the operator does not want held back is not',
  { modules: { client_state: { presence: false } } },
  async ({ romeo, juliet }) => {
    await meet(romeo, juliet);
    await inactive(romeo);
    await says(juliet, 'one');
    await types(juliet, romeo.full);
    await says(juliet, 'two');
    await romeo.receives(presence(juliet, 'one'));
    await romeo.receives(`<message type='chat'><composing xmlns='${STATES}'/></message>`);
    await romeo.receives(presence(juliet, 'two'));
  },
);

transcript('XEP-0352 §5: it has nothing to do with presence, and nobody learns of it', async ({ romeo, juliet }) => {
  await meet(romeo, juliet);
  await inactive(romeo);
  await inactive(romeo);
  await juliet.receivesNothing();
  await juliet.sends(`<message type='chat' id='m1' to='${romeo.bare}'><body>Hist!</body></message>`);
  await romeo.receives(`<message type='chat' id='m1'><body>Hist!</body>${ID}</message>`);
  await active(romeo);
  await active(romeo);
  for (const client of [romeo, juliet]) await client.receivesNothing();
});

transcript('XEP-0352 §4.2: a new session is active', OURS, async ({ romeo, juliet }) => {
  await meet(romeo, juliet);
  await inactive(romeo);
  await romeo.disconnects();
  await romeo.connects();
  await romeo.becomesAvailable();
  await romeo.collects();
  await says(juliet, 'one');
  await says(juliet, 'two');
  await romeo.receives(presence(juliet, 'one'));
  await romeo.receives(presence(juliet, 'two'));
});

transcript(
  'XEP-0352 §5.2: a resumed session is active, and gets what was held back',
  { differs: { prosody: 'holds nothing back' } },
  async (cast) => {
    const { romeo, juliet } = cast;
    const SM = 'urn:xmpp:sm:3';
    await befriends(romeo, juliet);
    await juliet.becomesAvailable();
    const enters = async (): Promise<StreamClient> => {
      const stream = await cast.raw('watch');
      await stream.logsIn({ local: romeo.local, password: cast.passwordOf('romeo') });
      return stream;
    };
    const statusTo = async (stream: StreamClient): Promise<string> =>
      statusOf(await stream.takes('a presence', ({ name, attrs }) => name === 'presence' && attrs['from'] === juliet.full));
    const watch = await enters();
    await watch.binds('watch');
    await watch.sends('<presence/>');
    await watch.takes('presence of a contact', ({ name, attrs }) => name === 'presence' && attrs['from'] === juliet.full);
    await watch.sends(`<enable xmlns='${SM}' resume='true'/>`);
    await watch.takes('<enabled/>', ({ name, attrs }) => name === 'enabled' && cast.captured.set('token', attrs['id']!) !== undefined);
    await watch.sends(`<inactive xmlns='${NS}'/>`);
    await says(juliet, 'one');
    await watch.drops();
    await says(juliet, 'two');
    const again = await enters();
    await again.sends(`<resume xmlns='${SM}' previd='${cast.captured.get('token')!}' h='0'/>`);
    await again.takes('<resumed/>', ({ name }) => name === 'resumed');
    assert.equal(await statusTo(again), 'two');
    await says(juliet, 'three');
    await says(juliet, 'four');
    assert.equal(await statusTo(again), 'three');
    assert.equal(await statusTo(again), 'four');
  },
);
