import assert from 'node:assert/strict';
import type { CastOfClients } from '../harness/cast.ts';
import { transcript, type TranscriptOptions } from '../harness/transcript.ts';
import { asks, DELAY, error, EVENT, form, itemEvent, note, OWNER, publish, publishes, PUBSUB } from './pubsub-scenes.ts';

const INFO = 'http://jabber.org/protocol/disco#info';
const ITEMS = 'http://jabber.org/protocol/disco#items';
const NODE = 'princely_musings';

type Play = (cast: CastOfClients & { readonly service: string }) => Promise<void>;

/** A transcript with the address of the service. */
function scene(title: string, ...rest: [Play] | [TranscriptOptions, Play]): void {
  const [options, play] = rest.length === 1 ? [{}, rest[0]] : rest;
  transcript(title, options, (cast) => play(Object.assign(cast, { service: `pubsub.${cast.domain}` })));
}

const items = (node = NODE): string => `<pubsub xmlns='${PUBSUB}'><items node='${node}'/></pubsub>`;
const creates = (config: Readonly<Record<string, string>> = {}, node = NODE): string =>
  `<pubsub xmlns='${PUBSUB}'><create node='${node}'/><configure>${form('node_config', config)}</configure></pubsub>`;
const subscribes = (jid: string, options = ''): string =>
  `<pubsub xmlns='${PUBSUB}'><subscribe node='${NODE}' jid='${jid}'/>${options}</pubsub>`;
const unsubscribes = (jid: string): string => `<pubsub xmlns='${PUBSUB}'><unsubscribe node='${NODE}' jid='${jid}'/></pubsub>`;
const owners = (inner: string): string => `<pubsub xmlns='${OWNER}'>${inner}</pubsub>`;
const subscribed = (jid: string, state = 'subscribed'): string =>
  `<pubsub xmlns='${PUBSUB}'><subscription node='${NODE}' jid='${jid}' subid='{id}' subscription='${state}'><subscribe-options match:optional='true'/></subscription></pubsub>`;

const PROSODY = 'has fewer conditions, no subids, and names publishers in items';
const EJABBERD = 'has other conditions, no subids, and adds headers to events';
const OTHERS = { differs: { prosody: PROSODY, ejabberd: EJABBERD } };

scene('XEP-0060 §5.1: the host names the service, and the service says what it is', OTHERS, async ({ romeo, service, domain }) => {
  await asks(
    romeo,
    'd1',
    'get',
    domain,
    `<query xmlns='${ITEMS}'/>`,
    `<query xmlns='${ITEMS}' match:rest='ignore'><item jid='${service}' name='Publish-Subscribe'/></query>`,
  );
  await asks(
    romeo,
    'd2',
    'get',
    service,
    `<query xmlns='${INFO}'/>`,
    `<query xmlns='${INFO}' match:rest='ignore'>
       <identity category='pubsub' type='service' name='Publish-Subscribe'/>
       <feature var='${INFO}'/><feature var='${PUBSUB}'/><feature var='urn:xmpp:ping'/>
       <feature var='${PUBSUB}#create-nodes'/><feature var='${PUBSUB}#publish'/><feature var='${PUBSUB}#subscribe'/>
     </query>`,
  );
  await asks(romeo, 'p1', 'get', service, `<ping xmlns='urn:xmpp:ping'/>`, '');
  await asks(romeo, 'u1', 'get', service, `<query xmlns='urn:example:unknown'/>`, error('service-unavailable'));
});

scene(
  'XEP-0060 §8.1.1, §8.1.2: a node is made, once; one without a name gets one',
  { differs: { prosody: 'has no nodes without a name', ejabberd: 'says the name of the node in any case' } },
  async ({ romeo, service }) => {
    await asks(romeo, 'c1', 'set', service, `<pubsub xmlns='${PUBSUB}'><create node='${NODE}'/></pubsub>`, '');
    await asks(romeo, 'c2', 'set', service, `<pubsub xmlns='${PUBSUB}'><create node='${NODE}'/></pubsub>`, error('conflict'));
    await asks(
      romeo,
      'c3',
      'set',
      service,
      `<pubsub xmlns='${PUBSUB}'><create/><configure/></pubsub>`,
      `<pubsub xmlns='${PUBSUB}'><create node='{id}'/></pubsub>`,
    );
  },
);

scene('XEP-0060 §8.1.3: access models of accounts are not for services', OTHERS, async ({ romeo, service }) => {
  await asks(romeo, 'c1', 'set', service, creates({ access_model: 'presence' }), error('not-acceptable', 'unsupported-access-model'));
  await asks(romeo, 'd1', 'get', service, `<query xmlns='${ITEMS}'/>`, `<query xmlns='${ITEMS}'/>`);
});

scene('XEP-0060 §8.1.1: who may make nodes is configured', { modules: { pubsub: { create: 'admins' } } }, async ({ romeo, service }) => {
  await asks(romeo, 'c1', 'set', service, creates(), error('forbidden'));
  await asks(romeo, 'p1', 'set', service, publishes({ node: NODE, id: 'one' }), error('item-not-found'));
});

transcript(
  'admins own all nodes',
  { modules: { pubsub: { create: 'admins' } }, config: { admins: ['romeo@capulet.lit'] } },
  async (cast) => {
    const { romeo } = cast;
    const service = `pubsub.${cast.domain}`;
    await asks(romeo, 'c1', 'set', service, creates(), '');
    await asks(romeo, 'o1', 'set', service, owners(`<delete node='${NODE}'/>`), '');
  },
);

scene('no service where it is switched off', { modules: { pubsub: { service: false } } }, async ({ romeo, service }) => {
  await asks(
    romeo,
    'c1',
    'set',
    service,
    creates(),
    `<error type='cancel'><remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`,
  );
});

scene('its domain is configured', { modules: { pubsub: { domain: 'news.capulet.lit' } } }, async ({ romeo }) => {
  await asks(romeo, 'c1', 'set', 'news.capulet.lit', creates(), '');
});

scene('XEP-0060 §6.1, §7.1.2: subscribers get what is published', OTHERS, async ({ romeo, juliet, nurse, service }) => {
  await asks(romeo, 'c1', 'set', service, creates(), '');
  await juliet.becomesAvailable();
  await asks(juliet, 's1', 'set', service, subscribes(juliet.bare), subscribed(juliet.bare));
  await asks(nurse, 's2', 'set', service, subscribes(nurse.full), subscribed(nurse.full));
  await publish(romeo, { node: NODE, id: 'one', text: 'To be', to: service });
  await juliet.receives(itemEvent(service, NODE, 'one', note('To be')));
  await nurse.receives(itemEvent(service, NODE, 'one', note('To be')));
  await romeo.receivesNothing();
  await asks(juliet, 'u1', 'set', service, unsubscribes(juliet.bare), subscribed(juliet.bare, 'none'));
  await publish(romeo, { node: NODE, id: 'two', text: 'or not', to: service });
  await nurse.receives(itemEvent(service, NODE, 'two', note('or not')));
  await juliet.receivesNothing();
});

scene('XEP-0060 §6.1.7: a new subscriber gets the last item', OTHERS, async ({ romeo, juliet, service }) => {
  await publish(romeo, { node: NODE, id: 'one', text: 'To be', to: service });
  await publish(romeo, { node: NODE, id: 'two', text: 'or not', to: service });
  await asks(juliet, 's1', 'set', service, subscribes(juliet.full), subscribed(juliet.full));
  await juliet.receives(itemEvent(service, NODE, 'two', note('or not'), DELAY));
  await juliet.receivesNothing();
});

scene('XEP-0060 §6.1.3: what is no subscription', OTHERS, async ({ romeo, juliet, service }) => {
  await asks(juliet, 's1', 'set', service, subscribes(juliet.bare), error('item-not-found'));
  await asks(romeo, 'c1', 'set', service, creates({ access_model: 'whitelist' }), '');
  await asks(juliet, 's2', 'set', service, subscribes(romeo.bare), error('bad-request', 'invalid-jid'));
  await asks(juliet, 's3', 'set', service, subscribes(juliet.bare), error('not-allowed', 'closed-node'));
  const affiliates = (affiliation: string): string =>
    owners(`<affiliations node='${NODE}'><affiliation jid='${juliet.bare}' affiliation='${affiliation}'/></affiliations>`);
  await asks(romeo, 'a1', 'set', service, affiliates('outcast'), '');
  await asks(juliet, 's4', 'set', service, subscribes(juliet.bare), error('forbidden'));
  await asks(romeo, 'a2', 'set', service, affiliates('member'), '');
  await asks(juliet, 's5', 'set', service, subscribes(juliet.bare), subscribed(juliet.bare));
  await asks(
    romeo,
    'o1',
    'set',
    service,
    owners(`<configure node='${NODE}'>${form('node_config', { subscribe: '0', access_model: 'open' })}</configure>`),
    '',
  );
  await asks(juliet, 's6', 'set', service, subscribes(juliet.full), error('feature-not-implemented', 'unsupported', 'subscribe'));
});

scene(
  'XEP-0060 §6.1.3.9: too many subscriptions',
  { modules: { pubsub: { max_subscriptions: 1 } } },
  async ({ romeo, juliet, nurse, service }) => {
    await asks(romeo, 'c1', 'set', service, creates(), '');
    await asks(juliet, 's1', 'set', service, subscribes(juliet.bare), subscribed(juliet.bare));
    await asks(nurse, 's2', 'set', service, subscribes(nurse.bare), error('policy-violation', 'too-many-subscriptions'));
  },
);

scene('XEP-0060 §6.2.3: what cannot be left', OTHERS, async ({ romeo, juliet, nurse, service }) => {
  await asks(juliet, 'u1', 'set', service, unsubscribes(juliet.bare), error('item-not-found'));
  await asks(romeo, 'c1', 'set', service, creates(), '');
  await asks(juliet, 'u2', 'set', service, unsubscribes(juliet.bare), error('unexpected-request', 'not-subscribed'));
  await asks(juliet, 's1', 'set', service, subscribes(juliet.bare), subscribed(juliet.bare));
  await asks(nurse, 'u3', 'set', service, unsubscribes(juliet.bare), error('forbidden'));
});

scene('XEP-0060 §8.6: an owner approves, or does not', OTHERS, async ({ romeo, juliet, nurse, service }) => {
  await romeo.becomesAvailable();
  await asks(romeo, 'c1', 'set', service, creates({ access_model: 'authorize' }), '');
  await publish(romeo, { node: NODE, id: 'one', text: 'To be', to: service });
  const asksOwner = async (client: typeof juliet): Promise<string> => {
    await asks(client, 's1', 'set', service, subscribes(client.full), subscribed(client.full, 'pending'));
    const request = await romeo.receives(`
      <message from='${service}'><body>{any}</body>
        <x xmlns='jabber:x:data' type='form' match:rest='ignore'>
          <field var='FORM_TYPE' type='hidden'><value>${PUBSUB}#subscribe_authorization</value></field>
          <field var='pubsub#node' type='text-single' label='{any}'><required match:optional='true'/><value>${NODE}</value></field>
          <field var='pubsub#subscriber_jid' type='jid-single' label='{any}'><required match:optional='true'/><value>${client.full}</value></field>
        </x>
      </message>`);
    return request.attrs['id']!;
  };
  const decides = (id: string, jid: string, allow: string): string => `
    <message to='${service}' id='${id}'><x xmlns='jabber:x:data' type='submit'>
      <field var='FORM_TYPE' type='hidden'><value>${PUBSUB}#subscribe_authorization</value></field>
      <field var='pubsub#node'><value>${NODE}</value></field>
      <field var='pubsub#subscriber_jid'><value>${jid}</value></field>
      <field var='pubsub#allow'><value>${allow}</value></field>
    </x></message>`;
  const told = (client: typeof juliet, state: string): string =>
    `<message from='${service}' type='headline'><event xmlns='${EVENT}'><subscription node='${NODE}' jid='${client.full}' subscription='${state}'/></event></message>`;

  const first = await asksOwner(juliet);
  await asks(juliet, 's2', 'set', service, subscribes(juliet.full), error('not-authorized', 'pending-subscription'));
  await asks(juliet, 'i1', 'get', service, items(), error('not-authorized', 'not-subscribed'));
  await nurse.sends(decides('x', juliet.full, '1'));
  await nurse.receives(`<message type='error' id='x' from='${service}'>${error('forbidden')}</message>`);
  await romeo.sends(decides(first, juliet.full, '1'));
  await juliet.receives(told(juliet, 'subscribed'));
  await juliet.receives(itemEvent(service, NODE, 'one', note('To be'), DELAY));
  await asks(
    juliet,
    'i2',
    'get',
    service,
    items(),
    `<pubsub xmlns='${PUBSUB}'><items node='${NODE}'><item id='one'>${note('To be')}</item></items></pubsub>`,
  );
  const second = await asksOwner(nurse);
  await romeo.sends(decides(second, nurse.full, '0'));
  await nurse.receives(told(nurse, 'none'));
  await nurse.receivesNothing();
});

scene('XEP-0060 §6.3: options of a subscription', OTHERS, async ({ romeo, juliet, service }) => {
  await asks(romeo, 'c1', 'set', service, creates(), '');
  const options = (inner = ''): string =>
    `<pubsub xmlns='${PUBSUB}'><options node='${NODE}' jid='${juliet.full}'${inner === '' ? '/>' : `>${inner}</options>`}</pubsub>`;
  await asks(juliet, 'o1', 'get', service, options(), error('unexpected-request', 'not-subscribed'));
  await asks(juliet, 's1', 'set', service, subscribes(juliet.full), subscribed(juliet.full));
  await asks(
    juliet,
    'o2',
    'get',
    service,
    options(),
    `<pubsub xmlns='${PUBSUB}'><options node='${NODE}' jid='${juliet.full}' subid='{id}'><x xmlns='jabber:x:data' type='form'>{any}</x></options></pubsub>`,
  );
  await asks(
    juliet,
    'o3',
    'set',
    service,
    options(form('subscribe_options', { deliver: 'perhaps' })),
    error('bad-request', 'invalid-options'),
  );
  await asks(
    juliet,
    'o4',
    'set',
    service,
    options(form('subscribe_options', { expire: '2001-01-01T00:00:00Z' })),
    error('bad-request', 'invalid-options'),
  );
  await asks(juliet, 'o5', 'set', service, options(form('subscribe_options', { deliver: '0' })), '');
  await publish(romeo, { node: NODE, id: 'one', to: service });
  await juliet.receivesNothing();
  await asks(juliet, 'o6', 'set', service, options(form('subscribe_options', { deliver: '1' })), '');
  await publish(romeo, { node: NODE, id: 'two', text: 'x', to: service });
  await juliet.receives(itemEvent(service, NODE, 'two', note('x')));
  await asks(
    juliet,
    'o7',
    'get',
    service,
    `<pubsub xmlns='${PUBSUB}'><default/></pubsub>`,
    `<pubsub xmlns='${PUBSUB}'><default><x xmlns='jabber:x:data' type='form'>{any}</x></default></pubsub>`,
  );
});

scene('XEP-0060 §12.18: a subscription that ends by itself', { onlyOurs: 'needs its clock' }, async (cast) => {
  const { romeo, juliet, service } = cast;
  await asks(romeo, 'c1', 'set', service, creates(), '');
  await juliet.sends(
    `<iq type='set' id='s1' to='${service}'>${subscribes(juliet.full, `<options>${form('subscribe_options', { expire: '2025-06-01T12:01:00Z' })}</options>`)}</iq>`,
  );
  await juliet.receives(
    `<iq type='result' id='s1'><pubsub xmlns='${PUBSUB}'><subscription node='${NODE}' jid='${juliet.full}' subid='{id}' subscription='subscribed'><subscribe-options/></subscription><options>{any}</options></pubsub></iq>`,
  );
  await publish(romeo, { node: NODE, id: 'one', text: 'x', to: service });
  await juliet.receives(itemEvent(service, NODE, 'one', note('x')));
  await cast.advance(61_000);
  await publish(romeo, { node: NODE, id: 'two', text: 'y', to: service });
  await juliet.receivesNothing();
});

scene('XEP-0060 §5.6, §5.7: what one has subscribed to, and is affiliated with', OTHERS, async ({ romeo, juliet, service }) => {
  await asks(romeo, 'c1', 'set', service, creates(), '');
  await asks(
    juliet,
    's0',
    'get',
    service,
    `<pubsub xmlns='${PUBSUB}'><subscriptions/></pubsub>`,
    `<pubsub xmlns='${PUBSUB}'><subscriptions/></pubsub>`,
  );
  await asks(juliet, 's1', 'set', service, subscribes(juliet.full), subscribed(juliet.full));
  const mine = `<subscription node='${NODE}' jid='${juliet.full}' subid='{id}' subscription='subscribed'/>`;
  await asks(
    juliet,
    's2',
    'get',
    service,
    `<pubsub xmlns='${PUBSUB}'><subscriptions/></pubsub>`,
    `<pubsub xmlns='${PUBSUB}'><subscriptions>${mine}</subscriptions></pubsub>`,
  );
  await asks(
    juliet,
    's3',
    'get',
    service,
    `<pubsub xmlns='${PUBSUB}'><subscriptions node='${NODE}'/></pubsub>`,
    `<pubsub xmlns='${PUBSUB}'><subscriptions node='${NODE}'>${mine}</subscriptions></pubsub>`,
  );
  await asks(
    romeo,
    'a1',
    'get',
    service,
    `<pubsub xmlns='${PUBSUB}'><affiliations/></pubsub>`,
    `<pubsub xmlns='${PUBSUB}'><affiliations><affiliation node='${NODE}' affiliation='owner'/></affiliations></pubsub>`,
  );
});

scene('XEP-0060 §8.8: an owner manages subscriptions', OTHERS, async ({ romeo, juliet, nurse, service }) => {
  await asks(romeo, 'c1', 'set', service, creates(), '');
  await asks(juliet, 's1', 'set', service, subscribes(juliet.full), subscribed(juliet.full));
  await asks(juliet, 'm1', 'get', service, owners(`<subscriptions node='${NODE}'/>`), error('forbidden'));
  await asks(
    romeo,
    'm2',
    'get',
    service,
    owners(`<subscriptions node='${NODE}'/>`),
    owners(`<subscriptions node='${NODE}'><subscription jid='${juliet.full}' subid='{id}' subscription='subscribed'/></subscriptions>`),
  );
  const changes = owners(`<subscriptions node='${NODE}'>
      <subscription jid='${juliet.full}' subscription='none'/><subscription jid='${nurse.full}' subscription='subscribed'/></subscriptions>`);
  await asks(romeo, 'm3', 'set', service, changes, '');
  for (const [client, state] of [
    [juliet, 'none'],
    [nurse, 'subscribed'],
  ] as const) {
    await client.receives(
      `<message from='${service}' type='headline'><event xmlns='${EVENT}'><subscription node='${NODE}' jid='${client.full}' subscription='${state}'/></event></message>`,
    );
  }
  await asks(
    romeo,
    'm4',
    'set',
    service,
    owners(`<subscriptions node='${NODE}'><subscription jid='${nurse.full}' subscription='perhaps'/></subscriptions>`),
    error('not-acceptable'),
  );
});

scene('XEP-0060 §8.9: an owner manages affiliations; somebody must stay owner', OTHERS, async ({ romeo, juliet, nurse, service }) => {
  await asks(romeo, 'c1', 'set', service, creates(), '');
  const affiliates = (...list: readonly (readonly [string, string])[]): string =>
    owners(
      `<affiliations node='${NODE}'>${list.map(([jid, as]) => `<affiliation jid='${jid}' affiliation='${as}'/>`).join('')}</affiliations>`,
    );
  await asks(juliet, 'a1', 'set', service, affiliates([juliet.bare, 'owner']), error('forbidden'));
  await asks(romeo, 'a2', 'set', service, affiliates([romeo.bare, 'none'], [juliet.bare, 'publisher']), error('not-acceptable'));
  await asks(romeo, 'a3', 'set', service, affiliates([juliet.bare, 'publisher'], [nurse.bare, 'publish-only']), '');
  await asks(
    romeo,
    'a4',
    'get',
    service,
    owners(`<affiliations node='${NODE}'/>`),
    affiliates([romeo.bare, 'owner'], [juliet.bare, 'publisher'], [nurse.bare, 'publish-only']),
  );
  await publish(juliet, { node: NODE, id: 'one', to: service });
  await publish(nurse, { node: NODE, id: 'two', to: service });
  await asks(nurse, 'i1', 'get', service, items(), error('forbidden')); // §4.1
  await asks(
    nurse,
    'r1',
    'set',
    service,
    `<pubsub xmlns='${PUBSUB}'><retract node='${NODE}'><item id='one'/></retract></pubsub>`,
    error('forbidden'),
  );
  await asks(romeo, 'a5', 'set', service, affiliates([juliet.bare, 'king']), error('not-acceptable'));
});

scene(
  'XEP-0060 §4.5: who may publish',
  { differs: { prosody: 'has no such model', ejabberd: EJABBERD } },
  async ({ romeo, juliet, nurse, service }) => {
    await asks(romeo, 'c1', 'set', service, creates({ publish_model: 'subscribers' }), '');
    await asks(juliet, 's1', 'set', service, subscribes(juliet.full), subscribed(juliet.full));
    await publish(juliet, { node: NODE, id: 'one', to: service });
    await asks(nurse, 'p1', 'set', service, publishes({ node: NODE, id: 'two' }), error('forbidden'));
    await asks(
      romeo,
      'o1',
      'set',
      service,
      owners(`<configure node='${NODE}'>${form('node_config', { publish_model: 'open' })}</configure>`),
      '',
    );
    await publish(nurse, { node: NODE, id: 'two', to: service });
  },
);

scene('XEP-0060 §7.1.3: a node that is full refuses, where it is told to', OTHERS, async ({ romeo, service }) => {
  await asks(romeo, 'c1', 'set', service, creates({ publish_node_full: 'reject', max_items: '1' }), '');
  await publish(romeo, { node: NODE, id: 'one', to: service });
  await asks(romeo, 'p1', 'set', service, publishes({ node: NODE, id: 'two' }), error('conflict', 'node-full'));
  await publish(romeo, { node: NODE, id: 'one', text: 'anew', to: service });
});

scene('XEP-0060 §8.2: configuration is shown, changed, told', OTHERS, async ({ romeo, juliet, service }) => {
  await asks(romeo, 'c1', 'set', service, creates(), '');
  await asks(juliet, 's1', 'set', service, subscribes(juliet.full), subscribed(juliet.full));
  await asks(juliet, 'o1', 'get', service, owners(`<configure node='${NODE}'/>`), error('forbidden'));
  await asks(romeo, 'o2', 'get', service, owners(`<configure/>`), error('bad-request', 'nodeid-required'));
  await asks(romeo, 'o3', 'get', service, owners(`<configure node='none'/>`), error('item-not-found'));
  await asks(
    romeo,
    'o4',
    'set',
    service,
    owners(`<configure node='${NODE}'>${form('node_config', { max_items: 'many' })}</configure>`),
    error('not-acceptable'),
  );
  await asks(
    romeo,
    'o5',
    'set',
    service,
    owners(`<configure node='${NODE}'>${form('node_config', { title: 'Musings', notify_config: '1', deliver_payloads: '0' })}</configure>`),
    '',
  );
  await juliet.receives(
    `<message from='${service}' type='headline'><event xmlns='${EVENT}'><configuration node='${NODE}'/></event></message>`,
  );
  await publish(romeo, { node: NODE, id: 'one', text: 'x', to: service });
  await juliet.receives(
    `<message from='${service}' type='headline'><event xmlns='${EVENT}'><items node='${NODE}'><item id='one'/></items></event></message>`,
  );
  await asks(
    romeo,
    'o6',
    'get',
    service,
    owners(`<default/>`),
    owners(`<default><x xmlns='jabber:x:data' type='form'>{any}</x></default>`),
  );
});

scene('XEP-0060 §8.4: deletion, with a place to go to', OTHERS, async ({ romeo, juliet, service }) => {
  await asks(romeo, 'c1', 'set', service, creates(), '');
  await asks(juliet, 's1', 'set', service, subscribes(juliet.full), subscribed(juliet.full));
  await asks(romeo, 'o1', 'set', service, owners(`<delete node='${NODE}'><redirect uri='xmpp:${service}?;node=blog'/></delete>`), '');
  await juliet.receives(
    `<message from='${service}' type='headline'><event xmlns='${EVENT}'><delete node='${NODE}'><redirect uri='xmpp:${service}?;node=blog'/></delete></event></message>`,
  );
  await asks(romeo, 'o2', 'set', service, owners(`<delete node='${NODE}'/>`), error('item-not-found'));
});

scene('XEP-0060 §8.5.3: a node that keeps no items cannot be purged', OTHERS, async ({ romeo, juliet, service }) => {
  await asks(romeo, 'c1', 'set', service, creates({ persist_items: '0' }), '');
  await asks(juliet, 'o1', 'set', service, owners(`<purge node='${NODE}'/>`), error('forbidden'));
  await asks(
    romeo,
    'o2',
    'set',
    service,
    owners(`<purge node='${NODE}'/>`),
    error('feature-not-implemented', 'unsupported', 'persistent-items'),
  );
  await asks(romeo, 'i1', 'get', service, items(), error('feature-not-implemented', 'unsupported', 'persistent-items'));
});

scene('XEP-0060 §5.3, §5.5: nodes in disco', OTHERS, async ({ romeo, juliet, service }) => {
  await asks(romeo, 'c1', 'set', service, creates({ title: 'Musings' }), '');
  await publish(romeo, { node: NODE, id: 'one', to: service });
  await asks(
    juliet,
    'd1',
    'get',
    service,
    `<query xmlns='${ITEMS}'/>`,
    `<query xmlns='${ITEMS}'><item jid='${service}' node='${NODE}' name='Musings'/></query>`,
  );
  await asks(
    juliet,
    'd2',
    'get',
    service,
    `<query xmlns='${ITEMS}' node='${NODE}'/>`,
    `<query xmlns='${ITEMS}' node='${NODE}'><item jid='${service}' name='one'/></query>`,
  );
  await asks(
    juliet,
    'd3',
    'get',
    service,
    `<query xmlns='${INFO}' node='${NODE}'/>`,
    `<query xmlns='${INFO}' node='${NODE}' match:rest='ignore'><identity category='pubsub' type='leaf' name='Musings'/><x xmlns='jabber:x:data' type='result'>{any}</x></query>`,
  );
  await asks(juliet, 'd4', 'get', service, `<query xmlns='${INFO}' node='none'/>`, error('item-not-found'));
});

scene('nodes, items and subscriptions survive a restart, and an idle time', { onlyOurs: 'needs its clock and a restart' }, async (cast) => {
  const { service } = cast;
  await publish(cast.romeo, { node: NODE, id: 'one', text: 'x', to: service });
  await cast.juliet.becomesAvailable();
  await cast.juliet.sends(`<iq type='set' id='s1' to='${service}'>${subscribes(cast.juliet.bare)}</iq>`);
  await cast.juliet.collects();
  await cast.advance(61_000);
  assert.equal(cast.memory.kernel.list({ kind: 'pubsub' }).length, 0, 'it is unloaded');
  await publish(cast.romeo, { node: NODE, id: 'two', text: 'y', to: service });
  await cast.juliet.receives(itemEvent(service, NODE, 'two', note('y')));
  const again = await cast.restarted();
  await again.juliet.becomesAvailable();
  await publish(again.romeo, { node: NODE, id: 'three', text: 'z', to: service });
  await again.juliet.receives(itemEvent(service, NODE, 'three', note('z')));
});
