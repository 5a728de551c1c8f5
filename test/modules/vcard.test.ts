import { transcript } from '../harness/transcript.ts';
import { asks, error } from './pubsub-scenes.ts';
import { befriends } from './roster-scenes.ts';
import { picture } from './pictures.ts';

const NS = 'vcard-temp';
const UPDATE = 'vcard-temp:x:update';
const vcard = (inner: string): string => `<vCard xmlns='${NS}'>${inner}</vCard>`;
const photo = (base64: string): string => `<PHOTO><TYPE>image/png</TYPE><BINVAL>${base64}</BINVAL></PHOTO>`;
const hashOf = (sha1: string): string => `<x xmlns='${UPDATE}'>${sha1 === '' ? '<photo/>' : `<photo>${sha1}</photo>`}</x>`;
const ASK = `<vCard xmlns='${NS}'/>`;

transcript('XEP-0054 §3: a vCard is kept, and shown to everybody', async ({ romeo, juliet }) => {
  const content = vcard('<FN>Romeo Montague</FN><N><FAMILY>Montague</FAMILY><GIVEN>Romeo</GIVEN></N>');
  await asks(romeo, 'v1', 'set', '', content, '');
  await asks(romeo, 'v2', 'get', '', ASK, content);
  await asks(juliet, 'v3', 'get', romeo.bare, ASK, content);
});

transcript('XEP-0054 §3.2: a new one takes the place of the old', async ({ romeo }) => {
  await asks(romeo, 'v1', 'set', '', vcard('<FN>Romeo</FN><URL>http://example.org/</URL>'), '');
  await asks(romeo, 'v2', 'set', '', vcard('<FN>Romeo</FN>'), '');
  await asks(romeo, 'v3', 'get', '', ASK, vcard('<FN>Romeo</FN>'));
});

transcript(
  'XEP-0054 §3.1: no vCard, and no account, look alike',
  { differs: { ejabberd: 'answers with an empty vCard' } },
  async (cast) => {
    const { romeo, juliet } = cast;
    await asks(romeo, 'v1', 'get', '', ASK, error('item-not-found'));
    for (const to of [juliet.bare, `nobody@${cast.domain}`]) await asks(romeo, 'v2', 'get', to, ASK, error('item-not-found'));
  },
);

transcript('XEP-0054 §3.2: that of others cannot be changed', { differs: { ejabberd: 'says otherwise' } }, async (cast) => {
  const { romeo, juliet } = cast;
  for (const to of [juliet.bare, `nobody@${cast.domain}`]) await asks(romeo, 'v1', 'set', to, vcard('<FN>Nobody</FN>'), error('forbidden'));
});

transcript('vCards can be for contacts alone', { modules: { vcard: { visible_to: 'contacts' } } }, async ({ romeo, juliet, tybalt }) => {
  await befriends(romeo, juliet);
  await asks(romeo, 'v1', 'set', '', vcard('<FN>Romeo</FN>'), '');
  await asks(juliet, 'v2', 'get', romeo.bare, ASK, vcard('<FN>Romeo</FN>'));
  await asks(tybalt, 'v3', 'get', romeo.bare, ASK, error('item-not-found'));
});

transcript('limits: a vCard that is too long', { modules: { vcard: { max_size: '1KiB' } } }, async ({ romeo }) => {
  await asks(romeo, 'v1', 'set', '', vcard(`<FN>${'x'.repeat(1_024)}</FN>`), error('not-acceptable'));
});

transcript(
  'XEP-0153, XEP-0398 §4: the server adds the hash to presence',
  { differs: { ejabberd: 'has mod_vcard_xupdate for that', prosody: 'needs mod_vcard_legacy' } },
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await juliet.becomesAvailable();
    await juliet.collects();
    const { base64, sha1 } = picture(1);
    await asks(romeo, 'v1', 'set', '', vcard(photo(base64)), '');
    await romeo.sends('<presence><show>away</show></presence>');
    await juliet.receives(`<presence from='${romeo.full}'><show>away</show>${hashOf(sha1)}</presence>`);
    await romeo.sends(`<presence><x xmlns='${UPDATE}'/></presence>`);
    await juliet.receives(`<presence from='${romeo.full}'>${hashOf(sha1)}</presence>`);
    await romeo.sends(`<presence><x xmlns='${UPDATE}'><photo>0000</photo></x></presence>`);
    await juliet.receives(`<presence from='${romeo.full}'>${hashOf(sha1)}</presence>`);
  },
);

transcript(
  'XEP-0398 §4: a client that says it has none is believed',
  { differs: { ejabberd: 'has mod_vcard_xupdate for that' } },
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await juliet.becomesAvailable();
    await juliet.collects();
    await asks(romeo, 'v1', 'set', '', vcard(photo(picture(1).base64)), '');
    await romeo.sends(`<presence>${hashOf('')}</presence>`);
    await juliet.receives(`<presence from='${romeo.full}'>${hashOf('')}</presence>`);
  },
);

transcript(
  'XEP-0398 §4: in directed presence, too',
  { differs: { prosody: 'in broadcasts only', ejabberd: 'has mod_vcard_xupdate for that' } },
  async ({ romeo, juliet }) => {
    const { base64, sha1 } = picture(1);
    await asks(romeo, 'v1', 'set', '', vcard(photo(base64)), '');
    await romeo.sends(`<presence to='${juliet.full}'/>`);
    await juliet.receives(`<presence from='${romeo.full}'>${hashOf(sha1)}</presence>`);
  },
);

transcript('presence of who never had a vCard stays as it is', async ({ romeo, juliet }) => {
  await befriends(romeo, juliet);
  await juliet.becomesAvailable();
  await juliet.collects();
  await romeo.sends('<presence/>');
  await juliet.receives(`<presence from='${romeo.full}'/>`);
});

transcript(
  'XEP-0153 §3: another photo is told at once, and so is its end',
  { differs: { prosody: 'tells it otherwise', ejabberd: 'has mod_vcard_xupdate for that' } },
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await romeo.becomesAvailable();
    await juliet.becomesAvailable();
    await juliet.collects();
    await romeo.sync();
    for (const client of [romeo, juliet]) await client.collects();
    const { base64, sha1 } = picture(1);
    await romeo.sends(`<iq type='set' id='v1'>${vcard(photo(base64))}</iq>`);
    await juliet.receives(`<presence from='${romeo.full}'>${hashOf(sha1)}</presence>`);
    await romeo.collects();
    await romeo.sends(`<iq type='set' id='v2'>${vcard('<FN>Romeo</FN>')}</iq>`);
    await juliet.receives(`<presence from='${romeo.full}'>${hashOf('')}</presence>`);
    await romeo.collects();
    await romeo.sends(`<iq type='set' id='v3'>${vcard('<FN>Romeo M.</FN>')}</iq>`);
    await juliet.receivesNothing();
  },
);

transcript(
  'a photo that is no image is kept, but not announced',
  { differs: { prosody: 'announces it', ejabberd: 'pushes to resources that never asked for the roster' } },
  async ({ romeo, juliet }) => {
    await befriends(romeo, juliet);
    await juliet.becomesAvailable();
    await juliet.collects();
    const nonsense = photo(Buffer.from('<svg/>').toString('base64'));
    await asks(romeo, 'v1', 'set', '', vcard(nonsense), '');
    await romeo.sends('<presence/>');
    await juliet.receives(`<presence from='${romeo.full}'>${hashOf('')}</presence>`);
    await asks(juliet, 'v2', 'get', romeo.bare, ASK, vcard(nonsense));
  },
);

transcript('vCard and hash survive a restart', { onlyOurs: 'needs a server that can be restarted' }, async (cast) => {
  const { base64, sha1 } = picture(1);
  await asks(cast.romeo, 'v1', 'set', '', vcard(photo(base64)), '');
  const again = await cast.restarted();
  await asks(again.romeo, 'v2', 'get', '', ASK, vcard(photo(base64)));
  await again.romeo.sends('<presence/>');
  await again.romeo.receives(`<presence from='${again.romeo.full}'>${hashOf(sha1)}</presence>`);
});
