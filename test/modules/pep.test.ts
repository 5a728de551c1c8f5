import assert from 'node:assert/strict';
import { transcript } from '../harness/transcript.ts';
import {
  answersCaps,
  asks,
  capabilities,
  type Capabilities,
  DELAY,
  error,
  EVENT,
  form,
  itemEvent,
  listensTo,
  note,
  OWNER,
  presenceWith,
  publish,
  publishes,
  PUBSUB,
} from './pubsub-scenes.ts';
import { befriends, subscribes } from './roster-scenes.ts';

const INFO = 'http://jabber.org/protocol/disco#info';
const ITEMS = 'http://jabber.org/protocol/disco#items';
const TUNE = 'http://jabber.org/protocol/tune';

/** Asks for the items of a node. */
const items = (node: string, inner = ''): string =>
  `<pubsub xmlns='${PUBSUB}'><items node='${node}'${inner === '' ? '/>' : `>${inner}</items>`}</pubsub>`;
const found = (node: string, ...entries: readonly string[]): string =>
  `<pubsub xmlns='${PUBSUB}'><items node='${node}'>${entries.join('')}</items></pubsub>`;
const item = (id: string, text: string): string => `<item id='${id}'>${note(text)}</item>`;

transcript(
  'XEP-0163 §6.1: an account says that it is a PEP service',
  { differs: { ejabberd: 'does not announce that the default is access for contacts' } },
  async ({ romeo }) => {
    await asks(
      romeo,
      'd1',
      'get',
      romeo.bare,
      `<query xmlns='${INFO}'/>`,
      `<query xmlns='${INFO}' match:rest='ignore'>
       <identity category='pubsub' type='pep'/>
       ${[
         'access-presence',
         'auto-create',
         'auto-subscribe',
         'filtered-notifications',
         'publish',
         'retrieve-items',
         'subscribe',
         'publish-options',
         'persistent-items',
       ]
         .filter((name) => name !== 'x')
         .map((name) => `<feature var='${PUBSUB}#${name}'/>`)
         .join('')}
     </query>`,
    );
  },
);

transcript('XEP-0163 §3.5, XEP-0060 §7.1.4: publishing makes the node; the item is there to be retrieved', async ({ romeo }) => {
  await publish(romeo, { node: TUNE, id: 'current', text: 'Capriccio' });
  await asks(romeo, 'i1', 'get', '', items(TUNE), found(TUNE, item('current', 'Capriccio')));
  await asks(romeo, 'i2', 'get', romeo.bare, items(TUNE, `<item id='current'/>`), found(TUNE, item('current', 'Capriccio')));
});

transcript('XEP-0060 §7.1.2: an item without an id gets one', async ({ romeo }) => {
  await romeo.sends(`<iq type='set' id='p1'>${publishes({ node: TUNE, text: 'Capriccio' })}</iq>`);
  await romeo.receives(
    `<iq type='result' id='p1'><pubsub xmlns='${PUBSUB}'><publish node='${TUNE}'><item id='{given}'/></publish></pubsub></iq>`,
  );
  await asks(romeo, 'i1', 'get', '', items(TUNE), found(TUNE, item('{given}', 'Capriccio')));
});

transcript(
  'XEP-0163 §4.2: the account’s clients and contacts are told, as far as they want to',
  { differs: { prosody: 'names the publisher in items', ejabberd: 'adds who published it as a replyto' } },
  async ({ romeo, juliet, phone, nurse }) => {
    await befriends(romeo, juliet);
    await befriends(romeo, nurse);
    await listensTo(romeo, TUNE);
    await listensTo(phone, 'urn:example:other');
    await listensTo(juliet, TUNE);
    await listensTo(nurse, 'urn:example:other');
    for (const client of [romeo, juliet, phone, nurse]) await client.collects();
    await romeo.sends(`<iq type='set' id='p1'>${publishes({ node: TUNE, id: 'current', text: 'Capriccio' })}</iq>`);
    await romeo.takes('its own event', ({ name }) => name === 'message');
    await juliet.receives(itemEvent(romeo.bare, TUNE, 'current', note('Capriccio')));
    await phone.receivesNothing();
    await nurse.receivesNothing();
  },
);

transcript(
  'XEP-0163 §4.3.4: the last item on initial presence, once',
  {
    differs: {
      prosody: 'sends it with other presence, too',
      ejabberd: 'sends none where the presence arrives before it has heard of the capabilities, so now and then',
    },
  },
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await romeo.becomesAvailable();
    await publish(romeo, { node: TUNE, id: 'one', text: 'Capriccio' });
    await publish(romeo, { node: TUNE, id: 'two', text: 'Adagio' });
    const caps = await listensTo(juliet, TUNE);
    const event = await juliet.takes('the last one', ({ name }) => name === 'message'); // sent when her capabilities are known
    assert.match(JSON.stringify(event), /Adagio/);
    await juliet.sync();
    await romeo.sync();
    const others = (await juliet.collects()).filter(({ name }) => name === 'message');
    assert.deepEqual(others, [], 'and no other');
    await romeo.collects();
    await juliet.sends(presenceWith(caps).replace('<c ', '<show>away</show><c '));
    const later = await juliet.collects();
    assert.deepEqual(
      later.map(({ name }) => name),
      ['presence'],
    );
  },
);

transcript(
  'XEP-0163 §4.3.4: to the own client, too; with the time it is from',
  { differs: { prosody: 'names the publisher in items', ejabberd: 'sends own clients no last item' } },
  async ({ romeo, phone }) => {
    await publish(romeo, { node: TUNE, id: 'one', text: 'Capriccio' });
    const caps = capabilities(TUNE);
    await phone.sends(presenceWith(caps));
    await phone.takes('its own presence', ({ name }) => name === 'presence');
    await answersCaps(phone, caps);
    await phone.receives(
      itemEvent(
        romeo.bare,
        TUNE,
        'one',
        note('Capriccio'),
        `<delay xmlns='urn:xmpp:delay' stamp='{stamp}' from='{any}' match:optional='true'/>`,
      ),
    );
  },
);

transcript(
  'XEP-0060 §9.2, XEP-0115 §6.4: other capabilities, and only what is newly wanted is sent',
  { differs: { prosody: 'sends all again', ejabberd: 'sends own clients no last item' } },
  async ({ romeo, phone }) => {
    await publish(romeo, { node: TUNE, id: 'one', text: 'Capriccio' });
    await publish(romeo, { node: 'urn:example:mood', id: 'two', text: 'happy' });
    await listensTo(phone, TUNE);
    await phone.receives(itemEvent(romeo.bare, TUNE, 'one', note('Capriccio'), DELAY));
    await listensTo(phone, TUNE, 'urn:example:mood');
    await phone.receives(itemEvent(romeo.bare, 'urn:example:mood', 'two', note('happy'), DELAY));
    await phone.receivesNothing();
  },
);

transcript('XEP-0163 §3.4: who is not there any more is not told', async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  await romeo.becomesAvailable();
  await listensTo(juliet, TUNE);
  await juliet.sync();
  await juliet.becomesUnavailable();
  await romeo.sync();
  await juliet.collects();
  await publish(romeo, { node: TUNE, id: 'one' });
  await juliet.receivesNothing();
});

// threats.md: "Caps cache poisoning"
transcript(
  'XEP-0115 §9.3, caps cache poisoning: an answer that does not prove the hash speaks for nobody',
  { onlyOurs: 'another server may know the hash already' },
  async ({ romeo, juliet, tybalt }) => {
    await befriends(romeo, juliet);
    await befriends(romeo, tybalt);
    await romeo.becomesAvailable();
    await publish(romeo, { node: TUNE, id: 'one', text: 'Capriccio' });
    await romeo.collects();
    const caps = capabilities(TUNE);
    await tybalt.sends(presenceWith(caps));
    await juliet.sends(presenceWith(caps));
    await romeo.sync();
    // Tybalt is asked first, by his account and by Romeo's, and lies to both.
    for (let i = 0; i < 2; i++) await answersCaps(tybalt, { ...caps, features: [INFO, 'urn:example:poison+notify'] });
    await romeo.sync();
    for (let i = 0; i < 2; i++) await answersCaps(juliet, caps);
    await romeo.sync();
    const [event] = (await juliet.collects()).filter(({ name }) => name === 'message');
    assert.ok(event !== undefined, 'the next one with that hash is asked, and told');
    assert.deepEqual(
      (await tybalt.collects()).filter(({ name }) => name === 'message'),
      [],
    );
  },
);

// threats.md: "Caps cache poisoning"
transcript(
  'caps cache poisoning: capabilities inside another element do not stand for those of others',
  { onlyOurs: 'is about our cache' },
  async ({ romeo, juliet, tybalt }) => {
    await befriends(romeo, tybalt);
    await befriends(romeo, juliet);
    await romeo.becomesAvailable();
    await publish(romeo, { node: TUNE, id: 'one', text: 'Capriccio' });
    const [hers, his] = [capabilities(TUNE), capabilities('urn:example:poison')];
    const inner = (of: Capabilities): string => presenceWith(of).replace(/^<presence>|<\/presence>$/g, '');
    await tybalt.sends(`<presence><x xmlns='urn:example:x'>${inner(hers)}</x>${inner(his).replace('<c ', '<c\n')}</presence>`);
    await tybalt.collects();
    await listensTo(juliet, TUNE, 'urn:example:other'); // another hash first, so that hers is new to her account, too
    await juliet.collects();
    await juliet.sends(presenceWith(hers));
    const question = await juliet.takes('a question', ({ name, attrs }) => name === 'iq' && attrs['type'] === 'get');
    assert.ok(JSON.stringify(question).includes(hers.ver), 'it is about what she has said');
  },
);

transcript('XEP-0115 §5.4: a hash that is known is not asked again', { onlyOurs: 'others may ask' }, async ({ romeo, phone, tablet }) => {
  await publish(romeo, { node: TUNE, id: 'one', text: 'Capriccio' });
  const caps = await listensTo(phone, TUNE);
  await phone.collects();
  await tablet.sends(presenceWith(caps));
  const received = await tablet.collects();
  assert.deepEqual(received.map(({ name }) => name).sort(), ['message', 'presence', 'presence']);
});

transcript(
  'XEP-0163 §5, XEP-0060 §6.5.9.4: strangers see nothing of a presence node',
  { differs: { prosody: 'leaves out the condition of pubsub' } },
  async ({ romeo, tybalt }) => {
    await publish(romeo, { node: TUNE, id: 'one' });
    await asks(tybalt, 'i1', 'get', romeo.bare, items(TUNE), error('not-authorized', 'presence-subscription-required'));
    await asks(
      tybalt,
      's1',
      'set',
      romeo.bare,
      `<pubsub xmlns='${PUBSUB}'><subscribe node='${TUNE}' jid='${tybalt.bare}'/></pubsub>`,
      error('not-authorized', 'presence-subscription-required'),
    );
  },
);

transcript(
  'XEP-0060 §6.5: contacts do',
  { differs: { ejabberd: 'pushes to resources that never asked for the roster' } },
  async ({ romeo, juliet }) => {
    await subscribes(juliet, romeo);
    await publish(romeo, { node: TUNE, id: 'one', text: 'Capriccio' });
    await asks(juliet, 'i1', 'get', romeo.bare, items(TUNE), found(TUNE, item('one', 'Capriccio')));
  },
);

transcript(
  'XEP-0060 §6.5.9.11: a node that is not there, and an account that is not there, look alike',
  { differs: { prosody: 'says service-unavailable of the account' } },
  async (cast) => {
    const { romeo, juliet } = cast;
    await asks(juliet, 'i1', 'get', romeo.bare, items(TUNE), error('item-not-found'));
    await asks(juliet, 'i2', 'get', `nobody@${cast.domain}`, items(TUNE), error('item-not-found'));
  },
);

transcript(
  'XEP-0060 §7.1.3.1: nobody else publishes',
  { differs: { ejabberd: 'pushes to resources that never asked for the roster' } },
  async ({ romeo, juliet }) => {
    await subscribes(juliet, romeo);
    await publish(romeo, { node: TUNE, id: 'one' });
    await asks(juliet, 'p1', 'set', romeo.bare, publishes({ node: TUNE, id: 'two' }), error('forbidden'));
  },
);

transcript('XEP-0060 §7.1.3.3: nobody else makes nodes', { differs: { prosody: 'forbidden' } }, async ({ romeo, juliet }) => {
  await asks(juliet, 'p1', 'set', romeo.bare, publishes({ node: TUNE, id: 'two' }), error('item-not-found'));
});

transcript('XEP-0163 §3.5: one item is kept by default', async ({ romeo }) => {
  await publish(romeo, { node: TUNE, id: 'one', text: 'Capriccio' });
  await publish(romeo, { node: TUNE, id: 'two', text: 'Adagio' });
  await asks(romeo, 'i1', 'get', '', items(TUNE), found(TUNE, item('two', 'Adagio')));
});

transcript(
  'XEP-0223, XEP-0060 §7.1.5: publish-options make the node as they want it',
  { differs: { prosody: 'forbidden', ejabberd: 'is of before max_items max' } },
  async ({ romeo, juliet }) => {
    await subscribes(juliet, romeo);
    const options = { persist_items: 'true', max_items: 'max', access_model: 'whitelist', send_last_published_item: 'never' };
    await publish(romeo, { node: 'urn:example:private', id: 'one', text: 'a', options });
    await publish(romeo, { node: 'urn:example:private', id: 'two', text: 'b', options });
    await asks(romeo, 'i1', 'get', '', items('urn:example:private'), found('urn:example:private', item('one', 'a'), item('two', 'b')));
    await asks(juliet, 'i2', 'get', romeo.bare, items('urn:example:private'), error('not-allowed', 'closed-node'));
  },
);

transcript('XEP-0060 §7.1.5: they are preconditions for a node that exists', async ({ romeo }) => {
  await publish(romeo, { node: TUNE, id: 'one', text: 'a' });
  const options = { access_model: 'whitelist' };
  await asks(romeo, 'p2', 'set', '', publishes({ node: TUNE, id: 'two', options }), error('conflict', 'precondition-not-met'));
  await publish(romeo, { node: TUNE, id: 'three', options: { access_model: 'presence' } });
  await asks(romeo, 'i1', 'get', '', items(TUNE), found(TUNE, item('three', 'hello')));
});

transcript(
  'XEP-0060 §7.1.5: an option nobody knows is refused',
  { differs: { prosody: 'answers bad-request', ejabberd: 'ignores it' } },
  async ({ romeo }) => {
    await asks(
      romeo,
      'p1',
      'set',
      '',
      publishes({ node: TUNE, id: 'one', options: { secrecy: 'utter' } }),
      error('conflict', 'precondition-not-met'),
    );
    await asks(romeo, 'i1', 'get', '', items(TUNE), error('item-not-found'));
  },
);

transcript(
  'XEP-0384 §5: a device list everybody may read, and its change',
  { differs: { ejabberd: 'adds who published it as a replyto' } },
  async ({ romeo, juliet, tybalt }) => {
    const DEVICES = 'eu.siacs.conversations.axolotl.devicelist';
    const list = `<list xmlns='eu.siacs.conversations.axolotl'><device id='31415'/></list>`;
    await befriends(romeo, juliet);
    await romeo.becomesAvailable();
    await listensTo(juliet, DEVICES);
    await juliet.sync();
    await juliet.collects();
    await publish(romeo, {
      node: DEVICES,
      id: 'current',
      payload: list,
      options: { access_model: 'open', persist_items: 'true', max_items: '1' },
    });
    await juliet.takes('the list', ({ name }) => name === 'message');
    await asks(tybalt, 'i1', 'get', romeo.bare, items(DEVICES), found(DEVICES, `<item id='current'>${list}</item>`));
  },
);

transcript('XEP-0384 §5.3: a node is made open afterwards, by its configuration', async ({ romeo, tybalt }) => {
  await publish(romeo, { node: TUNE, id: 'current', text: 'x' });
  await asks(
    romeo,
    'c1',
    'set',
    '',
    `<pubsub xmlns='${OWNER}'><configure node='${TUNE}'>${form('node_config', { access_model: 'open' })}</configure></pubsub>`,
    '',
  );
  await asks(tybalt, 'i1', 'get', romeo.bare, items(TUNE), found(TUNE, item('current', 'x')));
});

transcript(
  'XEP-0060 §4.5: access for groups of the roster',
  { differs: { ejabberd: 'knows groups of shared rosters only', prosody: 'has no such access model' } },
  async ({ romeo, juliet, nurse }) => {
    await befriends(romeo, juliet);
    await befriends(romeo, nurse);
    await romeo.sends(
      `<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='${juliet.bare}'><group>Loves</group></item></query></iq>`,
    );
    await romeo.takes('the result', ({ attrs }) => attrs['id'] === 'r1');
    await publish(romeo, { node: TUNE, id: 'one', text: 'x', options: { access_model: 'roster', roster_groups_allowed: 'Loves' } });
    await asks(juliet, 'i1', 'get', romeo.bare, items(TUNE), found(TUNE, item('one', 'x')));
    await asks(nurse, 'i1', 'get', romeo.bare, items(TUNE), error('not-authorized', 'not-in-roster-group'));
  },
);

transcript(
  'XEP-0060 §7.2: retracting an item, with and without being told',
  { differs: { ejabberd: 'sends own clients no last item' } },
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await listensTo(juliet, TUNE);
    await romeo.becomesAvailable();
    await publish(romeo, { node: TUNE, id: 'one', text: 'x' });
    await romeo.collects();
    await juliet.collects();
    await asks(
      romeo,
      'r1',
      'set',
      '',
      `<pubsub xmlns='${PUBSUB}'><retract node='${TUNE}' notify='true'><item id='one'/></retract></pubsub>`,
      '',
    );
    await juliet.receives(
      `<message type='headline' from='${romeo.bare}'><event xmlns='${EVENT}'><items node='${TUNE}'><retract id='one'/></items></event></message>`,
    );
    await asks(
      romeo,
      'r2',
      'set',
      '',
      `<pubsub xmlns='${PUBSUB}'><retract node='${TUNE}'><item id='one'/></retract></pubsub>`,
      error('item-not-found'),
    );
  },
);

transcript(
  'XEP-0060 §7.2.3: what cannot be retracted',
  { differs: { prosody: 'has fewer conditions', ejabberd: 'has fewer conditions' } },
  async ({ romeo, juliet }) => {
    await subscribes(juliet, romeo);
    await publish(romeo, { node: TUNE, id: 'one', text: 'x' });
    const retracts = (inner: string, node = ` node='${TUNE}'`): string =>
      `<pubsub xmlns='${PUBSUB}'><retract${node}>${inner}</retract></pubsub>`;
    await asks(romeo, 'r1', 'set', '', retracts(`<item id='one'/>`, ''), error('bad-request', 'nodeid-required'));
    await asks(romeo, 'r2', 'set', '', retracts(''), error('bad-request', 'item-required'));
    await asks(romeo, 'r3', 'set', '', retracts('<item/>'), error('bad-request', 'item-required'));
    await asks(romeo, 'r4', 'set', '', retracts(`<item id='one'/>`, ` node='urn:example:none'`), error('item-not-found'));
    await asks(juliet, 'r5', 'set', romeo.bare, retracts(`<item id='one'/>`), error('forbidden'));
    await publish(romeo, { node: 'urn:example:fleeting', id: 'one', options: { persist_items: '0' } });
    await asks(
      romeo,
      'r6',
      'set',
      '',
      retracts(`<item id='one'/>`, ` node='urn:example:fleeting'`),
      error('feature-not-implemented', 'unsupported', 'persistent-items'),
    );
  },
);

transcript(
  'XEP-0060 §7.1.3: what cannot be published',
  { differs: { prosody: 'has fewer conditions', ejabberd: 'has fewer conditions' } },
  async ({ romeo }) => {
    const publishing = (inner: string, node = ` node='${TUNE}'`): string =>
      `<pubsub xmlns='${PUBSUB}'><publish${node}>${inner}</publish></pubsub>`;
    await asks(romeo, 'p1', 'set', '', publishing(`<item id='one'>${note('x')}</item>`, ''), error('bad-request', 'nodeid-required'));
    await asks(romeo, 'p2', 'set', '', publishing(''), error('bad-request', 'item-required'));
    await asks(romeo, 'p3', 'set', '', publishing(`<item>${note('x')}${note('y')}</item>`), error('bad-request', 'invalid-payload'));
    await asks(romeo, 'p4', 'set', '', publishing(`<item/><item/>`), error('bad-request'));
    const typed = form('publish-options', { type: 'urn:example:other' });
    await asks(
      romeo,
      'p5',
      'set',
      '',
      `<pubsub xmlns='${PUBSUB}'><publish node='${TUNE}'><item>${note('x')}</item></publish><publish-options>${typed}</publish-options></pubsub>`,
      error('bad-request', 'invalid-payload'),
    );
    await asks(
      romeo,
      'p6',
      'set',
      '',
      `<pubsub xmlns='${PUBSUB}'><publish node='urn:example:n'><item>${note('x')}</item></publish><publish-options>${form('publish-options', { persist_items: '0', deliver_payloads: '0' })}</publish-options></pubsub>`,
      error('bad-request', 'item-forbidden'),
    );
    await asks(romeo, 'p7', 'set', '', `<pubsub xmlns='${PUBSUB}'/>`, error('bad-request'));
  },
);

transcript(
  'limits: nodes, items, payload and size of an account',
  { modules: { pep: { max_nodes: 2, max_items: 2, max_payload: '1KiB', max_size: '64KiB' } } },
  async ({ romeo }) => {
    await asks(
      romeo,
      'p1',
      'set',
      '',
      publishes({ node: TUNE, id: 'one', text: 'x'.repeat(1_024) }),
      error('not-acceptable', 'payload-too-big'),
    );
    const options = { max_items: 'max' };
    for (const id of ['one', 'two', 'three']) await publish(romeo, { node: TUNE, id, text: id, options });
    await asks(romeo, 'i1', 'get', '', items(TUNE), found(TUNE, item('two', 'two'), item('three', 'three')));
    await publish(romeo, { node: 'urn:example:2', id: 'one' });
    await asks(romeo, 'p2', 'set', '', publishes({ node: 'urn:example:3', id: 'one' }), error('conflict', 'max-nodes-exceeded'));
  },
);

transcript(
  'XEP-0060 §8.1, §8.2: nodes are made and configured',
  { differs: { ejabberd: 'says the name of the node in any case' } },
  async ({ romeo }) => {
    await asks(
      romeo,
      'c1',
      'set',
      '',
      `<pubsub xmlns='${PUBSUB}'><create node='urn:example:n'/><configure>${form('node_config', { access_model: 'open', max_items: '3' })}</configure></pubsub>`,
      '',
    );
    await asks(romeo, 'c2', 'set', '', `<pubsub xmlns='${PUBSUB}'><create node='urn:example:n'/></pubsub>`, error('conflict'));
    await asks(
      romeo,
      'c3',
      'get',
      '',
      `<pubsub xmlns='${OWNER}'><configure node='urn:example:n'/></pubsub>`,
      `<pubsub xmlns='${OWNER}'><configure node='urn:example:n'><x xmlns='jabber:x:data' type='form'>{any}</x></configure></pubsub>`,
    );
  },
);

transcript('XEP-0060 §8.1.3: an access model nobody has', { differs: { ejabberd: 'answers otherwise' } }, async ({ romeo }) => {
  await asks(
    romeo,
    'c1',
    'set',
    '',
    `<pubsub xmlns='${PUBSUB}'><create node='urn:example:n'/><configure>${form('node_config', { access_model: 'secret' })}</configure></pubsub>`,
    error('not-acceptable'),
  );
});

transcript(
  'XEP-0060 §8.4, §8.5: purge and deletion',
  { differs: { prosody: 'tells of both at once', ejabberd: 'does not tell' } },
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await listensTo(juliet, TUNE);
    await romeo.becomesAvailable();
    await publish(romeo, { node: TUNE, id: 'one', text: 'x' });
    await romeo.sync();
    await juliet.collects();
    await romeo.collects();
    await asks(romeo, 'o1', 'set', '', `<pubsub xmlns='${OWNER}'><purge node='${TUNE}'/></pubsub>`, '');
    await juliet.receives(
      `<message type='headline' from='${romeo.bare}'><event xmlns='${EVENT}'><purge node='${TUNE}'/></event></message>`,
    );
    await asks(romeo, 'i1', 'get', '', items(TUNE), `<pubsub xmlns='${PUBSUB}'><items node='${TUNE}'/></pubsub>`);
    await asks(juliet, 'o2', 'set', romeo.bare, `<pubsub xmlns='${OWNER}'><delete node='${TUNE}'/></pubsub>`, error('forbidden'));
    await asks(romeo, 'o3', 'set', '', `<pubsub xmlns='${OWNER}'><delete node='${TUNE}'/></pubsub>`, '');
    await juliet.receives(
      `<message type='headline' from='${romeo.bare}'><event xmlns='${EVENT}'><delete node='${TUNE}'/></event></message>`,
    );
    await asks(romeo, 'i2', 'get', '', items(TUNE), error('item-not-found'));
  },
);

transcript(
  'XEP-0060 §6.5.4, §6.5.7: pages and the most recent items',
  { differs: { ejabberd: 'has ids of its own for pages', prosody: 'has no pages' } },
  async ({ romeo }) => {
    const options = { max_items: 'max' };
    for (const id of ['1', '2', '3', '4', '5']) await publish(romeo, { node: TUNE, id, text: id, options });
    await asks(
      romeo,
      'i1',
      'get',
      '',
      `<pubsub xmlns='${PUBSUB}'><items node='${TUNE}' max_items='2'/></pubsub>`,
      found(TUNE, item('5', '5'), item('4', '4')),
    );
    const page = (inner: string): string =>
      `<pubsub xmlns='${PUBSUB}'><items node='${TUNE}'/><set xmlns='http://jabber.org/protocol/rsm'>${inner}</set></pubsub>`;
    await asks(
      romeo,
      'i2',
      'get',
      '',
      page('<max>2</max><after>4</after>'),
      `<pubsub xmlns='${PUBSUB}'><items node='${TUNE}'>${item('3', '3')}${item('2', '2')}</items>
     <set xmlns='http://jabber.org/protocol/rsm'><first index='2'>3</first><last>2</last><count>5</count></set></pubsub>`,
    );
    await asks(romeo, 'i3', 'get', '', page('<max>2</max><after>9</after>'), error('item-not-found'));
    await asks(
      romeo,
      'i4',
      'get',
      '',
      page('<max>0</max>'),
      `<pubsub xmlns='${PUBSUB}'><items node='${TUNE}'/><set xmlns='http://jabber.org/protocol/rsm'><count>5</count></set></pubsub>`,
    );
    await asks(romeo, 'i5', 'get', '', `<pubsub xmlns='${PUBSUB}'><items node='${TUNE}' max_items='none'/></pubsub>`, error('bad-request'));
    await asks(romeo, 'i6', 'get', '', items(TUNE, `<item id='9'/>`), error('item-not-found'));
  },
);

transcript(
  'XEP-0060 §7.1.2: publishing again makes the item the newest',
  { differs: { ejabberd: 'lists the oldest first' } },
  async ({ romeo }) => {
    const options = { max_items: '2' };
    await publish(romeo, { node: TUNE, id: 'a', text: '1', options });
    await publish(romeo, { node: TUNE, id: 'b', text: '2', options });
    await publish(romeo, { node: TUNE, id: 'a', text: '3', options });
    await publish(romeo, { node: TUNE, id: 'c', text: '4', options });
    await asks(romeo, 'i1', 'get', '', items(TUNE), found(TUNE, item('c', '4'), item('a', '3')));
  },
);

transcript('XEP-0060 §16.4.4: items expire', { onlyOurs: 'needs its clock' }, async (cast) => {
  const { romeo } = cast;
  await publish(romeo, { node: TUNE, id: 'a', text: '1', options: { max_items: 'max', item_expire: '60' } });
  await cast.advance(59_000);
  await publish(romeo, { node: TUNE, id: 'b', text: '2' });
  await asks(romeo, 'i1', 'get', '', items(TUNE), found(TUNE, item('a', '1'), item('b', '2')));
  await cast.advance(2_000);
  await asks(romeo, 'i2', 'get', '', items(TUNE), found(TUNE, item('b', '2')));
});

transcript(
  'XEP-0060 §6.1, §6.2: an explicit subscription to an open node',
  { differs: { prosody: 'gives no subid', ejabberd: 'gives no subid' } },
  async ({ romeo, tybalt }) => {
    await publish(romeo, { node: TUNE, id: 'one', text: 'x', options: { access_model: 'open' } });
    await tybalt.becomesAvailable();
    await tybalt.sends(
      `<iq type='set' id='s1' to='${romeo.bare}'><pubsub xmlns='${PUBSUB}'><subscribe node='${TUNE}' jid='${tybalt.bare}'/></pubsub></iq>`,
    );
    await tybalt.receivesInAnyOrder(
      `<iq type='result' id='s1'><pubsub xmlns='${PUBSUB}'><subscription node='${TUNE}' jid='${tybalt.bare}' subid='{subid}' subscription='subscribed'><subscribe-options match:optional='true'/></subscription></pubsub></iq>`,
      itemEvent(romeo.bare, TUNE, 'one', note('x'), DELAY),
    );
    await publish(romeo, { node: TUNE, id: 'two', text: 'y' });
    await tybalt.receives(itemEvent(romeo.bare, TUNE, 'two', note('y')));
    const unsubscribes = (more = ''): string =>
      `<pubsub xmlns='${PUBSUB}'><unsubscribe node='${TUNE}' jid='${tybalt.bare}'${more}/></pubsub>`;
    await asks(tybalt, 'u1', 'set', romeo.bare, unsubscribes(` subid='wrong'`), error('not-acceptable', 'invalid-subid'));
    await tybalt.sends(`<iq type='set' id='u2' to='${romeo.bare}'>${unsubscribes()}</iq>`);
    await tybalt.receives(
      `<iq type='result' id='u2'><pubsub xmlns='${PUBSUB}'><subscription node='${TUNE}' jid='${tybalt.bare}' subid='{subid}' subscription='none'/></pubsub></iq>`,
    );
    await asks(tybalt, 'u3', 'set', romeo.bare, unsubscribes(), error('unexpected-request', 'not-subscribed'));
    await publish(romeo, { node: TUNE, id: 'three', text: 'z' });
    await tybalt.receivesNothing();
  },
);

transcript(
  'XEP-0060 §5.2, §5.3, §5.5: nodes and items in disco',
  { differs: { prosody: 'says less of nodes', ejabberd: 'says less of nodes' } },
  async ({ romeo, juliet, tybalt }) => {
    await subscribes(juliet, romeo);
    await publish(romeo, { node: TUNE, id: 'one' });
    await publish(romeo, { node: 'urn:example:mine', id: 'one', options: { access_model: 'whitelist' } });
    await asks(
      juliet,
      'd1',
      'get',
      romeo.bare,
      `<query xmlns='${ITEMS}'/>`,
      `<query xmlns='${ITEMS}'><item jid='${romeo.bare}' node='${TUNE}'/></query>`,
    );
    await asks(
      juliet,
      'd2',
      'get',
      romeo.bare,
      `<query xmlns='${ITEMS}' node='${TUNE}'/>`,
      `<query xmlns='${ITEMS}' node='${TUNE}'><item jid='${romeo.bare}' name='one'/></query>`,
    );
    await asks(
      juliet,
      'd3',
      'get',
      romeo.bare,
      `<query xmlns='${INFO}' node='${TUNE}'/>`,
      `<query xmlns='${INFO}' node='${TUNE}' match:rest='ignore'><identity category='pubsub' type='leaf'/><feature var='${PUBSUB}'/></query>`,
    );
    await asks(juliet, 'd4', 'get', romeo.bare, `<query xmlns='${INFO}' node='urn:example:mine'/>`, error('item-not-found'));
    await asks(tybalt, 'd5', 'get', romeo.bare, `<query xmlns='${INFO}' node='${TUNE}'/>`, error('service-unavailable'));
  },
);

transcript('what is published survives a restart', { onlyOurs: 'needs a server that can be restarted' }, async (cast) => {
  await publish(cast.romeo, { node: TUNE, id: 'one', text: 'x', options: { max_items: '5', access_model: 'whitelist' } });
  await publish(cast.romeo, { node: TUNE, id: 'two', text: 'y' });
  const again = await cast.restarted();
  await asks(again.romeo, 'i1', 'get', '', items(TUNE), found(TUNE, item('one', 'x'), item('two', 'y')));
  await publish(again.romeo, { node: TUNE, id: 'one', text: 'z' });
  await asks(again.juliet, 'i2', 'get', again.romeo.bare, items(TUNE), error('not-allowed', 'closed-node'));
});
