/** What an account keeps for itself and shows to others, as XEP-0227 has it: vCard, private XML, nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AFFILIATIONS, ITEMS, NODES, SUBSCRIPTIONS } from '../../src/modules/pubsub/rows.ts';
import { Scene } from './fixture.ts';

const ROMEO = 'romeo@capulet.lit';

/** XEP-0227 §4.10.2, the example, with more around it. */
const DOCUMENT = `<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'><user name='romeo' password='secret'>
  <vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>
  <query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus><b xmlns='urn:example:b'/></query>
  <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
    <configure node='urn:xmpp:bookmarks:1'>
      <x xmlns='jabber:x:data' type='form'>
        <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#node_config</value></field>
        <field var='pubsub#access_model'><value>whitelist</value></field>
        <field var='pubsub#max_items'><value>max</value></field>
      </x>
    </configure>
    <affiliations node='urn:xmpp:bookmarks:1'><affiliation jid='mercutio@example.net' affiliation='member'/></affiliations>
    <subscriptions node='urn:xmpp:bookmarks:1'><subscription jid='mercutio@example.net' subscription='subscribed' subid='123-abc'/></subscriptions>
    <configure node='http://jabber.org/protocol/nick'>
      <x xmlns='jabber:x:data' type='form'>
        <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#node_config</value></field>
        <field var='pubsub#access_model'><value>open</value></field>
      </x>
    </configure>
  </pubsub>
  <pubsub xmlns='http://jabber.org/protocol/pubsub'>
    <items node='urn:xmpp:bookmarks:1'>
      <item id='theplay@conference.shakespeare.lit'><conference xmlns='urn:xmpp:bookmarks:1' name='The Play&apos;s the Thing' autojoin='true'><nick>Romeo</nick></conference></item>
      <item id='orchard@conference.shakespeare.lit'><conference xmlns='urn:xmpp:bookmarks:1' name='The Orchard' autojoin='1'><nick>Romeo</nick></conference></item>
    </items>
    <items node='http://jabber.org/protocol/nick'><item id='current'><nick xmlns='http://jabber.org/protocol/nick'>Romy</nick></item></items>
  </pubsub>
</user></host></server-data>`;

test('XEP-0227 §4.5, §4.6, §4.10: vCard, private XML and nodes come in', async () => {
  using scene = new Scene();
  const report = await scene.import(scene.file('romeo.xml', DOCUMENT));
  assert.deepEqual(report.unknown, {});
  const nodes = new Map((await scene.rows(NODES, ROMEO)).map(([[name], { config }]) => [name, config]));
  assert.equal(nodes.get('urn:xmpp:bookmarks:1')?.['pubsub#access_model'], 'whitelist');
  assert.equal(nodes.get('urn:xmpp:bookmarks:1')?.['pubsub#max_items'], 'max');
  assert.equal(nodes.get('http://jabber.org/protocol/nick')?.['pubsub#access_model'], 'open');
  const items = (await scene.rows(ITEMS, ROMEO)).map(([[node, id], { seq }]) => [node, id, seq]);
  assert.deepEqual(items, [
    ['http://jabber.org/protocol/nick', 'current', 3],
    ['urn:xmpp:bookmarks:1', 'orchard@conference.shakespeare.lit', 2],
    ['urn:xmpp:bookmarks:1', 'theplay@conference.shakespeare.lit', 1],
  ]);
  assert.deepEqual(await scene.rows(AFFILIATIONS, ROMEO), [[['urn:xmpp:bookmarks:1', 'mercutio@example.net'], 'member']]);
  assert.deepEqual(
    (await scene.rows(SUBSCRIPTIONS, ROMEO)).map(([key, { state, subid }]) => [key[1], state, subid]),
    [['mercutio@example.net', 'subscribed', '123-abc']],
  );
});

test('export, import, export: the same document', async () => {
  using from = new Scene();
  await from.import(from.file('romeo.xml', DOCUMENT));
  const document = await from.export(ROMEO);
  for (const part of [
    '<FN>Romeo</FN>',
    'exodus:prefs',
    "<items xmlns='http://jabber.org/protocol/pubsub' node='urn:xmpp:bookmarks:1'>",
    'Romy',
  ])
    assert.ok(document.includes(part), part);
  using to = new Scene();
  const report = await to.import(to.file('romeo.xml', document));
  assert.deepEqual(report.unknown, {});
  assert.equal(await to.export(ROMEO), document);
});

test('a configuration that says nothing is told to the operator; the items stay', async () => {
  using scene = new Scene();
  const owner = `<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='n'/></pubsub>`;
  const items = `<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'><item id='1'/></items></pubsub>`;
  const report = await scene.import(
    scene.file(
      'romeo.xml',
      `<server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'><user name='romeo' password='x'>${owner}${items}</user></host></server-data>`,
    ),
  );
  assert.deepEqual(report.unknown, { '{http://jabber.org/protocol/pubsub#owner}configure': 1 });
  const config = (await scene.rows(NODES, ROMEO))[0]?.[1].config;
  assert.equal(config?.['pubsub#access_model'], 'whitelist', 'its items are there, for its owner alone');
});
