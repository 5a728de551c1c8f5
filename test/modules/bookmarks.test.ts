import assert from 'node:assert/strict';
import type { Client } from '../harness/cast.ts';
import { transcript } from '../harness/transcript.ts';
import { asks, error, EVENT, form, listensTo, OWNER, publish, PUBSUB } from './pubsub-scenes.ts';

const BOOKMARKS = 'urn:xmpp:bookmarks:1';
const LIST = 'storage:bookmarks';
const PLAY = 'theplay@conference.shakespeare.lit';
const ORCHARD = 'orchard@conference.shakespeare.lit';
const OPTIONS = { persist_items: 'true', max_items: 'max', send_last_published_item: 'never', access_model: 'whitelist' };
const OTHERS = { differs: { prosody: 'needs a module that is not loaded', ejabberd: 'needs a newer one' } };

const items = (node: string): string => `<pubsub xmlns='${PUBSUB}'><items node='${node}'/></pubsub>`;
const found = (node: string, ...entries: readonly string[]): string =>
  `<pubsub xmlns='${PUBSUB}'><items node='${node}'>${entries.join('')}</items></pubsub>`;
const conference = (attrs: string, inner = ''): string => `<conference xmlns='${BOOKMARKS}' ${attrs}>${inner}</conference>`;
const storage = (inner: string): string => `<storage xmlns='${LIST}'>${inner}</storage>`;
const privately = (inner: string): string => `<query xmlns='jabber:iq:private'>${inner}</query>`;
const list = (inner: string): string => found(LIST, `<item id='current'>${storage(inner)}</item>`);

async function bookmarks(client: Client, id: string, payload: string): Promise<void> {
  await publish(client, { node: BOOKMARKS, id, payload, options: OPTIONS });
}

transcript(
  'XEP-0402 §6: an account says that it keeps all three in step',
  { differs: { ejabberd: 'needs a newer one' } },
  async ({ romeo }) => {
    const INFO = 'http://jabber.org/protocol/disco#info';
    const features = [`${BOOKMARKS}#compat`, `${BOOKMARKS}#compat-pep`, 'urn:xmpp:bookmarks-conversion:0'];
    await asks(
      romeo,
      'd1',
      'get',
      romeo.bare,
      `<query xmlns='${INFO}'/>`,
      `<query xmlns='${INFO}' match:rest='ignore'>${features.map((name) => `<feature var='${name}'/>`).join('')}</query>`,
    );
  },
);

transcript(
  'XEP-0402 §4: bookmarks are items of their own',
  { differs: { prosody: 'names the publisher in items', ejabberd: 'is of before max_items max' } },
  async ({ romeo, phone }) => {
    await listensTo(phone, BOOKMARKS);
    await phone.collects();
    await bookmarks(romeo, PLAY, conference(`name='The Play' autojoin='true'`, '<nick>JC</nick>'));
    await phone.receives(
      `<message type='headline' from='${romeo.bare}'><event xmlns='${EVENT}'><items node='${BOOKMARKS}'><item id='${PLAY}'>${conference(`name='The Play' autojoin='true'`, '<nick>JC</nick>')}</item></items></event></message>`,
    );
    await asks(
      romeo,
      'r1',
      'set',
      '',
      `<pubsub xmlns='${PUBSUB}'><retract node='${BOOKMARKS}' notify='true'><item id='${PLAY}'/></retract></pubsub>`,
      '',
    );
    await phone.receives(
      `<message type='headline' from='${romeo.bare}'><event xmlns='${EVENT}'><items node='${BOOKMARKS}'><retract id='${PLAY}'/></items></event></message>`,
    );
  },
);

transcript(
  'XEP-0402 §6.1: from items to the list in private XML and in the node',
  { differs: { ejabberd: 'needs a newer one' } },
  async ({ romeo }) => {
    await bookmarks(romeo, PLAY, conference(`name='The Play' autojoin='true'`, '<nick>JC</nick><password>x</password>'));
    await bookmarks(romeo, ORCHARD, conference(`name='The Orchard'`, `<extensions><state xmlns='urn:example:s'/></extensions>`));
    await romeo.sync();
    const both = `<conference jid='${PLAY}' name='The Play' autojoin='true'><nick>JC</nick><password>x</password></conference><conference jid='${ORCHARD}' name='The Orchard'/>`;
    await asks(romeo, 'l1', 'get', '', privately(`<storage xmlns='${LIST}'/>`), privately(storage(both)));
    await asks(romeo, 'l2', 'get', '', items(LIST), list(both));
    await asks(
      romeo,
      'r1',
      'set',
      '',
      `<pubsub xmlns='${PUBSUB}'><retract node='${BOOKMARKS}'><item id='${PLAY}'/></retract></pubsub>`,
      '',
    );
    await romeo.sync();
    await asks(
      romeo,
      'l3',
      'get',
      '',
      privately(`<storage xmlns='${LIST}'/>`),
      privately(storage(`<conference jid='${ORCHARD}' name='The Orchard'/>`)),
    );
  },
);

transcript('XEP-0402 §6.2: from private XML to items; unchanged ones are not told of', OTHERS, async ({ romeo, phone }) => {
  await bookmarks(
    romeo,
    PLAY,
    conference(`name='The Play' autojoin='1'`, `<nick>JC</nick><extensions><state xmlns='urn:example:s'/></extensions>`),
  );
  await bookmarks(romeo, 'gone@conference.shakespeare.lit', conference(''));
  await listensTo(phone, BOOKMARKS, LIST);
  await phone.collects();
  const page = `<url name='Works' url='http://example.org/'/>`;
  const rooms = `<conference jid='${PLAY}' name='The Play' autojoin='true'><nick>JC</nick></conference><conference jid='${ORCHARD}' autojoin='false'/>`;
  await asks(romeo, 's1', 'set', '', privately(storage(rooms + page)), '');
  await romeo.sync();
  const events = (await phone.collects()).map((event) => JSON.stringify(event));
  assert.equal(events.length, 3, 'the list, a new room, a room that is gone');
  assert.ok(events.some((text) => text.includes(ORCHARD) && text.includes(`"${BOOKMARKS}"`)));
  assert.ok(events.some((text) => text.includes('retract') && text.includes('gone@')));
  await asks(
    romeo,
    'i1',
    'get',
    '',
    items(BOOKMARKS),
    found(
      BOOKMARKS,
      `<item id='${PLAY}'>${conference(`name='The Play' autojoin='1'`, `<nick>JC</nick><extensions><state xmlns='urn:example:s'/></extensions>`)}</item>`,
      `<item id='${ORCHARD}'>${conference(`autojoin='false'`)}</item>`,
    ),
  );
  // Pages have no other place, so they stay when a room changes.
  await bookmarks(romeo, ORCHARD, conference(`name='Orchard'`));
  await romeo.sync();
  await asks(
    romeo,
    'l1',
    'get',
    '',
    privately(`<storage xmlns='${LIST}'/>`),
    privately(
      storage(
        `<conference jid='${PLAY}' name='The Play' autojoin='1'><nick>JC</nick></conference><conference jid='${ORCHARD}' name='Orchard'/>${page}`,
      ),
    ),
  );
});

transcript('XEP-0411 §4: from the list in the node to items', { differs: { ejabberd: 'needs a newer one' } }, async ({ romeo }) => {
  const rooms = `<conference jid='${PLAY}' name='The Play'/>`;
  await publish(romeo, {
    node: LIST,
    id: 'current',
    payload: storage(rooms),
    options: { access_model: 'whitelist', persist_items: 'true' },
  });
  await romeo.sync();
  await asks(romeo, 'i1', 'get', '', items(BOOKMARKS), found(BOOKMARKS, `<item id='${PLAY}'>${conference(`name='The Play'`)}</item>`));
  await asks(romeo, 'l1', 'get', '', privately(`<storage xmlns='${LIST}'/>`), privately(storage(rooms)));
});

transcript('XEP-0411 §6: a list that anybody could see is closed before rooms get into it', OTHERS, async ({ romeo, juliet }) => {
  await asks(
    romeo,
    'c1',
    'set',
    '',
    `<pubsub xmlns='${PUBSUB}'><create node='${LIST}'/><configure>${form('node_config', { access_model: 'open' })}</configure></pubsub>`,
    '',
  );
  await bookmarks(romeo, PLAY, conference(`name='The Play'`));
  await romeo.sync();
  await asks(juliet, 'i1', 'get', romeo.bare, items(LIST), error('not-allowed', 'closed-node'));
  await asks(juliet, 'i2', 'get', romeo.bare, items(BOOKMARKS), error('not-allowed', 'closed-node'));
});

transcript(
  'XEP-0049 §3: without any bookmarks the list is empty',
  { differs: { prosody: 'makes the node by itself' } },
  async ({ romeo }) => {
    await asks(romeo, 'l1', 'get', '', privately(`<storage xmlns='${LIST}'/>`), privately(storage('')));
    await asks(romeo, 'o1', 'get', '', `<pubsub xmlns='${OWNER}'><configure node='${LIST}'/></pubsub>`, error('item-not-found'));
  },
);
