import type { Client } from '../harness/cast.ts';
import { transcript } from '../harness/transcript.ts';
import { picture, type TestPicture } from './pictures.ts';
import { asks, error, itemEvent, listensTo, publish, PUBSUB } from './pubsub-scenes.ts';
import { befriends } from './roster-scenes.ts';

const DATA = 'urn:xmpp:avatar:data';
const METADATA = 'urn:xmpp:avatar:metadata';
const ASK = `<vCard xmlns='vcard-temp'/>`;
const OTHERS = { differs: { prosody: 'converts when it is asked', ejabberd: 'needs mod_avatar' } };

const metadata = ({ sha1, bytes }: TestPicture, size = ''): string =>
  `<metadata xmlns='${METADATA}'><info id='${sha1}' type='image/png' bytes='${bytes}'${size}/></metadata>`;
const data = ({ base64 }: TestPicture): string => `<data xmlns='${DATA}'>${base64}</data>`;
const photo = ({ base64 }: TestPicture): string => `<PHOTO><TYPE>image/png</TYPE><BINVAL>${base64}</BINVAL></PHOTO>`;
const vcard = (inner: string): string => `<vCard xmlns='vcard-temp'>${inner}</vCard>`;
const items = (node: string): string => `<pubsub xmlns='${PUBSUB}'><items node='${node}'/></pubsub>`;
const found = (node: string, id: string, payload: string): string =>
  `<pubsub xmlns='${PUBSUB}'><items node='${node}'><item id='${id}'>${payload}</item></items></pubsub>`;

async function publishesAvatar(client: Client, avatar: TestPicture, access = 'open'): Promise<void> {
  const options = { access_model: access };
  await publish(client, { node: DATA, id: avatar.sha1, payload: data(avatar), options });
  await publish(client, { node: METADATA, id: avatar.sha1, payload: metadata(avatar), options });
  await client.sync();
}

transcript('XEP-0398 §2: the account says that it converts', OTHERS, async ({ romeo }) => {
  const INFO = 'http://jabber.org/protocol/disco#info';
  await asks(
    romeo,
    'd1',
    'get',
    romeo.bare,
    `<query xmlns='${INFO}'/>`,
    `<query xmlns='${INFO}' match:rest='ignore'><feature var='urn:xmpp:pep-vcard-conversion:0'/></query>`,
  );
});

transcript(
  'XEP-0084 §3: contacts hear of an avatar and get it',
  { differs: { prosody: 'names the publisher in items', ejabberd: 'adds who published it as a replyto' } },
  async ({ romeo, juliet }) => {
    const avatar = picture(1);
    await befriends(romeo, juliet);
    await romeo.becomesAvailable();
    await listensTo(juliet, METADATA);
    await romeo.sync();
    for (const client of [romeo, juliet]) await client.collects();
    await publish(romeo, { node: DATA, id: avatar.sha1, payload: data(avatar) });
    await publish(romeo, { node: METADATA, id: avatar.sha1, payload: metadata(avatar) });
    await juliet.receives(itemEvent(romeo.bare, METADATA, avatar.sha1, metadata(avatar)));
    await asks(
      juliet,
      'i1',
      'get',
      romeo.bare,
      `<pubsub xmlns='${PUBSUB}'><items node='${DATA}'><item id='${avatar.sha1}'/></items></pubsub>`,
      found(DATA, avatar.sha1, data(avatar)),
    );
  },
);

transcript('XEP-0398 §3.1: from the node to the vCard; what else is in that stays', OTHERS, async ({ romeo, tybalt }) => {
  await asks(romeo, 'v1', 'set', '', vcard('<FN>Romeo</FN>'), '');
  await publishesAvatar(romeo, picture(1));
  await asks(tybalt, 'v2', 'get', romeo.bare, ASK, vcard(`<FN>Romeo</FN>${photo(picture(1))}`));
  await publishesAvatar(romeo, picture(2));
  await asks(tybalt, 'v3', 'get', romeo.bare, ASK, vcard(`<FN>Romeo</FN>${photo(picture(2))}`));
  await publish(romeo, { node: METADATA, id: 'none', payload: `<metadata xmlns='${METADATA}'/>` });
  await romeo.sync();
  await asks(tybalt, 'v4', 'get', romeo.bare, ASK, vcard('<FN>Romeo</FN>'));
});

transcript('XEP-0398 §3.1, §4: and into presence', OTHERS, async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  await romeo.becomesAvailable();
  await juliet.becomesAvailable();
  await romeo.sync();
  for (const client of [romeo, juliet]) await client.collects();
  await publishesAvatar(romeo, picture(1));
  await juliet.receives(`<presence from='${romeo.full}'><x xmlns='vcard-temp:x:update'><photo>${picture(1).sha1}</photo></x></presence>`);
});

transcript(
  'XEP-0398 §7: an avatar for contacts does not get where anybody sees it',
  { differs: { ejabberd: 'needs mod_avatar' } },
  async ({ romeo, tybalt }) => {
    await publishesAvatar(romeo, picture(1), 'presence');
    await asks(tybalt, 'v1', 'get', romeo.bare, ASK, error('item-not-found'));
  },
);

transcript(
  'XEP-0398 §7: unless the operator wants it',
  { modules: { avatars: { from_closed_nodes: true } } },
  async ({ romeo, tybalt }) => {
    await publishesAvatar(romeo, picture(1), 'presence');
    await asks(tybalt, 'v1', 'get', romeo.bare, ASK, vcard(photo(picture(1))));
  },
);

transcript(
  'XEP-0398 §3.1: an image that does not have the hash, or is none, is not taken',
  { differs: { ejabberd: 'needs mod_avatar' } },
  async ({ romeo }) => {
    const liar = { ...picture(1), base64: picture(2).base64 };
    await publishesAvatar(romeo, liar);
    await asks(romeo, 'v1', 'get', '', ASK, error('item-not-found'));
    const text = Buffer.from('<svg/>').toString('base64');
    await publishesAvatar(romeo, { base64: text, sha1: '9a0364b9e99bb480dd25e1f0284c8555', bytes: 6 });
    await asks(romeo, 'v2', 'get', '', ASK, error('item-not-found'));
  },
);

transcript('limits: an avatar with too many pixels', { modules: { avatars: { max_pixels: 32 } } }, async ({ romeo }) => {
  await publishesAvatar(romeo, picture(1));
  await asks(romeo, 'v1', 'get', '', ASK, error('item-not-found'));
});

transcript('XEP-0398 §3.2: from the vCard to the nodes', OTHERS, async ({ romeo, phone, tybalt }) => {
  await listensTo(phone, METADATA);
  await phone.collects();
  const avatar = picture(3);
  await asks(romeo, 'v1', 'set', '', vcard(photo(avatar)), '');
  const full = metadata(avatar, ` width='64' height='64'`);
  await phone.takes('the metadata', ({ name }) => name === 'message');
  await asks(tybalt, 'i1', 'get', romeo.bare, items(METADATA), found(METADATA, avatar.sha1, full));
  await asks(tybalt, 'i2', 'get', romeo.bare, items(DATA), found(DATA, avatar.sha1, data(avatar)));
  await asks(romeo, 'v2', 'set', '', vcard('<FN>Romeo</FN>'), '');
  await asks(tybalt, 'i3', 'get', romeo.bare, items(METADATA), found(METADATA, 'none', `<metadata xmlns='${METADATA}'/>`));
});

transcript('neither direction goes round in circles', { onlyOurs: 'counts what is sent' }, async ({ romeo, phone }) => {
  await listensTo(phone, METADATA);
  await phone.collects();
  await publishesAvatar(romeo, picture(1));
  await asks(romeo, 'v1', 'set', '', vcard(photo(picture(1))), '');
  const events = (await phone.collects()).filter(({ name }) => name === 'message');
  if (events.length !== 1) throw new Error(`${events.length} events`);
});
