import assert from 'node:assert/strict';
import { managed } from '../c2s/managed-client.ts';
import type { CastOfClients, Client } from '../harness/cast.ts';
import { transcript, type TranscriptOptions } from '../harness/transcript.ts';
import { childElements, childOf, textOf, type XmlElement } from '../harness/xml.ts';

const NS = 'urn:xmpp:push:0';
const PUBSUB = 'http://jabber.org/protocol/pubsub';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const OPTIONS_FORM = `<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var='secret'><value>eruio234vzxc2kla-91</value></field></x>`;
/** Mercutio plays the push service, as one of his own clients. */
const OTHERS: TranscriptOptions = { onlyOurs: 'a client as push service, and what is worth a notification, is our choice' };

type Play = (cast: CastOfClients) => Promise<void>;
const scene = (title: string, ...rest: [Play] | [TranscriptOptions, Play]): void =>
  rest.length === 1 ? transcript(title, OTHERS, rest[0]) : transcript(title, { ...OTHERS, ...rest[0] }, rest[1]);

/** Sessions wait for a minute only. */
const SHORT: TranscriptOptions = { config: { c2s: { resumeMs: 60_000 } } };

let nextId = 1;
const enabling = (service: Client, node = 'n1', form = ''): string =>
  `<iq type='set' id='enable-${nextId++}'><enable xmlns='${NS}' jid='${service.full}' node='${node}'>${form}</enable></iq>`;

async function enables(client: Client, service: Client, node = 'n1', form = ''): Promise<void> {
  await service.sync();
  await client.sends(enabling(service, node, form));
  await client.takes('the result', ({ name, attrs }) => name === 'iq' && attrs['type'] === 'result');
}

interface Notification {
  readonly id: string;
  readonly node: string;
  readonly item: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly options: XmlElement | undefined;
}

/** The next stanza of a service must be a notification. */
async function notified(service: Client): Promise<Notification> {
  const iq = await service.takes('a stanza', ({ attrs }) => !(attrs['id'] ?? '').startsWith('barrier'));
  assert.equal(iq.name, 'iq');
  const pubsub = childOf(iq, 'pubsub', PUBSUB)!;
  const publish = childOf(pubsub, 'publish')!;
  const item = childOf(publish, 'item')!;
  const form = childElements(childOf(item, 'notification', NS)!)[0]!;
  const fields: Record<string, string> = {};
  for (const field of childElements(form)) fields[field.attrs['var']!] = textOf(childElements(field)[0]!);
  return {
    id: iq.attrs['id']!,
    node: publish.attrs['node']!,
    item: item.attrs['id']!,
    fields,
    options: childOf(pubsub, 'publish-options'),
  };
}
const confirms = (service: Client, to: Client, { id }: Notification): Promise<void> =>
  service.sends(`<iq type='result' id='${id}' to='${to.bare}'/>`);
const fails = (service: Client, to: Client, { id }: Notification, condition: string, type = 'cancel'): Promise<void> =>
  service.sends(`<iq type='error' id='${id}' to='${to.bare}'><error type='${type}'><${condition} xmlns='${STANZAS}'/></error></iq>`);

const chat = (to: string, body: string, id = `m${nextId++}`): string =>
  `<message type='chat' id='${id}' to='${to}'><body>${body}</body></message>`;

/** Juliet has enabled the service and gone. */
async function gone({ juliet, mercutio }: CastOfClients): Promise<void> {
  await enables(juliet, mercutio);
  await juliet.disconnects();
}

scene('XEP-0357 §4.1: a feature of the account', async ({ juliet }) => {
  await juliet.sends(`<iq type='get' id='d1' to='${juliet.bare}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  const answer = await juliet.receives(`<iq type='result' id='d1' match:rest='ignore'/>`);
  assert.ok(childElements(childElements(answer)[0]!).some(({ attrs }) => attrs['var'] === NS));
});

const BAD: readonly (readonly [string, string, string])[] = [
  ['a service without an address', `<enable xmlns='${NS}' node='n'/>`, 'bad-request'],
  ['an address that is none', `<enable xmlns='${NS}' jid='@' node='n'/>`, 'jid-malformed'],
  ['another form', `<enable xmlns='${NS}' jid='a.b'><x xmlns='jabber:x:data' type='submit'/></enable>`, 'bad-request'],
  [
    'a form without an end',
    `<enable xmlns='${NS}' jid='a.b'>${OPTIONS_FORM.replace('eruio', 'e'.repeat(5_000))}</enable>`,
    'not-acceptable',
  ],
  ['a node without an end', `<enable xmlns='${NS}' jid='a.b' node='${'n'.repeat(2_000)}'/>`, 'not-acceptable'],
  ['disabling without an address', `<disable xmlns='${NS}'/>`, 'bad-request'],
];
for (const [what, payload, condition] of BAD) {
  scene(`XEP-0357 §5, §6: refused: ${what}`, async ({ juliet }) => {
    await juliet.sends(`<iq type='set' id='e1'>${payload}</iq>`);
    await juliet.receives(
      `<iq type='error' id='e1' match:rest='ignore'><error type='modify' match:rest='ignore'><${condition} xmlns='${STANZAS}'/></error></iq>`,
    );
  });
}

scene('XEP-0357 §5: nobody enables a service for somebody else, nor oneself as service', async ({ juliet, romeo }) => {
  await romeo.sends(`<iq type='set' id='e1' to='${juliet.bare}'><enable xmlns='${NS}' jid='a.b' node='n'/></iq>`);
  await romeo.receives(`<iq type='error' id='e1' match:rest='ignore'/>`);
  await juliet.sends(`<iq type='set' id='e2'><enable xmlns='${NS}' jid='${juliet.bare}' node='n'/></iq>`);
  await juliet.receives(`<iq type='error' id='e2' match:rest='ignore'/>`);
});

scene('XEP-0357 §7: a message that waits is told of, without what it says', async (cast) => {
  const { juliet, romeo, mercutio } = cast;
  await gone(cast);
  await romeo.sends(chat(juliet.bare, 'Wherefore?'));
  const told = await notified(mercutio);
  assert.equal(told.node, 'n1');
  assert.equal(told.options, undefined);
  assert.deepEqual(told.fields, { FORM_TYPE: 'urn:xmpp:push:summary', 'message-count': '1', 'last-message-body': 'New message' });
  await confirms(mercutio, juliet, told);
  await mercutio.receivesNothing();
});

scene('XEP-0357 §7: publish options come with it', async ({ juliet, romeo, mercutio }) => {
  await enables(juliet, mercutio, 'n1', OPTIONS_FORM);
  await juliet.disconnects();
  await romeo.sends(chat(juliet.bare, 'Wherefore?'));
  const { options } = await notified(mercutio);
  assert.equal(textOf(childElements(childElements(childElements(options!)[0]!)[1]!)[0]!), 'eruio234vzxc2kla-91');
});

scene('XEP-0357 §9: what the operator allows is said', { modules: { push: { with_sender: true, with_body: true } } }, async (cast) => {
  const { juliet, romeo, mercutio } = cast;
  await gone(cast);
  await romeo.sends(chat(juliet.bare, 'Wherefore?'));
  const { fields } = await notified(mercutio);
  assert.equal(fields['last-message-sender'], romeo.full);
  assert.equal(fields['last-message-body'], 'Wherefore?');
});

scene('each message once, and what comes before the answer in one notification', async (cast) => {
  const { juliet, romeo, mercutio } = cast;
  await gone(cast);
  await romeo.sends(chat(juliet.bare, '1'));
  const first = await notified(mercutio);
  await romeo.sends(chat(juliet.bare, '2'));
  await romeo.sends(chat(juliet.bare, '3'));
  await mercutio.receivesNothing();
  await confirms(mercutio, juliet, first);
  const second = await notified(mercutio);
  assert.equal(second.fields['message-count'], '2');
  assert.notEqual(second.item, first.item);
  await confirms(mercutio, juliet, second);
  await mercutio.receivesNothing();
});

scene('XEP-0357 §5: each node is told; §6: one is disabled, then all of a service', async ({ juliet, romeo, mercutio }) => {
  for (const node of ['a', 'b', 'c']) await enables(juliet, mercutio, node);
  await enables(juliet, mercutio, 'a'); // once more is not twice
  await juliet.sends(`<iq type='set' id='x1'><disable xmlns='${NS}' jid='${mercutio.full}' node='b'/></iq>`);
  await juliet.receives(`<iq type='result' id='x1'/>`);
  await juliet.disconnects();
  await romeo.sends(chat(juliet.bare, '1'));
  const told = [await notified(mercutio), await notified(mercutio)];
  assert.deepEqual(told.map(({ node }) => node).sort(), ['a', 'c']);
  for (const each of told) await confirms(mercutio, juliet, each);
  await juliet.connects();
  await juliet.sends(`<iq type='set' id='x2'><disable xmlns='${NS}' jid='${mercutio.full}'/></iq>`);
  await juliet.receives(`<iq type='result' id='x2'/>`);
  await juliet.disconnects();
  await romeo.sends(chat(juliet.bare, '2'));
  await mercutio.receivesNothing();
});

scene('who is there is not woken', async ({ juliet, romeo, mercutio }) => {
  await juliet.becomesAvailable();
  await enables(juliet, mercutio);
  await romeo.sends(chat(juliet.bare, '1'));
  await juliet.receives(`<message type='chat' id='{any}' match:rest='ignore'/>`);
  await mercutio.receivesNothing();
});

scene('another client of the account being there is no reason to leave this one asleep', async ({ juliet, chamber, romeo, mercutio }) => {
  await chamber.becomesAvailable();
  await enables(juliet, mercutio);
  await juliet.disconnects();
  await romeo.sends(chat(juliet.bare, '1'));
  await chamber.receives(`<message type='chat' id='{any}' match:rest='ignore'/>`);
  await notified(mercutio);
});

scene('XEP-0352: a client nobody looks at is woken, one that is looked at again is not', async ({ juliet, romeo, mercutio }) => {
  await juliet.becomesAvailable();
  await enables(juliet, mercutio);
  await juliet.sends(`<inactive xmlns='urn:xmpp:csi:0'/>`);
  await juliet.sync();
  await romeo.sends(chat(juliet.bare, '1'));
  await confirms(mercutio, juliet, await notified(mercutio));
  await juliet.sends(`<active xmlns='urn:xmpp:csi:0'/>`);
  await juliet.sync();
  await romeo.sends(chat(juliet.bare, '2'));
  await mercutio.receivesNothing();
});

const NO_NEWS: readonly (readonly [string, string])[] = [
  ['a chat state', `<composing xmlns='http://jabber.org/protocol/chatstates'/>`],
  ['a receipt', `<received xmlns='urn:xmpp:receipts' id='m1'/>`],
  ['what nobody may keep', `<body>Burn this</body><no-store xmlns='urn:xmpp:hints'/>`],
  ['an event of a pubsub service', `<event xmlns='${PUBSUB}#event'/><body>node</body>`],
];
for (const [what, content] of NO_NEWS) {
  scene(`nobody is woken by ${what}`, async (cast) => {
    const { juliet, romeo, mercutio } = cast;
    await gone(cast);
    await romeo.sends(`<message type='chat' to='${juliet.bare}'>${content}</message>`);
    await mercutio.receivesNothing();
  });
}
const NEWS: readonly (readonly [string, string])[] = [
  ['something encrypted', `<encrypted xmlns='eu.siacs.conversations.axolotl'/><store xmlns='urn:xmpp:hints'/>`],
  ['a call', `<propose xmlns='urn:xmpp:jingle-message:0' id='c1'/><store xmlns='urn:xmpp:hints'/>`],
];
for (const [what, content] of NEWS) {
  scene(`one is woken by ${what}`, async (cast) => {
    const { juliet, romeo, mercutio } = cast;
    await gone(cast);
    await romeo.sends(`<message type='chat' to='${juliet.bare}'>${content}</message>`);
    await notified(mercutio);
  });
}

scene('nor by what one has said oneself', async ({ juliet, chamber, mercutio }) => {
  await enables(juliet, mercutio);
  await juliet.disconnects();
  await chamber.sends(chat(chamber.bare, 'Note'));
  await mercutio.receivesNothing();
});

scene('nor by a message that is refused', { config: { accounts: { maxOfflineMessages: 1 } } }, async (cast) => {
  const { juliet, romeo, mercutio } = cast;
  await gone(cast);
  await romeo.sends(chat(juliet.bare, '1'));
  await confirms(mercutio, juliet, await notified(mercutio));
  await romeo.sends(chat(juliet.bare, '2'));
  await romeo.receives(`<message type='error' id='{any}' match:rest='ignore'/>`);
  await mercutio.receivesNothing();
  await juliet.connects();
  await juliet.becomesAvailable();
  await juliet.collects();
  await juliet.disconnects();
  await romeo.sends(chat(juliet.bare, '3'));
  await notified(mercutio);
});

scene('XEP-0198 §5: while a session waits for its client, each message wakes it once', async (cast) => {
  const { romeo, mercutio } = cast;
  await romeo.sync();
  const juliet = await managed(cast, 'juliet');
  const account = cast.client('juliet');
  await mercutio.sync();
  await juliet.sends(enabling(mercutio));
  await juliet.takes('the result', ({ name }) => name === 'iq');
  await juliet.acks();
  await juliet.drops();
  await mercutio.receivesNothing();
  await romeo.sends(chat(account.bare, '1'));
  await confirms(mercutio, account, await notified(mercutio));
  await juliet.resumes(2);
  await juliet.takes('the message', ({ name }) => name === 'message');
  await mercutio.receivesNothing();
  await romeo.sends(chat(account.bare, '2'));
  await juliet.takes('the message', ({ name }) => name === 'message');
  await mercutio.receivesNothing();
});

scene('XEP-0198 §5: what was sent into a dead connection wakes the client when that is found out, once', SHORT, async (cast) => {
  const { romeo, mercutio } = cast;
  await romeo.sync();
  const juliet = await managed(cast, 'juliet');
  const account = cast.client('juliet');
  await mercutio.sync();
  await juliet.sends(enabling(mercutio));
  await juliet.takes('the result', ({ name }) => name === 'iq');
  await juliet.acks();
  await romeo.sends(chat(account.bare, '1'));
  await romeo.sends(chat(account.bare, '2'));
  await mercutio.receivesNothing();
  await juliet.drops();
  const told = await notified(mercutio);
  assert.equal(told.fields['message-count'], '2');
  await confirms(mercutio, account, told);
  // Its time runs out: the messages wait for another session, and need not be told of again.
  await cast.advance(61_000);
  await mercutio.receivesNothing();
  await romeo.sends(chat(account.bare, '3'));
  await notified(mercutio);
});

scene('a failed resumption changes nothing: the service is enabled until somebody disables it', SHORT, async (cast) => {
  const { romeo, mercutio } = cast;
  await romeo.sync();
  const juliet = await managed(cast, 'juliet');
  const account = cast.client('juliet');
  await mercutio.sync();
  await juliet.sends(enabling(mercutio));
  await juliet.takes('the result', ({ name }) => name === 'iq');
  await juliet.drops();
  await cast.advance(61_000);
  await juliet.asksToResume();
  await juliet.takes('the failure', ({ name }) => name === 'failed');
  await juliet.stream.binds(account.resource);
  await juliet.sends('<presence/>');
  await juliet.takes('its presence', ({ name }) => name === 'presence');
  await romeo.sends(chat(account.bare, '1')); // the same client under another session: it is there
  await juliet.takes('the message', ({ name }) => name === 'message');
  await mercutio.receivesNothing();
  await juliet.stream.endsStream();
  await romeo.sends(chat(account.bare, '2'));
  await notified(mercutio);
});

scene('a service that fails for a moment is tried again, later each time, with all that has come meanwhile', async (cast) => {
  const { juliet, romeo, mercutio } = cast;
  await gone(cast);
  await romeo.sends(chat(juliet.bare, '1'));
  const first = await notified(mercutio);
  await fails(mercutio, juliet, first, 'resource-constraint', 'wait');
  await romeo.sends(chat(juliet.bare, '2'));
  await mercutio.receivesNothing();
  await cast.advance(30_000);
  const second = await notified(mercutio);
  assert.equal(second.fields['message-count'], '2');
  await fails(mercutio, juliet, second, 'internal-server-error');
  await cast.advance(59_000);
  await mercutio.receivesNothing();
  await cast.advance(1_000);
  const third = await notified(mercutio);
  assert.equal(third.item, second.item);
  await confirms(mercutio, juliet, third);
  await mercutio.receivesNothing();
});

scene('a client that has come back meanwhile is not woken any more', async (cast) => {
  const { juliet, romeo, mercutio } = cast;
  await juliet.becomesAvailable();
  await enables(juliet, mercutio);
  await juliet.sends(`<inactive xmlns='urn:xmpp:csi:0'/>`);
  await juliet.sync();
  await romeo.sends(chat(juliet.bare, '1'));
  await fails(mercutio, juliet, await notified(mercutio), 'resource-constraint', 'wait');
  await mercutio.sync();
  await juliet.sends(`<active xmlns='urn:xmpp:csi:0'/>`);
  await cast.advance(60_000);
  await mercutio.receivesNothing();
});

scene('after a crash of the whole server what was not confirmed is told again, as the same', async (cast) => {
  const { juliet, romeo, mercutio } = cast;
  await gone(cast);
  await romeo.sends(chat(juliet.bare, '1'));
  const first = await notified(mercutio);
  const later = await cast.restarted();
  await later.mercutio.sync();
  await later.memory.runtime.wakeAccounts();
  const again = await notified(later.mercutio);
  assert.equal(again.item, first.item);
  await confirms(later.mercutio, juliet, again);
  const last = await later.restarted();
  await last.mercutio.sync();
  await last.memory.runtime.wakeAccounts();
  await last.mercutio.receivesNothing();
  await last.romeo.sends(chat(juliet.bare, '2'));
  await notified(last.mercutio);
});

scene('services have an end: the one that was enabled first goes', { modules: { push: { max_services: 2 } } }, async (cast) => {
  const { juliet, romeo, mercutio } = cast;
  for (const node of ['a', 'b', 'c']) {
    await enables(juliet, mercutio, node);
    await cast.advance(1_000);
  }
  await juliet.disconnects();
  await romeo.sends(chat(juliet.bare, '1'));
  const told = [await notified(mercutio), await notified(mercutio)];
  assert.deepEqual(told.map(({ node }) => node).sort(), ['b', 'c']);
  await mercutio.receivesNothing();
});
