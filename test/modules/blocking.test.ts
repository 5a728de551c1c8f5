import assert from 'node:assert/strict';
import type { CastOfClients, Client } from '../harness/cast.ts';
import { transcript, type TranscriptOptions } from '../harness/transcript.ts';
import { childElements, childOf } from '../harness/xml.ts';
import { befriends, presenceScene } from './roster-scenes.ts';

const NS = 'urn:xmpp:blocking';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
/** ejabberd 23: */
const EJABBERD = 'pushes to all clients, asked or not, and before the result; and the privacy list, too';
/** Prosody 0.12: */
const PROSODY = 'a message to a full address is dropped without an error';

let nextId = 1;

/** `transcript` in which somebody is blocked. */
function scene(title: string, ...rest: [Play] | [TranscriptOptions, Play]): void {
  const [options, play] = rest.length === 1 ? [{}, rest[0]] : rest;
  transcript(title, { ...options, differs: { ejabberd: EJABBERD, ...options.differs } }, play);
}
type Play = (cast: CastOfClients) => Promise<void>;

const items = (jids: readonly string[]): string => jids.map((jid) => `<item jid='${jid}'/>`).join('');

async function asks(client: Client, type: string, payload: string): Promise<void> {
  const id = `ask-${nextId++}`;
  await client.sends(`<iq type='${type}' id='${id}'>${payload}</iq>`);
  await client.receives(`<iq type='result' id='${id}' match:rest='ignore'/>`);
}
const blocks = (client: Client, ...jids: readonly string[]): Promise<void> =>
  asks(client, 'set', `<block xmlns='${NS}'>${items(jids)}</block>`);
const unblocks = (client: Client, ...jids: readonly string[]): Promise<void> =>
  asks(client, 'set', `<unblock xmlns='${NS}'>${items(jids)}</unblock>`);

async function blocklistOf(client: Client): Promise<string[]> {
  const id = `list-${nextId++}`;
  await client.sends(`<iq type='get' id='${id}'><blocklist xmlns='${NS}'/></iq>`);
  const answer = await client.takes('its blocklist', ({ attrs }) => attrs['id'] === id);
  return childElements(childOf(answer, 'blocklist', NS)!)
    .map(({ attrs }) => attrs['jid']!)
    .sort();
}

const refusal = (kind: string, from: string, condition = 'service-unavailable'): string =>
  `<${kind} type='error' id='{any}' from='${from}' match:rest='ignore'><error type='cancel' match:rest='ignore'><${condition} xmlns='${STANZAS}'/></error></${kind}>`;
const push = (name: string, ...jids: readonly string[]): string =>
  `<iq type='set' id='{id}'><${name} xmlns='${NS}'>${items(jids)}</${name}></iq>`;

async function befriended(cast: CastOfClients): Promise<void> {
  const { juliet, romeo } = cast;
  await befriends(juliet, romeo);
  await juliet.becomesAvailable();
  await juliet.collects();
  await romeo.becomesAvailable();
  await romeo.collects();
  await juliet.collects();
}

transcript('XEP-0191 §3.1: a feature of the server', async ({ romeo }) => {
  await romeo.sends(`<iq type='get' id='d1' to='${romeo.domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  const answer = await romeo.receives(`<iq type='result' id='d1' match:rest='ignore'/>`);
  assert.ok(childElements(childElements(answer)[0]!).some(({ attrs }) => attrs['var'] === NS));
});

scene('XEP-0191 §3.2: the list is empty at first, then has who was blocked', async ({ juliet, romeo }) => {
  assert.deepEqual(await blocklistOf(juliet), []);
  await blocks(juliet, romeo.bare, 'iago@shakespeare.lit');
  await juliet.receives(push('block', romeo.bare, 'iago@shakespeare.lit'));
  assert.deepEqual(await blocklistOf(juliet), [romeo.bare, 'iago@shakespeare.lit'].sort());
});

scene('XEP-0191 §3.3: clients that have asked for the list are told, others are not', async ({ juliet, chamber, balcony, romeo }) => {
  await blocklistOf(chamber);
  await blocks(juliet, romeo.bare);
  await chamber.receives(push('block', romeo.bare));
  await juliet.receivesNothing();
  await balcony.receivesNothing();
  await unblocks(juliet, romeo.bare);
  await chamber.receives(push('unblock', romeo.bare));
});

const BAD: readonly (readonly [string, string, string])[] = [
  ['names nobody', `<block xmlns='${NS}'/>`, 'bad-request'],
  ['has an item without an address', `<block xmlns='${NS}'><item/></block>`, 'bad-request'],
  ['has an address that is none', `<block xmlns='${NS}'><item jid='@x'/></block>`, 'jid-malformed'],
];
for (const [what, payload, condition] of BAD) {
  const differs = { prosody: 'takes any condition of its own', ejabberd: 'says "bad-request" of what is no address' };
  transcript(`XEP-0191 §3.3: a command that ${what} is refused`, { differs }, async ({ juliet }) => {
    await juliet.sends(`<iq type='set' id='b1'>${payload}</iq>`);
    await juliet.receives(
      `<iq type='error' id='b1' match:rest='ignore'><error type='modify' match:rest='ignore'><${condition} xmlns='${STANZAS}'/></error></iq>`,
    );
    assert.deepEqual(await blocklistOf(juliet), []);
  });
}

transcript('XEP-0191 §5: one cannot block oneself', { onlyOurs: 'XEP-0016 §2.1 leaves open how' }, async ({ juliet }) => {
  await juliet.sends(`<iq type='set' id='b1'><block xmlns='${NS}'><item jid='${juliet.bare}'/></block></iq>`);
  await juliet.receives(refusal('iq', juliet.bare, 'not-allowed'));
});

transcript('XEP-0191 §3.3: nobody else reads or changes the list', async ({ juliet, romeo }) => {
  await romeo.sends(`<iq type='get' id='b1' to='${juliet.bare}'><blocklist xmlns='${NS}'/></iq>`);
  await romeo.receives(`<iq type='error' id='b1' from='${juliet.bare}' match:rest='ignore'/>`);
  await romeo.sends(`<iq type='set' id='b2' to='${juliet.bare}'><block xmlns='${NS}'><item jid='x@y'/></block></iq>`);
  await romeo.receives(`<iq type='error' id='b2' from='${juliet.bare}' match:rest='ignore'/>`);
  assert.deepEqual(await blocklistOf(juliet), []);
});

const messageTo = (to: string, body: string, id = 'm1'): string =>
  `<message type='chat' id='${id}' to='${to}'><body>${body}</body></message>`;

scene('XEP-0191 §3.3: messages of a blocked address come back', { differs: { prosody: PROSODY } }, async ({ juliet, romeo }) => {
  await juliet.becomesAvailable();
  await blocks(juliet, romeo.bare);
  await romeo.sends(messageTo(juliet.bare, 'Wherefore?'));
  await romeo.receives(refusal('message', juliet.bare));
  await romeo.sends(messageTo(juliet.full, 'Wherefore?', 'm2'));
  await romeo.receives(refusal('message', juliet.full));
  await juliet.receivesNothing();
});

scene('XEP-0191 §3.3: they are not kept for later either', async (cast) => {
  const { juliet, romeo } = cast;
  await blocks(juliet, romeo.bare);
  await juliet.disconnects();
  await romeo.sends(messageTo(juliet.bare, 'Wherefore?'));
  await romeo.receives(refusal('message', juliet.bare));
  await juliet.connects();
  await unblocks(juliet, romeo.bare);
  await juliet.becomesAvailable();
  await juliet.receivesNothing();
});

scene('XEP-0191 §3.3: requests of a blocked address come back, answers are dropped', async ({ juliet, romeo }) => {
  await juliet.becomesAvailable();
  await blocks(juliet, romeo.bare);
  for (const to of [juliet.bare, juliet.full]) {
    await romeo.sends(`<iq type='get' id='q1' to='${to}'><query xmlns='jabber:iq:version'/></iq>`);
    await romeo.receives(refusal('iq', to));
  }
  await romeo.sends(`<iq type='result' id='q2' to='${juliet.full}'/>`);
  await romeo.sends(`<iq type='error' id='q3' to='${juliet.full}'><error type='cancel'><gone xmlns='${STANZAS}'/></error></iq>`);
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

scene('XEP-0191 §3.3: presence of a blocked address is dropped without a word', async ({ juliet, romeo }) => {
  await juliet.becomesAvailable();
  await blocks(juliet, romeo.bare);
  for (const type of ['subscribe', 'subscribed', 'probe', 'unavailable'] as const) {
    await romeo.sends(`<presence type='${type}' to='${juliet.bare}'/>`);
  }
  await romeo.sends(`<presence to='${juliet.full}'/>`);
  await romeo.receivesNothing();
  await juliet.receivesNothing();
});

scene('XEP-0191 §3.3: what the user sends to a blocked address comes back', async ({ juliet, romeo }) => {
  await juliet.becomesAvailable();
  await romeo.becomesAvailable();
  await blocks(juliet, romeo.bare);
  const error = `<error type='cancel' match:rest='ignore'><not-acceptable xmlns='${STANZAS}'/><blocked xmlns='urn:xmpp:blocking:errors'/></error>`;
  await juliet.sends(messageTo(romeo.full, 'Can you hear me now?'));
  await juliet.receives(`<message type='error' id='m1' from='${romeo.full}' match:rest='ignore'>${error}</message>`);
  await juliet.sends(`<iq type='get' id='q1' to='${romeo.full}'><query xmlns='jabber:iq:version'/></iq>`);
  await juliet.receives(`<iq type='error' id='q1' from='${romeo.full}' match:rest='ignore'>${error}</iq>`);
  await juliet.sends(`<presence id='p1' to='${romeo.full}'/>`);
  await juliet.receives(`<presence type='error' id='p1' from='${romeo.full}' match:rest='ignore'>${error}</presence>`);
  await romeo.receivesNothing();
});

presenceScene(
  'XEP-0191 §3.3, §3.4: a blocked contact sees the user leave and, unblocked, come back',
  { differs: { ejabberd: EJABBERD } },
  async (cast) => {
    const { juliet, romeo } = cast;
    await befriended(cast);
    await blocks(juliet, romeo.bare);
    await romeo.receives(`<presence type='unavailable' from='${juliet.full}' match:rest='ignore'/>`);
    await juliet.receives(`<presence type='unavailable' from='${romeo.bare}' match:rest='ignore'/>`);
    // Nothing leaks while it lasts.
    await juliet.sends(`<presence><status>hiding</status></presence>`);
    await juliet.receives(`<presence from='${juliet.full}'><status>hiding</status></presence>`);
    await romeo.sends(`<presence type='probe' to='${juliet.bare}'/>`);
    await romeo.sends(`<presence><status>searching</status></presence>`);
    await romeo.receives(`<presence from='${romeo.full}'><status>searching</status></presence>`);
    await romeo.receivesNothing();
    await juliet.receivesNothing();
    await unblocks(juliet, romeo.bare);
    await romeo.receives(`<presence from='${juliet.full}' match:rest='ignore'><status>hiding</status></presence>`);
    await juliet.receives(`<presence from='${romeo.full}' match:rest='ignore'><status>searching</status></presence>`);
    await romeo.receivesNothing();
    await juliet.receivesNothing();
  },
);

scene('XEP-0191 §3.3: who may not see the presence is not shown by its end that the user was there', async ({ juliet, romeo }) => {
  await romeo.becomesAvailable();
  await juliet.becomesAvailable();
  await blocks(juliet, romeo.bare);
  await unblocks(juliet, romeo.bare);
  await romeo.receivesNothing();
});

presenceScene('XEP-0191 §3.3: directed presence is taken back, and not repeated at the end', async ({ juliet, romeo }) => {
  await romeo.becomesAvailable();
  await juliet.becomesAvailable();
  await juliet.sends(`<presence to='${romeo.full}'/>`);
  await romeo.receives(`<presence from='${juliet.full}' match:rest='ignore'/>`);
  await blocks(juliet, romeo.bare);
  await romeo.receives(`<presence type='unavailable' from='${juliet.full}' match:rest='ignore'/>`);
  await juliet.disconnects();
  await romeo.receivesNothing();
});

presenceScene('XEP-0191 §3.3: a blocked contact does not see the user log in or out', { differs: { ejabberd: EJABBERD } }, async (cast) => {
  const { juliet, romeo } = cast;
  await befriends(juliet, romeo);
  await blocks(juliet, romeo.bare);
  await romeo.becomesAvailable();
  await romeo.collects();
  await juliet.becomesAvailable();
  await juliet.receivesNothing();
  await romeo.receivesNothing();
  await juliet.disconnects();
  await romeo.receivesNothing();
});

scene('XEP-0191 §3.5: all at once', async ({ juliet, romeo }) => {
  await romeo.sync();
  await blocklistOf(juliet);
  await blocks(juliet, romeo.bare, 'a@example.lit');
  await juliet.receives(push('block', romeo.bare, 'a@example.lit'));
  await unblocks(juliet);
  await juliet.receives(`<iq type='set' id='{id}'><unblock xmlns='${NS}'/></iq>`);
  assert.deepEqual(await blocklistOf(juliet), []);
  await juliet.becomesAvailable();
  await romeo.sends(messageTo(juliet.bare, 'Wherefore?'));
  await juliet.receives(`<message type='chat' id='m1' match:rest='ignore'><body>Wherefore?</body></message>`);
});

scene('XEP-0191 §6: one resource is blocked, the others are not', { differs: { prosody: PROSODY } }, async ({ juliet, romeo, phone }) => {
  await juliet.becomesAvailable();
  await blocks(juliet, romeo.full);
  await romeo.sends(messageTo(juliet.full, 'Wherefore?'));
  await romeo.receives(refusal('message', juliet.full));
  await phone.sends(messageTo(juliet.full, 'Therefore', 'm2'));
  await juliet.receives(`<message type='chat' id='m2' match:rest='ignore'><body>Therefore</body></message>`);
});

scene(
  'XEP-0191 §6: a whole domain is blocked, the user and the server are not',
  { differs: { prosody: PROSODY } },
  async ({ juliet, balcony, romeo }) => {
    await juliet.becomesAvailable();
    await blocks(juliet, juliet.domain);
    await romeo.sends(messageTo(juliet.full, 'Wherefore?'));
    await romeo.receives(refusal('message', juliet.full));
    await balcony.sends(messageTo(juliet.full, 'O me', 'm2'));
    await juliet.receives(`<message type='chat' id='m2' match:rest='ignore'><body>O me</body></message>`);
    await juliet.sends(`<iq type='get' id='q1' to='${juliet.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await juliet.receives(`<iq type='result' id='q1' match:rest='ignore'/>`);
  },
);

scene('XEP-0191 §3.3: "the duration of the block is potentially unlimited"', async (cast) => {
  await blocks(cast.juliet, cast.romeo.bare);
  const later = await cast.restarted();
  const { juliet, romeo } = later;
  await juliet.becomesAvailable();
  await romeo.sends(messageTo(juliet.bare, 'Wherefore?'));
  await romeo.receives(refusal('message', juliet.bare));
  assert.deepEqual(await blocklistOf(juliet), [romeo.bare]);
});

scene('a blocklist has an end', { modules: { privacy: { max_rules: 2 } } }, async ({ juliet }) => {
  await blocks(juliet, 'a@b', 'c@d');
  await juliet.sends(`<iq type='set' id='b1'><block xmlns='${NS}'><item jid='e@f'/></block></iq>`);
  await juliet.receives(
    `<iq type='error' id='b1' match:rest='ignore'><error type='wait' match:rest='ignore'><resource-constraint xmlns='${STANZAS}'/></error></iq>`,
  );
});
