import { transcript } from '../harness/transcript.ts';
import { asks, error, EVENT, listensTo, PUBSUB } from './pubsub-scenes.ts';

const MDS = 'urn:xmpp:mds:displayed:0';
const ASSIST = { differs: { prosody: 'has no server assist', ejabberd: 'has no server assist' } };
const displayed = (by: string): string => `<displayed xmlns='${MDS}'><stanza-id xmlns='urn:xmpp:sid:0' by='${by}' id='0423'/></displayed>`;
const items = `<pubsub xmlns='${PUBSUB}'><items node='${MDS}'/></pubsub>`;

transcript('XEP-0490 §4.4.2: an account says that its server helps', ASSIST, async ({ romeo }) => {
  const INFO = 'http://jabber.org/protocol/disco#info';
  await asks(
    romeo,
    'd1',
    'get',
    romeo.bare,
    `<query xmlns='${INFO}'/>`,
    `<query xmlns='${INFO}' match:rest='ignore'><feature var='urn:xmpp:mds:server-assist:0'/></query>`,
  );
});

transcript('XEP-0490 §4.4.3: the word is taken out of the message and becomes an item', ASSIST, async ({ romeo, phone, juliet }) => {
  await listensTo(phone, MDS);
  await phone.collects();
  await juliet.becomesAvailable();
  const marker = `<displayed xmlns='urn:xmpp:chat-markers:0' id='the-msg-1'/>`;
  await romeo.sends(`<message type='chat' to='${juliet.bare}'>${marker}${displayed(romeo.bare)}</message>`);
  await juliet.receives(`<message type='chat' from='${romeo.full}'>${marker}</message>`);
  await phone.receives(
    `<message type='headline' from='${romeo.bare}'><event xmlns='${EVENT}'><items node='${MDS}'><item id='${juliet.bare}'>${displayed(romeo.bare)}</item></items></event></message>`,
  );
  await asks(
    romeo,
    'i1',
    'get',
    '',
    items,
    `<pubsub xmlns='${PUBSUB}'><items node='${MDS}'><item id='${juliet.bare}'>${displayed(romeo.bare)}</item></items></pubsub>`,
  );
});

transcript('XEP-0490 §7: nobody else sees it; a message of others does nothing', ASSIST, async ({ romeo, juliet }) => {
  await juliet.becomesAvailable();
  await romeo.sends(`<message type='chat' to='${juliet.bare}'><body>hi</body>${displayed(romeo.bare)}</message>`);
  await juliet.receives(`<message type='chat' from='${romeo.full}'><body>hi</body></message>`);
  await asks(juliet, 'i1', 'get', romeo.bare, items, error('not-allowed', 'closed-node'));
  await asks(juliet, 'i2', 'get', '', items, error('item-not-found'));
});
